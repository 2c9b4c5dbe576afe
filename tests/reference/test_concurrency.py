"""How many runs are under way at a time, and which of those that wait comes next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cronsession_reference.admission import Admission
from cronsession_reference.settings import Settings
from cronsession_reference.store import Run, SqliteStore, Store

T0 = 1_772_323_200_000
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = SqliteStore(tmp_path / "gateway.db", sync="OFF")
    yield made
    made.close()


def at(instant: int) -> dict[str, Any]:
    return {"kind": "at", "atMs": instant}


def every(milliseconds: int) -> dict[str, Any]:
    return {"kind": "every", "everyMs": milliseconds}


def test_the_cap_is_reached_and_never_exceeded_and_nothing_is_lost(make_world: Any) -> None:
    world = make_world().start(maxConcurrentRuns=3)
    texts = [f"job {number}" for number in range(8)]
    jobs = [world.add(at(T0 + HOUR), text=text) for text in texts]
    for text in texts:
        world.hold(text)
    manual = world.add(every(DAY), text="by hand")
    world.hold("by hand")
    world.advance(T0 + HOUR)
    assert world.model.texts() == texts[:3]
    assert world.trigger(manual)["started"] is True, "a manual run waits like all others"
    assert world.model.held == 3
    for done, text in enumerate([*texts, "by hand"]):
        world.release(text)
        world.advance(T0 + HOUR + (done + 1) * MINUTE)
        assert world.model.held == min(3, 9 - done - 1)
    assert world.model.texts() == [*texts, "by hand"]
    assert world.model.most == 3
    assert [world.statuses(job) for job in [*jobs, manual]] == [["ok"]] * 9


def test_runs_that_wait_start_in_the_order_they_fell_due(make_world: Any) -> None:
    world = make_world().start(maxConcurrentRuns=1)
    world.add(at(T0 + MINUTE), text="long")
    for minute in (5, 3, 4, 2):
        world.add(at(T0 + minute * MINUTE), text=f"due at {minute}")
    world.hold("long")
    world.advance(T0 + 10 * MINUTE)
    assert world.model.texts() == ["long"]
    world.release("long")
    world.advance(T0 + 11 * MINUTE)
    assert world.model.texts() == ["long", "due at 2", "due at 3", "due at 4", "due at 5"]


def test_a_job_that_is_busy_holds_up_no_other(make_world: Any) -> None:
    """The oldest in the queue cannot start, since its job runs; those behind it can."""
    world = make_world(policies={"overlap": "queue"}).start(maxConcurrentRuns=2)
    slow = world.add(every(10 * MINUTE), text="slow")
    world.hold("slow")
    quick = world.add(every(7 * MINUTE), text="quick")
    world.advance(T0 + 60 * MINUTE)
    assert world.statuses(slow) == ["running"]
    assert world.statuses(quick) == ["ok"] * 8
    assert [run["startedAtMs"] - run["slotMs"] for run in world.runs(quick)] == [0] * 8
    world.release("slow")
    world.advance(T0 + 61 * MINUTE)
    assert world.statuses(slow) == ["ok"] * 6


def test_a_long_queue_survives_a_crash(make_world: Any) -> None:
    world = make_world().start(maxConcurrentRuns=1)
    jobs = [world.add(at(T0 + MINUTE), text=f"job {number}") for number in range(6)]
    world.hold("job 0")
    world.advance(T0 + 2 * MINUTE)
    world.crash()
    world.start(now=T0 + HOUR)
    world.advance(T0 + HOUR)
    assert [world.statuses(job) for job in jobs] == [["interrupted"]] + [["ok"]] * 5
    assert world.model.texts() == [f"job {number}" for number in range(6)]


def test_what_waits_for_room_is_dropped_with_its_job(make_world: Any) -> None:
    world = make_world().start(maxConcurrentRuns=1)
    world.add(at(T0 + MINUTE), text="long")
    world.hold("long")
    removed, disabled = world.add(every(HOUR), text="removed"), world.add(every(HOUR), text="disabled")
    world.advance(T0 + HOUR)
    world.call("job/remove", id=removed["id"])
    world.update(disabled, enabled=False)
    world.release("long")
    world.advance(T0 + HOUR + MINUTE)
    assert world.model.texts() == ["long"]
    assert world.statuses(disabled) == ["skipped"]


def test_the_cap_counts_the_runs_of_all_gateways_on_a_store(make_world: Any) -> None:
    one, two = make_world().start(maxConcurrentRuns=1), make_world().start(maxConcurrentRuns=1)
    first, second = one.add(every(HOUR), text="first"), one.add(every(DAY), text="second")
    one.hold("first")
    one.advance(T0 + HOUR)
    assert two.trigger(second)["started"] is True
    two.advance(T0 + HOUR)
    assert two.model.texts() == []
    one.call("gateway/abandon")
    two.advance(T0 + HOUR + 2 * MINUTE)
    assert two.model.texts() == ["second"], "the dead gateway's run takes no room, without a restart"
    assert two.statuses(first) == ["interrupted"]


def test_a_command_beside_a_full_gateway_says_so(make_world: Any) -> None:
    """It has nobody to leave its run to, so it does not put it into the queue."""
    world = make_world().start(maxConcurrentRuns=1)
    world.add(at(T0 + MINUTE), text="long")
    other = world.add(every(DAY), text="other")
    world.hold("long")
    world.advance(T0 + MINUTE)
    world.gateway._engine.scheduler.closing = True
    answer = world.trigger(other)
    assert answer == {"started": False, "reason": "1 runs are under way, the most there may be"}
    assert world.statuses(other) == []


def test_a_late_run_that_another_process_took_meanwhile_is_not_put_back(store: Store) -> None:
    # It was added by one transaction and is given its time by the next: between the two it may have begun elsewhere.
    added = store.add_run(Run("r1", "job", "catchup", "queued", T0, due_ms=T0))
    assert added is not None
    taken = replace(added, status="running", started_ms=T0 + 1, owner="another")
    store.put_run(taken)
    Admission(store, Settings(), "this one", lambda run: True).spread([added], T0 + MINUTE)
    assert store.run("r1") == taken


def test_late_runs_that_wait_are_given_their_time(store: Store) -> None:
    runs = [store.add_run(Run(f"r{n}", f"job {n}", "catchup", "queued", T0 + n, due_ms=T0)) for n in (1, 0)]
    Admission(store, Settings(), "this one", lambda run: True).spread([r for r in runs if r], T0 + MINUTE)
    first, second = (found.due_ms for n in (0, 1) if (found := store.run(f"r{n}")) is not None)
    assert first == T0 + MINUTE
    assert second is not None
    assert second > T0 + MINUTE
