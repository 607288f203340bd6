"""The noise: white in all that an eye or a network could notice, the same in the graph."""

import itertools

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnxscript import GraphBuilder

from tn_export.noise import SCHEME, Lines, noise, noises_in_graph

SIDE = 256
ORIGINS = [(0, 0), (-300, -70), (10**9, 10**9 + 5), (-(10**12), 2**40 - 100)]


def planes(seed: int, level: int, origin: tuple[int, int] = (0, 0)) -> np.ndarray:
    y, x = (np.arange(SIDE) + begin for begin in origin)
    return noise(np.array([seed]), level, 3, y, x)[0]


def spectrum(plane: np.ndarray) -> np.ndarray:
    return np.abs(np.fft.fft2(plane - plane.mean())) ** 2


def correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Normalised cross-correlation at every cyclic lag."""
    f, g = (np.fft.fft2((plane - plane.mean()) / plane.std()) for plane in (a, b))
    return np.abs(np.fft.ifft2(f * g.conj()).real) / a.size


@pytest.mark.parametrize("origin", ORIGINS)
def test_uniform(origin):
    values = planes(3, 1, origin)
    assert values.dtype == np.float32
    assert values.min() >= 0
    assert values.max() < 1
    assert (values * 2**24 == np.floor(values * 2**24)).all()
    counts, _ = np.histogram(values, 256, (0, 1))
    chi_square = ((counts - counts.mean()) ** 2 / counts.mean()).sum()
    assert 170 < chi_square < 360  # 255 degrees of freedom, 4.5 standard deviations


@pytest.mark.parametrize("origin", ORIGINS)
def test_spectrum_is_flat(origin):
    for seed in range(3):
        for plane in planes(seed, 0, origin):
            power = spectrum(plane)
            # White noise: ln(pixels / 2) = 10.4 times the mean, 17 once in 700 planes.
            assert power.max() < 17 * power.mean()


def test_streams_are_independent_at_all_lags():
    streams = [*planes(0, 0), *planes(1, 0), *planes(0, 1), *planes(10**6, 0), *planes(-1, 2)]
    for a, b in itertools.combinations(streams, 2):
        assert correlation(a, b).max() < 0.025
        assert correlation(a, b.T).max() < 0.025


def test_no_row_repeats_another():
    rows = noise(np.array([7]), 0, 1, np.arange(8000), np.arange(SIDE))[0, 0]
    rows = (rows - rows.mean()) / rows.std()
    similarity = rows @ rows.T / SIDE
    np.fill_diagonal(similarity, 0)
    assert np.abs(similarity).max() < 0.42


def test_neighbours_are_independent():
    """An affine hash passes every moment but has a constant mixed difference."""
    plane = planes(5, 1)[0]
    mixed = (plane[:-1, :-1] + plane[1:, 1:] - plane[:-1, 1:] - plane[1:, :-1]) % 1
    counts, _ = np.histogram(mixed, 64, (0, 1))
    assert ((counts - counts.mean()) ** 2 / counts.mean()).sum() < 120  # 63 degrees of freedom


def test_the_scheme_stays_as_it_is():
    """Model files name it: other numbers would need another name."""
    assert SCHEME == "quadratic-1"
    values = noise(np.array([0, -1]), 2, 3, np.array([0, -(10**9)]), np.array([0, 2**40]))
    assert (values[:, :, 0, 0] * 2**24).tolist() == [
        [1771927, 11964220, 13386481],
        [10318412, 1319491, 15036247],
    ]
    assert (values[:, 2, 1, 1] * 2**24).tolist() == [14824535, 14064898]


LEVELS = 3


@pytest.fixture(scope="module")
def graph_noise():
    graph = ir.Graph([], [], nodes=[], opset_imports={"": 20}, name="noise")
    builder = GraphBuilder(graph)
    seed, *parts = (
        builder.input(name, ir.DataType.INT64, [name])
        for name in ("seed", "y", "y_level", "y_counts", "x", "x_level", "x_counts")
    )
    rows, columns = Lines(*parts[:3]), Lines(*parts[3:])
    for value in noises_in_graph(builder.op, seed, LEVELS, 2, rows, columns):
        builder.add_output(value, f"noise_{len(graph.outputs)}")
    model = ir.to_proto(ir.Model(graph, ir_version=10)).SerializeToString()
    return ort.InferenceSession(model, providers=["CPUExecutionProvider"])


def lines(axis: str, levels: list[np.ndarray]) -> dict[str, np.ndarray]:
    counts = np.array([level.size for level in levels])
    level = np.repeat(np.arange(LEVELS), counts)
    return {axis: np.concatenate(levels), f"{axis}_level": level, f"{axis}_counts": counts}


@pytest.mark.parametrize("origin", [*ORIGINS, (2**62, -(2**62))])
def test_graph_equals_numpy_bit_for_bit(graph_noise, origin):
    seed = np.array([0, 1, -1, 2**63 - 1, -(2**63), 2**32])
    y, x = ([np.arange(37 // 2**k + 3) + begin // 2**k for k in range(LEVELS)] for begin in origin)
    actual = graph_noise.run(None, {"seed": seed} | lines("y", y) | lines("x", x))
    for level in range(LEVELS):
        expected = noise(seed, level, 2, y[level], x[level])
        assert actual[level].shape == expected.shape
        assert actual[level].tobytes() == expected.tobytes()
