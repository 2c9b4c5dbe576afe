"""OpenClaw behind the contract: one real gateway process on virtual time, asked over its own WebSocket protocol."""

from __future__ import annotations

import asyncio
import sqlite3
import time
import uuid
from collections.abc import Mapping
from typing import Any

from ...contract import PROFILES, PROTOCOL, SPEC_REVISION
from ...outcomes import TargetError, UnsupportedOperation
from . import mapping, runs
from .instance import Instance, boot
from .package import Package
from .rpc import RpcError
from .store import session_rows
from .timeline import REAL_BELOW_MS

Json = dict[str, Any]

REPLY_S = 110.0

CAPABILITIES = (
    *("schedule.at", "schedule.every", "schedule.cron"),
    *("session.isolated", "session.named", "session.main", "session.current", "session.key", "session.send"),
    *("agents", "job.update", "job.remove", "job.disable", "job.revision"),
    *("trigger", "trigger.due", "run.list", "run.cancel", "run.timeout", "restart", "crash"),
    *("clock.advance", "clock.jump", "retention", "maintenance"),
)
# What OpenClaw documents. It publishes no answer to sessionKey, so the default is what it is held to.
POLICIES = {
    "keyCase": "fold",
    "currentFallback": "isolated",
    "catchUp": "once",
    "missedOneShot": "run",
    "pastOneShot": "reject",
    "intervalAnchor": "start",
    "overlap": "skip",
    "defaultZone": "host",
}


