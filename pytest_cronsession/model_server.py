"""The scripted model as a real OpenAI-compatible server on loopback."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import TimeoutError as NotYet
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from .model import Script, Turn, error_of, reply_text, response_of


class ModelServer:
    """Serves a :class:`Script` at ``url`` (ends in ``/v1``) until :meth:`close`."""

    def __init__(self, script: Script) -> None:
        self.script = script
        handler = type("Handler", (_Handler,), {"script": script})
        self._server = _Server(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def close(self) -> None:
        self.script.release_all()
        self._server.closing = True
        # It waits for a connection, so it gets one: ``shutdown`` would wait for the end of a polling interval.
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self._server.server_port), timeout=1).close()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # A hanging turn keeps its thread until the client goes; waiting for it here would hang us too.
    block_on_close = False
    # With the default of 5, a burst of connections costs some of them a second: they would start late.
    request_queue_size = 128
    closing = False

    def serve(self) -> None:
        while not self.closing:
            self.handle_request()

    def verify_request(self, request: Any, client_address: Any) -> bool:
        return not self.closing

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is ordinary here (a run timed out, a gateway was killed)."""


class _Handler(BaseHTTPRequestHandler):
    script: Script
    protocol_version = "HTTP/1.1"
    # Headers and body go out one after the other; on a kept connection the body would wait for an ACK.
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet: the record of turns is the log."""

    def do_GET(self) -> None:
        path = self.path.split("?")[0].rstrip("/")
        if path.endswith("/models"):
            self._json(200, {"object": "list", "data": [{"id": "cronsession", "object": "model"}]})
        elif path.endswith("/cronsession/turns"):
            self._json(200, {"open": self.script.open_turns(), "held": self.script.held_turns()})
        else:
            self._json(404, {"error": {"message": f"no such path: {path}"}})

    def do_POST(self) -> None:
        try:
            body = self._body()
        except ValueError:
            self.close_connection = True  # nobody knows where the next request would begin
            self._json(400, {"error": {"message": "the length of the body cannot be told"}})
            return
        try:
            request = json.loads(body or b"{}")
        except ValueError:
            request = None
        if not isinstance(request, dict):
            self._json(400, {"error": {"message": "the body is not a JSON object"}})
            return
        if not self.path.split("?")[0].rstrip("/").endswith("/chat/completions"):
            self._json(404, {"error": {"message": f"no such path: {self.path}"}})
            return
        self._answer(request)

    def _body(self) -> bytes:
        """The request's body, in one piece or in chunks; raises :class:`ValueError` for a length that is none."""
        if "chunked" not in self.headers.get("transfer-encoding", "").lower():
            return self.rfile.read(_length(self.headers.get("content-length") or "0", 10))
        pieces = []
        while size := _length(self.rfile.readline(100).decode("latin-1").split(";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline(100)
        while self.rfile.readline(65536).strip():
            pass  # trailers
        return b"".join(pieces)

    def _answer(self, request: dict[str, Any]) -> None:
        turn = self.script.begin(request)
        turn.alive = lambda: _connected(self.connection)
        state = "aborted"
        begun = bool(request.get("stream")) and turn.state == "held"
        try:
            if begun:
                # As a model that thinks long does it: clients give up, or ask again, when not even the head comes.
                self._begin_stream()
            if not self._wait(turn):
                self.close_connection = True
                return
            failure = error_of(turn)
            # Finished before the last byte is out: who has read the answer must not find the turn open.
            state = "failed" if failure else "answered"
            self.script.finish(turn, state)
            if failure:  # never of a held turn
                body = {"error": {"message": str(failure), "type": "scripted", "code": failure.status}}
                self._json(failure.status, body)
            elif request.get("stream"):
                options = request.get("stream_options")
                if not begun:
                    self._begin_stream()
                self._stream(turn, isinstance(options, dict) and bool(options.get("include_usage")))
            else:
                self._json(200, response_of(turn))
        finally:
            if state == "aborted":
                self.script.finish(turn, state)

    def _wait(self, turn: Turn) -> bool:
        """Wait for a held turn's release; False when the client went away first."""
        while turn.state == "held":
            try:
                turn.released.result(timeout=0.05)
            except NotYet:
                if not _connected(self.connection):
                    return False
        return turn.state != "aborted"

    def _json(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _begin_stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _stream(self, turn: Turn, usage: bool) -> None:
        for event in _events(turn, usage):
            data = f"data: {event}\n\n".encode()
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")


def _length(text: str, base: int) -> int:
    length = int(text, base)
    if length < 0:
        raise ValueError(text)
    return length


def _events(turn: Turn, usage: bool) -> Iterator[str]:
    whole = response_of(turn)
    base = {k: whole[k] for k in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    deltas: list[tuple[dict[str, Any], str | None]] = [
        ({"role": "assistant", "content": ""}, None),
        ({"content": reply_text(turn)}, None),
        ({}, "stop"),
    ]
    for delta, reason in deltas:
        yield json.dumps(base | {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})
    if usage:
        yield json.dumps(base | {"choices": [], "usage": whole["usage"]})
    yield "[DONE]"


def _connected(sock: socket.socket) -> bool:
    """Whether the peer still holds the connection (no end of file waits to be read)."""
    try:
        readable, _, _ = select.select([sock], [], [], 0)
        return not readable or sock.recv(1, socket.MSG_PEEK) != b""
    except (OSError, ValueError):
        return False
