"""A run of the suites keeps what it has, and goes on: no torch, no timing, cases of our own."""

import dataclasses
import json

import pytest

from tn_bench import running
from tn_bench.config import QUICK
from tn_bench.machine import fingerprint
from tn_bench.results import NAME, SCHEMA, Machine, Results, load, save
from tn_bench.running import Step
from tn_bench.suites.case import Bench, Case, Found, NotHere, measurement
from tn_runtime.errors import RequestError

FOUND = Found([measurement("latency", "s", [0.25, 0.5], model="tiny", size=64)])


def step(name, measure=lambda: FOUND):
    return Step("latency", Case(name, 1.0, measure))


def raising(error):
    def measure():
        raise error

    return measure


@pytest.fixture
def new(tmp_path):
    def make(steps):
        bench = Bench(QUICK, "cpu", (), tmp_path, tmp_path)
        return running.begin(bench, ("latency",), steps, quick=True, command="tn-bench run")

    return make


def measured(new, folder, steps):
    return running.measure(new(steps), steps, folder, lambda _: None)


def test_every_single_run_is_kept(new, tmp_path):
    measured(new, tmp_path, [step("a")])
    kept = load(tmp_path)
    assert kept.values("latency", model="tiny") == [0.25, 0.5]
    assert kept.values("latency", model="other") == []
    assert (kept.schema, kept.planned) == (SCHEMA, {"latency": 1})
    assert kept.machine == fingerprint()
    assert isinstance(kept.machine, Machine)
    assert kept.machine.cores >= 1


def test_what_fails_or_cannot_be_is_said_and_stops_nothing(new, tmp_path):
    steps = [
        step("fails", raising(ValueError("too\nlarge"))),
        step("skips", raising(NotHere("no GPU"))),
        step("works"),
    ]
    outcomes = measured(new, tmp_path, steps).of("latency")
    assert [each.failure for each in outcomes] == ["ValueError: too large", "", ""]
    assert [each.skipped for each in outcomes] == ["", "no GPU", ""]
    assert [each.done for each in outcomes] == [False, False, True]


def test_ctrl_c_keeps_and_a_new_run_goes_on(new, tmp_path):
    interrupted = [step("a"), step("b", raising(KeyboardInterrupt())), step("c")]
    with pytest.raises(KeyboardInterrupt):
        measured(new, tmp_path, interrupted)
    assert [each.case for each in load(tmp_path).outcomes] == ["a"]

    again = [step("a", raising(AssertionError("it is done"))), step("b"), step("c")]
    seen = []
    results = running.measure(new(again), again, tmp_path, seen.append)
    assert [each.case for each in results.outcomes if each.done] == ["a", "b", "c"]
    assert [(each.done, each.total, each.step.case.name) for each in seen] == [
        (1, 3, "b"),
        (2, 3, "c"),
    ]
    assert all(each.left > 0 for each in seen)


def test_what_failed_is_tried_again(new, tmp_path):
    measured(new, tmp_path, [step("a", raising(ValueError("once")))])
    [outcome] = measured(new, tmp_path, [step("a")]).outcomes
    assert outcome.done


def test_runs_of_different_machines_do_not_mix(new, tmp_path):
    kept = measured(new, tmp_path, [step("a")])
    other = dataclasses.replace(kept.machine, processor="abacus")
    save(dataclasses.replace(kept, machine=other), tmp_path)
    with pytest.raises(RequestError, match="another machine: name another folder"):
        new([step("a")])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no JSON", "is not JSON"),
        ('{"schema": 99}', "has schema 99, this version reads 1"),
        ('{"schema": 1}', "'version' is missing"),
    ],
)
def test_other_files_are_refused(tmp_path, text, message):
    (tmp_path / NAME).write_text(text)
    with pytest.raises(RequestError, match=message):
        load(tmp_path)


def test_no_file_names_the_way_out(tmp_path):
    with pytest.raises(RequestError, match="measure first, tn-bench run -o"):
        load(tmp_path)


def test_the_file_is_plain_json(new, tmp_path):
    results = measured(new, tmp_path, [step("a")])
    assert json.loads((tmp_path / NAME).read_text())["outcomes"][0]["case"] == "a"
    assert isinstance(results, Results)
