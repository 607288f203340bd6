"""Several styles in one file: blends of them, and masks that say where each is painted."""

import dataclasses
import json
import pickle

import numpy as np
import pytest
from PIL import Image

from runtime import style_contract
from runtime.processes import tn_run
from runtime.style_contract import STYLES
from runtime.test_stylize import Watched, whole_inputs
from tn_runtime import load, stylization, stylize
from tn_runtime.errors import ModelError, RequestError
from tn_runtime.pictures import Picture, read
from tn_runtime.spec import Exemplar, ModelSpec
from tn_runtime.stylization import Options, stylized_bands

SIZE = 203, 150


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("several") / "several.onnx"
    path.write_bytes(style_contract.model_bytes(style_contract.SEVERAL))
    return path


@pytest.fixture(scope="module")
def several(path):
    return load(path, "cpu", threads=1)


@pytest.fixture
def large_from_10000_pixels(monkeypatch):
    monkeypatch.setattr(stylization, "REFERENCE_PIXELS", 10000)
    monkeypatch.setattr(stylization, "ONE_RUN_PIXELS", {"cpu": 10000, "cuda": 10000})


def photo(size=SIZE, channels=3, dtype=np.uint8, seed=0):
    """Return soft noise, dark enough for every style to leave the range of levels nowhere."""
    noise = np.random.default_rng(seed).random((*size, channels))
    return np.rint(np.iinfo(dtype).max * noise).astype(dtype)


def mask(size=SIZE, dtype=np.uint8):
    """Return a mask that is black above, white below, and grey between, (H, W)."""
    ramp = np.linspace(-1, 2, size[0]).clip(0, 1)[:, None]
    return np.rint(np.iinfo(dtype).max * np.tile(ramp, (1, size[1]))).astype(dtype)


def equal(left, right):
    assert left.dtype == right.dtype
    np.testing.assert_array_equal(left, right)


# Blends


def test_a_model_names_its_styles_and_begins_with_the_first(several):
    assert several.spec.styles == STYLES
    assert several.shares == {"ink": 1}
    equal(stylize(several, photo()), stylize(several.blended({"ink": 1}), photo()))


def test_only_the_ratios_of_shares_count(several):
    blend = several.blended({"oil": 0.25, "chalk": 0.75})
    assert blend.shares == {"oil": 0.25, "chalk": 0.75}
    assert several.blended({"chalk": 3, "oil": 1, "ink": 0}).shares == blend.shares
    assert several.blended({"oil": 1e308, "chalk": 1e308}).shares == {"oil": 0.5, "chalk": 0.5}
    assert several.blended({"oil": 0.7, "ink": 0.3}).shares == {"ink": 0.3, "oil": 0.7}
    assert several.blended({"chalk": 0.1}).shares == {"chalk": 1}


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({"tempera": 1}, "has no style 'tempera'; it has ink, oil, chalk"),
        ({}, "needs a style with a share of more than 0"),
        ({"ink": 0}, "needs a style with a share of more than 0"),
        ({"ink": -1, "oil": 2}, "share of 'ink' is -1; give 0 or more"),
        ({"ink": float("nan")}, "share of 'ink' is nan"),
        ({"ink": float("inf")}, "share of 'ink' is inf"),
        ({"ink": "much"}, "share of 'ink' is 'much'"),
    ],
)
def test_shares_that_cannot_be(several, shares, message):
    with pytest.raises(RequestError, match=message):
        several.blended(shares)


def test_blends_lie_between_their_styles(several):
    content = photo()
    ink, chalk, both = (
        stylize(several.blended(shares), content).astype(int)
        for shares in ({"ink": 1}, {"chalk": 1}, {"ink": 0.5, "chalk": 0.5})
    )
    inside = (both > 0) & (both < 255) & (ink > 0) & (chalk < 255)
    assert inside.mean() > 0.3
    assert np.abs(2 * both - ink - chalk)[inside].max() <= 2
    assert (chalk - ink)[inside].min() > 50


@pytest.mark.usefixtures("large_from_10000_pixels")
def test_tiles_have_the_blend_of_the_whole(several):
    """A large photo is measured in its blend, which is a constant of the session that paints it."""
    model, content = several.blended({"oil": 1, "chalk": 3}), photo((301, 170))
    watched = Watched(model.session)
    picture = stylize(dataclasses.replace(model, session=watched), content)
    [reference] = watched.runs
    assert reference["style"].tolist() == [[0, 0.25, 0.75]]
    given = model.given(model.measure(**reference))
    equal(picture, given.run(**whole_inputs(content))[0])
    equal(stylize(dataclasses.replace(model, tile=64), content), picture)


