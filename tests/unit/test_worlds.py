"""Worlds and their pool: one gateway, one folder, one model, one clock, and nothing left of them."""

from __future__ import annotations

import asyncio
import threading
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_cronsession import worlds
from pytest_cronsession.contract import Hello
from pytest_cronsession.model import hold, tag_text
from pytest_cronsession.outcomes import NotApplicable, TargetError, TargetUsageError
from pytest_cronsession.worlds import START_MS, Disk, Pool, World, missing_capabilities, probe

from .tiny_gateway import Tiny, target, tracked

MINUTE = 60_000


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where state folders are made; after a test nothing may be left there, and no thread."""
    base = tmp_path / "states"
    base.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(base))
    before = set(threading.enumerate())
    yield base
    for world in list(worlds._OPEN):
        world.close()
    assert list(base.iterdir()) == []
    assert [
        t.name for t in threading.enumerate() if t not in before and t.name.startswith("cronsession")
    ] == []


def add(world: World, schedule: dict[str, Any] | None = None, tag: str = "a") -> str:
    """Add an isolated job; its id."""
    job = {
        "name": tag,
        "schedule": schedule or {"kind": "every", "everyMs": 10 * MINUTE},
        "session": {"target": "isolated"},
        "payload": {"kind": "agentTurn", "text": tag_text("Go.", tag)},
    }
    return str(world.call("job/add", {"job": job})["job"]["id"])


def moves(gateway: Tiny) -> list[Any]:
    """Where the gateway's clock was told to go, in minutes since the start."""
    return [(word, (to - START_MS) / MINUTE) for word, to in gateway.log if word in ("advance", "jump")]


# --- one world --------------------------------------------------------------------------------------------


def test_a_world_starts_its_gateway() -> None:
    aim, made = tracked()
    world = World(aim, {"agents": ["main"]}, host_zone="Asia/Kathmandu", start_ms=START_MS + 5)
    (gateway,) = made
    (hello, asked), (word, given) = gateway.log
    assert (hello, word) == ("initialize", "start")
    assert asked["suite"].startswith("pytest-cronsession ")
    assert given["nowMs"] == world.now == START_MS + 5
    assert given["config"] == {"agents": ["main"]}
    assert given["hostZone"] == "Asia/Kathmandu"
    assert Path(given["stateDir"]) == world.state_dir
    assert given["token"]
    assert given["model"].held == 0
    with urllib.request.urlopen(f"{given['modelUrl']}/models") as answer:
        assert answer.status == 200
    assert world.hello.name == "tiny"
    assert world.healthy


def test_closing_ends_the_gateway_and_removes_the_folder(folder: Path) -> None:
    aim, made = tracked()
    world = World(aim)
    add(world)
    assert [p.name for p in folder.rglob("*.json")] == ["jobs.json"]
    world.close()
    world.close()
    assert not world.state_dir.exists()
    assert [word for word, _ in made[0].log].count("stop") == 1
    assert not world.healthy
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"{world.server.url}/models")


class FailsToStart(Tiny):
    def gateway_start(self, params: dict[str, Any]) -> dict[str, Any]:
        Path(params["stateDir"], "half").write_text("done")
        raise RuntimeError("no room")


class OddHello(Tiny):
    capabilities = ("clock.advance", "time.travel")


def no_factory() -> Any:
    raise RuntimeError("no gateway today")


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        (FailsToStart, "gateway/start: the gateway raised RuntimeError: no room"),
        (OddHello, "initialize: unknown capability 'time.travel'"),
        (no_factory, "factory: tiny raised RuntimeError: no gateway today"),
    ],
)
def test_a_start_that_fails_leaves_nothing(folder: Path, factory: Callable[[], Any], message: str) -> None:
    with pytest.raises(TargetError) as caught:
        World(target(factory))
    assert str(caught.value).startswith(message)
    assert list(folder.iterdir()) == []


