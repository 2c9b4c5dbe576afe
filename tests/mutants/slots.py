"""Gateways that run at the wrong time (area scheduler)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from cronsession_reference.engine import Engine
from cronsession_reference.jobs import At, Cron, Every, Job
from cronsession_reference.settings import DAY, HOUR, MINUTE
from cronsession_reference.slots import next_slot
from cronsession_reference.store import Run

from .altered import Altered, reslot, wrap, wrong


def _wall(ms: int, zone: str) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC).astimezone(ZoneInfo(zone))


def _next(schedule: Any, after: int, job: Job) -> int | None:
    return next_slot(schedule, after, job_id=job.id)


@wrong("inngest#2631", "SCH-001")
class DaysAreAnded(Altered):
    """Where both day fields are restricted, a day has to match both."""

    def alter(self, engine: Engine) -> None:
        def change(job: Job) -> int | None:
            slot = job.next_run_ms
            if not isinstance(job.schedule, Cron) or len(job.schedule.expr.split()) != 5:
                return slot
            minute, hour, dom, month, dow = job.schedule.expr.split()
            if dom == "*" or dow == "*":
                return slot
            by_dow = replace(job.schedule, expr=f"{minute} {hour} * {month} {dow}")
            by_dom = replace(job.schedule, expr=f"{minute} {hour} {dom} {month} *")
            for _ in range(400):
                if slot is None or _next(by_dow, slot - 1, job) == slot == _next(by_dom, slot - 1, job):
                    return slot
                slot = _next(job.schedule, slot, job)
            return slot

        reslot(engine, change)


@wrong("openclaw#11486", "SCH-003")
class FarTimerWraps(Altered):
    """What is more than 2^31 ms away fires at once, as a timer of 32 bits does."""

    def alter(self, engine: Engine) -> None:
        def change(job: Job) -> int | None:
            now = engine.clock.now()
            far = isinstance(job.schedule, At) and job.schedule.at_ms - now >= 2**31
            return now + 1 if far else job.next_run_ms

        reslot(engine, change)


@wrong("bugs:S15", "SCH-001")
class WeekBeginsOnMonday(Altered):
    """Day of week 0 is Monday, as in the language's own calendar."""

    def alter(self, engine: Engine) -> None:
        def change(job: Job) -> int | None:
            if not isinstance(job.schedule, Cron) or job.schedule.expr.endswith(("*", "MON-FRI")):
                return job.next_run_ms
            assert job.next_run_ms is not None
            return _next(job.schedule, job.next_run_ms - DAY - 1, job) and job.next_run_ms + DAY

        reslot(engine, change)


@wrong(
    "openclaw#18073",
    *("SCH-001", "SCH-002", "SCH-007", "SCH-008", "SCH-013", "SCH-014", "SCH-015", "SCH-016", "STO-005"),
)
class SlotRunsTwice(Altered):
    """A run that ends within the second of its slot is started again a second later."""

    def alter(self, engine: Engine) -> None:
        repeated: set[str] = set()

        def finished(inner: Callable[[Run, Job], Any], run: Run, job: Job) -> Any:
            more = inner(run, job)
            stored = engine.store.job(job.id)
            if stored is None or stored.next_run_ms is None or run.trigger != "schedule":
                return more
            if run.ended_ms == run.slot_ms and job.id not in repeated:
                repeated.add(job.id)
                engine.store.put_job(replace(stored, next_run_ms=engine.clock.now() + 1000))
            else:
                repeated.discard(job.id)
            return more

        wrap(engine.runner, "finished", finished)


@wrong("nanobot#467", "SCH-001", "SCH-008", "SCH-013", "SCH-014")
class ZoneIsIgnored(Altered):
    """The zone of a job is stored and shown; its slots are those of the host."""

    def alter(self, engine: Engine) -> None:
        def change(job: Job) -> int | None:
            if not isinstance(job.schedule, Cron):
                return job.next_run_ms
            here = replace(job.schedule, tz=engine.settings.host_zone)
            return _next(here, engine.clock.now(), job)

        reslot(engine, change)


@wrong("bugs:S8", "SCH-002", "SCH-009")
class AnchorIsIgnored(Altered):
    """An interval is counted from when its job was added, whatever its anchor."""

    def job_add(self, params: dict[str, Any]) -> dict[str, Any]:
        schedule = {k: v for k, v in params["job"]["schedule"].items() if k != "anchorMs"}
        return super().job_add({**params, "job": {**params["job"], "schedule": schedule}})


@wrong("openclaw#7022", "SCH-002", "SCH-016")
class LongRunsMoveTheInterval(Altered, does={"intervalAnchor": "end"}, declares={}):
    """An interval is counted from the end of the last run, and grid is declared."""


@wrong("bugs:S8", "SCH-016")
class LateRunsMoveTheInterval(Altered, does={"intervalAnchor": "start"}, declares={}):
    """An interval is counted from the start of the last run, and grid is declared."""


