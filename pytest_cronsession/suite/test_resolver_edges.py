"""Where a wish is looked at once more: callers, agents, edits, repetitions and what is shown of it."""

from __future__ import annotations

from typing import Any

import pytest

from ..checkers import fresh_context, shared_context
from ..driver import Driver, Handle, at, every, wish
from ..model import TRANSIENT, tag_text
from ..oracle import MINUTE
from ..requirement import requirement
from .forms import NEEDS, formed
from .kit import accounted_for, next_run, to_the_next_run

pytestmark = pytest.mark.cronsession_tier("full")

_SPELLINGS = {"blanks": "  {} ", "case": "{}", "slash": "team/{}", "long": "x" * 300 + "{}"}


@requirement("CS-RES-016")
@pytest.mark.parametrize("spelling", list(_SPELLINGS))
def test_a_caller_is_where_a_job_with_that_wish_is(cronsession_driver: Driver, spelling: str) -> None:
    d = cronsession_driver
    name = _SPELLINGS[spelling].format(d.fresh_name("called"))
    called = wish("named", name=name.upper() if spelling == "case" else name)
    _, resident = d.try_add(**called)
    if resident is None:
        d.pass_over("the gateway refuses such a name")
    assert resident is not None
    turn = d.evidence(resident)
    _, job = d.try_add(target="current", caller=called)
    if job is None:
        d.pass_over("the gateway refuses to be called from there")
    assert job is not None
    d.expect(
        d.evidence(job).saw_turn(turn),
        f"a job made from the session {called['name']!r} is not in the session of the jobs with that name",
    )


