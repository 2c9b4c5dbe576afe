"""Gateways that are wrong in what is met last: sessions after an edit or a repetition, receipts and rows of one kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from cronsession_reference.engine import Engine
from cronsession_reference.jobs import At, Job
from cronsession_reference.keys import main_key, receipt_key
from cronsession_reference.resolver import NAMED, RECEIPT
from cronsession_reference.sessions import Place, Turn
from cronsession_reference.store import Run, SessionRow

from .altered import Altered, is_receipt, replan, with_wish, wrap, wrong

HOUR = 3_600_000
DAY = 24 * HOUR


class _FreshAtTimes(Altered):
    """Some runs of jobs with a lasting session are in a fresh one."""

    def astray(self, run: Run, job: Job) -> bool:
        raise NotImplementedError

    def alter(self, engine: Engine) -> None:
        under_way: list[Run] = []

        async def execute(inner: Callable[..., Any], turn: Turn, run: Run, job: Job) -> None:
            under_way[:] = [run]
            await inner(turn, run, job)

        def place(inner: Callable[[Job], Place], job: Job) -> Place:
            if not self.astray(under_way[0], job):
                return inner(job)
            found = Place("", job.agent, RECEIPT, job.id)
            return replace(found, key=receipt_key(job.agent, job.id, found.session_id))

        wrap(engine.runner, "_run", execute)
        wrap(engine.runner, "_place", place)


@wrong("bugs:K2", "RES-022")
class RepeatedEventsAreFresh(_FreshAtTimes):
    """A repetition is where the job's other runs are if that is behind a name or a key, and else in a fresh session."""

    def astray(self, run: Run, job: Job) -> bool:
        plain = job.session.target in ("main", "current") or job.session.mode == "shared"
        return run.trigger == "retry" and plain


@wrong("bugs:K2", "RES-016", "SES-007")
class OneShotsAreNowhere(_FreshAtTimes):
    """A reminder for the main session, or for the one it was made in, is told in neither."""

    def astray(self, run: Run, job: Job) -> bool:
        return isinstance(job.schedule, At) and job.session.target in ("main", "current")


@wrong("bugs:K3", "RES-020")
class SharedModeIsOfTheFirstAgent(_FreshAtTimes):
    """Mode shared has no effect on the jobs of another agent."""

    def astray(self, run: Run, job: Job) -> bool:
        return job.agent != "main" and job.session.mode == "shared"


@wrong("openclaw#63442", "SES-013")
class AnEditedTextLosesTheKey(_FreshAtTimes):
    """The text of a job is edited, and its runs are in the session of its key no more."""

    def __init__(self) -> None:
        super().__init__()
        self._edited: set[str] = set()

    def astray(self, run: Run, job: Job) -> bool:
        return job.id in self._edited and job.session.key is not None

    def job_update(self, params: dict[str, Any]) -> dict[str, Any]:
        answer = super().job_update(params)
        patch = params.get("patch")
        if "job" in answer and isinstance(patch, dict) and "payload" in patch and "session" not in patch:
            self._edited.add(answer["job"]["id"])
        return answer


@wrong("bugs:K4", "RES-010", "RES-028")
class DotsAtTheEndAreLost(Altered):
    """What ends with a dot is taken for the same without it, as by a file system that wants none there."""

    def job_add(self, params: dict[str, Any]) -> dict[str, Any]:
        return super().job_add(with_wish(params, self._trimmed))

    def job_update(self, params: dict[str, Any]) -> dict[str, Any]:
        return super().job_update(with_wish(params, self._trimmed))

    def _trimmed(self, wish: dict[str, Any]) -> dict[str, Any]:
        parts = {m: wish[m].rstrip(".") for m in ("name", "key") if isinstance(wish.get(m), str)}
        return {**wish, **parts}


@wrong("bugs:K3", "RES-025")
class PeopleSpeakToTheFirstAgent(Altered):
    """What a person says in the main session of an agent is said in that of the first one."""

    async def session_send(self, params: dict[str, Any]) -> dict[str, Any]:
        wish = params.get("session")
        if isinstance(wish, dict) and wish.get("target") == "main":
            params = {name: value for name, value in params.items() if name != "agent"}
        return await super().session_send(params)


