"""Receipts and lasting sessions of every agent, in any length of time, over edits, starts, and sweeps on request."""

from __future__ import annotations

from typing import Any

import pytest

from ..driver import Driver, wish
from ..model import ERROR, Answer, hold
from ..oracle import MINUTE
from ..requirement import requirement
from .kit import (
    all_rows,
    begin,
    end_held,
    listed,
    long_timeout,
    may_end,
    receipts,
    rows_of,
    rows_of_others,
    sweep_ms,
)

HOUR = 60 * MINUTE
DAY = 24 * HOUR
pytestmark = pytest.mark.cronsession_tier("full")
retention = pytest.mark.cronsession_config(sessionRetentionMs=HOUR)


@requirement("CS-REA-002")
@pytest.mark.cronsession_config(sessionRetentionMs=60 * DAY, maintenance={"mode": "warn"})
def test_a_long_retention_is_as_long(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(target="isolated")
    d.evidence(job)
    keys = receipts(d, job)
    # Longer than a default, and than 31 bits of milliseconds; step by step, since one answer must not take too long.
    for _ in range(d.few(4, 1)):
        d.advance(days=8)
    lost = keys - listed(d, keys)
    d.expect(not lost, f"receipts went before sessionRetentionMs, 60 days, had passed: {sorted(lost)}")


@requirement("CS-REA-002")
@retention
@pytest.mark.cronsession_last
@pytest.mark.parametrize("how", ["restart", "crash"])
def test_a_start_takes_no_receipt(cronsession_driver: Driver, how: str) -> None:
    d = cronsession_driver
    d.require(how)
    job = d.add(target="isolated")
    d.evidence(job)
    keys = receipts(d, job)
    ended = d.now
    (d.restart if how == "restart" else d.crash)()
    d.advance_to(ended + HOUR - d.hello.lateness_ms - d.hello.resolution_ms - 1000)
    lost = keys - listed(d, keys)
    d.expect(not lost, f"with a {how} receipts went before sessionRetentionMs had passed: {sorted(lost)}")


@requirement("CS-REA-011")
@retention
def test_the_receipts_of_a_job_go_after_it_has_another_agent(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("receipts", "job.update")
    job = d.add(target="isolated", agent="work")
    d.evidence(job)
    keys = receipts(d, job)
    if d.update(job, agent="main").rejected is not None:
        d.pass_over("a job keeps its agent")
    d.advance_to(d.now + HOUR + sweep_ms(d))
    left = listed(d, keys)
    d.expect(not left, f"the job has another agent, and its receipts of the first one stay: {sorted(left)}")


@requirement("CS-REA-003")
@retention
def test_the_receipt_of_a_run_during_which_its_job_went_goes(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(target="isolated")
    d.answers(job, hold())
    begin(d, job)
    keys = {s.key for s in rows_of(d, job)}
    if d.has("run.list"):
        keys |= {run.session_key for run in d.runs(job) if run.session_key is not None}
    d.remove(job)
    d.advance(minutes=1)
    end_held(d, job)
    d.advance_to(d.now + HOUR + sweep_ms(d))
    left = listed(d, keys)
    d.expect(not left, f"a job was removed during its run, and receipts of that are listed: {sorted(left)}")


@requirement("CS-STO-009")
@retention
@pytest.mark.cronsession_last
def test_the_receipt_of_a_run_that_a_stop_interrupted_goes(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("job.remove")
    before = rows_of_others(d)
    job = d.add(target="isolated")
    d.answers(job, hold())
    begin(d, job)
    d.restart()
    d.model.release_all()
    d.advance(minutes=10)  # a gateway may run it again
    d.remove(job)
    d.advance_to(d.now + HOUR + sweep_ms(d))
    left = all_rows(d) - before
    d.expect(
        not left, f"a stop interrupted a run, its job is gone, and rows of it are listed: {sorted(left)}"
    )


@requirement("CS-REA-006")
@retention
def test_a_run_of_most_of_a_day_keeps_its_row(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(target="isolated", **long_timeout(d))
    d.answers(job, hold(d.now + 20 * HOUR))
    begin(d, job)
    before = {s.key for s in rows_of(d, job)}
    d.advance(hours=19)
    if d.turns(job)[0].state != "held":
        may_end(d)
    lost = before - listed(d, before)
    d.expect(not lost, f"rows of a run that is under way since 19 hours were reaped: {sorted(lost)}")
    d.advance(hours=1, minutes=1)


@requirement("CS-REA-006")
@retention
def test_a_sweep_on_request_takes_nothing_in_use(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("store.sweep")
    job = d.add(target="isolated", **long_timeout(d))
    d.answers(job, hold(d.now + 3 * HOUR))
    begin(d, job)
    d.advance(hours=2)
    if d.turns(job)[0].state != "held":
        may_end(d)
    before = {s.key for s in rows_of(d, job)}
    d.sweep()
    lost = before - listed(d, before)
    d.expect(not lost, f"a sweep on request took rows of a run that is under way: {sorted(lost)}")
    d.advance(hours=1, minutes=1)


@requirement("CS-REA-022")
@retention
def test_a_sweep_on_request_is_for_every_agent(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    # Else the only row may be that of the job, which may stay as long as the job does.
    d.require("agents", "receipts")
    rows: set[str] = set()
    for agent in ("main", "work"):
        job = d.add(target="isolated", agent=agent)
        d.evidence(job)
        rows |= receipts(d, job)
    d.advance_to(d.now + HOUR + d.hello.lateness_ms + d.hello.resolution_ms + 1)
    d.sweep()
    left = listed(d, rows)
    d.expect(not left, f"a sweep left receipts whose retention has passed: {sorted(left)}")


@requirement("CS-REA-019")
@retention
@pytest.mark.cronsession_last
@pytest.mark.parametrize("case", ["agent", "removed", "restart"])
def test_what_any_run_said_goes_with_its_receipt(cronsession_driver: Driver, case: str) -> None:
    d = cronsession_driver
    d.require(*{"agent": ["agents"], "removed": ["job.remove"], "restart": ["restart"]}[case])
    size, runs, sizes = 100_000, d.few(6, 2), []
    whose: dict[str, Any] = {"agent": "work"} if case == "agent" else {}
    job = d.add(target="isolated", **whose)
    for _ in range(4):
        d.answers(job, always=Answer("ok", "x" * size))
        for _ in range(runs):
            d.run_now(job)
            d.advance(minutes=1)
        if case == "removed":
            d.remove(job)
            job = d.add(target="isolated")
        if case == "restart":
            d.restart()
        d.advance(hours=12)
        sizes.append(d.disk().bytes)
    said, grown = 2 * runs * size, sizes[-1] - sizes[1]
    d.expect(
        grown < said // 2,
        f"runs ({case}) said {said} bytes, their receipts have gone, and {grown} bytes stay for good: {sizes}",
    )


@requirement("CS-REA-009")
@retention
def test_files_of_failures_do_not_become_ever_more(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("trigger")
    job, runs, counts = d.add(target="isolated"), d.few(8, 2), []
    d.answers(job, always=ERROR)
    for _ in range(4):
        for _ in range(runs):
            d.run_now(job)
            d.advance(minutes=1)
        d.advance(hours=3)
        d.advance_to(d.now + sweep_ms(d))
        counts.append(d.disk().files)
    grown = counts[-1] - counts[0]
    d.expect(
        grown <= 2 * runs,
        f"{3 * runs} more runs failed, their receipts have gone, and {grown} more files are there: {counts}",
    )


@requirement("CS-REA-009")
@pytest.mark.cronsession_config(
    maintenance={"mode": "enforce", "pruneAfterMs": 10_000 * HOUR, "maxEntries": 4}
)
def test_files_of_sessions_that_had_to_go_do_not_become_ever_more(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("maintenance", "session.named", "session.send")
    if d.budget.limited:
        d.pass_over("months cost too much here")
    counts = []
    for days in (0, 8):
        for _ in range(8 if days == 0 else 16):
            d.say(wish("named", name=d.fresh_name("chat")))
            d.advance(minutes=1)
        # What was put aside may stay for a month.
        for _ in range(4):
            d.advance(days=days)
        d.advance_to(d.now + sweep_ms(d))
        counts.append(d.disk().files)
    grown = counts[-1] - counts[0]
    d.expect(
        grown <= 6, f"16 more sessions had to go by maxEntries, and {grown} more files are there: {counts}"
    )


@requirement("CS-REA-026")
@pytest.mark.cronsession_last
@pytest.mark.cronsession_config(sessionRetentionMs=HOUR, archiveMs=2 * HOUR)
def test_what_was_put_aside_before_a_start_goes(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("restart")
    job = d.add(target="isolated")
    sizes, size, runs = [], 300_000, 6
    d.answers(job, always=Answer("ok", "x" * size))
    for _ in range(4):
        for _ in range(runs):
            d.evidence(job)
        d.advance_to(d.now + HOUR + sweep_ms(d))
        d.restart()
        d.advance_to(d.now + 2 * HOUR + 2 * sweep_ms(d))
        sizes.append(d.disk().bytes)
    grown = sizes[-1] - sizes[1]
    d.expect(
        grown < runs * size,
        f"runs said {2 * runs * size} bytes, archiveMs has passed, and {grown} stay for good: {sizes}",
    )
