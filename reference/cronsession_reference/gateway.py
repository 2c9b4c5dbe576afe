"""The contract, spoken by an engine. Each operation takes and gives plain dicts of the published shapes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .clock import Clock, ManualClock, SystemClock
from .engine import Engine
from .errors import Refused
from .jobdesk import Written
from .jobs import parse_wish
from .keys import main_key
from .model import CallableModel, EchoModel, HttpModel, Model
from .resolver import MAIN, NAMED, session_key
from .sessions import Place
from .settings import MINUTE, REAL_TIME_LATENESS_MS, Policies, Settings, with_config
from .store import Run, SessionRow
from .store_seed import seed

VERSION = "0.1.0"

CAPABILITIES = (
    *("clock.advance", "clock.jump", "schedule.at", "schedule.every", "schedule.cron"),
    *("session.isolated", "session.named", "session.main", "session.current", "session.key"),
    *("session.mode", "session.send", "agents", "job.update", "job.remove", "job.disable"),
    *("job.resolved", "job.revision", "trigger", "trigger.due", "run.list", "run.slot", "run.cancel"),
    *("run.timeout", "receipts", "retention", "maintenance", "maintenance.bytes", "store.maintain"),
    *("store.sweep", "store.seed", "restart", "crash"),
)
_NEED_DISK = ("restart", "crash", "store.seed")
_NEED_MANUAL_CLOCK = ("clock.advance", "clock.jump")


class Gateway:
    """The reference gateway, in process.

    ``policies`` are answers by their published names, ``store`` is ``sqlite`` or ``memory``, ``clock`` is
    ``manual`` or ``system``; ``run_history`` is how many finished runs are kept for each job.
    """

    def __init__(
        self,
        *,
        policies: Mapping[str, str] | None = None,
        store: str = "sqlite",
        clock: str = "manual",
        sweep_interval_ms: int = MINUTE,
        run_history: int = 1000,
    ) -> None:
        if store not in ("sqlite", "memory") or clock not in ("manual", "system"):
            raise ValueError("store is 'sqlite' or 'memory', clock is 'manual' or 'system'")
        self._store_kind = store
        self._manual = clock == "manual"
        self._base = Settings(
            policies=Policies.of(policies or {}),
            sweep_interval_ms=sweep_interval_ms,
            run_history=run_history,
            lateness_ms=0 if self._manual else REAL_TIME_LATENESS_MS,
        )
        self._running: Engine | None = None

    @property
    def _engine(self) -> Engine:
        if self._running is None:
            raise ValueError("the gateway is not started; call gateway/start first")
        return self._running

    @property
    def _clock(self) -> ManualClock:
        clock = self._engine.clock
        if not isinstance(clock, ManualClock):
            raise ValueError("this gateway runs in real time")
        return clock

    def initialize(self, params: dict[str, Any]) -> dict[str, Any]:
        """Say who this is, what it can do, and which policies it follows."""
        left_out: tuple[str, ...] = _NEED_DISK if self._store_kind == "memory" else ()
        left_out += () if self._manual else _NEED_MANUAL_CLOCK
        profiles = ["scheduler", "sessions", "retention"]
        return {
            "protocol": 1,
            "name": "cronsession-reference",
            "version": VERSION,
            "specRevision": 1,
            "capabilities": [name for name in CAPABILITIES if name not in left_out],
            "profiles": profiles if self._store_kind == "memory" else [*profiles, "durability"],
            "policies": self._base.policies.to_dict(),
            "resolutionMs": 1,
            "latenessMs": self._base.lateness_ms,
            "sweepIntervalMs": self._base.sweep_interval_ms,
        }

    async def gateway_start(self, params: dict[str, Any]) -> dict[str, Any]:
        if self._running is not None:
            raise ValueError("the gateway is started already; call gateway/stop first")
        clock: Clock = ManualClock(params["nowMs"]) if self._manual else SystemClock()
        settings = with_config(self._base, params.get("config", {}), params.get("hostZone", "UTC"))
        folder = Path(params["stateDir"])
        engine = Engine(folder, clock, settings, _model(params), store_kind=self._store_kind)
        try:
            engine.start()
        except BaseException:
            await engine.abandon()
            raise
        if not self._manual:
            engine.run_in_real_time()
        self._running = engine
        return {}

    async def gateway_stop(self, params: dict[str, Any]) -> dict[str, Any]:
        engine, self._running = self._engine, None
        await engine.stop()
        return {}

    async def gateway_abandon(self, params: dict[str, Any]) -> dict[str, Any]:
        engine, self._running = self._engine, None
        await engine.abandon()
        return {}

    async def clock_advance(self, params: dict[str, Any]) -> dict[str, Any]:
        await self._engine.advance(self._clock, params["toMs"])
        return {"nowMs": self._clock.now()}

    async def clock_jump(self, params: dict[str, Any]) -> dict[str, Any]:
        await self._engine.jump(self._clock, params["toMs"])
        return {"nowMs": self._clock.now()}

    def job_add(self, params: dict[str, Any]) -> dict[str, Any]:
        context = params.get("context") or {}
        try:
            return self._written(self._engine.jobs.add(params["job"], context.get("session")))
        except Refused as err:
            return {"rejected": {"field": err.field, "reason": err.reason}}

    def job_update(self, params: dict[str, Any]) -> dict[str, Any]:
        try:
            written = self._engine.jobs.update(params["id"], params["patch"], params.get("expectedRevision"))
        except Refused as err:
            return {"rejected": {"field": err.field, "reason": err.reason}}
        return self._written(written)

    def _written(self, written: Written) -> dict[str, Any]:
        answer: dict[str, Any] = {"job": self._engine.jobs.describe(written.job)}
        if written.unused:
            answer["unused"] = [{"field": field, "reason": reason} for field, reason in written.unused]
        return answer

    def job_remove(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"removed": self._engine.jobs.remove(params["id"])}

    def job_list(self, params: dict[str, Any]) -> dict[str, Any]:
        engine = self._engine
        listed = [engine.jobs.describe(job) for job in engine.store.jobs()]
        # A job that cannot be read is shown as what it is: there, and not going to run.
        problem = {"enabled": False, "nextRunAtMs": None, "problem": "the stored job cannot be read"}
        return {"jobs": listed + [{"id": job_id, **problem} for job_id in engine.store.broken_jobs()]}

    async def job_trigger(self, params: dict[str, Any]) -> dict[str, Any]:
        run, reason = self._engine.scheduler.trigger(params["id"], due=params["mode"] == "due")
        return {"started": True, "runId": run.id} if run else {"started": False, "reason": reason}

    def run_list(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"runs": [run_dict(run) for run in self._engine.store.runs(params.get("sinceMs"))]}

    def run_cancel(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"cancelled": self._engine.runner.cancel(params["id"])}

    def session_list(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"sessions": [row_dict(row) for row in self._engine.store.sessions(params.get("sinceMs"))]}

    async def session_send(self, params: dict[str, Any]) -> dict[str, Any]:
        """A human turn. It is answered with the reply, or without one if the model keeps the turn open."""
        engine = self._engine
        agent = params.get("agent", engine.settings.default_agent)
        if agent not in engine.settings.agents:
            raise Refused("agent", f"there is no agent {agent!r}; known: {', '.join(engine.settings.agents)}")
        wish, policies = parse_wish(params["session"]), engine.settings.policies
        key = session_key(wish, agent=agent, agents=engine.settings.agents, policies=policies)
        kind = MAIN if key == main_key(agent) else NAMED
        turn = engine.runner.say(Place(key, agent, kind), params["text"])
        if self._manual or turn.task is None:
            await engine.runner.settle()
        else:
            await asyncio.wait([turn.task])
        answer: dict[str, Any] = {"sessionKey": key, "reply": turn.reply}
        if turn.row is not None:
            answer["sessionId"] = turn.row.id
        return answer if turn.error is None else {**answer, "error": turn.error}

    def store_maintain(self, params: dict[str, Any]) -> dict[str, Any]:
        engine = self._engine
        return engine.maintenance.report(engine.clock.now(), dry_run=params["dryRun"])

    def store_sweep(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"removed": self._engine.sweep()}

    def store_seed(self, params: dict[str, Any]) -> dict[str, Any]:
        if self._running is not None or self._store_kind == "memory":
            raise ValueError("only the store of a stopped gateway can be seeded")
        rows = seed(Path(params["stateDir"]), params["rows"], self._base)
        return {"sessions": [row_dict(row) for row in rows]}


def _model(params: Mapping[str, Any]) -> Model:
    if params.get("model") is not None:
        return CallableModel(params["model"])
    url = params.get("modelUrl")
    return HttpModel(url, params.get("token", "")) if url else EchoModel()


def run_dict(run: Run) -> dict[str, Any]:
    """A run in the contract's shape."""
    return {
        "id": run.id,
        "jobId": run.job_id,
        "trigger": run.trigger,
        "slotMs": run.slot_ms,
        "startedAtMs": run.started_ms,
        "endedAtMs": run.ended_ms,
        "status": run.status,
        "sessionKey": run.session_key,
        "sessionId": run.session_id,
        "error": run.error,
    }


def row_dict(row: SessionRow) -> dict[str, Any]:
    """A session row in the contract's shape, with its kind and size beside."""
    return {
        "key": row.key,
        "id": row.id,
        "agent": row.agent,
        "jobId": row.job_id,
        "updatedAtMs": row.updated_ms,
        "kind": row.kind,
        "bytes": row.bytes,
    }
