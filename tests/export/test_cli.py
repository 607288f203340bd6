"""tn-export as a process: one line out, one line of error, no file on failure."""

import os
import pickle
import subprocess
import sys

import pytest

RUN = "from tn_export.cli import main; main()"


def tn_export(*arguments):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", RUN, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_export(tiny_checkpoint, tmp_path):
    output = tmp_path / "named.onnx"
    done = tn_export(tiny_checkpoint, "-o", output)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.startswith(str(output))
    assert [path.name for path in tmp_path.iterdir()] == ["named.onnx"]


class Evil:
    def __reduce__(self):
        return (os.abort, ())


@pytest.mark.parametrize(
    "content", [None, b"", b"PK\x03\x04 cut off", b"\x08\x0a\x12", pickle.dumps(Evil()), "folder"]
)
def test_bad_checkpoints(content, tmp_path):
    path = tmp_path / "in" / "bad.pt"
    path.parent.mkdir()
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    done = tn_export(path, "-o", tmp_path / "bad.onnx")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert str(path) in done.stderr
    assert not (tmp_path / "bad.onnx").exists()


def test_bad_output(tiny_checkpoint, tmp_path):
    for output in (tmp_path / "x.pt", tmp_path / "missing" / "x.onnx"):
        done = tn_export(tiny_checkpoint, "-o", output)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert not output.exists()


def test_help_needs_no_torch():
    code = "import sys, tn_export.cli; sys.exit('torch' in sys.modules or 'onnx' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    assert (
        subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
    )
