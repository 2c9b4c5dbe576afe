"""The laws of the mission, over whole lives of a gateway."""

from __future__ import annotations

import pytest

from ..driver import Driver
from ..requirement import requirement
from .clockwork import PUNCTUAL, explore_clockwork
from .house import LAW, explore_house
from .life import BOUNDED, STABLE, explore
from .life_durable import DURABLE, Durable

MINUTE = 60_000


@requirement(STABLE)
def test_sessions_sharing_a_key_stay_stable(cronsession_driver: Driver) -> None:
    explore(cronsession_driver, STABLE)


@requirement(BOUNDED)
@pytest.mark.cronsession_config(
    sessionRetentionMs=60 * MINUTE,
    maintenance={"mode": "enforce", "pruneAfterMs": 300 * MINUTE, "maxEntries": 6},
)
def test_the_store_stays_within_its_bounds(cronsession_driver: Driver) -> None:
    explore(cronsession_driver, BOUNDED)


@requirement(DURABLE)
@pytest.mark.cronsession_last
# Else the limits that a gateway has by default may take a session that nobody has been in for a day.
@pytest.mark.cronsession_config(maintenance={"mode": "warn"})
def test_what_was_acknowledged_survives_every_crash(cronsession_driver: Driver) -> None:
    explore(cronsession_driver, DURABLE, Durable)


@requirement(LAW)
def test_every_run_is_where_its_job_says(cronsession_driver: Driver) -> None:
    explore_house(cronsession_driver)


@requirement(PUNCTUAL)
def test_every_slot_has_its_run_and_nothing_else_runs(cronsession_driver: Driver) -> None:
    explore_clockwork(cronsession_driver)
