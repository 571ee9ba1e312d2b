"""What a page is told while a hand turns a dial: a picture, or where its images stand, and nothing that it must not have."""

import base64
import io
import itertools
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread, Timer
from typing import Literal

import numpy as np
import pytest
import torch
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from resgen.budget import OWN
from resgen.composite import Walk
from resgen.library import Library
from resgen.plates import stream_frames
from resgen.recipe import Recipe, pack_vector
from resgen.sampler import to_pixels
from resgen.studio.drawing import Drawing, turn
from resgen.studio.renderer import Renderer
from resgen.work import Work, finish
from tests.conftest import CLASSES, until


@pytest.fixture(scope="module")
def web(library: Library) -> Iterator[TestClient]:
    with TestClient(Starlette(routes=Drawing(Renderer(library, OWN.with_limits(["images=40"]))).routes())) as client:
        yield client


@pytest.mark.parametrize("truncation", [0.0, 0.3, 1.4])
def test_truncation_and_directions_are_sums_of_what_is_told(web: TestClient, library: Library, truncation: float) -> None:
    own = pack_vector(np.linspace(-1, 1, library.card("tiny").arch.w_dim).tolist())
    some = library.card("tiny").direction_names[0]
    turned = {"directions": (("mine", 1.5), (some, -2.0)), "own_directions": (("mine", own),)}
    grids = (
        Recipe(checkpoint="tiny", seeds=(3, 4), truncation=truncation, **turned),
        Recipe(checkpoint="tiny", seeds=(3, 4), classes=CLASSES[:2], truncation=truncation, edits=((1, (("mine", 2.0),)),), **turned),
        Recipe(checkpoint="tiny", plane=(0.5, 1.25, 0.3), plane_rows=2, columns=2, truncation=truncation),
        Recipe(checkpoint="tiny", seeds=(1,), variation_of=7, truncation=truncation, **turned),
        Recipe(checkpoint="plain", seeds=(5,), truncation=truncation),
    )
    for recipe in grids:
        told = web.post("/drawing/stand", content=recipe.to_query()).raise_for_status().json()
        sampler = library.sampler(recipe.checkpoint)
        blocks, size = len(sampler.card.arch.block_resolutions), sampler.card.arch.w_dim
        mapped, centre, offsets = numbers(told["mapped"], blocks, size), numbers(told["centre"], 1, size), numbers(told["offsets"], 1, size)
        assert len(mapped) == told["count"] == recipe.count
        assert np.allclose(centre + truncation * (mapped - centre) + offsets, sampler.latents(recipe), atol=1e-5)
        assert told["own"].keys() == {name for name, _ in recipe.own_directions}


@pytest.mark.parametrize(
    ("turned", "as_if"),
    [
        ({}, {}),
        ({"truncation": 0.3, "directions": {"pc2": 1.5}}, {"truncation": 0.3, "directions": (("pc1", 2.0), ("pc2", 1.5))}),
        ({"directions": {"pc1": 0}, "gains": [1, 0.5, 1]}, {"directions": (), "residual_gains": (1, 0.5, 1)}),
        ({"gains": [1, 1]}, {}),
        ({"plane": [0.5, 1.25, 0.3]}, {"plane": (0.5, 1.25, 0.3), "plane_rows": 2}),
    ],
)
def test_a_picture_is_that_of_the_recipe_whose_dials_are_turned(
    web: TestClient, library: Library, turned: dict[str, object], as_if: dict[str, object]
) -> None:
    recipe = Recipe(checkpoint="tiny", seeds=(3, 4, 5), columns=2, directions=(("pc1", 2.0),))
    told = web.post("/drawing/picture", json={"query": recipe.to_query(), "turned": turned}).raise_for_status().json()
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(told["src"].partition(",")[2]))).convert("RGB"))
    for place, image in enumerate(library.sampler("tiny").render(recipe.changed(**as_if))):
        row, column = divmod(place, 2)
        assert (picture[16 * row : 16 * row + 16, 16 * column : 16 * column + 16] == image).all()
    assert "images by tiny" in told["status"]


@pytest.mark.parametrize(("seeds", "columns", "window"), [(3, 8, (3, 1)), (8, 3, (3, 3)), (300, 2, (2, 100))])
def test_a_window_that_is_entered_from_seeds_has_the_columns_and_rows_that_are_seen(seeds: int, columns: int, window: tuple[int, int]) -> None:
    entered = turn(Recipe(checkpoint="tiny", seeds=tuple(range(seeds)), columns=columns), {"plane": [1.0, 2.0, 0.25]})
    assert (entered.columns, entered.plane_rows) == window and entered.count == window[0] * window[1]


