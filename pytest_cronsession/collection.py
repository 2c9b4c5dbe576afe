"""The suite's files in a run of pytest: own collectors, stable node ids, arguments that name suite tests.

The suite is collected beside pytest's own arguments and not through them. So it does not matter where the
package lies (inside the vendor's rootdir or not), which ``python_files`` or import mode the vendor chose, or
whether an argument such as ``.`` happens to contain the package. Node ids are always
``cronsession/test_x.py::test_y[case]``.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from .catalog import TIERS, Catalog, in_tier

PREFIX = "cronsession"
REQUIREMENT, LAST, TIER = "cronsession_requirement", "cronsession_last", "cronsession_tier"


@dataclass(frozen=True)
class Suite:
    """A folder of ``test_*.py`` files, which are also the modules of ``package``."""

    package: str
    directory: Path

    def files(self) -> list[Path]:
        """The test files in a fixed order."""
        return sorted(self.directory.glob("test_*.py"))

    def node_id(self, file: Path) -> str:
        return f"{PREFIX}/{file.name}"


PACKAGED = Suite(f"{__package__}.suite", Path(__file__).parent / "suite")


@dataclass(frozen=True)
class Selection:
    """Which suite tests the arguments name; no ``names`` stands for the whole suite."""

    names: tuple[str, ...] = ()

    @property
    def partial(self) -> bool:
        return bool(self.names)

    def file(self, node_id: str) -> bool:
        """Whether anything in the file ``cronsession/test_x.py`` is wanted."""
        return not self.names or any(n == PREFIX or n.split("::")[0] == node_id for n in self.names)

    def item(self, node_id: str) -> bool:
        """Whether the test is wanted: named, or a case of a named function, or in a named file."""
        bare = node_id.partition("[")[0]
        return not self.names or any(n in (PREFIX, node_id, bare, bare.split("::")[0]) for n in self.names)

    def unmatched(self, node_ids: Iterable[str]) -> list[str]:
        """The names that stand for none of these tests."""
        ids = list(node_ids)
        return [n for n in self.names if not any(Selection((n,)).item(i) for i in ids)]


def split_arguments(args: Sequence[str], here: Path, suite: Suite) -> tuple[list[str], Selection]:
    """Tell the vendor's arguments from those that name suite tests, by node id or by path.

    Raises :class:`pytest.UsageError` for a suite file that does not exist.
    """
    files = {suite.node_id(f): f for f in suite.files()}
    theirs, ours = [], []
    for arg in args:
        file, separator, rest = arg.partition("::")
        name = _suite_name(file, here, suite)
        if name is None or (name not in files and (here / file).exists() and not _within(here / file, suite)):
            theirs.append(arg)
        elif name == PREFIX or name in files:
            ours.append(name + separator + rest)
        else:
            known = "\n  ".join(files)
            raise pytest.UsageError(f"{arg}: the suite has no such file; it has\n  {known}")
    return theirs, Selection(tuple(ours))


def _suite_name(file: str, here: Path, suite: Suite) -> str | None:
    if file.rstrip("/") == PREFIX:
        return PREFIX
    if file.startswith(f"{PREFIX}/"):
        return file
    path = here / file
    if path.exists() and _within(path, suite):
        return PREFIX if path.samefile(suite.directory) else f"{PREFIX}/{path.name}"
    return None


def _within(path: Path, suite: Suite) -> bool:
    return path.resolve().is_relative_to(suite.directory.resolve())


class SuiteDirectory(pytest.Directory):
    """The suite's folder, under the node id ``cronsession``."""

    suite: Suite
    catalog: Catalog
    tier: str
    selection: Selection

    def collect(self) -> Iterator[SuiteModule]:
        for file in self.suite.files():
            node_id = self.suite.node_id(file)
            if self.selection.file(node_id):
                yield SuiteModule.from_parent(self, path=file, name=file.name, nodeid=node_id)


class SuiteModule(pytest.Module):
    """A suite file. It obeys none of the vendor's naming rules, and its functions are its only tests."""

    parent: SuiteDirectory

    def _getobj(self) -> object:
        # The module's real name, not one that depends on the vendor's import mode.
        return importlib.import_module(f"{self.parent.suite.package}.{self.path.stem}")

    def funcnamefilter(self, name: str) -> bool:
        return name.startswith("test_")

    def classnamefilter(self, name: str) -> bool:
        return False

    def collect(self) -> Iterator[pytest.Item]:
        for item in super().collect():
            if isinstance(item, pytest.Item) and self._prepared(item):
                yield item

    def _prepared(self, item: pytest.Item) -> bool:
        """Name the item by its requirements; False if it is not part of this run."""
        directory = self.parent
        ids = requirement_ids(item)
        if not ids:
            raise self.CollectError(f"{item.nodeid}: names no requirement")
        if unknown := [i for i in ids if i not in directory.catalog]:
            raise self.CollectError(f"{item.nodeid}: unknown requirement {unknown[0]}")
        if not any(in_tier(directory.catalog[i], directory.tier) for i in ids):
            return False
        own = item.get_closest_marker(TIER)
        if own is not None and TIERS.index(own.args[0]) > TIERS.index(directory.tier):
            return False
        item.extra_keyword_matches.update(ids)
        # Where the file lies on this machine is of no use to the reader.
        item.location = (self.nodeid, item.location[1], item.location[2])
        return directory.selection.item(item.nodeid)


def is_suite_item(node: pytest.Item | pytest.Collector) -> bool:
    """Whether the item is a test of the suite."""
    return isinstance(node.parent, SuiteModule)


def requirement_ids(item: pytest.Item) -> list[str]:
    """The requirements an item judges, in the order they are given."""
    ids = [str(i) for mark in reversed(list(item.iter_markers(REQUIREMENT))) for i in mark.args]
    return list(dict.fromkeys(ids))


def case_of(node_id: str) -> str:
    """A suite node id without its prefix: how a case is called in results."""
    return node_id.removeprefix(f"{PREFIX}/")


def collect(
    session: pytest.Session, suite: Suite, catalog: Catalog, tier: str, selection: Selection
) -> list[pytest.Item]:
    """The suite's items of a tier in the order they are to run: what crashes gateways comes last."""
    items = list(session.genitems(_directory(session, suite, catalog, tier, selection)))
    return sorted(items, key=lambda item: item.get_closest_marker(LAST) is not None)


def plan(session: pytest.Session, suite: Suite, catalog: Catalog, tier: str) -> dict[str, list[str]]:
    """The requirements of each of the suite's tests of a tier, by node id, whatever this run selects.

    No hook of a collection is called: under xdist the process that judges collects nothing itself.
    """
    files = _directory(session, suite, catalog, tier, Selection()).collect()
    return {item.nodeid: requirement_ids(item) for file in files for item in file.collect()}


def _directory(
    session: pytest.Session, suite: Suite, catalog: Catalog, tier: str, selection: Selection
) -> SuiteDirectory:
    directory = SuiteDirectory.from_parent(session, path=suite.directory, name=PREFIX, nodeid=PREFIX)
    directory.suite, directory.catalog = suite, catalog
    directory.tier, directory.selection = tier, selection
    return directory
