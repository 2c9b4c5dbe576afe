"""From results to rows, profiles, verdict and exit code, as tables; and from exceptions to results."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_cronsession.baseline import Baseline, Entry
from pytest_cronsession.catalog import Catalog, Profile, Requirement
from pytest_cronsession.contract import Hello
from pytest_cronsession.outcomes import ConformanceFailure, NotApplicable, NotObserved, Result, TargetError
from pytest_cronsession.results import derive, worst
from pytest_cronsession.verdict import LEFT_OUT, NO_TEST, Judgement, Row, display, exit_code, judge

A, B, C = "CS-RES-001", "CS-RES-002", "CS-RES-003"
KNOWN = Baseline({A: Entry(A, "issue 12")}, "0" * 64)


def requirement(identity: str, **changes: Any) -> Requirement:
    given = {"profile": "sessions", "level": "MUST", "tier": "core"} | changes
    return Requirement(id=identity, area="resolver", text="It MUST hold.", **given)


def catalog(*requirements: Requirement, needs: tuple[str, ...] = ()) -> Catalog:
    profiles = {n: Profile(n, n, needs) for n in ("sessions", "scheduler")}
    return Catalog(1, "0" * 64, {"trigger": "t"}, {}, profiles, {r.id: r for r in requirements})


def hello(*capabilities: str, profiles: tuple[str, ...] = ("sessions",)) -> Hello:
    return Hello("lab", "1", 1, frozenset(capabilities), profiles, {})


def result(outcome: str, identity: str = A, case: str = "test_a.py::test_x", **more: Any) -> Result:
    return Result(identity, case, outcome, **more)


def judged(*results: Result, baseline: Baseline | None = None, **changes: Any) -> Judgement:
    """A catalogue of one requirement, CS-RES-001, judged."""
    return judge(catalog(requirement(A, **changes)), hello("trigger"), "core", results, baseline)


@pytest.mark.parametrize(
    ("outcomes", "expected", "cases"),
    [
        (["pass"], "pass", 1),
        (["pass", "pass"], "pass", 2),
        (["pass", "not-applicable"], "pass", 1),
        (["not-applicable", "not-applicable"], "not-applicable", 0),
        (["pass", "not-run"], "not-run", 1),
        (["not-applicable", "not-run"], "not-run", 0),
        (["pass", "not-run", "fail"], "fail", 2),
        (["pass", "fail", "error", "not-run"], "error", 2),
        ([], "not-run", 0),
    ],
)
def test_the_worst_case_counts(outcomes: list[str], expected: str, cases: int) -> None:
    found = judged(*(result(o, message="m", case=f"c{n}") for n, o in enumerate(outcomes))).rows[0]
    assert (found.outcome, found.cases) == (expected, cases)


def test_cases_that_did_not_run_are_told() -> None:
    missed = [result("not-run", message=LEFT_OUT, case=f"c{n}") for n in range(6)]
    assert judged(*missed).rows[0].reason == NO_TEST
    found = judged(result("pass"), *missed).rows[0]
    assert (found.outcome, found.cases) == ("not-run", 1)
    assert found.reason == "6 of its 7 cases did not run: c0, c1, c2 and 3 more"
    assert judged(result("fail"), *missed).rows[0].outcome == "fail"


@pytest.mark.parametrize(
    ("outcome", "level", "baseline", "expected"),
    [
        ("fail", "MUST", None, "fail"),
        ("fail", "SHOULD", None, "warn"),
        ("fail", "MAY", None, "warn"),
        ("fail", "MUST", KNOWN, "known-fail"),
        ("fail", "SHOULD", KNOWN, "known-fail"),
        ("pass", "MUST", KNOWN, "fixed"),
        ("pass", "SHOULD", KNOWN, "fixed"),
        ("error", "SHOULD", None, "error"),
        ("error", "MUST", KNOWN, "error"),
        ("not-run", "MUST", KNOWN, "not-run"),
        ("not-applicable", "MUST", KNOWN, "not-applicable"),
    ],
)
def test_level_and_baseline_decide_what_a_failure_is(
    outcome: str, level: str, baseline: Baseline | None, expected: str
) -> None:
    assert judged(result(outcome), level=level, baseline=baseline).rows[0].outcome == expected


def test_a_condition_seen_in_one_case_need_not_be_seen_in_all() -> None:
    seen, unseen = result("pass", witnesses=2), result("not-run", message="never observed: no gap")
    assert judged(seen, unseen).rows[0].outcome == "pass"
    assert judged(unseen, unseen).rows[0].outcome == "not-run"


def test_witnesses_add_up() -> None:
    assert judged(result("pass", witnesses=2), result("pass", witnesses=3)).rows[0].witnesses == 5


def test_the_first_failing_case_speaks_and_the_others_are_named() -> None:
    found = judged(
        result("fail", case="c2", message="two", trace="t2"), result("fail", case="c1", message="one")
    ).rows[0]
    assert found.message == "c1: one\nalso in: c2"
    assert found.trace == "t2"


def test_what_does_not_apply_stays_so_whatever_a_test_says() -> None:
    found = judged(result("pass"), capabilities=("crash",)).rows[0]
    assert (found.outcome, found.reason) == ("not-applicable", "the gateway does not declare crash")


def test_a_requirement_beyond_the_tier_counts_only_if_it_was_looked_at() -> None:
    loaded = catalog(requirement(A), requirement(B, tier="full"), requirement(C, tier="full"))
    found = judge(loaded, hello(), "core", [result("pass"), result("fail", B), result("not-run", C)])
    assert [row.id for row in found.rows] == [A, B]
    assert found.verdict == "nonconformant"


@pytest.mark.parametrize(
    ("results", "level", "verdict"),
    [
        ([result("pass")], "MUST", "conformant"),
        ([result("fail")], "MUST", "nonconformant"),
        ([result("fail"), result("error")], "MUST", "error"),
        ([result("not-run", message="never observed")], "MUST", "incomplete"),
        ([], "MUST", "incomplete"),
        ([result("not-applicable", message="n")], "MUST", "incomplete"),
    ],
)
def test_the_verdict_on_one_must(results: list[Result], level: str, verdict: str) -> None:
    assert judged(*results, level=level).verdict == verdict


@pytest.mark.parametrize(
    ("second", "verdict"),
    [
        ([result("pass", B)], "conformant"),
        ([result("fail", B)], "conformant"),
        ([result("not-run", B, message="never observed")], "conformant"),
        ([result("not-applicable", B, message="n")], "conformant"),
        ([], "incomplete"),
        ([result("error", B)], "error"),
    ],
    ids=["pass", "warn", "unseen", "n-a", "not-looked-at", "error"],
)
def test_a_should_weighs_less(second: list[Result], verdict: str) -> None:
    loaded = catalog(requirement(A), requirement(B, level="SHOULD"))
    assert judge(loaded, hello(), "core", [result("pass"), *second]).verdict == verdict


def test_known_failures_leave_a_verdict_of_their_own() -> None:
    found = judged(result("fail"), baseline=KNOWN)
    assert found.verdict == "conformant-with-known-failures"
    assert found.acceptable


def test_a_stale_entry_is_not_acceptable() -> None:
    found = judged(result("pass"), baseline=KNOWN)
    assert found.verdict == "conformant"
    assert not found.acceptable


def test_the_worst_declared_profile_decides() -> None:
    loaded = catalog(requirement(A), requirement(B, profile="scheduler"))
    results = [result("pass"), result("fail", B)]
    both = judge(loaded, hello(profiles=("sessions", "scheduler")), "core", results)
    assert [p.verdict for p in both.profiles] == ["conformant", "nonconformant"]
    assert (both.verdict, both.reason) == ("nonconformant", "scheduler: fails CS-RES-002")
    assert judge(loaded, hello(), "core", results).verdict == "conformant"


@pytest.mark.parametrize(
    ("loaded", "profiles", "reason"),
    [
        (catalog(requirement(A), needs=("crash", "trigger")), ("sessions",), "the profile needs crash"),
        (catalog(requirement(A, level="SHOULD")), ("sessions",), "no MUST of this profile applies"),
        (catalog(requirement(A, untestable="why")), ("sessions",), "no MUST of this profile applies"),
        (catalog(requirement(A)), ("cooking",), "no such profile"),
        (catalog(requirement(A)), (), "declares no profile"),
    ],
    ids=["capabilities", "no-must", "untestable", "unknown", "none"],
)
def test_what_makes_a_run_incomplete(loaded: Catalog, profiles: tuple[str, ...], reason: str) -> None:
    found = judge(loaded, hello("trigger", profiles=profiles), "core", [])
    assert found.verdict == "incomplete"
    assert reason in found.reason


def test_problems_of_the_run_are_errors() -> None:
    found = judge(catalog(requirement(A)), hello(), "core", [result("pass")], None, ["a worker died"])
    assert (found.verdict, found.reason) == ("error", "a worker died")


def test_counts_name_every_outcome() -> None:
    assert judged(result("pass")).counts == {
        "pass": 1,
        "fail": 0,
        "warn": 0,
        "known-fail": 0,
        "fixed": 0,
        "not-applicable": 0,
        "not-run": 0,
        "error": 0,
    }


GOOD = Judgement("conformant", "", (), (Row(A, "MUST", "pass"),))
STALE = Judgement("conformant", "", (), (Row(A, "MUST", "fixed"),))
PARTIAL = Judgement("incomplete", "", (), ())


@pytest.mark.parametrize(
    ("judgement", "tests", "items", "selection", "formal", "code"),
    [
        (GOOD, 0, 9, False, False, 0),
        (GOOD, 0, 9, False, True, 0),
        (GOOD, 1, 9, False, False, 1),
        (STALE, 0, 9, False, False, 1),
        (PARTIAL, 0, 9, False, False, 1),
        (PARTIAL, 0, 9, True, False, 0),
        (PARTIAL, 1, 9, True, False, 1),
        (PARTIAL, 0, 9, True, True, 1),
        (None, 0, 9, False, False, 0),
        (None, 0, 0, False, False, 5),
        (None, 5, 0, True, True, 5),
        (None, 1, 0, False, False, 1),
        (GOOD, 2, 9, False, True, 2),
        (GOOD, 3, 0, False, True, 3),
        (GOOD, 4, 0, False, True, 4),
    ],
)
def test_exit_codes(
    judgement: Judgement | None, tests: int, items: int, selection: bool, formal: bool, code: int
) -> None:
    found = exit_code(judgement, tests=tests, suite_items=items, selection=selection, formal=formal)
    assert found == code


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ({A: "pass", B: "pass"}, "pass"),
        ({A: "pass", B: "not-applicable"}, "pass"),
        ({A: "not-run", B: "not-applicable"}, "not-run"),
        ({A: "not-applicable"}, "not-applicable"),
        ({A: "fail", B: "pass"}, "known-fail"),
        ({A: "fail", C: "fail"}, "known-fail"),
        ({B: "fail", C: "pass"}, "fail"),
        ({C: "fail", B: "pass"}, "warn"),
        ({A: "fail", B: "fail"}, "fail"),
        ({B: "fail", C: "error"}, "error"),
    ],
)
def test_how_a_case_is_shown(outcomes: dict[str, str], expected: str) -> None:
    """CS-RES-001 is a known failure, CS-RES-003 a SHOULD."""
    loaded = catalog(requirement(A), requirement(B), requirement(C, level="SHOULD"))
    assert display([result(o, i) for i, o in outcomes.items()], loaded, KNOWN) == expected


# --- from exceptions to results ----------------------------------------------------------------------------


def found(body: BaseException | None, **options: Any) -> dict[str, tuple[str, str]]:
    return {r.requirement: (r.outcome, r.message) for r in derive(body, [A, B], "case", **options)}


def test_a_body_that_ends_well_passes_for_all() -> None:
    assert found(None) == {A: ("pass", ""), B: ("pass", "")}


def test_a_failure_speaks_for_its_own_requirement() -> None:
    assert found(ConformanceFailure(B, "m")) == {A: ("not-run", "its test ended early"), B: ("fail", "m")}


def test_recorded_results_stand() -> None:
    recorded = {A: Result(A, "", "fail", message="r")}
    assert found(None, recorded=recorded) == {A: ("fail", "r"), B: ("pass", "")}
    assert found(NotApplicable("n"), recorded=recorded) == {A: ("fail", "r"), B: ("not-applicable", "n")}


def test_a_target_error_never_disappears() -> None:
    recorded = {i: Result(i, "", "pass") for i in (A, B)}
    assert found(TargetError("x", "died"), recorded=recorded)[A] == ("error", "x: died")
    assert {o for o, _ in found(TargetError("x", "died")).values()} == {"error"}


def test_a_failure_in_teardown_leaves_the_others_alone() -> None:
    assert found(None, after=ConformanceFailure(B, "m")) == {A: ("pass", ""), B: ("fail", "m")}


def test_an_error_in_teardown_is_an_error_for_all() -> None:
    assert {o for o, _ in found(None, after=TargetError("x", "hung")).values()} == {"error"}


def test_conditions_need_a_witness() -> None:
    assert found(None, conditional=[A]) == {A: ("not-run", "never observed"), B: ("pass", "")}
    assert found(None, conditional=[A], witnesses={A: 1})[A] == ("pass", "")
    assert found(NotObserved("no gap"))[A] == ("not-run", "never observed: no gap")


def test_nested_groups_are_taken_apart() -> None:
    inner = ExceptionGroup("i", [ConformanceFailure(B, "b")])
    assert found(ExceptionGroup("o", [ConformanceFailure(A, "a"), inner])) == {
        A: ("fail", "a"),
        B: ("fail", "b"),
    }


def test_two_results_for_one_requirement() -> None:
    both = worst(result("pass", witnesses=2), result("fail", message="m", witnesses=1))
    assert (both.outcome, both.message, both.witnesses) == ("fail", "m", 3)
