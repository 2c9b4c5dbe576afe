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

DATABASE = "openclaw-agent.sqlite"
_JOB = re.compile(r"agent:[^:]+:cron:([^:]+)")
# Rows with entry_valid -1 are tombstones. Archived rows count for none of its limits, nor do its own lists show them.
_ROWS = (
    "select session_key, current_session_id, updated_at from session_nodes"
    " where entry_valid <> -1 and archived_at is null"
)
_BUSY = ("locked", "busy", "unable to open", "no such table")
_PATIENCE_S = 5.0


class StoreUnreadable(Exception):
    """A session store is there and cannot be read."""


def session_rows(state: Path, since_ms: int = 0) -> list[dict[str, Any]]:
    """All rows of all agents below OpenClaw's state folder; :class:`StoreUnreadable` if one cannot be read."""
    return [
        found
        for path, agent in databases(state)
        for found in _rows(path, agent)
        if found["updatedAtMs"] >= since_ms
    ]


def row(key: str, session_id: str, agent: str, updated_ms: int) -> dict[str, Any]:
    """A neutral row of ``session/list``."""
    made = {"key": key, "id": session_id, "agent": agent, "updatedAtMs": updated_ms}
    job = _JOB.match(key)
    return {**made, "jobId": job.group(1)} if job else made


def database_of(state: Path, agent: str) -> Path:
    """Where an agent's database lies."""
    return state / "agents" / agent / "agent" / DATABASE


def databases(state: Path) -> Iterator[tuple[Path, str]]:
    """The database of each agent that has one, and the agent's id."""
    for path in sorted((state / "agents").glob(f"*/agent/{DATABASE}")):
        yield path, path.parent.parent.name


def _rows(path: Path, agent: str) -> list[dict[str, Any]]:
    limit = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return _read(path, agent)
        except sqlite3.OperationalError as error:
            # The gateway may be creating or checkpointing the database right now.
            if time.monotonic() > limit or not any(word in str(error) for word in _BUSY):
                raise StoreUnreadable(f"{path}: {error}") from error
            time.sleep(0.05)
        except sqlite3.Error as error:
            raise StoreUnreadable(f"{path}: {error}") from error


def _read(path: Path, agent: str) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=2)) as db:
        return [
            row(key, session_id or "", agent, int(updated)) for key, session_id, updated in db.execute(_ROWS)
        ]
