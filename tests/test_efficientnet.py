import pytest
import torch
from torch.nn import functional as F

from resgen import efficientnet
from resgen.efficientnet import HalvingDepthwise, PretrainedEyes
from resgen.errors import ResGenError


@pytest.mark.parametrize("side", [8, 9])
@pytest.mark.parametrize("kernel", [3, 5])
def test_the_gradient_of_a_halving_layer_is_its_true_one(side: int, kernel: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 4, side, side, dtype=torch.double, requires_grad=True)
    weight, bias = torch.randn(4, 1, kernel, kernel, dtype=torch.double), torch.randn(4, dtype=torch.double)
    assert torch.autograd.gradcheck(lambda images: HalvingDepthwise.apply(images, weight, bias), x)


def test_an_odd_side_is_padded_alike_on_both_sides() -> None:
    x, weight = torch.randn(1, 2, 7, 7), torch.randn(2, 1, 3, 3)
    assert torch.allclose(HalvingDepthwise.apply(x, weight, None), F.conv2d(x, weight, None, 2, 1, groups=2), atol=1e-6)


@pytest.mark.parametrize("kind", ["lite0", "lite2"])
def test_eyes_from_imagenet(kind: str) -> None:
    eyes = PretrainedEyes(kind, 64).freeze()
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    maps = eyes.maps(images.requires_grad_(True))
    assert [tuple(m.shape[2:]) for m in maps] == [(16, 16), (8, 8), (4, 4), (2, 2)] and eyes.pooled(images).shape == (2, 1280)
    assert not any(p.requires_grad for p in eyes.parameters())
    maps[-1].float().sum().backward()
    assert images.grad is not None and images.grad.abs().max() > 0
    again = PretrainedEyes(kind, 64).freeze().freeze().maps(images)
    assert all(torch.equal(a, b) for a, b in zip(maps, again, strict=True))


def test_missing_weights_are_told_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(efficientnet, "find_spec", lambda _: None)
    with pytest.raises(ResGenError, match=r"\[train\]"):
        PretrainedEyes("lite0")
