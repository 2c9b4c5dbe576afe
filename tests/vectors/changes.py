"""Questions about changes of the clock: the same ones for each zone, around its gap and its overlap of 2026."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from pytest_cronsession.oracle import transitions

ZONES = ("America/Denver", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "America/Santiago")
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
_YEAR = (1_767_225_600_000, 1_798_761_600_000)  # 2026


class Question(NamedTuple):
    """``asked`` is an aware instant in UTC."""

    expr: str
    tz: str
    asked: datetime
    note: str = ""


class Change(NamedTuple):
    """A change at the instant ``at``: the clock goes from ``before`` to ``after``, both wall times."""

    tz: str
    at: datetime
    before: datetime
    after: datetime

    @property
    def length(self) -> timedelta:
        return abs(self.after - self.before)

    @property
    def is_gap(self) -> bool:
        return self.after > self.before


def changes() -> Iterator[Change]:
    for tz in ZONES:
        for ms in transitions(tz, *_YEAR):
            at = datetime.fromtimestamp(ms / 1000, UTC)
            wall = at.astimezone(ZoneInfo(tz)).replace(tzinfo=None)
            before = (at - MINUTE).astimezone(ZoneInfo(tz)).replace(tzinfo=None) + MINUTE
            yield Change(tz, at, before, wall)


def daily(wall: datetime, days: str = "* * *") -> str:
    return f"{wall.minute} {wall.hour} {days}"


def _hours(first: datetime, second: datetime) -> str:
    return ",".join(str(hour) for hour in sorted({first.hour, second.hour}))


def next_questions() -> Iterator[Question]:
    for change in changes():
        made = _in_a_gap(change) if change.is_gap else _in_an_overlap(change)
        yield from (Question(expr, change.tz, asked, note) for expr, asked, note in made)


def previous_questions() -> Iterator[Question]:
    for change in changes():
        made = _back_over_a_gap(change) if change.is_gap else _back_over_an_overlap(change)
        yield from (Question(expr, change.tz, asked, note) for expr, asked, note in made)


Asked = Iterator[tuple[str, datetime, str]]


def _in_a_gap(c: Change) -> Asked:
    inside, noon = c.before + c.length / 2, c.at - 12 * HOUR
    name = f"{inside:%H:%M} does not exist on {inside.day} {inside:%B}"
    yield daily(inside), noon, name
    yield daily(inside), c.at - MINUTE, f"{name}; asked a minute before the gap"
    yield daily(inside), c.at, f"{name}; asked at the end of the gap"
    yield daily(inside, "* * 0"), noon, f"{name}; asked by a job of Sundays"
    yield daily(inside, f"{inside.day} {inside.month} *"), noon, f"{name}; asked by a job of that date"
    yield daily(c.before), noon, "the first wall time of the gap"
    yield daily(c.before - MINUTE), noon, "the last wall time before the gap"
    yield daily(c.after), noon, "the first wall time after the gap"
    yield f"*/10 {inside.hour} * * *", noon, "several times an hour, in the hour of the gap"
    two = _hours(inside, inside + HOUR)
    yield f"{inside.minute} {two} * * *", c.at - MINUTE, "one of two hours has the gap"
    yield f"0 {two} * * *", c.at - MINUTE, "one of two hours begins in the gap"
    yield "0 * * * *", c.at - MINUTE, "hourly, over the gap"
    yield "*/15 * * * *", c.at - MINUTE, "every quarter of an hour, over the gap"
    yield "*/15 * * * *", c.at, "every quarter of an hour, from the end of the gap"
    yield "0 */2 * * *", c.at - MINUTE, "every other hour, over the gap"
    yield "0 20 * * *", c.at - MINUTE, "the evening of the day of the gap"


def _in_an_overlap(c: Change) -> Asked:
    inside, noon = c.after + c.length / 2, c.at - 12 * HOUR
    first, second = c.at - c.length / 2, c.at + c.length / 2
    name = f"{inside:%H:%M} occurs twice on {inside.day} {inside:%B}"
    yield daily(inside), noon, name
    yield daily(inside), first, f"{name}; asked at the first"
    yield daily(inside), c.at, f"{name}; asked between the two"
    yield daily(inside), second, f"{name}; asked at the second"
    yield daily(inside, "* * 0"), first - 12 * HOUR, f"{name}; asked by a job of Sundays"
    yield daily(inside, f"{inside.day} {inside.month} *"), first, f"{name}; asked by a job of that date"
    yield daily(c.after), c.at - MINUTE, "the first wall time of the overlap, asked before it comes again"
    yield daily(c.before), c.at, "the first wall time after the overlap, asked at the change"
    yield f"*/10 {inside.hour} * * *", c.at - MINUTE, "several times an hour, in the hour of the overlap"
    two = _hours(inside, inside + HOUR)
    yield f"{inside.minute} {two} * * *", first, "one of two hours occurs twice; asked at the first"
    yield "* * * * *", second + timedelta(seconds=15), "every minute, from the second half: never back"
    yield "0 * * * *", c.at - MINUTE, "hourly, from the last minute of the first half"
    yield "*/15 * * * *", c.at - MINUTE, "every quarter of an hour, from the last minute of the first half"
    yield "*/15 * * * *", c.at, "every quarter of an hour, from the change"
    yield "0 */2 * * *", c.at - MINUTE, "every other hour, over the overlap"
    yield "0 20 * * *", second, "the evening of the day of the overlap"


def _back_over_a_gap(c: Change) -> Asked:
    inside, noon = c.before + c.length / 2, c.at + 12 * HOUR
    name = f"{inside:%H:%M} does not exist on {inside.day} {inside:%B}"
    yield daily(inside), noon, name
    yield daily(inside), c.at, f"{name}; asked at the end of the gap"
    yield daily(c.before - MINUTE), noon, "the last wall time before the gap"
    yield "*/15 * * * *", c.at, "every quarter of an hour, from the end of the gap"
    yield "0 * * * *", c.at + MINUTE, "hourly, from the minute after the gap"
    yield f"*/10 {inside.hour} * * *", noon, "several times an hour, in the hour of the gap"


def _back_over_an_overlap(c: Change) -> Asked:
    inside, noon = c.after + c.length / 2, c.at + 12 * HOUR
    first, second = c.at - c.length / 2, c.at + c.length / 2
    name = f"{inside:%H:%M} occurs twice on {inside.day} {inside:%B}"
    yield daily(inside), noon, name
    yield daily(inside), second, f"{name}; asked at the second"
    yield daily(inside), first, f"{name}; asked at the first"
    yield "*/15 * * * *", c.at, "every quarter of an hour, from the change"
    yield "0 * * * *", second, "hourly, from the second half"
    yield f"*/10 {inside.hour} * * *", noon, "several times an hour, in the hour of the overlap"
