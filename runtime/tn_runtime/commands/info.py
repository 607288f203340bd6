"""tn-run info: what a model file says about itself."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tn_runtime import console
from tn_runtime.commands.options import JsonOption, ModelArgument


def info(model: ModelArgument, json_: JsonOption = False) -> None:
    """Show what a model file says about itself."""
    facts = describe(model)
    if json_:
        console.result(json.dumps(facts))
        return
    for key, value in flatten(facts):
        console.result(f"{key:32} {value}".rstrip())


def describe(model: str | Path) -> dict[str, Any]:
    """Return a model's facts: its path, its hash and its spec."""
    from tn_runtime.session import load

    loaded = load(model, "cpu")
    spec = dataclasses.asdict(loaded.spec)
    return {
        "name": spec.pop("name"),
        "kind": spec.pop("kind"),
        "styles": loaded.spec.styles,
        "path": str(loaded.path),
        "sha256": loaded.sha256,
        **spec,
    }


def flatten(facts: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted keys and values of nested objects; those in a list are numbered from 1."""
    for key, value in facts.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{key}.")
        elif isinstance(value, list | tuple) and value and isinstance(value[0], dict):
            yield from flatten({str(n): each for n, each in enumerate(value, 1)}, f"{prefix}{key}.")
        elif isinstance(value, list | tuple):
            yield prefix + key, ", ".join(map(str, value))
        else:
            yield prefix + key, value
