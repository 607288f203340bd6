"""Models that keep the style contract with nothing inside: pixels are a plain function.

`plain` looks at pixels near and far, mirrored beyond the photo's edges, at means over blocks that
are aligned to the whole picture, at coordinates and at the seed: what a network does, in whole
numbers. `expected` is the same function in numpy. `normalized` divides by the contrast of its
window or of the statistics that it is given, and takes no seed. `several` does the same in three
styles, which differ in their brightness.
"""

import dataclasses
import functools

import numpy as np
import onnx.helper
import onnx.numpy_helper
import onnx.parser
import onnxruntime

from runtime import contract
from tn_runtime.folding import default_blend, default_statistics, offsets
from tn_runtime.self_test import recorded
from tn_runtime.spec import METADATA_KEY, Exemplar

STRIDE = 8
FAR = (-13, 11)
"""(dy, dx) of a pixel that each pixel depends on."""
PLAIN = dataclasses.replace(
    contract.SPEC, kind="style", name="plain style", stride=STRIDE, halo=2 * STRIDE - 1
)
"""A pixel depends on three blocks in each direction: its own, and one on either side."""
NORMALIZED = dataclasses.replace(
    contract.SPEC,
    kind="style",
    name="normalized style",
    noise="",
    stride=1,
    halo=2,
    normalized_channels=3,
)
STYLES = ("ink", "oil", "chalk")
SEVERAL = dataclasses.replace(
    NORMALIZED,
    name="several styles",
    exemplars=tuple(Exemplar(f"{style}.jpg", "0" * 64, 8, 8) for style in STYLES),
)

PRIME = contract.PRIME

PLAIN_GRAPH = """
<ir_version: 9, opset_import: ["": 18], producer_name: "tests">
plain (uint8[N, H, W, 3] content, int64[4] window, int64[2] origin, int64[N] seed)
=> (uint8[N, h, w, 3] image)
<int64 zero = {0}, int64 one = {1}, int64 two = {2}, int64 prime = {65537}, int64 levels = {251},
 int64 stride = {8}, int64[1] three = {3}, int64[1] eight = {8}, int64[1] minus = {-1},
 int64[4] along_n = {-1, 1, 1, 1}, int64[4] along_y = {1, -1, 1, 1},
 int64[4] along_x = {1, 1, -1, 1}, int64[1, 1, 1, 3] channel = {0, 85, 170},
 int64[2] inside_blocks = {2, 4}, int64 for_seed = {7919}, int64 for_y = {31}, int64 for_x = {17},
 int64 for_far = {3}, int64 far_0 = {-13}, int64 far_1 = {11}>
{
  photo = Cast <to = 7> (content)
  extents = Shape(content)
  AXIS_0
  AXIS_1
  near_rows = Gather <axis = 1> (photo, near_0)
  near = Gather <axis = 2> (near_rows, near_1)
  far_rows = Gather <axis = 1> (photo, distant_0)
  far = Gather <axis = 2> (far_rows, distant_1)
  block_rows = Gather <axis = 1> (photo, aligned_0)
  wide = Gather <axis = 2> (block_rows, aligned_1)
  batch = Shape <start = 0, end = 1> (content)
  cut = Concat <axis = 0> (batch, blocks_0, eight, blocks_1, eight, three)
  in_blocks = Reshape(wide, cut)
  sums = ReduceSum <keepdims = 0> (in_blocks, inside_blocks)
  above = Gather <axis = 1> (sums, block_above_0)
  same = Gather <axis = 1> (sums, block_same_0)
  below = Gather <axis = 1> (sums, block_below_0)
  two_rows = Add(above, same)
  vertical = Add(two_rows, below)
  left = Gather <axis = 2> (vertical, block_above_1)
  middle = Gather <axis = 2> (vertical, block_same_1)
  right = Gather <axis = 2> (vertical, block_below_1)
  two_columns = Add(left, middle)
  coarse = Add(two_columns, right)
  far_3 = Mul(far, for_far)
  seen = Add(near, far_3)
  all_seen = Add(seen, coarse)
  small = Mod(seed, prime)
  n = Reshape(small, along_n)
  y = Reshape(place_0, along_y)
  x = Reshape(place_1, along_x)
  by_seed = Mul(n, for_seed)
  by_y = Mul(y, for_y)
  by_x = Mul(x, for_x)
  product = Mul(y, x)
  sum_1 = Add(by_seed, by_y)
  sum_2 = Add(sum_1, by_x)
  sum_3 = Add(sum_2, product)
  sum_4 = Add(sum_3, channel)
  sum_5 = Add(sum_4, all_seen)
  value = Mod(sum_5, levels)
  image = Cast <to = 2> (value)
}
"""

