"""An adversary that looks through frozen eyes (Projected GAN, Sauer et al. 2021, arXiv 2111.01007), and at the pixels.

Small heads learn to tell real from generated images by fixed random mixtures of the eyes' feature maps. They say what makes an
image look real, which the drifting loss hardly does; that keeps the variety, which an adversary alone loses. One more looks at the
image itself, since eyes hardly see its finest detail. Beside them a namer learns the classes of real images: the generator pays
where its image could not be named, and only there, so that realism does not cost the class, and variety within a class costs nothing.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

MIXED = (64, 96, 128, 192)  # channels of the four coarsest maps after mixing, fine to coarse
HEAD, PROJECTED = 128, 64  # channels of a head, and of its projection on the class
FIRST = 32  # channels, at least, of a head's first layer: of one that looks at pixels
FEWEST_PLACES = 5  # a side: heads do not look more coarsely
CLASS_WEIGHT = 1.5  # of the namer's loss, as the adversary's
HEAD_RATE, NAMER_RATE = 2.5e-4, 1e-3  # step sizes: a generator may learn on in small steps, and these do not fall with its own
NAMER_HIDDEN, NAMER_MAPS = 256, 2  # layer, and how many of the deepest maps it looks at


def frozen(conv: nn.Conv2d) -> nn.Conv2d:
    """A random convolution that keeps its input's size and is never trained."""
    nn.init.kaiming_normal_(conv.weight)
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    return conv.requires_grad_(False)


class Mixture(nn.Module):
    """Fixed random mixing of maps [N, C, r, r], of channels and then of scales, coarse into fine: the heads cannot pick the easy ones."""

    def __init__(self, channels: list[int]) -> None:
        super().__init__()
        widths = MIXED[-len(channels) :]
        self.channels = nn.ModuleList(frozen(nn.Conv2d(before, after, 1)) for before, after in zip(channels, widths, strict=True))
        self.scales = nn.ModuleList(frozen(nn.Conv2d(coarse, fine, 3, padding=1)) for fine, coarse in pairwise(widths))

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        mixed = [mix(feature_map) for mix, feature_map in zip(self.channels, maps, strict=True)]
        found = [mixed[-1]]
        for scale, fine in zip(reversed(self.scales), reversed(mixed[:-1]), strict=True):
            coarse = F.interpolate(scale(found[0]), size=fine.shape[-2:], mode="bilinear")
            found.insert(0, (coarse + fine) * 0.5**0.5)
        return found


