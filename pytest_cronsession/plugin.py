"""The pytest plugin: options, markers, fixtures. Everything else is imported when a target is given."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from . import options

MARKERS = (
    "cronsession_requirement(*ids): the requirements a test of the conformance suite judges",
    "cronsession_tier(name): the smallest tier of which a test of the conformance suite is a part",
    "cronsession_last: a test of the conformance suite that crashes or restarts gateways, and so runs last",
    "cronsession_start(instant): where the gateway's clock starts in a test of the conformance suite",
    "cronsession_host(zone): the host's zone in a test of the conformance suite",
    "cronsession_config(**config): the gateway's configuration for this test (schemas/config.schema.json)",
    "cronsession_clock(start=..., backend=...): where cronsession_clock starts, and how it moves time",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    options.declare(parser)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    chosen = options.read(config)
    if chosen is not None:
        _take_part(config, chosen)


def _take_part(config: pytest.Config, chosen: options.Options) -> None:
    from . import state as states
    from .running import Runner
    from .termination import interrupt_on_sigterm

    state = states.resolve(config, chosen)
    interrupt_on_sigterm(config)
    runner = Runner(state)
    config.pluginmanager.register(runner, "cronsession-runner")
    # xdist's workers run tests; the process the user started judges.
    worker: dict[str, Any] | None = getattr(config, "workerinput", None)
    if worker is None:
        from .judging import Judge

        config.pluginmanager.register(Judge(config, state, runner), "cronsession-judge")
    elif "cronsession_hello" in worker:
        state.hello = states.from_wire(worker["cronsession_hello"])


@pytest.fixture
def cronsession_driver(request: pytest.FixtureRequest) -> Iterator[Any]:
    """The gateway under test, for tests of the conformance suite."""
    from . import fixtures

    yield from fixtures.driver_for(request)


@pytest.fixture
def cronsession_clock(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A clock that moves only when the test says so; see the marker of the same name."""
    from . import fixtures

    yield from fixtures.clock_for(request)


@pytest.fixture
def cronsession_gateway(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A started reference gateway, ready to use; configure it with the marker cronsession_config."""
    from . import fixtures

    yield from fixtures.gateway_for(request)


@pytest.fixture
def cronsession_model(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A scripted model server on loopback."""
    from . import fixtures

    yield from fixtures.model_for(request)
