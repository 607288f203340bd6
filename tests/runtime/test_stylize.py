"""A stylised photo is the same pixels however it is cut, in the photo's own depth and colours."""

import dataclasses
import gc
import tracemalloc
import weakref

import numpy as np
import pytest
from PIL import Image

from runtime import style_contract
from tn_runtime import load, session, stylization, stylize, synthesize
from tn_runtime.commands.photo_jobs import plan
from tn_runtime.commands.style_job import StyleJob, run
from tn_runtime.errors import ModelError, RequestError
from tn_runtime.pictures import Picture, RowBuffer, resampled, with_detail
from tn_runtime.requests import INT64_MAX, INT64_MIN
from tn_runtime.stylization import Options, reduced, stylized_bands

LANCZOS = Image.Resampling.LANCZOS

SIZES = [(1, 1), (1, 700), (5, 3), (7, 129), (40, 40), (523, 41), (300, 517)]
"""Odd ones, and smaller than the halo, than a stride, than the pixel that is looked at."""


def opened(folder, data):
    path = folder / "model.onnx"
    path.write_bytes(data)
    return load(path, "cpu", threads=1)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return opened(tmp_path_factory.mktemp("style"), style_contract.model_bytes())


@pytest.fixture(scope="module")
def normalized(tmp_path_factory):
    data = style_contract.model_bytes(style_contract.NORMALIZED)
    return opened(tmp_path_factory.mktemp("style"), data)


def photo(size, channels=3, dtype=np.uint8, seed=0):
    """Return a photo with much detail, and a gradient."""
    rng = np.random.default_rng(seed)
    largest = np.iinfo(dtype).max
    noise = rng.random((*size, channels))
    slant = np.linspace(0, 1, size[0])[:, None, None] * np.linspace(0.3, 1, size[1])[None, :, None]
    return np.rint(largest * (0.5 * noise + 0.5 * slant)).astype(dtype)


def equal(left, right):
    assert left.dtype == right.dtype
    np.testing.assert_array_equal(left, right)


# Tiles


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seed", [0, 7, INT64_MIN])
def test_a_photo_is_what_the_model_makes_of_the_whole(plain, size, seed):
    content = photo(size)
    equal(stylize(plain, content, seed), style_contract.expected(content, seed))


@pytest.mark.parametrize("tile", [1, 32, 50, 128, 512])
def test_tiles_of_any_size_make_the_same_picture(plain, tile):
    content = photo((203, 150) if tile > 1 else (37, 21))
    tiled = dataclasses.replace(plain, tile=tile)
    equal(stylize(tiled, content, 5), style_contract.expected(content, 5))


def test_bands_add_up_and_report_progress(plain):
    content = photo((1100, 700))
    reports = []
    bands = stylized_bands(
        plain, Picture.from_array(content), Options(3), lambda *done: reports.append(done)
    )
    parts = list(bands)
    assert len(parts) > 1
    equal(np.concatenate(parts), style_contract.expected(content, 3))
    assert reports == [(done, 15) for done in range(1, 16)]


def test_a_tile_is_run_with_its_halo_and_no_more(plain):
    watched = Watched(plain.session)
    stylize(dataclasses.replace(plain, session=watched), photo((600, 800)))
    halo = plain.spec.halo
    largest = max(run["content"].size for run in watched.runs)
    assert largest == 3 * (plain.tile + 2 * halo) ** 2
    middle = [run for run in watched.runs if run["origin"].tolist() == [256 - halo, 256 - halo]]
    assert [run["window"].tolist() for run in middle] == [[halo, halo, 256, 256]]


@pytest.mark.parametrize("options", [Options(), Options(stroke_scale=2), Options(stroke_scale=0.7)])
@pytest.mark.usefixtures("large_from_10000_pixels")
def test_memory_does_not_grow_with_the_picture(plain, normalized, options):
    for model in (plain, normalized):
        before = peak(model, 3000, options)
        assert peak(model, 9000, options) < 1.2 * before


def peak(model, height, options):
    """Return the most bytes of arrays at one time, without the photo."""
    source = Picture.from_array(photo((height, 100), 4))
    tracemalloc.start()
    for band in stylized_bands(model, source, options):
        del band
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most


class Watched:
    """A session that keeps the inputs of each run."""

    def __init__(self, session):
        self.session, self.runs = session, []

    def run(self, outputs, inputs):
        self.runs.append(inputs)
        return self.session.run(outputs, inputs)


