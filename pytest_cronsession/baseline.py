"""Known failures: the baseline file, parsed and checked. Pure.

A baseline is keyed by requirement id. Each entry needs a reason, and goes stale, which fails the run,
as soon as its requirement passes.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

SCHEMA = 1
_EXAMPLE = '{"schema": 1, "entries": [{"id": "CS-RES-001", "reason": "why it is known to fail"}]}'


class BaselineError(ValueError):
    """The file cannot be used; the message names the file, the entry and the fix."""


@dataclass(frozen=True)
class Entry:
    """One known failure."""

    id: str
    reason: str
    issue: str = ""


@dataclass(frozen=True)
class Baseline:
    """The entries by requirement id, in the order of the file. An empty one stands for no file."""

    entries: Mapping[str, Entry] = field(default_factory=dict)
    sha256: str = ""
    target: str = ""

    def __contains__(self, requirement: object) -> bool:
        return requirement in self.entries


def parse(data: bytes, name: str, known: Collection[str]) -> Baseline:
    """Read a baseline whose ids must be in ``known``; raise :class:`BaselineError`."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BaselineError(f"baseline {name}: not JSON ({error}); write {_EXAMPLE}") from None
    if not isinstance(document, dict) or not isinstance(document.get("entries"), list):
        raise BaselineError(f"baseline {name}: no list 'entries' at the top; write {_EXAMPLE}")
    if document.get("schema") != SCHEMA or isinstance(document.get("schema"), bool):
        raise BaselineError(
            f"baseline {name}: schema is {document.get('schema')!r}; this version reads {SCHEMA}"
        )
    _refuse_extra(document, {"schema", "target", "entries"}, f"baseline {name}")
    target = document.get("target", "")
    if not isinstance(target, str):
        raise BaselineError(f"baseline {name}: 'target' is a note and has to be text")
    entries: dict[str, Entry] = {}
    for number, raw in enumerate(document["entries"], 1):
        entry = _entry(raw, f"baseline {name}, entry {number}", known)
        if entry.id in entries:
            raise BaselineError(f"baseline {name}, entry {number}: {entry.id} is listed twice; keep one")
        entries[entry.id] = entry
    return Baseline(entries, hashlib.sha256(data).hexdigest(), target)


def _entry(raw: Any, where: str, known: Collection[str]) -> Entry:
    if not isinstance(raw, dict):
        raise BaselineError(f"{where}: has to be an object with 'id' and 'reason', not {raw!r}")
    for name in ("id", "reason", "issue"):
        if name in raw and not isinstance(raw[name], str):
            raise BaselineError(f"{where}: {name!r} has to be text, not {raw[name]!r}")
    identity = raw.get("id", "")
    if not identity:
        raise BaselineError(f"{where}: 'id' is missing; name the requirement, as in CS-RES-001")
    where = f"{where} ({identity})"
    if identity not in known:
        raise BaselineError(f"{where}: no such requirement{_hint(identity, known)}")
    if not raw.get("reason", "").strip():
        raise BaselineError(f"{where}: 'reason' is missing; say why this is known to fail")
    _refuse_extra(raw, {"id", "reason", "issue"}, where)
    return Entry(identity, raw["reason"], raw.get("issue", ""))


def _hint(identity: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(identity.upper(), known, n=3)
    return f"; did you mean {' or '.join(near)}?" if near else "; remove the entry"


def _refuse_extra(raw: Mapping[str, Any], allowed: set[str], where: str) -> None:
    extra = sorted(set(raw) - allowed)
    if extra:
        raise BaselineError(
            f"{where}: unknown member {extra[0]!r}; remove it (allowed: {', '.join(sorted(allowed))})"
        )
