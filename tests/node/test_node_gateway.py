"""A gateway in another language, built from specs/ alone; and others made from it, wrong ones and right ones."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from pytest_cronsession import catalog

from ..clock.tiny_node import NO_NODE, NODE
from ..mutants import recorded
from ..mutants.judging import BROKEN, TIER, Court, broken, errors, judged_by, selection
from .gateways import HERE, MUTANTS, VARIANTS, command

PROFILES = ("scheduler", "sessions", "retention")
# Of the core; beyond it a small gateway lacks a lot.
NOT_OFFERED = {"CS-RES-014", "CS-RES-015", "CS-RES-016", "CS-RES-017", "CS-RUN-004", "CS-MNT-005"}
CODE_LINES = (
    260  # two hundred and a few: whoever reads it shall still see at once that there is no trick in it
)

pytestmark = pytest.mark.skipif(NODE is None, reason=NO_NODE)


@pytest.fixture(scope="module")
def court() -> Iterator[Court]:
    found = Court()
    yield found
    found.close()


def _not_conformant(report: dict[str, Any]) -> dict[str, str]:
    """The requirements that are neither kept nor out of place, and why."""
    rows = (row for row in report["requirements"] if row["outcome"] in (*BROKEN, "error", "not-run"))
    said = {row["id"]: row.get("message") or row.get("reason", "") for row in rows}
    return {i: text for i, text in said.items() if not text.startswith("untestable: ")}


def test_the_node_gateway_is_conformant(court: Court) -> None:
    """With the core; with all of it in ``python -m tests.proof.alarms variants``, since that takes a minute."""
    report = court.judge(command("gateway.mjs"), kind="stdio")
    assert not _not_conformant(report)
    assert report["verdict"] == "conformant"
    assert report["profiles"] == {profile: {"verdict": "conformant"} for profile in PROFILES}
    assert report["baseline"] is None
    assert report["environment"]["problems"] == []
    skipped = {row["id"] for row in report["requirements"] if row["outcome"] == "not-applicable"}
    core = {i for i, r in catalog.load().requirements.items() if r.tier == "core"}
    assert {i for i in skipped & core if not i.startswith("CS-STO-")} == NOT_OFFERED
    assert report["counts"]["pass"] > 2 * len(NOT_OFFERED) + len(core) // 2


def test_the_node_gateway_is_small_and_needs_no_package() -> None:
    source = "\n".join((HERE / name).read_text(encoding="utf-8") for name in ("gateway.mjs", "schedule.mjs"))
    modules = re.findall(r"^import .* from '(.*)';$", source, re.MULTILINE)
    assert modules
    assert [name for name in modules if not name.startswith(("node:", "./"))] == []
    code = [line for line in source.splitlines() if line.strip() and not re.match(r"\s*(//|/\*\*)", line)]
    assert len(code) <= CODE_LINES


@pytest.mark.parametrize(("file", "names"), [("mutant.mjs", MUTANTS), ("variant.mjs", VARIANTS)])
def test_every_class_is_known_here(file: str, names: dict[str, Any] | tuple[str, ...]) -> None:
    listed = subprocess.run(
        [str(NODE), str(HERE / file)], capture_output=True, text=True, timeout=30, check=True
    )
    assert listed.stdout.split() == list(names)


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_breaks_what_it_should(court: Court, name: str) -> None:
    expected = recorded.load().get(f"node:{name}", MUTANTS[name].expected)
    nodes = selection(MUTANTS[name].expected)
    report = court.judge(command("mutant.mjs", [name]), TIER, *nodes, kind="stdio")
    assert not errors(report), "a mutant is a gateway that works, and is wrong"
    found = broken(report)
    assert found, "the mutant survived"
    assert found <= expected, "it breaks more than its entry says"
    assert found >= expected & judged_by(nodes), "it breaks less than its entry says"


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_is_conformant(court: Court, name: str) -> None:
    report = court.judge(command("variant.mjs", [name]), kind="stdio")
    assert not _not_conformant(report)
    assert report["verdict"] == "conformant"
    assert {entry["verdict"] for entry in report["profiles"].values()} == {"conformant"}
