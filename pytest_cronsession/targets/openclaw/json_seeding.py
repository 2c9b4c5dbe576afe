"""Seeding the older session stores: an entry in the JSON file, and a transcript beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .json_store import FILE, read_store
from .seeding import SeedRow, turn

_PRIVATE = 0o600


def seed_rows(state: Path, rows: Sequence[SeedRow]) -> None:
    """Put the rows into the stores of a gateway that is not running; one that is there is only aged.

    Raises :class:`.store.StoreUnreadable`, or :class:`OSError` if a store cannot be written.
    """
    for agent in dict.fromkeys(row.agent for row in rows):
        folder = state / "agents" / agent / "sessions"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        entries = read_store(folder / FILE)
        for row in rows:
            if row.agent == agent:
                entries[row.key] = entries.get(row.key) or _new_entry(folder, row)
                entries[row.key]["updatedAt"] = row.updated_ms
        _replace(folder / FILE, json.dumps(entries, indent=2))


def _new_entry(folder: Path, row: SeedRow) -> dict[str, Any]:
    """An entry of a session that had one turn, with its transcript in place."""
    transcript = folder / f"{row.session_id}.jsonl"
    _replace(transcript, "".join(json.dumps(line) + "\n" for line in _transcript(folder, row)))
    return {
        "sessionId": row.session_id,
        "sessionFile": str(transcript),
        "systemSent": True,
        "abortedLastRun": False,
    }


def _transcript(folder: Path, row: SeedRow) -> list[dict[str, Any]]:
    stamp = {"timestamp": row.updated_iso}
    lines: list[dict[str, Any]] = [
        {"type": "session", "version": 3, "id": row.session_id, **stamp, "cwd": str(folder)}
    ]
    parent = None
    for number, message in enumerate(turn(row)):
        entry_id = f"{number:08x}"
        lines.append({"type": "message", "id": entry_id, "parentId": parent, **stamp, "message": message})
        parent = entry_id
    return lines


def _replace(path: Path, text: str) -> None:
    part = path.with_name(path.name + ".part")
    with os.fdopen(
        os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _PRIVATE), "w", encoding="utf-8"
    ) as file:
        file.write(text)
    part.replace(path)
