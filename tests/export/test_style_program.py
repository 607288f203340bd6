"""The style program: photo and window in, pixels out; tiles of a photo equal the whole."""

import dataclasses
import itertools

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from tiny import EXEMPLARS, TINY_INSTANCE, TINY_STYLE, alone, checkpoint_of, untrained
from tn_export import core, program, verify
from tn_export.core import core_model
from tn_export.graph import serialized
from tn_export.kernels import bundled, uses
from tn_export.model import export
from tn_export.program import style_program
from tn_runtime.errors import ModelError, ParityError
from tn_runtime.schema import build
from tn_runtime.session import load
from tn_runtime.spec import METADATA_KEY, ModelSpec
from tn_train.config import GeneratorConfig
from tn_train.generator import Generator
from tn_train.norm import Condition, InstanceNorm

HALO = 4 * 4 + 3
"""4 pixels of the coarsest level of 4 pixels each, and what a window is widened by."""
HEIGHT, WIDTH = 97, 118
CHANNELS = 196
"""Those of `TINY_INSTANCE` that are normalised."""

WIDE = dataclasses.replace(TINY_INSTANCE, widths=(16, 32, 16), branch=16, join_norm=False)
"""Channels are multiples of 16, as in the preset."""
WIDE_CHANNELS = 3 * (16 + 32 + 16 + 2 * 16)

SEVERAL = dataclasses.replace(TINY_INSTANCE, styles=3)
BLEND = (0.5, 0.125, 0.375)


@dataclasses.dataclass(frozen=True)
class Exported:
    """A model file under onnxruntime alone."""

    data: bytes
    session: ort.InferenceSession
    spec: ModelSpec

    def both(self, content, window=None, origin=(0, 0), seed=(3,), style=BLEND):
        """Return `image` and, of a model that has them, `measured`."""
        if content.ndim == 3:
            content = content[None]
        window = window or (0, 0, *content.shape[1:3])
        integers = {"window": window, "origin": origin}
        if self.spec.noise:
            integers["seed"] = seed
        feed = {name: np.array(value, np.int64) for name, value in integers.items()}
        if self.spec.takes_style:
            feed["style"] = np.broadcast_to(np.float32(style), (len(content), len(BLEND)))
        image, *measured = self.session.run(None, feed | {"content": content})
        return image, (measured[0] if measured else None)

    def __call__(self, *arguments, **named):
        """Return uint8 (N, h, w, 3)."""
        return self.both(*arguments, **named)[0]

    def sharing(self, content, **named):
        """Return the model with the statistics of a photo, for all its tiles."""
        _, measured = self.both(content, **named)
        return self if measured is None else self.given(measured[0], **named)

    def given(self, statistics, style=BLEND, **_):
        """Return the model with statistics (C, 2) and a blend (S,) written into its bytes."""
        data, values = bytearray(self.data), [(self.spec.statistics_at, statistics)]
        if self.spec.takes_style:
            values.append((self.spec.blend_at, np.float32(style)))
        data[self.spec.given_at] = 1
        for at, array in values:
            data[at : at + array.nbytes] = array.tobytes()
        return opened(bytes(data))


def opened(data, **options):
    """Open a file as the runtime does."""
    settings = ort.SessionOptions()
    for name, value in options.items():
        setattr(settings, name, value)
    session = ort.InferenceSession(data, settings, providers=["CPUExecutionProvider"])
    properties = session.get_modelmeta().custom_metadata_map
    return Exported(data, session, ModelSpec.from_json(properties[METADATA_KEY]))


@pytest.fixture(scope="module")
def noisy(tiny_style_model):
    return opened(tiny_style_model.read_bytes())


@pytest.fixture(scope="module")
def instance(tiny_instance_model):
    return opened(tiny_instance_model.read_bytes())


def written(generator, folder):
    """Export a generator; return the path of the file."""
    path = folder / "model.onnx"
    export(checkpoint_of(generator), path)
    return path


