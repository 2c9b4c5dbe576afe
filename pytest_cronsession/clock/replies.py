"""Which outgoing connections still wait for a reply: while one does, a virtual clock must not move on.

The answer comes from another thread or process in real time, so a loop that waits for it looks idle. Every
connection that this process opened is watched: from the first byte written until the reply is complete (HTTP/1) or
has begun (anything else, plus a moment for the rest of it).
"""

from __future__ import annotations

import itertools
import re
import socket
import time
import weakref
from collections.abc import Callable
from typing import Any

LINGER_S = 0.02  # real seconds after the last byte of a reply whose end cannot be seen
_REQUEST = re.compile(rb"(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) \S+ HTTP/1\.[01]\r\n")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[^\r]*chunked", re.IGNORECASE)
_CLOSE = re.compile(rb"^[^\r]* HTTP/1\.0\r|\r\nconnection:[ \t]*close", re.IGNORECASE)
_EVENTS = re.compile(rb"\r\ncontent-type:[ \t]*text/event-stream", re.IGNORECASE)
_MOST = 65_536  # a longer head is not one
_FIRST = 4096  # so much of a request is looked at
_numbers = itertools.count(1)


def real_now() -> float:
    """Real seconds on a monotonic clock that neither freezegun nor time-machine patches."""
    return time.clock_gettime(time.CLOCK_MONOTONIC)


class Reply:
    """What one outgoing connection waits for. Fed with the bytes that go out and come in."""

    def __init__(self, peer: str) -> None:
        self.peer = peer
        self.awaiting = False
        self._number = 0
        self._last = 0.0
        self._method = b""
        self._head: bytes | None = None  # the head of an HTTP reply as far as it has come
        self._left: int | None = None  # bytes of the body to come; None: until the last chunk, or the end
        self._tail = b""
        self._closes = False  # its reader may wait for the end of the connection

    def sent(self, data: bytes) -> None:
        """Bytes went out: a reply is awaited from now on."""
        if self.awaiting:
            return
        request = _REQUEST.match(data)
        self._method = request.group(1) if request else b""
        self._head = b"" if request else None
        self._closes = bool(request and _CLOSE.search(data))
        self.awaiting, self._number = True, next(_numbers)

    def received(self, data: bytes) -> None:
        """Bytes came in; none: the peer closed."""
        if not data:
            self.awaiting = False
            return
        if not self.awaiting or self._head is None:
            self.awaiting, self._last = False, real_now()
        elif not self._head.endswith(b"\r\n\r\n"):
            self._take_head(data)
        else:
            self._take_body(data)

    @property
    def busy(self) -> bool:
        """Whether the clock has to wait for this connection."""
        return self.awaiting or real_now() - self._last < LINGER_S

    def __str__(self) -> str:
        return f"reply {self._number} from {self.peer}"

    def _take_head(self, data: bytes) -> None:
        assert self._head is not None
        head, end, body = (self._head + data).partition(b"\r\n\r\n")
        self._head = head + end
        if not end:
            if len(head) > _MOST:
                self._finish(seen=False)
            return
        status = head[9:12]
        if status[:1] == b"1" and status != b"101":
            self._head = b""  # an interim reply: the real one follows
            if body:
                self._take_head(body)
            return
        length = _LENGTH.search(head)
        if self._method == b"HEAD" or status in (b"204", b"304"):
            self._finish()
        elif status == b"101" or (_EVENTS.search(head) and self._method == b"GET"):
            self._finish(seen=False)  # from here on it is a stream without an end
        else:
            chunked = _CHUNKED.search(head) is not None
            self._left = int(length.group(1)) if length and not chunked else None
            self._tail = b"\r\n" if chunked else b""
            self._take_body(body)

    def _take_body(self, data: bytes) -> None:
        if self._left is not None:
            self._left -= len(data)
            if self._left <= 0:
                self._finish()
        elif self._tail:
            self._tail = (self._tail + data)[-7:]
            if self._tail.endswith(b"\r\n0\r\n\r\n"):
                self._finish()

    def _finish(self, *, seen: bool = True) -> None:
        if self._closes:
            self._left, self._tail = None, b""
            return
        self.awaiting, self._head = False, None
        self._last = 0.0 if seen else real_now()


_WATCHED: weakref.WeakKeyDictionary[socket.socket, Reply] = weakref.WeakKeyDictionary()


class _WatchedSocket(socket.socket):
    """The same socket with ears. Instances are made by changing the class of a plain one."""

    __slots__ = ()

    def send(self, data: Any, flags: int = 0) -> int:
        count = super().send(data, flags)
        _WATCHED[self].sent(bytes(data[:_FIRST]))
        return count

    def sendall(self, data: Any, flags: int = 0) -> None:
        _WATCHED[self].sent(bytes(data[:_FIRST]))
        super().sendall(data, flags)

    def sendmsg(self, buffers: Any, *more: Any) -> int:
        parts = list(buffers)
        count = super().sendmsg(parts, *more)
        _WATCHED[self].sent(b"".join(bytes(part) for part in parts)[:_FIRST])
        return count

    def recv(self, size: int, flags: int = 0) -> bytes:
        data = super().recv(size, flags)
        if not flags:
            _WATCHED[self].received(data)
        return data

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        count = super().recv_into(buffer, nbytes, flags)
        if not flags:
            _WATCHED[self].received(bytes(memoryview(buffer).cast("B")[:count]))
        return count


def awaited() -> list[str]:
    """Everything that connections of this process, made by watched calls, wait for."""
    return [str(reply) for sock, reply in list(_WATCHED.items()) if sock.fileno() >= 0 and reply.busy]


def watch(sock: socket.socket, note: Callable[[socket.socket, Reply], None] | None = None) -> Reply | None:
    """Watch a connected socket; None for one of a class of its own (TLS, a test's double)."""
    if type(sock) is not socket.socket:
        return None
    try:
        peer = sock.getpeername()
    except OSError:
        return None
    name = f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else str(peer or "a unix socket")
    reply = _WATCHED[sock] = Reply(name)
    sock.__class__ = _WatchedSocket
    if note is not None:
        note(sock, reply)
    return reply
