"""Pictures of every kind come in as the colours they mean; what goes out is whole, or not there."""

import importlib
import io
import json
import os
import stat
import struct
import sys
import tracemalloc
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from runtime.processes import PEAK, python
from tn_runtime.errors import PictureError
from tn_runtime.pictures import FORMATS, Rows, check_output, read, save, tiff

encoded = importlib.import_module("tn_runtime.pictures.encoded")

RED, HALF = (200, 30, 60), (100, 150, 250)


def some_rgb(height=37, width=300, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def in_bands(array, heights=(5, 16, 1)):
    top = 0
    while top < len(array):
        for height in heights:
            if top < len(array):
                yield array[top : top + height]
            top += height


def picture_of(array, **metadata):
    return Rows(in_bands(array), array.shape[0], array.shape[1], metadata)


def two_colours(mode):
    image = Image.new("RGB", (2, 1))
    image.putpixel((0, 0), RED)
    image.putpixel((1, 0), HALF)
    return image.quantize(2) if mode == "P" else image.convert(mode)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("size", [(1, 1), (37, 300), (300, 37), (513, 259)])
def test_streamed_files_hold_the_very_pixels(tmp_path, suffix, size):
    array = some_rgb(*size)
    save(tmp_path / f"a{suffix}", picture_of(array))
    np.testing.assert_array_equal(read(tmp_path / f"a{suffix}").srgb(), array)
    assert [path.name for path in tmp_path.iterdir()] == [f"a{suffix}"]


def test_png_filters_smooth_pictures_well(tmp_path):
    ramp = np.arange(256, dtype=np.uint8)
    array = np.stack([np.add.outer(ramp, ramp)] * 3, axis=2)
    save(tmp_path / "a.png", picture_of(array))
    np.testing.assert_array_equal(read(tmp_path / "a.png").srgb(), array)
    assert (tmp_path / "a.png").stat().st_size < array.size / 50


def test_png_takes_less_memory_than_the_band(tmp_path):
    band = np.zeros((512, 16384, 3), np.uint8)
    tracemalloc.start()
    save(tmp_path / "a.png", Rows([band], *band.shape[:2], {}))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < band.nbytes / 2


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".webp"])
def test_lossy_files_are_close(tmp_path, suffix):
    array = np.full((40, 50, 3), (90, 160, 30), np.uint8)
    save(tmp_path / f"a{suffix}", picture_of(array))
    assert np.abs(read(tmp_path / f"a{suffix}").srgb().astype(int) - array).max() <= 4


def test_tiff_needs_no_imagecodecs(tmp_path):
    script = (
        "import sys; sys.modules['imagecodecs'] = None\n"
        "import numpy as np\n"
        "from tn_runtime.pictures import Rows, read, save\n"
        "array = np.arange(300 * 280 * 3, dtype=np.uint32).astype(np.uint8).reshape(300, 280, 3)\n"
        "save('a.tiff', Rows([array], 300, 280, {}))\n"
        "assert (read('a.tiff').srgb() == array).all()\n"
    )
    done = python(script, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with tifffile.TiffFile(tmp_path / "a.tiff") as file:
        assert file.pages.first.compression == tifffile.COMPRESSION.ADOBE_DEFLATE


def test_a_large_tiff_is_a_bigtiff(tmp_path, monkeypatch):
    monkeypatch.setattr(tiff, "CLASSIC_BYTES", 1000)
    array = some_rgb()
    save(tmp_path / "a.tiff", picture_of(array))
    with tifffile.TiffFile(tmp_path / "a.tiff") as file:
        assert file.is_bigtiff
    np.testing.assert_array_equal(read(tmp_path / "a.tiff").srgb(), array)


@pytest.mark.parametrize("suffix", list(FORMATS))
def test_metadata_is_kept(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    metadata = {"Software": "texture-networks 1.2.3", "Model": "Gewürz", "Seed": "-7"}
    save(path, picture_of(some_rgb(20, 20), **metadata))
    with Image.open(path) as image:
        image.load()
        if suffix == ".png":
            assert {key: image.text[key] for key in metadata} == metadata
        else:
            tags = image.tag_v2 if "tif" in suffix else image.getexif()
            assert tags[305] == metadata["Software"]
            assert json.loads(tags[270]) == metadata


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "RGBX", "P", "CMYK", "YCbCr"])
def test_colour_modes(tmp_path, mode):
    path = tmp_path / ("a.png" if mode in {"RGB", "RGBA", "P"} else "a.tiff")
    two_colours(mode).save(path)
    expected = np.asarray(two_colours(mode).convert("RGB")).astype(int)
    assert np.abs(expected - [[RED, HALF]]).max() <= 5  # Pillow's palette is approximate
    assert np.abs(read(path).srgb() - expected).max() <= 1


