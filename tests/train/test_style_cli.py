"""`tn-train style` as a person meets it."""

import functools
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tn_export.model import export
from tn_runtime import load, stylize
from tn_train import checkpoint as checkpoints
from tn_train.cli import main
from train.pictures import pattern

LAYERS = ("--layers", "relu1_1,relu2_1=2", "--device", "cpu")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Four small photos, one of them in a folder of its own, and a broken one."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for name in ("a.png", "b.png", "c.png", "more/d.png"):
        Image.fromarray(pattern()).save(folder / name)
    (folder / "broken.jpg").write_bytes(b"no picture")
    return folder


@pytest.fixture
def call(in_process):
    """Return a function that calls `tn-train style` in this process: exit code, stderr."""
    return functools.partial(in_process, "tn-train", main, "style")


def test_a_style_from_painting_to_photo(picture: Path, photos: Path, tmp_path: Path, call):
    out = tmp_path / "wave.pt"
    words = ("--content", photos, "--credit", "A. Painter", *LAYERS)
    code, stderr = call(picture, "-o", out, "--steps", 1, *words, "--content-weight", 7)
    assert code == 0, stderr
    assert "left out: " in stderr
    assert "broken.jpg" in stderr
    kept = checkpoints.load(out)
    assert (kept.preset, kept.config.kind, kept.config.norm) == ("instance", "style", "instance")
    assert kept.training.layers == ("relu1_1", "relu2_1")
    assert kept.training.weights == {"relu2_1": 2.0}
    assert kept.training.content_weight == 7
    assert kept.content.count == 4
    assert kept.exemplars[0].credit == "A. Painter"
    with Image.open(tmp_path / "wave.preview.png") as preview:
        assert preview.height == 256  # a photo that was held out, at the size of training

    code, stderr = call(picture, "-o", out, "--resume", "--steps", 2, "--content", photos)
    assert code == 0, stderr
    assert checkpoints.load(out).steps == 2
    Image.fromarray(pattern()).save(photos / "e.png")
    code, stderr = call(picture, "-o", out, "--resume", "--steps", 3, "--content", photos)
    assert code == 2
    assert "was trained on 4 other photos" in stderr

    export(checkpoints.load(out), tmp_path / "wave.onnx")
    model = load(tmp_path / "wave.onnx")
    assert model.spec.exemplars[0].credit == "A. Painter"
    painted = stylize(model, pattern())
    assert painted.shape == pattern().shape
    assert painted.std() > 1


def test_a_texture_is_not_gone_on_with_as_a_style(picture: Path, tmp_path: Path, trained, call):
    out = tmp_path / "a.pt"
    checkpoints.save(trained().checkpoint(), out)
    code, stderr = call(picture, "-o", out, "--resume")
    assert code == 2
    assert "is a run of tn-train texture, not of style" in stderr


@pytest.mark.parametrize("name", ["a,b.png", "a=b.png"])
def test_styles_have_names_that_a_blend_can_have(name, picture: Path, tmp_path: Path, call):
    other = tmp_path / name
    other.write_bytes(picture.read_bytes())
    code, stderr = call(picture, other, "-o", tmp_path / "a.pt")
    assert (code, stderr.count("\n")) == (2, 1)
    assert f"{other.stem!r} is no name for a style: rename it without , and =" in stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--content", "nowhere"), "nowhere"),
        (("--content-weight", "-1"), "the weight of content is -1.0"),
        (("--variation-weight", "nan"), "the weight of variation is nan"),
        (("--layers", "relu1_1=heavy"), "'heavy' is not a weight"),
        (("--layers", "relu1_1=-2"), "the weight of relu1_1 is -2.0"),
        (("--layers", "relu9_1"), "its layers are"),
        (("--preset", "best"), "choose from instance, paper"),
    ],
)
def test_what_a_user_can_mend_is_one_line(words, says, picture: Path, tmp_path: Path, call):
    code, stderr = call(picture, "-o", tmp_path / "a.pt", *words)
    assert code == 2
    assert stderr.startswith("error: ")
    assert stderr.count("\n") == 1
    assert says in stderr
    assert not (tmp_path / "a.pt").exists()


def test_a_preset_of_one_style_takes_one_painting(picture: Path, tmp_path: Path, call):
    other = picture.with_name("other.png")
    Image.fromarray(255 - pattern()).save(other)
    words = (picture, other, "-o", tmp_path / "a.pt", "--preset", "paper", "--steps", 1)
    code, stderr = call(*words)
    assert code == 2
    assert "'paper' learns one style, and 2 pictures are given" in stderr
    assert not (tmp_path / "a.pt").exists()


def test_an_empty_folder_has_no_photos(picture: Path, tmp_path: Path, call):
    (tmp_path / "empty").mkdir()
    code, stderr = call(picture, "-o", tmp_path / "a.pt", "--content", tmp_path / "empty")
    assert code == 2
    assert "empty" in stderr


def test_photos_of_a_style_are_pictures_of_any_mode(picture: Path, photos: Path, call, tmp_path):
    for path in photos.rglob("*.png"):
        path.unlink()
    Image.fromarray(pattern()).convert("CMYK").save(photos / "a.jpg")
    Image.fromarray(pattern()).convert("P").save(photos / "b.gif")
    Image.fromarray(np.zeros((5, 9), np.uint16)).save(photos / "c.png")
    words = ("--content", photos, "--steps", 1, *LAYERS)
    code, stderr = call(picture, "-o", tmp_path / "a.pt", *words)
    assert code == 0, stderr
    assert checkpoints.load(tmp_path / "a.pt").content.count == 3
