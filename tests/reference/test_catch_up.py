"""Missed slots: what a job says about them, how late runs are spread, and what is written down."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from cronsession_reference.recovery import CatchUp

T0 = 1_772_323_200_000
SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000


def every(milliseconds: int) -> dict[str, Any]:
    return {"kind": "every", "everyMs": milliseconds}


def down(world: Any, until: int) -> None:
    world.call("gateway/stop")
    world.start(now=until)


def late(world: Any, job: Any) -> list[int]:
    """The slots that ran late, in hours after T0."""
    runs = [run for run in world.runs(job) if run["trigger"] == "catchup" and run["startedAtMs"]]
    return [(run["slotMs"] - T0) // HOUR for run in runs]


@pytest.mark.parametrize(
    ("policy", "lateness", "chosen"),
    [
        ("skip", None, []),
        ("once", None, [30]),
        ("all", None, [10, 20, 30]),
        ("all", 15, [30]),
        ("all", 20, [20, 30]),
        ("once", 9, []),
    ],
)
def test_the_choice(policy: str, lateness: int | None, chosen: list[int]) -> None:
    assert CatchUp(policy, lateness).choose([10, 20, 30], 40) == chosen


@pytest.mark.parametrize("gateway_says", ["skip", "once", "all"])
@pytest.mark.parametrize(("job_says", "hours"), [("skip", []), ("once", [5]), ("all", [1, 2, 3, 4, 5])])
def test_the_job_is_stronger_than_the_gateway(
    make_world: Any, gateway_says: str, job_says: str, hours: list[int]
) -> None:
    world = make_world(policies={"catchUp": gateway_says}).start()
    job = world.add(every(HOUR), catchUp={"policy": job_says})
    down(world, T0 + 5 * HOUR + MINUTE)
    world.advance(T0 + 5 * HOUR + 5 * MINUTE)
    assert late(world, job) == hours
    listed = {(run["slotMs"] - T0) // HOUR: run["status"] for run in world.runs(job)}
    assert listed == {hour: "ok" if hour in hours else "missed" for hour in range(1, 6)}


def test_a_slot_that_is_too_late_is_not_run(make_world: Any) -> None:
    world = make_world().start()
    job = world.add(every(HOUR), catchUp={"policy": "all", "maxLatenessMs": 2 * HOUR})
    once = world.add({"kind": "at", "atMs": T0 + HOUR}, catchUp={"policy": "once", "maxLatenessMs": HOUR})
    down(world, T0 + 5 * HOUR + MINUTE)
    world.advance(T0 + 5 * HOUR + 5 * MINUTE)
    assert late(world, job) == [4, 5]
    assert world.statuses(once) == ["missed"]
    assert (world.job(once)["enabled"], world.job(once)["nextRunAtMs"]) == (False, None)


@pytest.mark.parametrize(("minutes", "runs"), [(10, True), (11, False)])
def test_by_grace_only_what_is_a_little_late_runs(make_world: Any, minutes: int, runs: bool) -> None:
    world = make_world(policies={"catchUp": "grace", "missedOneShot": "grace"}).start()
    job, once = world.add(every(HOUR)), world.add({"kind": "at", "atMs": T0 + 3 * HOUR})
    down(world, T0 + 3 * HOUR + minutes * MINUTE)
    world.advance(T0 + 3 * HOUR + 15 * MINUTE)
    assert late(world, job) == ([3] if runs else [])
    assert world.statuses(once) == ["ok" if runs else "missed"]
    assert world.job(once)["nextRunAtMs"] is None


def test_a_one_shot_can_be_too_important_or_too_old_to_run_late(make_world: Any) -> None:
    world = make_world(policies={"missedOneShot": "skip"}).start()
    one_shot = {"kind": "at", "atMs": T0 + HOUR}
    kept, dropped = world.add(one_shot, catchUp={"policy": "once"}), world.add(one_shot)
    down(world, T0 + DAY)
    world.advance(T0 + DAY + HOUR)
    assert world.statuses(kept) == ["ok"]
    assert world.statuses(dropped) == ["missed"]


def test_late_runs_are_spread_oldest_slot_first(make_world: Any) -> None:
    world = make_world().start()
    jobs = [world.add(every(HOUR + number * MINUTE), text=f"job {number}") for number in range(10)]
    down(world, T0 + 90 * MINUTE)
    world.advance(T0 + 95 * MINUTE)
    starts = [world.runs(job)[0]["startedAtMs"] - T0 - 90 * MINUTE for job in jobs]
    assert starts == [number * 5 * SECOND for number in range(10)]


def test_a_crowd_of_late_runs_is_done_within_two_minutes(make_world: Any) -> None:
    world = make_world().start()
    jobs = [world.add(every(HOUR), text=f"job {number}") for number in range(100)]
    down(world, T0 + 90 * MINUTE)
    world.advance(T0 + 92 * MINUTE)
    starts = sorted(world.runs(job)[0]["startedAtMs"] for job in jobs)
    assert len(set(starts)) == 100
    assert starts[0] == T0 + 90 * MINUTE
    assert {world.statuses(job)[0] for job in jobs} == {"ok"}


def test_what_waits_to_run_late_is_the_next_run(make_world: Any) -> None:
    world = make_world().start()
    jobs = [world.add(every(HOUR), text=f"job {number}") for number in range(2)]
    down(world, T0 + 90 * MINUTE)
    world.advance(T0 + 90 * MINUTE)
    assert [world.next(job) for job in jobs] == [T0 + 2 * HOUR, T0 + 90 * MINUTE + 5 * SECOND]
    world.advance(T0 + 91 * MINUTE)
    assert [world.next(job) for job in jobs] == [T0 + 2 * HOUR] * 2


def test_a_slot_that_falls_due_while_late_runs_wait_is_on_time(make_world: Any) -> None:
    world = make_world().start()
    job = world.add(every(MINUTE), catchUp={"policy": "all"})
    down(world, T0 + 30 * MINUTE + 30 * SECOND)
    world.advance(T0 + 35 * MINUTE)
    regular = [run for run in world.runs(job) if run["trigger"] == "schedule"]
    assert [(run["slotMs"], run["startedAtMs"]) for run in regular] == [
        (T0 + minute * MINUTE, T0 + minute * MINUTE) for minute in range(31, 36)
    ]
    assert world.statuses(job) == ["ok"] * 35


def test_a_crash_while_late_runs_wait_loses_and_repeats_none(make_world: Any) -> None:
    world = make_world().start()
    job = world.add(every(HOUR), catchUp={"policy": "all"})
    down(world, T0 + 10 * HOUR + MINUTE)
    world.advance(T0 + 10 * HOUR + MINUTE + 12 * SECOND)
    assert late(world, job) == [1, 2, 3]
    world.crash()
    world.start(now=T0 + 10 * HOUR + 2 * MINUTE)
    world.advance(T0 + 10 * HOUR + 5 * MINUTE)
    assert late(world, job) == list(range(1, 11))
    assert len(world.model.requests) == 10


def test_what_was_decided_is_logged(make_world: Any, caplog: pytest.LogCaptureFixture) -> None:
    world = make_world().start()
    job = world.add(every(HOUR))
    with caplog.at_level(logging.INFO, "cronsession_reference.scheduler"):
        down(world, T0 + 5 * HOUR + MINUTE)
        world.advance(T0 + 5 * HOUR + 5 * MINUTE)
    (said,) = [record.getMessage() for record in caplog.records if job["id"] in record.getMessage()]
    assert "5 slots were missed" in said
    assert "policy once 1 run late" in said


def test_null_goes_back_to_what_the_gateway_does(make_world: Any) -> None:
    world = make_world(policies={"catchUp": "skip"}).start()
    job = world.add(every(HOUR), catchUp={"policy": "all"})
    assert "catchUp" not in world.update(job, catchUp=None)["job"]
    down(world, T0 + 3 * HOUR + MINUTE)
    world.advance(T0 + 3 * HOUR + 5 * MINUTE)
    assert late(world, job) == []
