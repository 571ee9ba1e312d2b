import io
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, ImageSequence

from resgen import film
from resgen.composite import Walk
from resgen.errors import RecipeError
from resgen.film import write_film
from resgen.notes import read_recipe
from resgen.plates import stream_frames
from resgen.recipe import Recipe
from resgen.sampler import Sampler
from resgen.work import finish

SUFFIXES = (".mp4", ".gif", ".webp")
STOPS = (Recipe(checkpoint="tiny", seeds=(1,), columns=1), Recipe(checkpoint="tiny", seeds=(2,), columns=1))


def write(walk: Walk, sampler: Sampler, path: Path) -> Path:
    with path.open("wb") as file:
        finish(write_film(walk, sampler, path.suffix, file))
    return path


def decode(path: Path) -> tuple[list[np.ndarray], list[float]]:
    """The frames of a film, and for how many seconds each is shown."""
    if path.suffix == ".mp4":
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            assert stream.average_rate
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
            return frames, [float(1 / stream.average_rate)] * len(frames)
    with Image.open(path) as picture:
        frames, times = [], []
        for frame in ImageSequence.Iterator(picture):
            frames.append(np.asarray(frame.convert("RGB")))
            times.append(frame.info["duration"] / 1000)
        return frames, times


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("loop", [True, False])
def test_a_film_holds_every_frame_in_order_and_lasts_as_long_as_it_should(tiny: Sampler, tmp_path: Path, suffix: str, loop: bool) -> None:
    walk = Walk(stops=(*STOPS, STOPS[0].changed(seeds=(3,))), seconds=1.1, fps=10, loop=loop, scale=3)
    frames, times = decode(write(walk, tiny, tmp_path / f"film{suffix}"))
    assert len(frames) == len(times) == walk.frames == 11 and frames[0].shape == (48, 48, 3)
    assert sum(times) == pytest.approx(1.1, abs=0.02)
    drawn = [np.asarray(Image.fromarray(frame).resize((48, 48), Image.Resampling.LANCZOS)).astype(int) for frame in stream_frames(walk, tiny)]
    for number, frame in enumerate(frames):
        errors = [abs(frame - other).mean() for other in drawn]
        assert errors[number] < 12, "the frame that was drawn"
        assert errors[number] <= min(errors) + 1, "and no other"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_film_carries_its_recipe(tiny: Sampler, tmp_path: Path, suffix: str) -> None:
    walk = Walk(stops=STOPS, seconds=0.5, fps=60, path="w", scale=1)
    assert read_recipe(write(walk, tiny, tmp_path / f"film{suffix}")) == (walk, tiny.checkpoint.sha256)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_film_that_stands_still_is_a_film(tiny: Sampler, tmp_path: Path, suffix: str) -> None:
    walk = Walk(stops=(STOPS[0], STOPS[0]), seconds=1, fps=5, scale=1)
    path = write(walk, tiny, tmp_path / f"film{suffix}")
    frames, _ = decode(path)
    assert read_recipe(path)[0] == walk and abs(frames[0].astype(int) - tiny.render(STOPS[0])[0]).mean() < 20


def test_a_long_note_leaves_the_frames_of_a_gif_as_they_are(tiny: Sampler, tmp_path: Path) -> None:
    """A note is longer than a block of a GIF's comment."""
    walk = Walk(stops=STOPS * 16, seconds=0.5, fps=10, scale=1)
    path = write(walk, tiny, tmp_path / "film.gif")
    assert len(walk.to_json()) > 1000 and read_recipe(path)[0] == walk and len(decode(path)[0]) == 5


@pytest.mark.parametrize("fps", [1, 7, 24, 30, 33, 48, 50, 60])
def test_a_gif_plays_at_its_speed(tiny: Sampler, tmp_path: Path, fps: int) -> None:
    """Its frames last whole hundredths of a second; none lasts one, which browsers would slow down."""
    walk = Walk(stops=STOPS, seconds=2 if fps > 1 else 3, fps=fps, scale=1)
    frames, times = decode(write(walk, tiny, tmp_path / "film.gif"))
    assert len(frames) == round(walk.seconds * min(fps, 50))
    assert sum(times) == pytest.approx(walk.seconds, abs=0.006)
    assert min(times) >= 0.02 and max(times) - min(times) < 0.011


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_frames_are_drawn_and_enlarged_one_at_a_time(tiny: Sampler, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    drawn, enlarged = [], []
    one_batch, enlarge = Sampler._draw_batch, film._enlarge
    monkeypatch.setattr(Sampler, "_draw_batch", lambda self, w, gains: drawn.append(len(w)) or one_batch(self, w, gains))
    monkeypatch.setattr(film, "_enlarge", lambda frame, side: enlarged.append(side) or enlarge(frame, side))
    work = write_film(Walk(stops=STOPS, seconds=4, fps=10), tiny, suffix, io.BytesIO())
    for step in range(1, 12):
        assert next(work) == (step, 40) and len(enlarged) == step and len(drawn) == (step + 7) // 8
    work.close()
    assert len(enlarged) == 11 and len(drawn) == 2


def test_a_film_too_large_is_refused_before_it_is_drawn(tiny: Sampler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sampler, "_draw_batch", lambda *_: pytest.fail("a frame was drawn"))
    monkeypatch.setattr(film, "MAX_FILM_PIXELS", 100 * 64**2 - 1)
    with pytest.raises(RecipeError, match="million pixels"):
        finish(write_film(Walk(stops=STOPS, seconds=10, fps=10, scale=4), tiny, ".mp4", io.BytesIO()))


@pytest.mark.parametrize("suffix", [".avi", "", ".MP4"])
def test_another_ending_is_refused(tiny: Sampler, suffix: str) -> None:
    with pytest.raises(RecipeError, match=r"\.mp4, \.gif, \.webp"):
        finish(write_film(Walk(stops=STOPS), tiny, suffix, io.BytesIO()))
