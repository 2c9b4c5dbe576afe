"""Gateways that break off, repeat, count or list runs wrongly (area runs)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cronsession_reference.engine import Engine
from cronsession_reference.jobs import Job
from cronsession_reference.recovery import TRANSIENT
from cronsession_reference.sessions import Turn
from cronsession_reference.settings import MINUTE
from cronsession_reference.store import Run

from .altered import Altered, wrap, wrong


class Rewritten(Altered):
    """Changes a job before it is added, or what is listed of a run."""

    def job(self, job: dict[str, Any]) -> dict[str, Any]:
        return job

    def run(self, run: dict[str, Any]) -> dict[str, Any]:
        return run

    def job_add(self, params: dict[str, Any]) -> dict[str, Any]:
        return super().job_add({**params, "job": self.job(params["job"])})

    def run_list(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"runs": [self.run(run) for run in super().run_list(params)["runs"]]}


@wrong("bugs:E1", "RUN-005")
class CancelBlocksTheJob(Altered):
    """After a cancel the job counts as running for good."""

    def alter(self, engine: Engine) -> None:
        stuck: set[str] = set()

        def finish(inner: Callable[..., None], turn: Turn, run: Run, job: Job, status: str) -> None:
            if status == "cancelled":
                stuck.add(job.id)
            inner(turn, run, job, status)

        wrap(engine.runner, "_finish", finish)
        wrap(engine.scheduler, "busy", lambda inner, job_id: job_id in stuck or inner(job_id))


@wrong("bugs:E6", "RUN-006")
class EndIsTheStart(Rewritten):
    """A run is listed as if it had taken no time."""

    def run(self, run: dict[str, Any]) -> dict[str, Any]:
        return {**run, "endedAtMs": run["startedAtMs"]} if run.get("endedAtMs") else run


@wrong("openclaw#70619", "RUN-006")
class StartIsTheEnd(Rewritten):
    """The start of a run is written down when it has ended."""

    def run(self, run: dict[str, Any]) -> dict[str, Any]:
        return {**run, "startedAtMs": run["endedAtMs"]} if run.get("endedAtMs") else run


@wrong("bugs:E6", "RUN-007")
class SlotIsTheNextOne(Rewritten):
    """A run is told with the slot that comes after its own."""

    def run(self, run: dict[str, Any]) -> dict[str, Any]:
        return {**run, "slotMs": run["slotMs"] + 10 * MINUTE} if run.get("slotMs") else run


@wrong("openclaw#52682", "RUN-008")
class CapIsIgnored(Altered):
    """There is always room for another run."""

    def alter(self, engine: Engine) -> None:
        wrap(engine.scheduler.admission, "room", lambda inner: 99)


@wrong("bugs:E4", "RUN-008")
class CapIsNotReached(Altered):
    """One run less than there may be is under way."""

    def alter(self, engine: Engine) -> None:
        most = engine.settings.max_concurrent_runs
        wrap(engine.scheduler.admission, "room", lambda inner: inner() - (most == 2))


@wrong("openclaw#103323", "RUN-008")
class ManualRunsNeedNoRoom(Altered):
    """A manual start begins at once, whatever is under way."""

    def alter(self, engine: Engine) -> None:
        admission = engine.scheduler.admission

        def trigger(inner: Callable[..., Any], job_id: str, *, due: bool) -> Any:
            room, admission.room = admission.room, lambda: 99  # type: ignore[method-assign]
            try:
                return inner(job_id, due=due)
            finally:
                admission.room = room  # type: ignore[method-assign]

        wrap(engine.scheduler, "trigger", trigger)


@wrong("openclaw#18892", "RUN-009")
class WaitingRunIsDropped(Altered):
    """A slot for which there is no room is passed over."""

    def alter(self, engine: Engine) -> None:
        def claim(inner: Callable[..., Any], job: Job, slot: int, trigger: str, *rest: Any) -> Any:
            if trigger == "schedule" and engine.scheduler.admission.room() <= 0:
                engine.scheduler._add(job, trigger, "skipped", slot)
                return None
            return inner(job, slot, trigger, *rest)

        wrap(engine.scheduler, "_claim", claim)


@wrong("bugs:E4", "RUN-009")
class LastInLineIsFirst(Altered):
    """Of the runs that wait for room the latest starts first."""

    def alter(self, engine: Engine) -> None:
        def startable(inner: Callable[[int, int], list[Run]], now: int, limit: int) -> list[Run]:
            return inner(now, 1000)[::-1][:limit]

        wrap(engine.store, "startable", startable)


@wrong("bugs:E7", "RUN-010")
class RetryIsIgnored(Rewritten):
    """A run that failed for a passing reason is never made again."""

    def job(self, job: dict[str, Any]) -> dict[str, Any]:
        return {**job, "retry": {"maxRetries": 0}}


@wrong("bugs:E7", "RUN-010")
class RetryDoesNotWait(Rewritten):
    """Repetitions come a second apart, whatever the job says."""

    def job(self, job: dict[str, Any]) -> dict[str, Any]:
        return {**job, "retry": {**job["retry"], "backoffMs": [1000]}} if "retry" in job else job


@wrong("openclaw:LIF-15", "RUN-010")
class RetryHasNoEnd(Rewritten):
    """A run is made again ten times, whatever the job says."""

    def job(self, job: dict[str, Any]) -> dict[str, Any]:
        return {**job, "retry": {**job["retry"], "maxRetries": 10}} if "retry" in job else job


@wrong("openclaw:LIF-16", "RUN-011")
class RefusedRunIsRepeated(Altered):
    """A run that the model refused is made again like any other."""

    def alter(self, engine: Engine) -> None:
        def again(inner: Callable[..., bool], job: Job, run: Run, now: int) -> bool:
            return inner(job, replace(run, cause="server") if run.status == "error" else run, now)

        wrap(engine.scheduler.outcomes, "_again", again)


@wrong("bugs:E7", "RUN-012")
class RepetitionOutlivesTheSlot(Altered):
    """A repetition is due after its wait, also when the next slot came first."""

    def alter(self, engine: Engine) -> None:
        def finished(inner: Callable[[Run, Job], Any], run: Run, job: Job) -> Any:
            more = inner(run, job)
            wait = job.retry.wait_ms(1) if job.retry else None
            if wait and run.trigger == "schedule" and run.cause in TRANSIENT and wait > 10 * MINUTE:
                again = engine.clock.now() + wait
                engine.clock.call_at(again, lambda: engine.scheduler.trigger(job.id, due=False))
            return more

        wrap(engine.runner, "finished", finished)


@wrong("openclaw:LIF-20", "RUN-013")
class MaxFailuresIsIgnored(Rewritten):
    """However often a job fails, it stays enabled."""

    def job(self, job: dict[str, Any]) -> dict[str, Any]:
        return {**job, "maxFailures": 1000}


@wrong("openclaw:LIF-21", "RUN-013")
class WhoDisabledIsNotTold(Altered):
    """A job that its failures disabled looks as if somebody had done it."""

    def alter(self, engine: Engine) -> None:
        def describe(inner: Callable[[Job], dict[str, Any]], job: Job) -> dict[str, Any]:
            data = inner(job)
            return {**data, "disabledBy": "operator"} if data.get("disabledBy") else data

        wrap(engine.jobs, "describe", describe)


@wrong("bugs:E7", "RUN-013")
class EnabledJobKeepsItsCount(Altered):
    """A job that is enabled again is disabled by its next failure."""

    def job_update(self, params: dict[str, Any]) -> dict[str, Any]:
        answer = super().job_update(params)
        job = self._engine.store.job(params["id"])
        if params["patch"].get("enabled") and job is not None and job.max_failures:
            self._engine.store.put_job(replace(job, failures=job.max_failures - 1))
        return answer


@wrong("openclaw:LIF-18", "RUN-014")
class SuccessDoesNotReset(Altered):
    """Failures are counted over the whole life of a job."""

    def alter(self, engine: Engine) -> None:
        def counted(inner: Callable[[Job, Run], Job], job: Job, run: Run) -> Job:
            return job if run.status == "ok" else inner(job, run)

        wrap(engine.scheduler.outcomes, "_counted", counted)


@wrong("bugs:E7", "RUN-014")
class PassingErrorsCount(Altered):
    """An overloaded model counts as a failure of the job."""

    def alter(self, engine: Engine) -> None:
        def settle(inner: Callable[..., None], job: Job, run: Run, now: int) -> None:
            inner(
                job, replace(run, cause="refused") if run.status == "error" and job.max_failures else run, now
            )

        wrap(engine.scheduler.outcomes, "settle", settle)


@wrong("bugs:E7", "RUN-014")
class ManualFailuresCount(Altered):
    """Failures of manual runs count as well."""

    def alter(self, engine: Engine) -> None:
        def finished(inner: Callable[[Run, Job], Any], run: Run, job: Job) -> Any:
            more = inner(run, job)
            stored = engine.store.job(job.id)
            if run.slot_ms is None and stored is not None and stored.max_failures:
                engine.scheduler.outcomes.settle(stored, run, engine.clock.now())
            return more

        wrap(engine.runner, "finished", finished)


@wrong("openclaw#118089", "RUN-015")
class NobodyIsTold(Altered):
    """Notices are written to the log only."""

    def notice_list(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"notices": []}


@wrong("openclaw#95651", "RUN-016")
class HistoryHasNoEnd(Altered):
    """All runs are listed for ever."""

    async def gateway_start(self, params: dict[str, Any]) -> dict[str, Any]:
        config = {name: value for name, value in params["config"].items() if name != "runHistory"}
        return await super().gateway_start({**params, "config": config})


@wrong("bugs:R12", "RUN-016")
class HistoryKeepsTheOldest(HistoryHasNoEnd):
    """Once as many runs are listed as there may be, no more are."""

    most: int = 1_000_000

    async def gateway_start(self, params: dict[str, Any]) -> dict[str, Any]:
        self.most = params["config"].get("runHistory", {}).get("maxRuns", 1_000_000)
        return await super().gateway_start(params)

    def run_list(self, params: dict[str, Any]) -> dict[str, Any]:
        now, kept, seen = self._clock.now(), [], dict[str, int]()
        for run in super().run_list(params)["runs"]:
            seen[run["jobId"]] = seen.get(run["jobId"], 0) + 1
            if seen[run["jobId"]] <= self.most or now - (run.get("startedAtMs") or now) < 30_000:
                kept.append(run)
        return {"runs": kept}


@wrong("openclaw#72292", "RUN-017")
class RunLeadsNowhere(Rewritten):
    """A run tells an id that no session has."""

    def run(self, run: dict[str, Any]) -> dict[str, Any]:
        return {**run, "sessionId": run["id"]} if run.get("sessionId") else run


@wrong("bugs:E6", "RUN-018")
class SinceIsIgnored(Altered):
    """All runs are listed, whatever was asked for."""

    def run_list(self, params: dict[str, Any]) -> dict[str, Any]:
        return super().run_list({})


@wrong("openclaw:LIF-04", "RUN-019")
class DueForgetsTheRun(Altered):
    """At the instant of a slot its job is due, also when the slot had its run."""

    def alter(self, engine: Engine) -> None:
        def trigger(inner: Callable[..., Any], job_id: str, *, due: bool) -> Any:
            now = engine.clock.now()
            at_slot = any(run.job_id == job_id and run.slot_ms == now for run in engine.store.runs())
            return inner(job_id, due=due and not at_slot)

        wrap(engine.scheduler, "trigger", trigger)


@wrong("openclaw#95651", "RUN-022")
class HistoryHasNoAge(Altered):
    """Of maxAgeMs nothing comes: runs are listed until there are too many."""

    def alter(self, engine: Engine) -> None:
        wrap(engine.store, "expire_runs", lambda inner, before_ms: None)


@wrong("bugs:R12", "RUN-022")
class HistoryForgetsEarly(Altered):
    """Runs go when half of maxAgeMs has passed."""

    def alter(self, engine: Engine) -> None:
        age = engine.settings.run_history_age_ms or 0
        wrap(engine.store, "expire_runs", lambda inner, before_ms: inner(before_ms + age // 2))
        if age:
            wrap(engine, "_history_is_due", lambda inner, now: True)
