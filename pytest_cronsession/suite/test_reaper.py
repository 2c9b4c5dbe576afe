"""Receipts go in their time, whatever became of the job; what is in use stays. Never asks for a sweep."""

from __future__ import annotations

from typing import Any

import pytest

from ..driver import Driver, Handle, every
from ..model import ERROR, HANG, hold
from ..oracle import MINUTE
from ..requirement import requirement
from .kit import all_rows, listed, long_timeout, may_end, receipts, rows_of, sweep_ms, under_way

HOUR = 60 * MINUTE
retention = pytest.mark.cronsession_config(sessionRetentionMs=HOUR)


def _check_gone(d: Driver, keys: set[str], why: str, *, since_ms: int | None = None) -> None:
    d.advance_to((d.now if since_ms is None else since_ms) + HOUR + sweep_ms(d))
    left = listed(d, keys)
    d.expect(
        not left, f"retention and a sweep interval have passed and {why} are still listed: {sorted(left)}"
    )


@requirement("CS-REA-001")
@retention
def test_receipts_of_a_live_job_go(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    before = all_rows(d)
    job = d.add(every(minutes=60 // d.few(2, 1)), target="isolated")
    d.advance(minutes=61)
    keys, since, runs = receipts(d, job), d.now, len(d.turns(job))
    d.advance_to(since + HOUR + sweep_ms(d))
    d.expect(len(d.turns(job)) > runs, "the job stopped running")
    # A row that every run of the job uses, each with a new id, is no receipt of one run.
    later = [r for r in d.runs(job) if (r.started_ms or 0) > since] if d.has("run.list") else []
    again = keys & {r.session_key for r in later}
    if again and again == keys:
        rows = len(all_rows(d) - before)
        # With its own row, and perhaps one for its agent.
        d.expect(rows <= 2, f"all runs of a job tell one session key, and {rows} rows came of them and stay")
        d.pass_over("all runs of a job have one row")
    _check_gone(d, keys - again, "receipts of a job that goes on running", since_ms=since)


@requirement("CS-REA-002")
@retention
def test_receipts_stay_for_their_time(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(target="isolated")
    d.evidence(job)
    keys = receipts(d, job)
    slack = d.hello.lateness_ms + d.hello.resolution_ms + 1000
    d.advance_to(d.now + HOUR - slack)
    lost = keys - listed(d, keys)
    d.expect(not lost, f"receipts went before sessionRetentionMs had passed: {sorted(lost)}")


@requirement("CS-REA-003")
@retention
def test_receipts_of_a_removed_job_go(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(target="isolated")
    d.evidence(job)
    keys = receipts(d, job)
    d.remove(job)
    _check_gone(d, keys, "receipts of a removed job")


@requirement("CS-REA-004")
@retention
def test_receipts_go_without_traffic(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(target="isolated")
    d.evidence(job)
    keys = receipts(d, job)
    if d.has("job.disable"):
        d.edit(job, enabled=False)
    _check_gone(d, keys, "receipts of a job that runs no more")


@requirement("CS-REA-005")
@retention
@pytest.mark.parametrize("end", ["error", "timeout", "cancel"])
def test_receipts_of_runs_that_ended_badly_go(cronsession_driver: Driver, end: str) -> None:
    d = cronsession_driver
    d.require(*{"timeout": ["run.timeout"], "cancel": ["run.cancel", "run.list"]}.get(end, []))
    limit: dict[str, Any] = {"timeoutMs": MINUTE} if end == "timeout" else {}
    job = d.add(target="isolated", **limit)
    d.answers(job, ERROR if end == "error" else HANG)
    d.trigger(job)
    d.advance()
    if end == "cancel":
        d.cancel(under_way(d, job).id)
    d.advance(minutes=2)
    d.expect(d.model.open_turns() == 0, f"the run that should end by {end} is still under way")
    keys = {s.key for s in rows_of(d, job)}
    _check_gone(d, keys, f"receipts of a run that ended by {end}")


@requirement("CS-REA-006")
@retention
@pytest.mark.parametrize("target", ["isolated", "named"])
def test_a_run_under_way_is_never_reaped(cronsession_driver: Driver, target: str) -> None:
    d = cronsession_driver
    if target == "named":
        d.require("session.named")
    name = d.fresh_name("long") if target == "named" else None
    job = d.add(target=target, name=name, **long_timeout(d))
    d.answers(job, hold(d.now + 4 * HOUR))
    d.trigger(job)
    d.advance()
    d.expect(len(d.turns(job)) == 1, "the run did not reach the model")
    before = {s.key for s in rows_of(d, job)}
    d.advance(hours=3, minutes=30)
    if d.turns(job)[0].state != "held":
        may_end(d)
    lost = before - listed(d, before)
    d.expect(not lost, f"rows of a run that is under way were reaped: {sorted(lost)}")
    d.advance(minutes=31)
    run = d.told(next(iter(d.runs(job)[-1:]), None), "the long run that was answered")
    d.expect(run.status == "ok", f"the long run was answered and is listed as {run.status} ({run.error})")
    # A receipt may go right after its run where none are promised; a shared session may not.
    if run.session_key is not None and (target == "named" or d.has("receipts")):
        d.expect(
            d.row(run.session_key) is not None,
            f"the long run ended and its row {run.session_key} is not listed",
        )


@requirement("CS-REA-007")
@retention
@pytest.mark.parametrize("form", ["named", "key", "main"])
def test_shared_sessions_are_not_reaped(cronsession_driver: Driver, form: str) -> None:
    d = cronsession_driver
    d.require(*{"key": ["session.key", "session.isolated"], "main": ["session.main"]}.get(form, []))
    if form == "key":
        _, found = d.try_add(target="isolated", key=d.fresh_name("kept"))
    else:
        found = d.add(target=form, name=d.fresh_name("kept") if form == "named" else None)
    if found is None or not _shares(d, job := found):
        d.pass_over("the session key of an isolated job is not followed, so there is no session to keep")
        return
    first = d.turns(job)[-1]
    rows = rows_of(d, job)
    d.advance_to(d.now + 5 * HOUR + sweep_ms(d))
    d.expect(
        not {s.key for s in rows} - listed(d, {s.key for s in rows}), "the row of a shared session was reaped"
    )
    d.expect(d.evidence(job).saw_turn(first), "a shared session lost its context after some hours")


def _shares(d: Driver, job: Handle) -> bool:
    """Whether two runs of the job share a session; that they should is another requirement's question."""
    first, second = d.run_now(job).turn, d.run_now(job).turn
    return first is not None and second is not None and second.saw_turn(first)


@requirement("CS-REA-008")
@pytest.mark.cronsession_config(sessionRetentionMs=None, maintenance={"mode": "warn"})
def test_retention_null_keeps_receipts(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(target="isolated")
    d.evidence(job)
    keys = receipts(d, job)
    d.advance(days=3)
    lost = keys - listed(d, keys)
    d.expect(not lost, f"retention is off and receipts went: {sorted(lost)}")


@requirement("CS-REA-009")
@retention
def test_files_do_not_become_ever_more(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    # One job whose receipts go between two runs, and one that leaves many at a time, where a run costs little. Where it
    # does not, four more runs have to do, each with the same time behind it.
    cheap = d.few(120, 4) == 120
    by_hand = d.add(target="isolated") if not cheap and d.has("trigger") else None
    if by_hand is None:
        d.add(every(minutes=100), target="isolated")
    if cheap:
        d.add(every(minutes=10), target="isolated")
    looks, hours, most = (4, 5, 6) if cheap else (5, 3, 3 if by_hand else 4)
    # With rare sweeps it is chance how many receipts wait for the next one.
    hours, most = hours + sweep_ms(d) // HOUR, most + 3 * (sweep_ms(d) // (10 * MINUTE))
    counts = []
    for _ in range(looks):
        if by_hand is not None:
            d.evidence(by_hand)
        d.advance(hours=hours)
        counts.append(d.disk().files)
    grown = counts[-1] - counts[0]
    d.expect(
        grown <= most,
        f"more and more runs of one job left {grown} more files below the state folder: {counts}",
    )


@requirement("CS-STO-009")
@retention
@pytest.mark.cronsession_last
def test_receipts_from_before_a_restart_go(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(target="isolated")
    d.evidence(job)
    keys = receipts(d, job)
    ended = d.now
    d.advance(minutes=30)
    d.restart()
    _check_gone(d, keys, "receipts from before a restart", since_ms=ended)