@pytest.fixture(scope="module")
def several_generator():
    return untrained(SEVERAL)


@pytest.fixture(scope="module")
def several(several_generator, tmp_path_factory):
    return opened(written(several_generator, tmp_path_factory.mktemp("several")).read_bytes())


@pytest.fixture(scope="module", params=[1, 3])
def wide(request, tmp_path_factory):
    """One style, and several."""
    generator = untrained(dataclasses.replace(WIDE, styles=request.param))
    return opened(written(generator, tmp_path_factory.mktemp("wide")).read_bytes())


@pytest.fixture(scope="module", params=["noisy", "instance", "several"])
def exported(request):
    """A style with noise and BatchNorm, as `paper`; one of the photo alone, as `instance`; and
    several of those in one file."""
    return request.getfixturevalue(request.param)


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


def test_the_picture_shows_the_photo(exported):
    image = exported(photo())
    assert image.std() > 5
    other = photo()
    other[40:50, 40:50] = 255 - other[40:50, 40:50]
    changed = (exported(other) != image).any(axis=-1)[0]
    assert changed[40:50, 40:50].mean() > 0.9


def test_the_picture_shows_the_noise(noisy):
    seeded = (noisy(photo(), seed=[4]) != noisy(photo())).any(axis=-1)[0]
    assert seeded.mean() > 0.5


def test_without_noise_equal_photos_give_equal_pictures_wherever_they_lie(instance):
    assert "seed" not in {value.name for value in instance.session.get_inputs()}
    image = instance(photo())
    assert np.array_equal(instance(photo(), origin=(4, 10**9 * 4)), image)
    flat = instance(np.full((64, 64, 3), 77, np.uint8))
    assert (flat == flat[:, :1, :1]).all()


def test_a_pixel_of_the_photo_reaches_no_further_than_the_halo(exported):
    model = exported.sharing(photo())
    image, other = model(photo()), photo()
    other[48, 60] = 255 - other[48, 60]
    changed = (model(other) != image).any(axis=-1)[0]
    rows, columns = np.nonzero(changed)
    assert 48 - HALO <= rows.min() < 48 < rows.max() <= 48 + HALO
    assert 60 - HALO <= columns.min() < 60 < columns.max() <= 60 + HALO


@pytest.mark.parametrize("origin", [(0, 0), (5, -3), (-(10**9), 2**40 + 1)])
def test_tiles_are_parts_of_the_whole(exported, origin):
    """From a crop with the halo around it, cut at the photo's edges, at its place in the photo."""
    whole = photo()
    model = exported.sharing(whole, origin=origin)
    image = model(whole, origin=origin)
    for window in random_windows(24):
        y, x, height, width = window
        part, corner, within = surroundings(window, HALO)
        shift = (origin[0] + corner[0], origin[1] + corner[1])
        tile = model(whole[part], within, shift)
        assert np.array_equal(tile, image[:, y : y + height, x : x + width]), window


def test_less_context_is_not_enough(exported):
    """The spec's halo has two pixels to spare: the last ones of a stride reach less far."""
    rng = np.random.default_rng(0)
    whole = rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)  # no pixel like its neighbour
    model = exported.sharing(whole)
    image = model(whole)
    window = y, x, height, width = 37, 41, 22, 22
    part, corner, within = surroundings(window, HALO - 3)
    tile = model(whole[part], within, corner)
    assert not np.array_equal(tile, image[:, y : y + height, x : x + width])


@pytest.mark.parametrize("side", [24, 33, 64])
def test_any_tile_makes_the_same_picture(exported, side):
    whole = photo()
    model = exported.sharing(whole)
    image = np.empty_like(whole)
    for y, x in itertools.product(range(0, HEIGHT, side), range(0, WIDTH, side)):
        window = y, x, min(side, HEIGHT - y), min(side, WIDTH - x)
        part, corner, within = surroundings(window, HALO)
        image[y : y + side, x : x + side] = model(whole[part], within, corner)[0]
    assert np.array_equal(image, model(whole)[0])
    # Measured on the way, the arithmetic is another: a float on an edge may fall to either side.
    assert np.abs(image.astype(int) - exported(whole)[0]).max() <= 1


