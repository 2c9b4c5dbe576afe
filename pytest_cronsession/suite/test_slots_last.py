"""Slots month after month and in sessions that are taken; jobs of odd words and many of them over a start."""

from __future__ import annotations

from typing import Any

import pytest

from ..driver import Driver, Handle, at, cron, every, wish
from ..model import ERROR, hold, tag_text
from ..oracle import DAY, MINUTE, cron_slots
from ..requirement import requirement
from ..trace import instant
from .kit import (
    accounted_for,
    begin,
    hourly,
    long_timeout,
    next_run,
    said_to,
    shown,
    step_through,
    to_the_next_run,
)

pytestmark = pytest.mark.cronsession_tier("full")
last = pytest.mark.cronsession_last
HOUR = 60 * MINUTE


# --- the calendar -----------------------------------------------------------------------------------------

# The end of a February: days that it has not, and days and months that are others in UTC.
_MONTH_END = (
    *(("0 9 30 * *", "UTC"), ("0 9 31 * *", "UTC")),
    *(("0 20 28 2 *", "America/Los_Angeles"), ("15 20 * FEB *", "America/Los_Angeles")),
    *(("0 6 1 3 *", "Asia/Tokyo"), ("15 6 * 3 *", "Asia/Tokyo")),
)


@requirement("CS-SCH-001")
@pytest.mark.cronsession_start("2027-02-27T20:00:07Z")
@pytest.mark.parametrize(("expr", "tz"), _MONTH_END)
def test_a_month_ends_where_the_zone_says(cronsession_driver: Driver, expr: str, tz: str) -> None:
    d = cronsession_driver
    until = d.now + 3 * DAY
    step_through(d, d.add(cron(expr, tz)), cron_slots(expr, tz, d.now, until), until, zone=tz)


