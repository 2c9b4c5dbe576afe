"""What null clears: each member that a job can do without."""

from __future__ import annotations

import pytest

from ..driver import Driver, at, every
from ..model import ERROR
from ..oracle import MINUTE
from ..requirement import requirement

pytestmark = pytest.mark.cronsession_tier("full")


@requirement("CS-JOB-004")
def test_null_clears_max_failures(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("job.autoDisable", "schedule.every")
    job = d.add(every(minutes=10), maxFailures=2)
    d.edit(job, maxFailures=None)
    d.expect(d.stored(job).raw.get("maxFailures") != 2, "maxFailures was cleared and is still listed as 2")
    d.answers(job, always=ERROR)
    d.advance(minutes=35)
    # The default of a gateway is not less than 10.
    d.expect(d.stored(job).enabled, "the maxFailures that an edit cleared still disables the job")


@requirement("CS-JOB-004")
def test_null_clears_catch_up(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("job.catchUp", "schedule.every")
    old = {"policy": "skip", "maxLatenessMs": 1_234_567}
    job = d.add(every(minutes=10), catchUp=old)
    d.edit(job, catchUp=None)
    listed = d.stored(job).raw.get("catchUp")
    d.expect(listed != old, f"catchUp was cleared and is still listed as {listed}")


@requirement("CS-JOB-004")
def test_null_clears_delete_after_run(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("job.deleteAfterRun", "schedule.at")
    slot = d.now + 10 * MINUTE
    plain, job = d.add(at(slot)), d.add(at(slot), deleteAfterRun=True)
    d.edit(job, deleteAfterRun=None)
    d.expect(
        d.stored(job).raw.get("deleteAfterRun") is not True,
        "deleteAfterRun was cleared and is still listed as true",
    )
    d.advance(minutes=15)
    # A gateway may remove whatever is done; then there is nothing to keep.
    d.expect(
        d.job(job) is not None or d.job(plain) is None,
        "the deleteAfterRun that an edit cleared still removes the one-shot",
    )
