import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from resgen.errors import RecipeError, ResGenError
from resgen.recipe import Recipe
from resgen.sampler import Sampler, load, pick_device


@pytest.fixture(scope="module")
def tiny(tiny_folder: Path) -> Sampler:
    return load("tiny", "cpu", tiny_folder)


def test_a_seed_is_bit_identical_alone_in_a_batch_and_in_another_process(tiny: Sampler, tiny_folder: Path, tmp_path: Path) -> None:
    crowd = tiny.render(Recipe(seeds=tuple(range(100))))
    assert crowd.shape == (100, 16, 16, 3) and crowd.dtype == np.uint8
    assert np.array_equal(crowd[7], tiny.render(Recipe(seeds=(7,)))[0])
    assert np.array_equal(crowd[93:97], tiny.render(Recipe(seeds=(93, 94, 95, 96))))
    script = "import numpy, pathlib, sys, resgen; from resgen.sampler import load; numpy.save(sys.argv[2], load('tiny', 'cpu', pathlib.Path(sys.argv[1])).render(resgen.Recipe(seeds=(7,))))"
    subprocess.run([sys.executable, "-c", script, str(tiny_folder), str(tmp_path / "seven.npy")], check=True)
    assert np.array_equal(crowd[7], np.load(tmp_path / "seven.npy")[0])


def test_every_part_of_a_recipe_changes_the_picture(tiny: Sampler) -> None:
    plain = Recipe(seeds=(1, 2), classes=("disc",))
    base = tiny.render(plain).astype(int)
    for change in (
        Recipe(seeds=(1, 3), classes=("disc",)),
        Recipe(seeds=(1, 2), classes=("square",)),
        Recipe(seeds=(1, 2), class_mix=(("disc", 1.0), ("square", 1.0))),
        Recipe(seeds=(1, 2), classes=("disc",), truncation=0.5),
        Recipe(seeds=(1, 2), classes=("disc",), directions=(("pc1", 2.0),)),
        Recipe(seeds=(1, 2), classes=("disc",), residual_gains=(1.0, 0.0, 1.0)),
        Recipe(seeds=(1, 2), classes=("disc",), variation_of=9),
    ):
        assert abs(tiny.render(change).astype(int) - base).mean() > 0.5, change


def test_no_truncation_left_is_one_picture(tiny: Sampler) -> None:
    images = tiny.render(Recipe(seeds=(1, 2, 3), classes=("disc",), truncation=0))
    assert (images == images[:1]).all()


def test_labels_are_those_of_the_classes(tiny: Sampler, tiny_folder: Path) -> None:
    seeds, labels = tiny.name(Recipe(seeds=(5, 6), classes=("square", "disc")))
    assert seeds.tolist() == [5, 6, 5, 6] and labels.tolist() == [1, 1, 0, 0]
    assert load("plain", "cpu", tiny_folder).name(Recipe(seeds=(5,)))[1].tolist() == [-1]


def test_an_unconditional_checkpoint_has_no_classes_to_choose(tiny_folder: Path) -> None:
    with pytest.raises(RecipeError, match="no classes"):
        load("plain", "cpu", tiny_folder).render(Recipe(classes=("cat",)))


def test_a_missing_device_is_refused() -> None:
    assert pick_device("auto") in ("cuda", "mps", "cpu") and pick_device("cpu") == "cpu"
    with pytest.raises(ResGenError, match="tpu"):
        pick_device("tpu")
