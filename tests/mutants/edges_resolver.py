"""Gateways that choose a session wrongly on one path, for one form, by one way of writing (area resolver)."""

from __future__ import annotations

import posixpath
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar
from urllib.parse import unquote

from cronsession_reference.engine import Engine
from cronsession_reference.jobdesk import Written
from cronsession_reference.jobs import Job, Wish
from cronsession_reference.resolver import Resolution
from cronsession_reference.sessions import Turn
from cronsession_reference.store import Run

from .altered import Altered, reroute, with_wish, wrap, wrong
from .resolving import Rewishing


class _Calling(Altered):
    """Binds target current in a way of its own."""

    def bound(self, job: Job, name: str) -> Wish:
        raise NotImplementedError

    def job_add(self, params: dict[str, Any]) -> dict[str, Any]:
        answer = super().job_add(params)
        called = (params.get("context") or {}).get("session") or {}
        job = self._engine.store.job(answer["job"]["id"]) if "job" in answer else None
        if job is not None and job.session.target == "current":
            wish = self.bound(job, called.get("name", ""))
            self._engine.store.put_job(replace(job, session=wish))
        return answer


@wrong("openclaw#98947", "RES-016")
class CallersAreTakenLiterally(_Calling):
    """The session that a request comes from is looked for by its name as it is written there."""

    def bound(self, job: Job, name: str) -> Wish:
        plain = name == name.strip().lower()
        return job.session if plain else replace(job.session, key=f"agent:{job.agent}:[{name}]")


@wrong("openclaw#98947", "RES-016")
class CallersNeedARow(_Calling):
    """A calling session in which nothing was said yet is none."""

    def bound(self, job: Job, name: str) -> Wish:
        known = self._engine.store.session(job.session.key or "") is not None
        return job.session if known else Wish("isolated")


@wrong("openclaw:RES-24", "RES-033")
class CurrentIsTheLastCaller(Altered):
    """Where a request came from is remembered once for all jobs: the latest counts."""

    def alter(self, engine: Engine) -> None:
        called: list[str] = []

        def add(inner: Callable[..., Written], *args: Any) -> Written:
            written = inner(*args)
            if written.job.session.target == "current" and written.job.session.key:
                called.append(written.job.session.key)
            return written

        def change(job: Job, found: Resolution) -> Resolution:
            return replace(found, key=called[-1]) if job.session.target == "current" and called else found

        wrap(engine.jobs, "add", add)
        reroute(engine, change)


@wrong("openclaw:RES-24", "RES-033")
class SchedulesUnbindCurrent(Altered):
    """An edit of the schedule makes an isolated job of one with target current."""

    def alter(self, engine: Engine) -> None:
        def update(inner: Callable[..., Written], job_id: str, patch: dict[str, Any], *rest: Any) -> Written:
            written = inner(job_id, patch, *rest)
            if written.job.session.target == "current" and "schedule" in patch:
                written = replace(written, job=replace(written.job, session=Wish("isolated")))
                engine.store.put_job(written.job)
            return written

        wrap(engine.jobs, "update", update)


@wrong("openclaw:RES-13", "RES-032")
class CurrentIsListedAsIsolated(Altered):
    """A job with target current is listed as isolated, which is what becomes of it when that is written again."""

    def alter(self, engine: Engine) -> None:
        def describe(inner: Callable[[Job], dict[str, Any]], job: Job) -> dict[str, Any]:
            data = inner(job)
            return {**data, "session": {"target": "isolated"}} if job.session.target == "current" else data

        wrap(engine.jobs, "describe", describe)


@wrong("bugs:K3", "RES-025")
class KeysStayWithTheFirstAgent(Altered):
    """The key of a job that is given to another agent goes on to mean a session of the first."""

    def alter(self, engine: Engine) -> None:
        first: dict[str, str] = {}

        def add(inner: Callable[..., Written], *args: Any) -> Written:
            written = inner(*args)
            first[written.job.id] = written.job.agent
            return written

        def change(job: Job, found: Resolution) -> Resolution:
            if found.key is None or job.session.target != "isolated" or job.session.key is None:
                return found
            own, other = f"agent:{job.agent}:", f"agent:{first.get(job.id, job.agent)}:"
            return replace(found, key=found.key.replace(own, other, 1))

        wrap(engine.jobs, "add", add)
        reroute(engine, change)