@pytest.mark.parametrize("mode", ["L", "LA", "1"])
def test_grey_modes(tmp_path, mode):
    two_colours("L").convert(mode).save(tmp_path / "a.png")
    result = read(tmp_path / "a.png").srgb()
    assert result.shape == (1, 2, 3)
    assert (result == result[..., :1]).all()


@pytest.mark.parametrize("kind", ["RGBA", "LA", "P"])
def test_colours_under_alpha_are_as_stored(tmp_path, kind):
    if kind == "P":
        image = two_colours("P")
        image.save(tmp_path / "a.png", transparency=bytes([0, 0]))
    else:
        image = two_colours(kind)
        image.putalpha(0)
        image.save(tmp_path / "a.png")
    opaque = np.asarray(two_colours(kind).convert("RGB")).astype(int)
    assert np.abs(read(tmp_path / "a.png").srgb() - opaque).max() <= 1


def test_sixteen_bit_grey(tmp_path):
    values = np.array([[0, 257, 32896, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "b.tiff", values, byteorder=">", photometric="minisblack")
    for name in ("a.png", "b.tiff"):
        assert read(tmp_path / name).srgb()[0, :, 1].tolist() == [0, 1, 128, 255]


@pytest.mark.parametrize(("kind", "channels"), [(2, 3), (4, 2), (6, 4)], ids=["RGB", "LA", "RGBA"])
def test_sixteen_bit_png_with_colour_or_alpha_is_rounded(tmp_path, kind, channels):
    levels = np.array([0, 255, 256, 32768, 65279, 65280, 65535], ">u2")
    row = b"\0" + np.repeat(levels, channels).tobytes()
    (tmp_path / "a.png").write_bytes(png_file(len(levels), 1, 16, kind, zlib.compress(row)))
    assert read(tmp_path / "a.png").srgb()[0, :, 1].tolist() == [0, 1, 1, 128, 254, 254, 255]


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("channels", [3, 4])
def test_sixteen_bit_and_float_colour(tmp_path, planar, channels):
    levels = np.linspace(0, 1, 5 * 6 * channels).reshape(5, 6, channels)
    expected = np.rint(levels[..., :3] * 255)
    for dtype, scale in ((np.uint16, 65535), (np.float32, 1)):
        values = (levels * scale).astype(dtype)
        stored = np.moveaxis(values, 2, 0) if planar == "separate" else values
        tifffile.imwrite(
            tmp_path / "a.tiff",
            np.ascontiguousarray(stored),
            photometric="rgb",
            planarconfig=planar,
            extrasamples=["unassalpha"] * (channels - 3),
        )
        assert np.abs(read(tmp_path / "a.tiff").srgb() - expected).max() <= 1, dtype


@pytest.mark.parametrize("dtype", [np.float64, np.uint64, np.int64])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"byteorder": ">"},
        {"rowsperstrip": 5, "compression": "zlib"},
        {"tile": (16, 32)},
        {"tile": (16, 32), "compression": "zlib", "byteorder": ">"},
        {"planarconfig": "separate"},
        {"planarconfig": "separate", "compression": "zlib", "rowsperstrip": 5},
    ],
    ids=str,
)
def test_numbers_of_64_bits_in_every_layout(tmp_path, dtype, options):
    levels = np.linspace(0, 1, 37 * 50 * 3).reshape(37, 50, 3)
    values = (levels * (1 if dtype == np.float64 else 65535)).astype(dtype)
    stored = np.moveaxis(values, 2, 0) if "planarconfig" in options else values
    tifffile.imwrite(
        tmp_path / "a.tiff", np.ascontiguousarray(stored), photometric="rgb", **options
    )
    assert np.abs(read(tmp_path / "a.tiff").srgb() - np.rint(levels * 255)).max() <= 1


def test_half_floats_in_planes(tmp_path):
    levels = np.linspace(0, 1, 37 * 50 * 3).reshape(3, 37, 50).astype(np.float16)
    tifffile.imwrite(tmp_path / "a.tiff", levels, photometric="rgb", planarconfig="separate")
    expected = np.moveaxis(levels.astype(float), 0, 2) * 255
    assert np.abs(read(tmp_path / "a.tiff").srgb() - expected).max() <= 1


