"""Gateways that come to grief where a zone changes its offset (area scheduler)."""

from __future__ import annotations

from typing import Any

from cronsession_reference import cron
from cronsession_reference.engine import Engine
from cronsession_reference.errors import Refused
from cronsession_reference.jobs import Cron, Job
from cronsession_reference.settings import DAY, HOUR

from .altered import Altered, reslot, wrong
from .slots import _wall


def _in_second_pass(job: Job) -> bool:
    """Whether the next run of a cron job lies in the stretch of wall time that comes again."""
    cron_job = isinstance(job.schedule, Cron) and job.next_run_ms is not None
    return cron_job and _wall(job.next_run_ms or 0, job.schedule.tz).fold == 1  # type: ignore[union-attr]


def _gap_before(job: Job, now: int) -> bool:
    """Whether the wall time that comes next is one that does not occur."""
    if not isinstance(job.schedule, Cron):
        return False
    expr, tz = job.schedule.expr, job.schedule.tz
    return cron.parse(expr, tz, "shift").next(now) != cron.parse(expr, tz, "ocps").next(now)


@wrong("qwen-code#11720", "SCH-013", "SCH-032")
class RepeatedHourIsInThePast(Altered):
    """In the hour that comes again the next run is an hour too early, and so at once."""

    def alter(self, engine: Engine) -> None:
        met: set[tuple[str, int | None]] = set()

        def change(job: Job) -> int | None:
            slot, now = job.next_run_ms, engine.clock.now()
            if slot is None or not _in_second_pass(job) or (job.id, slot) in met:
                return slot
            met.add((job.id, slot))
            return max(slot - HOUR, now + 1000)

        reslot(engine, change)


@wrong("apscheduler#1021", "SCH-013", "SCH-032")
class OverlapIsTheEnd(Altered):
    """At an overlap the same instant comes out again and again, so that the job stands still."""

    def alter(self, engine: Engine) -> None:
        reslot(engine, lambda job: None if _in_second_pass(job) else job.next_run_ms)


@wrong("node-cron#518", "SCH-013", "SCH-032")
class GapIsMonthsLong(Altered):
    """Where the wall time that comes next is in a gap, the job goes on ten months later."""

    def alter(self, engine: Engine) -> None:
        def change(job: Job) -> int | None:
            slot = job.next_run_ms
            return slot + 300 * DAY if slot and _gap_before(job, engine.clock.now()) else slot

        reslot(engine, change)


@wrong("croner-rust#16", "SCH-013", "SCH-032")
class GapIsAnError(Altered):
    """Where the wall time that comes next is in a gap, the search for a slot ends in an error."""

    def alter(self, engine: Engine) -> None:
        def change(job: Job) -> int | None:
            if job.next_run_ms and _gap_before(job, engine.clock.now()):
                raise Refused("schedule", "there is no such local time")
            return job.next_run_ms

        reslot(engine, change)


@wrong("librefang#3831", "SCH-032")
class FrequentSlotsRunOnce(Altered, does={"dst": "ocps"}, declares={}):
    """Of two passes of an hour a job that names all of its slots has one, and vixie is declared."""

    def alter(self, engine: Engine) -> None:
        def change(job: Job) -> int | None:
            slot, now = job.next_run_ms, engine.clock.now()
            if not isinstance(job.schedule, Cron) or slot is None or job.schedule.expr.startswith("@"):
                return slot
            minute, hour, *_ = job.schedule.expr.split()
            some_hours = hour != "*" and not (minute.isdigit() and hour.isdigit())
            right = cron.parse(job.schedule.expr, job.schedule.tz, "vixie").next(now)
            return slot if some_hours else right

        reslot(engine, change)


@wrong("hermes-agent#119969", "SCH-026")
class OffsetOfTheHostIsFixed(Altered):
    """Without a zone, a job keeps the offset that the host's has when it is added."""

    def job_add(self, params: dict[str, Any]) -> dict[str, Any]:
        schedule = params["job"].get("schedule")
        if isinstance(schedule, dict) and schedule.get("kind") == "cron" and "tz" not in schedule:
            offset = _wall(self._clock.now(), self._engine.settings.host_zone).utcoffset()
            assert offset is not None
            hours = round(offset.total_seconds() / 3600)
            if hours * 3600 == offset.total_seconds() and hours:
                # In these names west is positive.
                schedule = {**schedule, "tz": f"Etc/GMT{-hours:+d}"}
                params = {**params, "job": {**params["job"], "schedule": schedule}}
        return super().job_add(params)
