"""The contract on standard input and output: newline-delimited JSON-RPC 2.0 around any gateway object."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

from .errors import Refused

log = logging.getLogger(__name__)

PARSE_ERROR, INVALID_REQUEST, UNKNOWN_METHOD, INVALID_PARAMS, FAILED = -32700, -32600, -32601, -32602, -32000
GRACE_S = 1.0
"""How long requests under way may still take when the input has ended, in seconds."""

_METHOD = re.compile(r"initialize|[a-z]+/[a-z]+")
_IN_PROCESS_ONLY = ("gateway/abandon",)


def serve_stdio(gateway: object) -> None:
    """Serve ``gateway`` until the input ends. Nothing but answers goes to standard output.

    Whatever else writes there, ``print`` included, is led to standard error.
    """
    sys.stdout.flush()
    answers = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    try:
        asyncio.run(_Server(gateway, answers).run())
    finally:
        os.close(answers)


class _Server:
    def __init__(self, gateway: object, answers: int) -> None:
        self._gateway = gateway
        self._answers = answers
        self._lines: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        stop_at_sigterm(self._lines.put_nowait)
        threading.Thread(target=_read_lines, args=(loop, self._lines.put_nowait), daemon=True).start()
        try:
            while (line := await self._lines.get()) is not None:
                if line.strip():
                    # A task each: requests overlap, and begin in the order they came.
                    task = loop.create_task(self._handle(line))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=GRACE_S)
        finally:
            await self._shut_down()

    async def _shut_down(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(Exception):  # it need not be started
            await _call(self._gateway, "gateway_stop", {})

    async def _handle(self, line: bytes) -> None:
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            self._answer(None, error=(PARSE_ERROR, "not JSON"))
            return
        problem = _problem(message)
        request_id = message.get("id") if isinstance(message, dict) else None
        if problem:
            known = request_id if isinstance(request_id, (int, str)) else None
            self._answer(known, error=(INVALID_REQUEST, problem))
            return
        result, error = await self._result(message["method"], message.get("params", {}))
        if "id" in message:
            self._answer(request_id, result=result, error=error)

    async def _result(self, method: str, params: dict[str, Any]) -> tuple[Any, tuple[int, str] | None]:
        name = method.replace("/", "_")
        known = _METHOD.fullmatch(method) and method not in _IN_PROCESS_ONLY
        if not known or not callable(getattr(self._gateway, name, None)):
            return None, (UNKNOWN_METHOD, f"there is no operation {method!r}")
        try:
            return await _call(self._gateway, name, params), None
        except (Refused, ValueError, KeyError, TypeError) as err:
            log.info("%s failed", method, exc_info=True)
            return None, (INVALID_PARAMS, f"{method}: {type(err).__name__}: {err}")
        except Exception as err:
            log.exception("%s failed", method)
            return None, (FAILED, f"{method}: {type(err).__name__}: {err}")

    def _answer(self, request_id: Any, *, result: Any = None, error: tuple[int, str] | None = None) -> None:
        message: dict[str, Any] = {"jsonrpc": "2.0", "id": request_id}
        if error is None:
            message["result"] = result
        else:
            message["error"] = {"code": error[0], "message": error[1]}
        data = json.dumps(message).encode() + b"\n"
        with contextlib.suppress(BrokenPipeError):
            while data:
                data = data[os.write(self._answers, data) :]


def _problem(message: object) -> str:
    if not isinstance(message, dict):
        return "a request is one JSON object"
    if message.get("jsonrpc") != "2.0":
        return 'jsonrpc must be "2.0"'
    if not isinstance(message.get("method"), str):
        return "method must be a string"
    if not isinstance(message.get("params", {}), dict):
        return "params must be an object"
    if isinstance(message.get("id", 0), bool) or not isinstance(message.get("id", 0), (int, str)):
        return "id must be an integer or a string"
    return ""


async def _call(gateway: object, name: str, params: dict[str, Any]) -> Any:
    result = getattr(gateway, name)(params)
    return await result if inspect.isawaitable(result) else result


def _read_lines(loop: asyncio.AbstractEventLoop, put: Callable[[bytes | None], None]) -> None:
    """Runs in a thread: standard input may be a pipe, a file or a terminal. None is its end."""

    def deliver(line: bytes | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is interested any more
            loop.call_soon_threadsafe(put, line)

    rest = b""
    while True:
        try:
            data = os.read(0, 65536)
        except OSError:
            data = b""
        if not data:
            break
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            deliver(line)
    if rest:
        deliver(rest)
    deliver(None)


def stop_at_sigterm(stop: Callable[[None], None]) -> None:
    """Treat a polite kill as the end, where the platform can."""
    with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop, None)
