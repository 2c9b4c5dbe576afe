"""Gateways that keep a promise about runs, but not of a repetition, in a line or at an age (area runs)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

from cronsession_reference.engine import Engine
from cronsession_reference.jobs import Job
from cronsession_reference.recovery import Retry
from cronsession_reference.removal import drop_retries
from cronsession_reference.store import Run

from .altered import Altered, wrap, wrong
from .told import Counting


@wrong("bugs:E7", "RUN-010")
class MaxRetriesZeroIsNone(Altered):
    """A maxRetries of 0 is taken for none, which is the gateway's own number."""

    def alter(self, engine: Engine) -> None:
        def again(inner: Callable[..., bool], job: Job, run: Run, now: int) -> bool:
            none = job.retry is not None and job.retry.limit == 0
            return inner(replace(job, retry=Retry()) if none else job, run, now)

        wrap(engine.scheduler.outcomes, "_again", again)


@wrong("openclaw:LIF-16", "RUN-011")
class RefusedRepetitionIsRepeated(Altered):
    """Whether a slot is tried again is decided by how its first run failed."""

    def alter(self, engine: Engine) -> None:
        def again(inner: Callable[..., bool], job: Job, run: Run, now: int) -> bool:
            return inner(job, replace(run, cause="overloaded") if run.attempt else run, now)

        wrap(engine.scheduler.outcomes, "_again", again)


@wrong("bugs:S12", "RUN-010")
class ManualRunDropsTheRepetition(Altered):
    """A manual run stands for the repetition that waits."""

    def alter(self, engine: Engine) -> None:
        def used_up(inner: Callable[..., None], job: Job, run: Run, now: int) -> None:
            drop_retries(engine.store, job.id)
            inner(job, run, now)

        wrap(engine.scheduler.outcomes, "used_up", used_up)


class _FreeOfRoom(Altered):
    """Where there is no room, runs of one trigger begin all the same."""

    trigger: ClassVar[str]
    _free: int | None = None

    def alter(self, engine: Engine) -> None:
        def room(inner: Callable[[], int]) -> int:
            return inner() if self._free is None else self._free

        def startable(inner: Callable[[int, int], list[Run]], now: int, limit: int) -> list[Run]:
            found = inner(now, limit if self._free is None else 1000)
            return [run for run in found if self._free is None or run.trigger == self.trigger]

        def admit(inner: Callable[[int], Any], now: int) -> Any:
            self._free = 1000 if engine.scheduler.admission.room() <= 0 else None
            try:
                return inner(now)
            finally:
                self._free = None

        wrap(engine.scheduler.admission, "room", room)
        wrap(engine.store, "startable", startable)
        wrap(engine.scheduler.admission, "admit", admit)


@wrong("openclaw#103323", "RUN-008")
class RepetitionsNeedNoRoom(_FreeOfRoom):
    """A repetition begins when its wait has passed, whatever is under way."""

    trigger = "retry"


@wrong("bugs:E7", "RUN-012")
class RepetitionOutlivesADowntime(Altered):
    """A start begins with the repetitions that wait, whatever fell due while nobody was there."""

    def alter(self, engine: Engine) -> None:
        self._starting = False

        def recover(inner: Callable[..., None], *, resume: bool = True) -> None:
            self._starting = True
            inner(resume=resume)
            self._starting = False

        wrap(engine.scheduler, "recover", recover)
        wrap(engine.store, "due", lambda inner, now: [] if self._starting else inner(now))


@wrong("openclaw#103323", "RUN-008")
class LateRunsNeedNoRoom(_FreeOfRoom):
    """What is made up for begins at once, whatever is under way."""

    trigger = "catchup"


@wrong("bugs:E4", "RUN-008")
class RoomIsOfAnAgent(Altered):
    """Each agent has room for maxConcurrentRuns."""

    def alter(self, engine: Engine) -> None:
        self._agent: str | None = None

        def claim(inner: Callable[..., Any], job: Job, *rest: Any) -> Any:
            self._agent = job.agent
            try:
                return inner(job, *rest)
            finally:
                self._agent = None

        def running(inner: Callable[[], list[Run]]) -> list[Run]:
            jobs = {job.id for job in engine.store.jobs() if job.agent == self._agent}
            return [run for run in inner() if self._agent is None or run.job_id in jobs]

        wrap(engine.scheduler, "_claim", claim)
        wrap(engine.store, "running", running)


