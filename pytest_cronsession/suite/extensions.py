"""Cron expressions beyond the portable core: for each extension some that no other reading shares a slot with."""

from __future__ import annotations

import calendar
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

NICKNAMES = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
_DAY = timedelta(days=1)


def _ahead(now_ms: int) -> date:
    """The first day of the month after next: whatever the zone, all of it is to come."""
    today = datetime.fromtimestamp(now_ms / 1000, UTC).date()
    return date(today.year + (today.month + 1) // 12, (today.month + 1) % 12 + 1, 1)


def _next(first: date, wanted: Callable[[date], bool]) -> date:
    day = first
    while not wanted(day):
        day += _DAY
    return day


def _ends(day: date) -> bool:
    return day.day == calendar.monthrange(day.year, day.month)[1]


def _years(now_ms: int) -> list[str]:
    later = _ahead(now_ms).year + 2
    return [f"0 30 9 1 3 * {later}", f"0 0 0 * * * {later}-{later + 2}", f"30 15 6 1 * * {later},{later + 3}"]


def _last_days(now_ms: int) -> list[str]:
    month = _ahead(now_ms).month
    return [f"0 0 L {month} *", "0 9 L 2 *", f"30 6 L,12-14 {month} *", f"0 0 L {month} 3"]


def _nearest_weekdays(now_ms: int) -> list[str]:
    first = _ahead(now_ms)
    saturday = _next(first + 7 * _DAY, lambda day: day.isoweekday() == 6)
    sunday = _next(first + 7 * _DAY, lambda day: day.isoweekday() == 7)
    weekend = _next(first, lambda day: day.day == 1 and day.isoweekday() == 6)
    end = _next(first, lambda day: day.isoweekday() >= 6 and _ends(day))
    month = first.month
    return [
        f"0 0 {saturday.day}W {saturday.month} *",
        f"30 9 {sunday.day}W {sunday.month} *",
        f"0 0 1W {weekend.month} *",
        f"0 0 LW {end.month} *",
        # Where both day fields are restricted either is enough.
        f"0 0 LW {month} 3",
        f"0 0 15W {month} 2",
    ]


def _nth_weekdays(now_ms: int) -> list[str]:
    month = _ahead(now_ms).month
    return [f"0 0 * {month} MON#2", f"15 8 * {month} 5#3", f"0 0 * {month} 0#4,SUN#2", f"0 0 * {month} 7#2"]


def _last_weekdays(now_ms: int) -> list[str]:
    month = _ahead(now_ms).month
    return [f"0 0 * {month} 5L", f"0 17 * {month} FRIL", f"0 0 * {month} MON#L", f"0 0 * {month} 7L"]


def _question_marks(now_ms: int) -> list[str]:
    ahead = _ahead(now_ms)
    later = datetime.fromtimestamp(now_ms / 1000, UTC) + 3 * _DAY
    return [f"0 0 ? * {later.isoweekday() % 7}", f"0 0 13 {ahead.month} ?", f"0 9 ? {ahead.month} WED"]


def _joined(now_ms: int) -> list[str]:
    month = _ahead(now_ms).month
    return [f"0 0 8-14 {month} +MON", f"0 9 15-21 {month} +3"]


EXTENSIONS: dict[str, Callable[[int], list[str]]] = {
    "year": _years,
    "nickname": lambda now_ms: list(NICKNAMES),
    "last-day": _last_days,
    "nearest-weekday": _nearest_weekdays,
    "nth-weekday": _nth_weekdays,
    "last-weekday": _last_weekdays,
    "question-mark": _question_marks,
    "and": _joined,
}
"""By the words of the vectors: from now (epoch milliseconds) to expressions whose next slot shows how they were read."""


def seconds() -> SearchStrategy[str]:
    """Six fields: seconds that are some apart, of minutes that come within the hour."""
    second = st.one_of(
        st.integers(0, 59).map(str),
        st.sampled_from(("*/10", "*/15", "*/30", "5-45/20", "59,7,33", "0,30")),
    )
    minute = st.sampled_from(("*", "*/7", "0", "29", "10-20/5", "3,41"))
    return st.builds("{} {} * * * {}".format, second, minute, st.sampled_from(("*", "0-6")))


_WEEKDAY = st.one_of(
    st.integers(0, 7).map(str), st.sampled_from(("SUN", "MON", "tue", "Wed", "THU", "FRI", "SAT"))
)
_DAYS: dict[str, SearchStrategy[str]] = {
    "last-day": st.sampled_from(("L", "L,1", "3-5,L", "*/20,L")).map("{} * *".format),
    "nearest-weekday": st.integers(1, 28).map("{}W * *".format),
    "nth-weekday": st.builds("* * {}#{}".format, _WEEKDAY, st.integers(1, 5)),
    "last-weekday": st.one_of(_WEEKDAY.map("* * {}L".format), _WEEKDAY.map("* * {}#L".format)),
}


def days(extension: str) -> SearchStrategy[str]:
    """Five fields with an extension of a day field (a word of EXTENSIONS)."""
    return st.builds("{} {}".format, st.sampled_from(("0 0", "30 9", "59 23", "15 6,18")), _DAYS[extension])
