"""What happened, step by step, in a form that a person can type again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

_QUIET = ("job/list", "run/list", "session/list")
_SHOWN = 14


def instant(ms: int | None, zone: str | None = None) -> str:
    """An instant in UTC, and in local time where a zone is given."""
    if ms is None:
        return "never"
    try:
        utc = datetime.fromtimestamp(ms / 1000, UTC)
        local = utc.astimezone(ZoneInfo(zone or "UTC"))
    except (ValueError, OverflowError, OSError):
        # Schema-valid, and beyond the calendar: whoever complains about it must be able to name it.
        return f"{ms} ms since 1970"
    millis = f".{ms % 1000:03d}" if ms % 1000 else ""
    text = f"{utc:%Y-%m-%d %H:%M:%S}{millis}Z"
    if zone and zone != "UTC":
        text += f" ({local:%a %H:%M} {zone})"
    return text


@dataclass(frozen=True)
class Step:
    """One step of a test: a call with its answer, or a note."""

    at_ms: int
    text: str
    operation: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    answer: Mapping[str, Any] = field(default_factory=dict)


class Trace:
    """The steps of one test, oldest first."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def note(self, at_ms: int, text: str) -> None:
        self.steps.append(Step(at_ms, text))

    def call(self, at_ms: int, operation: str, params: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        text = f"{operation} {_compact(params)} -> {_compact(answer)}"
        self.steps.append(Step(at_ms, text, operation, params, answer))

    def script(self) -> str:
        """The steps that changed something, the last ones first cut, one a line."""
        told = [s for s in self.steps if s.operation not in _QUIET]
        cut = len(told) - _SHOWN
        lines = [f"  ... {cut} steps before"] if cut > 0 else []
        lines += [f"  {instant(s.at_ms)}  {s.text}" for s in told[-_SHOWN:]]
        return "\n".join(["steps:", *lines]) if lines else "steps: none"


def _compact(value: Mapping[str, Any], limit: int = 220) -> str:
    text = json.dumps(value, ensure_ascii=False, separators=(", ", ": "), default=str)
    return text if len(text) <= limit else text[: limit - 4] + " ..."
