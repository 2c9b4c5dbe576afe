"""Receipts and limits where they are met last: many rows at once, odd times, rows of every kind, after bad ends."""

from __future__ import annotations

from typing import Any

import pytest

from ..driver import Driver, Handle, at, every, wish
from ..model import ERROR, HANG, hold
from ..oracle import MINUTE
from ..requirement import requirement
from .chats import chat, chat_keys, say_much
from .forms import lasting
from .kit import (
    ENDINGS,
    accounted_for,
    begin,
    brief,
    end_held,
    ends_badly,
    listed,
    long_timeout,
    receipts,
    rows_of,
    sweep_ms,
)

HOUR = 60 * MINUTE
pytestmark = pytest.mark.cronsession_tier("full")
retention = pytest.mark.cronsession_config(sessionRetentionMs=HOUR)


def _receipts_of(d: Driver, job: Handle, runs: int = 1, *, apart: int = 0) -> set[str]:
    """So many runs by hand; their receipts, one for each."""
    # Else a row may be that of the job, which may stay as long as the job does.
    d.require("receipts", "run.list", "trigger")
    for _ in range(runs):
        d.evidence(job)
        d.advance(minutes=apart)
    found = receipts(d, job)
    if len(found) < runs:
        d.pass_over("the runs of the job have no row each")
    return found


def _check_gone(d: Driver, keys: set[str], why: str, kept_ms: int = HOUR) -> None:
    d.advance_to(d.now + kept_ms + sweep_ms(d))
    left = listed(d, keys)
    d.expect(not left, f"{why}, their time and a sweep interval have passed: {sorted(left)} are listed")


# --- receipts -------------------------------------------------------------------------------------------


@requirement("CS-REA-001")
@retention
@pytest.mark.parametrize("target", ["key", "main"])
def test_receipts_go_after_an_edit_to_any_lasting_session(cronsession_driver: Driver, target: str) -> None:
    d = cronsession_driver
    d.require("job.update", f"session.{target}")
    job = d.add(target="isolated")
    keys = _receipts_of(d, job)
    given: dict[str, Any] = {"session": wish("isolated", key=d.fresh_name("from-now-on"))}
    if target == "main":
        given = {
            "session": wish("main"),
            "payload": {"kind": "systemEvent", "text": f"Now. [[msg:{job.tag}]]"},
        }
    if accounted_for(d.update(job, **given), "session.key"):
        d.pass_over("the job stays as it is")
    d.evidence(job)
    _check_gone(d, keys, "a job has a lasting session now, and left receipts before")


