"""A gateway on stdio that breaks the protocol on purpose: ``python -m tests.hostile.program MODE OPERATION``.

Behind it stands the reference gateway, which answers everything; MODE says what becomes of requests for
OPERATION, of their answers, or of the process.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

FOREVER_S = 3600
out = sys.stdout.buffer


def say(data: bytes) -> None:
    out.write(data)
    out.flush()


def plain(message: Any) -> bytes:
    return json.dumps(message).encode() + b"\n"


def result_of(message: dict[str, Any], result: Any) -> bytes:
    return plain({"jsonrpc": "2.0", "id": message["id"], "result": result})


def hang() -> None:
    time.sleep(FOREVER_S)


# --- what becomes of an answer -------------------------------------------------------------------------------


def twice(answer: dict[str, Any]) -> Iterator[bytes]:
    yield plain(answer) + plain(answer)


def wrong_id(answer: dict[str, Any]) -> Iterator[bytes]:
    yield plain({**answer, "id": answer["id"] + 1000})


def text_id(answer: dict[str, Any]) -> Iterator[bytes]:
    yield plain({**answer, "id": str(answer["id"])})


def late(answer: dict[str, Any]) -> Iterator[bytes]:
    time.sleep(float(os.environ["CRONSESSION_HOSTILE_LATE_S"]))
    yield plain(answer)


def half(answer: dict[str, Any]) -> Iterator[bytes]:
    yield plain(answer)[:20]
    hang()


def half_and_gone(answer: dict[str, Any]) -> Iterator[bytes]:
    yield plain(answer)[:20]
    os._exit(0)


def endless(answer: dict[str, Any]) -> Iterator[bytes]:
    yield b'{"jsonrpc": "2.0", "id": %d, "result": {"text": "' % answer["id"]
    for _ in range(100):
        yield b"x" * (1 << 20)
    yield b'"}}\n'


def not_utf8(answer: dict[str, Any]) -> Iterator[bytes]:
    yield plain({**answer, "result": {"text": "é"}}).replace(rb"\u00e9", b"\xe9")


def garbage(answer: dict[str, Any]) -> Iterator[bytes]:
    yield b"Listening on port 8080\n" + plain(answer)


def both(answer: dict[str, Any]) -> Iterator[bytes]:
    yield plain({**answer, "error": {"code": 1, "message": "and it failed"}})


def batch(answer: dict[str, Any]) -> Iterator[bytes]:
    yield plain([answer])


def null(answer: dict[str, Any]) -> Iterator[bytes]:
    yield plain({**answer, "result": None})


def other_shape(answer: dict[str, Any]) -> Iterator[bytes]:
    yield plain({**answer, "result": {"jobs": 7, "sessions": 7, "job": 7, "started": 7, "nowMs": "soon"}})


def not_a_number(answer: dict[str, Any]) -> Iterator[bytes]:
    yield plain({**answer, "result": {"nowMs": float("nan"), "jobs": float("inf")}})


def nested(answer: dict[str, Any]) -> Iterator[bytes]:
    yield b'{"jsonrpc": "2.0", "id": %d, "result": %s}\n' % (answer["id"], b"[" * 90_000 + b"]" * 90_000)


def failure(answer: dict[str, Any]) -> Iterator[bytes]:
    yield plain({"jsonrpc": "2.0", "id": answer["id"], "error": {"code": -32603, "message": "on fire"}})


def asks_back(answer: dict[str, Any]) -> Iterator[bytes]:
    yield plain({"jsonrpc": "2.0", "id": 1, "method": "roots/list"}) + plain(answer)


def other_time(answer: dict[str, Any]) -> Iterator[bytes]:
    yield plain({**answer, "result": {"nowMs": answer["result"]["nowMs"] + 3_600_000}})


ANSWERS: dict[str, Callable[[dict[str, Any]], Iterator[bytes]]] = {
    f.__name__: f
    for f in (
        *(twice, wrong_id, text_id, late, half, half_and_gone, endless, not_utf8, garbage, both, batch, null),
        *(other_shape, not_a_number, nested, failure, asks_back, other_time),
    )
}

# --- what becomes of the process -----------------------------------------------------------------------------


def ends() -> None:
    sys.stderr.write("fatal: out of luck\n")
    sys.stderr.flush()
    os._exit(3)


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def closes_output() -> None:
    out.close()
    os.close(1)
    hang()


def floods() -> None:
    for _ in range(4000):
        sys.stderr.write("warning: something\n" * 100)
    hang()


def ignores_sigterm() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    hang()


def forks() -> None:
    """Children that hold our streams, in our group."""
    for _ in range(3):
        subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({FOREVER_S})"])
    os._exit(0)


REQUESTS: dict[str, Callable[[], None]] = {
    f.__name__: f for f in (hang, ends, killed, closes_output, floods, ignores_sigterm, forks)
}


def main(mode: str, operation: str) -> None:
    behind = subprocess.Popen(
        [sys.executable, "-m", "cronsession_reference.cli", "serve", "--stdio"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert behind.stdin is not None
    assert behind.stdout is not None
    for line in sys.stdin.buffer:
        hostile = json.loads(line)["method"] == operation
        if hostile and mode in REQUESTS:
            REQUESTS[mode]()
        behind.stdin.write(line)
        behind.stdin.flush()
        answer = behind.stdout.readline()
        for part in ANSWERS[mode](json.loads(answer)) if hostile else (answer,):
            say(part)
    behind.stdin.close()
    behind.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
