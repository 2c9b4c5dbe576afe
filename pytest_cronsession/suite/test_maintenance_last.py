"""Limits where they are met last: many rows at once, rows of every kind, every kind of activity, after bad ends."""

from __future__ import annotations

import pytest

from ..driver import Driver, Handle, at, wish
from ..model import ERROR, HANG, hold
from ..oracle import MINUTE
from ..requirement import requirement
from .chats import chat, chat_keys
from .forms import lasting
from .kit import (
    ENDINGS,
    begin,
    brief,
    check_gone,
    ends_badly,
    listed,
    long_timeout,
    receipts_of,
    rows_of,
    sweep_ms,
)

HOUR = 60 * MINUTE
MIB = 1024 * 1024
GRANTED = 5 * MIB
pytestmark = pytest.mark.cronsession_tier("full")


@requirement("CS-MNT-001")
@pytest.mark.cronsession_config(
    sessionRetentionMs=None, maintenance={"mode": "warn", "pruneAfterMs": HOUR, "maxEntries": 3}
)
def test_warn_removes_no_receipt(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("retention", "session.isolated")
    keys = receipts_of(d, d.add(target="isolated"), 6)
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
    check_gone(d, keys, "many rows are idle for longer than pruneAfterMs, 20 minutes", 20 * MINUTE)


@requirement("CS-MNT-002")
@pytest.mark.cronsession_config(maintenance={"mode": "enforce", "pruneAfterMs": 6 * HOUR, "maxEntries": 995})
@pytest.mark.parametrize("how", ["slot", "failed", "timed out", "person", "long run"])
def test_every_turn_is_activity(cronsession_driver: Driver, how: str) -> None:
    d = cronsession_driver
    needs = {"slot": "schedule.at", "timed out": "run.timeout"}
    d.require("trigger", *([needs[how]] if how in needs else []))
    name = d.fresh_name("active")
    key = chat(d, name).key
    first = d.evidence(d.add(target="named", name=name))
    job = d.add(
        at(d.now + 4 * HOUR) if how == "slot" else None,
        target="named",
        name=name,
        **(long_timeout(d) if how == "long run" else brief(d)),
    )
    if how == "long run":
        _long_run(d, job)
    else:
        d.advance(hours=4)
        _turn(d, job, name, how)
    d.advance(hours=5)
    d.expect(bool(listed(d, {key})), f"within pruneAfterMs there was a turn ({how}), and the row went")
    later = d.evidence(d.add(target="named", name=name))
    d.expect(later.saw_turn(first), f"within pruneAfterMs there was a turn ({how}), and the context went")


def _long_run(d: Driver, job: Handle) -> None:
    """A run that begins now and ends in four hours, which is its activity too."""
    until = d.now + 4 * HOUR
    d.answers(job, hold(until))
    begin(d, job)
    d.advance_to(until + 2 * MINUTE)
    if d.turns(job)[0].state != "answered":
        d.pass_over("the gateway lets no run take so long")


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


@requirement("CS-MNT-002")
@pytest.mark.cronsession_config(
    maintenance={"mode": "enforce", "pruneAfterMs": 20 * MINUTE, "maxEntries": 999}
)
def test_the_end_of_a_turn_that_waited_is_activity(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    name = d.fresh_name("waited")
    waiting = d.speak(wish("named", name=name), hold(d.now + 15 * MINUTE))
    d.advance(minutes=16)
    if waiting.state != "answered":
        d.pass_over("the gateway lets no human turn wait for so long")
    d.advance(minutes=14)
    later = d.say(wish("named", name=name))
    d.expect(
        later.saw_turn(waiting), "a human turn ended within pruneAfterMs, and maintenance took its session"
    )


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
    check_gone(d, keys, f"a session ({form}) with a job is idle for longer than pruneAfterMs", 2 * HOUR)


@requirement("CS-MNT-002")
@by_age
def test_nothing_but_a_turn_is_activity(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    name = d.fresh_name("watched")
    key, since = chat(d, name).key, d.now
    while d.now < since + 2 * HOUR:
        d.add(target="named", name=name)
        d.advance(minutes=25)
        d.jobs()
        d.sessions()
    d.advance_to(max(d.now, since + 2 * HOUR + sweep_ms(d)))
    d.expect(
        not listed(d, {key}), "jobs were added to a session and it was looked at, and that keeps its row"
    )


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
    check_gone(d, {key}, f"a run in a session ended badly ({how})", 2 * HOUR)


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


@requirement("CS-MNT-005")
@pytest.mark.cronsession_config(maintenance={"mode": "enforce", "pruneAfterMs": 9 * HOUR, "maxEntries": 993})
def test_a_dry_run_is_no_activity(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    key = chat(d, d.fresh_name("asked-about")).key
    d.advance(hours=1)
    before = [(s.key, s.id, s.updated_ms) for s in d.sessions()]
    d.maintain(dry_run=True)
    after = [(s.key, s.id, s.updated_ms) for s in d.sessions()]
    d.expect(sorted(before) == sorted(after), f"a dry run made of the rows {before} the rows {after}")
    d.advance_to(d.now + 8 * HOUR + sweep_ms(d))
    d.expect(not listed(d, {key}), "there was a dry run, and a row is listed that is too old by pruneAfterMs")


@requirement("CS-MNT-018")
@pytest.mark.cronsession_config(
    archiveMs=48 * HOUR,
    maintenance={"mode": "enforce", "pruneAfterMs": 992 * HOUR, "maxEntries": 992, "maxDiskBytes": 8 * MIB},
)
def test_what_is_put_aside_counts_as_bytes(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("archives")
    chat_keys(d, 20, reply="x" * MIB)
    d.advance_to(d.now + sweep_ms(d))
    size = d.disk().bytes
    d.expect(
        size <= 8 * MIB + GRANTED,
        f"maxDiskBytes is 8 MiB, and with what was put aside {size} bytes lie below the state folder",
    )
