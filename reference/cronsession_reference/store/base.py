"""What every store offers. ``tests/reference/test_store.py`` is the same for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from ..jobs import Job

OPEN = ("running", "queued")
"""States of a run that has no outcome yet. ``queued`` is a claimed slot whose run has still to begin."""


@dataclass(frozen=True)
class Run:
    """One execution of a job, or the outcome of a slot that was not executed.

    ``owner`` is the gateway instance that executes it. ``number`` counts the runs of a job.
    ``orphaned_ms`` is when its job was removed. ``attempt`` counts the repetitions of a slot, from 0.
    ``due_ms`` is when a queued run may begin, ``cause`` the class of a failure.
    """

    id: str
    job_id: str
    trigger: str
    status: str
    slot_ms: int | None = None
    started_ms: int | None = None
    ended_ms: int | None = None
    session_key: str | None = None
    session_id: str | None = None
    error: str | None = None
    owner: str | None = None
    number: int = 0
    orphaned_ms: int | None = None
    attempt: int = 0
    due_ms: int | None = None
    cause: str | None = None

    @property
    def instant_ms(self) -> int:
        """When it started, or would have."""
        instants = (self.started_ms, self.slot_ms, self.ended_ms)
        return next((instant for instant in instants if instant is not None), 0)


@dataclass(frozen=True)
class SessionRow:
    """A session: ``id`` names the transcript, ``updated_ms`` is the last activity, ``bytes`` its size."""

    key: str
    id: str
    agent: str
    job_id: str | None
    kind: str
    created_ms: int
    updated_ms: int
    bytes: int = 0


@dataclass(frozen=True)
class Notice:
    """Something that people should know. ``number`` counts them."""

    at_ms: int
    kind: str
    text: str
    job_id: str | None = None
    number: int = 0


@dataclass(frozen=True)
class Archived:
    """A transcript that was put aside at ``at_ms`` when its session ``key`` was removed."""

    id: str
    key: str
    at_ms: int
    bytes: int


@dataclass(frozen=True)
class Totals:
    """The size of the session store, known without counting, and the age of its oldest rows.

    ``archived`` are the bytes of the transcripts put aside; ``bytes`` does not contain them.

    ``oldest_ms`` is the last activity of the oldest row that is no main session, ``oldest_receipt_ms`` that
    of the oldest receipt: whether there is anything to do is known from one look.
    """

    rows: int
    bytes: int
    oldest_ms: int | None = None
    oldest_receipt_ms: int | None = None
    archived: int = 0
    oldest_archived_ms: int | None = None


class Store(Protocol):
    """All methods are immediate and see what other processes have committed.

    What is written inside ``with store.transaction():`` is kept as a whole or not at all, and other
    processes wait. One inside another is a part of it that is undone alone if it fails. A row that cannot
    be read is left alone and left out. After ``close`` every method raises ``StoreClosed``.
    """

    durable: bool

    def transaction(self) -> AbstractContextManager[None]: ...

    def steady(self) -> AbstractContextManager[None]:
        """Within it, what other processes commit need not be seen yet: looking often costs less.

        For moments without waiting. Inside a transaction everything is seen all the same.
        """

    def close(self) -> None: ...
    def meta(self, name: str) -> str | None: ...
    def put_meta(self, name: str, value: str) -> None: ...

    def job(self, job_id: str) -> Job | None: ...

    def jobs(self) -> list[Job]:
        """All readable jobs in order of creation."""

    def broken_jobs(self) -> list[str]:
        """The ids of stored jobs that cannot be read."""

    def broken_rows(self) -> list[str]:
        """Every other row that cannot be read, as a text for people. Looks at all of them."""

    def put_job(self, job: Job) -> None: ...
    def delete_job(self, job_id: str) -> bool: ...

    def next_due(self) -> int | None:
        """The earliest ``next_run_ms`` of all jobs."""

    def due(self, now_ms: int) -> list[str]:
        """The ids of the jobs due at or before ``now_ms``, earliest first."""

    def silence(self, job_id: str) -> None:
        """Take a job that cannot be read out of the queue."""

    def add_run(self, run: Run) -> Run | None:
        """Insert a run and number it; None if its slot has an outcome already."""

    def put_run(self, run: Run) -> None: ...
    def delete_run(self, run_id: str) -> None: ...
    def run(self, run_id: str) -> Run | None: ...
    def runs(self, since_ms: int | None = None) -> list[Run]: ...

    def open_runs(self, job_id: str | None = None) -> list[Run]:
        """Runs without an outcome, of one job or of all, oldest first."""

    def running(self) -> list[Run]:
        """The runs under way, of all jobs and processes."""

    def startable(self, now_ms: int, limit: int) -> list[Run]:
        """Queued runs that are due and whose job has none under way: one a job, the earliest due first."""

    def next_waiting(self, now_ms: int) -> int | None:
        """When the next queued run falls due, after ``now_ms``."""

    def oldest_run(self) -> int | None:
        """When the oldest run that is kept started, or would have."""

    def latest_start(self) -> int | None: ...

    def trim_runs(self, job_id: str, upto_number: int) -> None:
        """Forget the finished runs of a job up to this number."""

    def orphan_runs(self, job_id: str, now_ms: int) -> None:
        """Mark the runs of a job that is removed."""

    def forget_orphans(self, before_ms: int) -> None: ...

    def expire_runs(self, before_ms: int) -> None:
        """Forget the finished runs that started, or would have, before ``before_ms``."""

    def add_notice(self, notice: Notice, keep: int) -> None:
        """Write it down; only the latest ``keep`` are kept."""

    def notices(self, since_ms: int | None = None) -> list[Notice]: ...

    def archive(self, entry: Archived) -> None: ...
    def archived(self, session_id: str) -> Archived | None: ...
    def archives(self, before_ms: int | None = None) -> Iterator[Archived]:
        """What was put aside before ``before_ms``, oldest first."""

    def forget_archived(self, session_id: str) -> None: ...

    def session(self, key: str) -> SessionRow | None: ...
    def sessions(self, since_ms: int | None = None) -> list[SessionRow]: ...
    def put_session(self, row: SessionRow) -> None: ...
    def delete_session(self, key: str) -> bool: ...
    def references(self, session_id: str) -> int:
        """How many rows, readable or not, name this transcript."""

    def totals(self) -> Totals: ...

    def receipts(self, before_ms: int) -> Iterator[SessionRow]:
        """Receipts without a lease whose last activity is before ``before_ms``, oldest first."""

    def evictable(self) -> Iterator[SessionRow]:
        """Rows without a lease that are no main session, oldest activity first."""

    def lease(self, key: str, owner: str) -> bool:
        """Mark the session as in use; False if it is in use already."""

    def lease_owner(self, key: str) -> str | None: ...
    def release(self, key: str, owner: str) -> None: ...
    def leases(self) -> list[tuple[str, str]]: ...
