"""The checkers on traces written by hand: the right ones pass in silence, each broken one gets its word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from pytest_cronsession.checkers import (
    bound_findings,
    cap_findings,
    fresh_context,
    overlap_findings,
    shared_context,
    slot_findings,
)
from pytest_cronsession.contract import Run, Session
from pytest_cronsession.model import OK, Turn

MINUTE = 60_000


def turn(seq: int, saw: Sequence[int] = (), state: str = "answered") -> Turn:
    """The turn ``seq``, whose request contained the replies to the turns ``saw``."""
    seen = frozenset(f"t-r{n}" for n in saw)
    return Turn(seq, None, f"t-r{seq}", OK, seen, (), 0, (), state=state)


def run(name: str, start: int | None, end: int | None, status: str = "ok") -> Run:
    return Run(name, "job", status, start, end)


def row(key: str, active: int = 0) -> Session:
    return Session(key, f"id-{key}", updated_ms=active)


# --- slots ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expected", "fired", "lateness"),
    [
        ([], [], 0),
        ([60_000, 120_000], [60_000, 120_000], 0),
        ([60_000, 120_000], [120_000, 60_000], 0),
        ([60_000, 120_000], [60_400, 121_000], 1000),
        ([60_000, 60_000], [60_000, 60_000], 0),  # two jobs on one slot
    ],
    ids=["nothing", "exact", "listed-in-any-order", "late-as-declared", "two-jobs"],
)
def test_right_fires(expected: list[int], fired: list[int], lateness: int) -> None:
    assert slot_findings(expected, fired, lateness_ms=lateness) == []


@pytest.mark.parametrize(
    ("expected", "fired", "lateness", "findings"),
    [
        ([60_000], [], 0, ["missed slot 1970-01-01 00:01:00Z"]),
        (
            [60_000],
            [60_000, 60_000],
            0,
            ["duplicate run of slot 1970-01-01 00:01:00Z at 1970-01-01 00:01:00Z"],
        ),
        (
            [60_000],
            [59_999],
            1000,
            ["early or phantom run at 1970-01-01 00:00:59.999Z", "missed slot 1970-01-01 00:01:00Z"],
        ),
        (
            [60_000],
            [61_001],
            1000,
            ["late or phantom run at 1970-01-01 00:01:01.001Z", "missed slot 1970-01-01 00:01:00Z"],
        ),
        ([60_000], [60_000, 90_000], 0, ["late or phantom run at 1970-01-01 00:01:30Z"]),
        ([], [60_000], 0, ["early or phantom run at 1970-01-01 00:01:00Z"]),
        (
            [60_000, 120_000],
            [60_000, 60_000],
            0,
            [
                "duplicate run of slot 1970-01-01 00:01:00Z at 1970-01-01 00:01:00Z",
                "missed slot 1970-01-01 00:02:00Z",
            ],
        ),
    ],
    ids=["missed", "duplicate", "early", "late", "phantom", "nothing-due", "one-twice-and-one-not"],
)
def test_wrong_fires(expected: list[int], fired: list[int], lateness: int, findings: list[str]) -> None:
    assert slot_findings(expected, fired, lateness_ms=lateness) == findings


def test_lateness_beyond_the_distance_of_slots_is_no_duplicate() -> None:
    # Each of three slots a second apart is two seconds late, as declared.
    assert slot_findings([1000, 2000, 3000], [3000, 4000, 5000], lateness_ms=2000) == []
    assert slot_findings([1000, 2000], [2000, 2000, 2500], lateness_ms=2000) == [
        "duplicate run of slot 1970-01-01 00:00:02Z at 1970-01-01 00:00:02.500Z"
    ]


def test_without_a_lateness_only_the_slot_itself_will_do() -> None:
    assert slot_findings([60_000], [60_000]) == []
    assert slot_findings([60_000], [60_001]) != []


def test_findings_name_local_time_too() -> None:
    (finding,) = slot_findings([60_000], [], zone="Asia/Kolkata")
    assert finding == "missed slot 1970-01-01 00:01:00Z (Thu 05:31 Asia/Kolkata)"


# --- context --------------------------------------------------------------------------------------------


def test_a_session_that_grows() -> None:
    assert shared_context([turn(1), turn(2, [1]), turn(5, [1, 2])]) == []


def test_a_session_that_forgets() -> None:
    findings = shared_context([turn(1), turn(2, [1]), turn(3, [2])])
    assert findings == ["request 3 does not contain the reply t-r1 to request 1"]


@pytest.mark.parametrize("state", ["failed", "aborted", "open", "held"])
def test_what_was_not_answered_need_not_be_seen(state: str) -> None:
    assert shared_context([turn(1, state=state), turn(2)]) == []


def test_fresh_runs() -> None:
    others = [turn(1), turn(2)]
    assert fresh_context([turn(3), turn(4)], others) == []
    assert fresh_context([turn(3, [3])], [turn(3, [3])][:0]) == []


def test_a_fresh_run_that_sees_an_old_reply() -> None:
    findings = fresh_context([turn(3, [1])], [turn(1), turn(2)])
    assert findings == ["the request of a fresh run (3) contains the reply t-r1 to request 1"]


def test_a_turn_is_not_held_against_itself() -> None:
    both = [turn(1), turn(2, [1])]
    assert len(fresh_context(both, both)) == 1


# --- overlap --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "runs",
    [
        [],
        [run("a", 0, 10), run("b", 10, 20)],
        [run("b", 10, 20), run("a", 0, 10)],
        [run("b", 0, 10), run("a", 10, 20)],
        [run("a", 0, 0), run("b", 0, 0)],
        [run("b", 0, 0), run("a", 0, 5)],
        [run("a", 0, 5), run("b", 0, 0)],
        [run("a", 0, 10), run("b", None, None, "skipped"), run("c", 10, None, "running")],
    ],
    ids=[
        "none",
        "touching",
        "any-order",
        "any-name",
        "instantaneous",
        "an-instant-and-more",
        "more-and-an-instant",
        "one-that-never-started",
    ],
)
def test_runs_one_after_the_other(runs: list[Run]) -> None:
    assert overlap_findings(runs) == []


@pytest.mark.parametrize(
    "runs",
    [
        [run("a", 0, 11_000), run("b", 10_000, 20_000)],
        [run("a", 0, None, "running"), run("b", 10_000, 20_000)],
        [run("b", 10_000, 20_000), run("a", 0, 30_000)],
    ],
    ids=["crossing", "still-running", "inside"],
)
def test_runs_at_the_same_time(runs: list[Run]) -> None:
    assert overlap_findings(runs) == ["run b started at 1970-01-01 00:00:10Z while a was under way"]


def test_a_start_that_is_told_twice_is_looked_at_once_more() -> None:
    assert len(overlap_findings([run("a", 0, None, "running"), run("a", 0, 5)])) == 1


# --- the cap of the store ---------------------------------------------------------------------------------


def test_a_capped_store() -> None:
    before = [row("a", 1), row("b", 2), row("c", 3)]
    assert cap_findings(before, [row("b"), row("c")], 2) == []
    assert cap_findings(before, before, 3) == []


def test_rows_beyond_the_cap() -> None:
    rows = [row(k, n) for n, k in enumerate("abcd")]
    assert cap_findings(rows, rows, 3) == ["4 rows, 1 more than maxEntries 3 allows"]


def test_rows_in_use_do_not_count() -> None:
    rows = [row(k, n) for n, k in enumerate("abcd")]
    assert cap_findings(rows, rows, 3, in_use=["a"]) == []
    assert cap_findings(rows, [row("a"), row("c"), row("d")], 2, in_use=["a"]) == []


def test_the_wrong_row_went() -> None:
    before = [row("old", MINUTE), row("new", 2 * MINUTE)]
    assert cap_findings(before, [row("old")], 1) == [
        "row new (active 1970-01-01 00:02:00Z) went, old (active 1970-01-01 00:01:00Z) stayed"
    ]


def test_of_equally_old_rows_any_may_go() -> None:
    assert cap_findings([row("a", 5), row("b", 5)], [row("a", 5)], 1) == []


def test_rows_that_nobody_knew_before_only_count() -> None:
    assert cap_findings([row("a", 5)], [row("b", 9)], 1) == []
    assert cap_findings([], [row("b"), row("c")], 1) == ["2 rows, 1 more than maxEntries 1 allows"]


def test_of_several_the_newest_that_went_and_the_oldest_that_stayed_are_named() -> None:
    before = [row(key, minutes * MINUTE) for minutes, key in enumerate("abcdef")]
    assert cap_findings(before, [row("b"), row("d"), row("f")], 3) == [
        "row e (active 1970-01-01 00:04:00Z) went, b (active 1970-01-01 00:01:00Z) stayed"
    ]


def test_the_newest_that_went_may_be_older_than_all_that_stayed() -> None:
    before = [row(key, minutes * MINUTE) for minutes, key in enumerate("abcdef")]
    assert cap_findings(before, [row("d"), row("e"), row("f")], 3) == []


def test_nothing_is_said_of_rows_whose_age_nobody_knows() -> None:
    unknown = replace(row("a"), updated_ms=None)
    assert cap_findings([unknown, row("b", 1)], [row("b")], 1) == []
    assert cap_findings([unknown, row("b", -1)], [unknown], 1) == []


# --- the bounds of the store ------------------------------------------------------------------------------

LIMITS = {"maxEntries": 2, "pruneAfterMs": 10 * MINUTE}
SWEPT, NOW = 100 * MINUTE, 103 * MINUTE


def bounds(
    rows: Sequence[Session], idle_since: dict[str, int] | None = None, in_use: Sequence[str] = ()
) -> list[str]:
    return bound_findings(
        rows, LIMITS, now_ms=NOW, swept_ms=SWEPT, idle_since=idle_since or {}, in_use=in_use
    )


def test_a_store_within_its_bounds() -> None:
    assert bounds([row("a", SWEPT), row("b", SWEPT)]) == []
    assert bounds([]) == []


def test_rows_that_a_sweep_should_have_found() -> None:
    told = ["3 rows have stood for more than a sweep interval, maxEntries is 2"]
    assert bounds([row("a", 0), row("b", 1), row("c", SWEPT)]) == told


def test_rows_that_no_sweep_has_seen_yet_do_not_count() -> None:
    assert bounds([row("a", 0), row("b", 1), row("c", SWEPT + 1)]) == []


def test_rows_of_unknown_age_do_not_count() -> None:
    assert bounds([row("a", 0), row("b", 1), replace(row("c"), updated_ms=None)]) == []


def test_rows_in_use_may_stand_beyond_the_bounds() -> None:
    rows = [row("a", 0), row("b", 1), row("c", 2)]
    assert bounds(rows, {"a": 0}, in_use=["a"]) == []


def test_an_idle_row_has_its_age_and_the_time_since_the_sweep() -> None:
    oldest = SWEPT - 10 * MINUTE
    assert bounds([row("a", 0)], {"a": oldest}) == []
    assert bounds([row("a", 0)], {"a": oldest - 1}) == [
        "the row a, idle since 1970-01-01 01:29:59.999Z, is listed at 1970-01-01 01:43:00Z"
    ]
    assert bounds([row("b", 0)], {"a": 0}) == [], "it has gone"
