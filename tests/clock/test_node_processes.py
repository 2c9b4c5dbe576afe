"""The clock and the world around the program: real I/O, children, failures, strangers, the end."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pytest_cronsession.clock.node_clock import PRELOAD, NodeClock
from pytest_cronsession.outcomes import TargetError

from .tiny_node import DAY, HOUR, MINUTE, NO_NODE, NODE, SECOND, START, Node, Tiny

pytestmark = pytest.mark.skipif(NODE is None, reason=NO_NODE)

Clocks = Callable[..., NodeClock]
Serve = Callable[..., Tiny]
Run = Callable[..., Node]


class Model:
    """Answers requests when the test says so; counts those that are open."""

    def __init__(self) -> None:
        self.open = 0
        self.held = 0
        self.let_go = threading.Event()
        self.on_request: Callable[[], None] = lambda: None
        self.lock = threading.Lock()
        model = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: Any) -> None: ...

            def do_GET(self) -> None:
                with model.lock:
                    model.open += 1
                model.on_request()
                model.let_go.wait(30)
                with model.lock:
                    model.open -= 1
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"answer")

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/"

    def settled(self) -> bool:
        return self.open <= self.held

    def whats_open(self) -> str:
        return f"{self.open - self.held} open model turn"

    def close(self) -> None:
        self.let_go.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def model() -> Iterator[Model]:
    made = Model()
    yield made
    made.close()


# --- real I/O -----------------------------------------------------------------------------------------------

WORK = {
    "files": "await fs.mkdtemp(require('os').tmpdir() + '/tiny-').then((d) => fs.writeFile(d + '/x', 'y').then(() => fs.rm(d, { recursive: true })))",
    "zlib": "await promisify(zlib.gunzip)(await promisify(zlib.gzip)('z'.repeat(3e6)))",
    "streams": "await require('stream/promises').pipeline(require('stream').Readable.from(['z'.repeat(1e6)]), zlib.createBrotliCompress(), async function* (s) { for await (const _ of s); })",
    "crypto": "await promisify(crypto.scrypt)('a', 'b', 32); await promisify(crypto.randomBytes)(8)",
    "keys": "(await promisify(crypto.generateKeyPair)('ec', { namedCurve: 'P-256' })).publicKey.export({ type: 'spki', format: 'der' })",
    "subtle": "await globalThis.crypto.subtle.digest('SHA-256', new Uint8Array(8e6))",
    "lookup": "await require('dns/promises').lookup('localhost')",
    "child": "await promisify(require('child_process').execFile)('sleep', ['0.05'])",
    "http": "await new Promise((r) => require('http').get(`http://127.0.0.1:${port}/`, (a) => a.resume().on('end', r)))",
    "fetch": "await (await fetch(`http://127.0.0.1:${port}/`, { signal: AbortSignal.timeout(60000) })).text()",
}


@pytest.mark.parametrize("what", WORK)
def test_real_work_is_waited_for_before_time_goes_on(
    what: str, make_clock: Clocks, serve: Serve, model: Model
) -> None:
    model.let_go.set()
    clock = make_clock(settled=model.settled)
    tiny = serve(clock)
    tiny.js(f"""
        const [fs, zlib, crypto] = ['fs/promises', 'zlib', 'crypto'].map(require);
        const {{ promisify }} = require('util');
        const port = {model.server.server_address[1]};
        const round = async () => {{ {WORK[what]}; state.note('done'); setTimeout(round, 600000); }};
        setTimeout(round, 600000);
        setInterval(() => {{}}, 1000); // something to overtake it
    """)
    clock.advance(START + HOUR)
    assert tiny.log == [[n * 10 * MINUTE, "done"] for n in range(1, 7)]


def test_a_held_request_lets_time_pass_and_http_is_served_meanwhile(
    make_clock: Clocks, serve: Serve, model: Model
) -> None:
    served: list[Any] = []
    clock = make_clock(settled=model.settled)
    tiny = serve(clock)

    def ask_in_the_middle() -> None:
        served.append(tiny.js("return Date.now()"))
        model.held = 1  # on purpose, from here on

    model.on_request = ask_in_the_middle
    tiny.js(f"""
        const read = async (answer) => {{ for await (const text of answer.setEncoding('utf8')) state.note(text); }};
        setTimeout(() => require('http').get('{model.url}', read), 1800000);
        setInterval(state.note, 3600000, 'hour');
    """)
    moved = clock.advance(START + 3 * HOUR)
    assert served == [START + HOUR // 2]
    assert moved.pending_io == ("open HTTP request x1",)
    assert f"gateway process {tiny.process.pid}: open HTTP request x1" in clock.busy()
    assert tiny.log == [[n * HOUR, "hour"] for n in (1, 2, 3)]
    model.held = 0
    model.let_go.set()
    clock.advance(START + 3 * HOUR + 1)
    assert tiny.log[3:] == [[3 * HOUR, "answer"]], "taken in before time goes on"
    assert "HTTP request" not in str(clock.busy())


@pytest.mark.parametrize(
    ("real_below_ms", "noted"), [(0, [[HOUR // 2, "UND_ERR_HEADERS_TIMEOUT"]]), (2000, [])]
)
def test_the_time_outs_of_fetch_are_virtual_unless_short_timers_are_real(
    real_below_ms: int, noted: list[Any], make_clock: Clocks, serve: Serve, model: Model
) -> None:
    model.held = 1
    clock = make_clock(settled=model.settled, real_below_ms=real_below_ms)
    tiny = serve(clock)
    tiny.js(f"setTimeout(() => fetch('{model.url}').catch((e) => state.note(e.cause.code)), 1500000 - 1)")
    clock.advance(START + 2 * HOUR)
    assert [[round(at, -4), code] for at, code in tiny.log] == noted


def test_what_never_becomes_quiet_is_named(make_clock: Clocks, serve: Serve, tmp_path: Path) -> None:
    clock = make_clock(timeout_s=0.5)
    tiny = serve(clock)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    tiny.js(f"""
        const {{ readFile }} = require('fs');
        setTimeout(() => {{ for (const n of [1, 2]) readFile('{pipe}', () => state.note('read')); }}, 60000);
    """)
    with pytest.raises(TargetError) as caught:
        clock.advance(START + HOUR)
    assert caught.value.operation == "clock/advance"
    assert caught.value.message == (
        f"gateway process {tiny.process.pid}: never became quiet: FSReqCallback x2 "
        "(its clock is at 2026-03-02T08:01:00.000+00:00)"
    )
    pipe.open("w").close()
    clock.timeout_s = 30
    assert clock.advance(START + HOUR).now_ms == START + HOUR, "it can go on"
    assert tiny.log == [[MINUTE, "read"]] * 2


def test_an_open_model_turn_is_named(make_clock: Clocks, serve: Serve, model: Model) -> None:
    clock = make_clock(settled=model.settled, whats_open=model.whats_open, timeout_s=0.5)
    tiny = serve(clock)
    tiny.js(f"setTimeout(() => fetch('{model.url}'), 60000)")
    with pytest.raises(TargetError, match=r"never became quiet: open HTTP request x1, 1 open model turn \("):
        clock.advance(START + HOUR)


def test_timers_without_end(make_clock: Clocks, serve: Serve) -> None:
    clock = make_clock(timeout_s=0.5)
    tiny = serve(clock)
    tiny.js("(function again() { setTimeout(again, 0); })()")
    with pytest.raises(
        TargetError, match=r"still not there after \d+ timers \(its clock is at 2026-03-02T08:"
    ):
        clock.advance(START + 365 * DAY)
    assert clock.next_timer_ms() > START  # type: ignore[operator]


def test_a_blocked_event_loop(make_clock: Clocks, serve: Serve) -> None:
    clock = make_clock(timeout_s=0.2)
    tiny = serve(clock)
    tiny.js("setTimeout(() => { for (;;); }, 1000)")
    with pytest.raises(
        TargetError,
        match=rf"^clock/advance: gateway process {tiny.process.pid} does not answer: something keeps its event",
    ):
        clock.advance(START + HOUR)


# --- death --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("act", "how"),
    [
        ("process.exit(3)", "exit code 3"),
        ("throw new Error('bad')", "exit code 1"),
        ("process.kill(process.pid, 'SIGKILL')", "killed by signal 9"),
        ("process.removeAllListeners('exit'); process.exit(4)", "exit code 4"),
    ],
)
def test_a_gateway_that_dies_during_an_advance(act: str, how: str, make_clock: Clocks, serve: Serve) -> None:
    clock = make_clock()
    tiny = serve(clock)
    tiny.js(f"setTimeout(() => {{ {act} }}, 60000)")
    pid = tiny.process.pid
    with pytest.raises(TargetError) as caught:
        clock.advance(START + HOUR)
    assert str(caught.value) == f"clock/advance: gateway process {pid} ended before it answered: {how}"
    for step, act_after in [("clock/jump", clock.jump), ("clock/advance", clock.advance)]:
        with pytest.raises(TargetError) as caught:
            act_after(START + DAY)
        assert str(caught.value) == f"{step}: gateway process {pid} has ended: {how}"


def test_a_program_that_handles_its_errors_goes_on(make_clock: Clocks, serve: Serve) -> None:
    clock = make_clock()
    tiny = serve(clock)
    tiny.js("""
        process.on('uncaughtException', (error) => state.note(error.message));
        setInterval(() => { throw new Error('bad'); }, 1000);
        setTimeout(state.note, 1500, 'good');
    """)
    clock.advance(START + 2 * SECOND)
    clock.jump(START + 9 * SECOND)
    assert tiny.log == [[1000, "bad"], [1500, "good"], [2000, "bad"], [9000, "bad"]]


def test_a_gateway_that_is_started_again_begins_where_time_is(make_clock: Clocks, serve: Serve) -> None:
    clock = make_clock()
    first = serve(clock)
    clock.advance(START + HOUR)
    with pytest.raises(TargetError, match="is running; use advance or jump"):
        clock.pass_time(START + DAY)
    first.end()
    clock.pass_time(START + DAY)
    second = serve(clock)
    assert second.js("return Date.now()") == START + DAY
    assert clock.advance(START + 2 * DAY).now_ms == START + 2 * DAY


def test_no_gateway_at_all(make_clock: Clocks) -> None:
    clock = make_clock(timeout_s=0.1)
    with pytest.raises(TargetError, match=r"^clock/advance: no gateway process has connected"):
        clock.advance(START + 1)
    clock.watch(lambda: 78)
    with pytest.raises(TargetError, match=r"^clock/timers: the gateway process has ended: exit code 78$"):
        clock.next_timer_ms()


# --- children and workers -----------------------------------------------------------------------------------

CHILD = """
    setInterval(() => process.send(['child', Date.now()]), 3600000);
    process.send(['born', Date.now()]);
