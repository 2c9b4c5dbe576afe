"""Receipts of every kind of run go in their time; lasting sessions of every form stay; null is null for all of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ..driver import Driver, Handle, at, cron, wish
from ..model import ERROR, TRANSIENT, Turn, hold
from ..oracle import MINUTE
from ..requirement import requirement
from .kit import begin, end_held, listed, receipts, rows_of, sweep_ms

HOUR = 60 * MINUTE
pytestmark = pytest.mark.cronsession_tier("full")
retention = pytest.mark.cronsession_config(sessionRetentionMs=HOUR)
no_retention = pytest.mark.cronsession_config(sessionRetentionMs=None, maintenance={"mode": "warn"})


def _keys(d: Driver, job: Handle) -> set[str]:
    return {s.key for s in rows_of(d, job)}


def _check_gone(d: Driver, keys: set[str], why: str) -> None:
    d.advance_to(d.now + HOUR + sweep_ms(d))
    left = listed(d, keys)
    d.expect(not left, f"retention and a sweep interval have passed and {why} are listed: {sorted(left)}")


@requirement("CS-REA-002")
@retention
def test_the_receipts_of_a_removed_job_stay_for_their_time(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("job.remove")
    job = d.add(target="isolated")
    d.evidence(job)
    keys = receipts(d, job)
    ended = d.now
    d.remove(job)
    d.advance_to(ended + HOUR - d.hello.lateness_ms - d.hello.resolution_ms - 1000)
    lost = keys - listed(d, keys)
    d.expect(not lost, f"receipts of a removed job went before sessionRetentionMs had passed: {sorted(lost)}")


@requirement("CS-REA-001")
@retention
@pytest.mark.cronsession_last
def test_the_receipts_of_late_runs_go(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    # Else the row may be that of the job, which goes on running.
    d.require("receipts", "restart", "schedule.cron")
    job = d.add(cron("*/10 * * * *"), target="isolated")
    d.advance(minutes=11)
    d.stop()
    d.start({"minutes": 35})
    d.advance(minutes=5)
    _check_gone(d, receipts(d, job), "receipts of a job that ran late after a downtime")


@requirement("CS-REA-005")
@retention
def test_the_receipts_of_repetitions_go(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("job.retry", "schedule.at")
    shot = at(d.now + 10 * MINUTE)
    job = d.add(shot, target="isolated", retry={"maxRetries": 2, "backoffMs": [MINUTE]})
    d.answers(job, always=TRANSIENT)
    d.advance(minutes=20)
    d.expect(len(d.turns(job)) > 2, "a run that failed for a passing reason was not made again")
    _check_gone(d, _keys(d, job), "receipts of runs that failed and were made again")


@requirement("CS-REA-001")
@retention
def test_the_receipt_of_a_run_beside_an_edit_goes(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("receipts", "job.update", "trigger")
    job = d.add(target="isolated")
    d.answers(job, hold())
    begin(d, job)
    write = d.update(job, name="edited during its run")
    end_held(d, job)
    if write.rejected is not None:
        d.pass_over("a job cannot be edited during its run")
    _check_gone(d, _keys(d, job), "the receipt of a run during which its job was edited")


@requirement("CS-STO-009")
@retention
@pytest.mark.cronsession_last
@pytest.mark.parametrize("how", ["restart", "crash"])
def test_the_receipts_of_failures_before_a_start_go(cronsession_driver: Driver, how: str) -> None:
    d = cronsession_driver
    d.require("receipts", "session.isolated", "trigger", how)
    job = d.add(target="isolated")
    d.answers(job, always=ERROR)
    d.run_now(job)
    (d.restart if how == "restart" else d.crash)()
    _check_gone(d, _keys(d, job), f"receipts of failed runs from before a {how}")


@requirement("CS-REA-007")
@retention
@pytest.mark.parametrize(
    "form", ["shared", "current", "person", "jobless", "left", "agent-named", "agent-main"]
)
def test_lasting_sessions_of_every_form_stay(cronsession_driver: Driver, form: str) -> None:
    d = cronsession_driver
    speak = _speaker(d, form)
    first = speak()
    if not speak().saw_turn(first):
        d.pass_over("there is no session that lasts, which is another requirement's question")
    d.advance_to(d.now + 5 * HOUR + sweep_ms(d))
    d.expect(speak().saw_turn(first), f"a lasting session ({form}) lost its context after some hours")


def _speaker(d: Driver, form: str) -> Callable[[], Turn]:
    """Makes a turn in one lasting session each time it is called."""
    chat = wish("named", name=d.fresh_name("kept"))
    if form == "person":
        d.require("session.send")
        return lambda: d.say(chat)
    if form == "jobless":
        d.require("job.remove")
        return lambda: _by_a_job_of_its_own(d, chat["name"])
    if form == "left":
        return _after_another(d, chat["name"])
    if form.startswith("agent-"):
        d.require("agents", *(["session.main"] if form == "agent-main" else []))
        _, job = d.try_add(agent="work", **(chat if form == "agent-named" else {"target": "main"}))
    elif form == "shared":
        d.require("session.isolated", "session.mode")
        write, job = d.try_add(target="isolated", mode="shared")
        if write.reports("session.mode"):
            d.pass_over("mode shared has no effect, and the write says so")
    else:
        d.require("session.current", "session.send")
        d.say(chat)
        job = d.add(target="current", caller=chat)
    if job is None:
        d.pass_over("the gateway refuses such a job")
    assert job is not None
    found = job
    return lambda: d.evidence(found)


def _after_another(d: Driver, name: str) -> Callable[[], Turn]:
    """In a session where another job was, which is isolated now."""
    d.require("session.isolated", "job.update")
    before = d.add(target="named", name=name)
    d.evidence(before)
    if d.update(before, session=wish("isolated")).rejected is not None:
        d.pass_over("a job stays where it is")
    d.evidence(before)
    job = d.add(target="named", name=name)
    return lambda: d.evidence(job)


def _by_a_job_of_its_own(d: Driver, name: str) -> Turn:
    job = d.add(target="named", name=name)
    turn = d.evidence(job)
    d.remove(job)
    return turn


@requirement("CS-REA-008")
@no_retention
@pytest.mark.parametrize("case", ["answered", "failed", "removed"])
def test_retention_null_is_no_default(cronsession_driver: Driver, case: str) -> None:
    d = cronsession_driver
    job = d.add(target="isolated")
    if case == "failed":
        d.answers(job, ERROR)
    d.run_now(job)
    keys = _keys(d, job)
    if case == "removed":
        d.require("job.remove")
        d.remove(job)
        # Only what a sweep takes is asked here.
        keys = listed(d, keys)
    # No default is longer than 31 days.
    d.advance(days=d.few(32, 1))
    lost = keys - listed(d, keys)
    d.expect(not lost, f"retention is off and receipts ({case}) went: {sorted(lost)}")


@requirement("CS-REA-017")
@pytest.mark.cronsession_last
@no_retention
@pytest.mark.parametrize("change", ["off", "shorter"])
def test_any_other_retention_holds_from_a_start_on(cronsession_driver: Driver, change: str) -> None:
    d = cronsession_driver
    d.require("receipts")
    d.restart({"sessionRetentionMs": HOUR if change == "off" else 8 * HOUR})
    job = d.add(target="isolated")
    d.evidence(job)
    keys = receipts(d, job)
    d.restart({"sessionRetentionMs": None if change == "off" else HOUR})
    if change == "shorter":
        _check_gone(d, keys, "receipts from before a restart with a shorter retention")
        return
    d.advance(hours=4)
    lost = keys - listed(d, keys)
    d.expect(not lost, f"since the restart retention is off, and receipts went: {sorted(lost)}")
