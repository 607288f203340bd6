"""`kill -9` at any moment leaves no half file under a final name; started again, it ends whole."""

import hashlib
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from runtime import contract, style_contract
from runtime.processes import ENVIRONMENT, TN_RUN, python
from tn_runtime.pictures import read

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
TIMES = [1, pytest.param(20, marks=pytest.mark.hard)]


def start(folder, *arguments, **options):
    command = [sys.executable, "-c", TN_RUN, *map(str, arguments)]
    options = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **options}
    return subprocess.Popen(command, env=ENVIRONMENT, cwd=folder, **options)


def contents(folder):
    """Return the hash of every file below, by name."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def killed_again_and_again(folder, output, arguments, times, seed):
    """Kill a command at chance moments; what is there after each kill is whole. Then let it end."""
    undisturbed = start(folder, *arguments)
    started = time.monotonic()
    assert undisturbed.wait(timeout=300) == 0
    lasts, expected = time.monotonic() - started, contents(output)
    rng = np.random.default_rng(seed)
    for _ in range(times):
        for path in output.rglob("*.*"):
            path.unlink()
        process = start(folder, *arguments)
        time.sleep(float(rng.random()) * lasts)
        process.kill()
        process.wait()
        for name, digest in contents(output).items():
            assert expected.get(name) == digest or name.rpartition("/")[2].startswith(".partial-")
        assert start(folder, *arguments).wait(timeout=300) == 0
        assert contents(output) == expected


@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize("suffix", ["png", "tiff", "jpg"])
def test_a_texture(tmp_path, suffix, times):
    (tmp_path / "plain.onnx").write_bytes(contract.model_bytes())
    (tmp_path / "out").mkdir()
    arguments = ["texture", "plain.onnx", "-o", f"out/a.{suffix}", "--size", "900x1500"]
    killed_again_and_again(tmp_path, tmp_path / "out", arguments, times, seed=len(suffix))


@pytest.mark.parametrize("times", TIMES)
def test_a_folder_of_photos(tmp_path, times):
    (tmp_path / "style.onnx").write_bytes(style_contract.model_bytes())
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    rng = np.random.default_rng(0)
    for number, suffix in enumerate(("png", "jpg", "webp", "tiff", "png", "png")):
        pixels = rng.integers(0, 256, (300, 400, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "in" / f"{number}.{suffix}")
    arguments = ["style", "style.onnx", "in", "-o", "out"]
    killed_again_and_again(tmp_path, tmp_path / "out", arguments, times, seed=9)


@pytest.mark.parametrize("times", TIMES)
def test_a_streamed_picture_is_cut_off_and_refused_by_readers(tmp_path, times):
    (tmp_path / "plain.onnx").write_bytes(contract.model_bytes())
    arguments = ["texture", "plain.onnx", "-o", "-", "--size", "3000x3000"]
    rng = np.random.default_rng(1)
    for _ in range(times):
        with (tmp_path / "a.png").open("wb") as file:
            process = start(tmp_path, *arguments, stdout=file)
            time.sleep(0.5 + float(rng.random()))
            process.kill()
            process.wait()
        script = (
            "from tn_runtime.pictures import read\n"
            "from tn_runtime.errors import PictureError\n"
            "try: print(read('a.png').srgb().shape)\n"
            "except PictureError as error: print('refused')\n"
        )
        done = python(script, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() in {"refused", "(3000, 3000, 3)"}
    assert start(tmp_path, *arguments[:2], "-o", "b.png", "--size", "30").wait() == 0
    assert read(tmp_path / "b.png").srgb().shape == (30, 30, 3)
