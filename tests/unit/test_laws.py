"""Laws that a machine watches: the first breach of each is raised, what was broken before is recorded."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pytest_cronsession.driver import Driver
from pytest_cronsession.outcomes import ConformanceFailure
from pytest_cronsession.suite.laws import Laws
from pytest_cronsession.worlds import World

from .tiny_gateway import Tiny, target

ONE, TWO, THREE = "CS-RUN-001", "CS-RUN-002", "CS-RUN-005"
Said = list[tuple[str, str, str]]


@pytest.fixture
def world() -> Iterator[World]:
    found = World(target(Tiny))
    yield found
    found.close()


def watched(world: World, *known: str) -> tuple[Laws, Driver, Said]:
    said: Said = []
    driver = Driver(world, on_result=lambda *told: said.append(told), known=known)
    return Laws(driver, (ONE, TWO, THREE)), driver, said


def test_each_law_has_a_result_of_its_own(world: World) -> None:
    laws, driver, said = watched(world)
    laws.explore(lambda: laws.expect(driver, True, "", ONE) and None)
    assert [(law, outcome) for law, outcome, _ in said] == [
        (ONE, "pass"),
        (TWO, "not-applicable"),
        (THREE, "not-applicable"),
    ]


def test_after_a_breach_the_exploration_goes_on(world: World) -> None:
    laws, driver, said = watched(world)

    def live() -> None:
        laws.expect(driver, False, "no first", ONE)
        laws.expect(driver, False, "no second", TWO)
        laws.expect(driver, True, "", THREE)

    with pytest.raises(ExceptionGroup) as caught:
        laws.explore(live)
    broken = [
        failure.requirement for failure in caught.value.exceptions if isinstance(failure, ConformanceFailure)
    ]
    assert broken == [ONE, TWO]
    assert said == [(THREE, "pass", "")]


def test_what_is_known_to_fail_is_recorded_and_not_raised(world: World) -> None:
    laws, driver, said = watched(world, ONE)
    laws.explore(lambda: laws.expect(driver, False, "as ever", ONE) and None)
    assert said[0] == (ONE, "fail", "as ever")


def test_one_breach_is_raised_as_it_is(world: World) -> None:
    laws, driver, _ = watched(world)
    with pytest.raises(ConformanceFailure, match="no second"):
        laws.explore(lambda: laws.expect(driver, False, "no second", TWO) and None)
