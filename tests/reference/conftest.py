"""A reference gateway in process, on a clock of its own, with a model that does as it is told."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cronsession_reference import Gateway

from .child import Child, ModelServer

T0 = 1_772_323_200_000  # 2026-03-01T00:00:00Z
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


class StatusError(Exception):
    """What a model in process raises for an answer with this HTTP status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status = status


class FakeModel:
    """Replies ``reply N`` to the N-th turn. ``fail`` and ``hold`` are texts that it treats so.

    ``errors`` are the HTTP statuses that the next turns with a text fail with; ``most`` is how many were held
    at a time.
    """

    def __init__(self) -> None:
        self.requests: list[list[dict[str, str]]] = []
        self.fail: set[str] = set()
        self.hold: dict[str, asyncio.Future[None]] = {}
        self.errors: dict[str, list[int]] = {}
        self.held = self.most = 0

    async def __call__(self, request: dict[str, Any]) -> dict[str, Any]:
        self.requests.append(request["messages"])
        number, text = len(self.requests), request["messages"][-1]["content"]
        if text in self.hold:
            self.held += 1
            self.most = max(self.most, self.held)
            try:
                await asyncio.shield(self.hold[text])
            finally:
                self.held -= 1
        if self.errors.get(text):
            raise StatusError(self.errors[text].pop(0))
        if text in self.fail:
            raise RuntimeError("no such model")
        return {"choices": [{"message": {"role": "assistant", "content": f"reply {number}"}}]}

    def texts(self) -> list[str]:
        """The last message of each request."""
        return [messages[-1]["content"] for messages in self.requests]


class World:
    """One gateway object over one state folder; every operation is a method that waits for its answer."""

    T0, MINUTE, HOUR, DAY = T0, MINUTE, HOUR, DAY

    def __init__(self, folder: Path, runner: asyncio.Runner, **settings: Any) -> None:
        self.folder = folder
        self.runner = runner
        self.model = FakeModel()
        self.settings = settings
        self.gateway = Gateway(**settings)
        self.config: dict[str, Any] = {"agents": ["main", "a", "b"]}

    def call(self, operation: str, **params: Any) -> dict[str, Any]:
        async def go() -> dict[str, Any]:
            result = getattr(self.gateway, operation.replace("/", "_"))(params)
            return await result if inspect.isawaitable(result) else result

        return self.runner.run(go())

    def start(self, now: int = T0, zone: str = "UTC", **config: Any) -> World:
        self.config.update(config)
        fixed = {"modelUrl": "", "token": "", "model": self.model, "config": self.config}
        self.call("gateway/start", nowMs=now, stateDir=str(self.folder), hostZone=zone, **fixed)
        return self

    def crash(self) -> World:
        """Lose the gateway; another object takes its place."""
        self.call("gateway/abandon")
        self.gateway = Gateway(**self.settings)
        return self

    def add(self, schedule: dict[str, Any] | None = None, text: str = "hi", **spec: Any) -> dict[str, Any]:
        """Add a job, which must be accepted."""
        answer = self.try_add(schedule, text, **spec)
        assert "job" in answer, answer
        return answer["job"]

    def try_add(
        self, schedule: dict[str, Any] | None = None, text: str = "hi", **spec: Any
    ) -> dict[str, Any]:
        context = {"context": spec.pop("context")} if "context" in spec else {}
        session = spec.setdefault("session", {"target": "isolated"})
        kind = "systemEvent" if session["target"] == "main" else "agentTurn"
        job = {
            "name": "a job",
            "schedule": schedule or every(HOUR),
            "payload": {"kind": kind, "text": text},
            **spec,
        }
        return self.call("job/add", job=job, **context)

    def update(self, job: dict[str, Any], **patch: Any) -> dict[str, Any]:
        return self.call("job/update", id=job["id"], patch=patch)

    def job(self, job: dict[str, Any]) -> dict[str, Any] | None:
        listed = self.call("job/list")["jobs"]
        return next((found for found in listed if found["id"] == job["id"]), None)

    def next(self, job: dict[str, Any]) -> int | None:
        found = self.job(job)
        assert found is not None
        return found["nextRunAtMs"]

    def advance(self, to: int) -> None:
        assert self.call("clock/advance", toMs=to)["nowMs"] == to

    def trigger(self, job: dict[str, Any], mode: str = "force") -> dict[str, Any]:
        return self.call("job/trigger", id=job["id"], mode=mode)

    def runs(self, job: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        return [r for r in self.call("run/list")["runs"] if job is None or r["jobId"] == job["id"]]

    def statuses(self, job: dict[str, Any] | None = None) -> list[str]:
        return [run["status"] for run in self.runs(job)]

    def sessions(self) -> dict[str, dict[str, Any]]:
        return {row["key"]: row for row in self.call("session/list")["sessions"]}

    def transcripts(self) -> set[str]:
        return {path.stem for path in (self.folder / "sessions").glob("*")}

    def hold(self, text: str) -> None:
        """Turns with this text stay open until :meth:`release`."""
        self.model.hold[text] = self.runner.get_loop().create_future()

    def release(self, text: str) -> None:
        self.model.hold.pop(text).set_result(None)


def every(milliseconds: int, anchor: int | None = None) -> dict[str, Any]:
    return {"kind": "every", "everyMs": milliseconds, **({} if anchor is None else {"anchorMs": anchor})}


@pytest.fixture
def make_world(tmp_path: Path) -> Iterator[Callable[..., World]]:
    """``make_world(policies=..., store=...)`` is a gateway that has still to be started."""
    with asyncio.Runner() as runner:
        made: list[World] = []

        def make(folder: str = "state", **settings: Any) -> World:
            made.append(World(tmp_path / folder, runner, **settings))
            return made[-1]

        yield make
        for world in made:
            if world.gateway._running is not None:
                world.call("gateway/stop")


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """A started gateway at 2026-03-01T00:00:00Z, UTC."""
    return make_world().start()


@pytest.fixture
def model() -> Iterator[ModelServer]:
    with ModelServer() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        for event in server.held.values():
            event.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def child() -> Iterator[Child]:
    made = Child()
    yield made
    if made.process.poll() is None:
        made.process.kill()
    made.process.communicate()
