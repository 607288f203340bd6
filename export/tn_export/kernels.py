"""Lists the nodes of a model that ONNX Runtime's CUDA provider has no kernel for.

    python -m tn_export.kernels MODEL.onnx [--list OperatorKernels.md]

The answer comes from the list of registered kernels that ONNX Runtime generates and publishes:
docs/OperatorKernels.md in https://github.com/microsoft/onnxruntime (MIT), the section on
CUDAExecutionProvider. `cuda_kernels.json` holds the rows of the operators that programs like ours
are made of, from opset 13 up, and says which commit they come from; of the other operators with a
CUDA kernel it holds the names.

Releases differ. The kernel for Resize of opset 19, say, came with pull request 27415 in February
2026, after release 1.23. To judge by another release, download the list at its tag and name it with
`--list`.

A kernel is chosen as ONNX Runtime chooses it (onnxruntime/core/framework/kernel_registry.cc): by
the version in which the operator last changed, and by the types. The list says nothing about
which inputs a kernel wants in CPU memory, which attributes it refuses, and which small shape
computations ONNX Runtime moves to the CPU although there is a kernel. A row may unite kernels that
are registered apart, so the types of two variables need not go together. Fusions of ONNX Runtime
are not looked at; nor that it expands an operator that is a function, as CastLike, when it has no
kernel.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Annotated

import onnx
import typer
from onnx.defs import OpSchema, SchemaError, get_schema
from onnx.inliner import inline_local_functions
from onnx.shape_inference import InferenceError, infer_shapes

from tn_runtime import console
from tn_runtime.errors import ModelError, RequestError

BUNDLED = Path(__file__).with_name("cuda_kernels.json")

SECTION = "## Operators implemented by CUDAExecutionProvider"
DOMAIN = "|**Operator Domain:** *ai.onnx*|"
ROW = re.compile(r"\|(\w*)\|[^|]*\|([^|]*)\|([^|]*)\|")
"""Operator (empty: the one above), parameters, versions, types."""
VERSIONS = re.compile(r"(\d+)(\+?)|\[(\d+), (\d+)\]")
CONSTRAINT = re.compile(r"\*\*(\w+)\*\* = ([^*<]+)")

UNKNOWN = "?"

app = typer.Typer(add_completion=False)


@dataclass(frozen=True, order=True)
class Use:
    """What a node needs of a kernel: an operator, in its last changed version, and types.

    A type is "" where an optional input or output is left out.
    """

    operator: str
    version: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def __str__(self) -> str:
        sides = (", ".join(t or "-" for t in side) for side in (self.inputs, self.outputs))
        return f"{self.operator}-{self.version} ({' -> '.join(sides)})"


@dataclass(frozen=True)
class Kernel:
    """One row of the list: versions of an operator, and the types of each type variable."""

    first: int
    last: int
    types: dict[str, frozenset[str]]

    def fits(self, use: Use) -> bool:
        """Say whether the kernel takes the types; of its variadic inputs the first one counts."""
        schema = get_schema(use.operator, use.version)
        return all(_bound(schema, use, name) in {None, *t} for name, t in self.types.items())


@dataclass(frozen=True)
class KernelList:
    """The kernels of ONNX's own operators, by operator."""

    kernels: dict[str, tuple[Kernel, ...]]
    uncopied: frozenset[str] = frozenset()
    """Operators that have kernels, but whose rows are not here."""

    def lack(self, use: Use) -> str | None:
        """Return why there is no kernel, None if there is one.

        Raises:
            RequestError: the operator's rows are not here.
        """
        if use.operator in self.uncopied:
            raise RequestError(
                f"{use.operator} has CUDA kernels, but for which types is not in the copy that "
                "comes with this script; name the whole list with --list OperatorKernels.md"
            )
        kernels = self.kernels.get(use.operator, ())
        of_version = [kernel for kernel in kernels if kernel.first <= use.version <= kernel.last]
        if not kernels:
            return "no kernel of this operator"
        if not of_version:
            return "kernels of other versions of the operator only"
        return None if any(kernel.fits(use) for kernel in of_version) else "not for these types"


def bundled() -> KernelList:
    """Read the copy that comes with this script."""
    data = json.loads(BUNDLED.read_text())
    rows = (
        (operator, versions, {name: frozenset(types.split()) for name, types in variables.items()})
        for operator, kernels in data["kernels"].items()
        for versions, variables in kernels.items()
    )
    return KernelList(_by_operator(rows), frozenset(data["uncopied"].split()))


def published(markdown: str) -> KernelList:
    """Read the published list, OperatorKernels.md.

    Raises:
        RequestError: it has no rows where they belong.
    """
    section = markdown.partition(SECTION)[2].partition("\n## ")[0]
    table = section.partition(DOMAIN)[2].partition("|**Operator Domain:**")[0]
    kernels = _by_operator(_rows(table))
    if not kernels:
        raise RequestError(
            f"the list has no rows of ai.onnx under {SECTION!r}; "
            "it must be docs/OperatorKernels.md of ONNX Runtime"
        )
    return KernelList(kernels)


