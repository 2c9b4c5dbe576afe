"""Slots of jobs that are not the usual one: odd periods and expressions, failed runs, moved one-shots, new starts."""

from __future__ import annotations

import pytest

from ..driver import Driver, at, cron, every
from ..model import ERROR
from ..oracle import DAY, MINUTE, cron_slots, interval_slots
from ..requirement import requirement
from ..trace import instant
from .kit import hourly, is_at, next_run, step_through

pytestmark = pytest.mark.cronsession_tier("full")
# Steps on a star are restricted too, Sunday ends a week as well, and fields are what stands between white space.
_FURTHER = ("30 7 */10 * TUE", "0 12 * * 5-7", "0 6,18 * * sat-sun", "15\t9  * * mon")


@requirement("CS-SCH-001")
@pytest.mark.parametrize("expr", _FURTHER)
def test_further_forms_of_the_dialect(cronsession_driver: Driver, expr: str) -> None:
    d = cronsession_driver
    slots = cron_slots(expr, "UTC", d.now, d.now + 30 * DAY)[: d.few(9, 3)]
    step_through(d, d.add(cron(expr, "UTC")), slots, slots[-1] + MINUTE // 2)


@requirement("CS-SCH-002")
@pytest.mark.parametrize("period", [100_000, 5_403_500])
def test_an_interval_need_not_be_whole_minutes(cronsession_driver: Driver, period: int) -> None:
    d = cronsession_driver
    d.require_policy("intervalAnchor", "grid")
    anchor = d.now - period // 3
    slots = interval_slots(anchor, period, d.now, d.now + 6 * period)
    job = d.add({"kind": "every", "everyMs": period, "anchorMs": anchor})
    step_through(d, job, slots, slots[-1] + period // 2)


@requirement("CS-SCH-002")
def test_an_interval_is_not_deleted_after_a_run(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("job.deleteAfterRun")
    _, job = d.try_add(every(minutes=10), deleteAfterRun=True)
    if job is None:
        d.pass_over("deleteAfterRun beside an interval is refused")
    assert job is not None
    d.advance(minutes=45)
    d.expect(
        len(d.turns(job)) >= 4,
        f"deleteAfterRun has no effect beside an interval of 10 minutes; in 45 there were {len(d.turns(job))} runs",
    )


@requirement("CS-SCH-008")
@pytest.mark.parametrize(("before", "after"), [(20, 50), (50, 20)], ids=["later", "sooner"])
def test_a_one_shot_that_is_moved_runs_at_its_new_instant(
    cronsession_driver: Driver, before: int, after: int
) -> None:
    d = cronsession_driver
    d.require("schedule.at")
    began = d.now
    job = d.add(at(began + before * MINUTE))
    d.advance(minutes=5)
    slot = began + after * MINUTE
    d.edit(job, schedule=at(slot))
    upcoming = d.stored(job).next_run_ms
    d.expect(
        is_at(d, upcoming, slot),
        f"a one-shot was moved to {instant(slot)}, and its next run is {instant(upcoming)}",
    )
    step_through(d, job, [slot], began + 60 * MINUTE)


@requirement("CS-SCH-010")
@pytest.mark.parametrize("kind", ["every", "cron"])
def test_a_manual_run_that_fails_leaves_the_next_run(cronsession_driver: Driver, kind: str) -> None:
    d = cronsession_driver
    job = hourly(d, kind)
    d.advance(minutes=25)
    before = d.stored(job).next_run_ms
    d.answers(job, ERROR)
    d.run_now(job)
    after = d.stored(job).next_run_ms
    d.expect(
        after == before, f"a failed manual run moved the next run from {instant(before)} to {instant(after)}"
    )
    assert after is not None
    step_through(d, job, [after], after + d.hello.late_by_ms)


@requirement("CS-SCH-018")
def test_one_shots_of_one_instant_all_run(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("schedule.at")
    slot = cron_slots("0 * * * *", "UTC", d.now, d.now + DAY)[0] + 60 * MINUTE
    jobs = [d.add(at(slot)) for _ in range(3)] + [d.add(cron("0 * * * *", "UTC"))]
    d.advance_to(slot - MINUTE)
    before = [len(d.turns(job)) for job in jobs]
    # Within the hour: a gateway may start a crowd one after the other.
    d.advance_to(slot + 50 * MINUTE)
    counts = [len(d.turns(job)) - was for job, was in zip(jobs, before, strict=True)]
    d.expect(
        counts == [1, 1, 1, 1],
        f"of three one-shots and a job due at {instant(slot)} each runs once, got {counts}",
    )


@requirement("CS-SCH-023")
@pytest.mark.cronsession_last
def test_a_stagger_outlasts_a_start(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("restart")
    job = d.add({**cron("0 * * * *", "UTC"), "staggerMs": 30 * MINUTE})
    first = next_run(d, job)
    d.advance_to(first + MINUTE)
    for _ in range(2):
        before = d.stored(job).next_run_ms
        d.restart()
        d.advance(seconds=1)
        after = d.stored(job).next_run_ms
        d.expect(
            after == before,
            f"a start moved the slot of a staggered job from {instant(before)} to {instant(after)}",
        )
    assert after is not None
    step_through(d, job, [after], after + d.hello.late_by_ms)
