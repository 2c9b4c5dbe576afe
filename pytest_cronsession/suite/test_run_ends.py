"""What runs of every target come to, what is said of them meanwhile and afterwards, and for how long."""

from __future__ import annotations

from typing import Any

import pytest

from ..driver import Driver, Handle, cron, every
from ..model import ERROR, HANG, OK, TRANSIENT, hold
from ..oracle import MINUTE, cron_slots
from ..requirement import requirement
from ..trace import instant
from .kit import begin, end_held, long_timeout, to_the_next_run, under_way

pytestmark = pytest.mark.cronsession_tier("full")
last = pytest.mark.cronsession_last
TARGETS = ("named", "main")
each_target = pytest.mark.parametrize("target", TARGETS)


def _in(d: Driver, target: str, schedule: dict[str, Any] | None = None, **members: Any) -> Handle:
    """A job whose runs are in a session that lasts."""
    d.require(f"session.{target}")
    name = d.fresh_name("lasting") if target == "named" else None
    return d.add(schedule, target=target, name=name, **members)


@requirement("CS-RUN-001")
@each_target
def test_runs_in_any_session_are_listed_as_what_became_of_them(
    cronsession_driver: Driver, target: str
) -> None:
    d = cronsession_driver
    job = _in(d, target, **long_timeout(d))
    for answer, right in ((OK, "ok"), (ERROR, "error")):
        d.answers(job, answer)
        run = d.told(d.run_now(job).run, "a run that has just ended")
        d.expect(
            run.status == right, f"a run of target {target} came to {right}, it is listed as {run.status}"
        )
    if d.hello.realtime:
        return
    d.answers(job, hold())
    begin(d, job)
    told = [run.status for run in d.runs(job) if run.status not in ("ok", "error")] or ["ok"]
    waits = d.model.held_turns()
    end_held(d, job)
    d.expect(
        not waits or told == ["running"],
        f"a run of target {target} waits for the model, it is listed as {told[0]}",
    )


@requirement("CS-RUN-002")
@each_target
def test_runs_in_any_session_have_their_time_out(cronsession_driver: Driver, target: str) -> None:
    d = cronsession_driver
    job = _in(d, target, every(minutes=30), timeoutMs=5 * MINUTE)
    d.answers(job, HANG)
    to_the_next_run(d, job)
    ran = len(d.turns(job))
    d.expect(ran == 1, f"a job of target {target} had {ran} runs at its slot")
    d.advance(minutes=5, milliseconds=d.hello.late_by_ms + d.hello.resolution_ms)
    d.expect(
        not d.model.open_turns(), f"a run of target {target} exceeded its timeoutMs, and its request is open"
    )
    to_the_next_run(d, job)
    d.expect(
        len(d.turns(job)) == 2, f"after a time-out a job of target {target} did not run at its next slot"
    )


@requirement("CS-RUN-003")
@each_target
def test_no_second_start_in_any_session(cronsession_driver: Driver, target: str) -> None:
    d = cronsession_driver
    d.require("clock.advance")
    job = _in(d, target, **long_timeout(d))
    d.answers(job, hold())
    begin(d, job)
    answer = d.trigger(job)
    d.advance()
    end_held(d, job)
    d.advance(minutes=1)
    d.expect(not answer.started, f"a job of target {target} was started by hand while its run is under way")
    d.expect(len(d.turns(job)) == 1, f"the refused start of a job of target {target} reached the model")