@requirement("CS-SCH-001")
def test_a_monthly_job_runs_month_after_month(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    # In a session of its own: a lasting one that is idle for so long may have been pruned.
    fresh: dict[str, Any] = {"target": "isolated"} if d.has("session.isolated") else {}
    slots = cron_slots("0 9 15 * *", "UTC", d.now, d.now + 130 * DAY)[: d.few(4, 2)]
    step_through(d, d.add(cron("0 9 15 * *", "UTC"), **fresh), slots, slots[-1] + MINUTE)


@requirement("CS-SCH-001")
def test_a_frequent_job_goes_on_for_hundreds_of_runs(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    minutes = d.few(300, 20)
    # Some seconds past the minute, so that the write falls on no slot.
    d.advance_to((d.now // MINUTE + 1) * MINUTE + 7_000)
    job = d.add(cron("* * * * *", "UTC"))
    until = d.now + minutes * MINUTE
    late, grain = d.hello.late_by_ms, d.hello.resolution_ms
    least, most = (
        len(cron_slots("* * * * *", "UTC", d.now, end)) for end in (until - late - grain, until + grain)
    )
    d.advance_to(until)
    got = len(d.turns(job))
    d.expect(
        least <= got <= most, f"a job of every minute had {got} runs in {minutes} minutes, expected {least}"
    )


@requirement("CS-SCH-036")
@pytest.mark.cronsession_start("2027-01-30T21:30:07Z")
@pytest.mark.parametrize("name", ["@yearly", "@annually", "@monthly"])
def test_a_nickname_names_its_months(cronsession_driver: Driver, name: str) -> None:
    d = cronsession_driver
    until = d.now + 3 * DAY
    step_through(d, d.add(cron(name, "UTC")), cron_slots(name, "UTC", d.now, until), until)


@requirement("CS-SCH-013")
@pytest.mark.cronsession_start("2027-03-12T12:00:07Z")
@pytest.mark.parametrize("days", ["* * SUN", "14 * *", "* 3 *"])
def test_a_fixed_time_of_some_days_in_a_gap(cronsession_driver: Driver, days: str) -> None:
    d = cronsession_driver
    expr, tz, until = f"30 2 {days}", "America/New_York", d.now + 3 * DAY
    slots = cron_slots(expr, tz, d.now, until, d.hello.policy("dst"))
    step_through(d, d.add(cron(expr, tz)), slots, until, zone=tz)


# --- sessions that are taken ------------------------------------------------------------------------------


@requirement("CS-SCH-001")
@pytest.mark.parametrize("who", ["run", "person"])
def test_a_slot_is_not_lost_to_who_is_in_its_session(cronsession_driver: Driver, who: str) -> None:
    d = cronsession_driver
    d.require("session.named", *(["session.send"] if who == "person" else []))
    room = wish("named", name=d.fresh_name("room"))
    slot = cron_slots("0 * * * *", "UTC", d.now, d.now + DAY)[0]
    hour = slot // HOUR % 24
    job = d.add(cron(f"10 {hour} * * *", "UTC"), **room, **long_timeout(d))
    if who == "run":
        other = d.add(cron(f"0 {hour} * * *", "UTC"), **room, **long_timeout(d))
        d.answers(other, hold(slot + 20 * MINUTE))
    else:
        d.advance_to(slot)
        d.speak(room, hold(slot + 20 * MINUTE))
    d.advance_to(slot + 5 * MINUTE)
    if not d.model.held_turns():
        d.pass_over("nobody is in the session, which is another requirement's question")
    d.advance_to(slot + 25 * MINUTE)
    got = len(d.turns(job))
    d.expect(
        got == 1,
        f"at the slot of a job a {who} was in its session for ten minutes more, and the job ran {got} times",
    )
    d.advance_to(slot + 50 * MINUTE)
    d.expect(len(d.turns(job)) == 1, "a slot that found its session taken ran more than once")


# --- over a start -----------------------------------------------------------------------------------------

# What is read back otherwise than it was written: other letters, long texts, names in upper case, spaces.
_ODD_NAME = 'Größe \u2014 \u65e5\u672c \U0001f600 "q" \\n %s'
_ODD_TEXT = 'Zeile eins\n\tZeile zwei \u00e9 e\u0301 \u65e5\u672c \U0001f600 "q" \\n %s\n' * 120


def _odd_jobs(d: Driver) -> list[Handle]:
    forms: list[tuple[tuple[str, ...], dict[str, Any] | None, dict[str, Any]]] = [
        ((), None, {"text": _ODD_TEXT}),
        (("session.named",), None, wish("named", name=f"{d.fresh_name('Mixed')} CASE \u00c4")),
        (("schedule.stagger",), {**cron("0 9 * * *", "Asia/Kolkata"), "staggerMs": 30 * MINUTE}, {}),
    ]
    made = [d.try_add(schedule, **options) for needed, schedule, options in forms if d.has(*needed)]
    return [job for _, job in made if job is not None]


def _survive(d: Driver, how: str) -> None:
    """Each job is listed as before a start, and told to the model as before it."""
    d.require(how)
    jobs = _odd_jobs(d)
    told = [job for job in jobs if d.has("trigger") and _told(d, job)]
    if d.has("job.update") and jobs:
        d.update(jobs[0], name=_ODD_NAME)
    before = {job.id: shown(job) for job in d.jobs()}
    for n in range(2):
        (d.restart if how == "restart" else d.crash)()
        d.advance(seconds=1)
        after = {job.id: shown(job) for job in d.jobs()}
        for job_id in before.keys() | after.keys():
            was, now = before.get(job_id), after.get(job_id)
            d.expect(
                now == was, f"start {n + 1} ({how}) made of the job {str(was)[:500]} the job {str(now)[:500]}"
            )
    for job in told:
        d.expect(_told(d, job), f"after a {how} the model is told another text than before it")


def _told(d: Driver, job: Handle) -> bool:
    """Whether a run tells the model the text of the job as it was given."""
    text = tag_text(_ODD_TEXT, job.tag)
    return any(text in content for content in said_to(d.evidence(job)))


@requirement("CS-STO-020")
@last
def test_odd_words_survive_a_restart(cronsession_driver: Driver) -> None:
    _survive(cronsession_driver, "restart")


@requirement("CS-STO-001")
@last
def test_odd_words_survive_a_crash(cronsession_driver: Driver) -> None:
    _survive(cronsession_driver, "crash")


@requirement("CS-STO-020")
@last
def test_starting_again_keeps_however_many_jobs(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("restart")
    for _ in range(d.few(70, 12)):
        d.add()
    before = {job.id for job in d.jobs()}
    d.restart()
    d.advance(seconds=1)
    after = {job.id for job in d.jobs()}
    d.expect(
        after == before,
        f"of {len(before)} jobs {len(before - after)} are gone after a start, and {len(after - before)} are new",
    )


@requirement("CS-STO-030")
@last
@pytest.mark.parametrize("how", ["restart", "crash"])
def test_an_interval_waits_for_its_anchor_over_a_start(cronsession_driver: Driver, how: str) -> None:
    d = cronsession_driver
    d.require("schedule.every", how)
    d.require_policy("intervalAnchor", "grid")
    anchor, period = d.now + 47 * MINUTE, 10 * MINUTE
    job = d.add({"kind": "every", "everyMs": period, "anchorMs": anchor})
    d.advance(minutes=5)
    (d.restart if how == "restart" else d.crash)()
    step_through(d, job, [anchor, anchor + period], anchor + period + MINUTE)


@requirement("CS-STO-017")
@last
def test_all_of_a_few_missed_slots_run_where_the_job_says_so(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("schedule.cron", "restart")
    write, job = d.try_add(cron("*/30 * * * *", "UTC"), catchUp={"policy": "all"})
    if job is None or accounted_for(write, "catchUp"):
        d.pass_over("the gateway does not take this catchUp, and the write says so")
    assert job is not None
    to_the_next_run(d, job)
    seen = len(d.turns(job))
    d.advance(minutes=4)
    d.stop()
    d.start({"minutes": 155})
    # A gateway may take its time with what it missed; the next slot is farther away.
    d.advance(minutes=15)
    got = len(d.turns(job)) - seen
    d.expect(got == 5, f"five slots were missed, {got} ran late; the catchUp of the job is all")


@requirement("CS-SCH-010")
@pytest.mark.parametrize("kind", ["every", "cron"])
def test_a_long_manual_run_leaves_the_next_run(cronsession_driver: Driver, kind: str) -> None:
    d = cronsession_driver
    d.require("trigger")
    job = hourly(d, kind)
    d.advance_to(to_the_next_run(d, job) + 10 * MINUTE)
    before = next_run(d, job)
    d.answers(job, hold(d.now + 25 * MINUTE))
    begin(d, job)
    d.advance(minutes=30)
    after = d.stored(job).next_run_ms
    d.expect(
        after == before,
        f"a manual run of 25 minutes moved the next run from {instant(before)} to {instant(after)}",
    )
    seen = len(d.turns(job))
    d.advance_to(before + d.hello.late_by_ms)
    d.expect(len(d.turns(job)) > seen, "after a long manual run a job did not run at its next slot")


_MISSED = {
    "daily": (("schedule.cron",), cron("0 9 * * *", "UTC"), 7 * HOUR),
    "weekly": (("schedule.cron",), cron("0 9 * * WED", "UTC"), 3 * DAY),
    "staggered": (("schedule.stagger",), {**cron("0 9 * * *", "UTC"), "staggerMs": 20 * MINUTE}, 7 * HOUR),
}


@requirement("CS-STO-007")
@last
@pytest.mark.parametrize("case", list(_MISSED))
def test_a_slot_that_was_missed_long_ago_is_owed(cronsession_driver: Driver, case: str) -> None:
    d = cronsession_driver
    needed, schedule, after = _MISSED[case]
    d.require(*needed, "restart")
    job = d.add(schedule)
    slot = next_run(d, job)
    d.advance_to(slot - 10 * MINUTE)
    d.stop()
    d.start({"milliseconds": 10 * MINUTE + after})
    d.advance(seconds=1)
    d.advance(minutes=4)
    got, declared = len(d.turns(job)), d.hello.policy("catchUp")
    right = {"skip": (0,), "grace": (0, 1)}.get(declared, (1,))
    d.expect(
        got in right,
        f"the slot {instant(slot)} was missed ({case}), and {got} runs came {after // HOUR} hours later; "
        f"policy catchUp is {declared!r}",
    )


@requirement("CS-STO-008")
@last
def test_a_one_shot_that_was_missed_weeks_ago_is_owed(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("schedule.at", "restart")
    # In a session of its own: a lasting one that is idle for so long may have been pruned.
    fresh: dict[str, Any] = {"target": "isolated"} if d.has("session.isolated") else {}
    job = d.add(at(d.now + 10 * MINUTE), **fresh)
    d.stop()
    d.start({"days": 17})
    d.advance(hours=4)
    got, declared = len(d.turns(job)), d.hello.policy("missedOneShot")
    right = {"skip": (0,), "grace": (0, 1)}.get(declared, (1,))
    d.expect(
        got in right,
        f"a one-shot was missed by more than two weeks and had {got} runs; policy missedOneShot is {declared!r}",
    )


@requirement("CS-SCH-020")
@last
def test_a_one_shot_that_ran_late_is_removed(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("schedule.at", "restart")
    job = d.add(at(d.now + 10 * MINUTE), deleteAfterRun=True)
    d.stop()
    d.start({"minutes": 15})
    d.advance(hours=4)
    if not d.turns(job):
        d.pass_over("the missed one-shot was not made up for, which is another requirement's question")
    d.expect(
        d.job(job) is None,
        "a one-shot with deleteAfterRun was missed and answered when it was made up for, and is still listed",
    )


@requirement("CS-STO-020")
@last
@pytest.mark.parametrize("how", ["restart", "crash"])
def test_a_start_leaves_a_job_that_failed_disabled(cronsession_driver: Driver, how: str) -> None:
    d = cronsession_driver
    d.require("job.autoDisable", "schedule.every", how)
    job = d.add(every(minutes=10), maxFailures=1)
    d.answers(job, always=ERROR)
    to_the_next_run(d, job)
    d.advance(seconds=10)
    members = ("enabled", "disabledBy", "nextRunAtMs")
    before = {member: d.stored(job).raw.get(member) for member in members}
    if before["enabled"]:
        d.pass_over("the failure did not disable the job, which is another requirement's question")
    ran = len(d.turns(job))
    (d.restart if how == "restart" else d.crash)()
    d.advance(seconds=1)
    after = {member: d.stored(job).raw.get(member) for member in members}
    d.expect(
        after == before, f"a job that its failures disabled listed {before}, and lists {after} after a {how}"
    )
    d.advance(minutes=25)
    d.expect(len(d.turns(job)) == ran, f"a job that its failures disabled ran by schedule after a {how}")
