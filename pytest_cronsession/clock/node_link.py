"""The unix socket that Node processes under the preload connect to, and one connection each."""

from __future__ import annotations

import contextlib
import hmac
import json
import secrets
import selectors
import shutil
import socket
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Json = dict[str, Any]

LONGEST_PATH = 100  # of a unix socket: 107 bytes on Linux, 103 on macOS
LONGEST_LINE = 4 * 1024 * 1024
SEND_S = 5.0


class Peer:
    """One Node process or worker thread that has said who it is."""

    def __init__(self, sock: socket.socket, hello: Mapping[str, Any]) -> None:
        self.sock = sock
        self.role = str(hello.get("role"))
        self.key = f"{hello.get('pid')}:{hello.get('thread')}"
        self.exit_code: int | None = None  # as it said itself, on its way out

    @property
    def name(self) -> str:
        """For messages: ``gateway process 4711``, ``worker thread 4711:2``."""
        pid, _, thread = self.key.partition(":")
        if self.role == "worker":
            return f"worker thread {thread} of process {pid}"
        return f"{'gateway' if self.role == 'main' else self.role} process {pid}"

    def send(self, message: Json) -> None:
        """Write one message; a peer that has gone is noticed when it is read from."""
        with contextlib.suppress(OSError):
            self.sock.sendall(json.dumps(message).encode() + b"\n")


class Link:
    """Listens until :meth:`close`; without threads, so connections are taken in by :meth:`poll` only."""

    def __init__(self) -> None:
        self.token = secrets.token_hex(16)
        self._folder = _short_folder()
        self.path = self._folder / "s"
        self._buffers: dict[socket.socket, bytes] = {}
        self._peers: dict[socket.socket, Peer] = {}
        self._selector = selectors.DefaultSelector()
        self._listener = socket.socket(socket.AF_UNIX)
        try:
            self._listener.bind(str(self.path))
            self._listener.listen(128)
            self._listener.setblocking(False)
            self._selector.register(self._listener, selectors.EVENT_READ)
        except BaseException:
            self.close()
            raise

    @property
    def closed(self) -> bool:
        return self._listener.fileno() < 0

    @property
    def peers(self) -> list[Peer]:
        """Who is connected and known, in the order of coming."""
        return list(self._peers.values())

    def poll(self, timeout_s: float) -> list[tuple[Peer, Json]]:
        """Messages that have come, waiting up to ``timeout_s`` for the first.

        A new peer appears with its ``{"event": "hello"}``, one that has gone with ``{"event": "gone"}``.
        """
        found: list[tuple[Peer, Json]] = []
        ready = self._selector.select(max(0.0, timeout_s))
        while ready and not found:
            for key, _ in ready:
                assert isinstance(key.fileobj, socket.socket)
                if key.fileobj is self._listener:
                    self._accept()
                else:
                    found += self._read(key.fileobj)
            # A new connection, or half a message, is nothing yet; the rest of it may be there.
            ready = [] if found else self._selector.select(0)
        return found

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                sock, _ = self._listener.accept()
                sock.settimeout(SEND_S)
                self._buffers[sock] = b""
                self._selector.register(sock, selectors.EVENT_READ)

    def _read(self, sock: socket.socket) -> list[tuple[Peer, Json]]:
        try:
            data = sock.recv(65536)
        except OSError:
            data = b""
        buffered = self._buffers[sock] + data
        *lines, rest = buffered.split(b"\n")
        self._buffers[sock] = rest
        found: list[tuple[Peer, Json]] = []
        fine = bool(data) and len(rest) < LONGEST_LINE
        for line in lines:
            message = _parsed(line)
            if message is None or not self._take(sock, message, found):
                fine = False
                break
        if not fine:
            peer = self._peers.get(sock)
            if peer is not None:
                found.append((peer, {"event": "gone"}))
            self._drop(sock)
        return found

    def _take(self, sock: socket.socket, message: Json, found: list[tuple[Peer, Json]]) -> bool:
        """Add a message to ``found``; False: the sender is none of ours."""
        peer = self._peers.get(sock)
        if peer is None:
            token = str(message.get("token")).encode()
            if message.get("event") != "hello" or not hmac.compare_digest(token, self.token.encode()):
                return False
            peer = self._peers[sock] = Peer(sock, message)
        elif message.get("event") == "bye":
            code = message.get("code")
            peer.exit_code = code if isinstance(code, int) else None
        found.append((peer, message))
        return True

    def drop(self, peer: Peer) -> None:
        """End the connection; the process goes on with real time."""
        self._drop(peer.sock)

    def _drop(self, sock: socket.socket) -> None:
        self._peers.pop(sock, None)
        if self._buffers.pop(sock, None) is not None:
            self._selector.unregister(sock)
        sock.close()

    def close(self) -> None:
        """No socket, file or descriptor is left; safe to call twice."""
        for sock in list(self._buffers):
            self._drop(sock)
        self._listener.close()
        self._selector.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def _parsed(line: bytes) -> Json | None:
    try:
        message = json.loads(line)
    except ValueError:
        return None
    return message if isinstance(message, dict) else None


def _short_folder() -> Path:
    """A private folder whose path leaves room for a socket's name."""
    folder = Path(tempfile.mkdtemp(prefix="cs-clock-"))
    if len(str(folder).encode()) + 2 <= LONGEST_PATH:
        return folder
    folder.rmdir()
    return Path(tempfile.mkdtemp(prefix="cs-clock-", dir="/tmp"))
