"""Gateways whose runs overlap, hang, or are told wrongly (areas scheduler and runs)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cronsession_reference.engine import Engine
from cronsession_reference.jobs import Job
from cronsession_reference.sessions import Turn
from cronsession_reference.settings import DAY
from cronsession_reference.store import Run

from .altered import Altered, wrap, wrong


@wrong("nanoclaw#138", "SCH-011", "SCH-012")
class JobOverlapsItself(Altered):
    """A slot that falls due during a run of its job starts a second one."""

    def alter(self, engine: Engine) -> None:
        def claim(inner: Callable[..., Any], job: Job, slot: int, trigger: str, now: int, **more: Any) -> Any:
            if trigger != "schedule":
                return inner(job, slot, trigger, now, **more)
            run = engine.scheduler._add(job, trigger, "running", slot, started_ms=now)
            if run is not None:
                engine.scheduler._claimed.add(run.id)
            return run

        wrap(engine.scheduler, "_claim", claim)


@wrong("openclaw:CON-01", "SCH-011")
class SkippedSlotRunsLate(Altered, does={"overlap": "queue"}, declares={}):
    """A slot that falls due during a run waits for its end, and skip is declared."""


@wrong("openclaw:CON-01", "SCH-011")
class QueuedSlotIsLost(Altered, declares={"overlap": "queue"}):
    """A slot that falls due during a run is passed over, and queue is declared."""


@wrong("hermes-agent#33315", "SCH-011")
class LongRunIsTheLast(Altered):
    """A job whose run outlasts its period is put off for ever."""

    def alter(self, engine: Engine) -> None:
        def advance(inner: Callable[..., None], job: Job, *rest: Any, running: bool) -> None:
            inner(job, *rest, running=running)
            if not running and engine.scheduler.busy(job.id):
                engine.store.put_job(replace(job, next_run_ms=engine.clock.now() + 365 * DAY))

        wrap(engine.scheduler, "_advance", advance)


@wrong("openclaw#132952", "SCH-012")
class OneRunAtATime(Altered):
    """While any run is under way, the slots of all jobs are passed over."""

    def alter(self, engine: Engine) -> None:
        def claim(
            inner: Callable[..., Any], job: Job, slot: int, trigger: str, *rest: Any, **more: Any
        ) -> Any:
            if trigger == "schedule" and engine.runner.live():
                engine.scheduler._add(job, trigger, "skipped", slot)
                return None
            return inner(job, slot, trigger, *rest, **more)

        wrap(engine.scheduler, "_claim", claim)


@wrong("openclaw#12671", "SCH-016")
class JumpMovesTheSlots(Altered):
    """Timers count elapsed time: a jump of the clock puts off what is to come."""

    async def clock_jump(self, params: dict[str, Any]) -> dict[str, Any]:
        ahead = params["toMs"] - self._clock.now()
        for job in self._engine.store.jobs():
            if job.next_run_ms is not None and ahead > 0:
                self._engine.store.put_job(replace(job, next_run_ms=job.next_run_ms + ahead))
        return await super().clock_jump(params)


@wrong("bugs:S18", "SCH-016")
class JumpRunsSlotsTwice(Altered, does={"catchUp": "all"}):
    """After a jump the missed slots are run by the timer, and once more by the catch-up."""

    def __init__(self) -> None:
        super().__init__()
        self._base = replace(self._base, catch_up_spread_ms=0)  # all late runs are over when the jump is

    async def clock_jump(self, params: dict[str, Any]) -> dict[str, Any]:
        answer = await super().clock_jump(params)
        engine = self._engine
        for run in [r for r in engine.store.runs() if r.trigger == "catchup"]:
            engine.scheduler.trigger(run.job_id, due=False)
            await engine.runner.settle()
        return answer


@wrong("openclaw#26343", "RUN-001")
class ErrorIsListedAsOk(Altered):
    """A run that the model refused is listed as ok."""

    listed_ok: tuple[str, ...] = ("error",)

    def alter(self, engine: Engine) -> None:
        def finish(inner: Callable[..., None], turn: Turn, run: Run, job: Job, status: str) -> None:
            inner(turn, run, job, "ok" if status in self.listed_ok else status)

        wrap(engine.runner, "_finish", finish)


@wrong("bugs:E6", "RUN-001")
class CancelIsListedAsOk(ErrorIsListedAsOk):
    """A run that was cancelled is listed as ok."""

    listed_ok = ("cancelled",)


@wrong("bugs:E6", "RUN-002")
class TimeoutIsListedAsOk(ErrorIsListedAsOk):
    """A run that timed out is listed as ok."""

    listed_ok = ("timeout",)


@wrong("openclaw:OBS-04", "RUN-001")
class ManualRunIsListedTwice(Altered):
    """A manual run is listed as the request that started it and as the run that it became."""

    def run_list(self, params: dict[str, Any]) -> dict[str, Any]:
        runs: list[dict[str, Any]] = []
        for run in super().run_list(params)["runs"]:
            if run["trigger"] == "manual" and run["status"] == "ok":
                runs.append({**run, "id": f"{run['id']}-request", "sessionKey": None, "sessionId": None})
            runs.append(run)
        return {"runs": runs}


@wrong("openclaw:OBS-04", "RUN-001")
class FailedRunIsNotListed(Altered):
    """Only manual runs are listed one by one; of scheduled ones the failed are left out."""

    def run_list(self, params: dict[str, Any]) -> dict[str, Any]:
        runs = super().run_list(params)["runs"]
        return {"runs": [r for r in runs if (r["trigger"], r["status"]) != ("schedule", "error")]}


@wrong("openclaw#18040", "RUN-002", "REA-005")
class TimeoutIsIgnored(Altered):
    """A job's own time-out is stored and has no effect."""

    def alter(self, engine: Engine) -> None:
        def converse(
            inner: Callable[..., Any], turn: Turn, place: object, text: str, timeout: object, *run: Any
        ) -> Any:
            return inner(turn, place, text, DAY, *run)

        wrap(engine.runner, "_converse", converse)


