"""A photo that is read and written keeps what it had: samples, colours, and what it said."""

import io
import json
import os
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from runtime.picture_files import (
    ADOBE,
    SRGB,
    adobe,
    chunk,
    encoded,
    grey_profile,
    linear,
    png_bytes,
    png_chunks,
    predicted,
    smooth,
    some,
    swapped,
)
from runtime.processes import python
from tn_runtime.errors import PictureError
from tn_runtime.pictures import (
    Picture,
    Rows,
    check_output,
    decode,
    exif,
    read,
    save,
    tiff,
)

METADATA = {"Software": "texture-networks 1.2.3", "Model": "Gewürz", "Seed": "-7"}
FORMATS = ["png", "jpg", "webp", "tiff"]
STREAMED = ["png", "tiff"]


def own_bands(photo, step=5):
    """Yield the photo itself, as `Rows.of_picture` takes it."""
    for top in range(0, photo.height, step):
        bottom = min(top + step, photo.height)
        colors = photo.colors(top, bottom)
        alpha = photo.alpha(top, bottom)[..., None]
        yield np.concatenate([colors, alpha], axis=2) if photo.has_alpha else colors


def copy(path, target, **options):
    """Read a photo and write it; return what was read."""
    photo = read(path)
    save(target, Rows.of_picture(photo, own_bands(photo), METADATA, **options))
    return photo


def samples(photo):
    """Return all of a photo, in bands of uneven heights that are put together."""
    return np.concatenate(list(own_bands(photo, 7)))


def unfiltered(data, height, row_bytes, step):
    rows = np.zeros((height, row_bytes), np.uint8)
    above = np.zeros(row_bytes, np.uint8)
    for number in range(height):
        start = number * (row_bytes + 1)
        for x in range(row_bytes):
            guess = predicted(data[start], rows[number], above, step, x)
            rows[number, x] = (data[start + 1 + x] + guess) % 256
        above = rows[number]
    return rows


def png_samples(path):
    """Decode a PNG with our own hands, as uint8 or uint16 (H, W, C)."""
    chunks = png_chunks(path.read_bytes())
    width, height, depth, kind = struct.unpack(">2I2B", chunks[0][1][:10])
    channels = {2: 3, 6: 4}[kind]
    step = channels * depth // 8
    data = zlib.decompress(b"".join(content for name, content in chunks if name == b"IDAT"))
    rows = unfiltered(data, height, width * step, step)
    return rows.view(f">u{depth // 8}").reshape(height, width, channels).astype(f"u{depth // 8}")


def stored_samples(path):
    return png_samples(path) if path.suffix == ".png" else tifffile.imread(path)


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_sixteen_bit_png_comes_in_bit_for_bit(tmp_path, channels, interlaced):
    array = some(channels=channels, dtype=np.uint16)
    (tmp_path / "a.png").write_bytes(png_bytes(array, interlaced=interlaced))
    photo = read(tmp_path / "a.png")
    assert (photo.height, photo.width, photo.depth) == (21, 34, 16)
    assert photo.has_alpha == (channels in {2, 4})
    expected = array[..., :3] if channels > 2 else np.repeat(array[..., :1], 3, axis=2)
    np.testing.assert_array_equal(samples(photo)[..., :3], expected)
    alpha = array[..., -1] if photo.has_alpha else np.full((21, 34), 65535)
    np.testing.assert_array_equal(photo.alpha(0, 21), alpha)
    assert photo.colors(3, 4).dtype == photo.alpha(3, 4).dtype == np.uint16


@pytest.mark.parametrize("suffix", STREAMED)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("size", [(1, 1), (21, 34), (300, 7)])
def test_streamed_files_hold_the_very_samples(tmp_path, suffix, dtype, channels, size):
    array = some(*size, channels, dtype)
    photo = Picture.from_array(array)
    save(tmp_path / f"a.{suffix}", Rows.of_picture(photo, own_bands(photo), METADATA))
    stored = stored_samples(tmp_path / f"a.{suffix}")
    assert stored.dtype == dtype
    np.testing.assert_array_equal(stored, array)
    again = read(tmp_path / f"a.{suffix}")
    assert (again.depth, again.has_alpha) == (8 * array.itemsize, channels == 4)
    np.testing.assert_array_equal(samples(again), array)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_sixteen_bit_tiff_goes_through_bit_for_bit(tmp_path, order, compression, planar, channels):
    array = some(channels=channels, dtype=np.uint16)
    tifffile.imwrite(
        tmp_path / "a.tif",
        np.moveaxis(array, 2, 0).copy() if planar == "separate" else array.squeeze(),
        byteorder=order,
        compression=compression,
        predictor=compression is not None,
        photometric="rgb" if channels > 2 else "minisblack",
        planarconfig=planar if channels > 1 else None,
        extrasamples=["unassalpha"] * (channels in {2, 4}),
        metadata=None,
    )
    photo = copy(tmp_path / "a.tif", tmp_path / "b.tiff")
    assert (photo.depth, photo.has_alpha) == (16, channels in {2, 4})
    expected = array if channels > 2 else array[..., [0, 0, 0, 1][: channels + 2]]
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "b.tiff"), expected)


