"""A whole training, from what is asked for to its files: the commands and Python call this."""

import functools
import os
import weakref
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tn_runtime.errors import RequestError, WorkerError
from tn_runtime.schema import build
from tn_runtime.spec import Exemplar
from tn_train.base import finished
from tn_train.checkpoint import Checkpoint, save
from tn_train.config import Kind, Stage, budget
from tn_train.crops import batches
from tn_train.data import has_transparency
from tn_train.interrupt import Interrupted
from tn_train.light import UNEVEN, unevenness
from tn_train.loop import Event, Run, Task, choose_device, train
from tn_train.outputs import Outputs
from tn_train.photos import Photos, held_out
from tn_train.plan import Options, load_descriptor, plan
from tn_train.style import StyleTask, shown
from tn_train.texture import TextureTask

FEW_STEPS = 50
"""After fewer steps than this a picture is hardly more than noise."""
MOST_NOTED = 10
"""Lines about photos that are left out; a folder of other things may have thousands."""

Report = Callable[[Event], None]
"""Is told about every step."""
Note = Callable[[str], None]
"""Takes one line about what is ignored or left out."""
PathLike = str | os.PathLike[str]


def nothing(_: object) -> None:
    """Report nothing."""


def train_texture(
    exemplar: PathLike,
    output: PathLike,
    *,
    minutes: float | None = None,
    steps: int | None = None,
    device: str = "auto",
    report: Report = nothing,
    note: Note = nothing,
    **options: Any,  # noqa: ANN401 - fields of Options
) -> Checkpoint:
    """Train a texture generator from one picture, as `tn-train texture` does.

    Args:
        exemplar: the picture to learn from.
        output: the checkpoint to write, NAME.pt; a preview and a plot of the loss lie beside it.
        minutes: how long to train; 10 without `steps`.
        steps: how many steps to train, in place of minutes.
        device: "auto", "cpu", "cuda" or "mps".
        report: is told about every step; an exception from it ends the run.
        note: takes one line about what is ignored, such as transparency.
        options: other fields of `tn_train.plan.Options`: preset, size, crop, seed, credit ...

    Returns:
        The checkpoint, as it was written.

    Raises:
        TextureNetworksError: it cannot be done as asked for, or training diverged.
        OSError: a file cannot be written.
    """
    return _trained("texture", (exemplar,), output, minutes, steps, device, report, note, options)


def train_style(
    paintings: PathLike | Sequence[PathLike],
    output: PathLike,
    *,
    minutes: float | None = None,
    steps: int | None = None,
    device: str = "auto",
    report: Report = nothing,
    note: Note = nothing,
    **options: Any,  # noqa: ANN401 - fields of Options
) -> Checkpoint:
    """Train a generator that stylises photos, as `tn-train style` does.

    Args:
        paintings: the picture whose style to learn; of several, each style.
        output: the checkpoint to write, NAME.pt; a preview and a plot of the loss lie beside it.
        minutes: how long to train; 10 without `steps`.
        steps: how many steps to train, in place of minutes.
        device: "auto", "cpu", "cuda" or "mps".
        report: is told about every step; an exception from it ends the run.
        note: takes one line about what is ignored, such as a photo that cannot be read.
        options: other fields of `tn_train.plan.Options`: content, preset, size, seed ...

    Returns:
        The checkpoint, as it was written.

    Raises:
        TextureNetworksError: it cannot be done as asked for, or training diverged.
        OSError: a file cannot be written.
    """
    several = (paintings,) if isinstance(paintings, str | os.PathLike) else tuple(paintings)
    return _trained("style", several, output, minutes, steps, device, report, note, options)


def _trained(
    kind: Kind,
    exemplars: tuple[PathLike, ...],
    output: PathLike,
    minutes: float | None,
    steps: int | None,
    device: str,
    report: Report,
    note: Note,
    options: dict[str, Any],
) -> Checkpoint:
    asked = Options(
        exemplars=tuple(map(Path, exemplars)),
        output=Path(output),
        kind=kind,
        budget=budget(steps, minutes),
        **options,
    )
    try:
        sound = build(Options, vars(asked))
    except ValueError as error:
        raise RequestError(f"{error}: see tn_train.plan.Options for what it can be") from error
    training = Training(sound, device, note)
    training.train(report)
    return training.run.checkpoint()


