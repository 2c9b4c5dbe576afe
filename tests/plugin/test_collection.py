"""Collection: which tests run, under which node ids, wherever the package lies and whatever the vendor set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Lab, row

Listed = Callable[..., list[str]]

ONE, TWO = "cronsession/test_a.py::test_one", "cronsession/test_a.py::test_two"
CASES = ["cronsession/test_b.py::test_case[gap]", "cronsession/test_b.py::test_case[overlap]"]
HOSTILE = """
[pytest]
testpaths = tests
python_files = check_*.py
python_functions = check_*
python_classes = Check*
"""
if pytest.version_tuple >= (8, 4):
    HOSTILE += "collect_imported_tests = false\n"


@pytest.fixture
def two_files(one_pass: Lab) -> Lab:
    """A second file with two cases, and a vendor's own test."""
    one_pass.suite(
        test_b="""
        @pytest.fixture
        def doubled(word): return word * 2

        @requirement("CS-RES-002")
        @pytest.mark.parametrize("word", ["gap", "overlap"])
        def test_case(doubled, word): assert doubled == word + word

        def helper(): raise AssertionError("not a test")
        class TestClass:
            def test_method(self): raise AssertionError("not a test")
        """
    )
    (one_pass.vendor / "tests").mkdir()
    (one_pass.vendor / "tests" / "test_vendor.py").write_text("def test_vendor(): pass\n")
    return one_pass


def test_without_arguments_only_the_suite_runs(two_files: Lab) -> None:
    result = two_files.run("-v")
    result.assert_outcomes(passed=4)
    assert "test_vendor" not in result.stdout.str()


def test_testpaths_do_not_add_the_vendors_tests(two_files: Lab, listed: Listed) -> None:
    two_files.pytester.makeini("[pytest]\ntestpaths = tests")
    assert listed() == [ONE, TWO, *CASES]


def test_arguments_add_the_vendors_tests(two_files: Lab, listed: Listed) -> None:
    assert listed("tests") == ["tests/test_vendor.py::test_vendor", ONE, TWO, *CASES]


def test_without_a_target_nothing_of_the_suite_runs(two_files: Lab) -> None:
    result = two_files.run("-v", target=False)
    result.assert_outcomes(passed=1)
    assert "cronsession/" not in result.stdout.str()


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["cronsession"], [ONE, TWO, *CASES]),
        (["cronsession/"], [ONE, TWO, *CASES]),
        (["cronsession/test_b.py"], CASES),
        (["cronsession/test_b.py::test_case"], CASES),
        ([CASES[1]], CASES[1:]),
        ([CASES[1], ONE], [ONE, CASES[1]]),
        (["tests", ONE], ["tests/test_vendor.py::test_vendor", ONE]),
    ],
    ids=["all", "all-slash", "file", "function", "case", "two", "mixed"],
)
def test_node_ids_can_be_given_back(
    two_files: Lab, listed: Listed, args: list[str], expected: list[str]
) -> None:
    assert listed(*args) == expected


def test_a_path_into_the_suite_means_its_tests(two_files: Lab, listed: Listed) -> None:
    assert listed(str(two_files.site / "lab_suite" / "test_b.py")) == CASES
    assert listed(str(two_files.site / "lab_suite")) == [ONE, TWO, *CASES]


def test_an_unknown_suite_file_is_refused_with_the_known_ones(two_files: Lab) -> None:
    result = two_files.run("cronsession/test_c.py")
    assert result.ret == 4
    result.stderr.fnmatch_lines(
        ["*cronsession/test_c.py: the suite has no such file*", "*test_a.py", "*test_b.py"]
    )


def test_an_unknown_suite_test_is_refused(two_files: Lab) -> None:
    result = two_files.run("cronsession/test_a.py::test_three", ONE)
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*not found: cronsession/test_a.py::test_three"])
    assert ONE not in result.stderr.str()
    assert "nothing to say" not in result.stdout.str()


def test_a_vendors_folder_of_that_name_stays_reachable(two_files: Lab, listed: Listed) -> None:
    folder = two_files.vendor / "cronsession"
    folder.mkdir()
    (folder / "test_own.py").write_text("def test_own(): pass\n")
    assert listed("cronsession/test_own.py")[0] == "cronsession/test_own.py::test_own"


@pytest.mark.parametrize("mode", ["prepend", "append", "importlib"])
@pytest.mark.parametrize("place", ["outside", "inside"])
def test_node_ids_are_the_same_everywhere(two_files: Lab, place: str, mode: str) -> None:
    if place == "inside":
        two_files.site = _move(two_files.site, two_files.vendor / ".venv" / "lib")
        two_files.pytester.syspathinsert(two_files.site)
    result = two_files.run("--co", "-q", f"--import-mode={mode}")
    assert [line for line in result.outlines if "::" in line] == [ONE, TWO, *CASES]


def _move(source: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True)
    source.rename(target)
    return target


def test_an_argument_that_contains_the_suite_does_not_double_it(two_files: Lab, listed: Listed) -> None:
    two_files.site = _move(two_files.site, two_files.vendor / "lib" / "site")
    two_files.pytester.syspathinsert(two_files.site)
    assert listed(".") == ["tests/test_vendor.py::test_vendor", ONE, TWO, *CASES]


def test_a_rootdir_elsewhere_changes_nothing(two_files: Lab, listed: Listed) -> None:
    (two_files.vendor / "tests" / "pytest.ini").write_text("[pytest]\n")
    assert listed("--rootdir=tests", "-c", "tests/pytest.ini", "cronsession") == [ONE, TWO, *CASES]


def test_a_hostile_ini_hides_nothing(two_files: Lab, listed: Listed) -> None:
    two_files.pytester.makeini(HOSTILE)
    assert listed() == [ONE, TWO, *CASES]


