import numpy as np
import pytest

from resgen.composite import AnatomyOf, AnyRecipe, Comparison, StyleMix, Walk
from resgen.errors import CheckpointError, RecipeError
from resgen.library import Library
from resgen.plates import Plate, draw, stream_frames
from resgen.recipe import Recipe, pack_vector
from resgen.sampler import Sampler
from resgen.work import finish

FIRST = Recipe(checkpoint="tiny", seeds=(1,), classes=("disc",), residual_gains=(1.0, 0.5, 1.0), columns=1)
SECOND = Recipe(checkpoint="tiny", seeds=(2,), truncation=0.8, columns=1)
THIRD = Recipe(checkpoint="tiny", seeds=(3,), directions=(("pc1", 2.0),), columns=1)


def plate(recipe: AnyRecipe, library: Library) -> Plate:
    return finish(draw(recipe, library.sampler))


def image(recipe: Recipe, library: Library) -> np.ndarray:
    return library.sampler(recipe.checkpoint).render(recipe)[0]


def differ(a: np.ndarray, b: np.ndarray) -> float:
    return float(abs(a.astype(int) - b).mean())


def test_a_grid_is_its_images_with_their_names_and_recipes(library: Library) -> None:
    recipe = Recipe(checkpoint="tiny", seeds=(4, 9, 2), columns=2)
    made = plate(recipe, library)
    assert np.array_equal(made.images, library.sampler("tiny").render(recipe)) and made.columns == 2
    assert [caption.split(", ")[1] for caption in made.captions] == ["seed 4", "seed 9", "seed 2"]
    assert made.tiles == tuple(recipe.single(index) for index in range(3))


def test_classes_are_labelled_rows(library: Library) -> None:
    made = plate(Recipe(checkpoint="tiny", seeds=(4, 9, 2), classes=("stripes", "disc")), library)
    assert made.columns == 3 and made.row_labels == ("stripes", "disc") and made.captions[3] == "disc, seed 4"


def test_a_sweep_is_labelled_columns(library: Library) -> None:
    made = plate(Recipe(checkpoint="tiny", seeds=(4, 9), sweep="pc2", columns=3), library)
    assert made.columns == 3 and made.column_labels == ("-3", "0", "+3") and made.captions[5].endswith("seed 9, pc2 +3")


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({"plane": (3.0, 2.0, 1.0), "columns": 1}, ["near seed 2003"]),
        ({"latents": (pack_vector([0.5] * 12),) * 2, "sweep": "pc1", "columns": 2}, ["latent 1, pc1 -3", "latent 1, pc1 +3", "latent 2, pc1 -3"]),
        ({"variation_of": 5, "classes": ("disc",), "seeds": (7,)}, ["disc, variation 7"]),
    ],
)
def test_images_are_called_what_they_are(library: Library, values: dict, names: list[str]) -> None:
    assert list(plate(Recipe(checkpoint="tiny", **values), library).captions)[: len(names)] == names


@pytest.mark.parametrize("path", ["z", "w"])
def test_a_walk_at_whole_positions_shows_its_stops(library: Library, path: str) -> None:
    stops = (FIRST, SECOND, THIRD)
    straight = plate(Walk(stops=stops, seconds=0.7, fps=10, loop=False, path=path), library).images  # type: ignore[arg-type]
    looped = plate(Walk(stops=stops, seconds=0.6, fps=10, path=path), library).images  # type: ignore[arg-type]
    assert len(straight) == 7 and len(looped) == 6
    for number, stop in enumerate(stops):
        assert abs(straight[3 * number].astype(int) - image(stop, library)).max() <= 1
        assert abs(looped[2 * number].astype(int) - image(stop, library)).max() <= 1


