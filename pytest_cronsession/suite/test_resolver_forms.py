"""Every form of a wish is followed, whichever way a run starts and whoever speaks: not the usual one alone."""

from __future__ import annotations

import pytest

from ..driver import Driver, Handle, cron, every, wish
from ..model import Turn
from ..requirement import requirement
from .forms import NEEDS, formed
from .kit import accounted_for, all_rows, rows_of

pytestmark = pytest.mark.cronsession_tier("full")


def _check_alike(d: Driver, turns: list[Turn]) -> None:
    """All runs share a session, or none of them do; which of both is another requirement's question."""
    shared = [later.saw_turn(first) for n, later in enumerate(turns) for first in turns[:n]]
    d.expect(len(set(shared)) == 1, f"of {len(turns)} runs of a job some share a session: {shared}")


@requirement("CS-RES-003")
@pytest.mark.parametrize("form", ["main", "current", "shared"])
def test_slots_and_manual_starts_are_in_one_session(cronsession_driver: Driver, form: str) -> None:
    d = cronsession_driver
    job = formed(d, form, every(minutes=10))
    d.evidence(job)
    d.advance(minutes=11)
    d.evidence(job)
    turns = d.turns(job)
    d.expect(len(turns) > 2, "the job has a slot every 10 minutes and none ran in 11 minutes")
    _check_alike(d, turns)


@requirement("CS-RES-022")
@pytest.mark.cronsession_last
@pytest.mark.parametrize("form", ["main", "current", "shared"])
def test_late_runs_are_in_the_session_of_the_others(cronsession_driver: Driver, form: str) -> None:
    d = cronsession_driver
    d.require("restart", "schedule.cron", "clock.advance")
    job = formed(d, form, cron("*/10 * * * *"))
    d.evidence(job)
    d.evidence(job)
    d.stop()
    d.start({"minutes": 35})
    d.advance(minutes=21)
    d.evidence(job)
    _check_alike(d, [t for t in d.turns(job) if t.state == "answered"])


@requirement("CS-RES-001")
def test_mode_shared_leaves_the_key_in_force(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("session.mode")
    key = d.fresh_name("shared-key")
    write, plain = d.try_add(target="isolated", key=key)
    both_write, both = d.try_add(target="isolated", key=key, mode="shared")
    if accounted_for(write, "session.key") or accounted_for(both_write, "session.key"):
        d.witness()
        return
    assert plain is not None
    assert both is not None
    first = d.evidence(plain)
    d.expect(
        d.evidence(both).saw_turn(first),
        f"the key {key!r} was accepted beside mode shared, and the run is not in the session of that key",
    )


@requirement("CS-RES-006")
def test_mode_shared_leaves_the_name_in_force(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("session.mode")
    name = d.fresh_name("shared-name")
    first = d.evidence(d.add(target="named", name=name))
    write, job = d.try_add(target="named", name=name, mode="shared")
    if accounted_for(write, "session.name", "session.target"):
        d.witness()
        return
    assert job is not None
    d.expect(
        d.evidence(job).saw_turn(first),
        f"mode shared beside the name {name!r} was accepted, and the run is not in the session of that name",
    )


@requirement("CS-RES-006")
def test_a_name_outlasts_its_jobs(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("job.remove")
    name = d.fresh_name("outlasting")
    job = d.add(target="named", name=name)
    first = d.evidence(job)
    d.remove(job)
    later = d.evidence(d.add(target="named", name=name))
    d.expect(
        later.saw_turn(first), f"the only job of the session {name!r} was removed, and its turns are lost"
    )


@requirement("CS-RES-011")
@pytest.mark.parametrize("name", [None, "", "   "], ids=["missing", "empty", "blank"])
def test_an_edit_to_a_named_target_needs_a_name(cronsession_driver: Driver, name: str | None) -> None:
    d = cronsession_driver
    d.require("job.update")
    job = d.add(target="named", name=d.fresh_name("kept"))
    stored = d.stored(job).raw.get("session")
    write = d.update(job, session=wish("named", name=name))
    d.expect(write.rejected is not None, f"an edit to target named with name {name!r} was accepted")
    d.expect(d.stored(job).raw.get("session") == stored, "the refused edit changed the stored job")


@requirement("CS-RES-013")
@pytest.mark.parametrize("way", ["add", "edit"])
@pytest.mark.parametrize("form", ["named", "main", "key"])
def test_any_listed_key_is_that_session(cronsession_driver: Driver, form: str, way: str) -> None:
    d = cronsession_driver
    name = d.fresh_name("listed")
    resident = d.add(target="named", name=name) if form == "named" else formed(d, form)
    before = all_rows(d)
    turn = d.evidence(resident)
    rows = rows_of(d, resident) or [s for s in d.sessions() if s.key not in before]
    if len(rows) != 1 or not d.evidence(resident).saw_turn(turn):
        d.pass_over("the row of a lasting session could not be told from others")
    if way == "add":
        write, job = d.try_add(target="isolated", key=rows[0].key)
    else:
        d.require("job.update")
        job = d.add(target="isolated")
        write = d.update(job, session=wish("isolated", key=rows[0].key))
    if accounted_for(write, "session.key"):
        d.witness()
        return
    assert job is not None
    d.expect(
        d.evidence(job).saw_turn(turn),
        f"the listed key {rows[0].key!r} was accepted as a session key and another session was used",
    )


@requirement("CS-RES-015")
@pytest.mark.parametrize("form", list(NEEDS))
def test_what_is_resolved_is_used_in_every_form(cronsession_driver: Driver, form: str) -> None:
    d = cronsession_driver
    _check_resolved(d, formed(d, form))


@requirement("CS-RES-015")
@pytest.mark.parametrize("way", ["add", "edit"])
def test_what_is_resolved_is_of_the_agent(cronsession_driver: Driver, way: str) -> None:
    d = cronsession_driver
    d.require("agents")
    name = d.fresh_name("whose")
    job = d.add(target="named", name=name, agent="work" if way == "add" else "main")
    if way == "edit":
        d.require("job.update")
        if accounted_for(d.update(job, agent="work"), "agent"):
            d.pass_over("a job stays with its agent")
    _check_resolved(d, job)


def _check_resolved(d: Driver, job: Handle) -> None:
    resolved, run = d.stored(job).resolved_key, d.run_now(job).run
    if resolved is None or run is None or run.session_key is None:
        d.pass_over("job/list shows no resolved session key, or the run reports none")
    assert run is not None
    d.expect(run.session_key == resolved, f"resolved as {resolved!r}, the run used {run.session_key!r}")


@requirement("CS-RES-016")
def test_current_is_a_session_of_the_agent(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("agents")
    chat = wish("named", name=d.fresh_name("chat"))
    said = d.say(chat, agent="work")
    job = d.add(target="current", caller=chat, agent="work")
    d.expect(
        d.evidence(job).saw_turn(said),
        f"a job of the agent work, made from its session {chat['name']!r}, does not see what was said there",
    )


@requirement("CS-RES-025")
def test_main_is_that_of_the_agent_the_job_has_now(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("session.main", "job.update")
    moved, theirs = d.add(target="main", agent="main"), d.add(target="main", agent="work")
    before, there = d.evidence(moved), d.evidence(theirs)
    if accounted_for(d.update(moved, agent="work"), "agent"):
        d.witness()
        return
    turn = d.evidence(moved)
    d.expect(
        turn.saw_turn(there) and not turn.saw_turn(before),
        "a job with target main was given to another agent, and runs in the main session of the first",
    )
