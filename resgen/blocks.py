"""The pieces a generator is made of: the mapping network, the residual block and self-attention."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PLACES = 8  # a side, at which a mean shift finds a picture's colours: on 64 pixels, every eighth
SHIFTS = 2


def pixel_norm(x: Tensor) -> Tensor:
    """Scale each row of ``x`` [N, D] to unit variance about zero (Karras et al. 2018, section 4.2)."""
    return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-8)


class MappingNetwork(nn.Module):
    """z [N, z_dim] and class weights [N, classes] -> w [N, w_dim] (Karras et al. 2019), as a residual MLP.

    The latent path keeps unit variance from the first step: with PyTorch's default initialisation
    z shrinks on its way through and the generator starts out nearly constant, hence collapsed.
    """

    def __init__(self, z_dim: int, w_dim: int, num_classes: int) -> None:
        super().__init__()
        self.project = nn.Linear(z_dim, w_dim)
        self.embed = nn.Parameter(torch.randn(num_classes, w_dim)) if num_classes else None
        self.branch = nn.Sequential(nn.Linear(w_dim, w_dim), nn.ReLU(), nn.Linear(w_dim, w_dim))
        nn.init.normal_(self.project.weight, std=z_dim**-0.5)
        nn.init.kaiming_normal_(self.branch[0].weight)  # type: ignore[arg-type]
        nn.init.normal_(self.branch[2].weight, std=w_dim**-0.5)  # type: ignore[arg-type]
        for layer in (self.project, self.branch[0], self.branch[2]):
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, z: Tensor, class_weights: Tensor | None = None) -> Tensor:
        h = self.project(pixel_norm(z))
        if self.embed is not None:
            assert class_weights is not None, "a conditional mapping needs class weights"
            h = (h + class_weights @ self.embed) * 0.5**0.5
        return h + self.branch(h)


class PartMapping(nn.Module):
    """One column of a `PartsMapping`: a block of noise [N, size] and class weights [N, classes] -> its share of w [N, w_dim].

    In each class the block is cut into up to ``cells`` cells, that of the largest of anchors @ block + offsets (a power diagram); each adds a
    vector of its own. The edges are as soft as the anchors are short: two cells' vectors are mixed there, by a softmax.
    """

    def __init__(self, size: int, cells: int, classes: int, w_dim: int) -> None:
        super().__init__()
        self.register_buffer("anchors", torch.zeros(classes * cells, size))
        self.register_buffer("offsets", torch.zeros(classes * cells))
        self.values = nn.Parameter(torch.zeros(classes * cells, w_dim))
        self.classes = classes

    anchors: Tensor
    offsets: Tensor

    def forward(self, block: Tensor, class_weights: Tensor) -> Tensor:
        inside = F.linear(block, self.anchors, self.offsets).unflatten(1, (self.classes, -1)).softmax(dim=2)
        return (inside * class_weights[:, :, None]).flatten(1) @ self.values


class PartsMapping(nn.Module):
    """z [N, z_dim] and class weights [N, classes] -> w [N, w_dim], where it is known what a picture is made of: the sum of its parts, and of its class.

    ``parts`` holds the size of each part's block of z and the most cells of it in a class, in turns.
    """

    def __init__(self, parts: tuple[int, ...], w_dim: int, num_classes: int) -> None:
        super().__init__()
        classes = max(1, num_classes)
        self.sizes = parts[::2]
        self.embed = nn.Parameter(torch.zeros(classes, w_dim))
        self.parts = nn.ModuleList(PartMapping(size, cells, classes, w_dim) for size, cells in zip(self.sizes, parts[1::2], strict=True))

    def forward(self, z: Tensor, class_weights: Tensor | None = None) -> Tensor:
        if class_weights is None:
            class_weights = torch.ones_like(z[:, :1])
        blocks = pixel_norm(z).split(self.sizes, dim=1)
        return sum((part(block, class_weights) for part, block in zip(self.parts, blocks, strict=True)), class_weights @ self.embed)


class ConditionalBatchNorm(nn.Module):
    """Batch normalisation whose scale and shift are linear in w (de Vries et al. 2017)."""

    def __init__(self, channels: int, w_dim: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.affine = nn.Linear(w_dim, 2 * channels)
        nn.init.normal_(self.affine.weight, std=0.5 * w_dim**-0.5)
        nn.init.zeros_(self.affine.bias)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        scale, shift = self.affine(w)[:, :, None, None].chunk(2, dim=1)
        return self.norm(x) * (1 + scale) + shift


def mean_shift(image: Tensor, reach: float) -> Tensor:
    """Bring together what is nearly one colour: images [N, C, R, R] -> the same shape, in single precision (Comaniciu & Meer 2002).

    Each pixel takes on the mean of the picture's own colours that lie within ``reach`` of its own, the nearer the more, as they are found at
    `PLACES` x `PLACES` places; `SHIFTS` times. Fields that are even but for a little become even; a colour that is far from all others stays.
    """
    step, scale = max(1, image.shape[-1] // PLACES), reach**-2
    with torch.autocast(image.device.type, enabled=False):
        image = image.float().contiguous()
        for _ in range(SHIFTS):
            pixels, found = image.flatten(2), image[:, :, step // 2 :: step, step // 2 :: step].flatten(2)
            # 1 - (distance / reach)^2 of each colour found [N, places, 1] from each pixel [N, 1, pixels], as one product.
            one, size = torch.ones_like(pixels[:, :1]), pixels.square().sum(dim=1, keepdim=True)
            of_found = torch.cat(
                [2 * scale * found, 1 - scale * found.square().sum(dim=1, keepdim=True), torch.full_like(found[:, :1], -scale)], dim=1
            )
            near = of_found.transpose(1, 2) @ torch.cat([pixels, one, size], dim=1)
            near = near.relu_()
            alike = near.square() if near.requires_grad else near.square_()  # in place takes half the time, but what learns needs it as it was
            summed, count = (torch.cat([found, torch.ones_like(found[:, :1])], dim=1) @ alike).split([found.shape[1], 1], dim=1)
            image = ((pixels + summed) / (1 + count)).view_as(image)
    return image


class SelfAttention(nn.Module):
    """Softmax attention of every position to every other, added to its input (Zhang et al. 2019)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norm(x)).flatten(2).transpose(1, 2)[:, None].chunk(3, dim=3)  # one head: exporters want its dimension
        attended = F.scaled_dot_product_attention(q, k, v)[:, 0]
        return x + self.out(attended.transpose(1, 2).reshape_as(x))


