"""Does a wall time match a cron expression? Each question is answered by looking at the calendar.

Independent of any cron engine, and slow: nothing is worked out ahead. It reads the Open Cron Pattern
Specification 1.0 with the increments 1.1 (nicknames), 1.2 (seconds, years), 1.3 (``L W #``) and 1.4 (``+ ?``),
and trusts that the expression is one: what is none is not found out here.
"""

from __future__ import annotations

import calendar
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

_NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_NAMES = {n: i for i, n in enumerate("JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split(), 1)}
_NAMES |= {n: i for i, n in enumerate("SUN MON TUE WED THU FRI SAT".split())}
_BOUNDS = {
    "second": (0, 59),
    "minute": (0, 59),
    "hour": (0, 23),
    "day": (1, 31),
    "month": (1, 12),
    "weekday": (0, 6),
    "year": (1970, 2199),
}
_DAY = timedelta(days=1)


class Expression(NamedTuple):
    """The fields of an expression, as they are written."""

    second: str
    minute: str
    hour: str
    day: str
    month: str
    weekday: str
    year: str


@lru_cache(maxsize=4096)
def read(expr: str) -> Expression:
    """Take an expression of five, six (seconds first) or seven fields (year last), or a nickname, apart."""
    texts = _NICKNAMES.get(expr.strip(), expr).split()
    if len(texts) == 5:
        texts = ["0", *texts]
    return Expression(*texts, *["*"] * (7 - len(texts)))


@lru_cache(maxsize=16_384)
def values(field: str, text: str) -> frozenset[int]:
    """The numbers that a list of values, ranges and steps stands for."""
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, last = _BOUNDS[field]
        if span not in ("*", "?"):
            a, _, b = span.partition("-")
            first = _number(a)
            # Sunday is 0 or 7: only 7 gives FRI-SUN a meaning.
            last = (7 if field == "weekday" and b.upper() == "SUN" else _number(b)) if b else first
        found.update(range(first, last + 1, int(step or 1)))
    return frozenset(v % 7 for v in found) if field == "weekday" else frozenset(found)


def _number(text: str) -> int:
    return _NAMES[text.upper()] if text.upper() in _NAMES else int(text)


def names_one_time(expr: str) -> bool:
    """Whether the expression names one wall time a day, however it is spelled."""
    e = read(expr)
    times = (("second", e.second), ("minute", e.minute), ("hour", e.hour))
    return all(len(values(field, text)) == 1 for field, text in times)


def seconds(expr: str) -> list[int]:
    """The seconds of a minute that the expression names."""
    return sorted(values("second", read(expr).second))


def minute_matches(expr: str, wall: datetime) -> bool:
    """Whether date, hour and minute of ``wall`` match."""
    e = read(expr)
    if wall.minute not in values("minute", e.minute) or wall.hour not in values("hour", e.hour):
        return False
    return date_matches(expr, wall.date())


@lru_cache(maxsize=65_536)
def date_matches(expr: str, day: date) -> bool:
    """Whether the date matches. Both day fields restricted mean either, unless a ``+`` joins them."""
    e = read(expr)
    if day.year not in values("year", e.year) or day.month not in values("month", e.month):
        return False
    weekday = e.weekday.removeprefix("+")
    by_day = any(_is_day(part, day) for part in e.day.split(","))
    by_weekday = any(_is_weekday(part, day) for part in weekday.split(","))
    if e.day in ("*", "?") or weekday in ("*", "?") or e.weekday.startswith("+"):
        return by_day and by_weekday
    return by_day or by_weekday


def _is_day(part: str, day: date) -> bool:
    length = calendar.monthrange(day.year, day.month)[1]
    if part == "L":
        return day.day == length
    if not part.endswith("W"):
        return day.day in values("day", part)
    working = [d for d in range(1, length + 1) if day.replace(day=d).isoweekday() <= 5]
    if part == "LW":
        return day.day == working[-1]
    wanted = int(part.removesuffix("W"))
    return wanted <= length and day.day == min(working, key=lambda d: abs(d - wanted))


def _is_weekday(part: str, day: date) -> bool:
    name, sharp, nth = part.partition("#")
    if not sharp and part.upper().endswith("L"):
        name, nth = part[:-1], "L"
    if day.isoweekday() % 7 not in values("weekday", name):
        return False
    if nth == "L":
        return (day + 7 * _DAY).month != day.month
    return not nth or (day.day + 6) // 7 == int(nth)
