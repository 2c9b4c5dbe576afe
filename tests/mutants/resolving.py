"""Gateways that resolve a wish in two places, or for the wrong owner, or by its spelling (area resolver)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from cronsession_reference.engine import Engine
from cronsession_reference.jobdesk import Written
from cronsession_reference.jobs import Job, Wish
from cronsession_reference.resolver import MAIN, NAMED, RECEIPT, Resolution
from cronsession_reference.sessions import Place, Turn
from cronsession_reference.store import Run

from .altered import Altered, reroute, with_wish, wrap, wrong


class Rewishing(Altered):
    """Changes the wishes of jobs on their way in."""

    on: tuple[str, ...] = ("add", "edit")

    def job_add(self, params: dict[str, Any]) -> dict[str, Any]:
        return super().job_add(with_wish(params, self.wish) if "add" in self.on else params)

    def job_update(self, params: dict[str, Any]) -> dict[str, Any]:
        return super().job_update(with_wish(params, self.wish) if "edit" in self.on else params)

    def wish(self, wish: dict[str, Any]) -> dict[str, Any]:
        return wish


def _without(wish: dict[str, Any], member: str) -> dict[str, Any]:
    return {name: value for name, value in wish.items() if name != member}


@wrong("openclaw#63442", "RES-020")
class ModeIsIgnored(Rewishing):
    """A mode of an isolated job is accepted and passed over."""

    def wish(self, wish: dict[str, Any]) -> dict[str, Any]:
        return _without(wish, "mode") if wish.get("target") == "isolated" else wish


@wrong("bugs:K1", "RES-020")
class ModeIsIgnoredOnEdit(ModeIsIgnored):
    """The same, and only an edit does it."""

    on = ("edit",)


@wrong("openclaw#119922", "RES-021")
class FreshBesideALastingSessionIsDropped(Rewishing):
    """Mode fresh beside a session that lasts is stripped, and success reported."""

    def wish(self, wish: dict[str, Any]) -> dict[str, Any]:
        lasting = wish.get("target") != "isolated" or "key" in wish
        return _without(wish, "mode") if lasting and wish.get("mode") == "fresh" else wish


class OtherwiseResolved(Altered):
    """Runs with a certain trigger know fresh sessions only."""

    trigger = ""

    def alter(self, engine: Engine) -> None:
        def start(inner: Callable[[Run, Job], Turn], run: Run, job: Job) -> Turn:
            return inner(run, replace(job, session=Wish("isolated")) if run.trigger == self.trigger else job)

        wrap(engine.runner, "start", start)


@wrong("openclaw#76489", "RES-022")
class LateRunsAreFresh(OtherwiseResolved):
    """Catching up has a resolver of its own."""

    trigger = "catchup"


@wrong("bugs:K2", "RES-022")
class RepetitionsAreFresh(OtherwiseResolved):
    """Making a run again has a resolver of its own."""

    trigger = "retry"


@wrong("openclaw:RES-30", "RES-023")
class MainByEditIsAnother(Altered):
    """Target main set by an edit is a session called main, beside the main session."""

    def alter(self, engine: Engine) -> None:
        moved: set[str] = set()

        def update(inner: Callable[..., Written], job_id: str, patch: dict[str, Any], *rest: Any) -> Written:
            written = inner(job_id, patch, *rest)
            if "session" in patch:
                (moved.add if written.job.session.target == "main" else moved.discard)(job_id)
            return written

        def change(job: Job, found: Resolution) -> Resolution:
            return replace(found, key=f"{found.key}-events", kind=NAMED) if job.id in moved else found

        wrap(engine.jobs, "update", update)
        reroute(engine, change)


@wrong("bugs:K3", "RES-024")
class ResolvedForgetsTheAgent(Altered):
    """The dry resolution knows the default agent only."""

    def alter(self, engine: Engine) -> None:
        def describe(inner: Callable[[Job], dict[str, Any]], job: Job) -> dict[str, Any]:
            data = inner(job)
            key = data["resolved"].get("sessionKey")
            shown = (
                {} if key is None else {"sessionKey": key.replace(f"agent:{job.agent}:", "agent:main:", 1)}
            )
            return {**data, "resolved": {**data["resolved"], **shown}}

        wrap(engine.jobs, "describe", describe)


@wrong("openclaw#6962", "RES-025")
class KeysKnowNoAgent(Altered):
    """One word as session key is one session for all agents."""

    def alter(self, engine: Engine) -> None:
        def change(job: Job, found: Resolution) -> Resolution:
            keyed = job.session.target == "isolated" and job.session.key is not None and found.key
            return (
                replace(found, key=str(found.key).replace(f"agent:{job.agent}:", "agent:main:", 1))
                if keyed
                else found
            )

        reroute(engine, change)


@wrong("openclaw#65075", "RES-025")
class OneMainForAllAgents(Altered):
    """System events of any agent go to the default agent's main session."""

    def alter(self, engine: Engine) -> None:
        def change(job: Job, found: Resolution) -> Resolution:
            return replace(found, key="agent:main:main") if found.kind == MAIN else found

        reroute(engine, change)


