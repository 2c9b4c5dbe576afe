"""The preload for unmodified Python processes, and the clock that moves them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import textwrap
import threading
import venv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_cronsession.clock.python_clock import PythonClock
from pytest_cronsession.model import Script, hold, tag_text
from pytest_cronsession.model_server import ModelServer
from pytest_cronsession.outcomes import TargetError

HERE = Path(__file__).parent
START = 1_772_438_407_000  # 2026-03-02T08:00:07Z
SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
# What a child prints at the end of a step is read with this much real patience.
PATIENCE_S = 20


class Child:
    """A process under a clock; what it prints is read line by line."""

    def __init__(self, clock: PythonClock, *argv: object, **env: str) -> None:
        words = [str(word) for word in argv]
        base = {**os.environ, **env}
        self.process = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", "-W", "error", *words],
            env={**base, **clock.env(base)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        clock.watch(self.process.poll)

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self) -> tuple[str, str]:
        """Wait for its end; the rest of its output, and what it complained of."""
        return self.process.communicate(timeout=PATIENCE_S)

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


Start = Callable[..., Child]


@pytest.fixture
def clock() -> Iterator[PythonClock]:
    clock = PythonClock(START, timeout_s=PATIENCE_S)
    yield clock
    clock.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a script, given as a file or as text."""
    children: list[Child] = []

    def started(clock: PythonClock, script: Path | str, **env: str) -> Child:
        if isinstance(script, str):
            file = tmp_path / f"script{len(children)}.py"
            file.write_text(textwrap.dedent(script), encoding="utf-8")
        else:
            file = script
        children.append(Child(clock, file, **env))
        return children[-1]

    yield started
    for child in children:
        child.close()


def fires_of(port: int) -> list[list[Any]]:
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as client, client.makefile("rw") as stream:
        stream.write("all\n")
        stream.flush()
        fires: list[list[Any]] = json.loads(stream.readline())
        return fires


