"""Exactly which requirements each wrong gateway fails at tier full, as it was measured: ``recorded.json``.

``python -m tests.mutants.matrix --record`` measures. A mutant that is not in the file yet is expected to fail
what its entry says.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

FILE = Path(__file__).with_suffix(".json")


def load() -> dict[str, frozenset[str]]:
    """The requirements that each mutant fails; those on the Node gateway are called ``node:NAME``."""
    return {name: frozenset(ids) for name, ids in json.loads(FILE.read_text(encoding="utf-8")).items()}


def store(found: Mapping[str, frozenset[str]]) -> None:
    """Write all entries, a line each, so that a change of one is a change of one line."""
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(sorted(found[name]))}" for name in sorted(found))
    FILE.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")
