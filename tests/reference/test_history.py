"""The run history: bounded for each job by count and by age, and cheap to bound."""

from __future__ import annotations

from typing import Any

T0 = 1_772_323_200_000
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


def every(milliseconds: int) -> dict[str, Any]:
    return {"kind": "every", "everyMs": milliseconds}


def test_each_job_keeps_its_latest_runs(make_world: Any) -> None:
    world = make_world().start(runHistory={"maxRuns": 5})
    busy, calm = world.add(every(MINUTE)), world.add(every(HOUR))
    world.advance(T0 + 3 * HOUR)
    assert [run["slotMs"] for run in world.runs(busy)] == [
        T0 + 3 * HOUR - k * MINUTE for k in range(4, -1, -1)
    ]
    assert len(world.runs(calm)) == 3


def test_slots_that_are_passed_over_are_bounded_during_the_run_too(make_world: Any) -> None:
    world = make_world().start(runHistory={"maxRuns": 5})
    job = world.add(every(MINUTE), text="long", timeoutMs=DAY)
    world.hold("long")
    world.advance(T0 + 3 * HOUR)
    assert world.statuses(job) == ["running"] + ["skipped"] * 5
    world.release("long")
    world.advance(T0 + 3 * HOUR + MINUTE)
    assert len(world.runs(job)) == 5


def test_a_run_under_way_takes_no_place(make_world: Any) -> None:
    world = make_world().start(runHistory={"maxRuns": 3})
    job = world.add(every(HOUR), text="long", timeoutMs=DAY)
    world.advance(T0 + 4 * HOUR)
    world.hold("long")
    world.advance(T0 + 5 * HOUR + MINUTE)
    assert world.statuses(job) == ["ok"] * 3 + ["running"]
    world.advance(T0 + 6 * HOUR)
    assert world.statuses(job) == ["ok"] * 2 + ["running", "skipped"]
    world.release("long")
    world.advance(T0 + 7 * HOUR)
    assert len(world.runs(job)) == 3


def test_old_runs_go_whether_their_job_runs_or_not(make_world: Any) -> None:
    world = make_world().start(runHistory={"maxAgeMs": DAY})
    job = world.add(every(HOUR))
    world.advance(T0 + 12 * HOUR)
    world.update(job, enabled=False)
    held = world.add({"kind": "at", "atMs": T0 + 13 * HOUR}, text="long", timeoutMs=10 * DAY)
    world.hold("long")
    world.advance(T0 + DAY + 6 * HOUR)
    assert [(run["slotMs"] - T0) // HOUR for run in world.runs(job)] == list(range(6, 13))
    world.advance(T0 + 3 * DAY)
    assert world.runs(job) == []
    assert world.statuses(held) == ["running"]


def test_what_is_forgotten_is_not_run_again(make_world: Any) -> None:
    world = make_world().start(runHistory={"maxRuns": 1, "maxAgeMs": HOUR})
    job = world.add(every(HOUR))
    world.advance(T0 + DAY)
    world.crash()
    world.start(now=T0 + DAY)
    world.advance(T0 + DAY + MINUTE)
    assert len(world.model.requests) == 24
    assert len(world.runs(job)) == 1
