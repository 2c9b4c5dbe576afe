"""The OpenClaw target with a real OpenClaw: what the adapter promises, not what OpenClaw should do better.

Skipped unless CRONSESSION_OPENCLAW names one, as a target does: ``openclaw``, ``openclaw:FOLDER``,
``openclaw@2026.9.6``, ``openclaw@2026.4.5``. About two minutes; state and cache lie in temporary folders.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_cronsession.driver import Driver, Handle, at
from pytest_cronsession.model import ERROR, hold
from pytest_cronsession.targets import Target, parse_target, resolve_target
from pytest_cronsession.worlds import World

NAME = os.environ.get("CRONSESSION_OPENCLAW", "")
pytestmark = [
    pytest.mark.openclaw,
    pytest.mark.skipif(not NAME, reason="CRONSESSION_OPENCLAW names no OpenClaw"),
]


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Target:
    found = resolve_target(parse_target(NAME), cache=tmp_path_factory.mktemp("cache"))
    found.prepare(print)
    return found


@pytest.fixture(scope="module")
def world(target: Target) -> Iterator[World]:
    made = World(target, {"agents": ["ops", "work"]}, host_zone="America/Denver")
    yield made
    made.close()


@pytest.fixture
def driver(world: World) -> Iterator[Driver]:
    made = Driver(world)
    yield made
    made.clean()


def processes_of(state_dir: Path) -> list[int]:
    """The processes that were started with this state folder (Linux)."""
    mark = f"OPENCLAW_STATE_DIR={state_dir}".encode()
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in environ.read_bytes():
                found.append(int(environ.parent.name))
        except OSError:
            continue
    return found


def test_a_job_is_stored_as_it_was_asked_for(driver: Driver) -> None:
    job = driver.add(key="agent:ops:k", timeoutMs=90_000)
    raw = driver.stored(job).raw
    assert raw["session"] == {"target": "isolated", "key": "agent:ops:k"}
    assert (raw["timeoutMs"], raw["schedule"]["kind"]) == (90_000, "cron")
    due = driver.now + 86_400_000
    assert driver.edit(job, schedule=at(due), timeoutMs=5000).job is not None
    stored = driver.stored(job)
    assert (stored.next_run_ms, stored.raw["schedule"]) == (due, at(due))
    assert stored.raw["timeoutMs"] == 5000
    driver.edit(job, enabled=False)
    assert driver.stored(job).next_run_ms is None


def test_only_the_users_jobs_are_listed(driver: Driver) -> None:
    job = driver.add()
    assert [j.id for j in driver.jobs()] == [job.id]
    assert driver.remove(job)
    assert not driver.remove(Handle(job.id, job.tag, job.write))


def test_an_isolated_run_is_fresh_and_listed(driver: Driver) -> None:
    job = driver.add()
    first, second = driver.run_now(job), driver.run_now(job)
    assert first.turn is not None
    assert second.turn is not None
    assert second.run is not None
    assert not second.turn.saw_turn(first.turn)
    assert second.run.status == "ok"
    assert second.trigger.run_id in (second.run.id, None)  # not every version names its runs
    assert any(row.job_id == job.id for row in driver.sessions())


def test_a_named_session_is_shared_by_jobs_and_people(driver: Driver) -> None:
    wish = {"target": "named", "name": driver.fresh_name("Standup")}
    job = driver.add(target="named", name=wish["name"], agent="work")
    turn = driver.evidence(job)
    human = driver.say(wish, agent="work")
    later = driver.evidence(job)
    assert human.saw_turn(turn)
    assert later.saw_turn(turn)
    assert later.saw_turn(human)
    assert [r.agent for r in driver.sessions() if r.key == f"agent:work:{wish['name'].lower()}"] == ["work"]


def test_an_event_reaches_the_main_session_within_seconds(driver: Driver) -> None:
    job = driver.add(target="main")
    turn = driver.evidence(job)
    assert driver.say({"target": "main"}).saw_turn(turn)


def test_a_job_for_the_calling_session_sees_it_and_is_seen(driver: Driver) -> None:
    calling = {"target": "named", "name": driver.fresh_name("talk")}
    human = driver.say(calling)
    job = driver.add(target="current", caller=calling)
    turn = driver.evidence(job)
    assert turn.saw_turn(human)
    assert driver.say(calling).saw_turn(turn)


def test_statuses(driver: Driver) -> None:
    job = driver.add()
    driver.answers(job, ERROR)
    failed = driver.run_now(job).run
    assert failed is not None
    assert failed.status == "error"
    slow = driver.add(timeoutMs=5000)
    driver.answers(slow, hold())
    late = driver.run_now(slow).run
    assert late is not None
    assert late.status == "timeout"


def test_a_held_run_is_running_and_can_be_cancelled(driver: Driver) -> None:
    job = driver.add()
    driver.answers(job, hold())
    started = driver.trigger(job)
    assert driver.model.wait_for(lambda: bool(driver.turns(job)), timeout=60)
    (running,) = driver.runs(job)
    assert (running.status, started.run_id in (running.id, None)) == ("running", True)
    assert driver.trigger(job).reason == "already-running"
    if not driver.has("run.cancel"):
        driver.model.release_all()
        driver.settle(lambda: driver.runs(job)[0].finished)
        assert [(r.id, r.status) for r in driver.runs(job)] == [(running.id, "ok")]
        return
    assert driver.world.call("run/cancel", {"id": started.run_id}) == {"cancelled": True}
    driver.settle(lambda: driver.runs(job)[0].finished)
    assert [(r.id, r.status) for r in driver.runs(job)] == [(started.run_id, "cancelled")]


def test_refusals_are_results(driver: Driver) -> None:
    for options, field in (
        ({"target": "named", "name": " "}, "session.name"),
        ({"target": "isolated", "payload": "systemEvent"}, "session.target"),
    ):
        write, _ = driver.try_add(**options)
        assert write.rejected is not None
        assert write.rejected.field == field
    write, _ = driver.try_add({"kind": "cron", "expr": "61 * * * *"})
    assert write.rejected is not None
    assert write.rejected.field == "schedule"


def test_more_adds_than_a_minute_allows_one_connection(driver: Driver) -> None:
    started = time.monotonic()
    assert len({driver.add().id for _ in range(35)}) == 35
    assert time.monotonic() - started < 55


def test_an_agent_that_does_not_exist(driver: Driver) -> None:
    write, _ = driver.try_add(agent="nobody")
    # 2026.4.5 takes it, and runs the job as the default agent.
    assert write.job is not None or (write.rejected is not None and write.rejected.field == "agent")


def test_seeded_rows_are_listed_after_a_start_and_used(target: Target) -> None:
    world = World(target, {"agents": ["main"], "sessionRetentionMs": None})
    try:
        driver = Driver(world)
        driver.evidence(driver.add(target="named", name="first"))
        driver.stop()
        day = 86_400_000
        rows = [
            {"receipt": True, "jobId": "gone", "updatedAtMs": world.now - 20 * day},
            {"receipt": False, "session": {"target": "named", "name": "old"}, "updatedAtMs": world.now - day},
            {
                "receipt": False,
                "session": {"target": "named", "name": "first"},
                "updatedAtMs": world.now - day,
            },
        ]
        seeded = world.call("store/seed", {"stateDir": str(world.state_dir), "rows": rows})["sessions"]
        driver.start()
        listed = {row.key: (row.id, row.updated_ms) for row in driver.sessions()}
        assert all(listed[row["key"]] == (row["id"], row["updatedAtMs"]) for row in seeded)
        driver.evidence(driver.add(target="named", name="old"))
        assert driver.row("agent:main:old").id == seeded[1]["id"]
    finally:
        world.close()


def test_restart_crash_and_nothing_left(target: Target) -> None:
    world = World(target)
    try:
        driver = Driver(world)
        job = driver.add(target="named", name="keep")
        first = driver.evidence(job)
        rows = [r for r in driver.sessions() if r.key == "agent:main:keep"]
        driver.restart()
        second = driver.evidence(job)
        held = driver.add()
        driver.answers(held, hold())
        run = driver.trigger(held).run_id
        assert driver.model.wait_for(lambda: bool(driver.turns(held)), timeout=60)
        driver.go_down()
        assert processes_of(world.state_dir / "state") == []
        world.reopen()
        third = driver.evidence(job)
        assert second.saw_turn(first)
        assert third.saw_turn(second)
        assert [r.id for r in driver.sessions() if r.key == "agent:main:keep"] == [r.id for r in rows]
        # 2026.4.5 forgets a run that a crash interrupted.
        assert [(r.id, r.status) for r in driver.runs(held)] in ([(run, "interrupted")], [])
        driver.answers(held)
        driver.evidence(held)
    finally:
        world.close()
    assert processes_of(world.state_dir / "state") == []
    assert not world.state_dir.exists()