@requirement("CS-RES-016")
def test_a_caller_may_be_a_session_to_come(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    called = wish("named", name=d.fresh_name("to-come"))
    write, job = d.try_add(target="current", caller=called)
    if job is None or write.reports("session.target"):
        d.pass_over("the gateway takes no call from a session in which nothing was said")
    assert job is not None
    d.judge(shared_context([d.evidence(job), d.say(called), d.evidence(job)]))


@requirement("CS-RES-033")
def test_two_callers_are_two_sessions(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    places = [wish("named", name=d.fresh_name(name)) for name in ("here", "there")]
    turns = [[d.say(place)] for place in places]
    jobs = [d.add(target="current", caller=place) for place in places]
    for said, job in zip(turns * 2, jobs * 2, strict=True):
        said.append(d.evidence(job))
    here, there = turns
    d.judge(shared_context(here) + shared_context(there))
    d.judge(fresh_context(here, there) + fresh_context(there, here))


_EDITS: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "schedule": ("schedule.every", [{"schedule": every(hours=777)}]),
    "enabled": ("job.disable", [{"enabled": False}, {"enabled": True}]),
    "timeoutMs": ("run.timeout", [{"timeoutMs": 600_000}]),
}


@requirement("CS-RES-033")
@pytest.mark.parametrize("member", list(_EDITS))
def test_no_edit_of_another_member_takes_a_job_elsewhere(cronsession_driver: Driver, member: str) -> None:
    d = cronsession_driver
    capability, patches = _EDITS[member]
    d.require("job.update", capability)
    job = formed(d, "current")
    first = d.evidence(job)
    for patch in patches:
        d.edit(job, **patch)
    d.expect(
        d.evidence(job).saw_turn(first),
        f"after an edit of {member} a job with target current is not where it was made",
    )


def _check_moved(d: Driver, form: str, way: str) -> None:
    """A job that is given to the agent work: its name or key means a session of that agent then."""
    d.require("job.update")
    text = d.fresh_name("moving")
    given = wish("named", name=text) if form == "named" else wish("isolated", key=text)
    write, mine = d.try_add(**given, agent="main")
    other_write, theirs = d.try_add(**given, agent="work")
    if mine is None or theirs is None or accounted_for(write, "session.key"):
        d.witness()
        return
    if accounted_for(other_write, "session.key", "agent"):
        d.witness()
        return
    before, there = d.evidence(mine), d.evidence(theirs)
    moved = mine if way == "agent" else d.add(agent="main")
    patch = {"agent": "work", **({"session": given} if way == "both" else {})}
    if accounted_for(d.update(moved, **patch), "agent", "session.key"):
        d.witness()
        return
    turn = d.evidence(moved)
    d.expect(
        turn.saw_turn(there) and not turn.saw_turn(before),
        f"a job was given to the agent work, and {text!r} does not mean what it means for that agent",
    )


@requirement("CS-RES-014")
@pytest.mark.parametrize("way", ["agent", "both"])
def test_a_name_is_that_of_the_agent_the_job_has_now(cronsession_driver: Driver, way: str) -> None:
    _check_moved(cronsession_driver, "named", way)


@requirement("CS-RES-025")
@pytest.mark.parametrize("way", ["agent", "both"])
def test_a_key_is_that_of_the_agent_the_job_has_now(cronsession_driver: Driver, way: str) -> None:
    cronsession_driver.require("session.key", "session.isolated")
    _check_moved(cronsession_driver, "key", way)


@requirement("CS-RES-027")
@pytest.mark.parametrize("way", ["add", "edit"])
def test_an_unknown_agent_has_no_slots(cronsession_driver: Driver, way: str) -> None:
    d = cronsession_driver
    d.require("schedule.every", "clock.advance")
    if way == "add":
        write, job = d.try_add(every(minutes=10), agent="nobody")
    else:
        d.require("job.update")
        job = d.add(every(minutes=10))
        write = d.update(job, agent="nobody")
    if write.rejected is not None:
        d.witness()
        return
    assert job is not None
    d.advance(minutes=25)
    d.expect(not d.turns(job), "the agent 'nobody' does not exist, and a job of it ran at its slot")


def _check_old_member(d: Driver, old: dict[str, Any], new: dict[str, Any], *fields: str) -> None:
    """An edit to ``new``, where a member that loses was there before, beside another target."""
    d.require("job.update", "session.isolated", f"session.{new['target']}")
    _, job = d.try_add(**old)
    if job is None:
        d.witness()
        return
    kind = "systemEvent" if new["target"] == "main" else "agentTurn"
    payload = {"kind": kind, "text": tag_text("Reply OK only.", job.tag)}
    write = d.update(job, session=new, payload=payload)
    d.expect(
        accounted_for(write, *fields),
        f"an edit from {old} to {new} was accepted, and no loser was reported",
    )


@requirement("CS-RES-004")
def test_a_key_from_before_is_seen_beside_a_name(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    key = d.fresh_name("old-key")
    new = wish("named", name=d.fresh_name("name"), key=key)
    _check_old_member(d, wish("isolated", key=key), new, "session.key", "session.name", "session.target")


@requirement("CS-RES-005")
def test_a_key_from_before_is_seen_beside_main(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    key = d.fresh_name("old-key")
    _check_old_member(d, wish("isolated", key=key), wish("main", key=key), "session.key", "session.target")


@requirement("CS-RES-021")
@pytest.mark.parametrize("beside", ["named", "main", "key"])
def test_a_mode_from_before_is_seen_beside_a_lasting_session(cronsession_driver: Driver, beside: str) -> None:
    d = cronsession_driver
    new = wish("isolated" if beside == "key" else beside, mode="fresh")
    if beside != "main":
        new["name" if beside == "named" else "key"] = d.fresh_name("lasting")
    if beside == "key":
        d.require("session.key")
    fields = ("session.mode", "session.key", "session.name", "session.target")
    _check_old_member(d, wish("isolated", mode="fresh"), new, *fields)


@requirement("CS-RES-005")
@pytest.mark.parametrize("way", ["add", "edit"])
def test_main_or_the_key_wins_as_reported(cronsession_driver: Driver, way: str) -> None:
    d = cronsession_driver
    key = d.fresh_name("beside-main")
    resident = d.evidence(d.add(target="main"))
    if way == "add":
        write, job = d.try_add(target="main", key=key)
    else:
        d.require("job.update")
        job = d.add(target="main")
        write = d.update(job, session=wish("main", key=key))
    key_lost, target_lost = write.reports("session.key"), write.reports("session.target")
    # What was rejected has no session, and that neither or both are reported is no answer to this.
    if write.rejected is not None or key_lost == target_lost:
        d.witness()
        return
    assert job is not None
    in_main = d.evidence(job).saw_turn(resident)
    d.expect(
        in_main is key_lost,
        f"by the report {'main' if key_lost else 'the key'} wins; runs in the main session: {in_main}",
    )


@requirement("CS-RES-003")
@pytest.mark.parametrize("form", ["named", "key"])
def test_a_one_shot_is_where_its_wish_says(cronsession_driver: Driver, form: str) -> None:
    d = cronsession_driver
    d.require("schedule.at")
    given, resident = _resident(d, form)
    job = d.add(at(d.now + 5 * MINUTE), **given)
    turn = d.evidence(resident)
    d.advance(minutes=6)
    _check_one_shot(d, job, turn)


@requirement("CS-RES-022")
@pytest.mark.cronsession_last
@pytest.mark.parametrize("form", ["named", "key"])
def test_a_late_one_shot_is_where_its_wish_says(cronsession_driver: Driver, form: str) -> None:
    d = cronsession_driver
    d.require("schedule.at", "restart", "clock.advance")
    given, resident = _resident(d, form)
    job = d.add(at(d.now + 5 * MINUTE), **given)
    turn = d.evidence(resident)
    d.be_down(minutes=7)
    d.advance(minutes=5)
    if not d.turns(job):
        d.pass_over("a one-shot that was missed does not run, or later than we wait for")
    _check_one_shot(d, job, turn)


def _resident(d: Driver, form: str) -> tuple[dict[str, Any], Handle]:
    d.require(*NEEDS.get(form, ("session.named",)))
    text = d.fresh_name("once")
    given = wish("named", name=text) if form == "named" else wish("isolated", key=text)
    write, resident = d.try_add(**given)
    if resident is None or write.reports("session.key"):
        d.pass_over("a key is not followed, and the write says so")
    assert resident is not None
    return given, resident


def _check_one_shot(d: Driver, job: Handle, before: Any) -> None:
    turns = d.turns(job)
    d.expect(bool(turns), "a one-shot did not run at its instant")
    d.expect(turns[0].saw_turn(before), "the run of a one-shot is not in the session that its wish means")


@requirement("CS-RES-018")
def test_a_repetition_is_where_the_job_is_now(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("job.retry", "schedule.every", "clock.advance")
    old, new = d.fresh_name("before"), d.fresh_name("after")
    there = d.evidence(d.add(target="named", name=new))
    retry = {"maxRetries": 1, "backoffMs": [10 * MINUTE]}
    job = d.add(every(hours=6), target="named", name=old, retry=retry)
    before = d.evidence(job)
    d.answers(job, TRANSIENT)
    to_the_next_run(d, job)
    d.edit(job, session=wish("named", name=new))
    ran = len(d.turns(job))
    d.advance_to(next_run(d, job) + d.hello.late_by_ms)
    turns = d.turns(job)[ran:]
    d.expect(bool(turns), "a job did not run when it was to run next")
    d.expect(
        turns[0].saw_turn(there) and not turns[0].saw_turn(before),
        f"the name was edited from {old!r} to {new!r}, and what was waiting ran in the old session",
    )


@requirement("CS-RES-015")
def test_what_is_resolved_follows_each_edit(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("job.update")
    forms = [wish("named", name=d.fresh_name("one")), wish("isolated")]
    forms.append(wish("named", name=d.fresh_name("other")))
    if d.has("session.key"):
        forms += [wish("isolated", key=d.fresh_name("key")), wish("isolated")]
    job = d.add(**forms[0])
    for given in forms:
        if d.update(job, session=given).rejected is not None:
            continue
        resolved, run = d.stored(job).resolved_key, d.run_now(job).run
        used = None if run is None else run.session_key
        d.expect(
            None in (resolved, used) or used == resolved,
            f"after an edit to {given} the job is resolved as {resolved!r}, the run used {used!r}",
        )


@requirement("CS-RES-015")
@pytest.mark.parametrize("form", list(NEEDS))
def test_what_lasts_is_not_resolved_as_fresh(cronsession_driver: Driver, form: str) -> None:
    d = cronsession_driver
    job = formed(d, form)
    fresh = (d.stored(job).raw.get("resolved") or {}).get("fresh")
    first = d.evidence(job)
    shared = d.evidence(job).saw_turn(first)
    d.expect(
        not (shared and fresh is True), f"a job ({form}) is resolved as fresh, and its runs share a session"
    )
