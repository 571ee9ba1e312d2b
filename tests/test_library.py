import gc
import hashlib
import os
import shutil
import subprocess
import sys
import threading
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import resgen
from resgen import library as module
from resgen.architecture import Generator
from resgen.checkpoint import Checkpoint, file_hash, load_checkpoint, save_card
from resgen.composite import Comparison, Walk
from resgen.errors import CheckpointError
from resgen.library import Library, list_checkpoints, load
from resgen.recipe import Recipe
from resgen.sampler import Sampler
from resgen.studio.renderer import Renderer
from tests.conftest import with_pipes


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    """A copy of the tiny checkpoints to change."""
    return shutil.copytree(tiny_folder, tmp_path / "checkpoints")


def test_names_in_the_folder_and_snapshots_are_found(library: Library, tiny_folder: Path) -> None:
    assert library.names() == ["tiny", "plain"] and library.snapshots("tiny") == ["tiny@500"]
    assert library.path("tiny") == tiny_folder / "tiny.safetensors"
    assert library.path("tiny@500") == tiny_folder / "snapshots" / "tiny" / "500.safetensors"
    assert library.card("tiny@500").name == library.sampler("tiny@500").card.name == "tiny@500"


@pytest.mark.parametrize(
    "name", ["nobody", "../tiny", "", "a b", ".", "tiny@", "tiny@1", "../snapshots/tiny@500", "tiny@../tiny/500", "tiny.safetensors"]
)
def test_nothing_else_is_found(library: Library, name: str) -> None:
    for look in (library.path, library.card, library.sampler):
        with pytest.raises(CheckpointError, match="There is no checkpoint"):
            look(name)


def test_a_recipe_cannot_name_a_path_or_a_repository(library: Library, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "fetch", lambda *_: pytest.fail("a stranger's recipe reached the Hub"))
    monkeypatch.chdir(tiny_folder)
    for name in (str(tiny_folder / "tiny.safetensors"), "tiny.safetensors", "./tiny.safetensors", "owner/name"):
        with pytest.raises(CheckpointError):
            library.sampler(name)


