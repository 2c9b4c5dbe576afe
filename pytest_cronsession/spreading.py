"""Which xdist worker gets which tests of a costly target: those of one world go to one worker.

A worker keeps one gateway at a time; given tests in the order of the files, it would boot one again and
again. Imported only where xdist is.
"""

from __future__ import annotations

import importlib
from collections import OrderedDict
from functools import cache
from typing import Any

import pytest
from xdist.scheduler.loadscope import LoadScopeScheduling

from .collection import PREFIX, Suite

_WORLD = ("cronsession_config", "cronsession_host", "cronsession_start")


# Seconds that a test of a file takes on a gateway whose runs take two and whose boot takes ten, in proportion.
_WEIGHTS = {
    "life": 20,
    "whole": 20,
    "store": 9,
    "durability": 9,
    "downtime": 9,
    "maintenance": 8,
    "reaper": 4,
}
_USUAL_WEIGHT = 2


class HeaviestFirst(OrderedDict[str, dict[str, bool]]):
    """Scopes and their tests: what takes long is begun first, so that the workers end together.

    But those that ask for worlds of their own come before all others, for which a worker then boots once.
    """

    def popitem(self, last: bool = True) -> tuple[str, dict[str, bool]]:
        scope = max(self, key=lambda scope: (_asks(scope), _weight(scope, len(self[scope]))))
        return scope, self.pop(scope)


def _asks(scope: str) -> bool:
    """Whether :func:`world_of` had more to say about its world than the file."""
    return bool(scope.partition(".py ")[2])


def _weight(scope: str, tests: int) -> int:
    name = scope.partition(".py")[0].rpartition("/test_")[2]
    return tests * _WEIGHTS.get(name, _USUAL_WEIGHT)


class ByWorld(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Hands out the tests of a world together; anybody else's test is on its own."""

    def __init__(self, config: pytest.Config, log: Any, suite: Suite) -> None:
        super().__init__(config, log)
        self._suite = suite
        self.workqueue = HeaviestFirst()

    def _split_scope(self, nodeid: str) -> str:
        return world_of(nodeid, self._suite) or nodeid


@cache
def world_of(node_id: str, suite: Suite) -> str | None:
    """What a suite test asks of its world, in words; None for anybody else's test.

    The file is part of it, or one worker would get nearly all. The process that spreads tests has not collected
    them, so the function's own marks are read.
    """
    file, _, name = node_id.partition("::")
    if not file.startswith(f"{PREFIX}/"):
        return None
    module = importlib.import_module(f"{suite.package}.{file.removeprefix(f'{PREFIX}/').removesuffix('.py')}")
    function = getattr(module, name.partition("[")[0], None)
    marks = getattr(function, "pytestmark", [])
    asked = sorted(repr((m.name, m.args, sorted(m.kwargs.items()))) for m in marks if m.name in _WORLD)
    return f"{file} {' '.join(asked)}"
