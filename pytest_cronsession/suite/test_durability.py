"""A crash at each step of the life of a job, a run and a session: what was answered holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..driver import Driver, at, cron, every, wish
from ..model import hold
from ..oracle import MINUTE
from ..outcomes import TargetError, TargetTimeout
from ..requirement import requirement
from ..trace import instant
from .kit import all_rows, listed, next_run, receipts, step_through, sweep_ms

HOUR = 60 * MINUTE
pytestmark = pytest.mark.cronsession_last


@requirement("CS-STO-022")
@pytest.mark.parametrize("enabled", [False, True])
def test_switching_a_job_off_or_on_survives_a_crash(cronsession_driver: Driver, enabled: bool) -> None:
    d = cronsession_driver
    job = d.add(every(minutes=10))
    if enabled:
        d.edit(job, enabled=False)
        d.advance(seconds=5)
    d.edit(job, enabled=enabled)
    d.crash()
    d.expect(d.stored(job).enabled is enabled, f"an edit to enabled {enabled} is lost after a crash")
    d.advance(minutes=25)
    ran = len(d.turns(job)) > 0
    d.expect(ran is enabled, f"the job was set to enabled {enabled} before the crash and ran: {ran}")


@requirement("CS-STO-023")
def test_a_human_turn_survives_a_crash(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    name = d.fresh_name("talk")
    first = d.say(wish("named", name=name))
    d.crash()
    second = d.say(wish("named", name=name))
    d.expect(second.saw_turn(first), "a human turn that was answered is lost after a crash")


@requirement("CS-STO-024")
def test_the_outcome_of_a_run_survives_a_crash(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(target="isolated")
    done = d.run_now(job)
    before = done.run
    if before is None:
        d.fail("a run that ended is not listed")
    assert before is not None
    d.crash()
    after = [r for r in d.runs(job) if r.id == before.id]
    d.expect(
        [(r.status, r.started_ms, r.ended_ms) for r in after]
        == [(before.status, before.started_ms, before.ended_ms)],
        f"a run was listed as {before} and is listed as {after} after a crash",
    )


@requirement("CS-STO-025")
def test_an_interrupted_run_is_recorded(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(target="isolated")
    d.answers(job, hold())
    trigger = d.trigger(job)
    d.advance()
    d.expect(len(d.turns(job)) == 1, "the run did not reach the model")
    d.crash()
    d.model.release_all()
    d.advance(minutes=5)
    # A start need not tell its run; then any will do.
    found = [r.status for r in d.runs(job) if trigger.run_id in (None, r.id)]
    d.expect(bool(found), "a run that a crash interrupted is not listed any more")
    d.expect(not {"ok", "running"} & set(found), f"a run that a crash interrupted is listed as {found}")


@requirement("CS-STO-026")
@pytest.mark.parametrize("how", ["restart", "crash"])
def test_a_one_shot_that_ran_is_done(cronsession_driver: Driver, how: str) -> None:
    d = cronsession_driver
    if how == "restart":
        d.require("restart")
    when = d.now + 10 * MINUTE
    job = d.add(at(when))
    step_through(d, job, [when], when + d.hello.late_by_ms)
    for _ in range(2):
        (d.crash if how == "crash" else d.restart)()
        d.advance(hours=2)
    d.expect(len(d.turns(job)) == 1, f"a one-shot ran {len(d.turns(job))} times, with a {how} after its run")
    left = d.job(job)
    d.expect(left is None or left.next_run_ms is None, "a one-shot that ran has a next run after a start")


@requirement("CS-STO-027")
def test_an_interrupted_one_shot_ends(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(at(d.now + 10 * MINUTE))
    d.answers(job, hold())
    d.advance(minutes=11)
    d.expect(len(d.turns(job)) == 1, "the one-shot did not run at its instant")
    d.crash()
    d.model.release_all()
    d.advance(hours=6)
    runs, left = len(d.turns(job)), d.job(job)
    d.expect(runs <= 2, f"a crash interrupted a one-shot, and it was run {runs - 1} times again")
    d.expect(
        left is None or left.next_run_ms is None,
        f"hours after a crash interrupted it a one-shot has a next run at {instant(left.next_run_ms if left else None)}",
    )


@requirement("CS-STO-028")
def test_a_job_removed_during_its_run_stays_removed(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(every(minutes=10))
    d.answers(job, hold(d.now + 15 * MINUTE))
    d.trigger(job)
    d.advance()
    d.expect(len(d.turns(job)) == 1, "the run did not reach the model")
    d.expect(d.remove(job), "the removal of a listed job was not acknowledged")
    d.advance(minutes=16)
    d.expect(d.job(job) is None, "a job that was removed during its run is back when the run has ended")
    d.crash()
    d.advance(minutes=25)
    d.expect(d.job(job) is None, "a job that was removed during its run is back after a crash")
    d.expect(len(d.turns(job)) == 1, "a removed job ran again")


@requirement("CS-STO-029")
@pytest.mark.cronsession_config(sessionRetentionMs=HOUR)
def test_removed_rows_do_not_come_back(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(target="isolated")
    d.evidence(job)
    keys = receipts(d, job)
    d.advance_to(d.now + HOUR + sweep_ms(d))
    if listed(d, keys):
        d.not_observed("the receipts did not go")
    d.crash()
    back = keys & all_rows(d)
    d.expect(not back, f"receipts that were reaped are listed again after a crash: {sorted(back)}")


@requirement("CS-STO-030")
@pytest.mark.parametrize("kind", ["cron", "every", "at"])
def test_a_slot_to_come_survives_a_crash(cronsession_driver: Driver, kind: str) -> None:
    d = cronsession_driver
    d.require(f"schedule.{kind}")
    schedules = {"cron": cron("*/10 * * * *"), "every": every(minutes=7), "at": at(d.now + 9 * MINUTE)}
    job = d.add(schedules[kind])
    # One that does not come before the crash.
    if next_run(d, job) < d.now + 5 * MINUTE:
        d.advance_to(next_run(d, job) + d.hello.late_by_ms)
    slot = next_run(d, job)
    d.advance(minutes=3)
    d.go_down()
    d.come_back({"minutes": 1})
    after = d.stored(job).next_run_ms
    d.expect(after == slot, f"the next run was {instant(slot)} and is {instant(after)} after a crash")
    step_through(d, job, [slot], slot + MINUTE)


@requirement("CS-STO-031")
def test_a_damaged_store_is_not_replaced(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    word = f"precious-{d.model.new_tag()}"
    job = d.add(target="named", name=d.fresh_name("kept"), text=word)
    d.evidence(job)
    d.stop()
    damaged = [path for path in _files(d) if word.encode() in path.read_bytes()]
    if not damaged:
        d.pass_over("no file holds the text of a job as it was sent, so none can be damaged on purpose")
    marks = [_damage(path, n) for n, path in enumerate(damaged)]
    try:
        d.start()
    except TargetTimeout:
        raise
    except TargetError:
        d.witness()
        return
    if d.job(job) is not None:
        d.witness()
        return
    d.add(target="named", name=d.fresh_name("new"))
    d.advance(minutes=1)
    d.restart()
    there = b"".join(path.read_bytes() for path in _files(d))
    lost = [str(path.name) for path, mark in zip(damaged, marks, strict=True) if mark not in there]
    d.expect(
        not lost, f"files that could not be read were replaced, and what they held is nowhere: {sorted(lost)}"
    )


def _files(d: Driver) -> list[Path]:
    return sorted(p for p in d.world.state_dir.rglob("*") if p.is_file() and not p.is_symlink())


def _damage(path: Path, n: int) -> bytes:
    """Overwrite a file with what nobody can read; the mark that shows whether it was kept."""
    mark = f"}}{{ damaged {n} ".encode()
    size = path.stat().st_size
    path.write_bytes((mark * (size // len(mark) + 1))[: max(size, len(mark))])
    return mark
