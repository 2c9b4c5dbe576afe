"""Gateways that a crash, a start or damage makes forget, repeat or invent something (area store)."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from cronsession_reference.engine import Engine
from cronsession_reference.errors import StoreError
from cronsession_reference.jobs import At, Cron, Job
from cronsession_reference.resolver import NAMED
from cronsession_reference.store import Run, SessionRow

from .altered import Altered, is_receipt, wrap, wrong
from .durability import Buffered

MINUTE = 60_000


@wrong("openclaw#86451", "STO-020")
class StartsAddJobsAgain(Altered):
    """Each start makes a copy of a job that is switched off, as if it were not there yet."""

    def alter(self, engine: Engine) -> None:
        for job in engine.store.jobs():
            if not job.enabled and job.next_run_ms is None:
                engine.store.put_job(replace(job, id=str(uuid.uuid4())))


@wrong("hermes-agent#103904", "STO-020")
class StartsForgetTheZone(Altered):
    """A job that was read from disk has the zone of the host."""

    def alter(self, engine: Engine) -> None:
        for job in engine.store.jobs():
            if isinstance(job.schedule, Cron):
                engine.store.put_job(replace(job, schedule=replace(job.schedule, tz="UTC")))


@wrong("openclaw#86451", "STO-021")
class StartsLeaveARow(Altered):
    """Each start has a session of its own, which stays."""

    def alter(self, engine: Engine) -> None:
        now, agent = engine.clock.now(), engine.settings.default_agent
        if engine.store.sessions():
            key = f"agent:{agent}:start:{uuid.uuid4()}"
            engine.store.put_session(SessionRow(key, str(uuid.uuid4()), agent, None, NAMED, now, now))


@wrong("bugs:D1", "STO-022")
class SwitchingIsBuffered(Buffered):
    """That a job was switched off or on is written with the next tick."""

    def job_update(self, params: dict[str, Any]) -> dict[str, Any]:
        before = self._engine.store.job(params["id"])
        answer = super().job_update(params)
        if set(params["patch"]) == {"enabled"}:
            self.unwritten.setdefault(params["id"], before)
        return answer


@wrong("librefang#3443", "STO-023")
class WhatPeopleSaidIsBuffered(Altered):
    """Human turns are written when the gateway stops in good order."""

    async def gateway_abandon(self, params: dict[str, Any]) -> dict[str, Any]:
        store = self._engine.store
        used = {run.session_key for run in store.runs()}
        for row in store.sessions():
            if row.kind == NAMED and row.key not in used:
                self._engine.transcripts.remove(row.id)
        return await super().gateway_abandon(params)


@wrong("bugs:E9", "STO-024")
class OutcomesAreBuffered(Altered):
    """How a run ended is written with the next one of its job."""

    async def gateway_abandon(self, params: dict[str, Any]) -> dict[str, Any]:
        store = self._engine.store
        last = {run.job_id: run for run in store.runs() if run.trigger == "manual"}
        for run in last.values():
            store.put_run(replace(run, status="running", ended_ms=None))
        return await super().gateway_abandon(params)


@wrong("bugs:E2", "STO-025")
class InterruptedRunsVanish(Altered):
    """A run that a crash interrupted was never there."""

    def alter(self, engine: Engine) -> None:
        def put(inner: Callable[[Run], None], run: Run) -> None:
            if run.status == "interrupted":
                engine.store.delete_run(run.id)
            else:
                inner(run)

        wrap(engine.store, "put_run", put)


@wrong("zeroclaw#3868", "STO-026")
class OneShotsAreArmedAgain(Altered):
    """That a one-shot has run is forgotten by a crash."""

    async def gateway_abandon(self, params: dict[str, Any]) -> dict[str, Any]:
        store = self._engine.store
        for run in store.runs():
            job = store.job(run.job_id)
            if job is not None and isinstance(job.schedule, At) and run.status == "ok":
                store.delete_run(run.id)
                store.put_job(replace(job, enabled=True, next_run_ms=job.schedule.at_ms))
        return await super().gateway_abandon(params)


@wrong("openclaw#56488", "STO-027")
class InterruptedOneShotsComeBack(Altered):
    """A one-shot that was interrupted is run again every 70 minutes."""

    async def gateway_start(self, params: dict[str, Any]) -> dict[str, Any]:
        answer = await super().gateway_start(params)
        engine = self._engine
        for run in engine.store.runs():
            job = engine.store.job(run.job_id)
            if run.status == "interrupted" and job is not None and isinstance(job.schedule, At):
                for n in range(1, 4):
                    again = partial(engine.scheduler.trigger, job.id, due=False)
                    engine.clock.call_at(engine.clock.now() + n * 70 * MINUTE, again)
        return answer


@wrong("hermes-agent#71959", "STO-028")
class TheEndOfARunWritesTheJob(Altered):
    """A run that ends writes its job back, whether it is still there or not."""

    def alter(self, engine: Engine) -> None:
        def finished(inner: Callable[[Run, Job], Any], run: Run, job: Job) -> Any:
            more = inner(run, job)
            if engine.store.job(job.id) is None:
                engine.store.put_job(job)
            return more

        wrap(engine.runner, "finished", finished)


@wrong("openclaw:MNT-19", "STO-029")
class ReapingIsBuffered(Altered):
    """What was reaped is removed from disk when the gateway stops in good order."""

    def alter(self, engine: Engine) -> None:
        self.reaped: dict[str, SessionRow] = {}

        def delete(inner: Callable[[str], bool], key: str) -> bool:
            row = engine.store.session(key)
            if row is not None and is_receipt(row):
                self.reaped[key] = row
            return inner(key)

        wrap(engine.store, "delete_session", delete)

    async def gateway_abandon(self, params: dict[str, Any]) -> dict[str, Any]:
        for row in self.reaped.values():
            self._engine.store.put_session(row)
        return await super().gateway_abandon(params)


@wrong("nanobot#3606", "STO-034")
class TheSecondCrashForgets(Altered):
    """Names are in a file that is written whole: a crash after another one finds the one before."""

    crashes: ClassVar[dict[Path, int]] = {}
    before: ClassVar[dict[str, str]] = {}

    def job_update(self, params: dict[str, Any]) -> dict[str, Any]:
        job = self._engine.store.job(params["id"])
        if job is not None and "name" in params["patch"]:
            self.before.setdefault(job.id, job.name)
        return super().job_update(params)

    async def gateway_abandon(self, params: dict[str, Any]) -> dict[str, Any]:
        store, folder = self._engine.store, self._engine.transcripts.folder
        self.crashes[folder] = self.crashes.get(folder, 0) + 1
        for job in store.jobs() if self.crashes[folder] > 1 else []:
            store.put_job(replace(job, name=self.before.get(job.id, job.name)))
        return await super().gateway_abandon(params)


@wrong("nanobot#3606", "STO-031")
class UnreadableMeansEmpty(Altered):
    """A store that cannot be read is taken for a new one."""

    async def gateway_start(self, params: dict[str, Any]) -> dict[str, Any]:
        try:
            return await super().gateway_start(params)
        except StoreError:
            for path in Path(params["stateDir"]).rglob("gateway.db*"):
                path.unlink()
            for path in Path(params["stateDir"]).rglob("*.jsonl"):
                path.unlink()
            return await super().gateway_start(params)
