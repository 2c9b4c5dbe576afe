"""Neutral jobs and OpenClaw's, both ways. Pure.

Nothing is added and nothing is held back: a key beside any target, an unknown target word, a blank name
go to the gateway as they are, so that what becomes of them is its own answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

Json = dict[str, Any]

_CYCLE_DAYS, _CYCLE_YEARS, _DAY_MS = 146_097, 400, 86_400_000
_NAMED = "session:"


class Inexpressible(Exception):
    """OpenClaw has no word for this; the capability is not declared."""


# --- to OpenClaw ------------------------------------------------------------------------------------------


def to_add(
    job: Mapping[str, Any],
    context: Mapping[str, Any] | None,
    default_agent: str,
    current_delivery: str = "announce",
) -> Json:
    """The parameters of ``cron.add``. ``context`` is the wish of the session the request is made from."""
    calling = None
    if context is not None:
        calling = session_key(context["session"], job.get("agent") or default_agent)
    added = {
        "name": job["name"],
        "schedule": to_schedule(job["schedule"]),
        "wakeMode": "now",
        "payload": to_payload(job["payload"]),
        **to_session(job["session"], calling, current_delivery),
    }
    # Of several agents 2026.9.6 has no default one, whatever its config marks.
    added["agentId"] = job.get("agent", default_agent)
    if "timeoutMs" in job:
        added["payload"]["timeoutSeconds"] = _seconds(job["timeoutMs"])
    for same in ("enabled", "deleteAfterRun"):
        if same in job:
            added[same] = job[same]
    return added


def to_patch(
    patch: Mapping[str, Any],
    stored: Mapping[str, Any],
    current_delivery: str = "announce",
    clears_timeout: bool = True,
) -> Json:
    """The ``patch`` of ``cron.update``. ``stored`` is OpenClaw's job: some members need their neighbours."""
    changed: Json = {k: patch[k] for k in ("name", "enabled") if k in patch}
    if "agent" in patch:
        changed["agentId"] = patch["agent"]
    if "schedule" in patch:
        changed["schedule"] = to_schedule(patch["schedule"])
    if "session" in patch:
        changed |= {"sessionKey": None, **to_session(patch["session"], None, current_delivery)}
    if "payload" in patch:
        changed["payload"] = to_payload(patch["payload"])
    if "timeoutMs" in patch:
        limit = patch["timeoutMs"]
        if limit is None and not clears_timeout:
            raise Inexpressible("timeoutMs: null")
        payload = changed.setdefault("payload", {"kind": stored.get("payload", {}).get("kind")})
        payload["timeoutSeconds"] = None if limit is None else _seconds(limit)
    if "deleteAfterRun" in patch:
        wanted = patch["deleteAfterRun"]
        # OpenClaw takes no null here; what it gives a new job is a one-shot's removal.
        kind = changed.get("schedule", stored.get("schedule", {})).get("kind")
        changed["deleteAfterRun"] = kind == "at" if wanted is None else wanted
    return changed


def to_session(wish: Mapping[str, Any], calling: str | None, current_delivery: str = "announce") -> Json:
    """``sessionTarget``, ``sessionKey`` and ``delivery``. ``calling`` is the key of the calling session."""
    if "mode" in wish:
        raise Inexpressible("session.mode")
    target = wish["target"]
    current = target == "current"
    mapped: Json = {"sessionTarget": _NAMED + wish.get("name", "") if target == "named" else target}
    key = wish.get("key", calling if current else None)
    if key is not None:
        mapped["sessionKey"] = key
    mapped["delivery"] = {"mode": current_delivery if current else "none"}
    return mapped


def session_key(wish: Mapping[str, Any], agent: str) -> str:
    """OpenClaw's key of the session that a wish means; :class:`Inexpressible` where it has none."""
    target = wish["target"]
    if "key" in wish:
        plain = wish["key"]
    elif target == "named":
        plain = wish.get("name", "")
    elif target == "main":
        plain = "main"
    else:
        raise Inexpressible(f"the session of target {target}")
    plain = plain.strip()
    return plain if plain.lower().startswith("agent:") else f"agent:{agent}:{plain}"


def to_payload(payload: Mapping[str, Any]) -> Json:
    """An agent turn's text is its ``message``."""
    return {"kind": payload["kind"], "message" if payload["kind"] == "agentTurn" else "text": payload["text"]}


def to_schedule(schedule: Mapping[str, Any]) -> Json:
    """OpenClaw's schedule. Without ``staggerMs`` its default shift of jobs on the hour is switched off."""
    if schedule["kind"] == "at":
        return {"kind": "at", "at": iso(schedule["atMs"])}
    if schedule["kind"] == "cron":
        return {"staggerMs": 0, **schedule}
    return dict(schedule)


