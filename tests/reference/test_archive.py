"""What becomes of the transcripts of removed sessions, and of transcripts that nobody owns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

T0 = 1_772_323_200_000
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


def every(milliseconds: int) -> dict[str, Any]:
    return {"kind": "every", "everyMs": milliseconds}


def aside(world: Any) -> dict[str, Path]:
    return {path.stem: path for path in (world.folder / "archive").glob("*")}


def test_a_removed_transcript_is_put_aside_and_goes_in_its_time(make_world: Any) -> None:
    world = make_world().start(sessionRetentionMs=HOUR, archiveMs=DAY)
    job = world.add({"kind": "at", "atMs": T0 + MINUTE})
    world.advance(T0 + MINUTE)
    (session_id,) = world.transcripts()
    said = (world.folder / "sessions" / f"{session_id}.jsonl").read_bytes()
    world.advance(T0 + 2 * HOUR)
    assert world.sessions() == {}
    assert world.transcripts() == set()
    kept = aside(world)
    assert kept[session_id].read_bytes() == said
    assert kept[session_id].stat().st_mode & 0o777 == 0o600
    assert kept[session_id].parent.stat().st_mode & 0o777 == 0o700
    world.advance(T0 + HOUR + DAY)
    assert set(aside(world)) == {session_id}
    world.advance(T0 + HOUR + DAY + 5 * MINUTE)
    assert aside(world) == {}
    assert world.statuses(job) == ["ok"]


def test_without_the_setting_nothing_is_put_aside(make_world: Any) -> None:
    world = make_world().start(sessionRetentionMs=HOUR)
    world.add({"kind": "at", "atMs": T0 + MINUTE})
    world.advance(T0 + 2 * HOUR)
    assert not (world.folder / "archive").exists()


def test_what_maintenance_removes_is_put_aside_too(make_world: Any) -> None:
    block = {"mode": "enforce", "maxEntries": 2}
    world = make_world().start(sessionRetentionMs=None, archiveMs=DAY, maintenance=block)
    world.add(every(HOUR))
    world.advance(T0 + 6 * HOUR)
    assert len(world.sessions()) == 2
    assert len(aside(world)) == 4


def test_archives_count_as_bytes_and_go_before_any_session(make_world: Any) -> None:
    world = make_world().start(
        sessionRetentionMs=HOUR, archiveMs=30 * DAY, maintenance={"mode": "enforce", "maxDiskBytes": 8000}
    )
    named = world.add(every(DAY), text="x" * 1500, session={"target": "named", "name": "kept"})
    world.add(every(HOUR), text="y" * 500)
    world.trigger(named)
    world.advance(T0 + DAY)
    files = [*(world.folder / "sessions").glob("*"), *aside(world).values()]
    assert aside(world)
    assert sum(path.stat().st_size for path in files) <= 8000
    assert "agent:main:kept" in world.sessions()
    store = world.gateway._engine.store
    assert store.totals().archived == sum(path.stat().st_size for path in aside(world).values())


def test_warn_removes_no_archive(make_world: Any) -> None:
    world = make_world().start(
        sessionRetentionMs=HOUR, archiveMs=30 * DAY, maintenance={"mode": "warn", "maxDiskBytes": 10}
    )
    world.add({"kind": "at", "atMs": T0 + MINUTE})
    world.advance(T0 + 5 * HOUR)
    assert len(aside(world)) == 1


def test_a_crash_while_a_transcript_is_put_aside_loses_nothing(make_world: Any) -> None:
    """The file has moved and the row is still there: the next sweep ends what was begun."""
    world = make_world().start(sessionRetentionMs=HOUR, archiveMs=DAY)
    world.add({"kind": "at", "atMs": T0 + MINUTE})
    world.advance(T0 + MINUTE)
    (row,) = world.gateway._engine.store.sessions()
    (world.folder / "archive").mkdir()
    (world.folder / "sessions" / f"{row.id}.jsonl").rename(world.folder / "archive" / f"{row.id}.jsonl")
    world.crash()
    world.start(now=T0 + 2 * HOUR)
    world.advance(T0 + 2 * HOUR + 5 * MINUTE)
    assert world.sessions() == {}
    assert set(aside(world)) == {row.id}
    assert world.gateway._engine.store.archived(row.id) is not None
    world.advance(T0 + 2 * DAY)
    assert aside(world) == {}


def test_a_transcript_that_no_row_names_is_put_aside_for_a_week(make_world: Any) -> None:
    world = make_world().start()
    job = world.add(every(HOUR), session={"target": "named", "name": "n"})
    world.advance(T0 + HOUR)
    owned = world.transcripts()
    orphan = world.folder / "sessions" / "0123-4567.jsonl"
    orphan.write_bytes(b'{"role": "user", "content": "x"}\n')
    foreign = world.folder / "sessions" / "notes by a human.jsonl"
    foreign.write_bytes(b"x")
    world.crash()
    world.start(now=T0 + HOUR)
    assert set(aside(world)) == {"0123-4567"}
    assert world.transcripts() == owned | {"notes by a human"}, "what is no transcript is nobody's business"
    world.update(job, enabled=False)
    world.advance(T0 + 9 * DAY)
    assert aside(world) == {}


@pytest.mark.parametrize(("mark", "left"), [(None, 10), (5, 5)])
def test_what_exceeds_the_limit_is_cut_down_to_the_high_water_mark(
    make_world: Any, mark: int | None, left: int
) -> None:
    world = make_world()
    rows = [{"receipt": False, "updatedAtMs": T0 - (40 - n) * MINUTE} for n in range(12)]
    world.call("store/seed", stateDir=str(world.folder), rows=rows)
    size = next((world.folder / "sessions").glob("*")).stat().st_size
    block = {"mode": "enforce", "maxDiskBytes": 10 * size}
    if mark is not None:
        block["highWaterBytes"] = mark * size
    world.start(maintenance=block)
    planned = world.call("store/maintain", dryRun=True)["removed"]
    world.advance(T0 + 5 * MINUTE)
    assert len(world.sessions()) == left
    assert len(planned) == 12 - left
    assert not set(planned) & set(world.sessions())


def test_below_the_limit_the_mark_means_nothing(make_world: Any) -> None:
    world = make_world()
    rows = [{"receipt": False, "updatedAtMs": T0 - MINUTE} for _ in range(10)]
    world.call("store/seed", stateDir=str(world.folder), rows=rows)
    size = next((world.folder / "sessions").glob("*")).stat().st_size
    world.start(maintenance={"mode": "enforce", "maxDiskBytes": 10 * size, "highWaterBytes": size})
    world.advance(T0 + HOUR)
    assert len(world.sessions()) == 10
