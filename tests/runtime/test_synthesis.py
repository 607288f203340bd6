"""A window of the plane is the same pixels however it is asked for."""

import dataclasses
import io
import weakref

import numpy as np
import pytest

from runtime import contract
from runtime.processes import python
from tn_runtime import bands, load, synthesize, tiling
from tn_runtime.commands.sheet import sheet_bands, sheet_size
from tn_runtime.errors import RequestError
from tn_runtime.pictures import GAP, Rows, encode
from tn_runtime.requests import INT64_MAX, INT64_MIN
from tn_runtime.tiling import Window


@pytest.fixture(scope="module")
def plain(plain_model):
    return load(plain_model, "cpu", threads=1)


@pytest.fixture(scope="module")
def tiny(tiny_model):
    return load(tiny_model, "cpu")


def equal(left, right):
    np.testing.assert_array_equal(left, right)


# Geometry


@pytest.mark.parametrize("stride", [1, 16, 1024])
@pytest.mark.parametrize(("start", "length"), [(0, 1), (-5, 5000), (10**18 + 3, 1537), (512, 512)])
def test_cuts_lie_on_the_stride_and_cover_the_window(stride, start, length):
    window = Window(start, -start, length, length)
    rows = list(tiling.rows(window, stride, 512))
    assert [row.y for row in rows[1:]] == [row.y + row.height for row in rows[:-1]]
    assert sum(row.height for row in rows) == length
    assert all(row.y % stride == 0 for row in rows[1:])
    parts = list(tiling.tiles(rows[0], stride, 512))
    assert sum(part.width for part in parts) == length
    assert all(part.x % stride == 0 for part in parts[1:])
    assert all(0 < part.width <= max(stride, 512) for part in parts)
    assert tiling.count(window, stride, 512) == len(rows) * len(parts)


def test_very_wide_windows_have_low_bands():
    rows = list(tiling.rows(Window(0, 0, 4096, 10**6), 16, 512))
    assert all(3 * row.height * row.width <= tiling.BAND_BYTES for row in rows)


def test_sheets_have_bands_as_low_as_pictures_of_their_width(plain, monkeypatch):
    monkeypatch.setattr(tiling, "BAND_BYTES", 3 * 100 * (8 * 50 + 7 * GAP))
    parts = list(sheet_bands(plain, range(60), (300, 50)))
    assert max(part.nbytes for part in parts) <= tiling.BAND_BYTES
    equal(np.concatenate(parts)[:300, 50 + GAP :][:, :50], synthesize(plain, (300, 50), 1))


def test_a_band_is_gone_before_the_next_is_made(plain):
    made = []

    class Watching:
        def run(self, outputs, inputs):
            assert not [band for band in made if band() is not None]
            return plain.session.run(outputs, inputs)

    def noted(band):
        made.append(weakref.ref(band.base))
        return band

    parts = bands(dataclasses.replace(plain, session=Watching()), (900, 20))
    encode(io.BytesIO(), ".png", Rows(map(noted, parts), 900, 20))
    assert len(made) == 4


# Requests


@pytest.mark.parametrize("size", [(1, 1), (17, 333), (64, 2048), (700, 530)])
@pytest.mark.parametrize("origin", [(0, 0), (-7, 10**9), (INT64_MIN + 12, INT64_MAX - 3000)])
@pytest.mark.parametrize("period", [(0, 0), (8, 0), (1024, 2**40)])
def test_every_window_holds_the_planes_pixels(plain, size, origin, period):
    equal(synthesize(plain, size, 5, origin, period), contract.expected(size, 5, origin, period))


@pytest.mark.parametrize("size", [(3, 4), (600, 20)])
def test_many_seeds_make_many_pictures(plain, size):
    seeds = [3, INT64_MIN, INT64_MAX, 0]
    equal(synthesize(plain, size, seeds), [synthesize(plain, size, seed) for seed in seeds])
    equal(synthesize(plain, size, np.array(seeds)), synthesize(plain, size, seeds))
    equal(synthesize(plain, size, np.int64(3)), synthesize(plain, size, 3))


