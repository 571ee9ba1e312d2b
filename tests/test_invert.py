import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resgen import invert as module
from resgen.errors import DataError
from resgen.invert import invert, load_photo, psnr
from resgen.library import Library
from resgen.recipe import Recipe
from resgen.sampler import Sampler
from resgen.work import finish


@pytest.fixture(scope="module")
def target(tiny: Sampler) -> np.ndarray:
    """An image that the generator can draw, of a seed that is none of the starts."""
    return tiny.render(Recipe(checkpoint="tiny", seeds=(5000,)))[0]


def test_an_image_is_found_again(tiny: Sampler, library: Library) -> None:
    target = tiny.render(Recipe(checkpoint="tiny", seeds=(9,), truncation=0.7, directions=(("pc1", 0.5),)))[0]
    told: list[tuple[int, int]] = []
    found = finish(invert(target, tiny, library.features("tiny"), steps=40), lambda *step: told.append(step))
    random = tiny.render(Recipe(checkpoint="tiny", seeds=tuple(range(512)), truncation=0.8))
    assert found.psnr > 8 + max(psnr(image, target) for image in random) and found.psnr == pytest.approx(psnr(found.image, target))
    assert np.array_equal(tiny.render(found.recipe)[0], found.image) and found.recipe.count == 1 and found.recipe.checkpoint == "tiny"
    looking = told[:-40]  # for where to begin
    assert looking and {*looking} == {(0, 40)} and told[-40:] == [(step, 40) for step in range(1, 41)] and len(found.losses) == 40