def test_windows_reach_beyond_the_photo(exported):
    """What is there is the mirrored photo."""
    part, margin = photo(30, 41), 24
    mirrored = np.pad(part, ((margin, margin), (margin, margin), (0, 0)), mode="symmetric")
    window = -5, 37, 40, 9
    model = exported.sharing(photo())
    inside = (window[0] + margin, window[1] + margin, *window[2:])
    expected = model(mirrored, inside, (-margin, -margin))
    assert np.array_equal(model(part, window), expected)
    assert exported(part, (70, -90, 3, 8)).shape == (1, 3, 8, 3)  # wholly outside


def test_a_photo_of_one_pixel_is_an_endless_wall_of_it(exported):
    dot = np.array([[[200, 30, 90]]], np.uint8)
    wall = np.tile(dot, (70, 70, 1))
    window = (20, 20, 30, 30)
    assert np.array_equal(exported(dot, window), exported(wall, window))


def test_the_place_in_the_whole_decides_about_the_noise(noisy):
    image = noisy(photo())
    assert not np.array_equal(noisy(photo(), origin=(4, 0)), image)
    assert not np.array_equal(noisy(photo(), origin=(0, -4)), image)


@pytest.mark.parametrize("size", [(0, 40), (40, 0), (0, 0)])
def test_a_photo_of_no_pixels_is_an_error(exported, size):
    """In ONNX Runtime 1.22, dividing by its size would end the process."""
    with pytest.raises(Exception, match=r"Range .* can not be zero"):
        exported(np.empty((*size, 3), np.uint8), (0, 0, 5, 5))


def test_a_batch_is_its_singles(exported):
    photos = np.stack([photo(number=number) for number in range(3)])
    seeds = [3, -1, 2**63 - 1]
    batch, measured = exported.both(photos, seed=seeds)
    for number, seed in enumerate(seeds):
        single, own = exported.both(photos[number], seed=[seed])
        assert np.array_equal(single[0], batch[number])
        if measured is not None:
            assert np.array_equal(own[0], measured[number])


def test_seeds_differ_and_repeat(noisy):
    twice = np.stack([photo(), photo()])
    image = noisy(twice, seed=[1, 2])
    assert not np.array_equal(image[0], image[1])
    same = noisy(twice, seed=[1, 1])
    assert np.array_equal(same[0], same[1])
    assert np.array_equal(same[0], image[0])


@pytest.mark.parametrize("name", ["instance", "several"])
def test_what_was_measured_given_back_makes_the_same_picture(request, name):
    model = request.getfixturevalue(name)
    image, measured = model.both(photo())
    assert (measured.shape, measured.dtype) == ((1, CHANNELS, 2), np.float32)
    again, once_more = model.given(measured[0]).both(photo())
    assert np.abs(again.astype(int) - image).max() <= 1
    assert np.array_equal(once_more, measured)


def test_pictures_share_the_statistics_that_are_given(instance):
    photos = np.stack([photo(number=number) for number in range(3)])
    model = instance.sharing(photos[1])
    batch, measured = model.both(photos)
    for number in range(3):
        single, own = model.both(photos[number])
        assert np.array_equal(single[0], batch[number])
        assert np.array_equal(own[0], measured[number])
        assert np.array_equal(own[0], measured[0])
    own = instance(photos)
    difference = np.abs(batch.astype(int) - own)
    assert difference[1].max() <= 1
    assert difference[0].mean() > 1


