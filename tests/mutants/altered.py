"""Reference gateways that are made different from outside, part by part; and the table of the wrong ones.

The reference knows nothing of this. Its parts are changed after they were made and before they start, one
instance at a time, so that nothing has to be undone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar
from unittest import mock

import cronsession_reference.gateway as reference
from cronsession_reference.engine import Engine
from cronsession_reference.jobs import Job
from cronsession_reference.resolver import RECEIPT, Resolution
from cronsession_reference.sessions import Place
from cronsession_reference.store import SessionRow

LASTING = ("named", "main", "job")
"""The kinds of rows that are no receipts."""

Rows = Iterator[SessionRow]


class Altered(reference.Gateway):
    """A reference gateway with a difference: override :meth:`alter`, or an operation.

    The class argument ``does`` gives the policies it follows, ``declares`` those it says it follows (default:
    the truth).
    """

    does: ClassVar[Mapping[str, str]] = {}
    declares: ClassVar[Mapping[str, str] | None] = None
    sweep_ms: ClassVar[int] = 60_000

    def __init_subclass__(
        cls, *, does: Mapping[str, str] | None = None, declares: Mapping[str, str] | None = None
    ) -> None:
        super().__init_subclass__()
        cls.does = cls.does if does is None else does
        cls.declares = cls.declares if declares is None else declares

    def __init__(self) -> None:
        super().__init__(policies=self.does, sweep_interval_ms=self.sweep_ms)

    def initialize(self, params: dict[str, Any]) -> dict[str, Any]:
        hello = super().initialize(params)
        return hello if self.declares is None else {**hello, "policies": dict(self.declares)}

    async def gateway_start(self, params: dict[str, Any]) -> dict[str, Any]:
        def build(*args: Any, **options: Any) -> Engine:
            engine = Engine(*args, **options)
            self.alter(engine)
            return engine

        with mock.patch.object(reference, "Engine", build):
            return await super().gateway_start(params)

    def alter(self, engine: Engine) -> None:
        """Change the parts of an engine that has not started yet."""


@dataclass(frozen=True)
class Mutant:
    """A wrong gateway: where its defect was seen, and which requirements it is at least to fail.

    Exactly which ones fail is measured and written down; see :mod:`.recorded`.
    """

    factory: Callable[[], Any]
    source: str
    expected: frozenset[str]


MUTANTS: dict[str, Mutant] = {}


def wrong(source: str, *expected: str) -> Callable[[type[Altered]], type[Altered]]:
    """Enter a class into the table of mutants."""

    def enter(cls: type[Altered]) -> type[Altered]:
        assert cls.__name__ not in MUTANTS, cls.__name__
        assert expected, f"{cls.__name__} breaks nothing"
        MUTANTS[cls.__name__] = Mutant(cls, source, frozenset(f"CS-{i}" for i in expected))
        return cls

    return enter


def wrap(part: object, name: str, around: Callable[..., Any]) -> None:
    """Let ``around(inner, *args, **options)`` stand for the method ``name`` of one object."""
    inner = getattr(part, name)
    setattr(part, name, lambda *args, **options: around(inner, *args, **options))


def replan(engine: Engine, choose: Callable[[Callable[[int], Rows], int], Rows]) -> None:
    """Let the reaper take other receipts, and find a sweep due only if there are any: months have many minutes."""
    wrap(engine.reaper, "plan", choose)
    wrap(
        engine.reaper,
        "is_due",
        lambda inner, totals, now: inner(totals, now) and any(True for _ in engine.reaper.plan(now)),
    )


def reroute(engine: Engine, change: Callable[[Job, Resolution], Resolution]) -> None:
    """Use another session for jobs, and show it as resolved."""
    resolve = engine.jobs.resolve
    engine.jobs.resolve = lambda job: change(job, resolve(job))

    def place(inner: Callable[[Job], Place], job: Job) -> Place:
        found = engine.jobs.resolve(job)
        return inner(job) if found.key is None else Place(found.key, job.agent, found.kind)

    wrap(engine.runner, "_place", place)


def reslot(engine: Engine, change: Callable[[Job], int | None]) -> None:
    """Give jobs another next run whenever they are stored with one."""

    def put(inner: Callable[[Job], None], job: Job) -> None:
        inner(job if job.next_run_ms is None else replace(job, next_run_ms=change(job)))

    wrap(engine.store, "put_job", put)


def with_wish(
    params: Mapping[str, Any], change: Callable[[dict[str, Any]], dict[str, Any]]
) -> dict[str, Any]:
    """The parameters of a write or of a human turn, each session wish in them changed."""
    changed = dict(params)
    for part in ("job", "patch", "context"):
        inner = changed.get(part)
        if isinstance(inner, dict) and isinstance(inner.get("session"), dict):
            changed[part] = {**inner, "session": change(inner["session"])}
    if isinstance(changed.get("session"), dict):
        changed["session"] = change(changed["session"])
    return changed


def is_receipt(row: SessionRow) -> bool:
    return row.kind == RECEIPT
