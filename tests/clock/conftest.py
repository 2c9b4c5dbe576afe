"""Node processes and their clocks, ended with the test whatever happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pytest_cronsession.clock.node_clock import NodeClock

from .tiny_node import START, Node, Tiny


@pytest.fixture
def make_clock() -> Iterator[Callable[..., NodeClock]]:
    """Clocks by the arguments of :class:`NodeClock`; the start has a default."""
    made: list[NodeClock] = []

    def make(start_ms: int | None = START, **options: Any) -> NodeClock:
        made.append(NodeClock(start_ms, **{"timeout_s": 30.0, **options}))
        return made[-1]

    yield make
    for clock in made:
        clock.close()


@pytest.fixture
def run_node() -> Iterator[Callable[..., Node]]:
    """``run_node(clock, *arguments)``: a Node process on a clock."""
    made: list[Node] = []

    def run(*args: Any, **options: Any) -> Node:
        made.append(Node(*args, **options))
        return made[-1]

    yield run
    for node in made:
        node.end()


@pytest.fixture
def serve() -> Iterator[Callable[..., Tiny]]:
    """``serve(clock, file)``: a tiny server on a clock, ready."""
    made: list[Tiny] = []

    def run(*args: Any, **options: Any) -> Tiny:
        made.append(Tiny(*args, **options))
        return made[-1]

    yield run
    for node in made:
        node.end()
