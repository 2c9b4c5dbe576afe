"""What ``gateway/start`` is given, checked as a whole before anything is opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from .checks import MAX_INSTANT, agent_id, flag, integer, members, shorten, text, word
from .errors import Refused
from .settings import MODES, Limits, Settings

_CONFIG = ("agents", "sessionRetentionMs", "maintenance", "maxConcurrentRuns", "runHistory", "archiveMs")
_MAINTENANCE = ("pruneAfterMs", "maxEntries", "maxDiskBytes", "highWaterBytes")
_MISPLACED = ("session", "tools", "cron")
MAX_COUNT = 1_000_000_000


@dataclass(frozen=True)
class Start:
    """Where, when and how to start."""

    now_ms: int
    state_dir: Path
    settings: Settings


def parse_start(params: Mapping[str, Any], base: Settings) -> Start:
    """Read the parameters over the settings ``base``. Raises :class:`Refused` naming the member at fault."""
    for name in ("nowMs", "stateDir"):
        if name not in params:
            raise Refused(name, "is missing")
    return Start(
        integer(params["nowMs"], "nowMs", 0),
        parse_folder(params["stateDir"]),
        with_config(base, params.get("config", {}), params.get("hostZone", "UTC")),
    )


def parse_folder(value: object) -> Path:
    """The state folder. Raises :class:`Refused`."""
    found = text(value, "stateDir", longest=4096)
    if "\0" in found:
        raise Refused("stateDir", f"contains a zero byte ({shorten(found)}); accepted: the path of a folder")
    return Path(found)


def with_config(base: Settings, config: object, host_zone: object) -> Settings:
    """The settings for one start: what ``config`` (schemas/config.schema.json) leaves out stays.

    Raises :class:`Refused`.
    """
    if isinstance(config, Mapping):
        for name in (word for word in _MISPLACED if word in config):
            reason = (
                f"is not read here ({shorten(config[name])}); the maintenance block is config.maintenance"
            )
            raise Refused(f"config.{name}", reason)
    config = members(config, "config", (), _CONFIG)
    settings = replace(base, host_zone=zone(host_zone, "hostZone"))
    if "agents" in config:
        settings = replace(settings, agents=agents(config["agents"], "config.agents"))
    if "sessionRetentionMs" in config:
        kept = _duration_or_none(config["sessionRetentionMs"], "config.sessionRetentionMs")
        settings = replace(settings, retention_ms=kept)
    if "maintenance" in config:
        settings = replace(settings, limits=limits(config["maintenance"]))
    if "maxConcurrentRuns" in config:
        most = integer(config["maxConcurrentRuns"], "config.maxConcurrentRuns", 1, MAX_COUNT, "a number")
        settings = replace(settings, max_concurrent_runs=most)
    if "archiveMs" in config:
        settings = replace(settings, archive_ms=_duration_or_none(config["archiveMs"], "config.archiveMs"))
    return _with_history(settings, config.get("runHistory"))


def _with_history(settings: Settings, value: object) -> Settings:
    if value is None:
        return settings
    block = members(value, "config.runHistory", (), ("maxRuns", "maxAgeMs"))
    if "maxRuns" in block:
        most = integer(block["maxRuns"], "config.runHistory.maxRuns", 1, MAX_COUNT, "a number")
        settings = replace(settings, run_history=most)
    if "maxAgeMs" in block:
        age = _duration_or_none(block["maxAgeMs"], "config.runHistory.maxAgeMs")
        settings = replace(settings, run_history_age_ms=age)
    return settings


def _duration_or_none(value: object, field: str) -> int | None:
    return None if value is None else integer(value, field, 1)


def zone(value: object, field: str) -> str:
    """The name of a zone that exists. Raises :class:`Refused`."""
    name = text(value, field, longest=255)
    try:
        return ZoneInfo(name).key
    except (KeyError, ValueError, OSError):
        reason = f"{shorten(name)} is no zone; accepted: a name of the IANA database such as Europe/Berlin"
        raise Refused(field, reason) from None


def agents(value: object, field: str) -> tuple[str, ...]:
    """Agents, the default one first. Raises :class:`Refused`."""
    if not isinstance(value, (list, tuple)) or not value:
        raise Refused(field, f"is {shorten(value)}; accepted: a list of different names, the default first")
    found = tuple(agent_id(agent, f"{field}[{place}]") for place, agent in enumerate(value))
    if len({agent.lower() for agent in found}) < len(found):
        raise Refused(field, f"is {shorten(value)}; accepted: a list of different names, the default first")
    return found


def limits(value: object, where: str = "config.maintenance") -> Limits:
    """The maintenance block of the contract; what it leaves out keeps the default. Raises :class:`Refused`."""
    block = members(value, where, ("mode",), _MAINTENANCE)
    numbers = {name: block[name] for name in _MAINTENANCE if name in block}
    units = {"pruneAfterMs": "milliseconds", "maxEntries": "a number"}
    for name, given in numbers.items():
        integer(given, f"{where}.{name}", 1, MAX_INSTANT, units.get(name, "bytes"))
    found = Limits.of({"mode": word(block["mode"], f"{where}.mode", MODES), **numbers})
    return check_high_water(found, f"{where}.highWaterBytes")


def check_high_water(limits: Limits, field: str) -> Limits:
    """Refuse a mark above the limit that it belongs to."""
    if limits.high_water_bytes is not None and limits.high_water_bytes > limits.max_disk_bytes:
        reason = (
            f"is {limits.high_water_bytes}; accepted: at most maxDiskBytes, which is {limits.max_disk_bytes}"
        )
        raise Refused(field, reason)
    return limits


def dry_run(params: Mapping[str, Any]) -> bool:
    """The member of ``store/maintain``, which is never guessed. Raises :class:`Refused`."""
    if "dryRun" not in params:
        raise Refused("dryRun", "is missing; accepted: true or false")
    return flag(params["dryRun"], "dryRun")
