from typing import Any

import pytest
import torch

from resgen.errors import CheckpointError
from resgen.generator import GeneratorConfig, ResNetGenerator


def test_shapes() -> None:
    config = GeneratorConfig(num_classes=3, image_channels=1, base_resolution=7, widths=(16, 8, 8), attention=(14,))
    image = ResNetGenerator(config)(torch.randn(5, 128), torch.eye(3)[[0, 1, 2, 0, 1]])
    assert image.shape == (5, 1, 28, 28) and config.resolution == 28


def test_a_w_for_each_block_equals_one_w_for_all() -> None:
    generator = ResNetGenerator(GeneratorConfig(widths=(8, 8, 8))).eval()
    w = torch.randn(2, 128)
    assert torch.equal(generator.synthesise(w), generator.synthesise(w[:, None].repeat(1, 3, 1)))


def test_each_blocks_gain_scales_its_own_branch() -> None:
    generator = ResNetGenerator(GeneratorConfig(widths=(8, 8, 8))).eval()
    w, gains = torch.randn(2, 128), torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, 1.0]])
    plain = list(generator.depths(w))
    dialled = list(generator.depths(w, gains))
    for depth, ((x, _), (other, _)) in enumerate(zip(plain, dialled, strict=True)):
        assert torch.allclose(x[0], other[0]) and torch.allclose(x[1], other[1]) == (depth < 1), depth


@pytest.mark.parametrize(
    "bad",
    [
        {"widths": (10**9,)},
        {"base_resolution": 0},
        {"widths": ()},
        {"image_channels": 2},
        {"num_classes": -1},
        {"mean_shift": 256},
        {"steady": 4},
        {"steady": -1},
        {"base_resolution": 10**400, "widths": (8,), "steady": 1},
    ],
)
def test_sizes_out_of_range_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(CheckpointError):
        GeneratorConfig.from_dict(bad)


@pytest.mark.parametrize("bad", [None, [], {"z_dim": "8"}, {"widths": 3}, {"widths": [1.5]}, {"extra": 1}, {"z_dim": True}])
def test_other_json_is_refused(bad: object) -> None:
    with pytest.raises(CheckpointError):
        GeneratorConfig.from_dict(bad)


@pytest.mark.parametrize("sizes", [{"attention": (256,)}, {"attention": (0,)}, {"base_resolution": 64, "widths": (256,) * 5}, {"widths": (2**40,)}])
def test_small_files_cannot_ask_for_long_or_large_work(sizes: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match="out of range"):
        GeneratorConfig(**sizes)
