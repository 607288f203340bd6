"""Closed streams are no reason to fail, in any command that needs torch."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from runtime.processes import CLOSED, ENVIRONMENT
from train.test_base import entry

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="redirections of POSIX")

RUN = ["--steps", "1", "--layers", "relu1_1", "--device", "cpu"]
COMMANDS = {
    "tn_train texture": (["texture", "a.png", "-o", "a.pt", "--size", "48", *RUN], "a.pt"),
    "tn_train style": (["style", "a.png", "-o", "a.pt", "--style-size", "48", *RUN], "a.pt"),
    "tn_train base": (["base", "base.toml", "-o", "b.pt", "--pictures", ".", *RUN[:2]], "b.pt"),
    "tn_train zoo": (["zoo", "zoo.toml", "-o", "made", "--pictures", "."], "made/a.pt"),
    "tn_export": (["tiny.pt"], "tiny.onnx"),
    "tn_bench gatys": (["gatys", "a.png", "-o", "b.png", "--size", "48", *RUN], "b.png"),
    "tn_bench quality": (["quality", "a.png", "a.png", "--size", "128"], None),
    "tn_bench speed": (["speed", "tiny_model.onnx", "--sizes", "32", "--rounds", "1"], None),
}
SAMPLE = {"tn_train style", "tn_export"}
"""One that starts processes, and one that does not."""


CASES = [
    pytest.param(
        name,
        closed,
        marks=() if name in SAMPLE and closed == CLOSED[-1] else pytest.mark.hard,
    )
    for name in COMMANDS
    for closed in CLOSED
]


@pytest.mark.parametrize(("name", "closed"), CASES)
def test_a_closed_stream_is_no_reason_to_fail(name, closed, tiny_checkpoint, tiny_model, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    picture = tmp_path / "a.png"
    (tmp_path / "zoo.toml").write_text(entry(picture, "texture", name="a") + "steps = 1\nsize = 48")
    (tmp_path / "base.toml").write_text(entry(picture))
    (tmp_path / "tiny.pt").write_bytes(tiny_checkpoint.read_bytes())
    (tmp_path / "tiny_model.onnx").write_bytes(tiny_model.read_bytes())
    arguments, made = COMMANDS[name]
    module = name.partition(" ")[0]
    code = f"import sys; sys.argv[0] = '{module}'; from {module}.cli import main; main()"
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" "$@" {closed}', sys.executable, "-c", code, *arguments],
        env={**ENVIRONMENT, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
        cwd=tmp_path,
        capture_output=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    if made:
        assert (tmp_path / made).stat().st_size > 0
