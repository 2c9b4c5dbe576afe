"""The configuration file for people: ``config.json`` in the state folder.

An unknown member is refused rather than ignored, and every refusal names the member, its value and what is
accepted in its place.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .checks import shorten
from .errors import Refused
from .recovery import Retry, parse_retry
from .settings import MODES, Limits, Policies, Settings
from .start import agents, check_high_water
from .units import DURATION, SIZE, parse_duration, parse_size

MAINTENANCE = {"mode": "enforce", "pruneAfter": "14d", "maxEntries": 400, "maxDiskBytes": "500mb"}
"""What ``doctor --fix`` writes."""


_CRON = (
    *("sessionRetention", "sweepInterval", "runHistory", "runHistoryAge", "maxConcurrentRuns", "maxFailures"),
    *("maxLateness", "catchUpSpread", "timeout", "retry"),
)


@dataclass(frozen=True)
class Config:
    """What the file says. ``model_url`` is empty for the built-in echo."""

    settings: Settings
    model_url: str = ""
    model_name: str = "cronsession"
    has_maintenance: bool = False


def read_file(path: Path) -> dict[str, Any]:
    """The file's object, ``{}`` if there is no file. Raises :class:`Refused`."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (ValueError, OSError, RecursionError) as err:
        raise Refused(str(path), f"cannot be read: {err}") from None
    if not isinstance(data, dict):
        raise Refused(str(path), "must contain one JSON object")
    return data


