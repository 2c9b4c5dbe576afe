"""People are heard where jobs run, however the name is written; and a lasting session of any form is one row."""

from __future__ import annotations

import pytest

from ..driver import Driver, every, wish
from ..model import ERROR, Turn, tag_text
from ..requirement import requirement
from .forms import NEEDS, formed
from .kit import all_rows

pytestmark = pytest.mark.cronsession_tier("full")
_SPELLINGS = {"blanks": "  {} ", "tab": "\t{}"}


@requirement("CS-RES-008")
@pytest.mark.parametrize("spelling", list(_SPELLINGS))
@pytest.mark.parametrize("who", ["job", "person"])
def test_white_space_around_a_name_means_nothing(cronsession_driver: Driver, who: str, spelling: str) -> None:
    d = cronsession_driver
    name = d.fresh_name("padded")
    padded = _SPELLINGS[spelling].format(name)
    first = d.evidence(d.add(target="named", name=name))
    if who == "job":
        _, job = d.try_add(target="named", name=padded)
        turn = None if job is None else d.evidence(job)
    else:
        d.require("session.send")
        turn = _heard(d, padded)
    d.expect(turn is None or turn.saw_turn(first), f"{name!r} and {padded!r} are two sessions to a {who}")


@requirement("CS-RES-009")
def test_letter_case_is_the_same_to_people(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("session.send")
    name = d.fresh_name("case")
    first = d.evidence(d.add(target="named", name=name.lower()))
    turn, declared = _heard(d, name.upper()), d.hello.policy("keyCase")
    d.expect(
        turn is None or turn.saw_turn(first) is (declared == "fold"),
        f"policy keyCase is {declared!r}; where a person speaks upper and lower case are otherwise",
    )


@requirement("CS-SES-004")
@pytest.mark.parametrize(
    "name", ["team/alpha", "ops room", "a:b", "caf\u00e9"], ids=["slash", "space", "colon", "accent"]
)
def test_people_find_any_name(cronsession_driver: Driver, name: str) -> None:
    d = cronsession_driver
    unique = name + d.fresh_name("")
    _, job = d.try_add(target="named", name=unique)
    if job is None:
        d.pass_over("the gateway refuses such a name")
    assert job is not None
    first = d.evidence(job)
    turn = _heard(d, unique)
    d.expect(
        turn is None or turn.saw_turn(first), f"a person in the session {unique!r} does not see its runs"
    )


def _heard(d: Driver, name: str) -> Turn | None:
    """A human turn in the session of this name; None where such a wish is refused."""
    tag = d.model.new_tag()
    params = {"session": wish("named", name=name), "text": tag_text("Hello.", tag)}
    if d.attempt("session/send", params).answer is None:
        return None
    d.settle(lambda: bool(d.model.turns(tag)) and d.model.open_turns() == 0)
    turns = d.model.turns(tag)
    d.expect(bool(turns), "a human turn was sent and nothing reached the model")
    return turns[-1]


@requirement("CS-SES-005")
def test_a_failed_human_turn_loses_nothing(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("session.send")
    name = d.fresh_name("bumpy")
    job = d.add(target="named", name=name)
    first = d.evidence(job)
    failed = d.speak(wish("named", name=name), ERROR)
    d.settle(lambda: d.model.open_turns() == 0)
    d.expect(failed.state == "failed", "the human turn that should fail did not")
    d.expect(
        d.evidence(job).saw_turn(first),
        "after a failed human turn the next run does not see the turn before it",
    )


@requirement("CS-SES-006")
@pytest.mark.parametrize("form", list(NEEDS))
def test_every_shared_session_is_one_row(cronsession_driver: Driver, form: str) -> None:
    d = cronsession_driver
    # Else the jobs of other tests may leave rows meanwhile.
    d.require("schedule.every", "clock.advance", "job.remove")
    before = all_rows(d)
    job = formed(d, form, every(minutes=10))
    first = d.evidence(job)
    after_one = _new(d, before)
    if not d.evidence(job).saw_turn(first):
        d.pass_over("the runs share no session, which is another requirement's question")
    d.advance(minutes=21)
    after_more = _new(d, before)
    d.expect(
        after_more <= after_one,
        f"the first run in a shared session left the rows {sorted(after_one)}, later ones {sorted(after_more)}",
    )


def _new(d: Driver, before: set[str]) -> set[str]:
    return all_rows(d) - before
