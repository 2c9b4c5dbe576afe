"""Targets and names: which session they mean, and what is refused."""

from __future__ import annotations

from itertools import count

import pytest

from ..checkers import fresh_context, shared_context
from ..driver import Driver, Handle, wish
from ..model import Turn
from ..requirement import requirement
from ..strategies import session_names
from .kit import examples


@requirement("CS-RES-006")
def test_a_name_is_one_session_for_all_jobs(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    name = d.fresh_name("standup")
    one, two = d.add(target="named", name=name), d.add(target="named", name=name)
    d.judge(shared_context([d.evidence(one), d.evidence(one), d.evidence(two)]))


@requirement("CS-RES-007")
def test_different_names_are_different_sessions(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    one = d.add(target="named", name=d.fresh_name("left"))
    two = d.add(target="named", name=d.fresh_name("right"))
    first, second, third = d.evidence(one), d.evidence(two), d.evidence(one)
    d.judge(fresh_context([second], [first]) + fresh_context([third], [second]))


@requirement("CS-RES-008")
def test_white_space_around_a_name(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    name = d.fresh_name("padded")
    first = d.evidence(d.add(target="named", name=name))
    write, job = d.try_add(target="named", name=f"  {name} ")
    if write.rejected is not None:
        d.witness()
        return
    assert job is not None
    d.expect(d.evidence(job).saw_turn(first), f"{name!r} and the same with spaces around it are two sessions")


@requirement("CS-RES-009")
def test_letter_case_of_a_name(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    name = d.fresh_name("case")
    first = d.evidence(d.add(target="named", name=name.lower()))
    write, job = d.try_add(target="named", name=name.upper())
    if write.rejected is not None:
        d.witness()
        return
    assert job is not None
    one = d.evidence(job).saw_turn(first)
    declared = d.hello.policy("keyCase")
    seen = "one session" if one else "two sessions"
    d.expect(one == (declared == "fold"), f"policy keyCase is {declared!r}, upper and lower case are {seen}")


# Each pair is one slug to a gateway that replaces what it does not like.
_TWINS = [
    ("team/alpha", "team-alpha"),
    ("a:b", "a.b"),
    ("ops room", "ops_room"),
    ("caf\u00e9", "cafe"),
    ("../up", "up"),
]


@requirement("CS-RES-010")
@pytest.mark.parametrize("pair", _TWINS, ids=["slash", "colon", "space", "accent", "dots"])
def test_names_that_look_alike(cronsession_driver: Driver, pair: tuple[str, str]) -> None:
    d = cronsession_driver
    tail = d.fresh_name("")
    turns: list[Turn] = []
    for name in (pair[0] + tail, pair[1] + tail):
        write, job = d.try_add(target="named", name=name)
        if write.rejected is not None:
            continue
        assert job is not None
        turn = d.evidence(job)
        d.judge(fresh_context([turn], turns))
        turns.append(turn)
    d.witness()


@requirement("CS-RES-010")
def test_any_name_is_opaque(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    number = count(1)
    seen: list[Turn] = []

    def check(name: str) -> None:
        unique = f"{name}~{next(number)}{d.fresh_name('')}"
        write, one = d.try_add(target="named", name=unique)
        if write.rejected is not None:
            return
        assert one is not None
        first = d.evidence(one)
        d.judge(fresh_context([first], seen))
        second = d.evidence(d.add(target="named", name=unique))
        d.expect(second.saw_turn(first), f"two jobs with the name {unique!r} do not share a session")
        seen.extend([first, second])

    examples(d, check, name=session_names())
    d.witness()


@requirement("CS-RES-011")
@pytest.mark.parametrize("name", [None, "", "   "], ids=["missing", "empty", "blank"])
def test_a_named_target_needs_a_name(cronsession_driver: Driver, name: str | None) -> None:
    d = cronsession_driver
    before = len(d.jobs())
    write, _ = d.try_add(target="named", name=name)
    d.expect(write.rejected is not None, f"target named with name {name!r} was accepted")
    d.expect(len(d.jobs()) == before, "the refused job is listed all the same")


@requirement("CS-RES-012")
def test_unknown_target_word_on_add(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    before = len(d.jobs())
    write, _ = d.try_add(target="sideways")
    d.expect(write.rejected is not None, "the target word 'sideways' was accepted")
    d.expect(len(d.jobs()) == before, "the refused job is listed all the same")


@requirement("CS-RES-012")
def test_unknown_target_word_on_edit(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("job.update")
    job = d.add(target="isolated")
    stored = d.stored(job).raw.get("session")
    write = d.update(job, session=wish("sideways"))
    d.expect(write.rejected is not None, "an edit to the target word 'sideways' was accepted")
    d.expect(d.stored(job).raw.get("session") == stored, "the refused edit changed the stored job")


@requirement("CS-RES-014")
def test_one_name_under_two_agents(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    name = d.fresh_name("desk")
    mine = d.evidence(d.add(target="named", name=name, agent="main"))
    theirs = d.evidence(d.add(target="named", name=name, agent="work"))
    d.expect(not theirs.saw_turn(mine), f"agents main and work share the session named {name!r}")


@requirement("CS-RES-015")
def test_the_resolved_session_is_the_one_used(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(target="named", name=d.fresh_name("dry"))
    _check_resolved(d, job)
    if d.has("job.update"):
        d.edit(job, session=wish("named", name=d.fresh_name("dry-again")))
        _check_resolved(d, job)


def _check_resolved(d: Driver, job: Handle) -> None:
    resolved = d.stored(job).resolved_key
    run = d.run_now(job).run
    if resolved is None or run is None or run.session_key is None:
        d.not_observed("job/list shows no resolved session key, or the run reports none")
        return
    d.expect(run.session_key == resolved, f"resolved as {resolved!r}, the run used {run.session_key!r}")


@requirement("CS-RES-015")
def test_a_job_resolved_as_fresh_gets_a_fresh_session(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(target="isolated")
    stored = d.stored(job)
    resolved = stored.raw.get("resolved") or {}
    done, second = d.run_now(job), d.evidence(job)
    first = done.turn
    if first is None:
        d.fail("a run was started and no request with the job's text reached the model")
    assert first is not None
    used = done.run.session_key if done.run is not None else None
    d.expect(
        None in (used, stored.resolved_key) or used == stored.resolved_key,
        f"resolved as {stored.resolved_key!r}, the run used {used!r}",
    )
    shared = second.saw_turn(first)
    d.expect(
        not (shared and resolved.get("fresh") is True), "resolved as fresh, and two runs shared a session"
    )


@requirement("CS-RES-016")
def test_current_is_the_session_of_the_request(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    chat = wish("named", name=d.fresh_name("chat"))
    said = d.say(chat)
    job = d.add(target="current", caller=chat)
    d.expect(
        d.evidence(job).saw_turn(said),
        f"a job created from the session {chat['name']!r} with target current does not see what was said there",
    )


@requirement("CS-RES-017")
def test_current_without_a_calling_session(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    declared = d.hello.policy("currentFallback")
    write, job = d.try_add(target="current")
    if declared == "reject" or job is None:
        seen = "reject" if write.rejected else "isolated"
        d.expect(seen == declared, f"policy currentFallback is {declared!r}, the write looks like {seen!r}")
        return
    first = d.evidence(job)
    d.judge(fresh_context([d.evidence(job)], [first]))


@requirement("CS-RES-018")
def test_an_edited_target_takes_effect(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    name = d.fresh_name("moved-to")
    resident = d.evidence(d.add(target="named", name=name))
    job = d.add(target="isolated")
    before = d.evidence(job)
    d.edit(job, session=wish("named", name=name))
    inside = d.evidence(job)
    d.expect(
        inside.saw_turn(resident), f"after an edit to target named {name!r} the run is not in that session"
    )
    d.judge(fresh_context([inside], [before]))
    d.edit(job, session=wish("isolated"))
    _check_fresh_again(d, job, [resident, before, inside])


@requirement("CS-RES-018")
@pytest.mark.cronsession_tier("full")
def test_an_edit_away_from_the_session_of_the_request_takes_effect(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("session.current", "session.send")
    chat, name = wish("named", name=d.fresh_name("chat")), d.fresh_name("moved-to")
    said = d.say(chat)
    resident = d.evidence(d.add(target="named", name=name))
    job = d.add(target="current", caller=chat)
    before = d.evidence(job)
    d.expect(before.saw_turn(said), "a job with target current is not in the session of its request")
    d.edit(job, session=wish("named", name=name))
    inside = d.evidence(job)
    d.expect(
        inside.saw_turn(resident),
        f"after an edit from target current to named {name!r} the run is not in that session",
    )
    d.judge(fresh_context([inside], [said, before]))


def _check_fresh_again(d: Driver, job: Handle, earlier: list[Turn]) -> None:
    d.judge(fresh_context([d.evidence(job)], earlier))
