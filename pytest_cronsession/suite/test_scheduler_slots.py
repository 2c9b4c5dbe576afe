"""Slots: a job runs exactly when its schedule says."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from ..driver import Driver, at, cron, every
from ..model import ERROR, hold
from ..oracle import DAY, MINUTE, cron_slots, interval_slots, transitions
from ..requirement import requirement
from ..strategies import cron_expressions, zones
from ..trace import instant
from .kit import examples, for_one_example, long_timeout, next_run, step_through


@requirement("CS-SCH-001")
def test_cron_slots_match_the_oracle(cronsession_driver: Driver) -> None:
    d = cronsession_driver

    def check(expr: str, tz: str) -> None:
        _leave_transitions_behind(d, tz)
        until = d.now + 6 * DAY
        slots = cron_slots(expr, tz, d.now, until)[: d.few(8, 2)]
        with for_one_example(d) as own:
            job = own.add(cron(expr, tz))
            step_through(own, job, slots, slots[-1] + MINUTE // 2 if slots else own.now + DAY, zone=tz)
            own.retire(job.id)

    examples(d, check, expr=cron_expressions(), tz=zones())


_DIALECT = (
    *("*/15 * * * *", "0 9 * * MON-FRI", "0 0 1,15 * 3"),
    *("30 6 * * 7", "0 */5 * JAN-DEC *", "5-20/5 8 * * *"),
)


@requirement("CS-SCH-001")
def test_cron_dialect(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    for expr in _DIALECT[: d.few(len(_DIALECT), 2)]:
        _leave_transitions_behind(d, "America/Denver")
        slots = cron_slots(expr, "America/Denver", d.now, d.now + 15 * DAY)[: d.few(10, 2)]
        with for_one_example(d) as own:
            job = own.add(cron(expr, "America/Denver"))
            step_through(own, job, slots, slots[-1] + MINUTE // 2, zone="America/Denver")
            own.retire(job.id)


def _leave_transitions_behind(d: Driver, tz: str) -> None:
    """Move to where the next days have one offset, so that every policy gives the same slots."""
    while near := transitions(tz, d.now - 2 * DAY, d.now + 16 * DAY):
        # Some seconds past the minute, so that no write falls on a slot.
        d.advance_to(near[-1] + 3 * DAY + 7_000)


@requirement("CS-SCH-002")
@pytest.mark.parametrize("minutes", [1, 7, 90])
def test_interval_slots_on_the_anchor_grid(cronsession_driver: Driver, minutes: int) -> None:
    d = cronsession_driver
    d.require_policy("intervalAnchor", "grid")
    period = minutes * MINUTE
    anchor = d.now - 3 * period - 17_000
    slots = interval_slots(anchor, period, d.now, d.now + 6 * period)
    job = d.add({"kind": "every", "everyMs": period, "anchorMs": anchor})
    step_through(d, job, slots, slots[-1] + period // 2)


@requirement("CS-SCH-002")
def test_a_long_run_does_not_move_the_grid(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require_policy("intervalAnchor", "grid")
    period = 10 * MINUTE
    slots = interval_slots(d.now - 17_000, period, d.now, d.now + 4 * period)
    job = d.add({"kind": "every", "everyMs": period, "anchorMs": d.now - 17_000})
    d.answers(job, hold(slots[0] + 3 * MINUTE))
    step_through(d, job, slots, slots[-1] + period // 2)


@requirement("CS-SCH-002")
def test_interval_runs_once_per_period(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job, periods = d.add(every(minutes=4)), d.few(9, 3)
    d.advance(minutes=4 * periods + 2)
    got = len(d.turns(job))
    # The first slot may lie at the creation, or a period later; each period after it has one run.
    d.expect(periods <= got <= periods + 1, f"{got} runs in {periods} and a half periods")


@requirement("CS-SCH-003")
@pytest.mark.parametrize("outcome", ["ok", "error"])
def test_a_one_shot_runs_once(cronsession_driver: Driver, outcome: str) -> None:
    d = cronsession_driver
    slot = d.now + 10 * MINUTE
    job = d.add(at(slot))
    if outcome == "error":
        d.answers(job, always=ERROR)
        # It may be tried again at once, so only its start is looked at.
        d.advance_to(slot - max(1, d.hello.resolution_ms))
        d.expect(not d.turns(job), "the one-shot ran before its instant")
        d.advance_to(slot + d.hello.late_by_ms)
        d.expect(bool(d.turns(job)), "the one-shot did not start at its instant")
    else:
        step_through(d, job, [slot], slot)
    d.advance(hours=12)
    settled = len(d.turns(job))
    # A gateway may make a failed run again, ten times at most; its outcome is final some time.
    d.expect(settled <= (1 if outcome == "ok" else 11), f"a one-shot ran {settled} times in twelve hours")
    left = d.job(job)
    d.expect(
        left is None or left.next_run_ms is None,
        f"the finished one-shot has a next run at {instant(left.next_run_ms if left else None)}",
    )
    d.advance(days=2)
    d.expect(len(d.turns(job)) == settled, "a finished one-shot started again")


@requirement("CS-SCH-003")
def test_a_one_shot_weeks_away_waits(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    # Farther than 2^31 ms, at which the timers of several languages wrap.
    slot = d.now + 40 * DAY
    # In a session of its own: a lasting one that is idle for so long may have been pruned.
    fresh: dict[str, Any] = {"target": "isolated"} if d.has("session.isolated") else {}
    job = d.add(at(slot), **fresh)
    step_through(d, job, [slot], slot + MINUTE)


@requirement("CS-SCH-004")
@pytest.mark.parametrize("kind", ["cron", "every"])
def test_the_listed_next_run_is_the_next_run(cronsession_driver: Driver, kind: str) -> None:
    d = cronsession_driver
    job = d.add(cron("*/4 * * * *", "Asia/Kathmandu") if kind == "cron" else every(minutes=3))
    for _ in range(d.few(4, 2)):
        upcoming = d.stored(job).next_run_ms
        d.expect(
            upcoming is not None and upcoming > d.now, f"nextRunAtMs {instant(upcoming)} is not in the future"
        )
        assert upcoming is not None
        step_through(d, job, [upcoming], upcoming + d.hello.late_by_ms)


@requirement("CS-SCH-006")
def test_a_one_shot_in_the_past(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    declared = d.hello.policy("pastOneShot")
    write, job = d.try_add(at(d.now - 10 * MINUTE))
    if job is None:
        d.expect(
            declared == "reject",
            f"policy pastOneShot is {declared!r}, the write was refused: {write.rejected}",
        )
        return
    d.advance(hours=6)
    runs = len(d.turns(job))
    seen = {0: "missed", 1: "run"}.get(runs, f"{runs} runs")
    d.expect(seen == declared, f"policy pastOneShot is {declared!r}, the accepted job looks like {seen!r}")


@requirement("CS-SCH-011")
def test_a_job_never_overlaps_itself(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    declared = d.hello.policy("overlap")
    if floats := declared == "queue" and d.hello.policy("intervalAnchor") == "end":
        # Counted from the end of a run, no slot of an interval falls due during one.
        d.require("schedule.cron")
    job = d.add(cron("*/10 * * * *") if floats else every(minutes=10), **long_timeout(d))
    first = next_run(d, job)
    end = first + 25 * MINUTE
    d.answers(job, hold(end))
    d.advance_to(end - MINUTE)
    d.expect(
        len(d.turns(job)) == 1, f"{len(d.turns(job))} requests at the model while the first run is under way"
    )
    d.advance_to(end + 2 * MINUTE)
    after = len(d.turns(job))
    if declared == "queue":
        d.expect(after >= 2, "policy overlap is 'queue' and nothing ran when the long run had ended")
        d.expect(after <= 3, f"two slots fell due during the long run, and {after - 1} runs followed it")
    else:
        d.expect(
            after == 1, "policy overlap is 'skip' and a slot passed over ran when the long run had ended"
        )
    d.advance_to(end + 30 * MINUTE)
    d.expect(len(d.turns(job)) > after, "after a run longer than its period the job does not run any more")


@requirement("CS-SCH-012")
def test_a_long_run_delays_no_other_job(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    slots = d.few(7, 3)
    slow, quick = d.add(every(minutes=5), **long_timeout(d)), d.add(every(minutes=49 // slots))
    d.answers(slow, hold(d.now + 60 * MINUTE))
    d.advance(minutes=50)
    d.expect(len(d.turns(slow)) == 1, "the long run did not start, or not once")
    got = len(d.turns(quick))
    d.expect(got >= slots, f"{got} of {slots} slots of another job ran while a long run was under way")


# Each begins with a slot before the change of the zone's offset, after which the next one is looked for in the change;
# in the order of time, since a clock goes forward only. Those come first, and close together, that are all there is time
# for on a gateway that costs real time: a gap, and an overlap that is not the usual hour, which some do wrong.
_DST = (
    ("2027-03-12T12:00:07Z", "30 2 * * *", "America/New_York"),
    ("2027-04-01T12:00:07Z", "45 1 * * *", "Australia/Lord_Howe"),
    ("2027-09-30T12:00:07Z", "15 2 * * *", "Australia/Lord_Howe"),
    ("2027-10-30T22:00:07Z", "*/30 * * * *", "Europe/Berlin"),
    ("2027-11-05T12:00:07Z", "30 1 * * *", "America/New_York"),
)


@requirement("CS-SCH-013")
@pytest.mark.cronsession_start(_DST[0][0])
def test_gaps_and_overlaps_follow_the_policy(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    dst = d.hello.policy("dst")
    for began, expr, tz in _DST[: d.few(len(_DST), 2)]:
        _around_a_change(d, int(datetime.fromisoformat(began).timestamp() * 1000), expr, tz, dst)


def _around_a_change(driver: Driver, began: int, expr: str, tz: str, dst: str) -> None:
    """In a world that begins then; one that takes seconds to boot is used again, and crosses the weeks between."""
    d = driver if driver.budget.limited or driver.now == began else driver.spawn(start_ms=began)
    try:
        d.advance_to(max(d.now, began))
        until = d.now + (4 if expr.startswith("*") else 76) * 60 * MINUTE
        slots = cron_slots(expr, tz, d.now, until, dst)
        job = d.add(cron(expr, tz))
        step_through(d, job, slots, until, zone=tz)
        d.retire(job.id)
    finally:
        if d is not driver:
            d.world.close()


@requirement("CS-SCH-014")
@pytest.mark.cronsession_host("Asia/Kathmandu")
def test_slots_do_not_depend_on_the_host_zone(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    slots = cron_slots("15 6,18 * * *", "America/Santiago", d.now, d.now + 3 * DAY)[: d.few(6, 2)]
    job = d.add(cron("15 6,18 * * *", "America/Santiago"))
    step_through(d, job, slots, slots[-1] + MINUTE, zone="America/Santiago")


@requirement("CS-SCH-015")
@pytest.mark.cronsession_host("Asia/Kathmandu")
def test_the_default_zone_follows_the_policy(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    zone = "Asia/Kathmandu" if d.hello.policy("defaultZone") == "host" else "UTC"
    slots = cron_slots("10 9 * * *", zone, d.now, d.now + 3 * DAY)[: d.few(3, 1)]
    step_through(d, d.add({"kind": "cron", "expr": "10 9 * * *"}), slots, slots[-1] + MINUTE, zone=zone)