@pytest.mark.parametrize(
    "turned",
    [
        {"truncation": "much"}, {"truncation": None}, {"directions": {"pc1": [1]}}, {"directions": {"nothing": 1}}, {"gains": [0.5] * 99},
        {"gains": [{}]}, {"plane": [1]}, {"plane": [1, 2, "NaN"]}, {"directions": {str(i): 1 for i in range(5000)}},
    ],
)  # fmt: skip
def test_what_no_dial_tells_is_refused_in_a_sentence(web: TestClient, turned: dict[str, object]) -> None:
    answer = web.post("/drawing/picture", json={"query": "checkpoint=tiny&seeds=0", "turned": turned})
    assert answer.status_code == 422 and answer.json()["detail"].endswith((".", "?")), answer.text
    for body in (b"", b"[" * 9000, b"3", b'{"query": 3}', b'{"turned": {}}', b'{"query": "checkpoint=tiny&seeds=0-40"}', b"\xff"):
        assert web.post("/drawing/picture", content=body).status_code == 422, body


def numbers(packed: str, blocks: int, size: int) -> np.ndarray:
    return np.frombuffer(base64.b64decode(packed), "<f4").reshape(-1, blocks, size)


@pytest.mark.parametrize(
    ("query", "words", "status"),
    [
        ("checkpoint=../tiny&seeds=0", "../tiny", 404),
        ("checkpoint=tiny&seeds=0-40", "40", 422),
        ("checkpoint=tiny&seeds=0&directions=nothing%3D1", "nothing", 422),
        (Walk(stops=(Recipe(checkpoint="tiny", seeds=(0,)), Recipe(checkpoint="tiny", seeds=(1,)))).to_query(), "grid", 422),
        ("\udcff".encode(errors="surrogateescape"), "checkpoint", 404),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_a_sentence(web: TestClient, query: str | bytes, words: str, status: int) -> None:
    answer = web.post("/drawing/stand", content=query)
    assert answer.status_code == status and words in answer.json()["detail"].lower() and answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(("path", "fps", "frames"), [("z", 24, 48), ("w", 60, 60)])
def test_a_films_frames_are_told(
    web: TestClient, library: Library, monkeypatch: pytest.MonkeyPatch, path: Literal["z", "w"], fps: int, frames: int
) -> None:
    """All of them, or as many as a page can keep; what is said of each draws the frame of the film."""
    sampler = library.sampler("tiny")
    blocks, size = len(sampler.card.arch.block_resolutions), sampler.card.arch.w_dim
    monkeypatch.setattr("resgen.studio.drawing.FILM_LATENTS", 60 * blocks * size)
    stops = (Recipe(checkpoint="tiny", seeds=(3,), residual_gains=(1, 0.5, 1)), Recipe(checkpoint="tiny", seeds=(4,), directions=(("pc1", 2.0),)))
    walk = Walk(stops=stops, seconds=2, fps=fps, path=path, loop=False)
    told = web.post("/drawing/film", content=walk.to_query()).raise_for_status().json()
    assert told["count"] == frames and told["stops"] == [0, frames - 1]
    w, gains = numbers(told["w"], blocks, size), numbers(told["gains"], 1, blocks)[:, 0]
    with torch.inference_mode():
        drawn = to_pixels(sampler.generator.synthesise(torch.tensor(w), torch.tensor(gains)))
    film = np.stack(list(stream_frames(walk.changed(fps=frames // 2), sampler)))
    assert np.abs(drawn.astype(int) - film).max() <= 1


def test_of_a_long_film_of_large_images_as_much_is_drawn_and_told_as_fits(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    each = library.card("tiny").arch.resolution ** 2
    monkeypatch.setattr("resgen.studio.drawing.FILM_PIXELS", 16 * each)
    renderer = Renderer(library, OWN.with_limits([f"pixels={7 * each}"]))
    walk = Walk(stops=tuple(Recipe(checkpoint="tiny", seeds=(seed,)) for seed in (3, 4)), seconds=60, loop=False)
    film = renderer.film_view(walk)
    assert (film["frames"], film["stops"], film["seconds"]) == (7, [0, 6], 60)
    with TestClient(Starlette(routes=Drawing(renderer).routes())) as client:
        told = client.post("/drawing/film", content=walk.to_query()).raise_for_status().json()
        assert told["count"] == 16 and told["stops"] == [0, 15]
        picture = Image.open(io.BytesIO(client.get(f"/drawing/link.jpg?{walk.to_query()}").raise_for_status().content))
        assert picture.size == (1200, 600), "two rows of four"


@pytest.mark.parametrize(
    ("asked", "query"),
    [
        ("stand", "checkpoint=tiny&seeds=0"),
        ("film", Walk(stops=(Recipe(checkpoint="tiny", seeds=(0,)), Recipe(checkpoint="tiny", seeds=(1,)))).to_query()),
    ],
)
def test_where_images_stand_is_told_at_once_also_while_long_work_takes_its_time(library: Library, asked: str, query: str) -> None:
    renderer, began, free = Renderer(library), Event(), Event()

    def take_long() -> Work[None]:
        began.set()
        free.wait(60)
        yield 1, 1

    with TestClient(Starlette(routes=Drawing(renderer).routes())) as client:
        client.post(f"/drawing/{asked}", content=query).raise_for_status()  # from now on it is known how long that takes
        long = Thread(target=lambda: finish(renderer.turns.share(take_long())))
        long.start()
        assert began.wait(20)
        (late := Timer(20, free.set)).start()  # where it is not, this goes on, too late
        client.post(f"/drawing/{asked}", content=query).raise_for_status()
    assert not free.is_set()
    late.cancel()
    free.set()
    long.join(20)


def test_only_a_walk_is_a_film(web: TestClient) -> None:
    answer = web.post("/drawing/film", content="checkpoint=tiny&seeds=0")
    assert answer.status_code == 422 and answer.json()["detail"] == "Only a walk is a film."


def test_what_cannot_be_told_now_is_asked_for_again(library: Library) -> None:
    renderer = Renderer(library)
    renderer.turns.stop()
    with TestClient(Starlette(routes=Drawing(renderer).routes())) as client:
        answer = client.post("/drawing/stand", content="checkpoint=tiny&seeds=0")
    assert answer.status_code == 503 and int(answer.headers["retry-after"]) > 0 and answer.headers["cache-control"] == "no-store"


def test_a_picture_of_a_link_is_drawn_once_and_weighed(library: Library) -> None:
    renderer = Renderer(library)
    with TestClient(Starlette(routes=Drawing(renderer).routes())) as client:
        first = client.get("/drawing/link.jpg?checkpoint=tiny&seeds=0-3").raise_for_status().content
        renderer.turns.stop()  # from now on nothing is drawn
        assert client.get("/drawing/link.jpg?checkpoint=tiny&seeds=0-3").raise_for_status().content == first
        assert client.get("/drawing/link.jpg?checkpoint=tiny&seeds=0-4").status_code == 503
    assert renderer._views.currsize == len(first)


def test_pictures_of_links_keep_no_page_waiting(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    renderer, free, asked = Renderer(library), Event(), list[str]()

    def slow(recipe: Recipe) -> bytes:
        asked.append(recipe.to_query())
        free.wait(20)
        return b""

    monkeypatch.setattr(renderer, "link_picture", slow)
    with TestClient(Starlette(routes=Drawing(renderer).routes())) as client:
        crawlers = [Thread(target=client.get, args=(f"/drawing/link.jpg?checkpoint=tiny&seeds={seed}",)) for seed in range(8)]
        for crawler in crawlers:
            crawler.start()
        until(lambda: len(asked) == 2, 20)
        (late := Timer(20, free.set)).start()  # where pages do wait, this goes on, too late
        client.post("/drawing/stand", content="checkpoint=tiny&seeds=0").raise_for_status()
        assert len(asked) == 2 and not free.is_set()
        late.cancel()
        free.set()
        for crawler in crawlers:
            crawler.join(20)
    assert len(asked) == 8


def test_nothing_but_what_draws_is_served(web: TestClient, tiny_folder: Path) -> None:
    assert "import" in web.get("/drawing/studio/static/preview.js").raise_for_status().text
    assert "export class Renderer" in web.get("/drawing/site/static/renderer.js").raise_for_status().text
    outside = ("..", "%2e%2e", "..%2f..", "%2e%2e%2f%2e%2e")
    for up, place in itertools.product(outside, ("site/static", "studio/static", "graphs", "runtime", "generators")):
        for wanted in ("drawing.py", "app.py", "package.json", str(tiny_folder / "tiny.safetensors"), "tiny.safetensors", "etc/passwd"):
            assert web.get(f"/drawing/{place}/{up}/{wanted}").status_code in (404, 405), (up, place, wanted)
    for name in ("nobody/nothing", "damaged", "tiny.safetensors"):
        assert web.get(f"/drawing/generators/{name}").status_code == 404
