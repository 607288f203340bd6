"""Exemplars of any size and mode, the part and the resolution that was asked for."""

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from tn_runtime.errors import PictureError, RequestError
from tn_runtime.spec import Exemplar
from tn_train.config import Crop
from tn_train.data import check_depth, has_transparency, read_exemplar
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


@pytest.mark.parametrize(("width", "height"), [(2400, 128), (130, 2000), (3000, 33)])
def test_a_wide_exemplar_is_told_the_size_that_works(tmp_path: Path, width: int, height: int):
    Image.fromarray(pattern(height, width)).save(tmp_path / "a.png")
    _, facts = read_exemplar(tmp_path / "a.png", size=256)
    with pytest.raises(RequestError, match=r"give --size \d+ ") as caught:
        check_depth(facts, stride=8)
    size = int(re.search(r"--size (\d+)", str(caught.value))[1])
    check_depth(read_exemplar(tmp_path / "a.png", size=size)[1], stride=8)


def test_too_small_for_the_deepest_layer():
    check_depth(Exemplar("a.png", "", 32, 32), stride=8)
    with pytest.raises(RequestError, match=r"a.png is 64x31 in training; .* at least 32x32"):
        check_depth(Exemplar("a.png", "", 64, 31), stride=8)


def saved(folder: Path, mode: str, alpha: np.ndarray, **options) -> Path:
    picture = Image.fromarray(np.dstack([pattern(), alpha.astype(np.uint8)])).convert(mode)
    picture.save(folder / "a.png", **options)
    return folder / "a.png"


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_pixels_that_are_not_opaque(tmp_path: Path, mode: str):
    alpha = np.full((40, 48), 255)
    assert not has_transparency(saved(tmp_path, mode, alpha), None)
    alpha[3, 7] = 0
    path = saved(tmp_path, mode, alpha)
    assert has_transparency(path, None)
    assert has_transparency(path, Crop(7, 3, 1, 1))
    assert not has_transparency(path, Crop(8, 3, 40, 37))


def test_transparency_is_looked_for_in_the_upright_picture(tmp_path: Path):
    exif = Image.Exif()
    exif[0x0112] = 6  # Orientation: its left edge is the top
    alpha = np.full((40, 48), 255)
    alpha[:, 0] = 254
    path = saved(tmp_path, "RGBA", alpha, exif=exif)
    assert has_transparency(path, Crop(0, 0, 40, 1))
    assert not has_transparency(path, Crop(0, 1, 40, 47))


def test_one_colour_can_be_transparent(tmp_path: Path):
    Image.fromarray(pattern()).save(
        tmp_path / "a.png", transparency=tuple(pattern()[1, 1].tolist())
    )
    assert has_transparency(tmp_path / "a.png", None)
    assert not has_transparency(tmp_path / "a.png", Crop(0, 0, 1, 1))


def test_pictures_without_alpha_have_no_transparency_whatever_their_depth(
    picture: Path, tmp_path: Path
):
    assert not has_transparency(picture, None)
    floats = np.dstack([pattern(), pattern()[..., 0]]).astype(np.float32)
    tifffile.imwrite(tmp_path / "deep.tiff", floats, photometric="rgb", extrasamples=["unassalpha"])
    assert has_transparency(tmp_path / "deep.tiff", None)
    tifffile.imwrite(tmp_path / "deep.tiff", floats[..., :3], photometric="rgb")
    assert not has_transparency(tmp_path / "deep.tiff", None)


def test_not_a_picture(tmp_path: Path):
    (tmp_path / "text.png").write_text("text")
    with pytest.raises(PictureError):
        read_exemplar(tmp_path / "text.png", size=256)
