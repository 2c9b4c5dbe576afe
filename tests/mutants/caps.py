"""Gateways whose limits forget some rows, or whose maintenance spoils what it should leave (area maintenance)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from cronsession_reference.archive import Archive
from cronsession_reference.engine import Engine
from cronsession_reference.sessions import Place, Turn
from cronsession_reference.settings import Limits
from cronsession_reference.store import SessionRow

from .altered import Altered, Rows, wrap, wrong
from .bounds import _limits as change_limits
from .bounds import _remove as remove


def _leave_out(engine: Engine, spared: Callable[[SessionRow], bool]) -> None:
    """Let maintenance not see some rows that it may take."""
    wrap(engine.store, "evictable", lambda inner: (row for row in inner() if not spared(row)))


@wrong("bugs:R3", "MNT-007")
class WaitingPeopleAreNotInUse(Altered):
    """Runs mark their session as in use, and human turns do not."""

    def alter(self, engine: Engine) -> None:
        def evictable(inner: Callable[[], Rows]) -> Rows:
            people = {turn.key for turn in engine.runner.turns if turn.run_id is None}
            rows = [*inner(), *(row for row in engine.store.sessions() if row.key in people)]
            return iter(sorted(rows, key=lambda row: row.updated_ms))

        wrap(engine.store, "evictable", evictable)
        wrap(
            engine.maintenance,
            "enforce",
            lambda inner, now: remove(engine, engine.maintenance.plan(now).rows),
        )
        wrap(engine.maintenance, "is_due", lambda inner, *look: True)


@wrong("openclaw#136339", "MNT-008")
class BusyRowEndsMaintenance(Altered):
    """Maintenance gives up at a row that is too old and in use."""

    def alter(self, engine: Engine) -> None:
        def enforce(inner: Callable[[int], list[str]], now: int) -> list[str]:
            kept, busy = engine.maintenance.limits.prune_after_ms, dict(engine.store.leases())
            stuck = any(row.key in busy and now - row.updated_ms > kept for row in engine.store.sessions())
            return [] if stuck else inner(now)

        wrap(engine.maintenance, "enforce", enforce)


@wrong("bugs:R8", "MNT-009")
class OnceBusyNeverGoes(Altered):
    """A row that was in use when it might have gone is not looked at again."""

    def alter(self, engine: Engine) -> None:
        spared: set[str] = set()

        def enforce(inner: Callable[[int], list[str]], now: int) -> list[str]:
            kept, busy = engine.maintenance.limits.prune_after_ms, dict(engine.store.leases())
            old = {row.key for row in engine.store.sessions() if now - row.updated_ms > kept}
            spared.update(old & set(busy))
            return inner(now)

        wrap(engine.maintenance, "is_due", lambda inner, *look: True)
        wrap(engine.maintenance, "enforce", enforce)
        _leave_out(engine, lambda row: row.key in spared)


@wrong("bugs:R6", "MNT-010")
class LimitsAreOfTheDefaultAgent(Altered):
    """Maintenance opens the store of the default agent."""

    def alter(self, engine: Engine) -> None:
        _leave_out(engine, lambda row: row.agent != engine.settings.default_agent)


@wrong("bugs:R7", "MNT-011")
class LimitsAreThoseOfTheFirstStart(Altered):
    """The limits that a store was made with stay."""

    first: ClassVar[dict[Path, Limits]] = {}

    def alter(self, engine: Engine) -> None:
        limits = self.first.setdefault(engine.transcripts.folder, engine.maintenance.limits)
        engine.maintenance.limits = limits


@wrong("openclaw:MNT-01", "MNT-012")
class RequestsEnforce(Altered):
    """Maintenance on request removes in mode warn too."""

    def alter(self, engine: Engine) -> None:
        def report(inner: Callable[..., dict[str, Any]], now: int, *, dry_run: bool) -> dict[str, Any]:
            limits = engine.maintenance.limits
            change_limits(engine, mode="enforce")
            answer = inner(now, dry_run=dry_run)
            engine.maintenance.limits = limits
            return answer

        wrap(engine.maintenance, "report", report)


@wrong("bugs:R8", "MNT-013")
class RequestsAlwaysTakeOne(Altered):
    """Asked for maintenance, the one idle for longest goes even if there is room."""

    def alter(self, engine: Engine) -> None:
        def report(inner: Callable[..., dict[str, Any]], now: int, *, dry_run: bool) -> dict[str, Any]:
            answer = inner(now, dry_run=dry_run)
            if answer["removed"] or engine.maintenance.limits.mode == "warn":
                return answer
            oldest = next(engine.store.evictable(), None)
            if oldest is None:
                return answer
            if not dry_run:
                remove(engine, [oldest])
            return {**answer, "removed": [oldest.key], "after": answer["before"] - 1}

        wrap(engine.maintenance, "report", report)


@wrong("openclaw:MNT-08", "MNT-014")
class DryRunCountsNothing(Altered):
    """The counts of a dry run are of another moment than its names."""

    def store_maintain(self, params: dict[str, Any]) -> dict[str, Any]:
        answer = super().store_maintain(params)
        before = max(0, answer["before"] - 1)
        return {**answer, "before": before, "after": before} if params["dryRun"] else answer


@wrong("openclaw:MNT-20", "MNT-015")
class ContextComesBack(Altered):
    """A removed session comes back with its transcript when its name is used again."""

    def alter(self, engine: Engine) -> None:
        ids: dict[str, str] = {}

        def take(inner: Callable[[SessionRow, int], None], row: SessionRow, now: int) -> None:
            ids[row.key] = row.id

        def enter(inner: Callable[..., Any], turn: Turn, place: Place, opened: object) -> Any:
            return inner(turn, replace(place, session_id=ids.get(place.key, place.session_id)), opened)

        archive: Archive = engine.archive
        wrap(archive, "take", take)
        wrap(engine.desk, "enter", enter)


@wrong("bugs:R11", "MNT-016")
class RunsGoWithTheirSession(Altered):
    """With a session go the runs that were in it."""

    def alter(self, engine: Engine) -> None:
        def enforce(inner: Callable[[int], list[str]], now: int) -> list[str]:
            removed = inner(now)
            for run in engine.store.runs():
                if run.session_key in removed:
                    engine.store.delete_run(run.id)
            return removed

        wrap(engine.maintenance, "enforce", enforce)


@wrong("librefang#3443", "MNT-017")
class MaintenanceTakesItsTime(Altered):
    """Maintenance chooses rows, and removes them a moment later whatever has happened to them."""

    async def store_maintain(self, params: dict[str, Any]) -> dict[str, Any]:  # type: ignore[override]
        if params["dryRun"]:
            return super().store_maintain(params)
        engine = self._engine
        rows, before = engine.maintenance.plan(engine.clock.now()).rows, engine.store.totals().rows
        for _ in range(5000):
            await asyncio.sleep(0)
        remove(engine, rows)
        after = engine.store.totals().rows
        return {"before": before, "after": after, "removed": [row.key for row in rows]}


@wrong("openclaw#15225", "MNT-018")
class BytesAreNotCounted(Altered):
    """maxDiskBytes is accepted, and nobody looks at the disk."""

    def alter(self, engine: Engine) -> None:
        change_limits(engine, max_disk_bytes=10**15)


@wrong("bugs:R8", "MNT-019")
class BytesTakeTheNewest(Altered):
    """What made the store too large goes first."""

    def alter(self, engine: Engine) -> None:
        def evictable(inner: Callable[[], Rows]) -> Rows:
            rows = list(inner())
            heavy = engine.store.totals().bytes > engine.maintenance.limits.max_disk_bytes
            return iter(rows[::-1] if heavy else rows)

        wrap(engine.store, "evictable", evictable)


@wrong("openclaw:MNT-13", "MNT-020")
class HighWaterIsIgnored(Altered):
    """highWaterBytes is accepted, and only what is over maxDiskBytes goes."""

    def alter(self, engine: Engine) -> None:
        change_limits(engine, high_water_bytes=None)
