"""The brute-force oracle: facts worked out by hand, and agreement with the reference's own cron engine."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cronsession_reference.cron import parse
from pytest_cronsession.contract import POLICIES
from pytest_cronsession.oracle import DAY, MINUTE, cron_slots, interval_slots, slots, transitions
from pytest_cronsession.strategies import cron_expressions, cron_fields, zones

HOUR = 60 * MINUTE
NEW_YORK, LORD_HOWE, BERLIN = "America/New_York", "Australia/Lord_Howe", "Europe/Berlin"
DST = tuple(POLICIES["dst"].answers)


def ms(text: str) -> int:
    """``2026-03-08 07:00`` in UTC, as epoch milliseconds."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def found(expr: str, tz: str, after: str, until: str, dst: str = "vixie") -> list[str]:
    """The slots as UTC texts."""
    instants = cron_slots(expr, tz, ms(after), ms(until), dst)
    return [f"{datetime.fromtimestamp(i / 1000, UTC):%Y-%m-%d %H:%M}" for i in instants]


# --- the calendar -------------------------------------------------------------------------------------


def test_the_window_is_open_at_its_start_and_closed_at_its_end() -> None:
    assert found("0 * * * *", "UTC", "2026-01-01 00:00", "2026-01-01 02:00") == [
        "2026-01-01 01:00",
        "2026-01-01 02:00",
    ]


def test_a_window_that_starts_within_a_minute() -> None:
    start = ms("2026-01-01 00:00")
    assert cron_slots("* * * * *", "UTC", start - 1, start + MINUTE - 1) == [start]
    assert cron_slots("* * * * *", "UTC", start + 1, start + MINUTE) == [start + MINUTE]


def test_an_empty_window_has_no_slots() -> None:
    assert found("* * * * *", "UTC", "2026-01-01 00:00", "2026-01-01 00:00") == []


@pytest.mark.parametrize(
    ("expr", "days"),
    [
        # January 2026: the 1st is a Thursday, Mondays are 5, 12, 19 and 26.
        pytest.param("0 0 * 1 1", [5, 12, 19, 26], id="weekday-alone"),
        pytest.param("0 0 7,20 1 *", [7, 20], id="day-alone"),
        pytest.param("0 0 7,12 1 1", [5, 7, 12, 19, 26], id="day-or-weekday"),
        pytest.param("0 0 31 1 *", [31], id="the-31st"),
        pytest.param("0 0 */10 1 *", [1, 11, 21, 31], id="step-from-the-1st"),
        pytest.param("0 0 */10 1 0", [1, 4, 11, 18, 21, 25, 31], id="a-step-is-a-restriction"),
    ],
)
def test_days(expr: str, days: list[int]) -> None:
    got = found(expr, "UTC", "2025-12-31 23:59", "2026-02-01 00:00")
    assert got == [f"2026-01-{day:02d} 00:00" for day in days]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("0 0 * * 0", "0 0 * * 7"),
        ("0 0 * * SUN", "0 0 * * 7"),
        ("0 0 * * 5-7", "0 0 * * 0,5,6"),
        ("0 0 * * FRI-SUN", "0 0 * * 0,5,6"),
        ("0 0 * * sun-tue", "0 0 * * 0,1,2"),
        ("0 0 * * mon,Wed,FRI", "0 0 * * 1,3,5"),
        ("0 0 9 jan-MAR *", "0 0 9 1,2,3 *"),
        ("0 0 10 DEC,jan *", "0 0 10 12,1 *"),
        ("5-20/5 8 * * *", "5,10,15,20 8 * * *"),
        ("*/25 8 * * *", "0,25,50 8 * * *"),
        ("05 08 * * *", "5 8 * * *"),
        ("3-3 8 * * *", "3 8 * * *"),
    ],
)
def test_two_spellings_of_one_schedule(one: str, other: str) -> None:
    window = ("2026-01-01 00:00", "2026-01-16 00:00")
    assert found(one, "UTC", *window) == found(other, "UTC", *window) != []


