"""Edits and removals while a run waits for room or for its repetition; what late runs and edits do to counts of failures."""

from __future__ import annotations

from typing import Any

import pytest

from ..driver import Driver, Handle, cron, every
from ..model import ERROR, HANG, OK, TRANSIENT, hold, tag_text
from ..oracle import DAY, MINUTE, cron_slots
from ..requirement import requirement
from .kit import accounted_for, long_timeout, said_to, to_the_next_run

pytestmark = pytest.mark.cronsession_tier("full")
last = pytest.mark.cronsession_last
HOUR = 60 * MINUTE


# --- runs that wait ---------------------------------------------------------------------------------------


def _waits_for_room(d: Driver) -> tuple[Handle, int]:
    """A job whose run waits for room, and the instant at which there will be room."""
    d.require("schedule.cron", "clock.advance")
    slot = cron_slots("0 * * * *", "UTC", d.now, d.now + DAY)[0]
    hour = slot // HOUR % 24
    first, second = (d.add(cron(f"{minute} {hour} * * *", "UTC"), **long_timeout(d)) for minute in (0, 5))
    d.answers(first, hold(slot + 20 * MINUTE))
    d.advance_to(slot + 10 * MINUTE)
    if len(d.turns(first)) != 1 or d.turns(second):
        d.pass_over("no run waits for room, which is another requirement's question")
    return second, slot + 20 * MINUTE


