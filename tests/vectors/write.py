"""Writes the vector files that are worked out: ``python -m tests.vectors.write``, from the root of the repository.

The others in specs/vectors are facts by hand, and are edited there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from . import cron_rows, retention_table, session_table

VECTORS = Path(__file__).parents[2] / "specs" / "vectors"
TZDATA = "2025b"
"""The release of the time zone database that the answers were worked out with. Later ones give the same."""

_SLOT = (
    "An answer is the {first} slot strictly {side} the instant {side}: {word} where all answers to policy dst "
    "agree, {word}ByDst where they do not; null where there is none. Instants are ISO 8601 in UTC. ocps is the "
    "increment of the Open Cron Pattern Specification that reads the expression, needs what of it beyond 1.0."
)


def _cron(kind: str, about: str, requirements: list[str]) -> dict[str, Any]:
    head = {"$schema": "../schemas/vectors.schema.json", "kind": kind, "revision": 1}
    return head | {"requirements": requirements, "tzdata": TZDATA, "about": about}


HEADS: Mapping[str, dict[str, Any]] = {
    "cron-next": _cron(
        "cron-next", _SLOT.format(first="first", side="after", word="next"), ["CS-SCH-001", "CS-SCH-013"]
    ),
    "cron-previous": _cron(
        "cron-previous", _SLOT.format(first="last", side="before", word="previous"), ["CS-STO-007"]
    ),
    "session-keys": {
        "$schema": "../schemas/vectors.schema.json",
        "kind": "session-keys",
        "revision": 1,
        "about": (
            "The truth table of session wishes: which session the runs of a job with this wish are in, for each "
            "target, name, key, mode, way of writing and answer to the policies. A row without requirements is "
            "open: its answer is one that fits the others. specs/README.md says what the words mean."
        ),
    },
    "retention": {
        "$schema": "../schemas/vectors.schema.json",
        "kind": "retention",
        "revision": 1,
        "about": (
            "The reaper: whether a session goes at a sweep. idleMs is now less its last activity, below zero where "
            "the wall clock was set back. A row without requirements is open: gateways may differ there."
        ),
    },
}
ROWS: Mapping[str, Callable[[], list[dict[str, Any]]]] = {
    "cron-next": cron_rows.next_rows,
    "cron-previous": cron_rows.previous_rows,
    "session-keys": session_table.rows,
    "retention": retention_table.rows,
}


def render(head: Mapping[str, Any], rows: Iterable[Mapping[str, Any]]) -> str:
    """The text of a vector file: a member of the head a line, a row a line."""
    members = [
        f"  {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}," for name, value in head.items()
    ]
    lines = ",\n".join(f"    {json.dumps(row, ensure_ascii=False)}" for row in rows)
    return "\n".join(["{", *members, '  "rows": [', lines, "  ]", "}", ""])


def text(name: str) -> str:
    """What the file ``specs/vectors/NAME.json`` has to contain."""
    return render(HEADS[name], ROWS[name]())


if __name__ == "__main__":
    for found in HEADS:
        (VECTORS / f"{found}.json").write_text(text(found), encoding="utf-8")
