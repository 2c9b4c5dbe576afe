"""Edits and removals hold whatever comes then: a run that ends badly, a repetition, a start; and texts of every kind."""

from __future__ import annotations

from typing import Any

import pytest

from ..driver import Driver, Handle, at, every, wish
from ..model import HANG, OK, TRANSIENT, tag_text
from ..oracle import MINUTE
from ..requirement import requirement
from ..trace import instant
from .kit import all_shown, long_timeout, next_run, said_to, shown, to_the_next_run

pytestmark = pytest.mark.cronsession_tier("full")
last = pytest.mark.cronsession_last
HOUR = 60 * MINUTE
_ENDS = {
    "timeout": ("run.timeout",),
    "cancel": ("run.cancel", "run.list"),
    "stop": ("restart",),
    "crash": ("crash",),
}
each_end = pytest.mark.parametrize("end", list(_ENDS))


def _in_a_run(d: Driver, end: str) -> tuple[Handle, str | None]:
    """A job whose run waits for the model, and the id of that run where it is listed."""
    d.require("schedule.every", "clock.advance", *_ENDS[end])
    limit = {"timeoutMs": 10 * MINUTE} if end == "timeout" else long_timeout(d)
    job = d.add(every(minutes=30), **limit)
    d.answers(job, HANG)
    to_the_next_run(d, job)
    d.expect(len(d.turns(job)) == 1, "the run did not start at its slot")
    runs = [r for r in d.runs(job) if not r.finished] if d.has("run.list") else []
    return job, runs[0].id if runs else None


def _let_end(d: Driver, end: str, run_id: str | None) -> None:
    if end == "timeout":
        d.advance(minutes=11)
    elif end == "cancel":
        # With its job the run may have been stopped, and then there is nothing to cancel.
        d.attempt("run/cancel", {"id": d.told(run_id, "the run that waits for the model")})
        d.advance()
    else:
        (d.restart if end == "stop" else d.crash)()
    d.advance(minutes=1)


@requirement("CS-JOB-016")
@last
@each_end
def test_an_edit_outlasts_a_run_that_ends_badly(cronsession_driver: Driver, end: str) -> None:
    d = cronsession_driver
    job, run_id = _in_a_run(d, end)
    if d.update(job, name="edited during its run").rejected is not None:
        d.pass_over("the gateway refuses an edit of a job that runs")
    during = shown(d.stored(job), "nextRunAtMs")
    _let_end(d, end, run_id)
    after = shown(d.stored(job), "nextRunAtMs")
    d.expect(
        after == during, f"a job was edited during its run, which ended ({end}): {after}, before {during}"
    )


@requirement("CS-JOB-015")
@last
@each_end
def test_a_removal_outlasts_a_run_that_ends_badly(cronsession_driver: Driver, end: str) -> None:
    d = cronsession_driver
    job, run_id = _in_a_run(d, end)
    d.remove(job)
    _let_end(d, end, run_id)
    d.expect(d.job(job) is None, f"a job was removed during its run, which ended ({end}), and is listed")
    d.advance(minutes=65)
    d.expect(len(d.turns(job)) == 1, f"a job was removed during its run, which ended ({end}), and ran again")


