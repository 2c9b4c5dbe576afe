"""Gateways whose defect shows at the end of a month, after many runs, for rarer runs or after a start (jobs to store)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, ClassVar
from unittest import mock

from cronsession_reference import scheduler, slots
from cronsession_reference.engine import Engine
from cronsession_reference.jobs import At, Cron, Every, Job
from cronsession_reference.lateness import catch_up_of
from cronsession_reference.recovery import CatchUp
from cronsession_reference.settings import Settings
from cronsession_reference.store import Notice, Run

from .altered import Altered, reslot, wrap, wrong
from .dialect import Rewriting

DAY = 86_400_000


# --- slots ------------------------------------------------------------------------------------------------


@wrong("bugs:S13", "SCH-001")
class MonthsAreThoseOfUtc(Altered):
    """The time and the day of a slot are those of its zone, the month is that of UTC."""

    def alter(self, engine: Engine) -> None:
        def change(job: Job) -> int | None:
            slot = job.next_run_ms
            if not isinstance(job.schedule, Cron) or slot is None or len(job.schedule.expr.split()) != 5:
                return slot
            month = job.schedule.expr.split()[3]
            there = replace(job.schedule, expr=f"* * * {month} *", tz="UTC", stagger_ms=0)
            for _ in range(40):
                if slot is None or slots.next_slot(there, slot - 1, job_id=job.id) == slot // 60_000 * 60_000:
                    break
                slot = slots.next_slot(job.schedule, slot, job_id=job.id)
            return slot

        reslot(engine, change)


@wrong("bugs:S15", "SCH-001")
class ShortMonthsHaveA31st(Rewriting):
    """The 31st of a month is its last day, whichever that is."""

    def read(self, expr: str) -> str:
        texts = expr.split()
        return " ".join([*texts[:2], "L", *texts[3:]]) if texts[2:3] == ["31"] and len(texts) == 5 else expr


@wrong("bugs:S15", "SCH-036")
class AnnuallyIsMonthly(Rewriting):
    """@annually is another word for @monthly."""

    def read(self, expr: str) -> str:
        return "@monthly" if expr == "@annually" else expr


@wrong("bugs:S14", "SCH-013")
class OnlyDailyTimesAreFixed(Altered):
    """A time of some days only is skipped in a gap, and vixie is declared."""

    def alter(self, engine: Engine) -> None:
        def change(job: Job) -> int | None:
            if not isinstance(job.schedule, Cron) or job.schedule.expr.split()[2:] == ["*", "*", "*"]:
                return job.next_run_ms
            return slots.next_slot(job.schedule, engine.clock.now(), job_id=job.id, dst="ocps")

        reslot(engine, change)


class _PassesOver(Altered):
    """Has a reason of its own not to run a slot."""

    def passes_over(self, engine: Engine, job: Job, now: int) -> bool:
        raise NotImplementedError

    def alter(self, engine: Engine) -> None:
        def claim(
            inner: Callable[..., Run | None], job: Job, slot: int | None, how: str, now: int
        ) -> Run | None:
            if how == "schedule" and self.passes_over(engine, job, now):
                return None
            return inner(job, slot, how, now)

        wrap(engine.scheduler, "_claim", claim)


@wrong("bugs:S4", "SCH-001")
class TwoHundredRunsAreEnough(_PassesOver):
    """A job has two hundred runs, and then no more."""

    def passes_over(self, engine: Engine, job: Job, now: int) -> bool:
        return sum(run.job_id == job.id for run in engine.store.runs()) >= 200


@wrong("bugs:S4", "SCH-001")
class TenWeeksAreEnough(_PassesOver):
    """What a job is to do is known for ten weeks from when it was added."""

    def passes_over(self, engine: Engine, job: Job, now: int) -> bool:
        return now - job.created_ms > 70 * DAY


@wrong("bugs:E6", "SCH-001")
class TakenSessionsLoseSlots(_PassesOver):
    """A slot is passed over while somebody is in the session of its job, whoever that is."""

    def passes_over(self, engine: Engine, job: Job, now: int) -> bool:
        key = engine.jobs.resolve(job).key
        return key is not None and engine.store.lease_owner(key) is not None


@wrong("bugs:S12", "SCH-010")
class LongRunsByHandMoveTheNext(Altered):
    """A run by hand that took some time puts the next run off, so that a whole period lies between them."""

    def alter(self, engine: Engine) -> None:
        inner = engine.runner.finished

        def finished(run: Run, job: Job) -> list[tuple[Run, Job]]:
            successors, now, stored = inner(run, job), engine.clock.now(), engine.store.job(run.job_id)
            if run.slot_ms is None and run.started_ms != now and stored is not None and stored.next_run_ms:
                period = stored.schedule.every_ms if isinstance(stored.schedule, Every) else 3_600_000
                if not isinstance(stored.schedule, At):
                    engine.store.put_job(replace(stored, next_run_ms=now + period))
            return successors

        engine.runner.finished = finished


@wrong("bugs:S18", "SCH-016")
class ALongJumpIsTheEnd(Altered):
    """What was due more than a day ago is not looked at any more after a jump."""

    async def clock_jump(self, params: dict[str, Any]) -> dict[str, Any]:
        engine = self._engine
        for job in engine.store.jobs():
            if job.next_run_ms is not None and job.next_run_ms < params["toMs"] - DAY:
                engine.store.put_job(replace(job, next_run_ms=None))
        return await super().clock_jump(params)


class _NotBesides(Altered):
    """Takes a run of one kind for none when a slot of its job falls due."""

    trigger: ClassVar[str] = ""

    def alter(self, engine: Engine) -> None:
        def fire(inner: Callable[[str], Any], job_id: str) -> Any:
            runs = engine.store.open_runs(job_id)
            free = bool(runs) and all(run.trigger == self.trigger for run in runs)
            with mock.patch.object(engine.scheduler, "busy", return_value=False) if free else nullcontext():
                return inner(job_id)

        wrap(engine.scheduler, "_fire", fire)


@wrong("bugs:E5", "SCH-011")
class ALateRunIsNotSeen(_NotBesides):
    """A slot that falls due during a late run starts a run beside it."""

    trigger = "catchup"


@wrong("bugs:E5", "SCH-011")
class LateRunsAreTogether(Altered):
    """Where all missed slots of a job are run late, they begin together."""

    def alter(self, engine: Engine) -> None:
        def startable(inner: Callable[[int, int], list[Run]], now: int, most: int) -> list[Run]:
            found = inner(now, most)
            waiting = [run for run in engine.store.open_runs() if run.status == "queued" and run not in found]
            return [
                *found,
                *(run for run in waiting if run.trigger == "catchup" and (run.due_ms or 0) <= now),
            ]

        wrap(engine.store, "startable", startable)


# --- starts -----------------------------------------------------------------------------------------------


class _Starts(Altered):
    """Reads jobs otherwise than they were written."""

    def read(self, job: Job, now: int) -> Job:
        return job

    def alter(self, engine: Engine) -> None:
        def recover(inner: Callable[..., None], **options: Any) -> None:
            for job in engine.store.jobs():
                if (read := self.read(job, engine.clock.now())) != job:
                    engine.store.put_job(read)
            inner(**options)

        wrap(engine.scheduler, "recover", recover)


@wrong("bugs:D1", "STO-001", "STO-020")
class LettersAreReadAsAscii(_Starts):
    """A start reads other letters than those of ASCII as question marks."""

    def read(self, job: Job, now: int) -> Job:
        return replace(job, name=job.name.encode("ascii", "replace").decode())


@wrong("bugs:D1", "STO-001", "STO-020")
class TextsAreReadInPart(_Starts):
    """Of a text a start reads what fits into its column."""

    def read(self, job: Job, now: int) -> Job:
        return replace(job, payload=replace(job.payload, text=job.payload.text[:4096]))


@wrong("bugs:S19", "STO-001", "STO-020")
class StartsForgetTheStagger(_Starts):
    """The staggerMs of a job is not read back by a start."""

    def read(self, job: Job, now: int) -> Job:
        cron = isinstance(job.schedule, Cron)
        return replace(job, schedule=replace(job.schedule, stagger_ms=0)) if cron else job  # type: ignore[arg-type]


@wrong("bugs:E7", "STO-020")
class StartsEnableWhatFailed(_Starts):
    """A start enables what no person disabled."""

    def read(self, job: Job, now: int) -> Job:
        if job.disabled_by != "failures":
            return job
        upcoming = slots.next_slot(job.schedule, now, job_id=job.id)
        return replace(job, enabled=True, disabled_by=None, failures=0, next_run_ms=upcoming)


@wrong("bugs:S8", "STO-030")
class StartsForgetFutureAnchors(_Starts):
    """After a start the anchor of an interval tells its phase only."""

    def read(self, job: Job, now: int) -> Job:
        every = job.schedule
        if not isinstance(every, Every) or every.anchor_ms <= now or job.next_run_ms is None:
            return job
        return replace(job, next_run_ms=now + ((every.anchor_ms - now) % every.every_ms or every.every_ms))


@wrong("bugs:D4", "STO-020")
class FiftyJobsAreRead(Altered):
    """A start reads a page of fifty jobs."""

    def alter(self, engine: Engine) -> None:
        for job in engine.store.jobs()[50:]:
            engine.store.delete_job(job.id)


@wrong("bugs:E7", "RUN-015")
class StartsTellAgain(Altered):
    """Each start tells people of the jobs that their failures disabled."""

    def alter(self, engine: Engine) -> None:
        now = engine.clock.now()
        for job in engine.store.jobs():
            if job.disabled_by == "failures":
                engine.scheduler.outcomes.notify(Notice(now, "autoDisabled", "is disabled", job.id))


@wrong("bugs:S6", "STO-007", "STO-008")
class SlotsAtAStartAreLost(Altered):
    """A slot at the very instant of a start is neither missed nor to come."""

    def alter(self, engine: Engine) -> None:
        began = engine.clock.now()

        def fire(inner: Callable[[str], Any], job_id: str) -> Any:
            job = engine.store.job(job_id)
            if job is None or job.next_run_ms != began or job.created_ms == began:
                return inner(job_id)
            engine.scheduler._advance(job, began, began, running=False)
            return []

        wrap(engine.scheduler, "_fire", fire)


class _MakesUpForLess(Altered):
    """Owes less than its policy says."""

    def owed(self, job: Job, missed: list[int], now: int) -> list[int]:
        raise NotImplementedError

    def alter(self, engine: Engine) -> None:
        def late(inner: Callable[[Job, int, int], None], job: Job, *asked: int) -> None:
            def catch_up(job: Job, settings: Settings) -> CatchUp:
                found = catch_up_of(job, settings)
                chosen = mock.Mock(policy=found.policy)
                chosen.choose = lambda missed, now: self.owed(job, found.choose(missed, now), now)
                return chosen

            with mock.patch.object(scheduler, "catch_up_of", catch_up):
                inner(job, *asked)

        wrap(engine.scheduler, "_late", late)


@wrong("bugs:S6", "STO-007")
class SlotsAreGoodForAnHour(_MakesUpForLess):
    """A slot that was missed by more than an hour is passed over, and once is declared."""

    def owed(self, job: Job, missed: list[int], now: int) -> list[int]:
        return [slot for slot in missed if isinstance(job.schedule, At) or now - slot <= 3_600_000]


@wrong("bugs:S6", "STO-008")
class OneShotsAreGoodForAWeek(_MakesUpForLess):
    """A one-shot that was missed by more than a week is passed over, and run is declared."""

    def owed(self, job: Job, missed: list[int], now: int) -> list[int]:
        return [slot for slot in missed if not isinstance(job.schedule, At) or now - slot <= 7 * DAY]


@wrong("bugs:S6", "STO-017")
class AllAreThree(_MakesUpForLess):
    """Where a job says all, three missed slots are run late."""

    def owed(self, job: Job, missed: list[int], now: int) -> list[int]:
        return missed[-3:]


@wrong("bugs:S9", "SCH-020")
class LateOneShotsStay(Altered):
    """A one-shot that is to be removed after its run stays where that came late."""

    def alter(self, engine: Engine) -> None:
        def settle(inner: Callable[..., None], job: Job, run: Run, now: int) -> None:
            inner(replace(job, delete_after_run=job.delete_after_run and run.trigger != "catchup"), run, now)

        wrap(engine.scheduler.outcomes, "settle", settle)
