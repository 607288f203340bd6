"""The style program: photo, window and seed in, pixels out; tiles of a photo equal the whole."""

import dataclasses
import itertools

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch

from conftest import TINY_INSTANCE, TINY_STYLE, untrained
from tn_export import program, verify
from tn_export.convert import core_graph
from tn_export.kernels import bundled, uses
from tn_export.program import style_program
from tn_runtime.errors import ParityError
from tn_runtime.session import load
from tn_runtime.spec import METADATA_KEY, ModelSpec
from tn_train.norm import InstanceNorm, Statistics

HALO = 4 * 4 + 3
"""4 pixels of the coarsest level of 4 pixels each, and what a window is widened by."""
HEIGHT, WIDTH = 97, 118


@dataclasses.dataclass(frozen=True)
class Exported:
    """A model file under onnxruntime alone."""

    data: bytes
    session: ort.InferenceSession
    channels: int
    """Those that are normalised."""

    def both(self, content, window=None, origin=(0, 0), seed=(3,), statistics=None):
        """Return `image` and, of a model that has them, `measured`."""
        if content.ndim == 3:
            content = content[None]
        window = window or (0, 0, *content.shape[1:3])
        integers = {"window": window, "origin": origin, "seed": seed}
        feed = {name: np.array(value, np.int64) for name, value in integers.items()}
        if self.channels:
            own = np.empty((0, self.channels, 2), np.float32)
            feed["statistics"] = own if statistics is None else statistics
        image, *measured = self.session.run(None, feed | {"content": content})
        return image, (measured[0] if measured else None)

    def __call__(self, *arguments, **named):
        """Return uint8 (N, h, w, 3)."""
        return self.both(*arguments, **named)[0]

    def shared(self, content, **named):
        """Return the statistics of a whole photo, for all its tiles."""
        return self.both(content, **named)[1]


def opened(model, channels=0):
    data = model.read_bytes()
    session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    return Exported(data, session, channels)


@pytest.fixture(scope="module")
def instance(tiny_instance_model):
    return opened(tiny_instance_model, channels=196)


@pytest.fixture(scope="module", params=["batch", "instance"])
def exported(request):
    if request.param == "instance":
        return request.getfixturevalue("instance")
    return opened(request.getfixturevalue("tiny_style_model"))


def photo(height=HEIGHT, width=WIDTH, number=0):
    """Return soft colours, edges and grain, uint8 (height, width, 3)."""
    rng = np.random.default_rng(number)
    y, x = np.ogrid[:height, :width]
    phase = rng.uniform(0, 6, 3)
    soft = np.sin(y[..., None] / 17 + phase) + np.sign(np.sin(x[..., None] / 23 + 2 * phase))
    return (128 + 50 * soft + rng.normal(0, 8, (height, width, 3))).clip(0, 255).astype(np.uint8)


def surroundings(window, halo, size=(HEIGHT, WIDTH)):
    """Return the part of a photo that a window needs: slices, its corner, the window within."""
    y, x, height, width = window
    top, left = max(0, y - halo), max(0, x - halo)
    bottom, right = min(size[0], y + height + halo), min(size[1], x + width + halo)
    part = slice(top, bottom), slice(left, right)
    return part, (top, left), (y - top, x - left, height, width)


def random_windows(count, seed=0):
    """Return windows of a photo, half of them at an edge of it."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        height, width = rng.integers(1, 60, 2)
        y, x = rng.integers(0, (HEIGHT - height + 1, WIDTH - width + 1))
        y, x = [(y, x), (0, x), (y, WIDTH - width), (HEIGHT - height, 0)][number % 4]
        yield int(y), int(x), int(height), int(width)


@pytest.mark.parametrize("size", [(1, 1), (17, 333), (5, 3), (64, 64), (2, 700)])
def test_any_size(exported, size):
    image = exported(photo(*size))
    assert image.shape == (1, *size, 3)
    assert image.dtype == np.uint8


def test_the_picture_shows_the_photo_and_the_noise(exported):
    image = exported(photo())
    assert image.std() > 5
    other = photo()
    other[40:50, 40:50] = 255 - other[40:50, 40:50]
    changed = (exported(other) != image).any(axis=-1)[0]
    assert changed[40:50, 40:50].mean() > 0.9
    seeded = (exported(photo(), seed=[4]) != image).any(axis=-1)[0]
    assert seeded.mean() > 0.5


def test_a_pixel_of_the_photo_reaches_no_further_than_the_halo(exported):
    given = exported.shared(photo())
    image, other = exported(photo(), statistics=given), photo()
    other[48, 60] = 255 - other[48, 60]
    changed = (exported(other, statistics=given) != image).any(axis=-1)[0]
    rows, columns = np.nonzero(changed)
    assert 48 - HALO <= rows.min() < 48 < rows.max() <= 48 + HALO
    assert 60 - HALO <= columns.min() < 60 < columns.max() <= 60 + HALO


@pytest.mark.parametrize("origin", [(0, 0), (5, -3), (-(10**9), 2**40 + 1)])
def test_tiles_are_parts_of_the_whole(exported, origin):
    """From a crop with the halo around it, cut at the photo's edges, at its place in the photo."""
    whole = photo()
    given = exported.shared(whole, origin=origin)
    image = exported(whole, origin=origin, statistics=given)
    for window in random_windows(24):
        y, x, height, width = window
        part, corner, within = surroundings(window, HALO)
        shift = (origin[0] + corner[0], origin[1] + corner[1])
        tile = exported(whole[part], within, shift, statistics=given)
        assert np.array_equal(tile, image[:, y : y + height, x : x + width]), window