def test_the_best_step_is_kept_and_not_the_last(tiny: Sampler, target: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LR", 30)  # steps that lead away
    found = finish(invert(target, tiny, steps=8))
    assert found.losses[-1] > 2 * min(found.losses) and found.psnr > 10 * np.log10(4 / min(found.losses)) - 0.5


def test_what_nobody_sees_does_not_count(tiny: Sampler) -> None:
    """Of a generator that reaches far beyond black and white, as far as its pictures do."""
    weights = {name: value * 4 if name.startswith("to_image") and ".2." in name else value for name, value in tiny.checkpoint.weights.items()}
    stark = Sampler(replace(tiny.checkpoint, weights=weights), "cpu")
    target = stark.render(Recipe(checkpoint="tiny", seeds=(5000,)))[0]
    assert np.isin(target, (0, 255)).mean() > 0.3
    assert finish(invert(target, stark, steps=40)).psnr > 11, "7 where the search brings back what lies beyond"


def test_the_nearest_image_so_far_is_shown(tiny: Sampler, target: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LR", 30)
    monkeypatch.setattr(module, "WATCHED_STEPS", 1)
    shown = list[tuple[np.ndarray, Recipe]]()
    finish(invert(target, tiny, steps=8, watch=lambda *seen: shown.append(seen)))
    nearness = [psnr(image, target) for image, _ in shown]
    assert len(shown) == 8 and nearness == sorted(nearness)
    assert all(abs(tiny.render(recipe)[0].astype(int) - image).max() <= 1 for image, recipe in shown)


def test_features_guide_the_beginning_of_the_way(tiny: Sampler, library: Library, target: np.ndarray) -> None:
    """Both begin at the same places, and part at the first step."""
    blind, guided = (finish(invert(target, tiny, features, steps=20)) for features in (None, library.features("tiny")))
    assert guided.losses[0] == blind.losses[0] and guided.losses[1:4] != blind.losses[1:4]
    again = finish(invert(target, tiny, library.features("tiny"), steps=20))
    assert again.recipe == guided.recipe, "the same arguments give the same latent"


def test_features_are_followed_towards_the_target(tiny: Sampler, library: Library, target: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing but features counts, the features of the image come nearer to the target's."""
    features, errors = library.features("tiny"), []
    assert features is not None
    feature_error = module._feature_error

    def watched(*arguments):
        error = feature_error(*arguments)
        errors.append(float(error.detach().min()))
        return error * 1e6

    monkeypatch.setattr(module, "_feature_error", watched)
    finish(invert(target, tiny, features, steps=60))
    assert len(errors) == 60 * module.FEATURE_SHARE and min(errors[-3:]) < 0.8 * errors[0]


def test_searching_ends_where_it_is_closed(tiny: Sampler, target: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    synthesise = tiny.generator.synthesise
    monkeypatch.setattr(tiny.generator, "synthesise", lambda w: drawn.append(len(w)) or synthesise(w))
    work = invert(target, tiny, steps=1000)
    assert next(step for step in work if step[0]) == (1, 1000)
    before = len(drawn)
    assert next(work) == (2, 1000) and len(drawn) == before + 1
    work.close()
    assert len(drawn) == before + 1


def test_a_target_of_another_size_is_refused(tiny: Sampler) -> None:
    with pytest.raises(DataError, match="16 pixels a side"):
        finish(invert(np.zeros((8, 8, 3), np.uint8), tiny))


def test_signal_to_noise() -> None:
    black, white = np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 255, np.uint8)
    assert psnr(black, black) == 99 and psnr(black, white) == 0 and psnr(black, black + 1) == pytest.approx(48.13, abs=0.01)


def saved(picture: Image.Image, tmp_path: Path, kind: str, **options: object) -> Path:
    picture.save(tmp_path / f"photo.{kind}", kind, **options)
    return tmp_path / f"photo.{kind}"


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "gif", "bmp", "tiff"])
def test_the_middle_square_of_a_photo_is_taken(tmp_path: Path, kind: str) -> None:
    picture = Image.new("RGB", (60, 20), "blue")
    picture.paste("red", (20, 0, 40, 20))
    pixels = load_photo(saved(picture, tmp_path, kind), 8)
    assert pixels.shape == (8, 8, 3) and pixels.dtype == np.uint8
    assert (pixels[..., 0] > 200).mean() > 0.7 and pixels[3, 3, 2] < 60


@pytest.mark.parametrize("crop", [(0, 0.5, 0.5), (0.5, 0.5, 0.5), (1, 2, 0.5), (1, 0.5, -1), (float("nan"), 0.5, 0.5), (1, float("nan"), 0.5)])
def test_a_square_beyond_the_photo_is_refused(tmp_path: Path, crop: tuple[float, float, float]) -> None:
    with pytest.raises(DataError, match="within the picture"):
        load_photo(saved(Image.new("RGB", (9, 9)), tmp_path, "png"), 8, crop)


def test_transparency_lies_on_white(tmp_path: Path) -> None:
    assert (load_photo(saved(Image.new("RGBA", (9, 9), (255, 0, 0, 0)), tmp_path, "png"), 8) == 255).all()


def test_sixteen_bit_greys_keep_their_shades(tmp_path: Path) -> None:
    ramp = Image.fromarray(np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16))
    pixels = load_photo(saved(ramp, tmp_path, "png"), 8)
    assert pixels[0].mean() < 40 and 100 < pixels[3:5].mean() < 155 and pixels[-1].mean() > 215


def test_a_photo_is_turned_upright(tmp_path: Path) -> None:
    picture = Image.new("RGB", (20, 20), "blue")
    picture.paste("red", (0, 0, 20, 10))
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    pixels = load_photo(saved(picture, tmp_path, "jpeg", exif=exif), 8)
    assert pixels[0, 4, 2] > 200 and pixels[-1, 4, 0] > 200


@pytest.mark.parametrize("data", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + bytes(99), b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"])
def test_what_is_no_picture_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "photo.png").write_bytes(data)
    with pytest.raises(DataError, match="cannot be read as a picture"):
        load_photo(tmp_path / "photo.png", 8)


def test_pictures_too_large_to_open_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="make it smaller"):
        load_photo(saved(Image.new("RGB", (10, 10)), tmp_path, "png"), 8, most=99)


def test_formats_that_were_not_promised_are_not_opened(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "ppm")
    (tmp_path / "photo.png").write_bytes(buffer.getvalue())
    with pytest.raises(DataError):
        load_photo(tmp_path / "photo.png", 8)
