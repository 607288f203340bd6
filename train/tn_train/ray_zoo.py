"""The models of a list on many machines: each is a task of Ray's, on one device."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from tn_runtime.cluster.engine import Workers
from tn_runtime.errors import TextureNetworksError
from tn_train.training import Training
from tn_train.zoo import Recipe

CORES = 2
"""Cores of a training. One network gains little from more, and nothing from more machines: its step
is short, and its batch is one picture (docs/cluster.md)."""


@dataclass(frozen=True)
class Trained:
    """What became of a recipe."""

    recipe: Recipe
    steps: int = 0
    loss: float = 0.0
    error: str = ""


def train_all(
    recipes: Sequence[Recipe], folder: Path, device: str, workers: Workers
) -> Iterator[Trained]:
    """Train models at the same time; yield each as it is done, in any order.

    A task whose machine is lost is started again elsewhere, and goes on from its checkpoint.

    Args:
        recipes: of the models.
        folder: of the checkpoints, which all machines see under this name.
        device: as of `tn-train`.
        workers: of the cluster.
    """
    cores = min(CORES, workers.count) if not workers.gpus else 1
    task: Any = ray.remote(num_cpus=cores, num_gpus=workers.gpus, max_retries=-1)(_train)
    waiting = [task.remote(recipe, folder, device) for recipe in recipes]
    while waiting:
        [done], waiting = ray.wait(waiting)
        yield ray.get(done)


def _train(recipe: Recipe, folder: Path, device: str) -> Trained:
    import torch  # noqa: PLC0415 - in the task's own process

    torch.set_num_threads(CORES)
    try:
        if recipe.finished(folder):  # by this task, before its machine was lost
            return Trained(recipe)
        training = Training(recipe.options(folder), device, lambda _: None)
        training.train(lambda _: None)
    except TextureNetworksError as error:
        return Trained(recipe, error=str(error))
    return Trained(recipe, training.run.step, training.run.kept_loss)
