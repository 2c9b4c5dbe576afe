"""The seed changes which examples a property looks at, and nothing else does."""

from __future__ import annotations

from hypothesis import strategies as st

from pytest_cronsession.driver import Driver
from pytest_cronsession.effort import Effort
from pytest_cronsession.suite.kit import EXAMPLES, examples


def _drawn(driver: Driver, effort: Effort) -> list[int]:
    driver.effort, seen = effort, []

    def check(number: int) -> None:
        seen.append(number)

    examples(driver, check, number=st.integers(0, 10**6))
    return seen


def test_without_a_seed_each_run_draws_the_same(cronsession_driver: Driver) -> None:
    first, again = (_drawn(cronsession_driver, Effort()) for _ in range(2))
    assert first == again


def test_a_seed_draws_others_and_the_same_ones_again(cronsession_driver: Driver) -> None:
    usual, seven, again = (_drawn(cronsession_driver, Effort(seed=seed)) for seed in (0, 7, 7))
    assert seven == again
    assert seven != usual


def test_a_tier_looks_at_more(cronsession_driver: Driver) -> None:
    core, full = (len(_drawn(cronsession_driver, Effort(tier=tier))) for tier in ("core", "full"))
    assert core <= EXAMPLES["core"] < full <= EXAMPLES["full"]
