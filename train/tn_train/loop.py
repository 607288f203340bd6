"""The training loop: steps, evaluations, the way back after a divergence. Any device, any task.

It prints nothing and writes nothing; it tells `report` after every step what happened.
"""

import copy
import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from tn_runtime.errors import CheckpointError, RequestError, TrainingError
from tn_train.checkpoint import Checkpoint, Record
from tn_train.descriptor import fast_arithmetic
from tn_train.generator import Generator
from tn_train.interrupt import Interrupted, deferred
from tn_train.optimizer import Optimizer
from tn_train.refinement import with_fine_level

WARM_UP = 8
"""Steps of warm-up: Adam's first step moves every weight by the full learning rate."""
FLOOR = 0.02
"""Share of the learning rate at which the cosine ends."""
LARGEST_GRADIENT = 1.0
"""Norm of the gradient, at most, in a run of several styles; most gradients are larger, and so all
paintings pull alike."""
DIVERGED = 10.0
"""A loss so many times the best one, the untrained generator's included, is a divergence."""
BACKOFF = 0.25
"""Factor of the learning rate after a divergence."""
MAX_DIVERGENCES = 5


@dataclass(frozen=True)
class Losses:
    """Losses of one training batch, scalars with gradients."""

    layers: dict[str, Tensor]
    """Losses to show; their sum stands for the batch."""
    objective: Tensor
    """The scalar to minimise."""


@dataclass(frozen=True)
class Moment:
    """The position of a step in a run."""

    step: int
    """Steps done before it."""
    progress: float
    """How much of the run is done, 0 to 1."""


@dataclass(frozen=True)
class Evaluation:
    """Figures and pictures of the generator as the exported model runs."""

    loss: float
    layers: dict[str, float]
    pictures: Tensor
    """float32 (N, 3, H, W), RGB in [0, 1], on the CPU."""
    flat: bool
    """The pictures show next to nothing."""
    octave: int = 0
    """How often the exemplar is halved beside them."""


class Task(Protocol):
    """The part of training that differs between kinds of generators."""

    def losses(self, generator: Generator, rng: torch.Generator, moment: Moment) -> Losses:
        """Return the losses of a new batch; all randomness comes from `rng` and the moment."""

    def compile(self, generator: Generator) -> None:
        """Compile what `losses` does; RequestError where that does not work."""

    def evaluate(self, generator: Generator) -> Evaluation:
        """Measure the generator, the same way each time; its BatchNorm statistics may be set."""


@dataclass(frozen=True)
class Event:
    """A finished step."""

    step: int
    loss: float
    """Loss of the training batch; not finite where the step was taken back."""
    seconds: float
    progress: float
    """0 to 1."""
    left: float
    """Seconds, an estimate."""
    evaluation: Evaluation | None
    """Made after this step, if one was."""
    kept: float
    """Loss of the weights that are kept, infinite before the first."""
    divergences: int
    """So far in this run."""


