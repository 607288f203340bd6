"""Exemplars of any size and mode, the part and the resolution that was asked for."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tn_runtime.errors import PictureError, RequestError
from tn_runtime.spec import Exemplar
from tn_train.config import Crop
from tn_train.data import check_depth, read_exemplar
from train.pictures import pattern


def test_small_pictures_keep_their_pixels(picture: Path):
    tensor, facts = read_exemplar(picture, size=256, credit="A", license="CC0")
    expected = torch.from_numpy(pattern().astype(np.float32) / 255).permute(2, 0, 1)[None]
    assert tensor.dtype == torch.float32
    assert torch.equal(tensor, expected)
    sha256 = hashlib.sha256(picture.read_bytes()).hexdigest()
    assert facts == Exemplar("pattern.png", sha256, 48, 40, "A", "CC0")


def test_size_is_the_longest_side(tmp_path: Path):
    Image.fromarray(pattern(100, 300)).save(tmp_path / "wide.png")
    tensor, facts = read_exemplar(tmp_path / "wide.png", size=60)
    assert tensor.shape == (1, 3, 20, 60)
    assert (facts.width, facts.height) == (60, 20)
    assert 0 <= tensor.min() < tensor.max() <= 1


def test_crop_comes_before_size(picture: Path):
    tensor, facts = read_exemplar(picture, size=256, crop=Crop(5, 3, 20, 10))
    assert facts.crop == "5,3,20x10"
    expected = pattern()[3:13, 5:25].astype(np.float32) / 255
    assert torch.equal(tensor[0].permute(1, 2, 0), torch.from_numpy(expected))
    assert read_exemplar(picture, size=10, crop=Crop(5, 3, 20, 10))[0].shape == (1, 3, 5, 10)


def test_crop_beyond_the_picture(picture: Path):
    with pytest.raises(RequestError, match=r"crop 40,0,20x10 reaches beyond .* 48x40"):
        read_exemplar(picture, size=256, crop=Crop(40, 0, 20, 10))


def test_crop_is_parsed():
    assert Crop.parse("1,2,30x40") == Crop(1, 2, 30, 40)
    assert str(Crop(1, 2, 30, 40)) == "1,2,30x40"
    for wrong in ("", "1,2", "1,2,3,4", "-1,2,3x4", "1,2,0x4", "a,b,cxd", "1,2,3x4x5"):
        with pytest.raises(RequestError, match="write X,Y,WxH"):
            Crop.parse(wrong)


def test_too_small_for_the_deepest_layer():
    check_depth(Exemplar("a.png", "", 32, 32), stride=8)
    with pytest.raises(RequestError, match=r"a.png is 64x31 in training; .* at least 32x32"):
        check_depth(Exemplar("a.png", "", 64, 31), stride=8)


def test_not_a_picture(tmp_path: Path):
    (tmp_path / "text.png").write_text("text")
    with pytest.raises(PictureError):
        read_exemplar(tmp_path / "text.png", size=256)
