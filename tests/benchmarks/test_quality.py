"""All the measures of one exemplar and its pictures together."""

import dataclasses

import pytest

from tn_bench.measures.quality import STEERING, SUMMARY, Settings, measure
from tn_bench.measures.table import table
from tn_runtime.errors import RequestError

SMALL = Settings(("relu1_1", "relu2_1"), ("relu1_2", "relu2_2"), levels=2)


@pytest.fixture(scope="module")
def measured(grain, other_grain):
    return measure(grain, [grain, other_grain, grain[:40]], other_grain, SMALL)


def test_rows_have_floor_gatys_and_pictures(measured):
    rows = {row.name: row for row in measured.rows}
    larger = {"patches 4x", "patches 8x", STEERING}  # of larger pyramids, deeper layers
    assert set(SUMMARY) - set(rows) == larger
    assert len(rows) == len(measured.rows)
    for row in measured.rows:
        assert len(row.pictures) == 3
        assert row.gatys == row.pictures[1]
        if row.name != "seam":
            assert row.pictures[0] == pytest.approx(0, abs=1e-6)
            assert row.floor > 0
    assert measured.period is None


def test_diversity_needs_two(grain, other_grain, measured):
    assert measured.diversity.keys() == {"pixels", "features"}
    alone = measure(grain, [other_grain], settings=SMALL)
    assert alone.diversity == {}
    assert all(row.gatys is None for row in alone.rows)
    copies = measure(grain, [other_grain, other_grain], settings=SMALL)
    assert copies.diversity == pytest.approx({"pixels": 0, "features": 0}, abs=1e-6)


def test_measuring_is_deterministic(grain, other_grain, measured):
    assert measure(grain, [grain, other_grain, grain[:40]], other_grain, SMALL) == measured


def test_an_exemplar_that_repeats_is_told(grain, other_grain):
    tiled = grain.copy()
    tiled[:, 32:] = tiled[:, :32]
    told = measure(tiled, [other_grain, grain], settings=SMALL)
    assert told.period == (0, 32)
    assert told.diversity == {}


def test_small_pictures_are_refused(grain):
    with pytest.raises(RequestError, match=r"the exemplar is 20x64; .* at least 28x28"):
        measure(grain[:, :20], [grain], settings=SMALL)
    with pytest.raises(RequestError, match=r"a picture is 64x13; .* at least 14x14"):
        measure(grain, [grain[:13]], settings=SMALL)


def test_table(measured):
    summary = table(measured, ["a", "b", "c"], everything=False)
    whole = table(measured, ["a", "b", "c"], everything=True)
    assert len(summary.columns) == len(whole.columns) == 6
    assert summary.row_count < whole.row_count == len(measured.rows)
    plain = dataclasses.replace(
        measured, rows=tuple(dataclasses.replace(row, gatys=None) for row in measured.rows)
    )
    assert len(table(plain, ["a", "b", "c"], everything=True).columns) == 5
