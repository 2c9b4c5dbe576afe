"""Edits: what they change, what they leave alone, and what becomes of them beside others and beside runs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st

from ..contract import Write
from ..driver import Driver, Handle, at, cron, every, wish
from ..model import HANG, hold, tag_text
from ..oracle import MINUTE
from ..requirement import requirement
from ..trace import instant
from .kit import all_shown, begin, brief, end_held, examples, long_timeout, next_run, shown

# What follows from a member and is listed as another one.
_FOLLOWS = {"schedule": ("nextRunAtMs",), "enabled": ("nextRunAtMs",)}


def _patches(d: Driver) -> dict[str, Any]:
    """For each member that this gateway lets an edit change: a way to draw a new value."""
    found: dict[str, Any] = {
        "name": st.sampled_from(("lunch", "supper", "tea")),
        "schedule": st.sampled_from((every(minutes=45), every(hours=3), every(hours=30))),
        "payload": st.sampled_from(("Reply no.", "Reply yes.")),
    }
    if d.has("session.named"):
        found["session"] = st.sampled_from(("attic", "cellar")).map(lambda name: wish("named", name=name))
    if d.has("job.disable"):
        found["enabled"] = st.booleans()
    if d.has("run.timeout"):
        found["timeoutMs"] = st.sampled_from((90_000, 3_600_000))
    if d.has("job.retry"):
        found["retry"] = st.sampled_from(({"maxRetries": 1}, {"maxRetries": 4, "backoffMs": [2 * MINUTE]}))
    if d.has("job.autoDisable"):
        found["maxFailures"] = st.integers(2, 90)
    if d.has("job.catchUp"):
        found["catchUp"] = st.sampled_from(({"policy": "skip"}, {"policy": "all"}))
    return found


@requirement("CS-JOB-003")
def test_an_edit_leaves_other_members_alone(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    values = _patches(d)
    full = {
        m: v
        for m, v in (("maxFailures", 7), ("retry", {"maxRetries": 2}), ("catchUp", {"policy": "once"}))
        if m in values
    }
    schedule = {"kind": "every", "everyMs": 60 * MINUTE, "anchorMs": d.now - 5 * MINUTE}
    job = d.add(schedule, **long_timeout(d), **full)

    def check(data: st.DataObject) -> None:
        member = data.draw(st.sampled_from(sorted(values)))
        value = data.draw(values[member])
        if member == "payload":
            value = {"kind": "agentTurn", "text": tag_text(value, job.tag)}
        before = d.stored(job)
        d.update(job, **{member: value})
        without = (member, *_FOLLOWS.get(member, ()))
        was, now = shown(before, *without), shown(d.stored(job), *without)
        d.expect(now == was, f"an edit of {member} to {value} changed other members: {_difference(was, now)}")

    examples(d, check, data=st.data())


def _difference(was: dict[str, Any], now: dict[str, Any]) -> str:
    changed = sorted(m for m in {*was, *now} if was.get(m) != now.get(m))
    return ", ".join(f"{m} was {was.get(m)} and is {now.get(m)}" for m in changed)


@requirement("CS-JOB-003")
def test_an_edited_job_goes_on_as_before(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("trigger", "session.named")
    job = d.add(target="named", name=d.fresh_name("same-room"), text="Keep these words.", **brief(d))
    first = d.evidence(job)
    d.edit(job, name="another name")
    second = d.evidence(job)
    d.expect(second.saw_turn(first), "after an edit of the name the job runs in another session")
    said = [str(m.get("content")) for m in second.messages if m.get("role") == "user"][-1:]
    d.expect("Keep these words." in str(said), f"after an edit of the name the text is another one: {said}")
    if d.has("run.timeout", "clock.advance"):
        d.answers(job, HANG)
        begin(d, job)
        d.advance_to(d.now + MINUTE + d.hello.lateness_ms + d.hello.resolution_ms)
        d.expect(not d.model.open_turns(), "after an edit of the name the job has no time-out any more")


def _bad_patches(d: Driver) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [{"name": "half an edit", "session": wish("sideways")}]
    half = {"kind": "agentTurn", "text": "half an edit"}
    if d.has("session.named"):
        found.append({"payload": half, "session": wish("named", name="  ")})
    if d.has("agents"):
        found.append({"name": "half an edit", "agent": "nobody"})
    if not d.has("schedule.cron"):
        return found
    found.append({"name": "half an edit", "payload": half, "schedule": cron("61 * * * *")})
    if d.has("job.disable"):
        found.append({"enabled": False, "schedule": cron("0 9 * * *", "Mars/Olympus_Mons")})
    if d.has("run.timeout"):
        found.append({"timeoutMs": 2_000, "schedule": cron("")})
    return found


@requirement("CS-JOB-006")
def test_a_rejected_edit_changes_nothing(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(every(minutes=50), text="Whole words.", **long_timeout(d))
    d.add()
    before = all_shown(d)
    for patch in _bad_patches(d):
        write = d.update(job, **patch)
        d.expect(write.rejected is not None, f"an edit that cannot be right was accepted: {patch}")
        after = all_shown(d)
        d.expect(after == before, f"a rejected edit ({patch}) changed what is listed: {after}")
    if d.has("trigger"):
        said = str([m.get("content") for m in d.evidence(job).messages])
        d.expect("Whole words." in said, f"after rejected edits the text of the job is {said}")
    if d.has("clock.advance"):
        ran, slot = len(d.turns(job)), d.stored(job).next_run_ms
        assert slot is not None
        d.advance_to(slot + d.hello.late_by_ms)
        d.expect(len(d.turns(job)) == ran + 1, "after rejected edits the job did not run once at its slot")


def _revision(d: Driver, job: Handle) -> str | int:
    found = d.stored(job).raw.get("revision")
    if found is None:
        d.fail("the gateway declares job.revision, and job/list shows no revision")
    assert isinstance(found, str | int)
    return found


@requirement("CS-JOB-007")
def test_an_edit_of_an_older_revision_is_rejected(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(every(minutes=50))
    old = _revision(d, job)
    fits = d.update_at(job, old, name="first")
    d.expect(
        fits.rejected is None,
        f"an edit that expects the stored revision {old!r} was rejected: {fits.rejected}",
    )
    before = all_shown(d)
    stale = d.update_at(job, old, name="second", schedule=every(minutes=7))
    d.expect(stale.rejected is not None, f"an edit that expects the older revision {old!r} was accepted")
    d.expect(all_shown(d) == before, "a rejected conditional edit changed what is listed")
    again = d.update_at(job, _revision(d, job), name="third")
    d.expect(again.rejected is None, "an edit that expects the listed revision was rejected")


@requirement("CS-JOB-008")
def test_each_change_has_a_revision_of_its_own(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(every(minutes=50))
    seen = [_revision(d, job)]
    for patch in ({"name": "one"}, {"name": "two"}, {"name": "one"}, {"schedule": every(minutes=20)}):
        d.edit(job, **patch)
        found = _revision(d, job)
        d.expect(
            found not in seen, f"after the edit {patch} the job has the revision {found!r}, as before: {seen}"
        )
        seen.append(found)
    d.update(job, session=wish("sideways"))
    d.jobs()
    d.expect(_revision(d, job) == seen[-1], "a rejected edit or a read gave the job another revision")


def _edits(d: Driver, job: Handle, round_: int) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": f"name {round_}",
        "schedule": every(minutes=61 + round_),
        "payload": {"kind": "agentTurn", "text": tag_text(f"Words {round_}.", job.tag)},
    }
    if d.has("run.timeout"):
        found["timeoutMs"] = 100_000 + round_
    return found


@requirement("CS-JOB-009")
def test_edits_that_overlap_all_take_effect(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("job.update")
    job = d.add(every(minutes=60))
    for round_ in range(1, 5):
        patches = _edits(d, job, round_)
        answers = d.together(*(("job/update", {"id": job.id, "patch": {m: v}}) for m, v in patches.items()))
        taken = {
            m: v for (m, v), answer in zip(patches.items(), answers, strict=True) if "rejected" not in answer
        }
        listed = d.stored(job)
        lost = {
            m: listed.raw[m]
            for m, v in taken.items()
            if m in listed.raw
            and (listed.raw[m] != v if m != "schedule" else listed.raw[m].get("everyMs") != v["everyMs"])
        }
        d.expect(
            not lost, f"edits of {sorted(taken)} overlapped, all were accepted, and these are lost: {lost}"
        )
    if d.has("trigger"):
        d.expect("Words 4." in str(d.evidence(job).messages), "the text that an overlapping edit set is lost")


@requirement("CS-JOB-009")
def test_adds_and_removals_that_overlap_all_take_effect(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    old = [d.add() for _ in range(3)] if d.has("job.remove") else []
    spec = {k: v for k, v in d.stored(d.add()).raw.items() if k == "name"}
    job = {
        "schedule": every(hours=300),
        "session": wish("isolated") if d.has("session.isolated") else wish("named", name=d.fresh_name("any")),
        "payload": {"kind": "agentTurn", "text": "Reply OK only."},
    }
    calls: list[tuple[str, dict[str, Any]]] = [
        ("job/add", {"job": {"name": f"{spec.get('name', 'job')} {n}", **job}}) for n in range(6)
    ]
    for n, one in enumerate(old):
        calls.insert(2 * n + 1, ("job/remove", {"id": one.id}))
    answers = d.together(*calls)
    added = [Write.parse(a) for (op, _), a in zip(calls, answers, strict=True) if op == "job/add"]
    ids = [w.job.id for w in added if w.job is not None]
    listed = [j.id for j in d.jobs()]
    for job_id in ids:
        d.retire(job_id)
    d.expect(len(set(ids)) == len(ids), f"jobs that were added at the same time have the same id: {ids}")
    d.expect(set(ids) <= set(listed), f"of {len(ids)} accepted jobs {len(set(ids) & set(listed))} are listed")
    kept = {one.id for one in old} & set(listed)
    d.expect(not kept, f"jobs removed beside other writes are still listed: {sorted(kept)}")


@requirement("CS-JOB-010")
def test_one_of_several_conditional_edits_is_accepted(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add()
    for round_ in range(3):
        revision = _revision(d, job)
        names = [f"writer {round_}-{n}" for n in range(4)]
        answers = d.together(
            *(
                ("job/update", {"id": job.id, "patch": {"name": name}, "expectedRevision": revision})
                for name in names
            )
        )
        taken = [name for name, answer in zip(names, answers, strict=True) if "rejected" not in answer]
        d.expect(len(taken) == 1, f"of four edits that expected one revision these were accepted: {taken}")
        listed = d.stored(job).raw.get("name", taken[0])
        d.expect(
            listed == taken[0], f"the edit to {taken[0]!r} was accepted, and the job is called {listed!r}"
        )


_DURING: dict[str, dict[str, Any]] = {
    "schedule": {"schedule": every(minutes=25)},
    "name": {"name": "edited during a run"},
    "enabled": {"enabled": False},
    "one-shot": {},
}


@requirement("CS-JOB-016")
@pytest.mark.parametrize("case", list(_DURING))
def test_an_edit_during_a_run_stays(cronsession_driver: Driver, case: str) -> None:
    d = cronsession_driver
    patch: dict[str, Any] = dict(_DURING[case])
    if case == "enabled":
        d.require("job.disable")
    if case == "one-shot":
        # A one-shot may be listed as disabled once its run has begun.
        d.require("schedule.at", "job.disable")
        patch = {"schedule": at(d.now + 40 * MINUTE), "enabled": True}
    job = d.add(at(d.now + 10 * MINUTE) if case == "one-shot" else every(minutes=10), **long_timeout(d))
    d.answers(job, hold())
    slot = next_run(d, job)
    d.advance_to(slot + d.hello.late_by_ms)
    d.expect(len(d.turns(job)) == 1, "the run did not start at its slot")
    refused = d.update(job, **patch).rejected is not None
    during = d.stored(job)
    end_held(d, job)
    if refused:
        d.pass_over("the gateway refuses an edit of a job that runs")
    after = d.job(job)
    if after is None:
        d.fail("a job that was edited during its run is gone when the run has ended")
    assert after is not None
    # Where slots are counted from the end of a run, the next one is known only now.
    open_ = ("nextRunAtMs",) if d.hello.policy("intervalAnchor") == "end" else ()
    was, now = shown(during, *open_), shown(after, *open_)
    d.expect(now == was, f"the end of the run changed what was edited during it: {_difference(was, now)}")
    if case == "enabled":
        d.advance(minutes=40)
        d.expect(len(d.turns(job)) == 1, "a job that was disabled during its run went on when that had ended")
    elif case == "one-shot":
        d.advance(minutes=40)
        d.expect(
            len(d.turns(job)) == 2,
            f"a one-shot was moved on during its run, and by {instant(d.now)} it did not run at its new instant",
        )
