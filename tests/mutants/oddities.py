"""Gateways that are right about the usual job, and not about an odd one (areas scheduler, jobs and store)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cronsession_reference.engine import Engine
from cronsession_reference.jobdesk import Written
from cronsession_reference.jobs import At, Cron, Every, Job
from cronsession_reference.settings import MINUTE
from cronsession_reference.slots import next_slot
from cronsession_reference.store import Run

from .altered import Altered, reslot, wrap, wrong
from .comeback import Deaf


@wrong("bugs:S15", "SCH-001")
class StepsOnAStarRestrictNothing(Altered):
    """A day field that begins with a star is a star beside the other one: both have to match."""

    def alter(self, engine: Engine) -> None:
        def change(job: Job) -> int | None:
            slot, fields = (
                job.next_run_ms,
                job.schedule.expr.split() if isinstance(job.schedule, Cron) else [],
            )
            if len(fields) != 5 or "*" in (fields[2], fields[4]) or "*/" not in fields[2] + fields[4]:
                return slot
            either = [
                replace(job.schedule, expr=" ".join([*fields[:n], "*", *fields[n + 1 :]])) for n in (2, 4)
            ]
            while slot is not None and any(next_slot(s, slot - 1, job_id=job.id) != slot for s in either):
                slot = next_slot(job.schedule, slot, job_id=job.id)
            return slot

        reslot(engine, change)


@wrong("bugs:S15", "SCH-001")
class WeeksEndOnSaturday(Altered):
    """7 is Sunday where it stands alone; at the end of a range it is passed over."""

    def alter(self, engine: Engine) -> None:
        def change(job: Job) -> int | None:
            cron = job.schedule
            if not isinstance(cron, Cron) or not cron.expr.endswith("-7"):
                return job.next_run_ms
            return next_slot(replace(cron, expr=f"{cron.expr[:-1]}6"), engine.clock.now(), job_id=job.id)

        reslot(engine, change)


@wrong("bugs:S17", "SCH-002")
class PeriodsAreWholeMinutes(Altered):
    """An interval is listed as it was given, and counted in whole minutes."""

    def alter(self, engine: Engine) -> None:
        def change(job: Job) -> int | None:
            every = job.schedule
            if not isinstance(every, Every) or every.every_ms % MINUTE == 0:
                return job.next_run_ms
            whole = replace(every, every_ms=every.every_ms // MINUTE * MINUTE)
            return next_slot(whole, engine.clock.now(), job_id=job.id)

        reslot(engine, change)


@wrong("openclaw:LIF-10", "SCH-002")
class IntervalsAreDeletedToo(Altered):
    """deleteAfterRun beside an interval removes the job when its first run was answered."""

    def alter(self, engine: Engine) -> None:
        def finished(inner: Callable[[Run, Job], Any], run: Run, job: Job) -> Any:
            more = inner(run, job)
            stored = engine.store.job(job.id)
            if stored is not None and stored.delete_after_run and not isinstance(job.schedule, At):
                engine.jobs.remove(job.id)
            return more

        wrap(engine.runner, "finished", finished)

    def _written(self, written: Written) -> dict[str, Any]:
        return {name: value for name, value in super()._written(written).items() if name != "unused"}


@wrong("openclaw#27996", "SCH-008")
class MovedOneShotsKeepTheirTimer(Altered):
    """A one-shot that is moved by an edit goes off when it was to go off before."""

    def job_update(self, params: dict[str, Any]) -> dict[str, Any]:
        old = self._engine.store.job(params["id"])
        answer = super().job_update(params)
        new = self._engine.store.job(params["id"])
        if old and new and isinstance(old.schedule, At) and isinstance(new.schedule, At) and new.next_run_ms:
            self._engine.store.put_job(replace(new, next_run_ms=old.next_run_ms or new.next_run_ms))
        return answer


@wrong("openclaw:SCH-21", "SCH-023")
class StaggerIsOfTheProcess(Altered):
    """By how much the slots of a job are moved is decided anew by each start."""

    def alter(self, engine: Engine) -> None:
        for job in engine.store.jobs():
            if isinstance(job.schedule, Cron) and job.schedule.stagger_ms and job.next_run_ms is not None:
                engine.store.put_job(replace(job, next_run_ms=job.next_run_ms + MINUTE))


@wrong("bugs:D5", "JOB-004")
class NullKeepsSomeMembers(Altered):
    """Null clears timeoutMs and retry; of other members it is taken for one that was left out."""

    def job_update(self, params: dict[str, Any]) -> dict[str, Any]:
        patch, kept = params["patch"], ("maxFailures", "catchUp", "deleteAfterRun")
        if not isinstance(patch, dict):
            return super().job_update(params)
        fewer = {name: value for name, value in patch.items() if value is not None or name not in kept}
        job = self._engine.store.job(params["id"])
        if patch and not fewer and job is not None:
            return {"job": self._engine.jobs.describe(job)}
        return super().job_update({**params, "patch": fewer})


@wrong("hermes-agent#111212", "STO-018")
class OneShotsAreNeverTooLate(Deaf):
    """The maxLatenessMs of a one-shot is accepted, and however late it is it runs."""

    def heard(self, schedule: dict[str, Any], catch_up: dict[str, Any]) -> dict[str, Any] | None:
        once = isinstance(schedule, dict) and schedule.get("kind") == "at" and isinstance(catch_up, dict)
        return {k: v for k, v in catch_up.items() if k != "maxLatenessMs"} if once else catch_up


@wrong("openclaw#9655", "STO-020")
class StartsForgetTheTimeout(Altered):
    """The time-out of a job is not read back by a start."""

    def alter(self, engine: Engine) -> None:
        for job in engine.store.jobs():
            if job.timeout_ms is not None:
                engine.store.put_job(replace(job, timeout_ms=None))


@wrong("openclaw#11452", "STO-026")
class FailedOneShotsWereMissed(Altered):
    """A start takes a one-shot whose run was not answered for one that was missed."""

    def alter(self, engine: Engine) -> None:
        runs = engine.store.runs()
        for job in engine.store.jobs():
            mine = [run for run in runs if run.job_id == job.id and run.slot_ms is not None]
            if not mine or not isinstance(job.schedule, At) or job.schedule.at_ms > engine.clock.now():
                continue
            if mine[-1].status in ("error", "timeout", "cancelled"):
                for run in mine:
                    engine.store.delete_run(run.id)
                engine.store.put_job(replace(job, enabled=True, next_run_ms=job.schedule.at_ms))
