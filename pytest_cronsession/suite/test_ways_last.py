"""Runs at a slot, by hand, as a repetition and late: what is edited, removed or due during any of them; slots at a start."""

from __future__ import annotations

from typing import Any

import pytest

from ..driver import Driver, Handle, at, cron, every, wish
from ..model import TRANSIENT, hold, tag_text
from ..oracle import MINUTE
from ..requirement import requirement
from ..trace import instant
from .kit import accounted_for, begin, end_held, long_timeout, may_end, shown, to_the_next_run

pytestmark = [pytest.mark.cronsession_tier("full"), pytest.mark.cronsession_last]
HOUR = 60 * MINUTE
_NEEDS = {"slot": (), "manual": ("trigger",), "repetition": ("job.retry",), "late": ("restart",)}
each_way = pytest.mark.parametrize("way", list(_NEEDS))


def _under_way(d: Driver, way: str) -> Handle:
    """A job of each half hour with a run that came about this way and waits for the model."""
    d.require("schedule.every", "clock.advance", *_NEEDS[way])
    retry = {"retry": {"maxRetries": 1, "backoffMs": [5 * MINUTE]}} if way == "repetition" else {}
    job = d.add(every(minutes=30), **retry, **long_timeout(d))
    if way == "late":
        d.advance_to(to_the_next_run(d, job) + 10 * MINUTE)
    d.answers(job, *([TRANSIENT] if way == "repetition" else []), always=hold())
    if way == "manual":
        begin(d, job)
    elif way == "late":
        d.stop()
        d.start({"minutes": 25})
        # A gateway may take its time with what it missed.
        d.advance(minutes=4)
    else:
        to_the_next_run(d, job)
        d.advance(minutes=7 if way == "repetition" else 1)
    if d.model.held_turns() != 1:
        end_held(d, job)
        d.pass_over(f"there is no run of this kind ({way}), which is another requirement's question")
    return job


@requirement("CS-JOB-016")
@each_way
def test_no_edit_is_undone_by_the_end_of_a_run(cronsession_driver: Driver, way: str) -> None:
    d = cronsession_driver
    d.require("job.update")
    job = _under_way(d, way)
    edits: dict[str, tuple[str | None, Any]] = {
        "name": (None, "edited during its run"),
        "payload": (None, {"kind": "agentTurn", "text": tag_text("Other words.", job.tag)}),
        "session": ("session.named", wish("named", name=d.fresh_name("there"))),
        "agent": ("agents", "work"),
        "timeoutMs": ("run.timeout", 23 * HOUR),
        "retry": ("job.retry", {"maxRetries": 2, "backoffMs": [3 * MINUTE]}),
        "maxFailures": ("job.autoDisable", 17),
        "catchUp": ("job.catchUp", {"policy": "skip"}),
    }
    taken = []
    for member, (needed, value) in edits.items():
        # Some gateways take no edit of a job that runs, or not each of these.
        if (needed is None or d.has(needed)) and d.update(job, **{member: value}).rejected is None:
            taken.append(member)
    during = shown(d.stored(job), "nextRunAtMs")
    end_held(d, job)
    d.advance(seconds=10)
    if not taken:
        d.pass_over("the gateway refuses an edit of a job that runs")
    after = shown(d.stored(job), "nextRunAtMs")
    for member in during.keys() | after.keys():
        d.expect(
            after.get(member) == during.get(member),
            f"edited during a run ({way}), a job listed {member} {during.get(member)!r}; at the end of the run it "
            f"lists {after.get(member)!r}",
        )


@requirement("CS-JOB-015")
@each_way
def test_no_removal_is_undone_by_the_end_of_a_run(cronsession_driver: Driver, way: str) -> None:
    d = cronsession_driver
    d.require("job.remove")
    job = _under_way(d, way)
    removed = d.remove(job)
    end_held(d, job)
    d.advance(seconds=10)
    if not removed:
        d.pass_over("the gateway removes no job that runs")
    d.expect(d.job(job) is None, f"a job was removed during a run ({way}), and is listed when that has ended")


