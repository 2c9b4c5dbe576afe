"""OpenClaw's WebSocket protocol as a client that owns the shared token."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as _open
from websockets.exceptions import WebSocketException

from ... import __version__
from .device import Device

_SCOPES = ["operator.read", "operator.write", "operator.admin"]
_POLL_S = 0.25
_CLOSE_S = 2.0
_HELLO_S = 15.0


class RpcError(Exception):
    """The gateway answered a request with an error."""

    def __init__(self, method: str, error: dict[str, Any]) -> None:
        self.code = str(error.get("code", "UNKNOWN"))
        self.message = str(error.get("message", "no message"))
        details = error.get("details")
        self.detail_code = str(details.get("code", "")) if isinstance(details, dict) else ""
        self.retryable = error.get("retryable") is True
        self.retry_after_s = max(0.0, float(error.get("retryAfterMs") or 0) / 1000)
        super().__init__(f"{method}: {self.code}: {self.message}")


class RpcGone(Exception):
    """No answer: the connection is gone, or the time is up."""


@dataclass(frozen=True)
class Login:
    """How to be let in: the protocol's version, the shared token, and a device where one is asked for."""

    protocol: int
    token: str = field(repr=False)
    device: Device | None = None


class RpcClient:
    """One connection. Must be made on the event loop that uses it."""

    def __init__(
        self, ws: ClientConnection, pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._ws = ws
        self._pause = pause
        self._ids = itertools.count(1)
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self.methods: frozenset[str] = frozenset()
        """The requests that the gateway says it knows, once it let us in; empty if it does not say."""
        self._closed: str | None = None
        self._challenge: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._reader = asyncio.create_task(self._read())

    async def call(self, method: str, params: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        """Ask, and ask again while the gateway says *later*; raise :class:`RpcError` or :class:`RpcGone`."""
        limit = time.monotonic() + timeout_s
        while True:
            try:
                return await self._once(method, params, limit - time.monotonic())
            except RpcError as error:
                pause = error.retry_after_s or 2 * _POLL_S
                if not error.retryable or time.monotonic() + pause >= limit:
                    raise
            await self._pause(pause)

    async def _once(self, method: str, params: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        if self._closed is not None:
            raise RpcGone(f"{method}: the connection is gone ({self._closed})")
        key = str(next(self._ids))
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[key] = answer
        request = json.dumps({"type": "req", "id": key, "method": method, "params": params})
        try:
            async with asyncio.timeout(max(0.001, timeout_s)):
                await self._ws.send(request)
                frame = await answer
        except TimeoutError:
            raise RpcGone(f"{method}: no answer within {timeout_s:.0f} s") from None
        except (WebSocketException, OSError) as error:
            raise RpcGone(f"{method}: the connection is gone ({error})") from error
        finally:
            self._waiting.pop(key, None)
        if not frame.get("ok"):
            raise RpcError(method, frame.get("error") or {})
        payload = frame.get("payload")
        return payload if isinstance(payload, dict) else {}

    async def _read(self) -> None:
        """Hand answers to those who wait. Events but the first are not needed, and must be read."""
        reason = "closed"
        try:
            async for message in self._ws:
                frame = json.loads(message)
                if frame.get("event") == "connect.challenge" and not self._challenge.done():
                    self._challenge.set_result(frame.get("payload") or {})
                waiting = self._waiting.get(str(frame.get("id"))) if frame.get("type") == "res" else None
                if waiting is not None and not waiting.done():
                    waiting.set_result(frame)
            reason = f"closed by the gateway: {self._ws.close_code} {self._ws.close_reason}"
        except (WebSocketException, OSError, ValueError) as error:
            reason = str(error)
        finally:
            self._closed = reason
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(RpcGone(f"the connection is gone ({reason})"))

    async def hello(self, login: Login) -> None:
        """The first request of a connection."""
        params: dict[str, Any] = {
            "minProtocol": login.protocol,
            "maxProtocol": login.protocol,
            "client": {
                "id": "gateway-client",
                "version": __version__,
                "platform": "python",
                "mode": "backend",
            },
            "role": "operator",
            "scopes": _SCOPES,
            "auth": {"token": login.token},
        }
        if login.device is not None:
            params["device"] = login.device.block(params, await self._challenged())
        said = await self._once("connect", params, _HELLO_S)
        self.methods = frozenset((said.get("features") or {}).get("methods") or ())

    async def _challenged(self) -> dict[str, Any]:
        done, _ = await asyncio.wait(
            (self._challenge, self._reader), timeout=_HELLO_S, return_when=asyncio.FIRST_COMPLETED
        )
        if self._challenge not in done:
            raise RpcGone(f"no challenge to sign ({self._closed or f'within {_HELLO_S:g} s'})")
        challenge = self._challenge.result()
        lacking = [name for name in ("nonce", "ts") if name not in challenge]
        if lacking:
            message = f"its challenge cannot be signed: it lacks {' and '.join(lacking)}"
            raise RpcError("connect", {"code": "CHALLENGE", "message": message})
        return challenge

    async def close(self) -> None:
        """Close, without waiting long for a gateway that does not answer."""
        with contextlib.suppress(TimeoutError, WebSocketException, OSError):
            async with asyncio.timeout(_CLOSE_S):
                await self._ws.close()
        self._reader.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reader


async def connect(port: int, login: Login, check: Callable[[], None], timeout_s: float) -> RpcClient:
    """A connection that is let in; a gateway that still starts is asked again.

    ``check`` is called before each attempt, and raises when trying has become useless. Raises
    :class:`RpcError` for a refusal that will not change, :class:`RpcGone` when the time is up.
    """
    limit = time.monotonic() + timeout_s
    last: Exception = TimeoutError("never tried")
    while time.monotonic() < limit:
        check()
        try:
            return await _attempt(port, login)
        except RpcError as error:
            if not error.retryable and error.code != "UNAVAILABLE":
                raise
            last = error
        except (RpcGone, WebSocketException, OSError) as error:
            last = error
        await asyncio.sleep(_POLL_S)
    raise RpcGone(f"not let in within {timeout_s:.0f} s ({last})")


async def _attempt(port: int, login: Login) -> RpcClient:
    # With a socket of our own the library looks for no proxy.
    sock = socket.create_connection(("127.0.0.1", port), timeout=5)
    sock.setblocking(False)
    try:
        ws = await _open(f"ws://127.0.0.1:{port}", sock=sock, max_size=None, ping_interval=None)
    except BaseException:
        sock.close()
        raise
    client = RpcClient(ws)
    try:
        await client.hello(login)
    except BaseException:
        await client.close()
        raise
    return client
