"""A member of a job has its effect, or the write says that it has none: one member at a time, on add and on edit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ..driver import Driver, Handle, at, cron, every, wish
from ..model import ERROR, HANG, TRANSIENT, tag_text
from ..oracle import DAY, MINUTE, cron_slots
from ..requirement import requirement
from .kit import accounted_for, begin, is_at, long_timeout, next_run

Check = Callable[[Driver, Handle], None]
WAYS = {"add": "CS-JOB-001", "edit": "CS-JOB-002"}


def _given(
    d: Driver, way: str, reported: str, schedule: dict[str, Any], base: dict[str, Any], **members: Any
) -> Handle | None:
    """A job that got these members by an add, or by an edit of one with ``base``; None if the write accounts for it."""
    if way == "add":
        write, job = d.try_add(schedule, **members)
    else:
        d.require("job.update")
        job = d.add(schedule, **base)
        write = d.update(job, **members)
    if accounted_for(write, reported):
        d.witness()
        return None
    return job


def _text(d: Driver, way: str) -> None:
    d.require("trigger")
    words = "Say which day it is."
    if way == "add":
        job = d.add(text=words)
    else:
        job = d.add()
        d.evidence(job)
        d.edit(job, payload={"kind": "agentTurn", "text": tag_text(words, job.tag)})
    said = [m.get("content") for m in d.evidence(job).messages if m.get("role") == "user"]
    d.expect(
        any(words in str(content) for content in said), f"the text {words!r} did not reach the model: {said}"
    )


def _agent(d: Driver, way: str) -> None:
    d.require("agents", "session.named", "trigger")
    name = d.fresh_name("owned")
    mine = d.evidence(d.add(target="named", name=name, agent="main"))
    theirs = d.evidence(d.add(target="named", name=name, agent="work"))
    if way == "add":
        job = d.add(target="named", name=name, agent="work")
    else:
        job = d.add(target="named", name=name, agent="main")
        if accounted_for(d.update(job, agent="work"), "agent"):
            d.witness()
            return
    seen = d.evidence(job)
    d.expect(
        seen.saw_turn(theirs) and not seen.saw_turn(mine),
        "a job of the agent work does not run in that agent's session",
    )


def _enabled(d: Driver, way: str) -> None:
    d.require("job.disable", "schedule.every")
    job = _given(d, way, "enabled", every(minutes=10), {}, enabled=False)
    if job is not None:
        d.advance(minutes=35)
        d.expect(not d.turns(job), "a job with enabled false ran by schedule")


def _timeout(d: Driver, way: str) -> None:
    d.require("run.timeout", "trigger", "schedule.every")
    job = _given(d, way, "timeoutMs", every(hours=9), long_timeout(d), timeoutMs=MINUTE)
    if job is not None:
        d.answers(job, HANG)
        begin(d, job)
        d.advance_to(d.now + MINUTE + d.hello.lateness_ms + d.hello.resolution_ms)
        d.expect(not d.model.open_turns(), "a run goes on after the timeoutMs of its job has passed")


def _zone(d: Driver, way: str) -> None:
    d.require("schedule.cron")
    there = cron("0 9 * * *", "Asia/Kathmandu")
    if way == "add":
        job = d.add(there)
    else:
        job = d.add(cron("0 9 * * *", "UTC"))
        d.edit(job, schedule=there)
    slot = cron_slots("0 9 * * *", "Asia/Kathmandu", d.now, d.now + 2 * DAY)[0]
    shown = d.stored(job).next_run_ms
    d.expect(shown == slot, f"with tz Asia/Kathmandu the next run is listed for {shown}, expected {slot}")


def _stagger(d: Driver, way: str) -> None:
    d.require("schedule.cron", "schedule.stagger")
    plain, spread = cron("0 12 * * *"), {**cron("0 12 * * *"), "staggerMs": 180 * MINUTE}
    found = []
    for _ in range(6):
        if way == "add":
            write, job = d.try_add(spread)
        else:
            job = d.add(plain)
            write = d.update(job, schedule=spread)
        if accounted_for(write, "schedule.staggerMs"):
            d.witness()
            return
        assert job is not None
        found.append(job)
    slot = cron_slots("0 12 * * *", "UTC", d.now, d.now + 2 * DAY)[0]
    if any(d.stored(job).next_run_ms != slot for job in found):
        d.witness()
        return
    d.advance_to(slot + d.hello.lateness_ms + d.hello.resolution_ms)
    ran = sum(len(d.turns(job)) for job in found)
    d.expect(ran < len(found), f"all {ran} jobs with a staggerMs of three hours ran at the very slot")


def _delete(d: Driver, way: str) -> None:
    d.require("schedule.at", "job.deleteAfterRun")
    job = _given(d, way, "deleteAfterRun", at(d.now + 5 * MINUTE), {}, deleteAfterRun=True)
    if job is not None:
        d.advance(minutes=6)
        d.expect(len(d.turns(job)) == 1, "the one-shot did not run")
        d.expect(d.job(job) is None, "a one-shot with deleteAfterRun ran, was answered, and is still listed")


def _retry(d: Driver, way: str) -> None:
    d.require("job.retry", "schedule.every")
    base = {"retry": {"maxRetries": 0}}
    job = _given(d, way, "retry", every(hours=6), base, retry={"maxRetries": 2, "backoffMs": [MINUTE]})
    if job is not None:
        d.answers(job, always=TRANSIENT)
        slot = next_run(d, job)
        # Within a run the request may be sent again; repetitions are told apart by their waits of a minute.
        tries, seen = 0, len(d.turns(job))
        for half_minutes in (1, 3, 5, 20):
            d.advance_to(slot + half_minutes * MINUTE // 2)
            tries += len(d.turns(job)) > seen
            seen = len(d.turns(job))
        d.expect(tries == 3, f"maxRetries is 2 and the slot was tried {tries} time(s) in all")


def _failures(d: Driver, way: str) -> None:
    d.require("job.autoDisable", "schedule.every")
    job = _given(d, way, "maxFailures", every(minutes=10), {"maxFailures": 50}, maxFailures=2)
    if job is not None:
        d.answers(job, always=ERROR)
        d.advance(minutes=55)
        runs = len(d.turns(job))
        d.expect(
            runs == 2, f"maxFailures is 2 and the job, which always fails, ran {runs} times in 55 minutes"
        )


def _catch_up(d: Driver, way: str) -> None:
    d.require("job.catchUp", "restart", "schedule.cron")
    jobs = {}
    for policy, other in (("skip", "once"), ("once", "skip")):
        base = {"catchUp": {"policy": other}}
        jobs[policy] = _given(d, way, "catchUp", cron("*/10 * * * *"), base, catchUp={"policy": policy})
    found = {policy: job for policy, job in jobs.items() if job is not None}
    for job in found.values():
        # Just after a slot, so that the downtime ends well before one.
        d.advance_to(max(d.now, (d.stored(job).next_run_ms or 0) + MINUTE))
        break
    before = {policy: len(d.turns(job)) for policy, job in found.items()}
    d.stop()
    d.start({"minutes": 34})
    # Late runs may be spread over so long.
    d.advance(minutes=4)
    late = {policy: len(d.turns(job)) - before[policy] for policy, job in found.items()}
    expected = {"skip": 0, "once": 1}
    d.expect(late == {p: expected[p] for p in late}, f"late runs by the catchUp of each job: {late}")


def _anchor(d: Driver, way: str) -> None:
    d.require("schedule.every")
    d.require_policy("intervalAnchor", "grid")
    anchored = {**every(minutes=60), "anchorMs": d.now - 17 * MINUTE}
    if way == "add":
        job = d.add(anchored)
    else:
        d.require("job.update")
        job = d.add({**every(minutes=60), "anchorMs": d.now - 44 * MINUTE})
        d.edit(job, schedule=anchored)
    slot, shown = d.now + 43 * MINUTE, d.stored(job).next_run_ms
    d.expect(
        is_at(d, shown, slot),
        f"with the anchor 17 minutes ago the next run is listed for {shown}, expected {slot}",
    )


def _max_lateness(d: Driver, way: str) -> None:
    d.require("job.catchUp", "restart", "schedule.cron")
    late: dict[str, Any] = {"catchUp": {"policy": "once"}}
    strict = {"catchUp": {"policy": "once", "maxLatenessMs": MINUTE}}
    job = _given(d, way, "catchUp.maxLatenessMs", cron("*/10 * * * *"), late, **strict)
    if job is None:
        return
    d.advance_to(max(d.now, (d.stored(job).next_run_ms or 0) + MINUTE))
    before = len(d.turns(job))
    d.be_down(minutes=34)  # the latest slot was missed five minutes ago
    d.advance(minutes=4)
    ran = len(d.turns(job)) - before
    d.expect(ran == 0, f"maxLatenessMs is a minute, and {ran} slots were run that were five or more late")


_CASES: dict[str, Callable[[Driver, str], None]] = {
    "text": _text,
    "agent": _agent,
    "enabled": _enabled,
    "timeoutMs": _timeout,
    "tz": _zone,
    "anchorMs": _anchor,
    "staggerMs": _stagger,
    "deleteAfterRun": _delete,
    "retry": _retry,
    "maxFailures": _failures,
    "catchUp": _catch_up,
    "maxLatenessMs": _max_lateness,
}


@requirement("CS-JOB-001")
@pytest.mark.parametrize("member", list(_CASES))
def test_an_added_member_has_its_effect(cronsession_driver: Driver, member: str) -> None:
    _CASES[member](cronsession_driver, "add")


@requirement("CS-JOB-002")
@pytest.mark.parametrize("member", list(_CASES))
def test_an_edited_member_has_its_effect(cronsession_driver: Driver, member: str) -> None:
    _CASES[member](cronsession_driver, "edit")


@requirement("CS-JOB-004")
@pytest.mark.parametrize("member", ["timeoutMs", "retry"])
def test_null_clears_a_member(cronsession_driver: Driver, member: str) -> None:
    d = cronsession_driver
    if member == "timeoutMs":
        d.require("run.timeout", "trigger", "clock.advance")
        old: Any = 2_000
        job = d.add(timeoutMs=old)
        d.edit(job, timeoutMs=None)
        d.answers(job, HANG)
        begin(d, job)
        d.advance_to(d.now + 5_000 + d.hello.late_by_ms)
        d.expect(d.model.held_turns() == 1, "the timeoutMs that an edit cleared still ends the run")
    else:
        d.require("job.retry", "clock.advance", "schedule.every")
        old = {"maxRetries": 10, "backoffMs": [1_000]}
        job = d.add(every(hours=6), retry=old)
        d.edit(job, retry=None)
        d.answers(job, always=TRANSIENT)
        d.advance(hours=6, seconds=20)
        # A gateway may send a request again at once, and have waits of its own; those that were cleared are of a second.
        tries = [turn.at_ms for turn in d.turns(job)]
        soon = {at_ms for at_ms in tries if at_ms <= tries[0] + 15_000}
        d.expect(len(soon) < 11, f"the retry that an edit cleared is still followed: {len(soon)} tries")
    listed = d.stored(job).raw.get(member)
    d.expect(listed != old, f"{member} was cleared and is still listed as {listed}")


@requirement("CS-JOB-005")
@pytest.mark.parametrize("member", ["key", "mode"])
def test_an_edit_replaces_the_whole_wish(cronsession_driver: Driver, member: str) -> None:
    d = cronsession_driver
    d.require("session.isolated", f"session.{member}")
    old: dict[str, Any] = {"key": d.fresh_name("old-key")} if member == "key" else {"mode": "shared"}
    write, job = d.try_add(target="isolated", **old)
    if job is None or write.reports(f"session.{member}"):
        d.witness()
        return
    first = d.evidence(job)
    d.edit(job, session=wish("isolated"))
    second, third = d.evidence(job), d.evidence(job)
    d.expect(
        not (second.saw_turn(first) or third.saw_turn(second)),
        f"the session was replaced by one without {member}, and the old {member} still has its effect",
    )


_PAIRS = {
    "main-turn": ("main", "agentTurn"),
    "named-event": ("named", "systemEvent"),
    "isolated-event": ("isolated", "systemEvent"),
}


@requirement("CS-JOB-017")
@pytest.mark.parametrize("way", ["add", "edit-session", "edit-payload"])
@pytest.mark.parametrize("pair", list(_PAIRS))
def test_a_payload_that_does_not_fit_its_target(cronsession_driver: Driver, pair: str, way: str) -> None:
    d = cronsession_driver
    target, kind = _PAIRS[pair]
    d.require(f"session.{target}")
    name = d.fresh_name("fits") if target == "named" else None
    if way == "add":
        write, job = d.try_add(target=target, name=name, payload=kind)
    elif way == "edit-session":
        d.require("job.update", "session.main", "session.isolated")
        job = d.add(target="isolated") if target == "main" else d.add(target="main")
        write = d.update(job, session=wish(target, name=name))
    else:
        d.require("job.update")
        job = d.add(target=target, name=name)
        write = d.update(job, payload={"kind": kind, "text": tag_text("Reply OK only.", job.tag)})
    if accounted_for(write, "payload.kind", "session.target"):
        d.witness()
        return
    assert job is not None
    turn = d.evidence(job)
    if target == "isolated" or (target == "main" and not d.has("session.send")):
        return
    place = wish(target, name=name)
    later = d.say(place) if target == "main" else d.evidence(d.add(target="named", name=name))
    d.expect(later.saw_turn(turn), f"a {kind} was accepted for target {target} and ran in another session")
