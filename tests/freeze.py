"""Freezing a revision: ``python -m tests.freeze`` writes ``specs/revisions/N.json`` for the catalogue's revision.

It lists what the revision consists of, each id with its level, and their hash. From then on the revision stays as it is:
what is added belongs to the next one.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SPECS = Path(__file__).parents[1] / "specs"
FOLDER = SPECS / "revisions"


def digest(requirements: Mapping[str, str]) -> str:
    """SHA-256 over the lines ``ID LEVEL``, in the order of the ids, each ended by a line feed."""
    lines = "".join(f"{identity} {requirements[identity]}\n" for identity in sorted(requirements))
    return "sha256:" + hashlib.sha256(lines.encode()).hexdigest()


def frozen(catalogue: Mapping[str, Any]) -> dict[str, Any]:
    """The revision that the catalogue describes."""
    rows = catalogue["requirements"]
    levels = {row["id"]: row["level"] for row in sorted(rows, key=lambda row: str(row["id"]))}
    return {
        "$schema": "../schemas/revision.schema.json",
        "revision": catalogue["revision"],
        "requirements": levels,
        "hash": digest(levels),
    }


def main() -> int:
    """The exit code: 1 if the revision is frozen already, and as something else."""
    found = frozen(json.loads((SPECS / "requirements.json").read_text(encoding="utf-8")))
    file, text = FOLDER / f"{found['revision']}.json", json.dumps(found, indent=1) + "\n"
    if file.exists() and file.read_text(encoding="utf-8") != text:
        print(
            f"revision {found['revision']} is frozen as something else; what is new belongs to the next one"
        )
        return 1
    FOLDER.mkdir(exist_ok=True)
    file.write_text(text, encoding="utf-8")
    print(f"{file}: {len(found['requirements'])} requirements, {found['hash']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
