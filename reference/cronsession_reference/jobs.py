"""Jobs as values: parsed once, at the edge, into frozen dataclasses, and back into the contract's shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from . import checks
from .checks import MAX_KEY, MAX_NAME, flag, integer, members, shorten, text, word
from .errors import Refused
from .recovery import (
    CatchUp,
    Retry,
    catch_up_dict,
    parse_catch_up,
    parse_max_failures,
    parse_retry,
    retry_dict,
)

TARGETS = ("isolated", "named", "main", "current")
MODES = ("fresh", "shared")
PAYLOADS = ("agentTurn", "systemEvent")
OPERATOR, FAILURES = DISABLERS = ("operator", "failures")
"""Who disabled a job: a person, or the gateway after too many failures."""


@dataclass(frozen=True)
class At:
    """Once, at ``at_ms``."""

    at_ms: int


@dataclass(frozen=True)
class Every:
    """At ``anchor_ms + k * every_ms``."""

    every_ms: int
    anchor_ms: int


@dataclass(frozen=True)
class Cron:
    """Where the expression matches in zone ``tz``, moved by a fixed part of ``stagger_ms``."""

    expr: str
    tz: str
    stagger_ms: int = 0


Schedule = At | Every | Cron


@dataclass(frozen=True)
class Wish:
    """Which session a run shall use, in the words of the contract."""

    target: str
    name: str | None = None
    key: str | None = None
    mode: str | None = None


@dataclass(frozen=True)
class Payload:
    kind: str
    text: str


@dataclass(frozen=True)
class Job:
    """A stored job. ``next_run_ms`` is None if no slot is to come.

    ``failures`` counts those in a row. ``disabled_by`` is ``operator`` or ``failures``, with its reason; None
    for a job that is enabled, or a one-shot that is done.
    """

    id: str
    name: str
    agent: str
    enabled: bool
    schedule: Schedule
    session: Wish
    payload: Payload
    timeout_ms: int | None = None
    delete_after_run: bool = False
    next_run_ms: int | None = None
    revision: int = 1
    created_ms: int = 0
    retry: Retry | None = None
    max_failures: int | None = None
    catch_up: CatchUp | None = None
    failures: int = 0
    disabled_by: str | None = None
    disabled_reason: str | None = None


def parse_schedule(data: object, *, now_ms: int, zone: str) -> Schedule:
    """Read a schedule; an absent anchor is ``now_ms``, an absent zone ``zone``. Raises :class:`Refused`."""
    kind = data.get("kind") if isinstance(data, Mapping) else None
    if kind == "at":
        data = members(data, "schedule", ("kind", "atMs"), ())
        return At(integer(data["atMs"], "schedule.atMs", 0))
    if kind == "every":
        data = members(data, "schedule", ("kind", "everyMs"), ("anchorMs",))
        every = integer(data["everyMs"], "schedule.everyMs", 1)
        return Every(every, integer(data.get("anchorMs", now_ms), "schedule.anchorMs", 0))
    if kind == "cron":
        data = members(data, "schedule", ("kind", "expr"), ("tz", "staggerMs"))
        tz = text(data.get("tz", zone), "schedule.tz", longest=MAX_NAME)
        stagger = integer(data.get("staggerMs", 0), "schedule.staggerMs", 0)
        return Cron(text(data["expr"], "schedule.expr"), tz, stagger)
    members(data, "schedule", ("kind",), ("atMs", "everyMs", "anchorMs", "expr", "tz", "staggerMs"))
    raise Refused("schedule.kind", f"cannot be {shorten(kind)}; accepted: at, every, cron")


def parse_wish(data: object, where: str = "session") -> Wish:
    """Read a session wish. Raises :class:`Refused`; whether its parts agree is the resolver's business."""
    data = members(data, where, ("target",), ("name", "key", "mode"))
    given = [part for part in ("name", "key") if part in data]
    words = {part: text(data[part], f"{where}.{part}", longest=MAX_KEY) for part in given}
    mode = word(data["mode"], f"{where}.mode", MODES) if "mode" in data else None
    return Wish(word(data["target"], f"{where}.target", TARGETS), words.get("name"), words.get("key"), mode)


def parse_payload(data: object) -> Payload:
    data = members(data, "payload", ("kind", "text"), ())
    return Payload(word(data["kind"], "payload.kind", PAYLOADS), text(data["text"], "payload.text"))