def test_less_context_is_not_enough(exported):
    """The spec's halo has two pixels to spare: the last ones of a stride reach less far."""
    rng = np.random.default_rng(0)
    whole = rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)  # no pixel like its neighbour
    given = exported.shared(whole)
    image = exported(whole, statistics=given)
    window = y, x, height, width = 37, 41, 22, 22
    part, corner, within = surroundings(window, HALO - 3)
    tile = exported(whole[part], within, corner, statistics=given)
    assert not np.array_equal(tile, image[:, y : y + height, x : x + width])


@pytest.mark.parametrize("side", [24, 33, 64])
def test_any_tile_makes_the_same_picture(exported, side):
    whole = photo()
    given = exported.shared(whole)
    image = np.empty_like(whole)
    for y, x in itertools.product(range(0, HEIGHT, side), range(0, WIDTH, side)):
        window = y, x, min(side, HEIGHT - y), min(side, WIDTH - x)
        part, corner, within = surroundings(window, HALO)
        tile = exported(whole[part], within, corner, statistics=given)
        image[y : y + side, x : x + side] = tile[0]
    assert np.array_equal(image, exported(whole, statistics=given)[0])


def test_windows_reach_beyond_the_photo(exported):
    """What is there is the mirrored photo."""
    part, margin = photo(30, 41), 24
    mirrored = np.pad(part, ((margin, margin), (margin, margin), (0, 0)), mode="symmetric")
    window = -5, 37, 40, 9
    given = exported.shared(photo())
    beyond = exported(part, window, statistics=given)
    inside = (window[0] + margin, window[1] + margin, *window[2:])
    expected = exported(mirrored, inside, (-margin, -margin), statistics=given)
    assert np.array_equal(beyond, expected)
    assert exported(part, (70, -90, 3, 8)).shape == (1, 3, 8, 3)  # wholly outside


def test_a_photo_of_one_pixel_is_an_endless_wall_of_it(exported):
    dot = np.array([[[200, 30, 90]]], np.uint8)
    wall = np.tile(dot, (70, 70, 1))
    window = (20, 20, 30, 30)
    assert np.array_equal(exported(dot, window), exported(wall, window))


def test_the_place_in_the_whole_decides_about_the_noise(exported):
    image = exported(photo())
    assert not np.array_equal(exported(photo(), origin=(4, 0)), image)
    assert not np.array_equal(exported(photo(), origin=(0, -4)), image)


def test_a_batch_is_its_singles(exported):
    photos = np.stack([photo(number=number) for number in range(3)])
    seeds = [3, -1, 2**63 - 1]
    batch, measured = exported.both(photos, seed=seeds)
    for number, seed in enumerate(seeds):
        single, own = exported.both(photos[number], seed=[seed])
        assert np.array_equal(single[0], batch[number])
        if measured is not None:
            assert np.array_equal(own[0], measured[number])


def test_seeds_differ_and_repeat(exported):
    twice = np.stack([photo(), photo()])
    image = exported(twice, seed=[1, 2])
    assert not np.array_equal(image[0], image[1])
    same = exported(twice, seed=[1, 1])
    assert np.array_equal(same[0], same[1])
    assert np.array_equal(same[0], image[0])


def test_none_given_is_what_was_measured_given_back(instance):
    photos = np.stack([photo(number=number) for number in range(2)])
    image, measured = instance.both(photos, seed=[1, 2])
    assert measured.shape == (2, 196, 2)
    assert measured.dtype == np.float32
    again, once_more = instance.both(photos, seed=[1, 2], statistics=measured)
    assert np.array_equal(again, image)
    assert np.array_equal(once_more, measured)


def test_other_statistics_make_another_picture(instance):
    image, measured = instance.both(photo())
    of_other = instance.shared(photo(number=1))
    given = instance(photo(), statistics=of_other)
    assert not np.array_equal(given, image)
    assert np.abs(given.astype(int) - image).mean() > 1
    # What is measured before the first of them is used, is the photo's own all the same.
    _, beside = instance.both(photo(), statistics=of_other)
    assert np.array_equal(beside[:, :8], measured[:, :8])
    assert not np.array_equal(beside[:, 8:], measured[:, 8:])


def test_the_statistics_are_the_network_s(instance, tiny_instance_generator):
    call = verify.StyleCall((5, 6), (HEIGHT, WIDTH), (13, 7), (40, 51), shift=(-9, 30))
    inputs = call.inputs(tiny_instance_generator)
    measured = instance.session.run(["measured"], inputs)[0]
    expected = Statistics()
    levels = [torch.from_numpy(level) for level in call.pyramid(tiny_instance_generator)]
    with torch.inference_mode():
        tiny_instance_generator.run(levels, expected)
    np.testing.assert_allclose(measured, expected.all().numpy(), rtol=1e-3, atol=1e-4)


