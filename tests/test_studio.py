"""The studio's server side: the renderer, and the public endpoints through gradio_client."""

import shutil
import zipfile
from base64 import b64decode
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from threading import Event, Thread
from typing import Any

import gradio as gr
import numpy as np
import pytest
import torch
from gradio_client import Client, handle_file
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from resgen import grid
from resgen.budget import OWN
from resgen.card import Card
from resgen.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from resgen.composite import AnatomyOf, AnyRecipe, Comparison, StyleMix, Walk, read_dict
from resgen.errors import CheckpointError, RecipeError, ResGenError
from resgen.generator import GeneratorConfig, ResNetGenerator
from resgen.latents import Points
from resgen.library import Library
from resgen.notes import read_recipe
from resgen.plates import Plate, draw
from resgen.recipe import Recipe
from resgen.studio import renderer as renderer_module
from resgen.studio.about import describe_fully, history_table
from resgen.studio.app import Studio, build
from resgen.studio.drawing import Drawing
from resgen.studio.page import watched
from resgen.studio.renderer import Renderer, _size
from resgen.work import Work, finish


def drawn(recipe: AnyRecipe, folder: Path) -> np.ndarray:
    """The picture that the recipe is of."""
    return np.asarray(grid.compose(finish(draw(recipe, Library(folder, "cpu").sampler))))


# The public endpoints.


@pytest.fixture(scope="module")
def client(tiny_folder: Path) -> Iterator[Client]:
    demo = build(tiny_folder, "cpu")
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True)
    yield Client(url, verbose=False)
    demo.close()


def test_only_the_documented_endpoints_are_public(client: Client) -> None:
    named = client.view_api(return_format="dict", print_info=False)["named_endpoints"]  # type: ignore[index]
    assert set(named) == {"/render", "/explore", "/walk", "/invert", "/curate", "/checkpoints"}


def test_endpoints_are_told_their_fields_as_declared(client: Client) -> None:
    named: Any = client.view_api(return_format="dict", print_info=False)["named_endpoints"]  # type: ignore[index]
    names = {parameter["parameter_name"] for parameter in named["/render"]["parameters"]}
    assert {"checkpoint", "recipe", "seeds", "classes", "class_mix", "truncation", "directions", "gains", "columns", "scale"} <= names


def test_render_gives_the_picture_of_the_recipe(client: Client, tiny_folder: Path) -> None:
    path = client.predict(
        checkpoint="tiny",
        seeds="0-3",
        classes="disc,square",
        truncation=0.8,
        directions="pc1=1",
        gains="1,0.5,1",
        columns=4,
        scale=2,
        api_name="/render",
    )
    recipe = Recipe(
        checkpoint="tiny", seeds=(0, 1, 2, 3), classes=("disc", "square"), truncation=0.8, directions=(("pc1", 1.0),),
        residual_gains=(1, 0.5, 1), columns=4, scale=2,
    )  # fmt: skip
    assert np.array_equal(np.asarray(Image.open(path)), drawn(recipe, tiny_folder))
    assert read_recipe(Path(path))[0] == recipe


def test_bad_requests_get_one_sentence(client: Client) -> None:
    for checkpoint, seeds in (("tiny", "3-"), ("../tiny", "1"), ("tiny", "0-99999")):
        with pytest.raises(Exception, match=r"Seeds|no checkpoint|at most 400"):
            client.predict(checkpoint=checkpoint, seeds=seeds, api_name="/render")


def test_checkpoints_are_listed(client: Client) -> None:
    assert {card["name"] for card in client.predict(api_name="/checkpoints")} == {"tiny", "plain"}


