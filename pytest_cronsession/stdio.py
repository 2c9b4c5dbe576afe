"""A gateway as a child process that speaks newline-delimited JSON-RPC 2.0 on its standard streams."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import queue
import signal
import subprocess
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import IO, Any

from .outcomes import RefusedRequest, TargetError, UnsupportedOperation
from .schemas import problem, shorten

MAX_LINE = 64 * 1024 * 1024
LOG_TAIL = 16 * 1024
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
_ALIVE: weakref.WeakSet[StdioChannel] = weakref.WeakSet()


class StdioChannel:
    """Starts ``command`` in a process group of its own; killing the group is the crash."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[int, tuple[str, Future[Any]]] = {}
        self._next_id = 0
        self._broken: str | None = None
        self._log = b""
        self._outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._held: list[bytes] | None = None
        try:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=dict(env) if env is not None else None,
                start_new_session=True,
            )
        except OSError as error:
            raise TargetError("start of the command", f"{command[0]!r}: {error.strerror}") from error
        _ALIVE.add(self)
        self._drainer = threading.Thread(target=self._drain, args=(self._process.stderr,), daemon=True)
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True)
        self._writer = threading.Thread(target=self._write, daemon=True)
        # The drainer first: the others wait for it when the target ends, which may be at once.
        for thread in (self._drainer, self._reader, self._writer):
            thread.start()

    def submit(self, operation: str, params: dict[str, Any]) -> Future[Any]:
        future: Future[Any] = Future()
        plain = {k: v for k, v in params.items() if k != "model"}
        with self._lock:
            self._next_id += 1
            number = self._next_id
            self._waiting[number] = (operation, future)
            broken = self._broken
        if broken:
            self._fail_all(broken)
            return future
        line = json.dumps({"jsonrpc": "2.0", "id": number, "method": operation, "params": plain})
        self._send(line.encode() + b"\n")
        return future

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        self._held = []
        try:
            yield
        finally:
            lines, self._held = self._held, None
            self._send(b"".join(lines))

    def _send(self, data: bytes) -> None:
        if self._held is None:
            self._outbox.put(data)
        else:
            self._held.append(data)

    def _write(self) -> None:
        """Send what is queued; a target that stops reading blocks this thread and never a caller."""
        assert self._process.stdin is not None
        while (data := self._outbox.get()) is not None:
            try:
                self._process.stdin.write(data)
                self._process.stdin.flush()
            except (OSError, ValueError):
                self._fail_all(self._end_text())

    def _read(self, stream: IO[bytes] | None) -> None:
        assert stream is not None
        while True:
            try:
                line = stream.readline(MAX_LINE)
            except (OSError, ValueError):
                line = b""
            if not line:
                self._fail_all(self._end_text())
                return
            if len(line) >= MAX_LINE and not line.endswith(b"\n"):
                self._fail_all(f"a line of more than {MAX_LINE >> 20} MiB on standard output")
                return
            if line.strip():
                wrong = self._take(line)
                if wrong:
                    self._fail_all(wrong)
                    return

    def _take(self, line: bytes) -> str | None:
        """Deliver one answer; the text of what is wrong with it otherwise."""
        shown = shorten(line[:2000].decode("utf-8", "replace"), 160)
        try:
            message = json.loads(line.decode("utf-8"))
        except UnicodeDecodeError:
            return f"standard output carries a line that is not UTF-8: {shown}"
        except (ValueError, RecursionError):
            return (
                f"standard output carries a line that is not JSON: {shown} "
                "(only JSON-RPC answers may go there; send logs to standard error)"
            )
        if isinstance(message, dict) and "method" in message:
            method = shorten(str(message["method"]), 60)
            return f"standard output carries a request ({method!r}), and only answers may go there: {shown}"
        wrong = problem("protocol.schema.json#/$defs/envelope:response", message)
        if wrong:
            return f"not a JSON-RPC 2.0 answer ({wrong}): {shown}"
        with self._lock:
            operation, future = self._waiting.pop(message["id"], ("", None))
        if future is None:
            return f"an answer with id {message['id']}, which no open request has: {shown}"
        if "result" in message:
            future.set_result(message["result"])
        else:
            future.set_exception(self._error(operation, message["error"]))
        return None

    def _error(self, operation: str, error: Mapping[str, Any]) -> TargetError:
        text = shorten(error["message"])
        if error["code"] == METHOD_NOT_FOUND:
            return UnsupportedOperation(operation, text)
        kind = RefusedRequest if error["code"] == INVALID_PARAMS else TargetError
        return kind(operation, f"error {error['code']}: {text}", log=self.log_tail())

    def _drain(self, stream: IO[bytes] | None) -> None:
        assert stream is not None
        with contextlib.suppress(OSError, ValueError):
            while chunk := os.read(stream.fileno(), 65536):
                self._log = (self._log + chunk)[-LOG_TAIL:]

    def _fail_all(self, message: str) -> None:
        with self._lock:
            self._broken = self._broken or message
            waiting, self._waiting = self._waiting, {}
        for operation, future in waiting.values():
            if not future.done():
                future.set_exception(TargetError(operation, self._broken, log=self.log_tail()))

    def _end_text(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=1)
        code = self._process.poll()
        if code is None:
            return "the target closed its standard output"
        # What it printed last may still be on its way to us; children of it may hold the stream for ever.
        self._drainer.join(timeout=0.5)
        how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        return f"the target ended ({how}) before it answered"

    def log_tail(self) -> str:
        return self._log.decode("utf-8", "replace")[-2000:]

    def kill(self) -> None:
        if self not in _ALIVE:
            return  # ended before: its number may be another process group's by now
        self._signal(signal.SIGKILL)
        self._end()

    def close(self) -> None:
        """End of input, then SIGTERM, then SIGKILL to the group, two seconds apart."""
        if self not in _ALIVE:
            return
        self._outbox.put(None)
        self._writer.join(timeout=0.5)
        if not self._writer.is_alive():
            with contextlib.suppress(OSError, ValueError):
                assert self._process.stdin is not None
                self._process.stdin.close()
        for signum in (None, signal.SIGTERM, signal.SIGKILL):
            if signum is not None:
                self._signal(signum)
            try:
                self._process.wait(timeout=2)
                break
            except subprocess.TimeoutExpired:
                continue
        # The leader may be gone while its children live on in the group.
        self._signal(signal.SIGKILL)
        self._end()

    def _signal(self, signum: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signum)

    def _end(self) -> None:
        self._process.wait()
        self._outbox.put(None)
        for thread in (self._drainer, self._reader, self._writer):
            thread.join(timeout=2)
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            with contextlib.suppress(OSError, ValueError):
                if stream is not None:
                    stream.close()
        _ALIVE.discard(self)


@atexit.register
def _kill_leftovers() -> None:
    """No orphan, whatever ended the test run."""
    for channel in list(_ALIVE):
        channel.kill()
