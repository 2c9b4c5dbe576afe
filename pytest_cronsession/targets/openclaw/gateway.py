"""OpenClaw behind the contract: one real gateway process on virtual time, asked over its own WebSocket protocol."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...contract import PROFILES, PROTOCOL, SPEC_REVISION
from ...outcomes import TargetError, UnsupportedOperation
from . import mapping, runs, seeding
from .config import default_agent, state_folder
from .instance import Instance, boot
from .package import Package
from .rpc import RpcError
from .store import StoreUnreadable
from .timeline import LATE_MS, REAL_BELOW_MS
from .versions import dialect_for

Json = dict[str, Any]

REPLY_S = 110.0
BUSY = "StateDatabaseCoordinatorContentionError"
"""A turn that 2026.9.6 gives up before it reaches the model: right after the boot on a busy machine, a process of
its own may still hold the lock of its state. Whoever chats sends again."""

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
        self._dialect = dialect_for(package.version)
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
            "capabilities": self._dialect.capabilities(CAPABILITIES),
            "profiles": list(PROFILES),
            "policies": {
                **POLICIES,
                "dst": self._dialect.dst,
                "manualOneShot": self._dialect.manual_one_shot,
            },
            "latenessMs": LATE_MS,
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
            added = mapping.to_add(
                params["job"],
                params.get("context"),
                instance.launch.agents[0],
                self._dialect.current_delivery,
            )
            return {"job": mapping.from_job(await instance.ask_apart("job/add", "cron.add", added))}
        except mapping.Inexpressible as error:
            raise UnsupportedOperation("job/add", f"OpenClaw has no word for {error}") from error
        except RpcError as error:
            return self._refused("job/add", error)

    async def job_update(self, params: Json) -> Json:
        instance = self._running("job/update")
        try:
            stored = await self._dialect.stored_job(instance, params["id"])
            patch = mapping.to_patch(
                params["patch"], stored, self._dialect.current_delivery, self._dialect.clears_timeout
            )
            changed: Json = {"id": params["id"], "patch": patch}
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
            if error.code != "INVALID_REQUEST" and not mapping.is_refusal(error.message):
                raise instance.broken("job/trigger", str(error)) from error
            return {"started": False, "runId": None, "reason": error.message}
        started = bool(answer.get("enqueued") or answer.get("ran"))
        reason = None if started else str(answer.get("reason") or "the gateway gives no reason")
        run_id = answer.get("runId") if self._dialect.names_runs else None
        return {"started": started, "runId": run_id, "reason": reason}

    # --- runs ------------------------------------------------------------------------------------------

    async def run_list(self, params: Json) -> Json:
        # What is running first: a run that ends in between is then listed as ended, never left out.
        tasks = await self._dialect.running(self._running("run/list"), "run/list")
        # Oldest first: those of one instant come in the order of their ends then, the other way round they do not.
        asked = {"scope": "all", "sortDir": "asc"}
        history = self._running("run/list").pages("run/list", "cron.runs", asked, "entries")
        entries, jobs = await asyncio.gather(history, self._jobs("run/list"))
        found = runs.merge(entries, tasks, jobs)
        since = params.get("sinceMs", 0)
        return {"runs": [run for run in found if (run["startedAtMs"] or run["endedAtMs"]) >= since]}

    async def run_cancel(self, params: Json) -> Json:
        return {"cancelled": await self._dialect.cancel(self._running("run/cancel"), params["id"])}

    # --- sessions --------------------------------------------------------------------------------------

    def session_list(self, params: Json) -> Json:
        return {"sessions": self._rows("session/list", params.get("sinceMs", 0))}

    def _rows(self, operation: str, since_ms: int = 0) -> list[Json]:
        instance = self._running(operation)
        try:
            return self._dialect.session_rows(instance.launch.state, since_ms)
        except StoreUnreadable as error:
            raise instance.broken(operation, f"the session store cannot be read: {error}") from error

    async def session_send(self, params: Json) -> Json:
        """A human turn, waited for until it is answered (or has failed: then there is no reply)."""
        instance = self._running("session/send")
        try:
            key = mapping.session_key(params["session"], params.get("agent") or instance.launch.agents[0])
        except mapping.Inexpressible as error:
            raise UnsupportedOperation("session/send", f"OpenClaw has no human turns in {error}") from error
        limit = time.monotonic() + REPLY_S
        while True:
            ended = await self._said(instance, key, params["text"], limit)
            if BUSY not in str(ended.get("error")) or time.monotonic() > limit:
                return await self._reply(instance, key, ended)

    @staticmethod
    async def _said(instance: Instance, key: str, text: str, limit: float) -> Json:
        """Send a message; how its turn ended."""
        asked = {"sessionKey": key, "message": text, "idempotencyKey": str(uuid.uuid4())}
        sent = await instance.must("session/send", "chat.send", asked)
        while True:
            # Shorter than what the clock holds up, so that it ends by itself.
            wait = {"runId": sent["runId"], "timeoutMs": REAL_BELOW_MS - 500}
            ended = await instance.must("session/send", "agent.wait", wait)
            if ended.get("status") not in ("timeout", "pending"):
                return ended
            if time.monotonic() > limit:
                raise instance.broken("session/send", f"no reply within {REPLY_S:g} s")

    async def _reply(self, instance: Instance, key: str, ended: Mapping[str, Any]) -> Json:
        said = await self._dialect.reply(instance, key, ended)
        answer: Json = {"sessionKey": key, "reply": said.text}
        if said.text is None and ended.get("status") != "ok":
            # Nobody asks for it, but whoever reads the trace of a failure wants to know.
            answer["failure"] = str(ended.get("error") or ended.get("status"))
        if said.session_id:
            answer["sessionId"] = said.session_id
            # The gateway may spell the key in its own way.
            rows = self._rows("session/send")
            answer["sessionKey"] = next((row["key"] for row in rows if row["id"] == said.session_id), key)
        return answer

    # --- store -----------------------------------------------------------------------------------------

    def store_seed(self, params: Json) -> Json:
        """Aged rows in the stores of a stopped gateway that has run on that state folder before."""
        if self._instance is not None:
            raise TargetError("store/seed", "the gateway is running")
        state = state_folder(Path(params["stateDir"]))
        try:
            rows = seeding.new_rows(params["rows"], default_agent(state))
            self._dialect.seed_rows(state, rows)
            found = {(row["agent"], row["key"]): row for row in self._dialect.session_rows(state, 0)}
        except mapping.Inexpressible as error:
            raise UnsupportedOperation("store/seed", f"OpenClaw has no key for {error}") from error
        except (StoreUnreadable, OSError) as error:
            raise TargetError("store/seed", str(error)) from error
        return {"sessions": [found[row.agent, row.key] for row in rows]}
