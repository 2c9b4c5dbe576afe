"""The rows of ``store/seed`` in OpenClaw's words. Pure; each kind of store has its own way to write them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from . import mapping

TEXT = "seeded"


@dataclass(frozen=True)
class SeedRow:
    """A row to be: its key, the agent that keeps it, the session it points at, and its last activity."""

    key: str
    agent: str
    session_id: str
    updated_ms: int

    @property
    def updated_iso(self) -> str:
        """The last activity as JavaScript writes it."""
        return mapping.iso(self.updated_ms)


def new_rows(
    rows: Iterable[Mapping[str, Any]],
    default_agent: str,
    new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
) -> list[SeedRow]:
    """One row for each that is asked for; :class:`.mapping.Inexpressible` for a wish without a session.

    A receipt without ``jobId`` is one of a job that is gone.
    """
    return [_row(wanted, wanted.get("agent") or default_agent, new_id) for wanted in rows]


def _row(wanted: Mapping[str, Any], agent: str, new_id: Callable[[], str]) -> SeedRow:
    session_id = new_id()
    if wanted["receipt"]:
        key = f"agent:{agent}:cron:{wanted.get('jobId') or new_id()}:run:{session_id}"
    else:
        wish = wanted.get("session") or {"target": "named", "name": f"seeded-{session_id[:8]}"}
        key = mapping.session_key(wish, agent).lower()
    return SeedRow(key, agent, session_id, wanted["updatedAtMs"])


def turn(row: SeedRow) -> list[dict[str, Any]]:
    """The messages of the one turn that a seeded session has had."""
    said = [{"type": "text", "text": TEXT}]
    usage = {"input": 1, "output": 1, "cacheRead": 0, "cacheWrite": 0, "totalTokens": 2}
    answer = {"api": "openai-completions", "provider": "suite", "model": TEXT, "usage": usage}
    return [
        {"role": "user", "content": said, "timestamp": row.updated_ms},
        {"role": "assistant", "content": said, **answer, "stopReason": "stop", "timestamp": row.updated_ms},
    ]