@requirement("CS-SCH-011")
@each_way
def test_no_slot_begins_beside_a_run(cronsession_driver: Driver, way: str) -> None:
    d = cronsession_driver
    job = _under_way(d, way)
    seen = len(d.turns(job))
    d.advance(minutes=35)
    more = len(d.turns(job)) - seen
    if not d.model.held_turns():
        may_end(d)
    end_held(d, job)
    d.expect(not more, f"{more} run(s) of a job began beside one that was under way ({way})")


@requirement("CS-SCH-011")
def test_late_runs_of_a_job_come_one_after_the_other(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("schedule.cron", "restart")
    all_of_them: dict[str, Any] = {"catchUp": {"policy": "all"}} if d.has("job.catchUp") else {}
    write, job = d.try_add(cron("*/10 * * * *", "UTC"), **all_of_them, **long_timeout(d))
    if job is None or accounted_for(write, "catchUp"):
        d.pass_over("the gateway does not take this catchUp, and the write says so")
    assert job is not None
    d.advance_to(to_the_next_run(d, job) + 4 * MINUTE)
    seen = len(d.turns(job))
    d.answers(job, always=hold())
    d.stop()
    d.start({"minutes": 31})
    d.advance(minutes=4)
    begun = len(d.turns(job)) - seen
    end_held(d, job)
    d.expect(begun <= 1, f"of three missed slots of a job {begun} are run late at a time")


@requirement("CS-STO-007")
@pytest.mark.parametrize("kind", ["every", "cron"])
def test_a_slot_at_the_instant_of_a_start_is_not_lost(cronsession_driver: Driver, kind: str) -> None:
    d = cronsession_driver
    d.require(f"schedule.{kind}", "restart")
    job = d.add(every(minutes=60) if kind == "every" else cron("0 * * * *", "UTC"))
    slot = to_the_next_run(d, job) + HOUR
    d.advance_to(slot - 10 * MINUTE)
    seen = len(d.turns(job))
    d.stop()
    d.start({"milliseconds": slot - d.now})
    d.advance(seconds=1)
    d.advance(minutes=4)
    got, declared = len(d.turns(job)) - seen, d.hello.policy("catchUp")
    # Due there or missed there: that is the gateway's choice.
    right = (0, 1) if declared == "skip" else (1,)
    d.expect(
        got in right,
        f"a gateway was started at the slot {instant(slot)}, and {got} runs came of it; catchUp is {declared!r}",
    )


@requirement("CS-STO-008")
def test_a_one_shot_at_the_instant_of_a_start_is_not_lost(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("schedule.at", "restart")
    slot = d.now + 20 * MINUTE
    job = d.add(at(slot))
    d.stop()
    d.start({"minutes": 20})
    d.advance(hours=4)
    got, declared = len(d.turns(job)), d.hello.policy("missedOneShot")
    right = (0, 1) if declared == "skip" else (1,)
    d.expect(
        got in right,
        f"a gateway was started at the instant of a one-shot, which ran {got} times; missedOneShot is {declared!r}",
    )


@requirement("CS-SCH-016")
@pytest.mark.parametrize("kind", ["every", "cron"])
@pytest.mark.parametrize("days", [2, 12])
def test_a_job_goes_on_after_a_long_jump(cronsession_driver: Driver, kind: str, days: int) -> None:
    d = cronsession_driver
    d.require(f"schedule.{kind}", "clock.jump")
    job = d.add(every(minutes=30) if kind == "every" else cron("*/30 * * * *", "UTC"))
    d.advance_to(to_the_next_run(d, job) + 10 * MINUTE)
    d.jump(days=days)
    # What is run late may take its time.
    d.advance(minutes=10)
    seen = len(d.turns(job))
    d.advance(hours=2)
    got = len(d.turns(job)) - seen
    d.expect(
        got >= 3,
        f"the wall clock jumped by {days} days, and a job of each half hour ran {got} times in two hours",
    )
