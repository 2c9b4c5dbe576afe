"""Limits of age, count and bytes: the plan, and the plan carried out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cronsession_reference.maintenance import plan
from cronsession_reference.settings import Limits
from cronsession_reference.store import SessionRow, Totals

T0 = 1_772_323_200_000
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
WIDE = {"prune_after_ms": 10**15, "max_entries": 10**9, "max_disk_bytes": 10**15}


def rows_of(*ages_and_sizes: tuple[int, int]) -> list[SessionRow]:
    return [
        SessionRow(f"k{number}", f"i{number}", "main", None, "named", 0, T0 - age, size)
        for number, (age, size) in enumerate(ages_and_sizes)
    ]


def totals_of(rows: list[SessionRow], *, more: int = 0) -> Totals:
    return Totals(len(rows) + more, sum(row.bytes for row in rows))


def gone(rows: list[SessionRow], more: int = 0, **limits: int) -> list[str]:
    found = plan(rows, totals_of(rows, more=more), Limits("enforce", **{**WIDE, **limits}), T0)
    return [row.key for row in found.rows]


def test_each_limit_works_on_its_own() -> None:
    rows = rows_of((40, 10), (30, 0), (20, 10), (10, 10))
    assert gone(rows) == []
    assert gone(rows, prune_after_ms=20) == ["k0", "k1"]
    assert gone(rows, prune_after_ms=19) == ["k0", "k1", "k2"]
    assert gone(rows, max_entries=4) == []
    assert gone(rows, max_entries=2) == ["k0", "k1"]
    assert gone(rows, max_disk_bytes=30) == []
    assert gone(rows, max_disk_bytes=19) == ["k0", "k2"], "an empty row frees no bytes"


def test_what_may_not_go_counts_and_is_reported() -> None:
    found = plan(rows_of((1, 5)), Totals(4, 50), Limits("enforce", 10**9, 2, 10), T0)
    assert ([row.key for row in found.rows], found.over_entries, found.over_bytes) == (["k0"], 1, 35)


def test_no_more_is_read_than_has_to_go() -> None:
    def endless() -> Any:
        yield from rows_of(*[(100 - number, 1) for number in range(10)])
        raise AssertionError("read on after the first row that stays")

    found = plan(endless(), Totals(1000, 1000), Limits("enforce", 10**9, 995, 10**9), T0)
    assert len(found.rows) == 5


@settings(deadline=None, derandomize=True, database=None, max_examples=300)
@given(
    sizes=st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20)), max_size=20),
    prune=st.integers(1, 60),
    entries=st.integers(1, 25),
    size=st.integers(1, 250),
)
def test_the_plan_meets_the_limits_and_takes_the_oldest(
    sizes: list[tuple[int, int]], prune: int, entries: int, size: int
) -> None:
    rows = rows_of(*sorted(sizes, reverse=True))
    doomed = set(gone(rows, prune_after_ms=prune, max_entries=entries, max_disk_bytes=size))
    left = [row for row in rows if row.key not in doomed]
    assert len(left) <= entries
    assert sum(row.bytes for row in left) <= size
    assert all(T0 - row.updated_ms <= prune for row in left)
    for position, row in enumerate(rows):
        # When it was this row's turn: the older ones that stayed, itself, and all younger ones.
        present = [other for other in rows[:position] if other.key not in doomed] + rows[position:]
        heavy = sum(other.bytes for other in present) > size and row.bytes > 0
        needed = T0 - row.updated_ms > prune or len(present) > entries or heavy
        assert (row.key in doomed) == needed


def seeds(*ages: int, receipt: bool = False) -> list[dict[str, Any]]:
    return [{"receipt": receipt, "updatedAtMs": T0 - age} for age in ages]


def seeded(make_world: Any, rows: list[dict[str, Any]], **block: Any) -> Any:
    world = make_world()
    keys = world.call("store/seed", stateDir=str(world.folder), rows=rows)["sessions"]
    world.keys = [row["key"] for row in keys]
    return world.start(sessionRetentionMs=None, maintenance={"mode": "enforce", **block})


def test_a_dry_run_says_what_enforcing_does(make_world: Any) -> None:
    rows = seeds(5 * DAY, 1 * DAY, 40 * DAY, 3 * DAY)
    world = seeded(make_world, rows, pruneAfterMs=30 * DAY, maxEntries=2)
    said = world.call("store/maintain", dryRun=True)
    assert len(world.sessions()) == len(world.transcripts()) == 4
    done = world.call("store/maintain", dryRun=False)
    assert said == done
    assert (done["before"], done["after"]) == (4, 2)
    assert done["removed"] == [world.keys[2], world.keys[0]]
    assert sorted(world.sessions()) == sorted([world.keys[1], world.keys[3]])
    assert len(world.transcripts()) == 2


def test_mode_warn_removes_nothing(make_world: Any) -> None:
    world = seeded(make_world, seeds(90 * DAY, DAY), mode="warn", maxEntries=1, maxDiskBytes=1)
    world.advance(T0 + HOUR)
    answer = world.call("store/maintain", dryRun=False)
    assert (answer["before"], answer["after"], answer["removed"]) == (2, 2, [])
    assert set(answer["unmet"]) == {"maxEntries", "maxDiskBytes"}
    assert len(world.sessions()) == 2


def test_limits_are_applied_by_time_alone(make_world: Any) -> None:
    world = seeded(make_world, seeds(29 * DAY, DAY), pruneAfterMs=30 * DAY)
    world.advance(T0 + DAY)
    assert set(world.sessions()) == set(world.keys)
    world.advance(T0 + DAY + MINUTE)
    assert set(world.sessions()) == {world.keys[1]}


def test_the_cap_holds_at_every_moment(make_world: Any) -> None:
    world = make_world(sweep_interval_ms=DAY).start(
        sessionRetentionMs=None, maintenance={"mode": "enforce", "maxEntries": 5}
    )
    world.add({"kind": "every", "everyMs": MINUTE})
    for minute in range(1, 30):
        world.advance(T0 + minute * MINUTE)
        assert len(world.sessions()) == min(minute, 5)
    newest = [run["sessionKey"] for run in world.runs()][-5:]
    assert sorted(world.sessions()) == sorted(newest)


def test_bytes_are_those_on_disk(make_world: Any) -> None:
    world = make_world().start(sessionRetentionMs=None, maintenance={"mode": "enforce", "maxDiskBytes": 5000})
    world.add({"kind": "every", "everyMs": 10 * MINUTE}, text="x" * 500)

    def on_disk() -> int:
        return sum(path.stat().st_size for path in (world.folder / "sessions").iterdir())

    world.advance(T0 + 10 * HOUR)
    assert 4000 < on_disk() <= 5000
    assert sum(row["bytes"] for row in world.sessions().values()) == on_disk()


def test_main_and_what_is_in_use_are_protected(make_world: Any) -> None:
    world = make_world().start(
        sessionRetentionMs=None,
        maintenance={"mode": "enforce", "maxEntries": 1, "pruneAfterMs": HOUR, "maxDiskBytes": 1},
    )
    world.add({"kind": "at", "atMs": T0 + MINUTE}, session={"target": "main"})
    job = world.add({"kind": "at", "atMs": T0 + MINUTE}, text="long", timeoutMs=DAY)
    world.hold("long")
    world.advance(T0 + 5 * HOUR)
    assert len(world.sessions()) == 2
    assert world.call("store/maintain", dryRun=True)["removed"] == []
    world.release("long")
    world.advance(T0 + 5 * HOUR + MINUTE)
    assert set(world.sessions()) == {"agent:main:main"}
    assert world.statuses(job) == ["ok"]


def test_the_default_configuration_is_bounded(make_world: Any) -> None:
    world = make_world(run_history=20).start(sessionRetentionMs=None)
    world.add({"kind": "every", "everyMs": MINUTE})
    world.advance(T0 + 9 * HOUR)
    assert len(world.sessions()) == len(world.transcripts()) == 500


@pytest.mark.parametrize("block", [{"maxEntries": 3}, {"pruneAfterMs": 5 * DAY}, {"maxDiskBytes": 10**6}])
def test_a_partial_block_keeps_the_other_defaults(block: dict[str, int]) -> None:
    limits = Limits.of({"mode": "enforce", **block})
    changed = [name for name in WIDE if getattr(limits, name) != getattr(Limits(), name)]
    assert len(changed) == 1
