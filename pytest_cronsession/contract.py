"""The contract between the suite and a gateway, as Python values.

The normative text is ``specs/protocol.md``; the shapes are ``specs/schemas``. A gateway in Python is
any object with the methods of :class:`Gateway`; they take one ``params`` dict, return one dict, and
may be plain or ``async``. Instants are integer milliseconds since the epoch, durations milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from .vocabulary import CAPABILITIES, OPERATIONS, POLICIES, PROFILES, Policy

__all__ = [
    "CAPABILITIES",
    "OPERATIONS",
    "POLICIES",
    "PROFILES",
    "PROTOCOL",
    "SPEC_REVISION",
    "Gateway",
    "Hello",
    "Job",
    "Policy",
    "Rejected",
    "Run",
    "Session",
    "Trigger",
    "Unused",
    "Write",
    "method_name",
]

PROTOCOL = 1
SPEC_REVISION = 1


LATEST_MS = 1000  # of latenessMs, where time is virtual


@dataclass(frozen=True)
class Hello:
    """The answer to ``initialize``."""

    name: str
    version: str
    spec_revision: int
    capabilities: frozenset[str]
    profiles: tuple[str, ...]
    policies: Mapping[str, str]
    url: str = ""
    resolution_ms: int = 1
    lateness_ms: int = 0
    sweep_interval_ms: int = 300_000

    @property
    def realtime(self) -> bool:
        """True where time cannot be driven: only what needs no clock is judged."""
        return "clock.advance" not in self.capabilities

    @property
    def late_by_ms(self) -> int:
        """So long after its instant something has begun: the lateness, and what is between two steps of the clock."""
        return self.lateness_ms + max(1, self.resolution_ms) - 1

    def policy(self, name: str) -> str:
        """The declared answer, or the published default."""
        return self.policies.get(name, POLICIES[name].default)

    @staticmethod
    def parse(data: Mapping[str, Any]) -> Hello:
        """Read a schema-valid answer; raise :class:`ValueError` on an unknown capability or policy.

        A clock by which things start later than a second is none to judge by: then the gateway has no clock.
        """
        _known("capability", data["capabilities"], CAPABILITIES)
        _known("policy", data["policies"], POLICIES)
        for name, answer in data["policies"].items():
            _known(f"answer to policy {name!r}", [answer], POLICIES[name].answers)
        late = data.get("latenessMs", 0)
        unfit = {"clock.advance", "clock.jump"} if late > LATEST_MS else set()
        return Hello(
            name=data["name"],
            version=data["version"],
            url=data.get("url", ""),
            spec_revision=data["specRevision"],
            capabilities=frozenset(data["capabilities"]) - unfit,
            profiles=tuple(data["profiles"]),
            policies=dict(data["policies"]),
            resolution_ms=data.get("resolutionMs", 1),
            lateness_ms=late,
            sweep_interval_ms=data.get("sweepIntervalMs", 300_000),
        )


def _known(what: str, words: Any, known: Mapping[str, Any]) -> None:
    for word in words:
        if word not in known:
            raise ValueError(f"unknown {what} {word!r}; known: {', '.join(sorted(known))}")


@dataclass(frozen=True)
class Unused:
    """An accepted member of a job that will have no effect on its runs."""

    field: str
    reason: str


@dataclass(frozen=True)
class Rejected:
    """A refused write: the member at fault and why."""

    field: str
    reason: str


@dataclass(frozen=True)
class Job:
    """A stored job."""

    id: str
    enabled: bool
    next_run_ms: int | None
    raw: Mapping[str, Any] = field(repr=False, hash=False)

    @property
    def resolved_key(self) -> str | None:
        key = self.raw.get("resolved", {}).get("sessionKey")
        return key if isinstance(key, str) else None

    @staticmethod
    def parse(data: Mapping[str, Any]) -> Job:
        return Job(data["id"], data["enabled"], data["nextRunAtMs"], dict(data))


@dataclass(frozen=True)
class Write:
    """The answer to ``job/add`` and ``job/update``: exactly one of ``job`` and ``rejected`` is set."""

    job: Job | None
    rejected: Rejected | None
    unused: tuple[Unused, ...] = ()

    def reports(self, *fields: str) -> bool:
        """Whether the gateway said that one of these members (or a parent of it) is unused."""
        return any(u.field == f or f.startswith(u.field + ".") for u in self.unused for f in fields)

    @staticmethod
    def parse(data: Mapping[str, Any]) -> Write:
        if "rejected" in data:
            return Write(None, Rejected(data["rejected"]["field"], data["rejected"]["reason"]))
        unused = tuple(Unused(u["field"], u["reason"]) for u in data.get("unused", ()))
        return Write(Job.parse(data["job"]), None, unused)


@dataclass(frozen=True)
class Run:
    """A run as the gateway reports it (a claim, not evidence)."""

    id: str
    job_id: str
    status: str
    started_ms: int | None
    ended_ms: int | None = None
    slot_ms: int | None = None
    trigger: str | None = None
    session_key: str | None = None
    session_id: str | None = None
    error: str | None = None

    @property
    def finished(self) -> bool:
        return self.status != "running"

    @staticmethod
    def parse(data: Mapping[str, Any]) -> Run:
        return Run(
            id=data["id"],
            job_id=data["jobId"],
            status=data["status"],
            started_ms=data["startedAtMs"],
            ended_ms=data.get("endedAtMs"),
            slot_ms=data.get("slotMs"),
            trigger=data.get("trigger"),
            session_key=data.get("sessionKey"),
            session_id=data.get("sessionId"),
            error=data.get("error"),
        )


@dataclass(frozen=True)
class Session:
    """A row of the session store."""

    key: str
    id: str
    agent: str | None = None
    job_id: str | None = None
    updated_ms: int | None = None

    @staticmethod
    def parse(data: Mapping[str, Any]) -> Session:
        return Session(data["key"], data["id"], data.get("agent"), data.get("jobId"), data.get("updatedAtMs"))


@dataclass(frozen=True)
class Trigger:
    """The answer to ``job/trigger``."""

    started: bool
    run_id: str | None
    reason: str | None

    @staticmethod
    def parse(data: Mapping[str, Any]) -> Trigger:
        return Trigger(data["started"], data.get("runId"), data.get("reason"))


def method_name(operation: str) -> str:
    """``job/add`` is the method ``job_add`` of a Python gateway."""
    return operation.replace("/", "_")


class Gateway(Protocol):
    """What a gateway in Python offers. Leave out what you cannot do; declare what you can.

    Each method may be ``async`` or plain. ``gateway_start`` gets one member beyond the schema, ``model``:
    an async callable taking an OpenAI chat-completion request and returning the response, for gateways
    that need no HTTP. ``model.open`` is the number of turns begun and not ended, ``model.held`` how many of
    them the script keeps open on purpose: a gateway has settled when the two are equal and nothing is due.
    """

    def initialize(self, params: dict[str, Any]) -> Any: ...
    def gateway_start(self, params: dict[str, Any]) -> Any: ...
    def gateway_stop(self, params: dict[str, Any]) -> Any: ...
    def job_add(self, params: dict[str, Any]) -> Any: ...
    def job_list(self, params: dict[str, Any]) -> Any: ...
    def session_list(self, params: dict[str, Any]) -> Any: ...
