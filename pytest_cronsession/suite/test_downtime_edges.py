"""What a start owes, by whatever way the gateway went down, and what it does not owe."""

from __future__ import annotations

from typing import Any

import pytest

from ..driver import Driver, at, cron, every
from ..model import ERROR, hold
from ..oracle import MINUTE
from ..requirement import requirement
from .kit import end_held, long_timeout, next_run, step_through

HOUR = 60 * MINUTE
pytestmark = [pytest.mark.cronsession_last, pytest.mark.cronsession_tier("full")]
TEN = "*/10 * * * *"


@requirement("CS-STO-008")
@pytest.mark.parametrize("case", ["stop", "deleted", "days", "several"])
def test_one_shots_are_owed_whatever_the_downtime(cronsession_driver: Driver, case: str) -> None:
    d = cronsession_driver
    options: dict[str, Any] = {}
    if case == "deleted":
        d.require("job.deleteAfterRun")
        options = {"deleteAfterRun": True}
    elif case == "stop":
        d.require("restart")
    jobs = [d.add(at(d.now + (10 + n) * MINUTE), **options) for n in range(6 if case == "several" else 1)]
    if case == "stop":
        d.be_down(minutes=35)
    else:
        d.go_down()
        d.come_back({"days": 3} if case == "days" else {"minutes": 35})
    d.advance(hours=6)
    declared, runs = d.hello.policy("missedOneShot"), [len(d.turns(job)) for job in jobs]
    right = {"run": {1}, "skip": {0}, "grace": {0, 1}}[declared]
    d.expect(
        set(runs) <= right,
        f"policy missedOneShot is {declared!r} and missed one-shots ({case}) ran so many times: {runs}",
    )


@requirement("CS-STO-010")
def test_one_slot_missed_after_a_stop(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("restart")
    job = d.add(cron(TEN))
    slot = next_run(d, job)
    step_through(d, job, [slot], slot + d.hello.late_by_ms)
    d.advance_to(slot + 9 * MINUTE)
    d.be_down(minutes=4)
    d.advance_to(slot + 19 * MINUTE)
    answer, late = d.hello.policy("catchUp"), len(d.turns(job)) - 1
    d.expect(
        late in {"skip": {0}, "once": {1}, "grace": {0, 1}, "all": {1}}[answer],
        f"policy catchUp is {answer!r}; one slot was missed after a stop in good order, and {late} run(s) came late",
    )


@requirement("CS-STO-005")
@pytest.mark.parametrize("how", ["restart", "crash"])
def test_a_slot_whose_run_failed_does_not_run_again(cronsession_driver: Driver, how: str) -> None:
    d = cronsession_driver
    # Else a gateway may make again what failed as it likes.
    d.require(how, "job.retry")
    job = d.add(every(minutes=10), retry={"maxRetries": 0})
    slot = next_run(d, job)
    d.answers(job, ERROR)
    step_through(d, job, [slot], slot + d.hello.late_by_ms)
    (d.restart if how == "restart" else d.crash)()
    step_through(d, job, [], slot + 5 * MINUTE)
    upcoming = next_run(d, job)
    step_through(d, job, [upcoming], upcoming)


@requirement("CS-STO-015")
def test_jobs_of_every_form_get_what_they_are_owed(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    hourly = cron(f"{(d.now // MINUTE + 5) % 60} * * * *")
    jobs = {"plain": d.add(hourly)}
    if d.has("session.main"):
        jobs["main"] = d.add(hourly, target="main")
    if d.has("session.named"):
        jobs["named"] = d.add(hourly, target="named", name=d.fresh_name("report"))
    if d.has("agents"):
        jobs["agent"] = d.add(hourly, agent="work")
    if d.has("run.timeout"):
        jobs["timeout"] = d.add(hourly, timeoutMs=HOUR)
    d.go_down()
    d.come_back({"minutes": 20})
    d.advance(minutes=15)
    answer, late = d.hello.policy("catchUp"), {form: len(d.turns(job)) for form, job in jobs.items()}
    right = {"skip": {0}, "once": {1}, "grace": {0, 1}, "all": {1}}[answer]
    d.expect(
        set(late.values()) <= right,
        f"policy catchUp is {answer!r}; each job missed one slot, and of late runs there were {late}",
    )


@requirement("CS-STO-026")
@pytest.mark.parametrize("how", ["restart", "crash"])
def test_a_one_shot_that_ran_late_is_done(cronsession_driver: Driver, how: str) -> None:
    d = cronsession_driver
    d.require(how)
    job = d.add(at(d.now + 10 * MINUTE))
    d.go_down()
    d.come_back({"minutes": 15})
    d.advance(hours=6)
    ran = len(d.turns(job))
    if not ran:
        d.not_observed("a missed one-shot is not run late")
    for _ in range(2):
        (d.restart if how == "restart" else d.crash)()
        d.advance(hours=1)
    d.expect(len(d.turns(job)) == ran, f"a one-shot that had run late ran again after a {how}")


@requirement("CS-STO-011")
@pytest.mark.parametrize("case", ["enabled", "edited"])
def test_what_came_before_the_last_edit_is_not_owed(cronsession_driver: Driver, case: str) -> None:
    d = cronsession_driver
    d.require("job.update")
    if case == "enabled":
        d.require("job.disable")
    job = d.add(cron(TEN if case == "enabled" else "0 5 * * *"))
    if case == "enabled":
        slot = next_run(d, job)
        step_through(d, job, [slot], slot + d.hello.late_by_ms)
        d.advance(minutes=1)
        d.edit(job, enabled=False)
    d.advance(minutes=30)
    while (d.now // MINUTE) % 10 != 2:
        d.advance(minutes=1)
    # Slots that the job would have had, and not one since the edit.
    d.edit(job, **({"enabled": True} if case == "enabled" else {"schedule": cron(TEN)}))
    slot = next_run(d, job)
    d.advance(seconds=20)
    d.go_down()
    d.come_back({"minutes": 3})
    step_through(d, job, [slot], slot + 5 * MINUTE)


@requirement("CS-STO-017")
@pytest.mark.parametrize("answer", ["skip", "once", "all"])
def test_what_a_job_with_an_interval_says_about_missed_slots_decides(
    cronsession_driver: Driver, answer: str
) -> None:
    d = cronsession_driver
    d.require("schedule.every")
    if d.hello.policy("intervalAnchor") != "grid":
        d.pass_over("the next slot is counted from the run before, so that it is not known what was missed")
    job = d.add(every(minutes=10), catchUp={"policy": answer})
    slot = next_run(d, job)
    step_through(d, job, [slot], slot + d.hello.late_by_ms)
    d.go_down()
    d.come_back({"minutes": 35})
    d.advance_to(slot + 39 * MINUTE)
    late = len(d.turns(job)) - 1
    d.expect(
        late == {"skip": 0, "once": 1, "all": 3}[answer],
        f"catch-up is {answer!r}; three slots of an interval were missed, and {late} run(s) came late",
    )


@requirement("CS-STO-011")
def test_a_slot_that_fell_into_a_run_is_not_owed(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(cron(TEN), **long_timeout(d))
    slot = next_run(d, job)
    d.answers(job, hold())
    d.advance_to(slot + 12 * MINUTE)
    d.expect(bool(d.turns(job)), "the job did not run at its slot")
    end_held(d, job)
    # By policy overlap the second slot was passed over, or has had its run by now.
    d.advance(minutes=1)
    d.go_down()
    d.come_back({"minutes": 3})
    step_through(d, job, [slot + 20 * MINUTE], slot + 25 * MINUTE)
