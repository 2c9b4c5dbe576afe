"""Gateways that take expressions for something else, or waiting for work (areas scheduler and runs)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
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
            inner = params.get(part)
            schedule = inner.get("schedule") if isinstance(inner, dict) else None
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


class Unaware(Rewriting):
    """Knows nothing beyond five fields, and says so."""

    def initialize(self, params: dict[str, Any]) -> dict[str, Any]:
        found = super().initialize(params)
        return {**found, "capabilities": [c for c in found["capabilities"] if not c.startswith("cron.")]}


def _days_changed(expr: str, day: Callable[[str], str], weekday: Callable[[str], str]) -> str:
    """The expression with other texts in its day fields."""
    fields = expr.split()
    if len(fields) < 5:
        return expr
    first = 1 if len(fields) > 5 else 0
    fields[first + 2] = ",".join(map(day, fields[first + 2].split(",")))
    fields[first + 4] = ",".join(map(weekday, fields[first + 4].split(",")))
    return " ".join(fields)


def _same(part: str) -> str:
    return part


def _core_weekday(part: str) -> str:
    """A weekday without what is said about the week."""
    part = part.partition("#")[0]
    return part[:-1] if len(part) > 1 and part.endswith("L") else part


def _core_day(part: str) -> str:
    return "*" if part in ("L", "LW") else part.removesuffix("W")


@wrong("bugs:S15", "SCH-033")
class OddPartsAreDropped(Unaware):
    """Of a part of a day field the letters that are not known are passed over."""

    def read(self, expr: str) -> str:
        return _days_changed(expr, _core_day, _core_weekday)


@wrong("bugs:S15", "SCH-033")
class QuestionMarksAreDropped(Unaware):
    """With a ? in one day field the other one is passed over as well."""

    def read(self, expr: str) -> str:
        fields = expr.split()
        return " ".join([*fields[:2], "*", fields[3], "*"]) if len(fields) == 5 and "?" in fields else expr


@wrong("bugs:S15", "SCH-033")
class JoinedDaysAreEither(Unaware):
    """A + is passed over."""

    def read(self, expr: str) -> str:
        return expr.replace("+", "")


@wrong("bugs:S16", "SCH-033")
class NicknamesAreAnyTime(Unaware):
    """An expression that begins with @ is every minute."""

    def read(self, expr: str) -> str:
        return "* * * * *" if expr.startswith("@") else expr


@wrong("bugs:S15", "SCH-033", "SCH-035")
class YearsArePassedOver(Rewriting):
    """The seventh field is not read."""

    def read(self, expr: str) -> str:
        fields = expr.split()
        return " ".join(fields[:6]) if len(fields) == 7 else expr


class Refusing(Altered):
    """Declares an extension, and does not know it."""

    def refuses(self, expr: str) -> bool:
        return False

    def _checked(
        self, write: Callable[..., dict[str, Any]], params: dict[str, Any], part: str
    ) -> dict[str, Any]:
        schedule = (params.get(part) or {}).get("schedule")
        expr = schedule.get("expr") if isinstance(schedule, dict) else None
        if isinstance(expr, str) and self.refuses(expr):
            return {"rejected": {"field": "schedule.expr", "reason": "cannot be read"}}
        return write(params)

    def job_add(self, params: dict[str, Any]) -> dict[str, Any]:
        return self._checked(super().job_add, params, "job")

    def job_update(self, params: dict[str, Any]) -> dict[str, Any]:
        return self._checked(super().job_update, params, "patch")


@wrong("bugs:S15", "SCH-034", "SCH-035")
class SecondsAreUnknown(Refusing):
    """Cron of more than five fields is declared, and refused."""

    def refuses(self, expr: str) -> bool:
        return len(expr.split()) > 5


@wrong("bugs:S15", "SCH-034")
class SecondsAreWhole(Altered):
    """A job runs at the end of the minute that its second is in; the second is listed."""

    def alter(self, engine: Engine) -> None:
        wrap(engine.store, "due", lambda inner, now: inner(now // 60_000 * 60_000))

        def next_due(inner: Callable[[], int | None]) -> int | None:
            due = inner()
            return None if due is None else -(-due // 60_000) * 60_000

        wrap(engine.store, "next_due", next_due)


@wrong("bugs:S15", "SCH-035")
class YearsAreUnknown(Refusing):
    """A seventh field is declared, and refused."""

    def refuses(self, expr: str) -> bool:
        return len(expr.split()) > 6


@wrong("bugs:S15", "SCH-036")
class NicknamesAreUnknown(Refusing):
    """Nicknames are declared, and refused."""

    def refuses(self, expr: str) -> bool:
        return expr.startswith("@")


@wrong("bugs:S15", "SCH-033", "SCH-036")
class WeeksBeginOnMonday(Rewriting):
    """A weekly job runs on Mondays."""

    def read(self, expr: str) -> str:
        return "0 0 * * 1" if expr == "@weekly" else expr


@wrong("bugs:S15", "SCH-033", "SCH-037")
class TheLastDayIsThe28th(Rewriting):
    """The last day of a month is one that every month has."""

    def read(self, expr: str) -> str:
        return _days_changed(expr, lambda part: "28" if part == "L" else part, _same)


@wrong("bugs:S15", "SCH-037")
class FebruaryHas28Days(Rewriting):
    """A leap day is not the last day of its month."""

    def read(self, expr: str) -> str:
        fields = expr.split()
        if len(fields) != 5 or "L" not in fields[2].split(","):
            return expr
        now = datetime.fromtimestamp(self._clock.now() / 1000, UTC)
        leap = now.month == 2 and now.year % 4 == 0
        return _days_changed(expr, lambda part: "28" if leap and part == "L" else part, _same)


@wrong("bugs:S15", "SCH-033", "SCH-038")
class NearestIsLater(Rewriting):
    """From a weekend a job goes on to Monday, also from a Saturday."""

    def read(self, expr: str) -> str:
        fields = expr.split()
        if len(fields) != 5 or not fields[2].removesuffix("W").isdigit() or not fields[2].endswith("W"):
            return expr
        wanted = int(fields[2].removesuffix("W"))
        months = {int(fields[3])} if fields[3].isdigit() else set(range(1, 13))
        now = datetime.fromtimestamp(self._clock.now() / 1000, UTC).date()
        days = (now + timedelta(days=n) for n in range(800))
        day = next(day for day in days if day.day == wanted and day.month in months)
        later = f"{wanted + 2}" if day.isoweekday() == 6 and wanted < 27 else fields[2]
        return _days_changed(expr, lambda part: later, _same)


@wrong("bugs:S15", "SCH-033", "SCH-039")
class CountedWeeksAreCalendarWeeks(Rewriting):
    """The second Monday is the one in the second week of seven days plus one."""

    def read(self, expr: str) -> str:
        def later(part: str) -> str:
            name, sharp, nth = part.partition("#")
            return f"{name}#{int(nth) % 5 + 1}" if sharp and nth.isdigit() else part

        return _days_changed(expr, _same, later)


@wrong("bugs:S15", "SCH-039")
class FifthIsTheLast(Rewriting):
    """A month without a fifth Friday has its last one instead."""

    def read(self, expr: str) -> str:
        return _days_changed(expr, _same, lambda part: part.replace("#5", "#L"))


@wrong("bugs:S15", "SCH-033", "SCH-040")
class TheLastIsTheFourth(Rewriting):
    """The last Friday is the fourth."""

    def read(self, expr: str) -> str:
        def fourth(part: str) -> str:
            return f"{_core_weekday(part)}#4" if part.endswith("L") else part

        return _days_changed(expr, _same, fourth)
