"""Instants and steps as a reader sees them."""

from __future__ import annotations

import pytest

from pytest_cronsession.trace import Trace, instant


@pytest.mark.parametrize(
    ("ms", "zone", "text"),
    [
        (None, None, "never"),
        (None, "Europe/Berlin", "never"),
        (0, None, "1970-01-01 00:00:00Z"),
        (0, "UTC", "1970-01-01 00:00:00Z"),
        (1, None, "1970-01-01 00:00:00.001Z"),
        (-1, None, "1969-12-31 23:59:59.999Z"),
        (1_772_953_200_000, None, "2026-03-08 07:00:00Z"),
        (1_772_953_200_000, "America/New_York", "2026-03-08 07:00:00Z (Sun 03:00 America/New_York)"),
        (1_772_953_199_999, "America/New_York", "2026-03-08 06:59:59.999Z (Sun 01:59 America/New_York)"),
    ],
)
def test_instant(ms: int | None, zone: str | None, text: str) -> None:
    assert instant(ms, zone) == text


@pytest.mark.parametrize("ms", [8_640_000_000_000_000, -(10**17)])
def test_an_instant_beyond_the_calendar_is_still_told(ms: int) -> None:
    # The schema lets a gateway say so, and the message about it must not fail itself.
    assert str(ms) in instant(ms, "Europe/Berlin")


def test_a_trace_without_steps() -> None:
    assert Trace().script() == "steps: none"


def test_a_trace_tells_what_changed_something() -> None:
    trace = Trace()
    trace.note(0, "advance to 1970-01-01 00:01:00Z", "advance", toMs=60_000)
    trace.call(60_000, "job/list", {}, {"jobs": []})
    trace.call(60_000, "job/remove", {"id": "é"}, {"removed": True})
    assert trace.script() == (
        "steps:\n"
        "  1970-01-01 00:00:00Z  advance to 1970-01-01 00:01:00Z\n"
        '  1970-01-01 00:01:00Z  job/remove {"id": "é"} -> {"removed": true}'
    )
    assert [s.operation for s in trace.steps] == ["", "job/list", "job/remove"]
    assert trace.steps[2].params == {"id": "é"}


def test_a_trace_of_questions_only() -> None:
    trace = Trace()
    for operation in ("job/list", "run/list", "session/list"):
        trace.call(0, operation, {}, {})
    assert trace.script() == "steps: none"


def test_of_a_long_trace_the_end_is_shown() -> None:
    trace = Trace()
    for n in range(20):
        trace.note(n, f"step {n}", "stop")
    lines = trace.script().splitlines()
    assert lines[1] == "  ... 6 steps before"
    assert [line.split("  ")[-1] for line in lines[2:]] == [f"step {n}" for n in range(6, 20)]


def test_long_answers_are_cut_and_odd_values_are_told() -> None:
    trace = Trace()
    trace.call(0, "job/add", {"job": "x" * 1000}, {"odd": object})
    (line,) = trace.script().splitlines()[1:]
    assert len(line) < 400
    assert " ... -> " in line
    assert "<class 'object'>" in line
