"""What is promised of a run holds whichever way it came about: at its slot, as a repetition, late, or by hand."""

from __future__ import annotations

from typing import Any

import pytest

from ..driver import Driver, Handle, cron, every
from ..model import ERROR, HANG, OK, TRANSIENT, hold
from ..oracle import DAY, MINUTE, cron_slots
from ..requirement import requirement
from ..trace import instant
from .kit import end_held, ends_badly, long_timeout, next_run, to_the_next_run

pytestmark = pytest.mark.cronsession_tier("full")
last = pytest.mark.cronsession_last
WAYS = ("slot", "repetition", "late")
each_way = pytest.mark.parametrize("way", WAYS)


def _waiting(d: Driver, way: str, **members: Any) -> tuple[Handle, int]:
    """A job with a run that came about this way and waits for the model; before when it cannot have begun."""
    d.require("schedule.every", "clock.advance")
    if way == "repetition":
        d.require("job.retry")
        members["retry"] = {"maxRetries": 1, "backoffMs": [5 * MINUTE]}
    job = d.add(every(minutes=30), **members)
    d.answers(job, *([TRANSIENT] if way == "repetition" else []), always=HANG)
    if way == "late":
        d.require("restart")
        d.stop()
        d.start({"minutes": 35})
        since = d.now
        # A gateway may take its time with what it missed.
        d.advance(minutes=4)
    else:
        since = to_the_next_run(d, job)
    if way == "repetition":
        since += 5 * MINUTE
        d.advance_to(d.now + 5 * MINUTE + d.hello.late_by_ms)
    if way == "slot":
        d.expect(d.model.held_turns() == 1, "the run did not start at its slot")
    elif not d.model.held_turns():
        d.pass_over(f"there is no run of this kind ({way}), which is another requirement's question")
    return job, since - d.hello.resolution_ms


@requirement("CS-RUN-002")
@last
@each_way
def test_every_run_has_its_time_out(cronsession_driver: Driver, way: str) -> None:
    d = cronsession_driver
    job, _ = _waiting(d, way, timeoutMs=5 * MINUTE)
    d.advance_to(d.now + 5 * MINUTE + d.hello.late_by_ms + d.hello.resolution_ms)
    d.expect(
        not d.model.open_turns(),
        f"a run ({way}) exceeded its timeoutMs, and its request to the model is open",
    )
    d.answers(job, always=OK)
    seen = len(d.turns(job))
    to_the_next_run(d, job)
    d.expect(len(d.turns(job)) > seen, f"after a run ({way}) that timed out the job does not run at its slot")


@requirement("CS-RUN-003")
@last
@each_way
def test_no_start_by_hand_beside_a_run(cronsession_driver: Driver, way: str) -> None:
    d = cronsession_driver
    job, _ = _waiting(d, way, **long_timeout(d))
    seen = len(d.turns(job))
    answer = d.trigger(job)
    d.advance()
    d.expect(not answer.started, f"a job was started by hand while a run of it ({way}) was under way")
    d.expect(
        len(d.turns(job)) == seen,
        f"a job was started by hand while a run of it ({way}) was under way, and the model heard of it",
    )


@requirement("CS-RUN-005")
@last
@each_way
def test_every_run_can_be_cancelled(cronsession_driver: Driver, way: str) -> None:
    d = cronsession_driver
    job, _ = _waiting(d, way, **long_timeout(d))
    running = [r for r in d.runs(job) if not r.finished]
    d.expect(
        len(running) == 1, f"a run ({way}) waits for the model, and {len(running)} are listed as running"
    )
    d.cancel(running[0].id)
    d.advance()
    d.expect(not d.model.open_turns(), f"a run ({way}) was cancelled, and its request to the model is open")


@requirement("CS-RUN-001")
@last
@pytest.mark.parametrize("case", ["overlap", "downtime", "stop", "crash", "trouble"])
def test_no_run_is_ok_that_was_not_answered(cronsession_driver: Driver, case: str) -> None:
    d = cronsession_driver
    d.require("schedule.every", "clock.advance")
    if case == "trouble":
        d.require("job.retry")
        retry: dict[str, Any] = {"retry": {"maxRetries": 1, "backoffMs": [5 * MINUTE]}}
    else:
        retry = {}
    job = d.add(every(minutes=10), **retry, **long_timeout(d))
    d.answers(job, *([TRANSIENT] if case == "trouble" else []), always=OK if case == "downtime" else hold())
    to_the_next_run(d, job)
    if case == "overlap":
        d.advance(minutes=25)
        end_held(d, job)
    elif case == "trouble":
        d.advance(minutes=6)
    elif case == "crash":
        d.require("crash")
        d.crash()
    else:
        d.require("restart")
        d.stop()
        d.start({"minutes": 35 if case == "downtime" else 0})
    d.advance(minutes=4)
    end_held(d, job)
    d.advance(seconds=1)
    ok = [r for r in d.runs(job) if r.status == "ok"]
    answered = sum(turn.state == "answered" for turn in d.turns(job))
    d.expect(len(ok) <= answered, f"{len(ok)} runs are listed as ok and {answered} were answered ({case})")


