"""Python, Node and C run what docs/clients.md shows, and nothing of this project beside it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from clients.conftest import PACKAGES
from clients.documented import programs

SHARE = 1e-4
"""Of the samples may differ by a level on processors that add in another order: ARM64, x86 without
AVX. Where the same library runs on the same processor none does."""

INSTALL = "run `make test-clients`, which installs it"


def test_no_client_needs_this_project():
    texts = programs()
    assert len(texts) == 12
    for name, text in texts.items():
        assert not [word for word in ("tn_runtime", "tn_export", "torch") if word in text], name
        assert max(map(len, text.splitlines())) <= 100, name


def run(folder, *command):
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def arguments(kind):
    photo = ["photo.ppm"] if kind == "style" else []
    return [f"{kind}.onnx", *photo, "made.ppm"]


@pytest.mark.parametrize("kind", ["texture", "style"])
def test_python(folder, expected, compare, kind):
    run(folder, sys.executable, f"{kind}.py", *arguments(kind))
    compare(np.asarray(Image.open(folder / "made.ppm")), expected[kind], SHARE)


@pytest.mark.parametrize("kind", ["texture", "style"])
def test_node(node, folder, expected, compare, kind):
    run(folder, node, f"{kind}.mjs", *arguments(kind))
    compare(np.asarray(Image.open(folder / "made.ppm")), expected[kind], SHARE)


@pytest.fixture(scope="module")
def node():
    program = shutil.which("node")
    if program is None:
        pytest.skip("Node is not installed (https://nodejs.org)")
    if not (PACKAGES / "onnxruntime-node").is_dir():
        pytest.skip(f"onnxruntime-node is not installed: {INSTALL}")
    return program


@pytest.mark.parametrize("kind", ["texture", "style"])
def test_c(compiler, library, folder, expected, compare, kind):
    linked = [library.name, f"-Wl,-rpath,{folder}"]
    run(folder, *compiler, f"{kind}.c", "-o", f"{kind}.out", *linked)
    run(folder, f"./{kind}.out", *arguments(kind))
    compare(np.asarray(Image.open(folder / "made.ppm")), expected[kind], SHARE)


@pytest.fixture(scope="module")
def compiler():
    program = shutil.which("cc")
    if program is None:
        pytest.skip("there is no C compiler, cc")
    include = os.environ.get("ONNXRUNTIME_INCLUDE", "/usr/include/onnxruntime")
    if not (Path(include) / "onnxruntime_c_api.h").is_file():
        pytest.skip(
            f"there is no onnxruntime_c_api.h in {include}: install libonnxruntime-dev "
            "(Debian 13), or name the folder by ONNXRUNTIME_INCLUDE"
        )
    return [program, "-Wall", "-Werror", f"-I{include}"]


@pytest.fixture(scope="module")
def library(folder):
    """The library that Python's ONNX Runtime brings, under the name that programs look for."""
    found = list((Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so.*"))
    if not found:
        pytest.skip("the wheel of ONNX Runtime has no libonnxruntime.so on this system")
    (folder / "libonnxruntime.so.1").symlink_to(found[0])
    return folder / "libonnxruntime.so.1"
