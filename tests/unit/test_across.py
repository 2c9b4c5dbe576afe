"""Requirements that share an event: who is looked at, in which order, and what one that is broken hides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_cronsession.outcomes import ConformanceFailure, NotObserved, TargetError
from pytest_cronsession.suite.across import Part, across

ONE, OTHER = "CS-STO-001", "CS-STO-002"


class Witness(SimpleNamespace):
    """What :func:`across` asks of a driver, with everything that happened."""

    def __init__(self, *, limited: bool, without: Sequence[str] = ()) -> None:
        super().__init__(budget=SimpleNamespace(limited=limited), requirement=ONE, told=[], without=without)

    def applies(self, requirement: str) -> bool:
        return requirement not in self.without

    def record(self, requirement: str, outcome: str, message: str = "") -> None:
        self.told.append(f"{requirement} {outcome}")

    def event(self) -> None:
        self.told.append("event")


def part(name: str, *, before: Exception | None = None, after: Exception | None = None) -> Part:
    def told(driver: Any) -> Iterator[None]:
        driver.told.append(f"{driver.requirement} {name} before")
        if before:
            raise before
        yield
        driver.told.append(f"{driver.requirement} {name} after")
        if after:
            raise after

    return told


def through(driver: Any, one: Part, other: Part) -> list[str]:
    across(driver, driver.event, {ONE: one, OTHER: other})
    told: list[str] = driver.told
    return told


def failure(requirement: str) -> ConformanceFailure:
    return ConformanceFailure(requirement, "broken")


def test_each_has_an_event_of_its_own_right_after_what_it_prepared() -> None:
    told = through(Witness(limited=False), part("a"), part("b"))
    first = [f"{ONE} a before", "event", f"{ONE} a after", f"{ONE} pass"]
    second = [f"{OTHER} b before", "event", f"{OTHER} b after", f"{OTHER} pass"]
    assert told == first + second


def test_one_event_serves_all_where_it_costs_real_time() -> None:
    told = through(Witness(limited=True), part("a"), part("b"))
    before, after = told[: told.index("event")], told[told.index("event") + 1 :]
    assert before == [f"{ONE} a before", f"{OTHER} b before"]
    assert after == [f"{ONE} a after", f"{ONE} pass", f"{OTHER} b after", f"{OTHER} pass"]


@pytest.mark.parametrize("limited", [False, True])
@pytest.mark.parametrize("when", ["before", "after"])
def test_what_is_broken_does_not_hide_the_others(limited: bool, when: str) -> None:
    driver = Witness(limited=limited)
    with pytest.raises(ConformanceFailure) as raised:
        through(driver, part("a", **{when: failure(ONE)}), part("b"))
    assert raised.value.requirement == ONE
    assert driver.told[-1] == f"{OTHER} pass"
    assert f"{ONE} pass" not in driver.told


@pytest.mark.parametrize("limited", [False, True])
def test_several_that_are_broken_are_all_raised(limited: bool) -> None:
    with pytest.raises(ExceptionGroup) as raised:
        through(Witness(limited=limited), part("a", after=failure(ONE)), part("b", after=failure(OTHER)))
    assert [e.requirement for e in raised.value.exceptions if isinstance(e, ConformanceFailure)] == [
        ONE,
        OTHER,
    ]


def test_what_could_not_be_brought_about_is_not_run() -> None:
    told = through(Witness(limited=True), part("a", before=NotObserved("no run")), part("b"))
    assert f"{ONE} not-run" in told
    assert f"{OTHER} pass" in told


def test_one_that_does_not_apply_is_left_out() -> None:
    told = through(Witness(limited=True, without=[OTHER]), part("a"), part("b"))
    assert told == [f"{ONE} a before", "event", f"{ONE} a after", f"{ONE} pass"]


def test_without_anything_to_look_at_nothing_happens() -> None:
    assert through(Witness(limited=True, without=[ONE, OTHER]), part("a"), part("b")) == []


def test_a_gateway_that_cannot_go_on_ends_it() -> None:
    driver: Any = Witness(limited=True)

    def event() -> None:
        raise TargetError("crash", "it is gone")

    with pytest.raises(TargetError, match="it is gone"):
        across(driver, event, {ONE: part("a")})


def test_a_part_has_one_event() -> None:
    def never(driver: Any) -> Iterator[None]:
        yield
        yield

    driver: Any = Witness(limited=True)
    with pytest.raises(AssertionError, match="more than one event"):
        across(driver, driver.event, {ONE: never})
