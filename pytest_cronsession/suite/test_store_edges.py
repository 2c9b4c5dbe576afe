"""Starts and crashes for jobs, sessions and runs of every kind: what was there is there, and nothing else is owed."""

from __future__ import annotations

from typing import Any

import pytest

from ..driver import Driver, Handle, at, cron, every, wish
from ..model import ERROR, hold, tag_text
from ..oracle import MINUTE
from ..requirement import requirement
from .kit import begin, long_timeout, next_run, rows_of, said_to, shown, step_through

HOUR = 60 * MINUTE
DAY = 24 * HOUR
pytestmark = [pytest.mark.cronsession_last, pytest.mark.cronsession_tier("full")]
TEN = "*/10 * * * *"
starts = pytest.mark.parametrize("how", ["restart", "crash"])
FORMS = ["main", "key", "shared", "agent"]


def _begin_anew(d: Driver, how: str) -> None:
    d.require(how)
    (d.restart if how == "restart" else d.crash)()


@requirement("CS-STO-001")
@pytest.mark.parametrize("edit", ["payload", "session", "several"])
def test_an_edit_of_any_member_survives_a_crash(cronsession_driver: Driver, edit: str) -> None:
    d = cronsession_driver
    d.require("job.update", "trigger", *(["job.disable"] if edit == "several" else []))
    there = d.fresh_name("there")
    said = d.evidence(d.add(target="named", name=there))
    job = d.add(target="named", name=d.fresh_name("here"))
    told = {"kind": "agentTurn", "text": tag_text("Told anew.", job.tag)}
    patches: dict[str, dict[str, Any]] = {
        "payload": {"payload": told},
        "session": {"session": wish("named", name=there)},
        "several": {"enabled": False, "name": "edited before the crash", "payload": told},
    }
    d.edit(job, **patches[edit])
    before = shown(d.stored(job))
    d.crash()
    after = shown(d.stored(job))
    d.expect(after == before, f"an edit was acknowledged, and the job was {before} and is {after}")
    if edit == "several":
        return  # a job that is disabled
    turn = d.evidence(job)
    kept = turn.saw_turn(said) if edit == "session" else "Told anew." in said_to(turn)[-1]
    d.expect(kept, f"an edit of the {edit} was acknowledged, and the next run after a crash is as before it")


