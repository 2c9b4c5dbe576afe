"""Lasting sessions of every form: bad ends at a slot, what becomes of jobs, and turns that come at once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ..checkers import shared_context
from ..driver import Driver, Handle, at, every, wish
from ..model import ERROR, HANG, TRANSIENT, hold
from ..oracle import MINUTE
from ..requirement import requirement
from .forms import NEEDS, lasting
from .kit import (
    ENDINGS,
    all_rows,
    begin,
    brief,
    end_held,
    ends_badly,
    long_timeout,
    next_run,
    row_ids,
    to_the_next_run,
)

pytestmark = pytest.mark.cronsession_tier("full")

_FORMS = ("named", *NEEDS)


@requirement("CS-SES-011")
@pytest.mark.cronsession_last
@pytest.mark.parametrize("how", ["timeout", "cancel", "stop"])
@pytest.mark.parametrize("form", _FORMS)
def test_a_bad_end_at_a_slot_loses_nothing(cronsession_driver: Driver, form: str, how: str) -> None:
    d = cronsession_driver
    d.require("schedule.every", "clock.advance", *ENDINGS[how])
    limit = brief(d) if how == "timeout" else long_timeout(d)
    job = lasting(d, form, every(hours=2), **limit)
    turns = [d.evidence(job), d.evidence(job)]
    if not turns[1].saw_turn(turns[0]):
        d.pass_over("the runs share no session, which is another requirement's question")
    rows = row_ids(d, job)
    ends_badly(d, job, how, to_the_next_run)
    turns.append(d.evidence(job))
    d.judge(shared_context(turns))
    now = row_ids(d, job)
    d.expect(now == rows, f"a run ended badly ({how}), and the row of its session was {rows} and is {now}")
    told = {r.session_id for r in d.runs(job) if r.session_id} if d.has("run.list") else set()
    d.expect(len(told) < 2, f"the runs in one session ({form}) tell several session ids: {sorted(told)}")


@requirement("CS-SES-011")
@pytest.mark.cronsession_last
def test_an_interrupted_human_turn_loses_nothing(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("session.send", "restart", "clock.advance")
    name = d.fresh_name("cut-short")
    place = wish("named", name=name)
    job = d.add(target="named", name=name)
    turns = [d.evidence(job), d.say(place)]
    rows = row_ids(d, job)
    d.speak(place, HANG)
    d.restart()
    turns.append(d.evidence(job))
    d.judge(shared_context(turns))
    now = row_ids(d, job)
    d.expect(
        now == rows, f"a stop cut a human turn short, and the row of the session was {rows} and is {now}"
    )


@requirement("CS-SES-005")
def test_a_turn_that_fails_again_and_again_loses_nothing(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("job.retry", "schedule.every", "clock.advance")
    retry = {"maxRetries": 2, "backoffMs": [MINUTE]}
    job = d.add(every(hours=6), target="named", name=d.fresh_name("bumpy"), retry=retry)
    first = d.evidence(job)
    d.answers(job, TRANSIENT, TRANSIENT, TRANSIENT)
    to_the_next_run(d, job)
    d.advance(minutes=10)
    d.expect(
        d.evidence(job).saw_turn(first),
        "a slot and its repetitions failed, and the next run does not see the turn before them",
    )


@requirement("CS-SES-012")
@pytest.mark.parametrize("event", ["deleted", "disabled"])
def test_what_a_gateway_does_to_a_job_leaves_its_session(cronsession_driver: Driver, event: str) -> None:
    d = cronsession_driver
    d.require("clock.advance")
    name = d.fresh_name("outlasts")
    stays = d.add(target="named", name=name)
    turns = [d.evidence(stays)]
    if event == "deleted":
        d.require("schedule.at", "job.deleteAfterRun")
        goes = d.add(at(d.now + 5 * MINUTE), target="named", name=name, deleteAfterRun=True)
    else:
        d.require("schedule.every", "job.autoDisable")
        goes = d.add(every(minutes=10), target="named", name=name, maxFailures=2)
        d.answers(goes, always=ERROR)
    rows = row_ids(d, stays)
    d.advance(minutes=35)
    job = d.job(goes)
    if job is not None and (event == "deleted" or job.enabled):
        d.pass_over(f"a job that is to be {event} is not, which is another requirement's question")
    turns += [t for t in d.turns(goes) if t.state == "answered"]
    turns.append(d.evidence(stays))
    d.judge(shared_context(turns))
    now = row_ids(d, stays)
    d.expect(
        now == rows, f"a job was {event} by the gateway, and the row of its session was {rows} and is {now}"
    )


def _check_rest(d: Driver, form: str) -> None:
    """A job that is disabled, started by hand, and enabled again is in its session all the while."""
    d.require("job.update", "job.disable")
    job = lasting(d, form)
    turns = [d.evidence(job), d.evidence(job)]
    if not turns[1].saw_turn(turns[0]):
        d.pass_over("the runs share no session, which is another requirement's question")
    d.edit(job, enabled=False)
    turns.append(d.evidence(job))
    d.edit(job, enabled=True)
    turns.append(d.evidence(job))
    d.judge(shared_context(turns))


@requirement("CS-SES-012")
def test_a_rest_leaves_a_named_session(cronsession_driver: Driver) -> None:
    _check_rest(cronsession_driver, "named")


@requirement("CS-SES-013")
@pytest.mark.parametrize("form", list(NEEDS))
def test_a_rest_leaves_every_lasting_session(cronsession_driver: Driver, form: str) -> None:
    _check_rest(cronsession_driver, form)


def _fails(d: Driver, job: Handle) -> None:
    d.answers(job, ERROR)
    d.run_now(job)


def _times_out(d: Driver, job: Handle) -> None:
    d.answers(job, HANG)
    begin(d, job)
    d.advance(minutes=2)


def _is_repeated(d: Driver, job: Handle) -> None:
    d.edit(job, retry={"maxRetries": 1, "backoffMs": [MINUTE]})
    d.answers(job, TRANSIENT)
    to_the_next_run(d, job)
    d.advance(minutes=5)


def _is_late(d: Driver, job: Handle) -> None:
    d.be_down(hours=3)
    d.advance(minutes=30)


_RUNS: dict[str, tuple[tuple[str, ...], Callable[[Driver, Handle], None]]] = {
    "failed": ((), _fails),
    "timed out": (("run.timeout",), _times_out),
    "repeated": (("job.retry", "job.update"), _is_repeated),
    "late": (("restart",), _is_late),
}


@requirement("CS-SES-006")
@pytest.mark.cronsession_last
@pytest.mark.parametrize("kind", list(_RUNS))
@pytest.mark.parametrize("form", ["named", "main"])
def test_every_kind_of_run_leaves_one_row(cronsession_driver: Driver, form: str, kind: str) -> None:
    d = cronsession_driver
    needs, run = _RUNS[kind]
    # Else the jobs of other tests may leave rows meanwhile.
    d.require("schedule.every", "clock.advance", "job.remove", *needs)
    before = all_rows(d)
    job = lasting(d, form, every(hours=2), **brief(d))
    d.evidence(job)
    after_one = all_rows(d) - before
    run(d, job)
    d.evidence(job)
    after_more = all_rows(d) - before
    d.expect(
        after_more <= after_one,
        f"the first run in a shared session left the rows {sorted(after_one)}, with one that was {kind} there are {sorted(after_more)}",
    )


def _told_of(d: Driver, job: Handle) -> int:
    """In how many requests the model was told a job's text."""
    return sum(job.tag in turn.tags for turn in d.model.turns())