def test_a_loop_comes_back_without_a_jump_or_a_stand(library: Library) -> None:
    frames = plate(Walk(stops=(FIRST, THIRD), seconds=1, fps=16, path="w"), library).images
    steps = [differ(a, b) for a, b in zip(frames, [*frames[1:], frames[0]], strict=True)]
    assert min(steps) > 0 and max(steps) < 4 * sorted(steps)[len(steps) // 2]


def test_a_walks_frames_come_one_by_one(library: Library) -> None:
    walk = Walk(stops=(FIRST, THIRD), seconds=1, fps=20)
    streamed = list(stream_frames(walk, library.sampler("tiny")))
    assert len(streamed) == 20 and streamed[0].shape == (16, 16, 3)
    assert np.array_equal(np.stack(streamed), plate(walk, library).images)


def table(mix: StyleMix, library: Library) -> np.ndarray:
    """The plate of a mix as [rows + 1, columns + 1, H, W, 3]."""
    made = plate(mix, library)
    assert made.columns == len(mix.columns) + 1
    return made.images.reshape(len(mix.rows) + 1, made.columns, *made.images.shape[1:])


def test_a_mix_shows_its_images_on_its_edges(library: Library) -> None:
    shown = table(StyleMix(rows=(FIRST, SECOND), columns=(THIRD, FIRST, SECOND), blocks=(1,)), library)
    assert not shown[0, 0].any()
    assert all(np.array_equal(shown[0, 1 + i], image(part, library)) for i, part in enumerate((THIRD, FIRST, SECOND)))
    assert all(np.array_equal(shown[1 + i, 0], image(part, library)) for i, part in enumerate((FIRST, SECOND)))


def test_a_mix_of_no_blocks_is_its_rows_and_of_all_its_columns_but_for_gains(library: Library) -> None:
    rows, columns = (FIRST, SECOND), (THIRD, SECOND)
    none, all_blocks = (table(StyleMix(rows=rows, columns=columns, blocks=blocks), library) for blocks in ((), (0, 1, 2)))
    for r, row in enumerate(rows, 1):
        for c, column in enumerate(columns, 1):
            assert np.array_equal(none[r, c], image(row, library))
            assert np.array_equal(all_blocks[r, c], image(column.changed(residual_gains=row.residual_gains), library))
    assert differ(image(THIRD, library), image(THIRD.changed(residual_gains=FIRST.residual_gains), library)) > 1, "gains must be seen here"


def test_each_image_of_a_mix_alone_is_that_image(library: Library) -> None:
    made = plate(StyleMix(rows=(FIRST, SECOND), columns=(THIRD,), blocks=(0, 2)), library)
    assert made.tiles[0] is None and None not in made.tiles[1:]
    for shown, alone in zip(made.images[1:], made.tiles[1:], strict=True):
        assert alone is not None and abs(image(alone, library).astype(int) - shown).max() <= 2  # half precision
    assert made.captions[3] == "disc, seed 1 with the style of " + made.captions[1]


def test_a_mix_of_blocks_that_are_not_there_is_refused(library: Library) -> None:
    with pytest.raises(RecipeError, match="no block 4"):
        plate(StyleMix(rows=(FIRST,), columns=(SECOND,), blocks=(3,)), library)


def test_each_column_of_a_comparison_is_its_checkpoints_own(library: Library) -> None:
    """With all that the recipe holds: classes, directions and gains."""
    recipe = Recipe(checkpoint="tiny", seeds=(1, 2), classes=("disc", "stripes"), directions=(("pc1", 2.0),), residual_gains=(1.0, 0.5, 2.0))
    names = ("tiny@500", "tiny", "tiny@500")
    comparison = Comparison(recipe=recipe, checkpoints=names)
    made = plate(comparison, library)
    assert made.columns == 3 and made.column_labels == ("500 images", "tiny", "500 images") and len(made.images) == comparison.count == 12
    own = {name: library.sampler(name).render(recipe.with_checkpoint(name)) for name in names}
    assert differ(own["tiny"], own["tiny@500"]) > 5
    for column, name in enumerate(names):
        assert np.array_equal(made.images[column::3], own[name])
    tile = made.tiles[3]
    assert tile is not None and tile.checkpoint == "tiny@500" and np.array_equal(image(tile, library), made.images[3])


def test_each_image_of_a_comparison_is_called_after_its_own_class(library: Library) -> None:
    made = plate(Comparison(recipe=Recipe(seeds=(1, 2)), checkpoints=("tiny", "plain")), library)
    own = {name: plate(Recipe(checkpoint=name, seeds=(1, 2)), library).captions for name in ("tiny", "plain")}
    assert own["tiny"] != own["plain"]
    assert made.captions == tuple(f"{own[name][seed]}, {name}" for seed in range(2) for name in ("tiny", "plain"))


def test_checkpoints_that_draw_other_pictures_are_not_compared(library: Library) -> None:
    with pytest.raises(RecipeError, match="no classes"):
        plate(Comparison(recipe=Recipe(seeds=(1,), classes=("disc",)), checkpoints=("tiny", "plain")), library)
    with pytest.raises(CheckpointError, match="nobody"):
        plate(Comparison(recipe=Recipe(seeds=(1,)), checkpoints=("tiny", "nobody")), library)


def test_anatomy_is_three_rows_over_the_blocks(library: Library, tiny: Sampler) -> None:
    made = plate(AnatomyOf(recipe=FIRST), library)
    assert made.images.shape == (9, 16, 16, 3) and made.columns == 3 and made.row_labels[0] == "image so far"
    assert made.column_labels == ("block 1, 4 px", "block 2, 8 px", "block 3, 16 px")
    assert np.array_equal(made.images[2], image(FIRST, library))


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(checkpoint="tiny", seeds=(1, 2, 3), classes=("disc", "square"), sweep="pc1", columns=5),
        Recipe(checkpoint="tiny", plane=(1.0, 2.0, 0.5), columns=3),
        Comparison(recipe=Recipe(seeds=(1, 2, 3)), checkpoints=("tiny", "plain")),
        Walk(stops=(FIRST, SECOND), seconds=0.5, fps=10),
        StyleMix(rows=(FIRST,), columns=(SECOND, THIRD), blocks=()),
    ],
)
def test_as_many_images_are_drawn_as_were_counted(library: Library, recipe: AnyRecipe) -> None:
    told: list[tuple[int, int]] = []
    drawn = len(finish(draw(recipe, library.sampler), lambda *step: told.append(step)).images)
    assert recipe.count == (drawn - 1 if isinstance(recipe, StyleMix) else drawn)
    assert told == sorted(told) and told[-1][0] == told[-1][1] >= recipe.count


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(checkpoint="tiny", seeds=tuple(range(40))),
        Walk(stops=(FIRST, SECOND), seconds=4, fps=10),
        Comparison(recipe=Recipe(seeds=tuple(range(20))), checkpoints=("tiny", "tiny@500")),
    ],
)
def test_drawing_ends_where_it_is_closed(library: Library, monkeypatch: pytest.MonkeyPatch, recipe: AnyRecipe) -> None:
    drawn: list[int] = []
    one_batch = Sampler._draw_batch
    monkeypatch.setattr(Sampler, "_draw_batch", lambda self, w, gains: drawn.append(len(w)) or one_batch(self, w, gains))
    work = draw(recipe, library.sampler)
    next(work)
    next(work)
    work.close()
    assert len(drawn) == 2
    with pytest.raises(StopIteration):
        next(work)