def test_every_kind_of_picture_comes_from_its_recipe(client: Client, tiny_folder: Path) -> None:
    one, two = Recipe(checkpoint="tiny", seeds=(1,), columns=1), Recipe(checkpoint="tiny", seeds=(2,), classes=("disc",), columns=1)
    for recipe in (
        StyleMix(rows=(one, two), columns=(two,), blocks=(1, 2), scale=2),
        AnatomyOf(recipe=one),
        Comparison(recipe=Recipe(checkpoint="tiny", seeds=(1, 2)), checkpoints=("tiny", "tiny")),
        Recipe(checkpoint="tiny", plane=(1.5, 2.0, 0.5), columns=3),
        Recipe(checkpoint="tiny", seeds=(1, 2), sweep="pc1", columns=5, edits=((1, (("pc2", 2.0),)),)),
    ):
        path = client.predict(recipe=recipe.to_json(), api_name="/render")
        assert np.array_equal(np.asarray(Image.open(path)), drawn(recipe, tiny_folder)), recipe
        assert read_recipe(Path(path))[0] == recipe


def test_a_film_comes_with_its_recipe(client: Client) -> None:
    path = client.predict(
        stops="1,2@disc", checkpoint="tiny", truncation=0.5, format="gif", seconds=1, fps=10, loop=False, path="w", scale=2, api_name="/walk"
    )
    walk, _ = read_recipe(Path(path))
    assert isinstance(walk, Walk) and walk.frames == 10 and walk.stops[1].classes == ("disc",) and walk.path == "w" and not walk.loop
    with Image.open(path) as film:
        assert getattr(film, "n_frames", 1) == 10
    with pytest.raises(Exception, match="two images"):
        client.predict(stops="1", checkpoint="tiny", api_name="/walk")


def test_an_image_is_inverted(client: Client, tiny_folder: Path, tmp_path: Path) -> None:
    sampler = Library(tiny_folder, "cpu").sampler("tiny")
    target = sampler.render(Recipe(checkpoint="tiny", seeds=(5,)))[0]
    Image.fromarray(target).save(tmp_path / "photo.png")
    found = client.predict(handle_file(tmp_path / "photo.png"), "tiny", 60, api_name="/invert")
    recipe = read_dict(found["recipe"])
    assert isinstance(recipe, Recipe)
    assert found["psnr"] > 20 and np.abs(sampler.render(recipe)[0].astype(int) - target).mean() < 20


def test_the_best_are_drawn_as_truncated_as_was_asked(client: Client) -> None:
    assert client.predict(checkpoint="tiny", many=8, keep=2, truncation=0.5, api_name="/curate")["truncation"] == 0.5
    assert "truncation" not in client.predict(checkpoint="tiny", many=8, keep=2, api_name="/curate")


def test_no_more_are_kept_than_can_be_drawn(client: Client) -> None:
    with pytest.raises(Exception, match=f"at most {OWN.images} are possible here"):
        client.predict(checkpoint="tiny", many=500, keep=OWN.images + 1, api_name="/curate")


def test_curating_without_a_feature_network_says_so(client: Client) -> None:
    with pytest.raises(Exception, match="no classifier"):
        client.predict(checkpoint="plain", many=20, keep=5, api_name="/curate")


# The renderer.


@pytest.fixture
def broken(tiny_folder: Path, tmp_path: Path) -> Path:
    """A folder whose best checkpoint by its card holds numbers that are not finite."""
    shutil.copy(tiny_folder / "tiny.safetensors", tmp_path)
    good = load_checkpoint(tiny_folder / "tiny.safetensors")
    training = {"images_seen": 10**9}
    save_checkpoint(replace(good, card=replace(good.card, training=training), mean_w=good.mean_w * float("nan")), tmp_path / "nan.safetensors")
    return tmp_path


def test_a_checkpoint_that_draws_nothing_is_passed_over_and_listed_with_its_reason(broken: Path) -> None:
    renderer = Renderer(Library(broken, "cpu"))
    assert renderer.library.names() == ["nan", "tiny"] and renderer.library.first() == "tiny"
    assert renderer.library.names() == ["tiny", "nan"] and "not finite" in renderer.library.fault("nan")
    with gr.Blocks() as demo:
        studio = Studio(renderer, demo)
    assert studio.explore.first_picture().checkpoint == "tiny" and renderer.library.chosen("") == "tiny"
    assert studio.open_page("", False)[studio.explore.controls.checkpoint]["value"] == "tiny"
    shelf = {shelved["name"]: shelved for shelved in studio.about.fill_shelf(None)}
    assert shelf["tiny"]["view"] and shelf["nan"]["view"] is None and "not finite" in shelf["nan"]["facts"][0]


