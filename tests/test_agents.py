"""Agents: the tools of the Model Context Protocol, called with its own client."""

import asyncio
import base64
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from PIL import Image

from resgen.grid import compose
from resgen.library import Library
from resgen.plates import draw
from resgen.recipe import Recipe
from resgen.studio.app import build
from resgen.work import finish


@pytest.fixture(scope="module")
def url(tiny_folder: Path) -> Iterator[str]:
    demo = build(tiny_folder, "cpu")
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, mcp_server=True)
    yield f"{url}gradio_api/mcp/"
    demo.close()


def ask(url: str, tool: str, **arguments: Any) -> list[Any]:
    """What a tool whose name ends so answers: a list of contents."""

    async def call() -> list[Any]:
        async with streamable_http_client(url) as (read, write, _), ClientSession(read, write) as session:
            await session.initialize()
            tools = {found.name for found in (await session.list_tools()).tools}
            (name,) = (found for found in tools if found.endswith(tool))
            answer = await session.call_tool(name, arguments)
            assert not answer.isError, answer.content
            return list(answer.content)

    with ThreadPoolExecutor(1) as pool:  # in a thread of its own: a browser's test may have left a loop running in this one
        return pool.submit(asyncio.run, call()).result()


def pixels(contents: list[Any]) -> np.ndarray:
    """The first picture among contents."""
    data = next(content.data for content in contents if content.type == "image")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))


def text(contents: list[Any]) -> str:
    return " ".join(content.text for content in contents if content.type == "text")


def test_pictures_are_drawn_for_agents(url: str, tiny_folder: Path) -> None:
    drawn = pixels(ask(url, "render", checkpoint="tiny", seeds="3", classes="disc", scale=1))
    wanted = Library(tiny_folder, "cpu").sampler("tiny").render(Recipe(checkpoint="tiny", seeds=(3,), classes=("disc",)))[0]
    assert np.array_equal(drawn, wanted)


def test_an_agent_explores_in_words(url: str, tiny_folder: Path) -> None:
    recipe = Recipe(checkpoint="tiny", seeds=(5,), scale=6)
    for words, wanted in (("", recipe), ("more of pc1, as square", recipe.changed(directions=(("pc1", 1.0),), classes=("square",)))):
        drawn = pixels(ask(url, "explore", checkpoint="tiny", seeds="5", words=words))
        assert np.array_equal(drawn, np.asarray(compose(finish(draw(wanted, Library(tiny_folder, "cpu").sampler)))))


def test_an_agent_gets_a_film_and_the_names_of_what_there_is(url: str) -> None:
    film = ask(url, "walk", checkpoint="tiny", stops="1,2", seconds=0.5, format="webp")
    assert "walk.webp" in text(film)  # where it is; of a film, contents show its first frame alone
    assert "pc1" in text(ask(url, "checkpoints"))