class Run:
    """A training run in motion: everything that changes from step to step."""

    def __init__(self, checkpoint: Checkpoint, device: torch.device) -> None:
        """Begin the run, or go on with it if the checkpoint has steps.

        Raises:
            CheckpointError: its state does not fit its configuration.
        """
        self.origin = checkpoint
        self.device = device
        self.arithmetic = fast_arithmetic(device)
        self.step = checkpoint.steps
        with self._seeded():
            generator = Generator(checkpoint.config)
        if checkpoint.weights and not checkpoint.state:
            generator.load_state_dict(checkpoint.weights)
        self._begin(generator)
        self.rng = torch.Generator().manual_seed(checkpoint.training.seed)
        self.seconds = checkpoint.seconds
        self.history = list(checkpoint.history)
        self.kept_loss = checkpoint.loss
        self.kept = checkpoint.weights if math.isfinite(checkpoint.loss) else {}
        """Weights of the last evaluation. The best of many noisy evaluations is partly luck;
        keeping its weights would lose the gain of the last, small steps."""
        self.kept_config = checkpoint.config
        self.divergences = 0
        if checkpoint.state:
            self._restore(checkpoint.state)

    @contextmanager
    def _seeded(self) -> Iterator[None]:
        """Let weights be drawn from the run's seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.origin.training.seed)
            yield

    def _begin(self, generator: Generator) -> None:
        """Train this generator from here on."""
        training = self.origin.training
        self.generator = generator.to(self.device)
        self.generator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # untyped
        self.averaged = copy.deepcopy(self.generator)
        """The exponential average of the weights over the steps, which is evaluated and kept."""
        self.optimizer = Optimizer(self.generator, training.learning_rate, training.optimizer)
        self.begun = self.step
        """Steps that were done before this generator was trained."""
        self.good = self.snapshot()
        """State at the last evaluation, which a divergence goes back to."""

    def refine(self) -> None:
        """Fix what is trained, as it was evaluated last, and train a fine level on top of it."""
        with self._seeded():
            self._begin(with_fine_level(self.averaged))

    @property
    def octave(self) -> int:
        """How often the exemplar is halved for the present generator."""
        return self.origin.training.octave(self.generator.config.fine)

    @property
    def outgrown(self) -> bool:
        """Whether the run goes on at a finer octave than the present generator's."""
        done = self.origin.training.within(self.octave, self.progress)
        return self.octave > 0 and done >= 1 and self.progress < 1

    @property
    def progress(self) -> float:
        """How much of the budget is spent, 0 to 1."""
        return self.origin.budget.progress(self.step, self.seconds)

    @property
    def evaluations(self) -> int:
        """How many of the run's evaluations are due by now, all evenly spread over the budget."""
        return int(self.progress * self.origin.budget.evaluations)

    @property
    def learning_rate(self) -> float:
        """Rate of the next step: half a cosine, smaller at first and after a divergence.

        Each fine level has a cosine of its own.
        """
        progress = self.origin.training.within(self.octave, self.progress)
        cosine = (1 + math.cos(math.pi * progress)) / 2
        factor = min(1, (self.step - self.begun + 1) / WARM_UP) * BACKOFF**self.divergences
        return self.origin.training.learning_rate * factor * (FLOOR + (1 - FLOOR) * cosine)

    def descend(self, losses: Losses) -> bool:
        """Take a step down; return False, and take none, where loss or gradient is not finite."""
        self.generator.zero_grad()
        total = losses.objective
        total.backward()  # type: ignore[no-untyped-call]
        gradients = [p.grad for p in self.generator.parameters() if p.grad is not None]
        norm = nn.utils.get_total_norm(gradients)
        if not torch.isfinite(total + norm):
            return False
        if self.origin.config.styles > 1:
            # The relative losses of a pale painting are a hundred times those of others.
            nn.utils.clip_grads_with_norm_(self.generator.parameters(), LARGEST_GRADIENT, norm)
        self.optimizer.step(self.learning_rate)
        self._average()
        return True

    @torch.no_grad()
    def _average(self) -> None:
        # Weights change fast in the first steps: the average covers the last tenth of them.
        steps = self.step - self.begun
        decay = min(self.origin.training.averaging, (1 + steps) / (10 + steps))
        pairs = zip(self.averaged.parameters(), self.generator.parameters(), strict=True)
        for averaged, parameter in pairs:
            averaged.lerp_(parameter, 1 - decay)

    def diverged(self, evaluation: Evaluation) -> bool:
        """Tell whether an evaluation is far worse than the best, or not finite."""
        fine = self.generator.config.fine
        best = min(record.loss for record in self.history if record.fine == fine)
        return not (math.isfinite(evaluation.loss) and evaluation.loss <= DIVERGED * best)

    def keep(self, evaluation: Evaluation) -> None:
        """Note an evaluation, the place to go back to; keep its weights, if there is a picture."""
        self.good = self.snapshot()
        config, layers = self.generator.config, evaluation.layers
        self.history.append(Record(self.step, self.seconds, evaluation.loss, layers, config.fine))
        if self.step > self.begun and not evaluation.flat:
            self.kept_loss = evaluation.loss
            self.kept = self.good["averaged"]
            self.kept_config = config

    def snapshot(self) -> dict[str, Any]:
        """Return a copy of weights and optimiser, to go back to."""
        return {
            "generator": _copied(self.generator.state_dict()),
            "averaged": _copied(self.averaged.state_dict()),
            "optimizer": copy.deepcopy(self.optimizer.state_dict()),
        }

    def go_back(self) -> None:
        """Go back to the last good state and make smaller steps from there.

        Raises:
            TrainingError: that has happened too often.
        """
        self.divergences += 1
        if self.divergences > MAX_DIVERGENCES:
            raise TrainingError(
                f"training diverged {self.divergences} times, the last at step {self.step}, each "
                "time with a smaller step: try another --seed, --layers or part of the picture"
            )
        self._load(self.good)

    def checkpoint(self) -> Checkpoint:
        """Return the run as it stands, to save."""
        state = self.snapshot() | {
            "good": self.good,
            "fine": self.generator.config.fine,
            "begun": self.begun,
            "rng": self.rng.get_state(),
            "divergences": self.divergences,
        }
        return dataclasses.replace(
            self.origin,
            arithmetic=self.arithmetic,
            steps=self.step,
            seconds=self.seconds,
            loss=self.kept_loss,
            config=self.kept_config if self.kept else self.generator.config,
            weights=self.kept or state["averaged"],
            state=state,
            history=tuple(self.history),
        )

    def _load(self, snapshot: dict[str, Any]) -> None:
        self.generator.load_state_dict(snapshot["generator"])
        self.averaged.load_state_dict(snapshot["averaged"])
        self.optimizer.load_state_dict(copy.deepcopy(snapshot["optimizer"]))

    def _restore(self, state: dict[str, Any]) -> None:
        try:
            most = self.origin.training.stages[0].octave
            for _ in range(self.generator.config.fine, min(state["fine"], most)):
                self._begin(with_fine_level(self.generator))  # what is kept has fewer
            self.begun = int(state["begun"])
            self._load(state["good"])  # a sound one, or it could not be gone back to
            self.good = self.snapshot()
            self._load(state)
            self.rng.set_state(state["rng"])
            self.divergences = int(state["divergences"])
        except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise CheckpointError(
                f"checkpoint {self.origin.name!r} has no sound state to go on from"
            ) from error