# Statistics


def whole_inputs(content):
    """Return the inputs for a whole photo at once."""
    height, width = content.shape[:2]
    return {
        "content": content[None],
        "window": np.array([0, 0, height, width]),
        "origin": np.array([0, 0]),
    }


@pytest.fixture
def large_from_10000_pixels(monkeypatch):
    monkeypatch.setattr(stylization, "REFERENCE_PIXELS", 10000)
    monkeypatch.setattr(stylization, "ONE_RUN_PIXELS", {"cpu": 10000, "cuda": 10000})


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (203, 150), (301, 700)])
def test_a_small_photo_is_painted_in_the_run_that_measures_it(normalized, size):
    content = photo(size)
    whole = normalized.run(**whole_inputs(content))[0]
    for tile in (32, 100, 512):
        watched = Watched(normalized.session)
        tiled = dataclasses.replace(normalized, session=watched, tile=tile)
        equal(stylize(tiled, content), whole)
        assert len(watched.runs) == 1


def test_given_statistics_are_those_of_the_photo(normalized):
    content = photo((90, 70))
    measured = normalized.measure(**whole_inputs(content))
    np.testing.assert_allclose(measured[:, 0], content.mean((0, 1)), rtol=1e-5)
    np.testing.assert_allclose(measured[:, 1], content.var((0, 1)), rtol=1e-4)
    given = normalized.given(measured)
    assert (given.spec, given.sha256) == (normalized.spec, normalized.sha256)
    equal(given.measure(**whole_inputs(photo((40, 30), seed=9))), measured)
    equal(given.run(**whole_inputs(content))[0], stylize(normalized, content))
    with pytest.raises(RequestError, match=r"shape \(2, 2\) do not fit .* give \(3, 2\)"):
        normalized.given(measured[:2])


@pytest.mark.usefixtures("large_from_10000_pixels")
def test_a_large_photo_is_measured_small(normalized):
    """What is measured is all the photo at once, and what is made are tiles without seams."""
    content = photo((300, 517))
    watched = Watched(normalized.session)
    picture = stylize(dataclasses.replace(normalized, session=watched, tile=128), content)
    [reference] = watched.runs
    height, width = reference["content"].shape[1:3]
    assert 9000 < height * width <= 10000 + width
    assert reference["window"].tolist() == [0, 0, height, width]
    assert abs(width / height - 517 / 300) < 0.02
    given = normalized.given(normalized.measure(**reference))
    equal(picture, given.run(**whole_inputs(content))[0])


@pytest.mark.usefixtures("large_from_10000_pixels")
def test_a_model_with_given_statistics_measures_no_photo(normalized):
    """So the frames of a film, or the parts of a picture, get the same look."""
    shared = normalized.measure(**whole_inputs(photo((90, 70))))
    given = normalized.given(shared)
    for size in ((40, 30), (200, 310)):
        content = photo(size, seed=3)
        equal(stylize(given, content), given.run(**whole_inputs(content))[0])


def test_on_cuda_larger_photos_are_painted_in_one_run(normalized, monkeypatch):
    monkeypatch.setattr(stylization, "REFERENCE_PIXELS", 10000)
    monkeypatch.setattr(stylization, "ONE_RUN_PIXELS", {"cpu": 10000, "cuda": 40000})
    content = photo((170, 180))
    for provider, whole in (("cpu", False), ("cuda", True)):
        watched = Watched(normalized.session)
        stylize(dataclasses.replace(normalized, session=watched, provider=provider), content)
        assert [len(run["content"][0]) == 170 for run in watched.runs] == [whole]


def test_on_a_small_gpu_one_run_is_no_larger_than_a_tile(normalized, monkeypatch):
    monkeypatch.setattr(stylization, "REFERENCE_PIXELS", 10000)
    content = photo((170, 180))
    for tile, whole in ((128, False), (256, True)):
        watched = Watched(normalized.session)
        model = dataclasses.replace(normalized, session=watched, provider="cuda", tile=tile)
        stylize(model, content)
        assert [len(run["content"][0]) == 170 for run in watched.runs] == [whole]


@pytest.fixture
def sessions(monkeypatch):
    """The numbers of sessions that were open when one more was opened."""
    alive, numbers, open_session = weakref.WeakSet(), [], session._session

    def counted(*arguments):
        numbers.append(len(alive))
        made = open_session(*arguments)
        alive.add(made)
        return made

    monkeypatch.setattr(session, "_session", counted)
    gc.disable()  # a session that only the collector of cycles ends is a leak until it runs
    yield numbers
    gc.enable()
    assert not alive


