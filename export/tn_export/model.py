"""From a checkpoint to a model file: write the graph, wrap, prove, describe, write."""

import dataclasses
import os
from pathlib import Path

import onnx

from tn_export.core import core_model
from tn_export.graph import serialized
from tn_export.noise import SCHEME
from tn_export.program import PROGRAMS
from tn_export.verify import Report, prove, quiet, self_test
from tn_runtime.files import atomic
from tn_runtime.folding import offsets
from tn_runtime.session import load
from tn_runtime.spec import FORMAT, METADATA_KEY, GeneratorSpec, ModelSpec, Parity, Training
from tn_runtime.version import __version__
from tn_train import checkpoint as checkpoints
from tn_train.checkpoint import Checkpoint
from tn_train.generator import Generator
from tn_train.waves import wave_vectors


def export(
    checkpoint: Checkpoint | str | os.PathLike[str],
    path: str | os.PathLike[str],
    report: Report = quiet,
) -> ModelSpec:
    """Write a checkpoint's generator as one self-contained ONNX program; return its spec.

    The file gets its name only after parity is proven and the runtime has loaded it.

    Args:
        checkpoint: what tn-train wrote, or the path of it.
        path: of the model file, NAME.onnx.
        report: takes the number of windows that are proven, and of all.

    Raises:
        CheckpointError: not a checkpoint, or not a sound one.
        ParityError: the graph does not compute what the network computes; no file is written.
        OSError: the file cannot be written.
    """
    if not isinstance(checkpoint, Checkpoint):
        checkpoint = checkpoints.load(checkpoint)
    with atomic(path) as temporary:
        generator = checkpoint.generator()
        program = PROGRAMS[generator.config.kind](generator)
        program.producer_name, program.producer_version = "texture-networks", __version__
        data = serialized(program)
        parity = prove(generator, serialized(core_model(generator)), data, report)
        spec = _spec(checkpoint, generator, Path(path).stem, parity, data)
        # Protobuf writes the metadata last: what lies before them stays where it is.
        program.metadata_props[METADATA_KEY] = spec.to_json()
        temporary.write_bytes(serialized(program))
        onnx.checker.check_model(temporary, full_check=True)
        load(temporary, provider="cpu")  # the contract, as the runtime will check it
    return spec


def _spec(
    checkpoint: Checkpoint, generator: Generator, name: str, parity: Parity, program: bytes
) -> ModelSpec:
    config = generator.config
    places = offsets(program, generator.normalized_channels, config.styles)
    return ModelSpec(
        kind=config.kind,
        name=name,
        stride=config.stride,
        # A window of a photo is widened to whole strides first.
        halo=generator.halo + (config.stride - 1 if config.kind == "style" else 0),
        normalized_channels=generator.normalized_channels,
        noise=SCHEME if config.noise_channels else "",
        waves=wave_vectors(config),
        generator=GeneratorSpec(
            preset=checkpoint.preset,
            parameters=generator.parameter_count,
            config=dataclasses.asdict(config),
        ),
        exemplars=checkpoint.exemplars,
        training=Training(
            descriptor=checkpoint.descriptor,
            steps=checkpoint.steps,
            seconds=checkpoint.seconds,
            loss=checkpoint.loss,
            config=dataclasses.asdict(checkpoint.training),
            started_from=checkpoint.started_from,
        ),
        parity=parity,
        self_test=self_test(generator, program),
        producer=f"texture-networks {__version__}",
        format=FORMAT,
        **places._asdict(),
    )
