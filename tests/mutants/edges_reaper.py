"""Gateways whose sweeps and limits forget one kind of row, or take one kind too many (areas reaper, maintenance)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from cronsession_reference.engine import Engine
from cronsession_reference.maintenance import Plan, plan
from cronsession_reference.settings import DAY, HOUR
from cronsession_reference.store import SessionRow

from .altered import Altered, Rows, is_receipt, wrap, wrong
from .bounds import _limits as change_limits
from .bounds import _remove as remove
from .reaping import Sparing, reap


def _is_busy(engine: Engine, row: SessionRow) -> bool:
    return engine.store.lease_owner(row.key) is not None


def _all_rows(engine: Engine) -> list[SessionRow]:
    """What maintenance might take if nothing was in use, the one idle for longest first."""
    return sorted((r for r in engine.store.sessions() if r.kind != "main"), key=lambda r: r.updated_ms)


# --- the reaper --------------------------------------------------------------------------------------------


@wrong("bugs:R11", "REA-007")
class MainSessionsOfOthersAreReaped(Altered):
    """The reaper knows the main session of the default agent."""

    def alter(self, engine: Engine) -> None:
        def chosen(row: SessionRow, now: int, kept: int) -> bool:
            other = row.kind == "main" and row.agent != engine.settings.default_agent
            return other and not _is_busy(engine, row) and now - row.updated_ms > kept

        reap(engine, chosen)


@wrong("bugs:R7", "REA-002")
class RetentionIsAMonthAtMost(Altered):
    """A retention of more than thirty days is cut to that."""

    def alter(self, engine: Engine) -> None:
        if engine.reaper.retention_ms is not None:
            engine.reaper.retention_ms = min(engine.reaper.retention_ms, 30 * DAY)


@wrong("openclaw#46369", "REA-011")
class MovedJobsLeaveTheirReceipts(Sparing):
    """The receipts of a job are looked for where its agent is now."""

    def spares(self, engine: Engine, row: SessionRow, now: int) -> bool:
        job = engine.store.job(row.job_id or "")
        return job is not None and job.agent != row.agent


@wrong("openclaw#56034", "REA-006")
class RunsOfADayAreStale(Altered):
    """What is under way for more than twelve hours counts as given up."""

    def alter(self, engine: Engine) -> None:
        reap(engine, lambda row, now, kept: is_receipt(row) and now - row.updated_ms > max(kept, 12 * HOUR))


@wrong("bugs:R3", "REA-006")
class RequestedSweepsTakeRunsUnderWay(Altered):
    """A sweep on request does not ask what is in use."""

    def store_sweep(self, params: dict[str, Any]) -> dict[str, Any]:
        removed, engine = super().store_sweep(params)["removed"], self._engine
        kept, now = engine.reaper.retention_ms, engine.clock.now()
        old = [r for r in _all_rows(engine) if is_receipt(r) and kept and now - r.updated_ms > kept]
        return {"removed": removed + remove(engine, old)}


@wrong("bugs:R6", "REA-022")
class RequestedSweepsAreOfTheDefaultAgent(Altered):
    """A sweep on request looks into the store of the default agent."""

    def store_sweep(self, params: dict[str, Any]) -> dict[str, Any]:
        engine = self._engine
        whole, mine = engine.reaper.plan, engine.settings.default_agent
        engine.reaper.plan = lambda now: (r for r in whole(now) if r.agent == mine)  # type: ignore[method-assign]
        try:
            return super().store_sweep(params)
        finally:
            engine.reaper.plan = whole  # type: ignore[method-assign]


class _KeepingFiles(Altered):
    """Removes some rows without what was said there."""

    def keeps(self, engine: Engine, row: SessionRow) -> bool:
        raise NotImplementedError

    def alter(self, engine: Engine) -> None:
        def take(inner: Callable[[SessionRow, int], None], row: SessionRow, now: int) -> None:
            if not self.keeps(engine, row):
                inner(row, now)

        wrap(engine.archive, "take", take)


@wrong("openclaw#65151", "REA-019")
class TranscriptsOfOtherAgentsStay(_KeepingFiles):
    """Transcripts are looked for in the folder of the default agent."""

    def keeps(self, engine: Engine, row: SessionRow) -> bool:
        return row.agent != engine.settings.default_agent


@wrong("openclaw#65151", "REA-009")
class TranscriptsOfFailuresStay(_KeepingFiles):
    """What was said in a run that failed is kept for good."""

    def keeps(self, engine: Engine, row: SessionRow) -> bool:
        return any(run.session_key == row.key and run.status != "ok" for run in engine.store.runs())


@wrong("bugs:R4", "REA-009")
class TranscriptsOutliveTheCap(_KeepingFiles):
    """What age and the cap take is taken from the index only."""

    def keeps(self, engine: Engine, row: SessionRow) -> bool:
        light = engine.store.totals().bytes <= engine.maintenance.limits.max_disk_bytes
        return light and not is_receipt(row)


@wrong("bugs:R4", "REA-026")
class ArchivesOfBeforeStay(Altered):
    """What was put aside before a start is not looked at again."""

    def alter(self, engine: Engine) -> None:
        before = {entry.id for entry in engine.store.archives()}
        wrap(engine.store, "archives", lambda inner, *when: (e for e in inner(*when) if e.id not in before))


# --- maintenance ---------------------------------------------------------------------------------------------


@wrong("bugs:R7", "MNT-002")
class AgeIsAMonthAtMost(Altered):
    """A limit of age beyond thirty days is cut to that."""

    def alter(self, engine: Engine) -> None:
        change_limits(engine, prune_after_ms=min(engine.maintenance.limits.prune_after_ms, 30 * DAY))


class _OnRequest(Altered):
    """Does maintenance on request over other rows than by time."""

    def rows(self, engine: Engine, inner: Callable[[], Rows]) -> Rows:
        return inner()

    @contextmanager
    def changed(self, engine: Engine, *, dry_run: bool) -> Iterator[None]:
        whole = engine.store.evictable
        engine.store.evictable = lambda: self.rows(engine, whole)  # type: ignore[method-assign]
        try:
            yield
        finally:
            engine.store.evictable = whole  # type: ignore[method-assign]

    def store_maintain(self, params: dict[str, Any]) -> dict[str, Any]:
        with self.changed(self._engine, dry_run=params["dryRun"] is True):
            return super().store_maintain(params)


@wrong("bugs:R8", "MNT-005")
class RequestsAreForTheDefaultAgent(_OnRequest):
    """Maintenance on request, and its dry run, are about the default agent."""

    def rows(self, engine: Engine, inner: Callable[[], Rows]) -> Rows:
        return (row for row in inner() if row.agent == engine.settings.default_agent)


@wrong("bugs:R8", "MNT-005")
class DryRunsKnowNoReceipts(Altered):
    """A dry run leaves out receipts."""

    def store_maintain(self, params: dict[str, Any]) -> dict[str, Any]:
        store = self._engine.store
        receipts = {row.key for row in store.sessions() if is_receipt(row)}
        answer = super().store_maintain(params)
        if not params["dryRun"]:
            return answer
        named = [key for key in answer["removed"] if key not in receipts]
        return {**answer, "removed": named, "after": answer["before"] - len(named)}


@wrong("openclaw:MNT-06", "MNT-005")
class RequestsDoNothing(Altered):
    """Maintenance on request is left to the next sweep, and nothing is said of it."""

    def store_maintain(self, params: dict[str, Any]) -> dict[str, Any]:
        rows = self._engine.store.totals().rows
        return {"before": rows, "after": rows, "removed": []}


@wrong("bugs:R4", "MNT-005")
class DryRunsRemoveTheTranscripts(Altered):
    """A dry run leaves the rows alone, and removes what was said there."""

    def store_maintain(self, params: dict[str, Any]) -> dict[str, Any]:
        answer, engine = super().store_maintain(params), self._engine
        rows = [engine.store.session(key) for key in answer["removed"]] if params["dryRun"] else []
        for row in rows:
            if row is not None:
                engine.transcripts.remove(row.id)
        return answer


@wrong("openclaw#56034", "MNT-004")
class RequestsTakeRunsUnderWay(_OnRequest):
    """Maintenance on request takes what is in use."""

    @contextmanager
    def changed(self, engine: Engine, *, dry_run: bool) -> Iterator[None]:
        enforce = engine.maintenance.enforce
        plain = lambda now: remove(engine, engine.maintenance.plan(now).rows)  # noqa: E731
        engine.maintenance.enforce = enforce if dry_run else plain  # type: ignore[method-assign]
        with super().changed(engine, dry_run=dry_run):
            yield
        engine.maintenance.enforce = enforce  # type: ignore[method-assign]

    def rows(self, engine: Engine, inner: Callable[[], Rows]) -> Rows:
        return iter(_all_rows(engine))


@wrong("openclaw:MNT-01", "MNT-012")
class RequestsInWarnTakeBytes(Altered):
    """In mode warn maintenance on request removes what the bytes ask for."""

    def store_maintain(self, params: dict[str, Any]) -> dict[str, Any]:
        engine = self._engine
        limits = engine.maintenance.limits
        if limits.mode == "warn":
            change_limits(engine, mode="enforce", max_entries=10**9, prune_after_ms=10**15)
        try:
            return super().store_maintain(params)
        finally:
            engine.maintenance.limits = limits


class _Choosing(Altered):
    """Plans otherwise where a limit is exceeded, and removes what it planned."""

    def choose(self, engine: Engine, now: int) -> Plan | None:
        raise NotImplementedError

    def alter(self, engine: Engine) -> None:
        wrap(engine.maintenance, "plan", lambda inner, now: self.choose(engine, now) or inner(now))
        wrap(
            engine.maintenance,
            "enforce",
            lambda inner, now: remove(engine, engine.maintenance.plan(now).rows),
        )


@wrong("openclaw#56034", "MNT-004")
class BytesTakeRunsUnderWay(_Choosing):
    """Too many bytes take what is in use."""

    def choose(self, engine: Engine, now: int) -> Plan | None:
        limits, totals = engine.maintenance.limits, engine.store.totals()
        if limits.mode != "enforce" or totals.bytes <= limits.max_disk_bytes:
            return None
        return plan(_all_rows(engine), totals, limits, now)


@wrong("openclaw#56034", "MNT-007")
class TheCapTakesWaitingPeople(_Choosing):
    """Too many rows take the session of a human turn that waits."""

    def choose(self, engine: Engine, now: int) -> Plan | None:
        limits, totals = engine.maintenance.limits, engine.store.totals()
        if limits.mode != "enforce" or totals.rows <= limits.max_entries:
            return None
        people = {turn.key for turn in engine.runner.turns if turn.run_id is None}
        rows = [row for row in _all_rows(engine) if row.key in people or not _is_busy(engine, row)]
        return plan(rows, totals, limits, now)


@wrong("bugs:R6", "MNT-003")
class TheCapIsOfTheDefaultAgent(_Choosing):
    """Only the rows of the default agent are counted and capped."""

    def choose(self, engine: Engine, now: int) -> Plan | None:
        limits, totals = engine.maintenance.limits, engine.store.totals()
        if limits.mode != "enforce":
            return None
        rows = list(engine.store.evictable())
        mine = [row for row in rows if row.agent == engine.settings.default_agent]
        old = [r for r in rows if r not in mine and now - r.updated_ms > limits.prune_after_ms]
        others = sum(row.agent != engine.settings.default_agent for row in engine.store.sessions())
        chosen = plan(mine, replace(totals, rows=totals.rows - others), limits, now)
        return Plan((*old, *chosen.rows), ("age",) * len(old) + chosen.why)


@wrong("openclaw#136339", "MNT-008")
class ABusyRowEndsTheCap(Altered):
    """The cap goes through the rows, oldest first, as far as the first one in use."""

    def alter(self, engine: Engine) -> None:
        def evictable(inner: Callable[[], Rows]) -> Rows:
            rows, crowded = _all_rows(engine), self._is_crowded(engine)
            first = next((n for n, row in enumerate(rows) if _is_busy(engine, row)), len(rows))
            return iter(rows[:first]) if crowded else inner()

        wrap(engine.store, "evictable", evictable)

    def _is_crowded(self, engine: Engine) -> bool:
        return engine.store.totals().rows > engine.maintenance.limits.max_entries