"""


def test_a_child_process_moves_with_its_parent(make_clock: Clocks, serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "child.js").write_text(CHILD)
    clock = make_clock()
    tiny = serve(clock)
    tiny.js(f"""
        const env = {{ ...process.env }}; // copied now, used later
        setInterval(state.note, 7200000, 'parent');
        setTimeout(() => {{
          const child = require('child_process').fork('{tmp_path}/child.js', {{ env }});
          child.on('message', ([word, at]) => state.note(word, Date.now() - at));
          state.child = child;
        }}, 1800000);
    """)
    clock.advance(START + 5 * HOUR)
    half = HOUR // 2
    assert tiny.log == [
        *([half, "born", 0], [half + HOUR, "child", 0], [2 * HOUR, "parent"], [half + 2 * HOUR, "child", 0]),
        *([half + 3 * HOUR, "child", 0], [4 * HOUR, "parent"], [half + 4 * HOUR, "child", 0]),
    ]
    tiny.js("state.child.kill(); await new Promise((r) => state.child.on('exit', r))")
    assert clock.advance(START + 7 * HOUR).now_ms == START + 7 * HOUR, "a child may end"


def test_a_worker_thread_moves_with_its_process(make_clock: Clocks, serve: Serve) -> None:
    clock = make_clock()
    tiny = serve(clock)
    tiny.js(r"""
        const { Worker } = require('worker_threads');
        setTimeout(() => {
          state.worker = new Worker(`
            const { parentPort } = require('worker_threads');
            parentPort.on('message', (word) => setTimeout(() => parentPort.postMessage([word, Date.now()]), 1000));
            setInterval(() => parentPort.postMessage(['beat', Date.now()]), 3600000);
          `, { eval: true });
          state.worker.on('message', ([word, at]) => state.note(word, Date.now() - at));
        }, 1800000);
        setTimeout(() => state.worker.postMessage('asked'), 7200000);
    """)
    clock.advance(START + 3 * HOUR)
    half = HOUR // 2
    assert tiny.log == [
        *([HOUR + half, "beat", 0], [2 * HOUR + SECOND, "asked", 0], [2 * HOUR + half, "beat", 0])
    ]


def test_a_child_that_never_becomes_quiet_does_not_stop_time(
    make_clock: Clocks, serve: Serve, tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "child.js").write_text(f"require('fs').readFile('{pipe}', () => {{}});" + CHILD)
    clock = make_clock()
    tiny = serve(clock)
    tiny.js(f"""
        state.child = require('child_process').fork('{tmp_path}/child.js');
        state.child.on('message', ([word, at]) => state.note(word, at - Date.now()));
        await new Promise((resolve) => state.child.once('message', resolve));
    """)
    moved = clock.advance(START + 3 * HOUR)
    assert moved.pending_io == ("FSReqCallback x1",)
    assert tiny.log == [[0, "born", 0], *([n * HOUR, "child", 0] for n in (1, 2, 3))]
    pipe.open("w").close()


def test_children_with_an_environment_of_their_own_have_the_clock_too(
    make_clock: Clocks, serve: Serve
) -> None:
    clock = make_clock()
    tiny = serve(clock)
    clock.advance(START + HOUR)
    assert tiny.js("""
        const { Worker, SHARE_ENV } = require('worker_threads');
        const code = "require('worker_threads').parentPort.postMessage([Date.now(), process.env.OWN ?? ''])";
        const from = (options) => new Promise((resolve) =>
          new Worker(code, { eval: true, ...options }).on('message', resolve));
        const child = (env) => require('util').promisify(require('child_process').execFile)(
          process.execPath, ['-p', '[Date.now(), process.env.OWN]'], { env }).then(({ stdout }) => eval(stdout));
        return [await from({}), await from({ env: { OWN: 'x' }, execArgv: [] }), await from({ env: SHARE_ENV }),
          await child({ OWN: 'a=b', NODE_OPTIONS: '--no-warnings' })];
    """) == [[START + HOUR, ""], [START + HOUR, "x"], [START + HOUR, ""], [START + HOUR, "a=b"]]


def test_a_child_that_is_waited_for_with_a_blocked_event_loop(make_clock: Clocks, serve: Serve) -> None:
    """The one kind that is not given the clock: it keeps what its environment says."""
    clock = make_clock()
    tiny = serve(clock)
    clock.advance(START + HOUR)
    same, real = tiny.js("""
        const { execFileSync } = require('child_process');
        return [process.env, {}].map((env) => Number(execFileSync(process.execPath, ['-p', 'Date.now()'], { env })));
    """)
    assert same == START + HOUR
    assert abs(real - time.time() * 1000) < 10 * MINUTE


def test_threads_that_talk_finish_talking_before_time_goes_on(make_clock: Clocks, serve: Serve) -> None:
    clock = make_clock()
    tiny = serve(clock)
    tiny.js(r"""
        const { Worker } = require('worker_threads');
        const worker = new Worker(`
          const { parentPort } = require('worker_threads');
          parentPort.on('message', (n) => {
            const until = process.cpuUsage().user + 5000;
            while (process.cpuUsage().user < until);
            parentPort.postMessage(n - 1);
          });
        `, { eval: true });
        worker.on('message', (n) => n ? worker.postMessage(n) : state.note('done'));
        setInterval(() => worker.postMessage(5), 60000);
        setInterval(() => {}, 1000); // something to overtake them
    """)
    clock.advance(START + 3 * MINUTE)
    assert tiny.log == [[n * MINUTE, "done"] for n in (1, 2, 3)]


def test_the_end_of_a_helper_is_no_news(make_clock: Clocks, serve: Serve, run_node: Run) -> None:
    clock = make_clock()
    serve(clock)
    helper = run_node(clock, "-e", "setTimeout(() => process.exit(5), 60000)", extra=clock.env(helper=True))
    clock.advance(START + HOUR)
    while helper.process.poll() is None:  # it may have connected after all that
        clock.advance(clock.now_ms + HOUR)
    assert helper.finish()[0] == 5


# --- strangers and the end ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "first",
    [
        {"event": "hello", "token": "wrong", "pid": 1, "thread": 0, "role": "main"},
        {"event": "hello", "pid": 1, "thread": 0, "role": "main"},
        {"id": 1, "ok": {}},
        ["hello"],
    ],
)
def test_who_does_not_know_the_token_is_refused(first: Any, make_clock: Clocks, serve: Serve) -> None:
    clock = make_clock()
    path = clock.env()["CRONSESSION_CLOCK_SOCKET"]
    tiny = serve(clock)
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.settimeout(10)
        stranger.connect(path)
        stranger.sendall(json.dumps(first).encode() + b"\n")
        assert clock.advance(START + HOUR).now_ms == START + HOUR
        assert clock.timers() != []
        assert stranger.recv(100) == b"", "closed without a word"
    assert tiny.js("return Date.now()") == START + HOUR


def test_a_process_without_a_controller_has_running_time(make_clock: Clocks, run_node: Run) -> None:
    clock = make_clock()
    code = "console.log(0); setTimeout(() => console.log(Date.now()), 100)"
    held = run_node(clock, "-e", code)
    assert held.line() == "0"
    assert clock.next_timer_ms() == START + 100
    environment = clock.env()
    clock.close()
    assert START + 100 <= int(held.line()) < START + 10 * MINUTE, "let go"
    never = run_node(make_clock(), "-e", code, extra=environment)
    assert never.line() == "0"
    assert START + 100 <= int(never.line()) < START + 10 * MINUTE, "nobody there"


def test_closing_leaves_nothing(make_clock: Clocks, serve: Serve) -> None:
    def descriptors() -> list[str]:
        found = []
        for number in os.listdir("/proc/self/fd"):
            try:
                found.append(os.readlink(f"/proc/self/fd/{number}").split(":")[0])
            except FileNotFoundError:
                continue
        return sorted(found)

    before, threads = descriptors(), threading.active_count()
    clock = make_clock()
    tiny = serve(clock)
    clock.advance(START + HOUR)
    folder = Path(clock.env()["CRONSESSION_CLOCK_SOCKET"]).parent
    assert folder.stat().st_mode & 0o777 == 0o700
    assert threading.active_count() == threads
    clock.close()
    clock.close()
    tiny.end()
    assert not folder.exists()
    assert descriptors() == before
    with pytest.raises(TargetError, match=r"^clock/advance: the clock is closed$"):
        clock.advance(START + DAY)


def test_any_thread_may_move_it(make_clock: Clocks, serve: Serve) -> None:
    clock = make_clock()
    tiny = serve(clock)
    tiny.js("setInterval(state.note, 60000)")
    threads = [threading.Thread(target=clock.advance, args=(START + n * HOUR,)) for n in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tiny.log == [[n * MINUTE] for n in range(1, 181)]
    assert clock.now_ms == START + 3 * HOUR


def test_other_options_of_node_are_kept(make_clock: Clocks) -> None:
    options = make_clock().env({"NODE_OPTIONS": "--no-warnings"})["NODE_OPTIONS"]
    assert options == f'--no-warnings --require "{PRELOAD}"'


def test_the_preload_alone_changes_nothing(make_clock: Clocks, run_node: Run) -> None:
    code = "console.log(setTimeout.toString().includes('isReal'), Date.now())"
    node = run_node(
        make_clock(), "-r", PRELOAD, "-e", code, extra={"NODE_OPTIONS": "", "CRONSESSION_CLOCK_SOCKET": ""}
    )
    replaced, now = node.finish()[1].split()
    assert replaced == "false"
    assert abs(int(now) - time.time() * 1000) < 10 * MINUTE
