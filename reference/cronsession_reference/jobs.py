"""Jobs as values: parsed once, at the edge, into frozen dataclasses, and back into the contract's shape."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from .errors import Refused
from .settings import MAX_INSTANT

TARGETS = ("isolated", "named", "main", "current")
MODES = ("fresh", "shared")
PAYLOADS = ("agentTurn", "systemEvent")


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
    """A stored job. ``next_run_ms`` is None if no run is to come."""

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


def shorten(value: object, limit: int = 60) -> str:
    """A value as an error message shows it."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def members(
    data: object, where: str, required: Collection[str], optional: Collection[str]
) -> Mapping[str, Any]:
    """Check that ``data`` is an object with these members; raise :class:`Refused` naming the odd one."""
    if not isinstance(data, Mapping):
        raise Refused(where or "job", f"must be an object, not {shorten(data)}")
    prefix = f"{where}." if where else ""
    for name in data:
        if name not in required and name not in optional:
            known = ", ".join([*required, *optional])
            raise Refused(f"{prefix}{name}", f"is not a member that exists here; accepted: {known}")
    for name in required:
        if name not in data:
            raise Refused(f"{prefix}{name}", "is missing")
    return data


def integer(value: object, field: str, low: int, high: int = MAX_INSTANT) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise Refused(field, f"must be an integer from {low} to {high} (milliseconds), not {shorten(value)}")
    return value


def text(value: object, field: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise Refused(field, f"must be a text that is not blank, not {shorten(value)}")
    if any(0xD800 <= ord(letter) <= 0xDFFF for letter in value):
        raise Refused(field, "contains half of a surrogate pair; send whole characters")
    return value


def flag(value: object, field: str) -> bool:
    if not isinstance(value, bool):
        raise Refused(field, f"must be true or false, not {shorten(value)}")
    return value


def word(value: object, field: str, known: Collection[str]) -> str:
    if not isinstance(value, str) or value not in known:
        raise Refused(field, f"cannot be {shorten(value)}; accepted: {', '.join(known)}")
    return value


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
        tz = text(data.get("tz", zone), "schedule.tz")
        stagger = integer(data.get("staggerMs", 0), "schedule.staggerMs", 0)
        return Cron(text(data["expr"], "schedule.expr"), tz, stagger)
    members(data, "schedule", ("kind",), ("atMs", "everyMs", "anchorMs", "expr", "tz", "staggerMs"))
    raise Refused("schedule.kind", f"cannot be {shorten(kind)}; accepted: at, every, cron")


def parse_wish(data: object, where: str = "session") -> Wish:
    """Read a session wish. Raises :class:`Refused`; whether its parts agree is the resolver's business."""
    data = members(data, where, ("target",), ("name", "key", "mode"))
    words = {part: text(data[part], f"{where}.{part}") for part in ("name", "key") if part in data}
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
    return data


def job_from_dict(data: Mapping[str, Any]) -> Job:
    """Read back what :func:`job_dict` wrote; raise :class:`Refused` or :class:`KeyError` on damage."""
    return Job(
        id=data["id"],
        name=data["name"],
        agent=data["agent"],
        enabled=flag(data["enabled"], "enabled"),
        schedule=parse_schedule(data["schedule"], now_ms=0, zone="UTC"),
        session=parse_wish(data["session"]),
        payload=parse_payload(data["payload"]),
        timeout_ms=data.get("timeoutMs"),
        delete_after_run=data.get("deleteAfterRun", False),
        next_run_ms=data["nextRunAtMs"],
        revision=data["revision"],
        created_ms=data["createdAtMs"],
    )
