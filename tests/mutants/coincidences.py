"""Gateways that are right until two things meet: an edit and a run, a rest and an anchor (area scheduler)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

from cronsession_reference.engine import Engine
from cronsession_reference.jobdesk import Written
from cronsession_reference.jobs import FAILURES, At, Cron, Every, Job
from cronsession_reference.removal import drop_retries, remove_job
from cronsession_reference.slots import next_slot
from cronsession_reference.store import Run

from .altered import Altered, reslot, wrap, wrong

YEAR = 366 * 86_400_000


def _schedule(params: dict[str, Any]) -> dict[str, Any]:
    patch = params.get("patch")
    found = patch.get("schedule") if isinstance(patch, dict) else None
    return found if isinstance(found, dict) else {}


class Edited(Altered):
    """Does something more to a job that was edited."""

    def edited(self, engine: Engine, old: Job, job: Job) -> Job:
        return job

    def alter(self, engine: Engine) -> None:
        def update(inner: Callable[..., Written], job_id: str, *rest: Any) -> Written:
            old, written = engine.store.job(job_id), inner(job_id, *rest)
            if old is None:
                return written
            job = self.edited(engine, old, written.job)
            if job != written.job:
                engine.store.put_job(job)
            return replace(written, job=job)

        wrap(engine.jobs, "update", update)


class _Ended(Altered):
    """Does something more to a job whose run has ended."""

    def ended(self, engine: Engine, run: Run, job: Job) -> None:
        raise NotImplementedError

    def alter(self, engine: Engine) -> None:
        def finished(inner: Callable[[Run, Job], Any], run: Run, job: Job) -> Any:
            more, stored = inner(run, job), engine.store.job(job.id)
            if stored is not None:
                self.ended(engine, run, stored)
            return more

        wrap(engine.runner, "finished", finished)


@wrong("bugs:S8", "SCH-002")
class AnAnchorOfZeroIsNone(Altered):
    """An anchor of 0 is taken for none."""

    def job_add(self, params: dict[str, Any]) -> dict[str, Any]:
        schedule = params["job"].get("schedule")
        if isinstance(schedule, dict) and schedule.get("anchorMs") == 0:
            schedule = {name: value for name, value in schedule.items() if name != "anchorMs"}
            params = {**params, "job": {**params["job"], "schedule": schedule}}
        return super().job_add(params)


@wrong("bugs:S9", "SCH-003")
class AnEditArmsADoneOneShot(Edited):
    """A one-shot that is done runs again when something else of it is edited."""

    def edited(self, engine: Engine, old: Job, job: Job) -> Job:
        done = isinstance(old.schedule, At) and not old.enabled and old.disabled_by is None
        if not done or job.enabled or job.schedule != old.schedule or job.disabled_by is not None:
            return job
        return replace(job, enabled=True, next_run_ms=engine.clock.now())


@wrong("bugs:S3", "SCH-004")
class TheNextRunIsTheOneUnderWay(Altered):
    """While a job runs, its next run is listed as the slot of that run."""

    def job_list(self, params: dict[str, Any]) -> dict[str, Any]:
        slots = {run.job_id: run.slot_ms for run in self._engine.store.running() if run.slot_ms is not None}
        jobs = super().job_list(params)["jobs"]
        return {"jobs": [{**job, "nextRunAtMs": slots.get(job["id"], job["nextRunAtMs"])} for job in jobs]}


@wrong("bugs:S16", "SCH-005")
class EditsAtRestAreNotRead(Altered):
    """An edit of a job that rests, or is to rest, may have any expression and zone."""

    def job_update(self, params: dict[str, Any]) -> dict[str, Any]:
        answer, schedule = super().job_update(params), _schedule(params)
        unread = schedule.get("kind") == "cron" and "rejected" in answer and isinstance(params["id"], str)
        job = self._engine.store.job(params["id"]) if unread else None
        if job is None or (job.enabled and params["patch"].get("enabled") is not False):
            return answer
        read = {"kind": "cron", "expr": "0 * * * *", "tz": "UTC"}
        return super().job_update({**params, "patch": {**params["patch"], "schedule": read}})


@wrong("bugs:S13", "SCH-005")
class AbbreviationsAreZones(Altered):
    """CEST is a zone."""

    def alter(self, engine: Engine) -> None:
        def schedule(inner: Callable[..., Any], data: Any, *rest: Any) -> Any:
            if isinstance(data, dict) and data.get("tz") == "CEST":
                data = {**data, "tz": "Etc/GMT-2"}
            return inner(data, *rest)

        wrap(engine.jobs, "_schedule", schedule)


@wrong("bugs:S10", "SCH-007")
class ADisabledOneShotIsDone(Edited):
    """A one-shot that was disabled does not come, though it is enabled before its instant."""

    def edited(self, engine: Engine, old: Job, job: Job) -> Job:
        over = isinstance(job.schedule, At) and not old.enabled and job.enabled
        over = over and job.schedule == old.schedule
        return replace(job, enabled=False, next_run_ms=None) if over else job


class _Merging(Altered):
    part: ClassVar[str]

    def job_update(self, params: dict[str, Any]) -> dict[str, Any]:
        schedule = _schedule(params)
        old = self._engine.store.job(params["id"]) if isinstance(params.get("id"), str) else None
        if old and isinstance(old.schedule, Cron) and schedule.get("kind") == "cron":
            kept = {"tz": old.schedule.tz, "staggerMs": old.schedule.stagger_ms}[self.part]
            merged = {self.part: kept, **schedule}
            params = {**params, "patch": {**params["patch"], "schedule": merged}}
        return super().job_update(params)


@wrong("bugs:S13", "SCH-008")
class TheZoneIsMerged(_Merging):
    """A schedule that is set without a zone keeps that of the one before."""

    part = "tz"


@wrong("bugs:S19", "SCH-008")
class TheStaggerIsMerged(_Merging):
    """A schedule that is set without a stagger keeps that of the one before."""

    part = "staggerMs"


@wrong("bugs:S19", "SCH-009")
class TheStaggerIsOfTheName(Edited):
    """By how much the slots of a job are moved follows from its name."""

    def edited(self, engine: Engine, old: Job, job: Job) -> Job:
        if old.name == job.name or not isinstance(job.schedule, Cron) or not job.enabled:
            return job
        part = int(hashlib.sha256(job.name.encode()).hexdigest(), 16) % max(1, job.schedule.stagger_ms)
        plain = replace(job.schedule, stagger_ms=0)
        base = next_slot(plain, engine.clock.now(), job_id=job.id)
        moved = base is not None and job.schedule.stagger_ms
        return replace(job, next_run_ms=base + part) if moved and base is not None else job


@wrong("bugs:S12", "SCH-010")
class ARunJustBeforeASlotIsItsRun(Altered):
    """A slot is passed over where the job was started in the half minute before."""

    def alter(self, engine: Engine) -> None:
        def claim(inner: Callable[..., Any], job: Job, slot: int, trigger: str, now: int) -> Any:
            starts = [run.started_ms or 0 for run in engine.store.runs() if run.job_id == job.id]
            if trigger == "schedule" and now - max(starts, default=0) < 30_000:
                engine.scheduler._add(job, trigger, "skipped", slot)
                return None
            return inner(job, slot, trigger, now)

        wrap(engine.scheduler, "_claim", claim)


class _Unseen(Altered):
    """At a slot does not see some of the runs that are under way."""

    def sees(self, engine: Engine, run: Run) -> bool:
        return True

    def alter(self, engine: Engine) -> None:
        def fire(inner: Callable[[str], Any], job_id: str) -> Any:
            busy = engine.scheduler.busy

            def seen(asked: str) -> bool:
                return busy(asked) and any(self.sees(engine, run) for run in engine.store.open_runs(asked))

            engine.scheduler.busy = seen  # type: ignore[method-assign]
            try:
                return inner(job_id)
            finally:
                engine.scheduler.busy = busy  # type: ignore[method-assign]

        wrap(engine.scheduler, "_fire", fire)


@wrong("bugs:E5", "SCH-011")
class ARepetitionIsNotSeen(_Unseen):
    """A slot that falls due during a repetition starts a run beside it."""

    def sees(self, engine: Engine, run: Run) -> bool:
        return run.trigger != "retry"


@wrong("bugs:E5", "SCH-011")
class RunsOfTheJobBeforeAreNotSeen(_Unseen):
    """A job that was edited during its run runs at its next slot beside itself."""

    def alter(self, engine: Engine) -> None:
        self._revisions: dict[str, int] = {}

        def start(inner: Callable[[Run, Job], Any], run: Run, job: Job) -> Any:
            self._revisions[run.id] = job.revision
            return inner(run, job)

        wrap(engine.runner, "start", start)
        super().alter(engine)

    def sees(self, engine: Engine, run: Run) -> bool:
        job = engine.store.job(run.job_id)
        return job is None or self._revisions.get(run.id, job.revision) == job.revision


@wrong("bugs:S4", "SCH-018")
class JobsOfANameAreOne(Altered):
    """Of jobs of one name that are due at one instant one runs."""

    def alter(self, engine: Engine) -> None:
        def due(inner: Callable[[int], list[str]], now: int) -> list[str]:
            first: dict[str, str] = {}
            for job_id in inner(now):
                job = engine.store.job(job_id)
                if job is None or first.setdefault(job.name, job_id) == job_id:
                    continue
                engine.scheduler._advance(job, job.next_run_ms or now, now, running=False)
            return list(first.values())

        wrap(engine.store, "due", due)


@wrong("openclaw:LIF-18", "SCH-020")
class TimedOutOneShotIsDeleted(_Ended):
    """A one-shot that is to be removed after its run is removed when that timed out, too."""

    def ended(self, engine: Engine, run: Run, job: Job) -> None:
        over = isinstance(job.schedule, At) and job.delete_after_run and not job.enabled
        if over and run.status == "timeout":
            remove_job(engine.store, job.id, engine.clock.now(), engine.settings.agents)


@wrong("openclaw:LIF-18", "SCH-021")
class AnAnswerByHandEnables(_Ended):
    """A job that its failures disabled is enabled by a manual run that is answered."""

    def ended(self, engine: Engine, run: Run, job: Job) -> None:
        if run.slot_ms is not None or run.status != "ok" or job.disabled_by != FAILURES:
            return
        upcoming = next_slot(job.schedule, engine.clock.now(), job_id=job.id)
        healed = replace(job, enabled=True, disabled_by=None, disabled_reason=None, failures=0)
        engine.store.put_job(replace(healed, next_run_ms=upcoming))


@wrong("bugs:S8", "SCH-022")
class EnablingForgetsTheAnchor(Edited):
    """Of an interval that is enabled again a future anchor tells the phase only."""

    def edited(self, engine: Engine, old: Job, job: Job) -> Job:
        schedule, now = job.schedule, engine.clock.now()
        if old.enabled or not job.enabled or not isinstance(schedule, Every) or schedule.anchor_ms <= now:
            return job
        left = (schedule.anchor_ms - now) % schedule.every_ms or schedule.every_ms
        return replace(job, next_run_ms=now + left)


@wrong("bugs:S4", "SCH-024")
class SearchEndsAfterThreeYears(Altered):
    """A slot that is more than three years away is not found."""

    def alter(self, engine: Engine) -> None:
        def near(job: Job) -> int | None:
            slot = job.next_run_ms
            far = slot is not None and slot - engine.clock.now() > 3 * YEAR
            return None if far and isinstance(job.schedule, Cron) else slot

        reslot(engine, near)


@wrong("bugs:E7", "RUN-010")
class EditsDropRepetitions(Edited):
    """Any edit of a job drops the repetition that waits for its time."""

    def edited(self, engine: Engine, old: Job, job: Job) -> Job:
        drop_retries(engine.store, job.id)
        return job
