"""What a start owes for the time the gateway was down: each missed slot by its policy, once, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from ..driver import Driver, Handle, at, cron, every
from ..oracle import MINUTE
from ..requirement import requirement
from ..trace import instant
from .kit import next_run, step_through

HOUR = 60 * MINUTE
DAY = 24 * HOUR
pytestmark = pytest.mark.cronsession_last
TEN = "*/10 * * * *"


def _owed(answer: str, missed: int) -> range:
    """How many late runs are right."""
    once = min(1, missed)
    least, most = {"skip": (0, 0), "once": (once, once), "grace": (0, once), "all": (missed, missed)}[answer]
    return range(least, most + 1)


def _run_its_slot(d: Driver, job: Handle) -> int:
    """Let the job run its next slot; the slot."""
    slot = next_run(d, job)
    step_through(d, job, [slot], slot + d.hello.late_by_ms)
    return slot


def _late(d: Driver, job: Handle, until_ms: int, before: int = 1) -> int:
    """How many runs came from the start on, late."""
    d.advance_to(max(d.now, until_ms))
    return len(d.turns(job)) - before


def _expect_owed(d: Driver, late: int, missed: int, answer: str, what: str) -> None:
    d.expect(
        late in _owed(answer, missed),
        f"catch-up is {answer!r}; {missed} slot(s) were missed {what}, and {late} run(s) came late",
    )


@requirement("CS-STO-010")
@pytest.mark.parametrize("seconds", [75, 240])
def test_one_slot_missed_by_a_moment(cronsession_driver: Driver, seconds: int) -> None:
    d = cronsession_driver
    job = d.add(cron(TEN))
    slot = _run_its_slot(d, job)
    d.advance_to(slot + 9 * MINUTE + 59_000 - d.hello.lateness_ms - d.hello.resolution_ms)
    d.go_down()
    d.come_back({"seconds": seconds})
    late = _late(d, job, slot + 19 * MINUTE)
    _expect_owed(d, late, 1, d.hello.policy("catchUp"), f"in {seconds} seconds")


@requirement("CS-STO-011")
@pytest.mark.parametrize("how", ["crash", "stop"])
def test_where_nothing_was_missed_nothing_is_owed(cronsession_driver: Driver, how: str) -> None:
    d = cronsession_driver
    job, later = d.add(cron(TEN)), d.add(at(d.now + 25 * MINUTE))
    slot = _run_its_slot(d, job)
    d.advance_to(slot + 2 * MINUTE)
    if how == "crash":
        d.go_down()
        d.come_back({"minutes": 6})
    else:
        d.be_down(minutes=6)
    step_through(d, job, [slot + 10 * MINUTE], slot + 19 * MINUTE)
    d.advance_to(slot + 31 * MINUTE)
    d.expect(len(d.turns(later)) == 1, f"a one-shot to come ran {len(d.turns(later))} times after a downtime")


@requirement("CS-STO-012")
def test_two_starts_owe_no_more_than_one(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(cron(TEN))
    slot = _run_its_slot(d, job)
    d.go_down()
    d.come_back({"minutes": 25})
    d.crash()
    late, answer = _late(d, job, slot + 29 * MINUTE), d.hello.policy("catchUp")
    # Fewer are no fault: what the first start had claimed may have been lost by the crash.
    d.expect(
        late <= _owed(answer, 2)[-1],
        f"policy catchUp is {answer!r}; two slots were missed before two starts, and {late} run(s) came late",
    )
    d.crash()
    again = _late(d, job, slot + 29 * MINUTE + 30_000, before=1 + late)
    d.expect(
        again == 0, f"what was missed had been made up for, and {again} run(s) came after one more start"
    )


@requirement("CS-STO-013")
def test_the_present_schedule_decides_what_was_missed(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    busy, calm = d.add(cron(TEN)), d.add(cron("0 5 * * *"))
    slot = _run_its_slot(d, busy)
    d.advance(seconds=5)  # whether the very instant of an edit is a slot is open
    d.edit(busy, schedule=cron("0 5 * * *"))
    d.edit(calm, schedule=cron(TEN))
    d.go_down()
    d.come_back({"minutes": 25})
    d.advance_to(slot + 29 * MINUTE)
    now = len(d.turns(busy)) - 1
    d.expect(now == 0, f"the schedule before the edit had slots in the downtime, and {now} run(s) came late")
    _expect_owed(
        d, len(d.turns(calm)), 2, d.hello.policy("catchUp"), "by the schedule that an edit had brought"
    )


@requirement("CS-STO-014")
@pytest.mark.parametrize("how", ["disabled", "removed"])
def test_a_job_that_is_off_missed_nothing(cronsession_driver: Driver, how: str) -> None:
    d = cronsession_driver
    job = d.add(cron(TEN))
    slot = _run_its_slot(d, job)
    if how == "removed":
        d.require("job.remove")
        d.remove(job)
    else:
        d.require("job.update", "job.disable")
        d.edit(job, enabled=False)
    d.go_down()
    d.come_back({"minutes": 32})
    d.advance_to(slot + 36 * MINUTE)
    d.expect(len(d.turns(job)) == 1, f"a job that was {how} before the downtime ran after it")
    if how == "disabled":
        d.edit(job, enabled=True)
        d.advance_to(slot + 39 * MINUTE)
        d.expect(len(d.turns(job)) == 1, "slots that fell due while the job was disabled were made up for")


@requirement("CS-STO-015")
def test_many_jobs_each_get_what_they_are_owed(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    minute = d.now // MINUTE
    jobs = [d.add(cron(f"{(minute + 5 + i % 3) % 60} * * * *")) for i in range(d.few(14, 8))]
    d.go_down()
    d.come_back({"minutes": 20})
    d.advance(minutes=15)
    answer = d.hello.policy("catchUp")
    counts = [len(d.turns(job)) for job in jobs]
    d.expect(
        all(count in _owed(answer, 1) for count in counts),
        f"policy catchUp is {answer!r}; each of {len(jobs)} jobs missed a slot, and their late runs are {counts}",
    )


@requirement("CS-STO-016")
def test_months_of_downtime(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(cron("0 * * * *"))
    _run_its_slot(d, job)
    d.go_down()
    d.come_back({"days": 60, "minutes": 20})
    answer = d.hello.policy("catchUp")
    late = _late(d, job, d.now + 4 * MINUTE)
    fits = late >= 1 if answer == "all" else late in _owed(answer, 1440)
    d.expect(fits, f"policy catchUp is {answer!r}; after 60 days of missed hourly slots {late} run(s) came")
    d.advance(hours=1)  # with all, the late ones may still be on their way
    upcoming = d.stored(job).next_run_ms
    if upcoming is None or not d.now < upcoming <= d.now + HOUR:
        d.fail(f"after 60 days down the next run is {instant(upcoming)} at {instant(d.now)}")
    assert upcoming is not None
    step_through(d, job, [upcoming], upcoming)


@requirement("CS-STO-007")
@pytest.mark.cronsession_tier("full")
def test_an_interval_goes_on_after_a_downtime(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("schedule.every")
    job = d.add(every(minutes=10))
    _run_its_slot(d, job)
    d.go_down()
    d.come_back({"minutes": 35})
    d.advance(minutes=21)  # what was missed is made up for, or not
    before = len(d.turns(job))
    d.advance(minutes=31)
    runs = len(d.turns(job)) - before
    d.expect(runs in (3, 4), f"after a downtime a job of every ten minutes ran {runs} times in 31 minutes")


@requirement("CS-STO-017")
@pytest.mark.parametrize("answer", ["skip", "once", "all"])
def test_what_the_job_says_about_missed_slots_decides(cronsession_driver: Driver, answer: str) -> None:
    d = cronsession_driver
    job = d.add(cron(TEN), catchUp={"policy": answer})
    slot = _run_its_slot(d, job)
    d.go_down()
    d.come_back({"minutes": 35})
    _expect_owed(d, _late(d, job, slot + 39 * MINUTE), 3, answer, "by a job that says so")


@requirement("CS-STO-018")
def test_too_late_is_not_run(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    catch_up = {"policy": "all", "maxLatenessMs": 20 * MINUTE}
    job = d.add(cron(TEN), catchUp=catch_up)
    old = d.add(cron("20 * * * *"), catchUp={**catch_up, "policy": "once"})
    slot = _run_its_slot(d, job)
    while d.now < slot + HOUR and instant(d.stored(job).next_run_ms)[14:16] != "20":
        slot = _run_its_slot(d, job)
    ran, ran_old = len(d.turns(job)), len(d.turns(old))
    d.go_down()
    # Missed are the slots of :20, :30 and :40; at :44 the first is too late, and in a few minutes none of the others is.
    d.come_back({"minutes": 34})
    d.advance_to(slot + 38 * MINUTE)
    late, late_old = len(d.turns(job)) - ran, len(d.turns(old)) - ran_old
    d.expect(late == 2, f"of three missed slots one was later than maxLatenessMs, and {late} were run")
    d.expect(late_old == 0, "a slot that was later than maxLatenessMs was run")


@requirement("CS-STO-019")
def test_a_one_shot_says_itself_whether_it_runs_late(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    skip = d.add(at(d.now + 10 * MINUTE), catchUp={"policy": "skip"})
    run = d.add(at(d.now + 10 * MINUTE), catchUp={"policy": "once"})
    d.go_down()
    d.come_back({"minutes": 30})
    d.advance(hours=1)
    counts = len(d.turns(skip)), len(d.turns(run))
    d.expect(
        counts == (0, 1), f"missed one-shots with catchUp skip and once ran {counts[0]} and {counts[1]} times"
    )


def _facts(d: Driver) -> dict[str, Any]:
    members = (
        *("name", "enabled", "agent", "schedule", "session", "payload", "timeoutMs", "deleteAfterRun"),
        "nextRunAtMs",
    )
    return {job.id: {name: job.raw.get(name) for name in members} for job in d.jobs()}


@requirement("CS-STO-020")
@pytest.mark.parametrize("how", ["restart", "crash"])
def test_starting_again_changes_no_job(cronsession_driver: Driver, how: str) -> None:
    d = cronsession_driver
    if how == "crash":
        d.require("crash")
    d.add(cron("7 */2 * * *", tz="Europe/Berlin"), target="named", name=d.fresh_name("kept"))
    d.add(at(d.now + 3 * DAY))
    if d.has("job.update", "job.disable"):
        d.edit(d.add(cron(TEN)), enabled=False)
    before = _facts(d)
    for n in range(3):
        (d.crash if how == "crash" else d.restart)()
        d.advance(seconds=1)
        after = _facts(d)
        d.expect(
            set(after) == set(before), f"after start {n + 1} there are {len(after)} jobs, not {len(before)}"
        )
        for job_id, facts in before.items():
            d.expect(after[job_id] == facts, f"a start changed a job from {facts} to {after[job_id]}")


@requirement("CS-STO-021")
def test_starting_again_changes_no_session_and_no_run(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    shared = d.add(target="named", name=d.fresh_name("kept"))
    jobs = [shared, d.add(target="isolated")] if d.has("session.isolated") else [shared]
    for job in jobs:
        d.evidence(job)
    rows = {(s.key, s.id) for s in d.sessions()}
    runs = {(r.id, r.job_id, r.status, r.session_key) for r in d.runs()} if d.has("run.list") else set()
    for n in range(3):
        d.restart()
        d.advance(seconds=1)
        now = {(s.key, s.id) for s in d.sessions()}
        d.expect(now == rows, f"start {n + 1} made of the rows {sorted(rows)} the rows {sorted(now)}")
        if d.has("run.list"):
            listed = {(r.id, r.job_id, r.status, r.session_key) for r in d.runs()}
            d.expect(
                listed == runs,
                f"start {n + 1} made of the runs {sorted(runs, key=str)} {sorted(listed, key=str)}",
            )
