"""Render docs/proof.md from the records: ``python -m tests.proof``."""

from __future__ import annotations

from pathlib import Path

from .gather import records
from .page import render

PAGE = Path(__file__).parents[2] / "docs" / "proof.md"

if __name__ == "__main__":
    PAGE.write_text(render(records()), encoding="utf-8")
    print(f"written: {PAGE.name}")