def iso(instant_ms: int) -> str:
    """An instant as JavaScript writes it, for every year it can: ``1970-01-01T00:00:00.000Z``."""
    # The Gregorian calendar repeats after 400 years, so a late year is computed as an early one.
    cycles = max(0, (instant_ms // _DAY_MS - 2_900_000) // _CYCLE_DAYS + 1)
    near = instant_ms - cycles * _CYCLE_DAYS * _DAY_MS
    text = datetime.fromtimestamp(near // 1000, UTC)
    year = text.year + cycles * _CYCLE_YEARS
    shown = f"{year:04d}" if year <= 9999 else f"+{year:06d}"
    return f"{shown}-{text:%m-%dT%H:%M:%S}.{near % 1000:03d}Z"


def _seconds(ms: int) -> int | float:
    return ms // 1000 if ms % 1000 == 0 else ms / 1000


# --- from OpenClaw ----------------------------------------------------------------------------------------


def is_system(job: Mapping[str, Any]) -> bool:
    """Whether the gateway made this job for itself (heartbeat, reviews)."""
    return bool(job.get("declarationKey")) or job.get("payload", {}).get("kind") == "heartbeat"


def from_job(job: Mapping[str, Any]) -> Json:
    """The neutral stored job."""
    enabled = bool(job.get("enabled"))
    stored: Json = {
        "id": job["id"],
        "name": job.get("name", ""),
        "enabled": enabled,
        "schedule": from_schedule(job.get("schedule", {})),
        "session": from_session(job),
        "nextRunAtMs": job.get("state", {}).get("nextRunAtMs") if enabled else None,
    }
    payload = job.get("payload", {})
    stored["payload"] = {"kind": payload.get("kind"), "text": payload.get("message", payload.get("text"))}
    if payload.get("timeoutSeconds") is not None:
        stored["timeoutMs"] = round(payload["timeoutSeconds"] * 1000)
    if job.get("agentId"):
        stored["agent"] = job["agentId"]
    if job.get("deleteAfterRun") is not None:
        stored["deleteAfterRun"] = job["deleteAfterRun"]
    if job.get("configRevision"):
        stored["revision"] = job["configRevision"]
    return stored


def from_session(job: Mapping[str, Any]) -> Json:
    """The wish as OpenClaw echoes it."""
    target = str(job.get("sessionTarget", ""))
    wish: Json = {"target": target}
    if target.startswith(_NAMED):
        wish = {"target": "named", "name": target.removeprefix(_NAMED)}
    if job.get("sessionKey"):
        wish["key"] = job["sessionKey"]
    return wish


def from_schedule(schedule: Mapping[str, Any]) -> Json:
    """The neutral schedule; one of a kind that has no neutral word stays as it is."""
    if schedule.get("kind") == "at":
        at = datetime.fromisoformat(str(schedule["at"])) if not str(schedule["at"]).startswith("+") else None
        return {"kind": "at", "atMs": round(at.timestamp() * 1000)} if at else dict(schedule)
    return dict(schedule)


_FIELDS = (
    ("session.name", ("session id", "sessiontarget session")),
    ("session.target", ("sessiontarget", "main cron jobs require", "cron jobs require payload")),
    ("session.key", ("sessionkey", "session key")),
    ("agent", ("agent is unavailable", "agentid", "unknown agent")),
    ("schedule", ("schedule", "cronpattern", "crondate", "cron expression", "timezone", "time zone")),
    ("timeoutMs", ("timeoutseconds",)),
    ("payload", ("payload", "message")),
    ("deleteAfterRun", ("deleteafterrun",)),
    ("name", ("name is required", "/name")),
    ("id", ("not found", "unknown cron job id")),
)


# OpenClaw refuses these with the code UNAVAILABLE, which otherwise means trouble of its own.
_REFUSALS = (
    *("agent is unavailable", "cron jobs require", "is only valid for"),
    *("unknown cron job id", "CronPattern", "CronDate"),
)


def is_refusal(message: str) -> bool:
    """Whether an error that is not called a refusal is one."""
    return any(mark in message for mark in _REFUSALS)


def refusal(message: str) -> Json:
    """``rejected`` for the gateway's refusal; the member at fault is guessed from its words, else ``job``."""
    words = message.lower()
    field = next((field for field, marks in _FIELDS if any(mark in words for mark in marks)), "job")
    return {"rejected": {"field": field, "reason": message}}
