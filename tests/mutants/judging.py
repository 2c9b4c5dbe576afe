"""Putting gateways before the real plugin: which tests judge what, and what a report says."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Collection, Iterable
from functools import cache
from pathlib import Path
from typing import Any

from ..scratch import environment

ROOT = Path(__file__).parents[2]
SUITE = ROOT / "pytest_cronsession" / "suite"
BROKEN = ("fail", "warn")
TIER = "--cronsession-tier=full"
JOINED = (
    "test_runs_end_as_they_should",
    "test_what_is_left_behind_goes_in_time",
    "test_everything_holds_at_once",
)
"""Tests of many requirements at once, each of which has a test of its own: that one has the say."""
SLOW = (
    "test_sessions_sharing_a_key_stay_stable",
    "test_the_store_stays_within_its_bounds",
    "test_what_was_acknowledged_survives_every_crash",
    "test_cron_slots_match_the_oracle",
    "test_cron_dialect",
    "test_any_name_is_opaque",
    "test_every_run_is_where_its_job_says",
    "test_files_do_not_become_ever_more",
    "test_every_slot_has_its_run_and_nothing_else_runs",
    "test_any_seconds_of_any_minutes",
    "test_the_last_day_in_any_list",
    "test_the_working_day_nearest_to_any",
    "test_any_weekday_of_a_month",
    "test_any_last_weekday",
    *JOINED,
)
"""Tests that cost as much as all others together: only for gateways that are expected to fail there."""


@cache
def tests() -> dict[str, frozenset[str]]:
    """The suite's test functions by node id, each with the requirements that it judges."""
    found = {}
    for file in sorted(SUITE.glob("test_*.py")):
        module = importlib.import_module(f"pytest_cronsession.suite.{file.stem}")
        for name, value in vars(module).items():
            marks = getattr(value, "pytestmark", []) if name.startswith("test_") else []
            ids = [i for mark in marks if mark.name == "cronsession_requirement" for i in mark.args]
            if ids:
                found[f"cronsession/{file.name}::{name}"] = frozenset(ids)
    return found


def part(*, slow: bool) -> list[str]:
    """The slow tests, or all others."""
    return [node for node in tests() if node.endswith(SLOW) is slow]


def selection(expected: Iterable[str], found_by: Collection[str] | None = None) -> list[str]:
    """The quick ones of the tests that should fail; the slow ones if no others do.

    ``found_by`` are those that are on record as finding the mutant, as :func:`failing_tests` names them.
    """
    wanted = frozenset(expected)
    breaking = [node for node, ids in tests().items() if ids & wanted]
    quick = [node for node in breaking if not node.endswith(SLOW)]
    if found_by is not None and not any(_named(node) in found_by for node in quick):
        return [node for node in breaking if _named(node) in found_by] or breaking
    return quick or breaking


def _named(node: str) -> str:
    return node.removeprefix("cronsession/")


def judged_by(nodes: Collection[str], found_by: Collection[str] | None = None) -> frozenset[str]:
    """The requirements about which these tests have the whole say; what others found is on record in ``found_by``."""
    others = [node for node in tests() if node not in nodes]
    if found_by is None:
        others = [node for node in others if not node.endswith(JOINED)]
    else:
        others = [node for node in others if _named(node) in found_by]
    left_out = {i for node in others for i in tests()[node]}
    return frozenset(i for node in nodes for i in tests()[node]) - left_out


def broken(report: dict[str, Any]) -> set[str]:
    """The requirements that the gateway breaks."""
    return {row["id"] for row in report["requirements"] if row["outcome"] in BROKEN}


def failing_tests(report: dict[str, Any]) -> set[str]:
    """The test functions that found something, as ``test_x.py::test_y``."""
    found = set()
    for row in report["requirements"]:
        if row["outcome"] in BROKEN:
            first, *rest = row["message"].splitlines()
            also = [line.removeprefix("also in: ") for line in rest if line.startswith("also in: ")]
            cases = [first.partition(": ")[0], *(case for line in also for case in line.split(", "))]
            found |= {case.partition("[")[0] for case in cases if "::" in case}
    return found


def errors(report: dict[str, Any]) -> dict[str, str]:
    """What could not be judged, because the gateway itself failed."""
    return {row["id"]: row["message"] for row in report["requirements"] if row["outcome"] == "error"}


class Court:
    """A worker process; see :mod:`.worker`."""

    def __init__(self) -> None:
        self._worker = subprocess.Popen(
            [sys.executable, "-m", "tests.mutants.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env=environment(),
            text=True,
        )

    def judge(self, target: str, *arguments: str, kind: str = "python") -> dict[str, Any]:
        """The report of a run against ``kind:target``; raises :class:`AssertionError` if there is none."""
        assert self._worker.stdin is not None
        assert self._worker.stdout is not None
        request = [f"--cronsession-target={kind}:{target}", *arguments]
        self._worker.stdin.write(json.dumps(request) + "\n")
        self._worker.stdin.flush()
        line = self._worker.stdout.readline()
        assert line, f"the worker ended with {self._worker.wait()} while it judged {target}"
        report: dict[str, Any] = json.loads(line)
        assert "trouble" not in report, f"{target}: no report was written\n{report['trouble']}"
        return report

    def close(self) -> None:
        assert self._worker.stdin is not None
        self._worker.stdin.close()
        self._worker.wait(timeout=60)
        assert self._worker.stdout is not None
        self._worker.stdout.close()
