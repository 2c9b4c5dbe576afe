"""What becomes of the transcript of a removed session: it is put aside for a while, or goes at once."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from .settings import DAY
from .store import Archived, SessionRow, Store
from .transcripts import Transcripts

log = logging.getLogger(__name__)

ORPHANS_KEPT_MS = 7 * DAY
"""How long a transcript that no session names is kept where removed ones are not put aside."""


class Archive:
    """The folder of transcripts put aside. ``keep_ms`` is for how long; None removes them at once."""

    def __init__(self, store: Store, transcripts: Transcripts, folder: Path, keep_ms: int | None) -> None:
        self._store = store
        self._transcripts = transcripts
        self._folder = folder
        self.keep_ms = keep_ms

    def path(self, session_id: str) -> Path:
        return self._folder / self._transcripts.path(session_id).name

    def take(self, row: SessionRow, now_ms: int) -> None:
        """The session is being removed: put its transcript aside, or remove it. Done twice, it is done once."""
        if self.keep_ms is None:
            self._transcripts.remove(row.id)
        else:
            self._put_aside(row.id, row.key, now_ms)

    def _put_aside(self, session_id: str, key: str, now_ms: int) -> None:
        source, target = self._transcripts.path(session_id), self.path(session_id)
        if source.exists():
            self._folder.mkdir(mode=0o700, exist_ok=True)
            os.replace(source, target)
        self._transcripts.remove(session_id)
        if target.exists():
            self._store.archive(Archived(session_id, key, now_ms, target.stat().st_size))

    def adopt_orphans(self, now_ms: int) -> None:
        """Put aside transcripts that no row names: a crash left them, or a store was restored from earlier."""
        if not self._store.durable:
            return
        with self._store.transaction():
            for path in sorted(self._transcripts.folder.glob("*.jsonl")):
                if not self._store.references(path.stem):
                    try:
                        self._put_aside(path.stem, "", now_ms)
                    except Exception as err:
                        log.warning("transcript %s belongs to no session and stays: %s", path.name, err)

    def is_due(self, oldest_ms: int | None, now_ms: int) -> bool:
        """Whether what was put aside at ``oldest_ms`` has been kept long enough."""
        return oldest_ms is not None and now_ms - oldest_ms > self._kept_ms()

    def _kept_ms(self) -> int:
        return ORPHANS_KEPT_MS if self.keep_ms is None else self.keep_ms

    def expire(self, now_ms: int) -> None:
        """Remove what has been kept long enough."""
        with self._store.transaction():
            for entry in self._store.archives(now_ms - self._kept_ms()):
                self._drop(entry)

    def shrink(self, bytes_over: int) -> None:
        """Remove the oldest, until so many bytes are free or nothing is left."""
        if bytes_over <= 0:
            return
        with self._store.transaction():
            for entry in self._store.archives():
                self._drop(entry)
                bytes_over -= entry.bytes
                if bytes_over <= 0:
                    return

    def _drop(self, entry: Archived) -> None:
        try:
            self.path(entry.id).unlink(missing_ok=True)
        except Exception as err:
            log.warning("archive %s cannot be removed: %s", entry.id, err)
            return
        self._store.forget_archived(entry.id)
