"""The verdicts do not depend on the transport, on shared worlds, or on how the tests are spread."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

STDIO = f"stdio:{sys.executable} -m cronsession_reference.cli serve --stdio"
FACTS = ("id", "level", "outcome", "cases")


def rows(pytester: pytest.Pytester, name: str, target: str, *options: str) -> list[dict[str, Any]]:
    """Each requirement's row of a formal run."""
    report = pytester.path / f"{name}.json"
    done = pytester.runpytest_subprocess(
        f"--cronsession-target={target}",
        f"--cronsession-report={report}",
        "-q",
        "-p",
        "no:cacheprovider",
        *options,
    )
    assert done.ret == 0
    document = json.loads(Path(report).read_text(encoding="utf-8"))
    assert document["verdict"] == "conformant"
    return [{fact: row[fact] for fact in FACTS} for row in document["requirements"]]


def test_in_process_and_over_stdio(pytester: pytest.Pytester) -> None:
    assert rows(pytester, "here", "reference") == rows(pytester, "there", STDIO)


def test_shared_and_separate_worlds(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = rows(pytester, "shared", "reference")
    monkeypatch.setenv("CRONSESSION_WORLDS", "separate")
    assert rows(pytester, "separate", "reference", "-n2") == shared
