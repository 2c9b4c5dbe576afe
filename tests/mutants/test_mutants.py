"""Each wrong gateway fails exactly what its entry says, judged by the real plugin."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pytest_cronsession import catalog

from .gateways import MUTANTS
from .judging import Court, broken, errors, judged_by, selection


@pytest.fixture(scope="module")
def court() -> Iterator[Court]:
    found = Court()
    yield found
    found.close()


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_breaks_what_it_should(court: Court, name: str) -> None:
    expected = MUTANTS[name].expected
    nodes = selection(expected)
    report = court.judge(f"tests.mutants.gateways:{name}", *nodes)
    assert not errors(report), "a mutant is a gateway that works, and is wrong"
    found = broken(report)
    assert found, "the mutant survived"
    assert found <= expected, "it breaks more than its entry says"
    assert found >= expected & judged_by(nodes), "it breaks less than its entry says"


def test_every_requirement_has_a_mutant() -> None:
    killed = {identity for mutant in MUTANTS.values() for identity in mutant.expected}
    assert killed == set(catalog.load().requirements)