@requirement("CS-RUN-007")
def test_a_repetition_tells_the_slot_that_it_repeats(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("job.retry", "schedule.cron")
    job = d.add(cron("0 * * * *", "UTC"), retry={"maxRetries": 1, "backoffMs": [7 * MINUTE]})
    d.answers(job, always=TRANSIENT)
    slot = to_the_next_run(d, job)
    d.advance_to(slot + 15 * MINUTE)
    told = [run.slot_ms for run in d.runs(job) if run.started_ms is not None and run.slot_ms is not None]
    if not told:
        d.not_observed("no run is listed with its slot")
    d.expect(
        set(told) == {slot},
        f"a slot of {instant(slot)} was tried again; its runs tell the slots {[instant(t) for t in told]}",
    )


@requirement("CS-RUN-007")
@last
def test_a_late_run_tells_a_slot_that_was_missed(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("restart", "schedule.cron")
    job = d.add(cron("*/10 * * * *", "UTC"))
    d.advance_to(to_the_next_run(d, job) + MINUTE)
    began = d.now
    known = {run.id for run in d.runs(job)}
    d.stop()
    d.start({"minutes": 34})
    missed = cron_slots("*/10 * * * *", "UTC", began, d.now)
    d.advance(minutes=4)
    late = [run for run in d.runs(job) if run.id not in known and run.started_ms is not None]
    told = [run.slot_ms for run in late if run.slot_ms is not None]
    d.expect(
        set(told) <= set(missed),
        f"missed were the slots {[instant(t) for t in missed]}, late runs tell {[instant(t) for t in told]}",
    )


@requirement("CS-RUN-001")
def test_runs_are_listed_for_weeks(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("clock.advance")
    if d.budget.limited:
        d.pass_over("weeks are long on a gateway that costs real time")
    # A coarse clock may tell that it started a little before.
    job, began = d.add(target="isolated"), max(0, d.now - d.hello.resolution_ms)
    run = d.told(d.run_now(job).run, "a run that has just ended")
    d.advance(days=40)
    listed = [r.id for r in d.runs(job, since_ms=began)]
    d.expect(listed == [run.id], f"a job ran once, 40 days ago; {len(listed)} runs are listed")


@requirement("CS-RUN-001")
def test_a_hundred_runs_of_each_job_are_listed(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("schedule.every", "clock.advance")
    if d.budget.limited:
        d.pass_over("two hundred runs are too many on a gateway that costs real time")
    jobs, began = [d.add(every(minutes=1), target="isolated") for _ in range(2)], d.now
    d.advance(minutes=99, seconds=30)
    for job in jobs:
        made, listed = len(d.turns(job)), len(d.runs(job, since_ms=max(0, began - 1000)))
        d.expect(listed == made, f"a job ran {made} times, and {listed} of its runs are listed")


@requirement("CS-RUN-004")
@pytest.mark.parametrize("kind", ["run", "rest"])
def test_what_was_passed_over_is_not_due(cronsession_driver: Driver, kind: str) -> None:
    d = cronsession_driver
    d.require("schedule.every", "clock.advance", *(["job.update", "job.disable"] if kind == "rest" else []))
    if kind == "run":
        d.require_policy("overlap", "skip")
    job = d.add(every(minutes=30), **long_timeout(d))
    if kind == "run":
        d.answers(job, hold())
        to_the_next_run(d, job)
        d.advance(minutes=45)
        end_held(d, job)
    else:
        to_the_next_run(d, job)
        d.edit(job, enabled=False)
        d.advance(minutes=75)
        d.edit(job, enabled=True)
    ran = len(d.turns(job))
    answer = d.trigger(job, mode="due")
    d.advance()
    d.expect(
        not answer.started and len(d.turns(job)) == ran,
        f"a start limited to due jobs started one whose slot had passed during its {kind}",
    )


@requirement("CS-RUN-001")
@pytest.mark.parametrize("how", ["ok", "error"])
def test_nothing_ends_twice(cronsession_driver: Driver, how: str) -> None:
    d = cronsession_driver
    d.require("run.cancel")
    job = d.add(target="isolated")
    d.answers(job, ERROR if how == "error" else OK)
    run = d.told(d.run_now(job).run, "a run that has just ended")
    # That there is nothing to cancel may be an answer or a refusal.
    d.attempt("run/cancel", {"id": run.id})
    d.settle(lambda: True)
    told = [r.status for r in d.runs(job)]
    d.expect(told == [how], f"a run had ended ({how}) when somebody cancelled it, and is listed as {told}")


@requirement("CS-RUN-005")
def test_a_cancel_stops_no_other_run(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("trigger")
    jobs = [d.add(**long_timeout(d)) for _ in range(2)]
    for job in jobs:
        d.answers(job, hold())
        begin(d, job)
    if d.model.held_turns() != 2:
        end_held(d, *jobs)
        d.pass_over("two runs are not under way at a time, which is another requirement's question")
    d.cancel(under_way(d, jobs[0]).id)
    d.advance(seconds=10)
    left, statuses = d.model.held_turns(), [r.status for r in d.runs(jobs[1])]
    end_held(d, *jobs)
    d.expect(
        left == 1 and statuses == ["running"],
        f"one of two runs was cancelled; {left} requests are open, and the other run is listed as {statuses}",
    )


@requirement("CS-RUN-005")
def test_a_run_that_waits_for_its_session_can_be_cancelled(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("trigger", "session.named")
    name = d.fresh_name("queue")
    first, second = (d.add(target="named", name=name, **long_timeout(d)) for _ in range(2))
    d.answers(first, hold())
    begin(d, first)
    started = d.trigger(second).started
    d.advance()
    run = next((r for r in d.runs(second) if not r.finished), None)
    if not started or run is None or d.turns(second):
        end_held(d, first)
        d.pass_over("no run that waits for its session is listed as under way")
    assert run is not None
    d.cancel(run.id)
    d.advance(seconds=10)
    told = [r.status for r in d.runs(second)]
    end_held(d, first)
    d.advance(seconds=10)
    d.expect(
        not d.turns(second) and told not in (["running"], ["ok"]),
        f"a run was cancelled while it waited for its session, and reached the model later; it was listed as {told}",
    )


@requirement("CS-RUN-006")
def test_a_run_under_way_has_no_end(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(every(minutes=30), **long_timeout(d))
    d.answers(job, hold())
    to_the_next_run(d, job)
    d.advance(minutes=5)
    told = under_way(d, job).ended_ms
    end_held(d, job)
    d.expect(
        told is None, f"a run is under way at {instant(d.now)}, and is told to have ended at {instant(told)}"
    )
