"""A model that keeps the texture contract with nothing inside: pixels are a plain function.

It is written as text, is made in milliseconds and runs in the real ONNX Runtime. `expected` is the
same function in numpy.
"""

import dataclasses

import numpy as np
import onnx.helper
import onnx.parser

from tn_runtime.self_test import recorded
from tn_runtime.spec import (
    FORMAT,
    METADATA_KEY,
    Exemplar,
    GeneratorSpec,
    ModelSpec,
    Parity,
    Training,
)

PRIME = 65537
"""Coordinates and seeds are reduced by it first, so that no product overflows int64."""


def expected(size, seed=0, origin=(0, 0), period=(0, 0)):
    """Return uint8 (h, w, 3), what the model makes."""
    y = _places(origin[0], size[0], period[0])[:, None, None]
    x = _places(origin[1], size[1], period[1])[None, :, None]
    channel = np.array([0, 85, 170])
    return ((seed % PRIME * 7919 + y * 31 + x * 17 + y * x + channel) % 251).astype(np.uint8)


def _places(start, length, period):
    absolute = np.arange(length).astype(object) + start
    wrapped = absolute % period if period else absolute
    return (wrapped % PRIME).astype(np.int64)


SELF_TEST = {"seed": (3,), "origin": (-5, 2**40), "size": (9, 7), "period": (0, 8)}

SPEC = ModelSpec(
    kind="texture",
    name="plain",
    stride=4,
    halo=8,
    normalized_channels=0,
    noise="none",
    generator=GeneratorSpec("plain", parameters=0, config={"widths": [3, 3, 3]}),
    exemplars=(Exemplar("nothing.png", "0" * 64, 8, 8),),
    training=Training("none", steps=0, seconds=0.0, loss=0.0, config={}),
    parity=Parity(5, 0.0, 0),
    self_test=recorded(
        {name: np.array(values) for name, values in SELF_TEST.items()},
        expected(SELF_TEST["size"], 3, SELF_TEST["origin"], SELF_TEST["period"])[np.newaxis],
    ),
    producer="tests 0",
    format=FORMAT,
)

GRAPH = """
<ir_version: 9, opset_import: ["": 18], producer_name: "tests">
plain (int64[N] seed, int64[2] origin, int64[2] size, int64[2] period) => (uint8[N, h, w, 3] image)
<int64 zero = {0}, int64 one = {1}, int64 prime = {65537}, int64 levels = {251},
 int64[4] along_n = {-1, 1, 1, 1}, int64[4] along_y = {1, -1, 1, 1},
 int64[4] along_x = {1, 1, -1, 1}, int64[1, 1, 1, 3] channel = {0, 85, 170},
 int64 for_seed = {7919}, int64 for_y = {31}, int64 for_x = {17}>
{
  small = Mod(seed, prime)
  n = Reshape(small, along_n)
  AXIS_0
  AXIS_1
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
  value = Mod(sum_4, levels)
  image = Cast <to = 2> (value)
}
"""

AXIS = """
  axis_# = Constant <value_int = #> ()
  start_# = Gather(origin, axis_#)
  length_# = Gather(size, axis_#)
  period_# = Gather(period, axis_#)
  offsets_# = Range(zero, length_#, one)
  endless_# = Equal(period_#, zero)
  divisor_# = Where(endless_#, one, period_#)
  absolute_# = Add(start_#, offsets_#)
  wrapped_# = Mod(absolute_#, divisor_#)
  chosen_# = Where(endless_#, absolute_#, wrapped_#)
  place_# = Mod(chosen_#, prime)
"""


def model_bytes(spec=SPEC, metadata=None, replace=()):
    """Return a model file; `replace` holds (old, new) pairs of the graph's text."""
    text = GRAPH
    for axis in "01":
        text = text.replace(f"  AXIS_{axis}", AXIS.replace("#", axis))
    for old, new in replace:
        assert old in text
        text = text.replace(old, new)
    model = onnx.parser.parse_model(text)
    onnx.helper.set_model_props(
        model, {METADATA_KEY: spec.to_json()} if metadata is None else metadata
    )
    return model.SerializeToString()


def changed(**fields):
    """Return the contract's spec with some fields changed."""
    return dataclasses.replace(SPEC, **fields)
