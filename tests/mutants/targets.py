"""Gateways that resolve a target or a name to the wrong session (area resolver)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cronsession_reference.engine import Engine
from cronsession_reference.errors import ModelError
from cronsession_reference.jobs import Job, Wish
from cronsession_reference.keys import job_key
from cronsession_reference.resolver import Resolution
from cronsession_reference.sessions import Place, Turn
from cronsession_reference.store import Run

from .altered import Altered, reroute, with_wish, wrap, wrong


@wrong(
    "openclaw#74743",
    *("RES-006", "RES-008", "RES-009", "RES-010", "RES-018", "SES-004", "SES-008", "MNT-004"),
)
class NamedSessionOfOneJob(Altered):
    """A named target is a synthetic key of the job; the session of that name never sees its runs."""

    def alter(self, engine: Engine) -> None:
        def change(job: Job, found: Resolution) -> Resolution:
            return replace(found, key=f"{found.key}:{job.id}") if job.session.target == "named" else found

        reroute(engine, change)


class Renaming(Altered):
    """Changes the names of sessions wherever they are given."""

    def job_add(self, params: dict[str, Any]) -> dict[str, Any]:
        return super().job_add(with_wish(params, self.wish))

    def job_update(self, params: dict[str, Any]) -> dict[str, Any]:
        return super().job_update(with_wish(params, self.wish))

    async def session_send(self, params: dict[str, Any]) -> dict[str, Any]:
        return await super().session_send(with_wish(params, self.wish))

    def wish(self, wish: dict[str, Any]) -> dict[str, Any]:
        name = wish.get("name") or ""
        return {**wish, "name": self.name(name)} if name.strip() else wish

    def name(self, name: str) -> str:
        return name


@wrong("bugs:K4", "RES-007", "RES-010", "SES-006", "SES-008", "MNT-004")
class NamesAreOneSession(Renaming):
    """Every name is the agent's one lasting session."""

    def name(self, name: str) -> str:
        return "lasting"


@wrong("openclaw:RES-15", "RES-008")
class NamesAreNotTrimmed(Renaming):
    """White space around a name makes another session."""

    def name(self, name: str) -> str:
        return name if name == name.strip() else f"({name})"


@wrong("openclaw:RES-14", "RES-009")
class CaseIsKept(Altered, does={"keyCase": "preserve"}, declares={}):
    """Upper and lower case are two sessions, and nobody says so."""


@wrong("openclaw#95319", "RES-009")
class CaseIsLost(Altered, declares={"keyCase": "preserve"}):
    """Case is said to matter, and one of the writers folds it."""


@wrong("bugs:K4", "RES-010")
class NamesAreSlugs(Renaming):
    """What a file name would not like becomes a dash."""

    def name(self, name: str) -> str:
        return re.sub(r"[^a-zA-Z0-9~]+", "-", name.strip())


@wrong("openclaw#86578", "RES-010")
class NameFailsAtRun(Altered):
    """A name with a slash is accepted, and refused by the file system when the job runs."""

    def alter(self, engine: Engine) -> None:
        def enter(inner: Callable[..., Any], turn: Turn, place: Place, opened: object) -> Any:
            if "/" in place.key:
                raise ModelError(f"no such folder for {place.key}")
            return inner(turn, place, opened)

        wrap(engine.desk, "enter", enter)


@wrong("openclaw:VAL-04", "RES-011")
class BlankNameHasADefault(Renaming):
    """A named target without a name means the session called default."""

    def wish(self, wish: dict[str, Any]) -> dict[str, Any]:
        blank = wish.get("target") == "named" and not (wish.get("name") or "").strip()
        return {**wish, "name": "default"} if blank else wish


@wrong("zeroclaw#6648", "RES-012")
class UnknownTargetIsIsolated(Renaming):
    """A target word that is not known means isolated."""

    def wish(self, wish: dict[str, Any]) -> dict[str, Any]:
        known = ("isolated", "named", "main", "current")
        return wish if wish["target"] in known else {**wish, "target": "isolated"}


@wrong("openclaw:VAL-07", "RES-012")
class UnknownTargetOnEdit(UnknownTargetIsIsolated):
    """The same, on edit only."""

    def job_add(self, params: dict[str, Any]) -> dict[str, Any]:
        return Altered.job_add(self, params)


