"""The list of jobs: what it shows, who is on it, and for how long."""

from __future__ import annotations

from typing import Any

import pytest

from ..driver import Driver, Handle, at, cron, every
from ..model import hold
from ..oracle import MINUTE
from ..requirement import requirement
from .kit import all_shown, begin, end_held, long_timeout, next_run, shown


def _asked(d: Driver) -> tuple[dict[str, Any], dict[str, Any]]:
    """A schedule and other members that this gateway takes."""
    members: dict[str, Any] = {**long_timeout(d)}
    if d.has("job.disable"):
        members["enabled"] = False
    if d.has("agents"):
        members["agent"] = "work"
    if d.has("job.retry"):
        members["retry"] = {"maxRetries": 2, "backoffMs": [1000, 60_000]}
    if d.has("job.autoDisable"):
        members["maxFailures"] = 12
    if d.has("job.catchUp"):
        members["catchUp"] = {"policy": "skip"}
    return cron("20 4 * * *", "Europe/Berlin") if d.has("schedule.cron") else every(hours=30), members


@requirement("CS-JOB-011")
def test_the_list_shows_what_was_accepted(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    schedule, members = _asked(d)
    job = d.add(schedule, **members)
    assert job.write.job is not None
    answer, listed = job.write.job.raw, d.stored(job)
    for member, value in members.items():
        found = answer.get(member, value)
        d.expect(found == value, f"{member} was asked for as {value}, and the answer shows {found}")
    for member, value in schedule.items():
        found = answer.get("schedule", {}).get(member, value)
        d.expect(found == value, f"schedule.{member} was asked for as {value}, and the answer shows {found}")
    text = answer.get("payload", {}).get("text", job.tag)
    d.expect(job.tag in text, f"the answer shows another text: {text}")
    _check_same(d, answer, listed.raw)
    if d.has("job.update"):
        edit = d.edit(job, name="another name", schedule=every(hours=40))
        assert edit.job is not None
        _check_same(d, edit.job.raw, d.stored(job).raw)
        name = d.stored(job).raw.get("name", "another name")
        d.expect(name == "another name", f"the name was changed to 'another name' and is listed as {name!r}")


def _check_same(d: Driver, answer: Any, listed: Any) -> None:
    differ = {
        m: (answer[m], listed[m])
        for m in answer.keys() & listed.keys()
        if m in _BOTH and answer[m] != listed[m]
    }
    d.expect(
        not differ, f"the answer to the write and job/list show different values (answer, list): {differ}"
    )


_BOTH = (
    *(
        "id",
        "name",
        "agent",
        "enabled",
        "schedule",
        "session",
        "payload",
        "timeoutMs",
        "retry",
        "maxFailures",
    ),
    *("catchUp", "nextRunAtMs", "revision", "resolved"),
)


@requirement("CS-JOB-012")
def test_an_id_is_never_used_again(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    used: list[str] = []
    for _ in range(3):
        jobs = [d.add() for _ in range(3)]
        again = {j.id for j in jobs} & set(used)
        d.expect(not again, f"new jobs have the ids of older ones: {sorted(again)}")
        d.expect(len({j.id for j in jobs}) == 3, "jobs have the same id")
        used += [j.id for j in jobs]
        if d.has("job.remove"):
            for job in (jobs[2], jobs[0]):
                d.remove(job)


@requirement("CS-JOB-012")
@pytest.mark.cronsession_last
def test_ids_outlast_edits_and_restarts(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("restart")
    kept, gone = d.add(text="The first."), d.add()
    if d.has("job.update"):
        d.edit(kept, name="another name")
    if d.has("job.remove"):
        d.remove(gone)
    d.restart()
    found = d.stored(kept).raw.get("payload", {}).get("text", kept.tag)
    d.expect(kept.tag in found, f"after a restart the id {kept.id} belongs to another job: {found}")
    new = d.add()
    d.expect(
        new.id not in (kept.id, gone.id), f"after a restart a new job has the id of an older one, {new.id}"
    )


NOWHERE = "no-such-job-was-ever-added"


@requirement("CS-JOB-013")
@pytest.mark.parametrize("operation", ["remove", "update", "trigger", "remove-twice"])
def test_a_job_that_does_not_exist(cronsession_driver: Driver, operation: str) -> None:
    d = cronsession_driver
    d.require({"update": "job.update", "trigger": "trigger"}.get(operation, "job.remove"))
    job = d.add()
    ghost = Handle(NOWHERE, job.tag, job.write)
    before = all_shown(d)
    if operation == "update":
        write = d.update(ghost, name="risen")
        d.expect(write.rejected is not None, "an edit of a job that does not exist was accepted")
    elif operation == "trigger":
        d.expect(not d.trigger(ghost).started, "a job that does not exist was started")
        d.settle(lambda: True)
        d.expect(not d.turns(job), "a start of a job that does not exist ran another one")
    elif operation == "remove":
        d.expect(
            not d.remove(ghost), "the removal of a job that does not exist is answered with removed true"
        )
    else:
        d.expect(d.remove(job), "the removal of a job is answered with removed false")
        d.expect(not d.remove(job), "the second removal of a job is answered with removed true")
        before.pop(job.id, None)
    d.expect(all_shown(d) == before, "an operation on a job that does not exist changed the list")


@requirement("CS-JOB-014")
def test_a_removed_job_is_gone(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job, other = d.add(every(minutes=10)), d.add(every(minutes=10))
    slot = next_run(d, other)
    d.remove(job)
    d.expect(d.job(job) is None, "a removed job is still listed")
    d.advance_to(slot + 25 * MINUTE)
    d.expect(bool(d.turns(other)), "with another job removed, a job does not run at its slot")
    d.expect(not d.turns(job), "a removed job ran by schedule")
    if d.has("trigger"):
        d.expect(not d.trigger(job).started, "a removed job was started by hand")
    d.expect(d.job(job) is None, "a removed job has come back to the list")


@requirement("CS-JOB-014")
@pytest.mark.cronsession_last
def test_a_removed_job_does_not_come_back(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("restart")
    job = d.add(every(minutes=10))
    d.advance(minutes=11)
    ran = len(d.turns(job))
    d.remove(job)
    d.restart()
    d.expect(d.job(job) is None, "after a restart a removed job is listed")
    d.advance(minutes=35)
    d.expect(len(d.turns(job)) == ran, "after a restart a removed job ran")


@requirement("CS-JOB-015")
def test_a_job_removed_during_its_run_stays_removed(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(every(minutes=10), **long_timeout(d))
    d.answers(job, hold())
    slot = next_run(d, job)
    d.advance_to(slot + d.hello.late_by_ms)
    d.expect(len(d.turns(job)) == 1, "the run did not start at its slot")
    d.remove(job)
    end_held(d, job)
    d.expect(d.job(job) is None, "a job that was removed during its run is listed when the run has ended")
    d.advance(minutes=35)
    d.expect(len(d.turns(job)) == 1, "a job that was removed during its run ran again")
    d.expect(d.job(job) is None, "a job that was removed during its run has come back")


@requirement("CS-JOB-018")
def test_all_jobs_are_listed(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    resting: dict[str, Any] = {"enabled": False} if d.has("job.disable") else {}
    jobs = [d.add(**(resting if n % 3 == 0 else {})) for n in range(d.few(120, 12))]
    listed = [j.id for j in d.jobs()]
    missing = [j.id for j in jobs if j.id not in listed]
    d.expect(not missing, f"{len(jobs)} jobs were added and {len(missing)} of them are not listed")
    twice = sorted({i for i in listed if listed.count(i) > 1})
    d.expect(not twice, f"jobs are listed more than once: {twice}")


def _read(d: Driver) -> None:
    for _ in range(2):
        d.jobs()
        d.sessions()
        if d.has("run.list"):
            d.runs()


@requirement("CS-JOB-019")
def test_reading_changes_nothing(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(every(minutes=10), **long_timeout(d))
    d.answers(job, hold())
    slot = next_run(d, job)
    grain = max(1, d.hello.resolution_ms)
    d.advance_to(slot - grain)
    _read(d)
    d.advance_to(slot + d.hello.late_by_ms)
    d.expect(len(d.turns(job)) == 1, "with reads just before it, the slot did not have its run")
    before, rows = shown(d.stored(job)), {(s.key, s.id) for s in d.sessions()}
    _read(d)
    d.expect(shown(d.stored(job)) == before, "reads during a run changed what is listed of the job")
    d.expect({(s.key, s.id) for s in d.sessions()} == rows, "reads changed the rows of the session store")
    end_held(d, job)
    _read(d)
    d.advance(minutes=4)
    d.expect(len(d.turns(job)) == 1, f"reads made the job run: {len(d.turns(job))} turns for one slot")


@requirement("CS-JOB-019")
@pytest.mark.cronsession_last
def test_reading_takes_no_late_run_away(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("restart", "schedule.cron")
    d.require_policy("catchUp", "once", "all")
    watched, apart = (d.add(cron("*/10 * * * *")) for _ in range(2))
    # Just after a slot, so that the downtime ends well before one.
    d.advance_to((d.stored(apart).next_run_ms or d.now) + MINUTE)
    before = [len(d.turns(job)) for job in (watched, apart)]
    d.stop()
    d.start({"minutes": 35})
    _read(d)
    d.advance(minutes=4)
    _read(d)
    after = [len(d.turns(job)) for job in (watched, apart)]
    d.expect(
        min(a - b for a, b in zip(after, before, strict=True)) > 0,
        "jobs were listed after a start, and no late run came",
    )


@requirement("CS-JOB-019")
def test_reading_resolves_nothing_anew(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("job.resolved", "session.named", "trigger")
    # Where a run by hand stands for that of its instant, a one-shot may be gone with it.
    lasts = d.has("schedule.at") and d.hello.policy("manualOneShot") == "keep"
    job = d.add(at(d.now + 900 * MINUTE) if lasts else None, target="named", name=d.fresh_name("read"))
    first = d.stored(job).raw.get("resolved")
    d.evidence(job)
    _read(d)
    d.answers(job, hold())
    begin(d, job)
    d.expect(
        d.stored(job).raw.get("resolved") == first, f"resolved was {first} and has changed by runs and reads"
    )
    end_held(d, job)
