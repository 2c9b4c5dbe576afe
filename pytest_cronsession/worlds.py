"""A world: one gateway on one state folder with one model. And the pool that lets tests share worlds.

The world owns everything a test must not leave behind: the instance, the folder, the model server.
"""

from __future__ import annotations

import atexit
import json
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from . import __version__
from .catalog import specs_dir
from .channel import Caller
from .contract import PROTOCOL, SPEC_REVISION, Hello
from .model import InProcessModel, Script
from .model_server import ModelServer
from .outcomes import NotApplicable, TargetError, TargetTimeout, TargetUsageError
from .targets import Target

# A Monday away from clock changes. Not on a full minute: whether a slot at the very instant of a write counts
# is a question with several right answers.
START_MS = int(datetime(2026, 3, 2, 8, 0, 7, tzinfo=UTC).timestamp() * 1000)
# A target that cannot be started any more would cost each test of the suite a whole time-out.
PATIENCE = 3
# Not a weak set: a world that nobody holds any more still has a folder, a server and a gateway to end.
_OPEN: set[World] = set()


def _initialize(caller: Caller) -> Hello:
    params = {
        "protocol": PROTOCOL,
        "specRevision": SPEC_REVISION,
        "suite": f"pytest-cronsession {__version__}",
    }
    answer = caller.call("initialize", params)
    try:
        return Hello.parse(answer)
    except ValueError as error:
        raise TargetError("initialize", str(error)) from error


def probe(target: Target) -> Hello:
    """Open the target, shake hands, close it again. Raises :class:`TargetUsageError` with what went wrong."""
    try:
        channel = target.open()
    except TargetError as error:
        raise TargetUsageError(f"target {target.spec_text!r} could not be started: {error}") from error
    try:
        return _initialize(Caller(channel, target.timeouts))
    except TargetError as error:
        raise TargetUsageError(
            f"target {target.spec_text!r} does not speak the contract: {error}\n"
            f"see {specs_dir() / 'protocol.md'}, section initialize"
        ) from error
    finally:
        channel.close()


@dataclass(frozen=True)
class Disk:
    """Regular files below the state folder."""

    files: int
    bytes: int


