"""A laboratory: runs of pytest against a tiny suite, a tiny catalogue and a gateway that only says hello."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# All that a run with a target imports: what a run in this process imports itself is thrown away after it, and
# parts of the package would then exist twice.
from pytest_cronsession import (
    catalog,
    channel,  # noqa: F401
    collection,
    judging,  # noqa: F401
    schemas,  # noqa: F401
    worlds,  # noqa: F401
)

TARGET = "--cronsession-target=python:lab_gateway:Gateway"
# Plugins that have no part in this: one warns of an option it would like to see, one is slow to import.
QUIET = ("--strict-markers", "-p", "no:asyncio", "-p", "no:hypothesispytest")
GATEWAY = """
class Gateway:
    def initialize(self, params):
        return HELLO
"""
HELLO: dict[str, Any] = {
    "name": "lab",
    "version": "1.2.3",
    "protocol": 1,
    "specRevision": 1,
    "capabilities": ["clock.advance", "session.key", "trigger"],
    "profiles": ["sessions"],
    "policies": {},
}
# For runs in another process; what Lab.patch does for runs in this one.
PATCH = """
from pathlib import Path
from pytest_cronsession import catalog, collection

load = catalog.load
catalog.load = lambda: load(Path({requirements!r}))
collection.PACKAGED = collection.Suite("lab_suite", Path({suite!r}))
"""
SUITE_HEAD = """
import pytest
from pytest_cronsession import results
from pytest_cronsession.outcomes import *
from pytest_cronsession.outcomes import Result
from pytest_cronsession.requirement import requirement

"""


def row(identity: str, **changes: Any) -> dict[str, Any]:
    """A requirement of the laboratory's catalogue."""
    return {
        "id": identity,
        "area": "resolver",
        "profile": "sessions",
        "level": "MUST",
        "tier": "core",
        "since": 1,
        "capabilities": [],
        "policy": None,
        "text": f"The sentence of {identity} MUST hold.",
        "sources": [],
        "conditional": False,
    } | changes


ROWS = (row("CS-RES-001"), row("CS-RES-002"))


class Lab:
    """Builds a suite and a catalogue, and runs pytest on them in a vendor's folder."""

    def __init__(self, pytester: pytest.Pytester, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pytester, self.site = pytester, site
        self._load, self._monkeypatch = catalog.load, monkeypatch
        monkeypatch.syspath_prepend(site)
        # Runs in other processes find the site too.
        monkeypatch.setenv("PYTHONPATH", str(site), prepend=":")
        # A user's own wishes must not reach the runs.
        for name in ("PYTEST_ADDOPTS", "PYTEST_DISABLE_PLUGIN_AUTOLOAD"):
            monkeypatch.delenv(name, raising=False)
        self.hello()
        self.requirements(*ROWS)

    @property
    def vendor(self) -> Path:
        """The folder pytest is started in."""
        return self.pytester.path

    def hello(self, **changes: Any) -> None:
        """What the gateway declares."""
        self.write("lab_gateway.py", f"HELLO = {HELLO | changes!r}\n{GATEWAY}")

    def write(self, name: str, text: str) -> None:
        path = self.site / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")

    def requirements(self, *rows: dict[str, Any], **changes: Any) -> None:
        """The catalogue."""
        document = {
            "revision": 1,
            "capabilities": {c: c for c in (*HELLO["capabilities"], "crash")},
            "policies": {
                "keyCase": {"question": "?", "answers": {"fold": "one", "preserve": "two"}, "default": "fold"}
            },
            "profiles": {n: {"text": n, "capabilities": []} for n in ("sessions", "scheduler")},
            "requirements": list(rows),
        }
        self.write("requirements.json", json.dumps(document | changes))

    def suite(self, **files: str) -> None:
        """The suite: ``suite(test_a="...")``. Earlier files stay."""
        self.write("lab_suite/__init__.py", "")
        for name, text in files.items():
            self.write(f"lab_suite/{name}.py", SUITE_HEAD + textwrap.dedent(text))

    def baseline(self, *entries: dict[str, str]) -> str:
        """The option for a baseline with these entries."""
        path = self.vendor / "known.json"
        path.write_text(json.dumps({"schema": 1, "entries": list(entries)}), encoding="utf-8")
        return f"--cronsession-baseline={path.name}"

    def report(self) -> dict[str, Any]:
        """The report of a run with ``--cronsession-report=report.json``."""
        loaded: dict[str, Any] = json.loads((self.vendor / "report.json").read_text(encoding="utf-8"))
        return loaded

    def run(self, *args: str, target: bool = True) -> pytest.RunResult:
        """Run pytest in this process."""
        found = collection.Suite("lab_suite", self.site / "lab_suite")
        with self._monkeypatch.context() as patch:
            patch.setattr(catalog, "load", lambda: self._load(self.site / "requirements.json"))
            patch.setattr(collection, "PACKAGED", found)
            return self.pytester.runpytest_inprocess(*QUIET, *([TARGET] if target else []), *args)

    def run_apart(self, *args: str, target: bool = True, quiet: bool = True) -> pytest.RunResult:
        """Run pytest in a process of its own."""
        paths = {"requirements": str(self.site / "requirements.json"), "suite": str(self.site / "lab_suite")}
        self.write("lab_patch.py", PATCH.format(**paths))
        wanted = [*(QUIET if quiet else ()), *([TARGET] if target else ())]
        return self.pytester.runpytest_subprocess("-p", "lab_patch", *wanted, *args)


@pytest.fixture
def lab(pytester: pytest.Pytester, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A laboratory with two requirements, CS-RES-001 and CS-RES-002, and no suite yet."""
    return Lab(pytester, tmp_path, monkeypatch)


@pytest.fixture
def one_pass(lab: Lab) -> Lab:
    """A laboratory whose suite has one passing test for each requirement."""
    lab.suite(
        test_a="""
        @requirement("CS-RES-001")
        def test_one(): pass

        @requirement("CS-RES-002")
        def test_two(): pass
        """
    )
    return lab


@pytest.fixture
def listed(lab: Lab) -> Callable[..., list[str]]:
    """``listed(*args)``: the node ids that ``--co -q`` prints."""

    def ids(*args: str) -> list[str]:
        result = lab.run("--co", "-q", *args)
        return [line for line in result.outlines if "::" in line and not line.startswith("=")]

    return ids
