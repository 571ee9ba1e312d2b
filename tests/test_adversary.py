from collections.abc import Iterator

import pytest
import torch

from resgen.train.adversary import Adversary, Mixture
from resgen.train.augment import Augmentation, move
from resgen.train.config import TrainConfig
from resgen.train.contest import Contest
from resgen.train.parallel import Team


def look(images: torch.Tensor) -> list[torch.Tensor]:
    """Images and three maps of them, fine to coarse, in the place of the eyes'."""
    pooled = [torch.nn.functional.avg_pool2d(images, 2**depth) for depth in range(3)]
    return [images, *(feature_map.repeat(1, 2, 1, 1) for feature_map in pooled)]


def coloured(labels: torch.Tensor) -> torch.Tensor:
    """Images [N, 3, 16, 16] whose class is a colour."""
    return torch.eye(3)[labels][:, :, None, None] + 0.3 * torch.randn(len(labels), 3, 16, 16)


@pytest.fixture(scope="module", autouse=True)
def narrow() -> Iterator[None]:
    """Heads of fewer channels, which learn as well what there is to learn here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("resgen.train.adversary.MIXED", (8, 12, 16, 24))
        patch.setattr("resgen.train.adversary.HEAD", 32)
        patch.setattr("resgen.train.adversary.PROJECTED", 16)
        yield


@pytest.fixture(scope="module")
def trained() -> Adversary:
    """An adversary that has seen coloured images beside grey ones."""
    torch.manual_seed(0)
    labels = torch.arange(24) % 3
    adversary = Adversary(look(coloured(labels)), 3, 0.9)
    optimiser = torch.optim.Adam(adversary.parameter_groups())
    for _ in range(120):
        heads, naming = adversary.learn(look(coloured(labels)), labels, look(0.3 * torch.randn(24, 3, 16, 16)), labels)
        optimiser.zero_grad()
        (heads.mean() + naming).backward()
        optimiser.step()
    return adversary


def test_heads_learn_to_tell_real_from_generated(trained: Adversary) -> None:
    labels = torch.arange(24) % 3
    trained.eval()
    real, fake = (torch.cat(trained.scores(look(images), labels), dim=1).mean() for images in (coloured(labels), 0.3 * torch.randn(24, 3, 16, 16)))
    assert real > fake + 0.5


def test_a_generator_pays_for_another_class_but_not_for_a_clear_one(trained: Adversary) -> None:
    """What the namer adds to the loss vanishes where it is sure of the class, and pulls there where it is not."""
    labels, others = torch.arange(24) % 3, (torch.arange(24) + 1) % 3
    right, right_share = trained.judge(look(coloured(labels)), labels)
    wrong, wrong_share = trained.judge(look(coloured(others)), labels)
    assert right_share > 0.9 > 0.3 > wrong_share and wrong > right + 1
    assert not any(p.requires_grad for p in trained.parameters())  # the generator's step costs no gradient of the heads


def test_how_clear_is_clear_enough_can_be_said(trained: Adversary) -> None:
    """Of an image between two classes the same heads say the same, and the namer asks less."""
    labels = torch.arange(24) % 3
    between = 0.5 * (coloured(labels) + coloured((labels + 1) % 3))
    paid = []
    for trained.clarity in (0.5, 0.9):
        loss, share = trained.judge(look(between), labels)
        paid.append(loss)
    assert share < 0.9 and paid[0] < paid[1]


def test_a_head_that_knows_all_waits_while_the_others_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    labels = torch.arange(12) % 3
    contest = Contest(look(coloured(labels)), 3, TrainConfig((), "colours", loss="drift+adversary"), Team())
    says, knowing = Adversary.scores, 1

    def scores(adversary: Adversary, seen: list[torch.Tensor], given: torch.Tensor) -> list[torch.Tensor]:
        found = says(adversary, seen, given)
        found[knowing] = found[knowing] * 0 + (2.0 if seen[0].mean() > 0 else -2.0)
        return found

    monkeypatch.setattr(Adversary, "scores", scores)
    before = [[p.clone() for p in head.parameters()] for head in contest.adversary.heads]
    for _ in range(2):
        fake = (coloured(labels) - 2).requires_grad_()
        contest.resist(fake, look(fake), labels, look(coloured(labels) + 1), labels, 1.0)
    moved = [
        any(not torch.equal(a, b) for a, b in zip(head.parameters(), old, strict=True))
        for head, old in zip(contest.adversary.heads, before, strict=True)
    ]
    assert moved == [place != knowing for place in range(4)]


def test_heads_keep_their_step_size_where_the_generator_goes_in_small_ones() -> None:
    labels, learned = torch.arange(12) % 3, []
    for rate in (1e-3, 1e-6):
        torch.manual_seed(0)
        contest = Contest(look(coloured(labels)), 3, TrainConfig((), "colours", loss="drift+adversary", lr=rate), Team())
        fake = (coloured(labels) - 2).requires_grad_()
        contest.resist(fake, look(fake), labels, look(coloured(labels)), labels, 1.0)
        learned.append(contest.adversary.state_dict())
    assert all(torch.equal(value, learned[1][name]) for name, value in learned[0].items())


def test_where_all_know_and_nobody_names_a_step_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    images = torch.randn(4, 3, 16, 16)
    labels = torch.zeros(4, dtype=torch.long)
    contest = Contest(look(images), 0, TrainConfig((), "plain", loss="adversary"), Team())
    says = Adversary.scores

    def scores(adversary: Adversary, seen: list[torch.Tensor], given: torch.Tensor) -> list[torch.Tensor]:
        return [part * 0 + (2.0 if seen[0].mean() > 1 else -2.0) for part in says(adversary, seen, given)]

    monkeypatch.setattr(Adversary, "scores", scores)
    before = [p.clone() for p in contest.adversary.parameters()]
    fake = images.clone().requires_grad_()
    _, told = contest.resist(fake, look(fake), labels, look(images + 3), labels, 1.0)
    assert told["heads"] == 0 and all(torch.equal(a, b) for a, b in zip(contest.adversary.parameters(), before, strict=True))


def test_a_step_against_the_gradient_looks_more_real(trained: Adversary) -> None:
    """To the heads: of these images the namer is sure."""
    labels = torch.arange(24) % 3
    contest = Contest(look(coloured(labels)), 3, TrainConfig((), "colours", loss="drift+adversary"), Team())
    contest.adversary.load_state_dict(trained.state_dict())
    fake = (coloured(labels) + 0.3 * torch.randn(24, 3, 16, 16)).requires_grad_()
    gradient, _ = contest.resist(fake, look(fake), labels, look(coloured(labels)), labels, 0.0)
    contest.adversary.eval()

    def looks(images: torch.Tensor) -> float:
        with torch.no_grad():
            return float(torch.cat(contest.adversary.scores(look(images), labels), dim=1).mean())

    step = 0.5 * gradient / gradient.abs().mean() * 0.05
    assert looks(fake - step) > looks(fake) > looks(fake + step)


def test_the_mixture_is_never_trained_and_reaches_from_coarse_to_fine() -> None:
    mixture = Mixture([4, 6, 8])
    maps = [torch.zeros(1, 4, 16, 16), torch.zeros(1, 6, 8, 8), torch.randn(1, 8, 4, 4)]
    mixed = mixture(maps)
    assert [m.shape[-1] for m in mixed] == [16, 8, 4] and all(m.abs().max() > 0 for m in mixed)
    assert not any(p.requires_grad for p in mixture.parameters())


def test_heads_see_detail_that_the_eyes_do_not() -> None:
    """A chequered print of single pixels is gone from every map, and yet told from a plain image."""
    torch.manual_seed(0)
    row = torch.arange(16)
    print_ = 0.5 * (1 - 2.0 * ((row[:, None] + row) % 2))
    labels = torch.zeros(24, dtype=torch.long)

    def seen(printed: bool) -> list[torch.Tensor]:
        images = 0.3 * torch.randn(24, 3, 16, 16)
        return [images + printed * print_, *look(images)[1:]]

    adversary = Adversary(seen(False), 0, 0.9)
    optimiser = torch.optim.Adam(adversary.parameter_groups())
    for _ in range(120):
        heads, _ = adversary.learn(seen(False), labels, seen(True), labels)
        optimiser.zero_grad()
        heads.mean().backward()
        optimiser.step()
    adversary.eval()
    plain, printed = (torch.cat(adversary.scores(seen(which), labels), dim=1).mean() for which in (False, True))
    assert plain > printed + 0.2


def test_of_many_maps_the_coarsest_are_mixed() -> None:
    images = torch.randn(4, 3, 64, 64)
    seen = [images, *(torch.nn.functional.avg_pool2d(images, 2**depth) for depth in range(6))]
    adversary = Adversary(seen, 0, 0.9)
    assert all(scores.isfinite().all() for scores in adversary.scores(seen, torch.zeros(4, dtype=torch.long))) and len(adversary.heads) == 5


def test_an_adversary_without_classes() -> None:
    images = torch.randn(4, 3, 16, 16)
    adversary = Adversary(look(images), 0, 0.9)
    labels = torch.zeros(4, dtype=torch.long)
    loss, _ = adversary.judge(look(images), labels)
    heads, _ = adversary.learn(look(images), labels, look(images), labels)
    assert loss.isfinite() and heads.isfinite().all() and len(adversary.parameter_groups()) == 1


def test_augmentation_is_of_its_own_image_and_lets_gradients_through() -> None:
    """However groups are joined, an image is changed as it would be alone; a change is a matter of the draw, not of the use."""
    torch.manual_seed(0)
    first, second, images = Augmentation.draw(2), Augmentation.draw(3), torch.rand(5, 3, 16, 16).requires_grad_(True)
    joined = Augmentation.join([first, second], torch.device("cpu"))(images)
    assert torch.equal(joined, torch.cat([first(images[:2]), second(images[2:])])) and joined.shape == images.shape
    joined.sum().backward()
    assert images.grad is not None and images.grad.abs().amax(dim=(1, 2, 3)).min() > 0
    assert (joined - images).abs().amax(dim=(1, 2, 3)).min() > 0.01


def test_an_image_moves_to_its_place_and_is_mirrored_where_it_leaves() -> None:
    images = torch.rand(3, 3, 16, 16)
    assert torch.equal(move(images, torch.full((2, 3), 0.5)), images)
    far = move(images, torch.tensor([[0.0, 0.5, 0.99], [0.5, 0.99, 0.0]]))
    assert torch.equal(far[0, :, 2:], images[0, :, :-2]) and torch.equal(far[0, :, :2], images[0, :, [2, 1]])
    assert torch.equal(far[1, :, :, :-2], images[1, :, :, 2:]) and torch.equal(far[1, :, :, -2:], images[1, :, :, [14, 13]])
    assert torch.equal(far[2, :, :-2, 2:], images[2, :, 2:, :-2])
