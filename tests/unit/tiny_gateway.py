"""The smallest gateway that can be driven: interval and one-shot jobs on virtual time, sessions by name.

Tests change it by subclassing: an operation that is None does not exist.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from pytest_cronsession.channel import PythonChannel
from pytest_cronsession.model import ModelError
from pytest_cronsession.targets import Target, TargetSpec

CAPABILITIES = (
    *("clock.advance", "clock.jump", "schedule.at", "schedule.every", "session.isolated", "session.named"),
    *("session.send", "job.remove", "trigger", "run.list", "restart", "crash"),
)


class Tiny:
    """State is kept in ``jobs.json``; a job is ``{"spec", "due"}``, a run the dict that is listed."""

    capabilities: tuple[str, ...] = CAPABILITIES
    hello: ClassVar[dict[str, Any]] = {}

    def __init__(self) -> None:
        self.log: list[tuple[str, Any]] = []
        self.tasks: set[asyncio.Task[None]] = set()
        self.runs: list[dict[str, Any]] = []
        self.histories: dict[str, list[dict[str, str]]] = {}

    def initialize(self, params: dict[str, Any]) -> dict[str, Any]:
        self.log.append(("initialize", params))
        named = {"protocol": 1, "name": "tiny", "version": "1", "specRevision": 1, "profiles": ["sessions"]}
        return named | {"capabilities": list(self.capabilities), "policies": {}} | self.hello

    def gateway_start(self, params: dict[str, Any]) -> dict[str, Any]:
        self.log.append(("start", params))
        self.now, self.model = params["nowMs"], params["model"]
        self.file = Path(params["stateDir"], "jobs.json")
        self.jobs: dict[str, Any] = json.loads(self.file.read_text()) if self.file.exists() else {}
        return {}

    def gateway_stop(self, params: dict[str, Any]) -> dict[str, Any]:
        self.log.append(("stop", None))
        return self._end()

    def gateway_abandon(self, params: dict[str, Any]) -> dict[str, Any]:
        self.log.append(("abandon", None))
        return self._end()

    def _end(self) -> dict[str, Any]:
        for task in self.tasks:
            task.cancel()
        return {}

    # --- time ---------------------------------------------------------------------------------------------

    async def clock_advance(self, params: dict[str, Any]) -> dict[str, Any]:
        self.log.append(("advance", params["toMs"]))
        await self._settle()
        while (due := self._due()) is not None and due <= params["toMs"]:
            self.now = max(self.now, due)
            self._fire()
            await self._settle()
        self.now = params["toMs"]
        return {"nowMs": self.now}

    async def clock_jump(self, params: dict[str, Any]) -> dict[str, Any]:
        self.log.append(("jump", params["toMs"]))
        self.now = params["toMs"]
        self._fire()
        await self._settle()
        return {"nowMs": self.now}

    def _due(self) -> int | None:
        return min((j["due"] for j in self.jobs.values() if j["due"] is not None), default=None)

    def _fire(self) -> None:
        for key, job in self.jobs.items():
            if job["due"] is not None and job["due"] <= self.now:
                self._start_run(key, slot=job["due"])
                job["due"] = self._next(job["spec"]["schedule"], self.now)
        self._save()

    @staticmethod
    def _next(schedule: dict[str, Any], now: int) -> int | None:
        if schedule["kind"] == "every":
            period = schedule["everyMs"]
            return int(now + period - (now - schedule["anchorMs"]) % period)
        return schedule["atMs"] if schedule["kind"] == "at" and schedule["atMs"] > now else None

    async def _settle(self) -> None:
        while len(self.tasks) > self.model.held:
            await asyncio.sleep(0)

    # --- jobs and runs --------------------------------------------------------------------------------------

    def job_add(self, params: dict[str, Any]) -> dict[str, Any]:
        spec, key = params["job"], f"j{len(self.jobs) + 1}"
        if spec["session"]["target"] not in ("isolated", "named"):
            return {"rejected": {"field": "session.target", "reason": "isolated or named"}}
        spec["schedule"].setdefault("anchorMs", self.now)
        self.jobs[key] = {"spec": spec, "due": self._next(spec["schedule"], self.now)}
        self._save()
        return {"job": self._stored(key)}

    def job_remove(self, params: dict[str, Any]) -> dict[str, Any]:
        removed = self.jobs.pop(params["id"], None) is not None
        self._save()
        return {"removed": removed}

    def job_list(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"jobs": [self._stored(key) for key in self.jobs]}

    def job_trigger(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"started": True, "runId": self._start_run(params["id"], slot=None)}

    def run_list(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"runs": [r for r in self.runs if r["startedAtMs"] >= params.get("sinceMs", 0)]}

    def session_list(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"sessions": [{"key": key, "id": f"id of {key}"} for key in self.histories]}

    async def session_send(self, params: dict[str, Any]) -> dict[str, Any]:
        await self._turn(params["session"]["name"], params["text"])
        return {}

    def _stored(self, key: str) -> dict[str, Any]:
        return {"id": key, "enabled": True, "nextRunAtMs": self.jobs[key]["due"]}

    def _save(self) -> None:
        self.file.write_text(json.dumps(self.jobs))

    def _start_run(self, key: str, slot: int | None) -> str:
        spec = self.jobs[key]["spec"]
        run = {"id": f"r{len(self.runs) + 1}", "jobId": key, "status": "running", "startedAtMs": self.now}
        run |= {"slotMs": slot, "sessionKey": spec["session"].get("name") or f"run {len(self.runs) + 1}"}
        self.runs.append(run)
        task = asyncio.ensure_future(self._run(run, spec["payload"]["text"]))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return str(run["id"])

    async def _run(self, run: dict[str, Any], text: str) -> None:
        try:
            await self._turn(run["sessionKey"], text)
            run["status"] = "ok"
        except ModelError:
            run["status"] = "error"
        run["endedAtMs"] = self.now

    async def _turn(self, session: str, text: str) -> None:
        history = self.histories.setdefault(session, [])
        history.append({"role": "user", "content": text})
        answer = await self.model({"model": "cronsession", "messages": list(history)})
        history.append(answer["choices"][0]["message"])


def target(factory: Callable[[], Any] = Tiny, *, timeouts: dict[str, float] | None = None) -> Target:
    """A target that opens a new gateway each time."""
    spec = TargetSpec("python:tiny:Tiny", "python", value="tiny:Tiny")
    return Target(spec, "python", lambda: PythonChannel(factory, "tiny"), timeouts=timeouts or {})


def tracked(factory: Callable[[], Any] = Tiny) -> tuple[Target, list[Any]]:
    """A target, and the gateways that were made through it."""
    made: list[Any] = []

    def make() -> Any:
        made.append(factory())
        return made[-1]

    return target(make), made
