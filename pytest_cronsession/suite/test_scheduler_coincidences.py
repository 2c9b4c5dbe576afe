"""What a scheduler promises holds as well where two things meet: an edit and a run, a rest and an anchor, two of a name."""

from __future__ import annotations

import pytest

from ..driver import Driver, at, cron, every
from ..model import ERROR, HANG, OK, TRANSIENT, hold
from ..oracle import DAY, MINUTE, cron_slots, interval_slots
from ..requirement import requirement
from ..trace import instant
from .kit import end_held, hourly, is_at, long_timeout, may_end, next_run, step_through, to_the_next_run

pytestmark = pytest.mark.cronsession_tier("full")
HOURLY = cron("0 * * * *", "UTC")


@requirement("CS-SCH-002")
def test_an_anchor_may_be_zero(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require_policy("intervalAnchor", "grid")
    period = 47 * MINUTE
    slots = interval_slots(0, period, d.now, d.now + 4 * period)
    step_through(d, d.add({"kind": "every", "everyMs": period, "anchorMs": 0}), slots, slots[-1] + MINUTE)


@requirement("CS-SCH-003")
def test_an_edit_of_a_done_one_shot_starts_nothing(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("job.update")
    job = d.add(at(d.now + 10 * MINUTE))
    d.advance(minutes=15)
    d.expect(len(d.turns(job)) == 1, f"a one-shot had {len(d.turns(job))} runs at its instant")
    if d.job(job) is None:
        d.pass_over("a one-shot that is done is no longer listed, and cannot be edited")
    d.update(job, name="a name that came too late")
    d.advance(hours=2)
    d.expect(len(d.turns(job)) == 1, "a one-shot that was done started again after an edit of its name")
    left = d.job(job)
    d.expect(
        left is None or left.next_run_ms is None,
        "a one-shot that was done has a next run after an edit of its name",
    )


@requirement("CS-SCH-004")
def test_the_next_run_lies_in_the_future_during_a_run(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("schedule.cron")
    job = d.add(HOURLY, **long_timeout(d))
    d.answers(job, hold())
    slot = to_the_next_run(d, job)
    d.advance(minutes=5)
    upcoming = d.stored(job).next_run_ms
    end_held(d, job)
    d.expect(
        upcoming == slot + 60 * MINUTE,
        f"during the run of {instant(slot)} the next run of an hourly job is {instant(upcoming)}",
    )


@requirement("CS-SCH-005")
@pytest.mark.parametrize("rest", ["disabled", "disabling"])
@pytest.mark.parametrize(
    ("expr", "tz"), [("61 * * * *", "UTC"), ("0 9 * * *", "Mars/Olympus_Mons")], ids=["expression", "zone"]
)
def test_an_edit_of_a_job_at_rest_is_read(cronsession_driver: Driver, rest: str, expr: str, tz: str) -> None:
    d = cronsession_driver
    d.require("job.update", "job.disable")
    job = d.add(HOURLY, enabled=rest == "disabling")
    before = d.stored(job).raw
    more = {"enabled": False} if rest == "disabling" else {}
    write = d.update(job, schedule=cron(expr, tz), **more)
    d.expect(write.rejected is not None, f"an edit to {expr!r} in {tz} was accepted of a job ({rest})")
    after = d.stored(job).raw
    for member in ("enabled", "schedule", "nextRunAtMs"):
        d.expect(after.get(member) == before.get(member), f"the refused edit changed {member}")


@requirement("CS-SCH-005")
def test_an_abbreviation_is_no_zone(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    write, _ = d.try_add(cron("0 9 * * *", "CEST"))
    d.expect(write.rejected is not None, "the zone CEST was accepted, and no such zone exists")


@requirement("CS-SCH-007")
def test_a_one_shot_rests_and_comes(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("schedule.at")
    slot = d.now + 30 * MINUTE
    job = d.add(at(slot))
    d.edit(job, enabled=False)
    d.advance(minutes=5)
    d.edit(job, enabled=True)
    upcoming = d.stored(job).next_run_ms
    d.expect(
        is_at(d, upcoming, slot),
        f"a one-shot for {instant(slot)} was disabled and enabled before it; its next run is {instant(upcoming)}",
    )
    step_through(d, job, [slot], slot + MINUTE)


@requirement("CS-SCH-008")
@pytest.mark.cronsession_host("Europe/Berlin")
def test_a_schedule_without_a_zone_has_none(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("schedule.cron")
    job = d.add(cron("0 9 * * *", "Asia/Kolkata"))
    d.edit(job, schedule={"kind": "cron", "expr": "0 9 * * *"})
    zone = "Europe/Berlin" if d.hello.policy("defaultZone") == "host" else "UTC"
    slot, upcoming = cron_slots("0 9 * * *", zone, d.now, d.now + 2 * DAY)[0], d.stored(job).next_run_ms
    d.expect(
        upcoming == slot,
        f"a schedule without a zone replaced one in Asia/Kolkata; the next run is {instant(upcoming, zone)}, "
        f"expected {instant(slot, zone)}",
    )


@requirement("CS-SCH-008")
def test_a_schedule_without_a_stagger_has_none(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("schedule.stagger")
    job = d.add({**HOURLY, "staggerMs": 30 * MINUTE})
    d.edit(job, schedule=cron("20 * * * *", "UTC"))
    slot, upcoming = cron_slots("20 * * * *", "UTC", d.now, d.now + DAY)[0], d.stored(job).next_run_ms
    d.expect(
        upcoming == slot,
        f"a schedule without staggerMs replaced a staggered one; the next run is {instant(upcoming)}, "
        f"expected {instant(slot)}",
    )


@requirement("CS-SCH-009")
def test_a_new_name_leaves_a_stagger(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("schedule.stagger", "job.update")
    job = d.add({**HOURLY, "staggerMs": 30 * MINUTE})
    before = d.stored(job).next_run_ms
    d.edit(job, name="another name")
    after = d.stored(job).next_run_ms
    d.expect(after == before, f"a new name moved the slot from {instant(before)} to {instant(after)}")


@requirement("CS-SCH-010")
@pytest.mark.parametrize("kind", ["every", "cron"])
def test_a_manual_run_just_before_a_slot_stands_for_none(cronsession_driver: Driver, kind: str) -> None:
    d = cronsession_driver
    if d.hello.late_by_ms + d.hello.resolution_ms > 5_000:
        d.pass_over("on so coarse a clock a run ten seconds before a slot may be at it")
    job = hourly(d, kind)
    slot = next_run(d, job)
    # A first slot may be only seconds away.
    if slot - d.now < MINUTE:
        slot = to_the_next_run(d, job) + 60 * MINUTE
    d.advance_to(slot - 10_000)
    d.evidence(job)
    step_through(d, job, [slot], slot + d.hello.late_by_ms)


@requirement("CS-SCH-011")
@pytest.mark.parametrize("run", ["edited", "repetition"])
def test_an_unusual_run_is_alone_as_well(cronsession_driver: Driver, run: str) -> None:
    d = cronsession_driver
    d.require(*(("job.update",) if run == "edited" else ("job.retry",)))
    if run == "edited":
        job = d.add(every(minutes=30), **long_timeout(d))
        d.answers(job, hold())
    else:
        job = d.add(every(minutes=30), retry={"maxRetries": 1, "backoffMs": [5 * MINUTE]}, **long_timeout(d))
        d.answers(job, TRANSIENT, hold())
    to_the_next_run(d, job)
    if run == "edited":
        d.update(job, name="edited during its run")
    d.advance(minutes=6)
    seen = len(d.turns(job))
    if not d.model.held_turns():
        d.not_observed("no run of the job is under way")
    d.advance(minutes=52)
    more = len(d.turns(job)) - seen
    if not d.model.held_turns():
        may_end(d)
    end_held(d, job)
    d.expect(not more, f"{more} run(s) of a job began beside one that was under way ({run})")


@requirement("CS-SCH-018")
def test_jobs_of_one_name_all_run(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("schedule.cron", "job.update")
    slot = cron_slots("0 * * * *", "UTC", d.now, d.now + DAY)[0]
    jobs = [d.add(HOURLY) for _ in range(3)]
    writes = [d.update(job, name="one name") for job in jobs]
    if any(write.rejected is not None for write in writes):
        d.pass_over("the gateway refuses a second job of a name")
    d.advance_to(slot + 50 * MINUTE)
    counts = [len(d.turns(job)) for job in jobs]
    d.expect(
        counts == [1, 1, 1], f"of three jobs of one name due at {instant(slot)} each runs once, got {counts}"
    )


@requirement("CS-SCH-020")
def test_a_one_shot_that_timed_out_is_kept(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("run.timeout")
    slot = d.now + 10 * MINUTE
    job = d.add(at(slot), deleteAfterRun=True, timeoutMs=MINUTE)
    plain = d.add(at(slot), timeoutMs=MINUTE)
    d.answers(job, always=HANG)
    d.answers(plain, always=HANG)
    d.advance_to(slot + 5 * MINUTE)
    d.advance(hours=13)
    d.expect(bool(d.turns(job)), "the one-shot did not run")
    # A gateway may remove whatever is done; then there is nothing to keep.
    d.expect(
        d.job(job) is not None or d.job(plain) is None,
        "a one-shot with deleteAfterRun whose run timed out is gone, and one without it is listed",
    )


@requirement("CS-SCH-021")
def test_a_manual_run_enables_no_job_that_its_failures_disabled(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("job.autoDisable")
    job = d.add(every(minutes=10), maxFailures=2)
    d.answers(job, always=ERROR)
    d.advance(minutes=35)
    if d.stored(job).enabled:
        d.not_observed("the failures of the job did not disable it")
    d.answers(job, always=OK)
    d.evidence(job)
    ran, stored = len(d.turns(job)), d.stored(job)
    d.expect(
        not stored.enabled and stored.next_run_ms is None,
        "a manual run that was answered enabled a job that its failures had disabled",
    )
    d.advance(hours=1)
    d.expect(len(d.turns(job)) == ran, "a job that its failures disabled runs by schedule after a manual run")


@requirement("CS-SCH-022")
def test_an_interval_that_rested_begins_at_its_anchor(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("job.disable")
    d.require_policy("intervalAnchor", "grid")
    anchor, period = d.now + 47 * MINUTE, 10 * MINUTE
    job = d.add({"kind": "every", "everyMs": period, "anchorMs": anchor}, enabled=False)
    d.advance(minutes=5)
    d.edit(job, enabled=True)
    slots = interval_slots(anchor, period, d.now, anchor + 2 * period)
    step_through(d, job, slots, slots[-1] + period // 2)


@requirement("CS-SCH-024")
@pytest.mark.cronsession_start("2028-03-01T00:00:07Z")
def test_a_leap_day_four_years_away_is_found(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    expected = cron_slots("0 9 29 2 *", "UTC", d.now, d.now + 1_500 * DAY)[0]
    got = d.stored(d.add(cron("0 9 29 2 *", "UTC"))).next_run_ms
    d.expect(got == expected, f"the next leap day is {instant(expected)}, the next run {instant(got)}")


@requirement("CS-RUN-010")
def test_an_edit_leaves_a_repetition_that_waits(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("schedule.cron", "job.update")
    job = d.add(HOURLY, retry={"maxRetries": 1, "backoffMs": [10 * MINUTE]})
    d.answers(job, always=TRANSIENT)
    slot = to_the_next_run(d, job)
    d.advance_to(slot + 4 * MINUTE)
    seen = len(d.turns(job))
    d.expect(seen > 0, "the job did not run at its slot")
    d.edit(job, name="another name")
    d.advance_to(slot + 15 * MINUTE)
    d.expect(
        len(d.turns(job)) > seen,
        "a run failed for a passing reason, its job got another name, and it was not repeated",
    )
