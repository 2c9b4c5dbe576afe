"""Gateways that are right in several ways at once that the specs leave open: each way was once found fault with."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, ClassVar

from cronsession_reference.engine import Engine
from cronsession_reference.errors import ModelError, Refused
from cronsession_reference.jobs import At, Job
from cronsession_reference.keys import main_key
from cronsession_reference.removal import remove_job
from cronsession_reference.resolver import MAIN
from cronsession_reference.store import Run, SessionRow

from ..mutants.altered import wrap
from .rarer import Anchored, CoarseClock
from .table import Declaring, inner, right


@right
class WholeSeconds(CoarseClock):
    """Reckons in whole seconds, in its slots and in what it tells, and an agent's main session is listed with its first row."""

    # What was asked for is shown as it was; a new process on the same folder knows it as well.
    given: ClassVar[dict[str, dict[str, Any]]] = {}

    def alter(self, engine: Engine) -> None:
        super().alter(engine)

        def put(kept: Callable[[SessionRow], None], row: SessionRow) -> None:
            new, key = engine.store.session(row.key) is None, main_key(row.agent)
            kept(row)
            if new and engine.store.session(key) is None:
                now = engine.clock.now()
                kept(SessionRow(key, str(uuid.uuid4()), row.agent, None, MAIN, now, now))

        wrap(engine.store, "put_session", put)

    def job_add(self, params: dict[str, Any]) -> dict[str, Any]:
        return self._as_given(super().job_add(self._whole(params, "job")), inner(params, "job"))

    def job_update(self, params: dict[str, Any]) -> dict[str, Any]:
        return self._as_given(super().job_update(self._whole(params, "patch")), inner(params, "patch"))

    def job_list(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"jobs": [self._shown(job) for job in super().job_list(params)["jobs"]]}

    def run_list(self, params: dict[str, Any]) -> dict[str, Any]:
        since, runs = params.get("sinceMs", 0), super().run_list({})["runs"]
        return {"runs": [run for run in runs if (run["startedAtMs"] or run["slotMs"] or since) >= since]}

    def _whole(self, params: dict[str, Any], part: str) -> dict[str, Any]:
        schedule = inner(params, part, "schedule")
        instants = {name: schedule.get(name) for name in ("atMs", "anchorMs")}
        whole = {name: self._floor(t) for name, t in instants.items() if type(t) is int and t >= 0}
        return {**params, part: {**params[part], "schedule": {**schedule, **whole}}} if whole else params

    def _as_given(self, answer: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
        if "job" not in answer:
            return answer
        if "schedule" in asked:
            self.given[answer["job"]["id"]] = asked["schedule"]
        return {**answer, "job": self._shown(answer["job"])}

    def _shown(self, job: dict[str, Any]) -> dict[str, Any]:
        return {**job, "schedule": {**job["schedule"], **self.given.get(job["id"], {})}}


@right
class GoesItsOwnWay(Anchored, does={"manualOneShot": "consume"}):
    """Sends a request three times and makes a run again by default; intervals are counted from the epoch.

    A one-shot that is done is gone. A removal takes with the job what it is running.
    """

    RETRY: ClassVar[dict[str, Any]] = {"maxRetries": 3, "backoffMs": [30_000, 60_000, 300_000]}

    def alter(self, engine: Engine) -> None:
        async def complete(asked: Callable[..., Any], messages: Any) -> Any:
            for _ in range(2):
                try:
                    return await asked(messages)
                except ModelError as failure:
                    if failure.status is None or failure.status < 500:
                        raise
            return await asked(messages)

        def finished(ended: Callable[[Run, Job], Any], run: Run, job: Job) -> Any:
            more, stored = ended(run, job), engine.store.job(job.id)
            if stored is not None and _is_done(stored) and stored.schedule == job.schedule:
                remove_job(engine.store, job.id, engine.clock.now(), engine.settings.agents)
            return more

        wrap(engine.runner.model, "complete", complete)
        wrap(engine.runner, "finished", finished)

    def _anchor(self, now: int) -> int:
        return 0

    def job_add(self, params: dict[str, Any]) -> dict[str, Any]:
        job = inner(params, "job")
        return super().job_add({**params, "job": {"retry": self.RETRY, **job}} if job else params)

    def job_update(self, params: dict[str, Any]) -> dict[str, Any]:
        patch = inner(params, "patch")
        cleared = patch.get("retry", self) is None
        return super().job_update({**params, "patch": {**patch, "retry": self.RETRY}} if cleared else params)

    def job_remove(self, params: dict[str, Any]) -> dict[str, Any]:
        for run in self._engine.store.running():
            if run.job_id == params.get("id"):
                self._engine.runner.cancel(run.id)
        return super().job_remove(params)

    def run_cancel(self, params: dict[str, Any]) -> dict[str, Any]:
        if params.get("id") not in {run.id for run in self._engine.store.running()}:
            raise Refused("id", "is no run that is under way")
        return super().run_cancel(params)


def _is_done(job: Job) -> bool:
    return isinstance(job.schedule, At) and not job.enabled and job.disabled_by is None


class CronOnly(Declaring):
    """Knows cron expressions, and no other schedule.

    Not in the table: what it does not know is not asked for in the core.
    """

    lacks = ("schedule.every", "schedule.at", "job.deleteAfterRun")

    def job_add(self, params: dict[str, Any]) -> dict[str, Any]:
        _only_cron(params, "job")
        return super().job_add(params)

    def job_update(self, params: dict[str, Any]) -> dict[str, Any]:
        _only_cron(params, "patch")
        return super().job_update(params)


def _only_cron(params: dict[str, Any], part: str) -> None:
    if inner(params, part, "schedule").get("kind") in ("every", "at"):
        raise RuntimeError("this gateway knows cron expressions only, and declares no other schedule")