@wrong("openclaw:RES-12", "RES-026")
class ForeignKeyIsAWord(Altered):
    """A key of another agent is taken for a plain word, and stored with the job's own agent."""

    def _own(self, params: dict[str, Any], agent: str) -> dict[str, Any]:
        def change(wish: dict[str, Any]) -> dict[str, Any]:
            key = str(wish.get("key") or "")
            foreign = key.startswith("agent:") and not key.startswith(f"agent:{agent}:")
            return {**wish, "key": f"agent:{agent}:{key}"} if foreign else wish

        return with_wish(params, change)

    def job_add(self, params: dict[str, Any]) -> dict[str, Any]:
        return super().job_add(self._own(params, params["job"].get("agent", "main")))

    def job_update(self, params: dict[str, Any]) -> dict[str, Any]:
        job = self._engine.store.job(params["id"])
        agent = params["patch"].get("agent") or (job.agent if job else "main")
        return super().job_update(self._own(params, agent))


@wrong("openclaw#16256", "RES-027")
class UnknownAgentIsTheDefault(Altered):
    """A job for an agent that does not exist is the default agent's."""

    def job_add(self, params: dict[str, Any]) -> dict[str, Any]:
        return super().job_add(self._known(params, "job"))

    def job_update(self, params: dict[str, Any]) -> dict[str, Any]:
        return super().job_update(self._known(params, "patch"))

    def _known(self, params: dict[str, Any], part: str) -> dict[str, Any]:
        given = params.get(part)
        agent = given.get("agent") if isinstance(given, dict) else None
        if not isinstance(agent, str) or not agent or agent in self._engine.settings.agents:
            return params
        return {**params, part: {**params[part], "agent": "main"}}


@wrong("openclaw#86578", "RES-028")
class KeysAreSlugs(Rewishing):
    """What a file name would not like in a key becomes a dash."""

    def wish(self, wish: dict[str, Any]) -> dict[str, Any]:
        key = wish.get("key")
        plain = isinstance(key, str) and not key.startswith("agent:")
        return {**wish, "key": re.sub(r"[^a-zA-Z0-9~]+", "-", key)} if plain and key else wish


@wrong("bugs:K4", "RES-029")
class LongTextsAreCut(Rewishing):
    """Of names and keys the first two hundred characters count."""

    async def session_send(self, params: dict[str, Any]) -> dict[str, Any]:
        return await super().session_send(with_wish(params, self.wish))

    def wish(self, wish: dict[str, Any]) -> dict[str, Any]:
        cut = {m: wish[m][:200] for m in ("name", "key") if isinstance(wish.get(m), str)}
        return {**wish, **cut}


@wrong("openclaw:VAL-06", "RES-030")
class NamesAreFileNames(Altered):
    """A note lies beside each session, in a file that is called as the session is."""

    async def gateway_start(self, params: dict[str, Any]) -> dict[str, Any]:
        self.notes = Path(params["stateDir"], "notes")
        answer = await super().gateway_start(params)
        self.notes.mkdir(exist_ok=True)
        return answer

    def job_add(self, params: dict[str, Any]) -> dict[str, Any]:
        answer = super().job_add(params)
        wish = answer.get("job", {}).get("session", {})
        file = self.notes / str(wish.get("name") or wish.get("key") or "none")
        if "job" in answer and file.parent.is_dir() and not file.exists():
            file.write_text("a session")
        return answer


@wrong("openclaw:RES-22", "RES-031")
class ReservedNamesAreReaped(Altered):
    """What looks like the key of a receipt is one, whoever chose it."""

    def alter(self, engine: Engine) -> None:
        def place(inner: Callable[[Job], Place], job: Job) -> Place:
            found = inner(job)
            return replace(found, kind=RECEIPT) if ":run:" in found.key else found

        wrap(engine.runner, "_place", place)


@wrong("openclaw:RES-13", "RES-032")
class ListedNamesAreSpelledOut(Altered):
    """A name is listed as the gateway spells targets, and what is listed is another name when it comes back."""

    def alter(self, engine: Engine) -> None:
        def describe(inner: Callable[[Job], dict[str, Any]], job: Job) -> dict[str, Any]:
            data = inner(job)
            wish = data["session"]
            return (
                {**data, "session": {**wish, "name": f"session:{wish['name']}"}} if "name" in wish else data
            )

        wrap(engine.jobs, "describe", describe)


@wrong("openclaw:RES-24", "RES-033")
class EditUnbindsCurrent(Altered):
    """Any edit makes an isolated job of one with target current: nobody calls from a session then."""

    def alter(self, engine: Engine) -> None:
        def update(inner: Callable[..., Written], job_id: str, patch: dict[str, Any], *rest: Any) -> Written:
            written = inner(job_id, patch, *rest)
            if written.job.session.target == "current" and "session" not in patch:
                written = replace(written, job=replace(written.job, session=Wish("isolated")))
                engine.store.put_job(written.job)
            return written

        wrap(engine.jobs, "update", update)


@wrong("openclaw:RES-26", "RES-034")
class TimerKeepsTheFirstWish(Altered):
    """The timer remembers the session with which a job was added; a manual start looks it up."""

    def alter(self, engine: Engine) -> None:
        first: dict[str, tuple[Wish, str]] = {}

        def add(inner: Callable[..., Written], *args: Any) -> Written:
            written = inner(*args)
            first[written.job.id] = (written.job.session, written.job.agent)
            return written

        def start(inner: Callable[[Run, Job], Turn], run: Run, job: Job) -> Turn:
            wish, agent = first.get(job.id, (job.session, job.agent))
            return inner(run, replace(job, session=wish, agent=agent) if run.trigger == "schedule" else job)

        wrap(engine.jobs, "add", add)
        wrap(engine.runner, "start", start)
