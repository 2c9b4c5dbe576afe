"""The slots of a schedule by brute force: every minute is looked at, nothing is clever.

Independent of any cron engine (the reference's too), so that a shared mistake shows. It knows the
portable core only: five fields with ``*``, numbers, names, lists, ranges and steps (OCPS 1.0, section 2;
day-of-month and day-of-week both restricted mean either).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

MINUTE = 60_000
DAY = 86_400_000
_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_NAMES: tuple[dict[str, int], ...] = (
    {},
    {},
    {},
    {n: i for i, n in enumerate("JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split(), 1)},
    {n: i for i, n in enumerate("SUN MON TUE WED THU FRI SAT".split())},
)
Fields = tuple[frozenset[int], ...]


def _number(text: str, field: int) -> int:
    names = _NAMES[field]
    return names[text.upper()] if text.upper() in names else int(text)


def _values(text: str, field: int) -> frozenset[int]:
    low, high = _RANGES[field]
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        if span == "*":
            first, last = low, high if field != 4 else 6
        else:
            a, _, b = span.partition("-")
            first = _number(a, field)
            # Sunday is 0 or 7: only 7 gives FRI-SUN a meaning.
            sunday = field == 4 and b.upper() == "SUN"
            last = 7 if sunday else _number(b, field) if b else first
        found.update(range(first, last + 1, int(step or 1)))
    return frozenset(v % 7 for v in found) if field == 4 else frozenset(found)


def _matches(expr: str, wall: datetime) -> bool:
    minute, hour, dom, month, dow = expr.split()
    if wall.minute not in _values_cached(minute, 0) or wall.hour not in _values_cached(hour, 1):
        return False
    if wall.month not in _values_cached(month, 3):
        return False
    by_dom = wall.day in _values_cached(dom, 2)
    by_dow = wall.isoweekday() % 7 in _values_cached(dow, 4)
    if dom != "*" and dow != "*":
        return by_dom or by_dow
    return by_dom and by_dow


_values_cached = lru_cache(maxsize=4096)(_values)


def _wall(ms: int, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC).astimezone(zone)


def _minutes(after_ms: int, until_ms: int) -> Iterator[int]:
    first = after_ms // MINUTE * MINUTE + MINUTE
    yield from range(first, until_ms + 1, MINUTE)


def _fixed(expr: str) -> bool:
    """Whether the expression names one wall time a day, however it is spelled."""
    minute, hour = expr.split()[:2]
    return len(_values_cached(minute, 0)) == len(_values_cached(hour, 1)) == 1


def cron_slots(expr: str, tz: str, after_ms: int, until_ms: int, dst: str = "vixie") -> list[int]:
    """The instants of ``expr`` in ``(after_ms, until_ms]``, epoch milliseconds, ascending.

    ``dst`` is an answer to policy *dst*. At plain instants (no transition near) all answers agree.
    """
    zone = ZoneInfo(tz)
    once = dst in ("ocps", "shift") or (dst == "vixie" and _fixed(expr))
    found: set[int] = set()
    for ms in _minutes(after_ms, until_ms):
        wall = _wall(ms, zone)
        if _matches(expr, wall) and not (once and wall.fold == 1):
            found.add(ms)
    # A gap shortly before the window may shift a slot into it.
    for transition in transitions(tz, after_ms - DAY, until_ms):
        found.update(m for m in _gap_slots(expr, zone, transition, dst) if after_ms < m <= until_ms)
    return sorted(found)


def _gap_slots(expr: str, zone: ZoneInfo, transition: int, dst: str) -> list[int]:
    """What wall times inside a gap turn into."""
    before, after = _wall(transition - MINUTE, zone), _wall(transition, zone)
    naive = before.replace(tzinfo=None) + timedelta(minutes=1)
    length = (after.replace(tzinfo=None) - naive) // timedelta(minutes=1)
    inside = [k for k in range(length) if _matches(expr, naive + timedelta(minutes=k))]
    if dst == "shift":
        return [transition + k * MINUTE for k in inside]
    if dst in ("vixie", "both") and _fixed(expr) and inside:
        return [transition]
    return []


@lru_cache(maxsize=512)
def transitions(tz: str, after_ms: int, until_ms: int) -> tuple[int, ...]:
    """The instants in ``(after_ms, until_ms]`` at which the zone's offset changes."""
    zone = ZoneInfo(tz)
    found = []
    step = 6 * 3_600_000
    edge = after_ms // step * step
    while edge < until_ms:
        if _wall(edge, zone).utcoffset() != _wall(edge + step, zone).utcoffset():
            offsets = [(_wall(m, zone).utcoffset(), m) for m in range(edge, edge + step + MINUTE, MINUTE)]
            found += [m for (o1, _), (o2, m) in pairwise(offsets) if o1 != o2]
        edge += step
    return tuple(m for m in found if after_ms < m <= until_ms)


def interval_slots(anchor_ms: int, every_ms: int, after_ms: int, until_ms: int) -> list[int]:
    """``anchor + k x every`` (k >= 0) in ``(after_ms, until_ms]``."""
    k = max(0, -(-(after_ms + 1 - anchor_ms) // every_ms))
    found = []
    while (slot := anchor_ms + k * every_ms) <= until_ms:
        if slot > after_ms:
            found.append(slot)
        k += 1
    return found


def slots(schedule: dict[str, object], after_ms: int, until_ms: int, *, dst: str, zone: str) -> list[int]:
    """The slots of a contract schedule in ``(after_ms, until_ms]``. ``zone`` stands in for a missing one."""
    if schedule["kind"] == "cron":
        tz = str(schedule.get("tz") or zone)
        return cron_slots(str(schedule["expr"]), tz, after_ms, until_ms, dst)
    if schedule["kind"] == "every":
        anchor, period = schedule["anchorMs"], schedule["everyMs"]
        assert isinstance(anchor, int)
        assert isinstance(period, int)
        return interval_slots(anchor, period, after_ms, until_ms)
    instant = schedule["atMs"]
    assert isinstance(instant, int)
    return [instant] if after_ms < instant <= until_ms else []
