"""Runs: one entry each, honest outcomes, time-outs, and manual starts that are refused."""

from __future__ import annotations

from typing import Any

import pytest

from ..driver import Driver, every
from ..model import ERROR, HANG, hold
from ..oracle import MINUTE
from ..requirement import requirement
from ..trace import instant
from .kit import end_held, next_run


@requirement("CS-RUN-001")
def test_every_run_is_listed_once_and_honestly(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(target="isolated")
    good = d.run_now(job).run
    d.expect(good is not None and good.status == "ok", f"an answered run is listed as {good and good.status}")
    d.answers(job, ERROR)
    bad = d.run_now(job).run
    d.expect(
        bad is not None and bad.status == "error",
        f"a run that the model refused is listed as {bad and bad.status}",
    )
    runs = d.runs(job)
    d.expect(len({r.id for r in runs}) == len(runs), "two listed runs have one id")
    answered = sum(t.state == "answered" for t in d.turns(job))
    ok = sum(r.status == "ok" for r in runs)
    d.expect(ok == answered, f"{answered} turn(s) were answered, {ok} run(s) are listed as ok")


@requirement("CS-RUN-001")
def test_every_scheduled_run_is_listed(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("schedule.every", "clock.advance")
    job = d.add(every(minutes=10), target="isolated")
    d.answers(job, ERROR)
    d.advance(minutes=35)
    turns = d.turns(job)
    statuses = [r.status for r in d.runs(job) if r.started_ms is not None]
    answered = sum(t.state == "answered" for t in turns)
    d.expect(
        sorted(statuses) == sorted(["ok"] * answered + ["error"] * (len(turns) - answered)),
        f"of {len(turns)} scheduled runs {answered} were answered; they are listed as {statuses}",
    )


@requirement("CS-RUN-001")
@pytest.mark.cronsession_tier("full")
def test_no_slot_is_listed_that_was_not_passed_over(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("schedule.every", "clock.advance")
    job = d.add(every(minutes=10), target="isolated")
    d.advance(minutes=25)
    if d.has("job.update", "job.disable"):
        # What falls due meanwhile has no outcome.
        d.edit(job, enabled=False)
        d.advance(minutes=25)
        d.edit(job, enabled=True)
        d.advance(minutes=15)
    never = [(r.status, instant(r.slot_ms)) for r in d.runs(job) if r.status in ("missed", "skipped")]
    d.expect(not never, f"no slot was missed or fell due during a run; listed are {never}")


@requirement("CS-RUN-001")
def test_a_cancelled_run_is_not_ok(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("run.cancel", "clock.advance")
    job = d.add(target="isolated")
    d.answers(job, HANG)
    d.trigger(job)
    d.advance()
    run = next((r for r in d.runs(job) if not r.finished), None)
    if run is None:
        d.fail("a run that waits for the model is not listed as running")
    assert run is not None
    d.cancel(run.id)
    d.advance()
    statuses = [r.status for r in d.runs(job)]
    d.expect("ok" not in statuses, f"a run that was cancelled is listed as {statuses}")


@requirement("CS-RUN-002")
def test_a_timed_out_run_ends_and_frees_the_job(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(every(minutes=10), timeoutMs=MINUTE)
    slot = next_run(d, job)
    d.answers(job, HANG)
    d.advance_to(slot + MINUTE - 2_000)
    d.expect(len(d.turns(job)) == 1, "the run did not start at its slot")
    d.expect(not any(r.finished for r in d.runs(job)), "the run ended before its time-out")
    d.advance_to(slot + MINUTE + d.hello.lateness_ms + d.hello.resolution_ms)
    runs = d.runs(job)
    statuses = [r.status for r in runs]
    d.expect(
        statuses in (["timeout"], ["error"]),
        f"at its time-out ({instant(d.now)}) the run is listed as {statuses}",
    )
    d.expect(
        not d.model.open_turns(), "the run is listed as ended and its request to the model is still open"
    )
    upcoming = d.stored(job).next_run_ms
    d.expect(
        upcoming is not None and upcoming > d.now,
        f"after a timed-out run the job has no run to come: {instant(upcoming)}",
    )
    assert upcoming is not None
    d.advance_to(upcoming + d.hello.late_by_ms)
    d.expect(len(d.turns(job)) >= 2, "after a timed-out run the job did not run at its next slot")


@requirement("CS-RUN-003")
@pytest.mark.parametrize("enabled", [True, False], ids=["enabled", "disabled"])
def test_a_second_start_during_a_run_is_refused(cronsession_driver: Driver, enabled: bool) -> None:
    d = cronsession_driver
    if not enabled:
        d.require("job.disable")
    more: dict[str, Any] = {} if enabled else {"enabled": False}
    job = d.add(target="isolated", **more)
    d.answers(job, hold())
    first = d.trigger(job)
    d.expect(first.started, f"the first manual start was refused: {first.reason}")
    if d.hello.realtime:
        d.model.wait_for(lambda: bool(d.turns(job)), timeout=60)
    else:
        d.advance()
    d.expect(len(d.turns(job)) == 1, "the first run did not reach the model")
    second = d.trigger(job)
    d.expect(not second.started, "a second manual start was accepted while the run is under way")
    d.model.release(job.tag)
    d.settle(lambda: d.model.open_turns() == 0)
    d.expect(len(d.turns(job)) == 1, "the refused start reached the model all the same")


@requirement("CS-RUN-003")
def test_of_two_starts_at_once_one_is_refused(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("clock.advance")
    job = d.add(target="isolated")
    d.answers(job, hold())
    start: tuple[str, dict[str, Any]] = ("job/trigger", {"id": job.id, "mode": "force"})
    answers = d.together(start, start)
    d.advance()
    started, turns = sum(bool(answer["started"]) for answer in answers), len(d.turns(job))
    end_held(d, job)
    d.expect(
        started == 1, f"of two manual starts of a job at once {started} were accepted, its runs take long"
    )
    d.expect(turns == 1, f"two manual starts of a job at once reached the model {turns} times")


@requirement("CS-RUN-003")
def test_a_start_beside_a_slot_makes_one_run(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("schedule.every", "clock.advance")
    job = d.add(every(minutes=10), target="isolated")
    slot = next_run(d, job)
    due = slot + d.hello.late_by_ms
    d.advance_to(max(d.now, slot - MINUTE))
    answers = d.together(("clock/advance", {"toMs": due}), ("job/trigger", {"id": job.id, "mode": "force"}))
    d.advance_to(due)
    started, turns = bool(answers[1]["started"]), len(d.turns(job))
    # A slot that meets a manual run may be passed over.
    d.expect(
        1 <= turns <= 1 + started,
        f"a manual start beside a slot was {'accepted' if started else 'refused'}, and there were {turns} runs",
    )


@requirement("CS-RUN-004")
def test_a_job_that_is_not_due_is_not_started(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(target="isolated")
    answer = d.trigger(job, mode="due")
    d.expect(not answer.started, "a job that is due next January was started by a start limited to due jobs")
    d.settle(lambda: True)
    d.expect(not d.turns(job), "the refused start reached the model all the same")
