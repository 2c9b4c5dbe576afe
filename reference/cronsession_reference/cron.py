"""When does a cron expression run next, or when did it last? Pure functions of integers.

Syntax and calendar follow the Open Cron Pattern Specification (OCPS) 1.0 with the increments 1.1 to 1.4. What
happens around a clock change is a named policy: gateways differ, and OCPS 1.4 section 4.3.1 only recommends.

A schedule names wall times. The wall times of one local date fall into stretches that map to UTC with one
offset each, so finding a run is: pick the date, pick the stretch, pick the time of day.
"""

from __future__ import annotations

import calendar
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property, lru_cache, partial
from itertools import pairwise, product
from types import MappingProxyType
from typing import NamedTuple
from zoneinfo import ZoneInfo

from .cron_fields import FIRST_YEAR, LAST_YEAR, CronError, CronFields, parse_fields

__all__ = ["DST_POLICIES", "CronError", "CronSchedule", "parse"]

DST_POLICIES: Mapping[str, str] = MappingProxyType(
    {
        "vixie": "fixed time of day: after a gap, once in an overlap; others: skip a gap, run in both halves",
        "ocps": "skip the gap; in an overlap only the first occurrence",
        "shift": "move a time in the gap later by the gap's length; in an overlap only the first occurrence",
        "both": "fixed time of day: after a gap; others: skip a gap; all: run in both halves of an overlap",
    }
)

_DAY_S = 86_400
_EPOCH = datetime(1970, 1, 1)
_EPOCH_UTC = _EPOCH.replace(tzinfo=UTC)
_EPOCH_DAY = _EPOCH.toordinal()
_FIRST_DAY = date(FIRST_YEAR, 1, 1).toordinal()
_LAST_DAY = date(LAST_YEAR, 12, 31).toordinal()
# Two days of slack hold every zone's local years; beyond them datetime arithmetic could overflow.
_EARLIEST_S = (_FIRST_DAY - 2 - _EPOCH_DAY) * _DAY_S
_LATEST_S = (_LAST_DAY + 3 - _EPOCH_DAY) * _DAY_S
# No zone has had a clock change of less than 15 minutes since 1970, so a scan in such steps misses none.
_SCAN_S = 900


class _Rule(NamedTuple):
    gap: str  # "skip", "end" or "shift"
    overlap: str  # "first" or "both"


# Per policy: the rule for a schedule with one fixed time a day, and the rule for all others.
_RULES: Mapping[str, tuple[_Rule, _Rule]] = {
    "vixie": (_Rule("end", "first"), _Rule("skip", "both")),
    "ocps": (_Rule("skip", "first"), _Rule("skip", "first")),
    "shift": (_Rule("shift", "first"), _Rule("shift", "first")),
    "both": (_Rule("end", "both"), _Rule("skip", "both")),
}


class _Stretch(NamedTuple):
    """Seconds of a local day, `start` up to but without `end`, that are `offset` seconds ahead of UTC.

    With `collapse` set they do not exist on the clock, and all run at that instant (seconds since the epoch).
    """

    start: int
    end: int
    offset: int
    collapse: int | None = None


class _Day(NamedTuple):
    midnight: int  # local midnight, in seconds as if the zone were UTC
    stretches: tuple[_Stretch, ...]
    plain: bool  # no clock change touches the day: its runs lie strictly between those of its neighbours


@dataclass(frozen=True)
class _TimesOfDay:
    hours: tuple[int, ...]
    minutes: tuple[int, ...]
    seconds: tuple[int, ...]

    @property
    def fixed(self) -> bool:
        return len(self.hours) == len(self.minutes) == len(self.seconds) == 1

    def at_or_after(self, second_of_day: int) -> int | None:
        minutes, second = divmod(second_of_day, 60)
        hour, minute = divmod(minutes, 60)
        at_hour = bisect_left(self.hours, hour)
        if at_hour < len(self.hours) and self.hours[at_hour] == hour:
            at_minute = bisect_left(self.minutes, minute)
            if at_minute < len(self.minutes) and self.minutes[at_minute] == minute:
                at_second = bisect_left(self.seconds, second)
                if at_second < len(self.seconds):
                    return hour * 3600 + minute * 60 + self.seconds[at_second]
                at_minute += 1
            if at_minute < len(self.minutes):
                return hour * 3600 + self.minutes[at_minute] * 60 + self.seconds[0]
            at_hour += 1
        if at_hour < len(self.hours):
            return self.hours[at_hour] * 3600 + self.minutes[0] * 60 + self.seconds[0]
        return None

    def at_or_before(self, second_of_day: int) -> int | None:
        found = self._mirrored.at_or_after(_DAY_S - 1 - second_of_day)
        return None if found is None else _DAY_S - 1 - found

    @cached_property
    def _mirrored(self) -> _TimesOfDay:
        """The same times on a clock that runs from 23:59:59 down to 00:00:00."""
        return _TimesOfDay(
            tuple(23 - hour for hour in reversed(self.hours)),
            tuple(59 - minute for minute in reversed(self.minutes)),
            tuple(59 - second for second in reversed(self.seconds)),
        )