@wrong("bugs:K5", "SES-003")
class FailuresAreToldInMain(Altered):
    """What an isolated run was asked is put into the main session if it failed."""

    def alter(self, engine: Engine) -> None:
        def finish(inner: Callable[..., None], turn: Turn, run: Run, job: Job, status: str) -> None:
            main = engine.store.session(main_key(job.agent))
            if main is not None and status == "error" and job.session.target == "isolated":
                engine.desk.record(main, "user", f"This failed: {job.payload.text}")
            inner(turn, run, job, status)

        wrap(engine.runner, "_finish", finish)


class _Sparing(Altered):
    """The reaper leaves some of the receipts that have to go."""

    def spares(self, engine: Engine, row: SessionRow) -> bool:
        raise NotImplementedError

    def alter(self, engine: Engine) -> None:
        def plan(inner: Callable[[int], Iterator[SessionRow]], now: int) -> Iterator[SessionRow]:
            return (row for row in inner(now) if not self.spares(engine, row))

        replan(engine, plan)


@wrong("bugs:R6", "REA-001")
class ReceiptsStayBesideAKey(_Sparing):
    """The receipts of a job stay if it has a key now."""

    def spares(self, engine: Engine, row: SessionRow) -> bool:
        job = engine.store.job(row.job_id or "")
        return job is not None and job.session.key is not None


@wrong("openclaw#136339", "REA-016")
class ABusyJobKeepsItsReceipts(_Sparing):
    """No receipt of a job goes while a run of it is under way."""

    def spares(self, engine: Engine, row: SessionRow) -> bool:
        return any(run.job_id == row.job_id for run in engine.store.running())


@wrong("bugs:R1", "REA-001")
class TenReceiptsASweep(Altered):
    """A sweep takes ten receipts at most."""

    def alter(self, engine: Engine) -> None:
        def plan(inner: Callable[[int], Iterator[SessionRow]], now: int) -> Iterator[SessionRow]:
            return (row for row, _ in zip(inner(now), range(10), strict=False))

        wrap(engine.reaper, "plan", plan)


@wrong("openclaw#73166", "REA-001")
class SweepsEndAfterAWeek(Altered):
    """A gateway that is up for more than a week sweeps on request only."""

    def alter(self, engine: Engine) -> None:
        until = engine.clock.now() + 7 * DAY
        wrap(engine, "_sweep_is_due", lambda inner, now: now < until and inner(now))


@wrong("bugs:R7", "REA-001")
class RetentionIsAnHourAtLeast(Altered):
    """A retention of some minutes is one of an hour."""

    def alter(self, engine: Engine) -> None:
        if engine.reaper.retention_ms is not None:
            engine.reaper.retention_ms = max(engine.reaper.retention_ms, HOUR)


@wrong("bugs:R7", "REA-002")
class RetentionIsWholeHours(Altered):
    """Of a retention of more than an hour the minutes are left out."""

    def alter(self, engine: Engine) -> None:
        kept = engine.reaper.retention_ms
        if kept is not None and kept > HOUR:
            engine.reaper.retention_ms = kept - kept % HOUR


@wrong("bugs:R11", "REA-007")
class OneShotsTakeTheirSession(Altered):
    """The named session of a one-shot that was deleted after its run is its receipt."""

    def alter(self, engine: Engine) -> None:
        def finish(inner: Callable[..., None], turn: Turn, run: Run, job: Job, status: str) -> None:
            row = turn.row
            inner(turn, run, job, status)
            now = None if row is None else engine.store.session(row.key)
            if (
                now is not None
                and now.kind == NAMED
                and engine.store.job(job.id) is None
                and job.delete_after_run
            ):
                engine.store.put_session(replace(now, kind=RECEIPT))

        wrap(engine.runner, "_finish", finish)


@wrong("bugs:R4", "REA-025")
class WhatWasPutAsideGoesWithAStart(Altered):
    """A start begins with an empty folder of what was put aside."""

    def alter(self, engine: Engine) -> None:
        for entry in list(engine.store.archives()):
            engine.archive.path(entry.id).unlink(missing_ok=True)
            engine.store.forget_archived(entry.id)


@wrong("bugs:R8", "MNT-001")
class WarnTakesReceipts(Altered):
    """In mode warn receipts go all the same when there are too many rows."""

    def alter(self, engine: Engine) -> None:
        limits = engine.maintenance.limits
        if limits.mode != "warn":
            return

        def plan(inner: Callable[[int], Iterator[SessionRow]], now: int) -> Iterator[SessionRow]:
            yield from inner(now)
            rows = engine.store.sessions()
            yield from [row for row in rows if is_receipt(row)][: max(0, len(rows) - limits.max_entries)]

        wrap(engine.reaper, "plan", plan)
        wrap(
            engine.reaper,
            "is_due",
            lambda inner, totals, now: inner(totals, now) or totals.rows > limits.max_entries,
        )


