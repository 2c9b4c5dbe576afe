"""The store people use: one SQLite file in WAL mode, shared by any number of processes.

What is committed survives the death of the process at any moment.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..errors import StoreClosed, StoreError
from ..jobs import Job, job_dict, job_from_dict
from .base import Run, SessionRow, Totals
from .schema import SCHEMA, VERSION

_RUN = (
    "id, job_id, trigger, status, slot, started, ended, session_key, session_id, error, "
    "owner, number, orphaned"
)
_SESSION = "key, id, agent, job_id, kind, created, updated, bytes"
_FREE = "key NOT IN (SELECT key FROM leases)"
_OPEN = "status IN ('running', 'queued')"
_PAGE = 128


class SqliteStore:
    """The store in the file ``path``.

    ``sync`` is SQLite's ``synchronous``: with ``FULL`` a commit also survives the loss of power, with ``OFF``
    only the death of the process, at a tenth of the price.
    Raises :class:`StoreError` for a file that is not a store of this version; the file is left alone.
    """

    durable = True

    def __init__(self, path: Path, *, sync: str = "FULL") -> None:
        self._depth = 0
        self._db: sqlite3.Connection | None = None
        try:
            # The file exists with its permissions before SQLite opens it; its companions copy them.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            self._db = sqlite3.connect(path, isolation_level=None, timeout=30.0)
            self._open(sync)
        except (sqlite3.Error, OSError, ValueError) as err:
            self.close()
            raise StoreError(
                f"{path} cannot be used as a store: {err}. Nothing was changed; restore it or move it away"
            ) from None

    def _open(self, synchronous: str) -> None:
        for pragma in (
            "auto_vacuum = FULL",
            "journal_mode = WAL",
            f"synchronous = {synchronous}",
            "wal_autocheckpoint = 256",
            "journal_size_limit = 1048576",
            "temp_store = MEMORY",
        ):
            self._sql(f"PRAGMA {pragma}").fetchall()
        with self.transaction():
            if not self._sql("SELECT 1 FROM sqlite_master LIMIT 1").fetchall():
                for statement in _statements(SCHEMA):
                    self._sql(statement)
                self.put_meta("schema", str(VERSION))
            version = self.meta("schema")
        if version != str(VERSION):
            raise ValueError(f"its schema version is {version}, and this program knows {VERSION}")

    def _sql(self, statement: str, *values: Any) -> sqlite3.Cursor:
        if self._db is None:
            raise StoreClosed("the store is closed")
        return self._db.execute(statement, values)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        if self._depth:
            yield
            return
        self._sql("BEGIN IMMEDIATE")
        self._depth = 1
        try:
            yield
        except BaseException:
            self._depth = 0
            if self._db is not None:
                self._db.rollback()
            raise
        self._depth = 0
        self._sql("COMMIT")

    def close(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            db.close()

    def meta(self, name: str) -> str | None:
        row = self._sql("SELECT value FROM meta WHERE name = ?", name).fetchone()
        return None if row is None else str(row[0])

    def put_meta(self, name: str, value: str) -> None:
        self._sql("INSERT OR REPLACE INTO meta VALUES (?, ?)", name, value)

    def job(self, job_id: str) -> Job | None:
        row = self._sql("SELECT body, next_run FROM jobs WHERE id = ?", job_id).fetchone()
        return None if row is None else _job(*row)

    def jobs(self) -> list[Job]:
        rows = self._sql("SELECT body, next_run FROM jobs ORDER BY seq").fetchall()
        return [job for row in rows if (job := _job(*row)) is not None]

    def broken_jobs(self) -> list[str]:
        rows = self._sql("SELECT id, body, next_run FROM jobs ORDER BY seq").fetchall()
        return [row[0] for row in rows if _job(row[1], row[2]) is None]

    def put_job(self, job: Job) -> None:
        body = json.dumps({**job_dict(job), "nextRunAtMs": None}, ensure_ascii=False)
        self._sql(
            "INSERT INTO jobs (id, body, next_run) VALUES (?, ?, ?) "
            "ON CONFLICT (id) DO UPDATE SET body = excluded.body, next_run = excluded.next_run",
            *(job.id, body, job.next_run_ms),
        )

    def delete_job(self, job_id: str) -> bool:
        return self._sql("DELETE FROM jobs WHERE id = ?", job_id).rowcount > 0

    def next_due(self) -> int | None:
        row = self._sql("SELECT min(next_run) FROM jobs WHERE next_run IS NOT NULL").fetchone()
        return None if row[0] is None else int(row[0])

    def due(self, now_ms: int) -> list[str]:
        rows = self._sql("SELECT id FROM jobs WHERE next_run <= ? ORDER BY next_run, seq", now_ms)
        return [row[0] for row in rows.fetchall()]

    def silence(self, job_id: str) -> None:
        self._sql("UPDATE jobs SET next_run = NULL WHERE id = ?", job_id)

    def add_run(self, run: Run) -> Run | None:
        cursor = self._sql(
            f"INSERT INTO runs ({_RUN}) SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
            "coalesce((SELECT max(number) FROM runs WHERE job_id = ?), 0) + 1, ? WHERE true "
            "ON CONFLICT (job_id, slot) WHERE slot IS NOT NULL DO NOTHING",
            *(*_run_values(run)[:11], run.job_id, run.orphaned_ms),
        )
        return self.run(run.id) if cursor.rowcount > 0 else None

    def put_run(self, run: Run) -> None:
        values = _run_values(run)
        self._sql(
            "UPDATE runs SET trigger = ?, status = ?, slot = ?, started = ?, ended = ?, session_key = ?, "
            "session_id = ?, error = ?, owner = ? WHERE id = ?",
            *(*values[2:11], run.id),
        )

    def delete_run(self, run_id: str) -> None:
        self._sql("DELETE FROM runs WHERE id = ?", run_id)

    def run(self, run_id: str) -> Run | None:
        return next(iter(self._runs("WHERE id = ?", run_id)), None)

    def runs(self, since_ms: int | None = None) -> list[Run]:
        since = -1 if since_ms is None else since_ms
        condition = "WHERE status != 'queued' AND coalesce(started, slot, ended, 0) >= ? ORDER BY seq"
        return self._runs(condition, since)

    def open_runs(self, job_id: str | None = None) -> list[Run]:
        if job_id is None:
            return self._runs(f"WHERE {_OPEN} ORDER BY seq")
        return self._runs(f"WHERE job_id = ? AND {_OPEN} ORDER BY seq", job_id)

    def _runs(self, condition: str, *values: Any) -> list[Run]:
        return [Run(*row) for row in self._sql(f"SELECT {_RUN} FROM runs {condition}", *values).fetchall()]

    def latest_start(self) -> int | None:
        row = self._sql("SELECT max(started) FROM runs").fetchone()
        return None if row[0] is None else int(row[0])

    def trim_runs(self, job_id: str, upto_number: int) -> None:
        self._sql(f"DELETE FROM runs WHERE job_id = ? AND number <= ? AND NOT {_OPEN}", job_id, upto_number)

    def orphan_runs(self, job_id: str, now_ms: int) -> None:
        self._sql("UPDATE runs SET orphaned = ? WHERE job_id = ?", now_ms, job_id)

    def forget_orphans(self, before_ms: int) -> None:
        self._sql(f"DELETE FROM runs WHERE orphaned < ? AND NOT {_OPEN}", before_ms)

    def session(self, key: str) -> SessionRow | None:
        row = self._sql(f"SELECT {_SESSION} FROM sessions WHERE key = ?", key).fetchone()
        return None if row is None else SessionRow(*row)

    def sessions(self, since_ms: int | None = None) -> list[SessionRow]:
        since = -1 if since_ms is None else since_ms
        rows = self._sql(f"SELECT {_SESSION} FROM sessions WHERE updated >= ? ORDER BY seq", since)
        return [SessionRow(*row) for row in rows.fetchall()]

    def put_session(self, row: SessionRow) -> None:
        self._sql(
            f"INSERT INTO sessions ({_SESSION}) VALUES (?, ?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (key) DO UPDATE SET id = excluded.id, agent = excluded.agent, "
            "job_id = excluded.job_id, kind = excluded.kind, created = excluded.created, "
            "updated = excluded.updated, bytes = excluded.bytes",
            *(row.key, row.id, row.agent, row.job_id, row.kind, row.created_ms, row.updated_ms, row.bytes),
        )

    def delete_session(self, key: str) -> bool:
        return self._sql("DELETE FROM sessions WHERE key = ?", key).rowcount > 0

    def references(self, session_id: str) -> int:
        return int(self._sql("SELECT count(*) FROM sessions WHERE id = ?", session_id).fetchone()[0])

    def totals(self) -> Totals:
        statement = (
            "SELECT rows, bytes, (SELECT min(updated) FROM sessions WHERE kind != 'main'), "
            "(SELECT min(updated) FROM sessions WHERE kind = 'receipt') FROM totals"
        )
        return Totals(*self._sql(statement).fetchone())

    def receipts(self, before_ms: int) -> Iterator[SessionRow]:
        return self._pages("kind = 'receipt' AND updated < ?", before_ms)

    def evictable(self) -> Iterator[SessionRow]:
        return self._pages("kind != 'main' AND ?", True)

    def _pages(self, condition: str, value: int) -> Iterator[SessionRow]:
        # Page by page, each starting after the last row seen: the caller deletes as it goes.
        after, page = (-1, -1), 2
        while True:
            rows = self._sql(
                f"SELECT updated, seq, {_SESSION} FROM sessions WHERE {condition} AND {_FREE} "
                "AND updated >= ? AND (updated, seq) > (?, ?) ORDER BY updated, seq LIMIT ?",
                *(value, after[0], *after, page),
            ).fetchall()
            for row in rows:
                yield SessionRow(*row[2:])
            if len(rows) < page:
                return
            # Most look only at the first row: pages grow with the interest.
            after, page = rows[-1][:2], min(_PAGE, page * 4)

    def lease(self, key: str, owner: str) -> bool:
        return self._sql("INSERT OR IGNORE INTO leases VALUES (?, ?)", key, owner).rowcount > 0

    def lease_owner(self, key: str) -> str | None:
        row = self._sql("SELECT owner FROM leases WHERE key = ?", key).fetchone()
        return None if row is None else str(row[0])

    def release(self, key: str, owner: str) -> None:
        self._sql("DELETE FROM leases WHERE key = ? AND owner = ?", key, owner)

    def leases(self) -> list[tuple[str, str]]:
        return [(row[0], row[1]) for row in self._sql("SELECT key, owner FROM leases").fetchall()]


def _job(body: str, next_run: int | None) -> Job | None:
    job = _definition(body)
    return None if job is None else replace(job, next_run_ms=next_run)


@lru_cache(maxsize=1024)
def _definition(body: str) -> Job | None:
    """A job without its next run: all that changes only when a person changes it."""
    try:
        return job_from_dict({**json.loads(body), "nextRunAtMs": None})
    except (ValueError, KeyError, TypeError):
        return None


def _run_values(run: Run) -> tuple[Any, ...]:
    head = (run.id, run.job_id, run.trigger, run.status, run.slot_ms, run.started_ms, run.ended_ms)
    return (*head, run.session_key, run.session_id, run.error, run.owner, run.number, run.orphaned_ms)


def _statements(script: str) -> Iterator[str]:
    """One statement at a time: ``executescript`` would end the transaction."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
