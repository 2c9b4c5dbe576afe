"""The cron evaluator agrees with croniter on OCPS 1.0 at plain instants, and with brute force everywhere.

croniter is another engine with a dialect of its own: what it reads differently is listed, and each entry shown.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest
from croniter import CroniterBadDateError, croniter
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cronsession_reference.cron import DST_POLICIES, CronError, parse
from pytest_cronsession.oracle import cron_slots, transitions

from .test_cron import DAY_MS, EXPRESSIONS, NAMES, QUICK, Expression, at, iso, runs, runs_backwards


def _has_a_star_in_a_list(e: Expression) -> bool:
    return any("*" in field.text.split(",") and field.text != "*" for field in (e.day, e.weekday))


def _widens_beside_a_star(e: Expression) -> bool:
    every_day = len(e.day.values) == 31 and e.weekday.text.startswith("*")
    every_weekday = len({value % 7 for value in e.weekday.values}) == 7 and e.day.text.startswith("*")
    return (every_day or every_weekday) and "*" not in (e.day.text, e.weekday.text)


def _has_equal_ends(e: Expression) -> bool:
    text = e.text.upper()
    for names in NAMES.values():
        for number, name in enumerate(names):
            text = text.replace(name, str(number)) if name else text
    return re.search(r"\b(\d+)-\1\b", text) is not None


class Difference(NamedTuple):
    """What croniter reads otherwise, with an expression and what either makes of it from the start of 2026 on."""

    about: str
    met_by: Callable[[Expression], bool]
    expr: str
    ours: str
    theirs: str


DIFFERENCES = (
    Difference(
        "a day field with a * in a list is * to it; OCPS 1.0 section 6.1: only the * alone is",
        _has_a_star_in_a_list,
        "0 0 *,5 * 3",
        "2026-01-02T00:00:00Z",
        "2026-01-07T00:00:00Z",
    ),
    Difference(
        "a day field that allows every day is * to it, if the other one begins with *; the same section",
        _widens_beside_a_star,
        "0 0 1-31 * */4",
        "2026-01-02T00:00:00Z",
        "2026-01-04T00:00:00Z",
    ),
    Difference(
        "a range with equal ends is all values of its field to it; OCPS 1.0 section 5.1: the one value",
        _has_equal_ends,
        "5-5 * * * *",
        "2026-01-01T00:05:00Z",
        "2026-01-01T00:01:00Z",
    ),
)
"""All that is known of expressions that both can read; a generated one that meets none has to agree."""

ACCEPTED_BY_CRONITER = ("0/15 * * * *", "*/61 * * * *", "0 22-2 * * *", "0 0 * * FRI-MON", "R * * * *")
"""What is none to OCPS 1.0 and something to croniter: refused here, so that a slip is no schedule."""


def theirs(expr: str, asked: int, tz: str = "UTC") -> croniter:
    return croniter(expr, datetime.fromtimestamp(asked / 1000, ZoneInfo(tz)))


@pytest.mark.parametrize("found", DIFFERENCES, ids=lambda found: found.expr)
def test_a_listed_difference_is_one_and_the_oracle_is_on_our_side(found: Difference) -> None:
    start = at("2026-01-01T00:00:00Z")
    assert iso(parse(found.expr).next(start)) == found.ours
    assert iso(cron_slots(found.expr, "UTC", start, start + 40 * DAY_MS)[0]) == found.ours
    assert iso(round(theirs(found.expr, start).get_next(float) * 1000)) == found.theirs


@pytest.mark.parametrize("expr", ACCEPTED_BY_CRONITER)
def test_what_only_croniter_accepts_is_refused(expr: str) -> None:
    assert croniter.is_valid(expr)
    with pytest.raises(CronError):
        parse(expr)


PLAIN_ZONES = (
    "UTC",
    "Asia/Kathmandu",
    "America/Denver",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "America/Santiago",
)


def _is_plain(tz: str, *instants: int) -> bool:
    """Whether no change of the clock is within two days of any of them."""
    return not any(transitions(tz, t - 2 * DAY_MS, t + 2 * DAY_MS) for t in instants)


@settings(QUICK, max_examples=400)
@given(
    EXPRESSIONS.filter(lambda e: not any(known.met_by(e) for known in DIFFERENCES)),
    st.sampled_from(PLAIN_ZONES),
    st.integers(at("2000-01-01T00:00:00Z"), at("2090-01-01T00:00:00Z")),
    st.sampled_from(("next", "previous")),
)
def test_same_as_croniter_on_plain_instants(expression: Expression, tz: str, asked: int, way: str) -> None:
    schedule = parse(expression.text, tz)
    other = theirs(expression.text, asked, tz)
    instant = asked
    for _ in range(3):
        found = getattr(schedule, way)(instant)
        try:
            answer = other.get_next(float) if way == "next" else other.get_prev(float)
        except CroniterBadDateError:
            assert schedule.matches_never
            return
        assert found is not None
        assume(_is_plain(tz, instant, found, round(answer * 1000)))
        assert iso(found) == iso(round(answer * 1000))
        instant = found


# By the minute, over 400 days: a year with both changes of the clock, and a leap day. -------------------

SAMPLE = [
    ("*/7 * * * *", "Australia/Lord_Howe"),
    ("0 0 * * *", "America/Santiago"),
    ("30 2 * * *", "America/New_York"),
    ("15 1-3 * * 0", "America/New_York"),
    ("*/20 0,23 * * *", "America/Santiago"),
    ("45 1 * * 7", "Australia/Lord_Howe"),
    ("10,50 2 * 3,10 *", "Europe/Berlin"),
    ("0 */5 1,15 * 3", "Europe/Berlin"),
    ("5-20/5 8 29 2 *", "UTC"),
    ("59 23 31 * *", "Asia/Kathmandu"),
    ("0 9 */2 * MON-FRI", "America/Denver"),
    ("30 6 L,13 * FRI#2", "America/Denver"),
    ("0,30 15 2 1W * * 2027-2029", "Europe/Berlin"),
]
START = at("2027-02-20T00:00:07Z")
DAYS = 400 * DAY_MS


def same_by_the_minute(expr: str, tz: str, dst: str) -> None:
    expected = cron_slots(expr, tz, START - 1, START + DAYS - 1, dst)
    schedule = parse(expr, tz, dst)
    assert runs(schedule, START, START + DAYS) == expected
    assert runs_backwards(schedule, START, START + DAYS) == expected


@pytest.mark.parametrize(("expr", "tz"), SAMPLE)
def test_same_as_brute_force_over_400_days(expr: str, tz: str) -> None:
    number = SAMPLE.index((expr, tz))
    same_by_the_minute(expr, tz, sorted(DST_POLICIES)[number % 4])
    assert len(transitions(tz, START, START + DAYS)) >= (0 if tz in ("UTC", "Asia/Kathmandu") else 2)


@settings(QUICK, max_examples=5)
@given(EXPRESSIONS, st.sampled_from(PLAIN_ZONES), st.sampled_from(sorted(DST_POLICIES)))
def test_same_as_brute_force_over_400_days_for_any_expression(
    expression: Expression, tz: str, dst: str
) -> None:
    same_by_the_minute(expression.text, tz, dst)
