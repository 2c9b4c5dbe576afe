"""Lasting sessions of every form, by ways met last: other members edited, repetitions, one-shots, what comes beside a turn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ..checkers import fresh_context, shared_context
from ..driver import Driver, Handle, at, every, wish
from ..model import ERROR, TRANSIENT, Turn, hold, tag_text
from ..oracle import MINUTE
from ..requirement import requirement
from .forms import NEEDS, formed, lasting
from .kit import accounted_for, begin, end_held, long_timeout, to_the_next_run

pytestmark = pytest.mark.cronsession_tier("full")


def _two_turns(d: Driver, job: Handle) -> list[Turn]:
    """Two runs in one session; whether there is one is another requirement's question."""
    turns = [d.evidence(job), d.evidence(job)]
    if not turns[1].saw_turn(turns[0]):
        d.pass_over("the runs share no session, which is another requirement's question")
    return turns


def _patches(d: Driver, job: Handle, kind: str) -> list[dict[str, Any]]:
    """Edits of the members that say nothing of a session, in groups that go together."""
    groups: list[dict[str, Any]] = [{"payload": {"kind": kind, "text": tag_text("Say more.", job.tag)}}]
    if d.has("schedule.every"):
        groups.append({"schedule": every(hours=777)})
    rest = {
        "timeoutMs": ("run.timeout", 600_000),
        "retry": ("job.retry", {"maxRetries": 1}),
        "maxFailures": ("job.autoDisable", 9),
        "catchUp": ("job.catchUp", {"policy": "skip"}),
    }
    return groups + [{member: value} for member, (capability, value) in rest.items() if d.has(capability)]


def _check_edits(d: Driver, form: str) -> None:
    d.require("job.update")
    job = lasting(d, form)
    turns = _two_turns(d, job)
    for patch in _patches(d, job, "systemEvent" if form == "main" else "agentTurn"):
        if d.update(job, **patch).rejected is None:
            turns.append(d.evidence(job))
    d.judge(shared_context(turns))


@requirement("CS-SES-012")
def test_an_edit_of_another_member_leaves_a_named_session(cronsession_driver: Driver) -> None:
    _check_edits(cronsession_driver, "named")


@requirement("CS-SES-013")
@pytest.mark.parametrize("form", list(NEEDS))
def test_an_edit_of_another_member_leaves_every_lasting_session(
    cronsession_driver: Driver, form: str
) -> None:
    _check_edits(cronsession_driver, form)


@requirement("CS-RES-022")
@pytest.mark.parametrize("form", ["main", "current", "shared"])
def test_a_repetition_is_in_the_session_of_the_others(cronsession_driver: Driver, form: str) -> None:
    d = cronsession_driver
    d.require("job.retry", "job.update", "schedule.every", "clock.advance")
    job = formed(d, form, every(hours=6))
    if accounted_for(d.update(job, retry={"maxRetries": 2, "backoffMs": [MINUTE]}), "retry"):
        d.pass_over("a job of this form is not repeated, and the write says so")
    turns = _two_turns(d, job)
    d.answers(job, TRANSIENT)
    to_the_next_run(d, job)
    d.advance(minutes=5)
    turns += d.turns(job)[2:]
    if len(turns) < 4:
        d.pass_over("a run that failed was not made again, which is another requirement's question")
    turns.append(d.evidence(job))
    d.judge(shared_context(turns))


