"""A gateway object in this process: whatever it does, the caller gets a checked answer or a clear error in time."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pytest_cronsession.channel import Caller, PythonChannel
from pytest_cronsession.outcomes import TargetError, UnsupportedOperation
from pytest_cronsession.stdio import StdioChannel

WAIT_S = 10.0
SHORT_S = 0.2
HELLO: dict[str, Any] = {
    "protocol": 1,
    "name": "tiny",
    "version": "1",
    "specRevision": 1,
    "capabilities": [],
    "profiles": ["sessions"],
    "policies": {},
}
PARAMS = {"protocol": 1, "specRevision": 1}
STORED = {"id": "j1", "enabled": True, "nextRunAtMs": None}


def gateway(**methods: Callable[..., Any]) -> Callable[[], Any]:
    """A factory of a gateway with these methods, which take ``params``."""
    return lambda: type("Made", (), {name: staticmethod(body) for name, body in methods.items()})()


def raising(error: BaseException) -> Callable[[Any], Any]:
    def method(params: Any) -> Any:
        raise error

    return method


def raising_async(error: BaseException) -> Callable[[Any], Any]:
    async def method(params: Any) -> Any:
        await asyncio.sleep(0)
        raise error

    return method


Opener = Callable[..., Caller]


@pytest.fixture
def opened() -> Iterator[Opener]:
    """``opened(method=...)``: a caller; everything is closed and nothing may be left of it."""
    before = set(threading.enumerate())
    channels: list[PythonChannel] = []

    def start(factory: Callable[[], Any] | None = None, **methods: Callable[..., Any]) -> Caller:
        channels.append(PythonChannel(factory or gateway(**methods), "tiny"))
        return Caller(channels[-1], {"initialize": WAIT_S, "job/add": SHORT_S})

    yield start
    for channel in channels:
        channel.close()
        assert channel._loop.is_closed()
    channels.clear()
    assert {t for t in threading.enumerate() if t.is_alive()} <= before
    gc.collect()  # a loop, socket or coroutine that was left would warn, and warnings are errors here


# --- answers ----------------------------------------------------------------------------------------------


def test_a_plain_method(opened: Opener) -> None:
    caller = opened(initialize=lambda params: HELLO | {"name": f"suite {params['suite']}"})
    assert caller.call("initialize", {**PARAMS, "suite": "s"})["name"] == "suite s"


def test_a_coroutine_method(opened: Opener) -> None:
    async def initialize(params: dict[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(0)
        return HELLO

    assert opened(initialize=initialize).call("initialize", PARAMS) == HELLO


def test_a_method_that_returns_an_awaitable(opened: Opener) -> None:
    def initialize(params: dict[str, Any]) -> Any:
        return asyncio.ensure_future(asyncio.sleep(0, HELLO))

    assert opened(initialize=initialize).call("initialize", PARAMS) == HELLO


def test_requests_may_overlap(opened: Opener) -> None:
    class Waiting:
        def __init__(self) -> None:
            self.told = asyncio.Event()

        async def job_remove(self, params: dict[str, Any]) -> dict[str, Any]:
            await self.told.wait()
            return {"removed": True}

        async def job_list(self, params: dict[str, Any]) -> dict[str, Any]:
            self.told.set()
            return {"jobs": []}

    caller = opened(Waiting)
    waiting = caller.start("job/remove", {"id": "j"})
    assert caller.call("job/list") == {"jobs": []}
    assert waiting.result() == {"removed": True}


def test_requests_that_are_held_go_out_together(opened: Opener) -> None:
    """A thread that sends one after the other may be overtaken by the answer to the first."""
    begun = threading.Event()

    async def job_remove(params: dict[str, Any]) -> dict[str, Any]:
        begun.set()
        await asyncio.sleep(0)
        return {"removed": True}

    order: list[str] = []

    async def job_list(params: dict[str, Any]) -> dict[str, Any]:
        order.append("list")
        return {"jobs": []}

    channel = opened(job_remove=job_remove, job_list=job_list).channel
    with channel.held():
        first = channel.submit("job/remove", {"id": "j"})
        first.add_done_callback(lambda _: order.append("removed"))
        assert not begun.wait(SHORT_S)
        second = channel.submit("job/list", {})
    assert (first.result(WAIT_S), second.result(WAIT_S)) == ({"removed": True}, {"jobs": []})
    assert order == ["list", "removed"]


def test_an_instance_that_has_ended_holds_nothing(opened: Opener) -> None:
    caller = opened(job_list=lambda params: {"jobs": []})
    caller.channel.close()
    with caller.channel.held():
        waiting = caller.start("job/list", {})
    with pytest.raises(TargetError, match="has ended"):
        waiting.result()


def test_it_works_from_a_coroutine_too(opened: Opener) -> None:
    async def inside() -> dict[str, Any]:
        return opened(initialize=lambda params: HELLO).call("initialize", PARAMS)

    assert asyncio.run(inside()) == HELLO


def test_the_gateway_lives_in_one_thread(opened: Opener) -> None:
    # A connection of sqlite3 may only be used where it was made.
    class Stored:
        def __init__(self) -> None:
            self.db = sqlite3.connect(":memory:")

        async def initialize(self, params: dict[str, Any]) -> dict[str, Any]:
            return HELLO | {"name": self.db.execute("select 'stored'").fetchone()[0]}

        def gateway_stop(self, params: dict[str, Any]) -> dict[str, Any]:
            self.db.close()
            return {}

    assert opened(Stored).call("initialize", PARAMS)["name"] == "stored"


# --- what a gateway may do wrong ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "factory",
    [gateway(), gateway(job_list=raising(NotImplementedError("no jobs here"))), lambda: object()],
    ids=["no-method", "not-implemented", "object"],
)
def test_an_operation_that_does_not_exist(opened: Opener, factory: Callable[[], Any]) -> None:
    caller = opened(factory)
    with pytest.raises(
        UnsupportedOperation, match=r"job/list: (the gateway has no method job_list|no jobs here)"
    ):
        caller.call("job/list")
    # Not knowing one operation is no reason to give up on a gateway.
    assert caller.dead is None


def test_a_method_that_was_switched_off(opened: Opener) -> None:
    def factory() -> Any:
        made = gateway(initialize=lambda params: HELLO)()
        made.initialize = None
        return made

    with pytest.raises(UnsupportedOperation):
        opened(factory).call("initialize", PARAMS)


ERRORS = [
    pytest.param(KeyError("job"), "KeyError: 'job'", id="error"),
    pytest.param(SystemExit(3), "SystemExit: 3", id="exit"),
    pytest.param(KeyboardInterrupt(), "KeyboardInterrupt", id="interrupt"),
    pytest.param(asyncio.CancelledError(), "CancelledError", id="cancelled"),
    pytest.param(GeneratorExit(), "GeneratorExit", id="generator"),
    pytest.param(TimeoutError("db"), "TimeoutError: db", id="time-out"),
    pytest.param(StopIteration(), "StopIteration", id="stop"),
    pytest.param(RuntimeError("a\nb " + "x" * 5000), "RuntimeError: a b xxx", id="long"),
]


@pytest.mark.parametrize("raiser", [raising, raising_async], ids=["plain", "async"])
@pytest.mark.parametrize(("error", "text"), ERRORS)
def test_a_method_that_raises(opened: Opener, raiser: Any, error: BaseException, text: str) -> None:
    if raiser is raising_async and isinstance(error, StopIteration):
        text = "RuntimeError: coroutine raised StopIteration"
    caller = opened(initialize=lambda params: HELLO, job_list=raiser(error))
    with pytest.raises(TargetError) as caught:
        caller.call("job/list")
    assert caught.value.operation == "job/list"
    assert caught.value.message.startswith(f"the gateway raised {text}")
    assert len(caught.value.message) < 500
    # What it says later can no longer be relied on.
    with pytest.raises(TargetError, match="job/list"):
        caller.call("initialize", PARAMS)


def test_a_gateway_whose_lookup_raises(opened: Opener) -> None:
    class Odd:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError(f"who asks for {name}?")

    with pytest.raises(
        TargetError, match=r"job/list: the gateway raised RuntimeError: who asks for job_list\?"
    ):
        opened(Odd).call("job/list")


def test_an_error_of_an_adapter_is_passed_on(opened: Opener) -> None:
    with pytest.raises(TargetError, match="rpc: gone") as caught:
        opened(job_list=raising(TargetError("rpc", "gone", log="last words"))).call("job/list")
    assert caught.value.log == "last words"


def test_a_task_that_exits_takes_nobody_with_it(opened: Opener) -> None:
    class Exiting:
        async def job_list(self, params: dict[str, Any]) -> dict[str, Any]:
            asyncio.get_running_loop().call_soon(sys.exit, 3)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            return {"jobs": []}

        def initialize(self, params: dict[str, Any]) -> dict[str, Any]:
            return HELLO

    caller = opened(Exiting)
    assert caller.call("job/list") == {"jobs": []}
    assert caller.call("initialize", PARAMS) == HELLO


def test_a_blocked_event_loop_is_a_time_out(opened: Opener) -> None:
    go_on = threading.Event()

    def job_add(params: dict[str, Any]) -> dict[str, Any]:
        go_on.wait(WAIT_S)
        return {"job": STORED}

    caller = opened(job_add=job_add)
    job = {"name": "n", "schedule": {"kind": "at", "atMs": 1}, "session": {"target": "isolated"}}
    job["payload"] = {"kind": "agentTurn", "text": "t"}
    try:
        with pytest.raises(TargetError, match=r"^job/add: no answer within 0\.2 s") as caught:
            caller.call("job/add", {"job": job})
        assert caller.dead is caught.value
    finally:
        go_on.set()


def test_a_coroutine_that_never_ends_is_a_time_out_and_goes_with_the_channel(opened: Opener) -> None:
    ended = threading.Event()

    async def job_add(params: dict[str, Any]) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    caller = opened(job_add=job_add)
    job = {"name": "n", "schedule": {"kind": "at", "atMs": 1}, "session": {"target": "isolated"}}
    job["payload"] = {"kind": "agentTurn", "text": "t"}
    with pytest.raises(TargetError, match="no answer within"):
        caller.call("job/add", {"job": job})
    caller.channel.close()
    assert ended.is_set()


@pytest.mark.parametrize(
    ("answer", "where"),
    [
        ({k: v for k, v in HELLO.items() if k != "name"}, "'name' is a required property"),
        (HELLO | {"resolutionMs": 0}, "resolutionMs: 0 is less than the minimum"),
        (HELLO | {"specRevision": True}, "specRevision: True is not of type 'integer'"),
        (HELLO | {"profiles": ("sessions",)}, "profiles: ('sessions',) is not of type 'array'"),
        (None, "'protocol' is a required property"),
        ("ok", "(top level): 'ok' is not of type 'object'"),
        ([HELLO], "is not of type 'object'"),
    ],
    ids=["missing", "limit", "bool", "tuple", "nothing", "text", "list"],
)
def test_an_answer_that_breaks_the_schema(opened: Opener, answer: Any, where: str) -> None:
    caller = opened(initialize=lambda params: answer, log_tail=lambda: "last words")
    with pytest.raises(TargetError) as caught:
        caller.call("initialize", PARAMS)
    assert caught.value.message.startswith("the answer breaks the schema at ")
    assert where in caught.value.message
    assert "specs/schemas/protocol.schema.json" in caught.value.message
    assert "last words" in str(caught.value)
    assert caller.dead is caught.value


def test_members_beyond_the_schema_are_allowed_in_answers(opened: Opener) -> None:
    answer = HELLO | {"mood": object()}
    assert opened(initialize=lambda params: answer).call("initialize", PARAMS) == answer


def test_a_whole_number_is_an_integer_however_it_is_written(opened: Opener) -> None:
    listed = [{**STORED, "nextRunAtMs": 1000.0, "more": [0.5, 2.0, float("inf"), True]}]
    answer = opened(job_list=lambda params: {"jobs": listed}).call("job/list")
    job = answer["jobs"][0]
    assert (job["nextRunAtMs"], job["more"]) == (1000, [0.5, 2, float("inf"), True])
    assert [type(found) for found in (job["nextRunAtMs"], *job["more"])] == [int, float, int, float, bool]
    assert type(listed[0]["nextRunAtMs"]) is float, "what the gateway keeps is its own"


def test_a_method_with_nothing_to_say_may_return_nothing(opened: Opener) -> None:
    assert opened(gateway_stop=lambda params: None).call("gateway/stop") == {}


def test_an_error_shows_where_in_the_gateway_it_was_raised(opened: Opener) -> None:
    def deep(params: Any) -> Any:
        raise KeyError("deep down")

    with pytest.raises(TargetError) as caught:
        opened(job_list=lambda params: deep(params)).call("job/list")
    assert "in deep" in caught.value.log
    assert "channel.py" not in caught.value.log.replace("test_channel.py", "")


def test_a_log_that_cannot_be_read_hides_no_error(opened: Opener) -> None:
    with pytest.raises(TargetError, match="the answer breaks the schema"):
        opened(initialize=lambda params: 7, log_tail=lambda: 1 / 0).call("initialize", PARAMS)


def test_a_request_that_breaks_the_schema_is_our_own_mistake(opened: Opener) -> None:
    caller = opened(initialize=lambda params: HELLO)
    with pytest.raises(ValueError, match="initialize: the request breaks the schema"):
        caller.call("initialize", {"protocol": 2, "specRevision": 1})
    assert caller.call("initialize", PARAMS) == HELLO


# --- factories ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(2, "No such file"), "FileNotFoundError: [Errno 2] No such file"),
        (SystemExit(2), "SystemExit: 2"),
    ],
    ids=["error", "exit"],
)
def test_a_factory_that_raises(error: BaseException, text: str) -> None:
    before = set(threading.enumerate())

    def factory() -> Any:
        raise error

    with pytest.raises(TargetError) as caught:
        PythonChannel(factory, "python:mine:Gateway")
    assert caught.value.message == f"python:mine:Gateway raised {text}"
    assert {t for t in threading.enumerate() if t.is_alive()} <= before
    gc.collect()


def test_a_factory_that_wants_arguments() -> None:
    with pytest.raises(TargetError, match=r"tiny raised TypeError: .*missing 1 required positional argument"):
        PythonChannel(lambda config: None, "tiny")  # type: ignore[misc,arg-type]


async def _late() -> Any:
    return object()


@pytest.mark.parametrize(
    ("factory", "text"),
    [
        (lambda: None, "tiny returned None and not a gateway"),
        (_late, "tiny returned a coroutine; a factory is a plain function that returns the gateway"),
    ],
    ids=["none", "coroutine"],
)
def test_a_factory_that_makes_no_gateway(factory: Callable[[], Any], text: str) -> None:
    before = set(threading.enumerate())
    with pytest.raises(TargetError) as caught:
        PythonChannel(factory, "tiny")
    assert caught.value.message == text
    assert {t for t in threading.enumerate() if t.is_alive()} <= before
    gc.collect()


# --- the end ------------------------------------------------------------------------------------------------


class Lasting:
    """Notes how it was ended, and never answers ``job/list``."""

    def __init__(self) -> None:
        self.ends: list[str] = []
        self.asked = threading.Event()

    async def job_list(self, params: dict[str, Any]) -> dict[str, Any]:
        self.asked.set()
        await asyncio.Event().wait()
        return {}

    def gateway_stop(self, params: dict[str, Any]) -> dict[str, Any]:
        self.ends.append("stop")
        return {}

    def gateway_abandon(self, params: dict[str, Any]) -> dict[str, Any]:
        self.ends.append("abandon")
        return {}


@pytest.mark.parametrize(("ending", "told"), [("close", ["stop"]), ("kill", ["abandon"])])
def test_an_ending_is_told_once(opened: Opener, ending: str, told: list[str]) -> None:
    lasting = Lasting()
    caller = opened(lambda: lasting)
    getattr(caller.channel, ending)()
    caller.channel.kill()
    caller.channel.close()
    assert lasting.ends == told


@pytest.mark.parametrize("ending", ["close", "kill"])
def test_a_request_under_way_at_the_end_gets_an_error(opened: Opener, ending: str) -> None:
    lasting = Lasting()
    caller = opened(lambda: lasting)
    waiting = caller.start("job/list", {})
    assert lasting.asked.wait(WAIT_S)
    getattr(caller.channel, ending)()
    with pytest.raises(TargetError, match=r"job/list: .*ended"):
        waiting.result()


@pytest.mark.parametrize("ending", ["close", "kill"])
def test_a_request_after_the_end_gets_an_error(opened: Opener, ending: str) -> None:
    caller = opened(Lasting)
    getattr(caller.channel, ending)()
    with pytest.raises(TargetError, match=r"job/list: .*ended"):
        caller.call("job/list")


@pytest.mark.parametrize(
    "stop", [raising(RuntimeError("no")), raising(SystemExit(1)), raising_async(asyncio.CancelledError())]
)
def test_a_stop_that_fails_still_ends(opened: Opener, stop: Any) -> None:
    opened(gateway_stop=stop, gateway_abandon=stop).channel.close()
    opened(gateway_stop=stop, gateway_abandon=stop).channel.kill()


def test_tasks_of_the_gateway_are_cancelled_at_the_end(opened: Opener) -> None:
    ended = threading.Event()

    class Busy:
        def initialize(self, params: dict[str, Any]) -> dict[str, Any]:
            self.task = asyncio.ensure_future(self.work())
            return HELLO

        async def work(self) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

    caller = opened(Busy)
    caller.call("initialize", PARAMS)
    caller.channel.kill()
    assert ended.is_set()


@pytest.mark.parametrize("ending", ["close", "kill"])
def test_a_child_that_has_ended_is_not_signalled_again(ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Its process group's number may belong to somebody else by then.
    channel = StdioChannel([sys.executable, "-c", "import sys; sys.stdin.read()"])
    getattr(channel, ending)()
    signalled: list[int] = []
    monkeypatch.setattr("os.killpg", lambda group, signum: signalled.append(group))
    channel.kill()
    channel.close()
    assert signalled == []