@requirement("CS-JOB-014")
def test_a_removed_job_is_not_repeated(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("job.retry")
    job = d.add(every(hours=1), retry={"maxRetries": 1, "backoffMs": [10 * MINUTE]})
    d.answers(job, always=TRANSIENT)
    to_the_next_run(d, job)
    d.advance(minutes=2)
    d.remove(job)
    seen = len(d.turns(job))
    d.advance(hours=2)
    d.expect(
        len(d.turns(job)) == seen, "a job was removed while a run of it waited to be made again, and it was"
    )


@requirement("CS-JOB-014")
@last
def test_a_removed_job_that_was_disabled_stays_away(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("job.disable", "restart")
    job = d.add(every(hours=1), enabled=False)
    d.remove(job)
    d.restart()
    d.expect(d.job(job) is None, "a disabled job was removed and is listed again after a restart")


@requirement("CS-JOB-013")
@pytest.mark.parametrize("operation", ["update", "trigger"])
def test_a_removed_job_does_not_exist(cronsession_driver: Driver, operation: str) -> None:
    d = cronsession_driver
    d.require("job.remove", *(["trigger"] if operation == "trigger" else ["job.update"]))
    job, other = d.add(), d.add()
    d.remove(job)
    before = all_shown(d)
    if operation == "update":
        answer = d.update(job, name="risen")
        d.expect(answer.rejected is not None, "an edit of a job that was removed was accepted")
    else:
        d.expect(not d.trigger(job).started, "a job that was removed was started")
        d.settle(lambda: True)
        d.expect(not d.turns(job) and not d.turns(other), "a start of a job that was removed ran one")
    d.expect(all_shown(d) == before, f"an operation ({operation}) on a removed job changed the list")


@requirement("CS-JOB-003")
@pytest.mark.parametrize("kind", ["every", "at"])
def test_no_edit_touches_another_member(cronsession_driver: Driver, kind: str) -> None:
    d = cronsession_driver
    more: dict[str, Any] = {**long_timeout(d)}
    for capability, member, value in (
        ("job.retry", "retry", {"maxRetries": 2, "backoffMs": [3 * MINUTE]}),
        ("job.autoDisable", "maxFailures", 17),
        ("job.deleteAfterRun", "deleteAfterRun", True),
    ):
        if d.has(capability) and (member != "deleteAfterRun" or kind == "at"):
            more[member] = value
    if kind == "at":
        d.require("schedule.at")
    job = d.add(at(d.now + 9 * HOUR) if kind == "at" else every(hours=9), **more)
    text = {"kind": "agentTurn", "text": tag_text("Other words.", job.tag)}
    patches: list[dict[str, Any]] = [{"name": "another name"}, {"payload": text}]
    patches += [{"agent": "work"}] if d.has("agents") else []
    patches += [{"session": wish("named", name=d.fresh_name("room"))}] if d.has("session.named") else []
    patches += [{"timeoutMs": 7 * HOUR}] if d.has("run.timeout") else []
    patches += [{"enabled": False}] if d.has("job.disable") else []
    for patch in patches:
        without = (*patch, *(("nextRunAtMs",) if "enabled" in patch else ()))
        before = shown(d.stored(job), *without)
        if d.update(job, **patch).rejected is not None:
            continue
        after = shown(d.stored(job), *without)
        d.expect(
            after == before, f"an edit of {', '.join(patch)} changed other members: {after}, before {before}"
        )


@requirement("CS-JOB-006")
@pytest.mark.parametrize("coming", ["slot", "repetition"])
def test_a_rejected_edit_leaves_what_is_to_come(cronsession_driver: Driver, coming: str) -> None:
    d = cronsession_driver
    d.require("schedule.every", "clock.advance", *(["job.retry"] if coming == "repetition" else []))
    again = {"retry": {"maxRetries": 1, "backoffMs": [10 * MINUTE]}}
    job = d.add(every(hours=1), **(again if coming == "repetition" else {}))
    d.answers(job, always=TRANSIENT if coming == "repetition" else OK)
    to_the_next_run(d, job)
    d.advance(minutes=3)
    upcoming, seen = next_run(d, job), len(d.turns(job))
    wrong: dict[str, Any] = {"kind": "cron", "expr": "61 25 * * *", "tz": "UTC"}
    if not d.has("schedule.cron"):
        wrong = {"kind": "every", "everyMs": 0}
    patch = {"name": "too much", "schedule": wrong}
    refused = d.attempt("job/update", {"id": job.id, "patch": patch})
    d.expect(refused.refusal is not None, f"an edit to {wrong} was accepted")
    found = next_run(d, job)
    d.expect(
        found == upcoming, f"a rejected edit moved the next run from {instant(upcoming)} to {instant(found)}"
    )
    if coming == "repetition":
        d.advance_to(d.now + 8 * MINUTE + 2 * d.hello.late_by_ms)
        d.expect(len(d.turns(job)) > seen, "after a rejected edit the failed run was not made again")


@requirement("CS-JOB-007")
def test_an_edit_of_a_revision_to_come_is_rejected(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(every(minutes=50))
    revision = d.told(d.stored(job).raw.get("revision"), "the revision of a job")
    before = all_shown(d)
    never = revision + 1 if isinstance(revision, int) else f"{revision}0"
    write = d.update_at(job, never, name="too early")
    d.expect(
        write.rejected is not None,
        f"the job is at {revision!r}, and an edit that expects {never!r} was accepted",
    )
    d.expect(all_shown(d) == before, "a rejected conditional edit changed what is listed")


@requirement("CS-JOB-008")
@last
def test_no_revision_comes_again_after_a_restart(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("restart")
    job = d.add(every(minutes=50))
    seen = [d.stored(job).raw.get("revision")]
    for name in ("one", "two"):
        d.edit(job, name=name)
        seen.append(d.stored(job).raw.get("revision"))
    d.restart()
    for name in ("three", "four"):
        d.edit(job, name=name)
        found = d.stored(job).raw.get("revision")
        d.expect(
            found not in seen,
            f"an edit after a restart gave the job the revision {found!r}, which it had before",
        )
        seen.append(found)


# What programs like to improve, each between words.
_TEXTS = {
    "lines": "one\r\ntwo\rthree\n\n\nfour",
    "braces": "{{date}} {{ now }} {name} ${HOME} %USERNAME% $(date) `date`",
    "backslashes": r"C:\new\table \\n \u0041 \x41",
    "marks": "@everyone #1 <b>bold</b> <!-- gone --> **strong** [link](http://x.invalid)",
    "letters": "e\u0301 \u1e9b\u0323 \ufb01 \u212b",
    "invisible": "zero\u200bwidth \ufeffmark \u00adsoft \u202eright",
    "spaces": "\u00a0no\u2003break\u3000wide\ttab",
    "command": "/new and /reset and !ls",
}


@requirement("CS-JOB-024")
@pytest.mark.parametrize("way", ["add", "edit"])
@pytest.mark.parametrize("kind", list(_TEXTS))
def test_no_text_is_improved(cronsession_driver: Driver, kind: str, way: str) -> None:
    d = cronsession_driver
    text = f"Say {_TEXTS[kind]} please."
    if way == "add":
        _, job = d.try_add(text=text)
        if job is None:
            d.witness()
            return
    else:
        d.require("job.update")
        job = d.add()
        write = d.update(job, payload={"kind": "agentTurn", "text": tag_text(text, job.tag)})
        if write.rejected is not None:
            d.witness()
            return
    said = said_to(d.evidence(job))
    sent = tag_text(text, job.tag)
    d.expect(
        any(sent in content for content in said), f"{sent!r} did not reach the model unchanged: {said[-1:]!r}"
    )