def test_stop_and_start_on_one_folder() -> None:
    aim, made = tracked()
    world = World(aim)
    job = add(world)
    world.stop()
    assert not world.healthy
    world.pass_time(START_MS + 25 * MINUTE)
    world.start()
    assert world.healthy
    assert world.now == START_MS + 25 * MINUTE
    assert [j["id"] for j in world.call("job/list")["jobs"]] == [job]
    assert len(made) == 1


def test_crash_and_reopen_on_one_folder() -> None:
    aim, made = tracked()
    world = World(aim)
    job = add(world)
    world.crash()
    assert not world.healthy
    world.pass_time(START_MS + 25 * MINUTE)
    world.pass_time(START_MS)  # never back
    world.reopen()
    first, second = made
    assert [word for word, _ in first.log] == ["initialize", "start", "abandon"]
    assert second.log[1][1]["nowMs"] == START_MS + 25 * MINUTE
    assert second.log[1][1]["stateDir"] == first.log[1][1]["stateDir"]
    assert [j["id"] for j in world.call("job/list")["jobs"]] == [job]
    assert world.healthy


def test_a_crash_cuts_what_is_under_way() -> None:
    world = World(target())
    world.script.plan("a", hold())
    world.call("job/trigger", {"id": add(world), "mode": "force"})
    world.advance(world.now)
    assert world.script.held_turns() == 1
    world.crash()
    assert [t.state for t in world.script.turns()] == ["aborted"]
    assert world.script.held_turns() == 0


def test_a_call_on_a_crashed_world_is_an_error() -> None:
    world = World(target())
    world.crash()
    with pytest.raises(TargetError, match="job/list: the instance has ended"):
        world.call("job/list")


def test_a_reopening_that_fails_leaves_nothing(folder: Path) -> None:
    later = [no_factory, Tiny]
    world = World(target(lambda: later.pop()()))
    world.crash()
    with pytest.raises(TargetError, match="no gateway today"):
        world.reopen()
    world.close()
    assert list(folder.iterdir()) == []


def test_time_cannot_pass_by_itself_while_the_gateway_runs() -> None:
    world = World(target())
    with pytest.raises(AssertionError):
        world.pass_time(START_MS + 1)


def test_an_answer_that_breaks_the_schema_makes_a_world_unhealthy() -> None:
    class Wrong(Tiny):
        def job_list(self, params: dict[str, Any]) -> dict[str, Any]:
            return {"jobs": 7}

    world = World(target(Wrong))
    with pytest.raises(TargetError, match="breaks the schema"):
        world.call("job/list")
    assert not world.healthy


def test_the_disk_is_measured() -> None:
    world = World(target())
    assert world.disk() == Disk(0, 0)
    (world.state_dir / "a" / "b").mkdir(parents=True)
    (world.state_dir / "a" / "b" / "c").write_bytes(b"12345")
    (world.state_dir / "d").write_bytes(b"67")
    (world.state_dir / "link").symlink_to(world.state_dir / "d")
    (world.state_dir / "dangling").symlink_to(world.state_dir / "nothing")
    assert world.disk() == Disk(2, 7)


def test_what_is_still_open_is_closed_at_exit(folder: Path) -> None:
    aim, made = tracked()
    World(aim)
    World(aim)
    assert len(list(folder.iterdir())) == 2
    worlds._close_leftovers()
    assert list(folder.iterdir()) == []
    assert [g.log[-1][0] for g in made] == ["stop", "stop"]


# --- time ---------------------------------------------------------------------------------------------------


def test_advancing_fires_what_is_due() -> None:
    world = World(target())
    told: list[int] = []
    world.on_time = told.append
    add(world)
    world.advance(START_MS + 35 * MINUTE)
    assert len(world.script.turns("a")) == 3
    assert world.now == START_MS + 35 * MINUTE
    assert set(told) == {START_MS + 35 * MINUTE}


