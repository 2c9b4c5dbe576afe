"""The decision table of the reaper: every kind of row, of every age, and whether it goes. By reaper.md alone."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple

HOUR = 3_600_000
AGES: dict[int | None, tuple[int, ...]] = {
    HOUR: (-5000, 0, HOUR - 1, HOUR, HOUR + 1, 720 * HOUR),
    None: (720 * HOUR,),
    0: (0, 1),
}
"""Retention -> milliseconds since the last activity. Below zero: the wall clock was set back."""
KINDS = ("receipt", "job", "shared", "main")
OUTCOMES = ("error", "timeout", "cancelled", "interrupted")


class Case(NamedTuple):
    """One row of the store. ``run`` is the outcome of the last run in it."""

    kind: str
    job: str
    run: str
    in_use: bool
    retention_ms: int | None
    idle_ms: int


def cases() -> Iterator[Case]:
    for retention, ages in AGES.items():
        for kind, job, in_use, age in product(KINDS, ("exists", "removed"), (False, True), ages):
            yield Case(kind, job, "running" if in_use else "ok", in_use, retention, age)
    for outcome, age in product(OUTCOMES, (HOUR - 1, HOUR + 1)):
        yield Case("receipt", "exists", outcome, False, HOUR, age)


def decide(case: Case) -> tuple[bool, str, tuple[str, ...]]:
    """Whether the row goes, why, and which requirements ask for that; none where gateways may differ."""
    receipt = case.kind == "receipt" or (case.kind == "job" and case.job == "removed")
    if not receipt:
        return False, "no receipt", () if case.kind == "job" else ("CS-REA-007",)
    if case.retention_ms is None:
        return False, "retention is off", ("CS-REA-008",)
    if case.in_use:
        return False, "in use", ("CS-REA-006",)
    goes, why = case.idle_ms > case.retention_ms, "expired"
    if not goes:
        why = "not expired"
    if case.retention_ms == 0 or case.idle_ms == case.retention_ms:
        return goes, why, ()
    if not goes:
        return goes, why, ("CS-REA-002",)
    if case.run != "ok":
        return goes, why, ("CS-REA-005",)
    return goes, why, ("CS-REA-003" if case.job == "removed" else "CS-REA-001",)


def rows() -> list[dict[str, Any]]:
    found = []
    for case in cases():
        goes, why, requirements = decide(case)
        row = {
            "sessionRetentionMs": case.retention_ms,
            "session": {
                "kind": case.kind,
                "job": case.job,
                "run": case.run,
                "inUse": case.in_use,
                "idleMs": case.idle_ms,
            },
            "goes": goes,
            "why": why,
        }
        found.append(row | ({"requirements": list(requirements)} if requirements else {}))
    return found
