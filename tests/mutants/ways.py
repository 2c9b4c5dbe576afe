"""Gateways that keep a promise for runs at their slots, and not for those that came about another way (area runs)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

from cronsession_reference.engine import Engine
from cronsession_reference.jobs import Cron, Job
from cronsession_reference.slots import stagger_of
from cronsession_reference.store import Run

from .altered import Altered, wrap, wrong
from .limits import Rewritten


class _NoTimeout(Altered):
    """Runs of one trigger have no time-out."""

    trigger: ClassVar[str]

    def alter(self, engine: Engine) -> None:
        def converse(
            inner: Callable[..., Any], turn: Any, place: Any, text: str, timeout: Any, run: Any = None
        ) -> Any:
            free = run is not None and run.trigger == self.trigger
            return inner(turn, place, text, None if free else timeout, run)

        wrap(engine.runner, "_converse", converse)


@wrong("bugs:E3", "RUN-002")
class RepetitionsHaveNoTimeout(_NoTimeout):
    """The time-out of a job is not that of its repetitions."""

    trigger = "retry"


@wrong("bugs:E3", "RUN-002")
class LateRunsHaveNoTimeout(_NoTimeout):
    """The time-out of a job is not that of a run that comes late."""

    trigger = "catchup"


class _Beside(Altered):
    """A manual start does not see runs of one trigger."""

    trigger: ClassVar[str]

    def alter(self, engine: Engine) -> None:
        def start(inner: Callable[..., Any], job_id: str, *, due: bool) -> Any:
            busy = engine.scheduler.busy

            def seen(asked: str) -> bool:
                runs = engine.store.open_runs(asked)
                return busy(asked) and not all(run.trigger == self.trigger for run in runs)

            engine.scheduler.busy = seen  # type: ignore[method-assign]
            try:
                return inner(job_id, due=due)
            finally:
                engine.scheduler.busy = busy  # type: ignore[method-assign]

        wrap(engine.scheduler, "trigger", start)


@wrong("bugs:E5", "RUN-003")
class StartsBesideScheduledRuns(_Beside):
    """A manual start sees manual runs only."""

    trigger = "schedule"


@wrong("bugs:E5", "RUN-003")
class StartsBesideRepetitions(_Beside):
    """A manual start does not see a repetition."""

    trigger = "retry"


@wrong("bugs:E5", "RUN-003")
class StartsBesideLateRuns(_Beside):
    """A manual start does not see a run that came late."""

    trigger = "catchup"


@wrong("bugs:E3", "RUN-005")
class OnlyManualRunsAreCancelled(Altered):
    """A run that was not started by hand cannot be cancelled."""

    def run_cancel(self, params: dict[str, Any]) -> dict[str, Any]:
        run = self._engine.store.run(params["id"]) if isinstance(params.get("id"), str) else None
        return {"cancelled": False} if run and run.trigger != "manual" else super().run_cancel(params)


@wrong("bugs:E6", "RUN-001")
class SkippedSlotsAreOk(Rewritten):
    """A slot that was passed over is listed as ok."""

    def run(self, run: dict[str, Any]) -> dict[str, Any]:
        return {**run, "status": "ok"} if run["status"] == "skipped" else run


@wrong("bugs:E6", "RUN-001")
class MissedSlotsAreOk(Rewritten):
    """A slot that was missed is listed as ok."""

    def run(self, run: dict[str, Any]) -> dict[str, Any]:
        return {**run, "status": "ok"} if run["status"] == "missed" else run


@wrong("bugs:E6", "RUN-001")
class StoppedRunsAreOk(Altered):
    """A run that a stop in good order interrupted is listed as ok."""

    def alter(self, engine: Engine) -> None:
        def finish(inner: Callable[..., None], turn: Any, run: Run, job: Job, status: str) -> None:
            inner(turn, run, job, "ok" if status == "interrupted" and engine.scheduler.closing else status)

        wrap(engine.runner, "_finish", finish)


@wrong("bugs:E6", "RUN-001")
class PassingErrorsAreOk(Rewritten):
    """A run that is to be made again is listed as ok."""

    def run(self, run: dict[str, Any]) -> dict[str, Any]:
        passing = run["status"] == "error" and "503" in str(run.get("error"))
        return {**run, "status": "ok"} if passing else run


@wrong("bugs:S12", "RUN-004")
class NearlyDueIsDue(Altered):
    """A manual start limited to due jobs starts what comes within half a minute."""

    def alter(self, engine: Engine) -> None:
        def start(inner: Callable[..., Any], job_id: str, *, due: bool) -> Any:
            job, now = engine.store.job(job_id), engine.clock.now()
            near = job and job.enabled and job.next_run_ms and now < job.next_run_ms <= now + 30_000
            return inner(job_id, due=due and not near)

        wrap(engine.scheduler, "trigger", start)


class _DueAgain(Altered):
    """A slot is due although it had its run."""

    def again(self, runs: list[Run]) -> bool:
        raise NotImplementedError

    def alter(self, engine: Engine) -> None:
        def start(inner: Callable[..., Any], job_id: str, *, due: bool) -> Any:
            now = engine.clock.now()
            runs = [run for run in engine.store.runs() if run.job_id == job_id and run.slot_ms == now]
            return inner(job_id, due=due and not (runs and self.again(runs)))

        wrap(engine.scheduler, "trigger", start)


@wrong("bugs:S12", "RUN-019")
class FailedSlotsAreDue(_DueAgain):
    """A slot whose run failed is due still."""

    def again(self, runs: list[Run]) -> bool:
        return all(run.status == "error" for run in runs)


@wrong("bugs:S2", "RUN-019")
class SlotsAreDueAfterAStart(_DueAgain):
    """A slot that had its run before a start is due after it."""

    def alter(self, engine: Engine) -> None:
        self._before = {run.id for run in engine.store.runs()}
        super().alter(engine)

    def again(self, runs: list[Run]) -> bool:
        return all(run.id in self._before for run in runs)


@wrong("bugs:E6", "RUN-006")
class RepetitionsBeginAtTheSlot(Rewritten):
    """A repetition is listed as begun at its slot."""

    def run(self, run: dict[str, Any]) -> dict[str, Any]:
        return {**run, "startedAtMs": run["slotMs"]} if run["trigger"] == "retry" else run


@wrong("bugs:E6", "RUN-006")
class LateRunsBeginAtTheSlot(Rewritten):
    """A run that came late is listed as begun in time."""

    def run(self, run: dict[str, Any]) -> dict[str, Any]:
        late = run["trigger"] == "catchup" and run.get("startedAtMs")
        return {**run, "startedAtMs": run["slotMs"]} if late else run


@wrong("bugs:E6", "RUN-007")
class UnmovedSlotsAreTold(Altered):
    """A staggered run is listed with the slot of its expression."""

    def run_list(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"runs": [self._told(run) for run in super().run_list(params)["runs"]]}

    def _told(self, run: dict[str, Any]) -> dict[str, Any]:
        job = self._engine.store.job(run["jobId"])
        if job is None or not isinstance(job.schedule, Cron) or not run.get("slotMs"):
            return run
        return {**run, "slotMs": run["slotMs"] - stagger_of(job.id, job.schedule.stagger_ms)}


class _KeepsRoom(Altered):
    """The room of a run that ended so is never free again."""

    status: ClassVar[str]

    def alter(self, engine: Engine) -> None:
        self._lost = 0

        def finished(inner: Callable[[Run, Job], Any], run: Run, job: Job) -> Any:
            self._lost += run.status == self.status
            return inner(run, job)

        wrap(engine.scheduler.admission, "room", lambda inner: inner() - self._lost)
        wrap(engine.runner, "finished", finished)


@wrong("bugs:E4", "RUN-009")
class TimeOutsKeepTheirRoom(_KeepsRoom):
    """Under maxConcurrentRuns a run that timed out counts for good."""

    status = "timeout"


@wrong("bugs:E4", "RUN-009")
class CancelledRunsKeepTheirRoom(_KeepsRoom):
    """Under maxConcurrentRuns a run that was cancelled counts for good."""

    status = "cancelled"


@wrong("bugs:E4", "RUN-009")
class FailuresKeepTheirRoom(_KeepsRoom):
    """Under maxConcurrentRuns a run that failed counts for good."""

    status = "error"


@wrong("bugs:S13", "SCH-014")
class UtcIsTheHosts(Altered):
    """The zone UTC is taken for none, which is the host's."""

    def alter(self, engine: Engine) -> None:
        def schedule(inner: Callable[..., Any], data: Any, *rest: Any) -> Any:
            found = inner(data, *rest)
            named = isinstance(found, Cron) and found.tz == "UTC" and isinstance(data, dict) and "tz" in data
            return replace(found, tz=engine.settings.host_zone) if named else found

        wrap(engine.jobs, "_schedule", schedule)