def test_advancing_stops_at_every_scripted_release() -> None:
    aim, made = tracked()
    world = World(aim)
    told: list[int] = []
    world.on_time = told.append
    add(world, {"kind": "at", "atMs": START_MS + 10 * MINUTE})
    add(world, {"kind": "at", "atMs": START_MS + 12 * MINUTE}, tag="b")
    world.script.plan("a", hold(START_MS + 20 * MINUTE))
    world.script.plan("b", hold(START_MS + 15 * MINUTE))
    world.advance(START_MS + 13 * MINUTE)
    assert world.script.held_turns() == 2
    world.advance(START_MS + 30 * MINUTE)
    assert moves(made[0]) == [("advance", m) for m in (13, 13, 15, 20, 30, 30)]
    ended = {r["jobId"]: (r["endedAtMs"] - START_MS) / MINUTE for r in made[0].runs}
    # The gateway settles first where it stands: a run ends at the instant of its release.
    assert ended == {"j1": 20, "j2": 15}
    assert [(m - START_MS) / MINUTE for m in told] == [13, 13, 15, 20, 30, 30]


def test_a_release_at_the_very_end_is_taken_in() -> None:
    aim, made = tracked()
    world = World(aim)
    add(world, {"kind": "at", "atMs": START_MS + 10 * MINUTE})
    world.script.plan("a", hold(START_MS + 20 * MINUTE))
    world.advance(START_MS + 20 * MINUTE)
    assert world.script.open_turns() == 0
    assert made[0].runs[0]["endedAtMs"] == START_MS + 20 * MINUTE


def test_advancing_to_the_present_only_settles() -> None:
    aim, made = tracked()
    world = World(aim)
    world.call("job/trigger", {"id": add(world), "mode": "force"})
    world.advance(world.now)
    assert made[0].runs[0]["status"] == "ok"
    assert world.now == START_MS


def test_a_jump_is_told_as_one() -> None:
    aim, made = tracked()
    world = World(aim)
    add(world)
    world.script.plan("a", hold(START_MS + 50 * MINUTE))
    world.jump(START_MS + 60 * MINUTE)
    assert moves(made[0]) == [("jump", 60), ("advance", 60)]
    assert len(world.script.turns("a")) == 1
    assert world.script.open_turns() == 0
    assert world.now == START_MS + 60 * MINUTE


class WrongClock(Tiny):
    """Its clock is ``off`` milliseconds wrong."""

    off = 0

    async def clock_advance(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"nowMs": (await super().clock_advance(params))["nowMs"] + self.off}


@pytest.mark.parametrize(
    ("off", "hello"),
    [(1, {}), (-1, {}), (1000, {"resolutionMs": 1000}), (500, {"latenessMs": 500})],
)
def test_a_clock_within_what_is_declared(off: int, hello: dict[str, Any]) -> None:
    world = World(target(type("Off", (WrongClock,), {"off": off, "hello": hello})))
    world.advance(START_MS + MINUTE)
    assert world.now == START_MS + MINUTE


@pytest.mark.parametrize(
    ("off", "hello"), [(2, {}), (-MINUTE, {}), (1001, {"resolutionMs": 1000}), (501, {"latenessMs": 500})]
)
def test_a_clock_that_does_not_go_where_it_was_told(off: int, hello: dict[str, Any]) -> None:
    world = World(target(type("Off", (WrongClock,), {"off": off, "hello": hello})))
    with pytest.raises(
        TargetError, match=rf"asked for {START_MS + MINUTE}, the clock says {START_MS + MINUTE + off}"
    ):
        world.advance(START_MS + MINUTE)
    # Nobody knows what time it is there: not for the next test.
    assert not world.healthy


def test_a_gateway_in_real_time_has_this_machines_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1234.5)
    world = World(target(type("Real", (Tiny,), {"capabilities": ("trigger",)})))
    assert world.hello.realtime
    assert world.now == 1_234_500


# --- the handshake ------------------------------------------------------------------------------------------


def test_a_probe_asks_and_goes(folder: Path) -> None:
    aim, made = tracked()
    assert probe(aim).name == "tiny"
    assert [word for word, _ in made[0].log] == ["initialize", "stop"]
    assert list(folder.iterdir()) == []


