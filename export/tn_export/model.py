"""From a checkpoint to a model file: convert, wrap, prove, describe, write."""

import dataclasses
import os
from pathlib import Path

import onnx
import onnx_ir as ir

from tn_export.convert import core_graph
from tn_export.noise import SCHEME
from tn_export.program import style_program, texture_program
from tn_export.verify import prove
from tn_runtime.files import atomic
from tn_runtime.session import load
from tn_runtime.spec import METADATA_KEY, GeneratorSpec, ModelSpec, Parity, Training
from tn_runtime.version import __version__
from tn_train.checkpoint import Checkpoint
from tn_train.generator import Generator

PROGRAMS = {"texture": texture_program, "style": style_program}


def export(checkpoint: Checkpoint, path: str | os.PathLike[str]) -> ModelSpec:
    """Write a checkpoint's generator as one self-contained ONNX program; return its spec.

    The file gets its name only after parity is proven and the runtime has loaded it.

    Raises:
        ParityError: the graph does not compute what the network computes; no file is written.
        OSError: the file cannot be written.
    """
    with atomic(path) as temporary:
        generator = checkpoint.generator()
        core = core_graph(generator)
        core_bytes = ir.to_proto(core).SerializeToString()
        program = PROGRAMS[generator.config.kind](core, generator)
        parity = prove(generator, core_bytes, ir.to_proto(program).SerializeToString())
        spec = _spec(checkpoint, generator, Path(path).stem, parity)
        program.metadata_props[METADATA_KEY] = spec.to_json()
        program.producer_name, program.producer_version = "texture-networks", __version__
        proto = ir.to_proto(program)
        onnx.checker.check_model(proto, full_check=True)
        temporary.write_bytes(proto.SerializeToString())
        load(temporary, provider="cpu")  # the contract, as the runtime will check it
    return spec


def _spec(checkpoint: Checkpoint, generator: Generator, name: str, parity: Parity) -> ModelSpec:
    config = generator.config
    return ModelSpec(
        kind=config.kind,
        name=name,
        stride=config.stride,
        # A window of a photo is widened to whole strides first.
        halo=generator.halo + (config.stride - 1 if config.kind == "style" else 0),
        normalized_channels=generator.normalized_channels,
        noise=SCHEME,
        generator=GeneratorSpec(
            preset=checkpoint.preset,
            parameters=generator.parameter_count,
            config=dataclasses.asdict(config),
        ),
        exemplar=checkpoint.exemplar,
        training=Training(
            descriptor=checkpoint.descriptor,
            steps=checkpoint.steps,
            seconds=checkpoint.seconds,
            loss=checkpoint.loss,
            config=dataclasses.asdict(checkpoint.training),
        ),
        parity=parity,
        producer=f"texture-networks {__version__}",
    )
