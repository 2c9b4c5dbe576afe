"""A recording: the steps that led to a failure, in a file that ``cronsession replay`` goes through again. Pure.

``specs/schemas/trace.schema.json`` describes the file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .schemas import problem
from .trace import Step

if TYPE_CHECKING:
    from .model import Turn

SCHEMA = 1
SCHEMA_FILE = "trace.schema.json"


class RecordingError(ValueError):
    """The file cannot be used; the message names it and says what is wrong."""


@dataclass(frozen=True)
class SeenTurn:
    """A request at the model: whose text it carried, how it ended, and replies to which requests stood in it.

    Requests are counted from the beginning of the recording, the first is 1.
    """

    tag: str
    at_ms: int
    state: str
    saw: tuple[int, ...]


@dataclass(frozen=True)
class Recording:
    """``start_ms`` is where the clock stood at the first step, ``case`` the suite's test."""

    requirement: str
    message: str
    config: Mapping[str, Any]
    host_zone: str
    start_ms: int
    steps: Sequence[Step]
    turns: Sequence[SeenTurn]
    target: str = ""
    case: str = ""
    suite: str = field(default="", compare=False)


def seen_turns(turns: Iterable[Turn], *, since_ms: int) -> tuple[SeenTurn, ...]:
    """The model's turns as a recording keeps them."""
    chosen = [turn for turn in turns if turn.at_ms >= since_ms]
    number = {turn.nonce: n for n, turn in enumerate(chosen, 1)}
    return tuple(
        SeenTurn(t.tag or "", t.at_ms, t.state, tuple(sorted(number[n] for n in t.saw if n in number)))
        for t in chosen
    )


def to_text(recording: Recording) -> str:
    """The file's text: one step and one turn a line."""
    head = {
        "schema": SCHEMA,
        "suite": recording.suite,
        "target": recording.target,
        "requirement": recording.requirement,
        "case": recording.case,
        "message": recording.message,
        "world": {
            "config": recording.config,
            "hostZone": recording.host_zone,
            "startMs": recording.start_ms,
        },
    }
    turns = [{"tag": t.tag, "atMs": t.at_ms, "state": t.state, "saw": list(t.saw)} for t in recording.turns]
    lines = json.dumps(head, ensure_ascii=False, indent=1)[:-2]
    return "".join(
        [lines, *_listed("steps", [s.to_json() for s in recording.steps]), *_listed("turns", turns), "\n}\n"]
    )


def _listed(name: str, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    inner = ",\n  ".join(json.dumps(row, ensure_ascii=False) for row in rows)
    return [f',\n "{name}": [', f"\n  {inner}\n " if rows else "", "]"]


def parse(data: bytes, name: str) -> Recording:
    """Read a file; raise :class:`RecordingError`."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise RecordingError(f"trace {name}: not JSON ({error})") from None
    if isinstance(document, dict) and document.get("schema") != SCHEMA:
        raise RecordingError(
            f"trace {name}: schema is {document.get('schema')!r}; this version reads {SCHEMA}"
        )
    wrong = problem(SCHEMA_FILE, document)
    if wrong:
        raise RecordingError(f"trace {name}: {wrong}; was it written by pytest-cronsession and then edited?")
    world = document["world"]
    return Recording(
        requirement=document["requirement"],
        message=document["message"],
        config=world["config"],
        host_zone=world["hostZone"],
        start_ms=world["startMs"],
        steps=tuple(_step(row) for row in document["steps"]),
        turns=tuple(SeenTurn(t["tag"], t["atMs"], t["state"], tuple(t["saw"])) for t in document["turns"]),
        target=document["target"],
        case=document["case"],
        suite=document["suite"],
    )


def _step(row: Mapping[str, Any]) -> Step:
    return Step(
        row["atMs"],
        row.get("text", ""),
        row["do"],
        row.get("operation", ""),
        row.get("params", {}),
        row.get("answer", {}),
    )
