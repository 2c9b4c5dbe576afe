"""How a test case ends, and what that says about its requirements and looks like in the terminal."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest

from .conftest import Lab, row


def judged(lab: Lab, *args: str) -> tuple[pytest.RunResult, dict[str, dict[str, Any]]]:
    """A formal run and the rows of its report by requirement."""
    result = lab.run("--cronsession-report=report.json", "-v", *args)
    return result, {r["id"]: r for r in lab.report()["requirements"]}


def only(lab: Lab, body: str, **requirement: Any) -> tuple[pytest.RunResult, dict[str, Any]]:
    """A suite of one test for CS-RES-001, beside one that passes; the result and the row of CS-RES-001."""
    lab.requirements(row("CS-RES-001", **requirement), row("CS-RES-002"))
    lab.suite(
        test_a=f"""
        @pytest.fixture
        def broken(request):
            if "in setup" in request.node.name: raise TargetError("gateway/start", "it died")
            yield
            if "in teardown" in request.node.name: raise TargetError("gateway/stop", "it hung")

        @requirement("CS-RES-001")
        def test_it(request): {body}

        @requirement("CS-RES-002")
        def test_other(): pass
        """
    )
    result, rows = judged(lab)
    assert rows["CS-RES-002"]["outcome"] == "pass"
    return result, rows["CS-RES-001"]


def test_a_passed_test_is_a_pass(lab: Lab) -> None:
    result, found = only(lab, "results.witness(request.node, 'CS-RES-001', 3)")
    assert found == {"id": "CS-RES-001", "level": "MUST", "outcome": "pass", "cases": 1, "witnesses": 3}
    assert result.ret == 0


def test_a_conditional_requirement_passes_only_if_its_condition_occurred(lab: Lab) -> None:
    _, found = only(lab, "results.witness(request.node, 'CS-RES-001')", conditional=True)
    assert (found["outcome"], found["witnesses"]) == ("pass", 1)


def test_a_condition_that_never_occurred_is_not_run(lab: Lab) -> None:
    result, found = only(lab, "pass", conditional=True)
    assert (found["outcome"], found["reason"]) == ("not-run", "never observed")
    result.stdout.fnmatch_lines(["*test_it NOT RUN*"])
    assert result.ret == 1


def test_a_failure_names_requirement_level_sentence_message_and_command(lab: Lab) -> None:
    result, found = only(lab, "raise ConformanceFailure('CS-RES-001', 'expected one session, saw two')")
    assert found["outcome"] == "fail"
    assert found["message"] == "test_a.py::test_it: expected one session, saw two"
    text = result.stdout.str()
    assert "CS-RES-001 MUST: The sentence of CS-RES-001 MUST hold." in text
    assert "  expected one session, saw two" in text
    assert "run again: pytest --cronsession-target=python:lab_gateway:Gateway -k CS-RES-001" in text
    result.stdout.fnmatch_lines(["*test_it FAILED*"])
    assert result.ret == 1


def test_a_failure_shows_no_python_traceback(lab: Lab) -> None:
    result, _ = only(lab, "raise ConformanceFailure('CS-RES-001', 'saw two')")
    text = result.stdout.str()
    assert "Traceback" not in text
    assert "raise ConformanceFailure" not in text
    assert "test_a.py:" not in text.replace("test_a.py::", "")


@pytest.mark.parametrize("level", ["SHOULD", "MAY"])
def test_a_should_that_fails_is_a_warning(lab: Lab, level: str) -> None:
    result, found = only(lab, "raise ConformanceFailure('CS-RES-001', 'saw two')", level=level)
    assert found["outcome"] == "warn"
    result.stdout.fnmatch_lines(["*test_it WARN*", "*1 passed, 1 warned*"])
    assert result.ret == 0


def test_a_warning_in_setup_does_not_run_the_test(lab: Lab) -> None:
    lab.requirements(row("CS-RES-001", level="SHOULD"), row("CS-RES-002"))
    lab.suite(
        test_a="""
        @pytest.fixture
        def early(): raise ConformanceFailure("CS-RES-001", "too early")

        @requirement("CS-RES-001")
        def test_it(early): raise SystemError("ran")

        @requirement("CS-RES-002")
        def test_other(): pass
        """
    )
    _, rows = judged(lab)
    assert rows["CS-RES-001"]["outcome"] == "warn"
    assert "ran" not in rows["CS-RES-001"]["message"]


def test_not_applicable_is_shown_with_its_reason(lab: Lab) -> None:
    result, found = only(lab, "raise NotApplicable('the policy keyCase is fold')")
    assert (found["outcome"], found["reason"]) == ("not-applicable", "the policy keyCase is fold")
    result.stdout.fnmatch_lines(["*test_it N/A*"])
    assert result.ret == 0
    again = lab.run("-rs")
    assert "CS-RES-001: the policy keyCase is fold" in " ".join(again.stdout.str().split())


def test_not_applicable_without_a_reason_is_told_too(lab: Lab) -> None:
    _, found = only(lab, "raise NotApplicable")
    assert found["reason"] == "no reason was given"


def test_not_observed_is_not_run(lab: Lab) -> None:
    result, found = only(lab, "raise NotObserved('no slot fell into the gap')")
    assert (found["outcome"], found["reason"]) == ("not-run", "never observed: no slot fell into the gap")
    result.stdout.fnmatch_lines(["*test_it NOT RUN*"])


def test_a_target_error_is_an_error_without_a_traceback(lab: Lab) -> None:
    result, found = only(lab, "raise TargetError('job/add', 'no answer within 30 s', log='out of memory')")
    assert found["outcome"] == "error"
    assert "job/add: no answer within 30 s" in found["message"]
    result.stdout.fnmatch_lines(["*test_it ERROR*", "*out of memory*"])
    assert "Traceback" not in result.stdout.str()
    assert "raise TargetError" not in result.stdout.str()
    assert lab.report()["verdict"] == "error"
    assert result.ret == 1


def test_any_other_exception_is_an_error_of_the_suite_with_its_traceback(lab: Lab) -> None:
    result, found = only(lab, "[][1]")
    assert found["outcome"] == "error"
    assert "the suite itself failed: IndexError" in found["message"]
    result.stdout.fnmatch_lines(["*test_it ERROR*", "*IndexError*", "*this says nothing about the target*"])
    assert str(lab.site) not in found["message"]


def test_a_skip_in_a_suite_test_is_not_run(lab: Lab) -> None:
    _, found = only(lab, "pytest.skip('not on this machine')")
    assert (found["outcome"], found["reason"]) == ("not-run", "skipped: not on this machine")


@pytest.mark.parametrize("when", ["setup", "teardown"])
def test_an_error_outside_the_test_itself_is_an_error(lab: Lab, when: str) -> None:
    lab.suite(
        test_a=f"""
        @pytest.fixture
        def world():
            if {when!r} == "setup": raise TargetError("gateway/start", "it died")
            yield
            raise TargetError("gateway/stop", "it hung")

        @requirement("CS-RES-001", "CS-RES-002")
        def test_it(world): pass
        """
    )
    result, rows = judged(lab)
    assert [r["outcome"] for r in rows.values()] == ["error", "error"]
    assert result.ret == 1
    assert "Traceback" not in result.stdout.str()


def test_a_failure_found_while_cleaning_up_is_a_failure(lab: Lab) -> None:
    lab.suite(
        test_a="""
        @pytest.fixture
        def world():
            yield
            raise ConformanceFailure("CS-RES-002", "a file was left behind")

        @requirement("CS-RES-001", "CS-RES-002")
        def test_it(world): pass
        """
    )
    _, rows = judged(lab)
    assert [r["outcome"] for r in rows.values()] == ["pass", "fail"]


def test_only_the_named_requirement_of_several_fails(lab: Lab) -> None:
    lab.requirements(row("CS-RES-001"), row("CS-RES-002"), row("CS-RES-003"))
    lab.suite(
        test_a="""
        @requirement("CS-RES-001", "CS-RES-002", "CS-RES-003")
        def test_machine(request):
            results.record(request.node, Result("CS-RES-002", "", "pass", witnesses=7))
            raise ConformanceFailure("CS-RES-001", "two runs for one slot")
        """
    )
    _, rows = judged(lab)
    assert [r["outcome"] for r in rows.values()] == ["fail", "pass", "not-run"]
    assert rows["CS-RES-002"]["witnesses"] == 7
    assert rows["CS-RES-003"]["reason"] == "its test ended early"


def test_a_recorded_failure_fails_a_test_that_ends_well(lab: Lab) -> None:
    lab.suite(
        test_a="""
        @requirement("CS-RES-001", "CS-RES-002")
        def test_machine(request):
            results.record(request.node, Result("CS-RES-002", "", "pass"))
            results.record(request.node, Result("CS-RES-002", "", "fail", message="slot lost"))
        """
    )
    result, rows = judged(lab)
    assert [r["outcome"] for r in rows.values()] == ["pass", "fail"]
    result.stdout.fnmatch_lines(["*test_machine FAILED*", "CS-RES-002 MUST: *", "  slot lost"])


def test_several_failures_at_once_fail_each(lab: Lab) -> None:
    lab.suite(
        test_a="""
        @requirement("CS-RES-001", "CS-RES-002")
        def test_machine():
            raise ExceptionGroup("two", [ConformanceFailure("CS-RES-001", "a"), ConformanceFailure("CS-RES-002", "b")])
        """
    )
    _, rows = judged(lab)
    assert [r["message"] for r in rows.values()] == [
        "test_a.py::test_machine: a",
        "test_a.py::test_machine: b",
    ]


def test_a_failure_of_an_unknown_requirement_is_an_error_of_the_suite(lab: Lab) -> None:
    _, found = only(lab, "raise ConformanceFailure('CS-RES-777', 'x')")
    assert found["outcome"] == "error"
    assert "unknown requirement CS-RES-777" in found["message"]


def test_a_known_failure_is_shown_and_does_not_fail(lab: Lab) -> None:
    lab.suite(
        test_a="""
        @requirement("CS-RES-001")
        @pytest.mark.parametrize("n", ["bad", "good"])
        def test_it(n):
            if n == "bad": raise ConformanceFailure("CS-RES-001", "saw two")

        @requirement("CS-RES-002")
        def test_other(): pass
        """
    )
    result, rows = judged(lab, lab.baseline({"id": "CS-RES-001", "reason": "issue 12"}))
    assert (rows["CS-RES-001"]["outcome"], rows["CS-RES-001"]["reason"]) == ("known-fail", "issue 12")
    assert rows["CS-RES-001"]["cases"] == 2
    result.stdout.fnmatch_lines(["*bad? KNOWN*"])
    result.assert_outcomes(passed=2, xfailed=1)
    assert result.ret == 0
    assert lab.report()["verdict"] == "conformant-with-known-failures"


def test_an_error_is_never_a_known_failure(lab: Lab) -> None:
    lab.suite(
        test_a='@requirement("CS-RES-001", "CS-RES-002")\ndef test_it(): raise TargetError("x", "died")'
    )
    _, rows = judged(lab, lab.baseline({"id": "CS-RES-001", "reason": "issue 12"}))
    assert rows["CS-RES-001"]["outcome"] == "error"


def test_an_undeclared_capability_is_not_applicable_and_not_run(lab: Lab) -> None:
    result, found = only(lab, "raise SystemError('ran')", capabilities=["crash"])
    assert found["outcome"] == "not-applicable"
    assert found["reason"] == "the gateway does not declare crash"
    result.stdout.fnmatch_lines(["*test_it N/A*"])


def test_a_requirement_of_an_undeclared_profile_is_not_applicable(lab: Lab) -> None:
    _, found = only(lab, "raise SystemError('ran')", profile="scheduler")
    assert found["outcome"] == "not-applicable"
    assert "profile scheduler" in found["reason"]


def test_a_mixed_test_runs_for_what_applies(lab: Lab) -> None:
    lab.requirements(row("CS-RES-001", capabilities=["crash"]), row("CS-RES-002"))
    lab.suite(test_a='@requirement("CS-RES-001", "CS-RES-002")\ndef test_it(): pass')
    _, rows = judged(lab)
    assert [r["outcome"] for r in rows.values()] == ["not-applicable", "pass"]


def test_vendor_tests_are_left_alone(one_pass: Lab) -> None:
    one_pass.pytester.makepyfile(
        """
        import pytest
        from pytest_cronsession.outcomes import NotApplicable
        def test_raises(): raise NotApplicable("x")
        @pytest.mark.xfail
        def test_xfail(): assert 0
        def test_skip(): pytest.skip("y")
        """
    )
    one_pass.run(".").assert_outcomes(passed=2, failed=1, xfailed=1, skipped=1)


def test_junit_files_carry_the_requirement_and_stable_names(one_pass: Lab) -> None:
    one_pass.run("--junitxml=junit.xml")
    cases = ElementTree.parse(one_pass.vendor / "junit.xml").findall(".//testcase")
    assert {c.get("classname") for c in cases} == {"cronsession.test_a"}
    named = {
        p.get("value")
        for c in cases
        for p in c.iter("property")
        if p.get("name") == "cronsession_requirement"
    }
    assert named == {"CS-RES-001", "CS-RES-002"}