@requirement("CS-STO-034")
def test_whatever_was_edited_last_is_there_after_a_crash(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    patches: dict[str, dict[str, Any]] = {
        "schedule.every": {"schedule": every(minutes=70)},
        "run.timeout": {"timeoutMs": 7 * MINUTE},
        "job.retry": {"retry": {"maxRetries": 1, "backoffMs": [5 * MINUTE]}},
        "job.autoDisable": {"maxFailures": 14},
        "job.catchUp": {"catchUp": {"policy": "skip", "maxLatenessMs": 3 * MINUTE}},
    }
    patch = {name: value for needed, more in patches.items() if d.has(needed) for name, value in more.items()}
    job = d.add(target="named", name=d.fresh_name("edited"))
    d.edit(job, **patch)
    before = shown(d.stored(job))
    d.crash()
    after = shown(d.stored(job))
    d.expect(after == before, f"an edit was acknowledged, and the job was {before} and is {after}")


@requirement("CS-STO-028")
def test_a_job_removed_during_its_run_is_gone_after_a_crash_there(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(every(minutes=10))
    d.answers(job, hold())
    begin(d, job)
    d.expect(d.remove(job), "the removal of a listed job was not acknowledged")
    d.crash()
    d.model.release_all()
    d.expect(
        d.job(job) is None, "a job that was removed during its run is back after a crash during that run"
    )
    ran = len(d.turns(job))
    # An interrupted run may be made again, which is over by then.
    d.advance(minutes=5)
    ran = max(ran, len(d.turns(job)))
    d.advance(minutes=30)
    d.expect(len(d.turns(job)) == ran, "a job that was removed during its run runs after a crash")


@requirement("CS-STO-002")
def test_a_one_shot_that_removed_itself_stays_removed(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("schedule.at", "job.deleteAfterRun", "clock.advance")
    when = d.now + 10 * MINUTE
    job = d.add(at(when), deleteAfterRun=True)
    d.advance_to(when + d.hello.late_by_ms)
    if d.job(job) is not None:
        d.not_observed("deleteAfterRun removed no job, which is another requirement's question")
    d.crash()
    d.expect(d.job(job) is None, "a job that deleteAfterRun removed is back after a crash")


@requirement("CS-STO-003")
@pytest.mark.parametrize("form", FORMS)
def test_lasting_sessions_of_every_form_survive_a_restart(cronsession_driver: Driver, form: str) -> None:
    _check_lasting(cronsession_driver, "restart", form)


@requirement("CS-STO-004")
@pytest.mark.parametrize("form", FORMS)
def test_lasting_sessions_of_every_form_survive_a_crash(cronsession_driver: Driver, form: str) -> None:
    _check_lasting(cronsession_driver, "crash", form)


def _check_lasting(d: Driver, how: str, form: str) -> None:
    job = _lasting(d, form)
    first = d.evidence(job)
    if not d.evidence(job).saw_turn(first):
        d.pass_over("there is no session that lasts, which is another requirement's question")
    before = {(s.key, s.id) for s in rows_of(d, job)}
    _begin_anew(d, how)
    d.expect(d.evidence(job).saw_turn(first), f"a lasting session ({form}) lost its context with a {how}")
    after = {(s.key, s.id) for s in rows_of(d, job)}
    d.expect(after == before, f"the row of a lasting session ({form}) was {before} and is {after}")


def _lasting(d: Driver, form: str) -> Handle:
    """A job in a lasting session of this form."""
    if form == "agent":
        d.require("agents")
        return d.add(target="named", name=d.fresh_name("kept"), agent="work")
    if form == "main":
        d.require("session.main")
        return d.add(target="main")
    d.require("session.isolated", "session.key" if form == "key" else "session.mode")
    given: dict[str, Any] = {"key": d.fresh_name("kept")} if form == "key" else {"mode": "shared"}
    _, job = d.try_add(target="isolated", **given)
    if job is None:
        d.pass_over("the gateway refuses such a job")
    assert job is not None
    return job


@requirement("CS-STO-006")
@pytest.mark.cronsession_config(maxConcurrentRuns=1)
def test_a_run_that_a_crash_interrupted_takes_no_room(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("run.concurrency", "clock.advance")
    job, other = d.add(target="isolated"), d.add(target="isolated")
    _be_interrupted(d, job)
    d.evidence(job)
    d.evidence(other)


@requirement("CS-STO-006")
def test_a_crash_during_a_run_leaves_its_session_free(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("session.named", "clock.advance")
    name = d.fresh_name("locked")
    job, other = d.add(target="named", name=name), d.add(target="named", name=name)
    _be_interrupted(d, job)
    d.evidence(job)
    d.evidence(other)


def _be_interrupted(d: Driver, job: Handle) -> None:
    """Crash during a run of the job; a gateway may make it again, which is over by then."""
    d.answers(job, hold())
    begin(d, job)
    d.expect(len(d.turns(job)) == 1, "the run did not reach the model")
    d.crash()
    d.model.release_all()
    d.advance(minutes=3)


@requirement("CS-STO-030")
def test_a_crash_during_a_human_turn_delays_no_slot(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("session.named", "session.send", "schedule.cron")
    name = d.fresh_name("talk")
    job = d.add(cron(TEN), target="named", name=name)
    slot = next_run(d, job)
    if d.speak(wish("named", name=name), hold()).state != "held":
        d.not_observed("the human turn did not wait")
    d.crash()
    d.model.release_all()
    step_through(d, job, [slot], slot + MINUTE)


@requirement("CS-STO-020")
@starts
def test_starting_again_keeps_jobs_of_every_form(cronsession_driver: Driver, how: str) -> None:
    d = cronsession_driver
    chat = wish("named", name=d.fresh_name("chat"))
    forms: list[tuple[tuple[str, ...], dict[str, Any] | None, dict[str, Any]]] = [
        (("agents",), None, {"target": "named", "name": d.fresh_name("kept"), "agent": "work"}),
        (("session.main",), None, {"target": "main"}),
        (("session.isolated", "session.key"), None, {"target": "isolated", "key": d.fresh_name("key")}),
        (("session.isolated", "session.mode"), None, {"target": "isolated", "mode": "shared"}),
        (("session.current", "session.send"), None, {"target": "current", "caller": chat}),
        (("job.deleteAfterRun",), at(d.now + 3 * DAY), {"deleteAfterRun": True}),
        (("schedule.every",), every(minutes=50), {}),
        (("job.retry",), None, {"retry": {"maxRetries": 2, "backoffMs": [MINUTE, 7 * MINUTE]}}),
        (("job.catchUp",), None, {"catchUp": {"policy": "skip", "maxLatenessMs": 3 * MINUTE}}),
        (("run.timeout",), None, long_timeout(d)),
    ]
    for needed, schedule, options in forms:
        if not d.has(*needed):
            continue
        if "caller" in options:
            d.say(chat)
        d.try_add(schedule, **options)
    before = {job.id: shown(job) for job in d.jobs()}
    for n in range(2):
        _begin_anew(d, how)
        d.advance(seconds=1)
        after = {job.id: shown(job) for job in d.jobs()}
        for job_id in before.keys() | after.keys():
            was, now = before.get(job_id), after.get(job_id)
            d.expect(now == was, f"start {n + 1} ({how}) made of the job {was} the job {now}")


@requirement("CS-STO-021")
def test_a_restart_leaves_every_run_as_it_was(cronsession_driver: Driver) -> None:
    _check_runs(cronsession_driver, "restart")


@requirement("CS-STO-024")
def test_a_crash_leaves_every_run_as_it_was(cronsession_driver: Driver) -> None:
    _check_runs(cronsession_driver, "crash")


def _check_runs(d: Driver, how: str) -> None:
    d.require("run.list", "schedule.cron")
    answered, failing = d.add(cron(TEN)), d.add(cron("5 * * * *"))
    d.answers(failing, always=ERROR)
    d.advance(minutes=63)
    before = _runs(d, answered) | _runs(d, failing)
    for n in range(2):
        _begin_anew(d, how)
        after = _runs(d, answered) | _runs(d, failing)
        lost = {run_id: told for run_id, told in before.items() if after.get(run_id) != told}
        now = {run_id: after.get(run_id) for run_id in lost}
        d.expect(not lost, f"start {n + 1} ({how}) made of the finished runs {lost} the runs {now}")


def _runs(d: Driver, job: Handle) -> dict[str, tuple[object, ...]]:
    """The finished runs of a job as they are listed."""
    return {
        r.id: (r.status, r.slot_ms, r.started_ms, r.ended_ms, r.session_key)
        for r in d.runs(job)
        if r.finished
    }


@requirement("CS-STO-023")
def test_what_people_say_in_the_main_session_survives_a_crash(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("session.main")
    first = d.say({"target": "main"})
    if not d.say({"target": "main"}).saw_turn(first):
        d.pass_over("the main session does not last, which is another requirement's question")
    last = d.say({"target": "main"})
    d.crash()
    d.expect(
        d.say({"target": "main"}).saw_turn(last), "a human turn in the main session is lost after a crash"
    )
