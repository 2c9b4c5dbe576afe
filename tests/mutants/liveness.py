"""Gateways that lose, repeat or mistake slots when something else goes on (area scheduler)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cronsession_reference.engine import Engine
from cronsession_reference.jobs import At, Cron, Every, Job
from cronsession_reference.removal import remove_job
from cronsession_reference.settings import DAY, HOUR, MINUTE
from cronsession_reference.slots import next_slot
from cronsession_reference.store import Run

from .altered import Altered, reslot, wrap, wrong
from .slots import Repeating, _wall


def _after(engine: Engine, job: Job, instant: int) -> None:
    """Let the job go on with its first slot after an instant."""
    engine.store.put_job(replace(job, next_run_ms=next_slot(job.schedule, instant, job_id=job.id)))


@wrong("openclaw#10813", "SCH-017")
class ReadingSkipsWhatIsNear(Altered):
    """Listing jobs computes their next runs anew, past a slot that is about to be due."""

    def job_list(self, params: dict[str, Any]) -> dict[str, Any]:
        engine = self._engine
        for job in engine.store.jobs():
            if job.next_run_ms is not None and job.next_run_ms - engine.clock.now() <= 1000:
                _after(engine, job, job.next_run_ms)
        return super().job_list(params)


@wrong("bugs:S2", "SCH-018")
class CrowdIsCutDown(Altered):
    """Of the jobs due at one instant the first five run, and the others wait for their next slots."""

    def alter(self, engine: Engine) -> None:
        def due(inner: Callable[[int], list[str]], now: int) -> list[str]:
            found = inner(now)
            for job_id in found[5:]:
                job = engine.store.job(job_id)
                if job is not None and not isinstance(job.schedule, At):
                    _after(engine, job, now)
            return found[:5]

        wrap(engine.store, "due", due)


@wrong("openclaw#11452", "SCH-019")
class CancelledOneShotComesBack(Repeating):
    """A one-shot whose run was cancelled starts again every minute."""

    statuses = ("cancelled",)


@wrong("openclaw:LIF-12", "SCH-020")
class FailedOneShotIsDeleted(Altered):
    """A one-shot that is to be removed after its run is removed when it failed, too."""

    def alter(self, engine: Engine) -> None:
        def finished(inner: Callable[[Run, Job], Any], run: Run, job: Job) -> Any:
            more = inner(run, job)
            if job.delete_after_run and run.status == "error":
                remove_job(engine.store, job.id, engine.clock.now(), engine.settings.agents)
            return more

        wrap(engine.runner, "finished", finished)


@wrong("openclaw:LIF-10", "SCH-020")
class AnsweredOneShotStays(Altered):
    """The wish to remove a one-shot after its run is stored and has no effect."""

    def job_add(self, params: dict[str, Any]) -> dict[str, Any]:
        job = {name: value for name, value in params["job"].items() if name != "deleteAfterRun"}
        return super().job_add({**params, "job": job})


@wrong("openclaw:LIF-03", "SCH-021")
class ManualRunEnables(Altered):
    """A job that was started by hand is enabled from then on."""

    def alter(self, engine: Engine) -> None:
        def finished(inner: Callable[[Run, Job], Any], run: Run, job: Job) -> Any:
            more = inner(run, job)
            stored = engine.store.job(job.id)
            if run.trigger == "manual" and stored is not None and isinstance(stored.schedule, Every):
                _after(engine, replace(stored, enabled=True), engine.clock.now())
            return more

        wrap(engine.runner, "finished", finished)


@wrong("bugs:S8", "SCH-022")
class FutureAnchorIsWrapped(Altered):
    """An anchor tells the phase only: an interval begins before an anchor that lies in the future."""

    def alter(self, engine: Engine) -> None:
        def change(job: Job) -> int | None:
            every, now = job.schedule, engine.clock.now()
            if not isinstance(every, Every) or every.anchor_ms <= now:
                return job.next_run_ms
            return now + 1 + (every.anchor_ms - now - 1) % every.every_ms

        reslot(engine, change)


class Staggered(Altered):
    """Moves the slots of staggered jobs by another time."""

    def offset(self, slot: int, stagger_ms: int) -> int:
        return stagger_ms

    def alter(self, engine: Engine) -> None:
        def change(job: Job) -> int | None:
            cron = job.schedule
            if not isinstance(cron, Cron) or not cron.stagger_ms:
                return job.next_run_ms
            slot = next_slot(replace(cron, stagger_ms=0), engine.clock.now(), job_id=job.id)
            return None if slot is None else slot + self.offset(slot, cron.stagger_ms)

        reslot(engine, change)


@wrong("openclaw:SCH-22", "SCH-023")
class StaggerIsTooLong(Staggered):
    """Staggered jobs run later than their stagger allows."""


@wrong("openclaw:SCH-21", "SCH-023")
class StaggerIsDrawnAnew(Staggered):
    """Each slot of a staggered job is moved by another time."""

    def offset(self, slot: int, stagger_ms: int) -> int:
        return slot // HOUR * 7919 * 1000 % stagger_ms


@wrong("bugs:S15", "SCH-024")
class SearchEndsAfterAYear(Altered):
    """A slot that is more than a year away is not found."""

    def alter(self, engine: Engine) -> None:
        def change(job: Job) -> int | None:
            slot = job.next_run_ms
            far = isinstance(job.schedule, Cron) and slot is not None
            return None if far and slot - engine.clock.now() > 366 * DAY else slot

        reslot(engine, change)


@wrong("openclaw#66019", "SCH-025")
class FailedJobSpins(Altered):
    """A recurring job whose run failed starts again every minute, for a slot of its own each."""

    def alter(self, engine: Engine) -> None:
        def finished(inner: Callable[[Run, Job], Any], run: Run, job: Job) -> Any:
            more = inner(run, job)
            stored = engine.store.job(job.id)
            if run.status == "error" and run.slot_ms is not None and stored is not None:
                again = engine.clock.now() + MINUTE
                engine.store.put_job(replace(stored, enabled=True, failures=0, next_run_ms=again))
            return more

        wrap(engine.runner, "finished", finished)


@wrong("bugs:S14", "SCH-026")
class OffsetIsFixedAtTheWrite(Altered):
    """The offset of a zone is looked up when a job is added, and never again."""

    def alter(self, engine: Engine) -> None:
        def change(job: Job) -> int | None:
            slot = job.next_run_ms
            if slot is None or not isinstance(job.schedule, Cron):
                return slot
            then = _wall(job.created_ms, job.schedule.tz).utcoffset()
            there = _wall(slot, job.schedule.tz).utcoffset()
            assert then is not None
            assert there is not None
            moved = slot + round((there - then).total_seconds() * 1000)
            # Not into the past: it would start again and again at one instant.
            return moved if moved > engine.clock.now() else slot + (slot - moved)

        reslot(engine, change)