@requirement("CS-RUN-004")
def test_what_is_nearly_due_is_not_due(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("schedule.every", "clock.advance")
    if d.hello.resolution_ms > 1000:
        d.pass_over("on so coarse a clock a slot in ten seconds may be due")
    job = d.add(every(minutes=30))
    d.advance_to(to_the_next_run(d, job) + 30 * MINUTE - 10_000)
    seen = len(d.turns(job))
    answer = d.trigger(job, mode="due")
    d.advance()
    d.expect(
        not answer.started and len(d.turns(job)) == seen,
        "a manual start limited to due jobs started one ten seconds before its slot",
    )


@requirement("CS-RUN-019")
@last
@pytest.mark.parametrize("after", ["failure", "restart"])
def test_a_slot_had_its_run_whatever_came_then(cronsession_driver: Driver, after: str) -> None:
    d = cronsession_driver
    d.require("schedule.every", "clock.advance")
    job = d.add(every(minutes=30), **({"retry": {"maxRetries": 0}} if d.has("job.retry") else {}))
    if after == "failure":
        d.answers(job, ERROR)
    to_the_next_run(d, job)
    seen = len(d.turns(job))
    d.expect(seen > 0, "a job did not run at its slot")
    if after == "restart":
        d.require("restart")
        d.restart()
    answer = d.trigger(job, mode="due")
    d.advance()
    d.expect(
        not answer.started and len(d.turns(job)) == seen,
        f"a manual start limited to due jobs started one for a slot that had its run (before a {after})"
        if after == "restart"
        else "a manual start limited to due jobs started one for a slot whose run failed",
    )


@requirement("CS-RUN-006")
@last
@pytest.mark.parametrize("way", ["repetition", "late"])
def test_a_run_that_is_not_at_its_slot_tells_when_it_began(cronsession_driver: Driver, way: str) -> None:
    d = cronsession_driver
    job, since = _waiting(d, way, **long_timeout(d))
    running = [r for r in d.runs(job) if not r.finished]
    if way == "repetition" and sum(r.started_ms is not None for r in d.runs(job)) < 2:
        d.pass_over("the request was sent again within its run")
    told = running[-1].started_ms if running else None
    d.expect(
        told is not None and since <= told <= d.now,
        f"a run ({way}) began between {instant(since)} and {instant(d.now)}, its startedAtMs is {instant(told)}",
    )


@requirement("CS-RUN-007")
def test_a_staggered_run_is_told_with_its_own_slot(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("schedule.stagger")
    job = d.add({**cron("0 * * * *", "UTC"), "staggerMs": 50 * MINUTE})
    slot = to_the_next_run(d, job)
    told = [r.slot_ms for r in d.runs(job) if r.started_ms is not None and r.slot_ms is not None]
    if not told:
        d.not_observed("no run is listed with its slot")
    d.expect(
        all(abs(at - slot) <= d.hello.resolution_ms for at in told),
        f"the staggered slot was {instant(slot)}, its run tells {instant(told[0])}",
    )


@requirement("CS-RUN-009")
@last
@pytest.mark.cronsession_config(maxConcurrentRuns=1)
@pytest.mark.parametrize("how", ["error", "timeout", "cancel"])
def test_a_run_that_ended_badly_leaves_its_room(cronsession_driver: Driver, how: str) -> None:
    d = cronsession_driver
    d.require(*{"timeout": ["run.timeout"], "cancel": ["run.cancel", "run.list"]}.get(how, []))
    d.require("trigger", "schedule.every")
    limit: dict[str, Any] = {"timeoutMs": MINUTE} if how == "timeout" else {}
    ill = d.add(**limit)
    well = d.add(every(minutes=30))
    ends_badly(d, ill, how)
    to_the_next_run(d, well)
    d.expect(
        len(d.turns(well)) == 1,
        f"under maxConcurrentRuns 1 a run ended ({how}), and the next one did not start",
    )


@requirement("CS-SCH-014")
@pytest.mark.cronsession_host("Asia/Kolkata")
def test_utc_is_a_zone_too(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    slot = cron_slots("40 9 * * *", "UTC", d.now, d.now + 2 * DAY)[0]
    for tz in ("UTC", "Etc/UTC"):
        told = next_run(d, d.add(cron("40 9 * * *", tz)))
        d.expect(
            told == slot, f"a job at 9:40 in {tz} on a host in Asia/Kolkata is to run at {instant(told)}"
        )
