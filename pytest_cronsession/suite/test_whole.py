"""The laws of several areas at once, over whole lives of a gateway in which everything happens."""

from __future__ import annotations

import pytest

from ..driver import Driver
from ..requirement import requirement
from .ends import OUTCOMES, explore_ends
from .leftovers import LAWS, explore_leftovers
from .whole import EVERYTHING, explore_everything

pytestmark = pytest.mark.cronsession_tier("full")


@requirement(*OUTCOMES)
def test_runs_end_as_they_should(cronsession_driver: Driver) -> None:
    _only_here(cronsession_driver)
    explore_ends(cronsession_driver)


@requirement(*LAWS)
def test_what_is_left_behind_goes_in_time(cronsession_driver: Driver) -> None:
    _only_here(cronsession_driver)
    explore_leftovers(cronsession_driver)


@requirement(*EVERYTHING)
@pytest.mark.cronsession_last
def test_everything_holds_at_once(cronsession_driver: Driver) -> None:
    explore_everything(cronsession_driver)


def _only_here(d: Driver) -> None:
    if d.budget.limited:
        d.pass_over(
            "on a gateway that costs real time one life has to be enough: the one in which everything happens"
        )
