"""What whoever previews a link is told, before a script of the page runs."""

import io
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from resgen.composite import Walk
from resgen.library import Library
from resgen.recipe import Recipe
from resgen.studio.app import build

LINK = "checkpoint=tiny&seeds=1-6&columns=3"


@pytest.fixture(scope="module")
def web(tiny_folder: Path) -> Iterator[httpx.Client]:
    demo = build(tiny_folder, "cpu")
    demo.launch(prevent_thread_lock=True, quiet=True)
    with httpx.Client(base_url=demo.local_url or "", timeout=60) as web:
        yield web
    demo.close()


class Head(HTMLParser):
    """The metas of a page by their names, whether each script is fetched, in their order, and what scripts show to be allowed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.metas, self.scripts, self.nonces = dict[str, str](), list[bool](), set[str | None]()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        if tag == "meta" and (name := told.get("property") or told.get("name")):
            assert name not in self.metas, "said twice"
            self.metas[name] = told.get("content") or ""
        if tag == "script":
            self.scripts.append("src" in told)
            self.nonces.add(told.get("nonce"))


def head(web: httpx.Client, query: str) -> Head:
    answer = web.get(f"/?{query}").raise_for_status()
    assert int(answer.headers["content-length"]) == answer.num_bytes_downloaded
    return Head(answer.text)


def test_a_links_preview_is_its_picture(web: httpx.Client, tiny_folder: Path) -> None:
    page = head(web, LINK)
    assert page.metas["og:title"] == "Images by tiny - ResGen" and page.metas["og:url"] == f"{web.base_url}?{LINK}"
    assert not page.scripts[0], "what must come first is fetched"
    answer = web.get(page.metas["og:image"]).raise_for_status()
    assert answer.headers["content-type"] == "image/jpeg"
    shown = Image.open(io.BytesIO(answer.content))
    assert shown.size == (1200, 800)
    small = np.asarray(shown.resize((48, 32), Image.Resampling.BOX), int)
    drawn = Library(tiny_folder, "cpu").sampler("tiny").render(Recipe(checkpoint="tiny", seeds=tuple(range(1, 7)))).astype(int)
    for place in range(len(drawn)):
        row, column = divmod(place, 3)
        off = [np.abs(small[16 * row : 16 * row + 16, 16 * column : 16 * column + 16] - other).mean() for other in drawn]
        assert int(np.argmin(off)) == place and off[place] < 12


def test_behind_a_proxy_the_picture_is_where_the_page_is(web: httpx.Client) -> None:
    metas = Head(web.get(f"/?{LINK}", headers={"x-forwarded-host": "example.org", "x-forwarded-proto": "https"}).text).metas
    assert metas["og:image"] == f"https://example.org/drawing/link.jpg?{LINK}"


def test_of_a_film_its_link_shows_all_of_the_way(web: httpx.Client, tiny_folder: Path) -> None:
    walk = Walk(stops=tuple(Recipe(checkpoint="tiny", seeds=(seed,)) for seed in (0, 1)), seconds=4, fps=24)
    picture = Image.open(io.BytesIO(web.get(f"/drawing/link.jpg?{walk.to_query()}").raise_for_status().content))
    assert picture.size == (1200, 600), "two rows of four frames"
    small = np.asarray(picture.resize((64, 32), Image.Resampling.BOX), int)
    drawn = Library(tiny_folder, "cpu").sampler("tiny").render(Recipe(checkpoint="tiny", seeds=(0, 1))).astype(int)
    for stop, frame in enumerate(walk.thinned(8).stop_frames):
        row, column = divmod(frame, 4)
        off = [np.abs(small[16 * row : 16 * row + 16, 16 * column : 16 * column + 16] - other).mean() for other in drawn]
        assert int(np.argmin(off)) == stop and off[stop] < 12


def test_what_a_link_names_by_the_way_is_shown_whoever_draws_it(web: httpx.Client, tiny_folder: Path) -> None:
    """Seeds that are those of a recipe of which nothing is said, too."""
    best = Library(tiny_folder, "cpu").first()
    said = Recipe(seeds=tuple(range(16)), columns=4)
    alone, named = (web.get(f"/drawing/link.jpg?{one.to_query()}").content for one in (said, said.changed(checkpoint=best)))
    assert alone == named


def test_every_kind_of_link_has_a_picture_and_so_has_none(web: httpx.Client, tiny_folder: Path) -> None:
    walk = Walk(stops=(Recipe(checkpoint="tiny", seeds=(0,)), Recipe(checkpoint="tiny", seeds=(1,))), seconds=60, fps=30)
    column = Recipe(checkpoint="tiny", seeds=tuple(range(400)), columns=1, sweep="")
    best = Library(tiny_folder, "cpu").first()
    some = Recipe(seeds=(7,), truncation=0.0)  # by the best generator
    assert web.get(f"/drawing/link.jpg?{some.to_query()}").content == web.get(f"/drawing/link.jpg?{some.changed(checkpoint=best).to_query()}").content
    titles = {walk.to_query(): "A film by tiny - ResGen", column.to_query(): "Images by tiny - ResGen", "": "ResGen"}
    for query, title in titles.items():
        metas = head(web, query).metas
        picture = Image.open(io.BytesIO(web.get(metas["og:image"]).raise_for_status().content))
        assert metas["og:title"] == title and max(picture.size) <= 1200 and min(picture.size) >= 200


@pytest.mark.parametrize(
    "query", ["checkpoint=%22%3E%3Cscript%3E&seeds=1", 'checkpoint="><script>', "checkpoint=nobody&seeds=1", "seeds=x", "walk=%7B"]
)
def test_a_link_that_says_nothing_true_changes_no_page(web: httpx.Client, query: str) -> None:
    plain, page = head(web, ""), head(web, query)
    assert page.metas["og:title"] == "ResGen" and page.metas.keys() == plain.metas.keys() and page.scripts == plain.scripts
    refused = web.get(page.metas["og:image"])
    assert refused.status_code in (404, 422) and refused.json()["detail"].endswith(".")


def test_a_page_runs_the_scripts_that_came_with_it_alone(web: httpx.Client) -> None:
    nonces = list[str]()
    for _ in range(2):
        answer = web.get(f"/?{LINK}")
        [nonce] = Head(answer.text).nonces
        assert nonce and f"'nonce-{nonce}'" in answer.headers["content-security-policy"]
        nonces.append(nonce)
    assert nonces[0] != nonces[1], "whoever has seen one page could write a script for another"
