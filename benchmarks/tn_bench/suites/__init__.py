"""The suites: each is one file with its cases, and with words about how it measures."""

import importlib
from types import ModuleType

NAMES = ("gatys", "latency", "scaling", "quality", "training", "parity")
"""In the order in which they run: `quality` shows the pictures that `gatys` leaves."""


def suite(name: str) -> ModuleType:
    """Return a suite, a module with `TITLE`, `HOW` and `cases`."""
    return importlib.import_module(f"tn_bench.suites.{name}")
