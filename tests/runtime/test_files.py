"""A file appears whole under its name, or not at all."""

import os
import sys

import pytest

from tn_runtime.files import atomic


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