class Training:
    """A training that can begin: all that is asked for was checked."""

    def __init__(self, options: Options, device: str, note: Note) -> None:
        """Read the pictures, and what is to be gone on with.

        Raises:
            TextureNetworksError: it cannot be done as asked for.
        """
        self.options, self.note = options, note
        self.plan = plan(options)
        checkpoint, pixels = self.plan.checkpoint, self.plan.pixels
        for exemplar in options.exemplars:
            if has_transparency(exemplar, checkpoint.crop):
                note(
                    f"{exemplar} has transparent pixels: alpha is ignored, "
                    "and the colours under it are learned like all others"
                )
        if self.plan.photos:
            _note_skipped(self.plan.photos, note)
        elif (ratio := unevenness(pixels[0])) >= UNEVEN and not checkpoint.steps:
            note(
                f"the light on {options.exemplars[0]} changes by a factor of {ratio:.1f} from side "
                "to side, and will show as blotches: --even-light divides it out"
            )
        self.device = choose_device(device)
        self.run = Run(checkpoint, self.device)
        self.outputs = Outputs(self.run, [pixels[k] for k in shown(len(pixels))], options.output)
        self.outputs.check(options.exemplars)

    def train(self, report: Report, *, compile_: bool = False) -> list[Path]:
        """Train to the end, and keep the files up to date; return their names.

        Args:
            report: is told about every step.
            compile_: make the steps faster by torch.compile, after minutes of compilation.

        Raises:
            TextureNetworksError: training diverged, or memory does not suffice.
            Interrupted: Ctrl-C was pressed; what is done is saved.
            WorkerError: a process that prepares photos is gone; what is done is saved.
        """

        def keep(event: Event) -> None:
            report(event)
            self.outputs.update(event)

        with _enough_memory(self.plan.checkpoint.exemplars[0]), ExitStack() as workers:
            task = self._task(workers)
            if compile_:
                task.compile(self.run.generator)
            try:
                train(self.run, task, keep)
            except (Interrupted, WorkerError):
                self.outputs.save()
                raise
        budget = self.plan.checkpoint.budget
        if self.run.step < FEW_STEPS and budget.steps is None:
            self.note(
                f"{budget.minutes:g} minutes were enough for {self.run.step} steps, and pictures "
                f"show little after fewer than {FEW_STEPS}: go on with more --minutes (--resume)"
            )
        files = self.outputs.finish()
        if self.options.collection:
            save(finished(self.run.checkpoint()), self.options.output)
        return files

    def _task(self, workers: ExitStack) -> Task:
        """Return what is trained, on its device; processes that it starts end with the stack."""
        training = self.plan.checkpoint.training
        descriptor = load_descriptor(self.plan.checkpoint, self.options.vgg19).to(self.device)
        pixels, photos = [each.to(self.device) for each in self.plan.pixels], self.plan.photos
        if photos is None:
            return TextureTask(descriptor, pixels[0], training)
        note = functools.cache(self.note)  # a damaged photo is met by several processes

        def crops(stage: Stage, numbers: Iterable[int]) -> Iterator[Tensor]:
            stream = batches(
                photos,
                seed=training.seed,
                numbers=numbers,
                sample=stage.sample,
                batch=stage.batch,
                report=note,
            )
            # Its processes end when the task takes another stream and drops this one, or at the
            # end.
            workers.callback(_close, weakref.ref(stream))
            return stream

        held = held_out(photos, max(stage.sample for stage in training.stages), note)
        return StyleTask(descriptor, pixels, crops, held, training)


def _close(stream: weakref.ref[Generator[Tensor, None, None]]) -> None:
    if (generator := stream()) is not None:
        generator.close()


def _note_skipped(photos: Photos, note: Note) -> None:
    for reason in photos.skipped[:MOST_NOTED]:
        note(f"left out: {reason}")
    if len(photos.skipped) > MOST_NOTED:
        note(f"left out: {len(photos.skipped) - MOST_NOTED} more")


@contextmanager
def _enough_memory(exemplar: Exemplar) -> Iterator[None]:
    """Turn torch's ways to say that memory is out into one line."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        known = isinstance(error, MemoryError | torch.OutOfMemoryError)
        # The first are torch's words on the CPU, the second MPS's.
        if not known and not any(x in str(error) for x in ("can't allocate", "out of memory")):
            raise
        raise RequestError(
            f"{exemplar.name} is {exemplar.width}x{exemplar.height} in training, "
            "which needs more memory than there is: let it be smaller, or --crop"
        ) from error
