"""A store in memory, for tests and for gateways that may forget. It does not look for speed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from ..errors import StoreClosed
from ..jobs import Job
from .base import OPEN, Archived, Notice, Run, SessionRow, Totals


class MemoryStore:
    """Tables are dicts; a transaction that fails is undone from a log."""

    durable = False

    def __init__(self) -> None:
        self._meta: dict[str, str] = {}
        self._jobs: dict[str, Job] = {}
        self._runs: dict[str, Run] = {}
        self._slots: dict[tuple[str, int, int], str] = {}
        self._sessions: dict[str, SessionRow] = {}
        self._leases: dict[str, str] = {}
        self._numbers: dict[str, int] = {}
        self._notices: dict[int, Notice] = {}
        self._archives: dict[str, Archived] = {}
        self._undo: list[tuple[dict[Any, Any], Any, Any]] | None = None
        self._closed = False

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self._check()
        outermost = self._undo is None
        undo: list[tuple[dict[Any, Any], Any, Any]] = [] if self._undo is None else self._undo
        self._undo, begun = undo, len(undo)
        try:
            yield
        except BaseException:
            for table, key, old in reversed(undo[begun:]):
                table.pop(key, None)
                if old is not None:
                    table[key] = old
            del undo[begun:]
            raise
        finally:
            if outermost:
                self._undo = None

    @contextmanager
    def steady(self) -> Iterator[None]:
        self._check()
        yield

    def close(self) -> None:
        self._closed = True

    def _check(self) -> None:
        if self._closed:
            raise StoreClosed("the store is closed")

    def _set(self, table: dict[Any, Any], key: Any, value: Any) -> None:
        self._check()
        if self._undo is not None:
            self._undo.append((table, key, table.get(key)))
        if value is None:
            table.pop(key, None)
        else:
            table[key] = value

    def meta(self, name: str) -> str | None:
        self._check()
        return self._meta.get(name)

    def put_meta(self, name: str, value: str) -> None:
        self._set(self._meta, name, value)

    def job(self, job_id: str) -> Job | None:
        self._check()
        return self._jobs.get(job_id)

    def jobs(self) -> list[Job]:
        self._check()
        return sorted(self._jobs.values(), key=lambda job: job.created_ms)

    def broken_jobs(self) -> list[str]:
        return []

    def broken_rows(self) -> list[str]:
        return []

    def put_job(self, job: Job) -> None:
        self._set(self._jobs, job.id, job)

    def delete_job(self, job_id: str) -> bool:
        found = self.job(job_id) is not None
        self._set(self._jobs, job_id, None)
        return found

    def next_due(self) -> int | None:
        return min((j.next_run_ms for j in self._jobs.values() if j.next_run_ms is not None), default=None)

    def due(self, now_ms: int) -> list[str]:
        self._check()
        found = [
            (j.next_run_ms, j.id)
            for j in self.jobs()
            if j.next_run_ms is not None and j.next_run_ms <= now_ms
        ]
        return [job_id for _, job_id in sorted(found, key=lambda entry: entry[0])]

    def silence(self, job_id: str) -> None:
        if job := self.job(job_id):
            self.put_job(replace(job, next_run_ms=None))

    def add_run(self, run: Run) -> Run | None:
        self._check()
        if run.slot_ms is not None:
            if (run.job_id, run.slot_ms, run.attempt) in self._slots:
                return None
            self._set(self._slots, (run.job_id, run.slot_ms, run.attempt), run.id)
        number = self._numbers.get(run.job_id, 0) + 1
        self._set(self._numbers, run.job_id, number)
        run = replace(run, number=number)
        self._set(self._runs, run.id, run)
        return run

    def put_run(self, run: Run) -> None:
        self._set(self._runs, run.id, run)

    def delete_run(self, run_id: str) -> None:
        run = self.run(run_id)
        if run is not None and run.slot_ms is not None:
            self._set(self._slots, (run.job_id, run.slot_ms, run.attempt), None)
        self._set(self._runs, run_id, None)

    def run(self, run_id: str) -> Run | None:
        self._check()
        return self._runs.get(run_id)

    def runs(self, since_ms: int | None = None) -> list[Run]:
        self._check()
        found = [run for run in self._runs.values() if run.status != "queued"]
        return [run for run in found if since_ms is None or run.instant_ms >= since_ms]

    def open_runs(self, job_id: str | None = None) -> list[Run]:
        self._check()
        return [r for r in self._runs.values() if r.status in OPEN and job_id in (None, r.job_id)]

    def running(self) -> list[Run]:
        return [run for run in self.open_runs() if run.status == "running"]

    def startable(self, now_ms: int, limit: int) -> list[Run]:
        busy = {run.job_id for run in self.running()}
        waiting = [run for run in self.open_runs() if run.status == "queued" and run.job_id not in busy]
        first: dict[str, Run] = {}
        for run in sorted(waiting, key=lambda run: run.due_ms or 0):
            if (run.due_ms or 0) <= now_ms:
                first.setdefault(run.job_id, run)
        return list(first.values())[:limit]

    def next_waiting(self, now_ms: int) -> int | None:
        dues = [run.due_ms for run in self.open_runs() if run.status == "queued" and run.due_ms is not None]
        return min((due for due in dues if due > now_ms), default=None)

    def oldest_run(self) -> int | None:
        return min((run.instant_ms for run in self._runs.values() if run.status not in OPEN), default=None)

    def latest_start(self) -> int | None:
        return max(
            (run.started_ms for run in self._runs.values() if run.started_ms is not None), default=None
        )

    def _forget(self, doomed: list[Run]) -> None:
        for run in doomed:
            if run.status not in OPEN:
                self.delete_run(run.id)

    def trim_runs(self, job_id: str, upto_number: int) -> None:
        self._check()
        self._forget([r for r in self._runs.values() if r.job_id == job_id and r.number <= upto_number])

    def orphan_runs(self, job_id: str, now_ms: int) -> None:
        for run in [run for run in self._runs.values() if run.job_id == job_id]:
            self.put_run(replace(run, orphaned_ms=now_ms))

    def forget_orphans(self, before_ms: int) -> None:
        self._check()
        self._forget(
            [r for r in self._runs.values() if r.orphaned_ms is not None and r.orphaned_ms < before_ms]
        )

    def expire_runs(self, before_ms: int) -> None:
        self._check()
        self._forget([run for run in self._runs.values() if run.instant_ms < before_ms])

    def add_notice(self, notice: Notice, keep: int) -> None:
        number = max(self._notices, default=0) + 1
        self._set(self._notices, number, replace(notice, number=number))
        self._set(self._notices, number - keep, None)

    def notices(self, since_ms: int | None = None) -> list[Notice]:
        self._check()
        return [found for found in self._notices.values() if since_ms is None or found.at_ms >= since_ms]

    def archive(self, entry: Archived) -> None:
        self._set(self._archives, entry.id, entry)

    def archived(self, session_id: str) -> Archived | None:
        self._check()
        return self._archives.get(session_id)

    def archives(self, before_ms: int | None = None) -> Iterator[Archived]:
        self._check()
        found = [one for one in self._archives.values() if before_ms is None or one.at_ms < before_ms]
        return iter(sorted(found, key=lambda entry: entry.at_ms))

    def forget_archived(self, session_id: str) -> None:
        self._set(self._archives, session_id, None)

    def session(self, key: str) -> SessionRow | None:
        self._check()
        return self._sessions.get(key)

    def sessions(self, since_ms: int | None = None) -> list[SessionRow]:
        self._check()
        return [row for row in self._sessions.values() if since_ms is None or row.updated_ms >= since_ms]

    def put_session(self, row: SessionRow) -> None:
        self._set(self._sessions, row.key, row)

    def delete_session(self, key: str) -> bool:
        found = self.session(key) is not None
        self._set(self._sessions, key, None)
        return found

    def references(self, session_id: str) -> int:
        self._check()
        return sum(row.id == session_id for row in self._sessions.values())

    def totals(self) -> Totals:
        self._check()
        rows = self._sessions.values()
        oldest = min((row.updated_ms for row in rows if row.kind != "main"), default=None)
        receipt = min((row.updated_ms for row in rows if row.kind == "receipt"), default=None)
        aside = self._archives.values()
        archived, first = sum(one.bytes for one in aside), min((one.at_ms for one in aside), default=None)
        return Totals(len(rows), sum(row.bytes for row in rows), oldest, receipt, archived, first)

    def _by_age(self) -> list[SessionRow]:
        self._check()
        free = [row for row in self._sessions.values() if row.key not in self._leases]
        return sorted(free, key=lambda row: row.updated_ms)

    def receipts(self, before_ms: int) -> Iterator[SessionRow]:
        return iter([row for row in self._by_age() if row.kind == "receipt" and row.updated_ms < before_ms])

    def evictable(self) -> Iterator[SessionRow]:
        return iter([row for row in self._by_age() if row.kind != "main"])

    def lease(self, key: str, owner: str) -> bool:
        self._check()
        if key in self._leases:
            return False
        self._set(self._leases, key, owner)
        return True

    def lease_owner(self, key: str) -> str | None:
        self._check()
        return self._leases.get(key)

    def release(self, key: str, owner: str) -> None:
        self._check()
        if self._leases.get(key) == owner:
            self._set(self._leases, key, None)

    def leases(self) -> list[tuple[str, str]]:
        self._check()
        return list(self._leases.items())
