"""One resolver: modes, late and repeated runs, adds and edits, dry resolutions all mean the same session."""

from __future__ import annotations

from typing import Any

import pytest

from ..checkers import fresh_context, shared_context
from ..contract import Write
from ..driver import Driver, Handle, cron, every, wish
from ..model import TRANSIENT, Turn, tag_text
from ..oracle import MINUTE
from ..requirement import requirement
from .kit import accounted_for


def _shares(d: Driver, job: Handle) -> bool:
    """Whether two runs of the job share a session."""
    first = d.evidence(job)
    return d.evidence(job).saw_turn(first)


@requirement("CS-RES-020")
@pytest.mark.parametrize("way", ["add", "edit"])
@pytest.mark.parametrize("mode", ["shared", "fresh"])
def test_a_mode_is_honoured_or_reported(cronsession_driver: Driver, way: str, mode: str) -> None:
    d = cronsession_driver
    if way == "add":
        write, job = d.try_add(target="isolated", mode=mode)
    else:
        d.require("job.update")
        job = d.add(target="isolated")
        d.evidence(job)
        if mode == "fresh":
            d.update(job, session=wish("isolated", mode="shared"))
        write = d.update(job, session=wish("isolated", mode=mode))
    if accounted_for(write, "session.mode"):
        d.witness()
        return
    assert job is not None
    shared = _shares(d, job)
    d.expect(
        shared is (mode == "shared"), f"mode {mode} was accepted, and two runs share a session: {shared}"
    )


@requirement("CS-RES-020")
@pytest.mark.parametrize("way", ["add", "edit"])
def test_an_unknown_mode_is_not_passed_over(cronsession_driver: Driver, way: str) -> None:
    d = cronsession_driver
    if way == "add":
        write, _ = d.try_add(target="isolated", mode="sometimes")
    else:
        d.require("job.update")
        write = d.update(d.add(target="isolated"), session=wish("isolated", mode="sometimes"))
    d.expect(accounted_for(write, "session.mode"), "the mode 'sometimes' was accepted and not reported")


@requirement("CS-RES-021")
@pytest.mark.parametrize("way", ["add", "edit"])
@pytest.mark.parametrize("target", ["named", "main", "current", "key"])
def test_a_fresh_mode_beside_a_lasting_session(cronsession_driver: Driver, target: str, way: str) -> None:
    d = cronsession_driver
    word = "isolated" if target == "key" else target
    d.require(f"session.{word}", *{"key": ["session.key"], "current": ["session.named"]}.get(target, []))
    name = d.fresh_name("lasting") if target in ("named", "current") else None
    given: dict[str, Any] = {"key": d.fresh_name("lasting-key")} if target == "key" else {}
    if target == "named":
        given["name"] = name
    if way == "add":
        caller = wish("named", name=name) if target == "current" else None
        write, job = d.try_add(target=word, mode="fresh", caller=caller, **given)
    elif target == "current":
        d.pass_over("target current is not set by an edit here")
    else:
        d.require("job.update")
        write, job = d.try_add(target=word, **given)
        if job is None:
            d.witness()
            return
        write = d.update(job, session=wish(word, mode="fresh", **given))
    _check_loser(d, write, job, target)


def _check_loser(d: Driver, write: Write, job: Handle | None, target: str) -> None:
    if write.rejected is not None:
        d.witness()
        return
    mode_lost = write.reports("session.mode")
    other_lost = write.reports("session.target", "session.name", "session.key")
    d.expect(mode_lost or other_lost, f"mode fresh beside {target} was accepted, and no loser was reported")
    if mode_lost and other_lost:
        return
    assert job is not None
    shared = _shares(d, job)
    winner = "the session that lasts" if mode_lost else "the mode"
    d.expect(shared is mode_lost, f"by the report {winner} wins; two runs share a session: {shared}")


_FORMS = ("named", "isolated", "key")


def _formed(d: Driver, form: str, schedule: dict[str, Any]) -> Handle | None:
    d.require(f"session.{form}")
    if form == "named":
        return d.add(schedule, target="named", name=d.fresh_name("all-ways"))
    if form == "isolated":
        return d.add(schedule, target="isolated")
    d.require("session.isolated")
    write, job = d.try_add(schedule, target="isolated", key=d.fresh_name("all-ways"))
    if job is None or write.reports("session.key"):
        d.witness()
        return None
    return job


def _check_alike(d: Driver, form: str, turns: list[Turn]) -> None:
    # Whether a key is honoured is another requirement's question; here all runs do as the first two did.
    lasting = form == "named" or (form == "key" and turns[1].saw_turn(turns[0]))
    d.judge(shared_context(turns) if lasting else fresh_context(turns, turns))


