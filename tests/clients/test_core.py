"""The core in engines that cannot run the program, with the noise that docs/clients.md shows."""

import itertools
import json
import shutil
import subprocess

import numpy as np
import pytest

from clients.conftest import MODELS, some_photo
from clients.documented import programs
from tn_runtime import load
from tn_runtime.pixels import from_unit

pytest.importorskip("torch")

SIDE = 256
SEED = 7
ORIGIN = (-(2**20), 3 * 2**36)
"""A multiple of the stride, beyond 32 bits."""

SHARE = 5e-4
"""Of the samples may differ by a level."""


@pytest.fixture(scope="module")
def python():
    """What the programs in Python define."""
    names = {}
    for name in ("noise.py", "self_test.py"):
        exec(compile(programs()[name], name, "exec"), names)
    return names


@pytest.fixture(scope="module")
def cores(tmp_path_factory):
    """The path of each model's core."""
    from tn_export.core_file import export_core
    from tn_export.source import read_source

    paths = {kind: tmp_path_factory.mktemp("core") / f"{kind}.onnx" for kind in MODELS}
    for kind, path in paths.items():
        export_core(read_source(MODELS[kind]), (SIDE, SIDE), path)
    return paths


@pytest.fixture(scope="module", params=list(MODELS))
def case(request, cores, python):
    """A core, its inputs as a stranger fills them, and the program's pixels."""
    import onnx

    path = cores[request.param]
    model = load(MODELS[request.param], "cpu", threads=1)
    if request.param == "texture":
        shapes = {
            each.name: [axis.dim_value for axis in each.type.tensor_type.shape.dim]
            for each in onnx.load(path).graph.input
        }
        feed = {
            f"noise_{level}": python["noise"](
                shapes[f"noise_{level}"], (SIDE, SIDE), SEED, ORIGIN, level
            )
            for level in range(len(shapes))
        }
        integers = {"seed": [SEED], "origin": ORIGIN, "size": (SIDE, SIDE), "period": (0, 0)}
        inputs = {name: np.array(value, np.int64) for name, value in integers.items()}
    else:
        photo, halo = some_photo(SIDE, SIDE), 64
        padded = np.pad(photo, ((halo, halo), (halo, halo), (0, 0)), mode="symmetric")
        feed = {"photo": padded.transpose(2, 0, 1)[None] / np.float32(255)}
        whole = {"window": np.array((0, 0, SIDE, SIDE)), "origin": np.array((0, 0))}
        inputs = {"content": photo[None], **whole}
    return path, feed, model.run(**inputs)


def onnxruntime_of(path, feed):
    import onnxruntime

    return onnxruntime.InferenceSession(path).run(["image"], feed)[0]


def openvino_of(path, feed):
    openvino = pytest.importorskip("openvino", reason="not installed: run `make test-clients`")
    core = openvino.Core()
    core.set_property("CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return core.compile_model(core.read_model(path), "CPU")(feed)[0]


def opencv_of(path, feed):
    cv2 = pytest.importorskip("cv2", reason="not installed: run `make test-clients`")
    network = cv2.dnn.readNetFromONNX(str(path))
    for name, value in feed.items():
        network.setInput(np.ascontiguousarray(value), name)
    return network.forward("image")


@pytest.mark.parametrize("engine", [onnxruntime_of, openvino_of, opencv_of])
def test_a_core_makes_the_pixels_of_the_program(engine, case, compare):
    path, feed, pixels = case
    compare(from_unit(engine(path, feed)).transpose(0, 2, 3, 1), pixels, SHARE)


@pytest.mark.parametrize("kind", list(MODELS))
def test_the_self_test_tells_wrong_pixels_of_openvino(python, folder, expected, kind):
    """It runs the programs without an error."""
    openvino = pytest.importorskip("openvino", reason="not installed: run `make test-clients`")
    compiled = openvino.Core().compile_model(folder / f"{kind}.onnx", "CPU")
    facts = json.loads((folder / f"{kind}.json").read_text())
    passed = python["passes"](lambda feed: compiled(feed)["image"], facts)
    feed = {"seed": [7], "origin": [-20, 1000000], "size": [300, 400], "period": [0, 0]}
    if kind == "style":
        feed = {"window": [0, 0, 171, 230], "origin": [0, 0]}
    inputs = {name: np.array(value) for name, value in feed.items()}
    if kind == "style":
        inputs["content"] = some_photo(171, 230)[None]
    made = compiled(inputs)["image"][0].astype(int)
    assert passed == bool(np.abs(made - expected[kind]).max() <= 1)


CASES = list(itertools.product((0, SEED, -3, 2**53 - 1), ((0, 0), (-48, 2**40)), (0, 3)))
SHAPE = (1, 3, 10, 14)
SIZE = {0: (2, 6), 3: (16, 48)}
"""Of the picture, for a halo of 4 pixels at each level."""


def test_the_noise_is_the_program_s(python):
    from tn_export.noise import noise

    for seed, origin, level in CASES:
        axes = (
            np.arange(count, dtype=np.int64) + place // 2**level - 4
            for count, place in zip(SHAPE[2:], origin, strict=True)
        )
        expected = noise(np.array([seed]), level, SHAPE[1], *axes)
        made = python["noise"](SHAPE, SIZE[level], seed, origin, level)
        np.testing.assert_array_equal(made, expected)


def test_the_noise_is_the_same_in_javascript(python, folder):
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed (https://nodejs.org)")
    cases = [(SHAPE, SIZE[level], seed, origin, level) for seed, origin, level in CASES]
    script = (
        'import { noise } from "./noise.mjs";'
        f"const made = {json.dumps(cases)}.map((each) => Array.from(noise(...each)));"
        "console.log(JSON.stringify(made));"
    )
    command = [node, "--input-type=module", "-e", script]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    for case, values in zip(cases, json.loads(done.stdout), strict=True):
        made = np.array(values, np.float32).reshape(SHAPE)
        np.testing.assert_array_equal(made, python["noise"](*case))


STEPS = [(214748365, 8589935), (-27917287, 150323855)]
WAVES = (1, 4, 10, 14)


def documented_waves(python, seed, origin, level):
    return python["waves"](WAVES, SIZE[level], seed, origin, level, 1, STEPS)


WAVE_CASES = [(seed, origin, 3) for seed, origin, level in CASES if level == 3]


def test_the_waves_are_the_program_s(python):
    from tn_export.noise import offsets
    from tn_train.config import Wave
    from tn_train.waves import waves

    for seed, origin, level in WAVE_CASES:
        axes = [
            np.arange(count, dtype=np.int64) + place // 2**level - 4
            for count, place in zip(WAVES[2:], origin, strict=True)
        ]
        those = [Wave(*each) for each in STEPS]
        expected = waves(those, level, offsets(np.array([seed]), 2), axes)
        np.testing.assert_array_equal(documented_waves(python, seed, origin, level), expected)


def test_the_waves_are_the_same_in_javascript(python, folder):
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed (https://nodejs.org)")
    cases = [(WAVES, SIZE[level], *rest, level, 1, STEPS) for *rest, level in WAVE_CASES]
    script = (
        'import { waves } from "./noise.mjs";'
        f"const made = {json.dumps(cases)}.map((each) => Array.from(waves(...each)));"
        "console.log(JSON.stringify(made));"
    )
    command = [node, "--input-type=module", "-e", script]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    for case, values in zip(WAVE_CASES, json.loads(done.stdout), strict=True):
        made = np.array(values, np.float32).reshape(WAVES)
        np.testing.assert_array_equal(made, documented_waves(python, *case))