class OpenClawGateway:
    """One instance at a time. All methods belong on one event loop."""

    def __init__(self, *, package: Package) -> None:
        self._package = package
        self._instance: Instance | None = None

    def log_tail(self) -> str:
        """The end of what the gateway printed."""
        return self._instance.log_tail() if self._instance else ""

    def initialize(self, params: Json) -> Json:
        return {
            "protocol": PROTOCOL,
            "name": "OpenClaw",
            "version": self._package.version,
            "url": "https://github.com/openclaw/openclaw",
            "specRevision": SPEC_REVISION,
            "capabilities": list(CAPABILITIES),
            "profiles": list(PROFILES),
            "policies": dict(POLICIES),
        }

    # --- life ------------------------------------------------------------------------------------------

    async def gateway_start(self, params: Json) -> Json:
        """Boot at ``nowMs``, and wait until requests are let in."""
        if self._instance is not None:
            raise TargetError("gateway/start", "it is running already")
        self._instance = await boot(self._package, params)
        return {}

    async def gateway_stop(self, params: Json) -> Json:
        instance, self._instance = self._instance, None
        if instance is not None:
            await instance.stop()
        return {}

    async def gateway_abandon(self, params: Json) -> Json:
        instance, self._instance = self._instance, None
        if instance is not None:
            await instance.kill()
        return {}

    # --- time ------------------------------------------------------------------------------------------

    async def clock_advance(self, params: Json) -> Json:
        timeline = self._running("clock/advance").time
        await timeline.advance(params["toMs"])
        return {"nowMs": timeline.clock.now_ms}

    async def clock_jump(self, params: Json) -> Json:
        timeline = self._running("clock/jump").time
        await timeline.jump(params["toMs"])
        return {"nowMs": timeline.clock.now_ms}

    def _running(self, operation: str) -> Instance:
        if self._instance is None:
            raise TargetError(operation, "the gateway is not running")
        return self._instance

    async def _jobs(self, operation: str) -> list[Json]:
        return await self._running(operation).jobs(operation)

    # --- jobs ------------------------------------------------------------------------------------------

    async def job_add(self, params: Json) -> Json:
        instance = self._running("job/add")
        try:
            added = mapping.to_add(params["job"], params.get("context"), instance.launch.agents[0])
            return {"job": mapping.from_job(await instance.ask_apart("job/add", "cron.add", added))}
        except mapping.Inexpressible as error:
            raise UnsupportedOperation("job/add", f"OpenClaw has no word for {error}") from error
        except RpcError as error:
            return self._refused("job/add", error)

    async def job_update(self, params: Json) -> Json:
        instance = self._running("job/update")
        try:
            stored = await instance.ask("job/update", "cron.get", {"id": params["id"]})
            changed: Json = {"id": params["id"], "patch": mapping.to_patch(params["patch"], stored)}
            if "expectedRevision" in params:
                changed["expectedConfigRevision"] = params["expectedRevision"]
            return {"job": mapping.from_job(await instance.ask_apart("job/update", "cron.update", changed))}
        except mapping.Inexpressible as error:
            raise UnsupportedOperation("job/update", f"OpenClaw has no word for {error}") from error
        except RpcError as error:
            return self._refused("job/update", error)

    def _refused(self, operation: str, error: RpcError) -> Json:
        """The gateway's *no* is a result; its trouble is an error."""
        if error.code != "INVALID_REQUEST" and not mapping.is_refusal(error.message):
            raise self._running(operation).broken(operation, str(error)) from error
        if error.detail_code == "CRON_JOB_CHANGED":
            return {"rejected": {"field": "expectedRevision", "reason": error.message}}
        return mapping.refusal(error.message)

    async def job_remove(self, params: Json) -> Json:
        instance = self._running("job/remove")
        try:
            answer = await instance.ask_apart("job/remove", "cron.remove", {"id": params["id"]})
        except RpcError as error:
            if error.detail_code == "CRON_JOB_NOT_FOUND":
                return {"removed": False}
            raise instance.broken("job/remove", str(error)) from error
        return {"removed": bool(answer.get("removed"))}

    async def job_list(self, params: Json) -> Json:
        jobs = await self._jobs("job/list")
        return {"jobs": [mapping.from_job(job) for job in jobs if not mapping.is_system(job)]}

    async def job_trigger(self, params: Json) -> Json:
        instance = self._running("job/trigger")
        asked = {"id": params["id"], "mode": params["mode"]}
        try:
            answer = await instance.ask_apart("job/trigger", "cron.run", asked)
        except RpcError as error:
            if error.code != "INVALID_REQUEST":
                raise instance.broken("job/trigger", str(error)) from error
            return {"started": False, "runId": None, "reason": error.message}
        started = bool(answer.get("enqueued") or answer.get("ran"))
        reason = None if started else str(answer.get("reason") or "the gateway gives no reason")
        return {"started": started, "runId": answer.get("runId"), "reason": reason}

    # --- runs ------------------------------------------------------------------------------------------

    async def run_list(self, params: Json) -> Json:
        # Tasks first: a run that ends in between is then listed as ended, never left out.
        tasks = await self._tasks("run/list")
        history = self._running("run/list").pages("run/list", "cron.runs", {"scope": "all"}, "entries")
        entries, jobs = await asyncio.gather(history, self._jobs("run/list"))
        found = runs.merge(entries, tasks, jobs)
        since = params.get("sinceMs", 0)
        return {"runs": [run for run in found if (run["startedAtMs"] or run["endedAtMs"]) >= since]}

    async def _tasks(self, operation: str) -> list[Json]:
        found: list[Json] = []
        cursor: Json = {}
        while True:
            page = await self._running(operation).must(operation, "tasks.list", {"limit": 500, **cursor})
            found += page["tasks"]
            if not page.get("nextCursor"):
                return found
            cursor = {"cursor": page["nextCursor"]}

    async def run_cancel(self, params: Json) -> Json:
        for task in await self._tasks("run/cancel"):
            if task.get("runtime") != "cron" or not task.get("sourceId") or task.get("startedAt") is None:
                continue
            if runs.run_id(str(task.get("runId", "")), task["sourceId"], task["startedAt"]) == params["id"]:
                answer = await self._running("run/cancel").must(
                    "run/cancel", "tasks.cancel", {"taskId": task["taskId"]}
                )
                return {"cancelled": bool(answer.get("cancelled"))}
        return {"cancelled": False}

    # --- sessions --------------------------------------------------------------------------------------

    def session_list(self, params: Json) -> Json:
        return {"sessions": self._rows("session/list", params.get("sinceMs", 0))}

    def _rows(self, operation: str, since_ms: int = 0) -> list[Json]:
        instance = self._running(operation)
        try:
            return session_rows(instance.launch.state, since_ms)
        except sqlite3.Error as error:
            raise instance.broken(operation, f"the session store cannot be read: {error}") from error

    async def session_send(self, params: Json) -> Json:
        """A human turn, waited for until it is answered (or has failed: then there is no reply)."""
        instance = self._running("session/send")
        try:
            key = mapping.session_key(params["session"], params.get("agent") or instance.launch.agents[0])
        except mapping.Inexpressible as error:
            raise UnsupportedOperation("session/send", f"OpenClaw has no human turns in {error}") from error
        limit = time.monotonic() + REPLY_S
        sent = await instance.must(
            "session/send",
            "chat.send",
            {"sessionKey": key, "message": params["text"], "idempotencyKey": str(uuid.uuid4())},
        )
        while True:
            # Shorter than what the clock holds up, so that it ends by itself.
            wait = {"runId": sent["runId"], "timeoutMs": REAL_BELOW_MS - 500}
            ended = await instance.must("session/send", "agent.wait", wait)
            if ended.get("status") not in ("timeout", "pending"):
                return self._reply(key, ended)
            if time.monotonic() > limit:
                raise instance.broken("session/send", f"no reply within {REPLY_S:g} s")

    def _reply(self, key: str, ended: Mapping[str, Any]) -> Json:
        session_id = (ended.get("terminalReceipt") or {}).get("sessionId")
        reply = (ended.get("terminalReply") or {}).get("text")
        answer: Json = {"sessionKey": key, "reply": reply}
        if session_id:
            answer["sessionId"] = session_id
            # The gateway may spell the key in its own way.
            rows = self._rows("session/send")
            answer["sessionKey"] = next((row["key"] for row in rows if row["id"] == session_id), key)
        return answer
