"""OpenClaw's run history and task ledger as neutral runs. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .mapping import is_system

Json = dict[str, Any]

_LIVE = ("queued", "running")


def run_id(task_run_id: str, job_id: str, started_ms: int) -> str:
    """The id of a run: the one ``cron.run`` answered with, or job and start for a scheduled one.

    The task ledger holds the former inside ``cron:JOB:MS:UUID:manual:JOB:MS:N``.
    """
    _, manual, rest = task_run_id.partition(":manual:")
    return f"manual:{rest}" if manual else f"{job_id}:{started_ms}"


def merge(
    entries: Iterable[Mapping[str, Any]],
    tasks: Iterable[Mapping[str, Any]],
    jobs: Iterable[Mapping[str, Any]],
) -> list[Json]:
    """Ended runs from ``cron.runs``, running ones from ``tasks.list``; those of the gateway's own jobs not.

    ``entries`` come oldest first. A run that a restart interrupted has lost its id in the history; the ledger
    still knows it. One that timed out is in the history before its job is free: until then it is *running*.
    Several runs of a job may have started at one instant, where time stands: they are numbered, oldest first.
    """
    jobs = list(jobs)
    system = {job["id"] for job in jobs if is_system(job)}
    marks = ((job["id"], job.get("state", {}).get("runningAtMs")) for job in jobs)
    busy = {mark for mark in marks if mark[1] is not None}
    ledger = {
        (str(t["sourceId"]), int(t["startedAt"])): t
        for t in tasks
        if t.get("runtime") == "cron" and t.get("sourceId") and t.get("startedAt") is not None
    }
    found: dict[str, Json] = {}
    for entry in entries:
        if entry.get("jobId") not in system and entry.get("action", "finished") == "finished":
            ended = _ended(entry, ledger)
            if ended["status"] == "timeout" and (ended["jobId"], ended["startedAtMs"]) in busy:
                ended |= {"status": "running", "endedAtMs": None}
            _enter(found, ended)
    for (job_id, started), task in ledger.items():
        if task.get("status") in _LIVE and job_id not in system:
            live = _running(job_id, started, task)
            same = [r for r in found.values() if (r["jobId"], r["startedAtMs"]) == (job_id, started)]
            # One that timed out is there already; one with an id of its own may have ended meanwhile.
            if live["id"] not in found or (
                "trigger" not in live and not any(r["status"] == "running" for r in same)
            ):
                _enter(found, live)
    return list(found.values())


def _enter(found: dict[str, Json], run: Json) -> None:
    plain, number = run["id"], 1
    while run["id"] in found:
        number += 1
        run["id"] = f"{plain}#{number}"
    found[run["id"]] = run


def _running(job_id: str, started: int, task: Mapping[str, Any]) -> Json:
    run: Json = {
        "id": run_id(str(task.get("runId", "")), job_id, started),
        "jobId": job_id,
        "status": "running",
        "startedAtMs": started,
        "sessionKey": task.get("childSessionKey") or None,
    }
    if run["id"].startswith("manual:"):
        run["trigger"] = "manual"
    return run


def _ended(entry: Mapping[str, Any], ledger: Mapping[tuple[str, int], Mapping[str, Any]]) -> Json:
    job_id, started = str(entry["jobId"]), int(entry.get("runAtMs", entry.get("ts", 0)))
    task = ledger.get((job_id, started), {})
    status = status_of(entry)
    run: Json = {
        "id": entry.get("runId") or run_id(str(task.get("runId", "")), job_id, started),
        "jobId": job_id,
        "status": status,
        "startedAtMs": None if status == "skipped" else started,
        "endedAtMs": started + int(entry.get("durationMs") or 0),
        "sessionKey": entry.get("sessionKey") or task.get("childSessionKey") or None,
        "sessionId": entry.get("sessionId"),
        "error": entry.get("error"),
    }
    # OpenClaw does not tell a scheduled run from a catch-up or a retry.
    if run["id"].startswith("manual:"):
        run["trigger"] = "manual"
    return run


def status_of(entry: Mapping[str, Any]) -> str:
    """``ok``, ``skipped``, or what kind of ``error``: OpenClaw tells it in the error's words."""
    status = str(entry.get("status", "error"))
    if status != "error":
        return status if status in ("ok", "skipped") else "error"
    error = str(entry.get("error") or "").lower()
    if "timed out" in error:
        return "timeout"
    if error.startswith("cancelled by operator"):
        return "cancelled"
    return "interrupted" if "interrupted by gateway restart" in error else "error"
