"""What a gateway is told once, at its start: policies, agents, limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .checks import MAX_INSTANT as MAX_INSTANT
from .recovery import Retry

SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
REAL_TIME_LATENESS_MS = 5 * SECOND
"""In real time: how late a slot is still on time, rather than one that was missed."""

MODES = ("warn", "enforce")

_ANSWERS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "sessionKey": ("session_key", ("honour", "reject", "report")),
    "keyCase": ("key_case", ("fold", "preserve")),
    "currentFallback": ("current_fallback", ("isolated", "reject")),
    "catchUp": ("catch_up", ("once", "skip", "grace", "all")),
    "missedOneShot": ("missed_one_shot", ("run", "skip", "grace")),
    "manualOneShot": ("manual_one_shot", ("keep", "consume")),
    "slotAtCreation": ("slot_at_creation", ("excluded", "included")),
    "pastOneShot": ("past_one_shot", ("reject", "run", "missed")),
    "intervalAnchor": ("interval_anchor", ("grid", "start", "end")),
    "overlap": ("overlap", ("skip", "queue")),
    "dst": ("dst", ("vixie", "ocps", "shift", "both")),
    "defaultZone": ("default_zone", ("host", "utc")),
}


@dataclass(frozen=True)
class Policies:
    """The answers to the questions that have several right answers; the defaults come first in the table."""

    session_key: str = "honour"
    key_case: str = "fold"
    current_fallback: str = "isolated"
    catch_up: str = "once"
    missed_one_shot: str = "run"
    manual_one_shot: str = "keep"
    slot_at_creation: str = "excluded"
    past_one_shot: str = "reject"
    interval_anchor: str = "grid"
    overlap: str = "skip"
    dst: str = "vixie"
    default_zone: str = "host"

    @staticmethod
    def of(answers: Mapping[str, str]) -> Policies:
        """Read published names such as ``sessionKey``; raise :class:`ValueError` on an unknown one."""
        values: dict[str, str] = {}
        for name, answer in answers.items():
            if name not in _ANSWERS:
                raise ValueError(f"unknown policy {name!r:.60}; known: {', '.join(_ANSWERS)}")
            attribute, known = _ANSWERS[name]
            if not isinstance(answer, str) or answer not in known:
                raise ValueError(f"policy {name} cannot be {answer!r:.60}; accepted: {', '.join(known)}")
            values[attribute] = answer
        return Policies(**values)

    def to_dict(self) -> dict[str, str]:
        return {name: getattr(self, attribute) for name, (attribute, _) in _ANSWERS.items()}


@dataclass(frozen=True)
class Limits:
    """The maintenance block. Each limit works on its own; in mode ``warn`` nothing is ever removed.

    What exceeds ``max_disk_bytes`` is cut down to ``high_water_bytes``, so that it does not exceed it again
    with the next turn.
    """

    mode: str = "enforce"
    prune_after_ms: int = 30 * DAY
    max_entries: int = 500
    max_disk_bytes: int = 500 * 1024 * 1024
    high_water_bytes: int | None = None

    def allowed_bytes(self, size: int) -> int:
        """How much of ``size`` bytes may stay."""
        if size <= self.max_disk_bytes or self.high_water_bytes is None:
            return self.max_disk_bytes
        return min(self.high_water_bytes, self.max_disk_bytes)

    @staticmethod
    def of(block: Mapping[str, Any] | None) -> Limits:
        """Read the block of the contract; what it leaves out keeps the default."""
        block = block or {}
        names = {"mode": "mode", "pruneAfterMs": "prune_after_ms", "maxEntries": "max_entries"}
        names |= {"maxDiskBytes": "max_disk_bytes", "highWaterBytes": "high_water_bytes"}
        return Limits(**{names[name]: value for name, value in block.items()})


@dataclass(frozen=True)
class Settings:
    """Everything the parts of a gateway share. Durations are milliseconds.

    ``run_history`` is how many runs of a job are kept, ``run_history_age_ms`` how long; ``archive_ms`` how
    long the transcripts of removed sessions are put aside, None for not at all. ``retry`` and
    ``max_failures`` hold for jobs that do not say; ``max_failures`` None switches no job off.
    """

    agents: tuple[str, ...] = ("main",)
    host_zone: str = "UTC"
    retention_ms: int | None = DAY
    limits: Limits = field(default_factory=Limits)
    policies: Policies = field(default_factory=Policies)
    sweep_interval_ms: int = MINUTE
    run_history: int = 1000
    run_history_age_ms: int | None = None
    default_timeout_ms: int = HOUR
    lateness_ms: int = 0
    max_lateness_ms: int | None = None
    catch_up_spread_ms: int = 2 * MINUTE
    max_concurrent_runs: int = 16
    retry: Retry = field(default_factory=Retry)
    max_failures: int | None = 10
    archive_ms: int | None = None

    @property
    def default_agent(self) -> str:
        return self.agents[0]

    @property
    def default_zone(self) -> str:
        return self.host_zone if self.policies.default_zone == "host" else "UTC"