@pytest.mark.usefixtures("large_from_10000_pixels")
def test_sessions_end_with_their_photos(normalized, sessions):
    """Each large photo opens one, and ends it, even where its picture is given up half way."""
    for seed in range(20):
        source = Picture.from_array(photo((300, 120), seed=seed))
        bands = stylized_bands(normalized, source, Options())
        next(bands)
        if seed % 2:
            list(bands)
        del bands
    assert sessions == [0] * 20


@pytest.mark.usefixtures("large_from_10000_pixels")
def test_a_folder_of_photos_leaves_no_session_open(normalized, sessions, tmp_path):
    for number in range(12):
        Image.fromarray(photo((120, 130), seed=number)).save(tmp_path / f"{number}.png")
    cut = (tmp_path / "5.png").read_bytes()[:20000]
    (tmp_path / "5.png").write_bytes(cut)
    worklist = plan([tmp_path], str(tmp_path / "out"), None)
    job = StyleJob(worklist, Options(), None, None, None, overwrite=False)
    outcome = run(job, normalized)
    assert (len(outcome.made), len(outcome.failed)) == (11, 1)
    assert set(sessions) <= {0, 1}  # two photos are under way at a time
    assert len(sessions) >= 11


# Strength and colours


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [3, 4])
def test_strength_goes_from_the_photo_to_the_painting(plain, dtype, channels):
    content = photo((61, 47), channels, dtype)
    painting = stylize(plain, content, 2)
    assert painting.shape == content.shape
    equal(painting[..., 3:], content[..., 3:])
    seen = Picture.from_array(content).srgb(0, 61)
    scale = 257 if dtype == np.uint16 else 1
    equal(painting[..., :3], style_contract.expected(seen, 2).astype(dtype) * dtype(scale))
    equal(stylize(plain, content, 2, strength=0), content)
    equal(stylize(plain, content, 2, strength=1), painting)
    before, after = content.astype(np.float64), painting.astype(np.float64)
    for strength in (0.3, 0.5):
        mixed = np.rint(before + strength * (after - before)).astype(dtype)
        equal(stylize(plain, content, 2, strength), mixed)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_keep_colors_keeps_chroma_and_takes_luma(plain, dtype):
    content = photo((61, 47), 3, dtype)
    painting = stylize(plain, content, 2)
    mixed = stylize(plain, content, 2, keep_colors=True)
    largest = np.iinfo(dtype).max
    inside = ((mixed > 0) & (mixed < largest)).all(2)
    assert inside.mean() > 0.2
    before, after, target = (each.astype(np.float64) for each in (content, mixed, painting))
    np.testing.assert_array_equal(np.ptp((after - before)[inside], axis=1), 0)  # chroma, exactly
    weights = np.array([0.299, 0.587, 0.114])
    assert abs(((after - target) @ weights)[inside]).max() <= 0.51
    grey = np.repeat(content[..., :1], 3, axis=2)
    made = stylize(plain, grey, 2, keep_colors=True)
    equal(made[..., 0], made[..., 2])


# Sizes


@pytest.mark.parametrize("scale", [0.25, 0.5, 1.3, 2, 8])
@pytest.mark.parametrize("size", [(1, 1), (5, 300), (203, 150)])
def test_any_stroke_scale_makes_a_picture_of_the_photos_size(plain, normalized, size, scale):
    content = photo(size, 4, np.uint16)
    for model in (plain, normalized):
        picture = stylize(model, content, 1, stroke_scale=scale)
        assert (picture.shape, picture.dtype) == (content.shape, content.dtype)


@pytest.mark.parametrize("scale", [0.5, 2.5])
def test_the_model_sees_the_photo_scaled(plain, scale):
    content = photo((203, 150))
    size = (round(203 / scale), round(150 / scale))
    small = np.asarray(Image.fromarray(content).resize(size[::-1], LANCZOS))
    painted = Image.fromarray(style_contract.expected(small))
    picture = stylize(plain, content, stroke_scale=scale)
    tiled = dataclasses.replace(plain, tile=64)
    equal(stylize(tiled, content, stroke_scale=scale), picture)
    if scale < 1:
        # Resampled as a whole and band by band, a rounding apart; of noise, a level is much.
        whole = np.asarray(painted.resize((150, 203), LANCZOS))
        assert np.mean(abs(picture.astype(int) - whole) <= 1) > 0.9