def test_an_impossible_date_has_no_slots() -> None:
    assert found("0 0 30 2 *", "UTC", "2026-02-20 00:00", "2026-03-05 00:00") == []


def test_quarter_hour_zone() -> None:
    # Kathmandu is 5:45 ahead of UTC.
    assert found("0 9 * * *", "Asia/Kathmandu", "2026-03-01 00:00", "2026-03-02 00:00") == [
        "2026-03-01 03:15"
    ]


# --- clock changes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tz", "year", "expected"),
    [
        (NEW_YORK, "2026", ["2026-03-08 07:00", "2026-11-01 06:00"]),
        (LORD_HOWE, "2026", ["2026-04-04 15:00", "2026-10-03 15:30"]),
        (BERLIN, "2026", ["2026-03-29 01:00", "2026-10-25 01:00"]),
        ("America/Santiago", "2026", ["2026-04-05 03:00", "2026-09-06 04:00"]),
        ("Asia/Kathmandu", "2026", []),
        ("UTC", "2026", []),
        ("Europe/Lisbon", "1976", ["1976-09-26"]),  # at midnight, between two of the days that are looked at
    ],
)
def test_transitions(tz: str, year: str, expected: list[str]) -> None:
    assert list(transitions(tz, ms(f"{year}-01-01"), ms(f"{year}-12-31"))) == [ms(e) for e in expected]


def test_the_window_of_transitions_is_open_at_its_start() -> None:
    gap = ms("2026-03-08 07:00")
    assert transitions(NEW_YORK, gap, gap + DAY) == ()
    assert transitions(NEW_YORK, gap - 1, gap) == (gap,)
    assert transitions(NEW_YORK, gap - DAY, gap - 1) == ()


# What lies on the day of the change, besides the ordinary slots of the days before and after.
GAPS = [
    pytest.param(
        *(NEW_YORK, "30 2 * * *", "2026-03-07 12:00", "2026-03-09 12:00"),
        {"vixie": "2026-03-08 07:00", "both": "2026-03-08 07:00", "shift": "2026-03-08 07:30"},
        ["2026-03-09 06:30"],
        id="New_York",
    ),
    pytest.param(
        *(LORD_HOWE, "15 2 * * *", "2026-10-03 00:00", "2026-10-05 00:00"),
        {"vixie": "2026-10-03 15:30", "both": "2026-10-03 15:30", "shift": "2026-10-03 15:45"},
        ["2026-10-04 15:15"],
        id="Lord_Howe",
    ),
    pytest.param(
        *(BERLIN, "59 2 * * *", "2026-03-28 12:00", "2026-03-30 12:00"),
        {"vixie": "2026-03-29 01:00", "both": "2026-03-29 01:00", "shift": "2026-03-29 01:59"},
        ["2026-03-30 00:59"],
        id="Berlin",
    ),
    pytest.param(
        *("America/Santiago", "0 0 * * *", "2026-09-05 12:00", "2026-09-07 12:00"),
        {"vixie": "2026-09-06 04:00", "both": "2026-09-06 04:00", "shift": "2026-09-06 04:00"},
        ["2026-09-07 03:00"],
        id="Santiago-at-midnight",
    ),
]
OVERLAPS = [
    pytest.param(
        *(NEW_YORK, "30 1 * * *", "2026-10-31 12:00", "2026-11-02 12:00"),
        ("2026-11-01 05:30", "2026-11-01 06:30"),
        "2026-11-02 06:30",
        id="New_York",
    ),
    pytest.param(
        *(LORD_HOWE, "45 1 * * *", "2026-04-04 00:00", "2026-04-06 00:00"),
        ("2026-04-04 14:45", "2026-04-04 15:15"),
        "2026-04-05 15:15",
        id="Lord_Howe",
    ),
    pytest.param(
        *(BERLIN, "0 2 * * *", "2026-10-24 12:00", "2026-10-26 12:00"),
        ("2026-10-25 00:00", "2026-10-25 01:00"),
        "2026-10-26 01:00",
        id="Berlin",
    ),
]