@wrong("bugs:R3", "MNT-002")
class FailedTurnsAreNoActivity(Altered):
    """A turn without an answer leaves the last activity of its session as it was."""

    def alter(self, engine: Engine) -> None:
        before: dict[str, int] = {}

        def enter(inner: Callable[..., Any], place: Place, opened: Callable[..., Any]) -> Any:
            row = engine.store.session(place.key)
            if row is not None:
                before[place.key] = row.updated_ms
            return inner(place, opened)

        def leave(inner: Callable[[Turn], None], turn: Turn) -> None:
            key = turn.key or ""
            inner(turn)
            row = engine.store.session(key)
            if row is not None and key in before and turn.reply is None and not is_receipt(row):
                engine.store.put_session(replace(row, updated_ms=before[key]))

        wrap(engine.desk, "_open", enter)
        wrap(engine.desk, "leave", leave)


@wrong("openclaw#112638", "MNT-002")
class SessionsBehindAKeyNeverAge(Altered):
    """Maintenance takes no session that a job has the key of."""

    def alter(self, engine: Engine) -> None:
        def evictable(inner: Callable[[], Iterator[SessionRow]]) -> Iterator[SessionRow]:
            keyed = [job for job in engine.store.jobs() if job.session.key is not None]
            spared = {engine.jobs.resolve(job).key for job in keyed}
            return (row for row in inner() if row.key not in spared)

        wrap(engine.store, "evictable", evictable)


@wrong("bugs:R8", "MNT-003")
class TheCapTakesReceiptsFirst(Altered):
    """When there are too many rows, receipts go first, however young."""

    def alter(self, engine: Engine) -> None:
        def evictable(inner: Callable[[], Iterator[SessionRow]]) -> Iterator[SessionRow]:
            return iter(sorted(inner(), key=lambda row: (not is_receipt(row), row.updated_ms)))

        wrap(engine.store, "evictable", evictable)


@wrong("bugs:R4", "MNT-015")
class TheCapLeavesWhatWasSaid(Altered):
    """A session that maxEntries removed comes back with its transcript."""

    def alter(self, engine: Engine) -> None:
        ids: dict[str, str] = {}

        def take(inner: Callable[[SessionRow, int], None], row: SessionRow, now: int) -> None:
            if engine.store.totals().rows > engine.maintenance.limits.max_entries and not is_receipt(row):
                ids[row.key] = row.id
            else:
                inner(row, now)

        def enter(inner: Callable[..., Any], place: Place, opened: Callable[..., Any]) -> Any:
            known = ids.pop(place.key, None) if engine.store.session(place.key) is None else None
            return inner(place if known is None else replace(place, session_id=known), opened)

        wrap(engine.archive, "take", take)
        wrap(engine.desk, "_open", enter)


@wrong("bugs:K6", "SES-016")
class AFailureEmptiesTheMainSession(Altered):
    """When a person's turn in a main session has failed, it begins anew."""

    def alter(self, engine: Engine) -> None:
        async def human(inner: Callable[..., Any], turn: Turn, place: Place, text: str) -> None:
            await inner(turn, place, text)
            if turn.error is not None and turn.row is not None and place.key == main_key(place.agent):
                engine.transcripts.remove(turn.row.id)

        wrap(engine.runner, "_human", human)


@wrong("bugs:K7", "MNT-002")
class ListingJobsIsActivity(Altered):
    """Whoever lists the jobs makes their sessions as good as new."""

    def job_list(self, params: dict[str, Any]) -> dict[str, Any]:
        engine = self._engine
        keys = {engine.jobs.resolve(job).key for job in engine.store.jobs()}
        for row in engine.store.sessions():
            if row.key in keys:
                engine.store.put_session(replace(row, updated_ms=engine.clock.now()))
        return super().job_list(params)


@wrong("bugs:R1", "MNT-018")
class WhatIsPutAsideIsFree(Altered):
    """What was put aside is no part of the bytes that there may be."""

    def alter(self, engine: Engine) -> None:
        wrap(engine.store, "totals", lambda inner: replace(inner(), archived=0))