class Rude(Tiny):
    def initialize(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"hello": "world"}


@pytest.mark.parametrize(
    ("factory", "parts"),
    [
        (no_factory, ["could not be started", "no gateway today"]),
        (Rude, ["does not speak the contract", "breaks the schema", "specs/protocol.md"]),
        (OddHello, ["does not speak the contract", "unknown capability 'time.travel'"]),
        (object, ["does not speak the contract", "no method initialize"]),
    ],
)
def test_a_target_that_cannot_be_probed(factory: Callable[[], Any], parts: list[str]) -> None:
    with pytest.raises(TargetUsageError) as caught:
        probe(target(factory))
    assert str(caught.value).startswith("target 'python:tiny:Tiny' ")
    assert [p for p in parts if p not in str(caught.value)] == []


def test_missing_capabilities() -> None:
    hello = Hello("n", "1", 1, frozenset({"trigger", "agents"}), (), {})
    missing_capabilities(hello, frozenset())
    missing_capabilities(hello, frozenset({"agents", "trigger"}))
    with pytest.raises(NotApplicable, match=r"^the gateway does not declare crash, session\.key$"):
        missing_capabilities(hello, frozenset({"session.key", "agents", "crash"}))


# --- the pool -----------------------------------------------------------------------------------------------


@pytest.fixture
def pool() -> Iterator[Pool]:
    made = Pool(target())
    yield made
    made.close()


def lease(pool: Pool, zone: str = "UTC", *, fresh: bool = False, **config: Any) -> World:
    return pool.lease(config, zone, fresh=fresh)


def test_equal_config_shares_a_world(pool: Pool) -> None:
    first = lease(pool, agents=["main", "work"], sessionRetentionMs=1000)
    first.advance(START_MS + MINUTE)
    pool.give_back(first, reusable=True)
    second = lease(pool, sessionRetentionMs=1000, agents=["main", "work"])
    assert second is first
    assert second.now == START_MS + MINUTE
    second.close()


def test_other_config_or_zone_gets_another_world(pool: Pool) -> None:
    first = lease(pool, agents=["main"])
    pool.give_back(first, reusable=True)
    others = [lease(pool, agents=["work"]), lease(pool), lease(pool, "Asia/Kathmandu", agents=["main"])]
    assert first not in others
    for other in others:
        other.close()
    assert lease(pool, agents=["main"]) is first
    first.close()


def test_a_world_in_use_is_not_shared(pool: Pool) -> None:
    first, second = lease(pool), lease(pool)
    assert first is not second
    assert first.script.new_tag() != second.script.new_tag()
    first.close()
    second.close()


def test_a_fresh_world_is_new_and_starts_where_it_should(pool: Pool) -> None:
    first = lease(pool)
    pool.give_back(first, reusable=True)
    second = pool.lease({}, "UTC", fresh=True, start_ms=START_MS + MINUTE)
    assert second is not first
    assert second.now == START_MS + MINUTE
    second.close()


def test_a_world_that_nobody_may_have_is_closed(pool: Pool) -> None:
    world = lease(pool)
    pool.give_back(world, reusable=False)
    assert not world.state_dir.exists()
    assert lease(pool) is not world


def test_an_unhealthy_world_is_closed(pool: Pool) -> None:
    world = lease(pool)
    world.crash()
    pool.give_back(world, reusable=True)
    assert not world.state_dir.exists()


def test_of_two_equal_worlds_one_is_kept_and_one_closed(pool: Pool) -> None:
    first, second = lease(pool), lease(pool)
    pool.give_back(first, reusable=True)
    pool.give_back(second, reusable=True)
    assert sorted(w.state_dir.exists() for w in (first, second)) == [False, True]
    pool.close()
    assert not any(w.state_dir.exists() for w in (first, second))


def test_sharing_can_end(pool: Pool) -> None:
    first, second = pool.lease({}, "UTC", fresh=False), pool.lease({}, "UTC", fresh=False)
    pool.give_back(first, reusable=True)
    pool.stop_sharing()
    pool.give_back(second, reusable=True)
    assert not first.healthy
    assert not second.healthy
    third = pool.lease({}, "UTC", fresh=False)
    assert third not in (first, second)
    third.close()


