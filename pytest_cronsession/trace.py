"""What happened, step by step, in a form that a person can type again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
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
    """One step of a test: a call with its answer, or something done to the gateway's time, life or model.

    ``do`` is ``call`` or a word of :data:`DEEDS`; ``text`` is how a person reads it, empty where nobody needs to.
    """

    at_ms: int
    text: str
    do: str = "call"
    operation: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    answer: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Only the members that say something; answers that cannot be written as JSON are told as text."""
        data = {
            "atMs": self.at_ms,
            "do": self.do,
            "operation": self.operation,
            "params": self.params,
            "answer": self.answer,
            "text": "" if self.do == "call" else self.text,
        }
        plain: dict[str, Any] = json.loads(json.dumps(data, default=str))
        return {name: value for name, value in plain.items() if value not in ("", {})}


DEEDS: Mapping[str, str] = {
    "advance": "clock/advance to params.toMs, stopping at scripted releases",
    "jump": "clock/jump to params.toMs",
    "settle": "clock/advance to the present instant",
    "stop": "gateway/stop",
    "start": "gateway/start on the same folder, at params.toMs and with params.config where they are given",
    "join": "a second instance on the same folder, by a symbolic link where params.alias",
    "second": "params.operation with params.params, asked of the second instance",
    "part": "the second instance ends",
    "send": "params.operation with params.params, whose answer nobody waits for",
    "attempt": "an operation with parameters that break the contract; of gateway/start the config alone",
    "crash": "kill the instance",
    "reopen": "a new instance on the same folder, at params.toMs",
    "together": "params.calls, each an operation and its parameters, sent before the first is answered",
    "plan": "the model answers the next turns of params.tag with params.answers, later ones with params.always",
    "release": "the model lets go of the held turns of params.tag, or of all",
}


class Trace:
    """The steps of one test, oldest first."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def note(self, at_ms: int, text: str, do: str, **params: Any) -> None:
        """Something other than a call: ``do`` is a word of :data:`DEEDS`."""
        assert do in DEEDS, do
        self.steps.append(Step(at_ms, text, do, params=params))

    def together(
        self, at_ms: int, calls: Sequence[tuple[str, Any]], answers: Sequence[Mapping[str, Any]]
    ) -> None:
        """Several calls that were sent before the first was answered."""
        told = zip(calls, answers, strict=True)
        lines = [
            f"{operation} {compact(params)} -> {compact(answer)}" for (operation, params), answer in told
        ]
        text = "together: " + "\n            ".join(lines)
        self.steps.append(Step(at_ms, text, "together", params={"calls": calls}, answer={"answers": answers}))

    def call(self, at_ms: int, operation: str, params: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        text = f"{operation} {compact(params)} -> {compact(answer)}"
        self.steps.append(Step(at_ms, text, "call", operation, params, answer))

    def attempt(
        self, at_ms: int, operation: str, params: Mapping[str, Any], answer: Mapping[str, Any]
    ) -> None:
        """A request that was wrong on purpose, and its answer or ``{"refused": why}``."""
        text = f"wrong on purpose: {operation} {compact(params)} -> {compact(answer)}"
        self.steps.append(Step(at_ms, text, "attempt", operation, params, answer))

    def script(self, *, quiet: bool = True) -> str:
        """The steps, one a line, the first ones cut where they are many; ``quiet``: only what changed something."""
        told = [s for s in self.steps if s.text and not (quiet and s.operation in _QUIET)]
        cut = len(told) - _SHOWN
        lines = [f"  ... {cut} steps before"] if cut > 0 else []
        lines += [f"  {instant(s.at_ms)}  {s.text}" for s in told[-_SHOWN:]]
        return "\n".join(["steps:", *lines]) if lines else "steps: none"


def compact(value: Mapping[str, Any], limit: int = 220) -> str:
    """A message on one line, its end left out where it is long."""
    text = json.dumps(value, ensure_ascii=False, separators=(", ", ": "), default=str)
    return text if len(text) <= limit else text[: limit - 4] + " ..."
