"""Receipts go when their time is over, and nothing else does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cronsession_reference.maintenance import remove_rows
from cronsession_reference.reaper import expired
from cronsession_reference.store import SessionRow

T0 = 1_772_323_200_000
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


def every(milliseconds: int) -> dict[str, Any]:
    return {"kind": "every", "everyMs": milliseconds}


def at(instant: int) -> dict[str, Any]:
    return {"kind": "at", "atMs": instant}


@pytest.mark.parametrize(
    ("kind", "age", "retention", "gone"),
    [
        ("receipt", 101, 100, True),
        ("receipt", 100, 100, False),
        ("receipt", 99, 100, False),
        ("receipt", -5, 100, False),
        ("receipt", 10**12, None, False),
        ("named", 10**12, 100, False),
        ("job", 10**12, 100, False),
        ("main", 10**12, 100, False),
    ],
)
def test_the_decision(kind: str, age: int, retention: int | None, gone: bool) -> None:
    row = SessionRow("agent:main:cron:x:run:y", "i", "main", "x", kind, 0, T0 - age)
    assert expired(row, retention_ms=retention, now_ms=T0) is gone


def test_receipts_go_by_time_alone_also_those_of_removed_jobs(make_world: Any) -> None:
    world = make_world().start(sessionRetentionMs=HOUR)
    kept, removed = world.add(at(T0 + MINUTE)), world.add(at(T0 + MINUTE), agent="a")
    world.advance(T0 + MINUTE)
    assert len(world.sessions()) == len(world.transcripts()) == 2
    world.call("job/remove", id=removed["id"])
    world.advance(T0 + MINUTE + HOUR)
    assert len(world.sessions()) == 2, "age is exactly retention"
    world.advance(T0 + 2 * MINUTE + HOUR)
    assert world.sessions() == {}
    assert world.transcripts() == set()
    assert [run["status"] for run in world.runs(kept)] == ["ok"]


@pytest.mark.parametrize("ending", ["ok", "error", "timeout", "cancelled", "interrupted"])
def test_the_receipt_of_a_run_goes_however_it_ended(make_world: Any, ending: str) -> None:
    world = make_world().start(sessionRetentionMs=HOUR)
    job = world.add(at(T0 + MINUTE), text="x", timeoutMs=10 * MINUTE)
    if ending == "error":
        world.model.fail.add("x")
    if ending in ("timeout", "cancelled", "interrupted"):
        world.hold("x")
    world.advance(T0 + MINUTE)
    if ending == "cancelled":
        assert world.call("run/cancel", id=world.runs(job)[0]["id"]) == {"cancelled": True}
    if ending == "interrupted":
        world.crash()
        world.start(now=T0 + MINUTE)
    world.advance(T0 + 20 * MINUTE)
    assert world.statuses(job) == [ending]
    (receipt,) = world.sessions().values()
    assert receipt["id"] == world.runs(job)[0]["sessionId"]
    assert world.transcripts() == {receipt["id"]}
    world.advance(T0 + 20 * MINUTE + HOUR)
    assert world.sessions() == {}
    assert world.transcripts() == set()


def test_what_is_in_flight_stays_and_age_counts_from_its_end(make_world: Any) -> None:
    world = make_world().start(sessionRetentionMs=HOUR)
    world.add(at(T0 + MINUTE), text="long", timeoutMs=DAY)
    world.hold("long")
    world.advance(T0 + 10 * HOUR)
    assert len(world.sessions()) == 1
    world.release("long")
    world.advance(T0 + 11 * HOUR)
    assert len(world.sessions()) == 1
    world.advance(T0 + 11 * HOUR + MINUTE)
    assert world.sessions() == {}


def test_lasting_sessions_stay_whatever_their_names(make_world: Any) -> None:
    world = make_world().start(sessionRetentionMs=HOUR)
    names = ["cron:x:run:y", "run", "a/../b", f"cron:{'0' * 32}:run:{'1' * 32}"]
    for name in names:
        world.add(at(T0 + MINUTE), session={"target": "named", "name": name})
    world.add(at(T0 + MINUTE), session={"target": "main"})
    shared = world.add(at(T0 + MINUTE), session={"target": "isolated", "mode": "shared"})
    world.add(at(T0 + MINUTE), session={"target": "isolated", "key": "k"})
    world.advance(T0 + 20 * DAY)
    expected = [f"agent:main:{name}" for name in (*names, "main", f"cron:{shared['id']}", "k")]
    assert sorted(world.sessions()) == sorted(expected)


def test_the_session_of_a_job_goes_with_the_job(make_world: Any) -> None:
    world = make_world().start(sessionRetentionMs=HOUR)
    job = world.add(every(HOUR), session={"target": "isolated", "mode": "shared"})
    once = world.add(at(T0 + HOUR), session={"target": "isolated", "mode": "shared"}, deleteAfterRun=True)
    world.advance(T0 + 2 * HOUR)
    assert set(world.sessions()) == {f"agent:main:cron:{job['id']}", f"agent:main:cron:{once['id']}"}
    world.advance(T0 + 3 * HOUR)
    assert set(world.sessions()) == {f"agent:main:cron:{job['id']}"}
    world.call("job/remove", id=job["id"])
    world.advance(T0 + 5 * HOUR)
    assert world.sessions() == {}


def test_retention_off_keeps_receipts(make_world: Any) -> None:
    world = make_world().start(sessionRetentionMs=None)
    world.add(every(DAY))
    world.advance(T0 + 20 * DAY)
    assert len(world.sessions()) == 20


def test_the_default_is_a_day(world: Any) -> None:
    world.add(at(T0 + MINUTE))
    world.advance(T0 + DAY + MINUTE)
    assert len(world.sessions()) == 1
    world.advance(T0 + DAY + 2 * MINUTE)
    assert world.sessions() == {}


def test_one_row_that_cannot_go_does_not_stop_the_others(make_world: Any) -> None:
    world = make_world().start(sessionRetentionMs=HOUR)
    for _ in range(3):
        world.add(at(T0 + MINUTE))
    world.advance(T0 + MINUTE)
    stuck = next(iter(world.sessions().values()))
    path = world.folder / "sessions" / f"{stuck['id']}.jsonl"
    path.unlink()
    path.mkdir()
    world.advance(T0 + 3 * HOUR)
    assert set(world.sessions()) == {stuck["key"]}
    path.rmdir()
    world.advance(T0 + 4 * HOUR)
    assert world.sessions() == {}


def test_frequent_restarts_do_not_put_sweeps_off(make_world: Any) -> None:
    world = make_world(sweep_interval_ms=10 * MINUTE).start(sessionRetentionMs=MINUTE)
    world.add(at(T0 + MINUTE))
    now = T0 + MINUTE
    world.advance(now)
    for _ in range(4):
        world.call("gateway/stop")
        now += 8 * MINUTE
        world.start(now=now)
        world.advance(now)
    assert world.sessions() == {}


def test_a_sweep_can_be_asked_for(make_world: Any) -> None:
    world = make_world().start(sessionRetentionMs=HOUR)
    seeded = {"receipt": True, "updatedAtMs": T0 - DAY}
    world.call("gateway/stop")
    (row,) = world.call("store/seed", stateDir=str(world.folder), rows=[seeded])["sessions"]
    world.start()
    assert world.call("store/sweep") == {"removed": [row["key"]]}
    assert world.call("store/sweep") == {"removed": []}
    assert world.transcripts() == set()


def test_a_transcript_that_another_row_needs_stays(world: Any) -> None:
    world.add(at(T0 + MINUTE))
    world.advance(T0 + MINUTE)
    (receipt,) = world.sessions().values()
    store = world.gateway._engine.store
    store.put_session(SessionRow("agent:main:fork", receipt["id"], "main", None, "named", T0, T0))
    world.advance(T0 + 2 * DAY)
    assert set(world.sessions()) == {"agent:main:fork"}
    assert world.transcripts() == {receipt["id"]}


def test_a_row_that_changed_since_it_was_chosen_stays(make_world: Any) -> None:
    """Between the choice and the removal somebody may use it, or make it another kind of session."""
    world = make_world().start(sessionRetentionMs=HOUR)
    world.add(every(10 * MINUTE))
    world.advance(T0 + 30 * MINUTE)
    engine = world.gateway._engine
    chosen = engine.store.sessions()
    used, kept, unchanged = chosen
    engine.store.put_session(replace(used, updated_ms=T0 + 31 * MINUTE))
    engine.store.put_session(replace(kept, kind="named"))
    removed = remove_rows(engine.store, engine.archive, chosen, T0 + 31 * MINUTE)
    assert removed == [unchanged.key]
    assert set(world.sessions()) == {used.key, kept.key}


def swept(world: Any, steps: list[int]) -> tuple[list[int], set[str], str | None]:
    """When the sweeps were that did something, the sessions left, and when the last sweep was, after these instants."""
    engine, at_work = world.gateway._engine, list[int]()
    sweep = engine.sweep

    def told() -> list[str]:
        before = {row.key for row in engine.store.sessions()}
        removed: list[str] = sweep()
        if before != {row.key for row in engine.store.sessions()}:
            at_work.append(engine.clock.now() - T0)
        return removed

    engine.sweep = told
    world.add({"kind": "every", "everyMs": 7 * HOUR, "anchorMs": T0 + 12_345})
    world.add({"kind": "cron", "expr": "30 */9 1-3 * *", "tz": "UTC"})
    for instant in steps:
        world.advance(T0 + instant)
    left = set(world.sessions())
    world.call("gateway/stop")
    reopened = world.start(now=T0 + steps[-1])
    return at_work, {key for key in left if key in reopened.sessions()}, engine._swept - T0


@pytest.mark.parametrize("retention", [5 * MINUTE, 90 * MINUTE, DAY, None])
@pytest.mark.parametrize("interval", [MINUTE, 7 * MINUTE + 1])
def test_in_one_stride_the_same_is_swept_as_minute_by_minute(
    make_world: Any, retention: int | None, interval: int
) -> None:
    """Sweeps with nothing to do are passed over, and nothing else is."""
    limits = {"mode": "enforce", "pruneAfterMs": 2 * DAY, "maxEntries": 40}
    made = [make_world(f"w{n}", sweep_interval_ms=interval) for n in range(2)]
    one, other = (w.start(sessionRetentionMs=retention, maintenance=limits) for w in made)
    minutes = list(range(MINUTE, 4 * DAY + 1, MINUTE))
    found = swept(one, [4 * DAY])
    assert found[0]
    step_by_step = swept(other, minutes)
    assert found[0] == step_by_step[0]
    assert found[2] == step_by_step[2] == 4 * DAY // interval * interval
    assert len(found[1]) == len(step_by_step[1])
