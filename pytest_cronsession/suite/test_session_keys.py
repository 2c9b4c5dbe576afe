"""An explicit session key is honoured, rejected or reported; never accepted, echoed and ignored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from ..driver import Driver, Handle, every, wish
from ..requirement import requirement
from .kit import accounted_for, rows_of


def _check_honoured(d: Driver, job: Handle, key: str, stored: Mapping[str, Any]) -> None:
    """Two runs of the job share a session, another job with the key joins it, one with another key does not."""
    before = {s.key for s in d.sessions()}
    first, second = d.evidence(job), d.evidence(job)
    if not second.saw_turn(first):
        rows = sorted({s.key for s in d.sessions()} - before)
        d.fail(
            f"the session key {key!r} was accepted, stored as {stored.get('session')}, and nothing reported it as "
            f"unused; after two runs the store shows the rows {rows or 'as before'}; the second request to the "
            f"model does not contain the first reply's nonce {first.nonce}"
        )
    sibling = d.add(target="isolated", key=key)
    d.expect(
        d.evidence(sibling).saw_turn(second),
        f"a second job with the session key {key!r} does not see the turns of the first: the key selects nothing",
    )
    stranger = d.add(target="isolated", key=d.fresh_name("other-key"))
    seen = d.evidence(stranger)
    d.expect(
        not (seen.saw_turn(first) or seen.saw_turn(second)),
        f"a job with another session key sees the turns of {key!r}",
    )


@requirement("CS-RES-001")
def test_accepted_key_is_honoured_or_reported(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    key = d.fresh_name("shared-key")
    write, job = d.try_add(target="isolated", key=key)
    if accounted_for(write, "session.key"):
        d.witness()
        return
    assert job is not None
    assert write.job is not None
    _check_honoured(d, job, key, write.job.raw)


@requirement("CS-RES-002")
def test_key_set_by_an_edit_is_honoured_or_reported(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(target="isolated")
    key = d.fresh_name("edited-key")
    write = d.update(job, session=wish("isolated", key=key))
    if accounted_for(write, "session.key"):
        d.witness()
        return
    assert write.job is not None
    _check_honoured(d, job, key, write.job.raw)


@requirement("CS-RES-019")
def test_policy_for_a_key_on_an_isolated_job(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    declared = d.hello.policy("sessionKey")
    write, job = d.try_add(target="isolated", key=d.fresh_name("policy-key"))
    seen = "reject" if write.rejected else "report" if write.reports("session.key") else "honour"
    d.expect(seen == declared, f"policy sessionKey is {declared!r}, the write looks like {seen!r}")
    if job is None:
        return
    first = d.evidence(job)
    shared = d.evidence(job).saw_turn(first)
    d.expect(
        shared is (seen == "honour"),
        f"policy sessionKey is {declared!r}, the write looks like it, and two runs "
        f"{'share' if shared else 'do not share'} a session",
    )


@requirement("CS-RES-003")
def test_scheduled_and_manual_runs_use_the_same_session(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    # Whether a key is honoured is another requirement's question; here it must not depend on the trigger.
    expected = {"named": [True], "isolated": [False], "key": [True, False]}
    jobs = dict(_jobs_of_all_forms(d))
    manual = {form: d.evidence(job) for form, job in jobs.items()}
    d.advance(minutes=11)
    for form, job in jobs.items():
        first = manual[form]
        scheduled = [t for t in d.turns(job) if t is not first]
        if not scheduled:
            d.fail(f"the job has a slot every 10 minutes and none ran in 11 minutes ({form})")
        again = d.evidence(job)
        shared = [scheduled[0].saw_turn(first), again.saw_turn(first), again.saw_turn(scheduled[0])]
        d.expect(
            len(set(shared)) == 1 and shared[0] in expected[form],
            f"{form}: context shared manual->scheduled, manual->manual, scheduled->manual: {shared}, "
            f"expected all {' or all '.join(map(str, expected[form]))}",
        )


def _jobs_of_all_forms(d: Driver) -> Iterator[tuple[str, Handle]]:
    """Their slots are the same, which saves a gateway that costs real time some of it."""
    period = every(minutes=10)
    yield "named", d.add(period, target="named", name=d.fresh_name("both-ways"))
    yield "isolated", d.add(period, target="isolated")
    if d.has("session.key"):
        write, job = d.try_add(period, target="isolated", key=d.fresh_name("both-ways"))
        if job is not None and not write.reports("session.key"):
            yield "key", job


@requirement("CS-RES-004")
@pytest.mark.parametrize("way", ["add", "edit"])
def test_named_target_and_differing_key(cronsession_driver: Driver, way: str) -> None:
    d = cronsession_driver
    name, key = d.fresh_name("name"), d.fresh_name("key")
    resident = d.evidence(d.add(target="named", name=name))
    if way == "add":
        write, job = d.try_add(target="named", name=name, key=key)
    else:
        d.require("job.update")
        job = d.add(target="named", name=name)
        write = d.update(job, session=wish("named", name=name, key=key))
    if write.rejected is not None:
        d.witness()
        return
    d.expect(
        write.reports("session.key", "session.name", "session.target"),
        f"name {name!r} and key {key!r} were both accepted and neither was reported as unused",
    )
    assert job is not None
    in_named = d.evidence(job).saw_turn(resident)
    wanted = write.reports("session.key")
    winner = "the name" if wanted else "the key"
    d.expect(in_named is wanted, f"by the report {winner} wins; runs in the named session: {in_named}")


@requirement("CS-RES-005")
@pytest.mark.parametrize("way", ["add", "edit"])
def test_main_target_and_differing_key(cronsession_driver: Driver, way: str) -> None:
    d = cronsession_driver
    key = d.fresh_name("beside-main")
    if way == "add":
        write, _ = d.try_add(target="main", key=key)
    else:
        d.require("job.update")
        write = d.update(d.add(target="main"), session=wish("main", key=key))
    d.expect(
        accounted_for(write, "session.key", "session.target"),
        f"target main and the session key {key!r} were both accepted and neither was reported as unused",
    )


@requirement("CS-RES-013")
def test_a_listed_key_is_that_session(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    before = {s.key for s in d.sessions()}
    resident = d.add(target="named", name=d.fresh_name("listed"))
    turn = d.evidence(resident)
    rows = rows_of(d, resident) or [s for s in d.sessions() if s.key not in before]
    if len(rows) != 1:
        d.not_observed("the row of a named session could not be told from others")
    write, job = d.try_add(target="isolated", key=rows[0].key)
    if accounted_for(write, "session.key"):
        d.witness()
        return
    assert job is not None
    d.expect(
        d.evidence(job).saw_turn(turn),
        f"the listed key {rows[0].key!r} was accepted as a session key and another session was used",
    )
