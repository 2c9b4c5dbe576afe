"""What a campaign found: ``recorded.json``, written by the tool; and ``survivors.json``, why some survive, by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .sites import Mutation

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


def score(tried: int, survivors: Sequence[Mutation]) -> float:
    """The share that was noticed of those that can be: a survivor that is explained changes nothing to notice."""
    explained = reasons()
    equal = sum(mutation.name in explained for mutation in survivors)
    return (tried - len(survivors)) / max(1, tried - equal)


def store(campaign: str, seed: int, tried: int, survivors: Sequence[Mutation]) -> None:
    """Keep what a campaign found, in place of what it found before."""
    entry = {
        "seed": seed,
        "tried": tried,
        "killed": tried - len(survivors),
        "survivors": sorted(mutation.name for mutation in survivors),
    }
    document = {**(load() if RECORDED.exists() else {}), campaign: entry}
    RECORDED.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
