"""Real processes: `tn-train` with this checkout's floors and nothing else."""

import os
import subprocess
import sys
from pathlib import Path

import tn_runtime
import tn_train

ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(
        str(Path(floor.__file__).parents[1]) for floor in (tn_runtime, tn_train)
    ),
    "COLUMNS": "200",
    "OMP_NUM_THREADS": "1",
}

TN_TRAIN = "import sys; sys.argv[0] = 'tn-train'; from tn_train.cli import main; main()"


def python(script, *arguments, environment=None):
    """Run a script and wait for it."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", script, *map(str, arguments)],
        env={**ENVIRONMENT, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def run_tn_train(*arguments):
    """Run the command line and wait for it."""
    return python(TN_TRAIN, *arguments)


def start_tn_train(*arguments):
    """Start the command line and leave it running."""
    return subprocess.Popen(
        [sys.executable, "-c", TN_TRAIN, *map(str, arguments)],
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        text=True,
    )
