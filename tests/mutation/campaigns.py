"""What is mutated, and which tests are to notice."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from ..mutants.judging import TIER, broken, tests
from ..mutants.worker import QUIET, Brief

ROOT = Path(__file__).parents[2]
# Here everything is imported before pytest looks at it.
HERE = (*QUIET, "-W", "ignore:Module already imported")
REFERENCE = "cronsession_reference"
JUDGES = "pytest_cronsession"

# The reference with other policies: to these go the tests of the areas concerned.
OTHERS = [f"python:tests.variants.gateways:{name}Answers" for name in ("Second", "Third")]

# By module of the reference: the suite's files that are about it, which go first.
AREAS: Mapping[str, Sequence[str]] = {
    "cron": ("scheduler", "missed"),
    "cron_fields": ("scheduler",),
    "slots": ("scheduler", "missed"),
    "scheduler": ("scheduler", "store", "runs", "downtime", "missed"),
    "admission": ("run", "scheduler"),
    "runner": ("run", "sessions", "scheduler"),
    "outcomes": ("run", "scheduler"),
    "recovery": ("store", "downtime", "run"),
    "start": ("store", "downtime", "job_config"),
    "jobdesk": ("job", "scheduler", "session"),
    "resolver": ("session", "resolver"),
    "keys": ("session", "resolver"),
    "sessions": ("session", "life"),
    "reaper": ("reaper", "receipts", "life"),
    "removal": ("reaper", "receipts", "job"),
    "maintenance": ("maintenance", "limits", "life"),
    "archive": ("receipts", "limits"),
}


@dataclass(frozen=True)
class Campaign:
    """``modules`` are mutated; of ``packages`` nothing that was imported before is kept; ``limit_s`` for one trial."""

    name: str
    modules: Sequence[str]
    packages: Sequence[str]
    limit_s: float
    least: float

    def run(self, module: str) -> int:
        """The tests that are to notice a mutation of this module; 0 if they do not."""
        return _suite(module) if self.name == "reference" else _own_tests()


def _suite(module: str) -> int:
    words = AREAS[module.partition(".")[2]]

    def rank(node: str) -> int:
        file = node.partition("::")[0].removeprefix("cronsession/test_")
        return next((i for i, word in enumerate(words) if file.startswith(word)), len(words))

    nodes = sorted(tests(), key=rank)
    near = [node for node in nodes if rank(node) < len(words)]
    return _judged("reference", nodes) or next(
        (code for other in OTHERS if (code := _judged(other, near))), 0
    )


def _judged(target: str, nodes: Sequence[str]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        asked = (f"--cronsession-target={target}", f"--cronsession-report={report}", TIER)
        code = int(pytest.main([*HERE, "-x", *asked, *nodes], [Brief()]))
        # What only SHOULD be fails no test, and is noticed all the same.
        return code or int(bool(broken(json.loads(report.read_text(encoding="utf-8")))))


def _own_tests() -> int:
    files = [str(ROOT / "tests" / "unit" / f"test_{name}.py") for name in OWN_TESTS]
    return int(pytest.main([*HERE, "-x", *files]))


OWN_TESTS = ("checkers", "oracle", "dialect", "baseline", "catalog", "verdict")
CAMPAIGNS = {
    "reference": Campaign("reference", [f"{REFERENCE}.{name}" for name in AREAS], (REFERENCE,), 300, 0.85),
    "judges": Campaign(
        "judges",
        [f"{JUDGES}.{name}" for name in ("checkers", "oracle", "baseline", "catalog")],
        (JUDGES,),
        60,
        0.90,
    ),
}
