"""tn-run info: the facts in a model file."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tn_runtime import console
from tn_runtime.commands.options import JsonOption, ModelArgument

LONGEST = 100
"""Characters of a value that are shown; the pictures of the self-test are longer."""


def info(model: ModelArgument, json_: JsonOption = False) -> None:
    """Show the facts in a model file: network, exemplar, training, proof.

    With --json the result is a file for programs that cannot read the metadata of an ONNX file, as
    in JavaScript: put it beside the model.
    """
    facts = describe(model)
    if json_:
        console.result(json.dumps(facts))
        return
    rows = {key: shown(value) for key, value in flatten(facts)}
    width = max(map(len, rows)) + 2
    for key, text in rows.items():
        if text:
            console.result(f"{key:{width}}{text}")


def describe(model: str | Path) -> dict[str, Any]:
    """Return a model's facts: the name and hash of its file, and its spec."""
    from tn_runtime.session import load

    loaded = load(model, "cpu")
    spec = dataclasses.asdict(loaded.spec)
    return {
        "name": spec.pop("name"),
        "kind": spec.pop("kind"),
        "styles": loaded.spec.styles,
        "file": loaded.path.name,
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
        else:
            yield prefix + key, value


def shown(value: Any) -> str:  # noqa: ANN401 - whatever JSON holds
    """Return a value as people read it, numbers with four digits."""
    if isinstance(value, list | tuple):
        return ", ".join(map(shown, value))
    if isinstance(value, float):
        return f"{value:.4g}"
    text = str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
