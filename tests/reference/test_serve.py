"""The gateway as a child process: JSON-RPC on its standard input and output, the model over HTTP."""

from __future__ import annotations

import json
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from .child import HOUR, MINUTE, T0, Child, ModelServer


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
    model.unsaid = 1
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