def test_without_sharing_every_world_is_closed() -> None:
    pool = Pool(target(), share=False)
    world = lease(pool)
    pool.give_back(world, reusable=True)
    assert not world.state_dir.exists()


def test_the_hello_is_asked_once_or_given() -> None:
    aim, made = tracked()
    pool = Pool(aim)
    assert pool.hello is pool.hello
    assert len(made) == 1
    given = Hello("given", "1", 1, frozenset(), (), {})
    assert Pool(aim, hello=given).hello is given
    assert len(made) == 1


@pytest.mark.parametrize("kind", ["costly", "realtime"])
def test_of_gateways_that_cost_real_time_never_two_stand_idle(kind: str) -> None:
    real = target(type("Real", (Tiny,), {"capabilities": ("trigger",)}))
    pool = Pool(replace(target(), costly=True) if kind == "costly" else real)
    first = lease(pool, agents=["main"])
    pool.give_back(first, reusable=True)
    second = lease(pool, agents=["work"])
    assert not first.state_dir.exists()
    second.close()


def test_a_world_for_a_later_start_goes_there_or_is_made_anew() -> None:
    pool = Pool(replace(target(), costly=True))
    first = lease(pool)
    pool.give_back(first, reusable=True)
    later = pool.lease({}, "UTC", fresh=False, start_ms=START_MS + MINUTE)
    assert later is first
    assert later.now == START_MS + MINUTE
    later.advance(START_MS + 3 * MINUTE)
    pool.give_back(later, reusable=True)
    anew = pool.lease({}, "UTC", fresh=False, start_ms=START_MS + 2 * MINUTE)
    assert anew is not first
    assert anew.now == START_MS + 2 * MINUTE
    anew.close()


def test_a_costly_gateway_is_killed_in_the_end_and_not_stopped() -> None:
    aim, made = tracked()
    world = World(replace(aim, costly=True))
    world.close()
    words = [word for word, _ in made[0].log]
    assert "abandon" in words
    assert "stop" not in words


def test_a_target_whose_starts_time_out_is_not_waited_for_again_and_again() -> None:
    starts = []

    class Stuck(Tiny):
        async def gateway_start(self, params: dict[str, Any]) -> dict[str, Any]:  # type: ignore[override]
            starts.append(params)
            return await asyncio.Event().wait() or {}

    pool = Pool(replace(target(Stuck), timeouts={"gateway/start": 0.05}))
    for _ in range(3):
        with pytest.raises(TargetError, match=r"^gateway/start: no answer within 0\.05 s"):
            lease(pool)
    with pytest.raises(TargetError, match=r"^gateway/start: not tried again after 3 time-outs in a row"):
        lease(pool)
    assert len(starts) == 3


def test_a_start_that_succeeds_makes_up_for_time_outs_before_it() -> None:
    stuck = True

    class Moody(Tiny):
        async def gateway_start(self, params: dict[str, Any]) -> dict[str, Any]:  # type: ignore[override]
            return await asyncio.Event().wait() or {} if stuck else super().gateway_start(params)

    limits = {"gateway/start": 0.05}
    pool = Pool(replace(target(Moody), timeouts=limits))
    for _ in range(2):
        stuck, limits["gateway/start"] = True, 0.05
        for _ in range(2):
            with pytest.raises(TargetError, match="no answer"):
                lease(pool)
        stuck, limits["gateway/start"] = False, 60
        lease(pool).close()


def test_a_start_that_is_refused_may_be_tried_as_often_as_wanted() -> None:
    class Refusing(Tiny):
        def gateway_start(self, params: dict[str, Any]) -> dict[str, Any]:
            raise RuntimeError("not with this configuration")

    pool = Pool(target(Refusing))
    for _ in range(5):
        with pytest.raises(TargetError, match="not with this configuration"):
            lease(pool)
