"""Jobs that are wrong in one member: what applies to a gateway, and how the rest of the job looks."""

from __future__ import annotations

import copy
from typing import Any

from ..driver import Driver, Handle, at, every, wish
from ..oracle import DAY

_NEEDS = {
    "timeoutMs": "run.timeout",
    "agent": "agents",
    "retry": "job.retry",
    "maxFailures": "job.autoDisable",
    "catchUp": "job.catchUp",
    "enabled": "job.disable",
}
_SCHEDULES = {
    "everyMs": "schedule.every",
    "anchorMs": "schedule.every",
    "atMs": "schedule.at",
    "expr": "schedule.cron",
    "tz": "schedule.cron",
    "staggerMs": "schedule.cron",
}


def applies(d: Driver, path: str) -> None:
    """Pass over a member that this gateway need not take at all."""
    head, _, tail = path.partition(".")
    if head in _NEEDS:
        d.require(_NEEDS[head])
    if head == "schedule" and tail in _SCHEDULES:
        d.require(_SCHEDULES[tail])
    if path == "session.name":
        d.require("session.named")


def spec_for(d: Driver, path: str) -> dict[str, Any]:
    """A job that is right, with the member that will be made wrong in its place."""
    tail = path.partition(".")[2]
    schedules: dict[str, dict[str, Any]] = {
        "atMs": at(d.now + DAY),
        "expr": {"kind": "cron", "expr": "0 9 * * *", "tz": "UTC"},
        "tz": {"kind": "cron", "expr": "0 9 * * *", "tz": "UTC"},
        "staggerMs": {"kind": "cron", "expr": "0 9 * * *", "tz": "UTC", "staggerMs": 0},
    }
    usual = {**every(hours=5), "anchorMs": d.now} if d.has("schedule.every") else schedules["expr"]
    named = path == "session.name" or not d.has("session.isolated")
    return {
        "name": "wrong on purpose",
        "schedule": schedules.get(tail, usual),
        "session": wish("named", name=d.fresh_name("any")) if named else wish("isolated"),
        "payload": {"kind": "agentTurn", "text": "Reply OK only."},
        **({"retry": {"maxRetries": 2}} if path == "retry.backoffMs" else {}),
    }


def put(spec: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy of a job with another value at a path such as ``schedule.tz``."""
    changed = copy.deepcopy(spec)
    inner, (*steps, last) = changed, path.split(".")
    for step in steps:
        inner = inner[step]
    inner[last] = value
    return changed


def goes_on(d: Driver, job: Handle) -> None:
    """After what was refused, a job that is right still does its work."""
    if d.has("trigger"):
        d.evidence(job)
    else:
        d.stored(job)