@requirement("CS-SES-007")
def test_events_at_one_instant_are_all_told(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("schedule.every", "clock.advance")
    jobs = [d.add(every(minutes=10), target="main") for _ in range(3)]
    d.advance_to(max(next_run(d, job) for job in jobs) + 2 * MINUTE)
    silent = [job.id for job in jobs if not _told_of(d, job)]
    d.expect(
        not silent, f"three events fell due at one instant, and the model was not told those of {silent}"
    )


@requirement("CS-SES-007")
@pytest.mark.parametrize("way", ["slot", "manual"])
def test_an_event_beside_a_human_turn_is_told(cronsession_driver: Driver, way: str) -> None:
    d = cronsession_driver
    d.require("schedule.every", "clock.advance")
    job = d.add(every(hours=24), target="main")
    slot = next_run(d, job)
    if way == "slot":
        d.advance_to(slot - 2 * MINUTE)
    d.speak(wish("main"), hold(d.now + 3 * MINUTE))
    if way == "manual" and not d.trigger(job).started:
        d.pass_over("a run is not started beside a turn in its session")
    d.advance(minutes=5)
    d.expect(
        _told_of(d, job) > 0,
        "an event came while a person's turn was under way, and the model never heard it",
    )


@requirement("CS-SES-014")
@pytest.mark.parametrize("form", ["main", "key"])
def test_turns_that_overlap_lose_nothing_anywhere(cronsession_driver: Driver, form: str) -> None:
    d = cronsession_driver
    d.require("clock.advance")
    d.require(*NEEDS[form])
    key = d.fresh_name("crowded") if form == "key" else None
    target = "isolated" if form == "key" else "main"
    writes = [d.try_add(target=target, key=key, **long_timeout(d)) for _ in range(3)]
    jobs = [job for write, job in writes if job is not None and not write.reports("session.key")]
    if len(jobs) < 3:
        d.pass_over("a key is not followed, and the write says so")
    d.answers(jobs[0], hold())
    begin(d, jobs[0])
    if not d.trigger(jobs[1]).started:
        d.pass_over("a run is not started beside another one in its session")
    d.advance()
    end_held(d, jobs[0])
    turns = [t for job in jobs[:2] for t in d.turns(job) if t.state == "answered"]
    later = d.evidence(jobs[2])
    lost = [t.seq for t in turns if not later.saw_turn(t)]
    d.expect(
        len(turns) == 2 and not lost,
        f"two turns overlapped in a session ({form}), {len(turns)} were answered, and the next turn misses {lost}",
    )
