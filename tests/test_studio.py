"""The studio's server side: the renderer, and the public endpoints through gradio_client."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gradio_client import Client, handle_file
from PIL import Image

from resgen import grid
from resgen.checkpoint import load_checkpoint
from resgen.composite import AnatomyOf, Comparison, StyleMix, Walk, read, read_query
from resgen.errors import CheckpointError, RecipeError
from resgen.plates import draw
from resgen.recipe import Recipe
from resgen.sampler import load
from resgen.studio.about import describe_fully
from resgen.studio.app import build, launch_options
from resgen.studio.renderer import Renderer


@pytest.fixture(scope="module")
def client(tiny_folder: Path) -> Iterator[Client]:
    demo = build(tiny_folder, "cpu")
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, **launch_options())
    yield Client(url, verbose=False)
    demo.close()


def test_only_the_documented_endpoints_are_public(client: Client) -> None:
    named = client.view_api(return_format="dict", print_info=False)["named_endpoints"]  # type: ignore[index]
    assert set(named) == {"/render", "/walk", "/invert", "/curate", "/checkpoints"}


def test_render_gives_the_picture_of_the_recipe(client: Client, tiny_folder: Path) -> None:
    path = client.predict("tiny", "0-3", "disc,square", "", 0.8, "pc1=1", 4, 2, "", "", "", "", api_name="/render")
    recipe = Recipe(checkpoint="tiny", seeds=(0, 1, 2, 3), classes=("disc", "square"), truncation=0.8, directions=(("pc1", 1.0),), columns=4, scale=2)
    expected = grid.compose(draw(recipe, lambda name: load(name, "cpu", tiny_folder)))
    assert np.array_equal(np.asarray(Image.open(path)), np.asarray(expected))
    assert grid.read_recipe(Path(path))[0] == recipe


def test_the_example_of_the_readme_works(client: Client) -> None:
    path = client.predict(checkpoint="tiny", seeds="0-3", classes="disc", truncation=0.8, api_name="/render")
    assert grid.read_recipe(Path(path))[0] == Recipe("tiny", (0, 1, 2, 3), classes=("disc",), truncation=0.8)


def test_bad_requests_get_one_sentence(client: Client) -> None:
    for arguments in (("tiny", "3-"), ("../tiny", "1"), ("tiny", "0-99999")):
        with pytest.raises(Exception, match=r"Seeds|no checkpoint"):
            client.predict(*arguments, "", "", 1, "", 8, 3, "", "", "", "", api_name="/render")


def test_checkpoints_are_listed(client: Client) -> None:
    assert {card["name"] for card in client.predict(api_name="/checkpoints")} == {"tiny", "plain"}


def test_a_damaged_checkpoint_is_listed_last_and_refused_when_chosen(tiny_folder: Path, tmp_path: Path) -> None:
    shutil.copy(tiny_folder / "tiny.safetensors", tmp_path)
    (tmp_path / "aaa-cut.safetensors").write_bytes(b"short")
    renderer = Renderer(tmp_path, "cpu")
    assert renderer.names() == ["tiny", "aaa-cut"]
    with pytest.raises(CheckpointError, match="damaged"):
        renderer.view(Recipe(checkpoint="aaa-cut"))
    assert renderer.view(Recipe(checkpoint="tiny"))["captions"][1].endswith("seed 1")


def test_a_card_is_told_with_each_stage_of_its_training(tiny_folder: Path) -> None:
    tiny = load_checkpoint(tiny_folder / "tiny.safetensors")
    training = {"images_seen": 9, "command": "resgen train", "stages": [{"from_image": 5, "command": "resgen train --resume"}]}
    assert "resgen train\n# from image 5 on\nresgen train --resume" in describe_fully(replace(tiny, training=training))


def test_a_browser_is_not_asked_to_show_thousands(tiny_folder: Path) -> None:
    with pytest.raises(RecipeError, match="400"):
        Renderer(tiny_folder, "cpu").view(Recipe(checkpoint="tiny", seeds=tuple(range(401))))


def test_a_replaced_file_is_loaded_again(tiny_folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "x.safetensors"
    shutil.copy(tiny_folder / "tiny.safetensors", target)
    renderer = Renderer(tmp_path, "cpu")
    assert len(renderer.sampler("x").checkpoint.classes) == 3
    shutil.copy(tiny_folder / "plain.safetensors", target)
    assert renderer.sampler("x").checkpoint.classes == ()


def test_every_kind_of_picture_comes_from_its_recipe(client: Client, tiny_folder: Path) -> None:
    one, two = Recipe("tiny", (1,), columns=1), Recipe("tiny", (2,), classes=("disc",), columns=1)
    for recipe in (
        StyleMix((one, two), (two,), (1, 2), 2),
        AnatomyOf(one),
        Comparison(Recipe("tiny", (1, 2)), ("tiny", "tiny")),
        Recipe("tiny", plane=(1.5, 2.0, 0.5), columns=3),
        Recipe("tiny", (1, 2), sweep="pc1", columns=5, edits=((1, (("pc2", 2.0),)),)),
    ):
        path = client.predict("", "", "", "", 1, "", 8, 3, "", "", "", recipe.to_json(), api_name="/render")
        expected = grid.compose(draw(recipe, lambda name: load(name, "cpu", tiny_folder)))
        assert np.array_equal(np.asarray(Image.open(path)), np.asarray(expected)), recipe
        assert grid.read_recipe(Path(path))[0] == recipe


def test_a_film_comes_with_its_recipe(client: Client) -> None:
    path = client.predict("tiny", "1,2@disc", 0.5, 10, False, "w", 1, 2, "gif", api_name="/walk")
    walk, _ = grid.read_recipe(Path(path))
    assert isinstance(walk, Walk) and walk.frames == 5 and walk.stops[1].classes == ("disc",)
    with pytest.raises(Exception, match="two images"):
        client.predict("tiny", "1", 1, 10, True, "z", 1, 2, "mp4", api_name="/walk")


def test_an_image_is_inverted(client: Client, tiny_folder: Path, tmp_path: Path) -> None:
    target = load("tiny", "cpu", tiny_folder).render(Recipe("tiny", (5,)))[0]
    Image.fromarray(target).save(tmp_path / "photo.png")
    found = client.predict(handle_file(tmp_path / "photo.png"), "tiny", 60, api_name="/invert")
    again = load("tiny", "cpu", tiny_folder).render(Recipe.from_dict(found["recipe"]))[0]
    assert found["psnr"] > 25 and abs(again.astype(int) - target).mean() < 15


def test_curating_without_a_feature_network_says_so(client: Client) -> None:
    with pytest.raises(Exception, match="no feature network"):
        client.predict("tiny", "", 20, 5, "Confidence", 0, api_name="/curate")


def test_links_of_every_kind_are_read_back() -> None:
    one, two = Recipe("tiny", (1,), columns=1), Recipe("tiny", (2,), columns=1)
    for recipe in (StyleMix((one,), (two,), (0,)), Walk((one, two), 2.5, 12, False, "w", 3), Comparison(one, ("a", "b")), AnatomyOf(one), one):
        assert read_query(recipe.to_query()) == recipe
        assert read(recipe.to_json()) == recipe


@pytest.mark.parametrize(
    "bad",
    [
        '{"kind": "mix"}',
        '{"kind": "walk", "stops": [], "seconds": 1}',
        '{"kind": "walk", "stops": 3}',
        '{"kind": "dance"}',
        '{"kind": "compare", "recipe": {"seeds": "1"}, "checkpoints": [1]}',
        '{"kind": "anatomy", "recipe": {"seeds": "1-5"}}',
        '{"kind": "walk", "stops": [{"seeds": "1"}, {"seeds": "2"}], "seconds": 1e9}',
        '{"kind": "walk", "stops": [{"seeds": "1"}, {"seeds": "2"}], "loop": 1}',
        '{"kind": "mix", "extra": 1}',
        "[1]",
    ],
)
def test_recipes_of_recipes_are_checked(bad: str) -> None:
    with pytest.raises(RecipeError):
        read(bad)