@wrong("openclaw#16256", "RES-027")
class UnknownAgentsRunAtSlots(Altered):
    """A job of an agent that does not exist is not started by hand; at its slots it runs as the default agent."""

    def __init__(self) -> None:
        super().__init__()
        self._strange: set[str] = set()

    def job_add(self, params: dict[str, Any]) -> dict[str, Any]:
        agent = params["job"].get("agent") or "main"
        if not isinstance(agent, str) or agent in self._engine.settings.agents:
            return super().job_add(params)
        answer = super().job_add({**params, "job": {**params["job"], "agent": "main"}})
        if "job" in answer:
            self._strange.add(answer["job"]["id"])
        return answer

    def job_trigger(self, params: dict[str, Any]) -> dict[str, Any]:
        if params.get("id") in self._strange:
            return {"started": False, "reason": "there is no such agent"}
        return super().job_trigger(params)


class _OldKeys(Altered):
    """An edit looks at a key where it is new; one that the job had before is echoed and ignored."""

    target: ClassVar[str]

    def job_update(self, params: dict[str, Any]) -> dict[str, Any]:
        wish = params["patch"].get("session")
        job = self._engine.store.job(params["id"])
        known = isinstance(wish, dict) and job is not None and wish.get("key") == job.session.key
        if not known or wish["target"] != self.target or "key" not in wish:
            return super().job_update(params)
        heard = {name: value for name, value in wish.items() if name != "key"}
        answer = super().job_update({**params, "patch": {**params["patch"], "session": heard}})
        return {**answer, "job": {**answer["job"], "session": wish}} if "job" in answer else answer


@wrong("PR#63448", "RES-004")
class OldKeysAreIgnoredBesideNames(_OldKeys):
    """Name and key are compared where an edit sets another key."""

    target = "named"


@wrong("bugs:K1", "RES-005")
class OldKeysAreIgnoredBesideMain(_OldKeys):
    """Main and key are compared where an edit sets another key."""

    target = "main"


@wrong("PR#63448", "RES-005")
class WrongLoserBesideMain(Altered):
    """Of target main and a key the key is reported as unused, and used."""

    def job_add(self, params: dict[str, Any]) -> dict[str, Any]:
        job = params["job"]
        wish = job.get("session") or {}
        if wish.get("target") != "main" or not wish.get("key"):
            return super().job_add(params)
        payload = {**job["payload"], "kind": "agentTurn"}
        heard = {**job, "session": {"target": "isolated", "key": wish["key"]}, "payload": payload}
        answer = super().job_add({**params, "job": heard})
        unused = [{"field": "session.key", "reason": "main is a session"}]
        return {**answer, "unused": unused} if "job" in answer else answer


class _Describing(Altered):
    def resolved(self, job: Job, found: dict[str, Any]) -> dict[str, Any]:
        raise NotImplementedError

    def alter(self, engine: Engine) -> None:
        def describe(inner: Callable[[Job], dict[str, Any]], job: Job) -> dict[str, Any]:
            data = inner(job)
            return {**data, "resolved": self.resolved(job, data["resolved"])}

        wrap(engine.jobs, "describe", describe)


@wrong("openclaw:OBS-14", "RES-015")
class ResolvedIsMerged(_Describing):
    """What is resolved is put over what was before: the key of a session that was left stays."""

    def __init__(self) -> None:
        super().__init__()
        self._before: dict[str, dict[str, Any]] = {}

    def resolved(self, job: Job, found: dict[str, Any]) -> dict[str, Any]:
        self._before[job.id] = {**self._before.get(job.id, {}), **found}
        return self._before[job.id]


@wrong("openclaw:OBS-14", "RES-015")
class IsolatedIsResolvedAsFresh(_Describing):
    """What is isolated is shown as fresh, whatever its key and its mode say."""

    def resolved(self, job: Job, found: dict[str, Any]) -> dict[str, Any]:
        return {"fresh": True} if job.session.target == "isolated" else found


