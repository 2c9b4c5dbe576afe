"""What differs between versions of OpenClaw, as one value per version; nothing else asks for a version.

:data:`.versions.DIALECTS` says which version speaks which.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from .seeding import SeedRow

Json = dict[str, Any]


class Gateway(Protocol):
    """What a dialect needs of a running instance to ask it something."""

    async def ask(self, operation: str, method: str, params: Json) -> Json: ...
    async def must(self, operation: str, method: str, params: Json) -> Json: ...
    async def jobs(self, operation: str) -> list[Json]: ...


@dataclass(frozen=True)
class Reply:
    """What came of a human turn, as far as the gateway tells."""

    session_id: str | None
    text: str | None


@dataclass(frozen=True)
class Dialect:
    """One version's words and ways.

    ``protocol`` of its WebSocket; ``signed``: a connection without a signed device has no rights; ``lacks``
    and ``gains``: capabilities against those of the newest version; ``methods``: requests that the adapter
    makes and no other version has to know; ``names_runs``: the history knows a run by the id that ``cron.run``
    answered with; ``dst``: what its evaluator does, which its own list shows and no document;
    ``manual_one_shot``: whether a forced run uses up a one-shot to come;
    ``current_delivery``: the delivery mode of a job for the calling session; ``clears_timeout``: an edit can
    take a time-out back; ``listing``: further parameters of ``cron.list``; ``files`` in the workspace; ``env``
    for the process.
    """

    protocol: int
    signed: bool
    lacks: frozenset[str]
    gains: tuple[str, ...]
    methods: frozenset[str]
    names_runs: bool
    dst: str
    manual_one_shot: str
    current_delivery: str
    clears_timeout: bool
    adjust_config: Callable[[Json], None]
    stored_job: Callable[[Gateway, str], Awaitable[Json]]
    running: Callable[[Gateway, str], Awaitable[list[Json]]]
    cancel: Callable[[Gateway, str], Awaitable[bool]]
    reply: Callable[[Gateway, str, Mapping[str, Any]], Awaitable[Reply]]
    session_rows: Callable[[Path, int], list[Json]]
    seed_rows: Callable[[Path, Sequence[SeedRow]], None]
    files: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    listing: Mapping[str, Any] = field(default_factory=dict)

    def capabilities(self, usual: Sequence[str]) -> list[str]:
        """``usual`` without what this version lacks, and what only it has."""
        return [*(word for word in usual if word not in self.lacks), *self.gains]