def test_one_strip_of_more_than_50_megabytes_is_read(tmp_path):
    """Libtiff refuses it, unless libvips lifts the limit; ours is the one on pixels."""
    array = np.zeros((4500, 4000, 3), np.uint8)
    array[-1, -1] = RED
    tifffile.imwrite(
        tmp_path / "a.tiff", array, photometric="rgb", compression="lzw", rowsperstrip=4500
    )
    assert read(tmp_path / "a.tiff").srgb()[-1, -1].tolist() == list(RED)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is counted in other units elsewhere")
@pytest.mark.parametrize(
    ("dtype", "options"),
    [
        (np.uint16, {}),
        (np.float32, {"compression": "zlib", "rowsperstrip": 64}),
        (np.float64, {}),
        (np.float64, {"compression": "zlib", "rowsperstrip": 64}),
        (np.float64, {"compression": "zlib", "tile": (64, 256)}),
    ],
    ids=str,
)
def test_deep_tiffs_take_little_memory_beside_the_file_and_the_result(tmp_path, dtype, options):
    array = np.zeros((1500, 2000, 3), dtype)
    array[::7] = 1
    tifffile.imwrite(tmp_path / "a.tiff", array, photometric="rgb", **options)
    script = (
        f"{PEAK}\n"
        "from tn_runtime.pictures import read\n"
        "before = peak()\n"
        "picture = read('a.tiff')\n"
        "size = pathlib.Path('a.tiff').stat().st_size + 3_000_000 * 3 * picture.depth // 8\n"
        "assert (peak() - before) * 1024 < size + 40_000_000, (peak() - before) * 1024 - size\n"
    )
    done = python(script, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_float_grey_means_zero_to_one_and_is_stretched_beyond(tmp_path):
    inside = np.array([[0, 0.25, 1]], np.float32)
    for dtype in (np.float16, np.float32, np.float64):
        tifffile.imwrite(tmp_path / "a.tiff", inside.astype(dtype))
        assert read(tmp_path / "a.tiff").srgb()[0, :, 0].tolist() == [0, 64, 255]
    tifffile.imwrite(tmp_path / "b.tiff", inside * 900 - 300)
    assert read(tmp_path / "b.tiff").srgb()[0, :, 0].tolist() == [0, 64, 255]
    tifffile.imwrite(tmp_path / "flat.tiff", np.full((2, 2), 7.0, np.float32))
    assert (read(tmp_path / "flat.tiff").srgb() == 0).all()
    tifffile.imwrite(tmp_path / "c.tiff", np.array([[0, np.nan]], np.float32))
    with pytest.raises(PictureError, match="not finite"):
        read(tmp_path / "c.tiff").srgb()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, orientation):
    array = np.zeros((16, 32, 3), np.uint8)
    array[:, :16] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(array).save(tmp_path / "a.png", exif=exif)
    result = read(tmp_path / "a.png").srgb()
    assert result.shape[:2] == ((16, 32) if orientation < 5 else (32, 16))
    bright = {1: "left", 2: "right", 3: "right", 4: "left", 5: "top", 6: "top", 7: "low", 8: "low"}
    halves = {
        "left": result[:, :16],
        "right": result[:, -16:],
        "top": result[:16],
        "low": result[-16:],
    }
    assert halves[bright[orientation]].all()


