"""Gateways that are right about the usual run, and not about one that waited, failed, lasted or is not alone (area runs)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cronsession_reference.engine import Engine
from cronsession_reference.jobs import At, Job
from cronsession_reference.recovery import TRANSIENT
from cronsession_reference.store import Run

from .altered import Altered, wrap, wrong
from .limits import Rewritten


@wrong("openclaw:LIF-04", "RUN-004")
class NoNextRunIsDue(Altered):
    """A job without a next run is due: its instant is not after now."""

    def alter(self, engine: Engine) -> None:
        def trigger(inner: Callable[..., Any], job_id: str, *, due: bool) -> Any:
            job = engine.store.job(job_id)
            return inner(job_id, due=due and (job is None or job.next_run_ms is not None))

        wrap(engine.scheduler, "trigger", trigger)


@wrong("bugs:E6", "RUN-006")
class WaitingCountsAsStarted(Rewritten):
    """A run that waited for room is told to have begun when it fell due."""

    def run(self, run: dict[str, Any]) -> dict[str, Any]:
        began = run["trigger"] == "schedule" and run.get("slotMs") and run.get("startedAtMs")
        return {**run, "startedAtMs": run["slotMs"]} if began else run


@wrong("bugs:E6", "RUN-006")
class BadEndsAreTheStart(Rewritten):
    """The end of a run is told when it was answered; otherwise it is its start."""

    def run(self, run: dict[str, Any]) -> dict[str, Any]:
        bad = run.get("endedAtMs") and run.get("startedAtMs") and run["status"] != "ok"
        return {**run, "endedAtMs": run["startedAtMs"]} if bad else run


@wrong("bugs:E6", "RUN-007")
class SlotIsTheStart(Rewritten):
    """The slot of a scheduled run is told as the instant at which it began."""

    def run(self, run: dict[str, Any]) -> dict[str, Any]:
        began = run["trigger"] == "schedule" and run.get("slotMs") and run.get("startedAtMs")
        return {**run, "slotMs": run["startedAtMs"]} if began else run


@wrong("bugs:E7", "RUN-010")
class OneShotsAreNotRepeated(Altered):
    """The retry of a one-shot is accepted, and only that of other jobs is followed."""

    def alter(self, engine: Engine) -> None:
        def again(inner: Callable[..., bool], job: Job, run: Run, now: int) -> bool:
            return not (isinstance(job.schedule, At) and job.retry) and inner(job, run, now)

        wrap(engine.scheduler.outcomes, "_again", again)


class Counting(Altered):
    """Counts the failures of a job in a way of its own."""

    def counted(self, job: Job, run: Run, counted: Job) -> Job:
        return counted

    def alter(self, engine: Engine) -> None:
        def counted(inner: Callable[[Job, Run], Job], job: Job, run: Run) -> Job:
            return self.counted(job, run, inner(job, run))

        wrap(engine.scheduler.outcomes, "_counted", counted)


@wrong("openclaw:LIF-18", "RUN-013")
class TimeoutsAreNoFailures(Counting):
    """A run that its time-out ended does not count as a failure."""

    def counted(self, job: Job, run: Run, counted: Job) -> Job:
        return job if run.status == "timeout" else counted


@wrong("openclaw:LIF-18", "RUN-013")
class StartsForgetTheFailures(Altered):
    """How many slots in a row failed is kept in memory."""

    def alter(self, engine: Engine) -> None:
        for job in engine.store.jobs():
            if job.failures and job.enabled:
                engine.store.put_job(replace(job, failures=0))


@wrong("bugs:E7", "RUN-014")
class PassingErrorsEndTheRow(Counting):
    """An overloaded model sets the count of failures to zero."""

    def counted(self, job: Job, run: Run, counted: Job) -> Job:
        return replace(job, failures=0) if run.cause in TRANSIENT else counted


@wrong("bugs:E7", "RUN-014")
class ManualRunsEndTheRow(Altered):
    """A manual run that is answered sets the count of failures to zero."""

    def alter(self, engine: Engine) -> None:
        def finished(inner: Callable[[Run, Job], Any], run: Run, job: Job) -> Any:
            more = inner(run, job)
            stored = engine.store.job(job.id)
            if run.slot_ms is None and run.status == "ok" and stored is not None and stored.failures:
                engine.store.put_job(replace(stored, failures=0))
            return more

        wrap(engine.runner, "finished", finished)


@wrong("openclaw#118089", "RUN-015")
class OneNoticeOfAKind(Altered):
    """People are told once that a job was disabled, whichever it was, and of no other one after that."""

    def notice_list(self, params: dict[str, Any]) -> dict[str, Any]:
        first: dict[str, Any] = {}
        for notice in super().notice_list(params)["notices"]:
            first.setdefault(notice["kind"], notice)
        return {"notices": list(first.values())}


@wrong("openclaw#95651", "RUN-016")
class HistoryIsOfAllJobs(Altered):
    """maxRuns is how many runs are listed of all jobs together."""

    def run_list(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"runs": super().run_list(params)["runs"][-self._engine.settings.run_history :]}


@wrong("bugs:E6", "RUN-018")
class SinceIsAfter(Altered):
    """A run that started at the very instant is not listed from that on."""

    def run_list(self, params: dict[str, Any]) -> dict[str, Any]:
        since = params.get("sinceMs")
        return super().run_list({} if since is None else {"sinceMs": since + 1})


@wrong("bugs:E6", "RUN-018")
class SinceIsOfTheEnd(Altered):
    """A run is listed from an instant on if it ended after it, or has not ended."""

    def run_list(self, params: dict[str, Any]) -> dict[str, Any]:
        since, runs = params.get("sinceMs") or 0, super().run_list({})["runs"]
        return {"runs": [run for run in runs if (run.get("endedAtMs") or since) >= since]}
