"""The state machine of a gateway's life: how it ends when the gateway does."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_cronsession.driver import Driver
from pytest_cronsession.outcomes import TargetError
from pytest_cronsession.suite.life import STABLE, explore
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
