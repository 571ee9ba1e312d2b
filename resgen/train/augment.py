"""Random changes that leave an image's class alone."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

REACH = 0.125  # of the side: how far images are moved


def mirror(images: Tensor) -> Tensor:
    """Flip half of the images left to right."""
    flip = torch.rand(len(images), device=images.device) < 0.5
    return torch.where(flip[:, None, None, None], images.flip(3), images)


def shift(images: Tensor) -> Tensor:
    """Move each image by up to `REACH` of its side both ways; what comes in is black padding."""
    reach = max(1, round(REACH * images.shape[-1]))
    offsets = torch.randint(0, 2 * reach + 1, (2, len(images)), device=images.device)
    return _crop(F.pad(images, [reach] * 4, value=-1.0), offsets, images.shape[-1])


def _crop(padded: Tensor, offsets: Tensor, side: int) -> Tensor:
    """From each image of ``padded`` [N, C, P, P] the square of ``side`` whose corner lies at its row and column of ``offsets`` [2, N]."""
    rows, columns = (torch.arange(side, device=padded.device) + start[:, None] for start in offsets)
    batch = torch.arange(len(padded), device=padded.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[batch, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def cutout(images: Tensor, ratio: float) -> Tensor:
    """Grey out one square of ``ratio`` of the side, centred anywhere."""
    n, _, height, width = images.shape
    half = ratio * width / 2
    cy, cx = torch.rand(2, n, 1, 1, device=images.device) * width
    rows = torch.arange(height, device=images.device)[None, :, None]
    columns = torch.arange(width, device=images.device)[None, None, :]
    hole = ((rows - cy).abs() < half) & ((columns - cx).abs() < half)
    return images * (~hole)[:, None]


def move(images: Tensor, place: Tensor) -> Tensor:
    """Each image moved by up to `REACH` of its side, to its ``place`` [2, N], 0..1 of the way from all down and right to all up and left.

    What comes in at the edges is mirrored.
    """
    reach = max(1, round(REACH * images.shape[-1]))
    offsets = (place * (2 * reach + 1)).long()
    return _crop(F.pad(images, [reach] * 4, mode="reflect"), offsets, images.shape[-1]).contiguous(memory_format=torch.channels_last)


@dataclass(frozen=True)
class Augmentation:
    """One change of colour and place for each of N images, differentiable in them (Zhao et al. 2020, arXiv 2006.10738).

    Drawn apart from its use, so that the processes of a team can each draw the changes of their own images.
    """

    brightness: Tensor  # [N, 1, 1, 1], added; -0.5 to 0.5
    saturation: Tensor  # [N, 1, 1, 1], factor of the distance from grey; 0.3 to 1.7
    contrast: Tensor  # [N, 1, 1, 1], factor of the distance from the mean; 0.5 to 1.5
    place: Tensor  # [2, N], 0..1, for `move`

    @classmethod
    def draw(cls, count: int) -> "Augmentation":
        brightness, saturation, contrast = torch.rand(3, count, 1, 1, 1)
        return cls(brightness - 0.5, 0.3 + 1.4 * saturation, 0.5 + contrast, torch.rand(2, count))

    @classmethod
    def join(cls, parts: list["Augmentation"], device: torch.device) -> "Augmentation":
        """The changes of several groups of images, one after the other."""

        def joined(tables: list[Tensor], dim: int = 0) -> Tensor:
            return torch.cat(tables, dim).to(device)

        return cls(
            joined([part.brightness for part in parts]),
            joined([part.saturation for part in parts]),
            joined([part.contrast for part in parts]),
            joined([part.place for part in parts], dim=1),
        )

    def __call__(self, images: Tensor) -> Tensor:
        """Images [N, 3, R, R] in -1..1, changed."""
        x = images + self.brightness
        grey = x.mean(dim=1, keepdim=True)
        x = grey + (x - grey) * self.saturation
        mean = x.mean(dim=(1, 2, 3), keepdim=True)
        x = mean + (x - mean) * self.contrast
        return move(x, self.place)
