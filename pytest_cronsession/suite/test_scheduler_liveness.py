"""Reading, crowds, one-shots that are over, odd slots: what else a scheduler must not lose or repeat."""

from __future__ import annotations

import pytest

from ..driver import Driver, at, cron, every
from ..model import ERROR, HANG
from ..oracle import DAY, MINUTE, cron_slots, interval_slots
from ..requirement import requirement
from ..trace import instant
from .kit import next_run, step_through


@requirement("CS-SCH-017")
def test_reading_neither_loses_nor_repeats_a_slot(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(every(minutes=30))
    grain = max(1, d.hello.resolution_ms)
    for count in range(1, 4):
        slot = next_run(d, job)
        for moment in (slot - grain, slot + d.hello.late_by_ms, slot + d.hello.late_by_ms + MINUTE):
            d.advance_to(moment)
            expected = count - (moment < slot)
            d.expect(
                len(d.turns(job)) == expected,
                f"{len(d.turns(job))} runs at {instant(moment)} of a job that is read all the time, expected {expected}",
            )
            d.jobs()
            d.sessions()
            if d.has("run.list"):
                d.runs()


@requirement("CS-SCH-018")
def test_all_jobs_that_are_due_together_run(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    slot = cron_slots("0 * * * *", "UTC", d.now, d.now + DAY)[0]
    jobs = [d.add(cron("0 * * * *", "UTC")) for _ in range(d.few(32, 8))]
    # Within the hour: a gateway may start a crowd one after the other.
    d.advance_to(slot + 50 * MINUTE)
    counts = [len(d.turns(job)) for job in jobs]
    d.expect(set(counts) == {1}, f"of {len(jobs)} jobs due at {instant(slot)} each has one run, got {counts}")


@requirement("CS-SCH-019")
def test_a_cancelled_one_shot_is_over(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    slot = d.now + 10 * MINUTE
    job = d.add(at(slot))
    d.answers(job, HANG)
    d.advance_to(slot + d.hello.lateness_ms + d.hello.resolution_ms)
    run = next((r for r in d.runs(job) if not r.finished), None)
    if run is None:
        d.fail("the run of a one-shot that waits for the model is not listed as running")
    assert run is not None
    d.cancel(run.id)
    d.advance(days=2)
    d.expect(len(d.turns(job)) == 1, "a one-shot whose run was cancelled started again")
    left = d.job(job)
    d.expect(left is None or left.next_run_ms is None, "a one-shot whose run was cancelled has a next run")


@requirement("CS-SCH-020")
@pytest.mark.parametrize("outcome", ["ok", "error"])
def test_a_one_shot_is_removed_when_answered(cronsession_driver: Driver, outcome: str) -> None:
    d = cronsession_driver
    slot = d.now + 10 * MINUTE
    job, plain = d.add(at(slot), deleteAfterRun=True), d.add(at(slot))
    if outcome == "error":
        d.answers(job, always=ERROR)
        d.answers(plain, always=ERROR)
    d.advance_to(slot + d.hello.late_by_ms)
    d.advance(hours=13)
    d.expect(bool(d.turns(job)), "the one-shot did not run")
    # A gateway may remove whatever is done; then there is nothing to keep.
    gone = d.job(job) is None
    right = gone if outcome == "ok" else not gone or d.job(plain) is None
    d.expect(
        right,
        f"a one-shot with deleteAfterRun whose run ended {outcome} is {'gone' if gone else 'still listed'}",
    )


@requirement("CS-SCH-021")
def test_a_manual_run_enables_nothing(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(every(minutes=30), enabled=False)
    d.evidence(job)
    stored = d.stored(job)
    d.expect(not stored.enabled, "a manual run enabled a disabled job")
    d.expect(stored.next_run_ms is None, "a disabled job has a next run after a manual run")
    d.advance(hours=2)
    d.expect(len(d.turns(job)) == 1, "a disabled job runs by schedule after a manual run")


@requirement("CS-SCH-022")
def test_an_interval_begins_at_a_future_anchor(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require_policy("intervalAnchor", "grid")
    anchor, period = d.now + 47 * MINUTE, 10 * MINUTE
    slots = interval_slots(anchor, period, d.now, anchor + 2 * period)
    job = d.add({"kind": "every", "everyMs": period, "anchorMs": anchor})
    step_through(d, job, slots, slots[-1] + period // 2)


@requirement("CS-SCH-023")
def test_a_stagger_is_steady_and_bounded(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    window = 10 * MINUTE
    exact = d.add({**cron("0 * * * *", "UTC"), "staggerMs": 0})
    job = d.add({**cron("0 * * * *", "UTC"), "staggerMs": window})
    offsets: set[int] = set()
    for _ in range(4):
        slot, plain = d.stored(job).next_run_ms, d.stored(exact).next_run_ms
        assert slot is not None
        assert plain is not None
        d.expect(plain % (60 * MINUTE) == 0, f"with staggerMs 0 the next run is {instant(plain)}")
        offsets.add(slot % (60 * MINUTE))
        d.expect(
            max(offsets) < window, f"with staggerMs {window} the run of an hour is late by {max(offsets)} ms"
        )
        d.expect(len(offsets) == 1, f"the offsets of one job differ from slot to slot: {sorted(offsets)} ms")
        d.expect(d.stored(job).next_run_ms == slot, "the offset differs from listing to listing")
        step_through(d, job, [slot], slot + d.hello.late_by_ms)
        # Both jobs have had this hour's slot then.
        d.advance_to(slot - slot % (60 * MINUTE) + window + MINUTE)


@requirement("CS-SCH-024")
@pytest.mark.parametrize("expr", ["0 9 29 2 *", "30 4 31 * *", "15 */7 * FEB SUN", "0 0 30 4,6,9 *"])
def test_a_far_slot_is_found(cronsession_driver: Driver, expr: str) -> None:
    d = cronsession_driver
    # UTC has no transitions, so no policy has a say; every leap day lies within eight years and a bit.
    expected = cron_slots(expr, "UTC", d.now, d.now + 3_000 * DAY)[0]
    got = d.stored(d.add(cron(expr, "UTC"))).next_run_ms
    d.expect(
        got == expected,
        f"the next run of {expr!r} after {instant(d.now)} is {instant(expected)}, got {instant(got)}",
    )


@requirement("CS-SCH-025")
def test_a_failing_job_does_not_spin(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(every(minutes=60))
    d.answers(job, always=ERROR)
    d.advance(minutes=6 * 60 + 30)
    got = len(d.turns(job))
    # At most ten repetitions for each of at most seven slots.
    d.expect(got >= 1, "the job did not run at all")
    d.expect(got <= 77, f"a failing hourly job was started {got} times in six and a half hours")


@requirement("CS-SCH-026")
@pytest.mark.parametrize(
    "tz",
    [
        pytest.param("America/Santiago", marks=pytest.mark.cronsession_start("2026-04-01T20:00:07Z")),
        pytest.param("Europe/Berlin", marks=pytest.mark.cronsession_start("2026-10-22T20:00:07Z")),
    ],
)
def test_a_job_older_than_a_change_of_the_clock_keeps_its_wall_time(
    cronsession_driver: Driver, tz: str
) -> None:
    d = cronsession_driver
    until = d.now + 6 * DAY
    # At nine in the morning nothing is in a gap or an overlap, whatever the policy.
    slots = cron_slots("0 9 * * *", tz, d.now, until)
    step_through(d, d.add(cron("0 9 * * *", tz)), slots, until, zone=tz)


@requirement("CS-SCH-026")
@pytest.mark.cronsession_host("Europe/Berlin")
@pytest.mark.cronsession_start("2026-10-22T20:00:07Z")
def test_a_job_without_a_zone_keeps_its_wall_time(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    zone = "Europe/Berlin" if d.hello.policy("defaultZone") == "host" else "UTC"
    until = d.now + 6 * DAY
    slots = cron_slots("0 9 * * *", zone, d.now, until)
    step_through(d, d.add({"kind": "cron", "expr": "0 9 * * *"}), slots, until, zone=zone)
