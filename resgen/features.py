"""ResNet feature networks: the eyes of the training, and independent judges for the metrics."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from resgen.architecture import MAX_CLASSES
from resgen.budget import MAX_WIDTH
from resgen.efficientnet import PretrainedEyes
from resgen.errors import CheckpointError, ResGenError
from resgen.tensors import are_finite, half, layout_of, open_tensors, save_tensors, to_float32, weightless

HEADER = "resgen-features"
MAX_BLOCKS = 64  # of a stage
_NO_NETWORK = (CheckpointError, OSError, ValueError, TypeError, KeyError, RecursionError)  # what reading a file that is none may raise
FAR = 1.5  # |value| from which on a pixel is led back towards what is shown, -1 to 1


@dataclass(frozen=True)
class FeatureConfig:
    """Shape of a `FeatureResNet`: ``widths[0]`` channels at full resolution, each further stage at half of the last."""

    num_classes: int = 10
    widths: tuple[int, ...] = (48, 96, 192, 384)
    blocks_per_stage: int = 1

    def __post_init__(self) -> None:
        sizes = [
            (self.num_classes, MAX_CLASSES),
            (self.blocks_per_stage, MAX_BLOCKS),
            (len(self.widths), 10),
            *((width, MAX_WIDTH) for width in self.widths),
        ]
        if any(type(value) is not int or not 1 <= value <= most for value, most in sizes) or len(self.widths) < 2:
            raise CheckpointError(
                f"A feature network needs two to ten widths of up to {MAX_WIDTH} channels and up to {MAX_BLOCKS} blocks in a stage."
            )


class FeatureBlock(nn.Module):
    """Post-activation residual block (He et al. 2015): [N, in, H, W] -> [N, out, H/stride, W/stride]."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.bn1: nn.Module = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.bn2: nn.Module = nn.BatchNorm2d(out_channels)
        self.skip = nn.Identity() if stride == 1 and in_channels == out_channels else nn.Conv2d(in_channels, out_channels, 1)
        self.pool = nn.AvgPool2d(2, ceil_mode=True) if stride == 2 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        h = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(self.skip(self.pool(x)) + h)

    def fold(self) -> None:
        """Merge the batch norms into their convolutions, once; only for evaluation."""
        if isinstance(self.bn1, nn.Identity):
            return
        self.conv1, self.bn1 = fuse_conv_bn_eval(self.conv1, self.bn1), nn.Identity()  # type: ignore[arg-type]
        self.conv2, self.bn2 = fuse_conv_bn_eval(self.conv2, self.bn2), nn.Identity()  # type: ignore[arg-type]


class FeatureResNet(nn.Module):
    """A small ResNet classifier, images [N, 3, H, W] in -1..1, whose stages can be read one by one.

    ``thumbnail`` predicts a small copy of the image from the deepest map. Trained with that as a second
    task the network keeps what tells pictures of one class apart; a plain classifier forgets it, and a
    generator that follows its features then does not ask for variety.
    """

    def __init__(self, config: FeatureConfig) -> None:
        super().__init__()
        self.config = config
        self.classes: tuple[str, ...] = ()  # their names, where its file tells them
        self.stem = nn.Conv2d(3, config.widths[0], 3, 1, 1)
        self.stages = nn.ModuleList(
            nn.Sequential(
                FeatureBlock(before, after, 2),
                *(FeatureBlock(after, after, 1) for _ in range(config.blocks_per_stage - 1)),
            )
            for before, after in zip(config.widths, config.widths[1:], strict=False)
        )
        self.classify = nn.Linear(config.widths[-1], config.num_classes)
        self.thumbnail = nn.Conv2d(config.widths[-1], 3 * 4 * 4, 1)
        # Of pooled features of real images of each class: what likeness is measured against.
        self.register_buffer("class_mean", torch.zeros(config.num_classes, config.widths[-1]))
        self.register_buffer("class_variance", torch.ones(config.num_classes, config.widths[-1]))

    class_mean: Tensor
    class_variance: Tensor

    def maps(self, images: Tensor) -> list[Tensor]:
        """The feature map of the stem and of each stage, fine to coarse."""
        maps = [F.relu(self.stem(images))]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return maps

    def pooled(self, images: Tensor) -> Tensor:
        """The deepest map averaged over space [N, widths[-1]]: what the metrics compare."""
        return self.maps(images)[-1].mean(dim=(2, 3))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Class logits [N, classes] and thumbnails [N, 3, 4h, 4w], h x w being the deepest map's size."""
        deepest = self.maps(images)[-1]
        return self.classify(deepest.mean(dim=(2, 3))), F.pixel_shuffle(self.thumbnail(deepest), 4)

    def freeze(self) -> "FeatureResNet":
        """Fold the batch norms, stop gradients to the weights; the maps stay differentiable in the images."""
        self.eval()
        for module in self.modules():
            if isinstance(module, FeatureBlock):
                module.fold()
        return self.requires_grad_(False).to(memory_format=torch.channels_last)


