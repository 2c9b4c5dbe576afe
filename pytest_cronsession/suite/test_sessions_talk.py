"""Lasting sessions last: through days of silence, dozens of turns, and word by word."""

from __future__ import annotations

import pytest

from ..checkers import shared_context
from ..driver import Driver, every, wish
from ..model import Answer, Turn, content_text, reply_text
from ..requirement import requirement
from .forms import NEEDS, lasting
from .kit import row_ids

pytestmark = pytest.mark.cronsession_tier("full")


def _patient(d: Driver) -> Driver:
    """A gateway of its own, by whose configuration nothing takes a lasting session."""
    return d.spawn({**d.world.config, **({"maintenance": {"mode": "warn"}} if d.has("maintenance") else {})})


def _check_silence(d: Driver, form: str) -> None:
    own = _patient(d)
    try:
        job = lasting(own, form)
        turns = [own.evidence(job), own.evidence(job)]
        if not turns[1].saw_turn(turns[0]):
            own.pass_over("the runs share no session, which is another requirement's question")
        rows = row_ids(own, job)
        own.advance(days=8 if own.has("maintenance") else 2)
        turns.append(own.evidence(job))
        own.judge(shared_context(turns))
        now = row_ids(own, job)
        own.expect(now == rows, f"after days of silence the row of the session was {rows} and is {now}")
    finally:
        own.world.close()


@requirement("CS-SES-008")
def test_a_named_session_outlasts_silence(cronsession_driver: Driver) -> None:
    _check_silence(cronsession_driver, "named")


@requirement("CS-SES-013")
@pytest.mark.parametrize("form", list(NEEDS))
def test_every_lasting_session_outlasts_silence(cronsession_driver: Driver, form: str) -> None:
    cronsession_driver.require("clock.advance")
    _check_silence(cronsession_driver, form)


@requirement("CS-SES-008")
def test_a_long_talk_is_told_from_its_beginning(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(every(minutes=1), target="named", name=d.fresh_name("talkative"))
    minutes = d.few(40, 30)
    d.advance(minutes=minutes)
    turns = d.turns(job)
    # Where each slot is counted from the run before, what that was late adds up.
    d.expect(
        len(turns) >= minutes - 3, f"a job with a slot a minute ran {len(turns)} times in {minutes} minutes"
    )
    last = turns[-1]
    lost = [t.seq for t in turns[:-1] if t.state == "answered" and not last.saw_turn(t)]
    d.expect(
        not lost,
        f"after {len(turns)} turns in a session the next one does not see the replies to {lost[:5]}...",
    )


_REPLY = (
    "First line\n\n  second, indented\n\u00e9\u4e2d\U0001f600 *stars* <b>&amp;</b>\n" + "and so on " * 150
)


@requirement("CS-SES-008")
def test_what_was_said_is_told_as_it_was(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("session.send")
    name = d.fresh_name("verbatim")
    job = d.add(target="named", name=name)
    turns: list[Turn] = []
    for text in (_REPLY, "yes", "no"):
        d.answers(job, Answer("ok", text))
        turns.append(d.evidence(job))
        turns.append(d.say(wish("named", name=name), answer=Answer("ok", text[::-1].strip())))
    last = d.evidence(job)
    told = [content_text(m.get("content")).strip() for m in last.messages if m.get("role") == "assistant"]
    if not any(turn.nonce in text for turn in turns for text in told):
        d.pass_over("what was said is told in a form of the gateway's own")
    said = [reply_text(turn) for turn in turns]
    wrong = [turn.seq for turn, text in zip(turns, said, strict=True) if text not in told]
    d.expect(not wrong, f"the replies to the requests {wrong} are not told as they were received")
    ours = [text for text in told if text in said]
    d.expect(ours == said, "the replies of a session are told in another order than they came in, or twice")
