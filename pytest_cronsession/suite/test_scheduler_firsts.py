"""The first slot of a job, and the only one of a one-shot: what a policy makes of them."""

from __future__ import annotations

import pytest

from ..driver import Driver, at, cron
from ..oracle import DAY, MINUTE, cron_slots
from ..requirement import requirement
from ..trace import instant
from .kit import is_at, step_through


@requirement("CS-SCH-041")
def test_a_forced_run_of_a_one_shot_follows_the_policy(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    declared = d.hello.policy("manualOneShot")
    slot = d.now + 20 * MINUTE
    job = d.add(at(slot))
    d.advance(minutes=5)
    d.evidence(job)
    left = d.job(job)
    upcoming = None if left is None else left.next_run_ms
    expected = slot if declared == "keep" else None
    d.expect(
        upcoming is None if expected is None else is_at(d, upcoming, expected),
        f"policy manualOneShot is {declared!r}; after a forced run the next run is {instant(upcoming)}, "
        f"expected {instant(expected)}",
    )
    step_through(d, job, [slot] if declared == "keep" else [], slot + MINUTE)
    d.advance(hours=12)
    runs = len(d.turns(job))
    d.expect(
        runs == 1 + (declared == "keep"), f"a one-shot that was run by hand once ran {runs} times in all"
    )
    left = d.job(job)
    d.expect(left is None or left.next_run_ms is None, "a one-shot whose instant has passed has a next run")


@requirement("CS-SCH-042")
@pytest.mark.parametrize("expr", ["*/10 * * * *", "30 * * * *"])
def test_a_slot_at_the_creation_follows_the_policy(cronsession_driver: Driver, expr: str) -> None:
    d = cronsession_driver
    if d.hello.lateness_ms or d.hello.resolution_ms > 1:
        d.pass_over("on so coarse a clock nobody can tell whether a job was added at the very instant")
    declared = d.hello.policy("slotAtCreation")
    first, second = cron_slots(expr, "UTC", d.now, d.now + DAY)[:2]
    d.advance_to(first)
    job = d.add(cron(expr, "UTC"))
    d.advance()
    runs = len(d.turns(job))
    d.expect(
        runs == (declared == "included"),
        f"policy slotAtCreation is {declared!r}; a job with {expr!r} was added at {instant(first)}, "
        f"and ran {runs} times at that instant",
    )
    upcoming = d.stored(job).next_run_ms
    d.expect(upcoming == second, f"then its next run is {instant(upcoming)}, expected {instant(second)}")
    step_through(d, job, [second], second)
