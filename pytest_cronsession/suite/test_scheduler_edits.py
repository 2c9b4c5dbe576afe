"""Validation, edits, disabling, manual runs and clock jumps: what they do to the next run."""

from __future__ import annotations

from typing import Any

import pytest

from ..driver import Driver, Handle, cron, every
from ..model import OK, TRANSIENT, hold
from ..oracle import DAY, MINUTE, cron_slots
from ..requirement import requirement
from ..trace import instant
from .kit import end_held, hourly, long_timeout, next_run, step_through, to_the_next_run

_UNREADABLE = {
    "out-of-range": cron("61 * * * *"),
    "too-few-fields": cron("* * *"),
    "words": cron("every day at noon"),
    "empty": cron(""),
    "zero-step": cron("*/0 * * * *"),
    "unknown-zone": cron("0 9 * * *", "Mars/Olympus_Mons"),
}


@requirement("CS-SCH-005")
@pytest.mark.parametrize("case", list(_UNREADABLE))
def test_unreadable_schedules_are_rejected(cronsession_driver: Driver, case: str) -> None:
    d = cronsession_driver
    before = len(d.jobs())
    # A job that rests is read as well: one day it will be enabled.
    ways: list[dict[str, Any]] = [{}, {"enabled": False}] if d.has("job.disable") else [{}]
    for more in ways:
        write, _ = d.try_add(_UNREADABLE[case], **more)
        d.expect(write.rejected is not None, f"the schedule {_UNREADABLE[case]} was accepted {more or ''}")
    d.expect(len(d.jobs()) == before, "the refused job is listed all the same")
    if not d.has("job.update"):
        return
    job = d.add(cron("0 12 * * *"))
    stored = d.stored(job).raw
    edit = d.update(job, schedule=_UNREADABLE[case], name="half an edit")
    d.expect(edit.rejected is not None, f"an edit to the schedule {_UNREADABLE[case]} was accepted")
    after = d.stored(job).raw
    for member in ("name", "enabled", "schedule", "nextRunAtMs"):
        d.expect(
            after.get(member) == stored.get(member),
            f"the refused edit changed {member} from {stored.get(member)} to {after.get(member)}",
        )


# One step beyond each field.
_BEYOND = ("0 24 * * *", "0 9 32 * *", "0 9 0 * *", "0 9 * 13 *", "0 9 * 0 *", "0 9 * * 8", "60 9 * * *")


