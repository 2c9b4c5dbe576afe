"""The store people use: one SQLite file in WAL mode, shared by any number of processes.

What is committed survives the death of the process at any moment.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..checks import MAX_INSTANT
from ..errors import StoreError
from ..jobs import Job
from .base import Archived, Notice, Run, SessionRow, Totals
from .connection import Connection
from .rows import (
    ARCHIVED,
    NOTICE,
    RUN,
    SESSION,
    archived_of,
    body_of,
    job_of,
    notice_of,
    run_of,
    session_of,
    shown_id,
)

_FREE = "key NOT IN (SELECT key FROM leases)"
_OPEN = "status IN ('running', 'queued')"
_INSTANT = "coalesce(started, slot, ended, 0)"
_PAGE = 128


def _sane(column: str) -> str:
    # A text in a column of instants is greater than every number: a bad row is out of every range.
    return f"{column} >= 0 AND {column} <= {MAX_INSTANT}"


class SqliteStore(Connection):
    """The store in the file ``path``.

    ``sync`` is SQLite's ``synchronous``: with ``FULL`` a commit also survives the loss of power, with ``OFF``
    only the death of the process, at a tenth of the price.
    Raises :class:`StoreError` for a file that is no sound store of a known version; the file is left alone.
    """

    durable = True

    def job(self, job_id: str) -> Job | None:
        row = self._sql("SELECT id, body, next_run FROM jobs WHERE id = ?", job_id).fetchone()
        return None if row is None else job_of(*row)

    def _job_rows(self) -> list[tuple[Any, ...]]:
        return self._sql("SELECT id, body, next_run FROM jobs ORDER BY seq").fetchall()

    def jobs(self) -> list[Job]:
        return [job for row in self._job_rows() if (job := job_of(*row)) is not None]

    def broken_jobs(self) -> list[str]:
        return [shown_id(row[0]) for row in self._job_rows() if job_of(*row) is None]

    def broken_rows(self) -> list[str]:
        sessions = self._sql(f"SELECT {SESSION} FROM sessions").fetchall()
        runs = self._sql(f"SELECT {RUN} FROM runs").fetchall()
        found = [f"session {row[0]!r:.300}" for row in sessions if session_of(row) is None]
        return found + [f"run {row[0]!r:.300}" for row in runs if run_of(row) is None]

    def put_job(self, job: Job) -> None:
        self._sql(
            "INSERT INTO jobs (id, body, next_run) VALUES (?, ?, ?) "
            "ON CONFLICT (id) DO UPDATE SET body = excluded.body, next_run = excluded.next_run",
            *(job.id, body_of(job), job.next_run_ms),
        )

    def delete_job(self, job_id: str) -> bool:
        return self._sql("DELETE FROM jobs WHERE id = ?", job_id).rowcount > 0

    def next_due(self) -> int | None:
        found = self._look(f"SELECT min(next_run) FROM jobs WHERE {_sane('next_run')}")[0][0]
        return None if found is None else int(found)

    def due(self, now_ms: int) -> list[str]:
        rows = self._sql(
            "SELECT id FROM jobs WHERE next_run >= 0 AND next_run <= ? ORDER BY next_run, seq", now_ms
        )
        return [row[0] for row in rows.fetchall()]

    def silence(self, job_id: str) -> None:
        self._sql("UPDATE jobs SET next_run = NULL WHERE id = ?", job_id)

    def add_run(self, run: Run) -> Run | None:
        values = _run_values(run)
        cursor = self._sql(
            f"INSERT INTO runs ({RUN}) SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
            "coalesce((SELECT max(number) FROM runs WHERE job_id = ?), 0) + 1, ?, ?, ?, ? WHERE true "
            "ON CONFLICT (job_id, slot, attempt) WHERE slot IS NOT NULL DO NOTHING",
            *(*values[:11], run.job_id, *values[12:]),
        )
        return self.run(run.id) if cursor.rowcount > 0 else None

    def put_run(self, run: Run) -> None:
        values = _run_values(run)
        self._sql(
            "UPDATE runs SET trigger = ?, status = ?, slot = ?, started = ?, ended = ?, session_key = ?, "
            "session_id = ?, error = ?, owner = ?, attempt = ?, due = ?, cause = ? WHERE id = ?",
            *(*values[2:11], *values[13:], run.id),
        )

    def delete_run(self, run_id: str) -> None:
        self._sql("DELETE FROM runs WHERE id = ?", run_id)

    def run(self, run_id: str) -> Run | None:
        return next(iter(self._runs("WHERE id = ?", run_id)), None)

    def runs(self, since_ms: int | None = None) -> list[Run]:
        since = -1 if since_ms is None else since_ms
        condition = f"WHERE status != 'queued' AND {_INSTANT} >= ? ORDER BY seq"
        return self._runs(condition, since)

    def open_runs(self, job_id: str | None = None) -> list[Run]:
        if job_id is None:
            return self._runs(f"INDEXED BY runs_open WHERE {_OPEN} ORDER BY seq")
        return self._runs(f"WHERE job_id = ? AND {_OPEN} ORDER BY seq", job_id)

    def _runs(self, condition: str, *values: Any) -> list[Run]:
        return _readable(self._sql(f"SELECT {RUN} FROM runs {condition}", *values).fetchall())

    def running(self) -> list[Run]:
        statement = f"SELECT {RUN} FROM runs INDEXED BY runs_running WHERE status = 'running' ORDER BY seq"
        return _readable(self._look(statement))

    def _waits(self) -> bool:
        """Whether any run is queued; what is asked about them changes with the time."""
        return bool(self._look("SELECT 1 FROM runs WHERE status = 'queued' LIMIT 1"))

    def startable(self, now_ms: int, limit: int) -> list[Run]:
        if not self._waits():
            return []
        # The first of a job is the one that no earlier one of it waits before.
        return self._runs(
            "AS r WHERE status = 'queued' AND due <= ? "
            "AND NOT EXISTS (SELECT 1 FROM runs WHERE job_id = r.job_id AND status = 'running') "
            "AND NOT EXISTS (SELECT 1 FROM runs WHERE job_id = r.job_id AND status = 'queued' "
            "AND (due, seq) < (r.due, r.seq)) ORDER BY due, seq LIMIT ?",
            *(now_ms, limit),
        )

    def next_waiting(self, now_ms: int) -> int | None:
        if not self._waits():
            return None
        statement = "SELECT min(due) FROM runs WHERE status = 'queued' AND due > ? AND due <= ?"
        row = self._sql(statement, now_ms, MAX_INSTANT).fetchone()
        return None if row[0] is None else int(row[0])

    def oldest_run(self) -> int | None:
        found = self._look(f"SELECT min({_INSTANT}) FROM runs WHERE {_sane(_INSTANT)}")[0][0]
        return None if found is None else int(found)

    def latest_start(self) -> int | None:
        row = self._sql(f"SELECT max(started) FROM runs WHERE {_sane('started')}").fetchone()
        return None if row[0] is None else int(row[0])

    def trim_runs(self, job_id: str, upto_number: int) -> None:
        self._sql(f"DELETE FROM runs WHERE job_id = ? AND number <= ? AND NOT {_OPEN}", job_id, upto_number)

    def orphan_runs(self, job_id: str, now_ms: int) -> None:
        self._sql("UPDATE runs SET orphaned = ? WHERE job_id = ?", now_ms, job_id)

    def forget_orphans(self, before_ms: int) -> None:
        self._sql(f"DELETE FROM runs WHERE orphaned < ? AND NOT {_OPEN}", before_ms)

    def expire_runs(self, before_ms: int) -> None:
        self._sql(f"DELETE FROM runs WHERE {_INSTANT} < ? AND NOT {_OPEN}", before_ms)

    def add_notice(self, notice: Notice, keep: int) -> None:
        values = (notice.at_ms, notice.kind, notice.text, notice.job_id)
        added = self._sql("INSERT INTO notices (at, kind, text, job_id) VALUES (?, ?, ?, ?)", *values)
        self._sql("DELETE FROM notices WHERE seq <= ?", (added.lastrowid or 0) - keep)

    def notices(self, since_ms: int | None = None) -> list[Notice]:
        statement = f"SELECT {NOTICE} FROM notices WHERE at >= ? ORDER BY seq"
        rows = self._sql(statement, since_ms or 0).fetchall()
        return [notice for row in rows if (notice := notice_of(row)) is not None]

    def archive(self, entry: Archived) -> None:
        self.forget_archived(entry.id)
        values = (entry.id, entry.key, entry.at_ms, entry.bytes)
        self._sql(f"INSERT INTO archives ({ARCHIVED}) VALUES (?, ?, ?, ?)", *values)

    def archived(self, session_id: str) -> Archived | None:
        row = self._sql(f"SELECT {ARCHIVED} FROM archives WHERE id = ?", session_id).fetchone()
        return None if row is None else archived_of(row)

    def archives(self, before_ms: int | None = None) -> Iterator[Archived]:
        before = MAX_INSTANT if before_ms is None else before_ms
        after: tuple[int, str] = (-1, "")
        while True:
            rows = self._sql(
                f"SELECT {ARCHIVED} FROM archives WHERE at < ? AND at >= ? AND (at, id) > (?, ?) "
                "ORDER BY at, id LIMIT ?",
                *(before, after[0], *after, _PAGE),
            ).fetchall()
            yield from (entry for row in rows if (entry := archived_of(row)) is not None)
            if len(rows) < _PAGE:
                return
            after = (rows[-1][2], rows[-1][0])

    def forget_archived(self, session_id: str) -> None:
        self._sql("DELETE FROM archives WHERE id = ?", session_id)

    def session(self, key: str) -> SessionRow | None:
        row = self._sql(f"SELECT {SESSION} FROM sessions WHERE key = ?", key).fetchone()
        if row is None or (found := session_of(row)) is not None:
            return None if row is None else found
        raise StoreError(f"the stored row of session {key!r:.80} cannot be read; doctor names it")

    def sessions(self, since_ms: int | None = None) -> list[SessionRow]:
        since = -1 if since_ms is None else since_ms
        rows = self._sql(f"SELECT {SESSION} FROM sessions WHERE updated >= ? ORDER BY seq", since)
        return [found for row in rows.fetchall() if (found := session_of(row)) is not None]

    def put_session(self, row: SessionRow) -> None:
        self._sql(
            f"INSERT INTO sessions ({SESSION}) VALUES (?, ?, ?, ?, ?, ?, ?, ?) "
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
            f"SELECT rows, bytes, (SELECT min(updated) FROM sessions WHERE kind != 'main' AND {_sane('updated')}), "
            f"(SELECT min(updated) FROM sessions WHERE kind = 'receipt' AND {_sane('updated')}), archived, "
            f"(SELECT min(at) FROM archives WHERE {_sane('at')}) FROM totals"
        )
        return Totals(*self._look(statement)[0])

    def receipts(self, before_ms: int) -> Iterator[SessionRow]:
        return self._pages("kind = 'receipt' AND updated < ?", before_ms)

    def evictable(self) -> Iterator[SessionRow]:
        return self._pages("kind != 'main' AND updated <= ?", MAX_INSTANT)

    def _pages(self, condition: str, value: int) -> Iterator[SessionRow]:
        # Page by page, each starting after the last row seen: the caller deletes as it goes.
        after, page = (-1, -1), 2
        while True:
            rows = self._sql(
                f"SELECT updated, seq, {SESSION} FROM sessions WHERE {condition} AND {_FREE} "
                "AND updated >= ? AND (updated, seq) > (?, ?) ORDER BY updated, seq LIMIT ?",
                *(value, after[0], *after, page),
            ).fetchall()
            yield from (found for row in rows if (found := session_of(row[2:])) is not None)
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
        return [(row[0], row[1]) for row in self._look("SELECT key, owner FROM leases")]


def _readable(rows: list[tuple[Any, ...]]) -> list[Run]:
    return [run for row in rows if (run := run_of(row)) is not None]


def _run_values(run: Run) -> tuple[Any, ...]:
    head = (run.id, run.job_id, run.trigger, run.status, run.slot_ms, run.started_ms, run.ended_ms)
    middle = (run.session_key, run.session_id, run.error, run.owner, run.number, run.orphaned_ms)
    return (*head, *middle, run.attempt, run.due_ms, run.cause)
