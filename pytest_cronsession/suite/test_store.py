"""Restart and crash: what was acknowledged is there, what ran does not run again, nothing stays stuck."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..checkers import shared_context
from ..driver import Driver, Handle, at, cron, every
from ..model import hold
from ..oracle import MINUTE
from ..requirement import requirement
from ..trace import instant
from .across import across
from .kit import next_run, rows_of, step_through

pytestmark = pytest.mark.cronsession_last


def _lasting_session(d: Driver) -> Iterator[None]:
    job = d.add(target="named", name=d.fresh_name("lasting"))
    first = d.evidence(job)
    before = [(s.key, s.id) for s in rows_of(d, job)]
    yield
    d.judge(shared_context([first, d.evidence(job)]))
    after = [(s.key, s.id) for s in rows_of(d, job)]
    d.expect(after == before, f"the row of the session was {before} and is now {after}")


def _slot_that_ran(d: Driver) -> Iterator[None]:
    job = d.add(every(minutes=10))
    slot = next_run(d, job)
    step_through(d, job, [slot], slot + d.hello.late_by_ms)
    yield
    step_through(d, job, [], slot + 5 * MINUTE)
    upcoming = next_run(d, job)
    step_through(d, job, [upcoming], upcoming)
    _rest(d, job)


def _rest(d: Driver, job: Handle) -> None:
    """It would go on running while other jobs are looked at."""
    if d.has("job.remove"):
        d.remove(job)


def _acknowledged_jobs(d: Driver) -> Iterator[None]:
    jobs = {"added": d.add(target="named", name=d.fresh_name("durable"))}
    if d.has("job.update"):
        jobs["edited"] = d.add(target="named", name=d.fresh_name("durable"))
        d.edit(jobs["edited"], name="renamed before the crash")
    before = {write: d.stored(job) for write, job in jobs.items()}
    yield
    for write, job in jobs.items():
        after = d.job(job)
        if after is None:
            d.fail(f"the job whose write was acknowledged is gone after a crash; it had been {write}")
        assert after is not None
        for member in ("name", "enabled", "schedule", "session", "payload", "nextRunAtMs"):
            was, now = before[write].raw.get(member), after.raw.get(member)
            d.expect(
                now == was, f"{member} of the job {write} was {was} before the crash and is {now} after it"
            )


def _removed_job(d: Driver) -> Iterator[None]:
    job = d.add(target="isolated")
    d.expect(d.remove(job), "the removal of a listed job was not acknowledged")
    yield
    d.expect(d.job(job) is None, "a removed job is back after a crash")


def _run_under_way(d: Driver) -> Iterator[None]:
    job = d.add(target="isolated")
    d.answers(job, hold())
    trigger = d.trigger(job)
    if d.hello.realtime:
        d.model.wait_for(lambda: bool(d.turns(job)), timeout=60)
    else:
        d.advance()
    d.expect(len(d.turns(job)) == 1, "the run did not reach the model")
    yield
    d.model.release_all()
    if d.has("run.list") and trigger.run_id is not None:
        claims = [r.status for r in d.runs(job) if r.id == trigger.run_id]
        d.expect(
            not {"ok", "running"} & set(claims), f"the run that the crash interrupted is listed as {claims}"
        )
    _let_a_repeated_run_end(d)
    d.evidence(job)


def _let_a_repeated_run_end(d: Driver) -> None:
    """A gateway may run an interrupted job again by itself; a manual start must not race with that."""
    if d.hello.realtime:
        d.settle(lambda: d.model.open_turns() == 0)
    else:
        d.advance(minutes=3)


# The slot first, whose time passes for the others too; what was just written last.
AFTER_A_CRASH = {
    "CS-STO-005": _slot_that_ran,
    "CS-STO-004": _lasting_session,
    "CS-STO-006": _run_under_way,
    "CS-STO-001": _acknowledged_jobs,
    "CS-STO-002": _removed_job,
}


@requirement(*sorted(AFTER_A_CRASH))
def test_a_crash_loses_repeats_and_blocks_nothing(cronsession_driver: Driver) -> None:
    across(cronsession_driver, cronsession_driver.crash, AFTER_A_CRASH)


@requirement("CS-STO-003")
def test_a_shared_session_survives_a_restart(cronsession_driver: Driver) -> None:
    across(cronsession_driver, cronsession_driver.restart, {"CS-STO-003": _lasting_session})


def _missed_slots(d: Driver) -> Iterator[None]:
    # A cron schedule: what an interval missed depends on what it is counted from.
    job = d.add(cron("*/10 * * * *"))
    slot = next_run(d, job)
    step_through(d, job, [slot], slot + d.hello.late_by_ms)
    yield
    before = len(d.turns(job))
    d.advance_to(slot + 39 * MINUTE)
    late = len(d.turns(job)) - 1
    declared = d.hello.policy("catchUp")
    d.expect(
        late in {"skip": (0,), "once": (1,), "grace": (0, 1), "all": (3,)}[declared],
        f"policy catchUp is {declared!r}; three slots were missed and {late} run(s) came late ({before - 1} at once)",
    )
    upcoming = next_run(d, job)
    d.expect(
        d.now < upcoming <= slot + 50 * MINUTE, f"after the downtime the next run is {instant(upcoming)}"
    )
    step_through(d, job, [upcoming], upcoming)
    _rest(d, job)


def _missed_one_shot(d: Driver) -> Iterator[None]:
    job = d.add(at(d.now + 10 * MINUTE))
    yield
    d.advance(hours=6)
    runs = len(d.turns(job))
    declared = d.hello.policy("missedOneShot")
    d.expect(
        runs in {"run": (1,), "skip": (0,), "grace": (0, 1)}[declared],
        f"policy missedOneShot is {declared!r} and the missed one-shot ran {runs} time(s)",
    )
    left = d.job(job)
    d.expect(
        left is None or left.next_run_ms is None,
        f"a one-shot of the past has a next run at {instant(left.next_run_ms if left else None)}",
    )


AFTER_A_DOWNTIME = {"CS-STO-007": _missed_slots, "CS-STO-008": _missed_one_shot}


@requirement(*AFTER_A_DOWNTIME)
def test_what_was_missed_follows_the_policies(cronsession_driver: Driver) -> None:
    d = cronsession_driver

    def downtime() -> None:
        d.go_down()
        d.come_back({"minutes": 35})

    across(d, downtime, AFTER_A_DOWNTIME)