def test_where_the_painting_is_the_photo_its_detail_comes_back():
    content = pattern((203, 150))
    size, small_size = (203, 150), (81, 60)

    def small():
        return RowBuffer(resampled(rows_of(content), size, small_size))

    painting = np.concatenate(
        list(with_detail(rows_of(content), size, small(), small(), small_size))
    )
    low = Image.fromarray(small()(0, 81))
    blurred = np.asarray(low.resize((150, 203), Image.Resampling.BICUBIC))
    assert painting.shape == content.shape
    assert error(painting, content) < 0.3 * error(blurred, content)


def test_detail_brings_no_colors_along():
    content = pattern((203, 150)) // np.array([1, 2, 3], np.uint8)
    size, small_size = (203, 150), (81, 60)
    low = np.concatenate(list(resampled(rows_of(content), size, small_size)))
    grey = np.repeat(low[..., :1], 3, axis=2)
    painting = np.concatenate(
        list(with_detail(rows_of(content), size, rows_of(low), rows_of(grey), small_size))
    )
    assert (painting == painting[..., :1]).all()
    assert len(np.unique(painting)) > 50


def test_where_the_painting_ignores_the_photo_nothing_comes_back():
    content = pattern((203, 150))
    size, small_size = (203, 150), (81, 60)
    flat = np.full((81, 60, 3), 99, np.uint8)
    small = RowBuffer(resampled(rows_of(content), size, small_size))
    painting = np.concatenate(
        list(with_detail(rows_of(content), size, small, rows_of(flat), small_size))
    )
    equal(painting, np.full_like(content, 99))


def pattern(size):
    """Return a photo of soft and hard edges at several scales."""
    y, x = np.mgrid[: size[0], : size[1]]
    disc = np.hypot(y - size[0] / 2, x - size[1] / 2) < size[1] / 3
    values = np.where(disc, 200, 40) + (20 * np.sin(x / 3) * disc).astype(int) + y // 10
    return np.stack([values, values, values], axis=2).clip(0, 255).astype(np.uint8)


def rows_of(array):
    return lambda top, bottom: array[top:bottom]


def error(left, right):
    return np.mean((left.astype(np.float64) - right) ** 2)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("new_size", [(1, 1), (70, 131), (500, 40), (203, 150)])
def test_resampling_in_bands_is_resampling(dtype, new_size):
    content = photo((203, 150), 3, dtype)
    made = np.concatenate(list(resampled(rows_of(content), (203, 150), new_size)))
    if dtype == np.uint8:
        whole = np.asarray(Image.fromarray(content).resize(new_size[::-1], LANCZOS))
    else:
        planes = (Image.fromarray(each.astype(np.float32)) for each in np.moveaxis(content, 2, 0))
        whole = np.stack([plane.resize(new_size[::-1], LANCZOS) for plane in planes], axis=2)
    assert abs(made - np.rint(whole.astype(np.float64)).clip(0, np.iinfo(dtype).max)).max() <= 2
    if new_size == (203, 150):
        equal(made, content)


def test_a_scroll_keeps_what_is_not_left_behind():
    array = np.arange(300)[:, None]
    scroll = RowBuffer(array[top : top + 7] for top in range(0, 300, 7))
    for top, bottom in [(0, 5), (0, 30), (3, 9), (3, 100), (90, 101), (299, 300)]:
        equal(scroll(top, bottom), array[top:bottom])
    assert sum(map(len, scroll._kept)) <= 7


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_maximal_size_reduces_larger_photos_alone(plain, dtype):
    content = photo((203, 150), 4, dtype)
    equal(stylize(plain, content, max_size=203), stylize(plain, content))
    small = stylize(plain, content, strength=0, max_size=100)
    assert (small.shape, small.dtype) == ((100, 74, 4), content.dtype)
    equal(stylize(plain, small, 3), stylize(plain, content, 3, max_size=100))


def test_reducing_does_not_blend_in_what_is_transparent():
    array = np.zeros((64, 64, 4), np.uint8)
    array[:, 30:] = (200, 100, 50, 255)  # beside it, black of no opacity
    small = reduced(Picture.from_array(array), 9)
    shown = small.alpha(0, 9) > 0
    assert 0 < shown.mean() < 1
    assert abs(small.colors(0, 9)[shown].astype(int) - (200, 100, 50)).max() <= 1


