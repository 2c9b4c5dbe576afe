"""Gateways that take expressions for something else, or waiting for work (areas scheduler and runs)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

from cronsession_reference import cron
from cronsession_reference.engine import Engine
from cronsession_reference.jobs import Job
from cronsession_reference.store import Run

from .altered import Altered, wrap, wrong


class Rewriting(Altered):
    """Reads an expression as another one."""

    on: ClassVar[tuple[str, ...]] = ("job", "patch")

    def read(self, expr: str) -> str:
        return expr

    def _changed(self, params: dict[str, Any]) -> dict[str, Any]:
        for part in self.on:
            schedule = (params.get(part) or {}).get("schedule")
            if isinstance(schedule, dict) and isinstance(schedule.get("expr"), str):
                schedule = {**schedule, "expr": self.read(schedule["expr"])}
                params = {**params, part: {**params[part], "schedule": schedule}}
        return params

    def job_add(self, params: dict[str, Any]) -> dict[str, Any]:
        return super().job_add(self._changed(params))

    def job_update(self, params: dict[str, Any]) -> dict[str, Any]:
        return super().job_update(self._changed(params))


@wrong("openclaw#91688", "SCH-028")
class NoDateIsNoMatter(Rewriting):
    """An expression that no date matches is accepted; here it comes once in four years instead of never."""

    def read(self, expr: str) -> str:
        try:
            return "0 0 29 2 *" if cron.parse(expr).matches_never else expr
        except ValueError:
            return expr


@wrong("openclaw#91688", "SCH-028")
class NoDateIsNoMatterOnEdit(NoDateIsNoMatter):
    """That a date has to match is asked on add only."""

    on = ("patch",)


@wrong("croniter#122", "SCH-029")
class SecondsComeLast(Rewriting):
    """A sixth field is the second, and stands last."""

    def read(self, expr: str) -> str:
        fields = expr.split()
        return " ".join([fields[-1], *fields[:-1]]) if len(fields) == 6 else expr


@wrong("openclaw#41886", "RUN-021")
class WaitingCountsAsRunning(Altered):
    """The time-out of a run counts from its slot, also while it waits for room."""

    def alter(self, engine: Engine) -> None:
        def run(inner: Callable[..., Any], turn: Any, run: Run, job: Job) -> Any:
            if job.timeout_ms is not None and run.slot_ms is not None:
                waited = engine.clock.now() - run.slot_ms
                job = replace(job, timeout_ms=max(1, job.timeout_ms - waited))
            return inner(turn, run, job)

        wrap(engine.runner, "_run", run)
