"""What the brute-force oracle makes of the dialect beyond five fields: facts by hand, and a second opinion."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cronsession_reference.cron import parse
from pytest_cronsession.contract import POLICIES
from pytest_cronsession.dialect import date_matches, names_one_time
from pytest_cronsession.oracle import DAY, MINUTE, cron_slots, transitions


def days(expr: str, year: int, month: int) -> list[int]:
    """The days of a month that match ``0 0 ...``."""
    length = (date(year + month // 12, month % 12 + 1, 1) - date(year, month, 1)).days
    return [d for d in range(1, length + 1) if date_matches(expr, date(year, month, d))]


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("expr", "year", "month", "expected"),
    [
        # August 2026 begins on a Saturday, ends on a Monday; 15 and 16 are a weekend.
        pytest.param("0 0 L * *", 2026, 8, [31], id="last"),
        pytest.param("0 0 L 2 *", 2028, 2, [29], id="last-of-a-leap-February"),
        pytest.param("0 0 L,1-3 * *", 2026, 8, [1, 2, 3, 31], id="last-in-a-list"),
        pytest.param("0 0 15W * *", 2026, 8, [14], id="a-Saturday-goes-back"),
        pytest.param("0 0 16W * *", 2026, 8, [17], id="a-Sunday-goes-on"),
        pytest.param("0 0 12W * *", 2026, 8, [12], id="a-Wednesday-stays"),
        pytest.param("0 0 1W * *", 2026, 8, [3], id="not-into-the-month-before"),
        pytest.param("0 0 31W * *", 2026, 5, [29], id="not-into-the-month-after"),
        pytest.param("0 0 31W * *", 2026, 6, [], id="no-31st"),
        pytest.param("0 0 LW * *", 2026, 8, [31], id="last-working-day-is-the-last"),
        pytest.param("0 0 LW * *", 2026, 5, [29], id="last-working-day-is-a-Friday"),
        pytest.param("0 0 * * 5L", 2026, 8, [28], id="last-Friday"),
        pytest.param("0 0 * * FRI#L", 2026, 8, [28], id="last-Friday-by-name"),
        pytest.param("0 0 * * 7L", 2026, 8, [30], id="last-Sunday"),
        pytest.param("0 0 * * MON#1", 2026, 8, [3], id="first-Monday"),
        pytest.param("0 0 * * 6#5", 2026, 8, [1 + 28], id="fifth-Saturday"),
        pytest.param("0 0 * * 6#5", 2026, 9, [], id="no-fifth-Saturday"),
        pytest.param("0 0 * * MON#1,WED#2", 2026, 8, [3, 12], id="two-of-them"),
        pytest.param("0 0 1-7 * +MON", 2026, 8, [3], id="and"),
        pytest.param("0 0 1-3 * MON", 2026, 8, [1, 2, 3, 10, 17, 24, 31], id="or"),
        pytest.param("0 0 ? * MON", 2026, 8, [3, 10, 17, 24, 31], id="question-mark"),
        pytest.param("0 0 0 1 8 * 2026", 2026, 8, [1], id="this-year"),
        pytest.param("0 0 0 1 8 * 2027-2029", 2026, 8, [], id="not-this-year"),
        pytest.param("@weekly", 2026, 8, [2, 9, 16, 23, 30], id="nickname"),
    ],
)
def test_dates(expr: str, year: int, month: int, expected: list[int]) -> None:
    assert days(expr, year, month) == expected


def test_seconds() -> None:
    start = ms("2026-01-01")
    assert cron_slots("*/20 * * * * *", "UTC", start, start + MINUTE) == [
        start + k * 20_000 for k in (1, 2, 3)
    ]
    assert cron_slots("30 0 * * * *", "UTC", start, start + DAY // 12) == [start + 30_000, start + 3_630_000]
    assert cron_slots("30 0 * * * *", "UTC", start + 29_999, start + 30_000) == [start + 30_000]
    assert cron_slots("30 0 * * * *", "UTC", start + 30_000, start + MINUTE) == []


def test_a_fixed_time_has_a_fixed_second_too() -> None:
    assert names_one_time("15 30 2 * * *")
    assert not names_one_time("0,15 30 2 * * *")
    night = ("America/New_York", ms("2026-03-08 00:00"), ms("2026-03-08 20:00"))
    assert cron_slots("15 30 2 * * *", *night) == [ms("2026-03-08 07:00")]
    assert cron_slots("0,15 30 2 * * *", *night) == []
    assert cron_slots("15 30 2 * * *", *night, dst="shift") == [ms("2026-03-08 07:30:15")]


DAY_FIELDS = ("*", "?", "L", "LW", "1W", "15W", "31W", "29-31", "1,L", "*/9", "7")
WEEKDAY_FIELDS = ("*", "?", "5L", "SUN#L", "MON#1", "6#5", "1#2,3#4", "FRI-SUN", "+1-5", "+5", "+*", "0,7")
extended = st.builds(
    "{} {} {} {} {} {}".format,
    st.sampled_from(("0", "59", "*/17", "5-9/2")),
    st.sampled_from(("0", "30", "*/20", "*")),
    st.sampled_from(("0", "2", "1-3", "*/8", "*")),
    st.sampled_from(DAY_FIELDS),
    st.sampled_from(("*", "2", "3,4,9,10,11", "*/5")),
    st.sampled_from(WEEKDAY_FIELDS),
)
years = st.sampled_from(("", " *", " 2027", " 2026-2199/3"))
CHANGES = [
    (tz, moment)
    for tz in ("America/New_York", "Australia/Lord_Howe", "America/Santiago", "UTC")
    for moment in (*transitions(tz, ms("2026-01-01"), ms("2027-12-31")), ms("2028-02-28"), ms("2026-07-31"))
]


@settings(deadline=None, derandomize=True, database=None, max_examples=200)
@given(
    expr=st.builds("{}{}".format, extended, years),
    dst=st.sampled_from(tuple(POLICIES["dst"].answers)),
    change=st.sampled_from(CHANGES),
    lead=st.integers(0, 2 * DAY),
)
def test_agrees_with_the_reference_engine(expr: str, dst: str, change: tuple[str, int], lead: int) -> None:
    tz, moment = change
    after, until = moment - lead, moment + DAY // 2
    schedule = parse(expr, tz, dst)
    slots = cron_slots(expr, tz, after, until, dst)
    found, last = schedule.next(after), schedule.previous(until + 1)
    if slots:
        assert (found, last) == (slots[0], slots[-1])
        step = slots[len(slots) // 2]
        following = [slot for slot in slots if slot > step]
        assert not following or schedule.next(step) == following[0]
    else:
        assert found is None or found > until
        assert last is None or last <= after