class _Starting(Altered):
    """Some runs know fresh sessions only."""

    def fresh(self, run: Run, job: Job) -> bool:
        raise NotImplementedError

    def alter(self, engine: Engine) -> None:
        def start(inner: Callable[[Run, Job], Turn], run: Run, job: Job) -> Turn:
            return inner(run, replace(job, session=Wish("isolated")) if self.fresh(run, job) else job)

        wrap(engine.runner, "start", start)


@wrong("bugs:K2", "SES-012", "SES-013")
class RestingJobsRunFresh(_Starting):
    """A job that is disabled and started by hand runs in a fresh session."""

    def fresh(self, run: Run, job: Job) -> bool:
        return not job.enabled and run.trigger == "manual"


@wrong("openclaw:RES-26", "RES-018")
class RepetitionsKeepTheWish(Altered):
    """A repetition is in the session of the run that it repeats, wherever the job is now."""

    def alter(self, engine: Engine) -> None:
        wishes: dict[tuple[str, int | None], Wish] = {}

        def start(inner: Callable[[Run, Job], Turn], run: Run, job: Job) -> Turn:
            if run.trigger == "retry":
                return inner(run, replace(job, session=wishes.get((job.id, run.slot_ms), job.session)))
            wishes[job.id, run.slot_ms] = job.session
            return inner(run, job)

        wrap(engine.runner, "start", start)


@wrong("bugs:S16", "RES-012")
class RefusedTargetsUnbind(_Starting):
    """After an edit that was refused for its session the job runs in fresh ones, until the next start."""

    def __init__(self) -> None:
        super().__init__()
        self._lost: set[str] = set()

    def fresh(self, run: Run, job: Job) -> bool:
        return job.id in self._lost

    def job_update(self, params: dict[str, Any]) -> dict[str, Any]:
        answer = super().job_update(params)
        if "rejected" in answer and answer["rejected"]["field"] == "session.target":
            self._lost.add(params["id"])
        return answer


@wrong("bugs:K4", "RES-013")
class ReceiptKeysAreWords(Rewishing):
    """The key of a receipt, given as a key, is another session of that name."""

    def wish(self, wish: dict[str, Any]) -> dict[str, Any]:
        key = str(wish.get("key"))
        return {**wish, "key": f"({key[6:]})"} if key.startswith("agent:") and ":run:" in key else wish


class _Tidy(Rewishing):
    """Improves names and keys."""

    members: ClassVar[tuple[str, ...]] = ("name", "key")

    async def session_send(self, params: dict[str, Any]) -> dict[str, Any]:
        return await super().session_send(with_wish(params, self.wish))

    def wish(self, wish: dict[str, Any]) -> dict[str, Any]:
        given = {m: wish[m] for m in self.members if isinstance(wish.get(m), str) and wish[m].strip()}
        return {**wish, **{m: self.tidy(text) for m, text in given.items() if not text.startswith("agent:")}}

    def tidy(self, text: str) -> str:
        raise NotImplementedError


@wrong("bugs:K4", "RES-010", "RES-028")
class SpacesAreCollapsed(_Tidy):
    """Several spaces within a name or a key are one."""

    def tidy(self, text: str) -> str:
        return " ".join(text.split())


@wrong("bugs:K4", "RES-010", "RES-028")
class NamesAreTidyPaths(_Tidy):
    """A name or a key is put into the normal form of a path."""

    def tidy(self, text: str) -> str:
        return posixpath.normpath(text)


@wrong("bugs:K4", "RES-010")
class NamesAreUnquoted(_Tidy):
    """A name is read as part of a URL."""

    members = ("name",)

    def tidy(self, text: str) -> str:
        return unquote(text)


@wrong("bugs:K4", "RES-010", "RES-028")
class LettersAreCompatible(_Tidy):
    """A name or a key is put into Unicode's normal form KC."""

    def tidy(self, text: str) -> str:
        return unicodedata.normalize("NFKC", text)


@wrong("bugs:K4", "RES-023")
class EditedTextsAreTidy(_Tidy):
    """Of the slashes in a name or a key an edit makes dashes."""

    on = ("edit",)

    async def session_send(self, params: dict[str, Any]) -> dict[str, Any]:
        return await super(_Tidy, self).session_send(params)

    def tidy(self, text: str) -> str:
        return text.replace("/", "-")
