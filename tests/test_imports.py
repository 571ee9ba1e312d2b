"""A file of another program becomes a checkpoint with which everything works that makes sense."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from resgen.card import read_card
from resgen.checkpoint import load_checkpoint, save_checkpoint
from resgen.cli import main
from resgen.composite import AnatomyOf, StyleMix, Walk
from resgen.errors import CheckpointError, RecipeError
from resgen.exports import export
from resgen.imports import import_file, read_settings
from resgen.interop.graph import GraphConfig
from resgen.interop.reading import ImportOptions
from resgen.invert import invert
from resgen.plates import draw
from resgen.recipe import Recipe
from resgen.sampler import Sampler
from resgen.work import finish
from tests.interop.states import PICKLES, their_file, told_of
from tests.interop.test_files import nested_classes_that_run_code

KINDS = (
    *("mimicry-cgan_pd-32", "mimicry-sngan-32", "dcgan-plain", "studiogan-big_resnet", "studiogan-deep_legacy", "r3gan-classes-32"),
    *("resnet-32.pkl", "skip-classes-32.pkl", "t-classes-32.pkl"),
)


def asked_of(name: str) -> ImportOptions:
    return ImportOptions() if name.endswith(".pkl") else ImportOptions(output="tanh", settings=told_of(name)["settings"])


@pytest.fixture(scope="module", params=KINDS)
def imported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Sampler:
    folder = tmp_path_factory.mktemp("imported")
    made = import_file(their_file(request.param, folder), "x", asked_of(request.param))
    save_checkpoint(made, folder / "x.safetensors", whole=True)
    return Sampler(load_checkpoint(folder / "x.safetensors"), "cpu")


def test_it_draws_as_its_network_does(imported: Sampler) -> None:
    arch = imported.card.arch
    images = imported.render(Recipe(seeds=(0, 1, 2), truncation=0.7))
    assert images.shape == (3, arch.resolution, arch.resolution, 3) and images.std() > 5
    assert (imported.render(Recipe(seeds=(2,), truncation=0.7))[0] == images[2]).all()
    assert len(imported.card.classes) == arch.num_classes and imported.card.source["file"].endswith((".pth", ".pkl"))


def test_truncation_ends_at_the_mean_of_the_class(imported: Sampler) -> None:
    w = imported.latents(Recipe(seeds=(0, 1), truncation=0, classes=imported.card.classes[:1]))
    mean = imported.checkpoint.mean_w[0].numpy()
    assert np.allclose(w[0], w[1]) and np.allclose(w[0], mean, atol=1e-6)
    assert imported.card.arch.mapped or np.allclose(mean[: imported.card.arch.z_dim], 0)


def test_each_block_has_a_style_where_it_reads_one(imported: Sampler) -> None:
    if imported.card.arch.styled:
        seed, other = Recipe(checkpoint="x", seeds=(1,)), Recipe(checkpoint="x", seeds=(2,))
        for block in range(len(imported.card.block_names)):
            images = finish(
                draw(StyleMix(rows=(seed,), columns=(other,), blocks=(block,)), lambda _: imported)
            ).images  # corner, column, row, mixture
            assert (images[3] != images[2]).any()


def test_directions_change_the_picture(imported: Sampler) -> None:
    assert {name[:2] for name in imported.card.direction_names} == {"pc", "se"}
    plain, moved = (imported.render(Recipe(seeds=(1,), directions=pairs)).astype(int) for pairs in ((), ((imported.card.direction_names[0], 3.0),)))
    assert abs(plain - moved).mean() > 0.5


def test_what_cannot_work_is_refused_and_all_else_works(imported: Sampler) -> None:
    arch, blocks = imported.card.arch, len(imported.card.block_names)
    seed, other = Recipe(checkpoint="x", seeds=(1,)), Recipe(checkpoint="x", seeds=(2,))
    assert len(finish(draw(Walk(stops=(seed, other)), lambda _: imported)).images) > 2
    rows = 3 if arch.dials else 1
    assert len(finish(draw(AnatomyOf(recipe=seed), lambda _: imported)).images) == rows * blocks
    mixing, dialled = StyleMix(rows=(seed,), columns=(other,), blocks=(0,)), Recipe(seeds=(1,), residual_gains=(0.0,) * blocks)
    for works, run in ((arch.styled, lambda: finish(draw(mixing, lambda _: imported))), (arch.dials, lambda: imported.render(dialled))):
        if works:
            run()
        else:
            with pytest.raises(RecipeError):
                run()


def test_silent_branches_leave_the_last_image_so_far_as_it_is(imported: Sampler) -> None:
    if imported.card.arch.residual:
        w = torch.from_numpy(imported.latents(Recipe(seeds=(1,))))
        depths = list(imported.generator.depths(w))
        gains = torch.ones(1, len(depths))
        gains[:, 1:] = 0
        first = depths[0][1]
        assert first is not None and (imported.generator.synthesise(w, gains) - first).abs().max() < 1e-4


def test_a_picture_of_it_is_found_again(imported: Sampler) -> None:
    found = finish(invert(imported.render(Recipe(seeds=(3,)))[0], imported, steps=8))
    assert found.recipe.latents and found.psnr > 12


def rename_input(path: Path, name: str) -> None:
    """Give the noise of a graph another name."""
    graph = onnx.load(path)
    old, graph.graph.input[0].name = graph.graph.input[0].name, name
    for node in graph.graph.node:
        node.input[:] = [name if given == old else given for given in node.input]
    onnx.save(graph, path)


@pytest.mark.parametrize("imported", ["dcgan-plain", "skip-classes-32.pkl"], indirect=True)
def test_onnx_becomes_a_graph_and_goes_on_as_python(imported: Sampler, tmp_path: Path) -> None:
    assert export(imported, "onnx", tmp_path / "x.onnx") <= 1
    rename_input(tmp_path / "x.onnx", f"z'''+str(open({str(tmp_path / 'ran')!r}, 'w'))+r'''")
    again = Sampler(import_file(tmp_path / "x.onnx", "again", ImportOptions()), "cpu")
    assert again.card.arch.family == GraphConfig.family
    w = torch.randn(3, again.card.arch.w_dim, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(again.generator.first_features(w), next(again.generator.depths(w))[0])
    recipe = Recipe(seeds=(0, 1, 2))
    difference = abs(again.render(recipe).astype(int) - imported.render(recipe).astype(int)).max()
    assert difference <= 1 and export(again, "python", tmp_path / "x.py") <= 1
    assert not (tmp_path / "ran").exists(), "a name in the file was run"


@pytest.mark.parametrize("imported", ["skip-classes-32.pkl", "t-classes-32.pkl"], indirect=True)
def test_stylegan_is_exported_in_other_ways(imported: Sampler, tmp_path: Path) -> None:
    assert export(imported, "torchscript", tmp_path / "x.pt") <= 1
    assert export(imported, "onnx", tmp_path / "half.onnx", half=True) <= 3


@pytest.mark.parametrize(("name", "said"), [("a/b", "cannot be a checkpoint's name"), ("x" * 300, "cannot be a checkpoint's name")])
def test_a_name_is_looked_at_before_anything_is_made(name: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["import", str(tmp_path / "theirs.pth"), "--as", name, "--to", str(tmp_path / "kept")])
    assert said in capsys.readouterr().err and not (tmp_path / "kept").exists()


def test_a_date_that_is_none_is_no_configuration(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("day: 2020-13-45")
    with pytest.raises(CheckpointError, match="not a configuration"):
        read_settings(tmp_path / "config.yaml")


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = their_file("mimicry-cgan_pd-32", tmp_path)
    (tmp_path / "config.yaml").write_text("classes: [a, b, c, d, e]")
    data = "--dataset", "pets", "--licence", "CC0"
    with pytest.raises(SystemExit) as ended:
        main(["import", str(path), "--as", "mine", "--config", str(tmp_path / "config.yaml"), "--to", str(tmp_path), *data])
    assert not ended.value.code and "mimicry" in capsys.readouterr().out
    card = read_card(tmp_path / "mine.safetensors")
    assert card.classes == ("a", "b", "c", "d", "e") and card.dataset == {"name": "pets", "author": "not stated", "licence": "CC0"}
    kept = (tmp_path / "mine.safetensors").read_bytes()
    with pytest.raises(SystemExit) as ended:
        main(["import", str(path), "--as", "mine", "--to", str(tmp_path)])
    assert ended.value.code == 2 and "--as" in capsys.readouterr().err and (tmp_path / "mine.safetensors").read_bytes() == kept
    with pytest.raises(SystemExit) as ended:
        main(["import", str(path), "--arch", "keras"])
    assert ended.value.code == 2 and capsys.readouterr().err.count("\n") == 1
    with pytest.raises(SystemExit) as ended:
        main(["import", str(path), "--author", "ann", "--to", str(tmp_path), "--as", "other"])
    assert ended.value.code == 2 and "--dataset" in capsys.readouterr().err


def test_the_command_line_tells_what_was_taken_for_granted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = their_file("dcgan-plain", tmp_path)
    torch.save({"raw": {}, "g\x1bema": torch.load(path)}, path)
    with pytest.raises(SystemExit) as ended:
        main(["import", str(path), "--as", "mine", "--output", "tanh", "--to", str(tmp_path)])
    said = capsys.readouterr().out.splitlines()
    assert not ended.value.code and len(said) == 4 and "dcgan" in said[0]
    assert said[1] == r"It is read from 'g\x1bema'."
    assert "activation relu, relu, relu, relu; strides 1, 2, 2, 2, 2; paddings 0, 1, 1, 1, 1; epsilon 1e-05." in said[2]
    assert "--config" in said[3] and "ONNX" in said[3]


def written_graph(path: Path, operator: str, factor: float) -> Path:
    """An image that is noise, behind an operator, times a factor."""
    z, image = (onnx.helper.make_tensor_value_info(name, 1, ["n", 3, 8, 8]) for name in ("z", "image"))
    nodes = [onnx.helper.make_node(operator, ["z"], ["a"]), onnx.helper.make_node("Mul", ["a", "factor"], ["image"])]
    given = [onnx.helper.make_tensor("factor", 1, [], [factor])]
    path.write_bytes(onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", [z], [image], given)).SerializeToString())
    return path


def test_numbers_that_no_image_has_are_refused(tmp_path: Path) -> None:
    for output in ("tanh", "sigmoid"):
        with pytest.raises(CheckpointError, match="far beyond"):
            import_file(written_graph(tmp_path / "x.onnx", "Abs", 100.0), "x", ImportOptions(output=output))


@pytest.mark.parametrize(("operator", "output", "doubted"), [("Abs", "tanh", True), ("Abs", "sigmoid", False), ("Neg", "tanh", False)])
def test_images_without_dark_are_doubted(operator: str, output: str, doubted: bool, tmp_path: Path) -> None:
    told = list[str]()
    import_file(written_graph(tmp_path / "x.onnx", operator, 1.0), "x", ImportOptions(output=output), tell=told.append)
    assert any("0..1 (sigmoid), not in -1..1 (tanh)" in sentence for sentence in told) == doubted


def test_the_command_line_reads_pickles_and_refuses_harm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["import", str(PICKLES / "skip-classes-32.pkl"), "--as", "faces", "--to", str(tmp_path)])
    assert not ended.value.code and "stylegan2, 32 x 32 pixels, 4 blocks, 3 classes" in capsys.readouterr().out
    nested_classes_that_run_code(tmp_path / "theirs.pkl")
    with pytest.raises(SystemExit) as ended:
        main(["import", str(tmp_path / "theirs.pkl"), "--to", str(tmp_path)])
    said = capsys.readouterr().err
    assert ended.value.code == 2 and said.count("\n") == 1 and "may be harmful" in said and not (tmp_path / "ran").exists()


@pytest.mark.parametrize("arch", [
    {"family": "nothing"}, {"family": 3}, {"family": "resnet", "widths": [10**9]}, {"family": "resnet", "widths": [8] * 4000},
    {"family": "r3gan", "blocks": [10**9] * 4}, {"family": "dcgan", "kernels": [10**6]}, {"family": "biggan-deep", "enlarging": [True] * 2000},
    {"family": "graph", "nodes": ["[" * 10_000]}, {"family": "graph", "constants": ['["a", [1073741824, 1073741824], null]']},
    {"family": "resnet", "attention": [99]}, {"family": "dcgan", "activations": ["system"]},
    {"family": "stylegan2", "widths": [512] * 4000}, {"family": "stylegan2", "clamp": float("inf")}, {"family": "stylegan2", "mapping": []},
    {"family": "stylegan3", "output_gain": float("nan")}, {"family": "stylegan3", "filter_size": 10**9}, {"family": "stylegan3", "rates": [0, 0, 0]},
])  # fmt: skip
def test_an_architecture_that_means_harm_is_refused(arch: dict[str, object]) -> None:
    from resgen.interop.families import read_architecture

    with pytest.raises(CheckpointError):
        read_architecture(arch)
