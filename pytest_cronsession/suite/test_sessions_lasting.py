"""Lasting sessions keep what was said, whatever happens to turns, jobs and people around them."""

from __future__ import annotations

from typing import Any

import pytest

from ..checkers import shared_context
from ..driver import Driver, Handle, every, wish
from ..model import ERROR, Turn, hold, tag_text
from ..requirement import requirement
from .kit import ENDINGS, begin, brief, end_held, ends_badly, long_timeout, row_ids


@requirement("CS-SES-011")
@pytest.mark.cronsession_last
@pytest.mark.parametrize("how", [how for how in ENDINGS if how != "error"])
def test_a_turn_without_an_answer_loses_nothing(cronsession_driver: Driver, how: str) -> None:
    d = cronsession_driver
    d.require(*ENDINGS[how])
    limit = brief(d) if how == "timeout" else long_timeout(d)
    job = d.add(target="named", name=d.fresh_name("rough"), **limit)
    turns = [d.evidence(job), d.evidence(job)]
    rows = row_ids(d, job)
    ends_badly(d, job, how)
    turns.append(d.evidence(job))
    d.judge(shared_context(turns))
    now = row_ids(d, job)
    d.expect(now == rows, f"a turn ended badly ({how}), and the row of its session was {rows} and is {now}")


@requirement("CS-SES-012")
@pytest.mark.parametrize("event", ["edit", "disable", "remove", "failure", "move"])
def test_what_becomes_of_a_job_leaves_its_session(cronsession_driver: Driver, event: str) -> None:
    d = cronsession_driver
    d.require(
        {"disable": "job.disable", "remove": "job.remove", "failure": "trigger"}.get(event, "job.update")
    )
    name = d.fresh_name("outlasts")
    stays, goes = d.add(target="named", name=name), d.add(target="named", name=name)
    turns = [d.evidence(stays), d.evidence(goes)]
    rows = row_ids(d, stays)
    if event == "edit":
        d.edit(
            goes, name="another name", payload={"kind": "agentTurn", "text": tag_text("Say more.", goes.tag)}
        )
    elif event == "disable":
        d.edit(goes, enabled=False)
    elif event == "remove":
        d.remove(goes)
    elif event == "move":
        d.edit(goes, session=wish("named", name=d.fresh_name("elsewhere")))
        d.evidence(goes)
    else:
        d.answers(goes, ERROR)
        d.run_now(goes)
    turns.append(d.evidence(stays))
    d.judge(shared_context(turns))
    now = row_ids(d, stays)
    d.expect(
        now == rows, f"after this ({event}) of another job the row of the session was {rows} and is {now}"
    )


@requirement("CS-SES-013")
@pytest.mark.cronsession_last
@pytest.mark.parametrize("form", ["main", "key", "current", "shared"])
def test_every_lasting_session_lasts(cronsession_driver: Driver, form: str) -> None:
    d = cronsession_driver
    job, place = _lasting(d, form)
    if job is None:
        d.witness()
        return
    turns: list[Turn] = [d.evidence(job)]
    rows = row_ids(d, job)
    if place is not None and d.has("session.send"):
        turns.append(d.say(place))
    d.answers(job, ERROR)
    d.run_now(job)
    turns.append(d.evidence(job))
    if d.has("job.update"):
        d.edit(job, name="another name")
        turns.append(d.evidence(job))
    if d.has("restart"):
        d.restart()
        turns.append(d.evidence(job))
    d.judge(shared_context(turns))
    now = row_ids(d, job)
    d.expect(now == rows, f"the row of the session of {form} was {rows} and is {now}")