class ResBlock(nn.Module):
    """Pre-activation residual block conditioned on w, doubling the resolution if ``upsample``.

    x [N, in, H, W], w [N, w_dim] -> [N, out, H', W'] = skip(x) + gain * branch(x, w) (He et al. 2016).
    The first convolution runs before the upsampling, at a quarter of the cost of the usual order.
    """

    def __init__(self, in_channels: int, out_channels: int, w_dim: int, upsample: bool) -> None:
        super().__init__()
        self.upsample = upsample
        self.norm1 = ConditionalBatchNorm(in_channels, w_dim)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm2 = ConditionalBatchNorm(out_channels, w_dim)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.skip = nn.Conv2d(in_channels, out_channels, 1) if in_channels != out_channels else nn.Identity()
        for conv in (self.conv1, self.conv2, self.skip):
            if isinstance(conv, nn.Conv2d):
                nn.init.kaiming_normal_(conv.weight, nonlinearity="linear" if conv is self.skip else "relu")
                nn.init.zeros_(conv.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, w: Tensor, gain: Tensor | float = 1.0) -> Tensor:
        # Residual branch.
        h = self.conv1(F.relu(self.norm1(x, w)))
        h = F.interpolate(h, scale_factor=2.0) if self.upsample else h
        h = self.conv2(F.relu(self.norm2(h, w)))
        # Skip branch.
        x = self.skip(x)
        x = F.interpolate(x, scale_factor=2.0) if self.upsample else x
        return x + gain * h
