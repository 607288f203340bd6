"""A base that new styles can start from: one network that has learned many paintings.

Its paintings share all kernels, and each has norms of its own (Dumoulin et al. 2017). A new
painting begins with the kernels and the mean of the norms, and trains everything.
"""

import dataclasses

import torch
from torch import Tensor

from tn_runtime.errors import CheckpointError
from tn_runtime.spec import Exemplar
from tn_train.checkpoint import Checkpoint
from tn_train.config import GeneratorConfig


def starting_weights(
    base: Checkpoint, config: GeneratorConfig, exemplars: tuple[Exemplar, ...]
) -> dict[str, Tensor]:
    """Return the weights that a run begins with.

    A painting that the base knows begins with its own norms, any other with the mean of all.

    Args:
        base: a checkpoint of one or more styles.
        config: of the generator to train, with as many styles as there are exemplars.
        exemplars: its paintings.

    Raises:
        CheckpointError: the base has made nothing yet, or its network is another.
    """
    if dataclasses.replace(base.config, styles=config.styles) != config:
        raise CheckpointError(
            f"checkpoint {base.name!r} has another network than the preset: "
            "start from another checkpoint, or leave out --from"
        )
    known = {exemplar.sha256: number for number, exemplar in enumerate(base.exemplars)}
    rows = [known.get(exemplar.sha256) for exemplar in exemplars]
    weights = base.generator().state_dict()
    return {
        name: _of_norm(value, rows) if value.ndim == 2 else value  # only norms have two dimensions
        for name, value in weights.items()
    }


def _of_norm(values: Tensor, rows: list[int | None]) -> Tensor:
    """Return weights or biases of a norm, (S, C), of those of the base."""
    mean = values.mean(0)
    return torch.stack([mean if row is None else values[row] for row in rows])


def finished(checkpoint: Checkpoint) -> Checkpoint:
    """Return a base to ship: without what only a run that goes on needs, in half precision."""
    weights = {name: weight.half() for name, weight in checkpoint.weights.items()}
    return dataclasses.replace(checkpoint, weights=weights, state={})