PLAIN_AXIS = """
  axis_# = Constant <value_int = #> ()
  content_axis_# = Add(axis_#, one)
  extent_# = Gather(extents, content_axis_#)
  start_# = Gather(window, axis_#)
  length_axis_# = Add(axis_#, two)
  length_# = Gather(window, length_axis_#)
  from_# = Gather(origin, axis_#)
  offsets_# = Range(zero, length_#, one)
  relative_# = Add(start_#, offsets_#)
  absolute_# = Add(relative_#, from_#)
  place_# = Mod(absolute_#, prime)
  remote_# = Add(relative_#, far_#)
  phase_# = Mod(absolute_#, stride)
  corner_# = Sub(absolute_#, phase_#)
  first_corner_# = ReduceMin <keepdims = 0> (corner_#)
  last_corner_# = ReduceMax <keepdims = 0> (corner_#)
  first_# = Sub(first_corner_#, stride)
  last_2_# = Add(last_corner_#, stride)
  last_# = Add(last_2_#, stride)
  plane_# = Range(first_#, last_#, one)
  widened_# = Sub(plane_#, from_#)
  all_# = Sub(last_#, first_#)
  number_# = Div(all_#, stride)
  blocks_# = Reshape(number_#, minus)
  into_# = Sub(corner_#, first_#)
  block_same_# = Div(into_#, stride)
  block_above_# = Sub(block_same_#, one)
  block_below_# = Add(block_same_#, one)
  turn_# = Mul(extent_#, two)
  turned_# = Sub(turn_#, one)
  near_wrapped_# = Mod(relative_#, turn_#)
  near_back_# = Sub(turned_#, near_wrapped_#)
  near_# = Min(near_wrapped_#, near_back_#)
  distant_wrapped_# = Mod(remote_#, turn_#)
  distant_back_# = Sub(turned_#, distant_wrapped_#)
  distant_# = Min(distant_wrapped_#, distant_back_#)
  aligned_wrapped_# = Mod(widened_#, turn_#)
  aligned_back_# = Sub(turned_#, aligned_wrapped_#)
  aligned_# = Min(aligned_wrapped_#, aligned_back_#)
"""

NORMALIZED_GRAPH = """
<ir_version: 9, opset_import: ["": 18], producer_name: "tests">
normalized (uint8[N, H, W, 3] content, int64[4] window, int64[2] origin)
=> (uint8[N, h, w, 3] image, float[N, 3, 2] measured)
<int64 zero = {0}, int64 one = {1}, int64 two = {2},
 int64[2] over = {1, 2}, int64[1] last = {2},
 int64[4] per_channel = {-1, 1, 1, 3}, float epsilon = {1.0}, float gain = {40.0},
 float black = {0.0}, float middle = {112.0}, float white = {255.0}, int64 far_0 = {-2},
 int64 far_1 = {2}, int64 first = {0}, int64 second = {1}>
{
  photo = Cast <to = 1> (content)
  extents = Shape(content)
  AXIS_0
  AXIS_1
  near_rows = Gather <axis = 1> (photo, near_0)
  near = Gather <axis = 2> (near_rows, near_1)
  far_rows = Gather <axis = 1> (photo, distant_0)
  far = Gather <axis = 2> (far_rows, distant_1)
  mean = ReduceMean <keepdims = 1> (near, over)
  centred = Sub(near, mean)
  squares = Mul(centred, centred)
  variance = ReduceMean <keepdims = 1> (squares, over)
  flat_mean = ReduceMean <keepdims = 0> (mean, over)
  flat_variance = ReduceMean <keepdims = 0> (variance, over)
  column_mean = Unsqueeze(flat_mean, last)
  column_variance = Unsqueeze(flat_variance, last)
  own = Concat <axis = 2> (column_mean, column_variance)
  measured = Where(given, statistics, own)
  used_mean_flat = Gather <axis = 2> (measured, first)
  used_variance_flat = Gather <axis = 2> (measured, second)
  used_mean = Reshape(used_mean_flat, per_channel)
  used_variance = Reshape(used_variance_flat, per_channel)
  safe = Add(used_variance, epsilon)
  deviation = Sqrt(safe)
  both = Add(near, far)
  mixed = Sub(both, used_mean)
  moved = Sub(mixed, used_mean)
  scaled = Div(moved, deviation)
  wide = Mul(scaled, gain)
  bright = Add(wide, middle)
  rounded = Round(bright)
  image_float = Clip(rounded, black, white)
  image = Cast <to = 2> (image_float)
}
"""

