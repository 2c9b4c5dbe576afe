"""The state machine of a gateway's life: how it ends when the gateway does."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from pytest_cronsession.driver import Driver
from pytest_cronsession.outcomes import TargetError
from pytest_cronsession.suite.life import STABLE, explore
from pytest_cronsession.suite.lives import Story, happens
from pytest_cronsession.worlds import World

from .tiny_gateway import Tiny, target


def broken_at(operation: str, events: list[str]) -> type[Tiny]:
    """A gateway whose second instance and all after it raise in one operation; it tells when it starts and ends."""

    def method(self: Tiny, params: dict[str, Any]) -> dict[str, Any]:
        if len(events) > 1:
            events.append("broke")
            raise RuntimeError("segmentation fault")
        result: dict[str, Any] = getattr(super(made, self), operation)(params)
        return result

    def begin(self: Tiny) -> None:
        Tiny.__init__(self)
        events.append("began")

    made = type("Broken", (Tiny,), {"__init__": begin, operation: method})
    return made


@pytest.mark.parametrize("operation", ["gateway_start", "job_add"])
def test_a_target_that_broke_is_not_started_again_to_shrink_its_life(operation: str) -> None:
    events: list[str] = []
    world = World(target(broken_at(operation, events)))
    try:
        with pytest.raises(TargetError, match="segmentation fault"):
            explore(Driver(world, requirement=STABLE), STABLE)
    finally:
        world.close()
    assert events[-1] == "broke"
    assert events.count("broke") == 1


class Days(Story):
    """Lives of nothing but their events, kept in ``lived``."""

    lived: ClassVar[list[list[str]]] = []

    def __init__(self, *, varied: bool) -> None:
        super().__init__(varied=varied)
        self.lived.append([])

    @happens(meal=("bread", "soup"))
    def eat(self, meal: str) -> None:
        self.lived[-1].append(meal)

    @happens(lambda self: "soup" in self.lived[-1])
    def sleep(self) -> None:
        self.lived[-1].append("sleep")


@pytest.mark.parametrize(
    ("varied", "life"),
    [(False, ["bread"] * 6), (True, ["bread", "soup", "bread", "sleep", "soup", "sleep"])],
)
def test_the_only_life_is_one_of_each(*, varied: bool, life: list[str]) -> None:
    """Hypothesis begins with the simplest one, which would do the first thing again and again."""
    Days.lived.clear()
    run_state_machine_as_test(
        lambda: Days(varied=varied),
        settings=settings(max_examples=1, stateful_step_count=6, database=None, derandomize=True),
    )
    assert Days.lived[0] == life
