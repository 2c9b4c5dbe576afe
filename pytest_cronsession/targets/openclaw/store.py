"""The rows of OpenClaw's session stores, read from its databases: its own lists hide receipts."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

_JOB = re.compile(r"agent:[^:]+:cron:([^:]+)")
# Rows with entry_valid -1 are tombstones.
_ROWS = "select session_key, current_session_id, updated_at from session_nodes where entry_valid <> -1"
_BUSY = ("locked", "busy", "unable to open", "no such table")
_PATIENCE_S = 5.0


def session_rows(state: Path, since_ms: int = 0) -> list[dict[str, Any]]:
    """All rows of all agents below OpenClaw's state folder; :class:`sqlite3.Error` if one cannot be read."""
    return [
        row
        for path, agent in _databases(state)
        for row in _rows(path, agent)
        if row["updatedAtMs"] >= since_ms
    ]


def _databases(state: Path) -> Iterator[tuple[Path, str]]:
    for path in sorted((state / "agents").glob("*/agent/openclaw-agent.sqlite")):
        yield path, path.parent.parent.name


def _rows(path: Path, agent: str) -> list[dict[str, Any]]:
    limit = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return _read(path, agent)
        except sqlite3.OperationalError as error:
            # The gateway may be creating or checkpointing the database right now.
            if time.monotonic() > limit or not any(word in str(error) for word in _BUSY):
                raise
            time.sleep(0.05)


def _read(path: Path, agent: str) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=2)) as db:
        rows = []
        for key, session_id, updated in db.execute(_ROWS):
            row: dict[str, Any] = {
                "key": key,
                "id": session_id or "",
                "agent": agent,
                "updatedAtMs": int(updated),
            }
            job = _JOB.match(key)
            if job:
                row["jobId"] = job.group(1)
            rows.append(row)
        return rows
