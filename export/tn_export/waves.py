"""The waves of a regular pattern as ONNX nodes; `tn_train.waves` is their reference.

They are equal bit for bit. ONNX Runtime's own Sin depends on the place of a number in its array:
tiles would differ from the whole. Here the sine is a table, and its index an integer.
"""

import onnx_ir as ir
from onnxscript import OpBuilder

from tn_export.noise import Lines
from tn_train.config import GeneratorConfig
from tn_train.waves import ENTRIES, HALF_TURN, QUARTER_TURN, SINE, TURN


def waves_in_graph(
    op: OpBuilder,
    config: GeneratorConfig,
    offsets: ir.Value,
    period: ir.Value,
    rows: Lines,
    columns: Lines,
) -> list[ir.Value]:
    """Add the nodes that compute `tn_train.waves.waves` of all levels that take waves.

    Args:
        op: adds the nodes.
        config: has n waves.
        offsets: uint32 [N, n], the phase of each wave at the first pixel.
        period: int64 [2], pixels of the picture, 0 for none.
        rows: vertical coordinates, within the period, if there is one.
        columns: horizontal ones.

    Returns:
        float32 (N, 2 n, H, W) of each level from `config.wave_level` on.
    """
    repeats = op.Div(period, 2 ** (config.wave_level - 1))
    steps = [each.y for each in config.waves], [each.x for each in config.waves]
    axes = []
    for axis, lines in enumerate((rows, columns)):
        phases = _phases(op, config, steps[axis], lines, op.Gather(repeats, axis))
        # The cosine is the sine, a quarter of a turn ahead.
        ahead = op.Add(phases, QUARTER_TURN) if axis == 0 else phases
        both = op.Concat(phases, ahead, axis=0)
        axes.append(op.Split(both, lines.counts, axis=1, _outputs=config.levels))
    start = op.Unsqueeze(op.Concat(offsets, offsets, axis=1), [2, 3])
    table = op.Constant(value=ir.tensor(SINE))
    planes = []
    for row, column in list(zip(*axes, strict=True))[config.wave_level :]:
        turned = op.Add(op.Add(op.Unsqueeze(row, [2]), op.Unsqueeze(column, [1])), start)
        index = op.Cast(op.Div(turned, TURN // ENTRIES), to=ir.DataType.INT64)
        planes.append(op.Gather(table, index))
    return planes


def _phases(
    op: OpBuilder, config: GeneratorConfig, steps: list[int], lines: Lines, period: ir.Value
) -> ir.Value:
    """Return `tn_train.waves.phases` of each wave, of all levels end to end: uint32 (n, L)."""
    halvings = [max(0, level - config.wave_level + 1) for level in range(config.levels)]
    scale = op.Gather(op.Constant(value_ints=[2**each for each in halvings]), lines.levels)
    offset = op.Sub(scale, 1)
    step = op.Constant(value=ir.tensor([[each] for each in steps], ir.DataType.INT64))

    def half_pixels(places: ir.Value) -> ir.Value:
        return op.Add(op.Mul(places, op.Mul(scale, 2)), offset)  # type: ignore[no-any-return]

    free = op.Mod(half_pixels(op.Mod(lines.coordinates, TURN)), TURN)
    free = op.Mod(op.Mul(step, free), TURN)
    # Where evaluates both branches, and by zero Mod fails the run.
    length = op.Max(period, 1)
    turns = op.Add(op.Mul(step, length), QUARTER_TURN)
    cycles = op.Div(op.Sub(turns, op.Mod(turns, HALF_TURN)), HALF_TURN)
    travelled = op.Mod(op.Mul(cycles, half_pixels(lines.coordinates)), op.Mul(length, 2))
    fitted = op.Div(op.Mul(travelled, HALF_TURN), length)
    phase = op.Where(op.Greater(period, 0), fitted, free)
    return op.Cast(phase, to=ir.DataType.UINT32)  # type: ignore[no-any-return]  # untyped
