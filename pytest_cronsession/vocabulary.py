"""The words of the contract: operations, capabilities, policies, profiles.

``specs/requirements.json`` carries the same tables for readers without Python; a test compares them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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
    "notice/list": "list what people should know",
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
    "schedule.stagger": "staggerMs moves the slots of a job by a steady part of itself",
    "cron.second": "a sixth field in front of an expression: the second",
    "cron.year": "a seventh field at the end of an expression: the year",
    "cron.nickname": "@yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly",
    "cron.lastDay": "L as a day of month: the last one",
    "cron.nearestWeekday": "15W as day of month: the Monday to Friday that is nearest",
    "cron.nthWeekday": "MON#2 as a day of week: the second Monday of the month",
    "cron.lastWeekday": "5L, FRIL and FRI#L as a day of week: the last Friday of the month",
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
    "job.retry": "a job may say how often a run that failed for a passing reason is made again",
    "job.deleteAfterRun": "a one-shot may be removed when its run was answered",
    "job.autoDisable": "a job may say how many failures in a row disable it",
    "job.catchUp": "a job may say what becomes of its missed slots",
    "trigger": "jobs can be started by hand",
    "trigger.due": "a manual start can be limited to due jobs",
    "run.list": "runs are listed with their outcome",
    "run.slot": "run/list tells the slot of a scheduled run",
    "run.cancel": "runs can be cancelled",
    "run.timeout": "a job may carry its own timeoutMs",
    "run.concurrency": "maxConcurrentRuns is honoured",
    "run.history": "runHistory is honoured",
    "notices": "people are told of what needs them: notice/list",
    "receipts": "each isolated run leaves a row in the session store until retention removes it",
    "retention": "sessionRetentionMs is honoured",
    "maintenance": "the maintenance block is honoured",
    "maintenance.bytes": "maintenance honours maxDiskBytes",
    "maintenance.highWater": "maintenance honours highWaterBytes",
    "archives": "archiveMs is honoured: transcripts of removed sessions are put aside",
    "store.maintain": "maintenance can be requested, also as a dry run",
    "store.sweep": "a sweep can be requested",
    "store.seed": "aged rows can be put into a stopped store",
    "instances": "two gateways may run on one state folder",
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
            "grace": "as once, and none where the gateway holds it too late",
            "all": "each is run late",
        },
        "once",
    ),
    "missedOneShot": Policy(
        "What becomes of a one-shot whose instant passed while the gateway was down?",
        {
            "run": "it runs once, late",
            "skip": "it does not run",
            "grace": "as run, and not where the gateway holds it too late",
        },
        "run",
    ),
    "manualOneShot": Policy(
        "What becomes of a one-shot to come when a forced run of it was answered?",
        {"keep": "it runs again at its instant", "consume": "the forced run was its run"},
        "keep",
    ),
    "slotAtCreation": Policy(
        "Is the instant at which a cron job is added a slot of it, where the expression names it?",
        {"excluded": "the first slot comes later", "included": "it is the first slot"},
        "excluded",
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
        "What do fixed wall times (one minute, one hour) do in a gap and in an overlap, and what do others?",
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
    "scheduler": "jobs, slots, zones, triggers and outcomes",
    "sessions": "which session a run uses, and what it sees there",
    "retention": "receipts go, the store stays bounded, nothing in use is removed",
    "durability": "restart and crash",
}

CONFIG: Mapping[str, str] = {
    "agents": "agents",
    "maxConcurrentRuns": "run.concurrency",
    "runHistory": "run.history",
    "sessionRetentionMs": "retention",
    "maintenance": "maintenance",
    "maintenance.maxDiskBytes": "maintenance.bytes",
    "maintenance.highWaterBytes": "maintenance.highWater",
    "archiveMs": "archives",
}
"""By member of the configuration: the capability without which a gateway need not take it (protocol.md)."""


def configured(config: Mapping[str, Any]) -> frozenset[str]:
    """The capabilities that a gateway needs to be started with this configuration."""
    members = {
        f"{name}.{inner}" for name, block in config.items() if isinstance(block, Mapping) for inner in block
    }
    return frozenset(CONFIG[member] for member in {*config, *members} if member in CONFIG)
