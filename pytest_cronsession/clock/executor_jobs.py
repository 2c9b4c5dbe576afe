"""What the jobs of executors are doing, for a loop whose clock waits for them."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol


class Poked(Protocol):
    """A loop that can be made to look again."""

    def poke(self) -> None: ...


class Job:
    """One job of an executor: stands in for the executor at submission, then knows whether it is over."""

    def __init__(self, loop: Poked, executor: Any, name: str) -> None:
        self._loop, self._executor, self._name = loop, executor, name
        self.threads: list[int] = []
        self._work: concurrent.futures.Future[Any] | None = None
        self.wanted: asyncio.Future[Any] | None = None

    def submit(self, func: Any, *args: Any) -> concurrent.futures.Future[Any]:
        if isinstance(self._executor, ThreadPoolExecutor):
            self._work = self._executor.submit(self._begin, func, args)
        else:
            self._work = self._executor.submit(func, *args)
        assert self._work is not None
        self._work.add_done_callback(lambda _: self._loop.poke())
        return self._work

    def _begin(self, func: Any, args: Any) -> Any:
        self.threads.append(threading.get_ident())
        return self._run(func, args)

    def _run(self, func: Any, args: Any) -> Any:
        # A frame of its own: freezegun gives real time to callers within five frames of the module threading.
        return func(*args)

    @property
    def done(self) -> bool:
        """Whether the work is over *and* the loop has heard of it (a cancelled job may work on)."""
        heard = self.wanted is not None and self.wanted.done()
        return heard and self._work is not None and self._work.done()

    def __str__(self) -> str:
        return f"a job of an executor: {self._name}"


def name_of(func: Any) -> str:
    """What a job is called; of ``asyncio.to_thread`` the function that was given."""
    while isinstance(func, functools.partial):
        in_context = getattr(func.func, "__name__", "") == "run" and func.args and callable(func.args[0])
        func = func.args[0] if in_context else func.func
    return str(getattr(func, "__qualname__", None) or repr(func))