@pytest.mark.parametrize(
    ("limit", "name", "images"), [("images=24", "large", 24), ("images=20", "large", 12), ("pixels=1024", "large", 1), ("pixels=256", "tiny", 1)]
)
def test_a_page_opens_with_what_may_be_drawn(tiny_folder: Path, tmp_path: Path, limit: str, name: str, images: int) -> None:
    """The best generator's images would be more than the host gives, or already one of them; of its training a snapshot is damaged."""
    arch = GeneratorConfig(widths=(8, 8, 8, 8), z_dim=16, w_dim=12)
    weights, none = ResNetGenerator(arch).state_dict(), torch.zeros(0, 12)
    save_checkpoint(Checkpoint(Card("large", arch), weights, torch.zeros(1, 12), none), tmp_path / "large.safetensors")
    shutil.copy(tiny_folder / "tiny.safetensors", tmp_path)
    (tmp_path / "snapshots" / "large").mkdir(parents=True)
    (tmp_path / "snapshots" / "large" / "1000.safetensors").touch()
    renderer = Renderer(Library(tmp_path, "cpu"), OWN.with_limits([limit]))
    with gr.Blocks() as demo:
        studio = Studio(renderer, demo)
    first = studio.explore.first_picture()
    assert (first.checkpoint, first.count) == (name, images) and first.columns <= images
    assert studio.open_page("", False)[studio.explore.controls.checkpoint]["value"] == name
    with TestClient(Starlette(routes=Drawing(renderer).routes())) as client:
        assert client.get("/drawing/link.jpg").status_code == 200
    assert not studio.compare._learners() and renderer.library.snapshots("large") == []


@pytest.mark.parametrize("name", ["amount", "figure", "value", "variable", "0"])
def test_a_history_may_have_any_column(tiny_folder: Path, name: str) -> None:
    card = load_checkpoint(tiny_folder / "tiny.safetensors").card
    table = history_table(replace(card, training={"history": [{"images": 1, name: 0.5}, {"images": 2}, {name: 3}]}))
    assert table.to_dict("records") == [{"images": 1, "figure": name, "amount": 0.5}]


def test_a_comparison_is_as_large_as_its_largest_checkpoint(tiny_folder: Path, tmp_path: Path) -> None:
    shutil.copy(tiny_folder / "tiny.safetensors", tmp_path)
    torch.manual_seed(0)
    arch = GeneratorConfig(base_resolution=64, widths=(2, 2, 2, 2), z_dim=4, w_dim=4)
    weights = ResNetGenerator(arch).state_dict()
    save_checkpoint(Checkpoint(Card("large", arch), weights, torch.zeros(1, 4), torch.zeros(0, 4)), tmp_path / "large.safetensors")
    recipe = Recipe(checkpoint="tiny", seeds=tuple(range(200)))
    with pytest.raises(RecipeError, match="pixels"):
        Renderer(Library(tmp_path, "cpu")).check(Comparison(recipe=recipe, checkpoints=("tiny", "large")))


def test_a_card_is_told_with_each_stage_of_its_training(tiny_folder: Path) -> None:
    card = load_checkpoint(tiny_folder / "tiny.safetensors").card
    training = {"images_seen": 9, "command": "resgen train", "stages": [{"from_image": 5, "command": "resgen train --resume"}]}
    told = describe_fully(replace(card, training=training), 1000)
    assert "    resgen train\n    # from image 5 on\n    resgen train --resume" in told


def test_a_card_is_told_with_where_its_generator_comes_from_as_text_alone(tiny_folder: Path) -> None:
    card = load_checkpoint(tiny_folder / "tiny.safetensors").card
    told = describe_fully(replace(card, source={"file": "<b>net</b>.pth", "kind": "[dcgan](x)"}), 1000)
    assert r"**Imported**: &lt;b&gt;net&lt;\/b&gt;\.pth (\[dcgan\]\(x\))." in told
    assert "Imported" not in describe_fully(card, 1000)


