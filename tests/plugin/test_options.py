"""Options: what is refused before the first test, with exit code 4 and a message that says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import TARGET, Lab, row


def refused(result: pytest.RunResult, *told: str) -> None:
    """The run ended as a usage error that says this, without a traceback."""
    text = result.stdout.str() + result.stderr.str()
    assert result.ret == pytest.ExitCode.USAGE_ERROR, text
    assert "Traceback" not in text
    assert "INTERNALERROR" not in text
    for words in told:
        assert words in text


def test_a_bare_target_lists_the_kinds(one_pass: Lab) -> None:
    result = one_pass.run("--cronsession-target", target=False)
    refused(result, "--cronsession-target=reference", "reference", "python:pkg.mod:factory", "stdio:COMMAND")


@pytest.mark.parametrize(
    "option", ["--cronsession-tier=full", "--cronsession-report=r.json", "--cronsession-baseline=b.json"]
)
def test_other_options_need_a_target(one_pass: Lab, option: str) -> None:
    name = option.partition("=")[0]
    refused(one_pass.run(option, target=False), f"{name} has no effect without a target")


def test_the_cache_option_needs_a_target(one_pass: Lab) -> None:
    refused(one_pass.run("--cronsession-cache=c", target=False), "--cronsession-cache has no effect")


def test_the_budget_option_needs_a_target(one_pass: Lab) -> None:
    refused(one_pass.run("--cronsession-budget=60", target=False), "--cronsession-budget has no effect")


@pytest.mark.parametrize("text", ["soon", "0", "-3", "inf", "nan"])
def test_a_budget_is_a_number_of_seconds(one_pass: Lab, text: str) -> None:
    refused(one_pass.run(f"--cronsession-budget={text}"), f"--cronsession-budget={text}: write seconds")


@pytest.mark.parametrize("text", ["lucky", "-1", "1.5", "²"])
def test_a_seed_is_a_whole_number(one_pass: Lab, text: str) -> None:
    refused(one_pass.run(f"--cronsession-seed={text}"), f"--cronsession-seed={text}: write a whole number")


def test_no_ini_key_switches_the_suite_on(one_pass: Lab) -> None:
    one_pass.pytester.makeini("[pytest]\ncronsession_target = python:lab_gateway:Gateway\n")
    one_pass.pytester.makepyfile("def test_vendor(): pass")
    result = one_pass.run("-W", "ignore", target=False)
    result.assert_outcomes(passed=1)
    assert "cronsession" not in result.stdout.str().partition("plugins:")[2].partition("\n")[2]


def test_an_unknown_tier_is_refused(one_pass: Lab) -> None:
    refused(one_pass.run("--cronsession-tier=huge"), "core", "full", "thorough")


def test_a_report_needs_its_folder(one_pass: Lab) -> None:
    refused(one_pass.run("--cronsession-report=no/such/report.json"), "does not exist; create it first")


def test_a_report_cannot_be_a_folder(one_pass: Lab) -> None:
    one_pass.pytester.mkdir("reports")
    refused(one_pass.run("--cronsession-report=reports"), "is a folder")


def test_a_report_needs_a_folder_that_can_be_written_to(
    one_pass: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)
    result = one_pass.run("--cronsession-report=report.json")
    refused(result, "--cronsession-report=report.json: cannot write to the folder")


def test_a_missing_baseline_is_refused(one_pass: Lab) -> None:
    refused(
        one_pass.run("--cronsession-baseline=none.json"), "--cronsession-baseline=none.json: no such file"
    )


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ([{"id": "CS-RES-009", "reason": "x"}], "entry 1 (CS-RES-009): no such requirement"),
        ([{"id": "CS-RES-001"}], "entry 1 (CS-RES-001): 'reason' is missing"),
        ([{"id": "CS-RES-001", "reason": "x"}] * 2, "entry 2: CS-RES-001 is listed twice"),
    ],
    ids=["unknown", "no-reason", "twice"],
)
def test_a_wrong_baseline_is_refused(one_pass: Lab, entries: list[dict[str, str]], told: str) -> None:
    refused(one_pass.run(one_pass.baseline(*entries)), "known.json", told)


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("nanobott", "unknown target kind 'nanobott'"),
        ("python:no_such_module:Gateway", "No module named 'no_such_module'"),
        ("python:lab_gateway:Missing", "has no 'Missing'"),
        ("stdio:/no/such/program", "command not found"),
    ],
    ids=["kind", "module", "factory", "command"],
)
def test_a_target_that_cannot_be_found_is_refused(one_pass: Lab, target: str, told: str) -> None:
    refused(one_pass.run(f"--cronsession-target={target}", target=False), told)


def test_a_target_that_cannot_be_found_is_refused_with_co_too(one_pass: Lab) -> None:
    refused(one_pass.run("--co", "--cronsession-target=nanobott", target=False), "unknown target kind")


def test_a_failed_handshake_is_told_without_a_traceback(one_pass: Lab) -> None:
    one_pass.write(
        "lab_gateway.py",
        """
        class Gateway:
            def initialize(self, params):
                raise RuntimeError("the database is locked")
        """,
    )
    result = one_pass.run()
    refused(result, "the database is locked")
    assert "test_one" not in result.stdout.str()


def test_an_answer_that_breaks_the_contract_is_told(one_pass: Lab) -> None:
    one_pass.hello(capabilities=["telepathy"])
    refused(one_pass.run(), "telepathy")


def test_no_worker_is_started_for_a_target_that_cannot_be_used(one_pass: Lab) -> None:
    one_pass.hello(capabilities=["telepathy"])
    result = one_pass.run_apart("-n2")
    refused(result, "telepathy")
    assert "workers" not in result.stdout.str()


def test_listing_does_not_touch_the_target(one_pass: Lab) -> None:
    one_pass.write("lab_gateway.py", "class Gateway:\n    def __init__(self): raise SystemError('touched')\n")
    result = one_pass.run("--co", "-q")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["cronsession/test_a.py::test_one"])


def test_an_unknown_requirement_gets_close_matches(one_pass: Lab) -> None:
    refused(
        one_pass.run("-k", "CS-RES-003 or CS-RES-001"), "no requirement CS-RES-003; did you mean CS-RES-00"
    )


@pytest.mark.parametrize("name", ["CS-RES-1", "CS-RES-0001", "cs-res-001x", "CS-XYZ-001"])
def test_a_mistyped_requirement_is_refused(one_pass: Lab, name: str) -> None:
    refused(one_pass.run("-k", f"not {name}"), f"there is no requirement {name.upper()}")


def test_the_beginning_of_a_requirement_selects_all_that_begin_so(one_pass: Lab) -> None:
    one_pass.run("-k", "CS-RES-0").assert_outcomes(passed=2)
    one_pass.run("-k", "CS-RES-00 and not CS-RES-001").assert_outcomes(passed=1, deselected=1)


def test_a_requirement_of_a_higher_tier_names_the_tier(one_pass: Lab) -> None:
    one_pass.requirements(row("CS-RES-001"), row("CS-RES-002"), row("CS-RES-010", tier="full"))
    result = one_pass.run("-k", "CS-RES-010")
    refused(result, "CS-RES-010 is not in tier core; add --cronsession-tier=full")


@pytest.fixture
def cache_seen(one_pass: Lab, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The cache folders that targets were resolved with."""
    from pytest_cronsession import state

    seen: list[Path] = []
    real = state.resolve_target

    def spy(spec: object, *, cache: Path) -> object:
        seen.append(cache)
        return real(spec, cache=cache)  # type: ignore[arg-type]

    monkeypatch.setattr(state, "resolve_target", spy)
    return seen