class Watched:
    """A session that keeps the inputs of each run."""

    def __init__(self, session):
        self.session, self.runs = session, []

    def run(self, outputs, inputs):
        self.runs.append(inputs)
        return self.session.run(outputs, inputs)


@pytest.mark.parametrize(("size", "count"), [((1, 1), 1500), ((7, 90), 200), ((150, 150), 5)])
def test_a_batch_takes_no_more_memory_than_a_tile(plain, size, count):
    """Nearly all that a model computes for tiny pictures is the context around them."""
    watched = Watched(plain.session)
    pictures = synthesize(dataclasses.replace(plain, session=watched), size, range(count))
    equal(pictures[-1], contract.expected(size, count - 1))
    pad = plain.spec.stride + 2 * plain.spec.halo
    areas = [len(run["seed"]) * np.prod(run["size"] + pad) for run in watched.runs]
    assert max(areas) <= (plain.tile + pad) ** 2
    assert len(areas) == -(-count // len(watched.runs[0]["seed"])) < count


def test_bands_add_up_and_report_progress(plain):
    reports = []
    size = (1200, 700)
    parts = list(bands(plain, size, 1, (3, 3), progress=lambda *done: reports.append(done)))
    assert len(parts) > 1
    equal(np.concatenate(parts), synthesize(plain, size, 1, (3, 3)))
    total = reports[-1][1]
    assert reports == [(done, total) for done in range(1, total + 1)]


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"size": (0, 5)}, "size 5x0"),
        ({"size": (5, 2**31)}, "size 2147483648x5"),
        ({"seed": 2**63}, "seed 9223372036854775808"),
        ({"seed": []}, "no seed"),
        ({"origin": (0, 2**63 - 5)}, "origin 9223372036854775803,0"),
        ({"period": (0, -4)}, "period -4"),
        ({"period": (101, 0)}, "101 .*multiple of 4; the nearest is 100 or 104"),
        ({"period": (0, 3)}, "the nearest is 4"),
        ({"seed": 1.5}, "seed 1.5 is not a whole number"),
        ({"seed": [1, 2.0]}, "seed 2.0 is not a whole number"),
        ({"seed": "7"}, "seed '7' is not a whole number"),
        ({"size": (8, 8.5)}, "size 8.5 is not a whole number"),
        ({"size": 8}, "size 8 is not a pair"),
        ({"origin": (0.5, 0)}, "origin 0.5 is not a whole number"),
        ({"origin": (0, 0, 0)}, "is not a pair"),
        ({"period": (4, np.float64(4))}, "period .*4.0.* is not a whole number"),
    ],
)
def test_what_cannot_be_served_says_what_could(plain, request_, message):
    with pytest.raises(RequestError, match=message):
        synthesize(plain, **{"size": (8, 8), **request_})
    if not isinstance(request_.get("seed"), list):
        with pytest.raises(RequestError, match=message):
            bands(plain, **{"size": (8, 8), **request_})  # before the first band is asked for


def test_a_sheet_holds_the_pictures_of_all_seeds(plain):
    height, width = sheet_size(5, 20, 30)
    sheet = np.concatenate(list(sheet_bands(plain, range(5), (20, 30))))
    assert sheet.shape == (height, width, 3) == (2 * 20 + GAP, 3 * 30 + 2 * GAP, 3)
    for seed in range(5):
        top, left = seed // 3 * (20 + GAP), seed % 3 * (30 + GAP)
        part = sheet[top : top + 20, left : left + 30]
        equal(part, synthesize(plain, (20, 30), seed))
    assert (sheet[20 + GAP :, 2 * (30 + GAP) :] == 255).all()
    assert (sheet[20 : 20 + GAP] == 255).all()


# A trained network's file


