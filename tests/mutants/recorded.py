"""What each wrong gateway fails at tier full, as it was measured by ``python -m tests.mutants.matrix --record``.

``recorded.json`` has the requirements; a mutant that is not in it yet is expected to fail what its entry says.
``found_by.json`` has the suite's tests that failed, of those that were put before the whole suite at tier full; the
others were measured when there was only the core, or with the tests of their entries.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

FILE = Path(__file__).with_suffix(".json")
FOUND_BY = Path(__file__).with_name("found_by.json")


def load(file: Path = FILE) -> dict[str, frozenset[str]]:
    """The requirements (or tests) by mutant; those on the Node gateway are called ``node:NAME``."""
    return {name: frozenset(ids) for name, ids in json.loads(file.read_text(encoding="utf-8")).items()}


def store(found: Mapping[str, frozenset[str]], file: Path = FILE) -> None:
    """Write all entries, a line each, so that a change of one is a change of one line."""
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(sorted(found[name]))}" for name in sorted(found))
    file.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")
