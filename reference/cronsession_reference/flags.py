"""The flags of ``cron add`` and ``cron edit``, and the job they describe in the words of the contract."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from datetime import UTC, datetime, timezone
from typing import Any
from zoneinfo import ZoneInfo

from .errors import Refused
from .units import parse_duration


def add_job_flags(parser: argparse.ArgumentParser) -> None:
    """The flags both commands share."""
    parser.add_argument("--name", help="what the job is called")
    parser.add_argument("--agent", help="whose job it is (default: the first configured agent)")
    when = parser.add_mutually_exclusive_group()
    when.add_argument("--cron", metavar="EXPR", help="cron expression of five fields")
    when.add_argument("--every", metavar="DURATION", help="interval such as 15m")
    when.add_argument("--at", metavar="TIME", help="once, at an ISO 8601 time or in a while such as 20m")
    parser.add_argument("--tz", metavar="ZONE", help="IANA zone of --cron, or of an --at without offset")
    parser.add_argument("--session", metavar="TARGET", help="isolated, main, current or session:NAME")
    parser.add_argument("--session-key", metavar="KEY", help="the session to use, as a key or a plain word")
    parser.add_argument("--session-mode", metavar="MODE", help="fresh or shared")
    payload = parser.add_mutually_exclusive_group()
    payload.add_argument("--message", metavar="TEXT", help="what the agent is asked")
    payload.add_argument("--system-event", metavar="TEXT", help="an event for the main session")
    parser.add_argument("--timeout-seconds", type=float, metavar="N", help="how long a run may take")
    parser.add_argument(
        "--delete-after-run", action="store_true", default=None, help="forget a one-shot when done"
    )
    parser.add_argument("--retries", type=int, metavar="N", help="repeat a passing failure so many times")
    parser.add_argument(
        "--retry-wait", action="append", metavar="DURATION", help="before each; may be repeated"
    )
    parser.add_argument("--max-failures", type=int, metavar="N", help="disable it after so many in a row")
    parser.add_argument("--catch-up", metavar="POLICY", help="missed slots: skip, once or all")
    parser.add_argument("--max-lateness", metavar="DURATION", help="a missed slot that is later is not run")
    parser.add_argument("--no-deliver", action="store_true", help="deliver nothing (this gateway never does)")
    parser.add_argument("--disabled", action="store_true", default=None, help="do not schedule it")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def spec_of(args: argparse.Namespace, now_ms: int) -> dict[str, Any]:
    """The job of ``cron add``. Raises :class:`Refused` for flags that are missing or do not fit."""
    changes = changes_of(args, now_ms, {})
    if "schedule" not in changes:
        raise Refused("schedule", "is missing; give one of --cron, --every, --at")
    if "payload" not in changes:
        raise Refused("payload", "is missing; give one of --message, --system-event")
    target = "main" if changes["payload"]["kind"] == "systemEvent" else "isolated"
    if args.session is None:
        changes["session"] = {"target": target, **_key_and_mode(args)}
    return {"name": changes["payload"]["text"][:60], **changes}


def changes_of(args: argparse.Namespace, now_ms: int, session: Mapping[str, Any]) -> dict[str, Any]:
    """What the flags say, as a patch. ``session`` is the present wish, for flags that change a part of it."""
    changes: dict[str, Any] = {}
    for flag in ("name", "agent"):
        if getattr(args, flag) is not None:
            changes[flag] = getattr(args, flag)
    if (schedule := _schedule(args, now_ms)) is not None:
        changes["schedule"] = schedule
    if args.session is not None:
        changes["session"] = {**_target(args.session), **_key_and_mode(args)}
    elif session and _key_and_mode(args):
        changes["session"] = {**session, **_key_and_mode(args)}
    if args.message is not None:
        changes["payload"] = {"kind": "agentTurn", "text": args.message}
    if args.system_event is not None:
        changes["payload"] = {"kind": "systemEvent", "text": args.system_event}
    if args.timeout_seconds is not None:
        changes["timeoutMs"] = _timeout(args.timeout_seconds)
    changes |= _recovery(args)
    if args.delete_after_run is not None:
        changes["deleteAfterRun"] = args.delete_after_run
    if args.disabled is not None:
        changes["enabled"] = not args.disabled
    return changes


def _recovery(args: argparse.Namespace) -> dict[str, Any]:
    """What is said about failures and missed slots."""
    changes: dict[str, Any] = {}
    waits = [_duration("--retry-wait", wait) for wait in args.retry_wait or ()]
    if waits and args.retries is None:
        raise Refused("--retry-wait", "says how long to wait before --retries N; give both")
    if args.retries is not None:
        changes["retry"] = {"maxRetries": args.retries, **({"backoffMs": waits} if waits else {})}
    if args.max_failures is not None:
        changes["maxFailures"] = args.max_failures
    if args.max_lateness is not None and args.catch_up is None:
        raise Refused("--max-lateness", "limits what --catch-up runs late; give both")
    if args.catch_up is not None:
        late = (
            {}
            if args.max_lateness is None
            else {"maxLatenessMs": _duration("--max-lateness", args.max_lateness)}
        )
        changes["catchUp"] = {"policy": args.catch_up, **late}
    return changes


def _key_and_mode(args: argparse.Namespace) -> dict[str, str]:
    parts = {"key": args.session_key, "mode": args.session_mode}
    return {name: value for name, value in parts.items() if value is not None}


def _target(word: str) -> dict[str, str]:
    if word.startswith("session:"):
        return {"target": "named", "name": word.removeprefix("session:")}
    if word not in ("isolated", "main", "current"):
        raise Refused("--session", f"cannot be {word!r}; accepted: isolated, main, current, session:NAME")
    return {"target": word}


def _timeout(seconds: float) -> int:
    if not 0.001 <= seconds <= 1e9:
        raise Refused("--timeout-seconds", f"cannot be {seconds:g}; accepted: more than zero")
    return round(seconds * 1000)


def _schedule(args: argparse.Namespace, now_ms: int) -> dict[str, Any] | None:
    if args.cron is not None:
        return {"kind": "cron", "expr": args.cron, **({"tz": args.tz} if args.tz is not None else {})}
    if args.every is not None:
        _no_zone(args)
        return {"kind": "every", "everyMs": _duration("--every", args.every)}
    if args.at is not None:
        return {"kind": "at", "atMs": _instant(args.at, args.tz, now_ms)}
    _no_zone(args)
    return None


def _no_zone(args: argparse.Namespace) -> None:
    if args.tz is not None:
        raise Refused("--tz", "belongs to --cron, or to an --at without an offset")


def _duration(flag: str, text: str) -> int:
    try:
        return parse_duration(text)
    except ValueError as err:
        raise Refused(flag, f"cannot be {text!r}: {err}") from None


def _instant(text: str, zone: str | None, now_ms: int) -> int:
    try:
        moment = datetime.fromisoformat(text.strip().replace("Z", "+00:00").replace("z", "+00:00"))
    except ValueError:
        return now_ms + _later(text, zone)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=_zone(zone))
    elif zone is not None:
        raise Refused("--tz", f"and the offset in {text!r} both speak; leave out one of them")
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000


def _later(text: str, zone: str | None) -> int:
    try:
        if zone is None:
            return parse_duration(text.removeprefix("+"))
    except ValueError:
        pass
    raise Refused("--at", f"cannot be {text!r}; accepted: a time such as 2026-03-01T07:15:00Z, or 20m")


def _zone(name: str | None) -> timezone | ZoneInfo:
    if name is None:
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        reason = f"cannot be {name!r}; accepted: a name of the IANA database such as Europe/Berlin"
        raise Refused("--tz", reason) from None
