"""Which rows are receipts, whatever became of their jobs, and what the reaper leaves alone."""

from __future__ import annotations

import os
from typing import Any

import pytest

from ..driver import Driver, Handle, at, every
from ..model import Answer, hold
from ..oracle import MINUTE
from ..requirement import requirement
from .kit import all_rows, listed, long_timeout, receipts, rows_of, rows_of_others, sweep_ms

HOUR = 60 * MINUTE
DAY = 24 * HOUR
retention = pytest.mark.cronsession_config(sessionRetentionMs=HOUR)


def _expect_gone(d: Driver, keys: set[str], why: str, since_ms: int) -> None:
    d.advance_to(max(d.now, since_ms + HOUR + sweep_ms(d)))
    left = listed(d, keys)
    d.expect(
        not left, f"retention and a sweep interval have passed and {why} are still listed: {sorted(left)}"
    )


def _rows_of_a_run(d: Driver, job: Handle) -> set[str]:
    """The receipts of a run. A row that the gateway keeps for the job itself is none while the job is there."""
    d.evidence(job)
    return {s.key for s in rows_of(d, job)}


@requirement("CS-REA-010")
@retention
@pytest.mark.parametrize("spelling", ["run-{}", "cron-daily-run-{}", "cron:daily:run:{}", "{}-receipt"])
def test_no_spelling_makes_a_shared_session_a_receipt(cronsession_driver: Driver, spelling: str) -> None:
    d = cronsession_driver
    _, job = d.try_add(target="named", name=spelling.format(d.model.new_tag()))
    if job is None:
        d.pass_over("the gateway refuses such a name")
        return
    first = d.evidence(job)
    rows = {s.key for s in rows_of(d, job)}
    d.advance_to(d.now + 2 * HOUR + sweep_ms(d))
    lost = rows - listed(d, rows)
    d.expect(not lost, f"the row of a named session was reaped: {sorted(lost)}")
    d.expect(d.evidence(job).saw_turn(first), "a named session lost its context after some hours")


