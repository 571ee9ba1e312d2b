"""Fetching from and pushing to a Hub, here a small one on this machine that the Hub's own client talks to."""

import base64
import hashlib
import json
import shutil
import subprocess
import sys
import threading
import tomllib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml
from gradio_client import Client
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from benchmarks.web import free_port, running, wait_until_answers
from resgen.card import read_card
from resgen.errors import CheckpointError
from resgen.hub import CARD, source_of, space_files
from resgen.library import SHIPPED, Library
from resgen.notes import read_recipe
from resgen.recipe import Recipe
from tests.interop.states import their_file

ROOT = Path(__file__).resolve().parents[1]
COMMIT = "a" * 40
LARGE = (".safetensors", ".png")  # what the Hub keeps outside of Git
LOADS = """
import pathlib, sys
import resgen
from resgen.errors import ResGenError
for source in sys.stdin:
    try:
        print(resgen.load(source.strip(), "cpu", folder=pathlib.Path(".")).card.name, flush=True)
    except ResGenError as error:
        print(error, flush=True)
"""

Hub = Callable[..., subprocess.CompletedProcess[str]]


class Requests(BaseHTTPRequestHandler):
    """What the client asks of a Hub: a repository's files, one file, a new repository, a commit; large files and pictures as Git LFS sends them."""

    repositories: ClassVar[dict[str, dict[str, bytes]]] = {}
    large: ClassVar[dict[str, bytes]] = {}  # by their SHA-256
    hardware: ClassVar[dict[str, str | None]] = {}  # what new repositories were asked for

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        for name, files in self.repositories.items():
            if path in (f"/api/models/{name}", f"/api/spaces/{name}"):
                siblings = [{"rfilename": file} for file in files]
                return self.answer(json.dumps({"id": name, "sha": COMMIT, "siblings": siblings}).encode())
            for file, content in files.items():
                if path == f"/{name}/resolve/main/{file}" or path == f"/{name}/resolve/{COMMIT}/{file}":
                    return self.answer(content, {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": COMMIT})
        self.answer(b"{}", {"X-Error-Code": "RepoNotFound"}, 404)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            self.repositories.setdefault(name, {})
            self.hardware[name] = asked.get("hardware")
            return self.answer(json.dumps({"url": f"http://{self.headers['Host']}/{name}"}).encode())
        if self.path == "/api/validate-yaml":
            return self.answer(b"{}")
        if self.path.endswith(".git/info/lfs/objects/batch"):
            place = {"upload": {"href": f"http://{self.headers['Host']}/large"}}
            objects = [{**asked, "actions": place} for asked in json.loads(body)["objects"]]
            return self.answer(json.dumps({"transfer": "basic", "objects": objects}).encode())
        name = "/".join(self.path.split("/")[3:5])
        if "/preupload/" in self.path:
            paths = [file["path"] for file in json.loads(body)["files"]]
            files = [{"path": path, "uploadMode": "lfs" if path.endswith(LARGE) else "regular", "shouldIgnore": False} for path in paths]
            return self.answer(json.dumps({"files": files}).encode())
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                assert not line["value"]["path"].endswith(LARGE), "the Hub refuses it"
                self.repositories[name][line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            elif line["key"] == "lfsFile":
                self.repositories[name][line["value"]["path"]] = self.large[line["value"]["oid"]]
            elif line["key"] == "deletedFile":
                del self.repositories[name][line["value"]["path"]]
        self.answer(json.dumps({"commitUrl": f"http://{self.headers['Host']}/{name}/commit/{COMMIT}", "commitOid": COMMIT, "success": True}).encode())

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.large[hashlib.sha256(body).hexdigest()] = body
        self.answer(b"")

    def answer(self, content: bytes, headers: dict[str, str] | None = None, status: int = 200) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture
def repositories(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, bytes]]:
    found: dict[str, dict[str, bytes]] = {}
    monkeypatch.setattr(Requests, "repositories", found)
    return found


@pytest.fixture
def server(repositories: dict[str, dict[str, bytes]]) -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Requests)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def environment(server: ThreadingHTTPServer, tmp_path: Path) -> dict[str, str]:
    """That of a process that knows this Hub alone: the client reads its settings when it is imported."""
    settings = {"HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "HF_HOME": str(tmp_path / "kept"), "HF_HUB_DISABLE_TELEMETRY": "1"}
    settings |= {"HF_HUB_DISABLE_XET": "1", "OMP_NUM_THREADS": "1"}  # large files go as Git LFS sends them
    return {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HOME": str(tmp_path), "HF_TOKEN": "hf_x", **settings}


@pytest.fixture
def resgen(environment: dict[str, str], tmp_path: Path) -> Hub:
    """Runs a command."""

    def call(*words: object, **settings: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "resgen", *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment | settings, timeout=120)

    return call


@pytest.fixture
def load(environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Loads a checkpoint in a process that stays: its name, or what is said instead."""
    process = subprocess.Popen(
        [sys.executable, "-c", LOADS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=tmp_path,
        env=environment,
    )

    def ask(source: str) -> str:
        assert process.stdin and process.stdout
        print(source, file=process.stdin, flush=True)
        return process.stdout.readline().strip()

    yield ask
    process.communicate()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("owner/name", ("owner/name", None)),
        ("owner/sd-v1.5:late/G.pth", ("owner/sd-v1.5", "late/G.pth")),
        ("here/name", None),
        ("here/name:G.pth", ("here/name", "G.pth")),
        ("here/file", None),
        ("owner/G.PTH", None),
        ("owner/G.pth:G.pth", ("owner/G.pth", "G.pth")),
        ("a/b/c", None),
        ("name", None),
        (f"owner/{'x' * 300}", (f"owner/{'x' * 300}", None)),
    ],
)
def test_a_repository_is_told_from_a_file(text: str, found: tuple[str, str | None] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "file").touch()
    assert source_of(text, (".pth", ".safetensors")) == found


def test_a_checkpoint_is_fetched_once_and_found_without_a_network(
    load: Callable[[str], str], resgen: Hub, server: ThreadingHTTPServer, repositories: dict[str, dict[str, bytes]], tiny_folder: Path
) -> None:
    repositories["ann/shapes"] = {"tiny.safetensors": (tiny_folder / "tiny.safetensors").read_bytes(), "README.md": b"x"}
    assert load("ann/shapes") == "tiny"
    repositories["ann/shapes"]["plain.safetensors"] = (tiny_folder / "plain.safetensors").read_bytes()
    assert "Choose a checkpoint of ann/shapes as ann/shapes:NAME; there are: plain, tiny" in load("ann/shapes")
    assert load("ann/shapes:plain") == "plain"
    assert "no Hub repository ann/nothing" in load("ann/nothing")
    server.shutdown()
    server.server_close()
    assert load("ann/shapes:tiny") == "tiny"
    assert load("ann/shapes:other") == "The Hub cannot be reached, and other of ann/shapes was not fetched before; check the network."
    told = resgen("info", "bob/other")
    assert told.returncode == 2 and told.stderr == "resgen: The Hub cannot be reached, and bob/other was not fetched before; check the network.\n"


def test_what_is_pushed_comes_back(resgen: Hub, load: Callable[[str], str], repositories: dict[str, dict[str, bytes]], tiny_folder: Path) -> None:
    pushed = resgen("push", "tiny", "ann/pushed", "--checkpoints", tiny_folder)
    assert pushed.returncode == 0 and pushed.stdout.strip().endswith("/ann/pushed"), pushed.stderr
    files = repositories["ann/pushed"]
    assert files.keys() == {"tiny.safetensors", CARD, "tiny.png"} and files["tiny.png"].startswith(b"\x89PNG")
    assert files["tiny.safetensors"] == (tiny_folder / "tiny.safetensors").read_bytes()
    page = files[CARD].decode()
    assert page.startswith("---\n") and "library_name: resgen" in page and "disc, square, stripes" in page
    assert "license" not in page, "whoever pushes it says which"
    assert "(tiny.png)" in page and page.index("PyPI is another program") < page.index("import resgen")
    assert load("ann/pushed") == "tiny"
    files[CARD] = b"by hand"
    pushed = resgen("push", "plain", "ann/pushed", "--checkpoints", tiny_folder)
    assert pushed.returncode == 0 and "README.md, which stays as it is" in pushed.stderr and "plain.safetensors" in files, pushed.stderr
    assert files[CARD] == b"by hand", "what was written by hand is nobody's to replace"
    source = page.split('resgen.load("')[1].split('"')[0]
    assert load(source) == "tiny", "that of the page means one, however many there are by now"
    del files[CARD]
    resgen("push", "tiny", "ann/pushed", "--license", "cc-by-4.0", "--checkpoints", tiny_folder)
    assert "\nlicense: cc-by-4.0\n" in files[CARD].decode().split("---\n")[1]
    told = resgen("push", "tiny", "ann/pushed", "--checkpoints", tiny_folder, HF_TOKEN="")
    assert told.returncode == 2 and told.stderr == "resgen: The Hub must know who you are: log in with `hf auth login`.\n"


def test_generators_of_other_programs_are_imported_from_there(
    resgen: Hub, server: ThreadingHTTPServer, repositories: dict[str, dict[str, bytes]], tmp_path: Path
) -> None:
    repositories["ann/gan-v1.5"] = {"config.json": b"{}", "pytorch_model.bin": their_file("dcgan-plain", tmp_path).read_bytes()}
    made = resgen("import", "ann/gan-v1.5", "--output", "tanh", "--to", tmp_path)
    assert made.returncode == 0 and (tmp_path / "gan-v1.5.safetensors").is_file(), made.stderr
    assert read_card(tmp_path / "gan-v1.5.safetensors").source["file"] == "ann/gan-v1.5:pytorch_model.bin"
    repositories["ann/gan-v1.5"]["late/G.pth"] = b""
    told = resgen("import", "ann/gan-v1.5", "--to", tmp_path, "--as", "other")
    assert told.returncode == 2
    assert told.stderr == "resgen: Choose a file of ann/gan-v1.5 as ann/gan-v1.5:NAME; there are: late/G.pth, pytorch_model.bin.\n"
    told = resgen("info", "ann/gan-v1.5")
    assert told.stderr == "resgen: ann/gan-v1.5 holds no checkpoint of ResGen; `resgen import` reads generators of other programs.\n"
    server.shutdown()
    server.server_close()
    made = resgen("import", "ann/gan-v1.5:pytorch_model.bin", "--output", "tanh", "--to", tmp_path, "--as", "again")
    assert made.returncode == 0 and (tmp_path / "again.safetensors").is_file(), made.stderr
    assert "gan.pth cannot be read: No such file" in resgen("import", "ann/gan.pth").stderr, "a file that is not here is not sought there"


def test_a_snapshot_is_pushed_by_a_name_of_its_own(
    resgen: Hub, load: Callable[[str], str], repositories: dict[str, dict[str, bytes]], tiny_folder: Path
) -> None:
    pushed = resgen("push", "tiny@500", "ann/early", "--checkpoints", tiny_folder)
    assert pushed.returncode == 0 and repositories["ann/early"].keys() == {"tiny-500.safetensors", CARD, "tiny-500.png"}, pushed.stderr
    assert 'resgen.load("ann/early:tiny-500")' in repositories["ann/early"][CARD].decode()
    assert load("ann/early") == "tiny-500"


def test_a_card_is_text_on_the_page_of_a_repository(tiny_folder: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    from resgen.checkpoint import load_checkpoint, save_checkpoint
    from resgen.cli.exchange import model_card

    checkpoint = load_checkpoint(tiny_folder / "tiny.safetensors")
    words = "<img src=x> [a](http://b) ![c](d) | `e`\n# f"
    card = replace(checkpoint.card, dataset={"name": words}, training={"command": "g\n<script>", "images_seen": 1})
    save_checkpoint(replace(checkpoint, card=card), tmp_path / "tiny.safetensors")
    page = model_card(Library(tmp_path, "cpu").card("tiny"), "ann/x")
    assert "<img" not in page and "[a](" not in page and "![c]" not in page and "\n# f" not in page
    assert "    g <script>\n" in page, "in a block of code all is text"


def test_a_space_is_all_that_the_app_needs(tmp_path: Path) -> None:
    files = space_files(ROOT, SHIPPED, ["cifar10"])
    assert {"app.py", "requirements.txt", "LICENSE", "README.md", "resgen/studio/static/grid.js", "checkpoints/cifar10.safetensors"} <= files.keys()
    assert not any("fruits" in name for name in files)
    space = tmp_path / "space"
    for name, content in files.items():
        (space / name).parent.mkdir(parents=True, exist_ok=True)
        (space / name).write_bytes(content if isinstance(content, bytes) else content.read_bytes())
    url = f"http://127.0.0.1:{(port := free_port())}"
    settings = {"SPACE_ID": "owner/name", "OMP_NUM_THREADS": "1", "PYTHONPATH": ""}
    with running([sys.executable, str(space / "app.py"), "--port", str(port)], tmp_path / "log", settings) as process:
        wait_until_answers(process, f"{url}/healthz")
        client = Client(url, verbose=False, download_files=tmp_path)
        cards, drawn = client.predict(api_name="/checkpoints"), client.predict(seeds="3", api_name="/render")
    assert (tmp_path / "log").read_text() == f"Running on local URL: {url}/\n"
    assert [card["name"] for card in cards] == ["cifar10"]
    assert read_recipe(Path(drawn)) == (Recipe(checkpoint="cifar10", seeds=(3,)), Library(device="cpu").sha256("cifar10"))


def test_a_space_is_not_made_of_a_snapshot_alone(tiny_folder: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no tiny@500\.safetensors in .*: choose that"):
        space_files(ROOT, tiny_folder, ["tiny", "tiny@500"])


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A clone in which tools have been at work, and that Python does not take its modules from (PYTHONSAFEPATH)."""
    for name in ("app.py", "requirements.txt", "LICENSE", CARD):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("module.py", "__pycache__/module.pyc", "site/node_modules/other/index.js"):
        (tmp_path / "resgen" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "resgen" / name).write_text("x = 1")
    return tmp_path


def test_what_is_deployed_takes_the_place_of_what_was_there(
    resgen: Hub, checkout: Path, repositories: dict[str, dict[str, bytes]], tiny_folder: Path
) -> None:
    words = ("deploy", "ann/studio", "--checkpoint", "tiny", "--checkpoints", tiny_folder)
    listed = resgen(*words, "--dry-run", PYTHONSAFEPATH="1")
    assert listed.returncode == 0 and "checkpoints/tiny.safetensors" in listed.stdout and "8 files" in listed.stdout, listed.stderr
    assert not repositories, "nothing was put there"
    repositories["ann/studio"] = {"checkpoints/old.safetensors": b"old", "resgen/old.py": b"old", ".gitattributes": b"theirs"}
    deployed = resgen(*words, "--hardware", "zero-a10g", PYTHONSAFEPATH="1")
    assert Requests.hardware["ann/studio"] == "zero-a10g"
    assert deployed.returncode == 0 and deployed.stdout.strip().endswith("/ann/studio"), deployed.stderr
    there, wanted = repositories["ann/studio"], ("tiny.safetensors", "features/tiny.safetensors", "snapshots/tiny/500.safetensors")
    assert there.keys() == {
        "app.py", "requirements.txt", "LICENSE", CARD, ".gitattributes", "resgen/module.py", *(f"checkpoints/{name}" for name in wanted),
    }  # fmt: skip
    assert there["checkpoints/tiny.safetensors"] == (tiny_folder / "tiny.safetensors").read_bytes()
    refused = resgen("deploy", "ann/studio", "--checkpoint", tiny_folder / "tiny.safetensors", PYTHONSAFEPATH="1")
    assert refused.returncode == 2 and refused.stderr.endswith("name its folder with --checkpoints.\n")


def test_the_page_of_a_space_has_its_settings_and_leads_to_nothing_that_is_not_there() -> None:
    page = space_files(ROOT, SHIPPED, [])[CARD]
    assert isinstance(page, bytes)
    _, settings, words = page.decode().split("---\n", 2)
    told = yaml.safe_load(settings)
    lines = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if not line.startswith("#")]
    requirement = next(line for line in map(Requirement, lines) if line.name == told["sdk"])
    assert told["sdk_version"] in requirement.specifier and (ROOT / told["app_file"]).is_file()
    assert told["python_version"] in SpecifierSet(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"])
    assert words.startswith("\n# ResGen\n\nExplore image generators") and "](" not in words
