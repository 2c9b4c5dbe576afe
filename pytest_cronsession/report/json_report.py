"""The report document: everything about a run that a reader elsewhere needs, as JSON.

Two runs of one target give the same bytes, apart from what stands under ``environment``.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..baseline import Baseline
from ..catalog import Catalog
from ..contract import Hello
from ..verdict import Judgement, Row
from .scrub import scrub

SCHEMA = 1
SCHEMA_FILE = "report.schema.json"


class ReportError(Exception):
    """The report could not be written; the message says why."""


@dataclass(frozen=True)
class Subject:
    """What was judged and how. ``level`` is the lowest level looked at, ``seed`` 0 means derandomised."""

    target: str
    transport: str
    tier: str
    suite_version: str
    reproduce: str
    level: str = "MAY"
    seed: int = 0
    environment: Mapping[str, Any] = field(default_factory=dict)


def build(
    subject: Subject,
    catalog: Catalog,
    hello: Hello,
    judgement: Judgement,
    baseline: Baseline | None,
    places: Mapping[str, str],
) -> dict[str, Any]:
    """The document, in the order of its keys, without paths of this machine (``places``)."""
    outcomes = {row.id: row.outcome for row in judgement.rows}
    document = {
        "schema": SCHEMA,
        "suite": {"name": "pytest-cronsession", "version": subject.suite_version},
        "spec": {"revision": catalog.revision, "sha256": catalog.sha256},
        "target": _target(subject, hello),
        "environment": {**subject.environment, "problems": list(judgement.problems)},
        "capabilities": {
            "declared": sorted(hello.capabilities),
            "undeclared": sorted(set(catalog.capabilities) - hello.capabilities),
        },
        "policies": {
            name: {"answer": hello.policies.get(name, policy["default"]), "declared": name in hello.policies}
            for name, policy in catalog.policies.items()
        },
        "tier": subject.tier,
        "level": subject.level,
        "seed": subject.seed,
        "verdict": judgement.verdict,
        "profiles": {
            p.name: {"verdict": p.verdict} | ({"reason": p.reason} if p.reason else {})
            for p in judgement.profiles
        },
        "counts": judgement.counts,
        "requirements": [_row(row) for row in sorted(judgement.rows, key=lambda row: row.id)],
        "baseline": None if baseline is None else _baseline(baseline, outcomes),
        "reproduce": subject.reproduce,
    }
    scrubbed: dict[str, Any] = scrub(document, places)
    return scrubbed


def _target(subject: Subject, hello: Hello) -> dict[str, Any]:
    return {
        "spec": subject.target,
        "transport": subject.transport,
        "name": hello.name,
        "version": hello.version,
        "url": hello.url,
        "clock": "real" if hello.realtime else "virtual",
        "resolutionMs": hello.resolution_ms,
        "latenessMs": hello.lateness_ms,
        "sweepIntervalMs": hello.sweep_interval_ms,
    }


def _row(row: Row) -> dict[str, Any]:
    told = {"message": row.message, "reason": row.reason, "trace": row.trace}
    return {
        "id": row.id,
        "level": row.level,
        "outcome": row.outcome,
        "cases": row.cases,
        "witnesses": row.witnesses,
    } | {name: text for name, text in told.items() if text}


def _baseline(baseline: Baseline, outcomes: Mapping[str, str]) -> dict[str, Any]:
    entries = []
    for entry in sorted(baseline.entries.values(), key=lambda entry: entry.id):
        issue = {"issue": entry.issue} if entry.issue else {}
        outcome = {"outcome": outcomes[entry.id]} if entry.id in outcomes else {}
        entries.append({"id": entry.id, "reason": entry.reason} | issue | outcome)
    return {"sha256": baseline.sha256, "entries": entries}


def write(document: Mapping[str, Any], path: Path) -> None:
    """Check the document against its schema and put it in place in one step; raise :class:`ReportError`."""
    from ..schemas import problem

    if wrong := problem(SCHEMA_FILE, document):
        raise ReportError(f"the report does not fit its own schema: {wrong}")
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    try:
        # In the same folder, or the replacement would not be atomic.
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise ReportError(f"cannot write {path}: {error.strerror}") from error
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except OSError as error:
        Path(name).unlink(missing_ok=True)
        raise ReportError(f"cannot write {path}: {error.strerror}") from error
