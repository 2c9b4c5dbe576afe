"""The gateways written for Node: what is wrong with the wrong ones, and how one is started.

They stand on gateway.mjs, which shares nothing with the reference: a mistake that both made would show.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..clock.tiny_node import NODE

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Wrong:
    """Where the defect of a mutant was seen, and exactly which requirements fail on it."""

    source: str
    expected: frozenset[str]


def _wrong(source: str, *expected: str) -> Wrong:
    return Wrong(source, frozenset(f"CS-{i}" for i in expected))


MUTANTS = {
    "KeyIsIgnored": _wrong("openclaw#63442", "RES-001", "RES-002", "RES-013", "RES-019"),
    "FreshIsReused": _wrong("openclaw#23470", "RES-003", "RES-018", "SES-001", "SES-002"),
    "MainIsIsolated": _wrong("zeroclaw#6648", "SES-007"),
    "NamesAreSlugs": _wrong("openclaw#95319", "RES-010"),
    "RoomsAreSynthetic": _wrong("openclaw#74743", "SES-004", "SES-008", "MNT-004"),
    "PersonStartsAnew": _wrong("openclaw#82164", "SES-004", "SES-007", "SES-008"),
    "ZoneIsDropped": _wrong("nanobot#467", "SCH-001", "SCH-008", "SCH-013", "SCH-014"),
    "SlotRunsTwice": _wrong(
        "openclaw#18073",
        *("SCH-001", "SCH-002", "SCH-003", "SCH-007", "SCH-008", "SCH-013", "SCH-014", "SCH-015", "SCH-016"),
    ),
    "JobOverlapsItself": _wrong("nanoclaw#138", "SCH-011", "SCH-012"),
    "EditKeepsTheNextRun": _wrong("openclaw#27996", "SCH-008"),
    "SameScheduleMovesTheInterval": _wrong("openclaw#96159", "SCH-009"),
    "ManualRunMovesTheInterval": _wrong("openclaw#33940", "SCH-010"),
    "FailedOneShotIsNeverDone": _wrong("openclaw#11452", "SCH-003"),
    "JumpMovesTheSlots": _wrong("openclaw#12671", "SCH-016"),
    "TimeoutIsIgnored": _wrong("openclaw#18040", "RUN-002", "REA-005"),
    "FailureIsListedAsOk": _wrong("openclaw#26343", "RUN-001"),
    "ReceiptsNeverGo": _wrong("openclaw#15225", "REA-001", "REA-003", "REA-004", "REA-005"),
    "ReceiptsOutliveTheirJob": _wrong("openclaw#46369", "REA-003"),
    "BusyRowEndsTheSweep": _wrong("openclaw#136339", "MNT-006"),
    "RunningSessionIsRemoved": _wrong("openclaw#56034", "MNT-004", "REA-006"),
    "AgeWaitsForTheCap": _wrong("openclaw#103956", "MNT-002", "MNT-006"),
}
"""Classes of mutant.mjs."""

VARIANTS = (
    *(
        "OpaqueKeys",
        "UpperCaseKeys",
        "TimeStampIds",
        "ReceiptsGoAtOnce",
        "RowsAreArchived",
        "RunsAreNotListed",
    ),
    *("RunsAreLate", "SchedulerOnly", "SlowAnswers", "OtherAnswers"),
)
"""Classes of variant.mjs."""


def command(file: str, words: Iterable[str] = ()) -> str:
    """What starts a gateway of this folder: the value of a target of kind stdio."""
    return shlex.join([str(NODE), str(HERE / file), *words])
