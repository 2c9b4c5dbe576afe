"""What is said of runs holds for those that wait, fail, last, or are not alone: the cases beside the usual run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ..driver import Driver, Handle, at, cron, every
from ..model import ERROR, HANG, OK, TRANSIENT, hold
from ..oracle import DAY, MINUTE, cron_slots
from ..requirement import requirement
from ..trace import instant
from .kit import accounted_for, begin, end_held, long_timeout, sweep_ms, to_the_next_run

pytestmark = pytest.mark.cronsession_tier("full")
HOURLY = cron("0 * * * *", "UTC")


@requirement("CS-RUN-004")
@pytest.mark.parametrize("kind", ["disabled", "one-shot"])
def test_a_job_without_a_next_run_is_not_due(cronsession_driver: Driver, kind: str) -> None:
    d = cronsession_driver
    d.require(
        "clock.advance", *(("schedule.every", "job.disable") if kind == "disabled" else ("schedule.at",))
    )
    job = d.add(every(minutes=30), enabled=False) if kind == "disabled" else d.add(at(d.now + 10 * MINUTE))
    d.advance(minutes=65)
    ran = len(d.turns(job))
    answer = d.trigger(job, mode="due")
    d.advance()
    d.expect(
        not answer.started, f"a start limited to due jobs was accepted of a job without a next run ({kind})"
    )
    d.expect(len(d.turns(job)) == ran, f"the refused start of a job ({kind}) reached the model all the same")


@contextmanager
def _one_room(d: Driver) -> Iterator[tuple[Driver, int, Handle]]:
    """A job whose run has waited for the only room; with the slot of that run."""
    d.require("run.concurrency", "schedule.cron")
    if d.budget.limited:
        d.pass_over("a gateway that costs real time is not booted with a configuration for this alone")
    there = d.spawn({**d.world.config, "maxConcurrentRuns": 1})
    try:
        hour = cron_slots("0 * * * *", "UTC", there.now, there.now + DAY)[0]
        first = there.add(HOURLY, **long_timeout(there))
        waits = there.add(cron(f"5 {hour // (60 * MINUTE) % 24} * * *", "UTC"), **long_timeout(there))
        there.answers(first, hold(hour + 20 * MINUTE))
        there.advance_to(hour + 30 * MINUTE)
        if len(there.turns(waits)) != 1:
            there.not_observed("the run that waited for room did not begin when there was")
        yield there, hour + 5 * MINUTE, waits
    finally:
        there.world.close()


@requirement("CS-RUN-006")
def test_a_run_that_waited_for_room_tells_when_it_began(cronsession_driver: Driver) -> None:
    with _one_room(cronsession_driver) as (d, slot, job):
        room = slot + 15 * MINUTE
        told = [run.started_ms for run in d.runs(job) if run.started_ms is not None]
        d.expect(
            len(told) == 1 and room - d.hello.resolution_ms <= told[0] <= d.now,
            f"a run waited for room until {instant(room)}; told is that it began at {[instant(t) for t in told]}",
        )


@requirement("CS-RUN-007")
def test_a_run_that_waited_for_room_tells_its_slot(cronsession_driver: Driver) -> None:
    with _one_room(cronsession_driver) as (d, slot, job):
        told = [run.slot_ms for run in d.runs(job) if run.started_ms is not None]
        d.expect(
            told == [slot],
            f"the run of {instant(slot)} waited for room; it is told as of {[instant(t) for t in told]}",
        )


@requirement("CS-RUN-006")
@pytest.mark.parametrize("how", ["timeout", "cancel"])
def test_the_end_of_a_run_without_an_answer_is_told(cronsession_driver: Driver, how: str) -> None:
    d = cronsession_driver
    d.require("run.timeout" if how == "timeout" else "run.cancel")
    job = d.add(every(minutes=30), **({"timeoutMs": 7 * MINUTE} if how == "timeout" else long_timeout(d)))
    d.answers(job, HANG)
    slot = to_the_next_run(d, job)
    end = slot + 7 * MINUTE
    if how == "cancel":
        d.advance_to(end)
        for run in d.runs(job):
            d.cancel(run.id)
        d.advance(seconds=10)
    d.advance_to(slot + 10 * MINUTE)
    told = [run.ended_ms for run in d.runs(job) if run.ended_ms is not None]
    # A cancelled run may take a moment to end.
    late = d.hello.lateness_ms + d.hello.resolution_ms + (10_000 if how == "cancel" else 0)
    d.expect(
        all(end - d.hello.resolution_ms <= t <= end + late for t in told),
        f"a run ended at {instant(end)} ({how}); told is {[instant(t) for t in told]}",
    )


@requirement("CS-RUN-010")
def test_each_slot_has_its_repetitions(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(HOURLY, retry={"maxRetries": 1, "backoffMs": [5 * MINUTE]})
    d.answers(job, always=TRANSIENT)
    for slot in cron_slots("0 * * * *", "UTC", d.now, d.now + DAY)[:3]:
        d.advance_to(slot + 4 * MINUTE)
        seen = len(d.turns(job))
        d.advance_to(slot + 10 * MINUTE)
        d.expect(
            len(d.turns(job)) > seen,
            f"the run of {instant(slot)} failed for a passing reason and was not repeated; those before it were",
        )


@requirement("CS-RUN-010")
def test_a_one_shot_has_its_repetitions(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("schedule.at")
    slot = d.now + 10 * MINUTE
    write, job = d.try_add(at(slot), retry={"maxRetries": 1, "backoffMs": [5 * MINUTE]})
    if accounted_for(write, "retry"):
        d.pass_over("the retry of a one-shot has no effect, and the write says so")
    assert job is not None
    d.answers(job, always=TRANSIENT)
    d.advance_to(slot + 4 * MINUTE)
    seen = len(d.turns(job))
    d.expect(seen > 0, "the one-shot did not run at its instant")
    d.advance_to(slot + 10 * MINUTE)
    d.expect(len(d.turns(job)) > seen, "a one-shot failed for a passing reason and was not repeated")


def _counting(d: Driver, most: int, **more: Any) -> Handle:
    retry: dict[str, Any] = {"retry": {"maxRetries": 0}} if d.has("job.retry") else {}
    return d.add(every(minutes=10), maxFailures=most, **retry, **more)


@requirement("CS-RUN-013")
def test_time_outs_are_failures(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("run.timeout")
    job = _counting(d, 2, timeoutMs=MINUTE)
    d.answers(job, always=HANG)
    for _ in range(2):
        to_the_next_run(d, job)
        d.advance(minutes=2)
    d.expect(not d.stored(job).enabled, "two time-outs in a row did not disable a job with maxFailures 2")


@requirement("CS-RUN-013")
@pytest.mark.cronsession_last
def test_failures_before_a_start_count(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("restart")
    job = _counting(d, 3)
    d.answers(job, always=ERROR)
    for _ in range(2):
        to_the_next_run(d, job)
    d.restart()
    d.advance(seconds=1)
    to_the_next_run(d, job)
    d.expect(
        not d.stored(job).enabled,
        "two slots of a job with maxFailures 3 failed before a start and one after it, and the job is enabled",
    )


@requirement("CS-RUN-014")
@pytest.mark.parametrize("between", ["manual", "passing"])
def test_what_comes_between_failures_leaves_the_count(cronsession_driver: Driver, between: str) -> None:
    d = cronsession_driver
    job = _counting(d, 3)
    d.answers(job, always=ERROR)
    for _ in range(2):
        to_the_next_run(d, job)
    if between == "manual":
        d.require("trigger")
        d.answers(job, always=OK)
        d.run_now(job)
    else:
        d.answers(job, always=TRANSIENT)
        to_the_next_run(d, job)
    d.answers(job, always=ERROR)
    # Two slots at most: too few to disable the job by themselves.
    d.advance(minutes=19)
    d.expect(
        not d.stored(job).enabled,
        f"three slots failed with none answered between them, only a {between} run, and maxFailures 3 did not disable",
    )


@requirement("CS-RUN-015")
def test_people_are_told_of_each_disabled_job(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    jobs = [_counting(d, 2) for _ in range(2)]
    for job in jobs:
        d.answers(job, always=ERROR)
    d.advance(minutes=35)
    told = [notice.get("jobId") for notice in d.notices() if notice.get("kind") == "autoDisabled"]
    counts = [told.count(job.id) for job in jobs]
    d.expect(
        counts == [1, 1], f"two jobs were disabled by their failures; notices tell of them {counts} times"
    )


@requirement("CS-RUN-016")
@pytest.mark.cronsession_config(runHistory={"maxRuns": 3})
def test_each_job_has_a_history_of_its_own(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    jobs = [d.add() for _ in range(2)]
    for job in jobs:
        for _ in range(4):
            d.run_now(job)
            d.advance(minutes=1)
    d.advance_to(d.now + sweep_ms(d))
    counts = [len(d.runs(job)) for job in jobs]
    d.expect(counts == [3, 3], f"maxRuns is 3; of two jobs with four runs each {counts} are listed")


@requirement("CS-RUN-018")
def test_a_run_of_that_very_instant_is_listed(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    if d.hello.resolution_ms > 1:
        d.pass_over("on so coarse a clock nobody can tell at which instant a run started")
    job, since = d.add(), d.now
    run = d.run_now(job).run
    if run is None:
        d.fail("a run that has just ended is not listed")
    assert run is not None
    listed = [r.id for r in d.runs(job, since_ms=since)]
    d.expect(
        listed == [run.id],
        f"a run started at {instant(since)}; from that instant on {len(listed)} are listed",
    )


@requirement("CS-RUN-018")
def test_a_run_that_lasted_is_listed_by_its_start(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(**long_timeout(d))
    d.answers(job, hold())
    begin(d, job)
    d.advance(minutes=20)
    since = d.now - 10 * MINUTE
    d.expect(
        not d.runs(job, since_ms=since),
        "a run that is under way is listed from an instant after its start on",
    )
    end_held(d, job)
    d.expect(
        not d.runs(job, since_ms=since), "a run is listed from an instant between its start and its end on"
    )