def test_the_cache_is_the_users_own_by_default(one_pass: Lab, cache_seen: list[Path]) -> None:
    one_pass.run("--co")
    assert [c.name for c in cache_seen] == ["pytest-cronsession"]


def test_the_cache_can_be_put_elsewhere(one_pass: Lab, cache_seen: list[Path]) -> None:
    one_pass.run("--co", "--cronsession-cache=here")
    assert cache_seen == [one_pass.vendor / "here"]


def test_progress_is_shown_while_a_target_is_prepared(one_pass: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from pytest_cronsession import state

    real = state.resolve_target

    def slow(spec: object, *, cache: Path) -> object:
        return replace(real(spec, cache=cache), prepare=lambda say: say("installing lab 1.2.3"))  # type: ignore[arg-type]

    monkeypatch.setattr(state, "resolve_target", slow)
    one_pass.run().stdout.fnmatch_lines(["cronsession: installing lab 1.2.3"])


def test_the_options_are_told_in_help(pytester: pytest.Pytester) -> None:
    text = pytester.runpytest("--help", "-p", "no:asyncio").stdout.str()
    for name in ("target", "tier", "report", "baseline", "cache"):
        assert f"--cronsession-{name}" in text


def test_the_target_is_read_from_one_word(one_pass: Lab) -> None:
    result = one_pass.run(*TARGET.split("=", 1), target=False)
    result.assert_outcomes(passed=2)
