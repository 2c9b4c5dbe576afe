"""When what a run left behind may go: the bookkeeping of the machine, apart from its lives."""

from __future__ import annotations

import pytest

from pytest_cronsession.suite.leftovers import over_since


@pytest.mark.parametrize("ended", ["interrupted", "removed"])
def test_a_run_that_a_stop_ended_was_over_before_the_gateway_came_back(ended: str) -> None:
    """Its receipt may go by its own age, and not only by that of the look after the downtime."""
    assert over_since(ended, asked_ms=10, looked_ms=70) == 10


@pytest.mark.parametrize("ended", ["answered", "failed", "cancel", "timeout"])
def test_any_other_was_under_way_at_the_last_look(ended: str) -> None:
    assert over_since(ended, asked_ms=10, looked_ms=70) == 70
