"""A published revision stays what it was: its ids, their levels and their hash."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ..freeze import FOLDER, SPECS, digest, frozen

CATALOGUE: dict[str, Any] = json.loads((SPECS / "requirements.json").read_text(encoding="utf-8"))
LEVELS = {row["id"]: row["level"] for row in CATALOGUE["requirements"]}
PUBLISHED = sorted(FOLDER.glob("*.json"))


@pytest.mark.parametrize("file", PUBLISHED, ids=lambda file: file.stem)
def test_a_revision_is_as_it_was_published(file: Path) -> None:
    found = json.loads(file.read_text(encoding="utf-8"))
    assert file.stem == str(found["revision"])
    assert found["hash"] == digest(found["requirements"])


@pytest.mark.parametrize("file", PUBLISHED, ids=lambda file: file.stem)
def test_its_requirements_are_what_they_were(file: Path) -> None:
    """They may have been retired since, and nothing else."""
    found = json.loads(file.read_text(encoding="utf-8"))
    kept = {i: level for i, level in found["requirements"].items() if i not in CATALOGUE["retired"]}
    assert {i: LEVELS.get(i) for i in kept} == kept
    young = {row["id"] for row in CATALOGUE["requirements"] if row["since"] > found["revision"]}
    assert not young & set(found["requirements"])


def test_the_present_revision_is_published_and_whole() -> None:
    """A requirement that was added since belongs to the next revision."""
    of_now = FOLDER / f"{CATALOGUE['revision']}.json"
    assert json.loads(of_now.read_text(encoding="utf-8")) == frozen(CATALOGUE)


def test_the_hash_is_of_ids_and_levels() -> None:
    """The expected value was computed by ``printf 'CS-A MUST\\nCS-B SHOULD\\n' | sha256sum``."""
    assert digest({"CS-B": "SHOULD", "CS-A": "MUST"}) == (
        "sha256:cb7b857490491105a069783dc1b7fb00fa9ecccb7ea197ab2955bf06e74fc492"
    )
