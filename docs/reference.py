"""Write the reference of the Python API, from the docstrings, to build/docs: `make docs`."""

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pdoc

PACKAGES = ("tn_runtime", "tn_train", "tn_export", "tn_bench")
COMMAND_LINES = {"cli", "commands", "options", "console"}
"""Modules that nobody calls from Python."""


def modules(name: str) -> Iterator[str]:
    """Yield the names of a package and of its modules, as far as pdoc does not find them itself."""
    package = importlib.import_module(name)
    yield name
    for public in getattr(package, "__all__", ()):
        setattr(package, public, getattr(package, public))  # pdoc sees only what is imported
    if hasattr(package, "__all__"):  # pdoc leaves out what is not in it
        for module in pkgutil.iter_modules(package.__path__, f"{name}."):
            if module.name.rpartition(".")[2] not in COMMAND_LINES:
                yield module.name


pdoc.render.configure(docformat="google")
names = [module for package in PACKAGES for module in modules(package)]
pdoc.pdoc(*names, output_directory=Path("build/docs"))
