"""Gateways that are right and different: the suite finds no fault with them, and needs no baseline."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..mutants.judging import BROKEN, TIER, Court, errors
from .gateways import VARIANTS

# What these do not let anybody look at.
_NOT_SHOWN = {
    "ThinList": {"CS-RES-032"},
    "OneAfterTheOther": {"CS-REA-006", "CS-REA-016", "CS-JOB-016"},
    "MainSessionOnly": {"CS-SCH-001", "CS-SCH-030"},
}


@pytest.fixture(scope="module")
def court() -> Iterator[Court]:
    found = Court()
    yield found
    found.close()


@pytest.mark.parametrize(
    ("name", "selection"),
    [
        ("ThinList", "SCH-009 or RES-032 or JOB-011 or STO-020 or STO-033 or STO-034"),
        ("ReceiptsGoAtOnce", "REA-025 or REA-026"),
        ("SchedulerOnly", "SCH-001"),
        ("Talkative", "RUN-005 or RUN-013"),
        ("StartsAreSpread", "RUN-012"),
        ("FiveFieldsOnly", "SCH-005 or SCH-028 or SCH-029 or SCH-033"),
        ("SomeOfTheDialect", "SCH-005 or SCH-029 or SCH-033 or SCH-034 or SCH-036 or SCH-037"),
        ("OpaqueKeys", "MNT-021 or MNT-022 or MNT-023 or REA-027"),
        ("SweepsAreRare", "MNT-021 or MNT-022 or MNT-023 or REA-027"),
        ("SecondAnswers", "SCH-041 or SCH-042 or STO-013"),
        ("LateWithinAGrace", "STO-007 or STO-008 or STO-010 or STO-012 or STO-013 or STO-015 or STO-016"),
        ("OneRowForEachJob", "REA-004 or SES-002 or SES-010 or RES-003"),
        ("LooseAnswers", "SCH-017 or JOB-019 or STO-021 or SES-003"),
        ("RowsComeAtTheEnd", "REA-002 or REA-006 or REA-007 or MNT-004"),
        ("IntervalsBeginSoon", "JOB-006 or SCH-009 or SCH-017 or SES-009 or STO-030"),
        ("CoarseClock", "SCH-002 or SCH-023 or SCH-032"),
        ("SweepsDaily", "MNT-002 or MNT-022 or REA-009 or REA-027"),
        ("FloatsAndQueues", "SCH-011 or JOB-016 or STO-013"),
        ("MakesUpForFive", "STO-007"),
        ("OneAfterTheOther", "REA-006 or REA-016 or JOB-016"),
        ("BeginsWithTheNextSettling", "MNT-007 or STO-025"),
        ("MainSessionOnly", "SCH-001 or SCH-030 or SES-007"),
        ("StartsAreSlow", "JOB-001 or JOB-002 or JOB-019 or STO-010 or STO-015"),
        ("WholeSeconds", "SCH-041 or JOB-001 or REA-014 or MNT-010"),
        ("GoesItsOwnWay", "JOB-004 or JOB-015 or JOB-019"),
        ("CronOnly", "JOB-001 or JOB-002 or JOB-004 or JOB-022 or RUN-009"),
        ("SendsAgain", "JOB-001 or JOB-002 or SCH-007 or RUN-010 or RUN-011 or RUN-012 or RUN-014"),
    ],
)
def test_beyond_the_core_a_variant_is_not_found_fault_with(court: Court, name: str, selection: str) -> None:
    report = court.judge(f"tests.variants.gateways:{name}", TIER, "-k", selection)
    wrong = {row["id"]: row["message"] for row in report["requirements"] if row["outcome"] in BROKEN}
    assert not wrong
    assert not errors(report)
    looked = {row["id"] for row in report["requirements"] if row["outcome"] == "pass"}
    assert {f"CS-{i}" for i in selection.split(" or ")} - looked <= _NOT_SHOWN.get(name, set())


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
