"""The contract between the suite and a gateway, as Python values.

The normative text is ``specs/protocol.md``; the shapes are ``specs/schemas``. A gateway in Python is
any object with the methods of :class:`Gateway`; they take one ``params`` dict, return one dict, and
may be plain or ``async``. Instants are integer milliseconds since the epoch, durations milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

PROTOCOL = 1
SPEC_REVISION = 1

OPERATIONS: Mapping[str, str] = {
    "initialize": "say who you are and what you can do",
    "gateway/start": "start on a state folder, at an instant, against a model",
    "gateway/stop": "stop in good order",
    "gateway/abandon": "in process only: drop everything at once, as a crash would",
    "clock/advance": "fire everything due up to an instant, in order, settled",
    "clock/jump": "move the wall clock at once",
    "job/add": "store a job, or refuse it",
    "job/update": "change a job, or refuse the change",
    "job/remove": "delete a job",
    "job/list": "list the jobs",
    "job/trigger": "start a job by hand",
    "run/list": "list the runs",
    "run/cancel": "stop a run",
    "session/list": "list the rows of the session store, receipts included",
    "session/send": "a human turn",
    "store/maintain": "apply maintenance now, or say what it would do",
    "store/sweep": "reap now; only for tests about sweeping itself",
    "store/seed": "put aged rows into a stopped store",
}

CAPABILITIES: Mapping[str, str] = {
    "clock.advance": "time is virtual: clock/advance fires everything due and settles",
    "clock.jump": "the wall clock can be moved at once",
    "schedule.at": "one-shot jobs at an instant",
    "schedule.every": "interval jobs",
    "schedule.cron": "cron expressions of five fields, with an IANA zone",
    "session.isolated": "target isolated: a fresh session for each run",
    "session.named": "target named: a session that keeps its context, chosen by name",
    "session.main": "target main: a system event in the agent's main session",
    "session.current": "target current: the session the job was created from",
    "session.key": "a job may carry an explicit session key",
    "session.mode": "a job may carry session mode fresh or shared",
    "session.send": "human turns",
    "agents": "more than one agent",
    "job.update": "jobs can be edited",
    "job.remove": "jobs can be removed",
    "job.disable": "jobs can be disabled and enabled by an edit",
    "job.resolved": "job/list shows the session the next run would use",
    "job.revision": "edits can be conditional on a revision",
    "trigger": "jobs can be started by hand",
    "trigger.due": "a manual start can be limited to due jobs",
    "run.list": "runs are listed with their outcome",
    "run.slot": "run/list tells the slot of a scheduled run",
    "run.cancel": "runs can be cancelled",
    "run.timeout": "a job may carry its own timeoutMs",
    "receipts": "each isolated run leaves a row in the session store until retention removes it",
    "retention": "sessionRetentionMs is honoured",
    "maintenance": "the maintenance block is honoured",
    "maintenance.bytes": "maintenance honours maxDiskBytes",
    "store.maintain": "maintenance can be requested, also as a dry run",
    "store.sweep": "a sweep can be requested",
    "store.seed": "aged rows can be put into a stopped store",
    "restart": "gateway/stop and gateway/start on one state folder keep the state",
    "crash": "the gateway may be killed at any time and started again on its state folder",
}


@dataclass(frozen=True)
class Policy:
    """A question with several right answers; ``answers`` maps each published one to its meaning."""

    question: str
    answers: Mapping[str, str]
    default: str


POLICIES: Mapping[str, Policy] = {
    "sessionKey": Policy(
        "What becomes of an explicit session key on a job with target isolated?",
        {
            "honour": "the run uses the session of that key",
            "reject": "the write is refused",
            "report": "the write is accepted and lists the key as unused",
        },
        "honour",
    ),
    "keyCase": Policy(
        "Are session names that differ only in letter case one session?",
        {"fold": "one session", "preserve": "different sessions"},
        "fold",
    ),
    "currentFallback": Policy(
        "What does target current mean without a calling session?",
        {"isolated": "the job is stored as isolated", "reject": "the write is refused"},
        "isolated",
    ),
    "catchUp": Policy(
        "What becomes of recurring slots missed while the gateway was down?",
        {
            "skip": "none is run late",
            "once": "one late run, however many were missed",
            "all": "each is run late",
        },
        "once",
    ),
    "missedOneShot": Policy(
        "What becomes of a one-shot whose instant passed while the gateway was down?",
        {"run": "it runs once, late", "skip": "it does not run"},
        "run",
    ),
    "pastOneShot": Policy(
        "What becomes of a one-shot that is added after its instant?",
        {
            "reject": "the write is refused",
            "run": "it runs once, at once",
            "missed": "it is stored and never runs",
        },
        "reject",
    ),
    "intervalAnchor": Policy(
        "What are the slots of an interval job counted from?",
        {
            "grid": "anchor + k x every",
            "start": "the start of the run before",
            "end": "the end of the run before",
        },
        "grid",
    ),
    "overlap": Policy(
        "What becomes of a slot that falls due while the job's last run is still going?",
        {"skip": "it is passed over", "queue": "it runs as soon as the last run has ended"},
        "skip",
    ),
    "dst": Policy(
        "What do fixed wall times do in a gap and in an overlap?",
        {
            "vixie": "fixed time: end of the gap, once in an overlap; others: skipped in a gap, both in an overlap",
            "ocps": "skipped in a gap, first occurrence in an overlap",
            "shift": "moved by the length of the gap, first occurrence in an overlap",
            "both": "as vixie in a gap, both occurrences in an overlap",
        },
        "vixie",
    ),
    "defaultZone": Policy(
        "Which zone has a cron expression without one?",
        {"host": "the host's", "utc": "UTC"},
        "host",
    ),
}

PROFILES: Mapping[str, str] = {
    "scheduler": "slots, zones, triggers and outcomes",
    "sessions": "which session a run uses, and what it sees there",
    "retention": "receipts go, the store stays bounded, nothing in use is removed",
    "durability": "restart and crash",
}


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
        return "clock.advance" not in self.capabilities or self.lateness_ms > 1000

    def policy(self, name: str) -> str:
        """The declared answer, or the published default."""
        return self.policies.get(name, POLICIES[name].default)

    @staticmethod
    def parse(data: Mapping[str, Any]) -> Hello:
        """Read a schema-valid answer; raise :class:`ValueError` on an unknown capability or policy."""
        _known("capability", data["capabilities"], CAPABILITIES)
        _known("policy", data["policies"], POLICIES)
        for name, answer in data["policies"].items():
            _known(f"answer to policy {name!r}", [answer], POLICIES[name].answers)
        return Hello(
            name=data["name"],
            version=data["version"],
            url=data.get("url", ""),
            spec_revision=data["specRevision"],
            capabilities=frozenset(data["capabilities"]),
            profiles=tuple(data["profiles"]),
            policies=dict(data["policies"]),
            resolution_ms=data.get("resolutionMs", 1),
            lateness_ms=data.get("latenessMs", 0),
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
    that need no HTTP. ``model.held`` is the number of turns the script keeps open on purpose.
    """

    def initialize(self, params: dict[str, Any]) -> Any: ...
    def gateway_start(self, params: dict[str, Any]) -> Any: ...
    def gateway_stop(self, params: dict[str, Any]) -> Any: ...
    def job_add(self, params: dict[str, Any]) -> Any: ...
    def job_list(self, params: dict[str, Any]) -> Any: ...
    def session_list(self, params: dict[str, Any]) -> Any: ...
