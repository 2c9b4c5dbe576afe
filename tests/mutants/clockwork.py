"""Gateways in which one thing goes wrong because of another: edits, manual starts and long runs (area scheduler)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cronsession_reference.engine import Engine
from cronsession_reference.jobdesk import Written
from cronsession_reference.jobs import At, Cron, Job
from cronsession_reference.settings import HOUR, MINUTE
from cronsession_reference.store import Run

from .altered import Altered, wrap, wrong
from .dialect import Rewriting
from .edits import _next
from .liveness import _after


@wrong("bugs:S11", "SCH-030")
class EnablingForgetsTheEdit(Altered):
    """A schedule that was edited while its job was disabled counts from the run after the next."""

    def alter(self, engine: Engine) -> None:
        rested: dict[str, Any] = {}

        def update(inner: Callable[..., Written], job_id: str, patch: dict[str, Any], *rest: Any) -> Written:
            old = engine.store.job(job_id)
            written = inner(job_id, patch, *rest)
            if old is None or old.enabled:
                return written
            if written.job.schedule != old.schedule:
                rested.setdefault(job_id, old.schedule)
            if written.job.enabled and job_id in rested:
                slot = _next(rested.pop(job_id), engine.clock.now(), old)
                engine.store.put_job(replace(written.job, next_run_ms=slot))
            return written

        wrap(engine.jobs, "update", update)


@wrong("bugs:S12", "SCH-030")
class ManualRunKeepsItsSlot(Altered):
    """A slot that falls due during a manual run waits for its end, and skip is declared."""

    def alter(self, engine: Engine) -> None:
        def claim(inner: Callable[..., Any], job: Job, slot: int, trigger: str, now: int, **more: Any) -> Any:
            by_hand = any(run.trigger == "manual" for run in engine.store.open_runs(job.id))
            if trigger == "schedule" and by_hand:
                return engine.scheduler._add(job, trigger, "queued", slot)
            return inner(job, slot, trigger, now, **more)

        wrap(engine.scheduler, "_claim", claim)


@wrong("openclaw#133223", "SCH-030")
class MarkerStays(Altered):
    """A job that was edited during its run counts as running, until it is disabled and enabled."""

    def alter(self, engine: Engine) -> None:
        stuck: set[str] = set()

        def finished(inner: Callable[[Run, Job], Any], run: Run, job: Job) -> Any:
            stored = engine.store.job(job.id)
            if stored is not None and stored.revision != job.revision and run.status == "ok":
                stuck.add(job.id)
            return inner(run, job)

        def update(inner: Callable[..., Written], job_id: str, patch: dict[str, Any], *rest: Any) -> Written:
            if "enabled" in patch:
                stuck.discard(job_id)
            return inner(job_id, patch, *rest)

        wrap(engine.runner, "finished", finished)
        wrap(engine.jobs, "update", update)
        wrap(engine.scheduler, "busy", lambda inner, job_id: job_id in stuck or inner(job_id))


@wrong("openclaw#52109", "SCH-011")
class LongRunIsFiredAgain(Altered):
    """A run that outlasts the period of its job is followed by another one at once."""

    def alter(self, engine: Engine) -> None:
        def finished(inner: Callable[[Run, Job], Any], run: Run, job: Job) -> Any:
            more, now = inner(run, job), engine.clock.now()
            stored, upcoming = engine.store.job(job.id), _next(job.schedule, run.slot_ms or now, job)
            if (
                run.trigger == "schedule"
                and stored is not None
                and stored.enabled
                and (upcoming or now) < now
            ):
                engine.store.put_job(replace(stored, next_run_ms=now + 2000))
            return more

        wrap(engine.runner, "finished", finished)


@wrong("openclaw#16094", "SCH-011")
class SlowRunIsTakenForLost(Altered):
    """A run that has taken a minute is started again for its slot, once."""

    def alter(self, engine: Engine) -> None:
        def start(inner: Callable[[Run, Job], None], run: Run, job: Job) -> None:
            inner(run, job)

            def again() -> None:
                if run.id in engine.runner.live():
                    now = engine.clock.now()
                    second = engine.scheduler._add(job, "manual", "running", None, started_ms=now)
                    if second is not None:
                        inner(second, job)

            if run.trigger == "schedule":
                engine.clock.call_at(engine.clock.now() + MINUTE, again)

        wrap(engine.runner, "start", start)


@wrong("openclaw#73166", "SCH-001")
class LongRestIsTheEnd(Altered):
    """When nothing was due for two and a half days, what is due next is passed over."""

    def alter(self, engine: Engine) -> None:
        last = {"due": engine.clock.now()}

        def due(inner: Callable[[int], list[str]], now: int) -> list[str]:
            found = inner(now)
            if not found:
                return found
            rested, last["due"] = now - last["due"] > 60 * HOUR, now
            jobs = [job for job_id in found if (job := engine.store.job(job_id)) is not None]
            lost = [job for job in jobs if rested and not isinstance(job.schedule, At)]
            for job in lost:
                _after(engine, job, now)
            return [job_id for job_id in found if job_id not in {job.id for job in lost}]

        wrap(engine.store, "due", due)


@wrong("openclaw#10035", "SCH-004")
class NextRunIsAYearAgo(Altered):
    """In one zone the next run that is listed is of the year before."""

    def alter(self, engine: Engine) -> None:
        def describe(inner: Callable[[Job], dict[str, Any]], job: Job) -> dict[str, Any]:
            data, slot = inner(job), job.next_run_ms
            odd = isinstance(job.schedule, Cron) and job.schedule.tz == "Asia/Kathmandu"
            return {**data, "nextRunAtMs": slot - 365 * 24 * HOUR} if odd and slot else data

        wrap(engine.jobs, "describe", describe)


@wrong("croniter#131", "SCH-024")
class LeapDayIsNoDay(Rewriting):
    """29 February is a date that never comes, so a job for it is refused."""

    def read(self, expr: str) -> str:
        return expr.replace(" 29 2 ", " 30 2 ")


@wrong("openclaw#15724", "SCH-003")
class InstantsAreSeconds(Altered):
    """The instant of a one-shot is taken for seconds where it is too far away for milliseconds."""

    def job_add(self, params: dict[str, Any]) -> dict[str, Any]:
        schedule = params["job"].get("schedule")
        at_ms = schedule.get("atMs") if isinstance(schedule, dict) else None
        if isinstance(at_ms, int) and at_ms - self._clock.now() > 30 * 24 * HOUR:
            seconds = {**schedule, "atMs": at_ms // 1000}
            params = {**params, "job": {**params["job"], "schedule": seconds}}
        return super().job_add(params)


@wrong("bugs:S18", "SCH-031")
class JumpOwesARun(Altered):
    """After a jump each recurring job is run, whether it missed a slot or not."""

    async def clock_jump(self, params: dict[str, Any]) -> dict[str, Any]:
        answer = await super().clock_jump(params)
        for job in self._engine.store.jobs():
            if job.enabled and not isinstance(job.schedule, At):
                self._engine.scheduler.trigger(job.id, due=False)
        await self._engine.runner.settle()
        return answer
