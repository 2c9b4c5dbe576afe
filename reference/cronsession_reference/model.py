"""Language models: a callable in process, an OpenAI-compatible server, and an echo.

A client also tells whether the turns that are open are ones that the other side keeps open on purpose:
only then is there nothing to wait for at the present instant.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from .errors import ModelError
from .http_client import HttpError, request_json
from .transcripts import Message

NAME = "cronsession"


class Model(Protocol):
    """What a run needs of a model."""

    async def complete(self, messages: Sequence[Message]) -> str:
        """The reply to a conversation. Raises :class:`ModelError`."""

    async def at_rest(self, open_turns: int) -> bool:
        """Whether all of the ``open_turns`` turns under way are held on purpose."""

    async def pause(self, spins: int) -> None:
        """Wait a moment for a turn to get on; ``spins`` counts the calls in a row."""


def reply_of(response: object) -> str:
    """The text of a chat-completion response; raise :class:`ModelError` if there is none."""
    try:
        content = response["choices"][0]["message"]["content"]  # type: ignore[index]
    except (KeyError, IndexError, TypeError):
        content = None
    if not isinstance(content, str):
        raise ModelError(f"the model's answer has no text: {response!r:.200}", cause="answer")
    return content


class CallableModel:
    """An async callable from request to response; ``held`` is its own count of turns kept open."""

    ROUNDS = 5

    def __init__(self, call: Callable[[dict[str, Any]], Awaitable[Any]]) -> None:
        self._call = call

    async def complete(self, messages: Sequence[Message]) -> str:
        try:
            response = await self._call({"model": NAME, "messages": list(messages)})
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise  # the run is being stopped
            raise ModelError("the model gave the turn up") from None
        except Exception as err:
            status = getattr(err, "status", None)
            reached = not isinstance(err, (OSError, EOFError))
            raise ModelError(
                f"the model failed: {err or type(err).__name__}",
                status if isinstance(status, int) else None,
                cause=None if reached else "network",
            ) from err
        return reply_of(response)

    async def at_rest(self, open_turns: int) -> bool:
        # A released turn takes some rounds of the loop to come back, and may count as held until it does.
        for _ in range(self.ROUNDS if open_turns else 0):
            if open_turns > getattr(self._call, "held", 0):
                return False
            await asyncio.sleep(0)
        return True

    async def pause(self, spins: int) -> None:
        # Never a real delay: the loop's own clock may be frozen.
        await asyncio.sleep(0)


class HttpModel:
    """An OpenAI-compatible server at ``url``, which ends in ``/v1``."""

    # How long a count that does not add up is believed to be about to change, in seconds: the server
    # may not have noticed yet that a connection was closed.
    PATIENCE_S = 0.25
    STEP_S = 0.001

    def __init__(self, url: str, token: str = "", name: str = NAME) -> None:
        self._url = url.rstrip("/")
        self._token = token
        self._name = name
        self._doubtful = 0

    async def complete(self, messages: Sequence[Message]) -> str:
        body = {"model": self._name, "messages": list(messages), "stream": False}
        try:
            response = await request_json(
                "POST", f"{self._url}/chat/completions", token=self._token, body=body
            )
        except HttpError as err:
            cause = "network" if err.status is None else None
            raise ModelError(str(err), err.status, code=err.code, cause=cause) from None
        return reply_of(response)

    async def at_rest(self, open_turns: int) -> bool:
        if not open_turns:
            return True
        try:
            counts = await request_json("GET", f"{self._url}/cronsession/turns", token=self._token)
        except HttpError:
            return False
        held, answered = counts.get("held", 0), counts.get("open", 0)
        if held != answered or held < open_turns:
            self._doubtful = 0
            return False
        self._doubtful += 1
        if held > open_turns and self._doubtful * self.STEP_S < self.PATIENCE_S:
            return False
        self._doubtful = 0
        return True

    async def pause(self, spins: int) -> None:
        await asyncio.sleep(0 if spins < 20 else self.STEP_S)


class EchoModel:
    """Answers with what was said: a gateway without a model can still be tried."""

    async def complete(self, messages: Sequence[Message]) -> str:
        return f"echo: {messages[-1]['content']}"

    async def at_rest(self, open_turns: int) -> bool:
        return not open_turns

    async def pause(self, spins: int) -> None:
        await asyncio.sleep(0)