class PretrainedResNet50(nn.Module):
    """torchvision's ResNet-50, trained on ImageNet, as eyes for a generator. Raises ResGenError where its weights cannot be downloaded."""

    side = 128  # pixels that images are enlarged to: smaller ones would leave its deepest map a single place

    def __init__(self) -> None:
        from torchvision.models import ResNet50_Weights, resnet50

        super().__init__()
        network = resnet50()
        try:
            network.load_state_dict(ResNet50_Weights.IMAGENET1K_V1.get_state_dict(check_hash=True, weights_only=True))
        except (OSError, RuntimeError) as error:
            raise ResGenError(
                "ResNet-50's weights could not be downloaded: check the network, or train eyes with `resgen train-features`."
            ) from error
        self.stem = nn.Sequential(network.conv1, network.bn1, network.relu, network.maxpool)
        self.stages = nn.ModuleList([network.layer1, network.layer2, network.layer3, network.layer4])
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406])[:, None, None])
        self.register_buffer("deviation", torch.tensor([0.229, 0.224, 0.225])[:, None, None])

    mean: Tensor
    deviation: Tensor

    def maps(self, images: Tensor) -> list[Tensor]:
        """The feature map of each stage, fine to coarse, of images [N, 3, H, W] in -1..1."""
        larger = F.interpolate(images, (self.side, self.side), mode="bilinear", antialias=True)
        x = self.stem((larger / 2 + 0.5 - self.mean) / self.deviation)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps

    def freeze(self) -> "PretrainedResNet50":
        """Stop gradients to the weights; the maps stay differentiable in the images."""
        return self.eval().requires_grad_(False).to(memory_format=torch.channels_last)


Eyes = FeatureResNet | PretrainedResNet50 | PretrainedEyes  # what a generator can be trained in


def to_float(images: Tensor) -> Tensor:
    """uint8 0..255 -> float32 -1..1, channels last in memory: what the networks are given."""
    return (images.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def as_shown(images: Tensor) -> Tensor:
    """A generator's images as they are shown, black -1 to white 1; what reaches beyond has no gradient, until it is `FAR` and would be led back.

    Whoever compares them with real ones must not see what no visitor sees: a black of -1.2 tells a drawn image from a photograph at once.
    Were all that is beyond led back, and never further out, the noise of the gradient would take the contrast away.
    """
    return _Shown.apply(images)  # type: ignore[return-value]


class _Shown(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor) -> Tensor:
        ctx.save_for_backward(images)
        return images.clamp(-1, 1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (images,), (gradient,) = ctx.saved_tensors, gradients
        passes = (images.abs() <= 1) | ((images.abs() > FAR) & (images * gradient > 0))
        return gradient * passes


def save_features(network: FeatureResNet, path: Path, card: dict[str, Any]) -> None:
    """Write weights, config and ``card`` to one .safetensors file, atomically."""
    header = {"format": 1, "arch": asdict(network.config), **card}
    tensors = {name: half(value) for name, value in network.state_dict().items()}
    save_tensors(tensors, {HEADER: json.dumps(header)}, path)


def load_features(path: Path) -> FeatureResNet:
    """Read a network written by `save_features`; raises CheckpointError where the file is not one. Nothing is allocated before all shapes fit."""
    try:
        with open_tensors(path) as file:
            config, classes = _read_card(file.metadata)
            with weightless():
                network = FeatureResNet(config)
            if file.layout != layout_of(network.state_dict()):
                raise ValueError("its tensors are not those of its card")
            tensors = to_float32(file.read())
        if not are_finite(tensors):
            raise ValueError("it holds numbers that are not finite")
    except _NO_NETWORK as error:
        raise CheckpointError(f"{path} is not a feature network: make one with `resgen train-features`.") from error
    network.load_state_dict(tensors, assign=True)
    network.classes = classes
    return network


def read_classes(path: Path) -> tuple[str, ...]:
    """The names of the classes that a network's file tells; none where it cannot be read."""
    try:
        with open_tensors(path) as file:
            return _read_card(file.metadata)[1]
    except _NO_NETWORK:
        return ()


def _read_card(words: dict[str, str]) -> tuple[FeatureConfig, tuple[str, ...]]:
    """The shape of a network and the names of its classes, where its file tells them. Raises many kinds of errors for what is no card."""
    header = json.loads(words[HEADER])
    arch, classes = header["arch"], header.get("classes", [])
    config = FeatureConfig(**{**arch, "widths": tuple(arch["widths"])})
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes) or len(classes) not in (0, config.num_classes):
        raise ValueError("its classes are not names")
    return config, tuple(classes)
