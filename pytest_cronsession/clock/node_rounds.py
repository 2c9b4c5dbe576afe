"""One command to every connected Node process at once, and what may happen until all have answered."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeAlias

from ..outcomes import TargetError
from .node_link import Json, Link, Peer

Replies: TypeAlias = dict[Peer, Json]

# Real seconds. Only so much is waited for what is not the gateway itself: a child may never settle.
CHILD_PATIENCE_S = 2.0
CHILD_ANSWER_S = 10.0
# A process says itself what keeps it busy; only when it says nothing is it given up on from here.
ANSWER_GRACE_S = 2.0
EXIT_S = 1.0


class Rounds:
    """Asks and gathers. ``settled`` and ``whats_open`` speak for what is outside the processes."""

    def __init__(
        self, link: Link, settled: Callable[[], bool] | None, whats_open: Callable[[], str] | None
    ) -> None:
        self.poll_exit: Callable[[], int | None] | None = None
        self._link = link
        self._settled = settled
        self._whats_open = whats_open
        self._number = 0
        self._ended: str | None = None  # how the last gateway process ended, while there is no other

    @property
    def main(self) -> Peer | None:
        """The gateway: the youngest process that is one."""
        return next((peer for peer in reversed(self._link.peers) if peer.role == "main"), None)

    def ready(self, step: str, until: float) -> None:
        """Wait for a gateway process to connect; raises :class:`TargetError` if there is none, or no longer."""
        while True:
            self.take_in(step)
            if self.main is not None:
                return
            code = self.poll_exit() if self.poll_exit else None
            late = time.monotonic() > until
            # A watched process that lives may be one that was started anew and is about to connect.
            if self._ended and (late or code is not None or self.poll_exit is None):
                raise TargetError(step, self._ended)
            if code is not None:
                raise TargetError(step, f"the gateway process has ended: {_how(code)}")
            if late:
                raise TargetError(
                    step,
                    "no gateway process has connected; is it a Node process started with NodeClock.env()?",
                )
            self._take(step, _Round(), self._link.poll(0.05))

    def take_in(self, step: str) -> None:
        """Note who has come and gone meanwhile; raises :class:`TargetError` after :meth:`Link.close`."""
        if self._link.closed:
            raise TargetError(step, "the clock is closed")
        while messages := self._link.poll(0):
            self._take(step, _Round(), messages)

    def run(
        self,
        step: str,
        command: Json,
        until: float,
        *,
        settle: bool = False,
        peers: Iterable[Peer] | None = None,
    ) -> Replies:
        """Give every peer (or these) the command; what those that stayed have answered.

        ``until`` is on the monotonic clock. With ``settle`` the command waits for real work. Raises
        :class:`TargetError` when a gateway process ends, fails, or does not answer in time; any other peer
        that does not answer is let go.
        """
        current = _Round(can_pause=command["do"] == "advance")
        for peer in self._link.peers if peers is None else peers:
            self._number += 1
            current.numbers[self._number] = peer
            current.heard[peer] = time.monotonic()
            limits = self._limits(peer, until) if settle else {}
            peer.send({"id": self._number, **command, **limits})
        while current.heard:
            messages = self._link.poll(
                min(self._limit(p, current, until) for p in current.heard) - time.monotonic()
            )
            self._take(step, current, messages)
            self._give_up(step, current, until)
        return current.replies

    def tell(self, message: Json) -> None:
        """Send to every peer without waiting for an answer."""
        for peer in self._link.peers:
            peer.send({"id": 0, **message})

    def _limits(self, peer: Peer, until: float) -> Json:
        limits: Json = {
            "limitMs": max(0.0, until - time.monotonic()) * 1000,
            "waitFor": "io" if self._settled is None else "controller",
        }
        if peer.role != "main":
            limits["patienceMs"] = CHILD_PATIENCE_S * 1000
        return limits

    def _limit(self, peer: Peer, current: _Round, until: float) -> float:
        if peer.role == "main":
            return until + ANSWER_GRACE_S
        return min(until + ANSWER_GRACE_S, current.heard[peer] + CHILD_ANSWER_S)

    def _give_up(self, step: str, current: _Round, until: float) -> None:
        now = time.monotonic()
        for peer in [p for p in current.heard if now > self._limit(p, current, until)]:
            if peer.role == "main":
                raise TargetError(step, f"{peer.name} does not answer: something keeps its event loop busy")
            self._link.drop(peer)
            del current.heard[peer]

    def _take(self, step: str, current: _Round, messages: list[tuple[Peer, Json]]) -> None:
        for peer, message in messages:
            if peer in current.heard:
                current.heard[peer] = time.monotonic()
            event = message.get("event")
            if event == "hello":
                self._welcome(peer, current)
            elif event == "ask":
                peer.send({"do": "answer", "content": self._settled is None or self._settled()})
            elif event == "gone":
                self._gone(step, peer, current)
            elif event is None and current.numbers.pop(message.get("id", 0), None) is peer:
                del current.heard[peer]
                if "error" in message:
                    raise TargetError(step, self._trouble(peer, message))
                current.replies[peer] = message["ok"]

    def _welcome(self, peer: Peer, current: _Round) -> None:
        if peer.role == "main":
            self._ended = None
        for other in self._link.peers:
            if other is not peer:
                other.send({"do": "joined", "key": peer.key})
        if current.can_pause:
            # From here on they are to move together.
            for other in current.heard:
                other.send({"do": "pause"})

    def _gone(self, step: str, peer: Peer, current: _Round) -> None:
        current.replies.pop(peer, None)
        awaited = current.heard.pop(peer, None) is not None
        if peer.role != "main":
            return
        how = _how(self._exit_code(peer))
        if self.main is None:
            self._ended = f"{peer.name} has ended: {how}"
        if awaited:
            raise TargetError(step, f"{peer.name} ended before it answered: {how}")

    def _exit_code(self, peer: Peer) -> int | None:
        """Its own word, or its parent's, which may come a moment after the end of the connection."""
        if peer.exit_code is not None:
            return peer.exit_code
        if self.poll_exit is None:
            return None
        until = time.monotonic() + EXIT_S
        while (code := self.poll_exit()) is None and time.monotonic() < until:
            time.sleep(0.01)
        return code

    def _trouble(self, peer: Peer, message: Json) -> str:
        busy = list(message.get("busy", ()))
        if self._settled is not None and not self._settled():
            busy.append(self._whats_open() if self._whats_open else "what is outside it is not settled")
        text = f"{message['error']}: {', '.join(busy)}" if busy else str(message["error"])
        instant = datetime.fromtimestamp(message["nowMs"] / 1000, UTC).isoformat(timespec="milliseconds")
        return f"{peer.name}: {text} (its clock is at {instant})"


@dataclass
class _Round:
    """A command under way: who was asked what, when each was last heard of, what has come back."""

    can_pause: bool = False
    numbers: dict[int, Peer] = field(default_factory=dict)
    heard: dict[Peer, float] = field(default_factory=dict)
    replies: Replies = field(default_factory=dict)


def earliest(replies: Replies) -> int | None:
    """The first due instant that any of them has told, in epoch milliseconds."""
    dues = [int(reply["nextTimerMs"]) for reply in replies.values() if reply["nextTimerMs"] is not None]
    return min(dues, default=None)


def _how(code: int | None) -> str:
    if code is None:
        return "it said nothing (killed?)"
    return f"exit code {code}" if code >= 0 else f"killed by signal {-code}"
