"""What README tells a stranger to write runs, with onnxruntime and numpy alone."""

import re
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from tn_runtime import load, stylize, synthesize

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def script(mark):
    """Return the one block of Python that has a mark, if it imports nothing of ours."""
    [text] = [text for text in re.findall(r"```python\n(.*?)```", README, re.S) if mark in text]
    assert "tn_runtime" not in text
    return compile(text, "README.md", "exec")


@pytest.fixture
def photo():
    rng = np.random.default_rng(0)
    y, x = np.ogrid[:171, :230]
    soft = (
        128
        + 60 * np.sin(y[..., None] / 19 + np.arange(3))
        + 40 * np.sign(np.sin(x / 27))[..., None]
    )
    return (soft + rng.normal(0, 8, (171, 230, 3))).clip(0, 255).astype(np.uint8)


def test_a_stranger_paints_a_photo_in_four_tiles(tiny_instance_model, photo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("painting.onnx").write_bytes(tiny_instance_model.read_bytes())
    names = {"photo": photo}
    exec(script("statistics_at"), names)
    painting = names["painting"]
    assert painting.std() > 5

    given = onnxruntime.InferenceSession(bytes(names["model"]))
    whole = names["run"](given, "image", photo, (0, 0, *photo.shape[:2]), (0, 0))
    assert np.array_equal(painting, whole)

    ours = stylize(load("painting.onnx", "cpu"), photo)
    assert np.abs(painting.astype(int) - ours).max() <= 1
    assert (painting != ours).mean() < 0.01


def test_a_stranger_makes_a_texture(tiny_model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("moss.onnx").write_bytes(tiny_model.read_bytes())
    names = {}
    exec(script('InferenceSession("moss.onnx")'), names)
    assert np.array_equal(names["image"][0], synthesize(load("moss.onnx", "cpu"), (300, 400), 7))
