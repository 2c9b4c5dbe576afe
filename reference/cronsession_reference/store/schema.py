"""The tables, as the steps that lead to them: a store of version N has had the first N steps.

Every look-up that the gateway makes often has an index of its own. ``totals`` is kept by triggers, so that
the size of the store is known without counting. The partial indexes are what scheduling, reaping and
maintenance walk along: their cost is that of what they find.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

APPLICATION_ID = 0x43524E53
"""Written in the header of the file: "CRNS"."""

_FIRST = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE jobs (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, body TEXT NOT NULL, next_run INTEGER);
CREATE INDEX jobs_due ON jobs (next_run) WHERE next_run IS NOT NULL;

CREATE TABLE runs (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, job_id TEXT NOT NULL, trigger TEXT NOT NULL,
    status TEXT NOT NULL, slot INTEGER, started INTEGER, ended INTEGER, session_key TEXT, session_id TEXT,
    error TEXT, owner TEXT, number INTEGER NOT NULL, orphaned INTEGER
);
CREATE UNIQUE INDEX runs_slot ON runs (job_id, slot) WHERE slot IS NOT NULL;
CREATE INDEX runs_number ON runs (job_id, number);
CREATE INDEX runs_open ON runs (job_id) WHERE status IN ('running', 'queued');
CREATE INDEX runs_orphaned ON runs (orphaned) WHERE orphaned IS NOT NULL;

CREATE TABLE sessions (
    seq INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, id TEXT NOT NULL, agent TEXT NOT NULL, job_id TEXT,
    kind TEXT NOT NULL, created INTEGER NOT NULL, updated INTEGER NOT NULL, bytes INTEGER NOT NULL
);
CREATE INDEX sessions_id ON sessions (id);
CREATE INDEX sessions_receipts ON sessions (updated) WHERE kind = 'receipt';
CREATE INDEX sessions_evictable ON sessions (updated) WHERE kind != 'main';

CREATE TABLE leases (key TEXT PRIMARY KEY, owner TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE totals (rows INTEGER NOT NULL, bytes INTEGER NOT NULL);
INSERT INTO totals VALUES (0, 0);
CREATE TRIGGER sessions_added AFTER INSERT ON sessions
    BEGIN UPDATE totals SET rows = rows + 1, bytes = bytes + NEW.bytes; END;
CREATE TRIGGER sessions_changed AFTER UPDATE OF bytes ON sessions
    BEGIN UPDATE totals SET bytes = bytes + NEW.bytes - OLD.bytes; END;
CREATE TRIGGER sessions_removed AFTER DELETE ON sessions
    BEGIN UPDATE totals SET rows = rows - 1, bytes = bytes - OLD.bytes; END;
"""

MAX_BYTES = 2**40
"""More than any transcript has. A row that says more, or something else, counts as nothing."""


def _counted(row: str) -> str:
    value = f"{row}.bytes"
    return f"(CASE WHEN typeof({value}) = 'integer' AND {value} BETWEEN 0 AND {MAX_BYTES} THEN {value} ELSE 0 END)"


# Repetitions of a slot, runs that wait for their time, what people are told, transcripts put aside; and one
# row with nonsense in it no longer makes the store look full.
_SECOND = f"""
ALTER TABLE runs ADD COLUMN attempt INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN due INTEGER;
ALTER TABLE runs ADD COLUMN cause TEXT;
UPDATE runs SET due = coalesce(slot, 0) WHERE status = 'queued';
DROP INDEX runs_slot;
CREATE UNIQUE INDEX runs_slot ON runs (job_id, slot, attempt) WHERE slot IS NOT NULL;
CREATE INDEX runs_waiting ON runs (due, seq) WHERE status = 'queued';
CREATE INDEX runs_running ON runs (job_id) WHERE status = 'running';
CREATE INDEX runs_started ON runs (started);
CREATE INDEX runs_instant ON runs (coalesce(started, slot, ended, 0));

CREATE TABLE notices (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL, job_id TEXT
);

CREATE TABLE archives (id TEXT PRIMARY KEY, key TEXT NOT NULL, at INTEGER NOT NULL, bytes INTEGER NOT NULL);
CREATE INDEX archives_at ON archives (at);
ALTER TABLE totals ADD COLUMN archived INTEGER NOT NULL DEFAULT 0;
CREATE TRIGGER archives_added AFTER INSERT ON archives
    BEGIN UPDATE totals SET archived = archived + {_counted("NEW")}; END;
CREATE TRIGGER archives_removed AFTER DELETE ON archives
    BEGIN UPDATE totals SET archived = archived - {_counted("OLD")}; END;

DROP TRIGGER sessions_added;
DROP TRIGGER sessions_changed;
DROP TRIGGER sessions_removed;
CREATE TRIGGER sessions_added AFTER INSERT ON sessions
    BEGIN UPDATE totals SET rows = rows + 1, bytes = bytes + {_counted("NEW")}; END;
CREATE TRIGGER sessions_changed AFTER UPDATE OF bytes ON sessions
    BEGIN UPDATE totals SET bytes = bytes + {_counted("NEW")} - {_counted("OLD")}; END;
CREATE TRIGGER sessions_removed AFTER DELETE ON sessions
    BEGIN UPDATE totals SET rows = rows - 1, bytes = bytes - {_counted("OLD")}; END;
UPDATE totals SET bytes = (SELECT coalesce(sum({_counted("sessions")}), 0) FROM sessions);
"""

STEPS = (_FIRST, _SECOND)
VERSION = len(STEPS)


def statements(script: str) -> Iterator[str]:
    """One statement at a time: ``executescript`` would end the transaction."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
