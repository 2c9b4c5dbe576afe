"""Gateways that do right by the usual form of a wish, and forget the others (area resolver)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cronsession_reference.engine import Engine
from cronsession_reference.jobdesk import Written
from cronsession_reference.jobs import Job, Wish
from cronsession_reference.keys import job_key, main_key
from cronsession_reference.resolver import MAIN, NAMED, Resolution
from cronsession_reference.sessions import Turn
from cronsession_reference.store import Run

from .altered import Altered, reroute, with_wish, wrap, wrong
from .resolving import Rewishing


@wrong("openclaw#98947", "RES-003")
class CurrentIsFollowedByHand(Altered):
    """A job with target current is where it was made when it is run by hand; the timer knows no such place."""

    def alter(self, engine: Engine) -> None:
        def start(inner: Callable[[Run, Job], Turn], run: Run, job: Job) -> Turn:
            bound = job.session.target == "current" and run.trigger != "manual"
            return inner(run, replace(job, session=Wish("isolated")) if bound else job)

        wrap(engine.runner, "start", start)


@wrong("openclaw#76489", "RES-022")
class LateCurrentIsFresh(Altered):
    """A job with target current that missed a slot makes up for it in a fresh session."""

    def alter(self, engine: Engine) -> None:
        def start(inner: Callable[[Run, Job], Turn], run: Run, job: Job) -> Turn:
            bound = job.session.target == "current" and run.trigger in ("catchup", "retry")
            return inner(run, replace(job, session=Wish("isolated")) if bound else job)

        wrap(engine.runner, "start", start)


@wrong("openclaw#63442", "RES-001")
class SharedHidesTheKey(Altered):
    """Mode shared beside a key: the runs of the job share a session, and it is not that of the key."""

    def alter(self, engine: Engine) -> None:
        def change(job: Job, found: Resolution) -> Resolution:
            both = job.session.target == "isolated" and job.session.key and job.session.mode == "shared"
            return replace(found, key=job_key(job.agent, job.id)) if both else found

        reroute(engine, change)


@wrong("openclaw#119922", "RES-006")
class SharedHidesTheName(Altered):
    """Mode shared beside a name: the runs of the job share a session, and it is not that of the name."""

    def alter(self, engine: Engine) -> None:
        def change(job: Job, found: Resolution) -> Resolution:
            both = job.session.target == "named" and job.session.mode == "shared"
            return replace(found, key=job_key(job.agent, job.id)) if both else found

        reroute(engine, change)


@wrong("bugs:K4", "RES-013")
class TheMainKeyIsAWord(Rewishing):
    """The key of the main session, given as a key, is another session of that name."""

    def wish(self, wish: dict[str, Any]) -> dict[str, Any]:
        key = wish.get("key")
        main = isinstance(key, str) and wish.get("target") == "isolated" and key.endswith(":main")
        return {**wish, "key": f"{key}-key"} if main else wish


@wrong("bugs:K4", "RES-013")
class ListedKeysAreWordsOnEdit(Rewishing):
    """A key that is spelled in full is taken for a plain word when an edit sets it."""

    on = ("edit",)

    def wish(self, wish: dict[str, Any]) -> dict[str, Any]:
        key = wish.get("key")
        full = isinstance(key, str) and wish.get("target") == "isolated" and key.startswith("agent:")
        return {**wish, "key": f"agent:main:{key}"} if full else wish


@wrong("openclaw:OBS-14", "RES-015")
class ResolvedIsTheKeyAsGiven(Altered):
    """The dry resolution of a key is the word that was given, which the session is not called."""

    def alter(self, engine: Engine) -> None:
        def describe(inner: Callable[[Job], dict[str, Any]], job: Job) -> dict[str, Any]:
            data = inner(job)
            keyed = job.session.target == "isolated" and job.session.key and "sessionKey" in data["resolved"]
            return (
                {**data, "resolved": {**data["resolved"], "sessionKey": job.session.key}} if keyed else data
            )

        wrap(engine.jobs, "describe", describe)


@wrong("bugs:K3", "RES-016")
class CurrentIsOfTheDefaultAgent(Altered):
    """The session that a request comes from is looked for among those of the default agent."""

    def alter(self, engine: Engine) -> None:
        def change(job: Job, found: Resolution) -> Resolution:
            if job.session.target != "current" or found.key is None:
                return found
            return replace(found, key=found.key.replace(f"agent:{job.agent}:", "agent:main:", 1))

        reroute(engine, change)


@wrong("bugs:K3", "RES-025")
class MainStaysWithTheFirstAgent(Altered):
    """A job with target main that is given to another agent goes on in the main session of the first."""

    def alter(self, engine: Engine) -> None:
        first: dict[str, str] = {}

        def add(inner: Callable[..., Written], *args: Any) -> Written:
            written = inner(*args)
            first[written.job.id] = written.job.agent
            return written

        def change(job: Job, found: Resolution) -> Resolution:
            return replace(found, key=main_key(first.get(job.id, job.agent))) if found.kind == MAIN else found

        wrap(engine.jobs, "add", add)
        reroute(engine, change)


@wrong("openclaw:VAL-04", "RES-011")
class BlankNameOnEdit(Altered):
    """An edit to a named session without a name is taken, and means the session called default."""

    def job_update(self, params: dict[str, Any]) -> dict[str, Any]:
        def change(wish: dict[str, Any]) -> dict[str, Any]:
            blank = wish.get("target") == "named" and not (wish.get("name") or "").strip()
            return {**wish, "name": "default"} if blank else wish

        return super().job_update(with_wish(params, change))


@wrong("openclaw:RES-15", "RES-008")
class TabsAreNotTrimmed(Rewishing):
    """Blanks around a name mean nothing, and tabs do."""

    def wish(self, wish: dict[str, Any]) -> dict[str, Any]:
        name = wish.get("name")
        if not isinstance(name, str) or not name.strip():
            return wish
        trimmed = name.strip(" ")
        return {**wish, "name": trimmed if trimmed == name.strip() else f"({name.strip()})"}


@wrong("bugs:R11", "RES-006")
class LastJobTakesTheSession(Altered):
    """With the last of its jobs a named session goes."""

    def job_remove(self, params: dict[str, Any]) -> dict[str, Any]:
        engine = self._engine
        job = engine.store.job(str(params.get("id")))
        answer = super().job_remove(params)
        if job is not None:
            key = engine.jobs.resolve(job).key
            others = {engine.jobs.resolve(other).key for other in engine.store.jobs()}
            row = engine.store.session(key) if key else None
            if row is not None and row.kind == NAMED and key not in others:
                engine.store.delete_session(row.key)
        return answer
