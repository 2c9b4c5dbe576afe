"""Expressions beyond the portable core, on a gateway that says it reads them: each slot, and no other."""

from __future__ import annotations

import pytest

from ..driver import Driver, Handle, cron
from ..oracle import DAY, cron_slots
from ..requirement import requirement
from .extensions import NICKNAMES, days, seconds
from .kit import examples, for_one_example, step_through

# Friday 31 July 2026 ends its month, 1 and 2 August are a weekend; Tuesday 29 February 2028 is a leap day.
_SUMMER = pytest.mark.cronsession_start("2026-07-30T12:00:07Z")
_WINTER = pytest.mark.cronsession_start("2028-02-24T12:00:07Z")
_WEEKS = 20 * DAY
WAYS = ["add", "edit", pytest.param("restart", marks=pytest.mark.cronsession_last)]


def _runs(
    d: Driver, expr: str, within_ms: int, *, tz: str = "UTC", at_most: int = 4, way: str = "add"
) -> None:
    """The job has its slots of the next stretch of time and nothing else, added, by an edit or after a restart."""
    with for_one_example(d) as own:
        job = _with(own, expr, tz, way)
        slots = cron_slots(expr, tz, own.now, own.now + within_ms)[: own.few(at_most, 2)]
        step_through(own, job, slots, slots[-1] + 5_500 if slots else own.now + within_ms, zone=tz)
        own.retire(job.id)


def _with(d: Driver, expr: str, tz: str, way: str) -> Handle:
    if way == "add":
        return d.add(cron(expr, tz))
    d.require("job.update" if way == "edit" else "restart")
    job = d.add(cron("0 9 * * *" if way == "edit" else expr, tz))
    if way == "edit":
        d.edit(job, schedule=cron(expr, tz))
    else:
        d.restart()
    return job


def _tells_seconds(d: Driver) -> None:
    if d.hello.resolution_ms > 1000:
        d.pass_over("on so coarse a clock a second field is of no use")


@requirement("CS-SCH-034")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "expr",
    ["30 */5 * * * *", "*/20 * * * * *", "15 30 9 * * MON-FRI", "0 0 */6 * * *", "10-50/20,59 59 23 * * *"],
)
def test_the_second_comes_first(cronsession_driver: Driver, expr: str, way: str) -> None:
    _tells_seconds(cronsession_driver)
    _runs(cronsession_driver, expr, 4 * DAY, tz="Asia/Kathmandu", way=way)


