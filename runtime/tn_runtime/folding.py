"""Statistics as a part of the model file: ONNX Runtime folds them into the convolutions.

A style with normalised channels has two initializers: `given`, a bool, false as exported, and
`statistics`, float32 (C, 2). The metadata name the offsets of their bytes in the file.
"""

import numpy as np
from numpy.typing import NDArray

from tn_runtime.errors import ModelError

GIVEN, STATISTICS = "given", "statistics"
"""Names of the initializers."""

FALSE, TRUE = b"\0", b"\1"


def default_statistics(channels: int) -> NDArray[np.float32]:
    """Return what an exported file holds: mean 0 and variance 1, float32 (channels, 2)."""
    return np.tile(np.array([0, 1], "<f4"), (channels, 1))


def offsets(data: bytes, channels: int) -> tuple[int, int]:
    """Find the bytes of `given` and of `statistics` in a model file as it was exported.

    Returns:
        Their offsets in bytes; (0, 0) for a model without normalised channels.

    Raises:
        ModelError: one of them is not there, or there more than once.
    """
    if not channels:
        return 0, 0
    if 8 * channels > len(data):
        raise ModelError(f"the model says it has {channels} channels, more than its file can hold")
    statistics = default_statistics(channels).tobytes()
    return _offset(data, GIVEN, FALSE), _offset(data, STATISTICS, statistics)


def with_statistics(
    data: bytes, statistics: NDArray[np.float32], given_at: int, statistics_at: int
) -> bytes:
    """Return a copy of a model file that normalises every picture by `statistics`, (C, 2)."""
    values = statistics.astype("<f4").tobytes()
    changed = bytearray(data)
    changed[given_at : given_at + len(TRUE)] = TRUE
    changed[statistics_at : statistics_at + len(values)] = values
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
