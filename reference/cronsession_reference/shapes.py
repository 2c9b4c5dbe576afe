"""Stored values in the shapes of the contract."""

from __future__ import annotations

from typing import Any

from .store import Notice, Run, SessionRow


def run_dict(run: Run) -> dict[str, Any]:
    """A run in the contract's shape."""
    return {
        "id": run.id,
        "jobId": run.job_id,
        "trigger": run.trigger,
        "slotMs": run.slot_ms,
        "startedAtMs": run.started_ms,
        "endedAtMs": run.ended_ms,
        "status": run.status,
        "sessionKey": run.session_key,
        "sessionId": run.session_id,
        "error": run.error,
        **({} if run.cause is None else {"cause": run.cause}),
    }


def notice_dict(notice: Notice) -> dict[str, Any]:
    """A notice in the contract's shape."""
    about = {} if notice.job_id is None else {"jobId": notice.job_id}
    return {
        "id": str(notice.number),
        "atMs": notice.at_ms,
        "kind": notice.kind,
        "text": notice.text,
        **about,
    }


def row_dict(row: SessionRow) -> dict[str, Any]:
    """A session row in the contract's shape, with its kind and size beside."""
    return {
        "key": row.key,
        "id": row.id,
        "agent": row.agent,
        "jobId": row.job_id,
        "updatedAtMs": row.updated_ms,
        "kind": row.kind,
        "bytes": row.bytes,
    }