def test_given_statistics_are_of_their_blend(several):
    inputs = whole_inputs(photo())
    blend = several.blended({"oil": 1, "chalk": 2})
    given = blend.given(blend.measure(**inputs))
    equal(given.run(**inputs), blend.run(**inputs))
    with pytest.raises(RequestError, match=r"has given statistics.*blend it before"):
        given.blended({"ink": 1})
    copy = pickle.loads(pickle.dumps(given))
    assert copy.shares == blend.shares
    equal(copy.run(**inputs), given.run(**inputs))


def spec_of(*names, **changes):
    exemplars = [vars(Exemplar(name, "0" * 64, 8, 8)) for name in names]
    facts = json.loads(style_contract.SEVERAL.to_json())
    return json.dumps(facts | {"exemplars": exemplars} | changes)


@pytest.mark.parametrize(
    "text",
    [
        spec_of(),
        spec_of("ink.jpg", "ink.png"),
        spec_of("a.jpg", "b.jpg", normalized_channels=0),
    ],
)
def test_exemplars_that_cannot_be(text):
    assert ModelSpec.from_json(spec_of("a.jpg", "b.jpg")).styles == ("a", "b")
    with pytest.raises(ModelError, match=r"not sound: \d exemplars with \d names"):
        ModelSpec.from_json(text)


# Masks


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("scale", [1, 0.5, 2])
def test_white_is_the_style_of_the_mask_and_black_the_blend(several, dtype, scale):
    content, model = photo(channels=4, dtype=dtype), several.blended({"ink": 1, "oil": 1})
    where = mask(dtype=dtype)
    below, above = (
        stylize(each, content, stroke_scale=scale)
        for each in (model, several.blended({"chalk": 1}))
    )
    picture = stylize(model, content, stroke_scale=scale, masks={"chalk": where})
    white, black = where == np.iinfo(dtype).max, where == 0
    assert white.any()
    assert black.any()
    equal(picture[white], above[white])
    equal(picture[black], below[black])
    share = (where / np.iinfo(dtype).max)[..., None]
    between = below + share * (above.astype(float) - below)
    assert np.abs(picture - between).max() <= 0.51 * (257 if dtype == np.uint16 else 1)


@pytest.mark.usefixtures("large_from_10000_pixels")
def test_masks_are_cut_as_the_photo_is(several, monkeypatch):
    content = photo((301, 170))
    masks = {"chalk": mask((301, 170)), "oil": mask((603, 340))[::-1]}
    picture = stylize(several, content, masks=masks, strength=0.7, keep_colors=True)
    monkeypatch.setattr(stylization, "BLENDED_PIXELS", 2000)
    small = dataclasses.replace(several, tile=64)
    equal(stylize(small, content, masks=masks, strength=0.7, keep_colors=True), picture)


def test_where_masks_meet_each_has_its_part(several):
    """Two masks that add up to white leave nothing to the blend; more is divided."""
    content, white = photo(), np.full(SIZE, 255, np.uint8)
    oil, chalk = (stylize(several.blended({each: 1}), content).astype(float) for each in STYLES[1:])
    where = mask()
    picture = stylize(several, content, masks={"oil": where, "chalk": 255 - where})
    share = where[..., None] / 255
    assert np.abs(picture - (share * oil + (1 - share) * chalk)).max() < 0.51
    halves = stylize(several, content, masks={"oil": white, "chalk": white})
    assert np.abs(halves - (oil + chalk) / 2).max() < 0.51


def test_a_mask_of_another_size_is_resized(several):
    content, where = photo(), mask()
    exact = stylize(several, content, masks={"chalk": where}).astype(int)
    for size in ((406, 300), (102, 75), (1015, 750)):
        small = np.asarray(Image.fromarray(where).resize(size[::-1], Image.Resampling.BILINEAR))
        picture = stylize(several, content, masks={"chalk": small})
        assert np.abs(picture - exact).max() < 5
        equal(picture[:60], exact[:60].astype(np.uint8))
        equal(picture[-60:], exact[-60:].astype(np.uint8))


def test_what_is_transparent_in_a_mask_is_black(several):
    content, where = photo(), mask()
    opaque = np.dstack([where, where, where, np.full_like(where, 255)])
    brushed = np.dstack([np.full((*SIZE, 3), 255, np.uint8), where])
    expected = stylize(several, content, masks={"oil": where})
    for each in (opaque, brushed, opaque[..., :3]):
        equal(stylize(several, content, masks={"oil": each}), expected)


def test_progress_is_of_all_paintings(several):
    reports = []
    masks = {"oil": Picture.from_array(mask()), "chalk": Picture.from_array(mask())}
    content = Picture.from_array(photo())
    list(stylized_bands(several, content, Options(), lambda *done: reports.append(done), masks))
    assert reports == [(1, 3), (2, 3), (3, 3)]


RED = np.zeros((*SIZE, 3), np.uint8)
RED[5, 5, 0] = 255


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ({"tempera": mask()}, "has no style 'tempera'"),
        ({"oil": mask((150, 203))}, "mask of 'oil' is 203x150, the photo 150x203: .* not another"),
        ({"oil": mask((203, 143))}, "not another shape"),
        ({"oil": RED}, "mask of 'oil' has colours; a mask is grey"),
    ],
)
def test_masks_that_cannot_be(several, masks, message):
    with pytest.raises(RequestError, match=message):
        stylize(several, photo(), masks=masks)


