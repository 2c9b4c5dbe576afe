"""The page that lists the features, held to the tests and the settings that there are."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from cronsession_reference.config import _CRON

HERE = Path(__file__).parent
PAGE = (HERE.parents[1] / "docs" / "reference.md").read_text(encoding="utf-8")


def listed() -> list[tuple[str, list[tuple[str, str]]]]:
    """Each feature with the file and the name of its tests."""
    section = PAGE.split("## Features, and the tests that show them")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (?!feature)(.+?) \| (.*`.+`) \|$", section, re.M)
    return [(feature, re.findall(r"`(\w+)::(\w+)`", tests)) for feature, tests in rows]


def names_in(file: str) -> set[str]:
    tree = ast.parse((HERE / f"{file}.py").read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_feature_names_tests_that_exist() -> None:
    features = listed()
    assert len(features) > 25
    for feature, tests in features:
        assert tests, feature
        for file, name in tests:
            assert name in names_in(file), f"{feature}: {file}::{name}"


def test_every_setting_is_on_the_page() -> None:
    for name in _CRON:
        assert f"cron.{name}" in PAGE or f'"{name}"' in PAGE, name
