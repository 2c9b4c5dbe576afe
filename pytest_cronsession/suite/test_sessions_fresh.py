"""Fresh means fresh, however the run before ended and whatever runs beside it."""

from __future__ import annotations

import pytest

from ..checkers import fresh_context
from ..driver import Driver, Handle, every
from ..model import TRANSIENT, Turn, hold
from ..oracle import MINUTE
from ..requirement import requirement
from .kit import ENDINGS, brief, end_held, ends_badly, long_timeout, next_run


def _texts(turn: Turn, job: Handle) -> int:
    """How often the job's own text stands in a request."""
    return turn.tags.count(job.tag)


@requirement("CS-SES-009")
@pytest.mark.cronsession_last
@pytest.mark.parametrize("how", list(ENDINGS))
def test_a_fresh_run_sees_nothing_of_a_bad_one(cronsession_driver: Driver, how: str) -> None:
    d = cronsession_driver
    d.require(*ENDINGS[how])
    job = d.add(target="isolated", **(brief(d) if how == "timeout" else long_timeout(d)))
    first = d.evidence(job)
    ends_badly(d, job, how)
    later = [d.evidence(job), d.evidence(job)]
    d.judge(fresh_context(later, d.turns(job)))
    for turn in later:
        found, alone = _texts(turn, job), _texts(first, job)
        d.expect(
            found == alone,
            f"the text of a run that ended badly ({how}) is in the request of a later fresh run: {found} texts, not {alone}",
        )
    _check_ids(d, job)


@requirement("CS-SES-009")
def test_a_repetition_in_a_fresh_session_starts_from_nothing(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("job.retry", "schedule.every", "clock.advance")
    job = d.add(every(hours=6), target="isolated", retry={"maxRetries": 2, "backoffMs": [MINUTE]})
    first = d.evidence(job)
    d.answers(job, TRANSIENT, TRANSIENT)
    slot = next_run(d, job)
    d.advance_to(slot + 10 * MINUTE)
    turns = d.turns(job)
    d.expect(
        len(turns) == 4, f"a slot that failed twice for a passing reason was tried {len(turns) - 1} times"
    )
    d.judge(fresh_context(turns, turns))
    found = [_texts(turn, job) for turn in turns]
    d.expect(
        set(found) == {_texts(first, job)},
        f"repetitions see the texts of the tries before them: {found} texts",
    )
    _check_ids(d, job)


def _check_ids(d: Driver, job: Handle) -> None:
    if d.has("run.list"):
        ids = [r.session_id for r in d.runs(job) if r.session_id]
        d.expect(len(set(ids)) == len(ids), f"fresh runs report the same session id: {ids}")


@requirement("CS-SES-010")
def test_fresh_runs_that_overlap_are_apart(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("schedule.every", "clock.advance")
    schedule = {"kind": "every", "everyMs": 30 * MINUTE, "anchorMs": d.now + 10 * MINUTE}
    jobs = [d.add(schedule, target="isolated", **long_timeout(d)) for _ in range(3)]
    for job in jobs:
        d.answers(job, hold())
    d.advance(minutes=40, seconds=30)
    for job in jobs:
        end_held(d, job)
    d.advance(minutes=30)
    turns = [t for job in jobs for t in d.turns(job)]
    d.expect(len(turns) >= 3, "jobs with slots at one instant did not all run")
    d.judge(fresh_context(turns, turns))
    if d.has("run.list"):
        found = [(r.session_key, r.session_id) for job in jobs for r in d.runs(job) if r.session_id]
        d.expect(len(set(found)) == len(found), f"fresh runs at one instant report the same session: {found}")
        ids = [i for _, i in found]
        d.expect(len(set(ids)) == len(ids), f"fresh runs at one instant report the same session id: {ids}")
