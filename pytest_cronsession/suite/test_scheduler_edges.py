"""Jobs and slots at their edges: one-shots that rest, go or change, edits that say nothing of a schedule, targets, ends."""

from __future__ import annotations

from typing import Any

import pytest

from ..driver import Driver, at, cron, every, wish
from ..model import HANG, OK, TRANSIENT, tag_text
from ..oracle import DAY, MINUTE, cron_slots
from ..requirement import requirement
from ..trace import instant
from .kit import (
    accounted_for,
    is_at,
    next_run,
    step_through,
    to_the_next_run,
)

pytestmark = pytest.mark.cronsession_tier("full")
last = pytest.mark.cronsession_last
HOURLY = cron("0 * * * *", "UTC")


# --- one-shots -------------------------------------------------------------------------------------------


@requirement("CS-SCH-007")
@pytest.mark.parametrize("way", ["added", "edited"])
def test_a_one_shot_that_rests_does_not_come(cronsession_driver: Driver, way: str) -> None:
    d = cronsession_driver
    d.require("schedule.at", *(["job.update"] if way == "edited" else []))
    job = d.add(at(d.now + 20 * MINUTE), **({"enabled": False} if way == "added" else {}))
    if way == "edited":
        d.advance(minutes=5)
        d.edit(job, enabled=False)
    upcoming = d.stored(job).next_run_ms
    d.expect(upcoming is None, f"a disabled one-shot is to run at {instant(upcoming)}")
    d.advance(minutes=40)
    d.expect(not d.turns(job), f"a one-shot that was {way} disabled ran at its instant")


