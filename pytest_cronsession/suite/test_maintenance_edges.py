"""Limits of every kind for rows of every kind: other agents, receipts, what is in use; by time and on request."""

from __future__ import annotations

import pytest

from ..driver import Driver, Handle, wish
from ..model import Turn, hold
from ..oracle import MINUTE
from ..requirement import requirement
from .chats import chat, chat_keys
from .kit import all_rows, begin, end_held, listed, long_timeout, may_end, sweep_ms

HOUR = 60 * MINUTE
DAY = 24 * HOUR
MIB = 1024 * 1024
GRANTED = 5 * MIB
pytestmark = pytest.mark.cronsession_tier("full")
by_age = pytest.mark.cronsession_config(
    sessionRetentionMs=None, maintenance={"mode": "enforce", "pruneAfterMs": 12 * HOUR, "maxEntries": 995}
)
by_cap = pytest.mark.cronsession_config(
    maintenance={"mode": "enforce", "pruneAfterMs": 994 * HOUR, "maxEntries": 3}
)
by_bytes = pytest.mark.cronsession_config(
    maintenance={"mode": "enforce", "pruneAfterMs": 993 * HOUR, "maxEntries": 993, "maxDiskBytes": 8 * MIB}
)


def _busy(d: Driver, hours: int) -> tuple[Handle, Turn]:
    """A run under way in a named session where something was said before; with that turn."""
    name = d.fresh_name("busy")
    said = d.say(wish("named", name=name))
    job = d.add(target="named", name=name, **long_timeout(d))
    d.answers(job, hold(d.now + hours * HOUR))
    begin(d, job)
    d.expect(len(d.turns(job)) == 1, "the run did not reach the model")
    return job, said


def _expect_sweeps_within(d: Driver, hours: int) -> None:
    """Pass over a gateway whose sweeps are too rare to come during a run of the suite."""
    if sweep_ms(d) > hours * HOUR:
        d.pass_over("sweeps are so rare that no run lasts until the next one")


def _check_kept(d: Driver, job: Handle, said: Turn, why: str) -> None:
    """End the run, and look whether its session is the one it was."""
    if d.turns(job)[0].state != "held":
        may_end(d)
    end_held(d, job)
    later = d.evidence(job)
    d.expect(
        later.saw_turn(said) and later.saw_turn(d.turns(job)[0]),
        f"{why} removed the session of a run that was under way: the next run does not see its turns",
    )