@requirement("CS-SCH-005")
@pytest.mark.cronsession_tier("full")
def test_values_beyond_their_field_are_rejected(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    for expr in _BEYOND[: d.few(len(_BEYOND), 3)]:
        write, _ = d.try_add(cron(expr))
        d.expect(write.rejected is not None, f"{expr!r} was accepted, and no clock shows that time")


@requirement("CS-SCH-007")
def test_a_disabled_job_rests_and_makes_up_for_nothing(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(every(minutes=10))
    d.advance(minutes=12)
    ran = len(d.turns(job))
    d.expect(ran >= 1, "the job did not run while it was enabled")
    d.edit(job, enabled=False)
    d.expect(d.stored(job).next_run_ms is None, "a disabled job has a next run")
    d.advance(hours=2)
    d.expect(len(d.turns(job)) == ran, "a disabled job ran by schedule")
    _check_goes_on(d, job)


@requirement("CS-SCH-007")
def test_a_job_added_disabled_rests(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(every(minutes=10), enabled=False)
    d.expect(d.stored(job).next_run_ms is None, "a job that was added disabled has a next run")
    d.advance(minutes=35)
    d.expect(not d.turns(job), "a job that was added disabled ran by schedule")
    _check_goes_on(d, job)


@requirement("CS-SCH-007")
@pytest.mark.cronsession_tier("full")
@pytest.mark.parametrize("what", ["repetition", "queued"])
def test_what_waits_of_a_disabled_job_does_not_run(cronsession_driver: Driver, what: str) -> None:
    d = cronsession_driver
    if what == "repetition":
        d.require("job.retry")
        job = d.add(every(hours=6), retry={"maxRetries": 3, "backoffMs": [20 * MINUTE]})
        d.answers(job, TRANSIENT, TRANSIENT, TRANSIENT)
        to_the_next_run(d, job)
    else:
        d.require_policy("overlap", "queue")
        job = d.add(every(minutes=30), **long_timeout(d))
        d.answers(job, hold())
        to_the_next_run(d, job)
        d.advance(minutes=40)
    ran = len(d.turns(job))
    d.expect(ran > 0, "the job did not run at its slot")
    d.edit(job, enabled=False)
    if what == "queued":
        end_held(d, job)
    else:
        d.answers(job, always=OK)
    d.advance(hours=2)
    d.expect(
        len(d.turns(job)) == ran,
        f"{len(d.turns(job)) - ran} run(s) of a disabled job began, which had waited for their time before",
    )
    _check_goes_on(d, job)


def _check_goes_on(d: Driver, job: Handle) -> None:
    d.edit(job, enabled=True)
    upcoming = d.stored(job).next_run_ms
    d.expect(upcoming is not None and upcoming > d.now, f"enabled again, the next run is {instant(upcoming)}")
    assert upcoming is not None
    step_through(d, job, [upcoming], upcoming + MINUTE)


@requirement("CS-SCH-008")
def test_an_edited_schedule_replaces_the_old_one(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(every(minutes=10))
    d.advance(minutes=11)
    old = d.stored(job).next_run_ms
    slots = cron_slots("35 */3 * * *", "Asia/Kolkata", d.now, d.now + DAY)[:3]
    d.edit(job, schedule=cron("35 */3 * * *", "Asia/Kolkata"))
    upcoming = d.stored(job).next_run_ms
    d.expect(
        upcoming == slots[0],
        f"after the edit the next run is {instant(upcoming)}, by the new schedule {instant(slots[0])} (old: {instant(old)})",
    )
    step_through(d, job, slots, slots[-1] + 25 * MINUTE)


@requirement("CS-SCH-008")
@pytest.mark.parametrize(
    ("expr", "tz"), [("0 9 * * *", "Asia/Kolkata"), ("40 5 * * *", "UTC")], ids=["zone", "expression"]
)
def test_an_edit_of_one_part_replaces_the_schedule(cronsession_driver: Driver, expr: str, tz: str) -> None:
    d = cronsession_driver
    job = d.add(cron("0 9 * * *", "UTC"))
    slots = cron_slots(expr, tz, d.now, d.now + 2 * DAY)
    d.edit(job, schedule=cron(expr, tz))
    upcoming = d.stored(job).next_run_ms
    d.expect(
        upcoming == slots[0],
        f"after the edit the next run is {instant(upcoming)}, by the new schedule {instant(slots[0])}",
    )
    step_through(d, job, slots, slots[-1] + MINUTE)


@requirement("CS-SCH-009")
@pytest.mark.parametrize(
    "edit", ["name", "same-schedule", "same-schedule-without-anchor", "listed-schedule-after-a-manual-run"]
)
def test_an_edit_of_other_things_leaves_the_next_run(cronsession_driver: Driver, edit: str) -> None:
    d = cronsession_driver
    schedule: dict[str, Any] = {"kind": "every", "everyMs": 60 * MINUTE, "anchorMs": d.now - 5 * MINUTE}
    by_hand = edit == "listed-schedule-after-a-manual-run"
    if by_hand:
        d.require("trigger")
    if by_hand or edit == "same-schedule-without-anchor":
        del schedule["anchorMs"]
    job = d.add(schedule)
    d.advance(minutes=20)
    if by_hand:
        d.evidence(job)
        listed = d.stored(job).raw.get("schedule")
        if listed is None:
            d.pass_over("job/list shows no schedule")
        schedule = dict(listed or {})
    before = d.stored(job).next_run_ms
    d.edit(job, **({"name": "another name"} if edit == "name" else {"schedule": schedule}))
    after = d.stored(job).next_run_ms
    d.expect(after == before, f"the edit moved the next run from {instant(before)} to {instant(after)}")


@requirement("CS-SCH-010")
@pytest.mark.parametrize("kind", ["every", "cron"])
def test_a_manual_run_leaves_the_next_run(cronsession_driver: Driver, kind: str) -> None:
    d = cronsession_driver
    job = hourly(d, kind)
    d.advance(minutes=25)
    before = d.stored(job).next_run_ms
    d.evidence(job)
    after = d.stored(job).next_run_ms
    d.expect(after == before, f"a manual run moved the next run from {instant(before)} to {instant(after)}")
    assert after is not None
    step_through(d, job, [after], after)


@requirement("CS-SCH-016")
def test_a_forward_jump_repeats_and_stops_nothing(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(every(minutes=10))
    first = next_run(d, job)
    d.advance(minutes=11)
    before = len(d.turns(job))
    d.jump(minutes=65)
    d.advance(minutes=3)
    late = len(d.turns(job)) - before
    d.expect(0 <= late <= 7, f"{late} runs right after a jump over 6 slots")
    upcoming = d.stored(job).next_run_ms
    d.expect(
        upcoming is not None and d.now < upcoming <= d.now + 10 * MINUTE,
        f"after a jump the next run is {instant(upcoming)}",
    )
    assert upcoming is not None
    if d.hello.policy("intervalAnchor") == "grid":
        d.expect(
            (upcoming - first) % (10 * MINUTE) == 0,
            f"the next run {instant(upcoming)} is none of the job's slots",
        )
    step_through(d, job, [upcoming, upcoming + 10 * MINUTE], upcoming + 15 * MINUTE)


@requirement("CS-SCH-031")
@pytest.mark.parametrize("kind", ["every", "cron"])
def test_a_jump_over_no_slot_changes_nothing(cronsession_driver: Driver, kind: str) -> None:
    d = cronsession_driver
    if kind == "cron":
        d.require("schedule.cron")
    job = d.add(every(hours=6) if kind == "every" else cron("0 */6 * * *"))
    # Another one that is jumped over, so that something is to be made up for.
    d.add(every(minutes=10))
    first = next_run(d, job)
    # A first slot that is near leaves no room for a jump before it.
    d.advance_to(first + MINUTE)
    slot, ran = d.stored(job).next_run_ms, len(d.turns(job))
    assert slot is not None
    for minutes in (65, 110):
        d.jump(minutes=minutes)
        d.advance(minutes=3)
        d.expect(len(d.turns(job)) == ran, f"a jump that passed over none of its slots started a {kind} job")
        upcoming = d.stored(job).next_run_ms
        d.expect(upcoming == slot, f"the jump moved the next run from {instant(slot)} to {instant(upcoming)}")
    step_through(d, job, [slot], slot + MINUTE)