@requirement("CS-REA-011")
@retention
def test_the_receipts_of_every_agent_go(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    jobs = [d.add(target="isolated", agent=agent) for agent in ("main", "work")]
    rows: set[str] = set()
    for job in jobs:
        rows |= _rows_of_a_run(d, job)
    ended = d.now
    # From now on nothing is left that could make anybody look at this agent.
    d.retire(jobs[1].id)
    _expect_gone(d, rows, "receipts of one of two agents", ended)


@requirement("CS-REA-012")
@retention
def test_receipts_go_after_the_job_has_another_session(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(target="isolated")
    rows = _rows_of_a_run(d, job)
    ended = d.now
    name = d.fresh_name("from-now-on")
    d.edit(job, session={"target": "named", "name": name})
    first = d.evidence(job)
    _expect_gone(d, rows, "receipts of a job that is isolated no more", ended)
    d.expect(d.evidence(job).saw_turn(first), "the named session that the job has now was reaped")


@requirement("CS-REA-013")
@retention
@pytest.mark.parametrize("deleted", [False, True])
def test_the_receipt_of_a_one_shot_goes(cronsession_driver: Driver, deleted: bool) -> None:
    d = cronsession_driver
    if deleted:
        d.require("job.deleteAfterRun")
    before = rows_of_others(d)
    options: dict[str, Any] = {"deleteAfterRun": True} if deleted else {}
    _, job = d.try_add(at(d.now + 10 * MINUTE), target="isolated", **options)
    if job is None:
        d.pass_over("the gateway takes no deleteAfterRun")
        return
    d.advance_to(d.now + 10 * MINUTE + d.hello.lateness_ms + d.hello.resolution_ms)
    d.expect(len(d.turns(job)) == 1, "the one-shot did not run at its instant")
    rows = {s.key for s in rows_of(d, job)} if d.job(job) is not None else all_rows(d) - before
    _expect_gone(d, rows, "receipts of a one-shot that is done", d.now)


@requirement("CS-REA-014")
@retention
def test_nothing_is_left_of_a_removed_job(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    before = rows_of_others(d)
    job = d.add(target="isolated")
    d.evidence(job)
    d.evidence(job)
    ended = d.now
    d.remove(job)
    d.advance_to(ended + HOUR + sweep_ms(d))
    left = all_rows(d) - before
    d.expect(not left, f"the job is gone, retention has passed, and rows are left: {sorted(left)}")


@requirement("CS-REA-015")
@retention
@pytest.mark.cronsession_last
def test_the_receipt_of_an_interrupted_run_goes(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    before = rows_of_others(d)
    job = d.add(target="isolated")
    d.answers(job, hold())
    d.trigger(job)
    d.advance()
    d.expect(len(d.turns(job)) == 1, "the run did not reach the model")
    d.crash()
    d.model.release_all()
    d.advance(minutes=10)  # a gateway may run it again
    d.remove(job)
    _expect_gone(d, all_rows(d) - before, "rows of a run that a crash interrupted", d.now)


@requirement("CS-REA-016")
@retention
def test_a_busy_row_does_not_stop_the_sweep(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    busy = d.add(target="isolated", **long_timeout(d))
    d.answers(busy, hold(d.now + 5 * HOUR))
    d.trigger(busy)
    d.advance()
    d.expect([turn.state for turn in d.turns(busy)] == ["held"], "the run did not reach the model")
    rows: set[str] = set()
    for _ in range(3):
        d.advance(minutes=1)
        job = d.add(target="isolated")
        if not d.has("run.concurrency") and d.run_now(job).turn is None:
            d.pass_over("the gateway runs one job after the other")
        rows |= _rows_of_a_run(d, job)
    _expect_gone(d, rows, "receipts beside a run that is under way", d.now)
    d.advance(hours=4)


@requirement("CS-REA-017")
@pytest.mark.cronsession_last
@pytest.mark.parametrize("change", ["on", "longer"])
@pytest.mark.cronsession_config(sessionRetentionMs=None, maintenance={"mode": "warn"})
def test_the_present_retention_holds_for_old_receipts(cronsession_driver: Driver, change: str) -> None:
    d = cronsession_driver
    if change == "longer":
        d.require("receipts")
        d.restart({"sessionRetentionMs": HOUR})
    job = d.add(target="isolated")
    rows = _rows_of_a_run(d, job)
    ended = d.now
    if change == "on":
        d.advance(hours=2)
        d.restart({"sessionRetentionMs": HOUR})
        _expect_gone(d, rows, "receipts that are older than the new retention", d.now - HOUR)
        return
    d.restart({"sessionRetentionMs": 8 * HOUR})
    d.advance_to(ended + 4 * HOUR)
    lost = rows - listed(d, rows)
    d.expect(
        not lost, f"sessionRetentionMs is longer since the restart, and receipts went early: {sorted(lost)}"
    )


@requirement("CS-REA-018")
@pytest.mark.cronsession_last
def test_the_default_configuration_is_bounded(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(target="isolated")
    rows = _rows_of_a_run(d, job)
    d.be_down(days=31)
    d.advance_to(d.now + sweep_ms(d) + 5 * MINUTE)
    left = listed(d, rows)
    d.expect(not left, f"nothing is configured, and receipts of 31 days ago are listed: {sorted(left)}")


@requirement("CS-REA-019")
@retention
def test_what_runs_said_goes_with_their_receipts(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(target="isolated")
    size = 100_000
    d.answers(job, always=Answer("ok", "x" * size))
    runs, sizes = d.few(8, 2), []
    for _ in range(4):
        for _ in range(runs):
            d.evidence(job)
            d.advance(minutes=1)
        d.advance_to(d.now + 12 * HOUR)
        sizes.append(d.disk().bytes)
    said, grown = 2 * runs * size, sizes[-1] - sizes[1]
    d.expect(
        grown < said // 2,
        f"runs said {said} bytes, their receipts have gone, and {grown} bytes stay for good: {sizes}",
    )


@requirement("CS-REA-020")
@retention
def test_reaping_leaves_jobs_and_runs_alone(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(target="isolated")
    d.evidence(job)
    keys = receipts(d, job)
    runs = {(r.id, r.status, r.started_ms) for r in d.runs(job)}
    stored = _facts(d, job)
    d.advance_to(d.now + HOUR + sweep_ms(d))
    if listed(d, keys):
        d.not_observed("the receipts did not go, so nothing was reaped")
    after = {(r.id, r.status, r.started_ms) for r in d.runs(job)}
    d.expect(runs <= after, f"with the receipt its run went from run/list: {sorted(runs - after)}")
    d.expect(_facts(d, job) == stored, f"the job was {stored} and is {_facts(d, job)}")


def _facts(d: Driver, job: Handle) -> dict[str, Any]:
    raw = d.stored(job).raw
    return {name: raw.get(name) for name in ("name", "enabled", "schedule", "session", "payload")}


@requirement("CS-REA-021")
@retention
def test_foreign_files_stay(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    # Some are called as a gateway may call its own, and all are older than any of them.
    tag, long_ago = d.model.new_tag(), d.now / 1000 - 400 * 86_400
    endings = ("", ".txt", ".jsonl", ".json", ".log", ".tmp", ".bak", ".lock", ".db", ".md", ".gz")
    folder = d.world.state_dir / "somebody-else"
    files = [folder / part / f"{tag}{ending}" for part in ("", "sessions") for ending in endings]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("not the gateway's", encoding="utf-8")
        os.utime(file, (long_ago, long_ago))
    job = d.add(target="isolated")
    d.evidence(job)
    d.advance_to(d.now + 2 * HOUR + sweep_ms(d))
    lost = [file for file in files if not file.exists() or file.read_text("utf-8") != "not the gateway's"]
    d.expect(
        not lost,
        f"sweeps removed or changed files that the gateway did not write: {[f.name for f in lost]}",
    )


@requirement("CS-REA-022")
@retention
def test_a_sweep_on_request_takes_what_is_due(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    slack = d.hello.lateness_ms + d.hello.resolution_ms
    old, young = d.add(target="isolated"), d.add(target="isolated")
    due = _rows_of_a_run(d, old)
    d.advance(minutes=30)
    kept = _rows_of_a_run(d, young)
    d.advance_to(d.now + 30 * MINUTE + slack + 1)
    there = all_rows(d)
    removed = set(d.sweep())
    d.expect(not listed(d, due), f"a sweep left receipts whose retention has passed: {sorted(due)}")
    d.expect(listed(d, kept) == kept, "a sweep took a receipt whose retention has not passed")
    gone = there - all_rows(d)
    d.expect(gone <= removed, f"the sweep removed {sorted(gone)} and names {sorted(removed)}")
    again = d.sweep()
    d.expect(not again, f"a second sweep at the same instant removed {again}")


@requirement("CS-REA-023")
@retention
def test_exactly_as_old_as_retention_stays(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(target="isolated")
    rows = _rows_of_a_run(d, job)
    if not rows:
        d.not_observed("no receipt of an isolated run was listed")
    # A clock that is coarse or late may have written down an earlier instant.
    coarse = (d.hello.resolution_ms if d.hello.resolution_ms > 1 else 0) + d.hello.lateness_ms
    d.advance_to(d.now + HOUR - coarse)
    d.sweep()
    lost = rows - listed(d, rows)
    d.expect(not lost, f"receipts as old as sessionRetentionMs, and not older, were reaped: {sorted(lost)}")


@requirement("CS-REA-024")
@retention
def test_receipts_are_bounded_by_rate_and_retention(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    rates = (5, 15, 45)
    before = all_rows(d)
    for minutes in rates:
        d.add(every(minutes=minutes), target="isolated")
    window = HOUR + sweep_ms(d)
    # A run at each end of the window, and one more row for each job.
    most = sum(window // (minutes * MINUTE) + 3 for minutes in rates)
    for _ in range(d.few(6, 2)):
        d.advance(hours=2, minutes=7)
        rows = len(all_rows(d) - before)
        d.expect(rows <= most, f"{rows} rows of three steady jobs are listed, {most} are explained")


@requirement("CS-REA-025")
@pytest.mark.cronsession_config(sessionRetentionMs=HOUR, archiveMs=6 * HOUR)
def test_a_transcript_is_put_aside_for_its_time(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(target="isolated")
    before = d.disk().bytes
    # So much that what a gateway writes down for itself meanwhile does not count.
    said = sum(_say_much(d, job) for _ in range(20))
    if d.has("receipts"):
        # Else they have gone with their runs.
        d.advance_to(d.now + HOUR + sweep_ms(d))
    d.advance(hours=4)
    kept = d.disk().bytes - before
    d.expect(kept > said // 2, f"runs said {said} bytes; archiveMs has not passed and {kept} are on the disk")


@requirement("CS-REA-026")
@pytest.mark.cronsession_config(sessionRetentionMs=HOUR, archiveMs=2 * HOUR)
def test_what_was_put_aside_goes_in_its_time(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(target="isolated")
    sizes, said = [], 0
    for _ in range(4):
        said = sum(_say_much(d, job) for _ in range(6))
        d.advance_to(d.now + 3 * HOUR + 2 * sweep_ms(d))
        sizes.append(d.disk().bytes)
    grown = sizes[-1] - sizes[1]
    d.expect(
        grown < said, f"runs said {2 * said} bytes, archiveMs has passed, and {grown} stay for good: {sizes}"
    )


def _say_much(d: Driver, job: Handle) -> int:
    """A run whose reply is long and hard to compress; its length in bytes."""
    from random import Random

    text = Random(d.model.new_tag()).randbytes(150_000).hex()
    d.answers(job, Answer("ok", text))
    d.evidence(job)
    return len(text) // 2
