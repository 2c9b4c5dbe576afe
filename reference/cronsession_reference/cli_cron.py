"""``cron add | edit | run | runs | list | rm``."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from .engine import Engine
from .errors import Refused
from .flags import add_job_flags, changes_of, spec_of
from .jobdesk import Written
from .jobs import Job
from .output import show_instant, show_json, show_schedule, show_session, show_table
from .shapes import notice_dict, run_dict
from .store import Run

Offline = Callable[
    [Callable[[argparse.Namespace, Engine], Awaitable[int]]], Callable[[argparse.Namespace], int]
]

DEFAULT_WAIT_MS = 3_600_000


def add_commands(parser: argparse.ArgumentParser, offline: Offline) -> None:
    """Add the sub-commands of ``cron`` to its parser."""
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    add = commands.add_parser("add", help="add a job")
    add_job_flags(add)
    add.set_defaults(run=offline(_add))
    edit = commands.add_parser("edit", help="change a job; what is not named keeps its value")
    edit.add_argument("id", help="the job, or the beginning of its id")
    add_job_flags(edit)
    edit.add_argument("--enabled", dest="disabled", action="store_false", default=None, help="schedule it")
    edit.add_argument("--no-session-key", action="store_true", help="take the session key away")
    edit.add_argument("--no-timeout", action="store_true", help="take the job's own time-out away")
    edit.add_argument("--expect-revision", metavar="N", help="refuse if the job was changed meanwhile")
    edit.set_defaults(run=offline(_edit))
    run = commands.add_parser("run", help="run a job now and wait for its end")
    run.add_argument("id", help="the job, or the beginning of its id")
    run.add_argument("--due", action="store_true", help="only if a slot is due")
    run.add_argument("--expect-final", action="store_true", help="wait for the end (always done)")
    run.add_argument(
        "--timeout", type=int, default=DEFAULT_WAIT_MS, metavar="MS", help="stop it after so long"
    )
    run.add_argument("--json", action="store_true", help="print one JSON document")
    run.set_defaults(run=offline(_run))
    runs = commands.add_parser("runs", help="list runs, the latest last")
    runs.add_argument("id", nargs="?", help="only of this job")
    runs.add_argument("--limit", type=int, default=50, metavar="N", help="at most so many (default 50)")
    runs.add_argument("--json", action="store_true", help="print one JSON document")
    runs.set_defaults(run=offline(_runs))
    listing = commands.add_parser("list", help="list the jobs")
    listing.add_argument("--json", action="store_true", help="print one JSON document")
    listing.set_defaults(run=offline(_list))
    notices = commands.add_parser("notices", help="list what needs attention, the latest last")
    notices.add_argument("--limit", type=int, default=50, metavar="N", help="at most so many (default 50)")
    notices.add_argument("--json", action="store_true", help="print one JSON document")
    notices.set_defaults(run=offline(_notices))
    remove = commands.add_parser("rm", help="remove a job")
    remove.add_argument("id", help="the job, or the beginning of its id")
    remove.add_argument("--json", action="store_true", help="print one JSON document")
    remove.set_defaults(run=offline(_remove))


def _find(engine: Engine, text: str) -> Job:
    if (job := engine.store.job(text)) is not None:
        return job
    matches = [job for job in engine.store.jobs() if text and job.id.startswith(text)]
    if len(matches) == 1:
        return matches[0]
    reason = f"{text!r} fits {len(matches)} jobs; give more of it" if matches else f"there is no job {text!r}"
    raise Refused("id", reason)


def _show_written(args: argparse.Namespace, engine: Engine, written: Written, verb: str) -> int:
    job = engine.jobs.describe(written.job)
    unused = [{"field": field, "reason": reason} for field, reason in written.unused]
    if args.json:
        show_json({**job, "unused": unused} if unused else job)
        return 0
    print(f"{verb} job {job['id']} ({job['name']})")
    print(f"  schedule  {show_schedule(job['schedule'])}")
    print(f"  session   {show_session(job['session'])}")
    print(f"  runs in   {job['resolved'].get('sessionKey', job['resolved']['reason'])}")
    print(f"  next run  {_next_run(job)}")
    for entry in unused:
        print(f"  unused    {entry['field']}: {entry['reason']}")
    return 0


async def _add(args: argparse.Namespace, engine: Engine) -> int:
    written = engine.jobs.add(spec_of(args, engine.clock.now()))
    return _show_written(args, engine, written, "added")


async def _edit(args: argparse.Namespace, engine: Engine) -> int:
    job = _find(engine, args.id)
    session: dict[str, Any] = engine.jobs.describe(job)["session"]
    changes = changes_of(args, engine.clock.now(), session)
    if args.no_session_key:
        changes["session"] = {**changes.get("session", session)}
        changes["session"].pop("key", None)
    if args.no_timeout:
        changes["timeoutMs"] = None
    written = engine.jobs.update(job.id, changes, args.expect_revision)
    return _show_written(args, engine, written, "changed")


async def _run(args: argparse.Namespace, engine: Engine) -> int:
    job = _find(engine, args.id)
    run, reason = engine.scheduler.trigger(job.id, due=args.due)
    if run is None:
        if args.json:
            show_json({"ok": False, "started": False, "reason": reason})
        else:
            print(f"not started: {reason}")
        return 1
    turn = next(turn for turn in engine.runner.turns if turn.run_id == run.id)
    assert turn.task is not None
    done, _ = await asyncio.wait([turn.task], timeout=args.timeout / 1000)
    if not done:
        turn.cancel("timeout")
        await asyncio.gather(turn.task, return_exceptions=True)
    ended = engine.store.run(run.id) or run
    if args.json:
        show_json({"ok": ended.status == "ok", "started": True, "run": run_dict(ended), "reply": turn.reply})
    else:
        print(f"run {ended.id}: {ended.status}{': ' + ended.error if ended.error else ''}")
        print(f"  session  {ended.session_key or '-'}")
        print(f"  reply    {turn.reply if turn.reply is not None else '-'}")
    return 0 if ended.status == "ok" else 1


async def _runs(args: argparse.Namespace, engine: Engine) -> int:
    runs = engine.store.runs()
    if args.id is not None:
        known = {run.job_id for run in runs}
        job_id = args.id if args.id in known else _find(engine, args.id).id
        runs = [run for run in runs if run.job_id == job_id]
    runs = runs[-args.limit :] if args.limit > 0 else []
    if args.json:
        show_json({"runs": [run_dict(run) for run in runs]})
        return 0
    titles = ("STARTED", "JOB", "TRIGGER", "STATUS", "SESSION", "ERROR")
    show_table(titles, [_run_cells(run) for run in runs], "no runs")
    return 0


def _run_cells(run: Run) -> tuple[str, ...]:
    instant = show_instant(run.started_ms or run.slot_ms)
    return (instant, run.job_id[:8], run.trigger, run.status, run.session_key or "-", run.error or "")


async def _list(args: argparse.Namespace, engine: Engine) -> int:
    jobs = [engine.jobs.describe(job) for job in engine.store.jobs()]
    if args.json:
        show_json({"jobs": jobs})
        return 0
    rows = [
        (
            job["id"][:8],
            job["name"],
            job["agent"],
            show_schedule(job["schedule"]),
            show_session(job["session"]),
            _next_run(job),
        )
        for job in jobs
    ]
    show_table(("ID", "NAME", "AGENT", "SCHEDULE", "SESSION", "NEXT RUN"), rows, "no jobs")
    return 0


def _next_run(job: dict[str, Any]) -> str:
    if job["enabled"] or job["nextRunAtMs"] is not None:
        return show_instant(job["nextRunAtMs"])
    return f"disabled: {job['disabledReason']}" if "disabledReason" in job else "disabled"


async def _notices(args: argparse.Namespace, engine: Engine) -> int:
    notices = engine.store.notices()[-args.limit :] if args.limit > 0 else []
    if args.json:
        show_json({"notices": [notice_dict(notice) for notice in notices]})
        return 0
    cells = [
        (show_instant(found.at_ms), (found.job_id or "-")[:8], found.kind, found.text) for found in notices
    ]
    show_table(("WHEN", "JOB", "KIND", "NOTICE"), cells, "no notices")
    return 0


async def _remove(args: argparse.Namespace, engine: Engine) -> int:
    # One that cannot be read can be removed all the same, by its whole id.
    if args.id in engine.store.broken_jobs():
        job_id, name = args.id, "unreadable"
    else:
        job = _find(engine, args.id)
        job_id, name = job.id, job.name
    removed = engine.jobs.remove(job_id)
    if args.json:
        show_json({"id": job_id, "removed": removed})
    else:
        print(f"removed job {job_id} ({name})")
    return 0 if removed else 1
