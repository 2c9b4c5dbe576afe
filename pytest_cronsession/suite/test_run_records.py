"""What is listed of a run: its end, its instants, its slot, its session."""

from __future__ import annotations

from ..driver import Driver, every
from ..model import HANG, hold
from ..oracle import MINUTE
from ..requirement import requirement
from ..trace import instant
from .kit import next_run


@requirement("CS-RUN-005")
def test_a_cancelled_run_ends_and_frees_the_job(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(every(minutes=10))
    slot = next_run(d, job)
    d.answers(job, HANG)
    d.advance_to(slot + MINUTE)
    run = next((r for r in d.runs(job) if not r.finished), None)
    if run is None:
        d.fail("a run that waits for the model is not listed as running")
    assert run is not None
    d.cancel(run.id)
    d.advance(seconds=10)
    d.expect(not d.model.open_turns(), "a run was cancelled and its request to the model is still open")
    ended = next((r for r in d.runs(job) if r.id == run.id), None)
    d.expect(ended is not None and ended.finished, "a cancelled run is listed as running, or not at all")
    d.advance_to(slot + 25 * MINUTE)
    d.expect(len(d.turns(job)) >= 2, "after a cancelled run the job did not run at its next slot")


@requirement("CS-RUN-006")
def test_start_and_end_are_told_as_they_were(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(every(minutes=30))
    slot = next_run(d, job)
    d.answers(job, hold(slot + 7 * MINUTE))
    d.advance_to(slot + 10 * MINUTE)
    run = next((r for r in d.runs(job) if r.started_ms is not None), None)
    if run is None:
        d.fail("a run that has ended is not listed")
    assert run is not None
    assert run.started_ms is not None
    grain, late = d.hello.resolution_ms, d.hello.lateness_ms + d.hello.resolution_ms
    for what, told, true in (("start", run.started_ms, slot), ("end", run.ended_ms, slot + 7 * MINUTE)):
        d.expect(
            told is None or true - grain <= told <= true + late,
            f"the {what} of a run is told as {instant(told)}, it was {instant(true)}",
        )


@requirement("CS-RUN-007")
def test_a_run_is_told_with_its_slot(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(every(minutes=10))
    slots = []
    for _ in range(3):
        slot = next_run(d, job)
        slots.append(slot)
        d.advance_to(slot + d.hello.lateness_ms + d.hello.resolution_ms)
    told = [r.slot_ms for r in d.runs(job) if r.started_ms is not None]
    d.expect(told == slots, f"the runs of {[instant(s) for s in slots]} are told as of {told}")


@requirement("CS-RUN-017")
def test_a_run_leads_to_its_session(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    name = d.fresh_name("linked")
    job = d.add(target="named", name=name)
    d.run_now(job)
    d.run_now(job)
    rows = {s.key: s.id for s in d.sessions()}
    for run in d.runs(job):
        d.expect(
            run.session_key in rows, f"a run tells the session key {run.session_key!r}, no row has that key"
        )
        d.expect(
            run.session_id in (None, rows[run.session_key or ""]),
            f"a run tells the session id {run.session_id!r}, the row of its key has {rows.get(run.session_key or '')!r}",
        )


@requirement("CS-RUN-018")
def test_runs_are_listed_from_an_instant_on(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add()
    d.told(d.run_now(job).run, "a run that has just ended")
    d.advance(minutes=30)
    since = d.now - 15 * MINUTE
    after = d.told(d.run_now(job).run, "a run that has just ended")
    listed = [r.id for r in d.runs(job, since_ms=since)]
    d.expect(listed == [after.id], f"from {instant(since)} on one run started, {len(listed)} are listed")


@requirement("CS-RUN-019")
def test_a_slot_that_had_its_run_is_not_due(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(every(minutes=30))
    slot = next_run(d, job)
    d.advance_to(slot + d.hello.late_by_ms)
    ran = len(d.turns(job))
    d.expect(ran == 1, f"the slot had {ran} runs")
    answer = d.trigger(job, mode="due")
    d.advance()
    d.expect(not answer.started, "a start limited to due jobs was accepted after the slot had its run")
    d.expect(len(d.turns(job)) == 1, "a slot that had its run ran again by a start limited to due jobs")
