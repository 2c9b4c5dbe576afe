"""One running gateway: its process and the connection to it, ended together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from ...clock.node_clock import NodeClock
from ...outcomes import TargetError
from .config import Launch, free_port, prepare, remove_shared_leftovers
from .device import Device
from .package import TESTED_VERSIONS, Package
from .process import ProcessGroup
from .rpc import Login, RpcClient, RpcError, RpcGone, connect
from .timeline import LATE_MS, REAL_BELOW_MS, Model, Timeline
from .versions import dialect_for

Json = dict[str, Any]

BOOT_S, STOP_S, CALL_S, REPAIR_S, MOMENT_S = 150.0, 20.0, 25.0, 30.0, 2.0
_POLL_S = 0.25
_PAGE = 200
_PORTS = 3


class Instance:
    """A gateway that was let in to. Made by :func:`boot`, on the event loop that uses it."""

    def __init__(
        self, package: Package, launch: Launch, process: ProcessGroup, clock: NodeClock, model: Model
    ) -> None:
        self.package = package
        self.launch = launch
        self._process = process
        self._clock = clock
        self._started_ms = clock.now_ms
        self._rpc: RpcClient | None = None
        self._model = model
        self.time = Timeline(clock, process, model, self.jobs)
        self._dialect = dialect_for(package.version)
        device = Device.new() if self._dialect.signed else None
        self._login = Login(self._dialect.protocol, launch.token, device)

    async def connect(self) -> None:
        """Wait until requests are answered; raise :class:`TargetError` when they will not be."""
        limit = time.monotonic() + BOOT_S
        try:
            self._rpc = await connect(self.launch.port, self._login, self._check, BOOT_S)
            await self._rpc.call("cron.status", {}, max(1.0, limit - time.monotonic()))
        except (RpcError, RpcGone) as error:
            message = f"OpenClaw {self.package.version} is not ready: {error}"
            raise self.broken("gateway/start", message) from error
        self._fits(self._rpc)
        await self._repaired()

    def _fits(self, rpc: RpcClient) -> None:
        """Refuse a version that does not know the requests to come, before a test sees half an answer."""
        missing = sorted(self._dialect.methods - rpc.methods) if rpc.methods else []
        if missing:
            message = f"OpenClaw {self.package.version} does not know {', '.join(missing)}"
            raise self.broken("gateway/start", f"{message}; tested are {' and '.join(TESTED_VERSIONS)}")

    async def _repaired(self) -> None:
        """Wait for the scheduler to take up its jobs: it starts some seconds after requests are let in.

        Until then a job that a crash interrupted still says that it is running. One that goes on saying so
        is left to the suite.
        """
        limit, moved = time.monotonic() + REPAIR_S, False
        while time.monotonic() < limit and not self._model.open:
            running = [job.get("state", {}).get("runningAtMs") for job in await self.jobs("gateway/start")]
            if not any(at is not None and at <= self._started_ms for at in running):
                return
            await asyncio.sleep(_POLL_S)
            if not moved and time.monotonic() > limit - REPAIR_S + MOMENT_S:
                # It waits by the clock, which stands.
                moved = True
                await self.time.advance(self._started_ms + LATE_MS)

    def _check(self, operation: str = "gateway/start") -> None:
        if self._process.exit_code is not None:
            raise self.broken(operation, f"OpenClaw {self.package.version} is not there")

    def log_tail(self) -> str:
        """The end of what the gateway printed."""
        return self._process.tail()

    def broken(self, operation: str, message: str) -> TargetError:
        """The error for an operation that failed, with how the process ended and its last words."""
        code = self._process.exit_code
        ended = "" if code is None else f"; the process ended with {_exit(code)}"
        return TargetError(operation, message + ended, log=self.log_tail())

    # --- ending ----------------------------------------------------------------------------------------

    async def stop(self) -> None:
        """Stop in good order; what still runs after ``STOP_S`` is killed, as a supervisor would.

        OpenClaw waits minutes for a run in flight.
        """
        await self._hang_up()
        await self._process.stop(STOP_S)
        self._clock.close()
        remove_shared_leftovers(self.launch)

    async def kill(self) -> None:
        """Kill the process group at once."""
        self._process.kill()
        self._clock.close()
        await self._hang_up()
        remove_shared_leftovers(self.launch)

    async def _hang_up(self) -> None:
        if self._rpc is not None:
            await self._rpc.close()

    # --- asking ----------------------------------------------------------------------------------------

    async def ask(self, operation: str, method: str, params: Json) -> Json:
        """A request whose refusal the caller may understand: :class:`RpcError` comes through."""
        assert self._rpc is not None
        return await self._asked(self._rpc, operation, method, params)

    async def ask_apart(self, operation: str, method: str, params: Json) -> Json:
        """As :meth:`ask`, on a connection of its own, as each ``openclaw cron`` command makes one.

        OpenClaw allows 30 writes of a kind (``cron.add``, ``cron.run``, ...) a minute on one connection.
        """
        try:
            rpc = await connect(self.launch.port, self._login, lambda: self._check(operation), CALL_S)
        except (RpcGone, RpcError) as error:
            raise self.broken(operation, str(error)) from error
        try:
            return await self._asked(rpc, operation, method, params)
        finally:
            await rpc.close()

    async def must(self, operation: str, method: str, params: Json) -> Json:
        """A request that has to succeed."""
        try:
            return await self.ask(operation, method, params)
        except RpcError as error:
            raise self.broken(operation, str(error)) from error

    async def pages(self, operation: str, method: str, params: Json, member: str) -> list[Json]:
        """All of a list that comes in pages."""
        found: list[Json] = []
        while True:
            page = await self.must(operation, method, {**params, "limit": _PAGE, "offset": len(found)})
            found += page[member]
            if not page.get("hasMore") or not page[member]:
                return found

    async def jobs(self, operation: str) -> list[Json]:
        """All jobs as OpenClaw shows them, disabled ones and its own included."""
        wanted = {"includeDisabled": True, **self._dialect.listing}
        return await self.pages(operation, "cron.list", wanted, "jobs")

    async def _asked(self, rpc: RpcClient, operation: str, method: str, params: Json) -> Json:
        try:
            return await rpc.call(method, params, CALL_S)
        except RpcGone as error:
            # Let the process end, so that the message can say how.
            await asyncio.sleep(0.1)
            raise self.broken(operation, str(error)) from error


async def boot(package: Package, params: Mapping[str, Any]) -> Instance:
    """Start a gateway on the state folder of ``gateway/start`` and wait until it answers.

    Raises :class:`TargetError` with the end of its output, and leaves nothing running.
    """
    for left in reversed(range(_PORTS)):
        try:
            launch = prepare(package, params, free_port())
            clock = _clock(params)
        except OSError as error:
            raise TargetError("gateway/start", f"OpenClaw cannot be started: {error}") from error
        try:
            env = {**launch.env, **clock.env(launch.env)}
            process = ProcessGroup(launch.argv, env, launch.workspace, launch.console_log)
        except OSError as error:
            clock.close()
            raise TargetError("gateway/start", f"OpenClaw cannot be started: {error}") from error
        clock.watch(partial(_exit_code, process))
        instance = Instance(package, launch, process, clock, params["model"])
        try:
            await instance.connect()
            return instance
        except BaseException as error:
            await instance.kill()
            # Between looking for a free port and using it, another program may have taken it.
            if not left or not isinstance(error, TargetError) or not _port_taken(error.log):
                raise
    raise AssertionError("unreachable")


def _exit_code(process: ProcessGroup) -> int | None:
    return process.exit_code


def _clock(params: Mapping[str, Any]) -> NodeClock:
    """A clock that stands at ``nowMs``: the gateway boots by its short timers, in no time."""
    model: Model = params["model"]
    return NodeClock(
        params["nowMs"],
        mode="frozen",
        real_below_ms=REAL_BELOW_MS,
        settled=lambda: model.open == model.held,
        whats_open=lambda: f"{model.open - model.held} open model turn(s)",
    )


def _port_taken(log: str) -> bool:
    return "EADDRINUSE" in log or "already in use" in log.lower()


def _exit(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"code {code}"
