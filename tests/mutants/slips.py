"""Gateways with slips of the hand that nobody looked for until the reference was mutated (several areas)."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from unittest import mock
from zoneinfo import ZoneInfo

from cronsession_reference import scheduler
from cronsession_reference.engine import Engine
from cronsession_reference.jobdesk import Written
from cronsession_reference.jobs import Cron, Job
from cronsession_reference.lateness import missed_slots
from cronsession_reference.maintenance import Plan
from cronsession_reference.settings import Settings
from cronsession_reference.store import Run

from .altered import Altered, wrap, wrong
from .dialect import Rewriting


@wrong("bugs:R8", "MNT-003")
class CapEmptiesTheStore(Altered):
    """When there are too many rows, all go that nobody uses."""

    def alter(self, engine: Engine) -> None:
        def plan(inner: Callable[[int], Plan], now: int) -> Plan:
            found = inner(now)
            if "entries" not in found.why:
                return found
            rows = tuple(engine.store.evictable())
            return Plan(rows, ("entries",) * len(rows))

        wrap(engine.maintenance, "plan", plan)


@wrong("bugs:S6", "SCH-007")
class DisabledJobKeepsItsPlace(Altered):
    """What waits for its time when a job is disabled runs all the same: a repetition, a queued slot."""

    def alter(self, engine: Engine) -> None:
        def update(inner: Callable[..., Written], job_id: str, *rest: Any) -> Written:
            waiting = [run for run in engine.store.open_runs(job_id) if run.status == "queued"]
            written = inner(job_id, *rest)
            if not written.job.enabled:
                for run in waiting:
                    engine.store.delete_run(run.id)
                    engine.store.add_run(run)
            return written

        wrap(engine.jobs, "update", update)


@wrong("bugs:O4", "RUN-001")
class EnablingListsAMissedSlot(Altered):
    """A job that is enabled again is listed with a slot that it missed, which it had none of."""

    def alter(self, engine: Engine) -> None:
        def update(inner: Callable[..., Written], job_id: str, patch: dict[str, Any], *rest: Any) -> Written:
            written = inner(job_id, patch, *rest)
            if patch.get("enabled") is True:
                engine.store.add_run(Run(str(uuid.uuid4()), job_id, "schedule", "missed", engine.clock.now()))
            return written

        wrap(engine.jobs, "update", update)


@wrong("bugs:S15", "SCH-005")
class HourTwentyFourIsMidnight(Rewriting):
    """An hour 24 is taken, for hour 0."""

    def read(self, expr: str) -> str:
        texts = expr.split()
        return " ".join([texts[0], "0", *texts[2:]]) if texts[1:2] == ["24"] else expr


@wrong("bugs:S15", "SCH-033")
class LastWorkdayIsJoined(Rewriting):
    """LW beside a day of the week means both, and not either."""

    def read(self, expr: str) -> str:
        texts = expr.split()
        joined = len(texts) == 5 and texts[2] == "LW" and texts[4] not in ("*", "?")
        return " ".join([*texts[:4], f"+{texts[4]}"]) if joined else expr


@wrong("openclaw:RES-26", "RES-018")
class CurrentIsForGood(Altered):
    """A job with target current stays in its session whatever an edit says."""

    def alter(self, engine: Engine) -> None:
        def update(inner: Callable[..., Written], job_id: str, *rest: Any) -> Written:
            old = engine.store.job(job_id)
            written = inner(job_id, *rest)
            if old is not None and old.session.target == "current":
                written = replace(written, job=replace(written.job, session=old.session))
                engine.store.put_job(written.job)
            return written

        wrap(engine.jobs, "update", update)


class _LooksBack(Altered):
    """Counts what was missed in a way of its own."""

    def seen(self, job: Job, now: int) -> Job:
        """The job whose slots it looks for."""
        return job

    def counted(self, slots: list[int]) -> list[int]:
        """Which of them it takes for missed."""
        return slots

    def alter(self, engine: Engine) -> None:
        def missed(job: Job, slot: int, now: int, settings: Settings) -> list[int]:
            return self.counted(missed_slots(self.seen(job, now), slot, now, settings))

        def late(inner: Callable[[Job, int, int], None], *asked: Any) -> None:
            with mock.patch.object(scheduler, "missed_slots", missed):
                inner(*asked)

        wrap(engine.scheduler, "_late", late)


@wrong("bugs:S7", "STO-013")
class MissedSecondsAreOne(_LooksBack):
    """Of several slots in one minute one is counted as missed."""

    def counted(self, slots: list[int]) -> list[int]:
        return sorted({slot // 60_000: slot for slot in slots}.values())


@wrong("bugs:S7", "STO-013")
class LookingBackForgetsTheChange(_LooksBack):
    """The slots that were missed are reckoned with the offset of the start, whatever the clock did meanwhile."""

    def seen(self, job: Job, now: int) -> Job:
        if not isinstance(job.schedule, Cron):
            return job
        offset = datetime.fromtimestamp(now / 1000, ZoneInfo(job.schedule.tz)).utcoffset() or timedelta()
        hours, rest = divmod(offset, timedelta(hours=1))
        return job if rest else replace(job, schedule=replace(job.schedule, tz=f"Etc/GMT{-hours:+d}"))


@wrong("bugs:S8", "STO-007")
class AMissedIntervalIsTheLast(Altered, does={"intervalAnchor": "end", "catchUp": "skip"}):
    """An interval counted from the end of a run waits for the end of a late one, which there is not."""

    def alter(self, engine: Engine) -> None:
        def advance(inner: Callable[..., None], job: Job, *asked: Any, running: bool) -> None:
            inner(job, *asked, running=running or asked[0] == asked[1] - 1)

        wrap(engine.scheduler, "_advance", advance)


@wrong("bugs:S19", "STO-013")
class LookingBackForgetsTheStagger(_LooksBack):
    """A missed slot is listed without the part of the stagger that its job has."""

    def counted(self, slots: list[int]) -> list[int]:
        return [slot // 60_000 * 60_000 for slot in slots]
