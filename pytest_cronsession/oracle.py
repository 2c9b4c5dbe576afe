"""The slots of a schedule by brute force: every minute is looked at, nothing is clever.

Independent of any cron engine (the reference's too), so that a shared mistake shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

from .dialect import date_matches, minute_matches, names_one_time, seconds

SECOND = 1000
MINUTE = 60_000
DAY = 86_400_000
_A_MINUTE = timedelta(minutes=1)
_EPOCH_DAY = date(1970, 1, 1).toordinal()


def _wall(ms: int, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC).astimezone(zone)


def _minutes(expr: str, tz: str, after_ms: int, until_ms: int) -> Iterator[tuple[int, datetime]]:
    """The minutes that overlap ``(after_ms, until_ms]`` with their wall times.

    But for days on which no zone has a matching date.
    """
    zone = ZoneInfo(tz)
    for day in range(after_ms // DAY, until_ms // DAY + 1):
        dates = (date.fromordinal(_EPOCH_DAY + day + k) for k in (-1, 0, 1))
        if any(date_matches(expr, found) for found in dates):
            first = max(day * DAY, after_ms // MINUTE * MINUTE)
            minutes = range(first, min((day + 1) * DAY, until_ms + 1), MINUTE)
            if transitions(tz, (day - 1) * DAY, (day + 1) * DAY):
                yield from ((minute, _wall(minute, zone)) for minute in minutes)
            else:
                # Nothing is repeated or left out, so one wall time tells all others: this is where most time goes.
                wall = _wall(first, zone).replace(tzinfo=None)
                yield from ((minute, wall + k * _A_MINUTE) for k, minute in enumerate(minutes))


def cron_slots(expr: str, tz: str, after_ms: int, until_ms: int, dst: str = "vixie") -> list[int]:
    """The instants of ``expr`` in ``(after_ms, until_ms]``, epoch milliseconds, ascending.

    ``dst`` is an answer to policy *dst*. At plain instants (no transition near) all answers agree.
    """
    zone = ZoneInfo(tz)
    once = dst in ("ocps", "shift") or (dst == "vixie" and names_one_time(expr))
    found: set[int] = set()
    for minute, wall in _minutes(expr, tz, after_ms, until_ms):
        if minute_matches(expr, wall) and not (once and wall.fold == 1):
            found.update(minute + second * SECOND for second in seconds(expr))
    # A gap shortly before the window may shift a slot into it.
    for transition in transitions(tz, after_ms - DAY, until_ms):
        found.update(_gap_slots(expr, zone, transition, dst))
    return sorted(ms for ms in found if after_ms < ms <= until_ms)


def _gap_slots(expr: str, zone: ZoneInfo, transition: int, dst: str) -> list[int]:
    """What wall times inside a gap turn into."""
    before, after = _wall(transition - MINUTE, zone), _wall(transition, zone)
    naive = before.replace(tzinfo=None) + timedelta(minutes=1)
    length = (after.replace(tzinfo=None) - naive) // timedelta(minutes=1)
    inside = [k for k in range(length) if minute_matches(expr, naive + timedelta(minutes=k))]
    if dst == "shift":
        return [transition + k * MINUTE + second * SECOND for k in inside for second in seconds(expr)]
    if dst in ("vixie", "both") and names_one_time(expr) and inside:
        return [transition]
    return []


@lru_cache(maxsize=65_536)
def transitions(tz: str, after_ms: int, until_ms: int) -> tuple[int, ...]:
    """The instants in ``(after_ms, until_ms]`` at which the zone's offset changes."""
    zone = ZoneInfo(tz)
    found = []
    # No zone changes its offset and changes it back within a day.
    for day in range(after_ms // DAY * DAY, until_ms, DAY):
        if _wall(day, zone).utcoffset() != _wall(day + DAY, zone).utcoffset():
            offsets = [(_wall(m, zone).utcoffset(), m) for m in range(day, day + DAY + MINUTE, MINUTE)]
            found += [m for (o1, _), (o2, m) in pairwise(offsets) if o1 != o2]
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
