"""tn-export as a process: one line out, one line of error, no file on failure."""

import os
import pickle
import subprocess
import sys

import pytest

from tn_export.cli import main

RUN = "from tn_export.cli import main; main()"


def tn_export(*arguments, **variables):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | variables
    command = [sys.executable, "-c", RUN, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_export(tiny_checkpoint, tmp_path):
    output = tmp_path / "named.onnx"
    done = tn_export(tiny_checkpoint, "-o", output)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.startswith(str(output))
    assert [path.name for path in tmp_path.iterdir()] == ["named.onnx"]


def test_an_installed_model_has_its_name(tiny_checkpoint, tmp_path):
    folder = tmp_path / "not" / "there"
    done = tn_export(tiny_checkpoint, "--install", TEXTURE_NETWORKS_MODELS=str(folder))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(folder / "tiny.onnx"))
    assert [path.name for path in folder.iterdir()] == ["tiny.onnx"]
    assert not tiny_checkpoint.with_suffix(".onnx").exists()


def test_a_model_is_installed_or_written_elsewhere(tiny_checkpoint, tmp_path):
    done = tn_export(
        *(tiny_checkpoint, "--install", "-o", tmp_path / "a.onnx"),
        TEXTURE_NETWORKS_MODELS=str(tmp_path / "models"),
    )
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert "exclude each other" in line
    assert list(tmp_path.iterdir()) == []


class Evil:
    def __reduce__(self):
        return (os.abort, ())


@pytest.mark.parametrize(
    "content", [None, b"", b"PK\x03\x04 cut off", b"\x08\x0a\x12", pickle.dumps(Evil()), "folder"]
)
def test_bad_checkpoints(content, tmp_path, in_process):
    path = tmp_path / "in" / "bad.pt"
    path.parent.mkdir()
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    code, stderr = in_process("tn-export", main, path, "-o", tmp_path / "bad.onnx")
    assert code == 2
    [line] = stderr.splitlines()
    assert line.startswith("error: ")
    assert str(path) in line
    assert not (tmp_path / "bad.onnx").exists()


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("x.pt", "x.pt is not a name for an ONNX file: end it in .onnx"),
        ("missing/x.onnx", "missing/x.onnx cannot be written: the folder "),
        ("folder.onnx", "folder.onnx cannot be written: it is a folder; name a file"),
        ("a" * 251 + ".onnx", "has 256 bytes, and names of files end at 255"),
        ("link.onnx", "link.onnx is tiny.onnx, an input, and would be replaced"),
        (None, "tiny.onnx is an input, and would be replaced"),
    ],
)
def test_outputs_are_checked_first(
    tiny_checkpoint, tmp_path, monkeypatch, in_process, output, message
):
    monkeypatch.chdir(tmp_path)
    checkpoint = tmp_path / "tiny.onnx"  # a checkpoint with a strange name
    checkpoint.write_bytes(tiny_checkpoint.read_bytes())
    (tmp_path / "link.onnx").symlink_to("tiny.onnx")
    (tmp_path / "folder.onnx").mkdir()
    before = set(tmp_path.iterdir())
    code, stderr = in_process("tn-export", main, "tiny.onnx", *(["-o", output] if output else []))
    assert code == 2
    [line] = stderr.splitlines()
    assert message in line
    assert set(tmp_path.iterdir()) == before
    assert checkpoint.read_bytes() == tiny_checkpoint.read_bytes()


def test_help_needs_no_torch():
    code = "import sys, tn_export.cli; sys.exit('torch' in sys.modules or 'onnx' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    assert (
        subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
    )


def test_a_core_is_written_under_a_name_of_its_own(tiny_model, tmp_path):
    output = tmp_path / "core.onnx"
    done = tn_export(tiny_model, "--core", "48x32", "-o", output)
    assert done.returncode == 0, done.stderr
    assert "makes pictures of 48x32" in done.stdout
    before = tiny_model.read_bytes()
    for arguments in (("--core", "48x32"), ("--core", "48x32", "-o", tiny_model), ("--core", "9y")):
        done = tn_export(tiny_model, *arguments)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
    assert tiny_model.read_bytes() == before
