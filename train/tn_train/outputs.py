"""The files of a run: NAME.pt, NAME.preview.png and NAME.loss.png."""

import time
from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from tn_runtime.console import note
from tn_runtime.errors import PictureError
from tn_train import checkpoint as checkpoints
from tn_train.loop import Event, Run
from tn_train.preview import write_preview

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
        self.troubled = False

    def update(self, event: Event) -> None:
        """Note the samples of the weights that are kept; save, if the last time is long ago.

        What cannot be written is no reason to stop: a viewer may hold the file, or the disk be full
        for a while. It is said once.
        """
        if event.evaluation is None:
            return
        if not event.evaluation.flat:
            self.samples = event.evaluation.pictures
        if time.monotonic() >= self.next:
            self._try(self._save_checkpoint, self.checkpoint)
            self._try(self._save_preview, self.preview)
            self.next = time.monotonic() + EVERY

    def save(self) -> None:
        """Write the checkpoint and the preview.

        Raises:
            OSError, PictureError: they cannot be written.
        """
        self._save_checkpoint()
        self._save_preview()

    def finish(self) -> list[Path]:
        """Write everything a last time, and the curve; return the files that there are.

        Raises:
            OSError, PictureError: they cannot be written.
        """
        from tn_train.plot import write_curve  # noqa: PLC0415 - matplotlib can wait

        self.save()
        write_curve(self.curve, self.run.history, self.checkpoint.stem)
        return [path for path in (self.checkpoint, self.preview, self.curve) if path.exists()]

    def _save_checkpoint(self) -> None:
        checkpoints.save(self.run.checkpoint(), self.checkpoint)

    def _save_preview(self) -> None:
        if self.samples is not None:
            write_preview(self.preview, self.exemplar, self.samples)

    def _try(self, write: Callable[[], None], path: Path) -> None:
        try:
            write()
        except (OSError, PictureError) as error:
            if not self.troubled:
                reason = getattr(error, "strerror", None)
                what = f"{path}: {reason}" if reason else str(error)
                note(f"{what}; training goes on, and writes it again later")
            self.troubled = True