def test_a_model_of_one_style_takes_no_mask(tmp_path):
    path = tmp_path / "one.onnx"
    path.write_bytes(style_contract.model_bytes(style_contract.NORMALIZED))
    model = load(path, "cpu")
    [style] = model.spec.styles
    with pytest.raises(RequestError, match="has one style; masks are for models with several"):
        stylize(model, photo(), masks={style: mask()})
    equal(stylize(model.blended({style: 3}), photo()), stylize(model, photo()))


# tn-run


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Be in a folder with a photo and a mask."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(photo()).save("a.png")
    Image.fromarray(mask()).save("mask.png")
    return tmp_path


def succeeds(*arguments):
    done = tn_run(*arguments)
    assert done.returncode == 0, done.stderr
    return done


def fails(*arguments):
    done = tn_run("style", *arguments)
    assert done.returncode == 2, done
    [line] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in done.stderr
    return line


def test_a_blend_and_a_mask_reach_the_picture_and_its_texts(several, path, folder):
    done = succeeds(
        *("style", path, "a.png", "-o", "b.png", "--blend", "oil=0.7, ink=0.3", "--json"),
        *("--mask", "chalk=mask.png", "--provider", "cpu"),
    )
    facts = json.loads(done.stdout)
    assert done.stderr == ""
    assert (facts["blend"], facts["masks"]) == ({"ink": 0.3, "oil": 0.7}, {"chalk": "mask.png"})
    model = several.blended({"oil": 7, "ink": 3})
    equal(read("b.png").srgb(), stylize(model, photo(), masks={"chalk": mask()}))
    with Image.open("b.png") as image:
        image.load()
        assert (image.text["Blend"], image.text["Masks"]) == ("ink=0.3,oil=0.7", "chalk=mask.png")
        assert len(image.text["Masks-SHA256"]) == 64


def test_without_a_blend_the_first_style_is_taken_and_named(several, path, folder):
    done = succeeds("style", path, "a.png", "-o", "b.png", "--provider", "cpu")
    assert done.stderr == "paints in 'ink', the first of 3 styles; --blend takes others\n"
    equal(read("b.png").srgb(), stylize(several, photo()))
    one = succeeds("style", path, "a.png", "-o", "c.png", "--provider", "cpu", "--blend", "chalk")
    assert one.stderr == ""
    equal(read("c.png").srgb(), stylize(several.blended({"chalk": 1}), photo()))


def test_a_mask_is_for_all_photos_of_its_shape(path, folder):
    (folder / "in").mkdir()
    for name, size in (("a.png", SIZE), ("b.png", (406, 300)), ("c.png", (150, 203))):
        Image.fromarray(photo(size)).save(folder / "in" / name)
    done = tn_run("style", path, "in", "-o", "out", "--mask", "oil=mask.png", "--json")
    assert done.returncode == 1
    facts = json.loads(done.stdout)
    assert len(facts["outputs"]) == 2
    [failed] = facts["failed"]
    assert "c.png: the mask of 'oil' is 150x203, the photo 203x150" in failed["error"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--blend", "tempera"], "has no style 'tempera'; it has ink, oil, chalk"),
        (["--blend", "ink=0.5,oil=much"], "no number after oil=; give A=0.7,B=0.3"),
        (["--blend", "ink=0.5,ink=0.5"], "names 'ink' twice"),
        (["--blend", "ink=-1,oil=2"], "share of 'ink' is -1"),
        (["--blend", ""], "has no style ''"),
        (["--mask", "mask.png"], "--mask 'mask.png' is no style with its mask; give A=MASK.png"),
        (["--mask", "oil=a.png", "--mask", "oil=mask.png"], "two masks for 'oil'"),
        (["--mask", "oil=none.png"], "none.png cannot be read"),
        (["--mask", "oil=a.png"], "the mask of 'oil' has colours"),
        (["--mask", "tempera=mask.png"], "has no style 'tempera'"),
        (["--mask", "oil=mask.png", "--max-pixels", "9"], "mask.png is too large"),
    ],
)
def test_what_the_user_can_mend_is_one_line(path, folder, arguments, message):
    assert message in fails(path, "a.png", "-o", "b.png", *arguments)
    assert not (folder / "b.png").exists()


def test_info_lists_the_styles(path):
    assert json.loads(succeeds("info", path, "--json").stdout)["styles"] == list(STYLES)
    lines = succeeds("info", path).stdout.splitlines()
    rows = [line.split(maxsplit=1) for line in lines]
    assert ["styles", "ink, oil, chalk"] in rows
    assert ["exemplars.2.name", "oil.jpg"] in rows
