"""The house stands: imports point down, and every command says what it is without waking torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = ["runtime/tn_runtime", "train/tn_train", "export/tn_export", "benchmarks/tn_bench"]
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
    files = list((ROOT / floor).glob("*.py"))
    assert files
    for path in files:
        assert not forbidden & set(imported(path)), path


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
