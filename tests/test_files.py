import errno
from pathlib import Path

import pytest

from resgen.errors import FileError
from resgen.files import save_atomically, whole_file, write_atomically


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
    def save(partial: Path) -> None:
        partial.write_bytes(b"half")
        raise error

    (tmp_path / "x").write_bytes(b"old")
    with pytest.raises(FileError if isinstance(error, OSError) else type(error)) as raised:
        save_atomically(tmp_path / "x", save)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]
    if isinstance(error, OSError):
        assert str(raised.value) == f"{tmp_path / 'x'} could not be written: No space left on device."


@pytest.mark.parametrize("name", ["file/x", "folder", "", "x" * 300])
def test_a_place_that_cannot_be_written_is_one_sentence_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    Path("folder").mkdir()
    before = sorted(tmp_path.iterdir())
    with pytest.raises(FileError, match="could not be written") as raised:
        write_atomically(Path(name), b"x")
    assert "\n" not in str(raised.value) and sorted(tmp_path.iterdir()) == before
