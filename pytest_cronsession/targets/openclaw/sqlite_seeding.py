"""Seeding the newer session stores: a node and its window in the agent's database."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from .seeding import SeedRow
from .store import StoreUnreadable, database_of

_NODE = (
    "insert into session_nodes (session_key, current_session_id, entry_json, updated_at, created_at,"
    " last_interaction_at) values (:key, :id, :entry, :at, :at, :at)"
)
_WINDOW = (
    "insert into session_windows (session_id, session_key, reason, created_at, updated_at)"
    " values (:id, :key, 'initial', :at, :at)"
)
# The entry is what counts; the columns are copies of it.
_AGE = (
    "update session_nodes set updated_at = :at, last_interaction_at = :at, last_activity_at = null,"
    " entry_json = json_set(entry_json, '$.updatedAt', :at, '$.lastInteractionAt', :at)"
    " where session_key = :key"
)
# Triggers mark a new or changed node as not yet checked, and OpenClaw refuses to list a store with one.
_CHECKED = "update session_nodes set entry_valid = 1 where session_key = :key"
_AGE_WINDOWS = "update session_windows set updated_at = :at where session_key = :key"


def seed_rows(state: Path, rows: Sequence[SeedRow]) -> None:
    """Put the rows into the databases of a gateway that is not running; one that is there is only aged.

    Raises :class:`.store.StoreUnreadable`: only the gateway can create the database of an agent.
    """
    for agent in dict.fromkeys(row.agent for row in rows):
        path = database_of(state, agent)
        if not path.is_file():
            raise StoreUnreadable(f"{path}: not there; start the gateway once and use the agent {agent!r}")
        try:
            with closing(sqlite3.connect(path, timeout=5)) as db:
                for row in rows:
                    if row.agent == agent:
                        _put(db, row)
                db.commit()
                # What only lies in the log would be lost to a reader without write access.
                db.execute("pragma wal_checkpoint(truncate)")
        except sqlite3.Error as error:
            raise StoreUnreadable(f"{path}: {error}") from error


def _put(db: sqlite3.Connection, row: SeedRow) -> None:
    entry = {
        "sessionId": row.session_id,
        "updatedAt": row.updated_ms,
        "sessionStartedAt": row.updated_ms,
        "lastInteractionAt": row.updated_ms,
        "systemSent": True,
    }
    values = {"key": row.key, "id": row.session_id, "at": row.updated_ms, "entry": json.dumps(entry)}
    if db.execute("select 1 from session_nodes where session_key = :key", values).fetchone():
        db.execute(_AGE, values)
        db.execute(_AGE_WINDOWS, values)
    else:
        db.execute(_NODE, values)
        db.execute(_WINDOW, values)
    db.execute(_CHECKED, values)