def test_the_runtime_loads_it(exported, tmp_path):
    path = tmp_path / "tiny.onnx"
    path.write_bytes(exported.data)
    model = load(path, "cpu")
    model.prove()
    inputs = {
        "content": photo()[None],
        "window": np.array((0, 0, HEIGHT, WIDTH)),
        "origin": np.array((0, 0)),
        "seed": np.array([3]),
    }
    if exported.channels:
        own = np.empty((0, exported.channels, 2), np.float32)
        inputs["statistics"] = model.measure(**inputs, statistics=own)
    assert np.array_equal(model.run(**inputs), exported(photo()))


def test_the_file_describes_itself(exported):
    model = onnx.load_from_string(exported.data)
    properties = {entry.key: entry.value for entry in model.metadata_props}
    spec = ModelSpec.from_json(properties[METADATA_KEY])
    config = TINY_INSTANCE if exported.channels else TINY_STYLE
    assert (spec.kind, spec.stride, spec.halo) == ("style", 4, HALO)
    assert spec.normalized_channels == exported.channels
    assert spec.generator.config == {**dataclasses.asdict(config), "widths": list(config.widths)}
    assert spec.parity.windows == len(verify.STYLE_CALLS)
    assert spec.parity.float_error < 1e-4


def test_the_file_is_one_clean_graph(exported):
    model = onnx.load_from_string(exported.data)
    onnx.checker.check_model(model, full_check=True)
    assert not model.functions
    assert not any(tensor.external_data for tensor in model.graph.initializer)
    assert {entry.domain for entry in model.opset_import} == {""}
    assert not any(node.doc_string or node.metadata_props for node in model.graph.node)
    operators = {node.op_type for node in model.graph.node}
    assert not operators & {"Pad", "BatchNormalization", "If", "Loop", "Identity"}
    assert b".py" not in exported.data  # no path of the machine that exported it
    given, measured = (["statistics"], ["measured"]) if exported.channels else ([], [])
    names = {value.name for value in model.graph.input}
    assert names == {"content", "window", "origin", "seed", *given}
    assert [value.name for value in model.graph.output] == ["image", *measured]


def test_every_node_has_a_cuda_kernel(exported):
    listed = bundled()
    counts = uses(onnx.load_from_string(exported.data))
    assert counts
    assert {str(use): lack for use in counts if (lack := listed.lack(use))} == {}


@pytest.fixture(scope="module")
def small():
    """A generator of two levels with instance norm, and its core graph."""
    generator = untrained(dataclasses.replace(TINY_INSTANCE, widths=(8, 8)))
    return generator, ir.to_proto(core_graph(generator)).SerializeToString()


def prove(generator, core, proven=None):
    """Wrap a core graph and prove it, by another generator if there is one."""
    graph = ir.from_proto(onnx.load_from_string(core))
    wrapped = ir.to_proto(style_program(graph, generator)).SerializeToString()
    return verify.prove(proven or generator, core, wrapped)


def test_the_proof_passes_the_right_graph(small):
    parity = prove(*small)
    assert parity.windows == len(verify.STYLE_CALLS)
    assert parity.float_error <= verify.MAX_FLOAT_ERROR
    assert parity.pixel_error <= 1


def test_the_proof_catches_other_weights(small):
    other = untrained(small[0].config)
    with torch.no_grad():
        other.to_rgb.bias += 0.01
    with pytest.raises(ParityError, match=r"differs from the network by 0\.01 .* no file"):
        prove(*small, proven=other)


def test_the_proof_catches_statistics_of_halo_and_window(small):
    other = untrained(small[0].config)
    for module in other.modules():
        if isinstance(module, InstanceNorm):
            module.margin = 0
    with pytest.raises(ParityError, match="differs from the network"):
        prove(*small, proven=other)


def test_the_proof_catches_given_statistics_that_are_not_used(small, monkeypatch):
    def ignored(self, measured):
        self.measured.append(measured)
        return measured

    monkeypatch.setattr(Statistics, "chosen", ignored)
    with pytest.raises(ParityError, match="differs from the network"):
        prove(*small)


def test_the_proof_catches_another_mirror(small, monkeypatch):
    """One that does not repeat the edge pixel."""

    def mirrored(op, plane, length):
        period = op.Max(op.Mul(op.Sub(length, 1), 2), 1)
        there = op.Mod(plane, period)
        return op.Min(there, op.Sub(period, there))

    monkeypatch.setattr(program, "_mirrored", mirrored)
    with pytest.raises(ParityError, match="levels of 255"):
        prove(*small)


def test_the_proof_catches_a_photo_in_another_place(small, monkeypatch):
    right = program._photos

    def shifted(op, generator, content, origin, region):
        return right(op, generator, content, op.Add(origin, 1), region)

    monkeypatch.setattr(program, "_photos", shifted)
    with pytest.raises(ParityError, match="levels of 255"):
        prove(*small)
