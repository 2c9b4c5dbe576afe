"""Hypothesis strategies for the field: cron expressions, zones, session names, schedules, jobs.

Everything generated is portable: five-field expressions of OCPS 1.0, IANA zones, names a person could type.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

ZONES = (
    "UTC",
    "America/Denver",
    "America/New_York",
    "Europe/Berlin",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "America/Santiago",
)
_BOUNDS = {"minute": (0, 59), "hour": (0, 23), "day": (1, 28), "month": (1, 12), "weekday": (0, 6)}


def zones() -> SearchStrategy[str]:
    """IANA zones: whole, half and quarter-hour offsets, one-hour and half-hour DST, both hemispheres."""
    return st.sampled_from(ZONES)


@st.composite
def cron_fields(draw: st.DrawFn, name: str) -> str:
    """One field (``minute``, ``hour``, ``day``, ``month``, ``weekday``): star, value, list, range or step."""
    low, high = _BOUNDS[name]
    kind = draw(st.sampled_from(("value", "list", "range", "step", "range-step")))
    values = st.integers(low, high)
    if kind == "value":
        return str(draw(values))
    if kind == "list":
        return ",".join(map(str, sorted(draw(st.sets(values, min_size=2, max_size=4)))))
    if kind == "step":
        return f"*/{draw(st.integers(2, max(2, (high - low) // 2)))}"
    first, last = sorted((draw(values), draw(values)))
    return f"{first}-{last}" + (f"/{draw(st.integers(1, 5))}" if kind == "range-step" else "")


@st.composite
def cron_expressions(draw: st.DrawFn) -> str:
    """Five-field expressions that match at least one day of every year."""
    minute = draw(cron_fields("minute"))
    hour = draw(st.one_of(st.just("*"), cron_fields("hour")))
    # A stepped star in the day field beside a weekday means "or" to some engines and "and" to others.
    day = draw(st.one_of(st.just("*"), st.just("*"), cron_fields("day").filter(lambda f: "*" not in f)))
    month = draw(st.one_of(st.just("*"), st.just("*"), st.just("*"), cron_fields("month")))
    weekday = draw(st.one_of(st.just("*"), cron_fields("weekday").filter(lambda f: "*" not in f)))
    return f"{minute} {hour} {day} {month} {weekday}"


def session_names() -> SearchStrategy[str]:
    """Session names as people and channels write them: slashes, colons, dots, inner spaces, any script."""
    letters = st.sampled_from("abcxyz019-_./:@+ éßλж日")
    return (
        st.text(letters, min_size=1, max_size=24)
        .map(lambda text: " ".join(text.split()))
        .filter(lambda text: bool(text) and text.strip(".:/ ") != "")
    )


def schedules(now_ms: int) -> SearchStrategy[dict[str, Any]]:
    """Contract schedules that have a slot after ``now_ms`` (epoch milliseconds)."""
    intervals = st.builds(
        lambda minutes: {"kind": "every", "everyMs": minutes * 60_000, "anchorMs": now_ms},
        st.integers(1, 240),
    )
    crons = st.builds(lambda expr, tz: {"kind": "cron", "expr": expr, "tz": tz}, cron_expressions(), zones())
    shots = st.builds(
        lambda minutes: {"kind": "at", "atMs": now_ms + minutes * 60_000}, st.integers(1, 10_000)
    )
    return st.one_of(intervals, crons, shots)


def session_wishes() -> SearchStrategy[dict[str, Any]]:
    """Session wishes with targets isolated and named."""
    named = st.builds(lambda name: {"target": "named", "name": name}, session_names())
    return st.one_of(st.just({"target": "isolated"}), named)


def jobs(now_ms: int) -> SearchStrategy[dict[str, Any]]:
    """Job specs of the contract (``job.schema.json#/$defs/spec``) with a slot after ``now_ms``."""
    return st.builds(
        lambda schedule, session, n: {
            "name": f"job {n}",
            "schedule": schedule,
            "session": session,
            "payload": {"kind": "agentTurn", "text": "Reply OK only."},
        },
        schedules(now_ms),
        session_wishes(),
        st.integers(1, 9999),
    )
