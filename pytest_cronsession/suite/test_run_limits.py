"""Repetitions, jobs that their failures disable, room for runs, and how long runs are listed."""

from __future__ import annotations

from typing import Any

import pytest

from ..driver import Driver, Handle, cron, every
from ..model import ERROR, OK, TRANSIENT, hold
from ..oracle import DAY, MINUTE, cron_slots
from ..requirement import requirement
from ..trace import instant
from .kit import long_timeout, sweep_ms

HOURLY = cron("0 * * * *", "UTC")


def _next_hour(d: Driver) -> int:
    return cron_slots("0 * * * *", "UTC", d.now, d.now + DAY)[0]


@requirement("CS-RUN-008")
@pytest.mark.cronsession_config(maxConcurrentRuns=2)
def test_no_more_runs_than_there_may_be(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    slot = _next_hour(d)
    jobs = [d.add(HOURLY, **long_timeout(d)) for _ in range(4)]
    by_hand = d.add()
    for job in (*jobs, by_hand):
        d.answers(job, hold(slot + 20 * MINUTE))
    d.advance_to(slot + MINUTE)
    d.expect(_begun(d, *jobs) == 2, f"{_begun(d, *jobs)} of 4 due runs are under way, there is room for two")
    d.trigger(by_hand)
    d.advance(minutes=1)
    d.expect(
        _begun(d, *jobs, by_hand) == 2, "a manual start exceeded the most runs that there may be at a time"
    )


def _begun(d: Driver, *jobs: Handle) -> int:
    return sum(len(d.turns(job)) for job in jobs)


@requirement("CS-RUN-009")
@pytest.mark.cronsession_config(maxConcurrentRuns=1)
def test_what_waits_for_room_starts_in_order(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    slot = _next_hour(d)
    hour = slot // (60 * MINUTE) % 24
    first, third, second = (
        d.add(cron(f"{minute} {hour} * * *", "UTC"), **long_timeout(d)) for minute in (0, 10, 5)
    )
    d.answers(first, hold(slot + 20 * MINUTE))
    d.answers(second, hold(slot + 30 * MINUTE))
    d.advance_to(slot + 25 * MINUTE)
    got = [len(d.turns(job)) for job in (first, second, third)]
    d.expect(got == [1, 1, 0], f"the run that fell due first starts first; runs in that order: {got}")
    d.advance_to(slot + 40 * MINUTE)
    got = [len(d.turns(job)) for job in (first, second, third)]
    d.expect(got == [1, 1, 1], f"each run that waited starts when there is room; runs: {got}")


@requirement("CS-RUN-021")
@pytest.mark.cronsession_config(maxConcurrentRuns=1)
def test_waiting_for_room_is_no_time_of_the_run(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    slot = _next_hour(d)
    hour = slot // (60 * MINUTE) % 24
    first = d.add(HOURLY, **long_timeout(d))
    second = d.add(cron(f"5 {hour} * * *", "UTC"), timeoutMs=10 * MINUTE)
    d.answers(first, hold(slot + 30 * MINUTE))
    d.answers(second, hold(slot + 37 * MINUTE))
    d.advance_to(slot + 45 * MINUTE)
    states = [turn.state for turn in d.turns(second)]
    d.expect(
        states == ["answered"],
        "a run with a timeoutMs of 10 minutes waited 25 minutes for room and was answered 7 minutes after "
        f"that; its requests are {states}",
    )


@requirement("CS-RUN-010")
def test_a_passing_failure_is_repeated_after_its_waits(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    slot = _next_hour(d)
    job = d.add(HOURLY, retry={"maxRetries": 2, "backoffMs": [2 * MINUTE, 5 * MINUTE]})
    d.answers(job, always=TRANSIENT)
    late = d.hello.lateness_ms + d.hello.resolution_ms
    d.advance_to(slot + late)
    seen = len(d.turns(job))
    d.expect(seen > 0, "the job did not run at its slot")
    for before, after in ((2, 2), (7, 7)):
        d.advance_to(slot + before * MINUTE - d.hello.resolution_ms)
        d.expect(len(d.turns(job)) == seen, "a run was repeated before its wait had passed")
        d.advance_to(slot + after * MINUTE + 3 * late)
        got = len(d.turns(job))
        d.expect(got > seen, f"at {instant(d.now)} the wait has passed, and nothing was repeated")
        seen = got
    d.advance_to(slot + 55 * MINUTE)
    d.expect(len(d.turns(job)) == seen, "a run was repeated more often than maxRetries says")


@requirement("CS-RUN-011")
def test_a_refused_run_is_not_repeated(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    slot = _next_hour(d)
    job = d.add(HOURLY, retry={"maxRetries": 3, "backoffMs": [MINUTE]})
    d.answers(job, always=ERROR)
    d.advance_to(slot + 50 * MINUTE)
    d.expect(len(d.turns(job)) == 1, f"the model refused a run and saw its text {len(d.turns(job))} times")


@requirement("CS-RUN-012")
def test_a_repetition_ends_at_the_next_slot(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    slots = cron_slots("*/10 * * * *", "UTC", d.now, d.now + DAY)[:2]
    job = d.add(cron("*/10 * * * *", "UTC"), retry={"maxRetries": 1, "backoffMs": [15 * MINUTE]})
    # As long as the run lasts, or sending again within it would overcome the trouble.
    d.answers(job, always=TRANSIENT)
    d.advance_to(slots[0] + d.hello.lateness_ms + d.hello.resolution_ms)
    d.answers(job, always=OK)
    d.advance_to(slots[1] + MINUTE)
    seen = len(d.turns(job))
    d.advance_to(slots[0] + 18 * MINUTE)
    d.expect(len(d.turns(job)) == seen, "a slot was repeated after the next slot of its job")


def _limited(d: Driver, most: int = 3) -> Handle:
    more: dict[str, Any] = {"retry": {"maxRetries": 0}} if d.has("job.retry") else {}
    return d.add(every(minutes=10), maxFailures=most, **more)


def _slots_pass(d: Driver, job: Handle, count: int) -> None:
    for _ in range(count):
        upcoming = d.stored(job).next_run_ms
        d.expect(upcoming is not None, "a job was disabled by fewer failures than maxFailures")
        assert upcoming is not None
        d.advance_to(upcoming + d.hello.lateness_ms + d.hello.resolution_ms)


@requirement("CS-RUN-013")
def test_failures_disable_a_job(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = _limited(d)
    d.answers(job, always=ERROR)
    _slots_pass(d, job, 3)
    stored = d.stored(job)
    d.expect(
        not stored.enabled and stored.next_run_ms is None,
        "three failures in a row did not disable a job with maxFailures 3",
    )
    d.expect(
        stored.raw.get("disabledBy") == "failures",
        f"a job that its failures disabled lists disabledBy {stored.raw.get('disabledBy')!r}",
    )
    ran = len(d.turns(job))
    d.advance(hours=2)
    d.expect(len(d.turns(job)) == ran, "a job that its failures disabled ran by schedule")
    d.edit(job, enabled=True)
    _slots_pass(d, job, 2)
    d.expect(d.stored(job).enabled, "enabled again, a job did not start with a count of zero")


@requirement("CS-RUN-013")
def test_one_failure_is_enough_where_a_job_says_so(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = _limited(d, 1)
    d.answers(job, always=ERROR)
    _slots_pass(d, job, 1)
    d.expect(not d.stored(job).enabled, "a failure did not disable a job with maxFailures 1")


@requirement("CS-RUN-014")
@pytest.mark.parametrize("case", ["success", "manual", "passing"])
def test_what_does_not_count_as_a_failure_in_a_row(cronsession_driver: Driver, case: str) -> None:
    d = cronsession_driver
    job = _limited(d)
    if case == "success":
        d.answers(job, ERROR, ERROR, OK, ERROR, ERROR)
        _slots_pass(d, job, 5)
    elif case == "manual":
        d.require("trigger")
        d.answers(job, always=ERROR)
        for _ in range(3):
            d.run_now(job)
    else:
        d.answers(job, always=TRANSIENT)
        _slots_pass(d, job, 4)
    d.expect(d.stored(job).enabled, f"a job with maxFailures 3 was disabled, case {case}")


@requirement("CS-RUN-015")
def test_people_are_told_of_a_disabled_job(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = _limited(d)
    d.answers(job, always=ERROR)
    _slots_pass(d, job, 3)
    told = [n for n in d.notices() if n.get("kind") == "autoDisabled" and n.get("jobId") == job.id]
    d.expect(len(told) == 1, f"{len(told)} notices autoDisabled tell of the job that its failures disabled")


@requirement("CS-RUN-016")
@pytest.mark.cronsession_config(runHistory={"maxRuns": 3})
def test_the_latest_runs_are_listed_and_no_more(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add()
    made: list[str] = []
    for _ in range(6):
        run = d.run_now(job).run
        if run is None:
            d.fail("a run that has just ended is not listed")
        assert run is not None
        made.append(run.id)
        d.advance(minutes=1)
    d.advance_to(d.now + sweep_ms(d))
    left = [r.id for r in d.runs(job)]
    d.expect(
        sorted(left) == sorted(made[-3:]),
        f"of six runs numbers {sorted(made.index(i) + 1 for i in left if i in made)} are listed, maxRuns is 3",
    )


@requirement("CS-RUN-022")
@pytest.mark.cronsession_config(runHistory={"maxAgeMs": 120 * MINUTE})
def test_runs_are_listed_for_their_time(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add()
    run, began = d.run_now(job).run, d.now
    if run is None:
        d.fail("a run that has just ended is not listed")
    assert run is not None
    d.advance_to(began + 120 * MINUTE - d.hello.lateness_ms - d.hello.resolution_ms - 1000)
    told = f"a run of {instant(began)} is {{}} at {{}}, maxAgeMs is two hours"
    there = any(r.id == run.id for r in d.runs(job))
    d.expect(there, told.format("not listed", instant(d.now)))
    d.advance_to(began + 120 * MINUTE + sweep_ms(d) + 1)
    there = any(r.id == run.id for r in d.runs(job))
    d.expect(not there, told.format("listed", instant(d.now)))
