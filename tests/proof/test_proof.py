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
