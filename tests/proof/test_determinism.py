"""Two runs give one report, apart from what stands under ``environment``."""

from __future__ import annotations

import pytest

from .twice import difference


@pytest.mark.parametrize(
    ("target", "selection"),
    [
        ("python:pytest_cronsession.examples.broken:gateway", "RES or SES or REA or STO"),
        ("python:tests.mutants.gateways:SlotRunsTwice", "SCH-002 or RUN or STO-005"),
    ],
    ids=["broken", "slot-runs-twice"],
)
def test_two_runs_give_one_report(target: str, selection: str) -> None:
    # Failures say most, so a wrong gateway is looked at; the whole of tier full has a command of its own.
    assert difference(target, "core", "-k", selection) == ""
