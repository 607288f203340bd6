"""Training and export that are killed at any moment leave whole files, and end as undisturbed."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tn_train import checkpoint as checkpoints
from train.pictures import pattern
from train.processes import ENVIRONMENT, TN_TRAIN

pytestmark = [
    pytest.mark.hard,
    pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX"),
]
TN_EXPORT = "import sys; sys.argv[0] = 'tn-export'; from tn_export.cli import main; main()"
TIMES = 20
OFTEN = (
    "import tn_train.outputs as o; o.EVERY = 0.0\n"
    "from tn_train.config import Budget; Budget.evaluations = 4\n"
)
STEPS = ["--steps", "12", "--size", "48", "--layers", "relu1_1", "--device", "cpu"]


def start(code: str, folder: Path, *arguments: str) -> subprocess.Popen:
    environment = {**ENVIRONMENT, "PYTHONPATH": ":".join(map(str, sys.path))}
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env=environment,
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen) -> None:
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors


def test_training(tmp_path: Path):
    Image.fromarray(pattern()).save(tmp_path / "a.png")
    arguments = ["texture", "a.png", "-o", "a.pt", *STEPS]
    started = time.monotonic()
    ended(start(OFTEN + TN_TRAIN, tmp_path, *arguments))
    lasts = time.monotonic() - started
    expected = checkpoints.load(tmp_path / "a.pt")
    rng = np.random.default_rng(0)
    for _ in range(TIMES):
        for path in tmp_path.glob("a.*t*"):
            if path.suffix == ".pt":
                path.unlink()
        process = start(OFTEN + TN_TRAIN, tmp_path, *arguments)
        time.sleep(float(rng.random()) * lasts)
        process.kill()
        process.communicate()
        again = arguments
        if (tmp_path / "a.pt").exists():
            done = checkpoints.load(tmp_path / "a.pt").steps  # whole, whenever it was
            if done == 12:
                continue
            again = ["texture", "a.png", "-o", "a.pt", "--resume", "--device", "cpu"]
        ended(start(OFTEN + TN_TRAIN, tmp_path, *again))
        made = checkpoints.load(tmp_path / "a.pt")
        assert made.steps == 12
        for name, weight in expected.weights.items():
            assert torch.equal(made.weights[name], weight)
    (tmp_path / "a.pt").unlink()
    ended(start(OFTEN + TN_TRAIN, tmp_path, *arguments))
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"a.png", "a.pt", "a.preview.png", "a.loss.png"}


def test_export(tiny_checkpoint: Path, tmp_path: Path):
    arguments = [str(tiny_checkpoint), "-o", "a.onnx"]
    started = time.monotonic()
    ended(start(TN_EXPORT, tmp_path, *arguments))
    lasts = time.monotonic() - started
    expected = (tmp_path / "a.onnx").read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(TIMES):
        (tmp_path / "a.onnx").unlink(missing_ok=True)
        process = start(TN_EXPORT, tmp_path, *arguments)
        time.sleep(float(rng.random()) * lasts)
        process.kill()
        process.communicate()
        if (tmp_path / "a.onnx").exists():
            assert (tmp_path / "a.onnx").read_bytes() == expected
    ended(start(TN_EXPORT, tmp_path, *arguments))
    assert [path.name for path in tmp_path.iterdir()] == ["a.onnx"]
    assert (tmp_path / "a.onnx").read_bytes() == expected
