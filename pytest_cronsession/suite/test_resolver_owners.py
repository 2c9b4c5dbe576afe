"""Whose session it is: keys, main sessions and agents."""

from __future__ import annotations

import pytest

from ..checkers import fresh_context
from ..driver import Driver, wish
from ..requirement import requirement
from .kit import accounted_for, all_shown, rows_of


@requirement("CS-RES-025")
@pytest.mark.parametrize("form", ["key", "main"])
def test_each_agent_has_its_own_sessions(cronsession_driver: Driver, form: str) -> None:
    d = cronsession_driver
    d.require(*(["session.key", "session.isolated"] if form == "key" else ["session.main"]))
    key = d.fresh_name("desk") if form == "key" else None
    target = "isolated" if form == "key" else "main"
    _, mine = d.try_add(target=target, key=key, agent="main")
    write, theirs = d.try_add(target=target, key=key, agent="work")
    if mine is None or theirs is None or write.reports("session.key", "agent"):
        d.witness()
        return
    first, second = d.evidence(mine), d.evidence(theirs)
    third, fourth = d.evidence(mine), d.evidence(theirs)
    d.judge(fresh_context([second, fourth], [first, third]) + fresh_context([third], [second]))
    owners = {s.agent for s in rows_of(d, theirs)} - {None, "work"}
    d.expect(not owners, f"the session of a run of the agent work is listed under {sorted(map(str, owners))}")


@requirement("CS-RES-026")
@pytest.mark.parametrize("way", ["add", "edit", "agent"])
@pytest.mark.parametrize("kind", ["named", "main"])
def test_a_key_of_another_agent(cronsession_driver: Driver, kind: str, way: str) -> None:
    d = cronsession_driver
    d.require(f"session.{kind}")
    before = {s.key for s in d.sessions()}
    resident = d.add(target=kind, name=d.fresh_name("private") if kind == "named" else None, agent="main")
    turn = d.evidence(resident)
    rows = rows_of(d, resident) or [s for s in d.sessions() if s.key not in before]
    if len(rows) != 1:
        d.not_observed("the row of a lasting session could not be told from others")
    key = rows[0].key
    if way == "add":
        write, job = d.try_add(target="isolated", key=key, agent="work")
    else:
        d.require("job.update")
        job = d.add(target="isolated", agent="work" if way == "edit" else "main")
        write = d.update(
            job, session=wish("isolated", key=key), **({"agent": "work"} if way == "agent" else {})
        )
    if accounted_for(write, "session.key"):
        d.witness()
        return
    assert job is not None
    d.expect(
        d.evidence(job).saw_turn(turn),
        f"the key {key!r} of a session of the agent main was accepted for the agent work, and made another session",
    )


@requirement("CS-RES-027")
@pytest.mark.parametrize("way", ["add", "edit"])
def test_an_unknown_agent_is_rejected(cronsession_driver: Driver, way: str) -> None:
    d = cronsession_driver
    job = d.add() if way == "edit" else None
    before = all_shown(d)
    for agent in ("nobody", "main/../work", "MAIN2", "*"):
        if job is None:
            write, _ = d.try_add(agent=agent)
        else:
            d.require("job.update")
            write = d.update(job, agent=agent)
        d.expect(
            write.rejected is not None, f"the agent {agent!r} does not exist, and a job for it was accepted"
        )
    d.expect(all_shown(d) == before, "a rejected agent changed what is listed")
