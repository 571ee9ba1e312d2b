import errno
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from resgen.errors import FileError
from resgen.files import cache_folder, check_place, clear_partials, locked, open_plain, own_folder, whole_file, whole_files, write_atomically
from tests.conftest import with_pipes


def test_a_file_is_whole_with_its_folders(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a" / "b" / "x.png", b"new")
    assert (tmp_path / "a" / "b" / "x.png").read_bytes() == b"new"
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["x.png"]


def test_nothing_is_under_the_name_before_all_is_written(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"old")
    with whole_file(tmp_path / "x") as partial:
        partial.write_bytes(b"half")
        assert (tmp_path / "x").read_bytes() == b"old" and partial.parent == tmp_path
    assert (tmp_path / "x").read_bytes() == b"half"


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), ValueError("broken"), KeyboardInterrupt()])
def test_what_fails_half_way_leaves_the_old_file(tmp_path: Path, error: BaseException) -> None:
    (tmp_path / "x").write_bytes(b"old")
    with pytest.raises(FileError if isinstance(error, OSError) else type(error)) as raised, whole_file(tmp_path / "x") as partial:
        partial.write_bytes(b"half")
        raise error
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]
    if isinstance(error, OSError):
        assert str(raised.value) == f"{tmp_path / 'x'} could not be written: No space left on device."


@pytest.mark.parametrize("fails", ["half way", "at a place"])
def test_files_that_belong_together_are_put_in_place_together(tmp_path: Path, fails: str) -> None:
    with whole_files(tmp_path / "a" / "x.py") as aside:
        aside.write_bytes(b"old")
        aside.with_suffix(".pt").write_bytes(b"old")
    assert {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()} == {"x.py": b"old", "x.pt": b"old"}
    if fails == "at a place":
        (tmp_path / "a" / "x.pt").unlink()
        (tmp_path / "a" / "x.pt").mkdir()
    before = {*tmp_path.rglob("*")}
    with pytest.raises(FileError, match="could not be written"), whole_files(tmp_path / "a" / "x.py") as aside:
        aside.write_bytes(b"new")
        aside.with_suffix(".pt").write_bytes(b"new")
        if fails == "half way":
            raise OSError(errno.ENOSPC, "No space left on device")
    assert {*tmp_path.rglob("*")} == before and (tmp_path / "a" / "x.py").read_bytes() == b"old"


@pytest.mark.parametrize("name", ["file/x", "folder", "", "x" * 300])
def test_a_place_that_cannot_be_written_is_one_sentence_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    Path("folder").mkdir()
    before = sorted(tmp_path.iterdir())
    for write in (lambda path: write_atomically(path, b"x"), check_place, lambda path: whole_files(path).__enter__()):
        with pytest.raises(FileError, match="could not be written") as raised:
            write(Path(name))
        assert "\n" not in raised.value.args[0] and sorted(tmp_path.iterdir()) == before


def test_a_place_is_tried_without_a_trace(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"old")
    check_place(tmp_path / "x")
    check_place(tmp_path / "folder" / "y")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["folder", "x"] and (tmp_path / "x").read_bytes() == b"old"


def test_what_killed_writers_left_is_cleared_and_what_others_have_is_not(tmp_path: Path) -> None:
    """Archives in parts, downloads that are not finished, and files of other names or folders belong to somebody else."""
    left = [f"{name}.7.{number}.part" for number, name in enumerate(("a.png", "12.png"))]
    others = ["a.png", "backup.7z.001.part", "a.png.7.part", "film.mp4.part", "film.mp4.7.1.part", "a.png.7.x.part", "deep/a.png.7.1.part"]
    for name in (*left, *others):
        write_atomically(tmp_path / name, b"x")
    clear_partials(tmp_path, "a.png", "[0-9]*.png")
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()} == {*others}


def test_a_lock_is_held_by_one_and_leaves_no_trace(tmp_path: Path) -> None:
    inside, most = list[int](), list[int]()

    def work(_: int) -> None:
        with locked(tmp_path / "a" / "lock"):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.002)
            inside.pop()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(40)))
    assert max(most) == 1 and len(most) == 40 and not list((tmp_path / "a").iterdir())


def test_a_folder_is_the_own_of_one_run_until_that_ends_or_is_killed(tmp_path: Path) -> None:
    held = "import sys, time; from pathlib import Path; from resgen.files import own_folder\nwith own_folder(Path(sys.argv[1])): print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", held, str(tmp_path / "run")], stdout=subprocess.PIPE) as other:
        assert other.stdout and other.stdout.readline()
        with pytest.raises(FileError, match=r"Another run is writing to .*/run"), own_folder(tmp_path / "run"):
            pass
        other.kill()
    with own_folder(tmp_path / "run"), own_folder(tmp_path / "other"):
        (tmp_path / "other" / "x").touch()
    assert os.listdir(tmp_path / "other") == ["x"] and not os.listdir(tmp_path / "run")
    with pytest.raises(ValueError), own_folder(tmp_path / "new"):
        raise ValueError
    assert not (tmp_path / "new").exists()


def test_each_writer_has_a_file_of_its_own_that_is_cleared_as_any(tmp_path: Path) -> None:
    """Also where several write to one name at once: the last that ends is there, whole."""
    with whole_file(tmp_path / "x") as last:
        last.write_bytes(b"last")
        write_atomically(tmp_path / "x", b"first")
        assert (tmp_path / "x").read_bytes() == b"first"
    assert (tmp_path / "x").read_bytes() == b"last"
    with pytest.raises(FileError), whole_file(tmp_path / "x") as killed:
        killed.write_bytes(b"half")
        clear_partials(tmp_path, "x")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_the_cache_lies_where_it_is_told_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "resgen"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert Path.home() in cache_folder().parents


@with_pipes
def test_only_plain_files_are_opened(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"data")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("x")
    for name in ("x", "link"):
        with open_plain(tmp_path / name) as file:
            assert file.read() == b"data"
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero"), tmp_path / "none"):
        with pytest.raises(OSError):
            open_plain(path)