# Requests


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": 2**63}, "seed 9223372036854775808 is out of range"),
        ({"seed": 1.5}, "seed 1.5 is not a whole number"),
        ({"strength": 1.01}, "strength 1.01 is out of range; it is 0 to 1"),
        ({"strength": float("nan")}, "strength nan"),
        ({"strength": "1"}, "strength '1' is not a number"),
        ({"stroke_scale": 0.2}, "stroke scale 0.2 is out of range; it is 0.25, .* to 8"),
        ({"stroke_scale": 9}, "stroke scale 9"),
        ({"max_size": 0}, "max size 0 is out of range"),
        ({"max_size": 99.5}, "max size 99.5 is not a whole number"),
        ({"photo": np.zeros((4, 4, 3))}, "must be uint8 or uint16, not float64"),
        (
            {"photo": np.zeros((4, 4), np.uint8)},
            "must have the shape .H, W, 3. or .H, W, 4., not .4, 4.",
        ),
        ({"photo": np.zeros((4, 4, 2), np.uint8)}, "not .4, 4, 2."),
        ({"photo": np.zeros((0, 4, 3), np.uint8)}, "not .0, 4, 3."),
    ],
)
def test_what_cannot_be_served_says_what_could(plain, options, message):
    with pytest.raises(RequestError, match=message):
        stylize(plain, **{"photo": photo((4, 4)), **options})


def test_seeds_are_all_of_int64(plain):
    content = photo((9, 9))
    for seed in (INT64_MIN, INT64_MAX, np.int64(-3)):
        equal(stylize(plain, content, seed), style_contract.expected(content, int(seed)))


def test_each_kind_of_model_has_its_verb(plain, plain_model):
    texture = load(plain_model, "cpu")
    with pytest.raises(RequestError, match="texture model; it takes no photo: tn-run texture"):
        stylize(texture, photo((4, 4)))
    with pytest.raises(RequestError, match="style model; it stylises photos: tn-run style"):
        synthesize(plain, (4, 4))


@pytest.mark.parametrize(
    ("spec", "old", "new", "message"),
    [
        (style_contract.PLAIN, "Range(zero, length_1", "Range(one, length_1", "returned shape"),
        (
            style_contract.PLAIN,
            "near_0 = Min(",
            "near_0 = Max(",
            "failed in ONNX Runtime",
        ),
        (
            style_contract.NORMALIZED,
            "measured = Where(given, statistics, own)",
            "measured = Concat <axis = 1> (own, own)",
            "returned statistics",
        ),
    ],
)
@pytest.mark.usefixtures("large_from_10000_pixels")
def test_a_model_that_fails_while_running_says_so(tmp_path, spec, old, new, message):
    model = opened(tmp_path, style_contract.model_bytes(spec, [(old, new)]))
    with pytest.raises(ModelError, match=message):
        stylize(model, photo((120, 130)))


@pytest.mark.parametrize("size", [(512, 512), (3000, 2000), (4, 65000), (10**6, 1), (1, 1)])
def test_what_is_measured_is_never_more_work_than_the_reference(plain, size):
    model = dataclasses.replace(plain, spec=dataclasses.replace(plain.spec, stride=16, halo=84))
    factor = stylization._reduction(model, size, 512**2)
    height, width = stylization._scaled(size, factor)
    assert (height + 200) * (width + 200) <= 1.01 * (512 + 200) ** 2
    assert factor == 1 or (height + 200) * (width + 200) > 0.98 * (512 + 200) ** 2


@pytest.mark.parametrize("mode", ["CMYK", "L", "P", "LAB", "I;16"])
def test_pictures_of_pillow_are_taken_rightly_or_refused(plain, mode):
    rgb = Image.fromarray(np.full((4, 5, 3), (9, 99, 199), np.uint8))
    np.testing.assert_array_equal(
        stylize(plain, rgb, strength=0.5), stylize(plain, np.asarray(rgb), strength=0.5)
    )
    with pytest.raises(RequestError, match=r"give photo\.convert\('RGB'\)"):
        stylize(plain, Image.new(mode, (5, 4)))


@pytest.mark.parametrize("photo", ["a.png", None, 7, [[1, 2], [3]], {}, np.zeros((4, 4, 3))])
def test_what_is_no_photo_is_refused(plain, photo):
    with pytest.raises(RequestError):
        stylize(plain, photo)
