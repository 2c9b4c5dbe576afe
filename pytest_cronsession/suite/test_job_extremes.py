"""What is right and extreme: odd texts, long ones, far instants, long intervals and time-outs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st

from ..driver import Driver, Handle, at
from ..model import HANG, tag_text
from ..oracle import MINUTE
from ..requirement import requirement
from ..trace import instant
from .kit import all_shown, begin, examples, said_to
from .wrong import applies, goes_on, put, spec_for


def _texts() -> st.SearchStrategy[str]:
    """Inner parts of texts that quoting, templates, trimming and normalising get wrong."""
    pieces = st.sampled_from(
        (
            "\n",
            "\n\n",
            "\t",
            "  ",
            '"',
            "'",
            "\\",
            "\\n",
            "{{name}}",
            "{0}",
            "%s",
            "$HOME",
            "`id`",
            "<b>",
            "&amp;",
            "e\u0301",
            "\u00e9",
        )
    )
    odd = st.sampled_from(
        (
            "\U0001f600",
            "\u0628\u0646",
            "\u65e5\u672c",
            "\u200d",
            "\u00a0",
            "---",
            "# x",
            "[x](y)",
            "null",
            "0",
        )
    )
    return st.lists(st.one_of(pieces, odd, st.sampled_from("abc")), min_size=1, max_size=12).map("".join)


@requirement("CS-JOB-024")
def test_a_text_reaches_the_model_unchanged(cronsession_driver: Driver) -> None:
    d = cronsession_driver

    def check(text: str) -> None:
        _check_arrives(d, f"Say {text} please.")

    examples(d, check, scale=0.5, text=_texts())
    _check_arrives(d, "Line after line.\n" * 3500)


def _check_arrives(d: Driver, text: str) -> None:
    write, job = d.try_add(text=text)
    if job is None:
        d.expect(write.rejected is not None, "neither accepted nor rejected")
        return
    said = said_to(d.evidence(job))
    sent = tag_text(text, job.tag)
    d.expect(
        any(sent in content for content in said),
        f"a text of {len(sent)} characters did not reach the model unchanged: sent {sent[:80]!r}, seen {said[-1:]!r}"[
            :600
        ],
    )
    d.retire(job.id)


_HUGE = 10_000_000


@requirement("CS-JOB-025")
@pytest.mark.parametrize(
    "member", ["name", "payload.text", "schedule.expr", "schedule.tz", "session.name", "session.target"]
)
def test_what_is_too_long_is_rejected_or_kept_whole(cronsession_driver: Driver, member: str) -> None:
    d = cronsession_driver
    applies(d, member)
    before = all_shown(d)
    tag = d.model.new_tag()
    size = d.few(_HUGE, 200_000)
    long = tag_text("x" * size, tag) if member == "payload.text" else "x" * size
    attempt = d.attempt("job/add", {"job": put(spec_for(d, member), member, long)})
    if attempt.answer is None:
        d.expect(
            all_shown(d) == before,
            f"a job with a {member} of {size} characters was refused, and changed the list",
        )
        goes_on(d, d.add())
        return
    d.expect(
        member in ("name", "payload.text", "session.name"), f"a {member} of {size} characters was accepted"
    )
    found = attempt.answer["job"]
    shown = {"name": found.get("name", long), "payload.text": found.get("payload", {}).get("text", long)}.get(
        member, long
    )
    d.expect(shown == long, f"a {member} of {size} characters was accepted and cut to {len(str(shown))}")
    if member == "payload.text" and d.has("trigger"):
        d.trigger(Handle(found["id"], tag, d.add().write))
        d.settle(lambda: bool(d.model.turns(tag)))
        seen = max((len(text) for turn in d.model.turns(tag) for text in said_to(turn)), default=0)
        d.expect(seen >= size, f"a text of {size} characters was accepted, and the model saw {seen}")
    d.retire(found["id"])


FAR = {"year-10000": 253_402_300_800_000, "last": 8_640_000_000_000_000}


@requirement("CS-JOB-026")
@pytest.mark.parametrize("when", list(FAR))
def test_an_instant_that_is_far_away_is_kept_or_rejected(cronsession_driver: Driver, when: str) -> None:
    d = cronsession_driver
    d.require("schedule.at", "clock.advance")
    _check_far(d, at(FAR[when]), exactly=FAR[when])


@requirement("CS-JOB-026")
@pytest.mark.parametrize("length", [2**31, 2**32 + 5, 2**41, 10**15])
def test_a_long_interval_is_kept_or_rejected(cronsession_driver: Driver, length: int) -> None:
    d = cronsession_driver
    d.require("schedule.every", "clock.advance")
    _check_far(
        d, {"kind": "every", "everyMs": length, "anchorMs": d.now - MINUTE}, exactly=d.now - MINUTE + length
    )


def _check_far(d: Driver, schedule: dict[str, Any], exactly: int) -> None:
    tag = d.model.new_tag()
    text = {"kind": "agentTurn", "text": tag_text("Reply OK only.", tag)}
    attempt = d.attempt("job/add", {"job": {**spec_for(d, "name"), "schedule": schedule, "payload": text}})
    if attempt.answer is None:
        d.witness()
        return
    job = attempt.answer["job"]
    upcoming = job["nextRunAtMs"]
    # Where intervals are counted from runs, an anchor may say less.
    if schedule["kind"] == "at" or d.hello.policy("intervalAnchor") == "grid":
        off = abs((upcoming or 0) - exactly)
        d.expect(
            off <= d.hello.resolution_ms,
            f"the schedule {schedule} was accepted, and the next run is listed for {instant(upcoming)}",
        )
    d.advance(hours=20)
    ran = len(d.model.turns(tag))
    d.retire(job["id"])
    d.expect(ran == 0, f"the schedule {schedule} was accepted and made {ran} run(s) within a day")


@requirement("CS-JOB-026")
@pytest.mark.parametrize("length", [2**31, 2**32 + 5, 10**15])
def test_a_long_timeout_is_kept_or_rejected(cronsession_driver: Driver, length: int) -> None:
    d = cronsession_driver
    d.require("run.timeout", "clock.advance", "trigger")
    write, job = d.try_add(timeoutMs=length)
    if job is None:
        d.expect(write.rejected is not None, "neither accepted nor rejected")
        return
    d.answers(job, HANG)
    begin(d, job)
    d.advance(minutes=30)
    d.expect(d.model.held_turns() == 1, f"timeoutMs is {length}, and the run was ended within half an hour")
    d.model.release(job.tag)
    d.settle(lambda: d.model.open_turns() == 0)