@pytest.mark.parametrize("dst", DST)
@pytest.mark.parametrize(("tz", "expr", "after", "until", "moved", "rest"), GAPS)
def test_a_daily_time_in_a_gap(
    tz: str, expr: str, after: str, until: str, moved: dict[str, str], rest: list[str], dst: str
) -> None:
    on_the_day = [moved[dst]] if dst in moved else []
    assert found(expr, tz, after, until, dst) == on_the_day + rest


@pytest.mark.parametrize("dst", DST)
@pytest.mark.parametrize(("tz", "expr", "after", "until", "twice", "next_day"), OVERLAPS)
def test_a_daily_time_in_an_overlap(
    tz: str, expr: str, after: str, until: str, twice: tuple[str, str], next_day: str, dst: str
) -> None:
    on_the_day = list(twice) if dst == "both" else [twice[0]]
    assert found(expr, tz, after, until, dst) == [*on_the_day, next_day]


@pytest.mark.parametrize(
    ("dst", "expected"),
    [("vixie", []), ("both", []), ("ocps", []), ("shift", ["2026-03-08 07:00", "2026-03-08 07:30"])],
)
def test_several_times_in_a_gap(dst: str, expected: list[str]) -> None:
    assert found("*/30 2 * * *", NEW_YORK, "2026-03-08 00:00", "2026-03-08 20:00", dst) == expected


@pytest.mark.parametrize("dst", DST)
def test_several_times_in_an_overlap(dst: str) -> None:
    first, second = ["2026-11-01 05:00", "2026-11-01 05:30"], ["2026-11-01 06:00", "2026-11-01 06:30"]
    got = found("*/30 1 * * *", NEW_YORK, "2026-11-01 00:00", "2026-11-01 20:00", dst)
    assert got == (first if dst in ("ocps", "shift") else first + second)


@pytest.mark.parametrize("dst", DST)
def test_a_window_that_starts_in_the_overlap(dst: str) -> None:
    # Between the two 01:30s: the second one counts only for policy both.
    got = found("30 1 * * *", NEW_YORK, "2026-11-01 05:30", "2026-11-01 06:30", dst)
    assert got == (["2026-11-01 06:30"] if dst == "both" else [])


def test_a_shifted_slot_counts_in_the_window_it_is_shifted_into() -> None:
    got = found("30 2 * * *", NEW_YORK, "2026-03-08 07:00", "2026-03-08 07:30", "shift")
    assert got == ["2026-03-08 07:30"]


def test_a_shifted_slot_and_an_ordinary_one_at_the_same_instant_are_one() -> None:
    got = found("30 2,3 * * *", NEW_YORK, "2026-03-08 00:00", "2026-03-08 20:00", "shift")
    assert got == ["2026-03-08 07:30"]


@pytest.mark.parametrize("minute", ["30", "30-30", "30,30", "030"])
def test_one_wall_time_is_fixed_however_it_is_spelled(minute: str) -> None:
    # The policy speaks of wall times, not of spellings.
    got = found(f"{minute} 2 * * *", NEW_YORK, "2026-03-08 00:00", "2026-03-08 20:00", "vixie")
    assert got == ["2026-03-08 07:00"]


def test_an_overlap_that_begins_with_a_day_of_utc() -> None:
    # 03:00 at Chisinau was midnight in UTC: the wall times before it are of one day, their repetitions of the next.
    window = ("Europe/Chisinau", "2019-10-26 12:00", "2019-10-27 12:00")
    assert found("30 2 * * *", *window, "vixie") == ["2019-10-26 23:30"]
    assert found("30 2 * * *", *window, "both") == ["2019-10-26 23:30", "2019-10-27 00:30"]


# --- the independent engine -----------------------------------------------------------------------------


def reference(expr: str, tz: str, after_ms: int, until_ms: int, dst: str) -> list[int]:
    schedule = parse(expr, tz, dst)
    instants: list[int] = []
    now = schedule.next(after_ms)
    while now is not None and now <= until_ms:
        instants.append(now)
        now = schedule.next(now)
    return instants


quiet = settings(deadline=None, derandomize=True, database=None, max_examples=60)