class Head(nn.Module):
    """A mixed map, or an image, [N, C, r, r] and labels [N] -> scores [N, places], higher for real: of the image, plus of its class (Miyato & Koyama 2018)."""

    def __init__(self, channels: int, places: int, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        while places > FEWEST_PLACES:
            wider = min(HEAD, max(FIRST, 2 * channels))
            layers += [spectral_norm(nn.Conv2d(channels, wider, 4, 2, 1)), nn.BatchNorm2d(wider), nn.LeakyReLU(0.2)]
            channels, places = wider, places // 2
        layers += [spectral_norm(nn.Conv2d(channels, HEAD, 3, 1, 1)), nn.BatchNorm2d(HEAD), nn.LeakyReLU(0.2)]
        self.body = nn.Sequential(*layers, spectral_norm(nn.Conv2d(HEAD, HEAD, 1)), nn.LeakyReLU(0.2))
        self.score = spectral_norm(nn.Conv2d(HEAD, 1, 1))
        self.classes = classes
        if classes:
            self.of_class = spectral_norm(nn.Conv2d(HEAD, PROJECTED, 1))
            self.embed = spectral_norm(nn.Linear(classes, PROJECTED))

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        h = self.body(x)
        score = self.score(h)[:, 0]
        if self.classes:
            embedded = self.embed(F.one_hot(labels, self.classes).to(h.dtype)) * self.classes**0.5  # spectrally normed: brought to unit size
            score = score + (self.of_class(h) * embedded[:, :, None, None]).sum(dim=1) / PROJECTED**0.5
        return score.flatten(1)


class Adversary(nn.Module):
    """Mixture, heads and namer for images and their maps, shaped as ``probe``'s: a `Sight` of images is what all methods are given.

    ``clarity``, 0..1: an image that the namer gives this share is clear enough.
    """

    def __init__(self, probe: list[Tensor], classes: int, clarity: float) -> None:
        super().__init__()
        self.clarity = clarity
        self.mixture = Mixture([feature_map.shape[1] for feature_map in probe[1:][-len(MIXED) :]])
        with torch.no_grad():
            shapes = [looked_at.shape for looked_at in self._look([part[:1].float().cpu() for part in probe])]
        self.heads = nn.ModuleList(Head(shape[1], shape[2], classes) for shape in shapes)
        self.namer = None
        if classes:
            seen = sum(feature_map.shape[1] for feature_map in probe[-NAMER_MAPS:])
            self.namer = nn.Sequential(nn.Linear(seen, NAMER_HIDDEN), nn.ReLU(), nn.Dropout(0.2), nn.Linear(NAMER_HIDDEN, classes))

    def parameter_groups(self) -> list[dict[str, object]]:
        """Heads and namer for Adam, each with a step size of its own."""
        groups: list[dict[str, object]] = [{"params": list(self.heads.parameters()), "lr": HEAD_RATE, "betas": (0.0, 0.99)}]
        if self.namer is not None:
            groups.append({"params": list(self.namer.parameters()), "lr": NAMER_RATE, "betas": (0.9, 0.99)})
        return groups

    def _look(self, seen: list[Tensor]) -> list[Tensor]:
        """What each head looks at: the image, and mixed maps."""
        images, *maps = seen
        return [images, *self.mixture(maps[-len(MIXED) :])]

    def scores(self, seen: list[Tensor], labels: Tensor) -> list[Tensor]:
        """What each head says [N, its places]."""
        return [head(looked_at, labels).float() for head, looked_at in zip(self.heads, self._look(seen), strict=True)]

    def log_shares(self, seen: list[Tensor]) -> Tensor:
        """Logarithm of the share that the namer gives each class [N, classes]."""
        assert self.namer is not None
        pooled = [feature_map.float().mean(dim=(2, 3)) for feature_map in seen[-NAMER_MAPS:]]
        with torch.autocast(seen[0].device.type, enabled=False):
            return F.log_softmax(self.namer(torch.cat(pooled, dim=1)), dim=1)

    def judge(self, seen: list[Tensor], labels: Tensor) -> tuple[Tensor, Tensor]:
        """What the generator pays for the images that are seen, and the share of their own class that the namer sees, both as means."""
        self.requires_grad_(False)
        loss, named = -torch.cat(self.scores(seen, labels), dim=1).mean(), torch.ones((), device=labels.device)
        if self.namer is not None:
            self.namer.eval()
            own = self.log_shares(seen)[torch.arange(len(labels)), labels]
            loss, named = loss + CLASS_WEIGHT * F.relu(math.log(self.clarity) - own).mean(), own.exp().mean()
        return loss, named.detach()

    def learn(self, real: list[Tensor], real_labels: Tensor, fake: list[Tensor], fake_labels: Tensor) -> tuple[Tensor, Tensor]:
        """Loss of each head [heads] (hinge, 0 where it knows all and 2 where nothing), and of the namer, which looks at real images alone."""
        self.heads.requires_grad_(True)
        pairs = zip(self.scores(real, real_labels), self.scores(fake, fake_labels), strict=True)
        heads = torch.stack([F.relu(1 - of_real).mean() + F.relu(1 + of_fake).mean() for of_real, of_fake in pairs])
        if self.namer is None:
            return heads, heads.new_zeros(())
        self.namer.requires_grad_(True).train()
        return heads, F.nll_loss(self.log_shares(real), real_labels)