class _ByHandApart(Altered):
    """Of the runs that wait for room those that a person asked for are first, or last."""

    last: ClassVar[bool]

    def alter(self, engine: Engine) -> None:
        def startable(inner: Callable[[int, int], list[Run]], now: int, limit: int) -> list[Run]:
            found = inner(now, 1000)
            return sorted(found, key=lambda run: (run.trigger == "manual") == self.last)[:limit]

        wrap(engine.store, "startable", startable)


@wrong("bugs:E4", "RUN-009")
class ManualRunsGoFirst(_ByHandApart):
    """A person does not wait behind a slot."""

    last = False


@wrong("bugs:E4", "RUN-009")
class ManualRunsGoLast(_ByHandApart):
    """A person waits until no slot does."""

    last = True


@wrong("bugs:R12", "RUN-022")
class HistoryAgesFromTheEnd(Altered):
    """maxAgeMs is counted from the end of a run."""

    def alter(self, engine: Engine) -> None:
        def expire(inner: Callable[[int], None], before: int) -> None:
            store = engine.store
            for run in store.runs():
                if run.ended_ms is not None and run.ended_ms < before:
                    store.delete_run(run.id)

        wrap(engine.store, "expire_runs", expire)


@wrong("bugs:R12", "RUN-016")
class RunUnderWayCounts(Altered):
    """A run that is under way is one of the maxRuns that are listed."""

    def run_list(self, params: dict[str, Any]) -> dict[str, Any]:
        engine = self._engine
        most = engine.settings.run_history
        runs = super().run_list(params)["runs"]
        all_runs = super().run_list({})["runs"]
        latest: set[str] = set()
        for job in {r["jobId"] for r in all_runs}:
            latest |= {r["id"] for r in [r for r in all_runs if r["jobId"] == job][-most:]}
        return {"runs": [r for r in runs if r["id"] in latest]}


@wrong("bugs:E7", "RUN-013")
class RepetitionsAreNoFailures(Counting):
    """How a repetition ended is not counted."""

    def counted(self, job: Job, run: Run, counted: Job) -> Job:
        return job if run.attempt and run.status != "ok" else counted


@wrong("bugs:E7", "RUN-014")
class AnsweredRepetitionsLeaveTheCount(Counting):
    """A slot that was answered when it was tried again leaves the count of failures."""

    def counted(self, job: Job, run: Run, counted: Job) -> Job:
        return job if run.attempt and run.status == "ok" else counted


@wrong("bugs:E7", "RUN-013")
class CancelledRunsAreFailures(Counting):
    """A run that somebody cancelled counts as a failure of its job."""

    def counted(self, job: Job, run: Run, counted: Job) -> Job:
        return replace(job, failures=job.failures + 1) if run.status == "cancelled" else counted

    def alter(self, engine: Engine) -> None:
        super().alter(engine)

        def judged(inner: Callable[..., Job], job: Job, run: Run, now: int) -> Job:
            return inner(job, replace(run, status="timeout") if run.status == "cancelled" else run, now)

        wrap(engine.scheduler.outcomes, "_judged", judged)


@wrong("bugs:E7", "RUN-013")
class CancelledRunsEndTheRow(Counting):
    """A run that somebody cancelled sets the count of failures to zero."""

    def counted(self, job: Job, run: Run, counted: Job) -> Job:
        return replace(job, failures=0) if run.status == "cancelled" else counted


@wrong("openclaw:LIF-04", "RUN-004")
class WhatWasPassedOverIsDue(Altered):
    """A slot that was passed over during a run is due until the next one."""

    def alter(self, engine: Engine) -> None:
        passed: set[str] = set()

        def claim(inner: Callable[..., Any], job: Job, slot: int | None, trigger: str, now: int) -> Any:
            run = inner(job, slot, trigger, now)
            (passed.add if run is None else passed.discard)(job.id)
            return run

        wrap(engine.scheduler, "_claim", claim)

        def trigger(inner: Callable[..., Any], job_id: str, *, due: bool) -> Any:
            return inner(job_id, due=due and job_id not in passed)

        wrap(engine.scheduler, "trigger", trigger)


@wrong("bugs:E3", "RUN-021")
class TimeoutOfManualRunsCountsFromTheAsking(Altered):
    """The time-out of a run by hand counts from when somebody asked for it, also while it waits for room."""

    def alter(self, engine: Engine) -> None:
        def converse(
            inner: Callable[..., Any], turn: Any, place: Any, text: str, timeout: Any, run: Any = None
        ) -> Any:
            if run is not None and run.trigger == "manual" and timeout:
                waited = engine.clock.now() - (run.due_ms or engine.clock.now())
                timeout = max(1, timeout - waited)
            return inner(turn, place, text, timeout, run)

        wrap(engine.runner, "_converse", converse)