@requirement("CS-RES-022")
@pytest.mark.cronsession_last
@pytest.mark.parametrize("form", _FORMS)
def test_runs_after_a_downtime_use_the_same_session(cronsession_driver: Driver, form: str) -> None:
    d = cronsession_driver
    d.require("restart", "schedule.cron", "clock.advance")
    job = _formed(d, form, cron("*/10 * * * *"))
    if job is None:
        return
    d.evidence(job)
    d.evidence(job)
    d.stop()
    d.start({"minutes": 35})
    # Late ones first, by policy; then those of the slots to come.
    d.advance(minutes=21)
    d.evidence(job)
    turns = [t for t in d.turns(job) if t.state == "answered"]
    d.expect(
        len(turns) >= 4,
        f"after a downtime {len(turns) - 3} runs came in 21 minutes, the job has a slot every 10",
    )
    _check_alike(d, form, turns)


@requirement("CS-RES-022")
@pytest.mark.parametrize("form", _FORMS)
def test_a_repeated_run_uses_the_same_session(cronsession_driver: Driver, form: str) -> None:
    d = cronsession_driver
    d.require("job.retry", "job.update", "schedule.every", "clock.advance")
    job = _formed(d, form, every(hours=6))
    if job is None:
        return
    d.edit(job, retry={"maxRetries": 2, "backoffMs": [MINUTE]})
    d.evidence(job)
    d.evidence(job)
    d.answers(job, TRANSIENT)
    d.advance(hours=6, minutes=5)
    d.evidence(job)
    turns = [t for t in d.turns(job) if t.state == "answered"]
    d.expect(len(turns) >= 4, "a run that failed for a passing reason was not made again")
    _check_alike(d, form, turns)


_WISHES = ("isolated", "named", "main", "key", "shared")


@requirement("CS-RES-023")
@pytest.mark.parametrize("base", ["isolated", "named"])
@pytest.mark.parametrize("form", _WISHES)
def test_added_and_edited_wishes_mean_the_same(cronsession_driver: Driver, form: str, base: str) -> None:
    d = cronsession_driver
    target = form if form in ("named", "main") else "isolated"
    needs = {"key": "session.key", "shared": "session.mode"}.get(form, f"session.{target}")
    d.require(f"session.{target}", f"session.{base}", needs)
    given: dict[str, Any] = {
        "named": {"name": d.fresh_name("same")},
        "key": {"key": d.fresh_name("same-key")},
        "shared": {"mode": "shared"},
    }.get(form, {})
    added_write, added = d.try_add(target=target, **given)
    edited = d.add(target=base, name=d.fresh_name("base") if base == "named" else None)
    before = d.evidence(edited)
    kind = "systemEvent" if target == "main" else "agentTurn"
    edited_write = d.update(
        edited,
        session=wish(target, **given),
        payload={"kind": kind, "text": tag_text("Reply OK only.", edited.tag)},
    )
    fields = ("session.key", "session.mode", "session.name", "session.target")
    says = [(w.rejected is not None, [w.reports(f) for f in fields]) for w in (added_write, edited_write)]
    d.expect(
        says[0] == says[1],
        f"the same wish is answered (rejected, unused) on add with {says[0]}, on edit with {says[1]}",
    )
    if added is None or edited_write.rejected is not None:
        return
    first = d.evidence(added)
    second = d.evidence(edited)
    third, fourth = d.evidence(added), d.evidence(edited)
    d.expect(
        third.saw_turn(first) == fourth.saw_turn(second),
        f"runs of a job share a session: if added {third.saw_turn(first)}, if edited {fourth.saw_turn(second)}",
    )
    if form != "shared":
        lasting = third.saw_turn(first)
        d.expect(
            second.saw_turn(first) == lasting == third.saw_turn(second),
            "a job added with this wish and one edited to it are in different sessions, or share a fresh one",
        )
        # One session for all runs of a job may begin with those before it was asked for; no other one may.
        d.judge(fresh_context([second, fourth], [before]))