def write_file(path: Path, data: Mapping[str, Any]) -> None:
    """Replace the file as a whole: a reader sees the old one or the new one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".config-", suffix=".json")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(data, file, indent=2, ensure_ascii=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def parse_config(data: Mapping[str, Any], base: Settings) -> Config:
    """Read the object of a file over the defaults ``base``. Raises :class:`Refused`."""
    tools = data.get("tools")
    if isinstance(tools, Mapping) and "sessions" in tools:
        reason = 'is not read; move the block to "session", so that "maintenance" is session.maintenance'
        raise Refused("tools.sessions", reason)
    _known(data, "", ("agents", "cron", "session", "model", "policies"))
    cron = _block(data, "cron", _CRON)
    session = _block(data, "session", ("maintenance", "archive"))
    model = _block(data, "model", ("url", "name"))
    settings = replace(
        base,
        agents=agents(data.get("agents", list(base.agents)), "agents"),
        retention_ms=_unless_off(cron, "cron.sessionRetention", base.retention_ms),
        sweep_interval_ms=_read(cron, "cron.sweepInterval", _duration, base.sweep_interval_ms),
        run_history=_read(cron, "cron.runHistory", _count, base.run_history),
        run_history_age_ms=_unless_off(cron, "cron.runHistoryAge", base.run_history_age_ms),
        max_concurrent_runs=_read(cron, "cron.maxConcurrentRuns", _count, base.max_concurrent_runs),
        max_failures=_max_failures(cron, base.max_failures),
        max_lateness_ms=_unless_off(cron, "cron.maxLateness", base.max_lateness_ms),
        catch_up_spread_ms=_unless_off(cron, "cron.catchUpSpread", base.catch_up_spread_ms) or 0,
        default_timeout_ms=_read(cron, "cron.timeout", _duration, base.default_timeout_ms),
        retry=_retry(cron.get("retry"), base.retry),
        archive_ms=_unless_off(session, "session.archive", base.archive_ms),
        limits=_limits(session.get("maintenance"), base.limits),
        policies=_policies(data.get("policies"), base.policies),
    )
    return Config(
        settings,
        _read(model, "model.url", _text, ""),
        _read(model, "model.name", _text, "cronsession"),
        isinstance(session.get("maintenance"), Mapping),
    )


def _known(data: Mapping[str, Any], where: str, names: tuple[str, ...]) -> None:
    for name in data:
        if name not in names:
            field = f"{where}.{name}" if where else name
            if name == "maintenance":
                raise Refused(field, 'is not read here; move the block to "session": session.maintenance')
            raise Refused(field[:80], f"is not a setting that exists; accepted here: {', '.join(names)}")


def _block(data: Mapping[str, Any], where: str, names: tuple[str, ...]) -> Mapping[str, Any]:
    block = data.get(where.rpartition(".")[2], {})
    if not isinstance(block, Mapping):
        raise Refused(where, f"is {shorten(block)}; accepted: an object with {', '.join(names)}")
    _known(block, where, names)
    return block


def _read(block: Mapping[str, Any], field: str, parse: Callable[[str, Any], Any], default: Any) -> Any:
    name = field.rpartition(".")[2]
    return parse(field, block[name]) if name in block else default


def _duration(field: str, value: Any) -> int:
    try:
        found = parse_duration(value) if isinstance(value, str) else 0
    except ValueError:
        found = 0
    if found <= 0:
        raise Refused(field, f"is {shorten(value)}; accepted: {DURATION}, more than zero")
    return found


def _size(field: str, value: Any) -> int:
    try:
        found = parse_size(value) if isinstance(value, (str, int)) else 0
    except ValueError:
        found = 0
    if found <= 0:
        raise Refused(field, f"is {shorten(value)}; accepted: {SIZE}, more than zero")
    return found


def _count(field: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise Refused(field, f"is {shorten(value)}; accepted: an integer of at least 1")
    return value


def _text(field: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise Refused(field, f"is {shorten(value)}; accepted: a text that is not blank")
    return value


def _unless_off(block: Mapping[str, Any], field: str, default: int | None) -> int | None:
    """A duration; false turns it off."""
    value = block.get(field.rpartition(".")[2])
    if value is None:
        return default
    if value is False:
        return None
    try:
        return _duration(field, value)
    except Refused as err:
        raise Refused(err.field, f"{err.reason}; or false to turn it off") from None


def _max_failures(cron: Mapping[str, Any], default: int | None) -> int | None:
    value = cron.get("maxFailures")
    return None if value is False else _read(cron, "cron.maxFailures", _count, default)


def _retry(value: Any, default: Retry) -> Retry:
    if value is None:
        return default
    block = _block({"retry": value}, "cron.retry", ("max", "backoff"))
    limit = block.get("max", default.limit)
    waits = block.get("backoff")
    if waits is None:
        return parse_retry({"maxRetries": limit, "backoffMs": default.backoff_ms}, "cron.retry")
    if not isinstance(waits, list):
        raise Refused("cron.retry.backoff", f"is {shorten(waits)}; accepted: a list of durations")
    durations = [_duration(f"cron.retry.backoff[{place}]", wait) for place, wait in enumerate(waits)]
    return parse_retry({"maxRetries": limit, "backoffMs": durations}, "cron.retry")


def _limits(value: Any, base: Limits) -> Limits:
    if value is None:
        return base
    where = "session.maintenance"
    block = _block({"maintenance": value}, where, (*MAINTENANCE, "highWaterBytes"))
    mode = block.get("mode", base.mode)
    if not isinstance(mode, str) or mode not in MODES:
        raise Refused(f"{where}.mode", f"is {shorten(mode)}; accepted: {', '.join(MODES)}")
    found = Limits(
        mode,
        _read(block, f"{where}.pruneAfter", _duration, base.prune_after_ms),
        _read(block, f"{where}.maxEntries", _count, base.max_entries),
        _read(block, f"{where}.maxDiskBytes", _size, base.max_disk_bytes),
        _read(block, f"{where}.highWaterBytes", _size, base.high_water_bytes),
    )
    return check_high_water(found, f"{where}.highWaterBytes")


def _policies(value: Any, base: Policies) -> Policies:
    if value is None:
        return base
    if not isinstance(value, Mapping):
        raise Refused("policies", f"is {shorten(value)}; accepted: an object from policy to answer")
    try:
        return Policies.of({**base.to_dict(), **value})
    except ValueError as err:
        raise Refused("policies", str(err)) from None
