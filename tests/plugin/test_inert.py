"""Installed but unused, the plugin changes nothing and costs nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

VENDOR = """
import warnings
import pytest

def test_pass(): pass
def test_fail(): assert 1 == 2
def test_skip(): pytest.skip("why")
def test_warn(): warnings.warn("careful")
@pytest.mark.xfail
def test_xfail(): assert 0
@pytest.fixture
def broken(): raise ValueError("broken")
def test_error(broken): pass
"""
# What an ordinary run must not pay for.
HEAVY = [
    "hypothesis",
    "jsonschema",
    "referencing",
    "freezegun",
    "time_machine",
    "asyncio",
    "sqlite3",
    "http",
    "urllib.request",
    "platformdirs",
    "cronsession_reference",
]


def _plain(result: pytest.RunResult) -> list[str]:
    # How long it took also decides how many signs stand around it.
    text = re.sub(r"=+ (.*) in \d+\.\d+s(?: \([\d:]+\))? =+", r"\1 in TIME", result.stdout.str())
    return [line for line in text.splitlines() if not line.startswith("plugins:")]


@pytest.mark.parametrize(
    "args", [[], ["-v"], ["-rA"], ["--co"], ["-n1"]], ids=["plain", "v", "rA", "co", "xdist"]
)
def test_a_run_looks_the_same_with_and_without_it(pytester: pytest.Pytester, args: list[str]) -> None:
    pytester.makepyfile(VENDOR)
    quiet = ["-p", "no:cacheprovider", "-p", "no:asyncio", *args]
    used = pytester.runpytest_subprocess(*quiet)
    unused = pytester.runpytest_subprocess("-p", "no:cronsession", *quiet)
    assert used.ret == unused.ret
    assert used.parseoutcomes() == unused.parseoutcomes() if "--co" not in args else True
    assert sorted(_plain(used)) == sorted(_plain(unused))
    assert "cronsession" not in "\n".join(_plain(used))


@pytest.fixture
def modules(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Callable[..., set[str]]:
    """The modules that are loaded at the end of a run of pytest with these arguments and no other plugins."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile("def test_pass(): pass")
    pytester.makeconftest(
        """
        import json, sys
        def pytest_unconfigure():
            with open("modules.json", "w") as file: json.dump(sorted(sys.modules), file)
        """
    )

    def loaded(*args: str) -> set[str]:
        result = pytester.runpytest_subprocess(*args)
        result.assert_outcomes(passed=1)
        return set(json.loads((pytester.path / "modules.json").read_text()))

    return loaded


def test_nothing_heavy_is_imported(modules: Callable[..., set[str]]) -> None:
    added = modules("-p", "pytest_cronsession.plugin") - modules()
    assert {name for name in added if not name.startswith("pytest_cronsession")} == set()
    assert {"pytest_cronsession.plugin", "pytest_cronsession.options"} <= added
    assert not {
        name for name in added if name.rpartition(".")[2] in ("running", "judging", "state", "targets")
    }


def test_the_heavy_ones_are_seen_when_they_are_imported(
    modules: Callable[..., set[str]], pytester: pytest.Pytester
) -> None:
    before = modules()
    pytester.makepyfile(f"import {', '.join(HEAVY)}\ndef test_pass(): pass")
    assert set(HEAVY) - before <= modules()