@requirement("CS-RES-024")
def test_equal_resolutions_are_one_session(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    jobs = _various(d)
    _check_resolutions(d, jobs)
    if d.has("job.update", "session.named"):
        name = d.fresh_name("moved")
        for job in jobs[:3:2]:
            d.edit(job, session=wish("named", name=name))
        _check_resolutions(d, jobs)


def _various(d: Driver) -> list[Handle]:
    """Jobs with wishes of every form that the gateway takes, some of them equal."""
    one, two = d.fresh_name("first"), d.fresh_name("second")
    forms: list[dict[str, Any]] = []
    if d.has("session.named"):
        forms += [{"target": "named", "name": n} for n in (one, two, one)]
    if d.has("session.main"):
        forms += [{"target": "main"}]
    if d.has("session.isolated"):
        forms += [{"target": "isolated"}]
        forms += [
            {"target": "isolated", "key": k}
            for k in (one + "-key", two + "-key", one + "-key")
            if d.has("session.key")
        ]
        forms += [{"target": "isolated", "mode": "shared"}] * 2 if d.has("session.mode") else []
    if d.has("agents", "session.named"):
        forms += [{"target": "named", "name": one, "agent": "work"}]
    return [job for form in forms if (job := d.try_add(**form)[1]) is not None]


def _check_resolutions(d: Driver, jobs: list[Handle]) -> None:
    keys = {job.id: d.stored(job).resolved_key for job in jobs}
    turns = [(job, d.evidence(job)) for _ in range(2) for job in jobs]
    looked = 0
    for at_, (later, turn) in enumerate(turns):
        for earlier, before in turns[:at_]:
            one, other = keys[later.id], keys[earlier.id]
            if one is None or other is None:
                continue
            looked += 1
            d.expect(
                turn.saw_turn(before) is (one == other),
                f"two jobs are resolved as {other!r} and {one!r}; they share a session: {turn.saw_turn(before)}",
            )
    if not looked:
        d.not_observed("job/list shows no resolved session key")


@requirement("CS-RES-032")
@pytest.mark.parametrize("form", _WISHES)
def test_a_listed_wish_means_the_same_again(cronsession_driver: Driver, form: str) -> None:
    d = cronsession_driver
    target = form if form in ("named", "main") else "isolated"
    d.require(
        f"session.{target}", {"key": "session.key", "shared": "session.mode"}.get(form, f"session.{target}")
    )
    given: dict[str, Any] = {
        "named": {"name": d.fresh_name("Again And Again")},
        "key": {"key": d.fresh_name("again-key")},
        "shared": {"mode": "shared"},
    }.get(form, {})
    _, job = d.try_add(target=target, **given)
    if job is None:
        d.witness()
        return
    turns = [d.evidence(job), d.evidence(job)]
    lasting = turns[1].saw_turn(turns[0])
    for _ in range(2):
        listed = d.stored(job).raw.get("session") or {}
        again = {
            k: v for k, v in listed.items() if k in ("target", "name", "key", "mode") and isinstance(v, str)
        }
        if "target" not in again:
            d.pass_over("job/list shows no session wish")
        edit = d.update(job, session=again)
        d.expect(
            edit.rejected is None, f"the wish that job/list shows, {again}, is rejected: {edit.rejected}"
        )
        turns.append(d.evidence(job))
        d.judge(shared_context(turns) if lasting else fresh_context(turns, turns))


@requirement("CS-RES-033")
@pytest.mark.cronsession_last
def test_current_stays_where_it_was_made(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    chat, elsewhere = wish("named", name=d.fresh_name("chat")), wish("named", name=d.fresh_name("elsewhere"))
    turns = [d.say(chat)]
    job = d.add(target="current", caller=chat)
    turns.append(d.evidence(job))
    aside = d.say(elsewhere)
    if d.has("job.update"):
        d.edit(
            job, name="another name", payload={"kind": "agentTurn", "text": tag_text("Say more.", job.tag)}
        )
        turns.append(d.evidence(job))
    if d.has("restart"):
        d.restart()
        turns.append(d.evidence(job))
    turns.append(d.say(chat))
    d.judge(shared_context(turns) + fresh_context(turns, [aside]))


@requirement("CS-RES-034")
def test_a_slot_after_an_edit_is_in_the_new_session(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("job.update", "schedule.every", "clock.advance")
    old, new = d.fresh_name("before"), d.fresh_name("after")
    job = d.add(every(minutes=10), target="named", name=old)
    d.advance(minutes=11)
    first = d.turns(job)[-1:]
    there = d.evidence(d.add(target="named", name=new))
    d.edit(job, session=wish("named", name=new))
    d.advance(minutes=11)
    ran = d.turns(job)[-1:]
    d.expect(
        bool(ran) and ran[0].saw_turn(there) and not any(ran[0].saw_turn(turn) for turn in first),
        f"the name was edited from {old!r} to {new!r}, and the next slot ran in the old session",
    )