@wrong("bugs:S17", "SCH-002")
class LongIntervalsAreHourly(Altered):
    """An interval of more than an hour that is no whole number of hours is cut down to one."""

    def alter(self, engine: Engine) -> None:
        def change(job: Job) -> int | None:
            every = job.schedule
            if not isinstance(every, Every) or every.every_ms <= HOUR or every.every_ms % HOUR == 0:
                return job.next_run_ms
            whole = replace(every, every_ms=every.every_ms // HOUR * HOUR)
            return _next(whole, engine.clock.now(), job)

        reslot(engine, change)


class Repeating(Altered):
    """Starts a one-shot again some time after it ran."""

    after_ms = MINUTE
    statuses: tuple[str, ...] = ("error",)

    def alter(self, engine: Engine) -> None:
        def finished(inner: Callable[[Run, Job], Any], run: Run, job: Job) -> Any:
            more = inner(run, job)
            stored = engine.store.job(job.id)
            if stored is not None and isinstance(stored.schedule, At) and run.status in self.statuses:
                again = engine.clock.now() + self.after_ms
                engine.store.put_job(replace(stored, enabled=True, next_run_ms=again))
            return more

        wrap(engine.runner, "finished", finished)


@wrong("openclaw#11452", "SCH-003")
class FailedOneShotIsNeverDone(Repeating):
    """A one-shot that failed stays enabled and starts again every minute."""


@wrong("openclaw#56488", "SCH-003", "STO-008")
class OneShotComesBack(Repeating):
    """A one-shot that is done starts again every 70 minutes."""

    after_ms, statuses = 70 * MINUTE, ("ok", "error")


@wrong("openclaw:LIF-09", "SCH-041")
class ForcedRunUsesUpTheOneShot(Altered, does={"manualOneShot": "consume"}, declares={}):
    """A one-shot that was run by hand does not run at its instant, and keep is declared."""


@wrong("bugs:S12", "SCH-041")
class ForcedOneShotRunsAgain(Altered, declares={"manualOneShot": "consume"}):
    """A one-shot that was run by hand runs at its instant too, and consume is declared."""


@wrong("bugs:S3", "SCH-042")
class CreationIsASlot(Altered, does={"slotAtCreation": "included"}, declares={}):
    """A job that is added at an instant of its expression runs at once, and excluded is declared."""


@wrong("bugs:S3", "SCH-042")
class CreationIsNoSlot(Altered, declares={"slotAtCreation": "included"}):
    """A job that is added at an instant of its expression waits for the next, and included is declared."""


@wrong("bugs:S10", "SCH-003")
class OneShotIsLate(Altered):
    """One-shots are looked at once every five minutes."""

    def alter(self, engine: Engine) -> None:
        def change(job: Job) -> int | None:
            assert job.next_run_ms is not None
            late = isinstance(job.schedule, At)
            return -(-job.next_run_ms // (5 * MINUTE)) * 5 * MINUTE if late else job.next_run_ms

        reslot(engine, change)


@wrong("bugs:S13", "SCH-004", "SCH-008")
class NextRunIsShownInUtc(Altered):
    """The next run that is listed is computed without the zone."""

    def alter(self, engine: Engine) -> None:
        def describe(inner: Callable[[Job], dict[str, Any]], job: Job) -> dict[str, Any]:
            data = inner(job)
            if isinstance(job.schedule, Cron) and job.next_run_ms is not None:
                utc = replace(job.schedule, tz="UTC")
                data = {**data, "nextRunAtMs": _next(utc, engine.clock.now(), job)}
            return data

        wrap(engine.jobs, "describe", describe)


@wrong(
    "openclaw#9655",
    *("SCH-004", "SCH-007", "SCH-008", "SCH-016", "RUN-002", "STO-005", "STO-007"),
)
class NextRunIsTheLastOne(Altered):
    """Once a recurring job has run by schedule, the slot of that run is listed as the next."""

    def alter(self, engine: Engine) -> None:
        def describe(inner: Callable[[Job], dict[str, Any]], job: Job) -> dict[str, Any]:
            data = inner(job)
            ran = [run.slot_ms for run in engine.store.runs() if run.job_id == job.id and run.slot_ms]
            return {**data, "nextRunAtMs": ran[-1]} if ran and job.next_run_ms is not None else data

        wrap(engine.jobs, "describe", describe)


@wrong("openclaw#118712", "SCH-013")
class GapLosesTheSlot(Altered, does={"dst": "ocps"}, declares={}):
    """A fixed time in a gap is skipped, and vixie is declared."""


@wrong("librefang#3831", "SCH-013")
class OverlapRepeatsTheSlot(Altered, does={"dst": "both"}, declares={}):
    """A fixed time in an overlap runs twice, and vixie is declared."""


@wrong("bugs:S14", "SCH-013")
class GapMovesTheSlot(Altered, does={"dst": "shift"}, declares={}):
    """A fixed time in a gap is moved by its length, and vixie is declared."""


@wrong("croner#284", "SCH-014")
class HostZoneLeaks(Altered):
    """The slots of a job with a zone are off by the odd minutes of the host's own."""

    def alter(self, engine: Engine) -> None:
        host = engine.settings.host_zone

        def change(job: Job) -> int | None:
            slot = job.next_run_ms
            if slot is None or not isinstance(job.schedule, Cron) or job.schedule.tz == host:
                return slot
            offset = _wall(slot, host).utcoffset()
            assert offset is not None
            return slot + round(offset.total_seconds() * 1000) % HOUR

        reslot(engine, change)


@wrong("openclaw#8399", "SCH-015")
class NoZoneIsUtc(Altered, does={"defaultZone": "utc"}, declares={}):
    """An expression without a zone is read in UTC, and host is declared."""


@wrong("bugs:S13", "SCH-015")
class NoZoneIsTheHosts(Altered, declares={"defaultZone": "utc"}):
    """An expression without a zone is read in the host's, and utc is declared."""
