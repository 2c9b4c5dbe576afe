"""The vector files as the tests read them."""

from __future__ import annotations

import json
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

VECTORS = Path(__file__).parents[2] / "specs" / "vectors"
CATALOGUE: dict[str, Any] = json.loads((VECTORS.parent / "requirements.json").read_text(encoding="utf-8"))


@cache
def load(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))
    return document


def rows(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = load(name)["rows"]
    return found


def cases(name: str) -> list[Any]:
    """Each row as a parameter, with the number of its row for an id."""
    return [pytest.param(row, id=str(number)) for number, row in enumerate(rows(name), 1)]


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)
