"""What an OpenClaw instance is started with, and how its protocol is spoken."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from pytest_cronsession.targets.openclaw import config
from pytest_cronsession.targets.openclaw.package import Package
from pytest_cronsession.targets.openclaw.rpc import RpcClient, RpcError, RpcGone

# --- config -------------------------------------------------------------------------------------------------


def start_params(state: Path, **wanted: Any) -> dict[str, Any]:
    return {
        "nowMs": 0,
        "stateDir": str(state),
        "modelUrl": "http://127.0.0.1:1/v1",
        "token": "secret",
        "hostZone": "America/Denver",
        "config": wanted,
    }


def written(state: Path, **wanted: Any) -> dict[str, Any]:
    pack = Package(Path("/package"), "2026.9.6", Path("/node/bin/node"))
    launch = config.prepare(pack, start_params(state, **wanted), 4711)
    loaded: dict[str, Any] = json.loads((launch.state / "openclaw.json").read_text())
    return loaded


def test_config_names_model_agents_and_port(tmp_path: Path) -> None:
    made = written(tmp_path, agents=["ops", "work"])
    (provider,) = made["models"]["providers"].values()
    assert (provider["baseUrl"], provider["apiKey"]) == ("http://127.0.0.1:1/v1", "secret")
    assert made["agents"]["list"] == [{"id": "ops", "default": True}, {"id": "work", "default": False}]
    assert (made["gateway"]["port"], made["gateway"]["auth"]["token"]) == (4711, "secret")
    assert "session" not in made
    assert "sessionRetention" not in made["cron"]


def test_retention_and_maintenance_are_passed_on(tmp_path: Path) -> None:
    block = {"mode": "enforce", "pruneAfterMs": 5000, "maxEntries": 4, "maxDiskBytes": 99}
    made = written(tmp_path, sessionRetentionMs=2000, maintenance=block)
    assert made["cron"]["sessionRetention"] == "2000ms"
    assert made["session"]["maintenance"] == {
        "mode": "enforce",
        "pruneAfter": "5000ms",
        "maxEntries": 4,
        "maxDiskBytes": "99b",
    }
    assert written(tmp_path, sessionRetentionMs=None)["cron"]["sessionRetention"] is False


def test_everything_lies_below_the_state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("OPENCLAW_PROFILE", "mine")
    pack = Package(Path("/package"), "2026.9.6", Path("/node/bin/node"))
    env = config.environment(pack, tmp_path, 1, start_params(tmp_path))
    for name in ("HOME", "TMPDIR", "OPENCLAW_HOME", "OPENCLAW_STATE_DIR", "OPENCLAW_CONFIG_PATH"):
        assert Path(env[name]).is_relative_to(tmp_path), name
    assert env["TZ"] == "America/Denver"
    assert env["PATH"].startswith("/node/bin" + os.pathsep)
    assert not {"OPENAI_API_KEY", "OPENCLAW_PROFILE"} & env.keys()


def test_only_own_locks_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = tmp_path / "shared"
    locks = shared / f"openclaw-state-locks-{os.getuid()}"
    locks.mkdir(parents=True)
    monkeypatch.setattr(config, "_SHARED_TMP", shared)
    pack = Package(Path("/package"), "2026.9.6", Path("/node/bin/node"))
    launch = config.prepare(pack, start_params(tmp_path / "run"), 1)
    (launch.state / "agents" / "ops").mkdir(parents=True)
    database = launch.state / "agents" / "ops" / "agent" / "openclaw-agent.sqlite"
    mine = config.lock_files(database, locks)
    for lock in mine:
        lock.touch()
    other = locks / "state-lifecycle.00000000.lock.sqlite"
    other.touch()
    config.remove_shared_leftovers(launch)
    assert list(locks.iterdir()) == [other]
    other.unlink()
    config.remove_shared_leftovers(launch)
    assert not locks.exists()


# --- the protocol's client ----------------------------------------------------------------------------------


class Wire:
    """A connection whose other end answers with what is queued; None ends it."""

    close_code, close_reason = 1000, "bye"

    def __init__(self, *answers: dict[str, Any] | None) -> None:
        self.sent: list[dict[str, Any]] = []
        self._answers = list(answers)
        self._frames: asyncio.Queue[str | None] = asyncio.Queue()

    async def send(self, text: str) -> None:
        request = json.loads(text)
        self.sent.append(request)
        answer = self._answers.pop(0)
        frame = None if answer is None else json.dumps({"type": "res", "id": request["id"], **answer})
        self._frames.put_nowait(json.dumps({"type": "event", "event": "tick", "id": request["id"]}))
        self._frames.put_nowait(frame)

    def __aiter__(self) -> Wire:
        return self

    async def __anext__(self) -> str:
        frame = await self._frames.get()
        if frame is None:
            raise StopAsyncIteration
        return frame

    async def close(self) -> None:
        self._frames.put_nowait(None)


def ask(wire: Wire, pauses: list[float]) -> dict[str, Any]:
    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    async def talk() -> dict[str, Any]:
        client = RpcClient(wire, pause)  # type: ignore[arg-type]
        try:
            return await client.call("cron.add", {"a": 1}, 100)
        finally:
            await client.close()

    return asyncio.run(talk())


def later(**more: Any) -> dict[str, Any]:
    return {"ok": False, "error": {"code": "UNAVAILABLE", "message": "later", **more}}


def test_a_retryable_error_is_retried_when_the_gateway_says_so() -> None:
    wire = Wire(
        later(retryable=True, retryAfterMs=41_000), later(retryable=True), {"ok": True, "payload": {"x": 1}}
    )
    pauses: list[float] = []
    assert ask(wire, pauses) == {"x": 1}
    assert pauses == [41.0, 0.5]
    assert [r["method"] for r in wire.sent] == ["cron.add"] * 3
    assert len({r["id"] for r in wire.sent}) == 3


@pytest.mark.parametrize("error", [later(), later(retryable=True, retryAfterMs=200_000)])
def test_other_errors_come_through(error: dict[str, Any]) -> None:
    with pytest.raises(RpcError, match=r"cron\.add: UNAVAILABLE: later"):
        ask(Wire(error), [])


def test_a_lost_connection_ends_the_waiting() -> None:
    with pytest.raises(RpcGone, match="closed by the gateway: 1000 bye"):
        ask(Wire(None), [])
