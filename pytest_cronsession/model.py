"""The scripted model: what it answers, when, and what it saw.

Every job's text carries a tag and every reply a nonce, so that context is *measured*: two runs share a
session if and only if the later request contains the earlier reply's nonce. The script is shared by
the HTTP server and the in-process callable, and is safe to use from several threads.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

MESSAGE_TAG = re.compile(r"\[\[msg:([A-Za-z0-9-]+)\]\]")
_TURN = re.compile(r"\[\[turn:([A-Za-z0-9-]+)\]\]")


def tag_text(text: str, tag: str) -> str:
    """A message text that carries ``tag``."""
    return f"{text} [[msg:{tag}]]"


@dataclass(frozen=True)
class Answer:
    """How one turn is answered.

    ``kind`` is ``ok``, ``error`` (400), ``transient`` (503), ``hang`` (never) or ``hold`` (at ``until_ms``,
    an instant of the gateway's clock, or when released by hand if None).
    """

    kind: str = "ok"
    text: str = "OK"
    until_ms: int | None = None


OK = Answer()
ERROR = Answer("error")
TRANSIENT = Answer("transient")
HANG = Answer("hang")


def hold(until_ms: int | None = None, text: str = "OK") -> Answer:
    """Answer at ``until_ms`` (epoch milliseconds), or at :meth:`Script.release`."""
    return Answer("hold", text, until_ms)


@dataclass(eq=False)
class Turn:
    """One request to the model. ``saw`` holds the reply nonces found in it, ``tags`` all message tags."""

    seq: int
    tag: str | None
    nonce: str
    answer: Answer
    saw: frozenset[str]
    tags: tuple[str, ...]
    at_ms: int
    messages: tuple[Mapping[str, Any], ...] = field(repr=False)
    state: str = "open"  # open | held | answered | failed | aborted
    released: Future[None] = field(default_factory=Future, repr=False)
    alive: Callable[[], bool] = field(default=lambda: True, repr=False)

    def saw_turn(self, earlier: Turn) -> bool:
        """Whether this request contained the reply to ``earlier``: the one proof of shared context."""
        return earlier.nonce in self.saw


class ModelError(Exception):
    """A scripted model failure; ``status`` is the HTTP status it stands for."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"model error {status}: {message}")
        self.status = status


class Mark(NamedTuple):
    """How far a script had come: its turns and its tags so far."""

    turns: int
    tags: int


class Script:
    """What the model answers, per message tag, and the record of every turn."""

    def __init__(self, prefix: str = "t") -> None:
        self.now_ms = 0
        # Hears of what a test changes: ``plan`` or ``release``, with the parameters as a trace keeps them.
        self.on_change: Callable[[str, dict[str, Any]], None] = lambda do, params: None
        self._prefix = prefix
        self._changed = threading.Condition()
        self._plans: dict[str, list[Answer]] = {}
        self._always: dict[str, Answer] = {}
        self._turns: list[Turn] = []
        self._tags = 0

    def new_tag(self) -> str:
        """A tag that no other message of this script carries."""
        with self._changed:
            self._tags += 1
            return f"{self._prefix}-{self._tags}"

    def mark(self) -> Mark:
        """How far the script has come."""
        with self._changed:
            return Mark(len(self._turns), self._tags)

    def haunted(self, since: Mark) -> bool:
        """Whether messages came since that carry tags from before: jobs go on running that were retired."""
        with self._changed:
            numbers = [turn.tag.rpartition("-")[2] for turn in self._turns[since.turns :] if turn.tag]
        return any(number.isdecimal() and int(number) <= since.tags for number in numbers)

    def plan(self, tag: str, *answers: Answer, always: Answer | None = None) -> None:
        """Answer the next turns of ``tag`` with ``answers`` in order, later ones with ``always`` (default ok)."""
        self.on_change(
            "plan", {"tag": tag, "answers": [asdict(a) for a in answers], "always": asdict(always or OK)}
        )
        with self._changed:
            self._plans[tag] = list(answers)
            self._always[tag] = always or OK

    def begin(self, request: Mapping[str, Any]) -> Turn:
        """Record a request and decide its answer."""
        given = request.get("messages")
        messages = tuple(given) if isinstance(given, list | tuple) else ()
        texts = [(m.get("role"), content_text(m.get("content"))) for m in messages if isinstance(m, Mapping)]
        tags = tuple(t for role, text in texts if role == "user" for t in MESSAGE_TAG.findall(text))
        # What is asked now stands after the last reply; before it is history, other jobs' tags included.
        last_reply = max((i for i, (role, _) in enumerate(texts) if role == "assistant"), default=-1)
        asked = [
            t for role, text in texts[last_reply + 1 :] if role == "user" for t in MESSAGE_TAG.findall(text)
        ]
        saw = frozenset(n for _, text in texts for n in _TURN.findall(text))
        with self._changed:
            tag = asked[-1] if asked else None
            seq = len(self._turns) + 1
            turn = Turn(seq, tag, f"{self._prefix}-r{seq}", self._next(tag), saw, tags, self.now_ms, messages)
            until = turn.answer.until_ms
            if turn.answer.kind == "hang" or (
                turn.answer.kind == "hold" and (until is None or until > self.now_ms)
            ):
                turn.state = "held"
            self._turns.append(turn)
            self._changed.notify_all()
        return turn

    def _next(self, tag: str | None) -> Answer:
        if tag is None:
            return OK
        waiting = self._plans.get(tag)
        return waiting.pop(0) if waiting else self._always.get(tag, OK)

    def finish(self, turn: Turn, state: str) -> None:
        """Note that the turn was answered, failed, or aborted by the gateway."""
        with self._changed:
            turn.state = state
            self._changed.notify_all()

    def turns(self, tag: str | None = None) -> list[Turn]:
        """The turns so far, of one tag or of all, oldest first."""
        with self._changed:
            return [t for t in self._turns if tag is None or t.tag == tag]

    def open_turns(self) -> int:
        """Turns begun and not ended; one whose client has gone has ended, also before its thread noticed."""
        with self._changed:
            return sum(t.state == "open" or (t.state == "held" and t.alive()) for t in self._turns)

    def held_turns(self) -> int:
        """Turns kept open on purpose whose client still waits (checked now, so a dropped one never counts)."""
        with self._changed:
            return sum(t.state == "held" and t.alive() for t in self._turns)

    def releases(self, after_ms: int, until_ms: int) -> list[int]:
        """The scripted release instants in ``(after_ms, until_ms]``, planned or already held, in order."""
        with self._changed:
            answers = [a for plan in self._plans.values() for a in plan] + list(self._always.values())
            answers += [t.answer for t in self._turns if t.state == "held"]
        instants = {a.until_ms for a in answers if a.until_ms is not None}
        return sorted(i for i in instants if after_ms < i <= until_ms)

    def release_due(self, now_ms: int) -> None:
        """Let go of every turn held until ``now_ms`` or earlier."""
        self._let_go(lambda t: t.answer.until_ms is not None and t.answer.until_ms <= now_ms)

    def release(self, tag: str) -> None:
        """Let go of the held turns of one tag now."""
        self.on_change("release", {"tag": tag})
        self._let_go(lambda t: t.tag == tag)

    def release_all(self) -> None:
        """Let go of everything; used when a world is closed."""
        self.on_change("release", {})
        self._let_go(lambda _: True)

    def _let_go(self, chosen: Callable[[Turn], bool]) -> None:
        with self._changed:
            held = [t for t in self._turns if t.state == "held" and chosen(t)]
            for turn in held:
                # One whose client has gone is answered to nobody, whether or not its thread has noticed.
                turn.state = "open" if turn.alive() else "aborted"
        for turn in held:
            # False where the waiting call has just been cancelled: setting a result would raise here.
            if turn.released.set_running_or_notify_cancel():
                turn.released.set_result(None)

    def wait_for(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Wait in real time until ``condition`` holds after some turn began or ended."""
        with self._changed:
            return self._changed.wait_for(condition, timeout)


class InProcessModel:
    """The callable that an in-process gateway gets: request to response, or :class:`ModelError`."""

    def __init__(self, script: Script) -> None:
        self._script = script

    @property
    def held(self) -> int:
        """Turns that the script keeps open on purpose."""
        return self._script.held_turns()

    @property
    def open(self) -> int:
        """Turns begun and not ended, the held ones included."""
        return self._script.open_turns()

    async def __call__(self, request: Mapping[str, Any]) -> dict[str, Any]:
        turn = self._script.begin(request)
        try:
            if turn.state == "held":
                await asyncio.wrap_future(turn.released)
        except asyncio.CancelledError:
            self._script.finish(turn, "aborted")
            raise
        failure = error_of(turn)
        self._script.finish(turn, "failed" if failure else "answered")
        if failure:
            raise failure
        return response_of(turn)


def error_of(turn: Turn) -> ModelError | None:
    """The failure that a turn's answer stands for, if it is one."""
    if turn.answer.kind == "error":
        return ModelError(400, "scripted permanent error (invalid request)")
    if turn.answer.kind == "transient":
        return ModelError(503, "scripted transient error (overloaded)")
    return None


def reply_text(turn: Turn) -> str:
    """The reply: the scripted text and the nonce that later requests are searched for."""
    return f"{turn.answer.text} [[turn:{turn.nonce}]]"


def response_of(turn: Turn) -> dict[str, Any]:
    """An OpenAI chat-completion response."""
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    message = {"role": "assistant", "content": reply_text(turn)}
    return {
        "id": f"chatcmpl-{turn.seq}",
        "object": "chat.completion",
        "created": turn.at_ms // 1000,
        "model": "cronsession",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": usage,
    }


def content_text(content: Any) -> str:
    """The text of a message whose content is a string or a list of parts."""
    if isinstance(content, str):
        return content
    parts: Iterable[Any] = content if isinstance(content, list) else ()
    return "\n".join(str(p.get("text", "")) for p in parts if isinstance(p, Mapping))
