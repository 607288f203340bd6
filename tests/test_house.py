"""The house stands: imports point down, and every command says what it is without waking torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = ["runtime/tn_runtime", "train/tn_train", "export/tn_export", "benchmarks/tn_bench"]
PACKAGES = {"tn-run": "tn_runtime"}
HEAVY = {"torch", "onnx", "onnxruntime", "onnxscript", "numpy", "PIL", "matplotlib", "tifffile"}


def imported(path):
    """Top-level names of all imports of a file, those inside functions too."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


@pytest.mark.parametrize("floor", FLOORS)
def test_imports_point_down(floor):
    above = {Path(other).name for other in FLOORS[FLOORS.index(floor) + 1 :]}
    forbidden = above | ({"torch", "onnx", "onnxscript"} if "runtime" in floor else set())
    files = list((ROOT / floor).rglob("*.py"))
    assert files
    for path in files:
        assert not forbidden & set(imported(path)), path


def modules(path):
    """Full names of all imported modules of a file."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_the_room_of_pictures_has_one_door():
    room = ROOT / "runtime/tn_runtime/pictures"
    for floor in FLOORS:
        for path in (ROOT / floor).rglob("*.py"):
            deeper = [name for name in modules(path) if name.startswith("tn_runtime.pictures.")]
            assert path.parent == room or not deeper, (path, deeper)


def test_verbs_know_neither_commands_nor_the_terminal():
    upstairs = {"tn_runtime.commands", "tn_runtime.console", "tn_runtime.cli", "typer", "rich"}
    free = {"cli.py", "console.py"}
    for path in (ROOT / "runtime/tn_runtime").rglob("*.py"):
        if path.name not in free and path.parent.name != "commands":
            names = {".".join(name.split(".")[:2]) for name in modules(path)}
            assert not upstairs & names, path


def test_nothing_changes_the_state_of_the_process():
    """The runtime lives in servers and other people's threads, too."""
    changes = ("catch_warnings", "simplefilter", "MAX_IMAGE_PIXELS =", "setlocale", "environ[")
    for path in (ROOT / "runtime/tn_runtime").rglob("*.py"):
        text = path.read_text("utf-8")
        assert not [each for each in changes if each in text], path


@pytest.mark.parametrize("floor", FLOORS)
def test_command_lines_import_nothing_heavy(floor):
    """That is why --help answers in a fraction of a second."""
    package = Path(floor).name
    paths = [str(ROOT / Path(each).parent) for each in FLOORS]
    code = (
        f"import sys; sys.path[:0] = {paths!r}; import {package}.cli; "
        f"print(*sorted({HEAVY!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize(
    ("command", "arguments", "missing", "extra"),
    [
        ("tn-train", ["texture", "a.png", "-o", "a.pt"], ["torch"], "train"),
        ("tn-export", ["a.pt"], ["torch", "onnx", "onnx_ir"], "export"),
        ("tn-export", ["a.pt"], ["onnx", "onnx_ir"], "export"),
        ("tn-export", ["a.pt"], ["onnx_ir"], "export"),
        ("tn-run", ["serve"], ["fastapi", "uvicorn"], "serve"),
        ("tn-run", ["serve"], ["uvicorn"], "serve"),
    ],
)
def test_a_missing_extra_is_one_line_that_brings_all_the_command_needs(
    command, arguments, missing, extra, tmp_path
):
    paths = [str(ROOT / Path(each).parent) for each in FLOORS]
    code = (
        f"import sys; sys.path[:0] = {paths!r}; sys.argv = {[command, *arguments]!r}; "
        f"sys.modules.update(dict.fromkeys({missing!r})); "
        f"from {PACKAGES.get(command, command.replace('-', '_'))}.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    name = line.removeprefix("error: ").partition(" ")[0]
    assert name in missing
    assert line == (
        f"error: {name} is not installed; this command needs it: "
        f"pip install 'texture-networks[{extra}]' (in a clone: pip install '.[{extra}]')"
    )
    assert list(tmp_path.iterdir()) == []