@requirement("CS-SES-007")
def test_an_event_at_an_instant_is_a_turn_of_the_main_session(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("schedule.at", "clock.advance")
    resident = d.add(target="main")
    before = d.evidence(resident)
    event = d.add(at(d.now + 5 * MINUTE), target="main")
    _check_one_shot(d, event, before, resident)


@requirement("CS-RES-016")
def test_a_one_shot_is_where_it_was_made(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("schedule.at", "clock.advance", "session.named", "session.send")
    chat = wish("named", name=d.fresh_name("reminder"))
    said = d.say(chat)
    job = d.add(at(d.now + 5 * MINUTE), target="current", caller=chat)
    _check_one_shot(d, job, said, d.add(**chat))


@requirement("CS-RES-003")
def test_a_one_shot_of_mode_shared_goes_on(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("schedule.at", "clock.advance")
    job = formed(d, "shared", at(d.now + 5 * MINUTE))
    first = d.evidence(job)
    d.advance(minutes=6)
    ran = d.turns(job)[1:]
    if not ran:
        d.pass_over("a forced run stood for the slot of the one-shot")
    d.expect(ran[0].saw_turn(first), "the run of a one-shot of mode shared is not where its manual run was")


def _check_one_shot(d: Driver, job: Handle, before: Turn, resident: Handle) -> None:
    """The run of a one-shot sees what was said in its session, and is seen there."""
    d.advance(minutes=6)
    ran = [t for t in d.turns(job) if t.state == "answered"]
    d.expect(bool(ran), "a one-shot did not run at its instant")
    d.judge(shared_context([before, ran[0], d.evidence(resident)]))


@requirement("CS-RES-020")
def test_mode_shared_is_one_session_for_the_jobs_of_any_agent(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("agents")
    write, job = d.try_add(target="isolated", mode="shared", agent="work")
    if accounted_for(write, "session.mode", "agent"):
        d.witness()
        return
    assert job is not None
    first = d.evidence(job)
    d.expect(
        d.evidence(job).saw_turn(first), "mode shared of a job of the agent work was accepted, and ignored"
    )


@requirement("CS-RES-025")
def test_a_person_speaks_in_the_main_session_of_that_agent(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("agents", "session.main", "session.send")
    theirs, mine = d.add(target="main", agent="work"), d.add(target="main", agent="main")
    first, said = d.evidence(theirs), d.say(wish("main"), agent="work")
    d.judge(shared_context([first, said, d.evidence(theirs)]) + fresh_context([d.evidence(mine)], [said]))


def _fails(d: Driver, job: Handle) -> None:
    d.answers(job, ERROR)
    d.run_now(job)


def _at_a_slot(d: Driver, job: Handle) -> None:
    to_the_next_run(d, job)
    d.advance(minutes=3)


def _repeated(d: Driver, job: Handle) -> None:
    d.edit(job, retry={"maxRetries": 1, "backoffMs": [MINUTE]})
    d.answers(job, TRANSIENT)
    _at_a_slot(d, job)


def _late(d: Driver, job: Handle) -> None:
    d.be_down(hours=3)
    d.advance(minutes=5)


_RUNS: dict[str, tuple[tuple[str, ...], Callable[[Driver, Handle], object]]] = {
    "at a slot": ((), _at_a_slot),
    "failed": ((), _fails),
    "repeated": (("job.retry", "job.update"), _repeated),
    "late": (("restart",), _late),
    "of another agent": (("agents",), Driver.evidence),
}


@requirement("CS-SES-003")
@pytest.mark.cronsession_last
@pytest.mark.parametrize("how", list(_RUNS))
def test_no_isolated_run_is_told_in_the_main_session(cronsession_driver: Driver, how: str) -> None:
    d = cronsession_driver
    needs, run = _RUNS[how]
    d.require("schedule.every", "clock.advance", *needs)
    whose: dict[str, Any] = {"agent": "work"} if "agents" in needs else {}
    said = d.say(wish("main"), **whose)
    job = d.add(every(hours=2), target="isolated", **whose)
    run(d, job)
    later = d.say(wish("main"), **whose)
    d.expect(later.saw_turn(said), "the main session lost its own earlier turn")
    d.judge(fresh_context([later], d.turns(job)) + fresh_context(d.turns(job), [said]))
    d.expect(job.tag not in later.tags, f"what an isolated run ({how}) was asked is told in the main session")


@requirement("CS-SES-002")
@pytest.mark.cronsession_last
@pytest.mark.cronsession_config(sessionRetentionMs=60 * MINUTE)
def test_no_session_id_comes_again(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("retention", "clock.advance")
    job = d.add(target="isolated")
    d.evidence(job)
    # At the same time of another day, when the receipt has gone, and after a start.
    d.advance(days=1)
    d.evidence(job)
    d.advance(hours=3)
    d.evidence(job)
    if d.has("restart"):
        d.restart()
        d.evidence(job)
    ids = [r.session_id for r in d.runs(job) if r.session_id]
    if len(ids) < 2:
        d.pass_over("the runs tell no session id")
    d.expect(
        len(set(ids)) == len(ids), f"isolated runs over a day or a start report the same session id: {ids}"
    )


@requirement("CS-SES-005")
@pytest.mark.parametrize("target", ["named", "main"])
def test_a_failed_turn_of_any_agent_loses_nothing(cronsession_driver: Driver, target: str) -> None:
    d = cronsession_driver
    d.require("agents", f"session.{target}")
    name = d.fresh_name("elsewhere") if target == "named" else None
    job = d.add(target=target, name=name, agent="work")
    turns = [d.evidence(job), d.evidence(job)]
    for answer in (ERROR, TRANSIENT):
        d.answers(job, answer)
        d.run_now(job)
    d.judge(shared_context([*turns, d.evidence(job)]))


@requirement("CS-SES-013")
@pytest.mark.parametrize("end", ["removed", "deleted"])
def test_the_end_of_a_job_leaves_the_session_of_its_key(cronsession_driver: Driver, end: str) -> None:
    d = cronsession_driver
    d.require("clock.advance", "job.remove", *NEEDS["key"])
    key = d.fresh_name("left-key")
    once: dict[str, Any] = {}
    if end == "deleted":
        d.require("schedule.at", "job.deleteAfterRun")
        once = {"deleteAfterRun": True}
    write, job = d.try_add(at(d.now + 5 * MINUTE) if once else None, target="isolated", key=key, **once)
    if job is None or write.reports("session.key"):
        d.pass_over("a key is not followed, and the write says so")
    assert job is not None
    if once:
        d.advance(minutes=6)
    else:
        d.evidence(job)
        d.remove(job)
    ran = [t for t in d.turns(job) if t.state == "answered"]
    if not ran or d.job(job) is not None:
        d.pass_over(f"a job was not {end}, which is another requirement's question")
    later = d.evidence(d.add(target="isolated", key=key))
    d.expect(later.saw_turn(ran[0]), f"the only job with a key was {end}, and what its run said is lost")


@requirement("CS-SES-014")
@pytest.mark.parametrize("target", ["named", "main"])
def test_a_run_beside_a_person_is_in_their_session(cronsession_driver: Driver, target: str) -> None:
    d = cronsession_driver
    d.require("clock.advance", "session.send", f"session.{target}")
    name = d.fresh_name("beside") if target == "named" else None
    job = d.add(target=target, name=name, **long_timeout(d))
    said = d.speak(wish(target, name=name), hold(d.now + 3 * MINUTE))
    if not d.trigger(job).started:
        d.pass_over("a run is not started beside a turn in its session")
    d.advance(minutes=5)
    turns = [t for t in (said, *d.turns(job)) if t.state == "answered"]
    if len(turns) < 2:
        d.pass_over("a person's turn or a run beside it was not answered")
    later = d.evidence(job)
    lost = [t.seq for t in turns if not later.saw_turn(t)]
    d.expect(not lost, f"a run came while a person's turn was under way, and a later turn misses {lost}")


@requirement("CS-RES-006")
def test_a_name_outlasts_the_edit_of_its_jobs(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("job.update")
    name = d.fresh_name("left-by-all")
    job = d.add(target="named", name=name)
    first = d.evidence(job)
    d.edit(job, session=wish("named", name=d.fresh_name("elsewhere")))
    d.evidence(job)
    d.edit(job, session=wish("named", name=name))
    d.expect(
        d.evidence(job).saw_turn(first),
        f"the only job of the session {name!r} was elsewhere for a while, and its turns are lost",
    )


@requirement("CS-SES-016")
def test_a_person_whose_turn_failed_goes_on(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    turns = [d.say(wish("main"))]
    for answer in (ERROR, TRANSIENT):
        d.say(wish("main"), answer=answer)
    d.judge(shared_context([*turns, d.say(wish("main"))]))


@requirement("CS-SES-014")
def test_several_that_wait_lose_nothing(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("clock.advance")
    name = d.fresh_name("queue")
    jobs = [d.add(target="named", name=name, **long_timeout(d)) for _ in range(5)]
    d.answers(jobs[0], hold())
    begin(d, jobs[0])
    started = [job for job in jobs[1:4] if d.trigger(job).started]
    if len(started) < 2:
        d.pass_over("runs are not started beside another one in their session")
    d.advance()
    end_held(d, jobs[0])
    d.advance(minutes=1)
    turns = [t for job in (jobs[0], *started) for t in d.turns(job) if t.state == "answered"]
    d.expect(len(turns) > len(started), f"of {len(started)} runs that waited for a session some never ran")
    later = d.evidence(jobs[4])
    lost = [t.seq for t in turns if not later.saw_turn(t)]
    d.expect(not lost, f"several runs waited for a session, and the next turn there misses {lost}")
