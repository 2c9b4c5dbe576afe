"""The gateway as a child process: JSON-RPC on its standard input and output, the model over HTTP."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

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
        self.open = self.waiting = 0
        self.lock = threading.Lock()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away, as it does at a time-out, is no news."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Handler(BaseHTTPRequestHandler):
    server: ModelServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: Any) -> None: ...

    def do_GET(self) -> None:
        with self.server.lock:
            counts = {"open": self.server.open, "held": self.server.waiting}
        self._send(200, counts)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text = body["messages"][-1]["content"]
        event = self.server.held.get(text)
        with self.server.lock:
            self.server.requests.append((body["messages"], self.headers.get("Authorization")))
            number = len(self.server.requests)
            self.server.open += 1
            self.server.waiting += event is not None
        if event is not None:
            event.wait(20)
        with self.server.lock:
            self.server.open -= 1
            self.server.waiting -= event is not None
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


@pytest.fixture
def model() -> Iterator[ModelServer]:
    with ModelServer() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        for event in server.held.values():
            event.set()
        server.shutdown()
        thread.join()


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

    def end(self) -> tuple[int, bytes]:
        """Close the input; the exit code and what standard error got."""
        rest, errors = self.process.communicate(timeout=20)
        assert rest == b""
        return self.process.returncode, errors


@pytest.fixture
def child() -> Iterator[Child]:
    made = Child()
    yield made
    if made.process.poll() is None:
        made.process.kill()
    made.process.communicate()


def test_a_job_runs_and_its_model_is_asked_over_http(
    child: Child, model: ModelServer, tmp_path: Path
) -> None:
    assert child.call("initialize", protocol=1, specRevision=1)["name"] == "cronsession-reference"
    child.start(tmp_path, model.url)
    child.add("hello")
    child.add("fail", session={"target": "isolated"})
    assert child.call("clock/advance", toMs=T0 + 2 * HOUR) == {"nowMs": T0 + 2 * HOUR}
    runs = child.call("run/list")["runs"]
    assert sorted(run["status"] for run in runs) == ["error", "error", "ok", "ok"]
    assert next(run["error"] for run in runs if run["status"] == "error").endswith('"scripted"}}')
    hellos = [messages for messages, _ in model.requests if messages[-1]["content"] == "hello"]
    assert len(hellos[1]) == 3
    assert hellos[1][1]["content"].startswith("reply")
    assert {token for _, token in model.requests} == {"Bearer secret"}
    assert child.end() == (0, b"")


def test_advancing_goes_on_past_a_turn_that_is_held(child: Child, model: ModelServer, tmp_path: Path) -> None:
    child.start(tmp_path, model.url)
    model.held["long"] = threading.Event()
    child.add("long", timeoutMs=3 * HOUR)
    child.call("clock/advance", toMs=T0 + 2 * HOUR)
    assert [run["status"] for run in child.call("run/list")["runs"]] == ["running", "skipped"]
    model.held["long"].set()
    child.call("clock/advance", toMs=T0 + 2 * HOUR + 1)
    assert [run["status"] for run in child.call("run/list")["runs"]] == ["ok", "skipped"]


def test_a_time_out_closes_the_connection(child: Child, model: ModelServer, tmp_path: Path) -> None:
    child.start(tmp_path, model.url)
    model.held["long"] = threading.Event()
    child.add("long", timeoutMs=MINUTE)
    child.call("clock/advance", toMs=T0 + HOUR + MINUTE)
    assert [run["status"] for run in child.call("run/list")["runs"]] == ["timeout"]
    model.held["long"].set()


def test_requests_overlap(child: Child, model: ModelServer, tmp_path: Path) -> None:
    child.start(tmp_path, model.url)
    model.held["slow"] = threading.Event()
    # The model does not say that this turn is held on purpose, so the advance has to wait for it.
    model.waiting = -1
    child.add("slow")
    advance = child.send("clock/advance", toMs=T0 + HOUR)
    assert len(child.call("job/list")["jobs"]) == 1
    assert advance not in child.answers
    model.held["slow"].set()
    assert child.answer(advance)["result"] == {"nowMs": T0 + HOUR}


@pytest.mark.parametrize(
    ("line", "code", "request_id"),
    [
        (b"{", -32700, None),
        (b"\xff\xfe", -32700, None),
        (b"[" * 100_000, -32700, None),
        (b"[]", -32600, None),
        (b"7", -32600, None),
        (b'{"id": 5, "method": "job/list"}', -32600, 5),
        (b'{"jsonrpc": "2.0", "id": 5}', -32600, 5),
        (b'{"jsonrpc": "2.0", "id": 5, "method": "job/list", "params": []}', -32600, 5),
        (b'{"jsonrpc": "2.0", "id": [], "method": "job/list"}', -32600, None),
        (b'{"jsonrpc": "2.0", "id": 5, "method": "job/dance"}', -32601, 5),
        (b'{"jsonrpc": "2.0", "id": 5, "method": "__class__"}', -32601, 5),
        (b'{"jsonrpc": "2.0", "id": 5, "method": "gateway/abandon"}', -32601, 5),
        (b'{"jsonrpc": "2.0", "id": 5, "method": "job/list"}', -32602, 5),
        (b'{"jsonrpc": "2.0", "id": "x", "method": "job/add", "params": {}}', -32602, "x"),
    ],
)
def test_bad_input_is_answered_and_survived(child: Child, line: bytes, code: int, request_id: Any) -> None:
    child.write(line)
    message = child.read()
    assert (message["error"]["code"], message["id"]) == (code, request_id)
    assert message["error"]["message"]
    assert child.call("initialize", protocol=1, specRevision=1)["protocol"] == 1


def test_a_notification_is_not_answered(child: Child) -> None:
    child.write(b'{"jsonrpc": "2.0", "method": "job/list"}\n\n  ')
    assert child.call("initialize", protocol=1, specRevision=1)["protocol"] == 1


def test_killed_and_started_again(model: ModelServer, tmp_path: Path) -> None:
    first = Child()
    first.start(tmp_path, model.url)
    model.held["long"] = threading.Event()
    kept = first.add("kept")
    first.add("long", session={"target": "isolated"})
    first.call("clock/advance", toMs=T0 + HOUR)
    first.process.kill()
    first.process.communicate()
    model.held["long"].set()
    second = Child()
    second.start(tmp_path, model.url, now=T0 + HOUR + 1)
    assert second.call("job/list")["jobs"][0]["id"] == kept["id"]
    assert sorted(run["status"] for run in second.call("run/list")["runs"]) == ["interrupted", "ok"]
    second.call("clock/advance", toMs=T0 + 2 * HOUR)
    assert len(second.call("run/list")["runs"]) == 4
    assert second.end() == (0, b"")


def test_what_is_asked_before_the_end_of_the_input_is_answered(tmp_path: Path) -> None:
    child = Child()
    child.send("initialize", protocol=1, specRevision=1)
    out, errors = child.process.communicate(timeout=20)
    assert json.loads(out)["result"]["protocol"] == 1
    assert (child.process.returncode, errors) == (0, b"")


@pytest.mark.parametrize("held", [False, True])
def test_nothing_is_left_behind_at_the_end(model: ModelServer, tmp_path: Path, held: bool) -> None:
    child = Child()
    child.start(tmp_path, model.url)
    model.held["long"] = threading.Event()
    child.add("long")
    child.call("clock/advance", toMs=T0 + HOUR)
    if not held:
        model.held["long"].set()
    assert child.end() == (0, b"")
    assert list((tmp_path / "instances").iterdir()) == []
    assert sorted(path.name for path in tmp_path.glob("gateway.db*")) == ["gateway.db"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_without_a_traceback(tmp_path: Path, number: int) -> None:
    child = Child()
    child.start(tmp_path, "")
    child.process.send_signal(number)
    out, errors = child.process.communicate(timeout=20)
    assert (out, errors) == (b"", b"")
    assert child.process.returncode in (0, 130)
    assert list((tmp_path / "instances").iterdir()) == []


def test_standard_output_is_protected() -> None:
    code = """
import os, subprocess, sys
from cronsession_reference.serve import serve_stdio
class Chatty:
    def initialize(self, params):
        print("noise"); os.write(1, b"more noise\\n"); subprocess.run(["echo", "child noise"])
        return {"protocol": 1}
    async def job_list(self, params):
        raise OSError("broken")
serve_stdio(Chatty())
"""
    child = Child(code=code)
    assert child.call("initialize") == {"protocol": 1}
    message = child.answer(child.send("job/list"))
    assert message["error"] == {"code": -32000, "message": "job/list: OSError: broken"}
    status, errors = child.end()
    assert status == 0
    for noise in (b"noise\n", b"more noise\n", b"child noise\n"):
        assert noise in errors


def test_policies_can_be_chosen() -> None:
    child = Child("--policy", "keyCase=preserve", "--policy", "catchUp=all")
    policies = child.call("initialize")["policies"]
    assert (policies["keyCase"], policies["catchUp"]) == ("preserve", "all")
    assert child.end() == (0, b"")