def swapped_srgb():
    """Return an sRGB profile whose red and green primaries have changed places."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, green = profile.index(b"rXYZ"), profile.index(b"gXYZ")
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(profile)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_colour_profile_is_converted_to_srgb(tmp_path, mode):
    two_colours(mode).save(tmp_path / "a.png", icc_profile=swapped_srgb())
    expected = np.array([[RED, HALF]])[..., [1, 0, 2]]
    assert np.abs(read(tmp_path / "a.png").srgb() - expected).max() <= 2


def test_colour_profile_and_orientation_of_deep_tiffs(tmp_path):
    deep = np.array([[RED, HALF]], np.uint16) * 257
    tags = [(274, "H", 1, 6, True), (34675, "B", len(swapped_srgb()), swapped_srgb(), True)]
    tifffile.imwrite(tmp_path / "a.tiff", deep, photometric="rgb", extratags=tags, metadata=None)
    expected = np.array([[RED], [HALF]])[..., [1, 0, 2]]
    assert np.abs(read(tmp_path / "a.tiff").srgb() - expected).max() <= 2


def test_lab_is_converted_to_srgb(tmp_path):
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    image = Image.new("LAB", (2, 2), (255, 128, 128))
    image.save(tmp_path / "a.tiff", icc_profile=lab.tobytes())
    assert read(tmp_path / "a.tiff").srgb().min() >= 253
    image.save(tmp_path / "b.tiff")
    assert read(tmp_path / "b.tiff").srgb().min() >= 253


@pytest.mark.parametrize("profile", [b"nonsense", None])
def test_foreign_colour_profile_is_ignored(tmp_path, profile):
    if profile is None:
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    two_colours("RGB").save(tmp_path / "a.png", icc_profile=profile)
    assert read(tmp_path / "a.png").srgb().tolist() == [[list(RED), list(HALF)]]


def png_file(width, height, depth, kind, content):
    header = struct.pack(">2I5B", width, height, depth, kind, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n"
    for name, chunk in ((b"IHDR", header), (b"IDAT", content), (b"IEND", b"")):
        data += struct.pack(">I", len(chunk)) + name + chunk
        data += struct.pack(">I", zlib.crc32(name + chunk))
    return data


def jpeg_bytes():
    buffer = io.BytesIO()
    Image.fromarray(some_rgb()).save(buffer, "JPEG")
    return buffer.getvalue()


def tiff_bytes():
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, some_rgb().astype(np.float32), photometric="rgb")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"hello, this is no picture", "not a picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture"),
        (png_file(60000, 60000, 8, 2, b""), "too large"),
        (jpeg_bytes()[:2000], "damaged"),
        (tiff_bytes()[: len(tiff_bytes()) // 2], "damaged"),
        (tiff_bytes()[:30], "damaged"),
        (b"II*\0", "damaged"),
    ],
)
def test_what_cannot_be_read_says_why(tmp_path, content, message):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(PictureError, match=message) as caught:
        read(path).srgb()
    assert str(path) in str(caught.value)


def test_too_little_memory_is_no_damage(tmp_path, monkeypatch):
    def no_memory(*_):
        raise MemoryError

    (tmp_path / "a.jpg").write_bytes(jpeg_bytes())
    monkeypatch.setattr(encoded.Store, "of_size", no_memory)
    with pytest.raises(MemoryError):
        read(tmp_path / "a.jpg").srgb()


def test_damaged_tiffs_leave_stderr_to_the_error_line(tmp_path):
    (tmp_path / "a.tiff").write_bytes(tiff_bytes()[:60])
    script = (
        "from tn_runtime.pictures import read\n"
        "from tn_runtime.errors import PictureError\n"
        "try: read('a.tiff').srgb()\n"
        "except PictureError as error: print(error)\n"
    )
    done = python(script, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "damaged" in done.stdout


def test_missing_files_and_folders_say_so(tmp_path):
    with pytest.raises(PictureError, match=r"none\.png cannot be read"):
        read(tmp_path / "none.png").srgb()
    with pytest.raises(PictureError, match="is a folder"):
        read(tmp_path).srgb()


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("a.bmp", (1, 1), "choose one of .png"),
        ("a", (1, 1), "no suffix"),
        ("a.jpg", (1, 65501), "65500"),
        ("a.webp", (16384, 1), "16383"),
        ("a.jpg", (30000, 30000), "take .png or .tiff"),
        ("a.png", (1, 2**31), "ask for less"),
    ],
)
def test_what_cannot_be_written_is_refused_before_any_work(tmp_path, name, size, message):
    def bands():
        raise AssertionError("work was done")
        yield

    with pytest.raises(PictureError, match=message):
        check_output(tmp_path / name, *size)
    with pytest.raises(PictureError, match=message):
        save(tmp_path / name, Rows(bands(), *size, {}))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["missing/a.png", "folder.png"])
def test_where_nothing_can_be_written_says_so(tmp_path, name):
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(PictureError, match="folder"):
        save(tmp_path / name, picture_of(some_rgb(2, 2)))


@pytest.mark.parametrize("suffix", list(FORMATS))
def test_a_failure_midway_leaves_the_old_file(tmp_path, suffix):
    def bands():
        yield some_rgb(20, 20)
        raise KeyboardInterrupt

    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        save(path, Rows(bands(), 1000, 20, {}))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(sys.platform == "win32", reason="links and devices of POSIX")
def test_links_are_followed_and_devices_left_alone(tmp_path):
    (tmp_path / "link.png").symlink_to(tmp_path / "target.png")
    save(tmp_path / "link.png", picture_of(some_rgb(2, 2)))
    assert (tmp_path / "link.png").is_symlink()
    assert (tmp_path / "target.png").is_file()
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(PictureError, match="not a regular file"):
        save(tmp_path / "pipe.png", picture_of(some_rgb(2, 2)))
    assert stat.S_ISFIFO((tmp_path / "pipe.png").stat().st_mode)
