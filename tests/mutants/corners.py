"""Gateways whose limits do right by the usual row, and not at their edge, by other rows or after a start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from cronsession_reference.engine import Engine
from cronsession_reference.settings import Limits

from .altered import Altered, Rows, is_receipt, wrap, wrong
from .bounds import _limits as change_limits
from .caps import _leave_out as leave_out


@wrong("openclaw:MNT-01", "MNT-001")
class WarnForgetsBytes(Altered):
    """Mode warn is that of age and count; the disk budget is enforced whatever the mode."""

    def alter(self, engine: Engine) -> None:
        if engine.maintenance.limits.mode == "warn":
            change_limits(engine, mode="enforce", prune_after_ms=10**13, max_entries=10**9)


@wrong("openclaw:MNT-01", "MNT-001")
class StartsEnforce(Altered):
    """What is over a limit goes when the gateway starts, in mode warn too."""

    def alter(self, engine: Engine) -> None:
        limits = engine.maintenance.limits
        if limits.mode == "warn":
            change_limits(engine, mode="enforce")
            engine.maintenance.enforce(engine.clock.now())
            engine.maintenance.limits = limits


@wrong("openclaw#15225", "MNT-002")
class AgeIsForSharedSessions(Altered):
    """Age never takes a receipt: that is what retention is for."""

    def alter(self, engine: Engine) -> None:
        kept = engine.maintenance.limits.prune_after_ms
        leave_out(engine, lambda row: is_receipt(row) and engine.clock.now() - row.updated_ms > kept)


@wrong("openclaw:REA-03", "MNT-002")
class AsOldAsTheLimitGoes(Altered):
    """A row goes when it is as old as pruneAfterMs."""

    def alter(self, engine: Engine) -> None:
        change_limits(engine, prune_after_ms=engine.maintenance.limits.prune_after_ms - 1)


@wrong("bugs:R8", "MNT-005")
class DryRunKnowsNoBytes(Altered):
    """A dry run names what age and count remove, and not what the bytes do."""

    def alter(self, engine: Engine) -> None:
        def report(inner: Callable[..., dict[str, Any]], now: int, *, dry_run: bool) -> dict[str, Any]:
            limits = engine.maintenance.limits
            if dry_run:
                change_limits(engine, max_disk_bytes=10**15)
            answer = inner(now, dry_run=dry_run)
            engine.maintenance.limits = limits
            return answer

        wrap(engine.maintenance, "report", report)


@wrong("bugs:R7", "MNT-011")
class LimitsOnlyTighten(Altered):
    """Limits that were once configured hold until stricter ones come."""

    strictest: ClassVar[dict[Path, Limits]] = {}

    def alter(self, engine: Engine) -> None:
        folder, now = engine.transcripts.folder, engine.maintenance.limits
        was = self.strictest.get(folder, now)
        both = replace(
            now,
            prune_after_ms=min(was.prune_after_ms, now.prune_after_ms),
            max_entries=min(was.max_entries, now.max_entries),
        )
        engine.maintenance.limits = self.strictest[folder] = both


@wrong("bugs:R7", "MNT-011")
class ModeIsThatOfTheFirstStart(Altered):
    """The mode that a store was made with stays."""

    first: ClassVar[dict[Path, str]] = {}

    def alter(self, engine: Engine) -> None:
        change_limits(
            engine, mode=self.first.setdefault(engine.transcripts.folder, engine.maintenance.limits.mode)
        )


@wrong("openclaw:MNT-08", "MNT-014")
class CountsAreOfTheDefaultAgent(Altered):
    """An answer about maintenance counts the rows of the default agent."""

    def store_maintain(self, params: dict[str, Any]) -> dict[str, Any]:
        others = sum(
            row.agent != self._engine.settings.default_agent for row in self._engine.store.sessions()
        )
        answer = super().store_maintain(params)
        return {**answer, "before": answer["before"] - others, "after": answer["after"] - others}


@wrong("openclaw:MNT-08", "MNT-014")
class ReceiptsAreNotCounted(Altered):
    """An answer about maintenance counts the rows that are no receipts."""

    def store_maintain(self, params: dict[str, Any]) -> dict[str, Any]:
        others = sum(is_receipt(row) for row in self._engine.store.sessions())
        answer = super().store_maintain(params)
        return {**answer, "before": answer["before"] - others, "after": answer["after"] - others}


@wrong("bugs:R8", "MNT-019")
class BytesTakeTheFirstMade(Altered):
    """For the bytes the session goes that was made first, however lately it was used."""

    def alter(self, engine: Engine) -> None:
        def evictable(inner: Callable[[], Rows]) -> Rows:
            rows = list(inner())
            heavy = engine.store.totals().bytes > engine.maintenance.limits.max_disk_bytes
            return iter(sorted(rows, key=lambda row: row.created_ms) if heavy else rows)

        wrap(engine.store, "evictable", evictable)


@wrong("openclaw#15225", "MNT-018")
class BytesSpareReceipts(Altered):
    """For the bytes no receipt goes: that is what retention is for."""

    def alter(self, engine: Engine) -> None:
        leave_out(engine, is_receipt)
