"""The cron evaluator: what it refuses, known facts, clock changes, agreement with counting."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from cronsession_reference.cron import DST_POLICIES, CronError, CronSchedule, parse

MINUTE_MS = 60_000
DAY_MS = 86_400_000
LAST_SECOND = "2199-12-31T23:59:59Z"


def at(text: str) -> int:
    """Milliseconds since the epoch of an ISO instant."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def iso(instant: int | None) -> str | None:
    if instant is None:
        return None
    return datetime.fromtimestamp(instant / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def runs(schedule: CronSchedule, start: int, end: int) -> list[int]:
    """Every run in [start, end), found by asking for the next one from the last."""
    found = []
    instant = schedule.next(start - 1)
    while instant is not None and instant < end:
        found.append(instant)
        instant = schedule.next(instant)
    return found


def runs_backwards(schedule: CronSchedule, start: int, end: int) -> list[int]:
    found = []
    instant = schedule.previous(end)
    while instant is not None and instant >= start:
        found.append(instant)
        instant = schedule.previous(instant)
    return found[::-1]


def local_runs(expr: str, tz: str, dst: str, date: str) -> list[str]:
    """Runs on one local date, as wall time with offset from UTC."""
    zone = ZoneInfo(tz)
    midnight = datetime.fromisoformat(date)
    midnights = midnight, midnight + timedelta(days=1)
    start, end = (round(when.replace(tzinfo=zone).timestamp()) * 1000 for when in midnights)
    found = runs(parse(expr, tz, dst), start, end)
    return [datetime.fromtimestamp(instant // 1000, zone).strftime("%H:%M%z")[:-2] for instant in found]


# Refused expressions -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expr", "field", "token"),
    [
        ("60 * * * *", "minute", "60"),
        ("-5 * * * *", "minute", "-5"),
        ("a * * * *", "minute", "a"),
        ("1, * * * *", "minute", "1,"),
        ("1,,2 * * * *", "minute", "1,,2"),
        (", * * * *", "minute", ","),
        ("50-10 * * * *", "minute", "50-10"),
        ("*/0 * * * *", "minute", "*/0"),
        ("*/61 * * * *", "minute", "*/61"),
        ("5-10/61 * * * *", "minute", "5-10/61"),
        ("0/15 * * * *", "minute", "0/15"),
        ("/30 * * * *", "minute", "/30"),
        ("*/ * * * *", "minute", "*/"),
        ("5- * * * *", "minute", "5-"),
        ("*/5/2 * * * *", "minute", "*/5/2"),
        ("*-5 * * * *", "minute", "*-5"),
        ("** * * * *", "minute", "**"),
        ("1.5 * * * *", "minute", "1.5"),
        ("? * * * *", "minute", "?"),
        ("+5 * * * *", "minute", "+5"),
        ("R * * * *", "minute", "R"),
        ("JAN * * * *", "minute", "JAN"),
        ("0 24 * * *", "hour", "24"),
        ("0 */25 * * *", "hour", "*/25"),
        ("0 22-2 * * *", "hour", "22-2"),
        ("0 0 0 * *", "day-of-month", "0"),
        ("0 0 32 * *", "day-of-month", "32"),
        ("0 0 */32 * *", "day-of-month", "*/32"),
        ("0 0 l * *", "day-of-month", "l"),
        ("0 0 L-3 * *", "day-of-month", "L"),
        ("0 0 32W * *", "day-of-month", "32"),
        ("0 0 1-15W * *", "day-of-month", "1-15W"),
        ("0 0 1,15W * *", "day-of-month", "15W"),
        ("0 0 15,LW * *", "day-of-month", "LW"),
        ("0 0 W * *", "day-of-month", "W"),
        ("0 0 ?/2 * *", "day-of-month", "?/2"),
        ("0 0 1,? * *", "day-of-month", "?"),
        ("0 0 +1 * *", "day-of-month", "+1"),
        ("0 0 1 0 *", "month", "0"),
        ("0 0 1 13 *", "month", "13"),
        ("0 0 1 */13 *", "month", "*/13"),
        ("0 0 1 JANUARY *", "month", "JANUARY"),
        ("0 0 1 NOV-FEB *", "month", "NOV-FEB"),
        ("0 0 1 ? *", "month", "?"),
        ("0 0 * * 8", "day-of-week", "8"),
        ("0 0 * * */8", "day-of-week", "*/8"),
        ("0 0 * * TUES", "day-of-week", "TUES"),
        ("0 0 * * FRI-MON", "day-of-week", "FRI-MON"),
        ("0 0 * * L", "day-of-week", "L"),
        ("0 0 * * 5l", "day-of-week", "5l"),
        ("0 0 * * 8L", "day-of-week", "8"),
        ("0 0 * * 1-5L", "day-of-week", "5L"),
        ("0 0 * * 1#0", "day-of-week", "1#0"),
        ("0 0 * * 1#6", "day-of-week", "1#6"),
        ("0 0 * * 1-3#2", "day-of-week", "1-3#2"),
        ("0 0 * * MON#", "day-of-week", "MON#"),
        ("0 0 * * +", "day-of-week", ""),
        ("0 0 * * ++1", "day-of-week", "+1"),
        ("0 0 * * 1,+2", "day-of-week", "+2"),
        ("* * * * * 2027", "day-of-week", "2027"),
        ("0 0 * * *\n", "day-of-week", "*\n"),
        ("60 * * * * *", "second", "60"),
        ("0 0 0 1 1 * 1969", "year", "1969"),
        ("0 0 0 1 1 * 2200", "year", "2200"),
        ("0 0 0 1 1 * */231", "year", "*/231"),
        ("", "expression", ""),
        (" \t ", "expression", ""),
        ("* * * *", "expression", "* * * *"),
        ("* * * * * * * *", "expression", "* * * * * * * *"),
        ("0\n0 * * *", "expression", "0\n0 * * *"),
        ("@reboot", "expression", "@reboot"),
        ("@DAILY", "expression", "@DAILY"),
        ("@every 5m", "expression", "@every 5m"),
        ("@daily *", "expression", "@daily *"),
        ("0 0 * * \u0661", "expression", "\u0661"),
        ("0\u00a00 * * *", "expression", "\u00a0"),
        ("0 0 1 JAN\ud800 *", "expression", "\ud800"),
    ],
)
def test_refused_expression_names_field_and_token(expr: str, field: str, token: str) -> None:
    with pytest.raises(CronError, match="accepted") as caught:
        parse(expr)
    assert (caught.value.field, caught.value.token) == (field, token)
    assert str(caught.value).startswith(f"{field} ")


@pytest.mark.parametrize(
    ("args", "field", "token"),
    [
        ((None,), "expression", "NoneType"),
        ((["0 0 * * *"],), "expression", "list"),
        ((b"0 0 * * *",), "expression", "bytes"),
        (("0 0 * * *", "Mars/Olympus"), "tz", "Mars/Olympus"),
        (("0 0 * * *", ""), "tz", ""),
        (("0 0 * * *", "America"), "tz", "America"),
        (("0 0 * * *", "../UTC"), "tz", "../UTC"),
        (("0 0 * * *", "UTC\0"), "tz", "UTC\0"),
        (("0 0 * * *", None), "tz", "NoneType"),
        (("0 0 * * *", "UTC", "cron"), "dst", "cron"),
        (("0 0 * * *", "UTC", {}), "dst", "dict"),
    ],
)
def test_refused_argument_names_field_and_token(args: tuple[str, ...], field: str, token: str) -> None:
    with pytest.raises(CronError, match="accepted") as caught:
        parse(*args)
    assert (caught.value.field, caught.value.token) == (field, token)


def test_long_text_is_refused_and_its_token_is_cut() -> None:
    longest = "0" * (256 - len(" 0 * * *")) + " 0 * * *"
    assert parse(longest).next(0) == DAY_MS
    with pytest.raises(CronError, match="at most 256") as caught:
        parse(longest + " ")
    assert caught.value.field == "expression"
    assert len(caught.value.token) == 40
    with pytest.raises(CronError, match="unknown time zone") as caught:
        parse("0 0 * * *", "Z" * 5000)
    assert len(caught.value.token) == 40


def test_reboot_is_refused_as_not_a_time_schedule() -> None:
    with pytest.raises(CronError, match="event, not a time schedule"):
        parse("@reboot")


def test_error_survives_pickling() -> None:
    error = CronError("minute", "60", "out of range")
    again = pickle.loads(pickle.dumps(error))
    assert (again.field, again.token, str(again)) == ("minute", "60", str(error))


# The schedule as a value ---------------------------------------------------------------------------


def test_schedule_is_a_frozen_value() -> None:
    schedule = parse(" 0 7 * * * ", "America/Denver", "ocps")
    assert (schedule.expr, schedule.tz, schedule.dst) == (" 0 7 * * * ", "America/Denver", "ocps")
    assert schedule is parse(" 0 7 * * * ", "America/Denver", "ocps")
    assert schedule != parse(" 0 7 * * * ", "America/Denver", "both")
    with pytest.raises(FrozenInstanceError):
        schedule.tz = "UTC"  # type: ignore[misc]
    schedule.next(0)
    again = pickle.loads(pickle.dumps(schedule))
    assert again == schedule
    assert again.next(0) == schedule.next(0)


def test_defaults_and_policies() -> None:
    assert parse("0 7 * * *") == parse("0 7 * * *", "UTC", "vixie")
    assert set(DST_POLICIES) == {"vixie", "ocps", "shift", "both"}
    assert all(text and "\n" not in text for text in DST_POLICIES.values())


@pytest.mark.parametrize("method", ["next", "previous"])
@pytest.mark.parametrize("instant", [1.0, "0", None, True])
def test_only_integers_are_times(method: str, instant: object) -> None:
    with pytest.raises(ValueError, match="an integer, milliseconds"):
        getattr(parse("* * * * *"), method)(instant)


@pytest.mark.parametrize("tz", ["UTC", "America/Denver", "Pacific/Kiritimati"])
def test_runs_lie_in_local_years_1970_to_2199(tz: str) -> None:
    schedule = parse("* * * * * *", tz)
    first, last = (
        round(datetime.fromisoformat(wall).replace(tzinfo=ZoneInfo(tz)).timestamp()) * 1000
        for wall in ("1970-01-01T00:00:00", "2199-12-31T23:59:59")
    )
    assert [schedule.next(-(10**30)), schedule.next(first - 1), schedule.next(last - 1)] == [
        first,
        first,
        last,
    ]
    assert [schedule.previous(10**30), schedule.previous(last + 1)] == [last, last]
    assert [schedule.next(last), schedule.next(10**30)] == [None, None]
    assert [schedule.previous(first), schedule.previous(-(10**30))] == [None, None]


def test_milliseconds_are_compared_exactly() -> None:
    schedule = parse("* * * * * *")
    assert [schedule.next(t) for t in (-1, 0, 1, 999, 1000)] == [0, 1000, 1000, 1000, 2000]
    assert [schedule.previous(t) for t in (1, 999, 1000, 1001, 2000)] == [0, 0, 0, 1000, 1000]


@pytest.mark.parametrize(
    "expr",
    [
        "0 0 30 2 *",
        "0 0 31 4,6,9,11 *",
        "0 0 31W 2,4 *",
        "0 0 1 * +MON#2",
        "0 0 0 29 2 * 2100",
        "0 0 0 29 2 * 2025-2027",
        "0 0 0 29 2 +MON 2026-2043",
    ],
)
def test_impossible_date_parses_and_never_runs(expr: str) -> None:
    schedule = parse(expr)
    assert schedule.matches_never
    assert schedule.next(0) is None
    assert schedule.previous(at(LAST_SECOND)) is None


def test_a_possible_date_that_is_always_in_a_gap_has_no_next() -> None:
    schedule = parse("0 30 2 8 3 * 2026", "America/Denver", "ocps")
    assert not schedule.matches_never
    assert schedule.next(0) is None
    assert schedule.previous(at(LAST_SECOND)) is None


# Facts ---------------------------------------------------------------------------------------------

# Origin: instants on which three engines agree (croner 11, croniter 7 and an evaluator written from OCPS).
FACTS = [
    ("0 0 * * 1#1,3#3", "UTC", "2027-12-31T23:59:30Z", "2028-01-03T00:00:00Z"),
    ("0 0 * * 1#1,3#3", "America/Denver", "2026-01-01T00:00:00Z", "2026-01-05T07:00:00Z"),
    ("0 0 * * MON#1", "UTC", "2028-02-29T00:00:00Z", "2028-03-06T00:00:00Z"),
    ("0 0 * * MON#1", "UTC", "2026-02-28T23:59:59Z", "2026-03-02T00:00:00Z"),
    ("0 0 1 * ?", "UTC", "2026-06-15T12:34:56.789Z", "2026-07-01T00:00:00Z"),
    ("0 0 1 * ?", "America/Denver", "2026-06-15T12:34:56.789Z", "2026-07-01T06:00:00Z"),
    ("0 0 1,L * *", "UTC", "2028-02-29T00:00:00Z", "2028-03-01T00:00:00Z"),
    ("0 0 1,L * *", "America/Denver", "2026-01-01T00:00:00Z", "2026-01-01T07:00:00Z"),
    ("0 0 15,L * *", "UTC", "2027-12-31T23:59:30Z", "2028-01-15T00:00:00Z"),
    ("0 0 15,L * *", "America/Denver", "2026-02-28T23:59:59Z", "2026-03-15T06:00:00Z"),
    ("0 0 31W * *", "America/Denver", "2026-01-01T00:00:00Z", "2026-01-30T07:00:00Z"),
    ("0 0 31W * *", "UTC", "2028-02-29T00:00:00Z", "2028-03-31T00:00:00Z"),
    ("0 0 ? * MON", "America/Denver", "2027-12-31T23:59:30Z", "2028-01-03T07:00:00Z"),
    ("0 0 L * 5", "America/Denver", "2027-12-31T23:59:30Z", "2028-01-07T07:00:00Z"),
    ("0 0 L * 5", "America/Denver", "2026-01-01T00:00:00Z", "2026-01-02T07:00:00Z"),
    ("*/7 * * * *", "UTC", "2026-06-15T12:34:56.789Z", "2026-06-15T12:35:00Z"),
    ("0 0 31 * *", "UTC", "2026-01-01T00:00:00Z", "2026-01-31T00:00:00Z"),
    ("* * 31 * *", "UTC", "2026-06-15T12:34:56.789Z", "2026-07-31T00:00:00Z"),
    ("5 4 * * sun", "UTC", "2028-02-29T00:00:00Z", "2028-03-05T04:05:00Z"),
    ("0 0 1,15 * 3", "America/Denver", "2027-12-31T23:59:30Z", "2028-01-01T07:00:00Z"),
    ("0 0 13 * 5", "UTC", "2027-12-31T23:59:30Z", "2028-01-07T00:00:00Z"),
    ("0 0 13 * */1", "America/Denver", "2027-12-31T23:59:30Z", "2028-01-01T07:00:00Z"),
    ("01 02 03 04 *", "America/Denver", "2028-02-29T00:00:00Z", "2028-04-03T08:01:00Z"),
    ("  0 7 * * *  ", "UTC", "2026-06-15T12:34:56.789Z", "2026-06-16T07:00:00Z"),
    ("0 9 * * MON-FRI", "America/Denver", "2026-01-01T00:00:00Z", "2026-01-01T16:00:00Z"),
    ("0,30 8-18 * 1,7 1-5", "America/Denver", "2026-02-28T23:59:59Z", "2026-07-01T14:00:00Z"),
    ("0 0 * * 7", "UTC", "2026-06-15T12:34:56.789Z", "2026-06-21T00:00:00Z"),
    ("15-20/4 * */7 3 *", "America/Denver", "2028-02-29T00:00:00Z", "2028-03-01T07:15:00Z"),
    ("*/45 * * * *", "UTC", "2026-02-28T23:59:59Z", "2026-03-01T00:00:00Z"),
    ("*,5 * * * *", "UTC", "2027-12-31T23:59:30Z", "2028-01-01T00:00:00Z"),
    ("0 0 * * *,1", "America/Denver", "2026-02-28T23:59:59Z", "2026-03-01T07:00:00Z"),
    ("0 4 8-14 * *", "America/Denver", "2028-02-29T00:00:00Z", "2028-03-08T11:00:00Z"),
    ("0 0 1-7 * 1", "UTC", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"),
    ("0 0 */2 * 1", "America/Denver", "2027-12-31T23:59:30Z", "2028-01-01T07:00:00Z"),
    ("0 0 1-7 * */2", "UTC", "2027-12-31T23:59:30Z", "2028-01-01T00:00:00Z"),
    ("0 0 29 2 1", "America/Denver", "2028-02-29T00:00:00Z", "2028-02-29T07:00:00Z"),
    ("0 */24 * * *", "America/Denver", "2026-01-01T00:00:00Z", "2026-01-01T07:00:00Z"),
    ("5,* * * * *", "America/Denver", "2026-02-28T23:59:59Z", "2026-03-01T00:00:00Z"),
    ("1-34 11-21 * * 0", "UTC", "2028-02-29T00:00:00Z", "2028-03-05T11:01:00Z"),
    ("57 */4 3-16/5 1-6 0", "America/Denver", "2026-02-28T23:59:59Z", "2026-03-01T07:57:00Z"),
    ("17-33 10 * * 4", "UTC", "2026-02-28T23:59:59Z", "2026-03-05T10:17:00Z"),
    ("56 * 18,31 * 1-2/2", "America/Denver", "2026-02-28T23:59:59Z", "2026-03-02T07:56:00Z"),
    ("39-41 * 21 9-12 1", "America/Denver", "2028-02-29T00:00:00Z", "2028-09-04T06:39:00Z"),
    ("11-22 * * 6-7/5 *", "UTC", "2026-02-28T23:59:59Z", "2026-06-01T00:11:00Z"),
    ("9-12/1 * * 2 1-5/3", "America/Denver", "2026-02-28T23:59:59Z", "2027-02-01T07:09:00Z"),
    ("14,30,34 20 5 */6 */2", "America/Denver", "2026-01-01T00:00:00Z", "2026-01-02T03:14:00Z"),
    ("55 9 * * */2", "America/Denver", "2026-01-01T00:00:00Z", "2026-01-01T16:55:00Z"),
    ("2-35 * */6 * *", "America/Denver", "2027-12-31T23:59:30Z", "2028-01-01T00:02:00Z"),
    ("* 16 23 12 1,2,6", "America/Denver", "2027-12-31T23:59:30Z", "2028-12-02T23:00:00Z"),
    ("* 16 15-26 * */2", "America/Denver", "2026-01-01T00:00:00Z", "2026-01-01T23:00:00Z"),
    ("44 9 * 11 1-4/5", "UTC", "2026-06-15T12:34:56.789Z", "2026-11-02T09:44:00Z"),
    ("14-33 * 28 6,11 6", "UTC", "2026-02-28T23:59:59Z", "2026-06-06T00:14:00Z"),
    ("12 9,14,16 * 7 *", "UTC", "2026-02-28T23:59:59Z", "2026-07-01T09:12:00Z"),
    ("23 * 5-12 * */2", "UTC", "2026-02-28T23:59:59Z", "2026-03-01T00:23:00Z"),
    ("21-47 */15 */6 2 0-6/4", "America/Denver", "2026-02-28T23:59:59Z", "2027-02-01T07:21:00Z"),
    ("42 17-20 18-22 2,9,12 *", "UTC", "2028-02-29T00:00:00Z", "2028-09-18T17:42:00Z"),
    ("57 13-16 */3 11 0", "America/Denver", "2027-12-31T23:59:30Z", "2028-11-01T19:57:00Z"),
    ("* * 8 * *", "America/Denver", "2028-02-29T00:00:00Z", "2028-03-08T07:00:00Z"),
    ("0-59/1 * * * *", "UTC", "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"),
    ("*/2 0 1,9,27 3,7 *", "America/Denver", "2026-02-28T23:59:59Z", "2026-03-01T07:00:00Z"),
    ("* */7 * */7 4", "America/Denver", "2028-02-29T00:00:00Z", "2028-08-03T06:00:00Z"),
    ("* * 30 * */2", "UTC", "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"),
]


@pytest.mark.parametrize(("expr", "tz", "after", "expected"), FACTS)
def test_three_engines_agree(expr: str, tz: str, after: str, expected: str) -> None:
    assert iso(parse(expr, tz).next(at(after))) == expected


# Origin: the calendar of 2026 and 2028, worked out by hand from the OCPS sections named.
@pytest.mark.parametrize(
    ("expr", "after", "expected"),
    [
        # OCPS 1.1 section 4.1, nicknames
        ("@yearly", "2026-03-04T05:06:07Z", ["2027-01-01T00:00:00Z"]),
        ("@annually", "2026-03-04T05:06:07Z", ["2027-01-01T00:00:00Z"]),
        ("@monthly", "2026-03-04T05:06:07Z", ["2026-04-01T00:00:00Z"]),
        ("@weekly", "2026-03-04T05:06:07Z", ["2026-03-08T00:00:00Z"]),
        ("\t@daily ", "2026-03-04T05:06:07Z", ["2026-03-05T00:00:00Z"]),
        ("@midnight", "2026-03-04T05:06:07Z", ["2026-03-05T00:00:00Z"]),
        ("@hourly", "2026-03-04T05:06:07Z", ["2026-03-04T06:00:00Z"]),
        # OCPS 1.2 section 4, seconds and years
        ("5-55/25 * * * * *", "2026-03-04T05:06:30Z", ["2026-03-04T05:06:55Z", "2026-03-04T05:07:05Z"]),
        (
            "0 0 12 1 1 * 2030-2031",
            "2026-03-04T00:00:00Z",
            ["2030-01-01T12:00:00Z", "2031-01-01T12:00:00Z", None],
        ),
        ("0 0 0 1 1 * */2", "2026-03-04T00:00:00Z", ["2028-01-01T00:00:00Z", "2030-01-01T00:00:00Z"]),
        (
            "0 0 0 1 1 * 1971-2199/2",
            "2196-03-04T00:00:00Z",
            ["2197-01-01T00:00:00Z", "2199-01-01T00:00:00Z", None],
        ),
        # OCPS 1.3 section 4.1, last day and last weekday
        (
            "0 0 L 2 *",
            "2026-01-01T00:00:00Z",
            ["2026-02-28T00:00:00Z", "2027-02-28T00:00:00Z", "2028-02-29T00:00:00Z"],
        ),
        ("0 0 * * 5L", "2026-01-01T00:00:00Z", ["2026-01-30T00:00:00Z", "2026-02-27T00:00:00Z"]),
        ("0 0 * * FRI#L", "2026-01-01T00:00:00Z", ["2026-01-30T00:00:00Z", "2026-02-27T00:00:00Z"]),
        ("0 0 * * SAT#L", "2026-02-01T00:00:00Z", ["2026-02-28T00:00:00Z", "2026-03-28T00:00:00Z"]),
        ("0 0 * * friL", "2026-01-01T00:00:00Z", ["2026-01-30T00:00:00Z", "2026-02-27T00:00:00Z"]),
        ("0 0 * * 7#L,5#L", "2026-01-20T00:00:00Z", ["2026-01-25T00:00:00Z", "2026-01-30T00:00:00Z"]),
        # OCPS 1.3 section 4.2, nth weekday
        ("0 0 * * 7#2", "2026-01-01T00:00:00Z", ["2026-01-11T00:00:00Z", "2026-02-08T00:00:00Z"]),
        ("0 0 * * FRI#5", "2026-01-31T00:00:00Z", ["2026-05-29T00:00:00Z", "2026-07-31T00:00:00Z"]),
        ("0 0 * * MON#1,WED", "2026-01-01T00:00:00Z", ["2026-01-05T00:00:00Z", "2026-01-07T00:00:00Z"]),
        # OCPS 1.3 section 4.3, nearest weekday: 2026-08-01 and 15 are Saturdays, 02-15 and 05-31 Sundays
        ("0 0 15W 2,8 *", "2026-01-01T00:00:00Z", ["2026-02-16T00:00:00Z", "2026-08-14T00:00:00Z"]),
        ("0 0 1W 7,8 *", "2026-01-01T00:00:00Z", ["2026-07-01T00:00:00Z", "2026-08-03T00:00:00Z"]),
        ("0 0 31W 4,5,7 *", "2026-01-01T00:00:00Z", ["2026-05-29T00:00:00Z", "2026-07-31T00:00:00Z"]),
        ("0 0 LW 2,5 *", "2026-01-01T00:00:00Z", ["2026-02-27T00:00:00Z", "2026-05-29T00:00:00Z"]),
        # OCPS 1.4 section 4.1, AND on request; section 4.2, ? is *
        ("0 0 29 2 +MON", "2026-01-01T00:00:00Z", ["2044-02-29T00:00:00Z", "2072-02-29T00:00:00Z"]),
        ("0 0 1-7 * +1", "2026-01-08T00:00:00Z", ["2026-02-02T00:00:00Z", "2026-03-02T00:00:00Z"]),
        ("0 0 1 * +*", "2026-01-08T00:00:00Z", ["2026-02-01T00:00:00Z"]),
        ("0 0 ? * +?", "2026-01-08T00:00:00Z", ["2026-01-09T00:00:00Z"]),
        # OCPS 1.0 section 6.1: */2 is restricted, so the day fields are alternatives
        ("0 0 */2 * MON", "2026-01-10T00:00:00Z", ["2026-01-11T00:00:00Z", "2026-01-12T00:00:00Z"]),
        # OCPS 1.0 section 4.2: SUN is 0 or 7
        (
            "0 0 * * FRI-SUN",
            "2026-01-08T00:00:00Z",
            ["2026-01-09T00:00:00Z", "2026-01-10T00:00:00Z", "2026-01-11T00:00:00Z"],
        ),
        (
            "0 0 * * sun-Mon",
            "2026-01-08T00:00:00Z",
            ["2026-01-11T00:00:00Z", "2026-01-12T00:00:00Z", "2026-01-18T00:00:00Z"],
        ),
        # 2100 is no leap year
        ("0 0 29 2 *", "2096-03-01T00:00:00Z", ["2104-02-29T00:00:00Z"]),
    ],
)
def test_calendar_rules(expr: str, after: str, expected: list[str | None]) -> None:
    schedule = parse(expr)
    instant: int | None = at(after)
    for wanted in expected:
        assert instant is not None
        instant = schedule.next(instant)
        assert iso(instant) == wanted


# Clock changes -------------------------------------------------------------------------------------

DENVER_SPRING = ("America/Denver", "2026-03-08")  # 02:00 -> 03:00
DENVER_AUTUMN = ("America/Denver", "2026-11-01")  # 02:00 -> 01:00
BERLIN_SPRING = ("Europe/Berlin", "2026-03-29")  # 02:00 -> 03:00
BERLIN_AUTUMN = ("Europe/Berlin", "2026-10-25")  # 03:00 -> 02:00
LORD_HOWE_SPRING = ("Australia/Lord_Howe", "2026-10-04")  # 02:00 -> 02:30
LORD_HOWE_AUTUMN = ("Australia/Lord_Howe", "2026-04-05")  # 02:00 -> 01:30
SANTIAGO_SPRING = ("America/Santiago", "2026-09-06")  # 00:00 -> 01:00
SANTIAGO_AUTUMN = ("America/Santiago", "2026-04-04")  # 24:00 -> 23:00
CAIRO_SPRING = ("Africa/Cairo", "2026-04-24")  # 00:00 -> 01:00
CAIRO_AUTUMN = ("Africa/Cairo", "2026-10-29")  # 24:00 -> 23:00


@pytest.mark.parametrize(
    ("expr", "change", "vixie", "ocps", "shift", "both"),
    [
        ("30 2 * * *", DENVER_SPRING, "03:00-06", "", "03:30-06", "03:00-06"),
        ("15 30 2 * * *", DENVER_SPRING, "03:00-06", "", "03:30-06", "03:00-06"),
        ("0,30 30 2 * * *", DENVER_SPRING, "", "", "03:30-06 03:30-06", ""),
        ("*/30 2 * * *", DENVER_SPRING, "", "", "03:00-06 03:30-06", ""),
        ("0 */2 * * *", DENVER_SPRING, "0,4,6,8", "0,4,6,8", "0,3,4,6,8", "0,4,6,8"),
        ("15 2,3 * * *", DENVER_SPRING, "03:15-06", "03:15-06", "03:15-06", "03:15-06"),
        ("30 1 * * *", DENVER_AUTUMN, "01:30-06", "01:30-06", "01:30-06", "01:30-06 01:30-07"),
        ("15 1,2 * * *", DENVER_AUTUMN, "01:15-06 01:15-07 02:15-07", "01:15-06 02:15-07",
         "01:15-06 02:15-07", "01:15-06 01:15-07 02:15-07"),
        ("30 0-2 * * *", DENVER_AUTUMN, "00:30-06 01:30-06 01:30-07 02:30-07", "00:30-06 01:30-06 02:30-07",
         "00:30-06 01:30-06 02:30-07", "00:30-06 01:30-06 01:30-07 02:30-07"),
        ("0 2 * * *", BERLIN_SPRING, "03:00+02", "", "03:00+02", "03:00+02"),
        ("59 2 * * *", BERLIN_SPRING, "03:00+02", "", "03:59+02", "03:00+02"),
        ("0 3 * * *", BERLIN_SPRING, "03:00+02", "03:00+02", "03:00+02", "03:00+02"),
        ("15 2 * * *", BERLIN_AUTUMN, "02:15+02", "02:15+02", "02:15+02", "02:15+02 02:15+01"),
        ("10,50 2 * * *", BERLIN_AUTUMN, "02:10+02 02:50+02 02:10+01 02:50+01", "02:10+02 02:50+02",
         "02:10+02 02:50+02", "02:10+02 02:50+02 02:10+01 02:50+01"),
        ("15 2 * * *", LORD_HOWE_SPRING, "02:30+11", "", "02:45+11", "02:30+11"),
        ("*/15 2 * * *", LORD_HOWE_SPRING, "02:30+11 02:45+11", "02:30+11 02:45+11", "02:30+11 02:45+11",
         "02:30+11 02:45+11"),
        ("45 1 * * *", LORD_HOWE_AUTUMN, "01:45+11", "01:45+11", "01:45+11", "01:45+11 01:45+10"),
        ("*/20 1 * * *", LORD_HOWE_AUTUMN,
         "01:00+11 01:20+11 01:40+11 01:40+10", "01:00+11 01:20+11 01:40+11",
         "01:00+11 01:20+11 01:40+11", "01:00+11 01:20+11 01:40+11 01:40+10"),
        ("30 0 * * *", SANTIAGO_SPRING, "01:00-03", "", "01:30-03", "01:00-03"),
        ("@daily", SANTIAGO_SPRING, "01:00-03", "", "01:00-03", "01:00-03"),
        ("30 0,1 * * *", SANTIAGO_SPRING, "01:30-03", "01:30-03", "01:30-03", "01:30-03"),
        ("30 23 * * *", SANTIAGO_AUTUMN, "23:30-03", "23:30-03", "23:30-03", "23:30-03 23:30-04"),
        ("0 22,23 * * *", SANTIAGO_AUTUMN,
         "22:00-03 23:00-03 23:00-04", "22:00-03 23:00-03", "22:00-03 23:00-03",
         "22:00-03 23:00-03 23:00-04"),
        ("20 0 * * *", CAIRO_SPRING, "01:00+03", "", "01:20+03", "01:00+03"),
        ("20 23 * * *", CAIRO_AUTUMN, "23:20+03", "23:20+03", "23:20+03", "23:20+03 23:20+02"),
    ],
)  # fmt: skip
def test_clock_change(
    expr: str, change: tuple[str, str], vixie: str, ocps: str, shift: str, both: str
) -> None:
    for dst, expected in {"vixie": vixie, "ocps": ocps, "shift": shift, "both": both}.items():
        found = local_runs(expr, change[0], dst, change[1])
        if "," in expected:  # whole hours of the morning
            hours = [str(int(wall[:2])) for wall in found if int(wall[:2]) < 10]
            assert hours == expected.split(","), dst
        else:
            assert found == expected.split(), dst


def test_hourly_job_runs_through_every_hour_of_an_overlap_or_only_the_first() -> None:
    night = at("2026-11-01T05:30:00Z"), at("2026-11-01T11:30:00Z")
    found = {dst: len(runs(parse("@hourly", "America/Denver", dst), *night)) for dst in DST_POLICIES}
    assert found == {"vixie": 6, "ocps": 5, "shift": 5, "both": 6}


def test_asked_from_the_second_half_of_an_overlap() -> None:
    asked = at("2026-11-01T08:10:00Z")  # 01:10 in Denver, for the second time
    found = {dst: iso(parse("*/15 * * * *", "America/Denver", dst).next(asked)) for dst in DST_POLICIES}
    assert found["vixie"] == found["both"] == "2026-11-01T08:15:00Z"
    assert found["ocps"] == found["shift"] == "2026-11-01T09:00:00Z"


@pytest.mark.parametrize(
    ("dst", "expected"),
    [
        ("vixie", ["2011-12-29T09:00-10", "2011-12-31T00:00+14", "2011-12-31T09:00+14"]),
        ("ocps", ["2011-12-29T09:00-10", "2011-12-31T09:00+14"]),
        ("shift", ["2011-12-29T09:00-10", "2011-12-31T09:00+14"]),
        ("both", ["2011-12-29T09:00-10", "2011-12-31T00:00+14", "2011-12-31T09:00+14"]),
    ],
)
def test_a_date_that_does_not_exist(dst: str, expected: list[str]) -> None:
    zone = ZoneInfo("Pacific/Apia")  # went from the 29th to the 31st
    schedule = parse("0 9 * * *", "Pacific/Apia", dst)
    found = runs(schedule, at("2011-12-29T00:00:00-10:00"), at("2012-01-01T00:00+14:00"))
    walls = [datetime.fromtimestamp(instant // 1000, zone) for instant in found]
    assert [wall.strftime("%Y-%m-%dT%H:%M%z")[:-2] for wall in walls] == expected


def test_a_gap_up_to_midnight_shifts_into_the_next_date() -> None:
    # Pyongyang, 2018-05-04 23:30 -> 24:00: 23:40 becomes 00:10, later than the next date's own 00:00.
    schedule = parse("0,40 0,23 * * *", "Asia/Pyongyang", "shift")
    expected = [
        "2018-05-04T14:30:00Z",
        "2018-05-04T15:00:00Z",
        "2018-05-04T15:10:00Z",
        "2018-05-04T15:40:00Z",
    ]
    night = at(expected[0]), at(expected[-1]) + 1
    assert [iso(run) for run in runs(schedule, *night)] == expected
    assert [iso(run) for run in runs_backwards(schedule, *night)] == expected


def test_an_overlap_over_midnight_mixes_two_dates() -> None:
    # St. John's, 2006-10-29 00:01 -> 2006-10-28 23:01: both midnights come before the second 23:30.
    schedule = parse("0,30 0,23 * * *", "America/St_Johns", "both")
    night = at("2006-10-29T01:00:00Z"), at("2006-10-29T05:00:00Z")
    expected = ["01:30", "02:00", "02:30", "03:00", "03:30", "04:00"]
    assert [str(iso(run))[11:16] for run in runs(schedule, *night)] == expected
    assert [str(iso(run))[11:16] for run in runs_backwards(schedule, *night)] == expected


# Agreement with a brute-force search ---------------------------------------------------------------


class Pattern(NamedTuple):
    """A generated field and, worked out apart from the parser, what it means."""

    text: str
    values: frozenset[int]


NAMES = {
    12: ("", *"JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split()),
    7: tuple("SUN MON TUE WED THU FRI SAT 7".split()),
}
"""By the highest value of the field: what its numbers may be called."""


def spelled(number: int, high: int, how: int) -> str:
    """A number, or one time in three its name, in capitals or not."""
    name = NAMES[high][number] if high in NAMES else str(number)
    return (str(number), name, name.lower(), str(number))[how]


def restricted(low: int, high: int, *, stars: bool = False) -> st.SearchStrategy[Pattern]:
    numbers = st.integers(low, high)
    bounds = st.tuples(numbers, numbers).map(lambda pair: (min(pair), max(pair)))
    steps = st.integers(1, min(high, 30))
    ways = st.integers(0, 3)

    def stepped(bound: tuple[int, int], step: int) -> Pattern:
        return Pattern(f"{bound[0]}-{bound[1]}/{step}", frozenset(range(bound[0], bound[1] + 1, step)))

    def ranged(bound: tuple[int, int], how: int) -> Pattern:
        return Pattern(f"{spelled(bound[0], high, how)}-{bound[1]}", stepped(bound, 1).values)

    parts = st.one_of(
        st.builds(
            lambda number, how: Pattern(spelled(number, high, how), frozenset({number})), numbers, ways
        ),
        st.builds(ranged, bounds, ways),
        st.builds(stepped, bounds, steps),
    )
    in_lists = st.one_of(parts, parts, parts, star(low, high)) if stars else parts
    lists = st.lists(in_lists, min_size=2, max_size=3).map(
        lambda chosen: Pattern(
            ",".join(part.text for part in chosen), frozenset().union(*(part.values for part in chosen))
        )
    )
    return st.one_of(parts, lists)


def star(low: int, high: int) -> st.SearchStrategy[Pattern]:
    return st.just(Pattern("*", frozenset(range(low, high + 1))))


def patterns(low: int, high: int) -> st.SearchStrategy[Pattern]:
    stepped_stars = st.integers(1, high).map(
        lambda step: Pattern(f"*/{step}", frozenset(range(low, high + 1, step)))
    )
    return st.one_of(star(low, high), stepped_stars, restricted(low, high, stars=True))


class Expression(NamedTuple):
    minute: Pattern
    hour: Pattern
    day: Pattern
    month: Pattern
    weekday: Pattern

    @property
    def text(self) -> str:
        return " ".join(field.text for field in self)

    @property
    def fixed(self) -> bool:
        return len(self.minute.values) == len(self.hour.values) == 1

    def matches(self, wall: datetime) -> bool:
        if wall.minute not in self.minute.values or wall.hour not in self.hour.values:
            return False
        on_day = wall.day in self.day.values
        on_weekday = not self.weekday.values.isdisjoint({wall.isoweekday(), wall.isoweekday() % 7})
        either = self.day.text != "*" and self.weekday.text != "*"
        return wall.month in self.month.values and (on_day or on_weekday if either else on_day and on_weekday)


EXPRESSIONS = st.builds(
    Expression, patterns(0, 59), patterns(0, 23), patterns(1, 31), patterns(1, 12), patterns(0, 7)
)
# Night hours, few minutes and open dates: most of these run near the clock change that is looked at.
NIGHT_EXPRESSIONS = st.builds(
    Expression,
    patterns(0, 59),
    st.one_of(restricted(0, 4), patterns(0, 23), restricted(22, 23)),
    st.one_of(star(1, 31), patterns(1, 31)),
    star(1, 12),
    st.one_of(star(0, 7), patterns(0, 7)),
)
NEAR_CHANGES = [
    ("America/Denver", "2026-03-08T09:00:00Z"),
    ("America/Denver", "2026-11-01T08:00:00Z"),
    ("Europe/Berlin", "2026-03-29T01:00:00Z"),
    ("Europe/Berlin", "2026-10-25T01:00:00Z"),
    ("Australia/Lord_Howe", "2026-04-04T15:00:00Z"),
    ("Australia/Lord_Howe", "2026-10-03T15:30:00Z"),
    ("America/Santiago", "2026-04-05T03:00:00Z"),
    ("America/Santiago", "2026-09-06T04:00:00Z"),
    ("Africa/Cairo", "2026-04-23T22:00:00Z"),
    ("Africa/Cairo", "2026-10-29T21:00:00Z"),
    ("America/St_Johns", "2006-04-02T03:31:00Z"),
    ("America/St_Johns", "2006-10-29T02:31:00Z"),
    ("America/Nuuk", "2026-03-29T01:00:00Z"),
    ("Asia/Pyongyang", "2018-05-04T15:00:00Z"),
    ("Antarctica/Casey", "2018-03-10T17:00:00Z"),
    ("Pacific/Apia", "2011-12-30T10:00:00Z"),
    ("Asia/Kathmandu", "1985-12-31T18:30:00Z"),
    ("Asia/Kolkata", "2026-03-08T09:00:00Z"),
    ("UTC", "2026-11-01T08:00:00Z"),
]
QUICK = settings(
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
)


class Tick(NamedTuple):
    """One real minute: what the clock on the wall shows, and which wall times it skipped to get there."""

    instant: int
    wall: datetime
    again: bool
    skipped: tuple[datetime, ...]
    delayed: datetime | None  # what it would show had the last clock change not skipped anything


@cache
def ticks(tz: str, start: int, end: int) -> tuple[Tick, ...]:
    zone, found, minute = ZoneInfo(tz), [], timedelta(minutes=1)
    gap, gap_until = timedelta(0), start
    before = datetime.fromtimestamp(start // 1000 - 60, zone).replace(tzinfo=None)
    for instant in range(start, end, MINUTE_MS):
        local = datetime.fromtimestamp(instant // 1000, zone)
        wall = local.replace(tzinfo=None, fold=0)
        jump = wall - before.replace(fold=0) - minute
        skipped = tuple(before + minute * n for n in range(1, jump // minute + 1))
        if skipped:
            gap, gap_until = jump, instant + jump // timedelta(milliseconds=1)
        delayed = wall - gap if instant < gap_until else None
        found.append(Tick(instant, wall, bool(local.fold), skipped, delayed))
        before = wall
    return tuple(found)


def runs_here(expression: Expression, dst: str, tick: Tick) -> bool:
    matched = expression.matches(tick.wall)
    first = matched and not tick.again
    late = any(expression.matches(wall) for wall in tick.skipped)
    if dst == "ocps":
        return first
    if dst == "shift":
        return first or (tick.delayed is not None and expression.matches(tick.delayed))
    if not expression.fixed:
        return matched
    return late or (first if dst == "vixie" else matched)


@QUICK
@given(NIGHT_EXPRESSIONS, st.sampled_from(NEAR_CHANGES), st.sampled_from(sorted(DST_POLICIES)))
def test_same_runs_as_minute_by_minute(expression: Expression, near: tuple[str, str], dst: str) -> None:
    tz, change = near
    start, end = at(change) - 30 * 60 * MINUTE_MS, at(change) + 30 * 60 * MINUTE_MS
    expected = [tick.instant for tick in ticks(tz, start, end) if runs_here(expression, dst, tick)]
    schedule = parse(expression.text, tz, dst)
    assert runs(schedule, start, end) == expected
    assert runs_backwards(schedule, start, end) == expected


@QUICK
@given(
    EXPRESSIONS,
    st.sampled_from(NEAR_CHANGES),
    st.sampled_from(sorted(DST_POLICIES)),
    st.integers(-3 * DAY_MS, 3 * DAY_MS),
)
def test_next_is_later_and_previous_is_its_mirror(
    expression: Expression, near: tuple[str, str], dst: str, shift: int
) -> None:
    schedule = parse(expression.text, near[0], dst)
    asked = at(near[1]) + shift
    following = schedule.next(asked)
    if following is None:
        assert schedule.matches_never
        return
    assert following > asked
    assert following % 1000 == 0
    assert schedule.previous(following + 1) == following
    assert schedule.next(following - 1) == following
    earlier = schedule.previous(following)
    assert earlier is None or earlier <= asked


@QUICK
@given(st.lists(st.integers(0, 59), min_size=1, max_size=4), st.sampled_from(NEAR_CHANGES))
def test_seconds_field_around_clock_changes(seconds: list[int], near: tuple[str, str]) -> None:
    schedule = parse(f"{','.join(map(str, seconds))} * * * * *", near[0], "both")
    middle = at(near[1])
    expected = [
        minute + second * 1000
        for minute in range(middle - 20 * MINUTE_MS, middle + 20 * MINUTE_MS, MINUTE_MS)
        for second in sorted(set(seconds))
    ]
    assert runs(schedule, middle - 20 * MINUTE_MS, middle + 20 * MINUTE_MS) == expected


@settings(QUICK, max_examples=500)
@given(st.text(alphabet="0123456789*/,-?L W#+@MONJAN\t", max_size=24))
def test_any_text_parses_or_raises_a_cron_error(text: str) -> None:
    try:
        schedule = parse(text)
    except CronError as caught:
        error = caught
    else:
        assert (schedule.next(0) is None) == schedule.matches_never
        return
    assert "accepted" in str(error)
    assert len(error.token) <= 40
