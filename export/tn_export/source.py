"""A trained network and the program that it is, out of a checkpoint or of a model file."""

import os
from dataclasses import dataclass
from pathlib import Path

import onnx
import torch
from onnx import numpy_helper

from tn_export.graph import serialized
from tn_export.optimize import folded
from tn_export.program import PROGRAMS
from tn_runtime import session
from tn_runtime.errors import ModelError
from tn_runtime.schema import build
from tn_runtime.session import Model
from tn_runtime.spec import Exemplar
from tn_train import checkpoint as checkpoints
from tn_train.config import GeneratorConfig
from tn_train.generator import Generator


@dataclass(frozen=True)
class Source:
    """What a core is written from."""

    name: str
    exemplars: tuple[Exemplar, ...]
    generator: Generator
    """In evaluation mode."""
    program: bytes
    """The serialized program, which makes the same pictures."""


def read_source(path: str | os.PathLike[str]) -> Source:
    """Read a checkpoint, NAME.pt, or else a model file, or a model by its name.

    Raises:
        CheckpointError: not a checkpoint, or not a sound one.
        ModelError: not a model, or not a sound one.
    """
    if Path(path).suffix == ".pt":
        checkpoint = checkpoints.load(path)
        generator = checkpoint.generator()
        program = serialized(PROGRAMS[generator.config.kind](generator))
        return Source(checkpoint.name, checkpoint.exemplars, generator, program)
    model = session.load(path, "cpu")
    return Source(model.spec.name, model.spec.exemplars, generator_of(model), model.data)


def generator_of(model: Model) -> Generator:
    """Return the generator of a model file; its BatchNorms were folded away by the exporter.

    Raises:
        ModelError: the file does not hold the weights of the network that its metadata describe.
    """
    graph = onnx.load_from_string(model.data).graph
    arrays = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    try:
        generator = folded(Generator(build(GeneratorConfig, model.spec.generator.config)))
        for name, parameter in generator.named_parameters():
            array = arrays[name]
            if array.ndim == 4:  # the exporter pads some convolutions with input channels
                array = array[:, : parameter.shape[1]]
            if array.ndim == 2:  # of a norm, several styles
                array = array.T
            parameter.copy_(torch.tensor(array).view(parameter.shape))
    except (ValueError, KeyError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise ModelError(
            f"{model.path} does not hold the network that its metadata describe ({reason}); "
            "export it again from its checkpoint"
        ) from error
    return generator