def test_a_style_alone_is_its_own_file(several, several_generator, tmp_path):
    """Byte for byte, measured and given."""
    for style in range(3):
        own = opened(written(alone(several_generator, style), tmp_path).read_bytes())
        shares = np.eye(3)[style]
        image, measured = several.both(photo(), style=shares)
        expected, own_measured = own.both(photo())
        assert np.array_equal(image, expected)
        assert np.array_equal(measured, own_measured)
        given = several.given(measured[0], style=shares)(photo())
        assert np.array_equal(given, own.given(measured[0])(photo()))


def test_each_picture_has_its_own_blend(several):
    photos = np.stack([photo(), photo(), photo()])
    styles = np.array([(1, 0, 0), BLEND, (0, 0.5, 0.5)])
    batch, measured = several.both(photos, style=styles)
    for number, style in enumerate(styles):
        single, own = several.both(photo(), style=style)
        assert np.array_equal(single[0], batch[number])
        assert np.array_equal(own[0], measured[number])
    assert np.abs(batch[0].astype(int) - batch[1]).mean() > 5


def test_a_blend_that_is_given_is_that_of_all_pictures(several):
    _, measured = several.both(photo())
    model = several.given(measured[0], style=BLEND)
    assert np.array_equal(model(photo(), style=(0, 0, 1)), model(photo()))
    other = several.given(measured[0], style=(0, 0, 1))
    assert np.abs(other(photo()).astype(int) - model(photo())).mean() > 5


def optimized(model, folder):
    """Return the graph that ONNX Runtime really runs."""
    path = folder / "optimized.onnx"
    opened(model.data, optimized_model_filepath=str(path))
    return onnx.load(path).graph.node


def test_given_statistics_cost_nothing(wide, tmp_path):
    """Norms and activations are inside the convolutions, and these follow one another directly."""
    nodes = optimized(wide.given(np.full((WIDE_CHANNELS, 2), 0.5, np.float32)), tmp_path)
    operators = [node.op_type for node in nodes]
    convolutions = [node for node in nodes if node.op_type == "Conv"]
    assert {node.domain for node in convolutions} == {"com.microsoft.nchwc"}
    assert len(convolutions) == sum(isinstance(m, nn.Conv2d) for m in Generator(WIDE).modules())
    activations = [a.s for node in convolutions for a in node.attribute if a.name == "activation"]
    assert activations == [b"Relu"] * (len(convolutions) - 1)
    assert not set(operators) & {"If", "BatchNormalization", "Relu", "Sqrt", "ReduceMean"}
    # One join is out of the blocked layout, for the crop before it; and so is the end.
    assert operators.count("ReorderInput") <= 1
    assert operators.count("ReorderOutput") <= 3


def test_measuring_runs_one_branch(wide, tmp_path):
    operators = {node.op_type for node in optimized(wide, tmp_path)}
    assert "ReduceMean" in operators
    assert not operators & {"If", "BatchNormalization"}


def test_the_statistics_are_the_network_s(instance, tiny_instance_generator):
    call = verify.StyleCall((5, 6), (HEIGHT, WIDTH), (13, 7), (40, 51), shift=(-9, 30))
    inputs = call.inputs(tiny_instance_generator)
    measured = instance.session.run(["measured"], inputs)[0]
    expected = Condition()
    levels = [torch.from_numpy(level) for level in call.pyramid(tiny_instance_generator)]
    with torch.inference_mode():
        tiny_instance_generator.run(levels, expected)
    np.testing.assert_allclose(measured, expected.all().numpy(), rtol=1e-3, atol=1e-4)


def test_the_runtime_loads_it(exported, tmp_path):
    path = tmp_path / "tiny.onnx"
    path.write_bytes(exported.data)
    model = load(path, "cpu")
    model.prove()
    if exported.spec.takes_style:
        model = model.blended(dict(zip(("leaves", "waves", "stars"), BLEND, strict=True)))
    inputs = {
        "content": photo()[None],
        "window": np.array((0, 0, HEIGHT, WIDTH)),
        "origin": np.array((0, 0)),
    }
    if exported.spec.noise:
        inputs["seed"] = np.array([3])
    assert np.array_equal(model.run(**inputs), exported(photo()))
    if exported.spec.normalized_channels:
        statistics = model.measure(**inputs)
        expected = exported.given(statistics)(photo())
        assert np.array_equal(model.given(statistics).run(**inputs), expected)


