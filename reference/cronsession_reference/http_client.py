"""As much HTTP/1.1 as a chat-completion request needs: one request a connection, cancellable."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

_LIMIT = 64 * 1024 * 1024


class HttpError(RuntimeError):
    """The exchange failed; ``status`` is the answer's, if there was one, and ``code`` its error code."""

    def __init__(self, message: str, status: int | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


async def request_json(
    method: str, url: str, *, token: str = "", body: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Send ``body`` and answer the JSON object that comes back. Raises :class:`HttpError`.

    Cancelling the task closes the connection, which tells the server to stop.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise HttpError(f"not an http address: {url!r}")
    secure = parts.scheme == "https"
    try:
        reader, writer = await asyncio.open_connection(
            parts.hostname, parts.port or (443 if secure else 80), ssl=secure or None, limit=_LIMIT
        )
    except OSError as err:
        raise HttpError(f"cannot reach {parts.netloc}: {err}") from None
    try:
        writer.write(_head_and_body(method, parts.path or "/", parts.query, parts.netloc, token, body))
        status, payload = await _answer(reader)
    except (OSError, EOFError, ValueError) as err:
        raise HttpError(f"{parts.netloc} broke off: {err or type(err).__name__}") from None
    finally:
        writer.close()
    if status >= 400:
        text = payload[:200].decode(errors="replace")
        raise HttpError(f"{parts.netloc} answered {status}: {text}", status, _error_code(payload))
    try:
        data = json.loads(payload)
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise HttpError(
            f"{parts.netloc} answered no JSON object: {payload[:200].decode(errors='replace')}", status
        )
    return data


def _error_code(payload: bytes) -> str | None:
    """The ``error.code`` of an OpenAI-compatible answer."""
    try:
        code = json.loads(payload)["error"]["code"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return code if isinstance(code, str) else None


def _head_and_body(
    method: str, path: str, query: str, host: str, token: str, body: Mapping[str, Any] | None
) -> bytes:
    content = b"" if body is None else json.dumps(body).encode()
    lines = [
        f"{method} {path}{'?' + query if query else ''} HTTP/1.1",
        f"Host: {host}",
        "Accept: application/json",
        "Connection: close",
        f"Content-Length: {len(content)}",
    ]
    if content:
        lines.append("Content-Type: application/json")
    if token:
        lines.append(f"Authorization: Bearer {token}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + content


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    status = 100
    headers: dict[str, str] = {}
    while status < 200:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        status = int(head[0].split(" ", 2)[1])
        fields = (line.partition(":") for line in head[1:] if line)
        headers = {name.strip().lower(): value.strip() for name, _, value in fields}
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return status, await _chunks(reader)
    if "content-length" in headers:
        return status, await reader.readexactly(int(headers["content-length"]))
    return status, await reader.read(-1)


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    data = b""
    while size := int((await reader.readline()).split(b";")[0], 16):
        data += await reader.readexactly(size)
        await reader.readline()
    return data
