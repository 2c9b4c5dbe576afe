"""The virtual loop by itself, driven, behind an adapter; and what holds its clock."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import gc
import hashlib
import importlib.util
import itertools
import os
import shutil
import socket
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_cronsession.clock.loop_host import LoopHost
from pytest_cronsession.clock.replies import LINGER_S, Reply
from pytest_cronsession.clock.timeline import NeverQuiet, refuse_uvloop
from pytest_cronsession.clock.virtual_loop import VirtualLoop
from pytest_cronsession.model import Script
from pytest_cronsession.model_server import ModelServer

HERE = Path(__file__).parent
START = 1_772_438_407_000  # 2026-03-02T08:00:07Z
SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
WALLS = ("time-machine", "freezegun")
walls = pytest.mark.parametrize("wall", WALLS)


def runner(**options: Any) -> asyncio.Runner:
    return asyncio.Runner(loop_factory=lambda: VirtualLoop(START, **options))


def virtual() -> VirtualLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop


@pytest.fixture
def driven() -> Iterator[VirtualLoop]:
    loop = VirtualLoop(START, until_ms=START)
    yield loop
    loop.close()


@pytest.fixture
def host() -> Iterator[LoopHost]:
    host = LoopHost(START, wall=None, timeout_s=10)
    yield host
    host.close()


def load(name: str) -> types.ModuleType:
    """One of the unmodified scripts, fresh."""
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    # Known by name: freezegun patches what it finds in sys.modules.
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def work() -> str:
    """About a tenth of a second of real work."""
    return hashlib.pbkdf2_hmac("sha256", b"", b"", 150_000).hex()


# --- by itself --------------------------------------------------------------------------------------------


@walls
def test_28_days_of_two_jobs(wall: str) -> None:
    tiny = load("tiny_async")

    async def days(count: int) -> float:
        begun = asyncio.get_running_loop().time()
        jobs = [tiny.job("hour", 60), tiny.job("quarter", 15)]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*jobs), count * 86_400)
        return begun

    with runner(wall=wall) as run:
        assert run.run(days(28)) < 1e-3
        assert run.get_loop().time() == 28 * 86_400
    assert [name for name, _, _ in tiny.fires].count("hour") == 28 * 24
    assert [name for name, _, _ in tiny.fires].count("quarter") == 28 * 96
    assert [fire for fire in tiny.fires if fire[1] != fire[2]] == []
    assert tiny.fires == sorted(tiny.fires, key=lambda fire: fire[1])
    assert abs(time.time() - tiny.fires[-1][1]) > 3 * 86_400, "the wall clock is real again"


@walls
def test_wall_clock_and_loop_clock_agree(wall: str) -> None:
    async def steps() -> None:
        loop = virtual()
        for seconds in (0.001, 0.000_001, 59.999_999, 7 * 86_400.25):
            await asyncio.sleep(seconds)
            assert round(time.time() * 1e6) == loop.timeline.now_us
            assert datetime.now(UTC) == datetime.fromtimestamp(loop.timeline.now_us / 1e6, UTC)
            assert round(loop.time() * 1e6) == loop.timeline.now_us - START * 1000

    with runner(wall=wall) as run:
        run.run(steps())


@settings(deadline=None, derandomize=True, database=None, max_examples=60)
@given(st.lists(st.integers(0, 400 * DAY), min_size=1, max_size=12))
def test_timers_fire_in_order_each_at_its_instant(delays: list[int]) -> None:
    loop = VirtualLoop(START, until_ms=START)
    fired: list[tuple[int, int]] = []
    try:
        for delay in delays:
            loop.call_later(delay / 1000, lambda delay=delay: fired.append((delay, loop.now_ms - START)))
        loop.advance_to(START + 400 * DAY)
    finally:
        loop.close()
    assert fired == [(delay, delay) for delay in sorted(delays)]


def test_time_stops_at_an_instant_from_outside() -> None:
    fired: list[int] = []

    async def ticks() -> None:
        while True:
            await asyncio.sleep(60)
            fired.append(virtual().now_ms - START)

    loop = VirtualLoop(START, until_ms=START + 3 * MINUTE)
    try:
        ticking = loop.create_task(ticks())
        loop.advance_to(START + 3 * MINUTE)
        assert fired == [MINUTE, 2 * MINUTE, 3 * MINUTE], "what is due at the very instant has fired"
        loop.advance_to(START + 4 * MINUTE - 1)
        assert len(fired) == 3
        ticking.cancel()
        loop.advance_to(START + HOUR)
        assert ticking.cancelled()
        assert loop.now_ms == START + HOUR
    finally:
        loop.close()


def test_without_a_limit_an_idle_loop_waits_for_the_outside() -> None:
    async def wait() -> float:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[str] = loop.create_future()
        thread = threading.Thread(
            target=lambda: (work(), loop.call_soon_threadsafe(answer.set_result, "here"))
        )
        thread.start()
        assert await answer == "here"
        thread.join()
        return loop.time()

    with runner() as run:
        assert run.run(wait()) == 0


# --- driven -----------------------------------------------------------------------------------------------


def test_a_driven_loop_never_jumps_by_itself(host: LoopHost) -> None:
    fired = threading.Event()

    async def drive() -> None:
        host.loop.call_soon_threadsafe(host.loop.call_later, 1, fired.set)
        assert await host.call(work)
        assert not fired.is_set()
        assert await host.advance(START + SECOND - 1) == START + SECOND - 1
        assert not fired.is_set()
        assert await host.advance(START + SECOND) == START + SECOND
        assert fired.is_set()

    asyncio.run(drive())


def test_advancing_to_the_present_settles(driven: VirtualLoop) -> None:
    seen: list[int] = []

    async def chain() -> None:
        for step in range(50):
            await asyncio.sleep(0)
            seen.append(step)

    task = driven.create_task(chain())
    assert driven.advance_to(START) == START
    assert seen == list(range(50))
    assert task.done()


def test_a_jump_fires_late_and_at_once(driven: VirtualLoop) -> None:
    seen: list[int] = []
    for minutes in (1, 2, 600):
        driven.call_later(minutes * 60, lambda: seen.append(driven.now_ms - START))
    driven.jump_to(START + HOUR)
    driven.advance_to(START + HOUR)
    assert seen == [HOUR, HOUR]


def test_there_is_no_way_back(driven: VirtualLoop) -> None:
    driven.advance_to(START + SECOND)
    for back in (driven.advance_to, driven.jump_to, driven.advance_soon):
        with pytest.raises(
            ValueError, match=rf"^the clock is at {START + SECOND} and cannot go back to {START}$"
        ):
            back(START)


def test_a_callback_cannot_advance_its_own_loop(driven: VirtualLoop) -> None:
    raised: list[str] = []

    def callback() -> None:
        with pytest.raises(RuntimeError, match="would wait for itself") as error:
            driven.advance_to(START + HOUR)
        raised.append(str(error.value))

    driven.call_soon(callback)
    driven.advance_to(START)
    assert len(raised) == 1


def test_several_threads_may_ask_for_the_same_instant(host: LoopHost) -> None:
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        arrivals = list(pool.map(lambda _: host.loop.advance_to(START + DAY), range(8)))
    assert arrivals == [START + DAY] * 8


# --- never quiet ------------------------------------------------------------------------------------------


async def forever() -> None:
    while True:
        await asyncio.sleep(0)


def test_a_hold_that_is_never_let_go_is_named(driven: VirtualLoop) -> None:
    with (
        driven.hold("the search index"),
        pytest.raises(NeverQuiet, match=r"within 0\.05 s.*: the search index$"),
    ):
        driven.advance_to(START + HOUR, timeout_s=0.05)
    assert driven.now_ms == START
    assert driven.advance_to(START + HOUR) == START + HOUR


def test_callbacks_without_an_end_are_named(driven: VirtualLoop) -> None:
    task = driven.create_task(forever())
    with pytest.raises(NeverQuiet, match="callbacks keep running; task <coroutine object forever"):
        driven.advance_to(START + HOUR, timeout_s=0.05)
    task.cancel()
    driven.advance_to(START + HOUR)


def test_a_settled_that_raises_is_named(driven: VirtualLoop) -> None:
    def broken() -> bool:
        raise ConnectionRefusedError("model gone")

    driven.held.settled = broken
    with pytest.raises(NeverQuiet, match=r"settled\(\) raised ConnectionRefusedError\('model gone'\)"):
        driven.advance_to(START + HOUR, timeout_s=0.05)


def test_a_host_names_what_keeps_it_busy() -> None:
    host = LoopHost(START, wall=None, timeout_s=0.05)
    try:
        task = asyncio.run_coroutine_threadsafe(forever(), host.loop)
        with pytest.raises(NeverQuiet, match="forever"):
            asyncio.run(host.advance(START + HOUR))
        task.cancel()
    finally:
        host.close()
    host.close()


# --- what holds the clock ---------------------------------------------------------------------------------


async def ticks_during(job: Callable[[], Any]) -> int:
    """How many virtual seconds passed while ``job()`` was awaited: each is a spurious jump."""
    count = 0

    async def tick() -> None:
        nonlocal count
        while True:
            await asyncio.sleep(1)
            count += 1

    ticking = asyncio.create_task(tick())
    await job()
    ticking.cancel()
    return count


async def child() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "print(sum(range(10**6)))", stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert out == b"499999500000\n"


JOBS = {
    "threads": lambda: asyncio.to_thread(work),
    "subprocesses": child,
}


@pytest.mark.parametrize("kind", JOBS)
def test_work_outside_of_the_loop_holds_the_clock(kind: str) -> None:
    with runner() as run:
        assert run.run(ticks_during(JOBS[kind])) == 0
    with runner(held_by=()) as run:
        assert run.run(ticks_during(JOBS[kind])) > 0, "without a hold it would have jumped"


def test_a_job_that_was_given_up_on_still_holds_the_clock() -> None:
    begun, may_end = threading.Event(), threading.Event()

    def job() -> None:
        begun.set()
        may_end.wait()

    async def cancelled() -> tuple[list[str], list[str]]:
        running = asyncio.create_task(asyncio.to_thread(job))
        while not begun.is_set():
            await asyncio.sleep(0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        during = virtual().reasons()
        may_end.set()
        await asyncio.sleep(3600)
        return during, virtual().reasons()

    with runner() as run:
        during, after = run.run(cancelled())
    assert during == [f"a job of an executor: {job.__qualname__}"]
    assert after == []


def test_hold_from_another_thread(host: LoopHost) -> None:
    with host.loop.hold("indexing"):
        arrival = host.loop.advance_soon(START + HOUR)
        work()
        assert not arrival.done()
        assert host.now_ms == START
    assert arrival.result(10) == START + HOUR


def test_an_unknown_hold_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^held_by takes sockets, subprocesses, threads, not network$"):
        VirtualLoop(START, held_by=["threads", "network"])


@walls
def test_a_thread_of_the_loop_sees_virtual_time(wall: str) -> None:
    def shallow() -> float:
        return time.time()

    async def ask() -> tuple[float, float]:
        await asyncio.sleep(3600)
        return await asyncio.to_thread(shallow), time.time()

    with runner(wall=wall) as run:
        there, here = run.run(ask())
    assert there == here == START / 1000 + 3600


class Peer:
    """A server in a thread: says ``first``, works, says ``rest``, for each line that it gets."""

    def __init__(self, first: bytes, rest: bytes = b"") -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.first, self.rest = first, rest
        self.go = threading.Event()
        self.go.set()
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self) -> None:
        connection, _ = self.listener.accept()
        with connection, contextlib.suppress(ConnectionError):
            while connection.recv(4096):
                work()
                self.go.wait()
                connection.sendall(self.first)
                if self.rest:
                    work()
                    connection.sendall(self.rest)

    def close(self) -> None:
        self.go.set()
        self.thread.join()
        self.listener.close()


REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    ("request_bytes", "first", "rest"),
    [
        (REQUEST, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", b"ok"),
        (REQUEST, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"2\r\nok\r\n0\r\n\r\n"),
        (b"hello\n", b"ok", b""),
    ],
    ids=["length", "chunked", "not-http"],
)
def test_a_reply_holds_the_clock_until_it_is_complete(
    request_bytes: bytes, first: bytes, rest: bytes
) -> None:
    async def talk(peer: Peer) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", peer.port)
        try:
            writer.write(request_bytes)
            await asyncio.wait_for(reader.readexactly(len(first + rest)), 3600)
            # An idle connection that stays open holds nothing.
            await asyncio.sleep(DAY)
        finally:
            writer.close()
            await writer.wait_closed()

    for held_by in (["sockets"], []):
        peer = Peer(first, rest)
        try:
            with runner(held_by=held_by) as run:
                if held_by:
                    run.run(talk(peer))
                    assert run.get_loop().time() == DAY
                else:
                    with pytest.raises(TimeoutError):
                        run.run(talk(peer))
        finally:
            peer.close()


def test_a_reply_that_never_comes_is_named(host: LoopHost) -> None:
    peer = Peer(b"late")
    peer.go.clear()

    async def ask() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", peer.port)
        writer.write(b"hello\n")
        try:
            return await reader.readexactly(4)
        finally:
            writer.close()
            await writer.wait_closed()

    try:
        answer = asyncio.run_coroutine_threadsafe(ask(), host.loop)
        with pytest.raises(NeverQuiet, match=rf"reply \d+ from 127\.0\.0\.1:{peer.port}$"):
            host.loop.advance_to(START + HOUR, timeout_s=0.3)
        # The other side says that it has done its part: it holds the reply back on purpose.
        host.loop.held.settled = lambda: True
        assert host.loop.advance_to(START + 2 * HOUR, timeout_s=10) == START + 2 * HOUR
        assert not answer.done()
        peer.go.set()
        assert answer.result(10) == b"late"
    finally:
        peer.close()


def test_a_gateway_in_the_loop_talks_to_itself_without_a_jump() -> None:
    async def both() -> float:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while line := await reader.readline():
                writer.write(line)
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for number in range(200):
                writer.write(f"{number}\n".encode())
                assert await asyncio.wait_for(reader.readline(), 60) == f"{number}\n".encode()
            writer.close()
            await writer.wait_closed()
        return asyncio.get_running_loop().time()

    with runner() as run:
        assert run.run(both()) == 0


def test_a_model_over_http_is_waited_for() -> None:
    tiny = load("tiny_scheduler")
    script = Script("v")
    server = ModelServer(script)
    job = {
        "name": "n",
        "schedule": {"kind": "every", "everyMs": HOUR},
        "session": {"target": "isolated"},
        "payload": {"kind": "agentTurn", "text": "hello"},
    }

    async def days() -> None:
        scheduler = tiny.Scheduler(server.url)
        scheduler.add(job)
        await asyncio.sleep(2 * 86_400)
        await scheduler.stop()

    try:
        with runner(wall="time-machine") as run:
            run.run(days())
        assert len(script.turns()) == 48 - 1
    finally:
        server.close()


# --- uvloop -----------------------------------------------------------------------------------------------


class _UvloopPolicy:
    __module__ = "uvloop"


class _UvloopLoop:
    __module__ = "uvloop.loop"


def test_uvloop_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio.events, "_event_loop_policy", _UvloopPolicy())
    with pytest.raises(RuntimeError, match=r"uvloop keeps its own time in C .*loop='asyncio'"):
        VirtualLoop(START)


def test_a_running_uvloop_is_refused() -> None:
    with pytest.raises(RuntimeError, match="uvloop keeps its own time"):
        refuse_uvloop(_UvloopLoop())
    refuse_uvloop(object())
    refuse_uvloop()


# --- the wall clock ---------------------------------------------------------------------------------------


@walls
def test_each_world_shows_its_own_time(wall: str) -> None:
    def now() -> float:
        return time.time() * 1000

    early, late = LoopHost(START, wall=wall), LoopHost(START + 9 * DAY, wall=wall)
    try:

        async def both() -> None:
            assert await early.advance(START + HOUR) == START + HOUR
            assert await early.call(now) == START + HOUR
            assert await late.call(now) == START + 9 * DAY
            assert await late.jump(START + 10 * DAY) == START + 10 * DAY
            assert await early.call(now) == START + HOUR
            assert await late.call(now) == START + 10 * DAY

        asyncio.run(both())
        late.close()
        asyncio.run(early.advance(START + DAY))
        assert now() == START + DAY
    finally:
        early.close()
        late.close()
    assert abs(now() - START) > 100 * DAY


def test_one_back_end_at_a_time() -> None:
    loop = VirtualLoop(START, wall="time-machine")
    try:
        with pytest.raises(ValueError, match="time-machine's already; freezegun cannot be added"):
            VirtualLoop(START, wall="freezegun")
        with pytest.raises(ValueError, match="time-machine's already; sundial cannot"):
            VirtualLoop(START, wall="sundial")
    finally:
        loop.close()
    with pytest.raises(ValueError, match="clock back end 'sundial'"):
        VirtualLoop(START, wall="sundial")
    VirtualLoop(START, wall="freezegun").close()


def test_a_wall_clock_of_ones_own() -> None:
    class Noted:
        moves: list[float] = []  # noqa: RUF012

        def move_to(self, now_ms: float) -> None:
            self.moves.append(now_ms)

        def stop(self) -> None:
            raise AssertionError("whoever made it stops it")

    with runner(wall=Noted()) as run:
        run.run(asyncio.sleep(1.5))
        run.run(asyncio.sleep(0.000_5))
    assert Noted.moves == [START, START + 1500, START + 1500.5]


# --- replies, as values -----------------------------------------------------------------------------------

REPLIES = [
    ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
    ("GET", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
    ("POST", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
    ("POST", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
    ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
    ("POST", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
]


@pytest.mark.parametrize(("method", "reply"), REPLIES, ids=range(len(REPLIES)))
@settings(deadline=None, derandomize=True, database=None, max_examples=40)
@given(cuts=st.sets(st.integers(1, 200)))
def test_an_http_reply_ends_with_its_last_byte(method: str, reply: bytes, cuts: set[int]) -> None:
    watched = Reply("x:1")
    assert not watched.busy
    for _ in range(2):  # on one connection
        watched.sent(f"{method} /v1 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        watched.sent(b"the body, written separately")
        edges = [0, *sorted(cut for cut in cuts if cut < len(reply)), len(reply)]
        for start, end in itertools.pairwise(edges):
            assert watched.awaiting
            watched.received(reply[start:end])
        assert not watched.awaiting
        assert not watched.busy, "the end was seen: there is nothing to linger for"


@pytest.mark.parametrize(
    "head",
    [b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n"],
    ids=["close", "http-1.0"],
)
def test_a_reply_that_ends_with_the_connection(head: bytes) -> None:
    watched = Reply("x:1")
    watched.sent(head)
    watched.received(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    assert watched.awaiting, "its reader may wait for the end of the stream"
    watched.received(b"")
    assert not watched.busy


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        (b"hello\n", b"hi"),
        (b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 101 Switching\r\n\r\n"),
        (b"GET /events HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"),
    ],
    ids=["not-http", "upgraded", "event-stream"],
)
def test_a_reply_without_a_visible_end_lingers(
    sent: bytes, received: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("pytest_cronsession.clock.replies.real_now", lambda: now)
    watched = Reply("x:1")
    watched.sent(sent)
    assert watched.busy
    watched.received(received)
    assert not watched.awaiting
    assert watched.busy
    now += 1.01 * LINGER_S
    assert not watched.busy
    watched.sent(b"more")
    watched.received(b"")
    assert not watched.busy, "the peer has closed"


# --- nothing is left --------------------------------------------------------------------------------------


@walls
def test_nothing_is_left(wall: str) -> None:
    def open_now() -> tuple[int, int]:
        gc.collect()
        return threading.active_count(), len(os.listdir("/proc/self/fd"))

    def world() -> None:
        host = LoopHost(START, wall=wall)
        task = asyncio.run_coroutine_threadsafe(forever_asleep(), host.loop)
        asyncio.run(host.advance(START + DAY))
        host.close()
        assert task.cancelled()
        assert host.loop.is_closed()

    async def forever_asleep() -> None:
        await asyncio.to_thread(work)
        await asyncio.sleep(1e9)

    world()
    before = open_now()
    world()
    after = open_now()
    assert after[1] == before[1]
    # The executor's idle threads end with the interpreter or their executor, as with any loop.
    assert after[0] <= before[0] + 1


# --- a vendor's adapter -----------------------------------------------------------------------------------

IDS = "CS-SCH-002 or CS-SCH-003 or CS-SCH-006 or CS-SCH-011 or CS-SCH-012 or CS-SCH-016"


def judge(pytester: pytest.Pytester, target: str, ids: str) -> pytest.RunResult:
    for name in ("tiny_adapter.py", "tiny_scheduler.py"):
        shutil.copy(HERE / name, pytester.path)
    pytester.syspathinsert()
    return pytester.runpytest_subprocess(
        "-p", "no:asyncio", "-W", "error", f"--cronsession-target=python:{target}", "-q", "-k", ids
    )


@walls
def test_a_stock_scheduler_is_judged(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, wall: str
) -> None:
    monkeypatch.setenv("TINY_WALL", wall)
    result = judge(pytester, "tiny_adapter:Gateway", IDS)
    outcomes = result.parseoutcomes()
    assert result.ret == 0
    assert outcomes["passed"] >= 9
    assert "failed" not in outcomes


def test_a_scheduler_that_drifts_is_found_out(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        drifting="""
        import tiny_adapter
        from tiny_scheduler import Scheduler

        class Drifting(Scheduler):
            def next_run(self, job):
                due = super().next_run(job)
                return due if due is None else due + 61_000

        class Gateway(tiny_adapter.Gateway):
            async def gateway_start(self, params):
                await super().gateway_start(params)
                self.scheduler = await self.host.call(Drifting, params["modelUrl"])
        """
    )
    result = judge(pytester, "drifting:Gateway", "CS-SCH-002")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["CS-SCH-002 MUST*", "*1 missing run(s) at the slot*"])