def train(run: Run, task: Task, report: Callable[[Event], None]) -> None:
    """Train until the budget is spent.

    Args:
        run: changed in place. It is whole while `report` runs and after this returned or raised
            Interrupted: `run.checkpoint()` can then be saved, and resumed bit for bit.
        task: makes the batches and the evaluations.
        report: called after every step; it may raise Interrupted, too.

    Raises:
        TrainingError: it diverged too often, or nothing worth keeping was made.
        Interrupted: Ctrl-C was pressed; it takes effect after the step, unless that is the last.
    """
    if not run.history:
        run.keep(task.evaluate(run.averaged))
    start = time.perf_counter() - run.seconds
    with deferred() as interrupted:
        while run.progress < 1:
            moment, evaluations = Moment(run.step, run.progress), run.evaluations
            losses = task.losses(run.generator.train(), run.rng, moment)
            loss = sum(layer.item() for layer in losses.layers.values())
            sound = run.descend(losses)
            run.step += 1
            run.seconds = time.perf_counter() - start

            evaluation = None
            if sound and (run.outgrown or run.evaluations > evaluations):
                evaluation = task.evaluate(run.averaged)
                sound = not run.diverged(evaluation)
                run.seconds = time.perf_counter() - start
            if not sound:
                run.go_back()
            elif evaluation:
                run.keep(evaluation)
                if run.outgrown:
                    run.refine()
                    run.keep(task.evaluate(run.averaged))

            report(_event(run, loss, evaluation if sound else None))
            if interrupted() and run.progress < 1:
                raise Interrupted
    if not run.kept:
        raise TrainingError(_nothing_kept(run))


def choose_device(name: str) -> torch.device:
    """Return the device of that name, as cuda:1; `auto` is the first of cuda, mps, cpu there is.

    Raises:
        RequestError: no such device here.
    """
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return torch.device(next(kind for kind, is_there in there.items() if is_there))
    kind, _, number = name.partition(":")
    if kind == "cuda" and there["cuda"] and number.isdigit():
        count = torch.cuda.device_count()
        if int(number) >= count:
            raise RequestError(f"device {name!r} is not here; there are cuda:0 to cuda:{count - 1}")
    elif not there.get(name):
        names = ", ".join(["auto", *(kind for kind, is_there in there.items() if is_there)])
        raise RequestError(f"device {name!r} is not here; choose from {names}")
    return torch.device(name)


def _nothing_kept(run: Run) -> str:
    if len(run.history) > 1:  # the first is of the untrained generator
        return (
            f"after {run.step} steps the pictures are still flat: "
            "give it more --minutes or --steps, or another --seed"
        )
    return (
        f"{run.step} steps brought nothing to keep (divergences: {run.divergences}): "
        "give it more --minutes or --steps, or another --seed, --layers or part of the picture"
    )


def _event(run: Run, loss: float, evaluation: Evaluation | None) -> Event:
    left = run.seconds * (1 - run.progress) / run.progress
    return Event(
        step=run.step,
        loss=loss,
        seconds=run.seconds,
        progress=run.progress,
        left=left,
        evaluation=evaluation,
        kept=run.kept_loss,
        divergences=run.divergences,
    )


def _copied(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}
