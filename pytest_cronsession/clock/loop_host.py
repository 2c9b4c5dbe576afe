"""An asyncio gateway on a virtual loop in a thread of its own: what an adapter in Python holds.

The adapter's methods run on the suite's loop; the gateway lives here, where nothing knows that time is virtual.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Collection, Coroutine
from typing import Any, TypeVar

from .holds import KINDS
from .virtual_loop import VirtualLoop

T = TypeVar("T")


class LoopHost:
    """Runs coroutines of a gateway that uses ``asyncio.sleep`` and ``datetime.now``, and moves its time.

    ``wall`` names the back end that patches the wall clock (None: it stays real); ``settled`` is asked before time
    moves on, for what the loop cannot see; ``timeout_s`` is the real time that a settled advance may take. A host
    that is closed has ended its tasks, its thread and its loop. Raises :class:`ValueError` for the back end.
    """

    def __init__(
        self,
        start_ms: int,
        *,
        wall: str | None = "time-machine",
        settled: Callable[[], bool] | None = None,
        timeout_s: float = 60.0,
        held_by: Collection[str] = KINDS,
    ) -> None:
        self.loop = VirtualLoop(start_ms, wall=wall, until_ms=start_ms, settled=settled, held_by=held_by)
        self._timeout_s = timeout_s
        self._thread = threading.Thread(target=self._serve, name="cronsession virtual loop", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
        finally:
            asyncio.set_event_loop(None)

    @property
    def now_ms(self) -> int:
        """The gateway's present instant."""
        return self.loop.now_ms

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Await a coroutine of the gateway, on its loop, from any other."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self.loop))

    async def call(self, function: Callable[..., T | Awaitable[T]], *args: Any) -> T:
        """Call a function of the gateway on its loop; plain or ``async``."""

        async def there() -> Any:
            result = function(*args)
            return await result if isinstance(result, Awaitable) else result

        result: T = await self.run(there())
        return result

    async def advance(self, to_ms: int) -> int:
        """Fire everything due up to ``to_ms`` in order; returns it, settled.

        Raises :class:`~.timeline.NeverQuiet` naming what kept it busy.
        """
        arrival = asyncio.wrap_future(self.loop.advance_soon(to_ms))
        try:
            return await asyncio.wait_for(asyncio.shield(arrival), self._timeout_s)
        except TimeoutError:
            arrival.cancel()
            raise self.loop.never_quiet(self._timeout_s) from None

    async def jump(self, to_ms: int) -> int:
        """It is suddenly ``to_ms``; returns it, settled."""
        self.loop.jump_to(to_ms)
        return await self.advance(to_ms)

    def close(self) -> None:
        """Cancel what runs, end the thread, give the wall clock back; safe to call twice."""
        if self.loop.is_closed():
            return
        self.loop.call_soon_threadsafe(self._wind_down)
        self._thread.join(timeout=5)
        if self._thread.is_alive():
            raise RuntimeError(f"the gateway blocks its loop: {self.loop.never_quiet(5)}")
        self.loop.close()

    def _wind_down(self) -> None:
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        rest = asyncio.gather(*tasks, return_exceptions=True)
        rest.add_done_callback(lambda _: self.loop.stop())
