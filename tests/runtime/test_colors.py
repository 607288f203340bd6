"""A colour-managed viewer sees the same picture before and after, whatever says its colours."""

import io
import struct
import zlib

import numpy as np
import pytest
import pyvips
from PIL import Image, ImageCms

from runtime.picture_files import (
    ADOBE,
    SRGB,
    adobe,
    encoded,
    linear,
    png_bytes,
    png_chunks,
    swapped,
)
from tn_runtime.pictures import Rows, decode, encode

FORMATS = [".png", ".jpg", ".webp", ".tiff"]
P3 = np.array([[0.48657, 0.22897, 0.0], [0.26567, 0.69174, 0.04511], [0.19822, 0.07929, 1.04394]])
"""X, Y and Z of Display P3's red, green and blue; white is D65 (SMPTE EG 432-1)."""
SRGB_D65 = np.array(
    [[0.41239, 0.21264, 0.01933], [0.35758, 0.71517, 0.11919], [0.18048, 0.07219, 0.95053]]
)


def ramp():
    """Return colours (24, 40, 3) that change slowly, so that JPEG keeps them."""
    y, x = np.mgrid[:24, :40]
    return np.stack([100 + 2 * x, 160 - 2 * y, 110 + x + y], axis=2).astype(np.uint8)


def gamma(value):
    return b"gAMA", struct.pack(">I", round(value * 100000))


def chromaticities(*values):
    return b"cHRM", struct.pack(">8I", *(round(value * 100000) for value in values))


def coded(*values):
    return b"cICP", bytes(values)


def profile(data):
    return b"iCCP", b"name\0\0" + zlib.compress(data)


def viewed(data):
    """Return what a viewer that knows ICC profiles, and nothing else, shows of a file."""
    with Image.open(io.BytesIO(data)) as image:
        rgb = image.convert("RGB")
        if icc := image.info.get("icc_profile"):
            source = ImageCms.ImageCmsProfile(io.BytesIO(icc))
            rgb = ImageCms.profileToProfile(rgb, source, ImageCms.createProfile("sRGB"))
        return np.asarray(rgb).astype(int)


def written(picture, suffix):
    """Return the file of a picture that nothing was done to."""
    bands = [picture.colors()]
    stream = io.BytesIO()
    encode(stream, suffix, Rows.of_picture(picture, bands, {}, quality=100))
    return stream.getvalue()