@wrong("bugs:K4", "RES-013")
class KeysArePrefixedTwice(Altered):
    """A key that is spelled in full is taken for a plain word."""

    def job_add(self, params: dict[str, Any]) -> dict[str, Any]:
        agent = params["job"].get("agent", "main")

        def change(wish: dict[str, Any]) -> dict[str, Any]:
            key = wish.get("key") or ""
            return {**wish, "key": f"agent:{agent}:{key}"} if key.startswith("agent:") else wish

        return super().job_add(with_wish(params, change))


@wrong("openclaw#16256", "RES-014")
class DefaultAgentOwnsAll(Altered):
    """Jobs of another agent run in sessions of the default agent."""

    def alter(self, engine: Engine) -> None:
        default = engine.settings.default_agent

        def change(job: Job, found: Resolution) -> Resolution:
            key = found.key and found.key.replace(f"agent:{job.agent}:", f"agent:{default}:", 1)
            return replace(found, key=key)

        reroute(engine, change)


@wrong("openclaw:OBS-14", "RES-015")
class ResolvedIsTheJobKey(Altered):
    """The dry resolution shows the job's own session, whatever the wish."""

    def alter(self, engine: Engine) -> None:
        def resolve(inner: Callable[[Job], Resolution], job: Job) -> Resolution:
            found = inner(job)
            return found if found.key is None else replace(found, key=job_key(job.agent, job.id))

        wrap(engine.jobs, "resolve", resolve)


@wrong("openclaw#63442", "RES-015")
class FreshJobShowsAKey(Altered):
    """For an isolated job the dry resolution shows the key of its base row, which no run uses."""

    def alter(self, engine: Engine) -> None:
        def describe(inner: Callable[[Job], dict[str, Any]], job: Job) -> dict[str, Any]:
            data = inner(job)
            if not data["resolved"]["fresh"]:
                return data
            return {**data, "resolved": {**data["resolved"], "sessionKey": job_key(job.agent, job.id)}}

        wrap(engine.jobs, "describe", describe)


@wrong("bugs:K2", "RES-015")
class ResolvedIsStale(Altered):
    """The dry resolution is made when the job is added, and shown for good."""

    def alter(self, engine: Engine) -> None:
        first: dict[str, Any] = {}

        def describe(inner: Callable[[Job], dict[str, Any]], job: Job) -> dict[str, Any]:
            data = inner(job)
            return {**data, "resolved": first.setdefault(job.id, data["resolved"])}

        wrap(engine.jobs, "describe", describe)


@wrong("openclaw#98947", "RES-016")
class CurrentIsForgotten(Altered):
    """Where a job was made is not looked at: target current is always isolated."""

    def job_add(self, params: dict[str, Any]) -> dict[str, Any]:
        return super().job_add({name: value for name, value in params.items() if name != "context"})


@wrong("openclaw:RES-24", "RES-016")
class CurrentIsMain(Altered):
    """Target current is the main session of the agent, wherever the job was made."""

    def job_add(self, params: dict[str, Any]) -> dict[str, Any]:
        caller = {"context": {"session": {"target": "main"}}} if params.get("context") else {}
        return super().job_add({**params, **caller})


@wrong("openclaw:RES-25", "RES-017")
class CurrentFallsBackToMain(Renaming):
    """Without a calling session target current is the main session."""

    def job_add(self, params: dict[str, Any]) -> dict[str, Any]:
        return Altered.job_add(self, params if params.get("context") else with_wish(params, self.wish))

    def wish(self, wish: dict[str, Any]) -> dict[str, Any]:
        return {"target": "named", "name": "main"} if wish["target"] == "current" else wish


@wrong("openclaw:RES-25", "RES-017")
class CurrentIsRefused(Altered, does={"currentFallback": "reject"}, declares={}):
    """Target current without a calling session is refused, and isolated is declared."""


@wrong("openclaw:RES-26", "RES-015", "RES-018")
class TargetIsKeptFromTheFirstRun(Altered):
    """The session is resolved once, at the first run of a job."""

    def alter(self, engine: Engine) -> None:
        first: dict[str, Wish] = {}

        def start(inner: Callable[[Run, Job], Turn], run: Run, job: Job) -> Turn:
            return inner(run, replace(job, session=first.setdefault(job.id, job.session)))

        wrap(engine.runner, "start", start)


@wrong("openclaw#86202", "RES-019")
class KeyIsRefused(Altered, does={"sessionKey": "reject"}, declares={"sessionKey": "honour"}):
    """A key on an isolated job is refused, and honour is declared."""


@wrong("openclaw#86202", "RES-019")
class KeyIsReported(Altered, does={"sessionKey": "report"}, declares={"sessionKey": "honour"}):
    """A key on an isolated job is reported as unused, and honour is declared."""
