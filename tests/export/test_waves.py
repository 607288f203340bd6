"""Waves: the same in the graph and in numpy, in tiles and in the whole, with and without period."""

import dataclasses

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnxscript import GraphBuilder

from tiny import TINY, untrained
from tn_export.core import core_model
from tn_export.graph import serialized
from tn_export.noise import Lines, offsets, offsets_in_graph
from tn_export.program import texture_program
from tn_export.verify import prove
from tn_export.waves import waves_in_graph
from tn_train.waves import TURN, wave, waves

WAVES = (wave(0.1, 0.004), wave(-0.013, 0.07), wave(0.0, -0.21))
CONFIG = dataclasses.replace(TINY, waves=WAVES)
FAR = [(0, 0), (-300, -70), (10**9, 10**9 + 5), (-(10**12), 2**40 - 100)]


@pytest.fixture(scope="module")
def graph_waves():
    """Return a function of seeds, coordinates of all levels, and period."""
    builder = GraphBuilder(ir.Graph([], [], nodes=[], opset_imports={"": 18}, name="waves"))
    names = ("seed", "period", "y", "y_level", "y_counts", "x", "x_level", "x_counts")
    seed, period, *parts = (builder.input(name, ir.DataType.INT64, [name]) for name in names)
    start = offsets_in_graph(builder.op, seed, len(WAVES))
    rows, columns = Lines(*parts[:3]), Lines(*parts[3:])
    for value in waves_in_graph(builder.op, CONFIG, start, period, rows, columns):
        builder.add_output(value, f"waves_{len(builder.graph.outputs)}")
    model = serialized(ir.Model(builder.graph, ir_version=8))
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])

    def run(seed, y, x, period):
        feed = {"seed": seed, "period": np.array(period)}
        for axis, levels in (("y", y), ("x", x)):
            counts = np.array([level.size for level in levels])
            feed |= {
                axis: np.concatenate(levels),
                f"{axis}_level": np.repeat(np.arange(len(counts)), counts),
                f"{axis}_counts": counts,
            }
        return session.run(None, feed)

    return run


@pytest.mark.parametrize("origin", FAR)
@pytest.mark.parametrize("period", [(0, 0), (48, 0), (0, 20), (2**31, 64)])
def test_graph_equals_numpy_bit_for_bit(graph_waves, origin, period):
    seed = np.array([0, 1, -1, 2**63 - 1, -(2**63), 2**32])
    axes = []
    for begin, repeat in zip(origin, period, strict=True):
        levels = [np.arange(23 // 2**k + 5) + begin // 2**k for k in range(3)]
        axes.append([x % (repeat >> k) if repeat else x for k, x in enumerate(levels)])
    actual = graph_waves(seed, *axes, period)
    assert len(actual) == 2  # level 0 takes no waves
    for level, planes in enumerate(actual, start=1):
        places = axes[0][level], axes[1][level]
        expected = waves(WAVES, level, offsets(seed, 3), places, period)
        assert planes.shape == (6, 6, *map(len, places))
        assert planes.tobytes() == expected.tobytes()


def test_a_level_shows_the_same_waves_as_the_next_finer():
    start = np.array([[123456789, TURN - 5, 7]], dtype=np.uint32)
    fine = waves(WAVES[:1], 0, start[:, :1], (np.arange(64), np.arange(64)))
    coarse = waves(WAVES[:1], 1, start[:, :1], (np.arange(32), np.arange(32)))
    averaged = fine.reshape(1, 2, 32, 2, 32, 2).mean(axis=(3, 5))
    assert np.abs(coarse - averaged).max() < 0.06  # the mean of four points is a little lower


def test_a_wave_has_the_length_that_was_asked_for():
    places = np.arange(256)
    plane = waves([wave(0.125, 0.0)], 0, np.zeros((1, 1), np.uint32), (places, places))
    angle = 2 * np.pi * 0.125 * places
    assert np.abs(plane[0, 0, :, 0] - np.sin(angle)).max() < 0.002
    assert np.abs(plane[0, 1, :, 0] - np.cos(angle)).max() < 0.002


def test_a_period_rounds_a_wave():
    """At 100 pixels, 0.125 cycles a pixel become 12 or 13 cycles."""
    places = np.arange(100)
    plane = waves([wave(0.128, 0.0)], 0, np.zeros((1, 1), np.uint32), (places, places), (100, 0))
    assert np.abs(plane[0, 0, :, 0] - np.sin(2 * np.pi * 0.13 * places)).max() < 0.002


@pytest.fixture(scope="module")
def generator():
    return untrained(CONFIG)


@pytest.fixture(scope="module")
def program(generator):
    session = ort.InferenceSession(
        serialized(texture_program(generator)), providers=["CPUExecutionProvider"]
    )

    def run(origin=(0, 0), size=(40, 40), period=(0, 0)):
        values = {"seed": [3], "origin": origin, "size": size, "period": period}
        feed = {name: np.array(value, dtype=np.int64) for name, value in values.items()}
        return session.run(["image"], feed)[0][0]

    return run


def test_the_program_equals_pytorch(generator):
    core, program = (serialized(make(generator)) for make in (core_model, texture_program))
    parity = prove(generator, core, program)
    assert parity.float_error < 1e-4
    assert parity.pixel_error <= 1


@pytest.mark.parametrize("corner", [(0, 0), (-50, -23), (10**9, -(10**9) - 1), (2**33 - 9, 7)])
def test_windows_agree_on_their_overlap(program, corner):
    whole = program(corner, (60, 50))
    part = program((corner[0] + 21, corner[1] + 13), (30, 29))
    assert (whole[21:51, 13:42] == part).all()


def test_a_period_tiles(program):
    tile = program((0, 0), (48, 32), (48, 32))
    four = program((-48, -32), (96, 64), (48, 32))
    assert (four == np.tile(tile, (2, 2, 1))).all()
    assert (four[:48] != program((-48, -32), (48, 64))).any()


def test_the_waves_decide(program, generator):
    """Without them the picture is another."""
    waveless = dataclasses.replace(CONFIG, waves=(wave(0.2, 0.1), *WAVES[1:]))
    other = untrained(waveless)
    other.load_state_dict(generator.state_dict())
    session = ort.InferenceSession(
        serialized(texture_program(other)), providers=["CPUExecutionProvider"]
    )
    values = {"seed": [3], "origin": (0, 0), "size": (40, 40), "period": (0, 0)}
    feed = {name: np.array(value, dtype=np.int64) for name, value in values.items()}
    assert (session.run(["image"], feed)[0][0] != program()).any()