NORMALIZED_AXIS = "\n".join(
    line
    for line in PLAIN_AXIS.splitlines()
    if line.split("=")[0].strip()
    in {
        *("axis_#", "content_axis_#", "extent_#", "start_#", "length_axis_#", "length_#"),
        *("offsets_#", "relative_#", "remote_#", "turn_#", "turned_#", "near_wrapped_#"),
        *("near_back_#", "near_#", "distant_wrapped_#", "distant_back_#", "distant_#"),
    }
)


OF_SEVERAL = [
    ("int64[2] origin)\n", "int64[2] origin, float[N, 3] style)\n"),
    ("float middle = {112.0}", "float[3, 3] middles = {60, 70, 80, 120, 110, 100, 150, 190, 170}"),
    (
        "  bright = Add(wide, middle)",
        """
  used_style = Where(given, blend, style)
  flat_middle = MatMul(used_style, middles)
  middle = Reshape(flat_middle, per_channel)
  bright = Add(wide, middle)""",
    ),
]
"""What replaces parts of `NORMALIZED_GRAPH`."""


def model_bytes(spec=PLAIN, replace=()):
    """Return the model file of a spec; `replace` holds (old, new) pairs of the graph's text."""
    model = _graph(spec, replace)
    places = offsets(model.SerializeToString(), spec.normalized_channels, len(spec.exemplars))
    kind = SEVERAL if spec.takes_style else NORMALIZED if spec.normalized_channels else PLAIN
    spec = dataclasses.replace(spec, self_test=_self_test(kind.name), **places._asdict())
    onnx.helper.set_model_props(model, {METADATA_KEY: spec.to_json()})
    return model.SerializeToString()


@functools.cache
def _self_test(name):
    """Run a small request in the graph of that name, as it is."""
    [spec] = [each for each in (PLAIN, NORMALIZED, SEVERAL) if each.name == name]
    content = np.random.default_rng(0).integers(0, 256, (1, 6, 9, 3), np.uint8)
    integers = {"window": (0, 0, 6, 9), "origin": (-5, 3)} | ({"seed": (3,)} if spec.noise else {})
    inputs = {name: np.array(values) for name, values in integers.items()} | {"content": content}
    if spec.takes_style:
        inputs["style"] = np.eye(1, len(STYLES), dtype=np.float32)
    graph = _graph(spec, ()).SerializeToString()
    [image] = onnxruntime.InferenceSession(graph).run(["image"], inputs)
    return recorded(inputs, image)


def _graph(spec, replace):
    text, axis = (
        (NORMALIZED_GRAPH, NORMALIZED_AXIS)
        if spec.normalized_channels
        else (PLAIN_GRAPH, PLAIN_AXIS)
    )
    for number in "01":
        text = text.replace(f"  AXIS_{number}", axis.replace("#", number))
    for old, new in [*(OF_SEVERAL if spec.takes_style else []), *replace]:
        assert old in text
        text = text.replace(old, new)
    model = onnx.parser.parse_model(text)
    channels, styles = spec.normalized_channels, len(spec.exemplars)
    constants = {"given": np.array(False), "statistics": default_statistics(channels)}
    if styles > 1:
        constants["blend"] = default_blend(styles)
    for name, value in constants.items() if channels else ():
        model.graph.initializer.append(onnx.numpy_helper.from_array(value, name))
    return model


def expected(photo, seed=0):
    """Return uint8 (H, W, 3), what `plain` makes of a whole photo, uint8 (H, W, 3)."""
    height, width = photo.shape[:2]
    margin = 3 * STRIDE
    below, right = -height % STRIDE, -width % STRIDE
    padded = np.pad(
        photo.astype(np.int64),
        ((margin, margin + below), (margin, margin + right), (0, 0)),
        mode="symmetric",
    )

    def shifted(dy, dx):
        return padded[margin + dy :, margin + dx :][:height, :width]

    blocks = padded.reshape(len(padded) // STRIDE, STRIDE, -1, STRIDE, 3).sum((1, 3))
    rows = blocks[:-2] + blocks[1:-1] + blocks[2:]
    coarse = (rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:])[2:, 2:]
    coarse = coarse.repeat(STRIDE, 0).repeat(STRIDE, 1)[:height, :width]
    y, x = np.arange(height)[:, None, None], np.arange(width)[None, :, None]
    place = seed % PRIME * 7919 + y * 31 + x * 17 + y * x + np.array([0, 85, 170])
    return ((place + shifted(0, 0) + 3 * shifted(*FAR) + coarse) % 251).astype(np.uint8)
