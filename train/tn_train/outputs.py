"""The files of a run: NAME.pt, NAME.preview.png and NAME.loss.png."""

import time
from pathlib import Path

from torch import Tensor

from tn_train import checkpoint as checkpoints
from tn_train.loop import Event, Run

EVERY = 10.0
"""Seconds between two savings on the way."""


class Outputs:
    """Keeps the files of a run up to date."""

    def __init__(self, run: Run, exemplar: Tensor, checkpoint: Path) -> None:
        """Keep what is shown: the exemplar, float32 (1, 3, H, W), RGB in [0, 1]."""
        self.run = run
        self.exemplar = exemplar
        self.checkpoint = checkpoint
        self.preview = checkpoint.with_suffix(".preview.png")
        self.curve = checkpoint.with_suffix(".loss.png")
        self.samples: Tensor | None = None
        self.next = 0.0

    def update(self, event: Event) -> None:
        """Note the samples of the best weights; save, if the last time is long ago."""
        if event.evaluation is None:
            return
        if event.evaluation.loss == event.best:
            self.samples = event.evaluation.pictures
        if time.monotonic() >= self.next:
            self.save()
            self.next = time.monotonic() + EVERY

    def save(self) -> None:
        """Write the checkpoint and the preview."""
        checkpoints.save(self.run.checkpoint(), self.checkpoint)
        if self.samples is not None:
            from tn_train.plot import write_preview  # noqa: PLC0415 - matplotlib can wait

            write_preview(self.preview, self.exemplar, self.samples)

    def finish(self) -> list[Path]:
        """Write everything a last time, and the curve; return the files that there are."""
        from tn_train.plot import write_curve  # noqa: PLC0415

        self.save()
        write_curve(self.curve, self.run.history, self.checkpoint.stem)
        return [path for path in (self.checkpoint, self.preview, self.curve) if path.exists()]