@pytest.mark.parametrize("origin", [(0, 0), (-37, -1001), (10**9 + 3, -(10**9))])
def test_windows_agree_on_their_overlap(tiny, origin):
    y, x = origin
    one = synthesize(tiny, (50, 60), 1, (y, x))
    other = synthesize(tiny, (45, 33), 1, (y + 11, x + 29))
    equal(one[11:, 29:], other[: 50 - 11, : 60 - 29])


def test_tiles_equal_the_whole(tiny):
    size, origin = (203, 150), (-21, 5)
    whole = synthesize(tiny, size, 3, origin)
    for tile, several in ((64, True), (1024, False)):
        tiled = dataclasses.replace(tiny, tile=tile)
        assert (len(list(bands(tiled, size, 3, origin))) > 1) == several
        equal(synthesize(tiled, size, 3, origin), whole)


@pytest.mark.parametrize("strides", [(1, 2), (3, 16), (8, 8)])
def test_a_shifted_window_of_a_periodic_plane_is_the_rolled_picture(tiny, strides):
    height, width = period = tuple(tiny.spec.stride * each for each in strides)
    picture = synthesize(tiny, period, 2, (0, 0), period)
    for y, x in ((1, 0), (3, 7), (-height - 2, 5 * width + 1)):
        shifted = synthesize(tiny, period, 2, (y, x), period)
        equal(shifted, np.roll(picture, (-y, -x), (0, 1)))
    double = synthesize(tiny, (2 * height, 2 * width), 2, (0, 0), period)
    equal(double, np.tile(picture, (2, 2, 1)))


def test_a_batch_equals_its_singles_and_seeds_differ(tiny):
    batch = synthesize(tiny, (40, 56), (1, 2, -3))
    for picture, seed in zip(batch, (1, 2, -3), strict=True):
        equal(picture, synthesize(tiny, (40, 56), seed))
    assert (batch[0] != batch[1]).mean() > 0.9


@pytest.mark.parametrize("size", [(1, 1), (17, 333), (64, 2048), (2048, 64)])
def test_every_size_runs(tiny, size):
    assert synthesize(tiny, size).shape == (*size, 3)


DIGEST = """
import sys
sys.modules["torch"] = sys.modules["onnx"] = None  # importing them fails
import hashlib
from tn_runtime import load, synthesize
model = load(sys.argv[1], "cpu", int(sys.argv[2]) or None)
print(hashlib.sha256(synthesize(model, (130, 700), 4, (-9, 5)).tobytes()).hexdigest())
"""


def test_same_bytes_in_any_process_and_thread_count_without_torch_and_onnx(tiny_model):
    runs = [python(DIGEST, tiny_model, threads) for threads in (0, 1, 2, 5)]
    assert [run.stderr for run in runs] == [""] * 4
    assert len({run.stdout for run in runs}) == 1


@pytest.mark.parametrize(
    ("name", "colors"),
    [("citrus", [248.38, 179.68, 46.87]), ("dead_leaves", [150.44, 108.65, 65.63])],
)
def test_shipped_models_make_what_they_made_when_they_were_shipped(name: str, colors: list[float]):
    """The last bit depends on the CPU's kernels."""
    model = load(name, "cpu")
    picture = synthesize(model, (64, 64), 7, (-100, 10**9))
    assert (picture.shape, picture.dtype) == ((64, 64, 3), np.uint8)
    # Another seed or the next window is four levels away in one colour at least.
    np.testing.assert_allclose(picture.mean((0, 1)), colors, atol=1)


def test_sizes_beyond_memory_are_refused_in_the_error_tree(plain):
    for size in ((2**31 - 1, 2**31 - 1), (2**30, 2**25)):
        with pytest.raises(RequestError, match=r"need \d+ GB of memory; ask for less, or for"):
            synthesize(plain, size)


@pytest.mark.parametrize("threads", [1.5, 0, -1, 2.0, True, "2", float("nan")])
def test_threads_are_a_whole_number(plain_model, threads):
    with pytest.raises(RequestError, match="threads must be 1 to 1024"):
        load(plain_model, "cpu", threads=threads)
