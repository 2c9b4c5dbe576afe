"""What the command prints: one JSON document for programs, a table for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from .units import show_duration


def show_json(data: object) -> None:
    """One document on standard output."""
    print(json.dumps(data, indent=2, ensure_ascii=False))


def show_table(titles: Sequence[str], rows: Sequence[Sequence[str]], empty: str) -> None:
    """Columns as wide as they need to be."""
    if not rows:
        print(empty)
        return
    widths = [max(len(cell) for cell in column) for column in zip(titles, *rows, strict=True)]
    for row in (titles, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def show_instant(instant_ms: int | None) -> str:
    """``2026-03-01 07:15:00Z``, with milliseconds where there are any."""
    if instant_ms is None:
        return "-"
    seconds, rest = divmod(instant_ms, 1000)
    try:
        text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return f"{instant_ms} ms"
    return f"{text}.{rest:03}Z" if rest else f"{text}Z"


def show_schedule(schedule: Mapping[str, Any]) -> str:
    if schedule["kind"] == "at":
        return f"at {show_instant(schedule['atMs'])}"
    if schedule["kind"] == "every":
        return f"every {show_duration(schedule['everyMs'])}"
    return f"cron {schedule['expr']} ({schedule['tz']})"


def show_session(session: Mapping[str, Any]) -> str:
    """The session wish as the flags spell it."""
    target = f"session:{session['name']}" if session["target"] == "named" else str(session["target"])
    key = f" key {session['key']}" if "key" in session else ""
    return f"{target}{key}{' ' + session['mode'] if 'mode' in session else ''}"