@wrong("openclaw#142638", "RUN-002")
class TimeoutBlocksTheJob(Altered):
    """After a time-out the job counts as running for good."""

    def alter(self, engine: Engine) -> None:
        stuck: set[str] = set()

        def finish(inner: Callable[..., None], turn: Turn, run: Run, job: Job, status: str) -> None:
            if status == "timeout":
                stuck.add(job.id)
            inner(turn, run, job, status)

        wrap(engine.runner, "_finish", finish)
        wrap(engine.scheduler, "busy", lambda inner, job_id: job_id in stuck or inner(job_id))


@wrong("openclaw#137215", "RUN-002")
class TimedOutWorkGoesOn(Altered):
    """A run that timed out is over, and what it asked the model for goes on."""

    def alter(self, engine: Engine) -> None:
        left: set[asyncio.Future[Any]] = set()

        async def complete(inner: Callable[..., Any], messages: Any) -> Any:
            work = asyncio.ensure_future(inner(messages))
            left.add(work)
            work.add_done_callback(left.discard)
            return await asyncio.shield(work)

        wrap(engine.runner.model, "complete", complete)


@wrong("bugs:E5", "RUN-003")
class SecondStartRuns(Altered):
    """A manual start asks nobody whether the job runs already."""

    def looks(self, job: Job) -> bool:
        """Whether it asks all the same, for this job."""
        return False

    def alter(self, engine: Engine) -> None:
        def trigger(inner: Callable[..., Any], job_id: str, *, due: bool) -> Any:
            run, reason = inner(job_id, due=due)
            job = engine.store.job(job_id)
            if run is not None or job is None or "running" not in reason or self.looks(job):
                return run, reason
            now = engine.clock.now()
            run = engine.scheduler._add(job, "manual", "running", None, started_ms=now)
            assert run is not None
            engine.scheduler._claimed.add(run.id)
            engine.scheduler._start([(run, job)])
            return run, ""

        wrap(engine.scheduler, "trigger", trigger)


@wrong("openclaw:LIF-03", "RUN-003")
class SecondStartOfADisabledJobRuns(SecondStartRuns):
    """Of a job that is disabled nothing is noted about its run, which OpenClaw 2026.4.5 does."""

    def looks(self, job: Job) -> bool:
        return job.enabled


@wrong("openclaw:LIF-05", "RUN-003")
class SecondStartIsQueued(Altered):
    """A manual start during a run is refused, and happens when the run has ended."""

    def alter(self, engine: Engine) -> None:
        def trigger(inner: Callable[..., Any], job_id: str, *, due: bool) -> Any:
            run, reason = inner(job_id, due=due)
            job = engine.store.job(job_id)
            if run is None and job is not None and "running" in reason:
                engine.scheduler._add(job, "manual", "queued", None)
            return run, reason

        wrap(engine.scheduler, "trigger", trigger)


@wrong("openclaw:LIF-04", "RUN-004")
class DueMeansForce(Altered):
    """A start limited to due jobs starts any job."""

    def alter(self, engine: Engine) -> None:
        wrap(engine.scheduler, "trigger", lambda inner, job_id, *, due: inner(job_id, due=False))
