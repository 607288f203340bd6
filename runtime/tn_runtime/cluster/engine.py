"""Ray: an address or this machine, and the same work on many items."""

import contextlib
import logging
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would report its use
os.environ.setdefault(
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0"
)  # its coming default; else a warning

import ray
from ray.data import ActorPoolStrategy, DataContext

from tn_runtime.errors import RequestError

Item = dict[str, Any]

REACH_SECONDS = 10.0

BLOCKS = 16
"""Blocks of items for each worker: what a lost one had is done again."""


@dataclass(frozen=True)
class Workers:
    """The processes that a cluster has room for, and what each takes."""

    count: int
    gpus: int
    """Of each: 1 where the cluster has GPUs, and then all work is done there."""


@contextlib.contextmanager
def cluster(address: str) -> Iterator[Workers]:
    """Connect to a cluster, or start one on this machine (`auto`), until the body ends.

    `auto` takes a cluster that this machine is part of, if there is one.

    Raises:
        RequestError: there is none at that address.
    """
    quiet: dict[str, Any] = {
        "log_to_driver": False,
        "logging_level": logging.ERROR,
        "configure_logging": True,
    }
    known = os.environ.get("RAY_ADDRESS") if address == "auto" else address
    try:
        if known:
            _reach(known)
        if known:
            ray.init(address=known, **quiet)
        else:
            ray.init(include_dashboard=False, **quiet)
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise RequestError(
            f"there is no Ray cluster at {address} ({reason}); start one with ray start --head, or "
            "give --ray auto for this machine"
        ) from error
    try:
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        gpus = int(resources.get("GPU", 0))
        yield Workers(gpus or max(1, int(resources.get("CPU", 1))), min(gpus, 1))
    finally:
        ray.shutdown()


def each(
    items: Sequence[Item],
    workers: Workers,
    stage: Callable[..., Callable[[Item], Item]],
    arguments: Sequence[Any],
    before: Callable[[Item], Item] | None = None,
    after: Callable[[Item], Item] | None = None,
) -> Iterator[Item]:
    """Do the same work on all items; yield what comes of each as it is done, in any order.

    A Ray Data pipeline: `before` and `after` run in tasks, `stage` in processes that are started
    once and hold what they loaded. What a lost node had is done again elsewhere.

    Args:
        items: small facts; they travel to where they are worked on.
        workers: of the cluster.
        stage: a class; one object is made in each process.
        arguments: of its constructor.
        before: what needs no such object, as reading.
        after: the same for writing.
    """
    if not items:
        return
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.log_internal_stack_trace_to_stdout = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    blocks = min(len(items), BLOCKS * workers.count)
    data: Any = ray.data.from_items(list(items), override_num_blocks=blocks)
    if before:
        data = data.map(before, num_cpus=0.25)
    # References keep the arguments with the driver, whatever happens to the other nodes.
    held = [ray.put(argument) for argument in arguments]
    data = data.map(
        _Process,
        fn_constructor_args=(stage, held),
        compute=ActorPoolStrategy(min_size=1, max_size=workers.count),
        num_cpus=0.5,
        num_gpus=workers.gpus or None,
    )
    if after:
        data = data.map(after, num_cpus=0.25)
    yield from data.iter_rows()


def _reach(address: str) -> None:
    """Raise OSError or ValueError where nobody answers: Ray would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    with socket.create_connection((host.strip("[]"), int(port)), timeout=REACH_SECONDS):
        pass


class _Process:
    def __init__(self, stage: Callable[..., Callable[[Item], Item]], held: list[Any]) -> None:
        self.stage = stage(*ray.get(held))

    def __call__(self, item: Item) -> Item:
        return self.stage(item)
