"""One connection to one gateway instance: a request goes out, a checked answer or a clear error comes back.

Time-outs are measured with real clocks on the caller's side, so a gateway that blocks its event loop or
stops reading cannot hang a test.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future, wait
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import AbstractContextManager
from typing import Any, Protocol

from .contract import OPERATIONS, method_name
from .outcomes import RefusedRequest, TargetError, TargetTimeout, UnsupportedOperation
from .schemas import message_problem, shorten

TIMEOUTS: Mapping[str, float] = {"gateway/start": 60.0, "gateway/stop": 30.0, "clock/advance": 120.0}
DEFAULT_TIMEOUT = 30.0


class Channel(Protocol):
    """A way to one running gateway instance."""

    def submit(self, operation: str, params: dict[str, Any]) -> Future[Any]:
        """Send a request; the future holds the raw result or a :class:`TargetError`."""
        ...

    def held(self) -> AbstractContextManager[None]:
        """What is submitted meanwhile is sent at the end, all at once and in its order."""
        ...

    def kill(self) -> None:
        """End the instance as a crash would: nothing is written any more."""
        ...

    def close(self) -> None:
        """End the instance and everything it started; safe to call twice."""
        ...

    def log_tail(self) -> str:
        """The end of what the target printed."""
        ...


class Caller:
    """Calls operations on a channel: schema checks both ways and a time-out on each."""

    def __init__(self, channel: Channel, timeouts: Mapping[str, float] | None = None) -> None:
        self.channel = channel
        self._timeouts = {**TIMEOUTS, **(timeouts or {})}
        self.dead: TargetError | None = None

    def start(self, operation: str, params: dict[str, Any]) -> Pending:
        """Send a request without waiting; requests may overlap."""
        assert operation in OPERATIONS, operation
        if self.dead is not None:
            raise self.dead
        plain = {k: v for k, v in params.items() if k != "model"}
        wrong = message_problem(operation, "params", plain)
        if wrong:
            raise ValueError(f"{operation}: the request breaks the schema: {wrong}")
        return Pending(self, operation, self.channel.submit(operation, params))

    def call(self, operation: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send a request and wait for its answer."""
        return self.start(operation, params or {}).result()

    def together(self, calls: Sequence[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
        """Send all these requests before the first is answered; their answers, in the same order."""
        with self.channel.held():
            under_way = [self.start(operation, params) for operation, params in calls]
        return [pending.result() for pending in under_way]

    def attempt(self, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        """Send a request that breaks the schema on purpose; raises :class:`RefusedRequest` if it is refused.

        A refusal is an answer like any other: the instance goes on.
        """
        assert operation in OPERATIONS, operation
        if self.dead is not None:
            raise self.dead
        try:
            return self.finish(operation, self.channel.submit(operation, params))
        except RefusedRequest:
            self.dead = None
            raise

    def finish(self, operation: str, future: Future[Any]) -> dict[str, Any]:
        limit = self._timeouts.get(operation, DEFAULT_TIMEOUT)
        try:
            answer = future.result(timeout=limit)
        except FutureTimeout:
            raise self._fatal(operation, f"no answer within {limit:g} s", TargetTimeout) from None
        except CancelledError:
            raise self._fatal(operation, "the instance was ended before it answered") from None
        except UnsupportedOperation:
            raise
        except TargetError as error:
            # The instance may still serve others, but what it says can no longer be relied on.
            self.dead = error
            raise
        wrong = message_problem(operation, "result", answer)
        if wrong:
            message = f"the answer breaks the schema at {wrong} (see specs/schemas/protocol.schema.json)"
            raise self._fatal(operation, message)
        assert isinstance(answer, dict)
        whole: dict[str, Any] = _whole(answer)
        return whole

    def _fatal(self, operation: str, message: str, kind: type[TargetError] = TargetError) -> TargetError:
        self.dead = kind(operation, message, log=self.channel.log_tail())
        return self.dead


def _whole(value: Any) -> Any:
    """The same with integers for whole numbers that a gateway wrote as 1000.0: JSON knows no difference."""
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, dict):
        return {name: _whole(inner) for name, inner in value.items()}
    return [_whole(inner) for inner in value] if isinstance(value, list) else value


class Pending:
    """A request under way."""

    def __init__(self, caller: Caller, operation: str, future: Future[Any]) -> None:
        self._caller, self._operation, self._future = caller, operation, future

    def result(self) -> dict[str, Any]:
        """Wait for the checked answer."""
        return self._caller.finish(self._operation, self._future)


class PythonChannel:
    """A gateway object in this process, on an event loop of its own in a thread of its own.

    So it works the same from plain tests and from tests that are coroutines themselves.
    """

    def __init__(self, factory: Callable[[], Any], label: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._closed = self._stopped = False
        made: Future[Any] = Future()
        self._thread = threading.Thread(
            target=self._serve, args=(factory, made), name=f"cronsession {label}", daemon=True
        )
        self._thread.start()
        limit = TIMEOUTS["gateway/start"]
        try:
            done, _ = wait([made], timeout=limit)
            if not done:
                raise TargetError("factory", f"{label} made no gateway within {limit:g} s")
            error = made.exception()
            if isinstance(error, _NoGateway):
                raise TargetError("factory", f"{label} returned {error}")
            if error is not None:
                raise TargetError("factory", f"{label} raised {_described(error)}") from error
        except BaseException:
            self._end()
            raise
        self._gateway = made.result()

    def _serve(self, factory: Callable[[], Any], made: Future[Any]) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            # Here and not in the caller's thread: what it opens (sqlite3, say) may be bound to one thread.
            made.set_result(_gateway(factory()))
        except BaseException as error:
            made.set_exception(error)
            return
        while not self._stopped:
            # A task of the gateway that calls sys.exit must not take the loop with it.
            with contextlib.suppress(SystemExit, KeyboardInterrupt):
                self._loop.run_forever()

    def submit(self, operation: str, params: dict[str, Any]) -> Future[Any]:
        if self._closed:
            ended: Future[Any] = Future()
            ended.set_exception(TargetError(operation, "the instance has ended"))
            return ended
        return asyncio.run_coroutine_threadsafe(self._call(operation, params), self._loop)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        gate = threading.Event()
        if not self._closed:
            # Otherwise the first request may be answered before this thread has come to the second.
            self._loop.call_soon_threadsafe(gate.wait)
        try:
            yield
        finally:
            gate.set()

    async def _call(self, operation: str, params: dict[str, Any]) -> Any:
        try:
            method = getattr(self._gateway, method_name(operation), None)
            if method is None:
                raise UnsupportedOperation(operation, f"the gateway has no method {method_name(operation)}")
            answer = method(params)
            answer = await answer if inspect.isawaitable(answer) else answer
            # A method with nothing to say returns nothing; on the wire that is an empty object.
            return {} if answer is None else answer
        except TargetError:
            raise
        except NotImplementedError as error:
            raise UnsupportedOperation(operation, str(error) or "not implemented") from error
        except (ValueError, TypeError, LookupError) as error:
            # What -32602 is on the wire.
            message = f"the gateway raised {_described(error)}"
            raise RefusedRequest(operation, message, log=_frames(error)) from error
        except BaseException as error:
            if self._closed and isinstance(error, asyncio.CancelledError | GeneratorExit):
                raise  # it is we who end it
            # A gateway that calls sys.exit must not end the test run with it.
            message = f"the gateway raised {_described(error)}"
            raise TargetError(operation, message, log=_frames(error)) from error

    def kill(self) -> None:
        if not self._closed:
            self._last_call("gateway/abandon")
            self._end()

    def close(self) -> None:
        if not self._closed:
            self._last_call("gateway/stop")
            self._end()

    def _last_call(self, operation: str) -> None:
        """Let the gateway let go of files and children; what it answers no longer matters."""
        with contextlib.suppress(TargetError, FutureTimeout, CancelledError):
            self.submit(operation, {}).result(timeout=TIMEOUTS["gateway/stop"])

    def log_tail(self) -> str:
        try:
            tail = getattr(self._gateway, "log_tail", None)
            return str(tail()) if callable(tail) else ""
        except Exception as error:
            # It is asked for while an error is told, and must not take that error's place.
            return f"(its log_tail raised {_described(error)})"

    def _end(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._loop.call_soon_threadsafe(self._wind_down)
        self._thread.join(timeout=5)
        # A gateway that blocks its loop keeps its (daemon) thread; closing the loop under it would crash.
        if not self._thread.is_alive():
            self._loop.close()

    def _wind_down(self) -> None:
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        rest = asyncio.gather(*tasks, return_exceptions=True)
        rest.add_done_callback(lambda _: self._stop())

    def _stop(self) -> None:
        self._stopped = True
        self._loop.stop()


class _NoGateway(Exception):
    """What a factory returned instead of a gateway."""


def _gateway(made: Any) -> Any:
    if made is None:
        raise _NoGateway("None and not a gateway")
    if inspect.iscoroutine(made):
        made.close()
        raise _NoGateway("a coroutine; a factory is a plain function that returns the gateway")
    return made


def _frames(error: BaseException) -> str:
    """Where in the gateway it was raised: what its author needs, without our own frames."""
    theirs = [f for f in traceback.extract_tb(error.__traceback__) if f.filename != __file__]
    return "".join(traceback.format_list(theirs[-6:]))


def _described(error: BaseException) -> str:
    try:
        text = shorten(str(error))
    except Exception:
        text = "(its own message cannot be made)"
    return f"{type(error).__name__}: {text}"