def test_the_file_describes_itself(exported):
    spec = exported.spec
    config = SEVERAL if spec.takes_style else TINY_STYLE if spec.noise else TINY_INSTANCE
    assert (spec.kind, spec.format, spec.stride, spec.halo) == ("style", 3, 4, HALO)
    assert spec.noise == ("quadratic-1" if config.noise_channels else "")
    assert spec.normalized_channels == untrained(config).normalized_channels
    assert build(GeneratorConfig, spec.generator.config) == config
    assert spec.parity.windows == len(verify.STYLE_CALLS) + (3 if spec.takes_style else 0)
    assert spec.parity.float_error < 1e-4
    assert tuple(each.name for each in spec.exemplars) == EXEMPLARS[: config.styles]


def test_statistics_lie_where_the_metadata_say(instance):
    given = instance.given(np.full((CHANNELS, 2), 0.75, np.float32))
    before, after = (onnx.load_from_string(each.data).graph for each in (instance, given))
    tensors = {each.name: numpy_helper.to_array(each) for each in before.initializer}
    assert tensors["given"] == np.array(False)
    assert np.array_equal(tensors["statistics"], np.tile(np.float32([0, 1]), (CHANNELS, 1)))
    changed = {"given": np.array(True), "statistics": np.full((CHANNELS, 2), 0.75, np.float32)}
    for tensor in after.initializer:
        expected = changed.get(tensor.name, tensors[tensor.name])
        assert np.array_equal(numpy_helper.to_array(tensor), expected)
    assert after.node == before.node


def test_the_blend_lies_where_the_metadata_say(several):
    given = several.given(np.zeros((CHANNELS, 2), np.float32), style=BLEND)
    before, after = (
        {each.name: numpy_helper.to_array(each) for each in graph.initializer}
        for graph in (onnx.load_from_string(each.data).graph for each in (several, given))
    )
    assert np.array_equal(before["blend"], np.float32([1, 0, 0]))
    assert np.array_equal(after["blend"], np.float32(BLEND))
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert changed == {"given", "statistics", "blend"}


def test_a_file_that_was_rewritten_is_refused(instance, tmp_path):
    path = tmp_path / "rewritten.onnx"
    model = onnx.load_from_string(instance.data)
    model.graph.node[0].name += " moved"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=r"rewritten by another tool.*export it again"):
        load(path, "cpu")
    path.write_bytes(instance.given(np.zeros((CHANNELS, 2), np.float32)).data)
    with pytest.raises(ModelError, match="'given' is not as exported; export"):
        load(path, "cpu")


def test_the_file_is_one_clean_graph(exported):
    model = onnx.load_from_string(exported.data)
    onnx.checker.check_model(model, full_check=True)
    assert not model.functions
    assert not any(tensor.external_data for tensor in model.graph.initializer)
    assert {entry.domain for entry in model.opset_import} == {""}
    assert not any(node.doc_string or node.metadata_props for node in model.graph.node)
    operators = {node.op_type for node in model.graph.node}
    assert not operators & {"Pad", "BatchNormalization", "Loop", "Identity"}
    assert b".py" not in exported.data  # no path of the machine that exported it
    seed = ["seed"] if exported.spec.noise else ["style"] if exported.spec.takes_style else []
    measured = ["measured"] if exported.spec.normalized_channels else []
    names = {value.name for value in model.graph.input}
    assert names == {"content", "window", "origin", *seed}
    assert [value.name for value in model.graph.output] == ["image", *measured]


def test_every_node_has_a_cuda_kernel(exported):
    listed = bundled()
    counts = uses(onnx.load_from_string(exported.data))
    assert counts
    assert {str(use): lack for use in counts if (lack := listed.lack(use))} == {}


