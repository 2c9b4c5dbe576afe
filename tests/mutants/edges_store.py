"""Gateways whose starts and crashes forget one kind of job, session or run, or owe what was never missed (area store)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from cronsession_reference.engine import Engine
from cronsession_reference.jobdesk import Written
from cronsession_reference.jobs import At, Cron, Every, Job
from cronsession_reference.removal import remove_job
from cronsession_reference.settings import DAY
from cronsession_reference.slots import previous_slot
from cronsession_reference.store import Run

from .altered import Altered, wrap, wrong
from .comeback import _overdue, _pass_over
from .reaping import Sparing


class _Lost(Altered):
    """Takes back a part of an edit that came after the last tick before a crash."""

    def after(self, old: Job, new: Job) -> Job:
        raise NotImplementedError

    def alter(self, engine: Engine) -> None:
        self.edited: dict[str, Job] = {}

        def update(inner: Callable[..., Written], job_id: str, *patch: Any) -> Written:
            old = engine.store.job(job_id)
            written = inner(job_id, *patch)
            if old is not None:
                self.edited[job_id] = old
            return written

        wrap(engine.jobs, "update", update)

    async def clock_advance(self, params: dict[str, Any]) -> dict[str, Any]:
        self.edited.clear()
        return await super().clock_advance(params)

    async def gateway_abandon(self, params: dict[str, Any]) -> dict[str, Any]:
        store = self._engine.store
        for job_id, old in self.edited.items():
            if (new := store.job(job_id)) is not None:
                store.put_job(self.after(old, new))
        return await super().gateway_abandon(params)


@wrong("bugs:D1", "STO-001")
class PayloadsAreBuffered(_Lost):
    """What a run is told is written with the next tick."""

    def after(self, old: Job, new: Job) -> Job:
        return replace(new, payload=old.payload)


@wrong("bugs:D1", "STO-001")
class WishesAreBuffered(_Lost):
    """In which session a job runs is written with the next tick."""

    def after(self, old: Job, new: Job) -> Job:
        return replace(new, session=old.session)


@wrong("bugs:D1", "STO-001")
class SwitchingWritesNothingElse(_Lost):
    """Of an edit that disables a job only that is written at once."""

    def after(self, old: Job, new: Job) -> Job:
        if old.enabled == new.enabled:
            return new
        return replace(new, name=old.name, payload=old.payload, session=old.session)


@wrong("bugs:D1", "STO-034")
class SettingsAreBuffered(_Lost):
    """What a job says besides is written with the next tick."""

    def after(self, old: Job, new: Job) -> Job:
        return replace(new, timeout_ms=old.timeout_ms, retry=old.retry, catch_up=old.catch_up)


@wrong("bugs:D7", "STO-028")
class RemovalsWaitForTheRun(Altered):
    """A job that is removed during its run is hidden, and goes when that has ended."""

    def alter(self, engine: Engine) -> None:
        self.waiting: dict[str, Job] = {}

        def remove(inner: Callable[[str], bool], job_id: str) -> bool:
            job = engine.store.job(job_id)
            if job is not None and any(run.job_id == job_id for run in engine.store.running()):
                self.waiting[job_id] = job
            return inner(job_id)

        def finished(inner: Callable[[Run, Job], Any], run: Run, job: Job) -> Any:
            self.waiting.pop(job.id, None)
            return inner(run, job)

        wrap(engine.jobs, "remove", remove)
        wrap(engine.runner, "finished", finished)

    async def gateway_abandon(self, params: dict[str, Any]) -> dict[str, Any]:
        for job in self.waiting.values():
            self._engine.store.put_job(job)
        return await super().gateway_abandon(params)


@wrong("bugs:D7", "STO-002")
class OneShotsThatWentComeBack(Altered):
    """A job that deleteAfterRun removed is in the file until the gateway stops in good order."""

    def alter(self, engine: Engine) -> None:
        self.gone: dict[str, Job] = {}

        def delete(inner: Callable[[str], bool], job_id: str) -> bool:
            job = engine.store.job(job_id)
            if job is not None and job.delete_after_run:
                self.gone[job_id] = job
            return inner(job_id)

        wrap(engine.store, "delete_job", delete)

    async def gateway_abandon(self, params: dict[str, Any]) -> dict[str, Any]:
        for job in self.gone.values():
            self._engine.store.put_job(job)
        return await super().gateway_abandon(params)


class _Losing(Altered):
    """Loses in a crash what it says."""

    def lose(self, engine: Engine) -> None:
        raise NotImplementedError

    async def gateway_abandon(self, params: dict[str, Any]) -> dict[str, Any]:
        self.lose(self._engine)
        return await super().gateway_abandon(params)


@wrong("librefang#3443", "STO-004", "STO-023")
class MainSessionsAreBuffered(_Losing):
    """What was said in a main session is written when the gateway stops."""

    def lose(self, engine: Engine) -> None:
        for row in engine.store.sessions():
            if row.kind == "main":
                engine.transcripts.remove(row.id)


@wrong("bugs:E9", "STO-024")
class FailuresAreBuffered(_Losing):
    """How a run ended is written at once if it was answered."""

    def lose(self, engine: Engine) -> None:
        for run in engine.store.runs():
            if run.status == "error":
                engine.store.delete_run(run.id)


@wrong("bugs:D1", "STO-003")
class StartsClearTheMainSession(Altered):
    """A start begins the main session of each agent anew."""

    def alter(self, engine: Engine) -> None:
        for row in engine.store.sessions():
            if row.kind == "main":
                engine.transcripts.remove(row.id)


@wrong("bugs:R12", "STO-021", "STO-024")
class StartsKeepTheLastRuns(Altered):
    """Of each job a start reads the last run only."""

    def alter(self, engine: Engine) -> None:
        last = {run.job_id: run.number for run in sorted(engine.store.runs(), key=lambda run: run.number)}
        for run in engine.store.runs():
            if run.number < last[run.job_id] and run.ended_ms is not None:
                engine.store.delete_run(run.id)


@wrong("bugs:D4", "STO-020")
class StartsForgetDeleteAfterRun(Altered):
    """A start reads deleteAfterRun as its default."""

    def alter(self, engine: Engine) -> None:
        for job in engine.store.jobs():
            engine.store.put_job(replace(job, delete_after_run=False))


@wrong("bugs:E1", "STO-006")
class InterruptedRunsTakeRoom(Altered):
    """A run that a crash interrupted counts as under way where runs are counted."""

    def alter(self, engine: Engine) -> None:
        lost = len(engine.store.running())
        wrap(engine.scheduler.admission, "room", lambda inner: inner() - lost)


@wrong("bugs:E1", "STO-030")
class LocksOfPeopleStay(Altered):
    """The lock of a human turn that a crash interrupted means that somebody is in the session."""

    left: ClassVar[dict[Path, set[str | None]]] = {}

    async def gateway_abandon(self, params: dict[str, Any]) -> dict[str, Any]:
        people = {turn.key for turn in self._engine.runner.turns if turn.run_id is None}
        self.left[self._engine.transcripts.folder] = people
        return await super().gateway_abandon(params)

    def alter(self, engine: Engine) -> None:
        left, me = self.left.get(engine.transcripts.folder, set()), engine.instance.id
        wrap(engine.store, "lease", lambda inner, key, owner: key not in left and inner(key, owner))
        wrap(engine.store, "lease_owner", lambda inner, key: me if key in left else inner(key))


@wrong("bugs:S7", "STO-011")
class MissedIsWhatCameAfterTheLastRun(Altered):
    """A start owes each slot since the last run, also those before the job was enabled or got its schedule."""

    def alter(self, engine: Engine) -> None:
        now, runs = engine.clock.now(), engine.store.runs()
        for job in engine.store.jobs():
            if not isinstance(job.schedule, Cron) or (job.next_run_ms or 0) <= now:
                continue
            since = max([job.created_ms, *(run.instant_ms for run in runs if run.job_id == job.id)])
            last = previous_slot(job.schedule, now, job_id=job.id)
            if last is not None and last > since:
                engine.store.put_job(replace(job, next_run_ms=last))


@wrong("bugs:S7", "STO-011")
class SkippedIsMissed(Altered):
    """A start makes up for the slot that fell into a run of its own job."""

    def alter(self, engine: Engine) -> None:
        last: dict[str, Run] = {run.job_id: run for run in engine.store.runs() if run.slot_ms is not None}
        for job in engine.store.jobs():
            run = last.get(job.id)
            if run is not None and run.status == "skipped" and job.enabled:
                engine.store.delete_run(run.id)
                engine.store.put_job(replace(job, next_run_ms=run.slot_ms))


@wrong("bugs:S7", "STO-015")
class MainEventsAreNotMadeUpFor(Altered):
    """What a start makes up for are turns of agents; events for a main session it passes over."""

    def alter(self, engine: Engine) -> None:
        for job in _overdue(engine):
            if job.session.target == "main" and not isinstance(job.schedule, At):
                _pass_over(engine, job)


class _DropsOneShots(Altered):
    """Passes over missed one-shots."""

    def drops(self, engine: Engine, job: Job, at_ms: int, earlier: int) -> bool:
        raise NotImplementedError

    def alter(self, engine: Engine) -> None:
        earlier = 0
        for job in _overdue(engine):
            if isinstance(job.schedule, At):
                if self.drops(engine, job, job.schedule.at_ms, earlier):
                    engine.store.put_job(replace(job, enabled=False, next_run_ms=None))
                earlier += 1


@wrong("hermes-agent#59383", "STO-008")
class OneShotsAreGoodForADay(_DropsOneShots):
    """A one-shot that was missed by more than a day is passed over."""

    def drops(self, engine: Engine, job: Job, at_ms: int, earlier: int) -> bool:
        return engine.clock.now() - at_ms > DAY


@wrong("bugs:S10", "STO-008")
class OneOneShotIsMadeUpFor(_DropsOneShots):
    """Of several missed one-shots the first is made up for."""

    def drops(self, engine: Engine, job: Job, at_ms: int, earlier: int) -> bool:
        return earlier > 0


@wrong("bugs:S9", "STO-008")
class OneShotsOfThePastAreTidiedUp(Altered):
    """A start removes one-shots with deleteAfterRun whose instant has passed."""

    def alter(self, engine: Engine) -> None:
        for job in _overdue(engine):
            if isinstance(job.schedule, At) and job.delete_after_run:
                remove_job(engine.store, job.id, engine.clock.now(), engine.settings.agents)


@wrong("bugs:S9", "STO-026")
class LateOneShotsRunAtEachStart(Altered):
    """That a missed one-shot was made up for is not written down."""

    def alter(self, engine: Engine) -> None:
        late = {run.job_id: run for run in engine.store.runs() if run.trigger == "catchup"}
        for job in engine.store.jobs():
            if isinstance(job.schedule, At) and job.id in late and not job.enabled:
                engine.store.delete_run(late[job.id].id)
                engine.store.put_job(replace(job, enabled=True, next_run_ms=job.schedule.at_ms))


@wrong("bugs:K1", "STO-017")
class CatchUpOfIntervalsIsIgnored(Altered):
    """What a job with an interval says about missed slots is not asked."""

    def alter(self, engine: Engine) -> None:
        def read(inner: Callable[[str], Job | None], job_id: str) -> Job | None:
            job = inner(job_id)
            interval = job is not None and isinstance(job.schedule, Every)
            return replace(job, catch_up=None) if job is not None and interval else job

        wrap(engine.scheduler._store, "job", read)


@wrong("openclaw#43193", "STO-009")
class StoppedRunsKeepTheirReceipt(Sparing):
    """The row of a run that a stop interrupted counts as in use for ever."""

    def alter(self, engine: Engine) -> None:
        self.stuck = {run.session_key for run in engine.store.runs() if run.status == "interrupted"}
        super().alter(engine)

    def spares(self, engine: Engine, row: Any, now: int) -> bool:
        return row.key in self.stuck
