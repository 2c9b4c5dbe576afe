"""Aged rows in the store of a stopped gateway, for whoever wants to see what becomes of them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from . import keys
from .checks import agent_id, flag, identifier, integer, members, shorten
from .errors import Refused
from .jobs import parse_wish
from .resolver import MAIN, NAMED, RECEIPT, session_key
from .settings import Settings
from .store import SessionRow, SqliteStore
from .transcripts import Transcripts


def seed(state_dir: Path, rows: object, settings: Settings) -> list[SessionRow]:
    """Create rows of the shape ``store/seed``, each with a transcript. Raises :class:`Refused`."""
    entries = [_checked(entry, f"rows[{place}]") for place, entry in enumerate(_list(rows))]
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    store, transcripts = SqliteStore(state_dir / "gateway.db"), Transcripts(state_dir / "sessions")
    try:
        with store.transaction():
            return [_add(store, transcripts, _row(entry, settings)) for entry in entries]
    finally:
        store.close()


def _list(rows: object) -> Sequence[Any]:
    if not isinstance(rows, (list, tuple)):
        raise Refused("rows", f"must be a list, not {shorten(rows)}")
    return rows


def _checked(entry: object, where: str) -> Mapping[str, Any]:
    entry = members(entry, where, ("receipt", "updatedAtMs"), ("agent", "jobId", "session"))
    flag(entry["receipt"], f"{where}.receipt")
    integer(entry["updatedAtMs"], f"{where}.updatedAtMs", 0)
    if "agent" in entry:
        agent_id(entry["agent"], f"{where}.agent")
    if entry.get("jobId") is not None:
        identifier(entry["jobId"], f"{where}.jobId")
    return entry


def _row(entry: Mapping[str, Any], settings: Settings) -> SessionRow:
    agent, at, session_id = (
        entry.get("agent", settings.default_agent),
        entry["updatedAtMs"],
        str(uuid.uuid4()),
    )
    job_id = entry.get("jobId")
    if entry["receipt"]:
        job_id = job_id or str(uuid.uuid4())
        return SessionRow(
            keys.receipt_key(agent, job_id, session_id), session_id, agent, job_id, RECEIPT, at, at
        )
    wish = parse_wish(entry.get("session", {"target": "named", "name": f"seeded-{session_id[:8]}"}))
    key = session_key(wish, agent=agent, agents=(agent,), policies=settings.policies)
    kind = MAIN if key == keys.main_key(agent) else NAMED
    return SessionRow(key, session_id, agent, job_id, kind, at, at)


def _add(store: SqliteStore, transcripts: Transcripts, row: SessionRow) -> SessionRow:
    if (known := store.session(row.key)) is not None:
        row = replace(row, id=known.id)
    turn = [{"role": "user", "content": "seeded"}, {"role": "assistant", "content": "seeded"}]
    size = transcripts.append(row.id, [{**message, "atMs": row.updated_ms} for message in turn])
    store.put_session(replace(row, bytes=size))
    return replace(row, bytes=size)
