"""Gateways that take a write, an edit or a manual start wrongly (area scheduler)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cronsession_reference.engine import Engine
from cronsession_reference.jobdesk import Written
from cronsession_reference.jobs import Cron, Every, Job
from cronsession_reference.slots import next_slot

from .altered import Altered, wrap, wrong


def _next(schedule: Any, after: int, job: Job) -> int | None:
    return next_slot(schedule, after, job_id=job.id)


class Lenient(Altered):
    """Replaces a schedule that cannot be read by one that can."""

    def schedule(self, schedule: dict[str, Any], reason: dict[str, str]) -> dict[str, Any]:
        return {"kind": "cron", "expr": "0 * * * *"}

    def job_add(self, params: dict[str, Any]) -> dict[str, Any]:
        return self._again(super().job_add, params, "job")

    def job_update(self, params: dict[str, Any]) -> dict[str, Any]:
        return self._again(super().job_update, params, "patch")

    def _again(
        self, write: Callable[..., dict[str, Any]], params: dict[str, Any], part: str
    ) -> dict[str, Any]:
        answer = write(params)
        refused = answer.get("rejected", {})
        if refused.get("field") not in ("schedule.expr", "schedule.tz"):
            return answer
        schedule = self.schedule(params[part]["schedule"], refused)
        return write({**params, part: {**params[part], "schedule": schedule}})


@wrong("openclaw#74459", "SCH-005")
class UnreadableIsHourly(Lenient):
    """An expression that cannot be read is taken for once an hour."""


@wrong("bugs:S16", "SCH-005")
class UnknownZoneIsUtc(Lenient):
    """A zone that does not exist is taken for UTC."""

    def schedule(self, schedule: dict[str, Any], reason: dict[str, str]) -> dict[str, Any]:
        return {**schedule, "tz": "UTC"} if reason["field"] == "schedule.tz" else schedule


@wrong("openclaw#74459", "SCH-005")
class RestingJobIsNotRead(Lenient):
    """Of a job that is added disabled the expression is not looked at."""

    def _again(
        self, write: Callable[..., dict[str, Any]], params: dict[str, Any], part: str
    ) -> dict[str, Any]:
        resting = params[part].get("enabled") is False
        return super()._again(write, params, part) if resting else write(params)


@wrong("openclaw#96159", "SCH-009")
class SameScheduleBeginsAnew(Altered):
    """An interval that is written again without an anchor is counted from now."""

    def job_update(self, params: dict[str, Any]) -> dict[str, Any]:
        schedule = params["patch"].get("schedule") or {}
        if schedule.get("kind") != "every" or "anchorMs" in schedule:
            return super().job_update(params)
        anew = {**schedule, "anchorMs": self._clock.now()}
        return super().job_update({**params, "patch": {**params["patch"], "schedule": anew}})


@wrong("openclaw:SCH-14", "SCH-005")
class EditIsNotChecked(Lenient):
    """Expressions are checked on add only."""

    def job_add(self, params: dict[str, Any]) -> dict[str, Any]:
        return Altered.job_add(self, params)


@wrong("bugs:D5", "SCH-005")
class RefusedEditIsHalfDone(Altered):
    """An edit is refused for its schedule, and its other members are stored all the same."""

    def job_update(self, params: dict[str, Any]) -> dict[str, Any]:
        answer = super().job_update(params)
        rest = {name: value for name, value in params["patch"].items() if name != "schedule"}
        if "rejected" in answer and rest:
            super().job_update({**params, "patch": rest})
        return answer


@wrong("nanobot#5762", "SCH-006")
class PastOneShotIsTaken(Altered, does={"pastOneShot": "missed"}, declares={}):
    """A time in the past is accepted and never comes, and reject is declared."""


@wrong("bugs:S10", "SCH-006")
class PastOneShotIsLost(Altered, does={"pastOneShot": "missed"}, declares={"pastOneShot": "run"}):
    """A time in the past is accepted and never comes, and run is declared."""


@wrong("openclaw:SCH-26", "SCH-007")
class EnablingMakesUp(Altered):
    """A job that is enabled again goes on with the slot at which it was disabled."""

    def alter(self, engine: Engine) -> None:
        kept: dict[str, int | None] = {}

        def update(inner: Callable[..., Written], job_id: str, patch: dict[str, Any], *rest: Any) -> Written:
            old = engine.store.job(job_id)
            written = inner(job_id, patch, *rest)
            if old is not None and old.enabled and not written.job.enabled:
                kept[job_id] = old.next_run_ms
            elif old is not None and written.job.enabled and not old.enabled and kept.get(job_id):
                engine.store.put_job(replace(written.job, next_run_ms=kept[job_id]))
            return written

        wrap(engine.jobs, "update", update)


@wrong("openclaw:LIF-02", "SCH-007")
class DisabledJobRuns(Altered):
    """A job that is disabled keeps its timer."""

    def alter(self, engine: Engine) -> None:
        def update(inner: Callable[..., Written], job_id: str, patch: dict[str, Any], *rest: Any) -> Written:
            old = engine.store.job(job_id)
            written = inner(job_id, patch, *rest)
            if old is not None and not written.job.enabled:
                engine.store.put_job(replace(written.job, next_run_ms=old.next_run_ms))
            return written

        def describe(inner: Callable[[Job], dict[str, Any]], job: Job) -> dict[str, Any]:
            return inner(job) if job.enabled else {**inner(job), "nextRunAtMs": None}

        wrap(engine.jobs, "update", update)
        wrap(engine.jobs, "describe", describe)


@wrong("bugs:K1", "SCH-007")
class AddedDisabledRuns(Altered):
    """That a job is disabled counts when an edit says so, not when it is added."""

    def job_add(self, params: dict[str, Any]) -> dict[str, Any]:
        return super().job_add({**params, "job": {**params["job"], "enabled": True}})


@wrong("openclaw#27996", "SCH-008")
class EditKeepsTheNextRun(Altered):
    """An edited schedule counts from the run after the next."""

    def alter(self, engine: Engine) -> None:
        wrap(engine.jobs, "_with_next_run", self._keep)

    def _keep(self, inner: Callable[..., Any], job: Job, old: Job | None, now: int) -> Any:
        found, missed = inner(job, old, now)
        stale = old is not None and old.enabled and found.enabled and self.stale(old, found)
        return (replace(found, next_run_ms=old.next_run_ms) if stale and old else found), missed

    def stale(self, old: Job, new: Job) -> bool:
        return True


@wrong("openclaw#27996", "SCH-008")
class ZoneEditKeepsTheNextRun(EditKeepsTheNextRun):
    """An edit of the zone alone is not noticed until the next run."""

    def stale(self, old: Job, new: Job) -> bool:
        was, now = old.schedule, new.schedule
        return isinstance(was, Cron) and isinstance(now, Cron) and replace(was, tz=now.tz) == now


@wrong("openclaw#14658", "SCH-009")
class EditMovesTheInterval(Altered):
    """Any edit counts the interval anew."""

    def alter(self, engine: Engine) -> None:
        def with_next(inner: Callable[..., Any], job: Job, old: Job | None, now: int) -> Any:
            found, missed = inner(job, old, now)
            if old is not None and isinstance(found.schedule, Every) and found.enabled:
                found = replace(found, next_run_ms=now + found.schedule.every_ms)
            return found, missed

        wrap(engine.jobs, "_with_next_run", with_next)


@wrong("openclaw#96159", "SCH-009")
class SameScheduleMovesTheInterval(Altered):
    """A schedule that is written again counts anew, though it is the same."""

    def alter(self, engine: Engine) -> None:
        def update(inner: Callable[..., Written], job_id: str, patch: dict[str, Any], *rest: Any) -> Written:
            written = inner(job_id, patch, *rest)
            every = written.job.schedule
            if "schedule" in patch and isinstance(every, Every):
                after = engine.clock.now() + every.every_ms
                engine.store.put_job(replace(written.job, next_run_ms=after))
            return written

        wrap(engine.jobs, "update", update)


class ManualMoves(Altered):
    """A manual start moves the next run."""

    def moved(self, engine: Engine, job: Job) -> int | None:
        return job.next_run_ms

    def alter(self, engine: Engine) -> None:
        def trigger(inner: Callable[..., Any], job_id: str, *, due: bool) -> Any:
            answer = inner(job_id, due=due)
            job = engine.store.job(job_id)
            if answer[0] is not None and job is not None and job.next_run_ms is not None:
                engine.store.put_job(replace(job, next_run_ms=self.moved(engine, job)))
            return answer

        wrap(engine.scheduler, "trigger", trigger)


@wrong("openclaw#33940", "SCH-010")
class ManualRunMovesTheInterval(ManualMoves):
    """A manual run counts the interval anew."""

    def moved(self, engine: Engine, job: Job) -> int | None:
        every = job.schedule
        return engine.clock.now() + every.every_ms if isinstance(every, Every) else job.next_run_ms


@wrong("bugs:S12", "SCH-010")
class ManualRunTakesTheSlot(ManualMoves):
    """A manual run stands for the next slot."""

    def moved(self, engine: Engine, job: Job) -> int | None:
        assert job.next_run_ms is not None
        cron = isinstance(job.schedule, Cron)
        return _next(job.schedule, job.next_run_ms, job) if cron else job.next_run_ms
