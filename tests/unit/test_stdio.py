"""The stdio transport against children that misbehave: a clear error in time, and nothing left running."""

from __future__ import annotations

import os
import sys
import textwrap
import threading
import time
from concurrent.futures import wait
from pathlib import Path

import pytest

from pytest_cronsession.channel import Caller
from pytest_cronsession.outcomes import TargetError, UnsupportedOperation
from pytest_cronsession.stdio import StdioChannel

HELLO = {
    "protocol": 1,
    "name": "child",
    "version": "1",
    "specRevision": 1,
    "capabilities": [],
    "profiles": ["sessions"],
    "policies": {},
}
PARAMS = {"protocol": 1, "specRevision": 1, "suite": "test"}


def child(tmp_path: Path, body: str) -> StdioChannel:
    """A child that runs ``body`` for each request ``m``, with ``say`` to answer."""
    program = tmp_path / "child.py"
    program.write_text(
        textwrap.dedent(
            """\
            import json, os, sys, time, signal
            HELLO = json.loads(os.environ["HELLO"])
            def say(line): sys.stdout.write(line + "\\n"); sys.stdout.flush()
            def ok(m, result): say(json.dumps({"jsonrpc": "2.0", "id": m["id"], "result": result}))
            for line in sys.stdin:
                m = json.loads(line)
            """
        )
        + textwrap.indent(textwrap.dedent(body), "    ")
    )
    import json

    return StdioChannel([sys.executable, str(program)], env={**os.environ, "HELLO": json.dumps(HELLO)})


def gone(pid: int) -> bool:
    """Whether the process ends; one that was killed may need a moment on a busy machine."""
    limit = time.monotonic() + 20
    while time.monotonic() < limit:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().split()[2]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
    return False


def ask(channel: StdioChannel, timeout: float = 20.0) -> dict[str, object]:
    return Caller(channel, {"initialize": timeout}).call("initialize", dict(PARAMS))


def test_a_good_answer(tmp_path: Path) -> None:
    channel = child(tmp_path, "ok(m, HELLO)")
    assert ask(channel)["name"] == "child"
    channel.close()
    assert gone(channel._process.pid)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("say('hello there')", "not JSON: hello there"),
        ("sys.stdout.buffer.write(b'\\xff\\xfe\\n'); sys.stdout.flush()", "not UTF-8"),
        ("say('[1, 2]')", "not a JSON-RPC 2.0 answer"),
        ("say(line.strip())", "a request ('initialize'), and only answers may go there"),
        ("say('[' * 100_000)", "a line that is not JSON"),
        ("say(json.dumps({'jsonrpc': '2.0', 'id': 99, 'result': {}}))", "id 99, which no open request has"),
        ("sys.stderr.write('boom in the child\\n'); sys.exit(3)", "exit code 3"),
        ("sys.stdout.write('{\"jsonrpc\"'); sys.stdout.flush(); os._exit(0)", "not JSON"),
        ("ok(m, {**HELLO, 'profiles': []})", "the answer breaks the schema at profiles"),
        ("ok(m, {})", "'protocol' is a required property"),
        (
            "say(json.dumps({'jsonrpc': '2.0', 'id': m['id'], 'error': {'code': -1, 'message': 'no'}}))",
            "error -1: no",
        ),
        ("os.kill(os.getpid(), 9)", "killed by signal 9"),
    ],
    ids=[
        "garbage",
        "bytes",
        "array",
        "echo",
        "deep",
        "wrong-id",
        "exit",
        "partial",
        "schema",
        "empty",
        "error",
        "killed",
    ],
)
def test_a_bad_answer_is_told_clearly(tmp_path: Path, body: str, told: str) -> None:
    channel = child(tmp_path, body)
    with pytest.raises(TargetError, match="initialize: ") as caught:
        ask(channel)
    assert told in str(caught.value)
    channel.close()
    assert gone(channel._process.pid)


def test_a_child_that_ends_before_all_our_threads_run(monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start

    def slowly(thread: threading.Thread) -> None:
        start(thread)
        thread.join(timeout=0.3)

    monkeypatch.setattr(threading.Thread, "start", slowly)
    channel = StdioChannel(["true"])
    with pytest.raises(TargetError, match="exit code 0"):
        ask(channel, timeout=2)
    channel.close()


def test_the_childs_log_is_shown(tmp_path: Path) -> None:
    channel = child(tmp_path, "sys.stderr.write('boom in the child\\n'); sys.stderr.flush(); sys.exit(3)")
    with pytest.raises(TargetError, match="boom in the child"):
        ask(channel)
    channel.close()


def test_silence_ends_in_a_time_out(tmp_path: Path) -> None:
    channel = child(tmp_path, "time.sleep(600)")
    with pytest.raises(TargetError, match=r"initialize: no answer within 0\.3 s"):
        ask(channel, timeout=0.3)
    channel.kill()
    assert gone(channel._process.pid)


def test_an_unknown_method_is_unsupported(tmp_path: Path) -> None:
    body = (
        "say(json.dumps({'jsonrpc': '2.0', 'id': m['id'], 'error': {'code': -32601, 'message': 'unknown'}}))"
    )
    channel = child(tmp_path, body)
    with pytest.raises(UnsupportedOperation):
        ask(channel)
    channel.close()


def test_a_flood_on_stderr_blocks_nothing(tmp_path: Path) -> None:
    channel = child(tmp_path, "sys.stderr.write('x' * 5_000_000); sys.stderr.flush(); ok(m, HELLO)")
    assert ask(channel)["name"] == "child"
    channel.close()


def test_a_duplicate_answer_breaks_the_channel(tmp_path: Path) -> None:
    channel = child(tmp_path, "ok(m, HELLO); ok(m, HELLO)")
    caller = Caller(channel)
    caller.call("initialize", dict(PARAMS))
    with pytest.raises(TargetError, match="an answer with id 1, which no open request has"):
        caller.call("job/list")
    channel.close()


def test_children_that_ignore_sigterm_are_killed(tmp_path: Path) -> None:
    body = """\
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    pid = os.fork()
    if pid == 0:
        time.sleep(600)
    ok(m, {**HELLO, "version": str(pid)})
    while True:
        try:
            time.sleep(600)
        except BaseException:
            pass
    """
    channel = child(tmp_path, body)
    grandchild = int(str(ask(channel)["version"]))
    channel.close()
    assert gone(channel._process.pid)
    assert gone(grandchild)


def test_requests_that_are_held_go_out_together(tmp_path: Path) -> None:
    channel = child(tmp_path, 'ok(m, {"jobs": []})')
    with channel.held():
        waiting = [channel.submit("job/list", {}) for _ in range(2)]
        assert wait(waiting, timeout=0.2).done == set()
    assert [w.result(timeout=10) for w in waiting] == [{"jobs": []}, {"jobs": []}]
    channel.close()


def test_requests_overlap(tmp_path: Path) -> None:
    body = """\
    waiting = globals().setdefault("waiting", [])
    waiting.append(m)
    if len(waiting) == 2:
        for m in reversed(waiting):
            ok(m, {"jobs": []})
    """
    channel = child(tmp_path, body)
    caller = Caller(channel)
    first, second = caller.start("job/list", {}), caller.start("job/list", {})
    assert first.result() == second.result() == {"jobs": []}
    channel.close()
