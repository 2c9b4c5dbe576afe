"""What stands behind the fixtures: leasing worlds to the suite, and reference gateways to anybody's tests."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from . import results, state
from .budget import Budget
from .clock import VirtualClock, epoch_ms
from .clock.wall import start_backend
from .collection import is_suite_item, requirement_ids
from .contract import OPERATIONS, method_name
from .driver import Driver
from .effort import Effort
from .model import Script
from .model_server import ModelServer
from .outcomes import Result, TargetError
from .targets import parse_target, resolve_target
from .worlds import START_MS, Pool, World

_POOL = pytest.StashKey[Pool]()
# Worlds of their own for each test: slower, and the verdicts must be the same (a test shows it).
SEPARATE = "CRONSESSION_WORLDS"
_OPERATION_OF = {method_name(operation): operation for operation in OPERATIONS}


def driver_for(request: pytest.FixtureRequest) -> Iterator[Driver]:
    """A driver: of the target in the suite, of a reference gateway in anybody's test."""
    if is_suite_item(request.node):
        yield from _suite_driver(request.node)
    else:
        world: World = request.getfixturevalue("cronsession_gateway").world
        yield Driver(world)


def _suite_driver(item: pytest.Item) -> Iterator[Driver]:
    run = state.of(item.config)
    assert run is not None
    pool = _pool(item.config, run)
    ids = requirement_ids(item)
    start = _argument(item, "cronsession_start")
    last = item.get_closest_marker("cronsession_last") is not None
    config = _argument_map(item, "cronsession_config")
    if "agents" in pool.hello.capabilities:
        config = {"agents": ["main", "work"], **config}
    world = pool.lease(
        config,
        _argument(item, "cronsession_host") or "UTC",
        start_ms=START_MS if start is None else epoch_ms(start),
        fresh=(last or start is not None) and not run.target.costly,
    )
    begun, mark, quiet = world.now, world.script.mark(), False
    driver = Driver(
        world,
        requirement=ids[0],
        on_witness=lambda i, n: results.witness(item, i, n),
        on_result=lambda i, outcome, message: results.record(item, Result(i, "", outcome, message=message)),
        known={*run.known.entries, *run.failed},
        budget=Budget(run.budget_s, lambda i, done, of: results.left_out(item, i, done, of)),
        effort=Effort(run.options.tier, run.options.seed),
    )
    try:
        yield driver
        quiet = _reusable(driver, costly=run.costly) and driver.clean()
        if driver.has("job.remove") and world.script.haunted(mark) and not run.costly:
            # What is removed goes on: test by test there would be more of it, and in a month of virtual time hours.
            quiet = False
            pool.stop_sharing()
    finally:
        if world.healthy and not pool.hello.realtime:
            results.elapsed(item, world.now - begun)
        pool.give_back(world, reusable=quiet and (start is None or run.target.costly))


def _reusable(driver: Driver, *, costly: bool) -> bool:
    """Whether the next test may have this world: nothing crashed, nothing is under way, nothing went wrong.

    A gateway that broke a requirement may be in any state, so the next test gets a new one; but a costly one takes
    seconds to boot and keeps its own house, and is kept.
    """
    if not driver.world.healthy or driver.model.open_turns():
        return False
    return costly or not (driver.worn or driver.failed)


def _pool(config: pytest.Config, run: state.State) -> Pool:
    pool = config.stash.get(_POOL, None)
    if pool is None:
        share = os.environ.get(SEPARATE, "shared") != "separate"
        pool = config.stash[_POOL] = Pool(run.target, share=share, hello=run.hello)
        config.add_cleanup(pool.close)
    return pool


def _argument(item: pytest.Item, marker: str) -> Any:
    found = item.get_closest_marker(marker)
    return found.args[0] if found else None


def _argument_map(item: pytest.Item, marker: str) -> dict[str, Any]:
    found = item.get_closest_marker(marker)
    return dict(found.kwargs) if found else {}


def _refuse(what: str) -> NoReturn:
    """A mistake in somebody's test, told without a traceback through our own code."""
    pytest.fail(what, pytrace=False)


def clock_for(request: pytest.FixtureRequest) -> Iterator[VirtualClock]:
    """A virtual clock, with the wall clock following it where the marker names a back end."""
    options = _argument_map(request.node, "cronsession_clock")
    unknown = set(options) - {"start", "backend"}
    if unknown:
        _refuse(f"marker cronsession_clock takes start and backend, not {', '.join(sorted(unknown))}")
    try:
        clock = VirtualClock(options.get("start", START_MS))
    except (TypeError, ValueError) as error:
        _refuse(f"marker cronsession_clock: {error}")
    backend = options.get("backend")
    if backend is None:
        yield clock
        return
    try:
        wall = start_backend(backend, clock.now_ms)
    except ValueError as error:
        _refuse(f"marker cronsession_clock: {error}")
    try:
        clock.listen(wall.move_to)
        yield clock
    finally:
        wall.stop()


class GatewayHandle:
    """A running reference gateway: the contract's methods as coroutines, :meth:`call` for plain tests.

    ``await gateway.job_add({...})`` works on any event loop; the gateway lives on one of its own.
    """

    def __init__(self, world: World) -> None:
        self.world = world

    @property
    def state_dir(self) -> Path:
        """The folder with the store and the transcripts; gone after the test."""
        return self.world.state_dir

    @property
    def model(self) -> Script:
        """The script of the model that the gateway's runs talk to."""
        return self.world.script

    def call(self, operation: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """One operation of the contract, such as ``job/add``; raises :class:`TargetError`."""
        given = params or {}
        if operation in ("clock/advance", "clock/jump"):
            move = self.world.advance if operation == "clock/advance" else self.world.jump
            move(given["toMs"])
            return {"nowMs": self.world.now}
        return self.world.call(operation, given)

    def __getattr__(self, name: str) -> Callable[..., Awaitable[dict[str, Any]]]:
        operation = _OPERATION_OF.get(name)
        if operation is None:
            raise AttributeError(f"no operation of the contract is called {name!r}")

        async def call(params: dict[str, Any] | None = None) -> dict[str, Any]:
            return await asyncio.to_thread(self.call, operation, params)

        return call


def gateway_for(request: pytest.FixtureRequest) -> Iterator[GatewayHandle]:
    """A started reference gateway on ``cronsession_clock``."""
    clock: VirtualClock = request.getfixturevalue("cronsession_clock")
    target = resolve_target(parse_target("reference"), cache=Path())
    config = _argument_map(request.node, "cronsession_config")
    try:
        world = World(target, config, start_ms=clock.now_ms)
    except (ValueError, TargetError) as error:
        _refuse(f"marker cronsession_config: {error}")
    world.on_time = clock.set
    clock.attach(world)
    try:
        yield GatewayHandle(world)
    finally:
        clock.detach(world)
        world.close()


def model_for(request: pytest.FixtureRequest) -> Iterator[ModelServer]:
    """A scripted model server on loopback, for tests of anything that talks to a model."""
    server = ModelServer(Script())
    try:
        yield server
    finally:
        server.close()