def check_payload(job: Job) -> None:
    """Main sessions take system events, all others agent turns. Raises :class:`Refused`."""
    if job.session.target == "main" and job.payload.kind != "systemEvent":
        raise Refused("payload.kind", "the main session takes system events; use kind systemEvent")
    if job.session.target != "main" and job.payload.kind == "systemEvent":
        reason = (
            f"a system event goes to the main session, not to target {job.session.target}; use kind agentTurn"
        )
        raise Refused("payload.kind", reason)


def schedule_dict(schedule: Schedule) -> dict[str, Any]:
    if isinstance(schedule, At):
        return {"kind": "at", "atMs": schedule.at_ms}
    if isinstance(schedule, Every):
        return {"kind": "every", "everyMs": schedule.every_ms, "anchorMs": schedule.anchor_ms}
    stagger = {"staggerMs": schedule.stagger_ms} if schedule.stagger_ms else {}
    return {"kind": "cron", "expr": schedule.expr, "tz": schedule.tz, **stagger}


def wish_dict(wish: Wish) -> dict[str, Any]:
    parts = {"target": wish.target, "name": wish.name, "key": wish.key, "mode": wish.mode}
    return {name: value for name, value in parts.items() if value is not None}


def job_dict(job: Job) -> dict[str, Any]:
    """The stored job in the shape of the contract."""
    data: dict[str, Any] = {
        "id": job.id,
        "name": job.name,
        "agent": job.agent,
        "enabled": job.enabled,
        "schedule": schedule_dict(job.schedule),
        "session": wish_dict(job.session),
        "payload": {"kind": job.payload.kind, "text": job.payload.text},
        "nextRunAtMs": job.next_run_ms,
        "revision": job.revision,
        "createdAtMs": job.created_ms,
    }
    if job.timeout_ms is not None:
        data["timeoutMs"] = job.timeout_ms
    if job.delete_after_run:
        data["deleteAfterRun"] = True
    return {**data, **_recovery_dict(job)}


def _recovery_dict(job: Job) -> dict[str, Any]:
    data: dict[str, Any] = {
        "retry": None if job.retry is None else retry_dict(job.retry),
        "maxFailures": job.max_failures,
        "catchUp": None if job.catch_up is None else catch_up_dict(job.catch_up),
        "failures": job.failures or None,
        "disabledBy": job.disabled_by,
        "disabledReason": job.disabled_reason,
    }
    return {name: value for name, value in data.items() if value is not None}


def parse_timeout(value: object) -> int:
    return integer(value, "timeoutMs", 1)


def job_from_dict(data: Mapping[str, Any]) -> Job:
    """Read back what :func:`job_dict` wrote; raise :class:`Refused` or :class:`KeyError` on damage."""
    given = {name: data[name] for name in _PARSERS if data.get(name) is not None}
    parts = {name: _PARSERS[name](value) for name, value in given.items()}
    disabled_by = data.get("disabledBy")
    next_run = data["nextRunAtMs"]
    return Job(
        id=checks.identifier(data["id"], "id"),
        name=text(data["name"], "name"),
        agent=text(data["agent"], "agent"),
        enabled=flag(data["enabled"], "enabled"),
        schedule=parse_schedule(data["schedule"], now_ms=0, zone="UTC"),
        session=parse_wish(data["session"]),
        payload=parse_payload(data["payload"]),
        timeout_ms=parts.get("timeoutMs"),
        delete_after_run=flag(data.get("deleteAfterRun", False), "deleteAfterRun"),
        next_run_ms=None if next_run is None else integer(next_run, "nextRunAtMs", 0),
        revision=integer(data["revision"], "revision", 1, unit="a number"),
        created_ms=integer(data["createdAtMs"], "createdAtMs", 0),
        retry=parts.get("retry"),
        max_failures=parts.get("maxFailures"),
        catch_up=parts.get("catchUp"),
        failures=integer(data.get("failures", 0), "failures", 0, unit="a number"),
        disabled_by=None if disabled_by is None else word(disabled_by, "disabledBy", DISABLERS),
        disabled_reason=None
        if data.get("disabledReason") is None
        else text(data["disabledReason"], "disabledReason"),
    )


_PARSERS: Mapping[str, Callable[[Any], Any]] = {
    "timeoutMs": parse_timeout,
    "retry": parse_retry,
    "maxFailures": parse_max_failures,
    "catchUp": parse_catch_up,
}
"""The optional members that null clears, and how each is read."""
OPTIONAL = tuple(_PARSERS)


def parse_optional(name: str, value: object) -> Any:
    """Read one of the :data:`OPTIONAL` members; None for null. Raises :class:`Refused`."""
    return None if value is None else _PARSERS[name](value)
