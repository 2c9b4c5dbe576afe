"""Rows that were put into a stopped store, as a life of weeks would have left them: listed, used, and gone in time."""

from __future__ import annotations

from typing import Any

import pytest

from ..contract import Session
from ..driver import Driver, wish
from ..model import hold
from ..oracle import MINUTE
from ..requirement import requirement
from ..trace import instant
from .kit import begin, end_held, listed, long_timeout, sweep_ms

HOUR = 60 * MINUTE
pytestmark = pytest.mark.cronsession_last


def _named(d: Driver, name: str, age_ms: int, **more: Any) -> dict[str, Any]:
    return {"receipt": False, "session": wish("named", name=name), "updatedAtMs": d.now - age_ms, **more}


def _receipt(d: Driver, age_ms: int, **more: Any) -> dict[str, Any]:
    return {"receipt": True, "updatedAtMs": d.now - age_ms, **more}


def _agents(d: Driver) -> list[str]:
    return ["main", "work"] if d.has("agents") else ["main"]


def _use(d: Driver) -> None:
    """Let each agent run something: a gateway makes the store of an agent when it is first used."""
    for agent in _agents(d):
        named: dict[str, Any] = {"agent": agent} if d.has("agents") else {}
        place: dict[str, Any] = {}
        if d.has("session.named"):
            place = {"target": "named", "name": d.fresh_name("first")}
        d.evidence(d.add(**place, **named))


def _seeded(d: Driver, *rows: dict[str, Any]) -> list[Session]:
    """What store/seed answered, from before the start that follows."""
    d.stop()
    found = d.seed(rows)
    d.expect(
        len({row.key for row in found}) == len(rows) == len(found),
        f"{len(rows)} different rows were seeded, and the answer names {sorted(row.key for row in found)}",
    )
    d.start()
    return found


@requirement("CS-MNT-021")
def test_seeded_rows_are_listed(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    _use(d)
    known = d.fresh_name("known")
    d.evidence(d.add(target="named", name=known))
    rows = [_named(d, d.fresh_name("old"), age) for age in (3 * MINUTE, 2 * HOUR)]
    rows.append(_named(d, known, 90 * MINUTE))
    if d.has("receipts", "session.isolated"):
        job = d.add(target="isolated")
        rows += [
            _receipt(d, 20 * MINUTE),
            _receipt(d, HOUR, jobId=job.id),
            _receipt(d, 50 * MINUTE, jobId=job.id),
        ]
    if d.has("agents"):
        rows.append(_named(d, d.fresh_name("other"), HOUR, agent="work"))
    seeded = _seeded(d, *rows)
    grain = d.hello.resolution_ms + d.hello.lateness_ms
    there = d.sessions()
    for row, wanted in zip(seeded, rows, strict=True):
        found = [s for s in there if s.key == row.key]
        d.expect(len(found) == 1, f"the seeded row {row.key} is listed {len(found)} times after the start")
        last = found[0].updated_ms
        d.expect(
            last is None or abs(last - wanted["updatedAtMs"]) <= grain,
            f"{row.key} was last active at {instant(wanted['updatedAtMs'])}, listed is {instant(last)}",
        )


@requirement("CS-MNT-023")
def test_a_seeded_session_is_used_by_its_name(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    _use(d)
    name = d.fresh_name("old")
    (row,) = _seeded(d, _named(d, name, HOUR))
    done = d.run_now(d.add(target="named", name=name))
    used = done.run.session_key if done.run else None
    d.expect(used == row.key, f"the session {name!r} was seeded as {row.key}, its job ran in {used}")


@requirement("CS-REA-027")
@pytest.mark.cronsession_config(sessionRetentionMs=24 * HOUR)
def test_seeded_receipts_go_in_their_time(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    _use(d)
    job = d.add(target="isolated")
    jobs = [{"jobId": job.id}, {}]
    old = [_receipt(d, 30 * HOUR, **more) for more in jobs]
    young = [_receipt(d, 2 * HOUR, **more) for more in jobs]
    keys = [row.key for row in _seeded(d, *old, *young)]
    first, second = set(keys[: len(old)]), set(keys[len(old) :])
    swept = d.now + sweep_ms(d)
    # With rare sweeps the young ones may go with the old ones.
    d.advance_to(min(swept, d.now + 21 * HOUR))
    _expect_left(d, set(), second)
    d.advance_to(swept)
    _expect_left(d, first, set())
    d.advance_to(swept + 22 * HOUR)
    _expect_left(d, second, set())


@requirement("CS-MNT-022")
@pytest.mark.cronsession_config(
    maintenance={"mode": "enforce", "pruneAfterMs": 24 * HOUR, "maxEntries": 1000}
)
def test_seeded_sessions_go_in_their_time(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    _use(d)
    busy, revived = d.fresh_name("busy"), d.fresh_name("revived")
    young = [
        _named(d, busy, 20 * HOUR),
        _named(d, revived, 20 * HOUR),
        _named(d, d.fresh_name("new"), 2 * HOUR),
    ]
    middle = _named(d, d.fresh_name("middle"), 20 * HOUR)
    rows = _seeded(d, *young, middle, _named(d, d.fresh_name("old"), 40 * HOUR))
    kept, fading, old = {r.key for r in rows[:3]}, rows[3].key, {rows[4].key}
    d.evidence(d.add(target="named", name=revived))
    job = d.add(target="named", name=busy, **long_timeout(d))
    d.answers(job, hold())
    begin(d, job)
    began, swept = d.now, d.now + sweep_ms(d)
    # With rare sweeps those that are young now may go with the others.
    d.advance_to(min(swept, began + 3 * HOUR))
    _expect_left(d, set(), {*kept, fading})
    d.advance_to(swept)
    _expect_left(d, old, set())
    d.advance_to(swept + 4 * HOUR)
    _expect_left(d, {fading}, kept if d.now <= began + 21 * HOUR else set())
    end_held(d, job)


def _expect_left(d: Driver, gone: set[str], there: set[str]) -> None:
    left = listed(d, gone | there)
    d.expect(not gone & left, f"seeded rows whose time has come are still listed: {sorted(gone & left)}")
    d.expect(there <= left, f"seeded rows whose time has not come are gone: {sorted(there - left)}")
