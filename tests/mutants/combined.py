"""Gateways in which things go wrong only together: each of them alone is done right (no area of its own)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cronsession_reference.engine import Engine
from cronsession_reference.jobdesk import Written
from cronsession_reference.jobs import At, Every, Job
from cronsession_reference.resolver import NAMED
from cronsession_reference.sessions import Turn
from cronsession_reference.store import Run, SessionRow

from .altered import Altered, is_receipt, wrap, wrong
from .desk import Deaf, Patching
from .edits import _next
from .reaping import Sparing


def _moved_on(engine: Engine, job: Job) -> None:
    """The job's next slot is passed over."""
    if job.enabled and job.next_run_ms is not None and not isinstance(job.schedule, At):
        engine.store.put_job(replace(job, next_run_ms=_next(job.schedule, job.next_run_ms, job)))


@wrong("bugs:S11", "SCH-030")
class EditAfterAFailureLosesASlot(Altered):
    """An edit of a job whose latest run failed begins to count with the slot after the next."""

    def alter(self, engine: Engine) -> None:
        failed: set[str] = set()

        def finished(inner: Callable[[Run, Job], Any], run: Run, job: Job) -> Any:
            (failed.discard if run.status == "ok" else failed.add)(job.id)
            return inner(run, job)

        def update(inner: Callable[..., Written], job_id: str, *rest: Any) -> Written:
            written = inner(job_id, *rest)
            if job_id in failed:
                failed.discard(job_id)
                _moved_on(engine, written.job)
            return written

        wrap(engine.runner, "finished", finished)
        wrap(engine.jobs, "update", update)


@wrong("openclaw#33940", "SCH-030")
class ManualRunAfterAStartIsTheSlot(Altered):
    """Where the gateway was started again since the job's last run, a manual run stands for its next slot."""

    def alter(self, engine: Engine) -> None:
        unseen = {job.id for job in engine.store.jobs()}

        def finished(inner: Callable[[Run, Job], Any], run: Run, job: Job) -> Any:
            more, stored = inner(run, job), engine.store.job(job.id)
            if job.id in unseen and run.trigger == "manual" and stored is not None:
                _moved_on(engine, stored)
            unseen.discard(job.id)
            return more

        wrap(engine.runner, "finished", finished)


@wrong("bugs:D5", "STO-034")
class CancelForgetsAnEdit(Altered):
    """A job is written back as it was when its run began, where the run was cancelled."""

    def alter(self, engine: Engine) -> None:
        def finished(inner: Callable[[Run, Job], Any], run: Run, job: Job) -> Any:
            more, stored = inner(run, job), engine.store.job(job.id)
            if run.status == "cancelled" and stored is not None:
                engine.store.put_job(replace(stored, name=job.name))
            return more

        wrap(engine.runner, "finished", finished)


@wrong("bugs:R10", "REA-001")
class EditedRunsLeaveTheirReceipt(Altered):
    """The receipt of a run during which its job was edited belongs to nobody, and stays."""

    def alter(self, engine: Engine) -> None:
        def finish(inner: Callable[..., None], turn: Turn, run: Run, job: Job, status: str) -> None:
            row, stored = turn.row, engine.store.job(job.id)
            inner(turn, run, job, status)
            if row is not None and is_receipt(row) and stored is not None and stored.revision != job.revision:
                kept = engine.store.session(row.key)
                if kept is not None:
                    engine.store.put_session(replace(kept, kind=NAMED))

        wrap(engine.runner, "_finish", finish)


@wrong("bugs:R7", "STO-009")
class FailuresBeforeAStartKeepTheirReceipt(Sparing):
    """What a failed run left is looked at by the process that ran it, and by no other."""

    def alter(self, engine: Engine) -> None:
        self.old = {run.session_key for run in engine.store.runs() if run.status in ("error", "timeout")}
        super().alter(engine)

    def spares(self, engine: Engine, row: SessionRow, now: int) -> bool:
        return row.key in self.old


@wrong("bugs:S18", "SCH-030")
class JumpEndsARest(Altered):
    """A jump of the wall clock enables what somebody has disabled."""

    async def clock_jump(self, params: dict[str, Any]) -> dict[str, Any]:
        answer = await super().clock_jump(params)
        for job in self._engine.store.jobs():
            if not job.enabled and not isinstance(job.schedule, At):
                slot = _next(job.schedule, self._engine.clock.now(), job)
                self._engine.store.put_job(replace(job, enabled=True, next_run_ms=slot))
        return answer


@wrong("bugs:D1", "STO-034")
class OverlappingEditIsBuffered(Altered):
    """Of two edits of a job at one instant the second is on disk with the next tick."""

    def __init__(self) -> None:
        super().__init__()
        self._first: dict[str, Job] = {}
        self._unwritten: dict[str, Job] = {}

    def alter(self, engine: Engine) -> None:
        def update(inner: Callable[..., Written], job_id: str, *rest: Any) -> Written:
            before = engine.store.job(job_id)
            written = inner(job_id, *rest)
            if job_id in self._first and before is not None:
                self._unwritten[job_id] = before
            self._first[job_id] = written.job
            return written

        wrap(engine.jobs, "update", update)

    async def clock_advance(self, params: dict[str, Any]) -> dict[str, Any]:
        moved = params["toMs"] > self._clock.now()
        if moved:
            self._first.clear()
            self._unwritten.clear()
        return await super().clock_advance(params)

    async def gateway_abandon(self, params: dict[str, Any]) -> dict[str, Any]:
        for job in self._unwritten.values():
            if self._engine.store.job(job.id) is not None:
                self._engine.store.put_job(job)
        return await super().gateway_abandon(params)


@wrong("bugs:S12", "RUN-003")
class StartsAtOnceBothRun(Altered):
    """Whether a job runs is looked at before its start, and not again when it starts."""

    asked = 0

    async def job_trigger(self, params: dict[str, Any]) -> dict[str, Any]:
        engine, job_id = self._engine, params["id"]
        free = not engine.scheduler.busy(job_id)
        self.asked += 1
        for _ in range(30):  # the other request, if there is one, is on its way through a thread
            if self.asked % 2 == 0:
                break
            await asyncio.sleep(0.01)
        else:
            self.asked = 0
        job = engine.store.job(job_id)
        if free and job is not None and engine.scheduler.busy(job_id):
            run = engine.scheduler._add(job, "manual", "running", None, started_ms=engine.clock.now())
            if run is not None:
                engine.runner.start(run, job)
                return {"started": True, "runId": run.id}
        return await super().job_trigger(params)


@wrong("bugs:K1", "JOB-002")
class AnchorIsKeptOnEdit(Patching):
    """An interval keeps the anchor that it was added with."""

    def patch(self, patch: dict[str, Any], old: Job) -> dict[str, Any]:
        schedule = patch.get("schedule")
        if (
            not isinstance(schedule, dict)
            or "anchorMs" not in schedule
            or not isinstance(old.schedule, Every)
        ):
            return patch
        return {**patch, "schedule": {**schedule, "anchorMs": old.schedule.anchor_ms}}


@wrong("zeroclaw#7250", "JOB-002")
class LatenessIsIgnoredOnEdit(Deaf):
    """Of a catchUp that an edit sets the policy is followed, and any lateness is fine."""

    on = ("edit",)

    def heard(self, given: dict[str, Any]) -> dict[str, Any]:
        catch_up = given.get("catchUp")
        if not isinstance(catch_up, dict):
            return given
        return {**given, "catchUp": {m: v for m, v in catch_up.items() if m != "maxLatenessMs"}}
