"""Each wrong gateway fails exactly what its entry says, judged by the real plugin."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pytest_cronsession import catalog

from ..node import gateways as node
from . import recorded
from .gateways import MUTANTS
from .judging import TIER, Court, broken, errors, judged_by, selection

RECORDED, FOUND_BY = recorded.load(), recorded.load(recorded.FOUND_BY)


@pytest.fixture(scope="module")
def court() -> Iterator[Court]:
    found = Court()
    yield found
    found.close()


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_breaks_what_it_should(court: Court, name: str) -> None:
    expected = RECORDED.get(name, MUTANTS[name].expected)
    found_by = FOUND_BY.get(name)
    nodes = selection(MUTANTS[name].expected, found_by)
    report = court.judge(f"tests.mutants.gateways:{name}", TIER, *nodes)
    assert not errors(report), "a mutant is a gateway that works, and is wrong"
    found = broken(report)
    assert found, "the mutant survived"
    assert found <= expected, "it breaks more than its entry says"
    assert found >= expected & judged_by(nodes, found_by), "it breaks less than its entry says"


def test_what_is_on_record_is_what_the_entries_are_about() -> None:
    short = {name: MUTANTS[name].expected - RECORDED.get(name, MUTANTS[name].expected) for name in MUTANTS}
    assert {name: sorted(ids) for name, ids in short.items() if ids} == {}
    known = {*MUTANTS, *(f"node:{name}" for name in node.MUTANTS)}
    assert set(RECORDED) <= known, "mutants that are no more"


def test_every_requirement_has_a_mutant() -> None:
    killed = {identity for mutant in MUTANTS.values() for identity in mutant.expected}
    killed |= {identity for ids in RECORDED.values() for identity in ids}
    assert killed == {i for i, r in catalog.load().requirements.items() if not r.untestable}
