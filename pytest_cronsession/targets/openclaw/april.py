"""OpenClaw 2026.4.5: JSON stores, no task ledger, protocol 3 with a signed device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...outcomes import UnsupportedOperation
from .dialect import Dialect, Gateway, Json, Reply
from .json_seeding import seed_rows
from .json_store import session_rows

_NEVER_MINUTES = 5_000_000
_RARELY = "576h"  # its timer takes no more than 24 days


def adjust_config(config: Json) -> None:
    """Take away what its strict schema does not know, and what it would do on the side."""
    del config["telemetry"]
    del config["models"]["catalogRefresh"]
    for provider in config["models"]["providers"].values():
        provider.pop("timeoutSeconds", None)
    # A turn that a test holds for hours is no hanging connection.
    config["agents"]["defaults"]["llm"] = {"idleTimeoutSeconds": 0}
    # Without a cadence it skips the system events of jobs. At the cadence itself it has nothing to do: see files.
    config["agents"]["defaults"]["heartbeat"] = {"every": _RARELY}
    # Its default gives every session a new id at four in the morning, named ones too.
    config.setdefault("session", {})["reset"] = {"mode": "idle", "idleMinutes": _NEVER_MINUTES}
    # This plugin asks npx for a coding agent at every start: 215 MB in HOME, from the network.
    config["plugins"] = {"entries": {"acpx": {"enabled": False}}}


async def stored_job(gateway: Gateway, job_id: str) -> Json:
    """The job as listed; empty for an unknown one, so that the gateway itself refuses the edit."""
    return next((job for job in await gateway.jobs("job/update") if job["id"] == job_id), {})


async def running(gateway: Gateway, operation: str) -> list[Json]:
    """The marks on the jobs that say they run, in the shape of a ledger.

    A run that waits for its turn is marked too.
    """
    marks = [(job["id"], job.get("state", {}).get("runningAtMs")) for job in await gateway.jobs(operation)]
    return [
        {"runtime": "cron", "status": "running", "sourceId": job_id, "startedAt": started}
        for job_id, started in marks
        if started is not None
    ]


async def cancel(gateway: Gateway, run_id: str) -> bool:
    """There is no request for it."""
    raise UnsupportedOperation("run/cancel", "this version of OpenClaw cannot cancel a run")


async def reply(gateway: Gateway, key: str, ended: Mapping[str, Any]) -> Reply:
    """The end of the conversation, read back: ``agent.wait`` tells only that it ended."""
    history = await gateway.must("session/send", "chat.history", {"sessionKey": key, "limit": 10})
    messages = history.get("messages") or [{}]
    answered = ended.get("status") == "ok" and messages[-1].get("role") == "assistant"
    return Reply(history.get("sessionId"), _text(messages[-1].get("content")) if answered else None)


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(str(part.get("text", "")) for part in content or () if part.get("type") == "text")


APRIL = Dialect(
    protocol=3,
    signed=True,
    lacks=frozenset({"job.revision", "run.cancel"}),
    gains=("receipts", "store.seed"),
    methods=frozenset({"cron.list", "cron.runs", "chat.history"}),
    names_runs=False,
    dst="shift",
    manual_one_shot="consume",
    # A job for the calling session runs in it; any other delivery needs a channel, and fails the run.
    current_delivery="none",
    # It acknowledges a null and keeps what it has.
    clears_timeout=False,
    adjust_config=adjust_config,
    stored_job=stored_job,
    running=running,
    cancel=cancel,
    reply=reply,
    session_rows=session_rows,
    seed_rows=seed_rows,
    files={"HEARTBEAT.md": "# Nothing to do.\n"},
    # It ignores the config's logging block, and keeps a log in /tmp/openclaw whatever one asks for.
    env={"OPENCLAW_LOG_LEVEL": "warn"},
)
