"""Real processes: the interpreter and tn-run, with this checkout's runtime and nothing else."""

import os
import subprocess
import sys
from pathlib import Path

import tn_runtime

ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(Path(tn_runtime.__file__).parents[1]),
    "COLUMNS": "200",
}

PEAK = """
import pathlib
def peak():
    # ru_maxrss is no use: it begins with what the parent held.
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
"""
"""Defines the most memory that a process has held so far, in kB; on Linux."""

CLOSED = ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"]
"""Redirections of a shell that close streams."""

TN_RUN = "import sys; sys.argv[0] = 'tn-run'; from tn_runtime.cli import main; main()"


def python(script, *arguments, **options):
    """Run a script; stdout and stderr are captured as text unless told otherwise."""
    options = {"capture_output": True, "text": True, "timeout": 120, "env": ENVIRONMENT, **options}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", script, *map(str, arguments)],
        check=False,
        **options,
    )


def tn_run(*arguments, **options):
    """Run the command line."""
    return python(TN_RUN, *arguments, **options)


def start_tn_run(*arguments, before="", **options):
    """Start the command line, after a line of Python, and leave it running."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", f"{before}\n{TN_RUN}", *map(str, arguments)],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )
