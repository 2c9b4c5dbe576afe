"""Gateways that answer wrongly at random: the suite finds fault with them, and never with itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..mutants.judging import Court, errors
from .chaos import HOW, Chaos

# Between them they are wrong in every way, now and then or always.
SEEDS = (1, 9, 10, 17, 26, 30)


def test_the_seeds_are_wrong_in_every_way() -> None:
    assert {how for seed in SEEDS for how in Chaos(seed).how} == set(HOW)


@pytest.fixture(scope="module")
def court() -> Iterator[Court]:
    found = Court()
    yield found
    found.close()


@pytest.mark.parametrize("seed", SEEDS)
def test_the_suite_does_not_fall_over_nonsense(court: Court, seed: int) -> None:
    report = court.judge(f"tests.hostile.chaos:seed{seed}")
    assert report["verdict"] == "nonconformant"
    assert errors(report) == {}
