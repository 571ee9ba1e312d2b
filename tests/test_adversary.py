import pytest
import torch

from resgen.train.adversary import Adversary, Mixture
from resgen.train.augment import Augmentation


def maps_of(images: torch.Tensor) -> list[torch.Tensor]:
    """Three maps, fine to coarse, in the place of the eyes'."""
    pooled = [torch.nn.functional.avg_pool2d(images, 2**depth) for depth in range(3)]
    return [feature_map.repeat(1, 2, 1, 1) for feature_map in pooled]


def coloured(labels: torch.Tensor) -> torch.Tensor:
    """Images [N, 3, 16, 16] whose class is a colour."""
    return torch.eye(3)[labels][:, :, None, None] + 0.3 * torch.randn(len(labels), 3, 16, 16)


@pytest.fixture(scope="module")
def trained() -> Adversary:
    """An adversary that has seen coloured images beside grey ones."""
    torch.manual_seed(0)
    labels = torch.arange(24) % 3
    adversary = Adversary(maps_of(coloured(labels)), 3)
    optimiser = torch.optim.Adam(adversary.parameter_groups(1e-3))
    for _ in range(60):
        heads, naming = adversary.learn(maps_of(coloured(labels)), labels, maps_of(0.3 * torch.randn(24, 3, 16, 16)), labels)
        optimiser.zero_grad()
        (heads + naming).backward()
        optimiser.step()
    return adversary


def test_heads_learn_to_tell_real_from_generated(trained: Adversary) -> None:
    labels = torch.arange(24) % 3
    trained.eval()
    real, fake = (trained.scores(maps_of(images), labels).mean() for images in (coloured(labels), 0.3 * torch.randn(24, 3, 16, 16)))
    assert real > fake + 0.5


def test_a_generator_pays_for_another_class_but_not_for_a_clear_one(trained: Adversary) -> None:
    """What the namer adds to the loss vanishes where it is sure of the class, and pulls there where it is not."""
    labels, others = torch.arange(24) % 3, (torch.arange(24) + 1) % 3
    right, right_share = trained.judge(maps_of(coloured(labels)), labels)
    wrong, wrong_share = trained.judge(maps_of(coloured(others)), labels)
    assert right_share > 0.9 > 0.3 > wrong_share and wrong > right + 1
    assert not any(p.requires_grad for p in trained.parameters())  # the generator's step costs no gradient of the heads


def test_the_mixture_is_never_trained_and_reaches_from_coarse_to_fine() -> None:
    mixture = Mixture([4, 6, 8])
    maps = [torch.zeros(1, 4, 16, 16), torch.zeros(1, 6, 8, 8), torch.randn(1, 8, 4, 4)]
    mixed = mixture(maps)
    assert [m.shape[-1] for m in mixed] == [16, 8, 4] and all(m.abs().max() > 0 for m in mixed)
    assert not any(p.requires_grad for p in mixture.parameters())


def test_an_adversary_without_classes() -> None:
    images = torch.randn(4, 3, 16, 16)
    adversary = Adversary(maps_of(images), 0)
    labels = torch.zeros(4, dtype=torch.long)
    loss, _ = adversary.judge(maps_of(images), labels)
    heads, _ = adversary.learn(maps_of(images), labels, maps_of(images), labels)
    assert loss.isfinite() and heads.isfinite() and len(adversary.parameter_groups(1e-3)) == 1


def test_augmentation_is_of_its_own_image_and_lets_gradients_through() -> None:
    """However groups are joined, an image is changed as it would be alone; a change is a matter of the draw, not of the use."""
    torch.manual_seed(0)
    first, second, images = Augmentation.draw(2), Augmentation.draw(3), torch.rand(5, 3, 16, 16).requires_grad_(True)
    joined = Augmentation.join([first, second], torch.device("cpu"))(images)
    assert torch.equal(joined, torch.cat([first(images[:2]), second(images[2:])])) and joined.shape == images.shape
    joined.sum().backward()
    assert images.grad is not None and images.grad.abs().amax(dim=(1, 2, 3)).min() > 0
    assert (joined - images).abs().amax(dim=(1, 2, 3)).min() > 0.01
