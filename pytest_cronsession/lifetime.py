"""The world's time and fate in a test's hands: advance, jump, stop, crash, come back, and wait for the end of things."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from .contract import Hello, Session
from .model import Script
from .outcomes import TargetError, UnsupportedOperation
from .trace import instant
from .verdicts import Verdicts
from .wishes import delta_ms
from .worlds import Disk, World

WAIT_S = 120.0


class Lifetime(Verdicts):
    """A driver's hold on its world. ``worn`` says that it crashed or restarted: it is not for the next test."""

    def __init__(self, world: World, requirement: str, on_witness: Callable[[str, int], None]) -> None:
        super().__init__(world.hello, requirement, on_witness)
        self.world = world
        self.worn = False

    @property
    def hello(self) -> Hello:
        return self.world.hello

    @property
    def model(self) -> Script:
        return self.world.script

    @property
    def now(self) -> int:
        return self.world.now

    @property
    def trouble(self) -> TargetError | None:
        """The error after which the gateway could not be relied on any more, if there was one."""
        caller = self.world.caller
        return None if caller is None else caller.dead

    def disk(self) -> Disk:
        return self.world.disk()

    def settle(self, ended: Callable[[], bool]) -> None:
        """Let what was started come to its end: by the virtual clock, or by waiting in real time."""
        if not self.hello.realtime:
            self.trace.note(self.now, "", "settle")
            with self._needed():
                self.world.advance(self.now)
            return
        limit = time.monotonic() + WAIT_S
        while not ended():
            if time.monotonic() > limit:
                raise TargetError("run", f"a run did not end within {WAIT_S:g} s of real time")
            self.model.wait_for(lambda: False, timeout=0.25)

    def advance(self, **delta: float) -> None:
        """Let virtual time pass: ``advance(hours=1)``."""
        self.advance_to(self.now + delta_ms(delta))

    def advance_to(self, instant_ms: int) -> None:
        """Let virtual time pass up to and including an instant; none passes if that is over."""
        instant_ms = max(instant_ms, self.now)
        self.trace.note(self.now, f"advance to {instant(instant_ms)}", "advance", toMs=instant_ms)
        with self._needed():
            self.world.advance(instant_ms)

    def jump(self, **delta: float) -> None:
        """The wall clock is suddenly later, as after a suspended laptop: ``jump(minutes=65)``."""
        to_ms = self.now + delta_ms(delta)
        self.trace.note(self.now, f"jump to {instant(to_ms)}", "jump", toMs=to_ms)
        with self._needed():
            self.world.jump(to_ms)

    def stop(self) -> None:
        self.worn = True
        self.trace.note(self.now, "stop", "stop")
        with self._needed():
            self.world.stop()

    def start(
        self, after: Mapping[str, float] | None = None, config: Mapping[str, Any] | None = None
    ) -> None:
        """Start the stopped gateway, ``after`` some virtual time: ``start({"hours": 1})``.

        With ``config`` these members of the configuration are changed.
        """
        self.world.pass_time(self.now + delta_ms(after or {}))
        params: dict[str, Any] = {"toMs": self.now}
        if config is not None:
            params["config"] = self.world.config = {**self.world.config, **config}
        self.trace.note(self.now, "start" + (f" with {config}" if config else ""), "start", **params)
        self.world.start()

    def restart(self, config: Mapping[str, Any] | None = None) -> None:
        """Stop in good order and start again on the same folder, where given with these members changed."""
        self.stop()
        self.start(config=config)

    def seed(self, rows: Sequence[Mapping[str, Any]]) -> list[Session]:
        """Put aged rows into the store of the stopped gateway; the rows as they are to be listed."""
        with self._needed():
            answer = self.world.seed(rows)
        self.trace.call(self.now, "store/seed", {"rows": list(rows)}, answer)
        return [Session.parse(row) for row in answer["sessions"]]

    def join(self, *, alias: bool = False) -> None:
        """Start a second instance on the same folder, by a symbolic link to it where ``alias``."""
        self.worn = True
        self.trace.note(self.now, "a second instance" + (" by a link" if alias else ""), "join", alias=alias)
        with self._needed():
            self.world.join(alias=alias)

    def part(self) -> None:
        """End the second instance."""
        self.trace.note(self.now, "end the second instance", "part")
        self.world.part()

    def ask_second(self, operation: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """One operation of the second instance."""
        assert self.world.second is not None
        told = f"the second instance: {operation}"
        self.trace.note(self.now, told, "second", operation=operation, params=params or {})
        with self._needed():
            return self.world.second.call(operation, params)

    def be_down(self, **delta: float) -> None:
        """Stop in good order, let time pass, and start again on the same folder."""
        self.stop()
        self.start(delta)

    def crash(self) -> None:
        """Kill the gateway and start a new instance on the same folder."""
        self.go_down()
        self.come_back()

    def go_down(self) -> None:
        """Kill the gateway; :meth:`come_back` starts a new instance."""
        self.worn = True
        self.trace.note(self.now, "crash", "crash")
        self.world.crash()

    def come_back(self, after: Mapping[str, float] | None = None) -> None:
        """Start a new instance, ``after`` some virtual time: ``come_back({"hours": 1})``."""
        self.world.pass_time(self.now + delta_ms(after or {}))
        self.trace.note(self.now, "start again", "reopen", toMs=self.now)
        self.world.reopen()

    def _call(self, operation: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        with self._needed():
            answer = self.world.call(operation, params)
        self.trace.call(self.now, operation, params or {}, answer)
        return answer

    @contextmanager
    def _needed(self) -> Iterator[None]:
        """Declared, then refused, is a failure of the gateway and not of the run."""
        try:
            yield
        except UnsupportedOperation as error:
            self.fail(
                f"{error.operation} is needed by a declared capability and was refused: {error.message}"
            )