def test_what_identifies_a_checkpoint_is_worked_out_once_however_few_stay_loaded(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[Path] = []
    monkeypatch.setattr(module, "SAMPLERS_KEPT", 1)
    monkeypatch.setattr(module, "load_checkpoint", lambda path: loaded.append(path) or load_checkpoint(path))
    shelf = Library(tiny_folder, "cpu")
    first = [shelf.sha256(name) for name in ("tiny", "plain")]
    assert [shelf.sha256(name) for name in ("tiny", "plain")] == first == [shelf.sampler(name).checkpoint.sha256 for name in ("tiny", "plain")]
    assert len(loaded) <= 4


def test_a_path_that_a_user_gives_is_found_by_its_name_from_then_on(tiny_folder: Path, tmp_path: Path) -> None:
    shutil.copy(tiny_folder / "tiny.safetensors", tmp_path / "mine.safetensors")
    shelf = Library(tiny_folder, "cpu")
    with pytest.raises(CheckpointError):
        shelf.path("mine")
    assert shelf.add(str(tmp_path / "mine.safetensors")) == "mine" and shelf.sampler("mine").card.name == "mine"
    assert shelf.add("tiny") == "tiny" and shelf.path("mine") == tmp_path / "mine.safetensors"
    for wrong in ("nobody", "", str(tmp_path / "none.safetensors")):
        with pytest.raises(CheckpointError, match="There is no checkpoint"):
            shelf.add(wrong)


def test_a_path_object_is_as_good_as_its_text_and_a_file_of_another_program_is_told(tiny_folder: Path, tmp_path: Path) -> None:
    library = Library(tiny_folder, "cpu")
    assert library.add(tiny_folder / "plain.safetensors") == "plain"
    (tmp_path / "net.pth").write_bytes(b"x")
    with pytest.raises(CheckpointError, match="resgen import"):
        library.add(str(tmp_path / "net.pth"))


def test_a_repository_of_the_hub_is_fetched_when_a_user_names_it(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "fetch", lambda *_: tiny_folder / "plain.safetensors")
    assert Library(tiny_folder, "cpu").add("owner/name") == "plain"
    with pytest.raises(CheckpointError, match="There is no checkpoint"):
        Library(tiny_folder, "cpu").add("owner/mistyped.safetensors")


@with_pipes
def test_a_damaged_file_is_listed_last_and_refused_when_chosen(folder: Path) -> None:
    (folder / "aaa-cut.safetensors").write_bytes(b"short")
    os.mkfifo(folder / "pipe.safetensors")
    shelf = Library(folder, "cpu")
    assert shelf.names()[:2] == ["tiny", "plain"] and "aaa-cut" in shelf.names()
    assert [card.name for card in shelf.cards()] == ["tiny", "plain"] == [card["name"] for card in list_checkpoints(folder)]
    for name in ("aaa-cut", "pipe"):
        with pytest.raises(CheckpointError):
            shelf.sampler(name)


@pytest.mark.parametrize(("plain", "tiny", "first"), [(5, 9, "tiny"), (9, 5, "plain"), (9, 9, "tiny")])
def test_of_the_largest_the_longest_trained_come_first_and_then_those_of_more_classes(folder: Path, plain: int, tiny: int, first: str) -> None:
    tell(folder, plain={"training": {"images_seen": plain}}, tiny={"training": {"images_seen": tiny}})
    assert Library(folder, "cpu").names()[0] == first


@pytest.mark.parametrize(("precision", "recall", "first"), [(0.6, 0.5, "plain"), (0.9, 0.2, "tiny"), (0.2, 0.9, "tiny")])
def test_what_was_measured_counts_more_and_no_more_than_the_worse_of_it(folder: Path, precision: float, recall: float, first: str) -> None:
    real = {"real_test_lite2_precision": 0.8, "real_test_lite2_recall": 0.8}
    longer = {"training": {"images_seen": 9}, "metrics": {"lite2_precision": 0.4, "lite2_recall": 0.4} | real}
    tell(folder, plain={"metrics": {"lite2_precision": precision, "lite2_recall": recall} | real}, tiny=longer)
    assert Library(folder, "cpu").names()[0] == first


def tell(folder: Path, **facts: dict[str, Any]) -> None:
    """Write other facts on checkpoints' cards."""
    shelf = Library(folder, "cpu")
    for name, told in facts.items():
        save_card(replace(shelf.card(name), **told), shelf.path(name))


def test_a_sampler_is_loaded_once_and_again_when_its_file_changes(folder: Path) -> None:
    shelf = Library(folder, "cpu")
    first = shelf.sampler("tiny")
    assert shelf.sampler("tiny") is first
    shutil.copy(folder / "plain.safetensors", folder / "tiny.safetensors")
    assert shelf.sampler("tiny") is not first and shelf.card("tiny").classes == shelf.sampler("tiny").card.classes == ()


def test_what_was_used_longest_ago_is_let_go(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    largest = max(Library(folder, "cpu").sampler(name).bytes for name in ("tiny", "plain", "tiny@500"))
    monkeypatch.setattr(module, "SAMPLERS_KEPT", 2 * largest)
    shelf = Library(folder, "cpu")
    kept, dropped = shelf.sampler("tiny"), weakref.ref(shelf.sampler("plain"))
    assert shelf.sampler("tiny") is kept  # used again
    shelf.sampler("tiny@500")
    gc.collect()
    assert dropped() is None, "it takes up memory for ever"
    assert shelf.sampler("tiny") is kept and len(shelf._locks) == 0


def test_samplers_and_networks_kept_are_bounded() -> None:
    shelf = Library(device="cpu")
    assert shelf._samplers.maxsize <= 10**9 and shelf._features.maxsize <= 8
    sampler = shelf.sampler(shelf.first())
    assert sampler.bytes >= shelf.path(shelf.first()).stat().st_size and shelf._samplers.currsize == sampler.bytes


def test_a_generator_for_which_there_is_no_memory_is_passed_over_and_tried_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = Library(folder, "cpu")
    first, second = shelf.names()[:2]
    build = Checkpoint.build

    def short(checkpoint: Checkpoint) -> Generator:
        if checkpoint.name == first:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return build(checkpoint)

    monkeypatch.setattr(Checkpoint, "build", short)
    assert shelf.first() == second and [name for name, _ in Renderer(shelf).samples()] == [second]
    monkeypatch.undo()
    assert shelf.first() == first and not shelf.fault(first)


def test_many_who_ask_at_once_share_one_and_nobody_waits_for_another(library: Library, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf, loads, go = Library(folder, "cpu"), [], threading.Event()

    def slow(path: Path):
        loads.append(path.stem)
        if path.stem == "tiny":
            go.wait(30)
        return load_checkpoint(path)

    monkeypatch.setattr(module, "load_checkpoint", slow)
    found: list[Sampler] = []
    threads = [threading.Thread(target=lambda: found.append(shelf.sampler("tiny"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert shelf.sampler("plain").card.name == "plain"  # while 'tiny' is being loaded
    go.set()
    for thread in threads:
        thread.join(30)
    assert loads.count("tiny") == 1 and len(found) == 4 and len(set(map(id, found))) == 1


def test_a_load_that_failed_is_tried_again(folder: Path) -> None:
    whole = (folder / "tiny.safetensors").read_bytes()
    (folder / "tiny.safetensors").write_bytes(b"short")
    shelf = Library(folder, "cpu")
    with pytest.raises(CheckpointError):
        shelf.sampler("tiny")
    (folder / "tiny.safetensors").write_bytes(whole)
    assert shelf.sampler("tiny").card.classes and not shelf._locks


def test_a_classifier_knows_the_very_classes(folder: Path) -> None:
    """The other network beside it has as many classes, and comes first by its name."""
    shelf = Library(folder, "cpu")
    assert shelf.classifier("tiny") is shelf.features("tiny") is shelf.classifier("tiny@500")
    for name in ("plain", "tiny"):
        (folder / "features" / "tiny.safetensors").unlink(missing_ok=True)
        with pytest.raises(CheckpointError, match="no classifier"):
            shelf.classifier(name)
    assert shelf.features("tiny") is not None, "any network guides a search"


def test_without_networks_there_is_no_classifier(folder: Path) -> None:
    shutil.rmtree(folder / "features")
    shelf = Library(folder, "cpu")
    assert shelf.features("tiny") is None
    with pytest.raises(CheckpointError, match="train-features"):
        shelf.classifier("tiny")


def test_what_is_gone_is_passed_over(folder: Path) -> None:
    """A link whose file was taken away, sorted before all others."""
    (folder / "features").mkdir(exist_ok=True)
    (folder / "snapshots" / "gone").mkdir(parents=True)
    for place in ("features/a.safetensors", "snapshots/gone/4000.safetensors"):
        (folder / place).symlink_to(folder / "nothing.safetensors")
    library = Library(folder, "cpu")
    (folder / "snapshots" / "tiny" / "1000.safetensors").touch()
    assert library.snapshots("gone") == [] and library.snapshots("tiny") == ["tiny@500"]
    with pytest.raises(CheckpointError, match=r"1000.safetensors is damaged"):
        library.card("tiny@1000")
    assert all(isinstance(library.has_classifier(name), bool) for name in library.names())
    with pytest.raises(CheckpointError, match=r"gone@4000"):
        library.card("gone@4000")
    kept = library.add(shutil.copyfile(folder / "tiny.safetensors", folder.parent / "elsewhere.safetensors"))
    (folder.parent / "elsewhere.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"elsewhere\.safetensors cannot be read: No such file"):
        library.card(kept)


def test_a_changed_network_is_seen(folder: Path) -> None:
    shelf = Library(folder, "cpu")
    first = shelf.classifier("tiny")
    (folder / "features" / "tiny.safetensors").write_bytes(b"short")
    with pytest.raises(CheckpointError):
        shelf.classifier("tiny")
    shutil.copy(folder / "features" / "clothes.safetensors", folder / "features" / "tiny.safetensors")
    assert shelf.features("tiny") is not first


def test_it_is_known_which_checkpoint_drew_a_picture(folder: Path) -> None:
    """By its tensors, whatever its card says; early versions noted the hash of the whole file."""
    shelf, recipe = Library(folder, "cpu"), Recipe(checkpoint="tiny", seeds=(1,))
    sha256 = shelf.sampler("tiny").checkpoint.sha256
    early = hashlib.sha256((folder / "tiny.safetensors").read_bytes()).hexdigest()
    assert [shelf.replaced(recipe, noted) for noted in (sha256, early, "", "00")] == [[], [], [], ["tiny"]]
    assert shelf.replaced(Walk(stops=(recipe, recipe)), sha256) == [] and shelf.replaced(recipe.with_checkpoint("plain"), sha256) == ["plain"]
    both, plain = Comparison(recipe=recipe, checkpoints=("tiny", "plain")), shelf.sampler("plain").checkpoint.sha256
    assert [shelf.replaced(both, noted) for noted in (sha256, {"tiny": sha256, "plain": plain}, {"tiny": sha256}, {"nobody": "00"})] == [[]] * 4
    assert shelf.replaced(both, {"tiny": sha256, "plain": "00"}) == ["plain"] and shelf.replaced(both, {"tiny": "00", "plain": plain}) == ["tiny"]
    card = shelf.card("tiny")
    save_card(type(card)(card.name, card.arch, card.classes, card.direction_names, metrics={"recall": 0.5}), shelf.path("tiny"))
    assert shelf.replaced(recipe, sha256) == [] and shelf.card("tiny").metrics == {"recall": 0.5}


def test_folders_may_be_named_by_text(tiny_folder: Path) -> None:
    assert load("tiny", "cpu", str(tiny_folder)).card.name == "tiny" and list_checkpoints(str(tiny_folder))


def test_a_recipe_without_a_name_is_drawn_by_the_best(tiny_folder: Path) -> None:
    shelf, walk = Library(tiny_folder, "cpu"), Walk(stops=(Recipe(seeds=(1,)), Recipe(seeds=(2,))))
    assert shelf.named(Recipe(seeds=(1,))) == Recipe(checkpoint=shelf.first(), seeds=(1,)) and shelf.named(walk).checkpoint == shelf.first()
    named = Recipe(checkpoint="plain", seeds=(1,))
    assert shelf.named(named) is named


def test_all_that_is_offered_is_listed() -> None:
    told = subprocess.run([sys.executable, "-c", "import resgen; print(*dir(resgen))"], capture_output=True, text=True, check=True).stdout.split()
    assert {*resgen.__all__, "__version__"} <= {*told}


def test_a_sampler_comes_in_one_line(tiny_folder: Path) -> None:
    assert load("tiny", "cpu", tiny_folder).card.name == "tiny"
    assert load(str(tiny_folder / "plain.safetensors"), "cpu").card.name == "plain"


def test_pictures_of_early_versions_know_a_checkpoint_that_was_given_another_card(tiny_folder: Path, tmp_path: Path) -> None:
    """They noted the hash of the file as it was; a new card makes another file of the same generator."""
    path = tmp_path / "tiny.safetensors"
    path.write_bytes((tiny_folder / "tiny.safetensors").read_bytes())
    library, noted = Library(tmp_path, "cpu"), file_hash(path)
    for figure in (0.25, 0.5):
        save_card(replace(library.card("tiny"), metrics={"recall": figure}), path)
        assert file_hash(path) != noted and not library.replaced(Recipe(checkpoint="tiny"), noted)
    assert library.replaced(Recipe(checkpoint="tiny"), "0" * 64)
