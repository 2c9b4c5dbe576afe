"""Gateways in this process that misbehave on purpose: ``python:tests.hostile.gateways:MODE__job_add``."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import cronsession_reference as reference

FOREVER_S = 3600


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even its name")


class Unheard(BaseException):
    """No Exception, so that a careless ``except`` lets it through."""


def blocks(params: Any) -> Any:
    time.sleep(20)  # longer than its time-out, and not so long that the run cannot end


async def never(params: Any) -> Any:
    await asyncio.Event().wait()


async def will_not_go(params: Any) -> Any:
    while True:
        try:
            await asyncio.sleep(FOREVER_S)
        except asyncio.CancelledError:
            break
    raise Unheard


def leaves(params: Any) -> Any:
    sys.exit(3)


def interrupts(params: Any) -> Any:
    raise KeyboardInterrupt


def unspeakable(params: Any) -> Any:
    raise Unspeakable


def unheard(params: Any) -> Any:
    raise Unheard


def bottomless(params: Any) -> Any:
    return bottomless(params)


async def cancels_itself(params: Any) -> Any:
    raise asyncio.CancelledError


def text(params: Any) -> Any:
    return "fine"


def no_json(params: Any) -> Any:
    return {"nowMs": object(), "job": {1, 2}, "jobs": {"a"}}


def circle(params: Any) -> Any:
    answer: dict[str, Any] = {}
    answer["jobs"] = [answer]
    answer["job"] = answer
    return answer


def stops_the_loop(params: Any) -> Any:
    asyncio.get_running_loop().stop()
    raise Unheard


def other_time(params: Any) -> Any:
    return {"nowMs": params["toMs"] + 3_600_000}


def starts_threads(params: Any) -> Any:
    for _ in range(20):
        threading.Thread(target=time.sleep, args=(FOREVER_S,), daemon=True).start()
    raise RuntimeError("twenty threads and no answer")


MODES: dict[str, Callable[[Any], Any]] = {
    f.__name__: f
    for f in (
        *(blocks, never, will_not_go, leaves, interrupts, unspeakable, unheard, bottomless, cancels_itself),
        *(text, no_json, circle, stops_the_loop, other_time, starts_threads),
    )
}


def __getattr__(name: str) -> Callable[[], Any]:
    mode, _, method = name.partition("__")
    if mode not in MODES or not method:
        raise AttributeError(name)

    def gateway() -> Any:
        made = reference.Gateway()
        setattr(made, method, MODES[mode])
        return made

    return gateway
