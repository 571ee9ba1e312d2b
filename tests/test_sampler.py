import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from resgen.budget import MAX_LATENTS
from resgen.curate import CONFIDENCE, curate
from resgen.errors import RecipeError, ResGenError, ShortageError
from resgen.generator import GeneratorConfig
from resgen.invert import invert
from resgen.latents import locate
from resgen.library import Library
from resgen.recipe import Recipe, pack_vector
from resgen.sampler import MICRO_BATCH, DeviceLostError, Sampler, micro_batch, pick_device, to_pixels
from resgen.studio.renderer import Renderer
from resgen.work import finish
from tests.conftest import CLASSES


def test_a_seed_is_bit_identical_alone_in_a_batch_and_in_another_process(tiny: Sampler, tiny_folder: Path, tmp_path: Path) -> None:
    crowd = tiny.render(Recipe(seeds=tuple(range(100))))
    assert crowd.shape == (100, 16, 16, 3) and crowd.dtype == np.uint8
    assert np.array_equal(crowd[7], tiny.render(Recipe(seeds=(7,)))[0])
    assert np.array_equal(crowd[93:97], tiny.render(Recipe(seeds=(93, 94, 95, 96))))
    script = (
        "import numpy, pathlib, sys, resgen;"
        "numpy.save(sys.argv[2], resgen.load('tiny', 'cpu', pathlib.Path(sys.argv[1])).render(resgen.Recipe(seeds=(7,))));"
        "assert 'torch._dynamo' not in sys.modules, 'two seconds for the compiler, which nothing here needs'"
    )
    subprocess.run([sys.executable, "-c", script, str(tiny_folder), str(tmp_path / "seven.npy")], check=True)
    assert np.array_equal(crowd[7], np.load(tmp_path / "seven.npy")[0])


def test_every_part_of_a_recipe_changes_the_picture(tiny: Sampler) -> None:
    plain = Recipe(seeds=(1, 2), classes=("disc",))
    base = tiny.render(plain).astype(int)
    for change in (
        {"seeds": (1, 3)},
        {"classes": ("square",)},
        {"classes": (), "class_mix": (("disc", 1.0), ("square", 1.0))},
        {"truncation": 0.5},
        {"directions": (("pc1", 2.0),)},
        {"edits": ((1, (("pc1", 2.0),)),)},
        {"residual_gains": (1.0, 0.0, 1.0)},
        {"variation_of": 9},
    ):
        assert abs(tiny.render(plain.changed(**change)).astype(int) - base).mean() > 0.5, change


def test_no_truncation_left_is_one_picture(tiny: Sampler) -> None:
    images = tiny.render(Recipe(seeds=(1, 2, 3), classes=("disc",), truncation=0))
    assert (images == images[:1]).all()


@st.composite
def drawable(draw: st.DrawFn) -> Recipe:
    """A recipe of a few images that 'tiny' can draw."""
    amounts = st.lists(st.tuples(st.sampled_from(["pc1", "pc2", "own"]), st.floats(-10, 10)), max_size=2, unique_by=lambda pair: pair[0])
    values: dict = {"checkpoint": "tiny", "seeds": tuple(draw(st.lists(st.integers(0, 99), min_size=1, max_size=3)))}
    values["columns"] = draw(st.integers(2, 3))
    points = draw(st.sampled_from(["seeds", "latents", "plane", "variations"]))
    if points == "latents":
        values["latents"] = tuple(pack_vector([value] * 12) for value in draw(st.lists(st.floats(-1, 1), min_size=1, max_size=2)))
    elif points == "plane":
        values["plane"] = (draw(st.floats(0, 1000)), draw(st.floats(0, 1_000_000)), draw(st.floats(0, 2)))
    elif points == "variations":
        values |= {"variation_of": 5, "variation_path": ((3, 0.5),) if draw(st.booleans()) else (), "variation_strength": draw(st.floats(0, 1))}
    if points != "latents":
        if draw(st.booleans()):
            values["classes"] = tuple(draw(st.lists(st.sampled_from(CLASSES), max_size=2)))
        else:
            values["class_mix"] = (("disc", 1.0), ("square", draw(st.floats(0, 3))))
    values["own_directions"] = (("own", pack_vector([0.1] * 12)),)
    values["truncation"] = draw(st.floats(0, 1.5))
    values["directions"] = tuple(draw(amounts))
    values["edits"] = tuple(draw(st.dictionaries(st.integers(0, 3), amounts.map(tuple), max_size=2)).items())
    values["sweep"] = draw(st.sampled_from(["", "pc2", "own"]))
    values["residual_gains"] = draw(st.sampled_from([(), (0.5, 2.0, 1.0)]))
    return Recipe(**values)


