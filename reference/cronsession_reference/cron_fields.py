"""Text of a cron expression -> the values each field allows.

The dialect is the Open Cron Pattern Specification (OCPS): 1.0 with the increments 1.1 to 1.4. Where OCPS
leaves a choice, this parser is strict, so that a typing error is refused and not read as another schedule.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NoReturn

MAX_LENGTH = 256
FIRST_YEAR, LAST_YEAR = 1970, 2199

NICKNAMES: Mapping[str, str] = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}

_TOKEN_LENGTH = 40
_MONTH_NAMES = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAY_NAMES = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_PART = re.compile(r"(?:\*|(?P<low>[A-Za-z0-9]+)(?:-(?P<high>[A-Za-z0-9]+))?)(?:/(?P<step>[0-9]+))?")
_NEAREST_WEEKDAY = re.compile(r"([0-9]+)W")
_NTH_WEEKDAY = re.compile(r"(?P<day>[A-Za-z0-9]+?)(?:#(?P<nth>L|[0-9]+)|L)")


class CronError(ValueError):
    """A schedule that cannot be read.

    `field` is the part at fault: "second", "minute", "hour", "day-of-month", "month", "day-of-week",
    "year", "expression", "tz" or "dst". `token` is the offending text, at most 40 characters. The message
    says what is accepted instead.
    """

    def __init__(self, field: str, token: str, problem: str) -> None:
        self.field = field
        self.token = token if len(token) <= _TOKEN_LENGTH else token[: _TOKEN_LENGTH - 3] + "..."
        self.problem = problem
        super().__init__(field, self.token, problem)

    def __str__(self) -> str:
        return f"{self.field} {self.token!r}: {self.problem}"


@dataclass(frozen=True)
class FieldSpec:
    """What one field may hold (OCPS 1.0 section 4.2, OCPS 1.2 section 4.3)."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()  # of the values from `low` on
    extras: str = ""

    @property
    def largest_step(self) -> int:
        """How many different values there are: 0 and 7 are the same weekday."""
        return 7 if self is DAY_OF_WEEK else self.high - self.low + 1

    def refuse(self, token: str, problem: str) -> NoReturn:
        named = f" or {self.names[0]}-{self.names[-1]}" if self.names else ""
        accepted = (
            f"{self.low}-{self.high}{named}, *, a list a,b, a range a-b with a <= b, "
            f"a step */n or a-b/n with n in 1-{self.largest_step}{self.extras}"
        )
        raise CronError(self.name, token, f"{problem}; accepted: {accepted}")


SECOND = FieldSpec("second", 0, 59)
MINUTE = FieldSpec("minute", 0, 59)
HOUR = FieldSpec("hour", 0, 23)
DAY_OF_MONTH = FieldSpec("day-of-month", 1, 31, extras=", L (last day), alone: 15W, LW or ?")
MONTH = FieldSpec("month", 1, 12, _MONTH_NAMES)
DAY_OF_WEEK = FieldSpec(
    "day-of-week", 0, 7, _DAY_NAMES, ", 5L or FRI#L (last Friday), MON#1 (first Monday), alone: ?, first: +"
)
YEAR = FieldSpec("year", FIRST_YEAR, LAST_YEAR)


@dataclass(frozen=True)
class MonthDays:
    """The day-of-month field (OCPS 1.0 section 5, 1.3 sections 4.1 and 4.3)."""

    restricted: bool
    days: frozenset[int] = frozenset()
    last: bool = False
    nearest: int | None = None  # 15W: 15
    last_weekday: bool = False  # LW

    def matches(self, day: int, first_weekday: int, length: int) -> bool:
        if day in self.days or (self.last and day == length):
            return True
        wanted = length if self.last_weekday else self.nearest
        if wanted is None or wanted > length:
            # 31W does not run in a month of 30 days: OCPS is silent, and 31 itself does not run either.
            return False
        return day == _nearest_weekday(wanted, first_weekday, length)


