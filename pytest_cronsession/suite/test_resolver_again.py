"""A wish that comes another way than it came first: by an edit, from the list, after a jump of the clock."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from ..checkers import fresh_context, shared_context
from ..driver import Driver, cron, wish
from ..model import Turn
from ..requirement import requirement
from .forms import NEEDS, formed
from .kit import accounted_for, rows_of

pytestmark = pytest.mark.cronsession_tier("full")

_TEXTS = {
    "blanks": "  {} ",
    "case": "LOUD-{}",
    "slash": "team/{}",
    "colon": "a:{}",
    "space": "ops {}",
    "accent": "caf\u00e9-{}",
    "long": "x" * 300 + "{}",
}


@requirement("CS-RES-023")
@pytest.mark.parametrize("text", list(_TEXTS))
@pytest.mark.parametrize("form", ["named", "key"])
def test_an_edit_reads_a_text_as_an_add_does(cronsession_driver: Driver, form: str, text: str) -> None:
    d = cronsession_driver
    d.require(*NEEDS.get(form, ("session.named",)))
    word = _TEXTS[text].format(d.fresh_name("spelled"))
    given = wish("named", name=word) if form == "named" else wish("isolated", key=word)
    write, added = d.try_add(**given)
    if added is None or write.reports("session.key"):
        d.pass_over("the gateway takes no such text, or says that it has no effect")
    assert added is not None
    turn = d.evidence(added)
    edited = d.add()
    edit = d.update(edited, session=given)
    d.expect(edit.rejected is None, f"{given} is taken on add and refused on edit: {edit.rejected}")
    d.expect(
        d.evidence(edited).saw_turn(turn),
        f"a job added with {given} and one edited to it are in different sessions",
    )


@requirement("CS-RES-012")
def test_a_refused_target_leaves_a_job_where_it_is(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("job.update", "session.named", "trigger")
    job = d.add(target="named", name=d.fresh_name("stays"))
    first = d.evidence(job)
    if d.update(job, session=wish("sideways")).rejected is None:
        d.fail("an edit to the target word 'sideways' was accepted")
    d.expect(
        d.evidence(job).saw_turn(first),
        "an edit to an unknown target was refused, and the next run is in another session",
    )


@requirement("CS-RES-032")
def test_where_current_was_bound_may_be_written_again(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = formed(d, "current")
    first = d.evidence(job)
    listed = d.stored(job).raw.get("session") or {}
    again = {k: v for k, v in listed.items() if k in ("target", "name", "key", "mode") and isinstance(v, str)}
    if again.get("target", "current") == "current":
        d.pass_over("a job with target current is listed so, and no edit here sets that")
    edit = d.update(job, session=again)
    d.expect(edit.rejected is None, f"the wish that job/list shows, {again}, is rejected: {edit.rejected}")
    d.expect(
        d.evidence(job).saw_turn(first),
        f"a job made with target current is listed with {again}, and that is another session",
    )


@requirement("CS-RES-022")
@pytest.mark.parametrize("form", ["named", "key"])
def test_runs_after_a_jump_use_the_same_session(cronsession_driver: Driver, form: str) -> None:
    d = cronsession_driver
    d.require("clock.jump", "clock.advance", "schedule.cron")
    schedule = cron("*/10 * * * *")
    if form == "named":
        d.require("session.named")
        job = d.add(schedule, target="named", name=d.fresh_name("jumping"))
    else:
        job = formed(d, form, schedule)
    turns = [d.evidence(job), d.evidence(job)]
    if not turns[1].saw_turn(turns[0]):
        d.pass_over("the runs share no session, which is another requirement's question")
    d.jump(minutes=35)
    d.advance(minutes=21)
    d.evidence(job)
    d.judge(shared_context([t for t in d.turns(job) if t.state == "answered"]))


@requirement("CS-RES-013")
def test_the_key_of_a_receipt_is_that_session(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("run.list", "receipts")
    lone = d.add(target="isolated")
    turn, key = d.evidence(lone), next((r.session_key for r in d.runs(lone)), None)
    d.evidence(lone)
    used = [r.session_key for r in d.runs(lone)]
    if key is None or used.count(key) != 1 or key not in {s.key for s in rows_of(d, lone)}:
        d.pass_over("the row of one run alone could not be told")
    write, job = d.try_add(target="isolated", key=key)
    if accounted_for(write, "session.key"):
        d.witness()
        return
    assert job is not None
    d.expect(
        d.evidence(job).saw_turn(turn),
        f"the listed key {key!r} of a run was accepted as a session key and another session was used",
    )


# Each pair is one text to a gateway that tidies it up.
_TWINS = {
    "spaces": ("ops  room", "ops room"),
    "slashes": ("team//alpha", "team/alpha"),
    "segments": ("team/./alpha", "team/alpha"),
    "percent": ("a%2fb", "a/b"),
    "plus": ("a+b", "a b"),
    "quotes": ('"ops"', "ops"),
    "compatible": ("stage\u00b2", "stage2"),
    "invisible": ("al\u200dpha", "alpha"),
}


def _check_apart(d: Driver, form: str, words: Sequence[str]) -> None:
    """Each of these names (or keys) that is accepted has a session of its own."""
    turns: list[Turn] = []
    for word in words:
        given = wish("named", name=word) if form == "named" else wish("isolated", key=word)
        write, job = d.try_add(**given)
        if job is not None and not write.reports("session.key"):
            turn = d.evidence(job)
            d.judge(fresh_context([turn], turns))
            turns.append(turn)
    d.witness()


def _twins(d: Driver, pair: str) -> list[str]:
    # In the middle, so that what is cut off at an end is no matter here.
    tail = d.fresh_name("")
    return [f"x{tail}-{text}-y" for text in _TWINS[pair]]


@requirement("CS-RES-010")
@pytest.mark.parametrize("pair", list(_TWINS))
def test_names_are_not_tidied_up(cronsession_driver: Driver, pair: str) -> None:
    _check_apart(cronsession_driver, "named", _twins(cronsession_driver, pair))


@requirement("CS-RES-028")
@pytest.mark.parametrize("pair", list(_TWINS))
def test_keys_are_not_tidied_up(cronsession_driver: Driver, pair: str) -> None:
    _check_apart(cronsession_driver, "key", _twins(cronsession_driver, pair))


# What is lost where a text is trimmed of more than white space.
_ENDS = {
    "dot-after": "{}.",
    "dot-before": ".{}",
    "slash-after": "{}/",
    "slash-before": "/{}",
    "colon-after": "{}:",
    "suffix": "{}.json",
}


def _with_end(d: Driver, end: str) -> list[str]:
    plain = d.fresh_name("ends")
    return [plain, _ENDS[end].format(plain)]


@requirement("CS-RES-010")
@pytest.mark.parametrize("end", list(_ENDS))
def test_the_ends_of_a_name_belong_to_it(cronsession_driver: Driver, end: str) -> None:
    _check_apart(cronsession_driver, "named", _with_end(cronsession_driver, end))


@requirement("CS-RES-028")
@pytest.mark.parametrize("end", list(_ENDS))
def test_the_ends_of_a_key_belong_to_it(cronsession_driver: Driver, end: str) -> None:
    _check_apart(cronsession_driver, "key", _with_end(cronsession_driver, end))
