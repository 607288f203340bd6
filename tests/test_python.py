"""The Python API trains, exports and makes pictures: what the commands themselves call."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tn_export
import tn_train
from tn_runtime import load, stylize, synthesize
from tn_runtime.errors import RequestError
from tn_train import checkpoint as checkpoints
from train.pictures import pattern

TINY = {"layers": ("relu1_1", "relu2_1"), "size": 32, "device": "cpu"}


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "leaf.png"
    Image.fromarray(pattern()).save(path)
    return path


def test_from_a_picture_to_a_texture(picture, tmp_path):
    events, proofs = [], []
    checkpoint = tn_train.train_texture(
        picture, tmp_path / "leaf.pt", steps=3, credit="A. Person", report=events.append, **TINY
    )
    assert [event.step for event in events] == [1, 2, 3]
    assert events[-1].progress == 1
    assert checkpoint.exemplars[0].credit == "A. Person"
    assert checkpoints.load(tmp_path / "leaf.pt").loss == checkpoint.loss
    assert (tmp_path / "leaf.preview.png").exists()

    output = tmp_path / "leaf.onnx"
    spec = tn_export.export(tmp_path / "leaf.pt", output, lambda *done: proofs.append(done))
    assert proofs == [(done, spec.parity.windows) for done in range(1, spec.parity.windows + 1)]
    assert load(output, "cpu").spec.self_test == spec.self_test
    assert synthesize(load(output, "cpu"), (20, 30)).shape == (20, 30, 3)


def test_from_a_painting_to_a_style(picture, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in "abcd":
        Image.fromarray(pattern()).save(photos / f"{name}.png")
    (photos / "broken.jpg").write_bytes(b"no picture")
    notes = []
    checkpoint = tn_train.train_style(
        str(picture),
        tmp_path / "wave.pt",
        steps=1,
        content=photos,
        note=notes.append,
        **TINY,
    )
    assert (checkpoint.config.kind, checkpoint.steps) == ("style", 1)
    [left_out] = notes
    assert "broken.jpg" in left_out
    spec = tn_export.export(checkpoint, tmp_path / "wave.onnx")
    photo = np.asarray(Image.open(picture))
    assert stylize(load(tmp_path / "wave.onnx", "cpu"), photo).shape == photo.shape
    assert spec.kind == "style"


def test_the_page_about_it(tmp_path, monkeypatch):
    page = (Path(__file__).parents[1] / "docs/python.md").read_text("utf-8")
    [text] = re.findall(r"```python\n(.*?)```", page, re.S)
    Image.fromarray(pattern()).save(tmp_path / "moss.jpg")
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(text.replace("minutes=15", "steps=1, layers=('relu1_1',), size=32"), names)
    assert names["tile"].shape == (512, 512, 3)


def test_what_cannot_be_asked_for_is_an_error(picture, tmp_path):
    with pytest.raises(RequestError, match="two ways"):
        tn_train.train_texture(picture, tmp_path / "a.pt", steps=1, minutes=1)
    with pytest.raises(TypeError, match="colour"):
        tn_train.train_texture(picture, tmp_path / "a.pt", steps=1, colour="red")
    assert not list(tmp_path.glob("a.*"))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"steps": 1.5}, "1.5 steps are no length of a run"),
        ({"steps": True}, "True steps are no length"),
        ({"steps": None, "minutes": "1"}, "1 minutes are no length"),
        ({"steps": None, "minutes": 1e308}, "1e[+]308 minutes are no length"),
        ({"size": 64.5}, r"'size' is not valid \(64.5\)"),
        ({"size": 10**400}, "pixels: it is 1 to"),
        ({"size": 0}, "the size is 0 pixels"),
        ({"seed": True}, r"'seed' is not valid \(True\)"),
        ({"credit": 1}, "'credit' is not valid"),
        ({"even_light": "yes"}, "'even_light' is not valid"),
        ({"layers": "relu1_1"}, "'layers' is not valid"),
        ({"weights": {"relu1_1": "2"}}, "'weights' is not valid"),
        ({"weights": {"relu5_1": 2.0}}, "layer 'relu5_1' has a weight and is not compared"),
        ({"crop": "0,0,8x8"}, "'crop' is not valid"),
        ({"vgg19": "a\0b"}, "'vgg19' is not valid"),
    ],
)
def test_what_an_option_cannot_be_is_found_before_training(picture, tmp_path, options, says):
    with pytest.raises(RequestError, match=says):
        tn_train.train_texture(picture, tmp_path / "a.pt", **({"steps": 1} | TINY | options))
    assert not list(tmp_path.glob("a.*"))


def test_a_run_by_minutes_says_where_it_came_no_further_than_noise(picture, tmp_path):
    for budget, said in (({"minutes": 1e-6}, 1), ({"steps": 1}, 0)):
        notes = []
        path = tmp_path / f"{said}.pt"
        tn_train.train_texture(picture, path, note=notes.append, **budget, **TINY)
        assert sum("show little after fewer than 50" in note for note in notes) == said


def test_texts_are_paths_and_lists_are_tuples(picture, tmp_path):
    options = TINY | {"layers": list(TINY["layers"])}
    tn_train.train_texture(str(picture), str(tmp_path / "a.pt"), steps=1, **options)
    tn_train.train_texture(picture, tmp_path / "a.pt", steps=2, resume=True, **options)
    assert checkpoints.load(tmp_path / "a.pt").steps == 2


def test_an_exception_from_the_callback_ends_the_run(picture, tmp_path):
    def stop(event):
        raise InterruptedError(event.step)

    with pytest.raises(InterruptedError, match="1"):
        tn_train.train_texture(picture, tmp_path / "a.pt", steps=5, report=stop, **TINY)
