"""Every error that a user can cause, as one tree.

    TextureNetworksError            exit code 2: the user can mend it
    ├── PictureError                a picture cannot be read, or cannot be written as asked
    ├── ModelError                  not a model file of this project, or not a sound one
    ├── CheckpointError             not a checkpoint of tn-train, or not a fitting one
    ├── ProviderError               the execution provider asked for cannot run here
    ├── RequestError                sizes, seeds, periods or options that cannot be served
    ├── TrainingError               training diverged and could not be brought back
    ├── WorkerError                 a process that prepares photos is gone
    └── ParityError                 exit code 1: a proof failed

Libraries raise, only the command line (`console.py`) prints and exits. Each message is one line
that carries the value, the rule it broke and the way out.
"""


class TextureNetworksError(Exception):
    """Base of all errors that a user can cause."""

    exit_code = 2


class PictureError(TextureNetworksError):
    """A picture cannot be read, or cannot be written as asked."""


class ModelError(TextureNetworksError):
    """A file is not a model of this project, or not a sound one."""


class CheckpointError(TextureNetworksError):
    """A file is not a checkpoint of tn-train, or does not fit what was asked."""


class ProviderError(TextureNetworksError):
    """The execution provider that was asked for cannot run here."""


class RequestError(TextureNetworksError):
    """A size, seed, period or option that cannot be served."""


class TrainingError(TextureNetworksError):
    """Training diverged and could not be brought back."""


class WorkerError(TextureNetworksError):
    """A process that prepares photos for training was killed, or cannot start."""


class ParityError(TextureNetworksError):
    """An exported graph does not compute what the network computes."""

    exit_code = 1
