"""Typed values from untyped data: a dataclass is the schema of the JSON that it is read from."""

import dataclasses
import os
import sys
import types
import typing
from pathlib import Path
from typing import Any, Literal, TypeVar

T = TypeVar("T")


def build(cls: type[T], data: object, path: str = "") -> T:
    """Build a dataclass from a mapping, checking every value against its annotation.

    Known annotations: bool, int, float (takes an int), str, Path (takes a str), `dict[str, ...]`,
    `tuple[X, ...]`, Literal, Any, dataclasses, and unions of these. Unknown keys are left alone.

    Raises:
        ValueError: a key is missing, or its value is of another type; the message names its path.
    """
    if not isinstance(data, dict):
        raise ValueError(f"{path or 'the whole'} is not an object ({data!r:.60})")  # noqa: TRY004 - data
    hints = typing.get_type_hints(cls)
    values = {}
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]  # T is a dataclass
        where = f"{path}.{field.name}" if path else field.name
        if field.name in data:
            values[field.name] = _value(hints[field.name], data[field.name], where)
        elif field.default is field.default_factory is dataclasses.MISSING:
            raise ValueError(f"{where!r} is missing")
    return cls(**values)


def _value(hint: Any, value: Any, path: str) -> Any:  # noqa: ANN401, PLR0911 - one line for each kind
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any or (origin is Literal and value in arguments):
        return value
    if dataclasses.is_dataclass(hint):
        return value if type(value) is hint else build(typing.cast("type", hint), value, path)
    if origin in {types.UnionType, typing.Union}:
        return _first_fitting(arguments, value, path)
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(_value(arguments[0], each, path) for each in value)
    if origin is dict and isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _value(arguments[1], each, f"{path}.{key}") for key, each in value.items()}
    if hint is float and type(value) is int and abs(value) <= sys.float_info.max:
        return float(value)
    if hint is Path and isinstance(value, str | os.PathLike) and "\0" not in os.fspath(value):
        return Path(value)
    if type(value) is hint or (hint is types.NoneType and value is None):
        return value
    raise ValueError(f"{path!r} is not valid ({value!r:.60})")


def _first_fitting(hints: tuple[Any, ...], value: Any, path: str) -> Any:  # noqa: ANN401
    for hint in hints:
        try:
            return _value(hint, value, path)
        except ValueError:
            continue
    raise ValueError(f"{path!r} is not valid ({value!r:.60})")