def test_nothing_is_kept_of_an_ending_that_no_film_has(tiny_folder: Path) -> None:
    """Which a stranger may write a million letters of."""
    renderer = Renderer(Library(tiny_folder, "cpu"))
    with pytest.raises(RecipeError, match=r"Films are written as .mp4, .gif, .webp; .xxxxxxxxx is none"):
        finish(renderer.film(Walk(stops=(Recipe(checkpoint="tiny", seeds=(1,)),) * 2), "." + "x" * 1_000_000))
    assert not renderer.turns._steps


def test_a_browser_is_not_asked_to_show_thousands(tiny_folder: Path) -> None:
    renderer = Renderer(Library(tiny_folder, "cpu"))
    for recipe in (
        Recipe(checkpoint="tiny", seeds=tuple(range(401))),
        Comparison(recipe=Recipe(checkpoint="tiny", seeds=tuple(range(201))), checkpoints=("tiny", "tiny")),
        Recipe(checkpoint="tiny", plane=(1, 1, 1), columns=21),
    ):
        with pytest.raises(RecipeError, match="400"):
            renderer.view(recipe)


@pytest.mark.parametrize(("width", "kind"), [(9, "webp"), (16_383, "webp"), (16_384, "png")])
def test_every_pixel_reaches_the_page_as_it_is(width: int, kind: str, tiny_folder: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 2, width, 3), np.uint8)
    view = Renderer(Library(tiny_folder, "cpu")).view_plate(Plate(images, 1, 1, ("a", "b"), (None, None)), None, "")
    head, _, data = view["src"].partition(";base64,")
    assert head == f"data:image/{kind}"
    assert np.array_equal(np.asarray(Image.open(BytesIO(b64decode(data)))), images.reshape(4, width, 3))


