import pytest
import torch

from resgen.blocks import MappingNetwork, ResBlock
from resgen.errors import CheckpointError
from resgen.generator import GeneratorConfig, ResNetGenerator


def test_shapes() -> None:
    config = GeneratorConfig(num_classes=3, image_channels=1, base_resolution=7, widths=(16, 8, 8), attention=(14,))
    image = ResNetGenerator(config)(torch.randn(5, 128), torch.eye(3)[[0, 1, 2, 0, 1]])
    assert image.shape == (5, 1, 28, 28) and config.resolution == 28


def test_a_fresh_mapping_keeps_the_latent_alive() -> None:
    torch.manual_seed(0)
    w = MappingNetwork(128, 128, 10)(torch.randn(512, 128), torch.eye(10)[:1].expand(512, -1))
    assert 0.5 < w.std(dim=0).mean() < 2, "images of one class would all start out alike"


def test_a_gain_of_zero_leaves_the_skip() -> None:
    block = ResBlock(4, 4, 8, upsample=True).eval()
    x, w = torch.randn(2, 4, 4, 4), torch.randn(2, 8)
    assert torch.equal(block(x, w, 0.0), torch.nn.functional.interpolate(x, scale_factor=2.0))
    assert not torch.equal(block(x, w, 1.0), block(x, w, 0.0))


def test_a_w_for_each_block_equals_one_w_for_all() -> None:
    generator = ResNetGenerator(GeneratorConfig(widths=(8, 8, 8))).eval()
    w = torch.randn(2, 128)
    assert torch.equal(generator.synthesise(w), generator.synthesise(w[:, None].repeat(1, 3, 1)))


@pytest.mark.parametrize("bad", [{"widths": (10**9,)}, {"base_resolution": 0}, {"widths": ()}, {"image_channels": 2}, {"num_classes": -1}])
def test_sizes_out_of_range_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(CheckpointError):
        GeneratorConfig.from_dict(bad)


@pytest.mark.parametrize("bad", [None, [], {"z_dim": "8"}, {"widths": 3}, {"widths": [1.5]}, {"extra": 1}, {"z_dim": True}])
def test_other_json_is_refused(bad: object) -> None:
    with pytest.raises(CheckpointError):
        GeneratorConfig.from_dict(bad)