def uses(model: onnx.ModelProto) -> Counter[Use]:
    """Count what the nodes of a model ask for, those in branches and loops too.

    Nodes `Constant` are left out: ONNX Runtime turns them into initializers when it loads.

    Raises:
        ModelError: its types cannot be inferred, or it uses operators that are not ONNX's own.
    """
    try:
        model = inline_local_functions(model)
        model = infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
        opset = {entry.domain: entry.version for entry in model.opset_import}.get("", 1)
        nodes = _nodes(model.graph, {})
        return Counter(_use(n, types, opset) for n, types in nodes if n.op_type != "Constant")
    except (InferenceError, SchemaError) as error:
        raise ModelError(f"the model is not sound: {error}") from error


def _by_operator(
    rows: Iterator[tuple[str, str, dict[str, frozenset[str]]]],
) -> dict[str, tuple[Kernel, ...]]:
    kernels: dict[str, tuple[Kernel, ...]] = {}
    for operator, versions, types in rows:
        kernel = Kernel(*_first_and_last(versions), types)
        kernels[operator] = (*kernels.get(operator, ()), kernel)
    return kernels


def _first_and_last(versions: str) -> tuple[int, int]:
    """Return the versions that "14+", "13" or "[7, 12]" stands for.

    ONNX Runtime takes a kernel without a last version for the first version alone: it cannot know
    what a later one changed.
    """
    match = VERSIONS.fullmatch(versions)
    if not match:
        raise RequestError(f"the list has {versions!r} for versions; expected 14+, 13 or [7, 12]")
    only, _open, first, last = match.groups()
    return int(first or only), int(last or only)


def _rows(table: str) -> Iterator[tuple[str, str, dict[str, frozenset[str]]]]:
    operator = ""
    for line in table.splitlines():
        if not (line.startswith("|") and line.strip("| ")):
            continue
        row = ROW.fullmatch(line)
        if not row:
            raise RequestError(f"the list has a row that cannot be read: {line[:60]!r}")
        operator = row[1] or operator
        variables = CONSTRAINT.findall(re.sub(r"tensor\((\w+)\)", r"\1", row[3]))
        yield operator, row[2], {name: frozenset(types.split(", ")) for name, types in variables}


def _bound(schema: OpSchema, use: Use, name: str) -> str | None:
    """Return the type of the first input or output that a kernel's constraint speaks of.

    Its name is a type variable, or the name of an input or output.
    """
    formals = chain(zip(schema.inputs, use.inputs), zip(schema.outputs, use.outputs))  # noqa: B905
    types = (actual for formal, actual in formals if name in {formal.type_str, formal.name})
    return next(filter(None, types), None)


def _nodes(
    graph: onnx.GraphProto, outer: dict[str, str]
) -> Iterator[tuple[onnx.NodeProto, dict[str, str]]]:
    """Yield every node with the types of the names that it can see."""
    values = chain(graph.input, graph.value_info, graph.output)
    types = outer | {tensor.name: _element(tensor.data_type) for tensor in graph.initializer}
    types |= {value.name: _type(value.type) for value in values}
    for node in graph.node:
        yield node, types
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _nodes(inner, types)


def _use(node: onnx.NodeProto, types: dict[str, str], opset: int) -> Use:
    if node.domain not in {"", "ai.onnx"}:
        raise ModelError(
            f"{node.op_type} is of {node.domain}; only ONNX's own operators can be looked up"
        )
    inputs, outputs = (
        tuple(name and types.get(name, UNKNOWN) for name in names)
        for names in (node.input, node.output)
    )
    version = get_schema(node.op_type, opset).since_version
    return Use(node.op_type, version, inputs, outputs)


def _type(value: onnx.TypeProto) -> str:
    if value.HasField("sequence_type"):
        return f"seq({_type(value.sequence_type.elem_type)})"
    return _element(value.tensor_type.elem_type)


def _element(data_type: int) -> str:
    return onnx.TensorProto.DataType.Name(data_type).lower() if data_type else UNKNOWN


def _read(path: Path) -> onnx.ModelProto:
    content = path.read_bytes()
    try:
        model = onnx.load_from_string(content)
    except Exception as error:  # protobuf's exceptions are untyped
        raise ModelError(f"{path} is not an ONNX model: {error}") from error
    if not model.graph.node:
        raise ModelError(f"{path} is not an ONNX model, or has no nodes")
    return model


@app.command()
def kernels(
    model: Annotated[Path, typer.Argument(help="What tn-export wrote.", metavar="MODEL.onnx")],
    markdown: Annotated[
        Path | None,
        typer.Option("--list", help="Default: the copy inside.", metavar="OperatorKernels.md"),
    ] = None,
) -> None:
    """List the nodes for which ONNX Runtime has no CUDA kernel; exit with 1 if there are any."""
    listed = published(markdown.read_text(encoding="utf-8")) if markdown else bundled()
    counts = uses(_read(model))
    lacks = {use: lack for use in sorted(counts) if (lack := listed.lack(use))}
    for use, lack in lacks.items():
        console.result(f"{counts[use]} x {use}: {lack}")
    without = sum(counts[use] for use in lacks)
    verdict = (
        f"{without} have no CUDA kernel and would run on the CPU"
        if without
        else "all have a CUDA kernel"
    )
    console.result(f"{model}: {counts.total()} nodes of {len(counts)} kinds; {verdict}")
    raise typer.Exit(1 if without else 0)


if __name__ == "__main__":
    console.run(app)
