"""The rows of OpenClaw's older session stores: one JSON file per agent, replaced as a whole at each save."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .store import StoreUnreadable, row

FILE = "sessions.json"
_PATIENCE_S = 5.0


def session_rows(state: Path, since_ms: int = 0) -> list[dict[str, Any]]:
    """All rows of all agents below OpenClaw's state folder, receipts included.

    Raises :class:`.store.StoreUnreadable`.
    """
    rows = []
    for path, agent in stores(state):
        for key, entry in read_store(path).items():
            made = row(key, str(entry.get("sessionId") or ""), agent, int(entry.get("updatedAt") or 0))
            if made["updatedAtMs"] >= since_ms:
                rows.append(made)
    return rows


def stores(state: Path) -> Iterator[tuple[Path, str]]:
    """The store of each agent that has a folder for one, and the agent's id."""
    for folder in sorted((state / "agents").glob("*/sessions")):
        yield folder / FILE, folder.parent.name


def read_store(path: Path) -> dict[str, dict[str, Any]]:
    """Entries by session key; none without a file. Raises :class:`.store.StoreUnreadable`."""
    limit = time.monotonic() + _PATIENCE_S
    while True:
        try:
            found = json.loads(path.read_text("utf-8"))
            if isinstance(found, dict):
                return {key: entry for key, entry in found.items() if isinstance(entry, dict)}
            problem = f"it holds a {type(found).__name__}"
        except FileNotFoundError:
            # While it is rotated the file is away for a moment; then its lock is there.
            if not path.with_name(f"{FILE}.lock").exists():
                return {}
            problem = "it is locked and not there"
        except (OSError, ValueError) as error:
            problem = str(error)
        if time.monotonic() > limit:
            raise StoreUnreadable(f"{path}: {problem}")
        time.sleep(0.02)
