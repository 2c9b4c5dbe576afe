"""Stored rows as values. One that cannot be read is None: it is left alone, and hurts only itself."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from ..checks import MAX_INSTANT, MAX_NAME, shorten
from ..jobs import Job, job_dict, job_from_dict
from ..recovery import CAUSES
from .base import OPEN, Archived, Notice, Run, SessionRow
from .schema import MAX_BYTES

log = logging.getLogger(__name__)

RUN = (
    "id, job_id, trigger, status, slot, started, ended, session_key, session_id, error, "
    "owner, number, orphaned, attempt, due, cause"
)
SESSION = "key, id, agent, job_id, kind, created, updated, bytes"
ARCHIVED = "id, key, at, bytes"
NOTICE = "at, kind, text, job_id, seq"

TRIGGERS = ("schedule", "manual", "catchup", "retry")
STATUSES = (*OPEN, "ok", "error", "timeout", "cancelled", "interrupted", "skipped", "missed")
KINDS = ("main", "named", "job", "receipt")
_SESSION_ID = re.compile(r"[0-9a-f-]{8,64}\Z")


def _instant(*values: object) -> bool:
    return all(isinstance(v, int) and 0 <= v <= MAX_INSTANT for v in values)


def _instant_or_none(*values: object) -> bool:
    return all(v is None or _instant(v) for v in values)


def _text(*values: object) -> bool:
    return all(isinstance(v, str) and v for v in values)


def _is_id(*values: object) -> bool:
    return all(isinstance(v, str) and 0 < len(v) <= MAX_NAME for v in values)


def _text_or_none(*values: object) -> bool:
    return all(v is None or isinstance(v, str) for v in values)


def session_of(values: Sequence[Any]) -> SessionRow | None:
    """The row of the columns :data:`SESSION`."""
    row = SessionRow(*values)
    fine = (
        _text(row.key, row.agent)
        and isinstance(row.id, str)
        and _SESSION_ID.match(row.id)
        and _text_or_none(row.job_id)
        and row.kind in KINDS
        and _instant(row.created_ms, row.updated_ms, row.bytes)
        and row.bytes <= MAX_BYTES
    )
    return row if fine else _left_alone("session", values)


def run_of(values: Sequence[Any]) -> Run | None:
    """The run of the columns :data:`RUN`."""
    run = Run(*values)
    fine = (
        _is_id(run.id, run.job_id)
        and run.trigger in TRIGGERS
        and run.status in STATUSES
        and _instant_or_none(run.slot_ms, run.started_ms, run.ended_ms, run.orphaned_ms, run.due_ms)
        and _text_or_none(run.session_key, run.session_id, run.error, run.owner)
        and (run.cause is None or run.cause in CAUSES)
        and _instant(run.number, run.attempt)
    )
    return run if fine else _left_alone("run", values)


def archived_of(values: Sequence[Any]) -> Archived | None:
    """The entry of the columns :data:`ARCHIVED`."""
    entry = Archived(*values)
    fine = isinstance(entry.id, str) and _SESSION_ID.match(entry.id) and _instant(entry.at_ms, entry.bytes)
    return entry if fine else _left_alone("archive", values)


def notice_of(values: Sequence[Any]) -> Notice | None:
    """The notice of the columns :data:`NOTICE`."""
    found = Notice(*values)
    fine = (
        _instant(found.at_ms)
        and _text(found.kind, found.text)
        and (found.job_id is None or _is_id(found.job_id))
    )
    return found if fine else _left_alone("notice", values)


def shown_id(job_id: object) -> str:
    """What a job that cannot be read is called: its id, unless that is no id either."""
    return str(job_id) if _is_id(job_id) else shorten(job_id)


def _left_alone(what: str, values: Sequence[Any]) -> Any:
    log.debug("a stored %s cannot be read and is left alone: %.200r", what, values)
    return None


def body_of(job: Job) -> str:
    """A job as it is stored; its next run has a column of its own."""
    return json.dumps({**job_dict(job), "nextRunAtMs": None}, ensure_ascii=False)


def job_of(job_id: object, body: object, next_run: object) -> Job | None:
    """The job of the columns id, body and next_run."""
    job = _definition(body) if isinstance(body, str) and _instant_or_none(next_run) else None
    if job is None or job.id != job_id or not (next_run is None or isinstance(next_run, int)):
        return None
    return replace(job, next_run_ms=next_run)


@lru_cache(maxsize=1024)
def _definition(body: str) -> Job | None:
    """A job without its next run: all that changes only when a person changes it."""
    try:
        return job_from_dict({**json.loads(body), "nextRunAtMs": None})
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
