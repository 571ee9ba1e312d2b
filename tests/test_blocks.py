import pytest
import torch

from resgen.blocks import MappingNetwork, ResBlock, SelfAttention, mean_shift, pixel_norm


def test_noise_of_any_strength_has_unit_variance() -> None:
    x = torch.randn(4, 64) * torch.tensor([0.1, 1, 10, 100])[:, None]
    assert torch.allclose(pixel_norm(x).square().mean(dim=1), torch.ones(4), atol=1e-4)
    assert torch.allclose(pixel_norm(x), pixel_norm(3 * x), atol=1e-5)


def test_fresh_attention_leaves_its_input() -> None:
    x = torch.randn(2, 8, 4, 4)
    assert torch.equal(SelfAttention(8)(x), x)


def test_a_fresh_mapping_keeps_the_latent_alive() -> None:
    torch.manual_seed(0)
    w = MappingNetwork(128, 128, 10)(torch.randn(512, 128), torch.eye(10)[:1].expand(512, -1))
    assert 0.5 < w.std(dim=0).mean() < 2, "images of one class would all start out alike"


def test_a_gain_of_zero_leaves_the_skip() -> None:
    block = ResBlock(4, 4, 8, upsample=True).eval()
    x, w = torch.randn(2, 4, 4, 4), torch.randn(2, 8)
    assert torch.equal(block(x, w, 0.0), torch.nn.functional.interpolate(x, scale_factor=2.0))
    assert not torch.equal(block(x, w, 1.0), block(x, w, 0.0))


def drawing(*colours: tuple[float, ...], side: int = 16) -> torch.Tensor:
    """A picture of upright stripes of these colours, as wide as each other: [1, channels, side, side]."""
    stripes = torch.tensor(colours).T[:, None].repeat_interleave(side // len(colours), dim=2)
    return stripes.expand(-1, side, -1)[None]


@pytest.mark.parametrize("side", [12, 16, 28])
def test_a_mean_shift_makes_fields_even_and_leaves_what_is_far_apart(side: int) -> None:
    torch.manual_seed(0)
    clean = drawing((0.9, -0.5, 0.1), (0.5, -0.5, 0.1), (-1.0, 1.0, 1.0), (0.0, 0.0, 0.0), side=side)
    assert torch.allclose(mean_shift(clean, 0.3), clean, atol=1e-5)
    noisy = clean + 0.02 * torch.randn_like(clean)
    assert (mean_shift(noisy, 0.3) - clean).square().mean() < (noisy - clean).square().mean() / 8
    assert (mean_shift(clean, 0.5) - clean).abs().amax() > 0.02, "the first two are 0.4 apart"


def test_a_colour_that_no_other_is_like_stays() -> None:
    picture = drawing((1.0, 1.0, 1.0), (-1.0, -1.0, -1.0)).clone()
    picture[0, :, 3, 5] = torch.tensor([1.0, -1.0, -1.0])
    assert torch.allclose(mean_shift(picture, 0.3), picture, atol=1e-5)


def test_pictures_are_shifted_each_for_itself() -> None:
    pictures = torch.rand(3, 1, 16, 16) * 2 - 1
    assert torch.equal(mean_shift(pictures, 0.2)[1:2], mean_shift(pictures[1:2], 0.2))
