"""The page of proof is what the records say, and the records cover what they have to."""

from __future__ import annotations

from .__main__ import PAGE
from .gather import records
from .page import render


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(records()), "render it: python -m tests.proof"


def test_every_requirement_that_can_be_judged_has_a_mutant() -> None:
    found = records()
    killed = {i for wrong in (*found.mutants, *found.node_mutants) for i in wrong.breaks}
    assert set(found.requirements) - set(found.untestable) - killed == set()


def test_no_two_requirements_say_the_same() -> None:
    """If exactly the same wrong gateways break two, either one is too many, or a gateway is missing."""
    found = records()
    broken_by: dict[str, set[str]] = {}
    for wrong in (*found.mutants, *found.node_mutants):
        for identity in wrong.breaks:
            broken_by.setdefault(identity, set()).add(wrong.name)
    alike: dict[frozenset[str], list[str]] = {}
    for identity, names in broken_by.items():
        alike.setdefault(frozenset(names), []).append(identity)
    assert [sorted(ids) for ids in alike.values() if len(ids) > 1] == []


def test_there_are_as_many_as_it_takes() -> None:
    found = records()
    assert len(found.mutants) + len(found.node_mutants) >= 120
    assert len(found.node_mutants) >= 10
    assert len(found.variants) + len(found.node_variants) >= 25
    assert len(found.node_variants) >= 5
    assert len(found.hostile) >= 15


def test_what_survives_is_explained() -> None:
    found = records()
    for entry in found.mutation.values():
        assert [name for name in entry["survivors"] if name not in found.reasons] == []