@pytest.fixture(scope="module")
def small():
    """A generator of two levels with instance norm, and noise."""
    return untrained(dataclasses.replace(TINY_INSTANCE, widths=(8, 8), noise_channels=3))


def prove(generator, proven=None):
    """Write a generator's graphs and prove them, by another generator if there is one."""
    graphs = (serialized(make(generator)) for make in (core_model, style_program))
    return verify.prove(proven or generator, *graphs)


def test_the_proof_passes_the_right_graph(small):
    parity = prove(small)
    assert parity.windows == len(verify.STYLE_CALLS)
    assert parity.float_error <= verify.MAX_FLOAT_ERROR
    assert parity.pixel_error <= 1


def test_the_proof_catches_other_weights(small):
    other = untrained(small.config)
    with torch.no_grad():
        other.to_rgb.bias += 0.01
    with pytest.raises(ParityError, match=r"differs from the network by 0\.01 .* no file"):
        prove(small, proven=other)


def test_the_proof_catches_statistics_of_halo_and_window(small):
    other = untrained(small.config)
    for module in other.modules():
        if isinstance(module, InstanceNorm):
            module.margin = 0
    with pytest.raises(ParityError, match="differs from the network"):
        prove(small, proven=other)


def test_the_proof_catches_given_statistics_that_are_not_used(small, monkeypatch):
    """The branch that should be given them measures, too."""

    class Ignoring(core.Measuring):
        def __init__(self, op, weights, blend, statistics):
            super().__init__(op, weights, None)

    monkeypatch.setattr(core, "Given", Ignoring)
    with pytest.raises(ParityError, match="differs from the network"):
        prove(small)


def test_the_proof_catches_statistics_of_other_channels(small, monkeypatch):
    class Shifted(core.Given):
        def __init__(self, op, weights, blend, statistics):
            super().__init__(op, weights, blend, op.Concat(statistics, statistics, axis=0))
            self.done = 1

    monkeypatch.setattr(core, "Given", Shifted)
    with pytest.raises(ParityError, match="differs from the network"):
        prove(small)


@pytest.fixture(scope="module")
def small_several():
    return untrained(dataclasses.replace(TINY_INSTANCE, widths=(8, 8), noise_channels=3, styles=3))


def test_the_proof_catches_styles_in_another_order(small_several):
    other = untrained(small_several.config)
    with torch.no_grad():
        for module in other.modules():
            if isinstance(module, InstanceNorm):
                module.bias.copy_(module.bias[[1, 0, 2]])
    with pytest.raises(ParityError, match="differs from the network"):
        prove(small_several, proven=other)


@pytest.mark.parametrize("part", ["Measuring", "Given"])
def test_the_proof_catches_another_blend_in_either_branch(small_several, monkeypatch, part):
    class Halved(getattr(core, part)):
        def _blended(self, parameter, *name):
            return self.op.Mul(super()._blended(parameter, *name), 0.5)

    monkeypatch.setattr(core, part, Halved)
    with pytest.raises(ParityError, match="differs from the network"):
        prove(small_several)


def test_the_proof_catches_another_mirror(small, monkeypatch):
    """One that does not repeat the edge pixel."""

    def mirrored(op, plane, length):
        period = op.Max(op.Mul(op.Sub(length, 1), 2), 1)
        there = op.Mod(plane, period)
        return op.Min(there, op.Sub(period, there))

    monkeypatch.setattr(program, "_mirrored", mirrored)
    with pytest.raises(ParityError, match="levels of 255"):
        prove(small)


def test_the_proof_catches_a_photo_in_another_place(small, monkeypatch):
    right = program._photos

    def shifted(op, generator, content, origin, region):
        return right(op, generator, content, op.Add(origin, 1), region)

    monkeypatch.setattr(program, "_photos", shifted)
    with pytest.raises(ParityError, match="levels of 255"):
        prove(small)
