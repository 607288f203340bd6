"""Constants that a caller may overwrite in a model file: ONNX Runtime folds them into convolutions.

A style with normalised channels has two such initializers: `given`, a bool, false as exported, and
`statistics`, float32 (C, 2). With several styles there is a third: `blend`, float32 (S,), the share
of each. The metadata name the offsets of their bytes in the file.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tn_runtime.errors import ModelError

GIVEN, STATISTICS, BLEND = "given", "statistics", "blend"
"""Names of the initializers."""

FALSE, TRUE = b"\0", b"\1"


class Offsets(NamedTuple):
    """Where the bytes of the initializers begin in the file; 0 for those that it has not."""

    given_at: int = 0
    statistics_at: int = 0
    blend_at: int = 0


def default_statistics(channels: int) -> NDArray[np.float32]:
    """Return what an exported file holds: mean 0 and variance 1, float32 (channels, 2)."""
    return np.tile(np.array([0, 1], "<f4"), (channels, 1))


def default_blend(styles: int) -> NDArray[np.float32]:
    """Return what an exported file holds: the first style alone, float32 (styles,)."""
    return np.eye(1, styles, dtype="<f4")[0]  # type: ignore[no-any-return]  # numpy's is untyped


def offsets(data: bytes, channels: int, styles: int) -> Offsets:
    """Find the bytes of the initializers in a model file as it was exported.

    Raises:
        ModelError: one of them is not there, or there more than once.
    """
    if not channels:
        return Offsets()
    if 8 * channels > len(data) or 4 * styles > len(data):
        raise ModelError(
            f"the model says it has {channels} channels and {styles} styles, more than its file "
            "can hold"
        )
    return Offsets(
        _offset(data, GIVEN, FALSE),
        _offset(data, STATISTICS, default_statistics(channels).tobytes()),
        _offset(data, BLEND, default_blend(styles).tobytes()) if styles > 1 else 0,
    )


def with_constants(
    data: bytes,
    offsets: Offsets,
    statistics: NDArray[np.float32],
    blend: NDArray[np.float32],
) -> bytes:
    """Return a copy of a model file that normalises every picture by the same constants.

    Args:
        data: the file as it was exported.
        offsets: those of its initializers.
        statistics: float32 (C, 2).
        blend: float32 (S,); without effect on a file of one style.
    """
    changed = bytearray(data)
    places = [(offsets.given_at, TRUE), (offsets.statistics_at, statistics.astype("<f4").tobytes())]
    if offsets.blend_at:
        places.append((offsets.blend_at, blend.astype("<f4").tobytes()))
    for start, value in places:
        changed[start : start + len(value)] = value
    return bytes(changed)


def _offset(data: bytes, name: str, value: bytes) -> int:
    # In a TensorProto of ONNX, field 8 is the name, and field 9 the bytes.
    written = b"\x42" + _sized(name.encode()) + b"\x4a" + _sized(value)
    if data.count(written) != 1:
        raise ModelError(f"the initializer {name!r} is not as exported; export the model again")
    return data.index(written) + len(written) - len(value)


def _sized(value: bytes) -> bytes:
    """Put a value's length before it, as protobuf does: 7 bits in a byte, the lowest first."""
    length, prefix = len(value), []
    while length > 127:
        prefix.append(length & 127 | 128)
        length >>= 7
    return bytes([*prefix, length]) + value
