"""OpenClaw 2026.9.6: SQLite stores, a task ledger, protocol 4 with the shared token alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import runs
from .dialect import Dialect, Gateway, Json, Reply
from .sqlite_seeding import seed_rows
from .store import session_rows


def adjust_config(config: Json) -> None:
    """The config is written for this version, but for what has jobs of its own: every night, and every few days."""
    config["skills"] = {"workshop": {"autonomous": {"mode": "off"}}}
    config["plugins"] = {"entries": {"memory-core": {"config": {"dreaming": {"enabled": False}}}}}


async def stored_job(gateway: Gateway, job_id: str) -> Json:
    """The job as stored; the gateway's refusal for an unknown one comes through."""
    return await gateway.ask("job/update", "cron.get", {"id": job_id})


async def tasks(gateway: Gateway, operation: str) -> list[Json]:
    """The task ledger: it knows the runs that are going, and the ids of those that were interrupted."""
    found: list[Json] = []
    cursor: Json = {}
    while True:
        page = await gateway.must(operation, "tasks.list", {"limit": 500, **cursor})
        found += page["tasks"]
        if not page.get("nextCursor"):
            return found
        cursor = {"cursor": page["nextCursor"]}


async def cancel(gateway: Gateway, run_id: str) -> bool:
    """Cancel the task of a run; False if no task has that id."""
    for task in await tasks(gateway, "run/cancel"):
        if task.get("runtime") != "cron" or not task.get("sourceId") or task.get("startedAt") is None:
            continue
        if runs.run_id(str(task.get("runId", "")), task["sourceId"], task["startedAt"]) == run_id:
            answer = await gateway.must("run/cancel", "tasks.cancel", {"taskId": task["taskId"]})
            return bool(answer.get("cancelled"))
    return False


async def reply(gateway: Gateway, key: str, ended: Mapping[str, Any]) -> Reply:
    """What ``agent.wait`` tells."""
    session_id = (ended.get("terminalReceipt") or {}).get("sessionId")
    return Reply(session_id or None, (ended.get("terminalReply") or {}).get("text"))


SEPTEMBER = Dialect(
    protocol=4,
    signed=False,
    lacks=frozenset(),
    gains=("store.seed",),
    names_runs=True,
    dst="ocps",
    manual_one_shot="keep",
    methods=frozenset({"cron.get", "tasks.list", "tasks.cancel"}),
    # There is no channel to announce on; but for target current, it is called delivery when the reply is
    # written into the bound conversation.
    current_delivery="announce",
    clears_timeout=True,
    adjust_config=adjust_config,
    stored_job=stored_job,
    running=tasks,
    cancel=cancel,
    reply=reply,
    session_rows=session_rows,
    seed_rows=seed_rows,
    listing={"includeDeliveryPreviews": False},
)