@requirement("CS-SCH-034")
def test_any_seconds_of_any_minutes(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    _tells_seconds(d)
    examples(d, lambda expr: _runs(d, expr, DAY // 6, at_most=6), scale=0.25, expr=seconds())


@requirement("CS-SCH-035")
@pytest.mark.cronsession_start("2026-12-30T12:00:07Z")
@pytest.mark.parametrize("way", ["add", "edit"])
@pytest.mark.parametrize(
    "expr",
    [
        "0 0 6 * * * 2026",
        "0 30 9 * * MON-FRI 2027-2030",
        "15 0 18 * * * 2025-2030/2",
        "0 0 0 1 * * 2026,2027",
    ],
    ids=["this", "next", "odd", "turn"],
)
def test_a_year_begins_and_ends(cronsession_driver: Driver, expr: str, way: str) -> None:
    d = cronsession_driver
    job = _with(d, expr, "UTC", way)
    until = d.now + 5 * DAY
    step_through(d, job, cron_slots(expr, "UTC", d.now, until), until)


@requirement("CS-SCH-036")
@pytest.mark.cronsession_start("2026-12-31T21:30:07Z")
@pytest.mark.parametrize("way", ["add", "edit"])
@pytest.mark.parametrize("name", NICKNAMES)
def test_a_nickname_is_its_expression(cronsession_driver: Driver, name: str, way: str) -> None:
    d = cronsession_driver
    job = _with(d, name, "Europe/Berlin", way)
    # From New Year's Eve over the first Sunday of the year.
    until = d.now + (DAY // 6 if name == "@hourly" else 4 * DAY)
    slots = cron_slots(name, "Europe/Berlin", d.now, until)
    step_through(d, job, slots, until, zone="Europe/Berlin")


def _in_summer_and_winter(*picked: str) -> pytest.MarkDecorator:
    """Expressions by hand from the end of July 2026 and of February 2028 on, the first of them also in other ways."""
    cases = [
        (way, expr, season)
        for season in (_SUMMER, _WINTER)
        for way in ("add", "edit" if season is _SUMMER else "restart")
        for expr in (picked if way == "add" else picked[:1])
    ]
    return pytest.mark.parametrize(
        ("way", "expr"),
        [
            pytest.param(
                way,
                expr,
                marks=[season, *([pytest.mark.cronsession_last] if way == "restart" else [])],
                id=f"{way}-{expr.replace(' ', '_')}-{season.args[0][:4]}",
            )
            for way, expr, season in cases
        ],
    )


@requirement("CS-SCH-037")
@_in_summer_and_winter("0 0 L * *", "0 9 1,L * *", "0 6 L * MON")
def test_the_last_day_of_a_month(cronsession_driver: Driver, expr: str, way: str) -> None:
    _runs(cronsession_driver, expr, _WEEKS, tz="America/Santiago", way=way)


@requirement("CS-SCH-038")
@_in_summer_and_winter("30 9 1W * *", "0 0 15W * *", "0 9 5W 3,8 *", "0 18 12W * *")
def test_the_working_day_that_is_nearest(cronsession_driver: Driver, expr: str, way: str) -> None:
    _runs(cronsession_driver, expr, _WEEKS, tz="Asia/Kathmandu", way=way)


@requirement("CS-SCH-038")
@pytest.mark.parametrize(
    "start",
    [
        pytest.param(start, marks=pytest.mark.cronsession_start(f"{start}T12:00:07Z"))
        for start in ("2026-02-26", "2026-05-27", "2026-10-29")
    ],
)
def test_the_last_working_day(cronsession_driver: Driver, start: str) -> None:
    cronsession_driver.require("cron.lastDay")
    _runs(cronsession_driver, "0 18 LW * *", 6 * DAY)


@requirement("CS-SCH-039")
@_in_summer_and_winter("0 0 * * MON#1", "0 9 * * 5#5,2#5", "0 0 * * sun#2,WED#3", "15 8 1 * 7#3")
def test_that_weekday_of_a_month(cronsession_driver: Driver, expr: str, way: str) -> None:
    _runs(cronsession_driver, expr, _WEEKS, tz="America/Denver", way=way)


@requirement("CS-SCH-040")
@_in_summer_and_winter("0 17 * * 5L", "0 0 * * FRIL", "0 9 * 2,8 FRI#L", "0 9 15 * 0L", "0 0 * * TUE,7L")
def test_the_last_such_weekday(cronsession_driver: Driver, expr: str, way: str) -> None:
    _runs(cronsession_driver, expr, _WEEKS, tz="Europe/Berlin", way=way)


def _any_of(d: Driver, extension: str) -> None:
    """Generated expressions, each over some weeks; the clock moves on with each."""
    examples(d, lambda expr: _runs(d, expr, 33 * DAY, at_most=1), scale=0.1, expr=days(extension))


@requirement("CS-SCH-037")
def test_the_last_day_in_any_list(cronsession_driver: Driver) -> None:
    _any_of(cronsession_driver, "last-day")


@requirement("CS-SCH-038")
def test_the_working_day_nearest_to_any(cronsession_driver: Driver) -> None:
    _any_of(cronsession_driver, "nearest-weekday")


@requirement("CS-SCH-039")
def test_any_weekday_of_a_month(cronsession_driver: Driver) -> None:
    _any_of(cronsession_driver, "nth-weekday")


@requirement("CS-SCH-040")
def test_any_last_weekday(cronsession_driver: Driver) -> None:
    _any_of(cronsession_driver, "last-weekday")


# In the order of their instants: the gap of March, the overlap of November.
_GAP = pytest.mark.cronsession_start("2026-03-06T12:00:07Z")
_OVERLAP = pytest.mark.cronsession_start("2026-10-30T12:00:07Z")


def _around_the_change(d: Driver, expr: str) -> None:
    d.require("cron.second")
    until = d.now + 3 * DAY
    slots = cron_slots(expr, "America/New_York", d.now, until, d.hello.policy("dst"))
    step_through(d, d.add(cron(expr, "America/New_York")), slots, until, zone="America/New_York")


@requirement("CS-SCH-013")
@pytest.mark.cronsession_tier("full")
@pytest.mark.parametrize(
    "expr", [pytest.param("15 30 2 * * *", marks=_GAP), pytest.param("15 30 1 * * *", marks=_OVERLAP)]
)
def test_a_fixed_second_follows_the_policy(cronsession_driver: Driver, expr: str) -> None:
    _around_the_change(cronsession_driver, expr)


@requirement("CS-SCH-032")
@pytest.mark.parametrize(
    "expr", [pytest.param("0,20 30 2 * * *", marks=_GAP), pytest.param("0,20 30 1 * * *", marks=_OVERLAP)]
)
def test_two_seconds_are_several_times_a_day(cronsession_driver: Driver, expr: str) -> None:
    _around_the_change(cronsession_driver, expr)
