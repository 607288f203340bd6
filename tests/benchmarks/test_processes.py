"""What is measured in a process of its own comes back, and so does what goes wrong there."""

import dataclasses
import json
import operator
import os
import time

import pytest

from tn_bench.config import QUICK
from tn_bench.machine import Watch
from tn_bench.processes import ProcessError, in_process, peak_megabytes, timed


def test_a_result_comes_back():
    assert in_process(operator.add, 1, 2) == 3
    assert in_process(os.getpid) != os.getpid()


def test_an_error_comes_back():
    with pytest.raises(json.JSONDecodeError):
        in_process(json.loads, "{")


def test_a_process_that_dies_does_not_hang():
    with pytest.raises(ProcessError, match="the process of _exit ended with code 3"):
        in_process(os._exit, 3)


def test_memory_is_that_of_the_process():
    """This one has held 300 MB, which the other has not."""
    assert len(bytearray(300_000_000)) == 300_000_000
    assert peak_megabytes() > 300
    assert 5 < in_process(peak_megabytes) < 250


def test_the_first_run_does_not_count():
    runs = []
    assert len(timed(lambda: runs.append(1), dataclasses.replace(QUICK, runs=4, seconds=0))) == 4
    assert len(runs) == 5


def test_others_are_a_share():
    watch = Watch()
    time.sleep(0.05)
    assert watch.seconds >= 0.05
    assert 0 <= watch.others <= 1
