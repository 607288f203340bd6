"""The self-test of a model file: a small request, and the pixels that every engine must make."""

import base64
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tn_runtime.errors import ModelError
from tn_runtime.pixels import Pixels
from tn_runtime.spec import SelfTest

MAX_DIFFERENCE = 1
"""In levels of 255: a float on the edge between two levels may fall to either side."""


def recorded(inputs: dict[str, NDArray[Any]], image: Pixels) -> SelfTest:
    """Return the self-test of a request and its pixels, uint8 (1, h, w, 3)."""
    integers = {name: value for name, value in inputs.items() if value.dtype == np.int64}
    content = inputs.get("content", np.empty(0, np.uint8))
    return SelfTest(
        inputs={name: tuple(value.tolist()) for name, value in integers.items()},
        content=base64.b64encode(content.tobytes()).decode(),
        image=base64.b64encode(image.tobytes()).decode(),
        style=tuple(inputs["style"][0].tolist()) if "style" in inputs else (),
    )


def request(test: SelfTest) -> tuple[dict[str, NDArray[Any]], Pixels]:
    """Return the inputs of a self-test and the pixels that they must make, uint8 (1, h, w, 3).

    Raises:
        ModelError: the self-test is not sound.
    """
    size = test.inputs.get("size", test.inputs.get("window", ())[2:])
    try:
        inputs: dict[str, NDArray[Any]] = {
            name: np.array(values, np.int64) for name, values in test.inputs.items()
        }
        if test.content:
            inputs["content"] = _pixels(test.content, size)
        if test.style:
            inputs["style"] = np.array([test.style], np.float32)
        return inputs, _pixels(test.image, size)
    except (ValueError, OverflowError) as error:
        raise ModelError(f"the self-test in the model's metadata is not sound: {error}") from error


def _pixels(text: str, size: tuple[int, ...]) -> Pixels:
    data = base64.b64decode(text, validate=True)
    if len(size) != 2 or min(size) < 1 or len(data) != 3 * math.prod(size):
        raise ValueError(f"{len(data)} bytes are no picture of size {size}")
    return np.frombuffer(data, np.uint8).reshape(1, *size, 3)
