"""Gateways that end, cancel and list runs as they should, but not for each target, way or time (area runs)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cronsession_reference.engine import Engine

from .altered import Altered, wrap, wrong
from .limits import Rewritten


@wrong("bugs:R12", "RUN-001")
class RunUnderWayIsForgotten(Altered):
    """A run is not listed once it is older than maxAgeMs, though it is under way."""

    def run_list(self, params: dict[str, Any]) -> dict[str, Any]:
        kept, now = self._engine.settings.run_history_age_ms, self._clock.now()
        runs = super().run_list(params)["runs"]
        return {
            "runs": [
                r for r in runs if kept is None or r["startedAtMs"] is None or r["startedAtMs"] > now - kept
            ]
        }


@wrong("openclaw#95651", "RUN-001")
class RunsAreListedForADay(Altered):
    """Without a configured history runs are listed for a day."""

    def run_list(self, params: dict[str, Any]) -> dict[str, Any]:
        since, now = params.get("sinceMs") or 0, self._clock.now()
        return super().run_list({**params, "sinceMs": max(since, now - 86_400_000)})


@wrong("openclaw#95651", "RUN-001")
class FiftyRunsAreListed(Altered):
    """The latest fifty runs of all jobs are listed."""

    def run_list(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"runs": super().run_list(params)["runs"][-50:]}


@wrong("bugs:E6", "RUN-001")
class CancelRewritesTheEnd(Altered):
    """A run that has ended is cancelled all the same."""

    def run_cancel(self, params: dict[str, Any]) -> dict[str, Any]:
        answer = super().run_cancel(params)
        run = self._engine.store.run(params["id"])
        if run is not None and run.ended_ms is not None and not answer["cancelled"]:
            self._engine.store.put_run(replace(run, status="cancelled"))
            return {"cancelled": True}
        return answer


@wrong("bugs:E3", "RUN-005")
class CancelStopsEveryRun(Altered):
    """A cancel stops whatever is under way."""

    def run_cancel(self, params: dict[str, Any]) -> dict[str, Any]:
        answer = super().run_cancel(params)
        if answer["cancelled"]:
            for run_id in self._engine.runner.live():
                self._engine.runner.cancel(run_id)
        return answer


def _main(engine: Engine, job_id: str) -> bool:
    job = engine.store.job(job_id)
    return job is not None and job.session.target == "main"


@wrong("openclaw#26343", "RUN-001")
class EventsAreOkAtOnce(Altered):
    """A run of target main is ok as soon as its event was put into the session."""

    def run_list(self, params: dict[str, Any]) -> dict[str, Any]:
        def told(run: dict[str, Any]) -> dict[str, Any]:
            main = _main(self._engine, run["jobId"]) and run["startedAtMs"] is not None
            return {**run, "status": "ok", "endedAtMs": run["startedAtMs"]} if main else run

        return {"runs": [told(run) for run in super().run_list(params)["runs"]]}


@wrong("bugs:E3", "RUN-002")
class EventsHaveNoTimeout(Altered):
    """The timeoutMs of a job with target main is accepted and has no effect."""

    def alter(self, engine: Engine) -> None:
        def converse(
            inner: Callable[..., Any], turn: Any, place: Any, text: str, timeout: Any, run: Any = None
        ) -> Any:
            main = run is not None and _main(engine, run.job_id)
            return inner(turn, place, text, None if main else timeout, run)

        wrap(engine.runner, "_converse", converse)


@wrong("bugs:E5", "RUN-003")
class EventsAreNeverBusy(Altered):
    """A job with target main is free as soon as its event was put into the session."""

    def alter(self, engine: Engine) -> None:
        def busy(inner: Callable[[str], bool], job_id: str) -> bool:
            return not _main(engine, job_id) and inner(job_id)

        wrap(engine.scheduler, "busy", busy)


@wrong("bugs:E6", "RUN-006")
class EndIsToldDuringTheRun(Rewritten):
    """A run that is under way has an end already: its start."""

    def run(self, run: dict[str, Any]) -> dict[str, Any]:
        return {**run, "endedAtMs": run["startedAtMs"]} if run["status"] == "running" else run


@wrong("bugs:E6", "RUN-007")
class RepetitionsTellTheirOwnInstant(Rewritten):
    """The slot of a repetition is told as the instant at which it began."""

    def run(self, run: dict[str, Any]) -> dict[str, Any]:
        return {**run, "slotMs": run["startedAtMs"]} if run["trigger"] == "retry" else run


@wrong("bugs:E6", "RUN-007")
class LateRunsTellTheirOwnInstant(Rewritten):
    """The slot of a late run is told as the instant at which it began."""

    def run(self, run: dict[str, Any]) -> dict[str, Any]:
        late = run["trigger"] == "catchup" and run["startedAtMs"]
        return {**run, "slotMs": run["startedAtMs"]} if late else run


@wrong("bugs:E3", "RUN-005")
class WaitingRunsCannotBeCancelled(Altered):
    """A run that waits for its session is not stopped by a cancel."""

    def run_cancel(self, params: dict[str, Any]) -> dict[str, Any]:
        run_id = params["id"]
        waits = [t for t in self._engine.runner.turns if t.run_id == run_id and t.where == "queued"]
        return {"cancelled": False} if waits else super().run_cancel(params)
