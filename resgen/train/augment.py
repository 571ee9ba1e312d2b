"""Random changes that leave an image's class alone."""

import torch
from torch import Tensor
from torch.nn import functional as F


def mirror(images: Tensor) -> Tensor:
    """Flip half of the images left to right."""
    flip = torch.rand(len(images), device=images.device) < 0.5
    return torch.where(flip[:, None, None, None], images.flip(3), images)


def shift(images: Tensor, ratio: float = 0.125) -> Tensor:
    """Move each image by up to ``ratio`` of its side both ways; what comes in is black padding."""
    n, _, height, width = images.shape
    reach = max(1, round(ratio * width))
    padded = F.pad(images, [reach] * 4, value=-1.0)
    dy, dx = torch.randint(0, 2 * reach + 1, (2, n, 1), device=images.device)
    rows = (torch.arange(height, device=images.device) + dy)[:, :, None]
    columns = (torch.arange(width, device=images.device) + dx)[:, None, :]
    batch = torch.arange(n, device=images.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[batch, rows, columns].permute(0, 3, 1, 2)


def cutout(images: Tensor, ratio: float = 0.5) -> Tensor:
    """Grey out one square of ``ratio`` of the side, centred anywhere."""
    n, _, height, width = images.shape
    half = ratio * width / 2
    cy, cx = torch.rand(2, n, 1, 1, device=images.device) * width
    rows = torch.arange(height, device=images.device)[None, :, None]
    columns = torch.arange(width, device=images.device)[None, None, :]
    hole = ((rows - cy).abs() < half) & ((columns - cx).abs() < half)
    return images * (~hole)[:, None]
