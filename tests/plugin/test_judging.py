"""Verdict, exit code and report of whole runs."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from pytest_cronsession import schemas

from .conftest import Lab, row

REPORT = "--cronsession-report=report.json"
FAILS = '@requirement("CS-RES-002")\ndef test_fails(): raise ConformanceFailure("CS-RES-002", "saw two")'
KEYS = [
    "schema",
    "suite",
    "spec",
    "target",
    "environment",
    "capabilities",
    "policies",
    "tier",
    "level",
    "seed",
    "verdict",
    "profiles",
    "counts",
    "requirements",
    "baseline",
    "reproduce",
]


@pytest.fixture
def failing(one_pass: Lab) -> Lab:
    """A suite in which CS-RES-002 has a second test, which fails."""
    one_pass.suite(test_b=FAILS)
    return one_pass


def test_a_conformant_gateway_exits_0(one_pass: Lab) -> None:
    assert one_pass.run(REPORT).ret == 0
    report = one_pass.report()
    assert (report["verdict"], report["counts"]["pass"]) == ("conformant", 2)


def test_a_failure_exits_1_and_the_worst_case_counts(failing: Lab) -> None:
    assert failing.run(REPORT).ret == 1
    report = failing.report()
    assert report["verdict"] == "nonconformant"
    assert report["profiles"] == {"sessions": {"verdict": "nonconformant", "reason": "fails CS-RES-002"}}
    assert report["requirements"][1]["cases"] == 2


def test_a_requirement_without_a_test_makes_the_run_incomplete(one_pass: Lab) -> None:
    one_pass.requirements(row("CS-RES-001"), row("CS-RES-002"), row("CS-RES-003"))
    assert one_pass.run(REPORT).ret == 1
    report = one_pass.report()
    assert report["verdict"] == "incomplete"
    assert report["requirements"][2]["outcome"] == "not-run"


def test_an_untestable_requirement_is_listed_and_does_not_matter(one_pass: Lab) -> None:
    one_pass.requirements(row("CS-RES-001"), row("CS-RES-002"), row("CS-RES-003", untestable="needs a moon"))
    assert one_pass.run(REPORT).ret == 0
    assert one_pass.report()["requirements"][2]["reason"] == "untestable: needs a moon"


def test_without_a_report_an_incomplete_whole_run_exits_1_too(one_pass: Lab) -> None:
    one_pass.requirements(row("CS-RES-001"), row("CS-RES-002"), row("CS-RES-003"))
    assert one_pass.run().ret == 1


def test_a_higher_tier_is_not_asked_for(one_pass: Lab) -> None:
    one_pass.requirements(row("CS-RES-001"), row("CS-RES-002"), row("CS-RES-003", tier="full"))
    assert one_pass.run().ret == 0
    assert one_pass.run("--cronsession-tier=full").ret == 1


@pytest.mark.parametrize(
    "selection",
    [
        ["-k", "CS-RES-001"],
        ["--deselect", "cronsession/test_b.py"],
        ["cronsession/test_a.py"],
        ["-m", "not slow"],
    ],
    ids=["k", "deselect", "ids", "m"],
)
def test_a_selection_exits_by_its_tests_unless_a_report_is_asked_for(
    one_pass: Lab, selection: list[str]
) -> None:
    slow = '@pytest.mark.slow\n@requirement("CS-RES-002")\ndef test_slow(): pass'
    one_pass.suite(test_b=slow)
    one_pass.requirements(row("CS-RES-001"), row("CS-RES-002"), row("CS-RES-003"))
    one_pass.pytester.makeini("[pytest]\nmarkers = slow")
    assert one_pass.run(*selection).ret == 0
    assert one_pass.run(*selection, REPORT).ret == 1
    assert one_pass.report()["verdict"] == "incomplete"


CASES = """
@requirement("CS-RES-002")
@pytest.mark.parametrize("word", ["gap", "overlap", "plain"])
def test_case(word):
    if word == "gap": raise ConformanceFailure("CS-RES-002", "saw two")
