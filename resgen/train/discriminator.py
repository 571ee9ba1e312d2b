"""Small trainable heads on the maps of a frozen feature network (projected GAN; Sauer et al. 2021)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

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


class Head(nn.Module):
    """Judges one feature map [N, in, H, W]: logits [N, positions], class included by projection (Miyato & Koyama 2018)."""

    def __init__(self, in_channels: int, size: int, num_classes: int, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = in_channels
        while size > 4:
            layers += [spectral_norm(nn.Conv2d(channels, width, 3, 2, 1)), nn.LeakyReLU(0.2)]
            channels, size = width, (size + 1) // 2
        self.shrink = nn.Sequential(*layers)
        self.mix = spectral_norm(nn.Conv2d(channels + 1, width, 3, 1, 1))
        self.score = spectral_norm(nn.Conv2d(width, 1, 1))
        self.embed = spectral_norm(nn.Embedding(num_classes, width)) if num_classes else None

    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        h = self.shrink(x)
        h = F.leaky_relu(self.mix(torch.cat([h, group_deviation(h)], dim=1)), 0.2)
        logits = self.score(h).flatten(1)
        if self.embed is not None and labels is not None:
            matched = (h.mean(dim=(2, 3)) * self.embed(labels)).sum(dim=1, keepdim=True)
            logits = logits + matched
        return logits.float()


class Discriminator(nn.Module):
    """One `Head` per feature map; maps are given, so that their network's gradient can be shared."""

    def __init__(self, map_shapes: list[tuple[int, int]], num_classes: int, width: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(Head(channels, size, num_classes, width) for channels, size in map_shapes)

    def forward(self, maps: list[Tensor], labels: Tensor | None) -> list[Tensor]:
        return [head(x, labels) for head, x in zip(self.heads, maps, strict=True)]