@quiet
@given(expr=cron_expressions(), tz=zones(), dst=st.sampled_from(DST), day=st.integers(0, 727))
def test_agrees_with_the_reference_engine(expr: str, tz: str, dst: str, day: int) -> None:
    after = ms("2026-01-01") + day * DAY + 61_500
    until = after + 2 * DAY
    assert cron_slots(expr, tz, after, until, dst) == reference(expr, tz, after, until, dst)


ODD_ZONES = (
    *(NEW_YORK, LORD_HOWE, BERLIN, "America/Santiago"),
    "Antarctica/Troll",  # two hours
    "Africa/Cairo",  # at midnight, on a Friday
    "Africa/Casablanca",  # backwards for Ramadan
)
CHANGES = [(tz, moment) for tz in ODD_ZONES for moment in transitions(tz, ms("2026-01-01"), ms("2026-12-31"))]
night_hours = st.one_of(st.just("*"), st.sampled_from(("0", "1", "2", "3", "0-3", "1,2", "*/2", "2-2", "23")))
night_days = st.sampled_from(("* * *", "* * *", "* * SUN", "* * 0-6", "1-7 * 5", "25 10 *", "* 3,11 *"))


@settings(quiet, max_examples=160)
@given(
    minute=cron_fields("minute"),
    hour=night_hours,
    days=night_days,
    dst=st.sampled_from(DST),
    change=st.sampled_from(CHANGES),
    lead=st.integers(0, 6 * 60),
)
def test_agrees_with_the_reference_engine_around_a_clock_change(
    minute: str, hour: str, days: str, dst: str, change: tuple[str, int], lead: int
) -> None:
    tz, moment = change
    expr = f"{minute} {hour} {days}"
    after, until = moment - lead * MINUTE, moment + 10 * HOUR
    assert cron_slots(expr, tz, after, until, dst) == reference(expr, tz, after, until, dst)


@pytest.mark.parametrize("dst", DST)
@pytest.mark.parametrize("expr", ["0 9 * * *", "*/20 23 * * *", "0 0 30 12 *"])
def test_agrees_where_a_whole_day_is_missing(expr: str, dst: str) -> None:
    # Samoa had no 30 December 2011.
    after, until = ms("2011-12-29 12:00"), ms("2011-12-31 12:00")
    assert cron_slots(expr, "Pacific/Apia", after, until, dst) == reference(
        expr, "Pacific/Apia", after, until, dst
    )


# --- intervals and one-shots ------------------------------------------------------------------------------


def test_interval_slots() -> None:
    assert interval_slots(100, 30, 100, 190) == [130, 160, 190]
    assert interval_slots(100, 30, 99, 100) == [100]
    assert interval_slots(100, 30, 0, 129) == [100]
    assert interval_slots(100, 30, 131, 159) == []


@quiet
@given(st.integers(0, 500), st.integers(1, 60), st.integers(0, 900), st.integers(0, 300))
def test_interval_slots_are_those_on_the_grid(anchor: int, period: int, after: int, width: int) -> None:
    expected = [m for m in range(after + 1, after + width + 1) if m >= anchor and (m - anchor) % period == 0]
    assert interval_slots(anchor, period, after, after + width) == expected


def test_slots_of_contract_schedules() -> None:
    shot = {"kind": "at", "atMs": 50}
    assert slots(shot, 49, 50, dst="vixie", zone="UTC") == [50]
    assert slots(shot, 50, 90, dst="vixie", zone="UTC") == []
    every = {"kind": "every", "everyMs": 20, "anchorMs": 10}
    assert slots(every, 10, 50, dst="vixie", zone="UTC") == [30, 50]
    day = (ms("2026-01-01"), ms("2026-01-02"))
    unzoned = {"kind": "cron", "expr": "0 9 * * *"}
    assert slots(unzoned, *day, dst="vixie", zone="Asia/Kathmandu") == [ms("2026-01-01 03:15")]
    assert slots(unzoned | {"tz": BERLIN}, *day, dst="vixie", zone="Asia/Kathmandu") == [
        ms("2026-01-01 08:00")
    ]
