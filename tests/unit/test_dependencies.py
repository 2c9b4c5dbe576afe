"""Who may import whom: the rule of the design, read from the source files."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLUGIN = ROOT / "pytest_cronsession"
REFERENCE = ROOT / "reference" / "cronsession_reference"
LONGEST = 350

SUITE_MAY = {
    *("driver", "checkers", "strategies", "model", "oracle"),
    *("requirement", "contract", "trace", "outcomes", "suite"),
}
PURE = (
    "catalog",
    "baseline",
    "verdict",
    "checkers",
    "oracle",
    "dialect",
    "trace",
    "contract",
    "outcomes",
    "report",
)
# Outside the process, beside the thread, or on the way to a gateway.
IMPURE = {
    *("subprocess", "socket", "socketserver", "ssl", "select", "selectors", "signal", "multiprocessing"),
    *("threading", "concurrent", "asyncio", "queue", "http", "urllib", "time", "random", "secrets"),
    *("pytest", "_pytest", "pluggy", "hypothesis"),
    *("pytest_cronsession.driver", "pytest_cronsession.worlds", "pytest_cronsession.plugin"),
}
FILES = {"pathlib", "os", "io", "shutil", "tempfile", "glob", "fileinput"}
MAY_TOUCH_FILES = ("catalog", "report")


@cache
def modules() -> dict[str, Path]:
    """The packages' modules by their full name."""
    found = {}
    for package in (PLUGIN, REFERENCE):
        for file in sorted(package.rglob("*.py")):
            parts = file.relative_to(package.parent).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


@cache
def imports(module: str) -> frozenset[str]:
    """Everything a module imports at run time, anywhere in it, by full name.

    ``from x import y`` is ``x.y`` where that is a module of ours, else ``x``. What is imported for type
    checkers only does not exist at run time.
    """
    file = modules()[module]
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    return frozenset(_imported(ast.parse(file.read_text(encoding="utf-8")), package))


def _imported(node: ast.AST, package: str) -> Iterator[str]:
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        for branch in node.orelse:
            yield from _imported(branch, package)
        return
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
        base = ".".join([*above, *([node.module] if node.module else [])])
        inner = [f"{base}.{alias.name}" for alias in node.names]
        yield from (name if name in modules() else base for name in inner)
    for child in ast.iter_child_nodes(node):
        yield from _imported(child, package)


def reached(module: str) -> dict[str, str]:
    """What importing a module imports, from ours on to the first foreign one: name -> who imports it."""
    found: dict[str, str] = {}
    todo = [module]
    while todo:
        importer = todo.pop()
        for name in imports(importer) - found.keys():
            found[name] = importer
            if name in modules():
                todo.append(name)
    return found


def within(name: str, family: str) -> bool:
    return name == family or name.startswith(f"{family}.")


def named(*names: str) -> list[str]:
    """Our modules of these names, with those below them."""
    return [m for m in modules() if any(within(m, f"pytest_cronsession.{name}") for name in names)]


def test_the_modules_that_the_rule_speaks_of_exist() -> None:
    for name in (*PURE, *SUITE_MAY):
        assert named(name), name


@pytest.mark.parametrize("module", named("suite"))
def test_the_suite_speaks_to_the_driver_only(module: str) -> None:
    for name in imports(module):
        top = name.partition(".")[0]
        if top == "pytest_cronsession":
            assert name.split(".")[1] in SUITE_MAY, name
        else:
            assert top in ("pytest", "hypothesis", "__future__") or top in sys.stdlib_module_names, name


@pytest.mark.parametrize("module", named(*PURE))
def test_what_judges_is_pure(module: str) -> None:
    impure = {
        name: importer
        for name, importer in reached(module).items()
        if any(within(name, family) for family in IMPURE)
    }
    assert impure == {}, "imported, directly or through another module of the package"


@pytest.mark.parametrize("module", [m for m in named(*PURE) if m not in named(*MAY_TOUCH_FILES)])
def test_what_judges_touches_no_file(module: str) -> None:
    assert {name for name in imports(module) if name.partition(".")[0] in FILES} == set()


@pytest.mark.parametrize("module", [m for m in modules() if within(m, "cronsession_reference")])
def test_the_reference_knows_nothing_of_the_tests(module: str) -> None:
    tools = ("pytest", "_pytest", "pytest_cronsession", "hypothesis", "freezegun", "time_machine")
    assert {n for n in imports(module) if any(within(n, tool) for tool in tools)} == set()


def test_only_targets_and_examples_name_the_reference() -> None:
    """The oracle and the suite are independent of it: a shared mistake would be invisible."""
    importers = {
        m
        for m in modules()
        if within(m, "pytest_cronsession") and any(within(n, "cronsession_reference") for n in imports(m))
    }
    assert importers <= set(named("targets", "examples", "cli"))
    for module in named("suite", "oracle", "dialect", "checkers", "strategies"):
        assert "cronsession_reference" not in modules()[module].read_text(encoding="utf-8"), module


@pytest.mark.parametrize("module", modules())
def test_files_are_short(module: str) -> None:
    lines = modules()[module].read_text(encoding="utf-8").count("\n")
    assert lines <= LONGEST, f"{modules()[module].relative_to(ROOT)} has {lines} lines"


@pytest.mark.parametrize(
    ("source", "package", "expected"),
    [
        ("import os.path", "a", {"os.path"}),
        ("from pytest_cronsession import driver", "a", {"pytest_cronsession.driver"}),
        ("from . import model", "pytest_cronsession", {"pytest_cronsession.model"}),
        ("from ..model import Turn", "pytest_cronsession.suite", {"pytest_cronsession.model"}),
        ("def f():\n    import asyncio", "a", {"asyncio"}),
        ("if TYPE_CHECKING:\n    import asyncio\nelse:\n    import json", "a", {"json"}),
    ],
)
def test_imports_are_found(source: str, package: str, expected: set[str]) -> None:
    assert set(_imported(ast.parse(source), package)) == expected
