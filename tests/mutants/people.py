"""Gateways in which people are not heard where jobs run, or whose lasting sessions leave more than a row."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cronsession_reference.engine import Engine
from cronsession_reference.jobs import Job
from cronsession_reference.keys import job_key
from cronsession_reference.resolver import RECEIPT
from cronsession_reference.sessions import Turn
from cronsession_reference.store import Run

from .altered import Altered, with_wish, wrap, wrong
from .contexts import renew


class Hearing(Altered):
    """Changes the session that people are heard in."""

    async def session_send(self, params: dict[str, Any]) -> dict[str, Any]:
        return await super().session_send(with_wish(params, self.wish))

    def wish(self, wish: dict[str, Any]) -> dict[str, Any]:
        return {**wish, "name": self.name(wish["name"])} if isinstance(wish.get("name"), str) else wish

    def name(self, name: str) -> str:
        return name


@wrong("openclaw:RES-15", "RES-008")
class PeopleAreNotTrimmed(Hearing):
    """White space around a name means nothing in a job, and something where a person speaks."""

    def name(self, name: str) -> str:
        return name if name == name.strip() else f"({name})"


@wrong("openclaw#95319", "RES-009")
class PeopleKeepTheCase(Hearing):
    """Upper and lower case are one in a job, and two where a person speaks."""

    def name(self, name: str) -> str:
        return name if name == name.lower() else f"{name} (upper)"


@wrong("bugs:K4", "SES-004")
class PeopleUseSlugs(Hearing):
    """What a file name would not like in a name is a dash where a person speaks."""

    def name(self, name: str) -> str:
        return re.sub(r"[^a-zA-Z0-9~]+", "-", name.strip())


@wrong("bugs:K6", "SES-005")
class FailedPeopleResetTheSession(Altered):
    """After a human turn that failed the session begins anew."""

    def alter(self, engine: Engine) -> None:
        def leave(inner: Callable[[Turn], None], turn: Turn) -> None:
            key = turn.key
            inner(turn)
            if turn.run_id is None and turn.reply is None and key is not None:
                renew(engine, key)

        wrap(engine.desk, "leave", leave)


class Leaving(Altered):
    """Some runs leave a receipt beside their lasting session."""

    def leaves(self, run: Run, job: Job) -> bool:
        return False

    def alter(self, engine: Engine) -> None:
        def finish(inner: Callable[..., None], turn: Turn, run: Run, job: Job, status: str) -> None:
            row = turn.row
            inner(turn, run, job, status)
            if row is not None and row.kind != RECEIPT and self.leaves(run, job):
                key = f"{job_key(job.agent, job.id)}:run:{run.id}"
                engine.store.put_session(replace(row, key=key, id=run.id, kind=RECEIPT))

        wrap(engine.runner, "_finish", finish)


@wrong("openclaw#63442", "SES-006")
class KeyedRunsLeaveReceipts(Leaving):
    """A key is followed, and each run leaves a row of its own all the same."""

    def leaves(self, run: Run, job: Job) -> bool:
        return job.session.target == "isolated" and job.session.key is not None


@wrong("openclaw#63442", "SES-006")
class SlotsLeaveReceipts(Leaving):
    """Runs by schedule in a shared session leave a row of their own each; those by hand do not."""

    def leaves(self, run: Run, job: Job) -> bool:
        return run.trigger == "schedule"
