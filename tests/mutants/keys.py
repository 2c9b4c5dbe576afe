"""Gateways that take a session key and do something else with it (area resolver)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cronsession_reference.engine import Engine
from cronsession_reference.jobdesk import Written
from cronsession_reference.jobs import Job, Wish
from cronsession_reference.keys import job_key
from cronsession_reference.resolver import Resolution
from cronsession_reference.sessions import Turn
from cronsession_reference.store import Run

from .altered import Altered, reroute, with_wish, wrap, wrong


class Hiding(Altered):
    """Takes a session key out of writes, and shows it as if it were stored."""

    hides_on: tuple[str, ...] = ("add", "update")
    targets: tuple[str, ...] = ("isolated",)

    def __init__(self) -> None:
        super().__init__()
        self.shown: dict[str, str] = {}

    def alter(self, engine: Engine) -> None:
        for operation in self.hides_on:
            wrap(engine.jobs, operation, self._write)
        wrap(engine.jobs, "describe", self._describe)

    def _write(self, inner: Callable[..., Written], *args: Any) -> Written:
        # The job or the patch is the first of the arguments that is an object.
        at = next(i for i, arg in enumerate(args) if isinstance(arg, dict))
        wish = args[at].get("session") or {}
        hidden = wish.get("key") if wish.get("target") in self.targets else None
        if hidden is None:
            return inner(*args)
        kept = {name: value for name, value in wish.items() if name != "key"}
        written = inner(*args[:at], {**args[at], "session": kept}, *args[at + 1 :])
        self.shown[written.job.id] = hidden
        return written

    def _describe(self, inner: Callable[[Job], dict[str, Any]], job: Job) -> dict[str, Any]:
        data = inner(job)
        key = self.shown.get(job.id)
        return data if key is None else {**data, "session": {**data["session"], "key": key}}


@wrong("openclaw#63442", "RES-001", "RES-002", "RES-013", "RES-019")
class KeyIgnoredOnAdd(Hiding):
    """A key of an added isolated job is accepted, echoed and ignored."""

    hides_on = ("add",)


@wrong("openclaw#63442", "RES-002")
class KeyIgnoredOnEdit(Hiding):
    """A key set by an edit is accepted, echoed and ignored."""

    hides_on = ("update",)


@wrong("PR#63448", "RES-004")
class KeyIgnoredBesideName(Hiding):
    """A key that differs from the name is accepted, echoed and ignored."""

    targets = ("named",)


@wrong("PR#63448", "RES-004")
class KeyIgnoredBesideNameOnEdit(Hiding):
    """The conflict is noticed on add and not on edit."""

    hides_on, targets = ("update",), ("named",)


@wrong("bugs:K1", "RES-005")
class KeyIgnoredBesideMain(Hiding):
    """A key beside target main is accepted, echoed and ignored."""

    targets = ("main",)


@wrong("bugs:K1", "RES-005")
class KeyIgnoredBesideMainOnEdit(Hiding):
    """The same, and only an edit does it."""

    hides_on, targets = ("update",), ("main",)


@wrong("bugs:K1", "RES-001", "RES-002", "RES-013")
class KeyOfOneJobOnly(Altered):
    """A key makes the runs of its job share a session, each job one of its own."""

    def alter(self, engine: Engine) -> None:
        def change(job: Job, found: Resolution) -> Resolution:
            keyed = job.session.target == "isolated" and job.session.key is not None
            return replace(found, key=job_key(job.agent, job.id)) if keyed else found

        reroute(engine, change)


@wrong("bugs:K4", "RES-001", "RES-002", "RES-013")
class OneSessionForAllKeys(Altered):
    """Any key is the agent's one shared cron session."""

    def alter(self, engine: Engine) -> None:
        def change(job: Job, found: Resolution) -> Resolution:
            keyed = job.session.target == "isolated" and job.session.key is not None
            return replace(found, key=f"agent:{job.agent}:cron") if keyed else found

        reroute(engine, change)


@wrong("bugs:K2", "RES-003")
class ScheduleKnowsNoSession(Altered):
    """The wish is followed by a manual start; the timer has a resolver of its own, which knows fresh only."""

    def alter(self, engine: Engine) -> None:
        def start(inner: Callable[[Run, Job], Turn], run: Run, job: Job) -> Turn:
            return inner(run, replace(job, session=Wish("isolated")) if run.trigger == "schedule" else job)

        wrap(engine.runner, "start", start)


@wrong("PR#63448", "RES-004")
class WrongLoserReported(Altered):
    """Of name and key the key is reported as unused, and used."""

    def job_add(self, params: dict[str, Any]) -> dict[str, Any]:
        return self._told(super().job_add, params)

    def job_update(self, params: dict[str, Any]) -> dict[str, Any]:
        return self._told(super().job_update, params)

    def _told(
        self, write: Callable[[dict[str, Any]], dict[str, Any]], params: dict[str, Any]
    ) -> dict[str, Any]:
        both = False

        def change(wish: dict[str, Any]) -> dict[str, Any]:
            nonlocal both
            both = both or (wish.get("target") == "named" and "key" in wish)
            return {"target": "isolated", "key": wish["key"]} if both else wish

        answer = write(with_wish(params, change))
        unused = [{"field": "session.key", "reason": "the name decides"}]
        return {**answer, "unused": unused} if both and "job" in answer else answer
