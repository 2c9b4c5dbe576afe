"""libfaketime, where it is installed: a frozen timestamp file, replaced and poked."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_cronsession.clock import faketime
from pytest_cronsession.clock.faketime import INSTALL, FaketimeClock, find_libfaketime
from pytest_cronsession.outcomes import TargetError

HERE = Path(__file__).parent
START = 1_772_438_407_000  # 2026-03-02T08:00:07Z
SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
needs_library = pytest.mark.skipif(find_libfaketime() is None, reason=INSTALL)

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    children: list[subprocess.Popen[str]] = []

    def started(clock: FaketimeClock, *argv: str) -> subprocess.Popen[str]:
        child = subprocess.Popen(argv, env={**os.environ, **clock.env()}, stdout=subprocess.PIPE, text=True)
        children.append(child)
        clock.attach(child.pid, child.poll)
        return child

    yield started
    for child in children:
        child.kill()
        child.communicate()


def make(**options: Any) -> FaketimeClock:
    return FaketimeClock(START, **{"timeout_s": 60, **options})


def line(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def fires_of(port: int) -> list[list[Any]]:
    with socket.create_connection(("127.0.0.1", port), 20) as client, client.makefile("rw") as stream:
        stream.write("all\n")
        stream.flush()
        fires: list[list[Any]] = json.loads(stream.readline())
        return fires


@needs_library
@pytest.mark.parametrize(
    ("known", "span"), [(True, 3 * DAY), (False, 4 * HOUR)], ids=["known-slots", "steps"]
)
def test_an_unmodified_program(known: bool, span: int, start: Start) -> None:
    def next_slot() -> int:
        return (clock.now_ms // (15 * MINUTE) + 1) * 15 * MINUTE

    clock = make(next_due=next_slot if known else None, step_ms=15 * MINUTE if known else MINUTE)
    try:
        port = int(line(start(clock, sys.executable, str(HERE / "tiny_async.py"))))
        assert clock.advance(START + span) == clock.now_ms == START + span
        fires = fires_of(port)
    finally:
        clock.close()
    names = [name for name, _, _ in fires]
    assert (names.count("hour"), names.count("quarter")) == (span // HOUR, span // (15 * MINUTE))
    late = [int((ran - slot) * 1000) for _, slot, ran in fires]
    if known:
        assert set(late) == {0}, "each fire at the end of the step that was made for it"
    else:
        assert all(0 <= ms < MINUTE for ms in late), "each fire at the end of the step that it fell into"


@needs_library
def test_a_jump_fires_once(start: Start) -> None:
    clock = make()
    try:
        port = int(line(start(clock, sys.executable, str(HERE / "tiny_async.py"))))
        clock.jump(START + 5 * HOUR)
        assert sorted(name for name, _, _ in fires_of(port)) == ["hour", "quarter"]
    finally:
        clock.close()


@needs_library
def test_any_program_sees_the_instant_to_the_millisecond() -> None:
    clock = FaketimeClock(START + 123)
    try:
        env = {**os.environ, **clock.env()}
        done = subprocess.run(["date", "-u", "+%s.%3N"], env=env, capture_output=True, text=True)
        assert done.stdout == f"{START // 1000}.123\n"
        assert done.stderr == ""
        folder = Path(clock.env()["FAKETIME_TIMESTAMP_FILE"]).parent
        assert folder.is_dir()
    finally:
        clock.close()
    assert not folder.exists()


@needs_library
def test_the_example_of_the_page() -> None:
    page = (HERE.parents[1] / "docs" / "clocks" / "faketime.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    exec(compile(example, "faketime.md", "exec"), {})


WAITS = {
    "asyncio": ("import asyncio; asyncio.run(asyncio.sleep(60))", True),
    "sleep": ("import time; time.sleep(60)", False),
    "select": ("import select; select.select([], [], [], 60)", False),
    "event": ("import threading; threading.Event().wait(60)", False),
}


@needs_library
@pytest.mark.parametrize("wait", WAITS)
def test_which_waits_a_poke_wakes(wait: str, start: Start) -> None:
    """The page says so; where one of them changes, the page has to."""
    code, wakes = WAITS[wait]
    clock = make()
    try:
        child = start(clock, sys.executable, "-c", f"print(1, flush=True); {code}")
        line(child)
        ended = False
        try:
            clock.advance(START + 3 * MINUTE)
        except TargetError as error:
            ended = "ended (exit code 0)" in str(error)
        assert ended == wakes
    finally:
        clock.close()


@needs_library
def test_a_poke_of_ones_own(start: Start) -> None:
    pokes: list[int] = []

    def poke() -> None:
        """Any request makes a server look at the time."""
        pokes.append(clock.now_ms)
        fires_of(port)

    clock = make(poke=poke)
    try:
        port = int(line(start(clock, sys.executable, str(HERE / "tiny_async.py"))))
        clock.advance(START + 20 * MINUTE)
        assert pokes == [START + n * MINUTE for n in range(1, 21)]
        assert [name for name, _, _ in fires_of(port)] == ["quarter"]
    finally:
        clock.close()


@needs_library
def test_there_is_no_way_back(start: Start) -> None:
    clock = make()
    try:
        child = start(clock, sys.executable, "-c", "import time; time.sleep(1e9)")
        clock.advance(START + MINUTE)
        for back in (clock.advance, clock.jump):
            with pytest.raises(
                ValueError, match=rf"the clock is at {START + MINUTE} and cannot go back to {START}"
            ):
                back(START)
        assert child.poll() is None
    finally:
        clock.close()


@needs_library
@pytest.mark.parametrize("how", ["exit code 3", "killed by signal 9"])
def test_death_during_an_advance(how: str, start: Start) -> None:
    end = "os._exit(3)" if "3" in how else "os.kill(os.getpid(), 9)"
    code = f"import asyncio, os; asyncio.run(asyncio.sleep(1800)); {end}"
    clock = make()
    try:
        child = start(clock, sys.executable, "-c", code)
        with pytest.raises(
            TargetError, match=rf"process {child.pid} ended \({how}\) while the clock was at"
        ) as error:
            clock.advance(START + DAY)
        assert error.value.operation == "clock/advance"
        assert START + 30 * MINUTE <= clock.now_ms <= START + 32 * MINUTE
    finally:
        clock.close()


@needs_library
@pytest.mark.parametrize(
    ("code", "settled", "reason"),
    [
        ("while True: pass", None, r"threads of process \d+ keep running"),
        ("import time; time.sleep(1e9)", lambda: False, r"settled\(\) is false"),
    ],
    ids=["busy", "unsettled"],
)
def test_never_quiet_is_said(code: str, settled: Any, reason: str, start: Start) -> None:
    clock = make(timeout_s=0.3, settled=settled)
    try:
        start(clock, sys.executable, "-c", code)
        with pytest.raises(TargetError, match=rf"not settled at {START} within 0.3 s: {reason}"):
            clock.advance(START + HOUR)
    finally:
        clock.close()


@needs_library
def test_nobody_to_move() -> None:
    clock = make()
    try:
        with pytest.raises(TargetError, match=r"call attach\(pid\)"):
            clock.advance(START + HOUR)
    finally:
        clock.close()
        clock.close()


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faketime, "_PLACES", ("/nowhere/*/faketime",))
    assert find_libfaketime() is None
    with pytest.raises(TargetError, match=r"apt-get install faketime"):
        FaketimeClock(START)


@pytest.mark.parametrize(
    ("due", "stops"),
    [
        (None, [60_000, 120_000]),
        (90_000, [60_000, 92_000]),
        (10_000, [12_000, 72_000]),
    ],
    ids=["unknown", "beyond", "near"],
)
def test_steps_end_at_what_is_due(due: int | None, stops: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    def next_due() -> int | None:
        return None if due is None else START + due

    clock = FaketimeClock(
        START, library=Path("/lib/x.so"), next_due=next_due, late_ms=2_000, poke=lambda: None
    )
    monkeypatch.setattr(clock, "_settle", lambda step, until: seen.append(clock.now_ms - START))
    seen: list[int] = []
    try:
        clock.advance(START + stops[-1])
        assert seen == [0, *stops]
        assert clock.env({"LD_PRELOAD": "/lib/y.so"})["LD_PRELOAD"] == "/lib/x.so:/lib/y.so"
        assert clock.env({})["FAKETIME_NO_CACHE"] == "1"
    finally:
        clock.close()
    assert abs(time.time() * 1000 - START) > DAY, "this process is not touched"
