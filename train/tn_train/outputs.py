"""The files of a run: NAME.pt, NAME.preview.png and NAME.loss.png."""

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from torch import Tensor

from tn_runtime.console import note
from tn_runtime.errors import PictureError, RequestError
from tn_runtime.files import check_inputs_stay, check_name
from tn_runtime.pictures import read
from tn_train import checkpoint as checkpoints
from tn_train.loop import Evaluation, Event, Run
from tn_train.preview import SOFTWARE, write_preview
from tn_train.refinement import halved

# On import it logs to stderr if it cannot write below the home folder.
logging.getLogger("matplotlib").addHandler(logging.NullHandler())

EVERY = 10.0
"""Seconds between two savings on the way."""


class Outputs:
    """Keeps the files of a run up to date."""

    def __init__(self, run: Run, exemplars: Sequence[Tensor], checkpoint: Path) -> None:
        """Keep what is shown: exemplars, each float32 (1, 3, H, W), RGB in [0, 1]."""
        self.run = run
        self.exemplars = exemplars
        self.checkpoint = checkpoint
        self.preview = checkpoint.with_suffix(".preview.png")
        self.curve = checkpoint.with_suffix(".loss.png")
        self.evaluation: Evaluation | None = None
        """The last that shows anything."""
        self.next = 0.0
        self.troubled: set[Path] = set()

    def check(self, exemplars: Sequence[Path]) -> None:
        """Refuse, before the first step, names that are too long and pictures that are not ours.

        Raises:
            RequestError: one of these.
        """
        for path in (self.checkpoint, self.preview, self.curve):
            check_name(path)
            check_inputs_stay(path, *exemplars)
        for path in (self.preview, self.curve):
            if path.is_file() and not _is_ours(path):
                raise RequestError(
                    f"{path} is there, tn-train did not make it, and would replace it; "
                    "move it away, or give another --output"
                )

    def update(self, event: Event) -> None:
        """Note the samples of the weights that are kept; save, if the last time is long ago.

        A failed write does not stop the run: a viewer may hold the file, or the disk may be full
        for a while. One line says so, once.
        """
        if event.evaluation is None:
            return
        if not event.evaluation.flat:
            self.evaluation = event.evaluation
        if time.monotonic() >= self.next:
            self._try(self._save_checkpoint, self.checkpoint, "training goes on")
            self._try(self._save_preview, self.preview, "training goes on")
            self.next = time.monotonic() + EVERY

    def save(self) -> None:
        """Write the checkpoint, and the preview if it can be written.

        Raises:
            OSError: the checkpoint cannot be written.
        """
        self._save_checkpoint()
        self._try(self._save_preview, self.preview, "the checkpoint is saved")

    def finish(self) -> list[Path]:
        """Write everything a last time, and the curve; return the files that there are.

        Raises:
            OSError: the checkpoint cannot be written.
        """
        self.save()
        self._try(self._save_curve, self.curve, "the checkpoint is saved")
        return [path for path in (self.checkpoint, self.preview, self.curve) if path.exists()]

    def _save_checkpoint(self) -> None:
        checkpoints.save(self.run.checkpoint(), self.checkpoint)

    def _save_preview(self) -> None:
        if self.evaluation is not None:
            octave = self.evaluation.octave
            shown = [halved(exemplar, octave) for exemplar in self.exemplars]
            write_preview(self.preview, shown, self.evaluation.pictures)

    def _save_curve(self) -> None:
        from tn_train.plot import write_curve  # noqa: PLC0415 - matplotlib can wait

        write_curve(self.curve, self.run.history)

    def _try(self, write: Callable[[], None], path: Path, meanwhile: str) -> None:
        """Write a file; say in one line, once for each, that it cannot be written."""
        try:
            write()
        except Exception as error:  # a plotting library raises errors of every kind
            if path not in self.troubled:
                reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
                words = reason if str(path) in reason else f"{path}: {reason}"
                note(f"{' '.join(words.split())}; {meanwhile}")
            self.troubled.add(path)


def _is_ours(path: Path) -> bool:
    try:
        return read(path).about.texts.get("Software", "").startswith(SOFTWARE)
    except PictureError:
        return False
