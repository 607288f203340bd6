"""Processes that work ahead: the order is kept, none outlives its use, and a lost one is told."""

import itertools
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tn_runtime.errors import WorkerError
from tn_train.interrupt import Interrupted, deferred
from tn_train.workers import made_ahead
from train.processes import ENVIRONMENT, python
from train.work import own_pid, refuse, sleep, square

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


def test_answers_come_in_order_and_processes_end():
    made = list(made_ahead(square, [3, 1, 1, 9, 4], 2))
    assert made == [9, 1, 1, 81, 16]
    stream = made_ahead(square, itertools.count(), 3)
    assert list(itertools.islice(stream, 7)) == [0, 1, 4, 9, 16, 25, 36]
    assert len(multiprocessing.active_children()) == 3
    del stream  # as a task drops the stream of the stage before
    assert multiprocessing.active_children() == []
    assert list(made_ahead(square, [], 2)) == []


@POSIX
def test_a_killed_process_is_told_at_once():
    stream = made_ahead(own_pid, itertools.count(), 2)
    os.kill(next(stream), signal.SIGKILL)
    with pytest.raises(WorkerError, match="was killed; is memory short"):
        list(itertools.islice(stream, 9))
    assert multiprocessing.active_children() == []


def test_what_a_process_raises_is_one_line_of_its_own():
    with pytest.raises(WorkerError, match="prepares photos failed: ValueError: no 0"):
        next(made_ahead(refuse, itertools.count(), 1))


@POSIX
def test_a_signal_ends_a_run_that_waits_for_ever():
    def wait():
        with deferred():
            os.kill(os.getpid(), signal.SIGTERM)
            next(made_ahead(sleep, itertools.count(), 1))

    with pytest.raises(Interrupted) as caught:
        wait()
    assert caught.value.signal == signal.SIGTERM
    assert multiprocessing.active_children() == []


@pytest.mark.skipif(sys.platform != "linux", reason="limits and namespaces of Linux")
def test_without_shared_memory_and_without_processes():
    script = (
        "import multiprocessing, _multiprocessing, itertools, resource\n"
        "del _multiprocessing.SemLock  # as where /dev/shm is missing\n"
        "from tn_runtime.errors import WorkerError\n"
        "from tn_train.workers import made_ahead\n"
        "assert list(made_ahead(abs, [1, -2], 1)) == [1, 2]\n"
        "import os; os.pipe = lambda: (_ for _ in ()).throw(OSError(24, 'Too many open files'))\n"
        "try: next(made_ahead(abs, [1], 1))\n"
        "except WorkerError as error: print(error)\n"
    )
    done = python(script)
    assert (done.returncode, done.stdout) == (
        0,
        "no process can be started: Too many open files\n",
    ), done.stderr


@POSIX
def test_workers_import_no_torch_and_end_with_a_process_that_is_killed():
    script = (
        "import itertools, time\n"
        "from tn_train.workers import made_ahead\n"
        "from train.work import torch_and_pid\n"
        "print(*next(made_ahead(torch_and_pid, itertools.count(), 2)), flush=True)\n"
        "stream = made_ahead(torch_and_pid, itertools.count(), 1)\n"
        "print(*next(stream), flush=True)\n"
        "time.sleep(1000)\n"
    )
    path = os.pathsep.join([ENVIRONMENT["PYTHONPATH"], str(Path(__file__).parents[1])])
    with subprocess.Popen(
        [sys.executable, "-c", script],
        env={**ENVIRONMENT, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        process.stdout.readline()
        torch_is_there, pid = process.stdout.readline().split()
        process.kill()
    assert torch_is_there == "False"
    deadline = time.monotonic() + 60
    while is_there(int(pid)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_there(int(pid))


def is_there(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
