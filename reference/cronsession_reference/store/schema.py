"""The tables. Every look-up that the gateway makes often has an index of its own.

``totals`` is kept by triggers, so that the size of the store is known without counting. The partial
indexes are what reaping and maintenance walk along: their cost is that of what they remove.
"""

from __future__ import annotations

VERSION = 1

SCHEMA = """
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
