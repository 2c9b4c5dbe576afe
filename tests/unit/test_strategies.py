"""Everything generated is valid by the schemas, readable by the oracle, and taken by the reference."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cronsession_reference.cron import parse
from pytest_cronsession import schemas
from pytest_cronsession.oracle import DAY, cron_slots, slots
from pytest_cronsession.strategies import (
    ZONES,
    cron_expressions,
    cron_fields,
    jobs,
    schedules,
    session_names,
    session_wishes,
    zones,
)

NOW = 1_772_438_400_000  # 2026-03-02 08:00 UTC
LIMITS = {"minute": (0, 59), "hour": (0, 23), "day": (1, 31), "month": (1, 12), "weekday": (0, 6)}
quiet = settings(deadline=None, derandomize=True, database=None, max_examples=80)


def complaint(definition: str, document: Any) -> str | None:
    return schemas.problem(f"job.schema.json#/$defs/{definition}", document)


@pytest.mark.parametrize("zone", ZONES)
def test_zones_exist(zone: str) -> None:
    assert ZoneInfo(zone).key == zone


@quiet
@given(st.sampled_from(sorted(LIMITS)).flatmap(lambda n: st.tuples(st.just(n), cron_fields(n))))
def test_fields_stay_within_their_limits(named: tuple[str, str]) -> None:
    name, text = named
    low, high = LIMITS[name]
    numbers = [int(n) for n in text.replace("*/", "").split("/")[0].replace("-", ",").split(",")]
    assert all((0 if "*" in text else low) <= n <= high for n in numbers)


@quiet
@given(cron_expressions())
def test_expressions_run_within_a_year(expr: str) -> None:
    schedule = parse(expr)
    upcoming = schedule.next(NOW)
    assert upcoming is not None
    assert upcoming <= NOW + 366 * DAY
    # The oracle reads it the same way, on the very day.
    assert cron_slots(expr, "UTC", upcoming - 60_000, upcoming) == [upcoming]


@quiet
@given(session_names())
def test_session_names_can_be_typed(name: str) -> None:
    assert 1 <= len(name) <= 24
    assert name == " ".join(name.split())
    assert any(c.isalnum() or c in "-_@+" for c in name)


@quiet
@given(schedules(NOW), zones())
def test_schedules_are_valid_and_have_a_slot_to_come(schedule: dict[str, Any], zone: str) -> None:
    assert complaint("schedule", schedule) is None
    if schedule["kind"] == "cron":
        upcoming = parse(schedule["expr"], schedule["tz"]).next(NOW)
        assert upcoming is not None
        near = slots(schedule, upcoming - 60_000, upcoming, dst="vixie", zone=zone)
        assert near == [upcoming]
    else:
        assert slots(schedule, NOW, NOW + 10_000 * 60_000, dst="vixie", zone=zone)


@quiet
@given(session_wishes())
def test_session_wishes_are_valid(wish: dict[str, Any]) -> None:
    assert complaint("sessionWish", wish) is None
    assert ("name" in wish) == (wish["target"] == "named")


@quiet
@given(jobs(NOW))
def test_jobs_are_valid(job: dict[str, Any]) -> None:
    assert complaint("spec", job) is None
    assert schemas.message_problem("job/add", "params", {"job": job}) is None
