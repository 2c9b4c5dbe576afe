"""Slots: the instants at which a schedule is due. Pure; nothing here knows what the time is."""

from __future__ import annotations

import hashlib

from . import cron
from .checks import MAX_INSTANT, integer, shorten
from .errors import Refused
from .jobs import At, Cron, Every, Schedule

SHORTEST_MS, LONGEST_MS = 1000, 100 * 365 * 86_400_000
"""The shortest and the longest period of an interval job that is accepted."""
LATEST_MS = 7_258_118_399_999
"""The end of the year 2199, where cron expressions end too."""
MAX_STAGGER_MS = 7 * 86_400_000


def stagger_of(job_id: str, stagger_ms: int) -> int:
    """The job's own part of a stagger: the same for ever, at least 0, less than ``stagger_ms``."""
    if stagger_ms <= 0:
        return 0
    return int.from_bytes(hashlib.sha256(job_id.encode()).digest()[:8], "big") % stagger_ms


def next_slot(schedule: Schedule, after_ms: int, *, job_id: str, dst: str = "vixie") -> int | None:
    """The first slot strictly after ``after_ms``, or None."""
    if isinstance(schedule, At):
        return schedule.at_ms if schedule.at_ms > after_ms else None
    if isinstance(schedule, Every):
        return _bounded(_next_on_grid(schedule, after_ms))
    offset = stagger_of(job_id, schedule.stagger_ms)
    found = cron.parse(schedule.expr, schedule.tz, dst).next(after_ms - offset)
    return None if found is None else _bounded(found + offset)


def previous_slot(schedule: Schedule, before_ms: int, *, job_id: str, dst: str = "vixie") -> int | None:
    """The last slot strictly before ``before_ms``, or None."""
    if isinstance(schedule, At):
        return schedule.at_ms if schedule.at_ms < before_ms else None
    if isinstance(schedule, Every):
        steps = (before_ms - 1 - schedule.anchor_ms) // schedule.every_ms
        return schedule.anchor_ms + steps * schedule.every_ms if steps >= 0 else None
    offset = stagger_of(job_id, schedule.stagger_ms)
    found = cron.parse(schedule.expr, schedule.tz, dst).previous(before_ms - offset)
    return None if found is None else found + offset


def _next_on_grid(schedule: Every, after_ms: int) -> int:
    if after_ms < schedule.anchor_ms:
        return schedule.anchor_ms
    steps = (after_ms - schedule.anchor_ms) // schedule.every_ms + 1
    return schedule.anchor_ms + steps * schedule.every_ms


def _bounded(instant: int) -> int | None:
    return instant if instant <= MAX_INSTANT else None


def slots_before(
    schedule: Schedule, first_ms: int, before_ms: int, limit: int, *, job_id: str, dst: str
) -> list[int]:
    """The last ``limit`` slots from ``first_ms`` on and strictly before ``before_ms``, in order."""
    found: list[int] = []
    slot = previous_slot(schedule, before_ms, job_id=job_id, dst=dst)
    while slot is not None and slot >= first_ms and len(found) < limit:
        found.append(slot)
        slot = previous_slot(schedule, slot, job_id=job_id, dst=dst)
    return found[::-1]


def check(schedule: Schedule, now_ms: int, *, job_id: str, dst: str) -> None:
    """Refuse a schedule that cannot be read, has no slot to come, or was given in another unit."""
    if isinstance(schedule, At):
        _sane(schedule.at_ms, "schedule.atMs")
        return
    if isinstance(schedule, Every):
        integer(schedule.every_ms, "schedule.everyMs", SHORTEST_MS, LONGEST_MS)
        _sane(schedule.anchor_ms, "schedule.anchorMs")
    else:
        integer(schedule.stagger_ms, "schedule.staggerMs", 0, MAX_STAGGER_MS)
    try:
        found = next_slot(schedule, now_ms, job_id=job_id, dst=dst)
    except cron.CronError as err:
        raise Refused("schedule.tz" if err.field == "tz" else "schedule.expr", str(err)) from None
    if found is None:
        field = "schedule.expr" if isinstance(schedule, Cron) else "schedule.everyMs"
        given = shorten(schedule.expr if isinstance(schedule, Cron) else schedule.every_ms)
        raise Refused(field, f"{given} would never run; accepted: a schedule that has a slot to come")


def _sane(instant_ms: int, field: str) -> None:
    if instant_ms > LATEST_MS:
        reason = f"{instant_ms} lies after the year 2199; accepted: milliseconds since 1970 up to its end"
        raise Refused(field, reason)