def test_what_was_shown_is_not_drawn_again_but_by_another_generator(tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = Path(shutil.copy(tiny_folder / "tiny.safetensors", tmp_path / "x.safetensors"))
    renderer, recipe = Renderer(Library(tmp_path, "cpu")), Recipe(checkpoint="x", seeds=(1, 2))
    first = renderer.view(recipe)
    assert renderer.view(recipe) is first and renderer.view(recipe.changed(truncation=0.5))["src"] != first["src"]
    shutil.copy(tiny_folder / "plain.safetensors", target)
    assert renderer.view(recipe)["src"] != first["src"]
    kept = sum(map(_size, renderer._views.values()))
    monkeypatch.setattr("resgen.studio.renderer.KEPT_BYTES", kept + 1)
    renderer = Renderer(renderer.library)
    renderer.view(recipe)
    renderer.view(recipe.changed(seeds=tuple(range(100))))  # larger than all that may be kept
    renderer.view(recipe.changed(seeds=(3,)))
    assert 0 < sum(map(_size, renderer._views.values())) <= kept + 1


@pytest.mark.parametrize("made", ["png", "zip", "view", "ends", "stand", "film"])
def test_what_is_made_is_signed_by_who_drew_it_though_its_file_is_replaced_meanwhile(tiny_folder: Path, tmp_path: Path, made: str) -> None:
    """Whoever asks after that is drawn for by the new one."""
    target = Path(shutil.copy(tiny_folder / "tiny.safetensors", tmp_path / "x.safetensors"))
    library = Library(tmp_path, "cpu")
    before = library.sha256("x")
    renderer, drawing = Renderer(library), library.sampler("x").map
    recipe = Recipe(checkpoint="x", seeds=(1,))
    walk = Walk(stops=(recipe, recipe), seconds=0.2, fps=10)

    def ask() -> Any:
        if made in ("png", "zip"):
            return getattr(renderer, made)(recipe)
        if made in ("view", "ends"):
            return renderer.view(recipe)["src"] if made == "view" else renderer.ends(recipe, ["pc1"], 2.0)["src"]
        drawing = Drawing(renderer)
        return drawing._stand(recipe.to_query()) if made == "stand" else drawing._film(walk.to_query())

    def replaced(points: Points) -> torch.Tensor:
        shutil.copy(tiny_folder / "snapshots" / "tiny" / "500.safetensors", target)
        return drawing(points)

    library.sampler("x").map = replaced  # type: ignore[method-assign]
    first, second = ask(), ask()
    after = library.sha256("x")
    assert before != after
    if made in ("view", "ends"):
        assert first != second, "what was kept of the old one is not shown as the new one's"
        return
    for given, sha256 in ((first, before), (second, after)):
        if made == "zip":
            given = zipfile.ZipFile(BytesIO(given)).read("recipe.json")
        told = given["sha256"] if isinstance(given, dict) else given.decode(errors="replace")
        assert sha256 in told


def test_what_many_ask_for_at_once_is_drawn_once(tiny_folder: Path) -> None:
    """Where who draws it leaves, another does."""
    library = Library(tiny_folder, "cpu")
    renderer, recipe, drawn, found = Renderer(library), Recipe(checkpoint="tiny", seeds=(1,)), list[int](), list[Any]()
    begun, go_on, draw_batch = Event(), Event(), library.sampler("tiny")._draw_batch

    def slow(*values: Any) -> Any:
        drawn.append(1)
        begun.set()
        go_on.wait(20)
        if len(drawn) == 1:
            raise ResGenError("Whoever asked for this has gone.")
        return draw_batch(*values)

    def ask() -> None:
        with suppress(ResGenError):
            found.append(renderer.view(recipe))

    library.sampler("tiny")._draw_batch = slow  # type: ignore[method-assign]
    threads = [Thread(target=ask) for _ in range(5)]
    for thread in threads:
        thread.start()
        assert begun.wait(20)
    go_on.set()
    for thread in threads:
        thread.join(20)
    assert len(drawn) == 2 and len(found) == 4 and all(view is found[0] for view in found)


def test_of_large_images_at_the_ends_of_directions_no_more_are_kept_than_are_drawn_at_once(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = Library(tiny_folder, "cpu")
    each = library.card("tiny").arch.resolution ** 2
    renderer, told = Renderer(library, replace(OWN, pixels=2 * each)), list[str]()
    draw, small = renderer._draw_singles, renderer_module.thumbnail
    monkeypatch.setattr(renderer, "_draw_singles", lambda *words: told.append("draw") or draw(*words))
    monkeypatch.setattr(renderer_module, "thumbnail", lambda image: told.append("small") or small(image))
    assert len(renderer.ends(Recipe(checkpoint="tiny", seeds=(1,)), ["pc1", "pc2"], 2.0)["captions"]) == 4
    assert told == ["draw", "small", "small"] * 2


def test_a_search_that_cannot_begin_does_not_say_that_it_searches(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    renderer = Renderer(Library(tiny_folder, "cpu"))
    with gr.Blocks() as demo:
        screen = Studio(renderer, demo).invert
    told = list[Any]()

    def fail(_: str) -> None:
        raise CheckpointError("It is damaged.")

    monkeypatch.setattr(renderer.library, "features", fail)
    with pytest.raises(CheckpointError, match="damaged"):
        for updates in screen.find_latent({screen.checkpoint: "tiny", screen.steps: 20, screen.example_seed: 1}):
            told.append(updates[screen.result])
    assert not told


def test_long_work_ends_where_its_words_are_not_asked_for_any_more() -> None:
    ended = []

    def count() -> Work[str]:
        try:
            for step in range(100):
                yield step, 100
        finally:
            ended.append(step)
        return "done"

    assert list(watched(count(), "Counting"))[-1] == "done"
    told = watched(count(), "Counting")
    assert next(told) == "Counting: 0 of 100"
    told.close()  # type: ignore[attr-defined]
    assert ended == [99, 0]


def test_long_work_that_fails_does_not_say_how_far_it_is() -> None:
    def fail() -> Work[None]:
        yield 1, 100
        raise RecipeError("It failed.")

    told = watched(fail(), "Counting")
    assert [next(told), next(told)] == ["Counting: 1 of 100", "Not finished."]
    with pytest.raises(RecipeError, match="It failed"):
        next(told)
