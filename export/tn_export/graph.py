"""The common parts of all graphs: their opset, and a tidy finish."""

import onnx_ir as ir
from onnx_ir.passes import Sequential
from onnx_ir.passes.common import (
    ClearMetadataAndDocStringPass,
    CommonSubexpressionEliminationPass,
    NameFixPass,
    RemoveUnusedNodesPass,
)
from onnxscript import GraphBuilder

OPSET = 18
"""With 19 and 20, older CUDA providers send Resize to the CPU: they have its kernel up to 18."""

IR_VERSION = 8
"""The one that came with opset 18. A newer one would shut out older runtimes for nothing."""


def new_builder(name: str) -> GraphBuilder:
    """Return the builder of an empty graph."""
    return GraphBuilder(ir.Graph([], [], nodes=[], opset_imports={"": OPSET}, name=name))


def finished(builder: GraphBuilder) -> ir.Model:
    """Return the model of a graph that has all its nodes, without what it does not need."""
    tidy = Sequential(
        CommonSubexpressionEliminationPass(),
        RemoveUnusedNodesPass(),
        NameFixPass(),
        ClearMetadataAndDocStringPass(),
    )
    model = tidy(ir.Model(builder.graph, ir_version=IR_VERSION)).model
    # ONNX Runtime infers the types and shapes in between; written out they are 10% of the file.
    for node in model.graph.all_nodes():
        for value in node.outputs:
            if not value.is_graph_output():
                value.type = value.shape = None
    return model


def serialized(model: ir.Model) -> bytes:
    """Return a model as the bytes of a file."""
    data: bytes = ir.to_proto(model).SerializeToString()
    return data
