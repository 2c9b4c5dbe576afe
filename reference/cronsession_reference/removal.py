"""The end of a job. Call these inside a transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from . import keys
from .errors import StoreError
from .resolver import PER_JOB, RECEIPT
from .store import SessionRow, Store


def remove_job(store: Store, job_id: str, now_ms: int, agents: Sequence[str]) -> bool:
    """Delete a job; False if there is none. What runs may end; what was queued never starts."""
    if not store.delete_job(job_id):
        return False
    for run in store.open_runs(job_id):
        if run.status == "queued":
            store.delete_run(run.id)
    store.orphan_runs(job_id, now_ms)
    retire_session(store, job_id, agents)
    return True


def drop_waiting(store: Store, job_id: str, reason: str) -> None:
    """Runs that have still to begin never do. A slot gets its outcome; a repetition's slot has one."""
    for run in store.open_runs(job_id):
        if run.status != "queued":
            continue
        if run.attempt:
            store.delete_run(run.id)
        else:
            store.put_run(replace(run, status="skipped", error=reason))


def drop_retries(store: Store, job_id: str) -> None:
    """No slot of the job is tried again."""
    for run in store.open_runs(job_id):
        if run.status == "queued" and run.attempt:
            store.delete_run(run.id)


def retire_session(store: Store, job_id: str, agents: Sequence[str]) -> None:
    """No run will use the job's own session again: from now on it is a receipt, which retention removes."""
    for agent in agents:
        row = _readable(store, keys.job_key(agent, job_id))
        if row is not None and row.kind == PER_JOB:
            store.put_session(replace(row, kind=RECEIPT))


def _readable(store: Store, key: str) -> SessionRow | None:
    try:
        return store.session(key)
    except StoreError:
        return None
