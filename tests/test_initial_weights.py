"""What a run takes of the checkpoint it begins with."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resgen.card import Card
from resgen.checkpoint import Checkpoint
from resgen.generator import GeneratorConfig, ResNetGenerator
from resgen.train.config import TrainConfig
from resgen.train.initial_weights import inherited, take_weights


def checkpoint(generator: ResNetGenerator) -> Checkpoint:
    return Checkpoint(Card("wide", generator.config), generator.state_dict(), torch.zeros(3, 128), torch.zeros(0, 128))


def picture(generator: ResNetGenerator) -> Tensor:
    z = torch.randn(3, 128, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return [image for _, image in generator.depths(generator.map(z, torch.eye(3)))][-1]


def generator(*widths: int) -> ResNetGenerator:
    torch.manual_seed(0)
    made = ResNetGenerator(GeneratorConfig(num_classes=3, widths=widths))
    made.train()
    picture(made)  # the norms' statistics are no longer those they are made with
    return made.eval()


def test_of_a_smaller_one_the_picture_which_finer_blocks_are_about_to_refine() -> None:
    smaller, larger = generator(16, 12), generator(16, 12, 8)
    take_weights(larger, checkpoint(smaller))
    torch.testing.assert_close(picture(larger), F.interpolate(picture(smaller), scale_factor=2.0, mode="bilinear"))


def steady(*widths: int) -> ResNetGenerator:
    """A generator whose last block does not double the resolution."""
    torch.manual_seed(0)
    return ResNetGenerator(GeneratorConfig(num_classes=3, widths=widths, steady=1)).eval()


def test_a_steady_block_begins_with_the_picture_that_it_is_about_to_refine() -> None:
    before, refined, grown = generator(16, 12), steady(16, 12, 12), generator(16, 12, 8)
    assert refined.config.block_resolutions == (4, 8, 8) and refined.config.resolution == 8
    take_weights(refined, checkpoint(before))
    torch.testing.assert_close(picture(refined), picture(before))
    assert inherited(TrainConfig((), ""), refined.config, 8).widths == (16, 12, 12)
    again = steady(16, 12, 12)
    nn.init.normal_(refined.to_image[-1][-1].weight)  # type: ignore[index]
    take_weights(again, checkpoint(refined))
    torch.testing.assert_close(picture(again), picture(refined))
    assert inherited(TrainConfig((), ""), refined.config, 16).widths == (16, 12, 12)
    take_weights(grown, checkpoint(refined))
    torch.testing.assert_close(picture(grown), F.interpolate(picture(before), scale_factor=2.0, mode="bilinear"))
    same = generator(16, 12, 12)
    nn.init.zeros_(refined.blocks[2].conv1.weight)  # type: ignore[union-attr]
    take_weights(same, checkpoint(refined))
    assert same.blocks[2].conv1.weight.std() > 0, "it begins the block of twice the size"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("resolution", "widths"),
    [(16, (64, 48, 40)), (32, (64, 48, 40, 20)), (128, (64, 48, 40, 20, 16, 16)), (8, None), (24, None)],
)
def test_settings_that_are_left_open_are_those_before_and_half_as_many_channels_at_twice_the_size(
    resolution: int, widths: tuple[int, ...] | None
) -> None:
    before = GeneratorConfig(widths=(64, 48, 40), mean_shift=24)
    own = inherited(TrainConfig((), ""), before, resolution)
    assert own.widths == widths and own.mean_shift == 24
    said = inherited(TrainConfig((), "", widths=(8, 8, 8), mean_shift=0), before, resolution)
    assert said.widths == (8, 8, 8) and said.mean_shift == 0


def test_of_a_smaller_one_of_other_classes_the_coarse_blocks() -> None:
    smaller, larger = generator(16, 12), ResNetGenerator(GeneratorConfig(num_classes=5, widths=(16, 12, 8)))
    take_weights(larger, checkpoint(smaller))
    assert torch.equal(larger.blocks[1].conv1.weight, smaller.blocks[1].conv1.weight)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("before", "after"),
    [((12, 12, 8), (12, 9, 8)), ((12, 16, 8), (12, 13, 8)), ((12, 8, 6), (9, 8, 6)), ((14, 12, 12, 8), (14, 9, 9, 8))],
    ids=["identity", "convolution", "stem", "two in a row"],
)
def test_of_a_wider_one_the_channels_that_carry_most(before: tuple[int, ...], after: tuple[int, ...]) -> None:
    """Channels that nothing looks at go, wherever they are: the picture stays."""
    wide, narrow = generator(*before), generator(*after)
    with torch.no_grad():
        for depth in (depth for depth in range(len(before)) if before[depth] > after[depth]):
            for name in (f"to_image.{depth}.2", f"blocks.{depth}.conv2", f"blocks.{depth + 1}.conv1", f"blocks.{depth + 1}.skip", "blocks.0.conv1"):
                part = wide.get_submodule(name)
                if isinstance(part, nn.Conv2d):
                    part.weight[:, [1, 3, 7]] = 0
    assert (picture(wide) - picture(narrow)).abs().max() > 0.1
    take_weights(narrow, checkpoint(wide))
    torch.testing.assert_close(picture(narrow), picture(wide))


@pytest.mark.parametrize(
    ("before", "after"),
    [((8, 6, 4), (8, 9, 4)), ((8, 6, 4), (10, 8, 7)), ((8, 8, 4), (8, 12, 4)), ((8, 6, 6), (8, 9, 9)), ((8, 8, 8), (12, 10, 9))],
    ids=["one", "all", "no longer the identity", "the identity still", "all from identities"],
)
def test_of_a_narrower_one_the_picture_to_which_more_channels_are_about_to_add(before: tuple[int, ...], after: tuple[int, ...]) -> None:
    narrow, wide = generator(*before), generator(*after)
    assert (picture(wide) - picture(narrow)).abs().max() > 0.1
    take_weights(wide, checkpoint(narrow))
    torch.testing.assert_close(picture(wide), picture(narrow))
    image = list(wide.depths(wide.map(torch.randn(3, 128), torch.eye(3))))[-1][1]
    image.square().sum().backward()
    new = wide.to_image[1][-1].weight.grad[:, before[1] :]  # type: ignore[index]
    assert (new.abs().sum(dim=(0, 2, 3)) > 0).all(), "all that is new is about to be read"