def test_grey_tiff_whose_zero_is_white(tmp_path):
    for dtype in (np.uint8, np.uint16):
        array = some(channels=1, dtype=dtype)
        tifffile.imwrite(tmp_path / "a.tif", array[..., 0], photometric="miniswhite")
        expected = np.iinfo(dtype).max - array
        colours = read(tmp_path / "a.tif").colors(0, 21)
        np.testing.assert_array_equal(colours, expected.repeat(3, axis=2))


def test_sixteen_bit_tiff_needs_no_imagecodecs(tmp_path):
    for name, channels, order in (("a", 3, "<"), ("b", 4, ">"), ("c", 1, ">")):
        array = some(channels=channels, dtype=np.uint16)
        photometric = "minisblack" if channels == 1 else "rgb"
        tifffile.imwrite(
            tmp_path / f"{name}.tif",
            array.squeeze(),
            byteorder=order,
            compression="lzw",
            predictor=True,
            photometric=photometric,
            extrasamples=["unassalpha"] * (channels == 4),
        )
        np.save(tmp_path / f"{name}.npy", array if channels > 1 else array.repeat(3, 2))
    script = (
        "import sys; sys.modules['imagecodecs'] = None\n"
        "import numpy as np\n"
        "from tn_runtime.pictures import Rows, read, save\n"
        "for name in 'abc':\n"
        "    photo, array = read(f'{name}.tif'), np.load(f'{name}.npy')\n"
        "    assert (photo.colors(0, photo.height) == array[..., :3]).all(), name\n"
        "    assert photo.has_alpha == (name == 'b')\n"
        "    save(f'{name}2.tif', Rows.of_picture(photo, [array], {}))\n"
        "    again = read(f'{name}2.tif')\n"
        "    assert (again.colors(0, photo.height) == array[..., :3]).all(), name\n"
        "    assert (again.alpha(0, photo.height) == photo.alpha(0, photo.height)).all(), name\n"
    )
    done = python(script, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_sixteen_bits_are_rounded_where_eight_are_wanted(tmp_path):
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    photo = Picture.from_array(np.stack([levels] * 3, axis=2))
    expected = np.rint(levels / 257).astype(np.uint8)
    np.testing.assert_array_equal(photo.srgb(0, 256)[..., 1], expected)
    flat = Picture.from_array(np.full((16, 16, 3), 200 * 257 - 100, np.uint16))
    for suffix in ("jpg", "webp"):
        save(tmp_path / f"a.{suffix}", Rows.of_picture(flat, own_bands(flat), METADATA))
        with Image.open(tmp_path / f"a.{suffix}") as image:
            assert np.abs(np.asarray(image).astype(int) - 200).max() <= 1


def test_wider_numbers_become_eight_bits(tmp_path):
    floats = np.linspace(0, 1, 21 * 34 * 3, dtype=np.float32).reshape(21, 34, 3)
    tifffile.imwrite(tmp_path / "a.tif", floats, photometric="rgb")
    photo = read(tmp_path / "a.tif")
    assert photo.depth == 8
    np.testing.assert_array_equal(photo.colors(0, 21), np.rint(floats * 255))
    tifffile.imwrite(tmp_path / "b.tif", np.array([[0, 10, 65535]], np.int32))
    assert read(tmp_path / "b.tif").colors(0, 1)[0, :, 2].tolist() == [0, 0, 255]
    Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1").save(tmp_path / "c.png")
    assert read(tmp_path / "c.png").colors(0, 1)[0, :, 0].tolist() == [0, 255]


# Alpha


def with_alpha(kind, folder):
    """Write a picture whose left half is clear; return its path, and colours (2, 8, 3)."""
    colours = np.repeat(smooth(2, 4), 2, axis=1)
    alpha = np.repeat(np.array([[0, 255]], np.uint8), 4, axis=1).repeat(2, axis=0)
    path = folder / "a.png"
    if kind == "premultiplied.tif":
        colours, alpha = np.full((2, 8, 3), 90), np.full((2, 8), 51)
        stored = np.concatenate([colours // 5, alpha[..., None]], axis=2).astype(np.uint8)
        tifffile.imwrite(path, stored, photometric="rgb", extrasamples=["assocalpha"])
    elif kind == "premultiplied16.tif":
        colours, alpha = np.full((2, 8, 3), 90), np.full((2, 8), 51)
        stored = np.concatenate([colours * 257 // 5, alpha[..., None] * 257], axis=2)
        stored = stored.astype(np.uint16)
        tifffile.imwrite(path, stored, photometric="rgb", extrasamples=["assocalpha"])
    elif kind == "P":
        colours[:] = colours[0, :1]
        colours[:, 4:] = (1, 2, 3)
        image = Image.fromarray(colours).quantize(2)
        clear = image.getpixel((0, 0))
        image.save(path, transparency=bytes([0, 255] if clear == 0 else [255, 0]))
    elif kind == "tRNS":
        colours[:, :4], colours[:, 4:] = (7, 8, 9), (7, 8, 10)
        Image.fromarray(colours).save(path, transparency=(7, 8, 9))
    elif kind == "grey tRNS":
        colours[:, :4], colours[:, 4:] = 7, 8
        Image.fromarray(colours[..., 0]).save(path, transparency=7)
    elif kind == "tRNS16":
        deep = colours.astype(np.uint16) * 256 + 5
        deep[:, :4], deep[:, 4:] = (7000, 8, 9), (7001, 8, 9)
        path.write_bytes(png_bytes(deep, [(b"tRNS", struct.pack(">3H", 7000, 8, 9))]))
        colours = np.rint(deep / 257)
    elif kind == "grey tRNS16":
        deep = np.full((2, 8, 1), 7000, np.uint16)
        deep[:, 4:] = 7001
        path.write_bytes(png_bytes(deep, [(b"tRNS", struct.pack(">H", 7000))]))
        colours = np.rint(deep / 257).repeat(3, axis=2)
    elif kind == "LA":
        colours[:] = colours[..., :1]
        Image.merge("LA", [*map(Image.fromarray, (colours[..., 0].copy(), alpha))]).save(path)
    else:
        rgba = Image.fromarray(np.concatenate([colours, alpha[..., None]], axis=2))
        rgba.save(path, kind, **({"lossless": True, "exact": True} if kind == "WEBP" else {}))
    return path, colours, alpha


KINDS = ["PNG", "TIFF", "WEBP", "LA", "P", "tRNS", "grey tRNS", "tRNS16", "grey tRNS16"]
KINDS += ["premultiplied.tif", "premultiplied16.tif"]


@pytest.mark.parametrize("kind", KINDS)
def test_alpha_of_every_kind_is_kept_and_colours_under_it(tmp_path, kind):
    path, colours, alpha = with_alpha(kind, tmp_path)
    photo = read(path)
    assert photo.has_alpha
    largest = 65535 if photo.depth == 16 else 255
    np.testing.assert_array_equal(photo.alpha(0, 2), alpha.astype(int) * (largest // 255))
    assert np.abs(photo.srgb(0, 2) - colours.astype(int)).max() <= 1
    for suffix in ("png", "webp", "tiff"):
        save(tmp_path / f"b.{suffix}", Rows.of_picture(photo, own_bands(photo), METADATA))
        again = read(tmp_path / f"b.{suffix}")
        np.testing.assert_array_equal(again.alpha(0, 2) // (257 if again.depth == 16 else 1), alpha)
        if suffix != "webp":
            np.testing.assert_array_equal(again.colors(0, 2), photo.colors(0, 2))


def test_what_a_format_has_no_place_for_is_said(tmp_path):
    deep = smooth().astype(np.uint16) * 257
    photo = Picture.from_array(np.concatenate([deep, np.full((24, 40, 1), 99, np.uint16)], axis=2))
    said = {
        suffix: save(tmp_path / f"a.{suffix}", Rows.of_picture(photo, own_bands(photo), METADATA))
        for suffix in FORMATS
    }
    assert said["png"] == said["tiff"] == []
    assert [line.split()[0:3] for line in said["webp"]] == [["has", "8", "bits"]]
    assert [line.split()[0:3] for line in said["jpg"]] == [
        ["is", "without", "the"],
        ["has", "8", "bits"],
    ]
    again = read(tmp_path / "a.jpg")
    assert not again.has_alpha
    assert np.abs(again.colors(0, 24).astype(int) - smooth()).max() <= 6


def test_a_photo_without_alpha_is_opaque():
    for dtype in (np.uint8, np.uint16):
        alpha = Picture.from_array(some(dtype=dtype)).alpha(2, 7)
        assert alpha.shape == (5, 34)
        assert (alpha == np.iinfo(dtype).max).all()


# Colours


def in_gamut():
    """Return sRGB colours that both spaces hold with room to spare."""
    return np.random.default_rng(3).integers(60, 200, (21, 34, 3)).astype(np.uint8)


def test_srgb_and_back_by_an_independent_reckoning(tmp_path):
    srgb = in_gamut()
    own = encoded(linear(srgb) @ SRGB @ np.linalg.inv(ADOBE))
    stored = np.rint(own).astype(np.uint8)
    assert np.abs(stored.astype(int) - srgb).max() > 10  # or this says nothing
    Image.fromarray(stored).save(tmp_path / "a.png", icc_profile=adobe())
    photo = read(tmp_path / "a.png")
    np.testing.assert_array_equal(photo.colors(0, 21), stored)
    assert np.abs(photo.srgb(0, 21).astype(int) - srgb).max() <= 2
    assert np.abs(photo.from_srgb(srgb[:4]) - own[:4]).max() <= 2
    assert np.abs(photo.from_srgb(photo.srgb(0, 21)) - own).max() <= 2


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("source", ["png", "png16", "jpg", "webp", "tif", "tif16", "P"])
def test_the_very_profile_is_embedded_again(tmp_path, source, suffix):
    path, array, profile = tmp_path / "a", smooth(), swapped()
    if source == "png16":
        content = b"name\0\0" + zlib.compress(profile)
        path.write_bytes(png_bytes(array.astype(np.uint16) * 257, [(b"iCCP", content)]))
    elif source == "tif16":
        tag = (34675, 7, len(profile), profile, True)
        deep = array.astype(np.uint16) * 257
        tifffile.imwrite(path, deep, photometric="rgb", extratags=[tag], metadata=None)
    else:
        image = Image.fromarray(array)
        kind = {"jpg": "JPEG", "tif": "TIFF", "P": "PNG"}.get(source, source)
        image = image.quantize(256) if source == "P" else image
        image.save(path, kind, icc_profile=profile, quality=98)
    photo = copy(path, tmp_path / f"b.{suffix}")
    with Image.open(tmp_path / f"b.{suffix}") as image:
        assert image.info["icc_profile"] == profile
    colours = photo.srgb(0, 24).astype(int)
    assert np.abs(colours - array[..., [1, 0, 2]]).max() <= 12
    again = read(tmp_path / f"b.{suffix}").srgb(0, 24)
    assert np.abs(again - colours).max() <= (0 if suffix in STREAMED else 12)
    if suffix == "png":  # the one or the other, by the specification
        kinds = [kind for kind, _ in png_chunks((tmp_path / "b.png").read_bytes())]
        assert (kinds.count(b"iCCP"), kinds.count(b"sRGB")) == (1, 0)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_without_a_profile_or_with_a_broken_one_there_is_none(tmp_path, suffix, dtype):
    array = smooth().astype(dtype) * (257 if dtype == np.uint16 else 1)
    for profile in (None, b"nonsense", swapped()[:200]):
        chunks = [(b"iCCP", b"name\0\0" + zlib.compress(profile))] if profile else []
        (tmp_path / "a.png").write_bytes(png_bytes(array, chunks))
        photo = copy(tmp_path / "a.png", tmp_path / f"b.{suffix}")
        np.testing.assert_array_equal(photo.srgb(0, 24), smooth())
        np.testing.assert_array_equal(photo.from_srgb(smooth()), smooth())
        with Image.open(tmp_path / f"b.{suffix}") as image:
            assert not image.info.get("icc_profile")


@pytest.mark.parametrize("mode", ["L", "LA", "CMYK", "LAB", "YCbCr"])
def test_other_colour_modes_become_srgb(tmp_path, mode):
    if mode == "LAB":
        image = Image.new("LAB", (34, 21), (128, 128, 128))
        expected = np.full((21, 34, 3), 119)  # L* = 50.2 %
    else:
        image = Image.fromarray(smooth()).convert(mode)
        expected = np.asarray(image.convert("RGB")).astype(int)
    image.save(tmp_path / "a.tif")
    photo = read(tmp_path / "a.tif")
    assert np.abs(photo.colors(0, photo.height) - expected).max() <= 1
    np.testing.assert_array_equal(photo.srgb(3, 9), photo.colors(3, 9))
    np.testing.assert_array_equal(photo.from_srgb(smooth()), smooth())


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("source", ["L", "LA", "png16", "la16", "tif16"])
def test_grey_keeps_its_samples_and_the_curve_of_its_profile(tmp_path, source, suffix):
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    profile, path = grey_profile(1.8), tmp_path / "a"
    deep = (ramp.astype(np.uint16) * 257)[..., None]
    chunks = [(b"iCCP", b"name\0\0" + zlib.compress(profile))]
    if source == "tif16":
        tag = (34675, 7, len(profile), profile, True)
        tifffile.imwrite(path, deep[..., 0], extratags=[tag], metadata=None)
    elif source == "la16":
        path.write_bytes(png_bytes(np.concatenate([deep, deep // 2 + 9], axis=2), chunks))
    elif source == "png16":
        path.write_bytes(png_bytes(deep, chunks))
    else:
        Image.fromarray(ramp).convert(source).save(path, "PNG", icc_profile=profile)
    photo = copy(path, tmp_path / f"b.{suffix}")
    own = ramp[..., None] if source in {"L", "LA"} else deep
    np.testing.assert_array_equal(photo.colors(0, 16), own.repeat(3, axis=2))
    expected = encoded((ramp / 255) ** 1.8)[..., None]
    assert np.abs(expected[..., 0] - ramp).max() > 10  # or this says nothing
    assert np.abs(photo.srgb(0, 16) - expected).max() <= 2
    again = read(tmp_path / f"b.{suffix}")
    assert again.about.profile[24:36] == profile[24:36]  # its date, not that of the test
    assert np.abs(again.srgb(0, 16) - expected).max() <= (2 if suffix in STREAMED else 12)


def test_grey_without_a_profile_of_grey_is_srgb(tmp_path):
    for profile in (None, swapped(), b"nonsense", grey_profile(1.8)[:140]):
        Image.fromarray(smooth()[..., 0].copy()).save(tmp_path / "a.png", icc_profile=profile)
        photo = read(tmp_path / "a.png")
        np.testing.assert_array_equal(photo.srgb(0, 24), smooth()[..., :1].repeat(3, axis=2))
        assert photo.about.profile is None


# Orientation

TURNED = [(file, turn) for file in ("jpg", "png", "webp", "tif") for turn in range(1, 9)]
TURNED += [(file, turn) for file in ("png16", "tif16", "grey16") for turn in range(1, 9)]


@pytest.mark.parametrize(("file", "orientation"), TURNED)
def test_photos_come_upright_and_are_not_turned_twice(tmp_path, file, orientation):
    array = smooth()
    upright = Image.fromarray(array)
    upright.getexif()[274] = orientation
    upright = np.asarray(ImageOps.exif_transpose(upright)).astype(int)
    tags = Image.Exif()
    tags[274] = orientation
    path = tmp_path / "a"
    if file == "png16":
        deep = array.astype(np.uint16) * 257
        path.write_bytes(png_bytes(deep, [(b"eXIf", tags.tobytes()[6:])]))
    elif file == "grey16":
        deep = array[..., 2:].astype(np.uint16) * 257
        path.write_bytes(png_bytes(deep, behind=[(b"eXIf", tags.tobytes()[6:])]))
        upright = upright[..., [2, 2, 2]]
    elif file == "tif16":
        deep = array.astype(np.uint16) * 257
        tag = (274, 3, 1, orientation, True)
        tifffile.imwrite(path, deep, photometric="rgb", extratags=[tag], metadata=None)
    else:
        kind = {"jpg": "JPEG", "tif": "TIFF"}.get(file, file)
        Image.fromarray(array).save(path, kind, exif=tags, quality=98)
    photo = read(path)
    assert (photo.height, photo.width) == upright.shape[:2]
    tolerance = 8 if file in {"jpg", "webp"} else 0
    assert np.abs(photo.srgb(0, photo.height) - upright).max() <= tolerance
    for suffix in FORMATS:
        save(tmp_path / f"b.{suffix}", Rows.of_picture(photo, own_bands(photo), METADATA))
        with Image.open(tmp_path / f"b.{suffix}") as image:
            assert image.getexif().get(274, 1) == 1
        again = read(tmp_path / f"b.{suffix}")
        assert np.abs(again.srgb(0, again.height) - upright).max() <= 16


# What the file says


def packet(orientation, more=b""):
    return (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description '
        b'tiff:Orientation="' + str(orientation).encode() + b'" dc:title="Lake"/>'
        b"<tiff:Orientation>" + str(orientation).encode() + b"</tiff:Orientation>"
        + more + b"</rdf:RDF></x:xmpmeta>"
    )  # fmt: skip


def shot(order=">"):
    """Return an EXIF block by hand, with a thumbnail in its second directory."""
    maker = b"Maker's own, \x01\xff of odd length"
    thumbnail = b"\xff\xd8OLD THUMBNAIL\xff\xd9"

    def entry(code, kind, count, value):
        data = value if isinstance(value, bytes) else struct.pack(order + "I", value)
        return struct.pack(order + "2HI", code, kind, count) + data.ljust(4, b"\0")

    def half(value):
        return struct.pack(order + "H", value)

    # 0: header, 8: IFD0, 120: Exif, 200: GPS, 260: IFD1, from 300 values
    values = {
        300: "Camera & Söhne\0".encode(),
        320: b"2024:05:06 07:08:09\0",
        344: struct.pack(order + "6I", 47, 1, 22, 1, 12345, 1000),
        370: struct.pack(order + "2I", 1, 250),
        380: maker,
        420: thumbnail,
        440: b"A lake, at dawn\0",
        460: b"Ann Author\0",
        480: b"(c) Ann\0",
        500: struct.pack(order + "2I", 240, 1),
    }
    directories = {
        8: [
            entry(270, 2, 16, 440), entry(271, 2, 16, 300), entry(282, 5, 1, 500),
            entry(283, 5, 1, 500), entry(296, 3, 1, half(2)), entry(315, 2, 11, 460),
            entry(33432, 2, 8, 480), entry(34665, 4, 1, 120), entry(34853, 4, 1, 200),
        ],
        130: [
            entry(33434, 5, 1, 370), entry(36867, 2, 20, 320), entry(37500, 7, len(maker), 380),
            entry(40962, 4, 1, 9999), entry(40963, 3, 1, half(77)),
        ],
        200: [entry(1, 2, 2, b"N\0"), entry(2, 5, 3, 344)],
        260: [entry(513, 4, 1, 420), entry(514, 4, 1, len(thumbnail))],
    }  # fmt: skip
    directories[8][7] = entry(34665, 4, 1, 130)
    block = bytearray(600)
    block[:8] = {">": b"MM\0*", "<": b"II*\0"}[order] + struct.pack(order + "I", 8)
    for place, entries in directories.items():
        following = 260 if place == 8 else 0
        data = half(len(entries)) + b"".join(entries) + struct.pack(order + "I", following)
        block[place : place + len(data)] = data
    for place, data in values.items():
        block[place : place + len(data)] = data
    return bytes(block), maker


def say(path, kind, order=">"):
    """Write a photo that says much; return its maker note."""
    block, maker = shot(order)
    image = Image.fromarray(smooth())
    options = {"dpi": (240, 240)} if kind != "WEBP" else {}
    if kind == "TIFF":
        exif = Image.Exif()
        exif.load(block)
        for code in (34665, 34853):
            exif.get_ifd(code)
        exif[700] = packet(1)
        image.save(path, "TIFF", exif=exif, **options)
    else:
        image.save(path, kind, exif=b"Exif\0\0" + block, xmp=packet(1), quality=98, **options)
    if kind == "PNG":
        data = path.read_bytes()
        text = chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet(1))
        path.write_bytes(data[:33] + text + data[33:])
    return maker


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize("suffix", FORMATS)
def test_exif_xmp_and_resolution_go_from_every_format_to_every_other(tmp_path, kind, suffix, order):
    maker = say(tmp_path / "a", kind, order)
    copy(tmp_path / "a", tmp_path / f"b.{suffix}")
    with Image.open(tmp_path / f"b.{suffix}") as image:
        image.load()
        exif, info = image.getexif(), image.info
        inner, gps = exif.get_ifd(34665), exif.get_ifd(34853)
        xmp = info["xmp"] if suffix != "tiff" else bytes(image.tag_v2[700])
    name = "Camera & S??hne" if kind == "TIFF" else "Camera & Söhne"  # as Pillow writes TIFF
    assert exif[271].encode("latin-1").decode() == name
    assert (exif[270], exif[315], exif[33432]) == ("A lake, at dawn", "Ann Author", "(c) Ann")
    assert exif[305] == METADATA["Software"]
    assert inner[36867] == "2024:05:06 07:08:09"
    assert float(inner[33434]) == 0.004
    assert inner[37500] == maker
    assert json.loads(inner[37510].removeprefix(b"ASCII\0\0\0")) == METADATA
    assert gps[1] == "N"
    assert [float(value) for value in gps[2]] == [47, 22, 12.345]
    if kind != "TIFF":  # where Pillow writes EXIF without them
        assert (inner[40962], inner[40963]) == (40, 24)
    assert xmp == packet(1)
    assert float(exif[282]) == float(exif[283]) == 240
    if suffix != "webp":
        assert [round(dots, 1) for dots in info["dpi"]] == [240, 240]


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("suffix", FORMATS)
def test_thumbnails_do_not_survive(tmp_path, suffix, order):
    more = b"<xmp:Thumbnails><rdf:li>OLD THUMBNAIL</rdf:li></xmp:Thumbnails>"
    block = b"Exif\0\0" + shot(order)[0]
    Image.fromarray(smooth()).save(tmp_path / "a.jpg", exif=block, xmp=packet(1, more))
    assert (tmp_path / "a.jpg").read_bytes().count(b"OLD THUMBNAIL") == 2
    copy(tmp_path / "a.jpg", tmp_path / f"b.{suffix}")
    data = (tmp_path / f"b.{suffix}").read_bytes()
    assert b"Lake" in data
    assert b"OLD THUMBNAIL" not in data


@pytest.mark.parametrize("suffix", FORMATS)
def test_an_orientation_in_xmp_alone_is_applied_and_neutral_then(tmp_path, suffix):
    Image.fromarray(smooth()).save(tmp_path / "a.jpg", xmp=packet(6), quality=98)
    photo = copy(tmp_path / "a.jpg", tmp_path / f"b.{suffix}")
    assert (photo.height, photo.width) == (40, 24)
    with Image.open(tmp_path / f"b.{suffix}") as image:
        xmp = image.info["xmp"] if suffix != "tiff" else bytes(image.tag_v2[700])
        assert ImageOps.exif_transpose(image).size == (24, 40)
    assert xmp == packet(1)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tiff"])
def test_resolution_turns_with_the_photo(tmp_path, suffix):
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(smooth()).save(tmp_path / "a.jpg", dpi=(300, 150), exif=exif)
    copy(tmp_path / "a.jpg", tmp_path / f"b.{suffix}")
    with Image.open(tmp_path / f"b.{suffix}") as image:
        assert [round(dots) for dots in image.info["dpi"]] == [150, 300]


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_photo_that_says_no_resolution_gets_none(tmp_path, suffix):
    exif = Image.Exif()
    exif[271] = "Camera"
    Image.fromarray(smooth()).save(tmp_path / "a.jpg", exif=exif)
    copy(tmp_path / "a.jpg", tmp_path / f"b.{suffix}")
    with Image.open(tmp_path / f"b.{suffix}") as image:
        if suffix in {"png", "webp"}:
            assert "dpi" not in image.info
        elif suffix == "jpg":
            assert image.info["jfif_unit"] == 0
        else:
            assert image.tag_v2[296] == 1


def test_a_persons_comment_stays(tmp_path):
    exif = Image.Exif()
    exif.get_ifd(34665)[37510] = b"ASCII\0\0\0By the lake   "
    Image.fromarray(smooth()).save(tmp_path / "a.jpg", exif=exif)
    copy(tmp_path / "a.jpg", tmp_path / "b.jpg")
    with Image.open(tmp_path / "b.jpg") as image:
        assert image.getexif().get_ifd(34665)[37510] == b"ASCII\0\0\0By the lake   "
        assert image.getexif()[305] == METADATA["Software"]


def test_texts_of_a_png_stay_and_say_how_it_was_made(tmp_path):
    texts = {"Author": "Ann", "Größe": "groß", "Software": "Editor 3", "Model": "older"}
    chunks = [
        (b"iTXt", key.encode("latin-1") + b"\0\0\0\0\0" + text.encode())
        for key, text in texts.items()
    ]
    (tmp_path / "a.png").write_bytes(png_bytes(smooth(), chunks[:2], behind=chunks[2:]))
    photo = read(tmp_path / "a.png")
    made = {**METADATA, "Author": "a model"}
    save(tmp_path / "b.png", Rows.of_picture(photo, own_bands(photo), made))
    with Image.open(tmp_path / "b.png") as image:
        image.load()
        assert image.text == {"Author": "Ann", "Größe": "groß", **METADATA}
        assert not image.getexif()


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_broken_exif_is_no_broken_photo(tmp_path, kind):
    block = shot()[0]
    loop = bytearray(block)
    loop[8 + 2 + 7 * 12 + 8 :][:4] = b"\0\0\0\x08"  # the directory within is the one around it
    nowhere = b"MM\0*\xff\xff\xff\xff"
    for broken in (b"", b"nonsense", block[:40], block[:150], bytes(loop), nowhere):
        Image.fromarray(smooth()).save(tmp_path / "a", kind, exif=b"Exif\0\0" + broken)
        photo = read(tmp_path / "a")
        save(tmp_path / "b.jpg", Rows.of_picture(photo, own_bands(photo), METADATA))
        with Image.open(tmp_path / "b.jpg") as image:
            assert image.getexif()[305] == METADATA["Software"]


def test_what_is_too_long_for_jpeg_is_left_out(tmp_path):
    exif = Image.Exif()
    exif.get_ifd(34665)[37500] = bytes(70000)
    Image.fromarray(smooth()).save(tmp_path / "a.webp", exif=exif, xmp=packet(1, b" " * 70000))
    copy(tmp_path / "a.webp", tmp_path / "b.jpg")
    copy(tmp_path / "a.webp", tmp_path / "b.tiff")
    with Image.open(tmp_path / "b.jpg") as image:
        assert "xmp" not in image.info
    with Image.open(tmp_path / "b.tiff") as image:
        assert len(image.getexif().get_ifd(34665)[37500]) == 70000


def test_bigtiffs_say_as_much(tmp_path, monkeypatch):
    maker = say(tmp_path / "a", "JPEG")
    monkeypatch.setattr(tiff, "CLASSIC_BYTES", 1000)
    photo = copy(tmp_path / "a", tmp_path / "b.tiff")
    with tifffile.TiffFile(tmp_path / "b.tiff") as file:
        assert file.is_bigtiff
        tags = file.pages.first.tags
        assert tags[34665].value["MakerNote"] == maker
        assert tags[34853].value["GPSLatitudeRef"] == "N"
        np.testing.assert_array_equal(file.asarray(), photo.colors(0, 24))
    again = read(tmp_path / "b.tiff")
    assert again.about.exif[34665] == {**photo.about.exif[34665], **again.about.exif[34665]}
    np.testing.assert_array_equal(again.colors(0, 24), photo.colors(0, 24))


# What is read, and what is refused


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_several_pictures_the_first_is_read(tmp_path, kind):
    first, second = (Image.new("RGB", (16, 8), colour) for colour in ("#c81e3c", "#0000ff"))
    first.save(tmp_path / "a", kind, save_all=True, append_images=[second], lossless=True)
    with Image.open(tmp_path / "a") as image:
        assert image.n_frames == 2
    assert (read(tmp_path / "a").srgb(0, 8) == (0xC8, 0x1E, 0x3C)).all()


def jpeg_bytes():
    buffer = io.BytesIO()
    Image.fromarray(some(64, 64)).save(buffer, "JPEG")
    return buffer.getvalue()


def tiff_bytes():
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, some(dtype=np.uint16), photometric="rgb")
    return buffer.getvalue()


DEEP = png_bytes(some(dtype=np.uint16))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"hello, this is no picture", "is not a picture"),
        (jpeg_bytes()[:2000], "damaged"),
        (DEEP[: len(DEEP) // 2], "damaged"),
        (DEEP[:40], "not a picture|damaged"),
        (tiff_bytes()[: len(tiff_bytes()) // 2], "damaged"),
        (tiff_bytes()[:30], "damaged"),
        (b"II*\0", "damaged"),
    ],
)
def test_what_cannot_be_read_says_why(tmp_path, content, message):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    for reader in (read, lambda path: decode(path.read_bytes(), path)):
        with pytest.raises(PictureError, match=message) as caught:
            reader(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_file_that_was_cut_off_names_the_way_out(kind):
    stream = io.BytesIO()
    Image.fromarray(some(64, 64)).save(stream, kind)
    data = stream.getvalue()
    with pytest.raises(PictureError, match=r"photo is damaged, .*; copy it again, or save what is"):
        decode(data[: len(data) * 3 // 4], "photo")


def test_missing_files_and_folders_say_so(tmp_path):
    with pytest.raises(PictureError, match=r"none\.png cannot be read"):
        read(tmp_path / "none.png")
    with pytest.raises(PictureError, match="is a folder"):
        read(tmp_path)


def bombs():
    header = struct.pack(">2I5B", 60000, 60000, 8, 2, 0, 0, 0)
    yield b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    header = struct.pack(">2I5B", 60000, 60000, 16, 2, 0, 0, 0)
    yield b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    yield jpeg_bytes().replace(struct.pack(">2H", 64, 64), struct.pack(">2H", 60000, 60000), 1)
    for size in (2, 4):
        data = bytearray(tiff_bytes())
        place = struct.unpack("<I", data[4:8])[0]
        for index in range(struct.unpack("<H", data[place : place + 2])[0]):
            entry = place + 2 + 12 * index
            if struct.unpack("<H", data[entry : entry + 2])[0] in {256, 257}:
                data[entry + 2 : entry + 12] = struct.pack("<HII", 4, 1, 60000)
            if size == 4 and struct.unpack("<H", data[entry : entry + 2])[0] == 339:
                data[entry + 2 : entry + 12] = struct.pack("<HIHH", 3, 1, 3, 0)
        yield bytes(data)


@pytest.mark.parametrize("content", list(bombs()), ids=["png", "png16", "jpeg", "tif16", "float"])
def test_a_bomb_is_refused_by_its_header(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    before = Image.MAX_IMAGE_PIXELS
    with pytest.raises(PictureError, match=r"60000x60000 .* --max-pixels"):
        read(tmp_path / "a")
    assert before == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_limit_on_pixels_is_the_callers(tmp_path, suffix, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # Pillow would refuse
    Image.fromarray(smooth()).save(tmp_path / f"a.{suffix}")
    photo = read(tmp_path / f"a.{suffix}", 24 * 40)
    assert photo.srgb(0, 24).shape == (24, 40, 3)
    assert Image.MAX_IMAGE_PIXELS == 100
    with pytest.raises(PictureError, match="40x24 is more than 959 pixels"):
        read(tmp_path / f"a.{suffix}", 24 * 40 - 1)


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of POSIX")
def test_a_pipe_is_read_to_its_end(tmp_path):
    (tmp_path / "a.png").write_bytes(png_bytes(smooth()))
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["cp", tmp_path / "a.png", tmp_path / "pipe"]):
        assert read(tmp_path / "pipe").width == 40


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 2, 2), np.uint8),
        np.zeros((2, 2, 1), np.uint8),
        np.zeros((2, 2, 3), np.float32),
        np.zeros((0, 2, 3), np.uint8),
        np.zeros(3, np.uint8),
    ],
)
def test_not_every_array_is_a_photo(array):
    with pytest.raises(PictureError, match="give uint8 or uint16"):
        Picture.from_array(array)


def test_arrays_are_photos():
    for array in (some(), some(channels=4, dtype=np.uint16), some()[..., 0]):
        photo = Picture.from_array(array)
        expected = np.stack([array] * 3, axis=2) if array.ndim == 2 else array[..., :3]
        np.testing.assert_array_equal(photo.colors(4, 9), expected[4:9])
        assert photo.has_alpha == (array.shape[2:] == (4,))


# Writing


def test_quality_is_for_jpeg_and_webp(tmp_path):
    photo = Picture.from_array(some(64, 64))
    for suffix in ("jpg", "webp"):
        sizes = []
        for quality in (1, 50, 100):
            path = tmp_path / f"{quality}.{suffix}"
            save(path, Rows.of_picture(photo, own_bands(photo), METADATA, quality))
            sizes.append(path.stat().st_size)
        assert sizes == sorted(set(sizes))
    for quality in (0, 101):
        with pytest.raises(PictureError, match="1 to 100"):
            save(tmp_path / "a.jpg", Rows.of_picture(photo, own_bands(photo), {}, quality))
    assert not list(tmp_path.glob("a.*"))


def test_jpeg_keeps_the_colours_of_fine_detail(tmp_path):
    array = np.zeros((32, 32, 3), np.uint8)
    array[:, ::2], array[:, 1::2] = (200, 30, 60), (40, 150, 90)
    photo = Picture.from_array(array)
    save(tmp_path / "a.jpg", Rows.of_picture(photo, own_bands(photo), METADATA))
    with Image.open(tmp_path / "a.jpg") as image:
        assert np.abs(np.asarray(image).astype(int) - array).max() <= 12


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("a.bmp", (1, 1), "choose one of .png"),
        ("a.webp", (16384, 1), "16383"),
        ("a", (1, 1), "no suffix"),
    ],
)
def test_what_cannot_be_written_is_refused_before_any_work(tmp_path, name, size, message):
    photo = Picture.from_array(np.zeros((*size, 3), np.uint8))
    with pytest.raises(PictureError, match=message):
        check_output(tmp_path / name, *size)
    with pytest.raises(PictureError, match=message):
        save(tmp_path / name, Rows.of_picture(photo, iter(lambda: 1 / 0, None), METADATA))
    assert list(tmp_path.iterdir()) == []


def test_three_hundred_megapixels_fit_into_a_jpeg(tmp_path):
    check_output(tmp_path / "a.jpg", 15000, 20000)


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_failure_midway_leaves_the_old_file(tmp_path, suffix):
    def bands():
        yield some(8, 40, 4, np.uint16)
        raise KeyboardInterrupt

    path = tmp_path / f"a.{suffix}"
    path.write_bytes(b"old")
    photo = Picture.from_array(some(24, 40, 4, np.uint16))
    with pytest.raises(KeyboardInterrupt):
        save(path, Rows.of_picture(photo, bands(), METADATA))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_stdout_gets_a_png_that_keeps_as_much(tmp_path):
    array = some(dtype=np.uint16, channels=4)
    profile = b"name\0\0" + zlib.compress(swapped())
    (tmp_path / "a.png").write_bytes(png_bytes(array, [(b"iCCP", profile)]))
    script = (
        "from tn_runtime.console import write_png\n"
        "from tn_runtime.pictures import Rows, read\n"
        "import numpy as np\n"
        "photo = read('a.png')\n"
        "parts = [photo.colors(0, 21), photo.alpha(0, 21)[..., None]]\n"
        "write_png(Rows.of_picture(photo, [np.concatenate(parts, axis=2)], {'Seed': '7'}))\n"
    )
    done = python(script, cwd=tmp_path, text=False)
    assert done.returncode == 0, done.stderr
    (tmp_path / "b.png").write_bytes(done.stdout)
    np.testing.assert_array_equal(png_samples(tmp_path / "b.png"), array)
    with Image.open(tmp_path / "b.png") as image:
        assert (image.text["Seed"], image.info["icc_profile"]) == ("7", swapped())


def test_directories_that_name_one_another_are_read_once():
    entries = b"".join(struct.pack("<HHII", 34665, 4, 1, 8) for _ in range(4000))
    block = b"II*\0" + struct.pack("<IH", 8, 4000) + entries + bytes(4)
    assert exif.read(block) == {}


def test_opaque_is_the_largest_integer(tmp_path):
    values = np.full((8, 9, 4), 2**32 - 1, np.uint32)
    values[..., :3] = 7
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb", extrasamples=["unassalpha"])
    photo = read(tmp_path / "a.tif")
    assert photo.has_alpha
    assert photo.alpha(0, 8).min() == 255