@requirement("CS-JOB-014")
def test_a_removed_one_shot_does_not_come(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("schedule.at")
    job = d.add(at(d.now + 20 * MINUTE))
    d.advance(minutes=5)
    d.remove(job)
    d.advance(minutes=40)
    d.expect(not d.turns(job), "a one-shot was removed before its instant, and ran at it")


@requirement("CS-SCH-008")
@pytest.mark.parametrize("deleted", [False, True], ids=["plain", "delete-after-run"])
def test_a_one_shot_becomes_an_interval(cronsession_driver: Driver, deleted: bool) -> None:
    d = cronsession_driver
    d.require("schedule.at", *(["job.deleteAfterRun"] if deleted else []))
    job = d.add(at(d.now + 90 * MINUTE), **({"deleteAfterRun": True} if deleted else {}))
    if d.update(job, schedule=every(minutes=10)).rejected is not None:
        d.pass_over("the gateway refuses to make a one-shot another kind of job")
    d.advance(minutes=45)
    ran = len(d.turns(job))
    d.expect(ran >= 4, f"a one-shot was made an interval of 10 minutes, and ran {ran} times in 45")


@requirement("CS-SCH-008")
@pytest.mark.parametrize("kind", ["every", "cron"])
def test_a_recurring_job_becomes_a_one_shot(cronsession_driver: Driver, kind: str) -> None:
    d = cronsession_driver
    d.require("schedule.at")
    job = d.add(every(minutes=10) if kind == "every" else cron("*/10 * * * *", "UTC"))
    d.advance(minutes=25)
    slot = d.now + 33 * MINUTE
    if d.update(job, schedule=at(slot)).rejected is not None:
        d.pass_over("the gateway refuses to make a recurring job another kind of job")
    upcoming = d.stored(job).next_run_ms
    d.expect(
        is_at(d, upcoming, slot),
        f"a job was made a one-shot for {instant(slot)}, and its next run is {instant(upcoming)}",
    )
    step_through(d, job, [slot], slot + 90 * MINUTE)
    left = d.job(job)
    d.expect(
        left is None or left.next_run_ms is None,
        "a job was made a one-shot, which is done, and has a next run",
    )


@requirement("CS-SCH-008")
def test_a_done_one_shot_gets_a_new_instant(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("schedule.at", "job.disable")
    job = d.add(at(d.now + 10 * MINUTE))
    d.advance(minutes=15)
    if d.job(job) is None:
        d.pass_over("a one-shot that is done is no longer listed, and cannot be edited")
    slot = d.now + 20 * MINUTE
    if d.update(job, schedule=at(slot), enabled=True).rejected is not None:
        d.pass_over("the gateway refuses an edit of a one-shot that is done")
    upcoming = d.stored(job).next_run_ms
    d.expect(
        is_at(d, upcoming, slot),
        f"a one-shot that was done got the instant {instant(slot)}, and its next run is {instant(upcoming)}",
    )
    step_through(d, job, [slot], slot + MINUTE)


@requirement("CS-SCH-009")
@pytest.mark.parametrize("edit", ["name", "payload", "same-schedule"])
def test_an_edit_of_other_things_leaves_a_one_shot(cronsession_driver: Driver, edit: str) -> None:
    d = cronsession_driver
    d.require("schedule.at")
    slot = d.now + 20 * MINUTE
    job = d.add(at(slot))
    d.advance(minutes=5)
    patches: dict[str, dict[str, Any]] = {
        "name": {"name": "another name"},
        "payload": {"payload": {"kind": "agentTurn", "text": tag_text("Other words.", job.tag)}},
        "same-schedule": {"schedule": at(slot)},
    }
    d.edit(job, **patches[edit])
    upcoming = d.stored(job).next_run_ms
    d.expect(
        is_at(d, upcoming, slot),
        f"an edit ({edit}) moved a one-shot from {instant(slot)} to {instant(upcoming)}",
    )
    step_through(d, job, [slot], slot + MINUTE)


@requirement("CS-SCH-020")
def test_a_one_shot_is_removed_when_its_repetition_was_answered(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("job.retry")
    slot = d.now + 10 * MINUTE
    write, job = d.try_add(at(slot), deleteAfterRun=True, retry={"maxRetries": 1, "backoffMs": [5 * MINUTE]})
    if job is None or accounted_for(write, "retry", "deleteAfterRun"):
        d.pass_over("the gateway does not take both members of a one-shot, and the write says so")
    assert job is not None
    d.answers(job, TRANSIENT, always=OK)
    d.advance_to(slot + 12 * MINUTE)
    if not any(turn.state == "answered" for turn in d.turns(job)):
        d.pass_over("the one-shot was not made again, which is another requirement's question")
    d.expect(
        d.job(job) is None,
        "a one-shot with deleteAfterRun was answered when its run was made again, and is still listed",
    )


# --- edits that leave the schedule as it is ----------------------------------------------------------------


@requirement("CS-SCH-009")
@pytest.mark.parametrize("member", ["enabled", "payload", "timeoutMs", "session", "agent", "retry"])
def test_no_other_member_moves_an_interval(cronsession_driver: Driver, member: str) -> None:
    d = cronsession_driver
    needs = {"enabled": "job.disable", "timeoutMs": "run.timeout", "session": "session.named"}
    needs |= {"agent": "agents", "retry": "job.retry"}
    if member in needs:
        d.require(needs[member])
    job = d.add(every(minutes=60))
    values: dict[str, Any] = {
        "enabled": True,
        "payload": {"kind": "agentTurn", "text": tag_text("Other words.", job.tag)},
        "timeoutMs": 50 * MINUTE,
        "session": wish("named", name=d.fresh_name("room")),
        "agent": "work",
        "retry": {"maxRetries": 1},
    }
    d.advance(minutes=20)
    before = next_run(d, job)
    if d.update(job, **{member: values[member]}).rejected is not None:
        d.pass_over(f"the gateway refuses an edit of {member}")
    after = d.stored(job).next_run_ms
    d.expect(
        after == before, f"an edit of {member} moved the next run from {instant(before)} to {instant(after)}"
    )


# --- slots -------------------------------------------------------------------------------------------------


@requirement("CS-SCH-001")
def test_slots_of_several_jobs_come_in_their_order(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    exprs = ("0 * * * *", "30 * * * *", "15 */2 * * *")
    jobs = {expr: d.add(cron(expr, "UTC")) for expr in exprs}
    until = d.now + 5 * 60 * MINUTE + 25 * MINUTE
    plan = sorted((slot, expr) for expr in exprs for slot in cron_slots(expr, "UTC", d.now, until))
    # In one step, however many slots are on its way.
    d.advance_to(until)
    got = sorted((turn.seq, expr) for expr, job in jobs.items() for turn in d.turns(job))
    d.expect(
        [expr for _, expr in got] == [expr for _, expr in plan],
        f"the slots of three jobs come in the order {[expr for _, expr in plan]}, they ran in the order "
        f"{[expr for _, expr in got]}",
    )


# Steps as long as their field, and of names; a week that begins with its Sunday; ranges of one value.
_READABLE = (
    *("0 5 * */12,3 *", "5-5 8 * mar,Nov *", "*/60 */24 * * *", "30 6 * * */7"),
    *("0 9 * * MON-FRI/2", "0 9 * * SUN-TUE", "20 10 * * 0,7", "0 12 */31 * *"),
)


@requirement("CS-SCH-001")
@pytest.mark.cronsession_start("2026-03-01T20:00:07Z")
@pytest.mark.parametrize("expr", _READABLE)
def test_rare_forms_of_the_dialect(cronsession_driver: Driver, expr: str) -> None:
    d = cronsession_driver
    slots = cron_slots(expr, "UTC", d.now, d.now + 35 * DAY)
    job = d.add(cron(expr, "UTC"))
    upcoming = d.stored(job).next_run_ms
    d.expect(
        upcoming == slots[0], f"{expr!r} runs first at {instant(slots[0])}, listed is {instant(upcoming)}"
    )
    near = [slot for slot in slots if slot < d.now + 10 * DAY][: d.few(3, 1)]
    step_through(d, job, near, near[-1] + MINUTE // 2 if near else d.now + MINUTE)


@requirement("CS-SCH-016")
def test_a_slot_that_is_jumped_onto_runs_once_at_most(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("schedule.cron")
    job = d.add(cron("*/10 * * * *", "UTC"))
    slot = to_the_next_run(d, job) + 10 * MINUTE
    d.advance(minutes=2)
    seen = len(d.turns(job))
    d.jump(milliseconds=slot - d.now)
    d.advance(minutes=8)
    more = len(d.turns(job)) - seen
    d.expect(
        more <= 1, f"a jump onto the slot {instant(slot)} was followed by {more} runs before the next one"
    )
    step_through(d, job, [slot + 10 * MINUTE], slot + 11 * MINUTE)


@requirement("CS-SCH-025")
@pytest.mark.parametrize("how", ["trouble", "timeout"])
def test_no_other_failure_spins(cronsession_driver: Driver, how: str) -> None:
    d = cronsession_driver
    d.require("run.list", *(["run.timeout"] if how == "timeout" else []))
    job = d.add(every(minutes=60), **({"timeoutMs": MINUTE} if how == "timeout" else {}))
    d.answers(job, always=TRANSIENT if how == "trouble" else HANG)
    began = d.now
    d.advance(minutes=4 * 60 + 30)
    runs = [r for r in d.runs(job, since_ms=began) if r.started_ms is not None]
    d.expect(bool(runs), "the job did not run at all")
    # At most ten repetitions for each of at most five slots.
    d.expect(
        len(runs) <= 55,
        f"an hourly job whose runs fail ({how}) was started {len(runs)} times in four and a half hours",
    )


@requirement("CS-JOB-009")
def test_writes_beside_an_advance_take_effect(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("job.update", "clock.advance")
    busy, quiet = d.add(every(minutes=10)), d.add()
    due = next_run(d, busy) + 10 * MINUTE + d.hello.late_by_ms
    answers = d.together(
        ("clock/advance", {"toMs": due}),
        ("job/update", {"id": quiet.id, "patch": {"name": "edited beside an advance"}}),
        ("job/update", {"id": busy.id, "patch": {"name": "edited beside its run"}}),
    )
    d.advance_to(due)
    d.advance(minutes=1)
    for job, name, answer in (
        (quiet, "edited beside an advance", answers[1]),
        (busy, "edited beside its run", answers[2]),
    ):
        told = d.stored(job).raw.get("name", name)
        d.expect(
            "rejected" in answer or told == name,
            f"an edit to {name!r} overlapped an advance and was accepted, and the job is called {told!r}",
        )
