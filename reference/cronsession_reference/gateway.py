"""The contract, spoken by an engine. Each operation takes and gives plain dicts of the published shapes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from .checks import identifier, integer, members, text, word
from .clock import Clock, ManualClock, SystemClock
from .engine import Engine
from .errors import Refused
from .jobdesk import Written
from .jobs import parse_wish
from .keys import main_key
from .model import CallableModel, EchoModel, HttpModel, Model
from .resolver import MAIN, NAMED, session_key
from .sessions import Place
from .settings import MINUTE, REAL_TIME_LATENESS_MS, Policies, Settings
from .shapes import notice_dict, row_dict, run_dict
from .start import dry_run, parse_folder, parse_start
from .store_seed import seed

VERSION = "0.1.0"

CAPABILITIES = (
    *("clock.advance", "clock.jump", "schedule.at", "schedule.every", "schedule.cron"),
    *("session.isolated", "session.named", "session.main", "session.current", "session.key"),
    *("session.mode", "session.send", "agents", "job.update", "job.remove", "job.disable"),
    *("job.resolved", "job.revision", "trigger", "trigger.due", "run.list", "run.slot", "run.cancel"),
    *("run.timeout", "receipts", "retention", "maintenance", "maintenance.bytes", "store.maintain"),
    *("store.sweep", "store.seed", "restart", "crash", "instances"),
    *("job.retry", "job.autoDisable", "job.catchUp", "run.concurrency", "run.history", "notices"),
    *("archives", "maintenance.highWater", "schedule.stagger", "job.deleteAfterRun"),
    *("cron.second", "cron.year", "cron.nickname", "cron.lastDay", "cron.nearestWeekday"),
    *("cron.nthWeekday", "cron.lastWeekday"),
)
_NEED_DISK = ("restart", "crash", "instances", "store.seed")
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
        start = parse_start(params, self._base)
        clock: Clock = ManualClock(start.now_ms) if self._manual else SystemClock()
        engine = Engine(start.state_dir, clock, start.settings, _model(params), store_kind=self._store_kind)
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
        await self._engine.advance(self._clock, integer(params.get("toMs"), "toMs", 0))
        return {"nowMs": self._clock.now()}

    async def clock_jump(self, params: dict[str, Any]) -> dict[str, Any]:
        await self._engine.jump(self._clock, integer(params.get("toMs"), "toMs", 0))
        return {"nowMs": self._clock.now()}

    def job_add(self, params: dict[str, Any]) -> dict[str, Any]:
        engine = self._engine
        try:
            context = members(params.get("context") or {}, "context", (), ("session",))
            return self._written(engine.jobs.add(params.get("job"), context.get("session")))
        except Refused as err:
            return {"rejected": {"field": err.field, "reason": err.reason}}

    def job_update(self, params: dict[str, Any]) -> dict[str, Any]:
        engine = self._engine
        try:
            job_id = identifier(params.get("id"), "id")
            written = engine.jobs.update(job_id, params.get("patch"), params.get("expectedRevision"))
        except Refused as err:
            return {"rejected": {"field": err.field, "reason": err.reason}}
        return self._written(written)

    def _written(self, written: Written) -> dict[str, Any]:
        answer: dict[str, Any] = {"job": self._engine.jobs.describe(written.job)}
        if written.unused:
            answer["unused"] = [{"field": field, "reason": reason} for field, reason in written.unused]
        return answer

    def job_remove(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"removed": self._engine.jobs.remove(identifier(params.get("id"), "id"))}

    def job_list(self, params: dict[str, Any]) -> dict[str, Any]:
        engine = self._engine
        listed = [engine.jobs.describe(job) for job in engine.store.jobs()]
        # A job that cannot be read is shown as what it is: there, and not going to run.
        problem = {"enabled": False, "nextRunAtMs": None, "problem": "the stored job cannot be read"}
        return {"jobs": listed + [{"id": job_id, **problem} for job_id in engine.store.broken_jobs()]}

    async def job_trigger(self, params: dict[str, Any]) -> dict[str, Any]:
        job_id, mode = identifier(params.get("id"), "id"), word(params.get("mode"), "mode", ("force", "due"))
        run, reason = self._engine.scheduler.trigger(job_id, due=mode == "due")
        return {"started": True, "runId": run.id} if run else {"started": False, "reason": reason}

    def run_list(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"runs": [run_dict(run) for run in self._engine.store.runs(_since(params))]}

    def run_cancel(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"cancelled": self._engine.runner.cancel(identifier(params.get("id"), "id"))}

    def session_list(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"sessions": [row_dict(row) for row in self._engine.store.sessions(_since(params))]}

    async def session_send(self, params: dict[str, Any]) -> dict[str, Any]:
        """A human turn. It is answered with the reply, or without one if the model keeps the turn open."""
        engine = self._engine
        agent = word(params.get("agent", engine.settings.default_agent), "agent", engine.settings.agents)
        wish, policies = parse_wish(params.get("session")), engine.settings.policies
        message = text(params.get("text"), "text")
        key = session_key(wish, agent=agent, agents=engine.settings.agents, policies=policies)
        kind = MAIN if key == main_key(agent) else NAMED
        turn = engine.runner.say(Place(key, agent, kind), message)
        if self._manual or turn.task is None:
            await engine.runner.settle()
        else:
            await asyncio.wait([turn.task])
        answer: dict[str, Any] = {"sessionKey": key, "reply": turn.reply}
        if turn.row is not None:
            answer["sessionId"] = turn.row.id
        return answer if turn.error is None else {**answer, "error": turn.error}

    def notice_list(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"notices": [notice_dict(found) for found in self._engine.store.notices(_since(params))]}

    def store_maintain(self, params: dict[str, Any]) -> dict[str, Any]:
        engine = self._engine
        return engine.maintenance.report(engine.clock.now(), dry_run=dry_run(params))

    def store_sweep(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"removed": self._engine.sweep()}

    def store_seed(self, params: dict[str, Any]) -> dict[str, Any]:
        if self._running is not None or self._store_kind == "memory":
            raise ValueError("only the store of a stopped gateway can be seeded")
        rows = seed(parse_folder(params.get("stateDir")), params.get("rows"), self._base)
        return {"sessions": [row_dict(row) for row in rows]}


def _since(params: Mapping[str, Any]) -> int | None:
    since = params.get("sinceMs")
    return None if since is None else integer(since, "sinceMs", 0)


def _model(params: Mapping[str, Any]) -> Model:
    if params.get("model") is not None:
        return CallableModel(params["model"])
    url = params.get("modelUrl")
    return HttpModel(url, params.get("token", "")) if url else EchoModel()
