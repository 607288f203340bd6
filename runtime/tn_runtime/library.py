"""The user's own folder of models: a file NAME.onnx in it is named as NAME, without a path."""

import os
from pathlib import Path

import platformdirs

from tn_runtime.errors import RequestError

VARIABLE = "TEXTURE_NETWORKS_MODELS"
"""The environment variable that names another folder."""


def folder() -> Path:
    """Return the folder, which need not exist: of the environment variable, else the platform's.

    Raises:
        RequestError: the variable holds a relative path, which would change with the working
            directory.
    """
    chosen = os.environ.get(VARIABLE)
    if not chosen:
        return platformdirs.user_data_path("texture-networks", appauthor=False) / "models"
    path = Path(chosen).expanduser()
    if not path.is_absolute():
        raise RequestError(f"{VARIABLE} is {chosen!r}, a relative path; give an absolute one")
    return path


def own() -> dict[str, Path]:
    """Return the models in the user's folder, by name; none where the folder cannot be read."""
    paths = sorted(folder().glob("*.onnx"))
    return {path.stem: path for path in paths if not path.name.startswith(".")}
