"""A file appears whole under its name, or not at all."""

import errno
import os
import sys

import pytest

from tn_runtime.errors import RequestError
from tn_runtime.files import atomic, check_inputs_stay, check_name


def test_success_replaces_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with atomic(path) as temporary:
        assert (temporary.parent, temporary.suffix) == (tmp_path, ".txt")
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["a.txt"]  # noqa: PTH208


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, SystemExit])
def test_failure_leaves_the_old_file_alone(tmp_path, failure):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write():
        with atomic(path) as temporary:
            temporary.write_text("half")
            raise failure

    with pytest.raises(failure):
        write()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]  # noqa: PTH208


@pytest.mark.parametrize("name", ["folder", "missing/a.txt"])
def test_places_where_no_file_can_be_are_refused_first(tmp_path, name):
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"), atomic(tmp_path / name):
        raise AssertionError("work was done")


@pytest.mark.skipif(sys.platform == "win32", reason="links of POSIX")
def test_links(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with atomic(tmp_path / "link") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "new"


@pytest.mark.skipif(sys.platform == "win32", reason="modes and locks of POSIX")
def test_modes_stay(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    path.chmod(0o640)
    with atomic(path) as temporary:
        temporary.write_text("new")
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.skipif(sys.platform == "win32", reason="modes and locks of POSIX")
def test_what_a_kill_leaves_is_removed_and_what_is_being_written_is_not(tmp_path):
    path = tmp_path / "a.txt"
    with atomic(path) as mine:
        mine.write_text("half")
        mark = mine.name.rpartition("-")[0]
        (tmp_path / f"{mark}-00000000.txt").write_text("left behind")
        (tmp_path / ".partial-0123456789abcdef-00000000.txt").write_text("of another file")
        with atomic(path) as other:
            other.write_text("first")
        assert mine.read_text() == "half"
        mine.write_text("second")
    assert path.read_text() == "second"
    left = sorted(os.listdir(tmp_path))  # noqa: PTH208
    assert left == [".partial-0123456789abcdef-00000000.txt", "a.txt"]


def test_errors_name_the_file_that_was_asked_for(tmp_path):
    path = tmp_path / "a.txt"

    def write(error):
        with atomic(path) as temporary:
            raise error(str(temporary))

    with pytest.raises(OSError, match=r"No space left.*a\.txt") as caught:
        write(lambda name: OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name))
    assert caught.value.filename == str(path)
    with pytest.raises(OSError, match="other") as caught:
        write(lambda _: OSError(errno.EIO, "broken", "other"))
    assert os.listdir(tmp_path) == []  # noqa: PTH208


@pytest.mark.skipif(sys.platform == "win32", reason="names are counted otherwise")
def test_the_longest_names_can_be_written(tmp_path):
    for name in ("a" * 251 + ".txt", "a." + "b" * 253):
        with atomic(tmp_path / name) as temporary:
            temporary.write_text("new")
        assert (tmp_path / name).read_text() == "new"
        check_name(tmp_path / name)
    with pytest.raises(RequestError, match="256 bytes"):
        check_name(tmp_path / ("a" * 256))


def test_an_output_is_no_input(tmp_path):
    (tmp_path / "a.png").write_text("read")
    (tmp_path / "link.png").symlink_to(tmp_path / "a.png")
    for same in ("a.png", "link.png"):
        with pytest.raises(RequestError, match="would be replaced"):
            check_inputs_stay(tmp_path / same, tmp_path / "b.png", tmp_path / "a.png")
    check_inputs_stay(tmp_path / "b.png", tmp_path / "a.png")
