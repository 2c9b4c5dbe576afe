"""A test that could go without anybody noticing proves nothing: of a sample, each is the only one to find some mutant."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..mutants import judging, recorded
from ..mutants.gateways import MUTANTS
from ..mutants.judging import SLOW, TIER, Court, broken, errors

FOUND_BY = recorded.load(recorded.FOUND_BY)
SAMPLE = 12


def alone() -> dict[str, str]:
    """By test: a mutant that, of the whole suite at tier full, this one alone finds."""
    found: dict[str, str] = {}
    for name, by in sorted(FOUND_BY.items()):
        only = next(iter(by), "")
        if name in MUTANTS and len(by) == 1 and not only.endswith(SLOW):
            found.setdefault(only, name)
    return dict(sorted(found.items()))


def sample() -> list[tuple[str, str]]:
    """Some of them, from all over the suite, the same ones each time."""
    found = list(alone().items())
    return found[:: max(1, len(found) // SAMPLE)][:SAMPLE]


@pytest.fixture(scope="module")
def court() -> Iterator[Court]:
    found = Court()
    yield found
    found.close()


def test_the_sample_is_as_large_as_it_should_be() -> None:
    assert len(sample()) == SAMPLE


@pytest.mark.parametrize(("test", "mutant"), sample(), ids=lambda value: value.rpartition("::")[2])
def test_without_its_test_a_mutant_survives(court: Court, test: str, mutant: str) -> None:
    file, _, _ = test.partition("::")
    about = MUTANTS[mutant].expected
    # What is about the same requirements or stands in the same file; the whole suite was before it for the record.
    near = [
        node
        for node, ids in judging.tests().items()
        if ids & about or node.startswith(f"cronsession/{file}::")
    ]
    rest = [node for node in near if not node.endswith((test, *SLOW))]
    target = f"tests.mutants.gateways:{mutant}"
    without = court.judge(target, TIER, *rest)
    assert broken(without) == set()
    assert errors(without) == {}
    assert broken(court.judge(target, TIER, f"cronsession/{test}"))
