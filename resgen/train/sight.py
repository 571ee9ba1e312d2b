"""What frozen eyes see of a data set, in like units."""

import torch
from torch import Tensor

from resgen.features import Eyes, to_float

PROBED = 256  # images that the size of maps is measured on


class Sight:
    """Frozen eyes whose feature maps of a data set's images have unit size each."""

    def __init__(self, eyes: Eyes, images: Tensor, device: torch.device) -> None:
        self.eyes = eyes.freeze().to(device)
        probed = to_float(images[:: len(images) // PROBED + 1].to(device))
        maps = self.eyes.maps(probed)
        self.probe = [part[:1].clone() for part in (probed, *maps)]  # one image's `look`, for its shapes
        self._sizes = [float(feature_map.float().square().mean().sqrt()) for feature_map in maps]

    def maps(self, images: Tensor) -> list[Tensor]:
        """The eyes' maps of images [N, 3, R, R] in -1..1, fine to coarse; differentiable in these."""
        return [feature_map / size for feature_map, size in zip(self.eyes.maps(images), self._sizes, strict=True)]

    def look(self, images: Tensor) -> list[Tensor]:
        """The images themselves, and their maps: what an adversary sees."""
        return [images, *self.maps(images)]