@requirement("CS-JOB-014")
@pytest.mark.cronsession_config(maxConcurrentRuns=1)
def test_a_removed_job_has_no_place_in_the_line(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("run.concurrency", "job.remove")
    job, room = _waits_for_room(d)
    d.remove(job)
    d.advance_to(room + 20 * MINUTE)
    d.expect(not d.turns(job), "a job was removed while its run waited for room, and it ran when there was")


@requirement("CS-SCH-007")
@pytest.mark.cronsession_config(maxConcurrentRuns=1)
def test_a_disabled_job_has_no_place_in_the_line(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("run.concurrency", "job.update", "job.disable")
    job, room = _waits_for_room(d)
    if d.update(job, enabled=False).rejected is not None:
        d.pass_over("the gateway refuses to disable a job whose run waits for room")
    d.advance_to(room + 20 * MINUTE)
    d.expect(not d.turns(job), "a job was disabled while its run waited for room, and it ran when there was")


@requirement("CS-RUN-002")
def test_a_long_time_out_is_no_shorter_one(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("schedule.every", "clock.advance")
    write, job = d.try_add(every(hours=30), timeoutMs=20 * HOUR)
    if job is None or accounted_for(write, "timeoutMs"):
        d.pass_over("the gateway does not take so long a time-out, and the write says so")
    assert job is not None
    d.answers(job, always=HANG)
    to_the_next_run(d, job)
    if d.model.held_turns() != 1:
        d.pass_over("the run did not begin, which is another requirement's question")
    d.advance(hours=19)
    left = d.model.held_turns()
    d.advance(hours=1, seconds=10)
    d.expect(left == 1, "a run with a timeoutMs of 20 hours was ended within 19")
    d.expect(not d.model.open_turns(), "a run with a timeoutMs of 20 hours was not ended by then")


@requirement("CS-RUN-010")
def test_a_slot_may_have_many_repetitions(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("schedule.every", "clock.advance")
    write, job = d.try_add(every(hours=2), retry={"maxRetries": 6, "backoffMs": [2 * MINUTE, 5 * MINUTE]})
    if job is None or accounted_for(write, "retry"):
        d.pass_over("the gateway does not take so many repetitions, and the write says so")
    assert job is not None
    d.answers(job, always=TRANSIENT)
    slot = to_the_next_run(d, job)
    late = d.hello.lateness_ms + d.hello.resolution_ms
    for count in range(1, 7):
        seen = len(d.turns(job))
        # The first wait is of two minutes, the last one holds for the rest.
        d.advance_to(slot + (5 * count - 3) * MINUTE + (count + 2) * late)
        d.expect(
            len(d.turns(job)) > seen,
            f"a slot with maxRetries 6 failed {count} times for a passing reason, and was not repeated after its wait",
        )
    seen = len(d.turns(job))
    d.advance_to(slot + 100 * MINUTE)
    d.expect(len(d.turns(job)) == seen, "a slot with maxRetries 6 was repeated a seventh time")


# --- counts of failures -----------------------------------------------------------------------------------


def _counting(d: Driver, most: int, minutes: int = 10, **more: Any) -> Handle:
    """A job whose runs fail, and which so many failures disable."""
    d.require("job.autoDisable", "schedule.every", "clock.advance")
    retry: dict[str, Any] = {"retry": {"maxRetries": 0}} if d.has("job.retry") else {}
    job = d.add(every(minutes=minutes), maxFailures=most, **retry, **more)
    d.answers(job, always=ERROR)
    return job


@requirement("CS-RUN-013")
@pytest.mark.parametrize("case", ["days", "main"])
def test_failures_of_other_jobs_count_as_well(cronsession_driver: Driver, case: str) -> None:
    d = cronsession_driver
    if case == "main":
        d.require("session.main")
    job = _counting(d, 2, 27 * 60) if case == "days" else _counting(d, 2, target="main")
    for _ in range(2):
        to_the_next_run(d, job)
        d.advance(seconds=10)
    d.expect(
        not d.stored(job).enabled,
        f"two slots in a row failed ({case}), and that did not disable a job with maxFailures 2",
    )


@requirement("CS-RUN-015")
@pytest.mark.parametrize("case", ["timeout", "agent"])
def test_people_are_told_however_a_job_failed(cronsession_driver: Driver, case: str) -> None:
    d = cronsession_driver
    d.require("run.timeout" if case == "timeout" else "agents")
    job = _counting(d, 2, **({"timeoutMs": MINUTE} if case == "timeout" else {"agent": "work"}))
    if case == "timeout":
        d.answers(job, always=HANG)
    d.advance(minutes=35)
    if d.stored(job).enabled:
        d.pass_over("the failures did not disable the job, which is another requirement's question")
    told = [n for n in d.notices() if n.get("kind") == "autoDisabled" and n.get("jobId") == job.id]
    d.expect(len(told) == 1, f"{len(told)} notices tell of a job that its failures disabled ({case})")


@requirement("CS-RUN-013")
def test_a_new_name_leaves_the_count_of_failures(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("job.update")
    job = _counting(d, 3)
    for count in range(3):
        to_the_next_run(d, job)
        if count < 2:
            d.edit(job, name=f"failed {count + 1} times")
    d.advance(seconds=10)
    d.expect(
        not d.stored(job).enabled,
        "three slots in a row failed, with new names between, and that did not disable a job with maxFailures 3",
    )


@requirement("CS-JOB-003")
def test_a_new_name_enables_nothing(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("job.autoDisable", "job.update")
    job = _counting(d, 1)
    to_the_next_run(d, job)
    d.advance(seconds=10)
    if d.stored(job).enabled:
        d.pass_over("the failure did not disable the job, which is another requirement's question")
    ran = len(d.turns(job))
    d.edit(job, name="another name")
    stored = d.stored(job)
    d.expect(
        not stored.enabled and stored.next_run_ms is None,
        "a job that its failures disabled got a new name, and is enabled",
    )
    d.advance(hours=1)
    d.expect(len(d.turns(job)) == ran, "a job that its failures disabled got a new name, and ran by schedule")


def _one_late_run(d: Driver, job: Handle) -> None:
    """Let one slot of an interval of 10 minutes pass while the gateway is down; stop if it is not made up for."""
    d.require("restart")
    seen = len(d.turns(job))
    d.advance(minutes=6)
    d.stop()
    d.start({"minutes": 7})
    d.advance(seconds=1)
    # A gateway may take its time with what it missed.
    d.advance(minutes=4)
    if len(d.turns(job)) != seen + 1:
        d.pass_over("the missed slot was not made up for by one run, which is another requirement's question")


@requirement("CS-RUN-013")
@last
def test_a_late_run_that_fails_is_a_failure(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = _counting(d, 2)
    to_the_next_run(d, job)
    _one_late_run(d, job)
    d.expect(
        not d.stored(job).enabled,
        "a slot failed, and the one after it when it was made up for; that did not disable a job with maxFailures 2",
    )


@requirement("CS-RUN-014")
@last
def test_a_late_run_that_is_answered_ends_the_row(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = _counting(d, 2)
    to_the_next_run(d, job)
    d.answers(job, always=OK)
    _one_late_run(d, job)
    d.answers(job, always=ERROR)
    to_the_next_run(d, job)
    d.advance(seconds=10)
    d.expect(
        d.stored(job).enabled,
        "between two slots that failed one was answered when it was made up for, and a job with maxFailures 2 was disabled",
    )


@requirement("CS-RUN-015")
@last
def test_people_are_told_once_whatever_starts_come(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("restart")
    job = _counting(d, 1)
    to_the_next_run(d, job)
    d.advance(seconds=10)
    for _ in range(2):
        d.restart()
        d.advance(minutes=1)
    told = [n for n in d.notices() if n.get("kind") == "autoDisabled" and n.get("jobId") == job.id]
    d.expect(
        len(told) <= 1,
        f"{len(told)} notices tell of a job that its failures disabled once, before two starts",
    )


# --- the ends of a text -----------------------------------------------------------------------------------

_BEGINNINGS = {
    "slash": "/new words",
    "blanks": "  Two blanks",
    "line": "\n\nThird line",
    "mark": "!ls or # not",
}


@requirement("CS-JOB-024")
@pytest.mark.parametrize("kind", [*_BEGINNINGS, "trailing"])
def test_a_text_is_not_trimmed(cronsession_driver: Driver, kind: str) -> None:
    d = cronsession_driver
    if kind == "trailing":
        d.require("job.update")
        job: Handle | None = d.add()
        assert job is not None
        sent = tag_text("Words, and then", job.tag) + "  \n"
        taken = d.update(job, payload={"kind": "agentTurn", "text": sent}).rejected is None
    else:
        _, job = d.try_add(text=_BEGINNINGS[kind])
        sent, taken = tag_text(_BEGINNINGS[kind], job.tag if job else ""), job is not None
    if not taken or job is None:
        d.witness()
        return
    said = said_to(d.evidence(job))
    d.expect(
        any(sent in content for content in said), f"{sent!r} did not reach the model unchanged: {said[-1:]!r}"
    )
