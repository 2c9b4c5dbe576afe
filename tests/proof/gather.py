"""Everything the page tells, gathered from the tables and the recorded files."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_cronsession import catalog

from ..hostile import gateways as in_process
from ..hostile import program
from ..mutants import recorded
from ..mutants.gateways import MUTANTS
from ..mutation import records as mutation
from ..node import gateways as node
from ..variants.gateways import VARIANTS
from .page import Records, Right, Wrong

ALARMS = Path(__file__).with_name("alarms.json")
# A comment, then the class: how the files for Node are written.
_CLASS = re.compile(r"/\*\*((?:(?!\*/)[\s\S])*)\*/\s*class (\w+)")


def records() -> Records:
    """From the working tree as it is."""
    broken, whole = recorded.load(), recorded.load(recorded.FOUND_BY)
    all_requirements = catalog.load().requirements
    return Records(
        requirements=list(all_requirements),
        musts=frozenset(i for i, r in all_requirements.items() if r.level == "MUST" and not r.untestable),
        untestable={i: r.untestable for i, r in all_requirements.items() if r.untestable},
        mutants=[
            Wrong(name, _about(m.factory), m.source, broken.get(name, m.expected), name in whole)
            for name, m in MUTANTS.items()
        ],
        node_mutants=[
            Wrong(
                name,
                _in_node("mutant.mjs")[name],
                m.source,
                broken.get(f"node:{name}", m.expected),
                f"node:{name}" in whole,
            )
            for name, m in node.MUTANTS.items()
        ],
        variants=[Right(name, _about(factory)) for name, factory in VARIANTS.items()],
        node_variants=[Right(f"node:{name}", _in_node("variant.mjs")[name]) for name in node.VARIANTS],
        hostile=[
            *(Right(f"stdio {mode}", "") for mode in (*program.REQUESTS, *program.ANSWERS)),
            *(Right(f"in process {mode}", "") for mode in in_process.MODES),
        ],
        mutation=mutation.load() if mutation.RECORDED.exists() else {},
        reasons=mutation.reasons() if mutation.REASONS.exists() else {},
        alarms=_alarms(),
    )


def _about(thing: object) -> str:
    return (thing.__doc__ or "").strip().partition("\n\n")[0]


def _in_node(file: str) -> Mapping[str, str]:
    text = (node.HERE / file).read_text(encoding="utf-8")
    return {name: " ".join(about.replace("*", " ").split()) for about, name in _CLASS.findall(text)}


def _alarms() -> Mapping[str, Mapping[str, Any]]:
    if not ALARMS.exists():
        return {}
    found: Mapping[str, Mapping[str, Any]] = json.loads(ALARMS.read_text(encoding="utf-8"))
    return found
