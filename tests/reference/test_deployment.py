"""The deployment of the report that started it all, for 28 days: what stays in the store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

T0 = 1_772_323_200_000  # 2026-03-01, a Sunday
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
SCHEDULES = ("15,45 7-20 * * 1-5", "0,30 8-18 * * 1-5")
AGENTS = ("main", "a", "b")
RUNS = 3 * 20 * (28 + 22)  # three agents, twenty working days
BLOCK = {"mode": "enforce", "pruneAfterMs": 14 * DAY, "maxEntries": 400, "maxDiskBytes": 500 * 1024**2}
WARN = {"mode": "warn"}


def replay(make_world: Any, session: Mapping[str, str], **config: Any) -> tuple[Any, list[int]]:
    """The world after 28 days, and the number of rows at every noon and midnight."""
    world = make_world(run_history=50, sweep_interval_ms=5 * MINUTE).start(zone="Europe/Berlin", **config)
    for agent in AGENTS:
        for number, expr in enumerate(SCHEDULES):
            wish = {name: value.format(agent=agent, number=number) for name, value in session.items()}
            world.add({"kind": "cron", "expr": expr}, agent=agent, session=wish)
    rows = []
    for half_day in range(1, 57):
        world.advance(T0 + half_day * 12 * HOUR)
        rows.append(len(world.sessions()))
    assert len(world.model.requests) == RUNS
    assert len(world.transcripts()) == rows[-1]
    return world, rows


@pytest.mark.parametrize(
    ("session", "rows"),
    [({"target": "isolated", "key": "desk"}, 3), ({"target": "named", "name": "desk-{number}"}, 6)],
)
def test_shared_keys_leave_a_handful_of_rows(make_world: Any, session: Mapping[str, str], rows: int) -> None:
    world, counts = replay(make_world, session)
    assert max(counts) == rows
    longest = max(len(messages) for messages in world.model.requests)
    turns = 20 * (28 + 22) if rows == 3 else 20 * 28
    assert longest == 2 * turns - 1, "each request has all that was said before"


@pytest.mark.parametrize("config", [{}, {"sessionRetentionMs": DAY, "maintenance": WARN}])
def test_isolated_runs_are_bounded_by_default_and_by_retention(
    make_world: Any, config: Mapping[str, Any]
) -> None:
    _, counts = replay(make_world, {"target": "isolated"}, **config)
    assert 100 < max(counts) <= 3 * 52 + 6


def test_without_retention_and_limits_everything_stays(make_world: Any) -> None:
    _, counts = replay(make_world, {"target": "isolated"}, sessionRetentionMs=None, maintenance=WARN)
    assert counts[-1] == RUNS


def test_without_retention_the_block_bounds_the_store(make_world: Any) -> None:
    _, counts = replay(make_world, {"target": "isolated"}, sessionRetentionMs=None, maintenance=BLOCK)
    assert max(counts) == 400


def test_the_first_enforce_after_a_year_of_neglect(make_world: Any) -> None:
    world = make_world()
    aged = [{"receipt": True, "updatedAtMs": T0 - number * HOUR} for number in range(1500)]
    world.call("store/seed", stateDir=str(world.folder), rows=aged)
    world.start(sessionRetentionMs=None, maintenance=BLOCK)
    assert len(world.sessions()) == 1500
    world.advance(T0 + 60_000)
    assert 14 * 24 <= len(world.sessions()) <= 400
    assert len(world.transcripts()) == len(world.sessions())
