"""The packaged suite itself: against the reference, and against a gateway that breaks."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest

from pytest_cronsession import catalog, schemas

QUIET = ("-p", "no:asyncio", "--strict-markers", "-W", "error")
TARGET = "--cronsession-target=reference"
BROKEN = """
from cronsession_reference import Gateway

class Broken(Gateway):
    async def job_add(self, params):
        raise RuntimeError("the disk is full")
"""


@pytest.fixture
def listed(pytester: pytest.Pytester) -> list[str]:
    """The node ids of the whole suite."""
    result = pytester.runpytest_subprocess(*QUIET, TARGET, "--co", "-q", "--cronsession-tier=thorough")
    assert result.ret == 0
    return [line for line in result.outlines if "::" in line]


def test_node_ids_are_stable_and_unique(listed: list[str]) -> None:
    assert len(listed) > 50
    assert all(re.fullmatch(r"cronsession/test_\w+\.py::test_\w+(\[.+\])?", node_id) for node_id in listed)
    assert max(Counter(listed).values()) == 1


def test_a_requirement_is_judged_by_name(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_subprocess(*QUIET, TARGET, "-k", "CS-RES-001", "-v")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["a selection: * of * requirements looked at, so no verdict"])
    assert "cronsession/test_session_keys.py::" in result.stdout.str()


def test_workers_share_the_suite(pytester: pytest.Pytester) -> None:
    one = pytester.runpytest_subprocess(*QUIET, TARGET, "-k", "CS-RES")
    two = pytester.runpytest_subprocess(*QUIET, TARGET, "-k", "CS-RES", "-n2")
    two.stdout.fnmatch_lines(["a selection: *"])
    assert two.parseoutcomes()["passed"] == one.parseoutcomes()["passed"]
    assert one.ret == two.ret == 0


def test_a_formal_selection_is_incomplete(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_subprocess(
        *QUIET, TARGET, "-k", "CS-RES-001", "--cronsession-report=report.json"
    )
    assert result.ret == 1
    report = json.loads((pytester.path / "report.json").read_text(encoding="utf-8"))
    assert schemas.problem("report.schema.json", report) is None
    assert report["verdict"] == "incomplete"
    assert len(report["requirements"]) == len(catalog.select(catalog.load(), tier="core"))
    assert report["spec"]["sha256"] == catalog.load().sha256


def test_a_small_budget_lowers_the_numbers_of_examples_and_says_so(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_subprocess(
        *QUIET, TARGET, "-k", "CS-SCH-001", "--cronsession-budget=0.001", "--cronsession-report=report.json"
    )
    report = json.loads((pytester.path / "report.json").read_text(encoding="utf-8"))
    assert schemas.problem("report.schema.json", report) is None
    assert report["environment"]["budget"] == {
        "seconds": 0.001,
        "fewerExamples": {"CS-SCH-001": {"looked": 1, "of": 12}},
    }
    result.stdout.fnmatch_lines(["budget 0.001 s, so fewer examples of CS-SCH-001 (1 of 12)"])


def test_without_a_budget_the_report_has_none(pytester: pytest.Pytester) -> None:
    pytester.runpytest_subprocess(*QUIET, TARGET, "-k", "CS-RES-001", "--cronsession-report=report.json")
    report = json.loads((pytester.path / "report.json").read_text(encoding="utf-8"))
    assert "budget" not in report["environment"]


def test_a_gateway_that_breaks_is_an_error_and_not_a_traceback(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(broken_gateway=BROKEN)
    result = pytester.runpytest_subprocess(
        *QUIET, "--cronsession-target=python:broken_gateway:Broken", "-k", "CS-RES-001"
    )
    assert result.ret == 1
    assert result.parseoutcomes().keys() <= {"errors", "deselected"}
    text = result.stdout.str()
    assert "the disk is full" in text
    assert "CS-RES-001 MUST (could not be judged)" in text
    assert "driver.py" not in text
