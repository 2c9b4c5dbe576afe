"""Maintenance keeps the store within its bounds, and takes nothing that is in use."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ..checkers import cap_findings
from ..contract import Session
from ..driver import Driver, wish
from ..model import hold
from ..oracle import MINUTE
from ..requirement import requirement
from .chats import chat, chat_keys
from .kit import all_rows, begin, listed, long_timeout, may_end, sweep_ms

HOUR = 60 * MINUTE


@requirement("CS-MNT-001")
@pytest.mark.cronsession_config(maintenance={"mode": "warn", "pruneAfterMs": HOUR, "maxEntries": 3})
def test_warn_removes_nothing(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    keys = set(chat_keys(d, d.few(6, 4)))
    d.advance_to(d.now + 2 * HOUR + sweep_ms(d))
    lost = keys - listed(d, keys)
    d.expect(not lost, f"mode warn removed {sorted(lost)}")


@requirement("CS-MNT-002")
@pytest.mark.cronsession_config(maintenance={"mode": "enforce", "pruneAfterMs": 6 * HOUR, "maxEntries": 1000})
def test_idle_rows_go_by_age(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    name = d.fresh_name("revived")
    old, revived = chat(d, d.fresh_name("old")), chat(d, name)
    d.advance(hours=4)
    young = chat(d, d.fresh_name("young"))
    d.say(wish("named", name=name))
    due = d.now + 2 * HOUR + sweep_ms(d)
    # With rare sweeps the young ones grow old until the next one.
    d.advance_to(min(due, d.now + 5 * HOUR))
    left = listed(d, {young.key, revived.key})
    for row in (young, revived):
        d.expect(row.key in left, f"{row.key} was active within pruneAfterMs and is gone")
    d.advance_to(due)
    d.expect(not listed(d, {old.key}), f"{old.key} is idle for longer than pruneAfterMs and still listed")


# One world for both: a boot may take ten seconds.
both_limits = pytest.mark.cronsession_config(
    maintenance={"mode": "enforce", "pruneAfterMs": 2 * HOUR, "maxEntries": 3}
)


@requirement("CS-MNT-003")
@both_limits
def test_the_cap_keeps_the_most_recent_rows(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    # So many that the last one is again one too many for a gateway that empties its store when there are too many.
    names = [d.fresh_name("chat") for _ in range(6)]
    rows: dict[str, Session] = {}
    # The oldest row is active again before there are too many: it is one of those that stay.
    for name in [*names[:5], names[2], names[5]]:
        if name in rows:
            d.say(wish("named", name=name))
            rows[name] = replace(rows[name], updated_ms=d.now)
        else:
            rows[name] = chat(d, name)
        d.advance(minutes=1)
    d.advance_to(d.now + sweep_ms(d))
    known = {s.key for s in rows.values()}
    left = [s for s in d.sessions() if s.key in known]
    d.judge(cap_findings(list(rows.values()), left, 3))
    # A gateway that sweeps rarely may have taken them for their age by now.
    d.expect(
        len(all_rows(d)) >= 2 or sweep_ms(d) + MINUTE > 2 * HOUR,
        f"of {len(names)} sessions {len(left)} are left by a cap of 3 rows, which are less than half as many",
    )


@requirement("CS-MNT-004")
@both_limits
def test_maintenance_leaves_a_run_under_way_alone(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    name = d.fresh_name("busy")
    said = d.say(wish("named", name=name))
    job = d.add(target="named", name=name, **long_timeout(d))
    # Within the time-out, also where sweeps are rare.
    watched = min(3 * HOUR + sweep_ms(d), 20 * HOUR)
    d.answers(job, hold(d.now + watched + 2 * HOUR))
    begin(d, job)
    d.expect(len(d.turns(job)) == 1, "the run did not reach the model")
    chat_keys(d, d.few(5, 4))
    d.advance_to(d.now + watched)
    if d.turns(job)[0].state != "held":
        may_end(d)
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
def test_a_dry_run_names_what_age_removes(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    chat_keys(d, 3, seconds=7)
    # An odd moment, and then just late enough: the last row is due, and a sweep has hardly come between.
    d.advance(seconds=16)
    chat(d, d.fresh_name("last"))
    d.advance_to(d.now + 12 * HOUR + 1000 + d.hello.late_by_ms)
    _check_dry_run(d)


@requirement("CS-MNT-005")
@pytest.mark.cronsession_config(maintenance={"mode": "enforce", "pruneAfterMs": 1000 * HOUR, "maxEntries": 2})
def test_a_dry_run_names_what_the_cap_removes(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    chat_keys(d, 6, seconds=1)
    _check_dry_run(d)


def _check_dry_run(d: Driver) -> None:
    """Nothing may be due, because it has gone already: both plans must agree all the same."""
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
