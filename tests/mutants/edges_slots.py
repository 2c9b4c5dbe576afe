"""Gateways that keep a promise about slots, but not for one-shots, edits of other members, and jumps (areas scheduler, jobs)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cronsession_reference.engine import Engine
from cronsession_reference.jobs import At, Cron, Every, Job
from cronsession_reference.recovery import Retry
from cronsession_reference.store import Run

from .altered import Altered, wrap, wrong
from .coincidences import Edited
from .dialect import Rewriting


@wrong("bugs:S12", "SCH-030")
class ManualRunsAreRepeated(Altered):
    """A manual run that failed for a passing reason is made again like one of a slot."""

    def alter(self, engine: Engine) -> None:
        def used_up(inner: Callable[..., None], job: Job, run: Run, now: int) -> None:
            if not engine.scheduler.outcomes._again(job, run, now):
                inner(job, run, now)

        wrap(engine.scheduler.outcomes, "used_up", used_up)


@wrong("openclaw:LIF-02", "SCH-007")
class DisabledOneShotComes(Altered):
    """The timer of a one-shot asks nobody whether it is enabled."""

    def alter(self, engine: Engine) -> None:
        def put(inner: Callable[[Job], None], job: Job) -> None:
            inner(job)
            if isinstance(job.schedule, At) and not job.enabled and job.schedule.at_ms > engine.clock.now():
                engine.clock.call_at(job.schedule.at_ms, lambda: fire(job), rank=1)

        def fire(job: Job) -> None:
            stored, ran = engine.store.job(job.id), any(run.job_id == job.id for run in engine.store.runs())
            if stored is not None and not stored.enabled and stored.schedule == job.schedule and not ran:
                engine.scheduler.trigger(job.id, due=False)

        wrap(engine.store, "put_job", put)


@wrong("bugs:D7", "JOB-014")
class RemovedOneShotComes(Altered):
    """The timer of a one-shot has all that it needs, and outlasts the job."""

    def job_remove(self, params: dict[str, Any]) -> dict[str, Any]:
        engine = self._engine
        job = engine.store.job(params["id"]) if isinstance(params.get("id"), str) else None
        answer = super().job_remove(params)
        if job is not None and isinstance(job.schedule, At) and job.next_run_ms is not None:
            run = Run(f"ghost-{job.id}", job.id, "schedule", "running", started_ms=job.next_run_ms)
            engine.clock.call_at(job.next_run_ms, lambda: engine.runner.start(run, job), rank=1)
        return answer


def _anchored_anew(engine: Engine, job: Job) -> Job:
    if not isinstance(job.schedule, Every) or job.next_run_ms is None:
        return job
    now = engine.clock.now()
    return replace(
        job, schedule=replace(job.schedule, anchor_ms=now), next_run_ms=now + job.schedule.every_ms
    )


@wrong("openclaw#14658", "SCH-009")
class ANewTextAnchorsAnew(Edited):
    """An interval is counted anew from an edit of what its runs do."""

    def edited(self, engine: Engine, old: Job, job: Job) -> Job:
        did = (old.payload, old.session, old.agent, old.timeout_ms, old.retry)
        does = (job.payload, job.session, job.agent, job.timeout_ms, job.retry)
        return job if did == does else _anchored_anew(engine, job)


@wrong("openclaw#14658", "SCH-009")
class EnablingTwiceAnchorsAnew(Altered):
    """An interval that is enabled is counted anew when an edit says that it is to be enabled."""

    def job_update(self, params: dict[str, Any]) -> dict[str, Any]:
        engine, patch = self._engine, params.get("patch")
        old = engine.store.job(params["id"]) if isinstance(params.get("id"), str) else None
        answer = super().job_update(params)
        twice = isinstance(patch, dict) and patch.get("enabled") is True and old is not None and old.enabled
        job = engine.store.job(old.id) if old is not None else None
        if "job" in answer and twice and job is not None and old is not None and job.schedule == old.schedule:
            engine.store.put_job(_anchored_anew(engine, job))
        return answer


@wrong("bugs:S10", "SCH-009")
class ANewNameDisarmsAOneShot(Edited):
    """A one-shot is armed when it is stored, and an edit of what it is called or does disarms it."""

    def edited(self, engine: Engine, old: Job, job: Job) -> Job:
        armed = isinstance(job.schedule, At) and job.schedule == old.schedule and job.enabled == old.enabled
        return replace(job, next_run_ms=None) if armed else job


@wrong("bugs:S11", "SCH-008")
class OneShotsStayOneShots(Altered):
    """A one-shot that an edit makes an interval is over after its first run."""

    def alter(self, engine: Engine) -> None:
        shots: set[str] = set()

        def put(inner: Callable[[Job], None], job: Job) -> None:
            if isinstance(job.schedule, At):
                shots.add(job.id)
            before = engine.store.job(job.id)
            ran = (
                before is not None
                and before.schedule == job.schedule
                and before.next_run_ms != job.next_run_ms
            )
            if job.id in shots and not isinstance(job.schedule, At) and ran and job.enabled:
                job = replace(job, enabled=False, next_run_ms=None)
            inner(job)

        wrap(engine.store, "put_job", put)


@wrong("bugs:S11", "SCH-008")
class DoneOneShotsStayDone(Edited):
    """A one-shot that is done is done, whatever instant and state an edit gives it."""

    def edited(self, engine: Engine, old: Job, job: Job) -> Job:
        done = isinstance(old.schedule, At) and old.schedule.at_ms <= engine.clock.now()
        return replace(job, next_run_ms=None) if done else job


@wrong("openclaw:LIF-10", "SCH-020")
class RepetitionsRemoveNothing(Altered):
    """A one-shot that is to be removed after its run stays where a repetition was answered."""

    def alter(self, engine: Engine) -> None:
        def settle(inner: Callable[..., None], job: Job, run: Run, now: int) -> None:
            inner(replace(job, delete_after_run=False) if run.attempt else job, run, now)

        wrap(engine.scheduler.outcomes, "settle", settle)


@wrong("bugs:S5", "SCH-025")
class PassingTroubleSpins(Altered):
    """Where a job says nothing about it, what failed for a passing reason is made again until it is answered."""

    def alter(self, engine: Engine) -> None:
        engine.scheduler.outcomes._settings = replace(engine.settings, retry=Retry(100_000, (30_000,)))


@wrong("bugs:S18", "SCH-016")
class ASlotJumpedOntoRunsTwice(Altered):
    """A jump onto a slot runs it as one that was missed, and as one that is due."""

    async def clock_jump(self, params: dict[str, Any]) -> dict[str, Any]:
        engine = self._engine
        onto = [j.id for j in engine.store.jobs() if j.next_run_ms == params["toMs"]]
        answer = await super().clock_jump(params)
        for job_id in onto:
            engine.scheduler.trigger(job_id, due=False)
        return answer


@wrong("bugs:S3", "SCH-001")
class EachJobIsBroughtUpToDate(Altered):
    """An advance takes each job through all of its slots before the next one."""

    async def clock_advance(self, params: dict[str, Any]) -> dict[str, Any]:
        engine, clock, to_ms = self._engine, self._clock, params["toMs"]
        if not isinstance(to_ms, int):
            return await super().clock_advance(params)
        store, began = engine.store, clock.now()
        later: list[Job] = []
        due = [job for job in store.jobs() if job.next_run_ms is not None and job.next_run_ms <= to_ms]
        if len(due) < 2 or not all(isinstance(job.schedule, Cron) for job in due):
            return await super().clock_advance(params)
        for job in due:
            store.put_job(replace(job, next_run_ms=None))
        for job in due:
            clock.set(began)
            store.put_job(job)
            await engine.advance(clock, to_ms - 1)
            now = store.job(job.id)
            if now is not None:
                later.append(now)
                store.put_job(replace(now, next_run_ms=None))
        for job in later:
            store.put_job(job)
        return await super().clock_advance(params)


@wrong("nanobot#1371", "JOB-009")
class AdvancesWriteJobsBack(Altered):
    """The end of an advance writes all jobs as they were at its beginning, but for their next runs."""

    async def clock_advance(self, params: dict[str, Any]) -> dict[str, Any]:
        store = self._engine.store
        before = {job.id: job for job in store.jobs()}
        answer = await super().clock_advance(params)
        for job in store.jobs():
            old = before.get(job.id)
            if old is not None and old.name != job.name:
                store.put_job(replace(job, name=old.name))
        return answer


@wrong("bugs:S15", "SCH-001")
class StepsEndBeforeTheirField(Rewriting):
    """A step as long as its field is taken for one that is too long, and refused."""

    def read(self, expr: str) -> str:
        long = ("*/60", "*/24", "*/31", "*/12", "*/7")
        texts = expr.split()
        whole = len(texts) == 5 and any(most in text for text, most in zip(texts, long, strict=True))
        return "61 * * * *" if whole else expr


@wrong("bugs:S15", "SCH-001")
class SundayIsTheSeventh(Rewriting):
    """SUN is 7, so that a range that begins with it runs backwards."""

    def read(self, expr: str) -> str:
        day = expr.split()[-1:]
        return "61 * * * *" if day and day[0].upper().startswith("SUN-") else expr


@wrong("bugs:S15", "SCH-001")
class StepsOfNamesAreLost(Rewriting):
    """A step after a range of names is passed over."""

    def read(self, expr: str) -> str:
        return re.sub(r"([A-Za-z]{3}-[A-Za-z]{3})/\d+", r"\1", expr)