@pytest.mark.parametrize("mode", ["auto", "strict"])
def test_it_runs_clean_under_hostile_settings(two_files: Lab, mode: str) -> None:
    scope = "asyncio_default_fixture_loop_scope = function"
    two_files.pytester.makeini(f"{HOSTILE}asyncio_mode = {mode}\n{scope}\nfilterwarnings = error\n")
    result = two_files.run_apart(
        "--strict-config", "--strict-markers", "-W", "error", "--import-mode=importlib", quiet=False
    )
    result.assert_outcomes(passed=4)
    assert result.ret == 0
    assert "warning" not in result.stdout.str()


def test_markers_are_registered(two_files: Lab) -> None:
    text = two_files.run("--markers", target=False).stdout.str()
    for name in ("requirement", "last", "config", "clock"):
        assert f"@pytest.mark.cronsession_{name}" in text


def test_k_selects_by_requirement(two_files: Lab, listed: Listed) -> None:
    assert listed("-k", "CS-RES-001") == [ONE]
    assert listed("-k", "cs-res-002") == [TWO, *CASES]
    assert listed("-k", "CS-RES and not gap") == [ONE, TWO, CASES[1]]


def test_deselect_takes_node_ids(two_files: Lab, listed: Listed) -> None:
    assert listed("--deselect", "cronsession/test_b.py", "--deselect", ONE) == [TWO]


def test_the_cache_plugin_is_not_needed(two_files: Lab) -> None:
    two_files.run("-p", "no:cacheprovider").assert_outcomes(passed=4)


def test_lf_runs_what_failed_also_beside_a_vendors_failure(two_files: Lab) -> None:
    two_files.suite(
        test_b="""
        @requirement("CS-RES-002")
        @pytest.mark.parametrize("word", ["gap", "overlap"])
        def test_case(word):
            if word == "gap": raise ConformanceFailure("CS-RES-002", "broken")
        """
    )
    (two_files.vendor / "tests" / "test_vendor.py").write_text(
        "def test_vendor(): assert 0\ndef test_other(): pass"
    )
    two_files.run("tests").assert_outcomes(passed=4, failed=2)
    again = two_files.run("tests", "--lf", "-v")
    again.assert_outcomes(failed=2, deselected=3)
    assert f"{CASES[0]} FAILED" in again.stdout.str()


def test_xdist_runs_the_same_tests(two_files: Lab) -> None:
    result = two_files.run_apart("-n2", "tests", "-v")
    result.assert_outcomes(passed=5)
    for node_id in (ONE, TWO, *CASES, "tests/test_vendor.py::test_vendor"):
        assert f"PASSED {node_id}" in result.stdout.str()


def test_xdist_takes_node_ids(two_files: Lab) -> None:
    result = two_files.run_apart("-n2", CASES[1], "-v")
    result.assert_outcomes(passed=1)


def test_what_crashes_gateways_comes_last(two_files: Lab, listed: Listed) -> None:
    two_files.suite(
        test_a="""
        @pytest.mark.cronsession_last
        @requirement("CS-RES-001")
        def test_crash(): pass

        @requirement("CS-RES-001")
        def test_calm(): pass
        """
    )
    assert listed() == ["cronsession/test_a.py::test_calm", *CASES, "cronsession/test_a.py::test_crash"]


def test_a_test_may_ask_for_more_effort_than_its_requirement(two_files: Lab, listed: Listed) -> None:
    two_files.suite(
        test_a="""
        @pytest.mark.cronsession_tier("full")
        @requirement("CS-RES-001")
        def test_long(): pass
        """
    )
    assert listed() == CASES
    assert "cronsession/test_a.py::test_long" in listed("--cronsession-tier=full")


def test_a_tier_contains_the_ones_before_it(two_files: Lab, listed: Listed) -> None:
    two_files.requirements(row("CS-RES-001"), row("CS-RES-002", tier="full"))
    assert listed() == [ONE]
    assert listed("--cronsession-tier=full") == [ONE, TWO, *CASES]
    assert listed("--cronsession-tier=thorough") == [ONE, TWO, *CASES]


def test_a_suite_test_must_name_known_requirements(two_files: Lab) -> None:
    two_files.suite(
        test_a="def test_nothing(): pass", test_b='@requirement("CS-XXX-001")\ndef test_x(): pass'
    )
    result = two_files.run()
    assert result.ret == 2
    result.stdout.fnmatch_lines(["*test_nothing: names no requirement*", "*unknown requirement CS-XXX-001*"])


def test_a_suite_file_that_cannot_be_imported_is_an_error(two_files: Lab) -> None:
    two_files.suite(test_b="import no_such_module")
    result = two_files.run()
    assert result.ret == 2
    result.stdout.fnmatch_lines(["ERROR cronsession/test_b.py*"])


def test_no_suite_test_at_all_is_exit_5(lab: Lab) -> None:
    lab.suite()
    assert lab.run().ret == 5
    assert lab.run("--co").ret == 5


@pytest.mark.parametrize("extra", [[], ["--co"], ["-n2"]], ids=["run", "co", "xdist"])
def test_no_selected_suite_test_is_exit_5_even_if_the_vendors_pass(two_files: Lab, extra: list[str]) -> None:
    result = two_files.run_apart("tests", "-k", "test_vendor", *extra)
    assert result.ret == 5


def test_fixtures_of_the_plugin_are_declared(pytester: pytest.Pytester) -> None:
    text = pytester.runpytest("--fixtures", "-p", "no:asyncio").stdout.str()
    for name in ("driver", "clock", "gateway", "model"):
        assert f"cronsession_{name} -- " in text
