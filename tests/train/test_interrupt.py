"""Signals to end: held back until a step is done, then handed on."""

import signal
import sys
import threading

import pytest

from tn_train.interrupt import Interrupted, deferred

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="nobody sends signals there")


@pytest.fixture(params=["SIGINT", "SIGTERM", "SIGHUP"])
def number(request: pytest.FixtureRequest):
    """Return a signal whose handler is put back afterwards."""
    number = getattr(signal, request.param)
    before = signal.getsignal(number)
    yield number
    signal.signal(number, before)


def step_with(number: int, received: list[int]) -> None:
    with deferred() as interrupted:
        assert not interrupted()
        signal.raise_signal(number)
        assert interrupted()
        assert not received
        raise Interrupted


def test_a_signal_waits_and_is_handed_on(number: int):
    received = []
    signal.signal(number, lambda *_: received.append(number))
    with pytest.raises(Interrupted) as stop:
        step_with(number, received)
    assert stop.value.signal == number
    stop.value.pass_on()
    assert received == ([] if number == signal.SIGINT else [number])  # Interrupted is Ctrl-C itself
    signal.raise_signal(number)
    assert received[-1:] == [number]


def test_ctrl_c_twice_means_now(number: int):
    received = []
    signal.signal(number, lambda *_: received.append(number))
    with deferred():
        signal.raise_signal(number)
        signal.raise_signal(number)
        assert received == ([number] if number == signal.SIGINT else [])


def test_what_is_ignored_stays_ignored(number: int):
    signal.signal(number, signal.SIG_IGN)
    with deferred() as interrupted:
        signal.raise_signal(number)
        assert not interrupted()
    assert signal.getsignal(number) == signal.SIG_IGN


def test_other_threads_are_left_alone():
    told = []

    def work() -> None:
        with deferred() as interrupted:
            told.append(interrupted())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert told == [False]
