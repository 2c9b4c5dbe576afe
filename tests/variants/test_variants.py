"""Gateways that are right and different: the suite finds no fault with them, and needs no baseline."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..mutants.judging import BROKEN, Court
from .gateways import VARIANTS


@pytest.fixture(scope="module")
def court() -> Iterator[Court]:
    found = Court()
    yield found
    found.close()


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_is_conformant(court: Court, name: str) -> None:
    report = court.judge(f"tests.variants.gateways:{name}")
    faults = {
        row["id"]: row.get("message") or row.get("reason")
        for row in report["requirements"]
        if row["outcome"] in (*BROKEN, "error", "not-run")
    }
    assert not faults
    assert report["verdict"] == "conformant"
    assert {name: entry["verdict"] for name, entry in report["profiles"].items()} == dict.fromkeys(
        report["profiles"], "conformant"
    )
