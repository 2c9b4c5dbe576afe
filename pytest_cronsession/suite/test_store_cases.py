"""Starts and jobs that are not the usual one: one-shots that failed or are too late, and what a job says besides."""

from __future__ import annotations

from typing import Any

import pytest

from ..driver import Driver, at, cron
from ..model import ERROR, HANG
from ..oracle import MINUTE
from ..requirement import requirement
from ..trace import instant
from .kit import long_timeout, shown

pytestmark = [pytest.mark.cronsession_last, pytest.mark.cronsession_tier("full")]


@requirement("CS-STO-018")
def test_a_one_shot_that_is_too_late_is_not_run(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("schedule.at")
    job = d.add(at(d.now + 10 * MINUTE), catchUp={"policy": "once", "maxLatenessMs": 15 * MINUTE})
    d.go_down()
    d.come_back({"minutes": 40})
    d.advance(hours=3)
    d.expect(not d.turns(job), "a one-shot that was later than its maxLatenessMs was run")


@requirement("CS-STO-020")
def test_starting_again_keeps_what_a_job_says_besides(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    more: dict[str, Any] = long_timeout(d)
    if d.has("job.retry"):
        more["retry"] = {"maxRetries": 2, "backoffMs": [MINUTE, 7 * MINUTE]}
    if d.has("job.autoDisable"):
        more["maxFailures"] = 12
    if d.has("job.catchUp"):
        more["catchUp"] = {"policy": "skip", "maxLatenessMs": 3 * MINUTE}
    if not more:
        d.pass_over("no member of a job beside the four that all have is taken")
    job = d.add(cron("7 */2 * * *"), **more)
    before = shown(d.stored(job))
    for n in range(2):
        d.restart()
        d.advance(seconds=1)
        after = shown(d.stored(job))
        d.expect(after == before, f"start {n + 1} changed a job from {before} to {after}")


@requirement("CS-STO-026")
@pytest.mark.parametrize("outcome", ["error", "cancelled"])
def test_a_one_shot_that_came_to_nothing_is_done(cronsession_driver: Driver, outcome: str) -> None:
    d = cronsession_driver
    d.require("restart", *(("run.cancel", "run.list") if outcome == "cancelled" else ()))
    when = d.now + 10 * MINUTE
    job = d.add(at(when), **long_timeout(d))
    d.answers(job, always=ERROR if outcome == "error" else HANG)
    d.advance_to(when + d.hello.late_by_ms)
    d.expect(bool(d.turns(job)), "the one-shot did not run at its instant")
    if outcome == "cancelled":
        for run in d.runs(job):
            d.cancel(run.id)
    # A failed one may be run again within half a day.
    d.advance(hours=13)
    ran = len(d.turns(job))
    for start in (d.restart, d.crash):
        start()
        d.advance(hours=2)
        d.expect(
            len(d.turns(job)) == ran,
            f"a one-shot whose run ended ({outcome}) half a day ago ran after a start",
        )
    left = d.job(job)
    d.expect(
        left is None or left.next_run_ms is None,
        f"a one-shot that ended ({outcome}) has a next run at {instant(left.next_run_ms if left else None)}",
    )
