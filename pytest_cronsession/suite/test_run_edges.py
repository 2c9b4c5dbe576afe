"""Runs at their edges: repetitions beside starts by hand and failures, who waits for room, how long runs are listed."""

from __future__ import annotations

from typing import Any

import pytest

from ..driver import Driver, cron, every
from ..model import ERROR, HANG, OK, TRANSIENT, hold
from ..oracle import DAY, MINUTE, cron_slots
from ..requirement import requirement
from ..trace import instant
from .kit import begin, end_held, long_timeout, next_run, sweep_ms, to_the_next_run, under_way

pytestmark = pytest.mark.cronsession_tier("full")
last = pytest.mark.cronsession_last
HOURLY = cron("0 * * * *", "UTC")
# Within its run a request may be sent again; what comes later is a run of its own.
MOMENT = 10_000


def _again(*waits: int, limit: int = 1) -> dict[str, Any]:
    return {"retry": {"maxRetries": limit, "backoffMs": [wait * MINUTE for wait in waits]}}


# --- repetitions ---------------------------------------------------------------------------------------


@requirement("CS-RUN-010")
def test_a_maximum_of_zero_is_none(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(HOURLY, retry={"maxRetries": 0})
    d.answers(job, always=TRANSIENT)
    slot = to_the_next_run(d, job)
    d.advance_to(slot + MOMENT)
    seen = len(d.turns(job))
    d.expect(seen > 0, "the job did not run at its slot")
    d.advance_to(slot + 55 * MINUTE)
    d.expect(len(d.turns(job)) == seen, "a run was made again, and maxRetries is 0")


@requirement("CS-RUN-010")
def test_a_start_by_hand_stands_for_no_repetition(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("trigger")
    job = d.add(HOURLY, **_again(15))
    d.answers(job, always=TRANSIENT)
    slot = to_the_next_run(d, job)
    d.advance_to(slot + 4 * MINUTE)
    ran = len(d.turns(job))
    d.expect(ran > 0, "the job did not run at its slot")
    d.answers(job, always=OK)
    started = d.trigger(job).started
    d.advance()
    seen = len(d.turns(job))
    if not started or seen == ran:
        d.pass_over(
            "a job whose repetition waits is not started by hand, which is another requirement's question"
        )
    d.advance_to(slot + 20 * MINUTE)
    d.expect(
        len(d.turns(job)) > seen,
        "a run failed for a passing reason, its job was started by hand meanwhile, and the run was not made again",
    )


@requirement("CS-RUN-011")
def test_a_repetition_that_is_refused_is_the_last(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(HOURLY, **_again(5, limit=3))
    d.answers(job, TRANSIENT, always=ERROR)
    slot = to_the_next_run(d, job)
    d.advance_to(slot + 6 * MINUTE)
    refused = sum(turn.answer is ERROR for turn in d.turns(job))
    d.expect(refused > 0, "a run failed for a passing reason and was not made again after its wait")
    d.advance_to(slot + 50 * MINUTE)
    more = sum(turn.answer is ERROR for turn in d.turns(job)) - refused
    d.expect(not more, f"the model refused the repetition of a run, and the slot was tried {more} more times")


@requirement("CS-RUN-012")
@last
def test_a_repetition_does_not_outlast_a_downtime_over_the_next_slot(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("restart")
    job = d.add(HOURLY, **_again(20))
    d.answers(job, always=TRANSIENT)
    slot = to_the_next_run(d, job)
    d.advance_to(slot + 5 * MINUTE)
    seen = len(d.turns(job))
    d.expect(seen > 0, "the job did not run at its slot")
    d.answers(job, always=OK)
    d.stop()
    d.start({"minutes": 60})
    d.advance(minutes=5)
    # The one slot that was missed may have its run.
    most = 0 if d.hello.policy("catchUp") == "skip" else 1
    more = len(d.turns(job)) - seen
    d.expect(
        more <= most,
        f"after a downtime over one slot there were {more} runs, policy catchUp allows {most}; a repetition of the "
        "slot before had waited",
    )


@requirement("CS-SCH-030")
def test_a_run_by_hand_is_not_made_again(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("trigger", "job.retry")
    job = d.add(**_again(5, limit=2))
    d.answers(job, always=TRANSIENT)
    d.run_now(job)
    d.advance(milliseconds=MOMENT)
    seen = len(d.turns(job))
    d.advance(minutes=14)
    d.expect(
        len(d.turns(job)) == seen,
        "a run that was started by hand failed, and its job ran again; retry is about the runs of slots",
    )


@requirement("CS-RUN-013")
def test_a_slot_that_failed_in_the_end_is_a_failure(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("job.retry")
    job = d.add(every(minutes=10), maxFailures=2, **_again(2))
    for _ in range(2):
        d.answers(job, TRANSIENT, always=ERROR)
        to_the_next_run(d, job)
        d.advance(minutes=3)
    d.expect(
        not d.stored(job).enabled,
        "of two slots in a row the repetition was refused, and that did not disable a job with maxFailures 2",
    )


@requirement("CS-RUN-014")
def test_a_slot_that_was_answered_in_the_end_is_none(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("job.retry")
    job = d.add(every(minutes=10), maxFailures=2, **_again(2))
    for answers in ([ERROR], [TRANSIENT, OK], [ERROR]):
        d.answers(job, *answers)
        to_the_next_run(d, job)
        d.advance(minutes=3)
    d.expect(
        d.stored(job).enabled,
        "between two failures a slot was answered when it was tried again, and a job with maxFailures 2 was disabled",
    )


@requirement("CS-RUN-013")
@pytest.mark.parametrize("case", ["alone", "between"])
def test_a_cancelled_run_is_no_failure_and_no_answer(cronsession_driver: Driver, case: str) -> None:
    d = cronsession_driver
    # Else a gateway may make again what failed, and an answer ends the row.
    d.require("run.cancel", "run.list", "job.retry")
    job = d.add(every(minutes=10), maxFailures=2, retry={"maxRetries": 0}, **long_timeout(d))
    plan = [HANG, HANG, HANG] if case == "alone" else [ERROR, HANG, ERROR]
    for answer in plan:
        d.answers(job, answer)
        to_the_next_run(d, job)
        if answer is HANG:
            d.cancel(under_way(d, job).id)
            d.advance(seconds=10)
    enabled = d.stored(job).enabled
    if case == "alone":
        d.expect(enabled, "three runs in a row were cancelled, and that disabled a job with maxFailures 2")
    else:
        d.expect(
            not enabled,
            "two slots failed, a run between them was cancelled, and a job with maxFailures 2 is enabled",
        )


# --- who is under way ------------------------------------------------------------------------------------


def _hour(d: Driver) -> int:
    return cron_slots("0 * * * *", "UTC", d.now, d.now + DAY)[0]


def _at(slot: int, minute: int) -> dict[str, Any]:
    return cron(f"{minute} {slot // (60 * MINUTE) % 24} * * *", "UTC")


@requirement("CS-RUN-008")
@pytest.mark.cronsession_config(maxConcurrentRuns=1)
def test_a_repetition_needs_room(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("job.retry")
    slot = _hour(d)
    again, busy = d.add(HOURLY, **_again(10)), d.add(_at(slot, 2), **long_timeout(d))
    d.answers(again, always=TRANSIENT)
    d.answers(busy, hold(slot + 30 * MINUTE))
    d.advance_to(slot + 5 * MINUTE)
    seen = len(d.turns(again))
    if len(d.turns(busy)) != 1:
        d.pass_over("the run that is to be under way did not begin, which is another requirement's question")
    d.advance_to(slot + 20 * MINUTE)
    d.expect(len(d.turns(again)) == seen, "a repetition exceeded the most runs that there may be at a time")


@requirement("CS-RUN-008")
@last
@pytest.mark.cronsession_config(maxConcurrentRuns=1)
def test_late_runs_need_room(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("restart")
    jobs = [d.add(cron("*/20 * * * *", "UTC"), **long_timeout(d)) for _ in range(3)]
    for job in jobs:
        d.answers(job, always=hold())
    slot = next_run(d, jobs[0])
    d.advance_to(slot - 2 * MINUTE)
    d.stop()
    d.start({"minutes": 6})
    d.advance(minutes=5)
    under = sum(len(d.turns(job)) for job in jobs)
    end_held(d, *jobs)
    d.expect(under <= 1, f"{under} late runs are under way at a time, maxConcurrentRuns is 1")


@requirement("CS-RUN-008")
@pytest.mark.cronsession_config(maxConcurrentRuns=1)
def test_there_is_room_for_all_agents_together(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("agents")
    slot = _hour(d)
    jobs = [d.add(HOURLY, agent=agent, **long_timeout(d)) for agent in ("main", "work")]
    for job in jobs:
        d.answers(job, hold(slot + 20 * MINUTE))
    d.advance_to(slot + 10 * MINUTE)
    begun = sum(len(d.turns(job)) for job in jobs)
    d.expect(begun == 1, f"{begun} runs of two agents are under way, there is room for one")


@requirement("CS-RUN-009")
@pytest.mark.cronsession_config(maxConcurrentRuns=1)
def test_a_start_by_hand_waits_in_line(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("trigger")
    slot = _hour(d)
    first, second, third = (d.add(_at(slot, minute), **long_timeout(d)) for minute in (0, 5, 10))
    by_hand = d.add(**long_timeout(d))
    for job, minute in ((first, 20), (second, 30), (by_hand, 40)):
        d.answers(job, hold(slot + minute * MINUTE))
    d.advance_to(slot + 7 * MINUTE)
    if not d.trigger(by_hand).started:
        d.pass_over("a start by hand that has no room is refused, which is another requirement's question")
    for minute, right in ((25, [1, 0, 0]), (35, [1, 1, 0]), (45, [1, 1, 1])):
        d.advance_to(slot + minute * MINUTE)
        got = [len(d.turns(job)) for job in (second, by_hand, third)]
        d.expect(
            got == right,
            f"what fell due first starts first: of {instant(slot + 5 * MINUTE)}, by hand two minutes later, and of "
            f"{instant(slot + 10 * MINUTE)}; at {instant(d.now)} these have begun: {got}",
        )


@requirement("CS-RUN-021")
@pytest.mark.cronsession_config(maxConcurrentRuns=1)
def test_waiting_by_hand_is_no_time_of_the_run(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("trigger")
    slot = _hour(d)
    first, by_hand = d.add(HOURLY, **long_timeout(d)), d.add(timeoutMs=10 * MINUTE)
    d.answers(first, hold(slot + 30 * MINUTE))
    d.answers(by_hand, hold(slot + 37 * MINUTE))
    d.advance_to(slot + 5 * MINUTE)
    if not d.trigger(by_hand).started:
        d.pass_over("a start by hand that has no room is refused, which is another requirement's question")
    d.advance_to(slot + 45 * MINUTE)
    states = [turn.state for turn in d.turns(by_hand)]
    d.expect(
        states == ["answered"],
        "a run by hand with a timeoutMs of 10 minutes waited 25 minutes for room and was answered 7 minutes after "
        f"that; its requests are {states}",
    )


# --- how long runs are listed ----------------------------------------------------------------------------


@requirement("CS-RUN-016")
@pytest.mark.cronsession_config(runHistory={"maxRuns": 3})
def test_a_run_under_way_is_not_counted(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(**long_timeout(d))
    made: list[str] = []
    for _ in range(4):
        made.append(d.told(d.run_now(job).run, "a run that has just ended").id)
        d.advance(minutes=1)
    d.answers(job, hold())
    begin(d, job)
    d.advance_to(d.now + sweep_ms(d))
    left = [run.id for run in d.runs(job) if run.id in made]
    running = [run.id for run in d.runs(job) if not run.finished]
    end_held(d, job)
    d.expect(
        sorted(left) == sorted(made[-3:]) and len(running) == 1,
        f"maxRuns is 3, four runs have ended and a fifth is under way; listed are {len(left)} and {len(running)}",
    )


@requirement("CS-RUN-022")
@pytest.mark.cronsession_config(runHistory={"maxAgeMs": 100 * MINUTE})
def test_the_age_of_a_run_is_that_of_its_start(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job, began = d.add(**long_timeout(d)), d.now
    d.answers(job, hold(began + 50 * MINUTE))
    begin(d, job)
    d.advance_to(began + 55 * MINUTE)
    run = d.told(next((r for r in d.runs(job) if r.finished), None), "a run that has ended")
    d.advance_to(began + 100 * MINUTE + sweep_ms(d) + 1)
    there = any(r.id == run.id for r in d.runs(job))
    d.expect(
        not there,
        f"a run that began at {instant(began)} and took 50 minutes is listed at {instant(d.now)}, maxAgeMs is 100 "
        "minutes from its start",
    )


@requirement("CS-RUN-001")
@pytest.mark.cronsession_config(runHistory={"maxAgeMs": 20 * MINUTE})
def test_a_run_under_way_is_listed_however_old_it_is(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("run.history", "clock.advance")
    job = d.add(**long_timeout(d))
    d.answers(job, hold())
    begin(d, job)
    d.advance(minutes=50)
    waits, listed = d.model.held_turns(), [run.status for run in d.runs(job)]
    end_held(d, job)
    d.expect(
        not waits or listed == ["running"],
        f"a run has been under way for 50 minutes, maxAgeMs is 20; it is listed as {listed}",
    )
