"""Maintenance: keep the store within its limits of age, count and bytes.

The three limits are independent. The oldest activity goes first; main sessions and sessions in use never
go. What is put aside counts as bytes and goes before any session. A dry run is the same plan, not carried
out.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from .archive import Archive
from .settings import Limits
from .store import SessionRow, Store, Totals

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """Which rows go, and by how much the limits are missed all the same.

    ``why`` says for each row which limit it goes for: ``age``, ``entries`` or ``bytes``, the first that holds.
    """

    rows: tuple[SessionRow, ...]
    why: tuple[str, ...] = ()
    over_entries: int = 0
    over_bytes: int = 0


def may_go(row: SessionRow, *, in_use: bool) -> bool:
    """Whether a row may go at all, for whatever reason: main sessions and sessions in use never do."""
    return row.kind != "main" and not in_use


def plan(oldest_first: Iterable[SessionRow], totals: Totals, limits: Limits, now_ms: int) -> Plan:
    """Decide. ``oldest_first`` are the rows that may go; it is read only as far as rows have to go."""
    entries, size = totals.rows, totals.bytes
    allowed = limits.allowed_bytes(size)
    doomed: list[SessionRow] = []
    why: list[str] = []
    for row in oldest_first:
        aged = now_ms - row.updated_ms > limits.prune_after_ms
        heavy = size > allowed
        if aged or entries > limits.max_entries or (heavy and row.bytes):
            doomed.append(row)
            why.append("age" if aged else "entries" if entries > limits.max_entries else "bytes")
            entries, size = entries - 1, size - row.bytes
        elif not heavy:
            break
    over = max(0, entries - limits.max_entries), max(0, size - limits.max_disk_bytes)
    return Plan(tuple(doomed), tuple(why), *over)


def remove_rows(store: Store, archive: Archive, rows: Iterable[SessionRow], now_ms: int) -> list[str]:
    """Remove rows with their transcripts; answer the keys of those that went.

    A row that has changed, is in use again, or cannot be removed stays and does not stop the others. The
    file goes first: what a crash leaves behind is then a row, which the next sweep finds.
    """
    removed: list[str] = []
    with store.transaction():
        for row in rows:
            try:
                with store.transaction():
                    if _remove(store, archive, row, now_ms):
                        removed.append(row.key)
            except Exception as err:
                log.warning("session %s cannot be removed: %s", row.key, err)
    return removed


def _remove(store: Store, archive: Archive, row: SessionRow, now_ms: int) -> bool:
    """Compare and delete: only what still is as it was when it was chosen."""
    current = store.session(row.key)
    if current is None or not may_go(current, in_use=store.lease_owner(row.key) is not None):
        return False
    if (current.id, current.kind, current.updated_ms) != (row.id, row.kind, row.updated_ms):
        return False
    if store.references(row.id) == 1:
        archive.take(current, now_ms)
    return store.delete_session(row.key)


class Maintenance:
    """The plan, carried out on a store."""

    def __init__(self, store: Store, archive: Archive, limits: Limits) -> None:
        self._store = store
        self._archive = archive
        self.limits = limits
        self._unmet = False

    def plan(self, now_ms: int) -> Plan:
        """What :meth:`enforce` would do now; no rows in mode ``warn``."""
        rows = self._store.evictable() if self.limits.mode == "enforce" else ()
        return plan(rows, self._store.totals(), self.limits, now_ms)

    def preview(self, now_ms: int, gone: Collection[str]) -> list[str]:
        """The keys that :meth:`enforce` would remove once the rows ``gone`` are gone."""
        if self.limits.mode != "enforce":
            return []
        totals, rows = self._store.totals(), list(self._store.evictable())
        doomed = [row for row in rows if row.key in gone]
        left = Totals(totals.rows - len(doomed), totals.bytes - sum(row.bytes for row in doomed))
        staying = (row for row in rows if row.key not in gone)
        return [row.key for row in plan(staying, left, self.limits, now_ms).rows]

    def enforce(self, now_ms: int) -> list[str]:
        """Apply the limits; answer the keys removed."""
        found = self.plan(now_ms)
        unmet = bool(found.over_entries or found.over_bytes)
        if unmet and not self._unmet:
            text = "the session store is over its limits by %d rows and %d bytes"
            log.warning(text, found.over_entries, found.over_bytes)
        self._unmet = unmet
        removed = remove_rows(self._store, self._archive, found.rows, now_ms) if found.rows else []
        if self.limits.mode == "enforce":
            totals = self._store.totals()
            size = totals.bytes + totals.archived
            self._archive.shrink(min(totals.archived, size - self.limits.allowed_bytes(size)))
        return removed

    def is_due(self, totals: Totals, now_ms: int) -> bool:
        """Whether any limit is exceeded. In mode ``warn`` nothing is ever done about age, and nothing said."""
        size = totals.bytes + totals.archived
        enforces, oldest = self.limits.mode == "enforce", totals.oldest_ms
        aged = enforces and oldest is not None and now_ms - oldest > self.limits.prune_after_ms
        return aged or totals.rows > self.limits.max_entries or size > self.limits.max_disk_bytes

    def make_room(self, now_ms: int) -> None:
        """Apply the limits because a row was added, if there are too many now."""
        if self.limits.mode == "enforce" and self._store.totals().rows > self.limits.max_entries:
            self.enforce(now_ms)

    def report(self, now_ms: int, *, dry_run: bool) -> dict[str, Any]:
        """``store/maintain``: the row counts and the keys, done or only said."""
        before = self._store.totals().rows
        found = self.plan(now_ms)
        removed = [row.key for row in found.rows] if dry_run else self.enforce(now_ms)
        unmet = {"maxEntries": found.over_entries, "maxDiskBytes": found.over_bytes}
        return {
            "before": before,
            "after": before - len(removed),
            "removed": removed,
            "why": {
                row.key: why for row, why in zip(found.rows, found.why, strict=True) if row.key in removed
            },
            "mode": self.limits.mode,
            "unmet": {name: over for name, over in unmet.items() if over},
        }