"""


@pytest.mark.parametrize(
    "left_out",
    [
        ["-k", "not gap"],
        ["--deselect", "cronsession/test_b.py::test_case[gap]"],
        ["cronsession/test_a.py", "cronsession/test_b.py::test_case[plain]"],
        ["-k", "not gap", "-n2"],
    ],
    ids=["k", "deselect", "ids", "xdist"],
)
def test_a_requirement_whose_cases_did_not_all_run_is_not_passed(one_pass: Lab, left_out: list[str]) -> None:
    one_pass.suite(test_b=CASES)
    result = one_pass.run_apart(REPORT, *left_out)
    assert result.ret == 1
    report = one_pass.report()
    assert report["verdict"] == "incomplete"
    found = report["requirements"][1]
    assert found["outcome"] == "not-run"
    assert re.fullmatch(r"[12] of its 4 cases did not run: test_b.py::test_case\[gap\].*", found["reason"])


def test_a_known_failure_is_not_stale_because_its_case_was_left_out(one_pass: Lab) -> None:
    one_pass.suite(test_b=CASES)
    known = one_pass.baseline({"id": "CS-RES-002", "reason": "issue 12"})
    result = one_pass.run(known, "-k", "not gap")
    assert result.ret == 0
    result.stdout.no_fnmatch_line("*stale baseline*")
    formal = one_pass.run(known, REPORT, "-k", "not gap")
    assert formal.ret == 1
    assert one_pass.report()["requirements"][1]["outcome"] == "not-run"
    one_pass.run(known, "-k", "CS-RES-001").stdout.no_fnmatch_line("*stale baseline*")


def test_a_vendors_failure_that_stops_the_run_leaves_it_incomplete(one_pass: Lab) -> None:
    one_pass.suite(test_b='@requirement("CS-RES-002")\ndef test_more(): pass')
    one_pass.pytester.makeconftest(
        """
        import pytest
        @pytest.hookimpl(trylast=True)
        def pytest_collection_modifyitems(items):
            items.insert(2, items.pop(0))
        """
    )
    one_pass.pytester.makepyfile("def test_vendor(): assert 0")
    one_pass.run(REPORT, ".", "-x").assert_outcomes(passed=2, failed=1)
    assert one_pass.report()["verdict"] == "incomplete"


def test_a_selection_that_fails_exits_1(failing: Lab) -> None:
    assert failing.run("-k", "CS-RES-002").ret == 1
    assert failing.run("-k", "CS-RES-001").ret == 0
    assert failing.run("--lf").ret == 1


def test_a_mark_expression_that_leaves_nothing_out_is_no_selection(one_pass: Lab) -> None:
    one_pass.requirements(row("CS-RES-001"), row("CS-RES-002"), row("CS-RES-003"))
    one_pass.pytester.makeini("[pytest]\naddopts = -m 'not slow'\nmarkers = slow")
    result = one_pass.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["incomplete"])


@pytest.mark.parametrize("workers", [[], ["-n2"]], ids=["one", "xdist"])
def test_known_failures_exit_0_and_stale_ones_1(failing: Lab, workers: list[str]) -> None:
    known = {"id": "CS-RES-002", "reason": "issue 12", "issue": "https://example.org/12"}
    assert failing.run_apart(REPORT, failing.baseline(known), *workers).ret == 0
    assert failing.report()["baseline"]["entries"] == [known | {"outcome": "known-fail"}]
    stale = {"id": "CS-RES-001", "reason": "issue 11"}
    result = failing.run_apart(REPORT, failing.baseline(known, stale), *workers)
    assert result.ret == 1
    assert failing.report()["requirements"][0]["outcome"] == "fixed"
    result.stdout.fnmatch_lines(["CS-RES-001 MUST (stale baseline entry)", "*remove its entry*"])


def test_vendor_failures_keep_their_effect(one_pass: Lab) -> None:
    one_pass.pytester.makepyfile("def test_vendor(): assert 0")
    assert one_pass.run(".", REPORT).ret == 1
    assert one_pass.report()["verdict"] == "conformant"


def test_vendor_passes_do_not_hide_a_failure(failing: Lab) -> None:
    failing.pytester.makepyfile("def test_vendor(): pass")
    assert failing.run(".").ret == 1


def test_profiles_are_judged_apart(one_pass: Lab) -> None:
    one_pass.hello(profiles=["sessions", "scheduler"])
    one_pass.requirements(row("CS-RES-001"), row("CS-RES-002", profile="scheduler"))
    one_pass.suite(test_b=FAILS)
    one_pass.run(REPORT)
    verdicts = {n: p["verdict"] for n, p in one_pass.report()["profiles"].items()}
    assert verdicts == {"sessions": "conformant", "scheduler": "nonconformant"}


def test_a_profile_needs_its_capabilities(one_pass: Lab) -> None:
    needs = {"sessions": {"text": "s", "capabilities": ["crash", "trigger"]}}
    one_pass.requirements(row("CS-RES-001"), row("CS-RES-002"), profiles=needs)
    assert one_pass.run(REPORT).ret == 1
    profile = one_pass.report()["profiles"]["sessions"]
    assert profile["verdict"] == "incomplete"
    assert "crash, which the gateway does not declare" in profile["reason"]


def test_a_profile_without_an_applicable_must_is_incomplete(one_pass: Lab) -> None:
    one_pass.requirements(row("CS-RES-001", level="SHOULD"), row("CS-RES-002", capabilities=["crash"]))
    assert one_pass.run(REPORT).ret == 1
    assert one_pass.report()["profiles"]["sessions"]["reason"] == "no MUST of this profile applies"


def test_the_report_has_the_published_keys_and_fits_its_schema(failing: Lab) -> None:
    failing.run(REPORT)
    report = failing.report()
    assert list(report) == KEYS
    assert schemas.problem("report.schema.json", report) is None
    assert report["target"]["spec"] == "python:lab_gateway:Gateway"
    assert report["policies"] == {"keyCase": {"answer": "fold", "declared": False}}
    assert report["reproduce"] == "pytest --cronsession-target=python:lab_gateway:Gateway"
    assert report["baseline"] is None


def test_the_report_tells_how_to_get_it_again(failing: Lab) -> None:
    known = failing.baseline({"id": "CS-RES-002", "reason": "issue 12"})
    failing.run(REPORT, known, "--cronsession-tier=full", "-k", "CS-RES-001 or two", "cronsession/test_a.py")
    assert failing.report()["reproduce"] == (
        "pytest --cronsession-target=python:lab_gateway:Gateway --cronsession-tier=full "
        "--cronsession-baseline=known.json cronsession/test_a.py -k 'CS-RES-001 or two'"
    )


def _timeless(path: Path) -> str:
    report: dict[str, Any] = json.loads(path.read_text())
    del report["environment"]
    return json.dumps(report)


def test_two_runs_give_the_same_report_with_and_without_workers(failing: Lab) -> None:
    failing.suite(
        test_b="""
        import os, tempfile, uuid
        @requirement("CS-RES-002")
        def test_fails():
            one, two = uuid.uuid4(), uuid.uuid4()
            where = f"{os.getcwd()} {tempfile.mkdtemp()}/x.json {object()!r} http://127.0.0.1:{os.getpid()}/"
            raise ConformanceFailure("CS-RES-002", f"{one} is not {two}, but {one}, at {where}")
        """
    )
    path = failing.vendor / "report.json"
    failing.run_apart(REPORT)
    first = _timeless(path)
    failing.run_apart(REPORT)
    assert _timeless(path) == first
    failing.run_apart(REPORT, "-n2")
    assert _timeless(path) == first
    assert "<id-1> is not <id-2>, but <id-1>" in first


def test_the_report_tells_nothing_about_the_machine(failing: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    failing.suite(
        test_b="""
        import os, sys, pathlib
        @requirement("CS-RES-002")
        def test_fails():
            raise ConformanceFailure("CS-RES-002", f"{os.getcwd()}/x {sys.prefix}/lib {pathlib.Path.home()}/.cache")
        """
    )
    failing.run_apart(REPORT)
    message = failing.report()["requirements"][1]["message"]
    assert message.endswith("./x <python>/lib ~/.cache")


def test_the_report_replaces_the_old_one_in_one_step(one_pass: Lab) -> None:
    (one_pass.vendor / "report.json").write_text("old")
    one_pass.run(REPORT)
    assert one_pass.report()["verdict"] == "conformant"
    assert [p.name for p in one_pass.vendor.glob(".report*")] == []


def test_a_report_that_cannot_be_written_fails_the_run(
    one_pass: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pytest_cronsession.report import json_report

    def full(*args: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(json_report.tempfile, "mkstemp", full)
    result = one_pass.run(REPORT)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["no report was written: *No space left on device"])


def test_times_stand_under_environment(one_pass: Lab) -> None:
    one_pass.suite(
        test_b='@requirement("CS-RES-001")\ndef test_long(request): results.elapsed(request.node, 86400000)'
    )
    one_pass.run(REPORT)
    environment = one_pass.report()["environment"]
    assert environment["virtualSeconds"] == 86400
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", environment["started"])
    assert environment["seconds"] >= 0


def test_a_worker_that_dies_is_an_error(one_pass: Lab) -> None:
    one_pass.suite(test_b='import os\n@requirement("CS-RES-002")\ndef test_dies(): os._exit(1)')
    result = one_pass.run_apart("-n1", "--max-worker-restart=0", REPORT)
    assert result.ret == 1
    report = one_pass.report()
    assert report["verdict"] == "error"
    assert "test_b.py::test_dies" in report["environment"]["problems"][0]


def test_a_run_that_stops_early_is_not_conformant(failing: Lab) -> None:
    failing.requirements(row("CS-RES-001", level="MAY"), row("CS-RES-002", level="MAY"), row("CS-RES-003"))
    failing.suite(test_z='@requirement("CS-RES-003")\ndef test_z(): pass', test_b="import os\n" + FAILS)
    failing.suite(test_c='@requirement("CS-RES-003")\ndef test_c(): raise KeyboardInterrupt')
    result = failing.run_apart(REPORT)
    assert result.ret == 2
    assert failing.report()["verdict"] == "incomplete"


def test_sigterm_ends_a_run_in_good_order(one_pass: Lab) -> None:
    one_pass.suite(
        test_b="""
        import os, signal
        @requirement("CS-RES-002")
        def test_cancelled(): os.kill(os.getpid(), signal.SIGTERM); signal.pause()
        """
    )
    result = one_pass.run_apart(REPORT)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["incomplete", "*KeyboardInterrupt*", "*termination.py*SIGTERM*"])
    assert one_pass.report()["verdict"] == "incomplete"


def test_a_vendors_own_sigterm_handler_is_kept(one_pass: Lab) -> None:
    one_pass.pytester.makeconftest("import signal\nsignal.signal(signal.SIGTERM, lambda *a: None)")
    one_pass.pytester.makepyfile("import os, signal\ndef test_vendor(): os.kill(os.getpid(), signal.SIGTERM)")
    one_pass.run_apart(".").assert_outcomes(passed=3)


def test_the_signal_handler_goes_with_the_run(one_pass: Lab) -> None:
    before = signal.getsignal(signal.SIGTERM)
    one_pass.run()
    assert signal.getsignal(signal.SIGTERM) is before
