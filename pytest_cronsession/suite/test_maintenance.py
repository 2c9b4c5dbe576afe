"""Maintenance keeps the store within its bounds, and takes nothing that is in use."""

from __future__ import annotations

import pytest

from ..checkers import cap_findings
from ..contract import Session
from ..driver import Driver, wish
from ..model import hold
from ..oracle import MINUTE
from ..requirement import requirement
from .kit import listed, long_timeout, sweep_ms

HOUR = 60 * MINUTE


def _chat(d: Driver, stem: str) -> Session:
    """A human turn in a new named session; the row it left, with the activity as we know it."""
    before = {s.key for s in d.sessions()}
    d.say(wish("named", name=d.fresh_name(stem)))
    new = [s for s in d.sessions() if s.key not in before]
    if len(new) != 1:
        d.not_observed(f"a human turn in a new session left {len(new)} new rows")
    return Session(new[0].key, new[0].id, updated_ms=d.now)


def _chats(d: Driver, n: int, *, minutes: int = 1) -> list[Session]:
    rows = []
    for _ in range(n):
        rows.append(_chat(d, "chat"))
        d.advance(minutes=minutes)
    return rows


@requirement("CS-MNT-001")
@pytest.mark.cronsession_config(maintenance={"mode": "warn", "pruneAfterMs": HOUR, "maxEntries": 3})
def test_warn_removes_nothing(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    keys = {s.key for s in _chats(d, 6)}
    d.advance_to(d.now + 2 * HOUR + sweep_ms(d))
    lost = keys - listed(d, keys)
    d.expect(not lost, f"mode warn removed {sorted(lost)}")


@requirement("CS-MNT-002")
@pytest.mark.cronsession_config(maintenance={"mode": "enforce", "pruneAfterMs": 6 * HOUR, "maxEntries": 1000})
def test_idle_rows_go_by_age(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    old = _chat(d, "old")
    d.advance(hours=4)
    young = _chat(d, "young")
    d.advance_to(d.now + 2 * HOUR + sweep_ms(d))
    left = listed(d, {old.key, young.key})
    d.expect(old.key not in left, f"{old.key} is idle for longer than pruneAfterMs and still listed")
    d.expect(young.key in left, f"{young.key} was active within pruneAfterMs and is gone")


@requirement("CS-MNT-003")
@pytest.mark.cronsession_config(maintenance={"mode": "enforce", "pruneAfterMs": 1000 * HOUR, "maxEntries": 5})
def test_the_cap_keeps_the_most_recent_rows(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    rows = _chats(d, 9)
    d.advance_to(d.now + sweep_ms(d))
    known = {s.key for s in rows}
    left = [s for s in d.sessions() if s.key in known]
    d.judge(cap_findings(rows, left, 5))
    d.expect(bool(left), "the cap removed every row")


@requirement("CS-MNT-004")
@pytest.mark.cronsession_config(maintenance={"mode": "enforce", "pruneAfterMs": 2 * HOUR, "maxEntries": 3})
def test_maintenance_leaves_a_run_under_way_alone(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    name = d.fresh_name("busy")
    said = d.say(wish("named", name=name))
    job = d.add(target="named", name=name, **long_timeout(d))
    d.answers(job, hold(d.now + 5 * HOUR))
    d.trigger(job)
    d.advance()
    _chats(d, 5)
    d.advance_to(d.now + 3 * HOUR + sweep_ms(d))
    d.expect(d.turns(job)[0].state == "held", "the run under way was ended by maintenance")
    d.advance(hours=2)
    d.expect(d.turns(job)[0].state == "answered", "the long run was not answered")
    later = d.evidence(job)
    d.expect(
        later.saw_turn(said) and later.saw_turn(d.turns(job)[0]),
        "maintenance removed the session of a run that was under way: the next run does not see its turns",
    )


@requirement("CS-MNT-005")
@pytest.mark.cronsession_config(
    maintenance={"mode": "enforce", "pruneAfterMs": 12 * HOUR, "maxEntries": 1000}
)
def test_a_dry_run_names_what_enforcing_removes(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    _chats(d, 3)
    # Due to go now, and not swept yet unless a sweep falls on this very minute: both plans must agree anyway.
    d.advance_to(d.now + 12 * HOUR)
    before = {s.key for s in d.sessions()}
    planned = d.maintain(dry_run=True)
    d.expect({s.key for s in d.sessions()} == before, "a dry run of maintenance changed the store")
    done = d.maintain(dry_run=False)
    after = {s.key for s in d.sessions()}
    d.expect(
        set(planned["removed"]) == set(done["removed"]) == before - after,
        f"the dry run named {planned['removed']}, enforcing named {done['removed']}, gone are {sorted(before - after)}",
    )
    d.expect(done["after"] == len(after), f"{done['after']} rows are claimed, {len(after)} are listed")