ADOBE_XY = (0.3127, 0.3290, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
BEFORE = ramp()
MEANINGS = {
    "gamma 1": ([gamma(1.0)], encoded(BEFORE / 255)),
    "gamma 1/1.8": ([gamma(1 / 1.8)], encoded((BEFORE / 255) ** 1.8)),
    "gamma 1/2.2": ([gamma(0.45455)], BEFORE),
    "adobe": (
        [gamma(0.45455), chromaticities(*ADOBE_XY)],
        encoded(linear(BEFORE) @ ADOBE @ np.linalg.inv(SRGB)),
    ),
    "p3": ([coded(12, 13, 0, 1)], encoded(linear(BEFORE) @ P3 @ np.linalg.inv(SRGB_D65))),
    "srgb": ([coded(1, 13, 0, 1), gamma(1.0)], BEFORE),
    "srgb chunk": ([(b"sRGB", b"\0"), gamma(1.0)], BEFORE),
    "profile": ([profile(swapped()), gamma(1.0)], BEFORE[..., [1, 0, 2]]),
    "coded": ([coded(1, 13, 0, 1), profile(swapped())], BEFORE),
    "video range": ([coded(12, 13, 0, 0)], BEFORE),
}


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("meaning", list(MEANINGS))
def test_what_a_png_says_of_its_colours_stays_true_in_every_format(meaning, depth, suffix):
    chunks, expected = MEANINGS[meaning]
    array = BEFORE if depth == 8 else BEFORE.astype(np.uint16) * 257
    picture = decode(png_bytes(array, chunks))
    np.testing.assert_array_equal(picture.colors(), array)
    assert np.abs(picture.srgb().astype(int) - expected).max() <= 3
    after = written(picture, suffix)
    assert np.abs(decode(after).srgb().astype(int) - expected).max() <= (
        3 if suffix in {".png", ".tiff"} else 12
    )
    if depth == 8 or suffix != ".tiff":  # which Pillow cannot open
        assert np.abs(viewed(after) - expected).max() <= (3 if suffix in {".png", ".tiff"} else 12)


@pytest.mark.parametrize("suffix", FORMATS)
def test_grey_has_a_gamma_too(suffix):
    grey = np.arange(40, 232, dtype=np.uint8).reshape(12, 16, 1)
    picture = decode(png_bytes(grey, [gamma(1.0)]))
    expected = encoded(grey / 255)
    assert np.abs(picture.srgb().astype(int) - expected).max() <= 2
    assert np.abs(viewed(written(picture, suffix)) - expected).max() <= 12


@pytest.mark.parametrize(("code", "name", "white"), [(16, "PQ", 0.5807), (18, "HLG", 0.75)])
def test_hdr_is_said_and_kept_by_a_png(code, name, white):
    array = np.full((8, 8, 3), round(white * 65535), np.uint16)
    array[:, 4:] = 65535
    picture = decode(png_bytes(array, [coded(9, code, 0, 1)]))
    [note] = picture.about.notes
    assert f"HDR ({name})" in note
    assert picture.srgb().min() >= 253  # white is white, and brighter is white
    chunks = dict(png_chunks(written(picture, ".png")))
    assert chunks[b"cICP"] == bytes([9, code, 0, 1])
    assert b"iCCP" in chunks  # for readers that do not know cICP
    dark = decode(png_bytes(array // 4, [coded(9, code, 0, 1)]))
    assert 5 < dark.srgb().max() < 120


def avif(primaries, transfer, array=BEFORE):
    """Return an AVIF whose colours are coded so; the encoder writes sRGB."""
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "AVIF", quality=100, subsampling="4:4:4")
    codes = struct.pack(">2H", primaries, transfer)
    return stream.getvalue().replace(b"colrnclx\0\1\0\x0d", b"colrnclx" + codes)


def heic(primaries, transfer, array=BEFORE):
    heif = pytest.importorskip("pillow_heif")
    mode = "RGB;16" if array.dtype == np.uint16 else "RGB"
    stream = io.BytesIO()
    heif.from_bytes(mode, array.shape[1::-1], array.tobytes()).save(
        stream, quality=-1, chroma=444, color_primaries=primaries, transfer_characteristics=transfer
    )
    return stream.getvalue()


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("kind", [avif, heic])
def test_the_codes_of_an_avif_or_heic_stay_true_in_every_format(kind, suffix):
    picture = decode(kind(12, 13))
    expected = encoded(linear(picture.colors()) @ P3 @ np.linalg.inv(SRGB_D65))
    assert np.abs(expected - picture.colors()).max() > 10  # or this says nothing
    assert np.abs(picture.srgb() - expected).max() <= 3
    assert picture.about.notes == ()
    assert np.abs(viewed(written(picture, suffix)) - expected).max() <= (
        3 if suffix in {".png", ".tiff"} else 12
    )


@pytest.mark.parametrize("kind", [avif, heic])
def test_an_avif_or_heic_of_srgb_has_no_profile(kind):
    assert decode(kind(1, 13)).about.profile is None
    assert decode(kind(2, 2)).about.profile is None  # nothing is said


@pytest.mark.parametrize("kind", [avif, heic])
@pytest.mark.parametrize(("code", "name"), [(16, "PQ"), (18, "HLG")])
def test_hdr_of_an_avif_or_heic_is_said_in_one_line_and_kept_by_a_png(kind, code, name):
    picture = decode(kind(9, code))
    [note] = picture.about.notes
    assert f"HDR ({name})" in note
    png = dict(png_chunks(written(picture, ".png")))
    assert png[b"cICP"] == bytes([9, code, 0, 1])
    assert b"iCCP" in png


def test_a_profile_goes_before_the_codes_of_an_avif():
    stream = io.BytesIO()
    Image.fromarray(BEFORE).save(stream, "AVIF", icc_profile=swapped())
    assert decode(stream.getvalue()).about.profile == swapped()


def test_ten_bits_of_an_avif_or_heic_stay():
    array = np.linspace(10_000, 60_000, 24 * 40 * 3).reshape(24, 40, 3).astype(np.uint16)
    picture = decode(heic(1, 13, array))
    assert picture.depth == 16
    assert np.abs(picture.colors().astype(int) - array).max() < 600
    deep = pyvips.Image.new_from_memory(array.tobytes(), 40, 24, 3, "ushort")
    image = deep.copy(interpretation="rgb16")
    picture = decode(image.heifsave_buffer(compression="av1", bitdepth=10, lossless=True))
    assert picture.depth == 16
    assert np.abs(picture.colors().astype(int) - array).max() < 600


def test_a_way_from_srgb_is_a_way_back():
    picture = decode(png_bytes(BEFORE, [gamma(0.45455), chromaticities(*ADOBE_XY)]))
    own = encoded(linear(BEFORE) @ SRGB @ np.linalg.inv(ADOBE))
    assert np.abs(picture.from_srgb(BEFORE) - own).max() <= 3


def test_primaries_that_span_nothing_are_left_alone():
    same = chromaticities(*(0.3, 0.3) * 4)
    for chunks in ([gamma(1.0), same], [gamma(1.0), chromaticities(*[0] * 8)], [gamma(0)]):
        assert decode(png_bytes(BEFORE, chunks)).about.profile is None
    assert decode(png_bytes(BEFORE, [(b"gAMA", b"\0")])).about.profile is None


def test_profiles_made_here_have_the_same_bytes_every_day():
    chunks = [gamma(1.0)]
    assert decode(png_bytes(BEFORE, chunks)).about.profile[24:36] == struct.pack(
        ">6H", 2000, 1, 1, 0, 0, 0
    )


def test_an_exemplar_is_seen_as_a_viewer_sees_it(tmp_path):
    train = pytest.importorskip("tn_train.data")
    for name, (chunks, expected) in MEANINGS.items():
        (tmp_path / f"{name.partition('/')[0]}.png").write_bytes(png_bytes(BEFORE, chunks))
        tensor, _ = train.read_exemplar(tmp_path / f"{name.partition('/')[0]}.png", size=40)
        seen = tensor[0].permute(1, 2, 0).numpy() * 255
        assert np.abs(seen - expected).max() <= 3, name


@pytest.mark.parametrize("inverted", [False, True])
def test_cmyk_is_converted_by_its_profile_or_plainly(inverted):
    image = Image.fromarray(BEFORE).convert("CMYK")
    stream = io.BytesIO()
    image.save(stream, "JPEG" if inverted else "TIFF", quality=98)
    seen = decode(stream.getvalue()).srgb()
    assert np.abs(seen.astype(int) - np.asarray(image.convert("RGB"))).max() <= 8


def test_an_adobe_profile_is_kept_beside_gamma():
    own = adobe()
    assert decode(png_bytes(BEFORE, [profile(own), gamma(1.0)])).about.profile == own
