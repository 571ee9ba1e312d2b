"""The page's folder: what is written, what is refused. What it draws is seen in tests/browser/test_site.py."""

import hashlib
import json
import os
import re
import stat
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from resgen.card import Card
from resgen.checkpoint import Checkpoint
from resgen.cli import main
from resgen.errors import CheckpointError, FileError, ResGenError, SiteError
from resgen.generator import GeneratorConfig
from resgen.interop.conv_chain import ConvChainConfig
from resgen.library import Library
from resgen.sampler import Sampler
from resgen.site import export_site, runtime
from resgen.work import Work, finish


def grey(architecture: GeneratorConfig | ConvChainConfig) -> Sampler:
    """A generator of random weights, and of one direction."""
    torch.manual_seed(4)
    card = Card("grey", architecture, direction_names=("pc1",))
    weights = {name: value.clone() for name, value in architecture.build().state_dict().items()}
    return Sampler(Checkpoint(card, weights, torch.randn(1, architecture.w_dim), torch.randn(1, architecture.w_dim)), "cpu")


@pytest.fixture(scope="module")
def site(library: Library, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of 'tiny' and 'plain'."""
    folder = tmp_path_factory.mktemp("pages") / "site"
    differences = finish(export_site([library.sampler("tiny"), library.sampler("plain")], folder, runtime.CDN))
    assert set(differences) == {"tiny", "plain"} and max(differences.values()) <= 1
    return folder


def test_a_page_of_several_checkpoints(site: Path, tiny: Sampler) -> None:
    first, second = json.loads((site / "site.json").read_text())["checkpoints"]
    assert (first["classes"], second["classes"]) == (["disc", "square", "stripes"], [])
    assert (first["zDim"], first["wDim"], first["channels"], first["dials"], len(first["blocks"])) == (16, 12, 3, True, 3)
    for entry in (first, second):
        for source in entry["graphs"].values():
            path, _, version = source["url"].partition("?")
            data = (site / path).read_bytes()
            assert len(data) == source["bytes"] and hashlib.sha256(data).hexdigest().startswith(version) and len(version) >= 16
    latents = np.fromfile(site / "checkpoints" / "tiny" / "latents.bin", "<f4").reshape(-1, 12)
    assert np.array_equal(latents, torch.cat([tiny.checkpoint.mean_w, tiny.checkpoint.directions]).numpy())
    assert not list(site.rglob("*.part"))


def test_all_that_the_page_asks_for_is_there(site: Path) -> None:
    page = (site / "index.html").read_text()
    named = [
        *re.findall(r'(?:href|src)="([^"]+)"', page),
        *(name for script in site.glob("*.js") for name in re.findall(r'"\./([\w.]+)"', script.read_text())),
    ]
    assert {"site.css", "site.js", "worker.js", "noise.js"} <= set(named)
    assert all((site / name).exists() for name in named)


def test_matrices_travel_in_half_precision(site: Path) -> None:
    for name in ("mapping", "synthesis"):
        graph = onnx.load(site / "checkpoints" / "tiny" / f"{name}.onnx").graph
        kinds = {tensor.data_type for tensor in graph.initializer if len(tensor.dims) > 1 and tensor.data_type != onnx.TensorProto.INT64}
        assert kinds == {onnx.TensorProto.FLOAT16}
        assert all(tensor.type.tensor_type.elem_type == onnx.TensorProto.FLOAT for tensor in (*graph.input, *graph.output))


CHAIN = ConvChainConfig(
    image_channels=1,
    z_dim=20,
    kinds=("transposed",) * 2,
    widths=(8, 1),
    kernels=(4, 4),
    strides=(1, 2),
    paddings=(0, 1),
    activations=("relu", "tanh"),
)


@pytest.mark.parametrize(("architecture", "dials"), [(GeneratorConfig(image_channels=1, widths=(8, 8), z_dim=100, w_dim=12), True), (CHAIN, False)])
def test_grey_generators_without_classes(architecture: GeneratorConfig | ConvChainConfig, dials: bool, tmp_path: Path) -> None:
    assert finish(export_site([grey(architecture)], tmp_path, runtime.CDN))["grey"] <= 1
    (entry,) = json.loads((tmp_path / "site.json").read_text())["checkpoints"]
    assert (entry["channels"], entry["dials"]) == (1, dials)


def test_what_no_page_can_draw_is_refused(tiny: Sampler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CheckpointError, match="give tiny once"):
        finish(export_site([tiny, tiny], tmp_path / "twice", runtime.CDN))
    monkeypatch.setattr("resgen.exports.GraphConfig.family", tiny.card.arch.family)
    with pytest.raises(CheckpointError, match="imported as a graph"):
        finish(export_site([tiny], tmp_path / "graph", runtime.CDN))
    assert not list(tmp_path.iterdir())


def test_weights_beyond_half_precision_are_refused(tiny: Sampler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resgen.site.graphs.to_pixels", lambda images: np.zeros((5, 16, 16, 3), np.uint8))
    with pytest.raises(CheckpointError, match="do not fit half precision"):
        finish(export_site([tiny], tmp_path, runtime.CDN))
    assert not (tmp_path / "site.json").exists()


def test_another_page_is_not_written_over(tiny: Sampler, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("mine")
    with pytest.raises(FileError, match="holds another page"):
        finish(export_site([tiny], tmp_path, runtime.CDN))
    assert (tmp_path / "index.html").read_text() == "mine"


def test_the_command_tells_files_from_pages(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*words: str) -> int | str | None:
        with pytest.raises(SystemExit) as done:
            main(["export", "tiny", "plain", *words, "--checkpoints", str(tiny_folder)])
        return done.value.code

    asked: list[object] = []

    def export(samplers: list[Sampler], *others: object) -> Work[dict[str, int]]:
        asked.append(others)
        yield 1, 1
        return {sampler.card.name: 1 for sampler in samplers}

    monkeypatch.setattr("resgen.site.export_site", export)
    assert run("--out", str(tmp_path / "x.onnx")) == 2 and "several go --to site" in capsys.readouterr().err
    assert run("--to", "site", "--out", str(tmp_path)) == 0 and "draws as plain does, within 1/255" in capsys.readouterr().out
    assert asked == [(tmp_path, "copy")]


# The runtime.


def test_a_runtime_from_elsewhere_is_named_with_its_hash(tmp_path: Path) -> None:
    sources = runtime.place_runtime(tmp_path, runtime.CDN)
    assert all(source["url"].startswith("https://cdn.jsdelivr.net/npm/onnxruntime-web@") for source in sources.values())
    assert all(source["integrity"].startswith("sha384-") and source["bytes"] for source in sources.values())
    assert not list(tmp_path.iterdir())
    with pytest.raises(SiteError, match="there are copy, cdn"):
        runtime.place_runtime(tmp_path, "elsewhere")


def test_the_lock_pins_what_package_json_asks_for_and_names_no_host() -> None:
    text = (runtime.HERE / "package-lock.json").read_text()
    locked = json.loads(text)["packages"][f"node_modules/{runtime.PACKAGE}"]
    assert locked["version"] == json.loads((runtime.HERE / "package.json").read_text())["dependencies"][runtime.PACKAGE]
    assert locked["integrity"].startswith("sha512-") and "resolved" not in text and "://" not in text


def test_a_runtime_that_is_installed_is_copied_and_one_that_was_changed_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "HERE", tmp_path)
    files = {"script": b"export {}", "wasm": b"\0asm"}
    parts = {name: {"file": f"dist/{name}", "integrity": runtime.integrity_of(data), "bytes": len(data)} for name, data in files.items()}
    (tmp_path / "package.json").write_text(json.dumps({"dependencies": {runtime.PACKAGE: "1.2.3"}, "runtime": parts}))
    package = tmp_path / "node_modules" / runtime.PACKAGE
    (package / "dist").mkdir(parents=True)
    (package / "package.json").write_text('{"version": "1.2.3"}')
    for name, data in files.items():
        (package / "dist" / name).write_bytes(data)
    sources = runtime.place_runtime(tmp_path / "site", runtime.COPY)
    assert {name: (tmp_path / "site" / source["url"]).read_bytes() for name, source in sources.items()} == files
    (package / "dist" / "wasm").write_bytes(b"other")
    with pytest.raises(SiteError, match="not the file that was published"):
        runtime.place_runtime(tmp_path / "site", runtime.COPY)


def test_without_npm_the_way_out_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "HERE", tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SiteError, match=r"install Node\.js, or .*--runtime cdn"):
        runtime.find_package("1.2.3")


@pytest.mark.skipif(os.name == "nt", reason="the npm of this test is a shell script")
def test_npm_installs_what_the_lock_pins_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    npm, package = tmp_path / "npm", f"node_modules/{runtime.PACKAGE}"
    monkeypatch.setattr(runtime, "HERE", tmp_path / "here")
    (tmp_path / "here").mkdir()
    for name in ("package.json", "package-lock.json"):
        (tmp_path / "here" / name).write_text("{}")

    def says(script: str) -> None:
        npm.write_text(f"#!/bin/sh\n{script}\n")
        npm.chmod(npm.stat().st_mode | stat.S_IXUSR)

    says("echo 'npm ERR! no connection' >&2; exit 1")
    with pytest.raises(ResGenError, match=r"no connection.*--runtime cdn"):
        runtime.find_package("1.2.3")
    says(f'[ "$1" = ci ] && mkdir -p {package} && echo \'{{"version": "1.2.3"}}\' > {package}/package.json')
    found = runtime.find_package("1.2.3")
    assert found == tmp_path / "cache" / "resgen" / "onnxruntime-web-1.2.3" / package
    says("exit 1")
    assert runtime.find_package("1.2.3") == found
