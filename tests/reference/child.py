"""The gateway as a child process, and a model server for it to talk to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

T0 = 1_772_323_200_000
MINUTE, HOUR = 60_000, 3_600_000
REFERENCE = Path(__file__).parents[2] / "reference"


class ModelServer(ThreadingHTTPServer):
    """Answers chat completions; texts in ``held`` wait until their event is set."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[Any] = []
        self.held: dict[str, threading.Event] = {}
        self.open = self.unsaid = 0
        self.waiting: list[threading.Event] = []
        self.lock = threading.Lock()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away, as it does at a time-out, is no news."""

    def hold(self, text: str) -> None:
        """Turns with this text wait until :meth:`release`."""
        self.held[text] = threading.Event()

    def release(self, text: str) -> None:
        self.held.pop(text).set()

    @property
    def kept(self) -> int:
        """Turns said to be held: from the moment of its release on, one is not, whatever its thread has noticed."""
        return sum(not event.is_set() for event in self.waiting) - self.unsaid

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Handler(BaseHTTPRequestHandler):
    server: ModelServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: Any) -> None: ...

    def do_GET(self) -> None:
        with self.server.lock:
            counts = {"open": self.server.open, "held": self.server.kept}
        self._send(200, counts)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text = body["messages"][-1]["content"]
        event = self.server.held.get(text)
        with self.server.lock:
            self.server.requests.append((body["messages"], self.headers.get("Authorization")))
            number = len(self.server.requests)
            self.server.open += 1
            self.server.waiting += [event] if event is not None else []
        if event is not None:
            event.wait(20)
        with self.server.lock:
            self.server.open -= 1
        if text == "fail":
            self._send(400, {"error": {"message": "scripted"}})
        else:
            reply = {"role": "assistant", "content": f"reply {number}"}
            self._send(200, {"choices": [{"message": reply}]})

    def _send(self, status: int, data: Any) -> None:
        content = json.dumps(data).encode()
        # In chunks: a client has to cope with both ways of telling the length.
        self.send_response(status)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        middle = len(content) // 2
        for part in (content[:middle], content[middle:], b""):
            self.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")


class Child:
    """The command ``serve --stdio`` and a conversation with it."""

    def __init__(self, *arguments: str, code: str | None = None) -> None:
        program = (
            ["-c", code] if code else ["-m", "cronsession_reference.cli", "serve", "--stdio", *arguments]
        )
        environment = {**os.environ, "PYTHONPATH": str(REFERENCE), "PYTHONDONTWRITEBYTECODE": "1"}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self.process = subprocess.Popen([sys.executable, *program], env=environment, **pipes)
        self.answers: dict[Any, Any] = {}
        self.number = 0

    def write(self, line: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def read(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def send(self, method: str, **params: Any) -> int:
        self.number += 1
        message = {"jsonrpc": "2.0", "id": self.number, "method": method, "params": params}
        self.write(json.dumps(message).encode())
        return self.number

    def answer(self, number: int) -> Any:
        while number not in self.answers:
            message = self.read()
            self.answers[message["id"]] = message
        return self.answers.pop(number)

    def call(self, method: str, **params: Any) -> Any:
        message = self.answer(self.send(method, **params))
        assert "result" in message, message
        return message["result"]

    def start(self, folder: Path, url: str, now: int = T0) -> None:
        fixed = {"token": "secret", "hostZone": "UTC", "config": {}}
        self.call("gateway/start", nowMs=now, stateDir=str(folder), modelUrl=url, **fixed)

    def add(self, text: str, **more: Any) -> Any:
        payload = {"kind": "agentTurn", "text": text}
        named = {"target": "named", "name": "n"}
        spec = {
            "name": text,
            "schedule": {"kind": "every", "everyMs": HOUR},
            "session": named,
            "payload": payload,
        }
        return self.call("job/add", job={**spec, **more})["job"]

    def kill(self) -> None:
        """End it as the lack of memory would: at once, and without a word."""
        self.process.kill()
        self.process.wait()

    def end(self) -> tuple[int, bytes]:
        """Close the input; the exit code and what standard error got."""
        rest, errors = self.process.communicate(timeout=20)
        assert rest == b""
        return self.process.returncode, errors
