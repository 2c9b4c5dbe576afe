"""What a campaign found: ``recorded.json``, written by the tool; and ``survivors.json``, why some survive, by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .trial import Verdict

RECORDED = Path(__file__).with_name("recorded.json")
REASONS = Path(__file__).with_name("survivors.json")


def load() -> dict[str, dict[str, Any]]:
    """By campaign: seed, how many were tried and noticed, and the survivors by name."""
    found: dict[str, dict[str, Any]] = json.loads(RECORDED.read_text(encoding="utf-8"))
    return found


def reasons() -> dict[str, str]:
    """Why a mutation that is not noticed is no hole, by its name."""
    found: dict[str, str] = json.loads(REASONS.read_text(encoding="utf-8"))
    return found


def store(campaign: str, seed: int, tried: int, verdicts: Sequence[Verdict]) -> None:
    """Keep what a campaign found, in place of what it found before. Those without a verdict were noticed before."""
    entry = {
        "seed": seed,
        "tried": tried,
        "killed": tried - sum(not v.killed for v in verdicts),
        "survivors": sorted({v.mutation.name for v in verdicts if not v.killed}),
    }
    document = {**(load() if RECORDED.exists() else {}), campaign: entry}
    RECORDED.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