@requirement("CS-REA-001")
@retention
def test_many_receipts_at_once_go_at_once(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    keys = _receipts_of(d, d.add(target="isolated"), d.few(70, 3))
    _check_gone(d, keys, "many receipts came at one time")


@requirement("CS-REA-001")
@pytest.mark.cronsession_config(sessionRetentionMs=7 * MINUTE)
def test_receipts_go_after_some_minutes(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    keys = _receipts_of(d, d.add(target="isolated"))
    _check_gone(d, keys, "sessionRetentionMs is seven minutes", 7 * MINUTE)


@requirement("CS-REA-002")
@pytest.mark.cronsession_config(sessionRetentionMs=110 * MINUTE)
def test_receipts_stay_to_the_minute(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    keys = _receipts_of(d, d.add(target="isolated"))
    ended = d.now
    d.advance_to(ended + 110 * MINUTE - d.hello.lateness_ms - d.hello.resolution_ms - 1000)
    lost = keys - listed(d, keys)
    d.expect(not lost, f"sessionRetentionMs is 110 minutes, and receipts went before: {sorted(lost)}")


@requirement("CS-REA-001")
@pytest.mark.cronsession_config(sessionRetentionMs=70 * MINUTE)
def test_receipts_go_to_the_minute(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    keys = _receipts_of(d, d.add(target="isolated"))
    _check_gone(d, keys, "sessionRetentionMs is 70 minutes", 70 * MINUTE)


@requirement("CS-REA-001")
@retention
def test_receipts_go_however_long_a_gateway_is_up(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    for _ in range(d.few(4, 1)):
        d.advance(days=3)
    keys = _receipts_of(d, d.add(target="isolated"))
    _check_gone(d, keys, "the gateway is up for days")


@requirement("CS-REA-004")
@retention
def test_the_receipts_of_a_job_that_was_switched_off_go(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("receipts", "run.list", "job.autoDisable", "schedule.every")
    job = d.add(every(minutes=10), target="isolated", maxFailures=2)
    answered = _receipts_of(d, job)
    d.answers(job, always=ERROR)
    d.advance(minutes=35)
    if d.stored(job).enabled:
        d.pass_over(
            "a job that fails again and again is not disabled, which is another requirement's question"
        )
    _check_gone(d, answered | {s.key for s in rows_of(d, job)}, "the failures of a job disabled it")


@requirement("CS-REA-016")
@retention
def test_a_run_under_way_does_not_keep_the_receipts_of_its_job(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(target="isolated", **long_timeout(d))
    keys = _receipts_of(d, job, 2)
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
    before, job = d.disk().bytes, d.add(target="isolated")
    said = sum(say_much(d, job) for _ in range(20))
    d.advance_to(d.now + HOUR + sweep_ms(d))
    d.restart()
    d.advance(hours=4)
    kept = d.disk().bytes - before
    d.expect(kept > said // 2, f"runs said {said} bytes; archiveMs has not passed and {kept} are on the disk")


# --- limits ---------------------------------------------------------------------------------------------


@requirement("CS-MNT-001")
@pytest.mark.cronsession_config(
    sessionRetentionMs=None, maintenance={"mode": "warn", "pruneAfterMs": HOUR, "maxEntries": 3}
)
def test_warn_removes_no_receipt(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("retention", "session.isolated")
    keys = _receipts_of(d, d.add(target="isolated"), 6)
    d.advance_to(d.now + 2 * HOUR + sweep_ms(d))
    lost = keys - listed(d, keys)
    d.expect(not lost, f"retention is off and mode is warn, and receipts went: {sorted(lost)}")


@requirement("CS-MNT-002")
@pytest.mark.cronsession_config(
    maintenance={"mode": "enforce", "pruneAfterMs": 20 * MINUTE, "maxEntries": 1000}
)
def test_many_rows_that_are_too_old_go_at_once(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    keys = set(chat_keys(d, d.few(40, 3), seconds=1))
    _check_gone(d, keys, "many rows are idle for longer than pruneAfterMs, 20 minutes", 20 * MINUTE)


@requirement("CS-MNT-002")
@pytest.mark.cronsession_config(maintenance={"mode": "enforce", "pruneAfterMs": 6 * HOUR, "maxEntries": 995})
@pytest.mark.parametrize("how", ["slot", "failed", "timed out", "person"])
def test_every_turn_is_activity(cronsession_driver: Driver, how: str) -> None:
    d = cronsession_driver
    needs = {"slot": "schedule.at", "timed out": "run.timeout"}
    d.require("trigger", *([needs[how]] if how in needs else []))
    name = d.fresh_name("active")
    key = chat(d, name).key
    first = d.evidence(d.add(target="named", name=name))
    job = d.add(at(d.now + 4 * HOUR) if how == "slot" else None, target="named", name=name, **brief(d))
    d.advance(hours=4)
    _turn(d, job, name, how)
    d.advance(hours=5)
    d.expect(bool(listed(d, {key})), f"within pruneAfterMs there was a turn ({how}), and the row went")
    later = d.evidence(d.add(target="named", name=name))
    d.expect(later.saw_turn(first), f"within pruneAfterMs there was a turn ({how}), and the context went")


def _turn(d: Driver, job: Handle, name: str, how: str) -> None:
    """A turn in the session, some minutes ago: none that was answered by hand or to a person."""
    if how == "person":
        d.say(wish("named", name=name), answer=ERROR)
    elif how != "slot":
        d.answers(job, HANG if how == "timed out" else ERROR)
        begin(d, job)
    d.advance(minutes=2)
    if how != "person" and not d.turns(job):
        d.pass_over("there was no turn, which is another requirement's question")


by_age = pytest.mark.cronsession_config(
    maintenance={"mode": "enforce", "pruneAfterMs": 2 * HOUR, "maxEntries": 994}
)


@requirement("CS-MNT-002")
@by_age
@pytest.mark.parametrize("form", ["named", "key", "current"])
def test_sessions_of_jobs_go_by_age(cronsession_driver: Driver, form: str) -> None:
    d = cronsession_driver
    d.require("trigger", "run.list")
    job = lasting(d, form)
    first = d.evidence(job)
    if not d.evidence(job).saw_turn(first):
        d.pass_over("the runs share no session, which is another requirement's question")
    keys = {s.key for s in rows_of(d, job)}
    _check_gone(d, keys, f"a session ({form}) with a job is idle for longer than pruneAfterMs", 2 * HOUR)


@requirement("CS-MNT-002")
@by_age
@pytest.mark.cronsession_last
@pytest.mark.parametrize("how", [how for how in ENDINGS if how != "error"])
def test_a_row_whose_run_ended_badly_goes_by_age(cronsession_driver: Driver, how: str) -> None:
    d = cronsession_driver
    d.require("trigger", *ENDINGS[how])
    name = d.fresh_name("rough")
    key = chat(d, name).key
    job = d.add(target="named", name=name, **(brief(d) if how == "timeout" else long_timeout(d)))
    ends_badly(d, job, how)
    _check_gone(d, {key}, f"a run in a session ended badly ({how})", 2 * HOUR)


@requirement("CS-MNT-003")
@pytest.mark.cronsession_config(
    sessionRetentionMs=None, maintenance={"mode": "enforce", "pruneAfterMs": 996 * HOUR, "maxEntries": 4}
)
@pytest.mark.parametrize("older", ["chats", "receipts"])
def test_the_cap_takes_the_longest_idle_of_any_kind(cronsession_driver: Driver, older: str) -> None:
    d = cronsession_driver
    d.require("retention", "receipts", "run.list", "session.isolated", "trigger")
    job, rows = d.add(target="isolated"), list[tuple[str, str | None]]()
    for kind in ("chats", "receipts") if older == "chats" else ("receipts", "chats"):
        for _ in range(3):
            if kind == "chats":
                rows.append((kind, chat(d, d.fresh_name("chat")).key))
            else:
                run = d.run_now(job).run
                rows.append((kind, run.session_key if run else None))
            d.advance(minutes=1)
    d.advance_to(d.now + sweep_ms(d))
    there = {s.key for s in d.sessions()}
    left = [(kind, key in there) for kind, key in rows]
    d.expect(
        sorted(stays for _, stays in left) == [stays for _, stays in left],
        f"not the rows idle for longest went by maxEntries; oldest first, listed: {left}",
    )


@requirement("CS-MNT-015")
@pytest.mark.cronsession_config(maintenance={"mode": "enforce", "pruneAfterMs": 995 * HOUR, "maxEntries": 3})
def test_a_session_that_the_cap_removed_begins_anew(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    name = d.fresh_name("returning")
    job = d.add(target="named", name=name)
    key, first = chat(d, name).key, d.evidence(job)
    d.advance(minutes=1)
    chat_keys(d, 6)
    d.advance_to(d.now + sweep_ms(d))
    if listed(d, {key}):
        d.not_observed("the session was not removed")
    second = d.evidence(job)
    d.expect(not second.saw_turn(first), "a session was removed by maxEntries, and its context is back")
    d.expect(
        d.evidence(job).saw_turn(second), "after maxEntries removed its session, a name has no lasting one"
    )
