"""The clock of an unmodified Node process: what its program sees, and when its timers fire."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_cronsession.clock.node_clock import NodeClock

from .tiny_node import DAY, HERE, HOUR, MINUTE, NO_NODE, NODE, SECOND, START, Node, Tiny

pytestmark = pytest.mark.skipif(NODE is None, reason=NO_NODE)

Clocks = Callable[..., NodeClock]
Serve = Callable[..., Tiny]
Run = Callable[..., Node]


# --- what a program sees ------------------------------------------------------------------------------------


def test_every_face_of_time_stands_and_moves_together(make_clock: Clocks, serve: Serve) -> None:
    clock = make_clock()
    tiny = serve(clock)
    tiny.js("""
        const { performance: hooked } = require('node:perf_hooks');
        const all = () => [
          Date.now(), +new Date(), new Date().getTime(), Date.parse(Date()),
          Math.round(performance.timeOrigin + performance.now()), Math.round(hooked.timeOrigin + hooked.now()),
          Date.parse(new Intl.DateTimeFormat('en', { dateStyle: 'short', timeStyle: 'medium' }).format()),
        ];
        const [hr, hrBig, up] = [process.hrtime(), process.hrtime.bigint(), process.uptime()];
        state.all = () => [...all(),
          Math.round(process.hrtime(hr)[0] * 1e3 + process.hrtime(hr)[1] / 1e6),
          Number((process.hrtime.bigint() - hrBig) / 1000000n), Math.round((process.uptime() - up) * 1e3)];
    """)
    assert tiny.js("return state.all()") == [START] * 7 + [0] * 3
    clock.advance(START + 90 * MINUTE)
    assert tiny.js("return state.all()") == [START + 90 * MINUTE] * 7 + [90 * MINUTE] * 3
    clock.jump(START + 40 * DAY)
    assert tiny.js("return state.all()") == [START + 40 * DAY] * 7 + [40 * DAY] * 3


def test_date_is_still_date(make_clock: Clocks, serve: Serve) -> None:
    tiny = serve(make_clock())
    assert tiny.js("""
        class Later extends Date { hour() { return this.getUTCHours(); } }
        const mtime = require('node:fs').statSync('.').mtime; // made by Node itself
        return {
          instances: [new Date() instanceof Date, new Later() instanceof Later, mtime instanceof Date],
          types: [typeof Date(), Date.length, Date.name, new Date().constructor === Date],
          later: [new Later().hour(), new Later(0).hour()],
          parts: [new Date(2026, 0, 2, 3).getHours(), Date.UTC(2026, 0), Date.parse('2026-01-01T00:00:00Z')],
          other: [new Date('x').getTime(), new Date(undefined).getTime(), new Date(new Date(5)).getTime()],
          prototype: Object.getPrototypeOf(mtime) === Date.prototype && Object.keys(Date).length === 0,
          json: JSON.stringify(new Date()),
          copy: structuredClone(new Date(7)) instanceof Date,
        };
    """) == {
        "instances": [True, True, True],
        "types": ["string", 7, "Date", True],
        "later": [8, 0],
        "parts": [3, 1767225600000, 1767225600000],
        "other": [None, None, 5],
        "prototype": True,
        "json": '"2026-03-02T08:00:00.000Z"',
        "copy": True,
    }


def test_a_formatter_uses_the_virtual_instant_when_given_none(make_clock: Clocks, serve: Serve) -> None:
    tiny = serve(make_clock())
    assert tiny.js("""
        const zone = new Intl.DateTimeFormat('en-GB', { timeZone: 'America/Denver', hour: '2-digit', minute: '2-digit' });
        return [zone.format(), zone.format(new Date(0)), zone.formatToParts().map((p) => p.value).join(''),
          zone.format === zone.format, [0].map(zone.format)[0]];
    """) == ["01:00", "17:00", "01:00", True, "17:00"]


# --- long runs ----------------------------------------------------------------------------------------------


def test_a_cron_loop_over_28_days_fires_every_slot_on_time(make_clock: Clocks, serve: Serve) -> None:
    clock = make_clock(timeout_s=120)  # 6 to 20 seconds, by the disk
    tiny = serve(clock)
    tiny.js("state.cron([{ name: 'hourly', everyMs: 3600000 }, { name: 'quarter', everyMs: 900000 }])")
    moved = clock.advance(START + 28 * DAY)
    expected = [
        [at, name, START + at]
        for at in range(15 * MINUTE, 28 * DAY + 1, 15 * MINUTE)
        for name in ["hourly", "quarter"]
        if name == "quarter" or at % HOUR == 0
    ]
    assert len(expected) == 28 * 24 * 5
    assert tiny.log == expected
    assert moved.now_ms == START + 28 * DAY
    assert moved.fired >= 28 * 24 * 60  # the loop wakes every minute
    assert moved.pending_io == ()


def test_es_modules_with_named_imports(make_clock: Clocks, serve: Serve) -> None:
    clock = make_clock()
    tiny = serve(clock, "tiny_server.mjs")
    tiny.ask("POST")
    clock.advance(START + 2 * DAY)
    log = tiny.ask("GET")
    by_name = {name: [at for which, at, *_ in log if which == name] for name in {entry[0] for entry in log}}
    assert by_name == {
        "hourly": [n * HOUR for n in range(1, 49)],
        "quarter": [n * 15 * MINUTE for n in range(1, 193)],
        "daily": [DAY, 2 * DAY],
        "interval": [n * 2 * HOUR for n in range(1, 25)],
    }
    assert all(entry[1] == entry[2] == entry[3] for entry in log), "Date, performance and hrtime agree"
    assert [entry[4] for entry in log if entry[0] == "quarter"] == ["tick"] * 192


# --- timers -------------------------------------------------------------------------------------------------


def test_timers_fire_in_order_of_their_instants_then_of_their_making(
    make_clock: Clocks, serve: Serve
) -> None:
    clock = make_clock()
    tiny = serve(clock)
    tiny.js("""
        for (const [name, delay] of [['c', 3000], ['a', 1000], ['b', 2000], ['a2', 1000], ['zero', 0], ['none'],
            ['negative', -5], ['text', '1500'], ['fraction', 999.9], ['nan', 'x']]) setTimeout(state.note, delay, name);
        setTimeout(() => {
          state.note('nested');
          setTimeout(state.note, 0, 'inner');
          setTimeout(state.note, 500, 'later');
          queueMicrotask(() => state.note('microtask'));
          process.nextTick(() => state.note('tick'));
          setImmediate(() => state.note('immediate'));
        }, 2500);
    """)
    assert clock.timers()[:3] == [START + 1] * 3
    assert clock.next_timer_ms() == START + 1
    assert clock.advance(START + 999).fired == 5
    assert clock.advance(START + DAY).now_ms == START + DAY
    assert tiny.log == [
        *([1, name] for name in ("zero", "none", "negative", "nan")),
        *([999, "fraction"], [1000, "a"], [1000, "a2"], [1500, "text"], [2000, "b"]),
        *([2500, name] for name in ("nested", "tick", "microtask", "immediate")),
        *([2501, "inner"], [3000, "c"], [3000, "later"]),
    ]


def test_the_objects_that_timers_are(make_clock: Clocks, serve: Serve) -> None:
    clock = make_clock()
    tiny = serve(clock)
    assert tiny.js("""
        const timer = setTimeout(state.note, 1000, 'refreshed');
        const made = { closed: setTimeout(state.note, 1000), byId: setTimeout(state.note, 1000),
          byText: setTimeout(state.note, 1000), disposed: setTimeout(state.note, 1000), plain: setInterval(state.note, 1000) };
        made.closed.close();
        clearTimeout(+made.byId);
        clearInterval(`${made.byText}`);
        made.disposed[Symbol.dispose]();
        clearTimeout(made.plain);
        for (const nothing of [null, undefined, 0, 'x', {}, timer + 1]) clearTimeout(nothing);
        setTimeout(() => timer.refresh(), 600);
        setTimeout(() => timer.refresh(), 3000);
        setTimeout(() => clearTimeout(timer), 4500);
        setTimeout(function () { state.note(this.constructor.name, this._destroyed); }, 700);
        const thrown = (act) => { try { act(); } catch (error) { return error.code; } };
        return [timer.hasRef(), timer.unref() === timer, timer.hasRef(), timer.ref().hasRef(), typeof +timer,
          timer.constructor.name, thrown(() => setTimeout('code', 1)), thrown(() => setInterval(undefined, 1))];
    """) == [True, True, False, True, "number", "Timeout", *["ERR_INVALID_ARG_TYPE"] * 2]
    clock.advance(START + 10 * SECOND)
    assert tiny.log == [[700, "Timeout", False], [1600, "refreshed"], [4000, "refreshed"]]


def test_intervals_keep_their_beat_and_end_from_inside(make_clock: Clocks, serve: Serve) -> None:
    clock = make_clock()
    tiny = serve(clock)
    tiny.js(
        """
        const fs = require('node:fs/promises');
        let left = 3;
        const slow = setInterval(async () => {
          state.note('slow');
          await fs.readFile(__filename);
          await fs.stat('.');
          if (--left === 0) clearInterval(slow);
        }, 1000);
        const other = setTimeout(state.note, 1500, 'never');
        setTimeout(() => clearTimeout(other), 1500);   // made after it, so too late for it
        const third = setInterval(() => { clearInterval(third); state.note('once'); }, 700);
        const victim = setTimeout(state.note, 900, 'victim');
        setTimeout(() => clearTimeout(victim), 900).refresh();
        setTimeout(() => clearTimeout(victim), 899);
    """.replace("__filename", "process.execPath.replace(/.*/, '/proc/self/status')")
    )
    clock.advance(START + 10 * SECOND)
    assert tiny.log == [[700, "once"], [1000, "slow"], [1500, "never"], [2000, "slow"], [3000, "slow"]]


def test_promises_and_signals(make_clock: Clocks, serve: Serve) -> None:
    clock = make_clock()
    tiny = serve(clock)
    assert tiny.js("""
        const { promisify } = require('node:util');
        const timers = require('node:timers');
        const { setTimeout: sleep, setInterval: ticks, scheduler } = require('node:timers/promises');
        const noteEnd = (name) => [() => state.note(name), (e) => state.note(name, e.name, e.code, String(e.cause?.message))];
        promisify(setTimeout)(1000, 'value').then(state.note);
        scheduler.wait(1100).then(() => state.note('waited'));
        const stop = new AbortController();
        sleep(5000, 0, { signal: stop.signal }).then(...noteEnd('sleep'));
        scheduler.wait(5000, { signal: stop.signal }).then(...noteEnd('wait'));
        (async () => { for await (const n of ticks(500, 'beat', { signal: stop.signal })) state.note(n); })()
          .then(...noteEnd('ticks'));
        setTimeout(() => stop.abort(new Error('enough')), 1250);
        sleep(1, 0, { signal: AbortSignal.abort() }).then(...noteEnd('late'));
        const timed = AbortSignal.timeout(2000);
        timed.addEventListener('abort', () => state.note('timed out', timed.reason.name, timed.reason.code));
        AbortSignal.any([timed]).addEventListener('abort', () => state.note('any'));
        const refused = [];
        for (const act of [() => sleep(1, 0, { signal: 1 }), () => sleep(1, 0, null), () => ticks(1, 0, { ref: 1 }).next(),
          () => scheduler.wait('x'), () => AbortSignal.timeout(-1)]) {
          try { await act(); refused.push('accepted'); } catch (error) { refused.push(error.code); }
        }
        return [refused, timers.setTimeout === setTimeout, timers.promises.setTimeout === sleep];
    """) == [[*["ERR_INVALID_ARG_TYPE"] * 4, "ERR_OUT_OF_RANGE"], True, True]
    clock.advance(START + 10 * SECOND)
    aborted = ["AbortError", "ABORT_ERR", "enough"]
    assert tiny.log[0][:4] == [0, "late", "AbortError", "ABORT_ERR"]
    assert sorted(tiny.log[1:]) == sorted(
        [
            *([500, "beat"], [1000, "beat"], [1000, "value"], [1100, "waited"]),
            *([1250, "sleep", *aborted], [1250, "wait", *aborted], [1250, "ticks", *aborted]),
            *([2000, "timed out", "TimeoutError", 23], [2000, "any"]),
        ]
    )


def test_a_timer_of_more_than_24_days_fires_at_once_as_in_node(make_clock: Clocks, run_node: Run) -> None:
    clock = make_clock()
    code = "for (const days of [24, 25]) setTimeout(() => console.log(days, Date.now()), days * 86400000)"
    node = run_node(clock, "-e", code)
    clock.advance(START + 30 * DAY)
    status, out, errors = node.finish()
    assert status == 0
    assert out.split() == ["25", str(START + 1), "24", str(START + 24 * DAY)]
    assert "TimeoutOverflowWarning: 2160000000 does not fit" in errors


def test_the_async_context_of_a_timer(make_clock: Clocks, serve: Serve) -> None:
    clock = make_clock()
    tiny = serve(clock)
    tiny.js("""
        const { AsyncLocalStorage } = require('node:async_hooks');
        const store = new AsyncLocalStorage();
        for (const name of ['a', 'b']) store.run(name, () => {
          setTimeout(async () => {
            state.note(store.getStore());
            await require('node:timers/promises').setTimeout(1000);
            state.note(store.getStore());
          }, 1000);
        });
    """)
    clock.advance(START + HOUR)
    assert tiny.log == [[1000, "a"], [1000, "b"], [2000, "a"], [2000, "b"]]


@pytest.mark.parametrize(
    ("code", "end"),
    [
        ("setTimeout(() => {}, 3600000).unref()", 0),
        ("setInterval(() => {}, 3600000).unref()", 0),
        ("const t = setTimeout(() => {}, 3600000); clearTimeout(t)", 0),
        ("AbortSignal.timeout(3600000)", 0),
        ("require('timers/promises').setTimeout(3600000, 0, { ref: false })", 0),
        ("setTimeout(() => {}, 3600000)", HOUR),
        ("setTimeout(() => {}, 3600000).unref().ref()", HOUR),
        ("let n = 0; const t = setInterval(() => ++n > 1 && clearInterval(t), 1800000)", HOUR),
        ("setTimeout(() => t.unref(), 3600000); const t = setInterval(() => {}, 7200000)", HOUR),
        ("require('timers/promises').setTimeout(3600000)", HOUR),
    ],
)
def test_a_process_lives_as_long_as_its_timers_hold_it(
    code: str, end: int, make_clock: Clocks, run_node: Run
) -> None:
    clock = make_clock()
    told = "process.on('exit', () => console.log(Date.now()));"
    node = run_node(clock, "-e", told + code)
    if end:
        clock.advance(START + HOUR - 1)
        assert node.process.poll() is None
        clock.advance(START + HOUR)
    assert node.finish()[:2] == (0, f"{START + end}\n")


# --- real timers below a limit, jumps, running time ---------------------------------------------------------


def test_timers_below_the_limit_stay_real(make_clock: Clocks, run_node: Run) -> None:
    clock = make_clock(real_below_ms=2000)
    node = run_node(
        clock,
        "-e",
        """
        const sleep = require('node:timers/promises');
        let left = 3;
        const beat = setInterval(() => { if (--left === 0) clearInterval(beat); }, 20);
        setTimeout(async () => {
          await sleep.setTimeout(20);
          await sleep.scheduler.wait(20);
          for await (const _ of sleep.setInterval(20)) break;
          await new Promise((resolve) => AbortSignal.timeout(20).addEventListener('abort', resolve));
          console.log('short', left, Date.now());
          process.stdin.resume(); // alive
        }, 100);
        setTimeout(() => { console.log('long', Date.now()); process.exit(); }, 2000);
        """,
    )
    assert node.line() == f"short 0 {START}"  # by real time, with the clock standing still
    assert clock.next_timer_ms() == START + 2000
    clock.advance(START + 1999)
    assert clock.now_ms == START + 1999
    with pytest.raises(Exception, match="exit code 0"):
        clock.advance(START + 2000)
    assert node.finish()[:2] == (0, f"long {START + 2000}\n")


def test_a_jump_fires_what_is_due_once_and_all_of_it_late(make_clock: Clocks, serve: Serve) -> None:
    clock = make_clock()
    tiny = serve(clock)
    tiny.js("""
        setInterval(state.note, 60000, 'minute');
        setTimeout(state.note, 3600000, 'hour');
        const gone = setTimeout(state.note, 1800000, 'cleared by another');
        setTimeout(() => { clearTimeout(gone); setTimeout(state.note, 1000, 'after'); }, 1000);
        setTimeout(state.note, 86400000, 'day');
    """)
    moved = clock.jump(START + 2 * HOUR)
    assert moved.now_ms == START + 2 * HOUR
    assert tiny.log == [[2 * HOUR, "minute"], [2 * HOUR, "hour"]]
    clock.advance(START + 2 * HOUR + MINUTE)
    assert tiny.log[2:] == [[2 * HOUR + SECOND, "after"], [2 * HOUR + MINUTE, "minute"]]
    assert START + DAY in clock.timers()


@pytest.mark.parametrize("distance", [-HOUR, HOUR])
def test_the_wall_clock_alone_jumps(distance: int, make_clock: Clocks, serve: Serve) -> None:
    clock = make_clock()
    tiny = serve(clock)
    tiny.js("""
        const began = performance.now();
        setTimeout(() => state.note(Math.round(performance.now() - began)), 1000);
    """)
    moved = clock.jump(START + distance, wall_only=True)
    assert (moved.now_ms, moved.fired, tiny.log) == (START + distance, 0, [])
    clock.advance(START + distance + SECOND)
    assert tiny.log == [[distance + SECOND, SECOND]]


def test_running_time_goes_on_by_itself_and_is_moved_as_well(make_clock: Clocks, run_node: Run) -> None:
    clock = make_clock(mode="running")
    node = run_node(
        clock,
        "-e",
        """
        const say = (name) => console.log(JSON.stringify([name, Date.now()]));
        setTimeout(() => { say('soon'); setInterval(say, 3600000, 'hourly'); }, 50);
        process.stdin.resume();
        """,
    )
    name, soon = json.loads(node.line())
    assert name == "soon"  # nobody has moved it
    assert START + 50 <= soon < START + 10 * MINUTE
    clock.advance(START + DAY)
    hourly = [json.loads(node.line()) for _ in range(23)]
    assert hourly == [["hourly", hourly[0][1] + n * HOUR] for n in range(23)], "each at its very instant"
    assert 0 <= hourly[0][1] - soon - HOUR <= 100
    now = clock.now_ms
    assert START + DAY <= now < START + DAY + 10 * MINUTE
    while clock.now_ms <= now:
        pass  # it runs on
    clock.set_mode("frozen")
    now = clock.now_ms
    assert clock.advance(now + 5).now_ms == now + 5
    assert clock.now_ms == now + 5


def test_real_time_until_the_first_move(make_clock: Clocks, run_node: Run) -> None:
    clock = make_clock(None, mode="running")
    before = int(time.time() * 1000)
    node = run_node(
        clock, "-e", "console.log(Date.now()); setTimeout(() => console.log(Date.now()), 3600000)"
    )
    began = int(node.line())
    assert before <= began <= time.time() * 1000
    clock.advance(began + 2 * HOUR)
    assert began + HOUR <= int(node.line()) < began + HOUR + 10 * MINUTE
    assert node.finish()[0] == 0


def test_the_log_of_two_runs_is_the_same(make_clock: Clocks, serve: Serve) -> None:
    logs: list[Any] = []
    for _ in range(2):
        clock = make_clock()
        tiny = serve(clock, "tiny_server.mjs")
        tiny.ask("POST")
        clock.advance(START + 6 * HOUR)
        logs.append(tiny.ask("GET"))
    assert logs[0] == logs[1]
    assert len(logs[0]) == 6 + 24 + 3


def test_the_example_of_the_documentation(capsys: pytest.CaptureFixture[str]) -> None:
    page = Path(__file__).parents[2] / "docs" / "clocks" / "node.md"
    code = page.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    names: dict[str, Any] = {}
    exec(code, names)
    names["days_of"]([NODE, HERE / "tiny_server.cjs"], 2)
    # The server looks after its connections every 30 seconds.
    assert capsys.readouterr().out == f"{START + 2 * DAY} 5760 {START + 2 * DAY + 30 * SECOND}\n"