@requirement("CS-MNT-002")
@pytest.mark.cronsession_config(maintenance={"mode": "enforce", "pruneAfterMs": 60 * DAY, "maxEntries": 999})
def test_a_long_limit_of_age_is_as_long(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    row = chat(d, d.fresh_name("old"))
    # Longer than a default, and than 31 bits of milliseconds; step by step, since one answer must not take too long.
    for _ in range(d.few(4, 1)):
        d.advance(days=8)
    d.expect(bool(listed(d, {row.key})), "a row went before pruneAfterMs, 60 days, had passed")


@requirement("CS-MNT-003")
@by_cap
def test_the_cap_holds_for_an_agent_that_is_not_the_first(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("agents")
    keys = []
    for _ in range(7):
        keys.append(chat(d, d.fresh_name("chat"), agent="work").key)
        d.advance(minutes=1)
    d.advance_to(d.now + sweep_ms(d))
    left = [key in listed(d, set(keys)) for key in keys]
    d.expect(sum(left) <= 3, f"maxEntries is 3, and of the rows of one agent {sum(left)} are listed")
    d.expect(left == sorted(left), f"not the longest idle went; oldest first, listed: {left}")


@requirement("CS-MNT-004")
@by_bytes
def test_bytes_do_not_take_a_run_under_way(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("maintenance.bytes")
    _expect_sweeps_within(d, 4)
    job, said = _busy(d, 5)
    chat_keys(d, 12, reply="x" * MIB)
    d.advance_to(d.now + sweep_ms(d))
    _check_kept(d, job, said, "maxDiskBytes")


@requirement("CS-MNT-004")
@by_age
def test_maintenance_on_request_leaves_a_run_under_way_alone(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("store.maintain")
    job, said = _busy(d, 20)
    d.advance(hours=13)
    d.maintain(dry_run=False)
    _check_kept(d, job, said, "maintenance on request")


@requirement("CS-MNT-004")
@by_cap
def test_the_cap_does_not_take_a_fresh_run_under_way(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("session.isolated", "run.list")
    _expect_sweeps_within(d, 4)
    job = d.add(target="isolated", **long_timeout(d))
    d.answers(job, hold(d.now + 5 * HOUR))
    begin(d, job)
    key = next((run.session_key for run in d.runs(job)), None)
    if d.row(key) is None:
        d.not_observed("the session of a run is not listed while it is under way")
    chat_keys(d, 6)
    d.advance_to(d.now + sweep_ms(d))
    if d.turns(job)[0].state != "held":
        may_end(d)
    there = d.row(key)
    end_held(d, job)
    d.expect(there is not None, "maxEntries removed the session of an isolated run that was under way")


@requirement("CS-MNT-005")
@by_age
@pytest.mark.parametrize("how", ["time", "request"])
def test_a_dry_run_names_rows_of_every_kind(cronsession_driver: Driver, how: str) -> None:
    d = cronsession_driver
    # An odd moment, and then just late enough: the rows are due, and a sweep has hardly come between.
    d.advance(seconds=16)
    chat(d, d.fresh_name("chat"))
    if d.has("agents"):
        chat(d, d.fresh_name("chat"), agent="work")
    if d.has("receipts", "retention", "session.isolated", "trigger"):
        d.evidence(d.add(target="isolated"))
    d.advance_to(d.now + 12 * HOUR + 1000 + d.hello.late_by_ms)
    before = all_rows(d)
    planned = d.maintain(dry_run=True)["removed"]
    # Enforced is by time as well, and nothing else falls due meanwhile.
    if how == "request":
        d.maintain(dry_run=False)
    else:
        d.advance_to(d.now + sweep_ms(d))
    gone = before - all_rows(d)
    d.expect(
        gone == set(planned),
        f"rows of several kinds were too old: the dry run named {sorted(planned)}, by {how} went {sorted(gone)}",
    )


@requirement("CS-MNT-005")
@by_age
def test_a_dry_run_names_nothing_in_use(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("trigger")
    job, _ = _busy(d, 20)
    d.advance(hours=13)
    if d.turns(job)[0].state != "held":
        may_end(d)
    before = all_rows(d)
    planned, done = d.maintain(dry_run=True), d.maintain(dry_run=False)
    gone = before - all_rows(d)
    end_held(d, job)
    d.expect(
        set(planned["removed"]) == set(done["removed"]) == gone,
        f"beside a run under way the dry run named {planned['removed']}, enforcing {done['removed']}, gone are {sorted(gone)}",
    )


@requirement("CS-MNT-005")
@by_age
def test_a_dry_run_leaves_what_was_said(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    name = d.fresh_name("chat")
    d.advance(seconds=16)
    first = d.say(wish("named", name=name))
    d.advance_to(d.now + 12 * HOUR + 1000 + d.hello.late_by_ms)
    before = {(s.key, s.id) for s in d.sessions()}
    planned = d.maintain(dry_run=True)["removed"]
    after = {(s.key, s.id) for s in d.sessions()}
    d.expect(before == after, f"a dry run made of the rows {sorted(before)} the rows {sorted(after)}")
    second = d.say(wish("named", name=name))
    now = {(s.key, s.id) for s in d.sessions()}
    # A gateway may sweep at any moment, also before a turn: then the session is another one.
    if not {(key, id) for key, id in before if key in planned} & now:
        d.pass_over("the session went before the next turn")
    d.expect(second.saw_turn(first), "a dry run named a session that is still there, and its context is gone")


@requirement("CS-MNT-007")
@by_cap
def test_the_cap_does_not_take_a_turn_that_waits(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    name = d.fresh_name("waiting")
    first = d.say(wish("named", name=name))
    d.advance(minutes=1)
    until = d.now + 10 * MINUTE + sweep_ms(d)
    waiting = d.speak(wish("named", name=name), hold(until))
    chat_keys(d, 6)
    d.advance_to(until - 2 * MINUTE)
    if waiting.state != "held":
        d.not_observed("the gateway lets no human turn wait for so long")
    d.advance_to(until)
    later = d.say(wish("named", name=name))
    d.expect(
        later.saw_turn(first) and later.saw_turn(waiting),
        "maxEntries removed the session of a human turn that waited: the next turn does not see it",
    )


@requirement("CS-MNT-008")
@by_cap
def test_the_cap_takes_others_than_the_row_in_use(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job, _ = _busy(d, 5)
    idle = set(chat_keys(d, 6))
    d.advance_to(d.now + sweep_ms(d))
    left = listed(d, idle)
    end_held(d, job)
    d.expect(
        len(left) <= 3,
        f"beside a row in use there may be 3 rows by maxEntries, and {len(left)} are listed",
    )


@requirement("CS-MNT-008")
@by_bytes
def test_bytes_take_others_than_the_row_in_use(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("maintenance.bytes")
    job, _ = _busy(d, 5)
    chat_keys(d, 16, reply="x" * MIB)
    d.advance_to(d.now + sweep_ms(d))
    size = d.disk().bytes
    end_held(d, job)
    d.expect(
        size <= 8 * MIB + GRANTED,
        f"beside a row in use maxDiskBytes of 8 MiB is exceeded: {size} bytes lie below the state folder",
    )


@requirement("CS-MNT-012")
@pytest.mark.cronsession_config(
    maintenance={"mode": "warn", "pruneAfterMs": 992 * HOUR, "maxEntries": 992, "maxDiskBytes": 4 * MIB}
)
def test_warn_removes_nothing_for_bytes_on_request(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("maintenance.bytes")
    keys = set(chat_keys(d, 8, reply="x" * MIB))
    answer = d.maintain(dry_run=False)
    lost = keys - listed(d, keys)
    d.expect(
        not lost and not answer["removed"],
        f"mode is warn, and maintenance on request removed {sorted(lost)} for bytes ({answer})",
    )


@requirement("CS-MNT-014")
@by_age
@pytest.mark.parametrize("kind", ["main", "busy"])
def test_rows_that_may_not_go_are_counted(cronsession_driver: Driver, kind: str) -> None:
    d = cronsession_driver
    d.require(*{"main": ["session.main"], "busy": ["trigger"]}[kind])
    job = None
    if kind == "main":
        d.say({"target": "main"})
    else:
        job, _ = _busy(d, 1)
    chat_keys(d, 2)
    before = all_rows(d)
    answer = d.maintain(dry_run=True)
    if job is not None:
        end_held(d, job)
    d.expect(answer["before"] == len(before), f"{len(before)} rows are listed, before is {answer['before']}")


@requirement("CS-MNT-018")
@by_bytes
def test_bytes_of_an_agent_that_is_not_the_first_count(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("agents")
    for _ in range(16):
        chat(d, d.fresh_name("chat"), agent="work", reply="x" * MIB)
        d.advance(minutes=1)
    d.advance_to(d.now + sweep_ms(d))
    size = d.disk().bytes
    d.expect(
        size <= 8 * MIB + GRANTED,
        f"maxDiskBytes is 8 MiB, and sessions of another agent make it {size} bytes on the disk",
    )
