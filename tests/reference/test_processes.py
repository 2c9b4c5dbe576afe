"""Two gateways on one store, as processes of their own: every slot starts once, whoever dies when."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .child import HOUR, MINUTE, T0, Child, ModelServer

# A gateway that dies at a chosen step, as by kill -9: nothing more is written, no lock is given back.
_DIES = """
import os, signal
from cronsession_reference import Gateway, serve
from cronsession_reference.{module} import {owner}

inner = {owner}.{method}

def die(*args, **options):
    if {condition}:
        {before}
        os.kill(os.getpid(), signal.SIGKILL)
    return inner(*args, **options)

{owner}.{method} = die
serve.serve_stdio(Gateway())
"""
_STEPS = {
    "inside the claim": {
        "module": "store.sqlite",
        "owner": "SqliteStore",
        "method": "add_run",
        "condition": "True",
        "before": "inner(*args)",
    },
    "between the claim and the payload": {
        "module": "runner",
        "owner": "Runner",
        "method": "start",
        "condition": "True",
        "before": "pass",
    },
    "before the outcome is written": {
        "module": "runner",
        "owner": "Runner",
        "method": "_finish",
        "condition": "True",
        "before": "pass",
    },
    "inside the outcome": {
        "module": "outcomes",
        "owner": "Outcomes",
        "method": "settle",
        "condition": "True",
        "before": "pass",
    },
}


@pytest.fixture
def gateways(tmp_path: Path, model: ModelServer) -> Iterator[Callable[..., Child]]:
    """``gateways(code=...)`` is one more started process on the same folder."""
    made: list[Child] = []

    def make(now: int = T0, code: str | None = None) -> Child:
        made.append(Child(code=code))
        made[-1].start(tmp_path / "state", model.url, now)
        return made[-1]

    yield make
    for child in made:
        if child.process.poll() is None:
            child.kill()
        child.process.communicate()


def fresh(child: Child, text: str, **more: Any) -> Any:
    return child.add(text, session={"target": "isolated"}, **more)


def outcomes(child: Child) -> list[tuple[str, int, str]]:
    """Job, slot (in hours after T0) and status of every run of a slot."""
    return [(r["jobId"], (r["slotMs"] - T0) // HOUR, r["status"]) for r in child.call("run/list")["runs"]]


def test_two_processes_start_every_slot_once(model: ModelServer, gateways: Callable[..., Child]) -> None:
    one, two = gateways(), gateways()
    jobs = [fresh(one, f"job {number}") for number in range(4)]
    for hour in range(1, 13):
        # Both see the same slots fall due at the same instant, and go for them at the same time.
        asked = [(child, child.send("clock/advance", toMs=T0 + hour * HOUR)) for child in (one, two)]
        for child, number in asked:
            assert child.answer(number)["result"] == {"nowMs": T0 + hour * HOUR}
    texts = Counter(messages[-1]["content"] for messages, _ in model.requests)
    assert texts == {f"job {number}": 12 for number in range(4)}
    expected = {(job["id"], hour, "ok") for job in jobs for hour in range(1, 13)}
    assert set(outcomes(one)) == expected
    assert len(outcomes(one)) == len(expected)
    assert outcomes(two) == outcomes(one)


def test_late_slots_after_a_downtime_are_run_by_one_of_two(
    model: ModelServer, gateways: Callable[..., Child]
) -> None:
    first = gateways()
    jobs = [fresh(first, f"job {number}") for number in range(4)]
    first.kill()
    one, two = gateways(T0 + 5 * HOUR + MINUTE), gateways(T0 + 5 * HOUR + MINUTE)
    asked = [(child, child.send("clock/advance", toMs=T0 + 5 * HOUR + 5 * MINUTE)) for child in (one, two)]
    for child, number in asked:
        child.answer(number)
    assert len(model.requests) == len(jobs)
    assert Counter(status for _, _, status in outcomes(one)) == {"missed": 16, "ok": 4}


@pytest.mark.parametrize("step", _STEPS)
def test_a_gateway_that_is_killed_repeats_nothing(
    model: ModelServer, gateways: Callable[..., Child], step: str
) -> None:
    """Killed anywhere, it leaves a slot that was not claimed to the other, and none that was claimed."""
    doomed = gateways(code=_DIES.format(**_STEPS[step]))
    other = gateways()
    job = fresh(doomed, "work")
    doomed.send("clock/advance", toMs=T0 + HOUR)
    assert doomed.process.wait(timeout=20) == -9
    before = len(model.requests)
    other.call("clock/advance", toMs=T0 + 2 * HOUR)
    claimed = step != "inside the claim"
    assert outcomes(other) == [(job["id"], 1, "interrupted" if claimed else "ok"), (job["id"], 2, "ok")]
    assert len(model.requests) - before == (1 if claimed else 2)
    third = gateways(T0 + 2 * HOUR)
    third.call("clock/advance", toMs=T0 + 3 * HOUR)
    assert [status for _, _, status in outcomes(third)].count("ok") == (2 if claimed else 3)


def test_a_gateway_killed_during_a_turn_frees_its_session_for_the_other(
    model: ModelServer, gateways: Callable[..., Child]
) -> None:
    doomed, other = gateways(), gateways()
    job = doomed.add("work")
    model.hold("work")
    number = doomed.send("clock/advance", toMs=T0 + HOUR)
    assert doomed.answer(number)["result"] == {"nowMs": T0 + HOUR}
    other.call("clock/advance", toMs=T0 + HOUR)
    assert outcomes(other) == [(job["id"], 1, "running")], "its owner is alive, so it is left alone"
    doomed.kill()
    model.release("work")
    other.call("clock/advance", toMs=T0 + HOUR + 2 * MINUTE)
    assert outcomes(other) == [(job["id"], 1, "interrupted")], "a sweep finds it, no slot has to be due"
    other.call("clock/advance", toMs=T0 + 2 * HOUR)
    assert outcomes(other)[1] == (job["id"], 2, "ok")
    assert len(model.requests) == 2


def test_writers_in_two_processes_lose_nothing(gateways: Callable[..., Child]) -> None:
    one, two = gateways(), gateways()
    job = fresh(one, "first")
    asked = [
        (child, child.send("job/update", id=job["id"], patch={"name": f"name {place}"}, expectedRevision=1))
        for place, child in enumerate((one, two))
    ]
    answers = [child.answer(number)["result"] for child, number in asked]
    assert sorted("rejected" in answer for answer in answers) == [False, True]
    numbers = [
        (child, child.send("job/add", job=_spec(f"{place}"))) for place in range(10) for child in (one, two)
    ]
    added = {child.answer(number)["result"]["job"]["id"] for child, number in numbers}
    listed = {found["id"] for found in two.call("job/list")["jobs"]}
    assert listed == added | {job["id"]}
    assert len(added) == 20


def _spec(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "schedule": {"kind": "every", "everyMs": HOUR},
        "session": {"target": "isolated"},
        "payload": {"kind": "agentTurn", "text": name},
    }
