"""The noise of the endless plane: a hash of (seed, level, channel, y, x), uniform in [0, 1).

Twice the same arithmetic: `noise` in numpy is the reference, `noises_in_graph` builds it with ONNX
operators; they are equal bit for bit. Only Add, Sub, Mul, Div, Mod and Cast are used, on uint32
(which wraps) and int64: ONNX Runtime's CUDA provider has no bit operations, but dividing a uint32
by 2^16 is a shift.

Scheme `quadratic-1`: seed, channel, y and x are each mixed on their own axis by a strong
permutation, which costs nothing there; only the sum of a row key and a column key, and two rounds
on top, are computed per pixel. Every round is quadratic in its input. That matters: a hash that is
affine in the coordinates has perfect moments, but its spectrum has peaks and its seeds are shifted
copies. Keys have 32 bits: so many planes are different, however large the seed, and a row of one
plane may return in another, billions of rows away.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from onnxscript import OpBuilder

SCHEME = "quadratic-1"

UInt32 = npt.NDArray[np.uint32]
Int64 = npt.NDArray[np.int64]

WORD = 2**32
HALF = 2**16
MIX_CONSTANTS = (0x9E3779B9, 0x85EBCA6B)
HIGH_CONSTANT = 0xC2B2AE35
COLUMN_CONSTANT = 0x27220A95
"""Keeps columns apart from rows: without it the plane would be symmetric about its diagonal."""
PIXEL_CONSTANTS = (0x846CA68B, 0x7FEB352D)
WAVES = 2**16
"""The first stream of the waves' offsets; those of the noise lie below."""
GRID = 2**8
"""The lowest bits are dropped: 24 bits are what float32 represents exactly in [0, 1)."""


def noise(seed: Int64, level: int, channels: int, y: Int64, x: Int64) -> npt.NDArray[np.float32]:
    """Evaluate the noise plane of one level on a grid of coordinates.

    Args:
        seed: int64 (N,).
        level: 0 is the finest.
        channels: C.
        y: int64 (H,), any values.
        x: int64 (W,), any values.

    Returns:
        float32 (N, C, H, W), multiples of 2^-24 in [0, 1).
    """
    stream = np.arange(level * channels, (level + 1) * channels, dtype=np.uint32)
    key = _mix(_key(seed)[:, np.newaxis] + stream)  # (N, C)
    row = _mix(key[..., np.newaxis] + _key(y))  # (N, C, H)
    column = _mix(_key(x) + np.uint32(COLUMN_CONSTANT))  # (W,)
    value = row[..., np.newaxis] + column  # (N, C, H, W)
    for constant in PIXEL_CONSTANTS:
        value *= value // np.uint32(HALF) + np.uint32(constant)
    return (value // np.uint32(GRID)).astype(np.float32) * np.float32(GRID / WORD)


def _key(value: Int64) -> UInt32:
    low = value % WORD
    high = (value - low) // WORD % WORD
    return _mix(low.astype(np.uint32)) + high.astype(np.uint32) * np.uint32(HIGH_CONSTANT)


def _mix(value: UInt32) -> UInt32:
    """Permute uint32: twice the quadratic of RC6, v (2v + 1), and a rotation by 16 bits."""
    for constant in MIX_CONSTANTS:
        value = value + np.uint32(constant)
        value = value * (value + value + np.uint32(1))
        value = value // np.uint32(HALF) + value * np.uint32(HALF)
    return value


def offsets(seed: Int64, count: int) -> UInt32:
    """Return the phases of waves at the origin, uint32 (N, count), of seeds int64 (N,)."""
    streams = np.arange(WAVES, WAVES + count, dtype=np.uint32)
    return _mix(_key(seed)[:, np.newaxis] + streams)


@dataclass(frozen=True)
class Lines:
    """Coordinates along one axis, of all levels of a pyramid end to end, finest level first.

    Few integers, but many nodes: done level by level they would be two thirds of the nodes of a
    texture program, and a session would take four times as long to start.
    """

    coordinates: ir.Value
    """int64 (L,), any values."""
    levels: ir.Value
    """int64 (L,), the level that each belongs to."""
    counts: ir.Value
    """int64 (K,), how many each level has."""


def noises_in_graph(
    op: OpBuilder, seed: ir.Value, levels: int, channels: int, rows: Lines, columns: Lines
) -> list[ir.Value]:
    """Add the nodes that compute `noise` of levels 0 to K - 1; return its K values."""
    streams = [level * channels + c for c in range(channels) for level in range(levels)]
    key = _mix_in_graph(op, op.Add(op.Unsqueeze(_key_in_graph(op, seed), [1]), streams))
    of_rows = op.Gather(op.Reshape(key, [0, channels, levels]), rows.levels, axis=2)
    row = _mix_in_graph(op, op.Add(of_rows, _key_in_graph(op, rows.coordinates)))
    column = _mix_in_graph(op, op.Add(_key_in_graph(op, columns.coordinates), COLUMN_CONSTANT))
    parts = (
        op.Split(op.Unsqueeze(row, [3]), rows.counts, axis=2, _outputs=levels),
        op.Split(column, columns.counts, axis=0, _outputs=levels),
    )
    return [_plane_in_graph(op, *part) for part in zip(*parts, strict=True)]


def offsets_in_graph(op: OpBuilder, seed: ir.Value, count: int) -> ir.Value:
    """Add the nodes that compute `offsets`."""
    streams = list(range(WAVES, WAVES + count))
    return _mix_in_graph(op, op.Add(op.Unsqueeze(_key_in_graph(op, seed), [1]), streams))


def _plane_in_graph(op: OpBuilder, row: ir.Value, column: ir.Value) -> ir.Value:
    value = op.Add(row, column)
    for constant in PIXEL_CONSTANTS:
        value = op.Mul(value, op.Add(op.Div(value, HALF), constant))
    grid = op.Cast(op.Div(value, GRID), to=ir.DataType.FLOAT)
    return op.Mul(grid, GRID / WORD)  # type: ignore[no-any-return]  # OpBuilder is untyped


def _key_in_graph(op: OpBuilder, value: ir.Value) -> ir.Value:
    low = op.Mod(value, WORD)  # floored, as numpy's
    high = op.Mod(op.Div(op.Sub(value, low), WORD), WORD)
    mixed = _mix_in_graph(op, op.Cast(low, to=ir.DataType.UINT32))
    high = op.Cast(high, to=ir.DataType.UINT32)
    return op.Add(mixed, op.Mul(high, HIGH_CONSTANT))  # type: ignore[no-any-return]


def _mix_in_graph(op: OpBuilder, value: ir.Value) -> ir.Value:
    for constant in MIX_CONSTANTS:
        value = op.Add(value, constant)
        value = op.Mul(value, op.Add(op.Add(value, value), 1))
        value = op.Add(op.Div(value, HALF), op.Mul(value, HALF))
    return value
