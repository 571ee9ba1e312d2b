"""Small trainable heads on the maps of a frozen feature network (projected GAN; Sauer et al. 2021)."""

import torch
from torch import Tensor, nn

GROUP = 4  # neighbours in a batch that share a class, and are compared with each other


def group_deviation(x: Tensor) -> Tensor:
    """One map [N, 1, H, W]: how much the images of a group differ (Karras et al. 2018, section 3).

    Batches are laid out so that a group is of one class: a generator that draws one picture per class
    is told apart at a glance.
    """
    n, channels, height, width = x.shape
    groups = x.float().view(n // GROUP, GROUP, channels, height, width)
    deviation = (groups.var(dim=1, unbiased=False) + 1e-8).sqrt().mean(dim=(1, 2, 3))
    return deviation.repeat_interleave(GROUP)[:, None, None, None].expand(-1, 1, height, width).to(x.dtype)


def _conv(in_channels: int, out_channels: int, stride: int) -> nn.Conv2d:
    conv = nn.Conv2d(in_channels, out_channels, 3, stride, 1)
    nn.init.kaiming_normal_(conv.weight, a=0.2)
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    return conv


class Head(nn.Module):
    """Judges one feature map [N, in, H, W]: one logit an image [N], class included by projection (Miyato & Koyama 2018).

    No normalisation: batch norm would hide a shift of all colours, spectral norm keeps the logits too small;
    the gradient penalty of the loss holds the heads in check.
    """

    def __init__(self, in_channels: int, size: int, num_classes: int, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = in_channels
        while size > 4:
            layers += [_conv(channels, width, 2), nn.LeakyReLU(0.2)]
            channels, size = width, (size + 1) // 2
        self.shrink = nn.Sequential(*layers)
        self.mix = nn.Sequential(_conv(channels + 1, width, 1), nn.LeakyReLU(0.2))
        self.score = nn.Conv2d(width, 1, 1)
        self.embed = nn.Embedding(num_classes, width) if num_classes else None

    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        h = self.shrink(x)
        h = self.mix(torch.cat([h, group_deviation(h)], dim=1))
        pooled = h.mean(dim=(2, 3)).float()
        logits = self.score(h).float().mean(dim=(1, 2, 3))
        if self.embed is not None and labels is not None:
            logits = logits + (pooled * self.embed(labels)).sum(dim=1) * pooled.shape[1] ** -0.5
        return logits


class Discriminator(nn.Module):
    """One `Head` per feature map -> logits [heads, N]; maps are given, so that their network's gradient can be shared."""

    def __init__(self, map_shapes: list[tuple[int, int]], num_classes: int, width: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(Head(channels, size, num_classes, width) for channels, size in map_shapes)

    def forward(self, maps: list[Tensor], labels: Tensor | None) -> Tensor:
        return torch.stack([head(x, labels) for head, x in zip(self.heads, maps, strict=True)])