class World:
    """A started gateway. ``config`` is the contract's; instants are epoch milliseconds."""

    def __init__(
        self,
        target: Target,
        config: Mapping[str, Any] | None = None,
        *,
        host_zone: str = "UTC",
        start_ms: int = START_MS,
        prefix: str = "w",
    ) -> None:
        self.target, self.config, self.host_zone = target, dict(config or {}), host_zone
        self._now = start_ms
        self.state_dir = Path(tempfile.mkdtemp(prefix="cronsession-"))
        self.script = Script(prefix)
        self.server = ModelServer(self.script)
        self.caller: Caller | None = None
        self.second: Caller | None = None
        self.running = False
        self.on_time: Callable[[int], None] = lambda now_ms: None
        _OPEN.add(self)
        try:
            self._connect()
            self.start()
        except BaseException:
            self.close()
            raise

    def _connect(self) -> None:
        self.caller = Caller(self.target.open(), self.target.timeouts)
        self.hello = _initialize(self.caller)

    @property
    def now(self) -> int:
        """The gateway's clock; for a realtime gateway, this machine's."""
        return int(time.time() * 1000) if self.hello.realtime else self._now

    @property
    def healthy(self) -> bool:
        return self.running and self.caller is not None and self.caller.dead is None

    def call(self, operation: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """One operation, checked both ways; raises :class:`TargetError`."""
        assert self.caller is not None
        self.script.now_ms = self.now
        return self.caller.call(operation, params)

    def seed(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """``store/seed`` on this world's folder; raises :class:`TargetError`."""
        return self.call("store/seed", {"stateDir": str(self.state_dir), "rows": list(rows)})

    def together(self, calls: Sequence[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
        """Several operations, all sent before the first is answered; raises :class:`TargetError`."""
        assert self.caller is not None
        self.script.now_ms = self.now
        return self.caller.together(calls)

    def send(self, operation: str, params: dict[str, Any]) -> None:
        """Send a request whose answer nobody waits for."""
        assert self.caller is not None
        self.script.now_ms = self.now
        self.caller.start(operation, params)

    def attempt(self, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        """One operation with a request that is wrong; raises :class:`RefusedRequest` if it is refused.

        Of ``gateway/start`` only what is wrong need be given.
        """
        assert self.caller is not None
        self.script.now_ms = self.now
        begins = operation == "gateway/start"
        answer = self.caller.attempt(operation, {**self.start_params(), **params} if begins else params)
        self.running = self.running or begins
        return answer

    def start_params(self, folder: Path | None = None) -> dict[str, Any]:
        """What ``gateway/start`` is given for this world's folder, at its present instant."""
        return {
            "nowMs": self.now,
            "stateDir": str(folder or self.state_dir),
            "modelUrl": self.server.url,
            "token": secrets.token_hex(16),
            "hostZone": self.host_zone,
            "config": self.config,
            "model": InProcessModel(self.script),
        }

    def start(self) -> None:
        """``gateway/start``; raises :class:`TargetError`."""
        self.call("gateway/start", self.start_params())
        self.running = True

    def join(self, *, alias: bool = False) -> None:
        """Start a second instance on this folder, ``alias``: by a symbolic link to it. Both clocks move together."""
        folder = self.state_dir
        if alias:
            folder = folder.with_name(f"{folder.name}-alias")
            folder.symlink_to(self.state_dir, target_is_directory=True)
        self.second = Caller(self.target.open(), self.target.timeouts)
        _initialize(self.second)
        self.second.call("gateway/start", self.start_params(folder))

    def part(self) -> None:
        """End the second instance."""
        if self.second is not None:
            self.second.channel.close()
            self.second = None
        self.state_dir.with_name(f"{self.state_dir.name}-alias").unlink(missing_ok=True)

    def stop(self) -> None:
        self.running = False
        self.call("gateway/stop")

    def crash(self) -> None:
        """Kill the instance; the world is down until :meth:`reopen`."""
        assert self.caller is not None
        self.running = False
        self.caller.channel.kill()

    def reopen(self) -> None:
        """A new instance on the same folder, after :meth:`crash`."""
        self._connect()
        self.start()

    def pass_time(self, to_ms: int) -> None:
        """Let time pass while the gateway is down."""
        assert not self.running
        self._now = max(self._now, to_ms)

    def advance(self, to_ms: int) -> None:
        """``clock/advance``, stopping at every scripted release on the way."""
        for instant in [*self.script.releases(self._now, to_ms), to_ms]:
            self._move("clock/advance", instant)
            self.script.release_due(instant)
        # A turn released at the very end still has to be taken in.
        self._move("clock/advance", to_ms)

    def jump(self, to_ms: int) -> None:
        self._move("clock/jump", to_ms)
        self.script.release_due(to_ms)
        self._move("clock/advance", to_ms)

    def _move(self, operation: str, to_ms: int) -> None:
        beside = None if self.second is None else self.second.start(operation, {"toMs": to_ms})
        answer = self.call(operation, {"toMs": to_ms})
        if beside is not None:
            beside.result()
        off = abs(answer["nowMs"] - to_ms)
        if off > max(self.hello.resolution_ms, self.hello.lateness_ms):
            assert self.caller is not None
            # Nobody knows what time it is there any more.
            self.caller.dead = TargetError(operation, f"asked for {to_ms}, the clock says {answer['nowMs']}")
            raise self.caller.dead
        self._now = to_ms
        self.on_time(to_ms)

    def disk(self) -> Disk:
        """What lies in the state folder now: the measure for bounds, whatever the gateway says."""
        sizes = []
        for path in self.state_dir.rglob("*"):
            try:
                if path.is_file() and not path.is_symlink():
                    sizes.append(path.stat().st_size)
            except OSError:
                continue
        return Disk(len(sizes), sum(sizes))

    def close(self) -> None:
        """End the instance and remove the folder; safe to call twice."""
        self.running = False
        self.script.release_all()
        self.part()
        if self.caller is not None:
            # Nobody looks at what it leaves, so a gateway that takes seconds to stop in good order is killed.
            (self.caller.channel.kill if self.target.costly else self.caller.channel.close)()
            self.caller = None
            self.server.close()
        elif self in _OPEN:
            self.server.close()
        _OPEN.discard(self)
        shutil.rmtree(self.state_dir, ignore_errors=True)


@atexit.register
def _close_leftovers() -> None:
    for world in list(_OPEN):
        world.close()


class Pool:
    """Worlds shared between tests of equal config, one pool per process.

    A test that crashes, restarts or fails leaves its world unfit: the next one gets a new world. Not so where
    the target is costly: there every world that is up and quiet is used again.
    """

    def __init__(self, target: Target, *, share: bool = True, hello: Hello | None = None) -> None:
        self.target, self.share = target, share
        self._idle: dict[str, World] = {}
        self._hello = hello
        self._count = 0
        self._late: list[TargetTimeout] = []

    @property
    def hello(self) -> Hello:
        """The declaration, from a first handshake that is kept."""
        if self._hello is None:
            self._hello = probe(self.target)
        return self._hello

    def lease(
        self, config: Mapping[str, Any], host_zone: str, *, fresh: bool, start_ms: int = START_MS
    ) -> World:
        """An idle world of this config, or a new one."""
        key = self._key(config, host_zone)
        world = None if fresh else self._idle.pop(key, None)
        if world is not None and world.now > start_ms > START_MS:
            world.close()  # it is later there, and a clock only goes forward
            world = None
        if world is None:
            # Real gateways cost seconds and hundreds of megabytes: never two idle ones at once.
            if self.target.costly or self.hello.realtime:
                self.close()
            self._count += 1
            world = self._new(config, host_zone, start_ms)
        elif world.now < start_ms:
            world.advance(start_ms)
        return world

    def _new(self, config: Mapping[str, Any], host_zone: str, start_ms: int) -> World:
        if len(self._late) >= PATIENCE:
            last = self._late[-1]
            message = f"not tried again after {PATIENCE} time-outs in a row; the last one: {last.message}"
            raise TargetError(last.operation, message, log=last.log)
        try:
            world = World(
                self.target, config, host_zone=host_zone, start_ms=start_ms, prefix=f"w{self._count}"
            )
        except TargetTimeout as error:
            self._late.append(error)
            raise
        self._late.clear()
        return world

    def give_back(self, world: World, *, reusable: bool) -> None:
        if reusable and self.share and world.healthy:
            key = self._key(world.config, world.host_zone)
            # An equal one may have come back meanwhile, where this one was asked for fresh.
            spare, self._idle[key] = self._idle.get(key), world
        else:
            spare = world
        if spare is not None:
            spare.close()

    def stop_sharing(self) -> None:
        """From now on every test has a world of its own: what one leaves behind would not leave the next alone."""
        self.share = False
        self.close()

    def close(self) -> None:
        while self._idle:
            self._idle.popitem()[1].close()

    @staticmethod
    def _key(config: Mapping[str, Any], host_zone: str) -> str:
        return json.dumps([config, host_zone], sort_keys=True)


def missing_capabilities(hello: Hello, needed: frozenset[str]) -> None:
    """Raise :class:`NotApplicable` naming what the gateway does not declare."""
    missing = sorted(needed - hello.capabilities)
    if missing:
        raise NotApplicable(f"the gateway does not declare {', '.join(missing)}")
