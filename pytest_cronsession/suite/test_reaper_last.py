"""Receipts where they are met last: many at once, at odd times, of jobs that are otherwise now, and what is put aside."""

from __future__ import annotations

from typing import Any

import pytest

from ..driver import Driver, at, every, wish
from ..model import ERROR, hold
from ..oracle import MINUTE
from ..requirement import requirement
from .chats import say_much
from .kit import (
    accounted_for,
    begin,
    check_gone,
    end_held,
    listed,
    long_timeout,
    receipts_of,
    rows_of,
    sweep_ms,
)

HOUR = 60 * MINUTE
pytestmark = pytest.mark.cronsession_tier("full")
retention = pytest.mark.cronsession_config(sessionRetentionMs=HOUR)


@requirement("CS-REA-001")
@retention
@pytest.mark.parametrize("target", ["key", "main"])
def test_receipts_go_after_an_edit_to_any_lasting_session(cronsession_driver: Driver, target: str) -> None:
    d = cronsession_driver
    d.require("job.update", f"session.{target}")
    job = d.add(target="isolated")
    keys = receipts_of(d, job)
    given: dict[str, Any] = {"session": wish("isolated", key=d.fresh_name("from-now-on"))}
    if target == "main":
        given = {
            "session": wish("main"),
            "payload": {"kind": "systemEvent", "text": f"Now. [[msg:{job.tag}]]"},
        }
    if accounted_for(d.update(job, **given), "session.key"):
        d.pass_over("the job stays as it is")
    d.evidence(job)
    check_gone(d, keys, "a job has a lasting session now, and left receipts before")


@requirement("CS-REA-001")
@retention
def test_many_receipts_at_once_go_at_once(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    keys = receipts_of(d, d.add(target="isolated"), d.few(70, 3))
    check_gone(d, keys, "many receipts came at one time")


@requirement("CS-REA-001")
@pytest.mark.cronsession_config(sessionRetentionMs=7 * MINUTE)
def test_receipts_go_after_some_minutes(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    keys = receipts_of(d, d.add(target="isolated"))
    check_gone(d, keys, "sessionRetentionMs is seven minutes", 7 * MINUTE)


@requirement("CS-REA-002")
@pytest.mark.cronsession_config(sessionRetentionMs=110 * MINUTE)
def test_receipts_stay_to_the_minute(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    keys = receipts_of(d, d.add(target="isolated"))
    ended = d.now
    d.advance_to(ended + 110 * MINUTE - d.hello.lateness_ms - d.hello.resolution_ms - 1000)
    lost = keys - listed(d, keys)
    d.expect(not lost, f"sessionRetentionMs is 110 minutes, and receipts went before: {sorted(lost)}")


@requirement("CS-REA-001")
@pytest.mark.cronsession_config(sessionRetentionMs=70 * MINUTE)
def test_receipts_go_to_the_minute(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    keys = receipts_of(d, d.add(target="isolated"))
    check_gone(d, keys, "sessionRetentionMs is 70 minutes", 70 * MINUTE)


@requirement("CS-REA-001")
@retention
def test_receipts_go_however_long_a_gateway_is_up(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    for _ in range(d.few(4, 1)):
        d.advance(days=3)
    keys = receipts_of(d, d.add(target="isolated"))
    check_gone(d, keys, "the gateway is up for days")


@requirement("CS-REA-004")
@retention
def test_the_receipts_of_a_job_that_was_switched_off_go(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("receipts", "run.list", "job.autoDisable", "schedule.every")
    job = d.add(every(minutes=10), target="isolated", maxFailures=2)
    answered = receipts_of(d, job)
    d.answers(job, always=ERROR)
    d.advance(minutes=35)
    if d.stored(job).enabled:
        d.pass_over(
            "a job that fails again and again is not disabled, which is another requirement's question"
        )
    check_gone(d, answered | {s.key for s in rows_of(d, job)}, "the failures of a job disabled it")


@requirement("CS-REA-016")
@retention
def test_a_run_under_way_does_not_keep_the_receipts_of_its_job(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(target="isolated", **long_timeout(d))
    keys = receipts_of(d, job, 2)
    d.answers(job, hold(d.now + 5 * HOUR))
    begin(d, job)
    d.advance_to(d.now + HOUR + sweep_ms(d))
    left = listed(d, keys)
    end_held(d, job)
    d.expect(not left, f"beside a run under way the receipts of its job's runs before stay: {sorted(left)}")


@requirement("CS-REA-007")
@retention
@pytest.mark.parametrize("what", ["done", "deleted", "disabled", "failed"])
def test_a_named_session_stays_whatever_its_job_does(cronsession_driver: Driver, what: str) -> None:
    d = cronsession_driver
    name = d.fresh_name("kept")
    if what in ("done", "deleted"):
        d.require("schedule.at", *(["job.deleteAfterRun"] if what == "deleted" else []))
        once = {"deleteAfterRun": True} if what == "deleted" else {}
        job = d.add(at(d.now + 5 * MINUTE), target="named", name=name, **once)
        d.advance(minutes=6)
        if not d.turns(job):
            d.pass_over("a one-shot did not run, which is another requirement's question")
    else:
        job = d.add(target="named", name=name)
        d.evidence(job)
        if what == "disabled":
            d.require("job.update", "job.disable")
            d.edit(job, enabled=False)
        else:
            d.answers(job, ERROR)
            d.run_now(job)
    first = d.turns(job)[0]
    d.advance_to(d.now + 5 * HOUR + sweep_ms(d))
    d.expect(
        d.evidence(d.add(target="named", name=name)).saw_turn(first),
        f"the only job of a named session was {what}, and hours later its context is lost",
    )


@requirement("CS-REA-025")
@pytest.mark.cronsession_config(sessionRetentionMs=6 * HOUR, archiveMs=2 * HOUR)
def test_what_is_put_aside_is_kept_from_its_removal_on(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("receipts")
    if sweep_ms(d) > HOUR:
        d.pass_over("sweeps are so rare that it is not known when a receipt was removed")
    before, job = d.disk().bytes, d.add(target="isolated")
    said = sum(say_much(d, job) for _ in range(20))
    d.advance_to(d.now + 6 * HOUR + sweep_ms(d) + 30 * MINUTE)
    kept = d.disk().bytes - before
    d.expect(kept > said // 2, f"runs said {said} bytes; archiveMs has not passed and {kept} are on the disk")


@requirement("CS-REA-025")
@pytest.mark.cronsession_last
@pytest.mark.cronsession_config(sessionRetentionMs=HOUR, archiveMs=6 * HOUR)
def test_what_was_put_aside_is_kept_over_a_start(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("receipts", "restart")
    if sweep_ms(d) > HOUR:
        d.pass_over("sweeps are so rare that it is not known when a receipt was removed")
    before, job = d.disk().bytes, d.add(target="isolated")
    said = sum(say_much(d, job) for _ in range(20))
    d.advance_to(d.now + HOUR + sweep_ms(d))
    d.restart()
    d.advance(hours=4)
    kept = d.disk().bytes - before
    d.expect(kept > said // 2, f"runs said {said} bytes; archiveMs has not passed and {kept} are on the disk")