@dataclass(frozen=True)
class CronSchedule:
    """A parsed expression in a time zone, under a clock-change policy. Made by `parse`."""

    expr: str
    tz: str
    dst: str
    _fields: CronFields = field(repr=False, compare=False)
    _zone: ZoneInfo = field(repr=False, compare=False)

    def next(self, after_ms: int) -> int | None:
        """The first run strictly after `after_ms`: milliseconds since the epoch, a run on a whole second.

        Runs lie in the local years 1970 to 2199 (OCPS 1.2 section 4.2): an earlier `after_ms` gives the first
        run there, and None means that no run is left. Raises ValueError if `after_ms` is not an integer.
        """
        after_s = _milliseconds(after_ms) // 1000
        if after_s >= _LATEST_S or self.matches_never:
            return None
        after_s = max(after_s, _EARLIEST_S)
        # Yesterday too: its wall times can come late, when the clock goes back over midnight or skips a day.
        for day in self._days_up(_local_day(self._zone, after_s) - 1):
            found = self._first_on(day, after_s)
            if found is None:
                continue
            rival = None if self._on(day).plain else self._first_on(day + 1, after_s)
            return min(found, found if rival is None else rival) * 1000
        return None

    def previous(self, before_ms: int) -> int | None:
        """The last run strictly before `before_ms`: the mirror of `next`, same units, range and errors."""
        before_s = -(-_milliseconds(before_ms) // 1000)
        if before_s <= _EARLIEST_S or self.matches_never:
            return None
        before_s = min(before_s, _LATEST_S)
        for day in self._days_down(_local_day(self._zone, before_s) + 1):
            found = self._last_on(day, before_s)
            if found is None:
                continue
            rival = None if self._on(day).plain else self._last_on(day - 1, before_s)
            return max(found, found if rival is None else rival) * 1000
        return None

    @cached_property
    def matches_never(self) -> bool:
        """True if no date of 1970 to 2199 matches, as for 30 February (valid: OCPS 1.0 section 6.2)."""
        return next(self._days_up(_FIRST_DAY), None) is None

    @cached_property
    def _times(self) -> _TimesOfDay:
        return _TimesOfDay(self._fields.hours, self._fields.minutes, self._fields.seconds)

    @cached_property
    def _rule(self) -> _Rule:
        for_fixed, for_others = _RULES[self.dst]
        return for_fixed if self._times.fixed else for_others

    @cached_property
    def _days_by_month_shape(self) -> dict[tuple[int, int], tuple[int, ...]]:
        shapes = product(range(7), range(28, 32))  # the first weekday, the number of days
        return {shape: self._fields.days(*shape) for shape in shapes}

    def _on(self, day: int) -> _Day:
        return _day(self._zone, day, self._rule)

    def _first_on(self, day: int, after_s: int) -> int | None:
        if not self._matches(day):
            return None
        midnight, stretches, _ = self._on(day)
        instants = []
        for start, end, offset, collapse in stretches:
            earliest = start if collapse is not None else max(start, after_s + 1 + offset - midnight)
            second = self._times.at_or_after(earliest) if earliest < end else None
            if second is not None and second < end:
                instants.append(midnight + second - offset if collapse is None else collapse)
        return min((instant for instant in instants if instant > after_s), default=None)

    def _last_on(self, day: int, before_s: int) -> int | None:
        if not self._matches(day):
            return None
        midnight, stretches, _ = self._on(day)
        instants = []
        for start, end, offset, collapse in stretches:
            latest = end - 1 if collapse is not None else min(end - 1, before_s - 1 + offset - midnight)
            second = self._times.at_or_before(latest) if latest >= start else None
            if second is not None and second >= start:
                instants.append(midnight + second - offset if collapse is None else collapse)
        return max((instant for instant in instants if instant < before_s), default=None)

    def _matches(self, day: int) -> bool:
        when = date.fromordinal(day)
        if when.year not in self._fields.years or when.month not in self._fields.months:
            return False
        return when.day in self._days_of(when.year, when.month)[1]

    def _days_of(self, year: int, month: int) -> tuple[int, tuple[int, ...]]:
        """The ordinal of the day before the month, and the matching days of the month."""
        before = date(year, month, 1).toordinal() - 1
        # Ordinal 1 is a Monday, so the remainder by 7 is cron's weekday number.
        return before, self._days_by_month_shape[(before + 1) % 7, calendar.monthrange(year, month)[1]]

    def _days_up(self, first_day: int) -> Iterator[int]:
        """Ordinals of the matching dates from `first_day` on, ascending."""
        first_day = max(first_day, _FIRST_DAY)
        start = date.fromordinal(first_day)
        years = self._fields.years
        for year in years[bisect_left(years, start.year) :]:
            for month in self._fields.months:
                if year > start.year or month >= start.month:
                    before, days = self._days_of(year, month)
                    yield from (before + day for day in days if before + day >= first_day)

    def _days_down(self, last_day: int) -> Iterator[int]:
        """Ordinals of the matching dates up to `last_day`, descending."""
        last_day = min(last_day, _LAST_DAY)
        end = date.fromordinal(last_day)
        years = self._fields.years
        for year in reversed(years[: bisect_right(years, end.year)]):
            for month in reversed(self._fields.months):
                if year < end.year or month <= end.month:
                    before, days = self._days_of(year, month)
                    yield from (before + day for day in reversed(days) if before + day <= last_day)


def parse(expr: str, tz: str = "UTC", dst: str = "vixie") -> CronSchedule:
    """Read a cron expression (OCPS 1.0 section 4 and the increments 1.1 to 1.4).

    `tz` is an IANA zone name, `dst` a name in `DST_POLICIES`. An expression that no date can match is valid:
    look at `matches_never`. Raises CronError, which names the field and the text at fault, for all it cannot
    read, arguments that are not text included. Results are cached.
    """
    for name, value in (("expression", expr), ("tz", tz), ("dst", dst)):
        if not isinstance(value, str):
            raise CronError(name, type(value).__name__, "not text; accepted: a string")
    return _parse(expr, tz, dst)


@lru_cache(maxsize=4096)
def _parse(expr: str, tz: str, dst: str) -> CronSchedule:
    if dst not in DST_POLICIES:
        raise CronError("dst", dst, f"unknown policy; accepted: {', '.join(DST_POLICIES)}")
    return CronSchedule(expr, tz, dst, parse_fields(expr), _zone_named(tz))


def _zone_named(tz: str) -> ZoneInfo:
    try:
        return ZoneInfo(tz)
    except (KeyError, ValueError, OSError):  # unknown, malformed, or the name of a directory of zones
        problem = "unknown time zone; accepted: a name of the IANA database such as UTC or Europe/Berlin"
        raise CronError("tz", tz, problem) from None


def _milliseconds(value: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"not a time: {value!r:.40}; accepted: an integer, milliseconds since the epoch")
    return value


def _local_day(zone: ZoneInfo, instant: int) -> int:
    return (instant + _offset_at(zone, instant)) // _DAY_S + _EPOCH_DAY


def _offset_at(zone: ZoneInfo, instant: int) -> int:
    return _seconds((_EPOCH_UTC + timedelta(seconds=instant)).astimezone(zone).utcoffset())


def _offset_of(zone: ZoneInfo, wall: int, fold: int) -> int:
    return _seconds((_EPOCH + timedelta(seconds=wall)).replace(tzinfo=zone, fold=fold).utcoffset())


def _seconds(offset: timedelta | None) -> int:
    return 0 if offset is None else offset.days * _DAY_S + offset.seconds


@lru_cache(maxsize=16_384)
def _day(zone: ZoneInfo, day: int, rule: _Rule) -> _Day:
    midnight = (day - _EPOCH_DAY) * _DAY_S
    around = {_offset_of(zone, wall, fold) for wall in (midnight - 1, midnight + _DAY_S) for fold in (0, 1)}
    if len(around) == 1:
        return _Day(midnight, (_Stretch(0, _DAY_S, around.pop()),), plain=True)
    stretches: list[_Stretch] = []
    for start, end in pairwise(_edges(zone, midnight)):
        stretches += _apply(rule, zone, midnight, start, end)
    return _Day(midnight, tuple(stretches), plain=False)


def _edges(zone: ZoneInfo, midnight: int) -> list[int]:
    """Seconds of the day at which the relation of wall time to UTC changes, with both ends of the day."""

    def offsets(second: int) -> tuple[int, int]:
        return _offset_of(zone, midnight + second, 0), _offset_of(zone, midnight + second, 1)

    edges = [0]
    for left, right in pairwise((*range(0, _DAY_S, _SCAN_S), _DAY_S - 1)):
        if offsets(left) != offsets(right):
            edges.append(_first_change(left, right, offsets))
    return [*edges, _DAY_S]


def _apply(rule: _Rule, zone: ZoneInfo, midnight: int, start: int, end: int) -> list[_Stretch]:
    """What the rule makes of one stretch: fold 0 is the offset before the change, fold 1 the one after it."""
    before, after = (_offset_of(zone, midnight + start, fold) for fold in (0, 1))
    first = _Stretch(start, end, before)
    if before == after:
        return [first]
    if before > after:  # overlap: the wall times occur twice
        return [first, _Stretch(start, end, after)] if rule.overlap == "both" else [first]
    if rule.gap == "shift":  # the offset from before the change moves the time by the length of the gap
        return [first]
    if rule.gap == "end":
        return [_Stretch(start, end, before, _change_instant(zone, midnight + start, before, after))]
    return []


def _change_instant(zone: ZoneInfo, missing_wall: int, before: int, after: int) -> int:
    """The end of the gap that holds `missing_wall`: its two readings lie on either side of the change."""
    return _first_change(missing_wall - after, missing_wall - before, partial(_offset_at, zone))


def _first_change(low: int, high: int, value_of: Callable[[int], object]) -> int:
    """The first number after `low` with another value, given that the value changes once up to `high`."""
    known = value_of(low)
    return low + bisect_left(range(low, high), True, key=lambda number: value_of(number) != known)
