"""The summary in the terminal: short when all is well, and exact about what is not."""

from __future__ import annotations

import pytest

from .conftest import Lab, row


def section(result: pytest.RunResult) -> list[str]:
    """The lines of the summary."""
    lines = result.outlines
    start = next(n for n, line in enumerate(lines) if line.strip("= ") == "cronsession") + 1
    end = next(n for n, line in enumerate(lines[start:], start) if line.startswith("==="))
    return lines[start:end]


def test_all_well_takes_a_few_lines(one_pass: Lab) -> None:
    assert section(one_pass.run()) == [
        "lab 1.2.3, python, virtual time, tier core",
        "conformant",
        "  sessions  conformant",
        "",
        "area      pass",
        "resolver     2",
    ]


def test_the_header_names_the_target(one_pass: Lab) -> None:
    one_pass.run().stdout.fnmatch_lines(["cronsession: lab 1.2.3, python, virtual time, tier core"])


def test_a_gateway_without_a_clock_is_told(one_pass: Lab) -> None:
    one_pass.hello(capabilities=["trigger"])
    assert section(one_pass.run())[0] == "lab 1.2.3, python, real time, tier core"


def test_each_failure_has_id_level_sentence_observation_and_command(
    one_pass: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    long = "A session key that is accepted MUST be honoured or reported as unused, " * 3
    one_pass.requirements(row("CS-RES-001", text=long.strip()), row("CS-RES-002", area="store"))
    one_pass.suite(
        test_b="""
        @requirement("CS-RES-001")
        def test_it():
            raise ConformanceFailure("CS-RES-001", "expected one session, saw two\\nsteps:\\n  a\\n  b\\n  c")
        """
    )
    assert section(one_pass.run("--cronsession-tier=full"))[1:] == [
        "nonconformant",
        "  sessions  nonconformant (fails CS-RES-001)",
        "",
        "area      pass  fail",
        "resolver     .     1",
        "store        1     .",
        "",
        "CS-RES-001 MUST",
        "  A session key that is accepted MUST be honoured or reported as unused, A session key that is",
        "  accepted MUST be honoured or reported as unused, A session key that is accepted MUST be honoured",
        "  or reported as unused,",
        "  seen: test_b.py::test_it: expected one session, saw two",
        "  run:  pytest --cronsession-target=python:lab_gateway:Gateway --cronsession-tier=full -k CS-RES-001",
    ]


def test_errors_warnings_and_known_failures_are_told_apart(lab: Lab) -> None:
    ids = [f"CS-RES-00{n}" for n in range(1, 6)]
    lab.requirements(
        row(ids[0]),
        row(ids[1], level="SHOULD"),
        row(ids[2]),
        row(ids[3], conditional=True),
        row(ids[4]),
    )
    lab.suite(
        test_a="""
        @requirement("CS-RES-001")
        def test_1(): raise TargetError("job/add", "died")
        @requirement("CS-RES-002")
        def test_2(): raise ConformanceFailure("CS-RES-002", "late")
        @requirement("CS-RES-003")
        def test_3(): raise ConformanceFailure("CS-RES-003", "lost")
        @requirement("CS-RES-004")
        def test_4(): pass
        @requirement("CS-RES-005")
        def test_5(): pass
        """
    )
    entries = [{"id": ids[2], "reason": "issue 12"}, {"id": ids[4], "reason": "issue 13"}]
    told = section(lab.run(lab.baseline(*entries)))
    assert told[1] == "error"
    for line in (
        "CS-RES-001 MUST (could not be judged)",
        "  seen: test_a.py::test_1: job/add: died",
        "CS-RES-002 SHOULD",
        "CS-RES-003 MUST known failure: issue 12",
        "CS-RES-004 MUST not run: never observed",
        "CS-RES-005 MUST (stale baseline entry)",
    ):
        assert line in told


def test_one_reason_for_many_errors_is_told_once(lab: Lab) -> None:
    ids = [f"CS-RES-00{n}" for n in range(1, 6)]
    lab.requirements(*map(row, ids))
    lab.suite(
        test_a="""
        @requirement("CS-RES-001", "CS-RES-002", "CS-RES-003", "CS-RES-004")
        def test_1(): raise TargetError("gateway/start", "no answer within 60 s")
        @requirement("CS-RES-002")
        def test_2(): raise TargetError("gateway/start", "no answer within 60 s")
        @requirement("CS-RES-005")
        def test_3(): raise TargetError("job/add", "died")
        """
    )
    told = section(lab.run())
    start = told.index("CS-RES-001, CS-RES-002, CS-RES-003 and 1 more (could not be judged)")
    assert told[start - 1 : start + 4] == [
        "",
        "CS-RES-001, CS-RES-002, CS-RES-003 and 1 more (could not be judged)",
        "  seen: gateway/start: no answer within 60 s",
        "  run:  pytest --cronsession-target=python:lab_gateway:Gateway -k CS-RES-001",
        "",
    ]
    assert told[start + 4] == "CS-RES-005 MUST (could not be judged)"
    assert "CS-RES-002" not in "\n".join(told[start + 1 :])


def test_a_run_that_stopped_early_does_not_list_all_that_is_left(one_pass: Lab) -> None:
    one_pass.requirements(*(row(f"CS-RES-0{n}") for n in range(10, 30)), row("CS-RES-001"), row("CS-RES-002"))
    told = section(one_pass.run())
    assert " ".join(map(str.strip, told[-2:])) == (
        "not run: CS-RES-010, CS-RES-011, CS-RES-012 and 17 more (no test of this run looked at it)"
    )


@pytest.mark.parametrize(("columns", "width"), [("60", 60), ("300", 100)])
def test_it_fits_the_terminal(
    one_pass: Lab, monkeypatch: pytest.MonkeyPatch, columns: str, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    one_pass.requirements(row("CS-RES-001", text="word " * 60), row("CS-RES-002"))
    one_pass.suite(
        test_b="""
        @requirement("CS-RES-001")
        def test_it(): raise ConformanceFailure("CS-RES-001", "seen " * 60)
        """
    )
    lengths = [len(line) for line in section(one_pass.run()) if "  run:" not in line]
    assert width - 6 < max(lengths) <= width


def test_what_no_test_looked_at_is_told_in_one_go(one_pass: Lab) -> None:
    one_pass.requirements(*(row(f"CS-RES-00{n}") for n in range(1, 6)))
    told = section(one_pass.run())
    assert told[-1] == "not run: CS-RES-003, CS-RES-004, CS-RES-005 (no test of this run looked at it)"


def test_a_selection_has_no_verdict(one_pass: Lab) -> None:
    told = section(one_pass.run("-k", "CS-RES-001"))
    assert told[1] == "a selection: 1 of 2 requirements looked at, so no verdict"
    assert not any("not run" in line for line in told)


def test_a_formal_selection_has_one(one_pass: Lab) -> None:
    told = section(one_pass.run("-k", "CS-RES-001", "--cronsession-report=report.json"))
    assert told[1] == "incomplete"
    assert told[-1].endswith("report.json")


def test_the_verdict_has_a_colour(one_pass: Lab) -> None:
    text = one_pass.run("--color=yes").stdout.str()
    assert "\x1b[32m\x1b[1mconformant" in text


def test_nothing_selected_is_told(one_pass: Lab) -> None:
    one_pass.pytester.makepyfile("def test_vendor(): pass")
    told = section(one_pass.run(".", "-k", "test_vendor"))
    assert told == ["no test of the suite ran, so there is nothing to say about the target"]


def test_it_works_without_a_terminal_reporter(one_pass: Lab) -> None:
    assert one_pass.run("-p", "no:terminal").ret == 0


def test_what_no_test_can_reach_takes_one_line(one_pass: Lab) -> None:
    beyond = {"untestable": "nobody can see it"}
    one_pass.requirements(
        row("CS-RES-001"), row("CS-RES-002"), row("CS-RES-003", **beyond), row("CS-RES-004", **beyond)
    )
    told = section(one_pass.run())
    assert told[1] == "conformant"
    assert told[-1] == "not testable from outside: CS-RES-003, CS-RES-004"
    assert [line for line in told if "nobody can see it" in line] == []
