"""The reaper: receipts go when their retention is over.

A receipt is known by its row's kind, never by the spelling of its key, so no name that a user chooses can
be mistaken for one, and it does not matter whether its job still exists or how its run ended.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from .archive import Archive
from .maintenance import remove_rows
from .store import SessionRow, Store, Totals


def expired(row: SessionRow, *, retention_ms: int | None, now_ms: int) -> bool:
    """Whether a row may go: a receipt whose last activity is longer ago than retention, strictly."""
    return row.kind == "receipt" and retention_ms is not None and now_ms - row.updated_ms > retention_ms


class Reaper:
    """The decision, carried out on a store. ``retention_ms`` None turns it off."""

    BATCH = 64

    def __init__(self, store: Store, archive: Archive, retention_ms: int | None) -> None:
        self._store = store
        self._archive = archive
        self.retention_ms = retention_ms

    def is_due(self, totals: Totals, now_ms: int) -> bool:
        """Whether any receipt has expired."""
        oldest = totals.oldest_receipt_ms
        return self.retention_ms is not None and oldest is not None and now_ms - oldest > self.retention_ms

    def plan(self, now_ms: int) -> Iterator[SessionRow]:
        """What :meth:`sweep` would remove now, oldest first."""
        if self.retention_ms is not None:
            for row in self._store.receipts(now_ms - self.retention_ms):
                if expired(row, retention_ms=self.retention_ms, now_ms=now_ms):
                    yield row

    def sweep(self, now_ms: int) -> list[str]:
        """Remove what has expired and is not in use; answer the keys removed."""
        removed: list[str] = []
        rows = self.plan(now_ms)
        while batch := list(islice(rows, self.BATCH)):
            removed += remove_rows(self._store, self._archive, batch, now_ms)
        return removed