# --- unmodified programs ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "wall", "days"),
    [
        ("tiny_async", "time-machine", 28),
        ("tiny_async", "freezegun", 2),
        ("tiny_threads", "time-machine", 2),
        ("tiny_threads", "freezegun", 28),
    ],
)
def test_days_of_an_unmodified_program(script: str, wall: str, days: int, start: Start) -> None:
    clock = PythonClock(START, wall=wall, timeout_s=60)
    try:
        port = int(start(clock, HERE / f"{script}.py").line())
        assert clock.advance(START + DAY // 2) == START + DAY // 2
        half = fires_of(port)
        assert clock.advance(START + days * DAY) == clock.now_ms == START + days * DAY
        fires = fires_of(port)
    finally:
        clock.close()
    assert fires[: len(half)] == half
    names = [name for name, _, _ in half]
    assert (names.count("hour"), names.count("quarter")) == (12, 48)
    names = [name for name, _, _ in fires]
    assert (names.count("hour"), names.count("quarter")) == (24 * days, 96 * days)
    assert names.count("day") == (days if script == "tiny_threads" else 0)
    assert [fire for fire in fires if fire[1] != fire[2]] == [], "every fire on its slot"
    assert [slot for _, slot, _ in fires] == sorted(slot for _, slot, _ in fires)


def test_a_jump_fires_late_and_once(clock: PythonClock, start: Start) -> None:
    port = int(start(clock, HERE / "tiny_async.py").line())
    clock.jump(START + 5 * HOUR)
    at = (START + 5 * HOUR) / 1000
    assert [(name, ran) for name, _, ran in fires_of(port)] == [("quarter", at), ("hour", at)]
    clock.advance(START + 6 * HOUR)
    on_time = [name for name, slot, ran in fires_of(port)[2:] if slot == ran]
    assert sorted(on_time) == ["hour", *["quarter"] * 4]


def test_the_next_process_begins_where_the_last_one_ended(clock: PythonClock, start: Start) -> None:
    first = start(clock, HERE / "tiny_threads.py")
    first.line()
    clock.advance(START + DAY)
    first.close()
    clock.pass_time(START + 2 * DAY)
    port = int(start(clock, HERE / "tiny_threads.py").line())
    clock.advance(START + 2 * DAY + HOUR)
    assert fires_of(port)[0][1] * 1000 == (START + 2 * DAY) // (15 * MINUTE) * 15 * MINUTE + 15 * MINUTE


# --- what is virtual ----------------------------------------------------------------------------------

WAITS = """
    import queue, sched, threading, time, concurrent.futures
    def note(what):
        print(what, round(time.time() * 1000), flush=True)
    begun = time.monotonic()
    def waits():
        time.sleep(60); note("sleep")
        threading.Event().wait(60); note("event")
        with (condition := threading.Condition()): condition.wait_for(lambda: False, 60)
        note("condition")
        try: queue.Queue().get(timeout=60)
        except queue.Empty: note("queue")
        threading.Semaphore(0).acquire(timeout=60); note("semaphore")
        timer = threading.Timer(60, note, ["timer"]); timer.start(); timer.join()
        try: concurrent.futures.Future().result(60)
        except TimeoutError: note("future")
        schedule = sched.scheduler(); schedule.enter(60, 1, note, ["sched"]); schedule.run()
        ready = threading.Event()
        threading.Timer(30, ready.set).start()
        assert ready.wait(3600)
        note("notified")
        print("monotonic", time.monotonic() - begun, flush=True)
    thread = threading.Thread(target=waits); thread.start(); thread.join()
"""


@pytest.mark.parametrize("wall", ["time-machine", "freezegun"])
def test_waits_of_threads(wall: str, start: Start) -> None:
    clock = PythonClock(START, wall=wall, timeout_s=PATIENCE_S)
    try:
        child = start(clock, WAITS)
        clock.advance(START + 8 * MINUTE + 29 * SECOND)
        with pytest.raises(TargetError, match=r"^clock/advance: process \d+ ended"):
            clock.advance(START + HOUR)
        lines = child.end()[0].splitlines()
    finally:
        clock.close()
    names = ["sleep", "event", "condition", "queue", "semaphore", "timer", "future", "sched"]
    expected = [f"{name} {START + minute * MINUTE}" for minute, name in enumerate(names, 1)]
    assert lines == [*expected, f"notified {START + 8 * MINUTE + 30 * SECOND}", "monotonic 510.0"]


def test_jobs_of_executors_and_children_hold_the_clock(clock: PythonClock, start: Start) -> None:
    child = start(
        clock,
        """
        import asyncio, hashlib, subprocess, sys, threading, time
        ticks = 0
        def work(): return hashlib.pbkdf2_hmac("sha256", b"", b"", 150_000)
        async def tick():
            global ticks
            while True:
                await asyncio.sleep(1)
                ticks += 1
        async def main():
            asyncio.create_task(tick())
            await asyncio.to_thread(work)
            run = [sys.executable, "-S", "-c", "print(sum(range(10**6)))"]
            done = subprocess.run(run, stdout=-1, timeout=60); assert done.stdout == b"499999500000\\n"
            process = await asyncio.create_subprocess_exec(*run, stdout=-1); await process.communicate()
            print("held", ticks, flush=True)
            before = time.time()
            await asyncio.to_thread(time.sleep, 60)
            print("slept", time.time() - before, ticks, flush=True)
            await asyncio.sleep(1e9)
        asyncio.run(main())
        """,
    )
    clock.advance(START + 2 * MINUTE)
    assert child.line() == "held 0"
    # Which of a thread and a loop that are due at one instant goes first is open.
    assert re.fullmatch(r"slept 60\.0 (59|60)", child.line())


def test_a_child_of_the_process_lives_in_real_time(clock: PythonClock, start: Start) -> None:
    child = start(
        clock,
        """
        import os, subprocess, sys, time
        code = "import time; a = time.monotonic(); time.sleep(.01); print(time.time() > 1.78e9, 0 < time.monotonic() - a)"
        print(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True), flush=True)
        pid = os.fork()
        if pid == 0:
            before = time.time()
            time.sleep(0.01)
            os._exit(0 if time.time() > max(before, 1.78e9) else 1)
        print(os.waitpid(pid, 0)[1], flush=True)
        time.sleep(1e9)
        """,
    )
    clock.advance(START + HOUR)
    assert "stdout='True True\\n', stderr=''" in child.line()
    assert child.line() == "0"


@pytest.mark.parametrize("client", ["thread", "asyncio"])
def test_a_reply_holds_the_clock(client: str, start: Start) -> None:
    script, server = Script("p"), None
    try:
        server = ModelServer(script)
        clock = PythonClock(START, timeout_s=PATIENCE_S)
        child = start(clock, ASKS[client], MODEL=server.url)
        try:
            clock.advance(START + 5 * HOUR)
            assert [child.line() for _ in range(5)] == [f"{START + n * HOUR} OK" for n in range(1, 6)]
        finally:
            clock.close()
    finally:
        if server is not None:
            server.close()


def test_a_reply_held_on_purpose_lets_time_pass(start: Start) -> None:
    script = Script("p")
    server = ModelServer(script)
    clock = PythonClock(
        START, timeout_s=PATIENCE_S, settled=lambda: script.open_turns() == script.held_turns()
    )
    try:
        script.plan("x", hold(START + 3 * HOUR))
        child = start(clock, ASKS["thread"], MODEL=server.url)
        clock.advance(START + 3 * HOUR)
        assert len(script.turns("x")) == 1
        script.release_due(START + 3 * HOUR)
        clock.advance(START + 3 * HOUR)
        assert child.line() == f"{START + 3 * HOUR} OK"
        clock.advance(START + 4 * HOUR)
        assert child.line() == f"{START + 4 * HOUR} OK"
        assert len(script.turns("x")) == 2
    finally:
        clock.close()
        server.close()


_BODY = json.dumps({"model": "cronsession", "messages": [{"role": "user", "content": tag_text("hi", "x")}]})
ASKS = {
    "thread": f"""
        import os, time, urllib.request
        while True:
            time.sleep(3600)
            request = urllib.request.Request(os.environ["MODEL"] + "/chat/completions", {_BODY!r}.encode())
            with urllib.request.urlopen(request) as reply:
                print(round(time.time() * 1000), "OK" if b"[[turn:" in reply.read() else "?", flush=True)
    """,
    "asyncio": f"""
        import asyncio, os, time, urllib.parse
        async def main():
            url = urllib.parse.urlsplit(os.environ["MODEL"])
            while True:
                await asyncio.sleep(3600)
                reader, writer = await asyncio.open_connection(url.hostname, url.port)
                head = f"POST {{url.path}}/chat/completions HTTP/1.1\\r\\nConnection: close\\r\\n"
                writer.write(f"{{head}}Content-Length: {len(_BODY)}\\r\\n\\r\\n".encode() + {_BODY!r}.encode())
                reply = await asyncio.wait_for(reader.read(), 60)
                writer.close()
                print(round(time.time() * 1000), "OK" if b"[[turn:" in reply else "?", flush=True)
        asyncio.run(main())
    """,
}


# --- the environment of the process -------------------------------------------------------------------


def test_a_sitecustomize_of_the_environment_still_runs(
    clock: PythonClock, start: Start, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import time; LOADED = time.time()\n")
    script = """
        import sitecustomize, sys, time
        print(sitecustomize.LOADED, sys.argv[1:], [p for p in sys.path if "preload" in p], flush=True)
        print("pytest" in sys.modules, "pytest_cronsession" in sys.modules, flush=True)
        time.sleep(1e9)
    """
    child = start(clock, script, PYTHONPATH=str(tmp_path))
    clock.advance(START + SECOND)
    assert child.line() == f"{START / 1000} [] []"
    assert child.line() == "False False"


def test_an_environment_of_its_own_borrows_what_it_needs(clock: PythonClock, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", symlinks=True)
    code = "import time, sys; print(time.time(), len(sys.path), flush=True); time.sleep(1e9)"
    python = tmp_path / "venv" / "bin" / "python"
    base = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    plain = subprocess.run(
        [python, "-c", "import sys; print(len(sys.path))"],
        env=base,
        capture_output=True,
        text=True,
        check=True,
    )
    child = subprocess.Popen([python, "-c", code], env={**base, **clock.env(base)}, stdout=-1, text=True)
    try:
        clock.advance(START + HOUR)
        assert child.stdout is not None
        assert child.stdout.readline() == f"{START / 1000} {plain.stdout}"
    finally:
        child.kill()
        child.communicate()


def test_uvloop_cannot_be_imported(clock: PythonClock, start: Start, tmp_path: Path) -> None:
    (tmp_path / "uvloop.py").write_text("print('uvloop is here')\n")
    out, complaint = start(clock, "import uvloop", PYTHONPATH=str(tmp_path)).end()
    assert out == ""
    assert "ImportError: uvloop keeps its own time in C and cannot run under cronsession's clock" in complaint


def test_without_the_variables_the_preload_does_nothing() -> None:
    preload = str(HERE.parents[1] / "pytest_cronsession" / "clock" / "python_preload")
    code = (
        "import sys, time; print('asyncio' in sys.modules, '_cronsession_clock' in sys.modules, time.sleep)"
    )
    environ = {key: value for key, value in os.environ.items() if not key.startswith("CRONSESSION")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**environ, "PYTHONPATH": preload},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "False False <built-in function sleep>\n"


def test_an_unknown_wall_ends_the_process(start: Start) -> None:
    clock = PythonClock(START, wall="sundial", timeout_s=PATIENCE_S)
    try:
        child = start(clock, "print('on real time')")
        out, complaint = child.end()
        assert out == ""
        assert "cronsession: sundial cannot be imported by" in complaint
        assert child.process.returncode == 1
        with pytest.raises(TargetError, match=r"ended \(exit code 1\)"):
            clock.advance(START + HOUR)
    finally:
        clock.close()


# --- errors -------------------------------------------------------------------------------------------


def test_a_wrong_token_is_refused(clock: PythonClock, start: Start) -> None:
    forged = {**clock.env(), "CRONSESSION_PYTHON_CLOCK_TOKEN": "guess"}
    done = subprocess.run(
        [sys.executable, "-c", "print('on real time')"],
        env={**os.environ, **forged},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.strip() == "cronsession: the clock refused this process: wrong token"
    assert clock.pid is None
    # And noise does not stop it from listening.
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.connect(forged["CRONSESSION_PYTHON_CLOCK_SOCKET"])
        stranger.sendall(b"what?\n")
        assert stranger.recv(10) == b""
    child = start(clock, "import time; time.sleep(1e9)")
    clock.advance(START + HOUR)
    assert clock.pid == child.process.pid


def test_a_clock_that_is_gone_ends_the_process() -> None:
    clock = PythonClock(START)
    env = {**os.environ, **clock.env()}
    clock.close()
    done = subprocess.run([sys.executable, "-c", "print('x')"], env=env, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "cronsession: the clock at" in done.stderr
    assert "does not answer" in done.stderr


BUSY = {
    "a thread that computes": (
        "import time\nwhile True: [n * n for n in range(100)]",
        r"thread MainThread runs .*script0\.py:\d+ \(",
    ),
    "callbacks without an end": (
        "import asyncio\nasync def spin():\n    while True: await asyncio.sleep(0)\nasyncio.run(spin())",
        r"task <coroutine object spin",
    ),
    "a child process": (
        "import os, subprocess\nread, write = os.pipe()\nsubprocess.Popen(['cat'], stdin=read).wait()",
        r"thread MainThread waits for a child process in .*subprocess\.py",
    ),
    "a reply": (
        "import socket\nserver = socket.create_server(('127.0.0.1', 0))\n"
        "client = socket.create_connection(server.getsockname())\nclient.sendall(b'x')\nclient.recv(1)",
        r"reply \d+ from 127\.0\.0\.1:\d+",
    ),
}


@pytest.mark.parametrize("what", BUSY)
def test_what_keeps_a_process_busy_is_named(what: str, start: Start) -> None:
    script, pattern = BUSY[what]
    clock = PythonClock(START, timeout_s=0.7)
    try:
        start(clock, f"print('up', flush=True)\n{script}").line()
        with pytest.raises(
            TargetError, match=rf"^clock/advance: not settled at {START} within 0.7 s: .*{pattern}"
        ):
            clock.advance(START + HOUR)
    finally:
        clock.close()


def test_a_settled_that_stays_false_is_named(start: Start) -> None:
    clock = PythonClock(START, timeout_s=0.3, settled=lambda: False)
    try:
        start(clock, "import time; print('up', flush=True); time.sleep(1e9)").line()
        with pytest.raises(TargetError, match=r"not settled at \d+ within 0.3 s: settled\(\) is false"):
            clock.advance(START + HOUR)
    finally:
        clock.close()


def test_a_process_that_lets_no_thread_run(start: Start) -> None:
    clock = PythonClock(START, timeout_s=0.2)
    # One call into C that keeps the interpreter to itself.
    script = "print('up', flush=True); import sys; sys.setswitchinterval(1e6); sum(iter(int, 1))"
    try:
        start(clock, script).line()
        with pytest.raises(TargetError, match=r"says nothing: it does not let another of its threads run"):
            clock.advance(START + HOUR)
    finally:
        clock.close()


@pytest.mark.parametrize(
    ("end", "how"), [("os._exit(3)", r"exit code 3"), ("os.kill(os.getpid(), 9)", "killed by signal 9")]
)
def test_death_during_an_advance(clock: PythonClock, start: Start, end: str, how: str) -> None:
    child = start(clock, f"import os, time\nprint('up', flush=True)\ntime.sleep(3600)\n{end}")
    child.line()

    def poll() -> int:
        return child.process.wait(PATIENCE_S)

    clock.advance(START + HOUR - 1)
    clock.watch(poll)
    with pytest.raises(
        TargetError, match=rf"process {child.process.pid} ended \({how}\) while the clock was at"
    ):
        clock.advance(START + DAY)
    with pytest.raises(TargetError, match="ended"):
        clock.jump(START + DAY)


def test_a_process_that_never_reports() -> None:
    clock = PythonClock(START, timeout_s=0.1)
    try:
        with pytest.raises(
            TargetError, match=r"no Python process has reported .*python -I, -E and -S ignore it"
        ):
            clock.advance(START + HOUR)
        clock.watch(lambda: 4)
        with pytest.raises(TargetError, match="the process ended with 4"):
            clock.advance(START + HOUR)
    finally:
        clock.close()


def test_there_is_no_way_back(clock: PythonClock, start: Start) -> None:
    start(clock, "import time; time.sleep(1e9)")
    clock.advance(START + HOUR)
    for back in (clock.advance, clock.jump):
        with pytest.raises(ValueError, match="cannot go back"):
            back(START)
    with pytest.raises(TargetError, match=r"process \d+ is running; use advance or jump"):
        clock.pass_time(START + DAY)
    assert clock.now_ms == START + HOUR


# --- nothing is left ----------------------------------------------------------------------------------


def test_nothing_is_left(start: Start) -> None:
    def open_now() -> tuple[set[str], set[str]]:
        descriptors = set()
        for name in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):
                descriptors.add(os.readlink(f"/proc/self/fd/{name}"))
        return {t.name for t in threading.enumerate()}, descriptors

    before = open_now()
    clock = PythonClock(START, timeout_s=PATIENCE_S)
    folder = Path(clock.env()["CRONSESSION_PYTHON_CLOCK_SOCKET"]).parent
    child = start(clock, HERE / "tiny_threads.py")
    child.line()
    clock.advance(START + HOUR)
    assert folder.exists()
    clock.close()
    clock.close()
    child.close()
    assert open_now() == before
    assert not folder.exists()
    with pytest.raises(TargetError, match="the clock is closed"):
        clock.advance(START + DAY)


def test_a_program_that_ends_by_itself_ends_quietly(clock: PythonClock, start: Start) -> None:
    child = start(clock, "import asyncio\nasyncio.run(asyncio.sleep(60))\nprint('done')")
    with pytest.raises(TargetError, match=r"ended"):
        clock.advance(START + HOUR)
    assert child.end() == ("done\n", "")
    assert child.process.returncode == 0
