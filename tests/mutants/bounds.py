"""Gateways whose store outgrows its limits, or that take too much (area maintenance)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cronsession_reference.engine import Engine
from cronsession_reference.maintenance import plan
from cronsession_reference.settings import HOUR, Limits
from cronsession_reference.store import SessionRow

from .altered import Altered, Rows, is_receipt, wrap, wrong


def _limits(engine: Engine, **changes: Any) -> None:
    engine.maintenance.limits = replace(engine.maintenance.limits, **changes)


@wrong("openclaw:MNT-01", "MNT-001")
class WarnEnforces(Altered):
    """Mode warn removes what enforce removes."""

    def alter(self, engine: Engine) -> None:
        _limits(engine, mode="enforce")


@wrong("openclaw#103956", "MNT-002", "MNT-006")
class AgeWaitsForTheCap(Altered):
    """Rows are too old only while there are too many."""

    def alter(self, engine: Engine) -> None:
        def choose(inner: Callable[[int], Any], now: int) -> Any:
            crowded = engine.store.totals().rows > engine.maintenance.limits.max_entries
            return inner(now) if crowded else plan((), engine.store.totals(), Limits(), now)

        wrap(engine.maintenance, "plan", choose)


def _order(engine: Engine, key: Callable[[SessionRow], int]) -> None:
    """Let maintenance go through the rows by this age, and judge them by it."""

    def evictable(inner: Callable[[], Rows]) -> Rows:
        return iter(sorted((replace(row, updated_ms=key(row)) for row in inner()), key=key))

    wrap(engine.store, "evictable", evictable)
    # What is removed is compared with what was planned, so the rows are shown the same way to both.
    wrap(engine.maintenance, "enforce", lambda inner, now: _remove(engine, engine.maintenance.plan(now).rows))


def _remove(engine: Engine, rows: Any) -> list[str]:
    for row in rows:
        engine.transcripts.remove(row.id)
        engine.store.delete_session(row.key)
    return [row.key for row in rows]


@wrong("bugs:R8", "MNT-002", "MNT-003", "MNT-004")
class AgeCountsFromCreation(Altered):
    """Age is that of the row, not of its last activity."""

    def alter(self, engine: Engine) -> None:
        _order(engine, lambda row: row.created_ms)
        wrap(engine.maintenance, "is_due", lambda inner, *look: True)


@wrong("bugs:R8", "MNT-003")
class NewestGoFirst(Altered):
    """Of too many rows the newest go."""

    def alter(self, engine: Engine) -> None:
        def evictable(inner: Callable[[], Rows]) -> Rows:
            rows = list(inner())
            crowded = engine.store.totals().rows > engine.maintenance.limits.max_entries
            return iter(rows[::-1] if crowded else rows)

        wrap(engine.store, "evictable", evictable)


class Exempting(Altered):
    """A cap that counts all rows and may take some only."""

    def may_go(self, row: SessionRow) -> bool:
        return True

    def alter(self, engine: Engine) -> None:
        def choose(inner: Callable[[int], Any], now: int) -> Any:
            limits = engine.maintenance.limits
            if limits.mode != "enforce":
                return inner(now)
            rows = list(engine.store.evictable())
            old = [row for row in rows if now - row.updated_ms > limits.prune_after_ms]
            rest = [row for row in rows if self.may_go(row) and row not in old]
            return plan([*old, *rest], engine.store.totals(), limits, now)

        wrap(engine.maintenance, "plan", choose)


@wrong("openclaw#112638", "MNT-003")
class NamedRowsAreExempt(Exempting):
    """The cap never takes a named session."""

    def may_go(self, row: SessionRow) -> bool:
        return is_receipt(row)


@wrong("openclaw#15225", "MNT-006")
class ReceiptsAreExempt(Exempting):
    """The cap never takes a receipt: that is what retention is for."""

    def may_go(self, row: SessionRow) -> bool:
        return not is_receipt(row)


@wrong("openclaw#56034", "MNT-004")
class RunsUnderWayAreEvicted(Altered):
    """The limits do not know which sessions are in use."""

    def alter(self, engine: Engine) -> None:
        def evictable(inner: Callable[[], Rows]) -> Rows:
            rows = [row for row in engine.store.sessions() if row.kind != "main"]
            return iter(sorted(rows, key=lambda row: row.updated_ms))

        wrap(engine.store, "evictable", evictable)
        wrap(
            engine.maintenance,
            "enforce",
            lambda inner, now: _remove(engine, engine.maintenance.plan(now).rows),
        )


@wrong("openclaw:MNT-06", "MNT-005")
class DryRunRemoves(Altered):
    """A dry run removes what it names."""

    def alter(self, engine: Engine) -> None:
        wrap(engine.maintenance, "report", lambda inner, now, *, dry_run: inner(now, dry_run=False))


@wrong("bugs:R8", "MNT-005")
class DryRunKnowsOnlyTheCap(Altered):
    """A dry run names what the cap removes, and not what age removes."""

    def alter(self, engine: Engine) -> None:
        def report(inner: Callable[..., dict[str, Any]], now: int, *, dry_run: bool) -> dict[str, Any]:
            limits = engine.maintenance.limits
            if dry_run:
                _limits(engine, prune_after_ms=10_000 * HOUR)
            answer = inner(now, dry_run=dry_run)
            engine.maintenance.limits = limits
            return answer

        wrap(engine.maintenance, "report", report)


@wrong("bugs:R8", "MNT-005")
class DryRunKnowsOnlyAge(Altered):
    """A dry run names what age removes, and not what the cap removes."""

    def alter(self, engine: Engine) -> None:
        wrap(engine.desk, "_make_room", lambda inner, now: None)

        def report(inner: Callable[..., dict[str, Any]], now: int, *, dry_run: bool) -> dict[str, Any]:
            limits = engine.maintenance.limits
            if dry_run:
                _limits(engine, max_entries=10**9)
            answer = inner(now, dry_run=dry_run)
            engine.maintenance.limits = limits
            return answer

        wrap(engine.maintenance, "report", report)
