"""Short ways to write schedules and session wishes in the contract's words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

DAY_MS = 86_400_000


def delta_ms(delta: Mapping[str, float]) -> int:
    """Milliseconds of the keyword arguments of :class:`~datetime.timedelta`."""
    return round(timedelta(**delta).total_seconds() * 1000)


def every(**delta: float) -> dict[str, Any]:
    """An interval schedule: ``every(minutes=15)``."""
    return {"kind": "every", "everyMs": delta_ms(delta)}


def cron(expr: str, tz: str = "UTC") -> dict[str, Any]:
    """A cron schedule in a zone, without stagger."""
    return {"kind": "cron", "expr": expr, "tz": tz}


def at(instant_ms: int) -> dict[str, Any]:
    """A one-shot schedule."""
    return {"kind": "at", "atMs": instant_ms}


def quiet(capabilities: frozenset[str], now_ms: int) -> dict[str, Any]:
    """A schedule that does not come due during a test, of a kind that the gateway declares."""
    if "schedule.cron" not in capabilities:
        if "schedule.every" in capabilities:
            return {"kind": "every", "everyMs": 365 * DAY_MS, "anchorMs": now_ms + 300 * DAY_MS}
        if "schedule.at" in capabilities:
            return at(now_ms + 300 * DAY_MS)
    return cron("0 0 1 1 *")


def wish(
    target: str, *, name: str | None = None, key: str | None = None, mode: str | None = None
) -> dict[str, Any]:
    """A session wish in neutral words."""
    given = {"name": name, "key": key, "mode": mode}
    return {"target": target} | {k: v for k, v in given.items() if v is not None}
