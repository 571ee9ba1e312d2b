import torch

from resgen.blocks import MappingNetwork, ResBlock, SelfAttention, pixel_norm


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
