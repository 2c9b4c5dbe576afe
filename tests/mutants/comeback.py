"""Gateways that make too much or too little of the time they were down (area store)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from cronsession_reference.engine import Engine
from cronsession_reference.jobs import At, Cron, Job, Schedule
from cronsession_reference.lateness import missed_slots
from cronsession_reference.slots import previous_slot

from .altered import Altered, wrap, wrong

MINUTE = 60_000


def _overdue(engine: Engine) -> list[Job]:
    """The jobs with a slot in the past, the one that waits longest first."""
    now = engine.clock.now()
    late = [job for job in engine.store.jobs() if job.next_run_ms is not None and job.next_run_ms < now]
    return sorted(late, key=lambda job: (job.next_run_ms or 0, job.id))


def _pass_over(engine: Engine, job: Job) -> None:
    engine.store.put_job(replace(job, next_run_ms=engine.scheduler._next(job, engine.clock.now())))


@wrong("hermes-agent#59383", "STO-010")
class AShortDowntimeIsNone(Altered):
    """A slot that was missed by less than five minutes is forgotten."""

    def alter(self, engine: Engine) -> None:
        for job in _overdue(engine):
            if engine.clock.now() - (job.next_run_ms or 0) < 5 * MINUTE:
                _pass_over(engine, job)


class Watching(Altered):
    """Knows when the instance before it was last seen."""

    seen: ClassVar[dict[Path, int]] = {}

    async def clock_advance(self, params: dict[str, Any]) -> dict[str, Any]:
        answer = await super().clock_advance(params)
        self.seen[self._engine.transcripts.folder] = answer["nowMs"]
        return answer

    def was_down_ms(self, engine: Engine) -> int:
        now = engine.clock.now()
        return now - self.seen.get(engine.transcripts.folder, now)


@wrong("openclaw#42640", "STO-011")
class EachDowntimeOwesARun(Watching):
    """After a downtime each recurring job is run, whether it missed a slot or not."""

    def alter(self, engine: Engine) -> None:
        now = engine.clock.now()
        for job in engine.store.jobs() if self.was_down_ms(engine) > 5 * MINUTE else []:
            if isinstance(job.schedule, Cron) and (job.next_run_ms or 0) > now:
                last = previous_slot(job.schedule, now, job_id=job.id)
                for run in engine.store.runs():
                    if (run.job_id, run.slot_ms) == (job.id, last):
                        engine.store.delete_run(run.id)
                engine.store.put_job(replace(job, next_run_ms=last))


@wrong("openclaw#10251", "STO-012")
class EachStartMakesUpAgain(Altered):
    """What one start made up for, the next start shortly after it makes up for again."""

    owed: ClassVar[dict[str, int]] = {}

    def alter(self, engine: Engine) -> None:
        for job in engine.store.jobs():
            slot = self.owed.get(job.id)
            if slot is not None and (job.next_run_ms or 0) > engine.clock.now():
                for run in engine.store.runs():
                    if run.job_id == job.id and (run.slot_ms or 0) >= slot:
                        engine.store.delete_run(run.id)
                engine.store.put_job(replace(job, next_run_ms=slot))
        self.owed.update({job.id: job.next_run_ms or 0 for job in _overdue(engine)})


@wrong("openclaw#145722", "STO-013")
class RecoveryUndoesAnEdit(Altered):
    """A start puts the next run back that a job had before its schedule was edited."""

    before: ClassVar[dict[str, tuple[Schedule, int | None]]] = {}

    def job_update(self, params: dict[str, Any]) -> dict[str, Any]:
        job = self._engine.store.job(params["id"])
        if job is not None and "schedule" in params["patch"]:
            self.before[job.id] = (job.schedule, job.next_run_ms)
        return super().job_update(params)

    def alter(self, engine: Engine) -> None:
        for job in engine.store.jobs():
            schedule, slot = self.before.pop(job.id, (job.schedule, None))
            if slot is not None and schedule != job.schedule:
                engine.store.put_job(replace(job, next_run_ms=slot))


@wrong("bugs:S7", "STO-014")
class DisabledJobsAreMadeUpFor(Watching):
    """After a downtime the slots of disabled jobs are made up for too."""

    def alter(self, engine: Engine) -> None:
        now = engine.clock.now()
        for job in engine.store.jobs() if self.was_down_ms(engine) > 5 * MINUTE else []:
            if not job.enabled and isinstance(job.schedule, Cron):
                last = previous_slot(job.schedule, now, job_id=job.id)
                engine.store.put_job(replace(job, enabled=True, next_run_ms=last))


@wrong("openclaw#46287", "STO-015")
class FiveJobsAreMadeUpFor(Altered):
    """Of many jobs that missed a slot the first five are made up for."""

    def alter(self, engine: Engine) -> None:
        for job in _overdue(engine)[5:]:
            _pass_over(engine, job)


@wrong("kubernetes#81557", "STO-016")
class TooManyMissedIsTheEnd(Altered):
    """A job that missed more than a hundred slots is not scheduled any more."""

    def alter(self, engine: Engine) -> None:
        def late(inner: Callable[[Job, int, int], None], job: Job, slot: int, now: int) -> None:
            if len(missed_slots(job, slot, now, engine.settings)) > 100:
                engine.store.put_job(replace(job, next_run_ms=None))
            else:
                inner(job, slot, now)

        wrap(engine.scheduler, "_late", late)


class Deaf(Altered):
    """Accepts what a job says about missed slots, and changes it."""

    def heard(self, schedule: dict[str, Any], catch_up: dict[str, Any]) -> dict[str, Any] | None:
        return None

    def job_add(self, params: dict[str, Any]) -> dict[str, Any]:
        job = dict(params["job"])
        if "catchUp" in job:
            found = self.heard(job["schedule"], job.pop("catchUp"))
            job |= {} if found is None else {"catchUp": found}
        return super().job_add({**params, "job": job})


@wrong("bugs:K1", "STO-017")
class CatchUpOfTheJobIsIgnored(Deaf):
    """The catchUp of a recurring job is accepted, and the gateway's own policy holds."""

    def heard(self, schedule: dict[str, Any], catch_up: dict[str, Any]) -> dict[str, Any] | None:
        return catch_up if schedule["kind"] == "at" or "maxLatenessMs" in catch_up else None


@wrong("hermes-agent#111212", "STO-018")
class LatenessIsIgnored(Deaf):
    """However late a missed slot is, it is run."""

    def heard(self, schedule: dict[str, Any], catch_up: dict[str, Any]) -> dict[str, Any] | None:
        return {"policy": catch_up["policy"]}


@wrong("bugs:S10", "STO-019")
class OneShotsRunAnyway(Deaf):
    """The catchUp of a one-shot is accepted, and the gateway's own policy holds."""

    def heard(self, schedule: dict[str, Any], catch_up: dict[str, Any]) -> dict[str, Any] | None:
        return None if schedule["kind"] == "at" else catch_up


@wrong("openclaw#9655", "STO-030")
class IntervalsBeginAtTheStart(Altered):
    """Intervals are counted from the start of the gateway."""

    def alter(self, engine: Engine) -> None:
        for job in engine.store.jobs():
            if not isinstance(job.schedule, At | Cron) and (job.next_run_ms or 0) > engine.clock.now():
                slot = engine.clock.now() + job.schedule.every_ms
                engine.store.put_job(replace(job, next_run_ms=slot))