@dataclass(frozen=True)
class WeekDays:
    """The day-of-week field, 0 is Sunday (OCPS 1.0 section 4.2, 1.3 sections 4.1 and 4.2)."""

    restricted: bool
    days: frozenset[int] = frozenset()
    last: frozenset[int] = frozenset()
    nth: frozenset[tuple[int, int]] = frozenset()

    def matches(self, day: int, first_weekday: int, length: int) -> bool:
        weekday = (first_weekday + day - 1) % 7
        is_last = weekday in self.last and day + 7 > length
        return weekday in self.days or is_last or (weekday, (day + 6) // 7) in self.nth


@dataclass(frozen=True)
class CronFields:
    """The values every field allows, ascending."""

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    month_days: MonthDays
    months: tuple[int, ...]
    week_days: WeekDays
    years: tuple[int, ...]
    days_and: bool

    def days(self, first_weekday: int, length: int) -> tuple[int, ...]:
        """Matching days of a month of `length` days whose first day is `first_weekday` (0 is Sunday).

        Two restricted day fields are alternatives, unless `+` joins them (OCPS 1.4 section 4.1).
        """
        fields = self.month_days, self.week_days
        either = all(field.restricted for field in fields) and not self.days_and
        joined = any if either else all
        return tuple(
            day
            for day in range(1, length + 1)
            if joined(field.matches(day, first_weekday, length) for field in fields)
        )


def parse_fields(expr: str) -> CronFields:
    """Read an expression of 5, 6 (seconds first) or 7 (year last) fields, or a nickname. Raises CronError."""
    if len(expr) > MAX_LENGTH:
        raise CronError("expression", expr, f"too long; accepted: at most {MAX_LENGTH} characters")
    if not expr.isascii():
        odd = next(character for character in expr if not character.isascii())
        raise CronError("expression", odd, "not ASCII; accepted: ASCII letters, digits and * , - / ? # +")
    text = expr.strip(" \t")
    texts = re.split(r"[ \t]+", _expand_nickname(text) if text.startswith("@") else text)
    if not text or not 5 <= len(texts) <= 7:
        raise CronError(
            "expression",
            text,
            f"{len(texts) if text else 0} fields; accepted: 5 (minute hour day-of-month month day-of-week), "
            "6 (second before them) or 7 (year after them), or a nickname such as @daily",
        )
    second = texts.pop(0) if len(texts) > 5 else "0"
    year = texts.pop() if len(texts) > 5 else "*"
    minute, hour, day_of_month, month, day_of_week = texts
    return CronFields(
        seconds=_values(SECOND, second),
        minutes=_values(MINUTE, minute),
        hours=_values(HOUR, hour),
        month_days=_month_days(day_of_month),
        months=_values(MONTH, month),
        week_days=_week_days(day_of_week),
        years=_values(YEAR, year),
        days_and=day_of_week.startswith("+"),
    )


def _expand_nickname(text: str) -> str:
    if text in NICKNAMES:
        return NICKNAMES[text]
    known = f"accepted, in lower case and alone: {', '.join(NICKNAMES)}"
    if text == "@reboot":
        # OCPS 1.1 section 4.2 lets a context without a start-up event refuse it with a clear message.
        raise CronError("expression", text, f"an event, not a time schedule; {known}")
    raise CronError("expression", text, f"unknown nickname; {known}")


def _values(spec: FieldSpec, text: str) -> tuple[int, ...]:
    return tuple(sorted({value for part in _parts(spec, text) for value in _expand(spec, part)}))


def _parts(spec: FieldSpec, text: str) -> list[str]:
    parts = text.split(",")
    if "" in parts:
        spec.refuse(text, "an empty value in the list" if len(parts) > 1 else "no value")
    return parts


def _expand(spec: FieldSpec, part: str) -> Iterable[int]:
    """Values of one list element (OCPS 1.0 sections 5.1 and 6.2)."""
    match = _PART.fullmatch(part)
    if match is None:
        spec.refuse(part, "not understood")
    low_text, high_text, step_text = match["low"], match["high"], match["step"]
    if low_text is None:
        low, high = spec.low, spec.high
    else:
        low = high = _number(spec, low_text)
        if high_text is not None:
            high = _range_end(spec, high_text)
        elif step_text is not None:
            spec.refuse(part, "a step needs * or a full range before it")
    if low > high:
        spec.refuse(part, "the range runs backwards")
    step = 1 if step_text is None else int(step_text)
    if not 1 <= step <= spec.largest_step:
        spec.refuse(part, "step out of range")
    return range(low, high + 1, step)


def _number(spec: FieldSpec, text: str) -> int:
    if text.upper() in spec.names:
        return spec.low + spec.names.index(text.upper())
    if not text.isdigit():
        spec.refuse(text, "not a known name" if spec.names else "not a number")
    if not spec.low <= int(text) <= spec.high:
        spec.refuse(text, "out of range")
    return int(text)


def _range_end(spec: FieldSpec, text: str) -> int:
    # SUN is "0 or 7" (OCPS 1.0 section 4.2): only 7 gives FRI-SUN a meaning.
    return 7 if spec is DAY_OF_WEEK and text.upper() == "SUN" else _number(spec, text)


def _nearest_weekday(wanted: int, first_weekday: int, length: int) -> int:
    """The Monday to Friday nearest to `wanted` inside the month (OCPS 1.3 section 4.3)."""
    weekday = (first_weekday + wanted - 1) % 7
    if weekday == 6:
        return wanted - 1 if wanted > 1 else wanted + 2
    if weekday == 0:
        return wanted + 1 if wanted < length else wanted - 2
    return wanted


def _month_days(text: str) -> MonthDays:
    spec = DAY_OF_MONTH
    if text == "LW":
        return MonthDays(restricted=True, last_weekday=True)
    if match := _NEAREST_WEEKDAY.fullmatch(text):
        return MonthDays(restricted=True, nearest=_number(spec, match[1]))
    parts = ["*"] if text == "?" else _parts(spec, text)
    for part in parts:
        if part.endswith("W"):
            spec.refuse(part, "W goes with one single day, without list or range")
    days = frozenset(value for part in parts if part != "L" for value in _expand(spec, part))
    # Restricted means "not *" (OCPS 1.0 section 6.1), so */1 and *,1 are, although they allow every day.
    return MonthDays(restricted=text not in ("*", "?"), days=days, last="L" in parts)


def _week_days(text: str) -> WeekDays:
    spec = DAY_OF_WEEK
    rule = text.removeprefix("+")
    days: set[int] = set()
    last: set[int] = set()
    nth: set[tuple[int, int]] = set()
    for part in ["*"] if rule == "?" else _parts(spec, rule):
        match = _NTH_WEEKDAY.fullmatch(part)
        if match is None:
            days.update(value % 7 for value in _expand(spec, part))
            continue
        weekday = _number(spec, match["day"]) % 7
        if match["nth"] in (None, "L"):
            last.add(weekday)
        elif 1 <= int(match["nth"]) <= 5:
            nth.add((weekday, int(match["nth"])))
        else:
            spec.refuse(part, "# takes 1 to 5 or L")
    return WeekDays(rule not in ("*", "?"), frozenset(days), frozenset(last), frozenset(nth))