def _lasting(d: Driver, form: str) -> tuple[Handle | None, dict[str, Any] | None]:
    """A job with a lasting session of this form, and how a person gets there; None where it is not taken."""
    if form == "main":
        d.require("session.main")
        return d.add(target="main"), wish("main")
    if form == "current":
        d.require("session.current", "session.named", "session.send")
        chat = wish("named", name=d.fresh_name("chat"))
        d.say(chat)
        return d.add(target="current", caller=chat), chat
    d.require("session.isolated", "session.key" if form == "key" else "session.mode")
    given: dict[str, Any] = {"key": d.fresh_name("lasting-key")} if form == "key" else {"mode": "shared"}
    write, job = d.try_add(target="isolated", **given)
    return (None if write.reports("session.key", "session.mode") else job), None


def _two_at_once(d: Driver) -> tuple[Handle, Handle, Handle]:
    """Three jobs of one session: the first is under way and held, the second was started beside it."""
    name = d.fresh_name("crowded")
    jobs = [d.add(target="named", name=name, **long_timeout(d)) for _ in range(3)]
    d.answers(jobs[0], hold())
    begin(d, jobs[0])
    second = d.trigger(jobs[1])
    if not second.started:
        d.not_observed(f"a run was not started beside another one in its session: {second.reason}")
    if not d.hello.realtime:
        d.advance()
    return jobs[0], jobs[1], jobs[2]


@requirement("CS-SES-014")
def test_turns_that_overlap_lose_nothing(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    first, second, third = _two_at_once(d)
    end_held(d, first)
    d.expect(len(d.turns(second)) == 1, "a run that was started during another one in its session never ran")
    _check_all_kept(d, third, [*d.turns(first), *d.turns(second)])


@requirement("CS-SES-014")
def test_people_and_runs_at_once_lose_nothing(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("session.send")
    name = d.fresh_name("lively")
    jobs = [d.add(target="named", name=name) for _ in range(3)]
    tags = [d.model.new_tag() for _ in range(2)]
    place = wish("named", name=name)
    calls: list[tuple[str, dict[str, Any]]] = []
    for tag, job in zip(tags, jobs, strict=False):
        calls.append(("session/send", {"session": place, "text": tag_text("Hello.", tag)}))
        calls.append(("job/trigger", {"id": job.id, "mode": "force"}))
    d.together(*calls)
    d.settle(lambda: all(d.model.turns(tag) for tag in tags) and d.model.open_turns() == 0)
    said = [t for tag in (*tags, jobs[0].tag, jobs[1].tag) for t in d.model.turns(tag)]
    d.expect(all(d.model.turns(tag) for tag in tags), "a person's turn that was sent beside a run never came")
    _check_all_kept(d, jobs[2], said)


def _check_all_kept(d: Driver, job: Handle, turns: list[Turn]) -> None:
    later = d.evidence(job)
    lost = [t.seq for t in turns if t.state == "answered" and not later.saw_turn(t)]
    d.expect(
        not lost,
        f"turns overlapped in one session, and the next turn there does not see the replies to {lost}",
    )


@requirement("CS-SES-015")
def test_a_turn_waits_for_the_one_before(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    first, second, _ = _two_at_once(d)
    d.expect(not d.turns(second), "a turn began while another one in its session was under way")
    end_held(d, first)
    d.expect(
        any(later.saw_turn(before) for later in d.turns(second)[:1] for before in d.turns(first)[:1]),
        "a turn that waited for another one does not see its reply",
    )


@requirement("CS-SES-016")
def test_a_person_finds_the_session_as_it_was(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("schedule.every")
    # What maintenance would remove is not this requirement's question.
    config = {**d.world.config, **({"maintenance": {"mode": "warn"}} if d.has("maintenance") else {})}
    own = d.spawn(config)
    try:
        turns = [own.say(wish("main"))]
        if own.has("session.isolated"):
            own.add(every(hours=7), target="isolated")
        event = own.add(every(hours=11), target="main")
        own.advance(days=3)
        turns += [t for t in own.turns(event) if t.state == "answered"]
        own.expect(
            len(turns) > 2, "a job with target main and a slot every eleven hours did not run in three days"
        )
        turns.append(own.say(wish("main")))
        own.judge(shared_context(turns))
    finally:
        own.world.close()