@settings(max_examples=40)
@given(recipe=drawable())
def test_each_image_alone_is_that_image_of_the_whole(tiny: Sampler, recipe: Recipe) -> None:
    """To the bit where nothing is added up; sums of directions in another order, and a plane's points in another window, round differently."""
    whole, exact = tiny.render(recipe), not (recipe.directions or recipe.edits or recipe.sweep or recipe.plane)
    assert len(whole) == recipe.count
    for index in {0, recipe.count // 2, recipe.count - 1}:
        alone = tiny.render(recipe.single(index))
        assert len(alone) == 1 and abs(alone[0].astype(int) - whole[index]).max() <= (0 if exact else 1), index


def test_an_image_alone_is_that_of_the_whole_beyond_the_limit_of_a_direction(tiny: Sampler) -> None:
    recipe = Recipe(seeds=(1, 2), directions=(("pc1", 9.0),), edits=((1, (("pc1", 8.0),)),), sweep="pc1", columns=3)
    whole = tiny.render(recipe).astype(int)
    assert abs(whole[5] - whole[4]).max() > 2, "three deviations more or less must be seen for this test to tell anything"
    for index in range(6):
        assert abs(tiny.render(recipe.single(index))[0] - whole[index]).max() <= 1


def test_batches_are_drawn_when_they_are_asked_for(tiny: Sampler, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    one_batch = Sampler._draw_batch
    monkeypatch.setattr(Sampler, "_draw_batch", lambda self, w, gains: drawn.append(len(w)) or one_batch(self, w, gains))
    points = locate(Recipe(seeds=tuple(range(20))), tiny.checkpoint)
    work = tiny.draw(points)
    assert next(work) == (MICRO_BATCH, 20) and drawn == [MICRO_BATCH]
    assert next(work) == (2 * MICRO_BATCH, 20) and drawn == [MICRO_BATCH] * 2
    work.close()
    assert drawn == [MICRO_BATCH] * 2


def test_the_network_is_always_given_as_many_images_at_once(tiny: Sampler, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else another algorithm may be chosen for the last of them, with other last bits."""
    sizes: set[int] = set()
    for network, name in ((tiny._place.drawing, "synthesise"), (tiny.generator, "synthesise"), (tiny.generator.mapping, "forward")):
        run = getattr(network, name)
        monkeypatch.setattr(network, name, lambda *rows, run=run: sizes.update(map(len, rows)) or run(*rows))
    for count in (1, 7, 8, 11):
        assert len(tiny.render(Recipe(seeds=tuple(range(count))))) == count
    assert sizes == {MICRO_BATCH}, "of what grids are drawn with"
    tiny.anatomy(locate(Recipe(seeds=(1,)), tiny.checkpoint))
    assert sizes == {MICRO_BATCH}


def test_progress_is_told_batch_by_batch(tiny: Sampler) -> None:
    told: list[tuple[int, int]] = []
    tiny.render(Recipe(seeds=tuple(range(20))), lambda *step: told.append(step))
    assert told == [(8, 20), (16, 20), (20, 20)]


def test_the_latents_given_out_draw_the_same_images(tiny: Sampler) -> None:
    recipe = Recipe(checkpoint="tiny", seeds=(1, 2), truncation=0.7, directions=(("pc1", 1.0),))
    latents = tuple(pack_vector(w.ravel().tolist()) for w in tiny.latents(recipe))
    again = tiny.render(Recipe(checkpoint="tiny", latents=latents))
    assert abs(again.astype(int) - tiny.render(recipe)).max() <= 2  # half precision


def test_what_was_done_to_w_is_a_recipe_again(tiny: Sampler) -> None:
    recipe = Recipe(checkpoint="tiny", seeds=(3, 4), truncation=0.6)
    moved = tiny.recipe(tiny.latents(recipe) + 2 * tiny.direction("pc1"), columns=1)
    by_dial = tiny.render(recipe.changed(directions=(("pc1", 2.0),)))
    assert moved.columns == 1 and np.abs(tiny.render(moved).astype(int) - by_dial).max() <= 2, "latents keep half precision"
    with pytest.raises(RecipeError, match=r"shape \[images, \d, \d+\]"):
        tiny.recipe(tiny.latents(recipe)[0])
    with pytest.raises(RecipeError, match="too large"):
        tiny.recipe(tiny.latents(recipe) + 1e6)
    with pytest.raises(RecipeError, match="no direction"):
        tiny.direction("kindness")


def test_what_is_done_to_a_direction_changes_no_picture(tiny: Sampler) -> None:
    recipe, along = Recipe(seeds=(1,), directions=(("pc1", 2.0),)), tiny.direction("pc1")
    before = tiny.render(recipe)
    along *= 5
    assert np.array_equal(tiny.render(recipe), before) and not np.array_equal(tiny.direction("pc1"), along)


def test_any_number_of_latents_is_drawn_to_the_bit(tiny: Sampler) -> None:
    recipe = Recipe(seeds=tuple(range(MAX_LATENTS + 6)), truncation=0.7, directions=(("pc1", 1.0),), residual_gains=(1.0, 0.5, 1.0))
    w = tiny.latents(recipe)
    assert np.array_equal(tiny.draw_latents(w, recipe.residual_gains), tiny.render(recipe))
    assert np.array_equal(tiny.draw_latents(w), tiny.render(recipe.changed(residual_gains=())))
    for wrong in (w[0], w[:0]):
        with pytest.raises(RecipeError, match=r"the shape \[images, 3, 12\]"):
            tiny.draw_latents(wrong)
    with pytest.raises(RecipeError, match="gains"):
        tiny.draw_latents(w, (1.0,))


def test_anatomy_tells_what_each_block_does(tiny: Sampler) -> None:
    """What a block changes: the image with its branch less that without it, grey where they are equal, its largest change 1."""
    recipe = Recipe(checkpoint="tiny", seeds=(7,), residual_gains=(1.0, 0.5, 1.0))
    anatomy, whole = tiny.anatomy(locate(recipe, tiny.checkpoint)), tiny.render(recipe)[0].astype(int)
    assert np.array_equal(anatomy.so_far[-1], whole)
    assert anatomy.so_far.shape == anatomy.added.shape == anatomy.features.shape == (3, 16, 16, 3)
    for block in range(3):
        gains = [gain * (place != block) for place, gain in enumerate(recipe.residual_gains)]
        with_branch_less_without = whole - tiny.render(recipe.changed(residual_gains=gains))[0]
        shown = anatomy.added[block].astype(float) - 127.5
        clear = (abs(with_branch_less_without) > 8) & (abs(shown) > 8)
        assert clear.mean() > 0.05 and (np.sign(shown) == np.sign(with_branch_less_without))[clear].all(), block
        assert abs(shown).max() > 127


def test_the_image_so_far_grows_from_coarse_to_fine(tiny: Sampler) -> None:
    coarse = tiny.anatomy(locate(Recipe(seeds=(7,)), tiny.checkpoint)).so_far[0]
    assert np.array_equal(coarse, coarse[::4, ::4].repeat(4, 0).repeat(4, 1))


def test_pixels_run_from_minus_one_to_one() -> None:
    shades = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0]).view(1, 1, 1, 5)
    assert to_pixels(shades)[0, 0].tolist() == [[0] * 3, [0] * 3, [128] * 3, [255] * 3, [255] * 3]


def test_an_unconditional_checkpoint_has_no_classes_to_choose(library: Library) -> None:
    plain = library.sampler("plain")
    assert plain.render(Recipe(seeds=(5,))).shape == (1, 16, 16, 3)
    with pytest.raises(RecipeError, match="no classes"):
        plain.render(Recipe(classes=("cat",)))


@pytest.mark.parametrize("name", ["tpu", "cpu:x", "cpu:0", "cpu:", "cuda:99", "cuda:-1", "", "meta"])
def test_a_missing_device_is_refused(name: str) -> None:
    with pytest.raises(ResGenError, match="is not available here"):
        pick_device(name)


def test_there_is_always_a_device() -> None:
    assert pick_device("auto") in ("cuda", "mps", "cpu") and pick_device("cpu") == "cpu"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU that CUDA reaches")
def test_a_gpu_draws_what_a_processor_does() -> None:
    recipe = Recipe(checkpoint="cifar10", seeds=tuple(range(24)))
    by_gpu, by_processor = (Library(device=device).sampler("cifar10").render(recipe).astype(int) for device in ("cuda", "cpu"))
    assert abs(by_gpu - by_processor).max() <= 2


@pytest.mark.parametrize(("side", "width", "count"), [(32, 64, 8), (256, 64, 4), (1024, 16, 1), (1024, 64, 1)])
def test_a_batch_is_as_large_as_memory_allows(side: int, width: int, count: int) -> None:
    arch = GeneratorConfig(base_resolution=4, widths=(8,) * (side.bit_length() - 3) + (width,))
    assert arch.resolution == side and micro_batch(arch) == count


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory")])
def test_where_memory_is_short_images_are_drawn_one_by_one(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    sampler = Library(tiny_folder, "cpu").sampler("tiny")
    recipe = Recipe(checkpoint="tiny", seeds=tuple(range(5)))
    whole = sampler.render(recipe).astype(int)
    other = Library(tiny_folder, "cpu").sampler("tiny")
    synthesise, most = other._place.drawing.synthesise, 1

    def short(w: torch.Tensor, gains: torch.Tensor) -> torch.Tensor:
        if len(w) > most:
            raise error
        return synthesise(w, gains)

    monkeypatch.setattr(other._place.drawing, "synthesise", short)
    assert abs(other.render(recipe) - whole).max() <= 2 and "one by one" in other.shortage
    most = 99  # others have given memory back
    assert other.render(recipe) is not None and "one by one" in other.shortage, "not tried with each batch"
    other._again = time.monotonic()
    assert np.array_equal(other.render(recipe), whole) and not other.shortage
    monkeypatch.setattr(other._place.drawing, "synthesise", lambda *_: (_ for _ in ()).throw(error))
    with pytest.raises(ResGenError, match="not enough memory"):
        other.render(recipe)


SHORT = [
    torch.OutOfMemoryError("CUDA out of memory"),
    MemoryError(),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("CUDA error: out of memory"),
]
LOST = [RuntimeError("CUDA error: an illegal memory access was encountered"), torch.AcceleratorError("HIP error: device is gone")]


def failing(error: Exception) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


@pytest.mark.parametrize("error", SHORT)
@pytest.mark.parametrize("what", ["anatomy", "stand", "load", "fold"])
def test_where_memory_is_short_all_else_is_refused_in_a_sentence(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, what: str, error: Exception
) -> None:
    library, recipe = Library(tiny_folder, "cpu"), Recipe(checkpoint="tiny", seeds=(1,))
    if what in ("load", "fold"):
        monkeypatch.setattr("resgen.checkpoint.Checkpoint.build" if what == "load" else "resgen.sampler.FoldedGenerator", failing(error))
        with pytest.raises(ShortageError, match="not enough memory"):
            library.sampler("tiny")
        return
    sampler = library.sampler("tiny")
    monkeypatch.setattr(sampler.generator, "depths" if what == "anatomy" else "map", failing(error))
    with pytest.raises(ShortageError, match="not enough memory to draw with tiny"):
        sampler.anatomy(locate(recipe, sampler.checkpoint)) if what == "anatomy" else sampler.stand(recipe)


@pytest.fixture
def gpu(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Library:
    """A library on a device that is not 'cpu' by its name, as a GPU is not, and none is lost yet."""
    monkeypatch.setattr("resgen.sampler.pick_device", lambda wanted: wanted)
    monkeypatch.setattr("resgen.library.pick_device", lambda wanted: wanted)
    lost = Event()
    monkeypatch.setattr("resgen.sampler.gpu_lost", lost)
    monkeypatch.setattr("resgen.library.gpu_lost", lost)
    return Library(tiny_folder, "cpu:0")


@pytest.mark.parametrize("error", SHORT)
def test_where_memory_is_short_on_a_device_the_cpu_does_it(gpu: Library, library: Library, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    sampler, recipe = gpu.sampler("tiny"), Recipe(checkpoint="tiny", seeds=tuple(range(5)))
    for network, name in ((sampler.generator, "map"), (sampler.generator, "depths"), (sampler._place.drawing, "synthesise")):
        monkeypatch.setattr(network, name, failing(error))
    here = library.sampler("tiny")
    assert abs(sampler.render(recipe) - here.render(recipe).astype(int)).max() <= 2
    assert sampler.where == "one by one on CPU, since memory is short" and sampler.device == "cpu:0"
    one = recipe.changed(seeds=(3,))
    assert np.array_equal(sampler.anatomy(locate(one, sampler.checkpoint)).features, here.anatomy(locate(one, here.checkpoint)).features)


@pytest.mark.parametrize("error", LOST)
def test_once_the_gpu_is_lost_the_cpu_draws_and_says_so(
    gpu: Library, library: Library, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    sampler, recipe = gpu.sampler("tiny"), Recipe(checkpoint="tiny", seeds=tuple(range(9)))
    assert sampler.where == "on CPU:0" and gpu.sampler("tiny") is sampler
    kept = sampler.render(recipe)
    monkeypatch.setattr(sampler._place.drawing, "synthesise", failing(error))
    assert np.array_equal(sampler.render(recipe), kept), "drawn anew"
    assert sampler.device == "cpu" and sampler.where == "on CPU, since the GPU was lost: restart the studio to use it again"
    assert (again := gpu.sampler("tiny")) is not sampler and gpu.sampler("plain").device == again.device == gpu.device == "cpu"
    assert again.where == sampler.where and "the GPU was lost" in Renderer(gpu).view(recipe)["status"]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    target, w = kept[0], torch.tensor(sampler.latents(recipe)[:1], requires_grad=True)
    sampler.generator.synthesise(w).sum().backward()  # what was made while drawing can be searched with, too
    assert w.grad is not None and finish(invert(target, sampler, steps=2)).recipe.count == 1


@pytest.mark.parametrize("error", LOST)
def test_a_generator_that_finds_its_gpu_lost_is_loaded_on_the_cpu(gpu: Library, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    to = torch.nn.Module.to
    monkeypatch.setattr(torch.nn.Module, "to", lambda self, *where, **more: failing(error)() if "cpu:0" in where else to(self, *where, **more))
    assert gpu.sampler("tiny").device == "cpu" and gpu.sampler("tiny").render(Recipe(seeds=(1,))).any()


@pytest.mark.parametrize(("error", "kind"), [(SHORT[0], ShortageError), (SHORT[2], ShortageError), (LOST[0], DeviceLostError)])
@pytest.mark.parametrize("what", ["invert", "curate"])
def test_searches_are_refused_in_a_sentence_where_the_device_fails(
    gpu: Library, monkeypatch: pytest.MonkeyPatch, what: str, error: Exception, kind: type[Exception]
) -> None:
    sampler, recipe = gpu.sampler("tiny"), Recipe(checkpoint="tiny", seeds=(1,))
    classifier = gpu.classifier("tiny")
    monkeypatch.setattr(sampler.generator if what == "invert" else classifier, "synthesise" if what == "invert" else "pooled", failing(error))
    target = sampler.render(recipe)[0]

    def work() -> Any:
        return invert(target, sampler, steps=2) if what == "invert" else curate(recipe, sampler, gpu.classifier("tiny"), 4, 2, CONFIDENCE)

    with pytest.raises(kind, match=r"not enough memory|ask for it again"):
        finish(work())
    if kind is DeviceLostError:
        assert finish(work())


def test_single_precision_is_whole_once_something_draws(tiny_folder: Path) -> None:
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
    Library(tiny_folder, "cpu").sampler("tiny")
    assert not torch.backends.cudnn.allow_tf32 and not torch.backends.cuda.matmul.allow_tf32


def test_another_error_is_no_lack_of_memory(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sampler = Library(tiny_folder, "cpu").sampler("tiny")
    monkeypatch.setattr(sampler._place.drawing, "synthesise", lambda *_: (_ for _ in ()).throw(RuntimeError("shapes differ")))
    with pytest.raises(RuntimeError, match="shapes differ"):
        sampler.render(Recipe(checkpoint="tiny", seeds=(1,)))
