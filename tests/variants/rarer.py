"""Gateways that are right and that nobody had thought of: each was once found fault with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any, ClassVar
from unittest import mock

from cronsession_reference import scheduler
from cronsession_reference.checks import text, word
from cronsession_reference.engine import Engine
from cronsession_reference.jobs import Job, parse_wish
from cronsession_reference.resolver import session_key
from cronsession_reference.sessions import Turn
from cronsession_reference.store import Run, SessionRow

from ..mutants.altered import Altered, is_receipt, wrap
from .table import MINUTE, Declaring, inner, right

DAY = 24 * 60 * MINUTE


@right
class LooseAnswers(Altered):
    """Lists are in no order, whole numbers are written as 1000.0, and everything has a member more."""

    def __init__(self) -> None:
        super().__init__()
        self._random = Random(7)

    def _loose(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {**{name: self._loose(found) for name, found in value.items()}, "more": [None]}
        if isinstance(value, list):
            return [self._loose(found) for found in value]
        # Smaller ones are numbers of something, such as a revision.
        return float(value) if type(value) is int and value >= 1000 else value

    def _listed(self, answer: dict[str, Any]) -> dict[str, Any]:
        for rows in answer.values():
            self._random.shuffle(rows)
        return {name: [self._loose(row) for row in rows] for name, rows in answer.items()}

    def job_list(self, params: dict[str, Any]) -> dict[str, Any]:
        # A job that is listed can be written again, so nothing is added within its members.
        jobs = super().job_list(params)["jobs"]
        self._random.shuffle(jobs)
        return {"jobs": [{**job, "nextRunAtMs": self._loose(job["nextRunAtMs"]), "more": 1} for job in jobs]}

    def run_list(self, params: dict[str, Any]) -> dict[str, Any]:
        return self._listed(super().run_list(params))

    def session_list(self, params: dict[str, Any]) -> dict[str, Any]:
        return self._listed(super().session_list(params))

    async def clock_advance(self, params: dict[str, Any]) -> dict[str, Any]:
        return {name: self._loose(found) for name, found in (await super().clock_advance(params)).items()}


@right
class RowsComeAtTheEnd(Altered):
    """A session is listed from the end of its first turn on, and a run without an answer leaves no receipt."""

    def alter(self, engine: Engine) -> None:
        self._hidden: set[str] = set()

        def put(kept: Callable[[SessionRow], None], row: SessionRow) -> None:
            if engine.store.session(row.key) is None:
                self._hidden.add(row.key)
            kept(row)

        def leave(left: Callable[[Turn], None], turn: Turn) -> None:
            key = turn.key
            left(turn)
            self._hidden.discard(key or "")

        def finish(ended: Callable[..., None], turn: Turn, run: Run, job: Job, status: str) -> None:
            row = turn.row
            ended(turn, run, job, status)
            if status != "ok" and row is not None and is_receipt(row):
                engine.transcripts.remove(row.id)
                engine.store.delete_session(row.key)

        wrap(engine.store, "put_session", put)
        wrap(engine.desk, "leave", leave)
        wrap(engine.runner, "_finish", finish)

    def session_list(self, params: dict[str, Any]) -> dict[str, Any]:
        rows = super().session_list(params)["sessions"]
        return {"sessions": [row for row in rows if row["key"] not in self._hidden]}


class Anchored(Declaring):
    """Gives an interval without an anchor one of its own choice."""

    def __init__(self) -> None:
        super().__init__()
        self._asked: dict[str, Any] = {}

    def _anchor(self, now: int) -> int:
        raise NotImplementedError

    def job_add(self, params: dict[str, Any]) -> dict[str, Any]:
        answer = super().job_add(self._anchored(params, "job"))
        if "job" in answer:
            self._asked[answer["job"]["id"]] = params["job"]["schedule"]
        return answer

    def job_update(self, params: dict[str, Any]) -> dict[str, Any]:
        job_id, given = str(params.get("id")), inner(params, "patch").get("schedule")
        if given is not None and self._asked.get(job_id) == given:
            listed = {job["id"]: job for job in self.job_list({})["jobs"]}
            patch = {**params["patch"], "schedule": listed[job_id]["schedule"]}
            return super().job_update({**params, "patch": patch})
        answer = super().job_update(self._anchored(params, "patch"))
        if given is not None and "job" in answer:
            self._asked[job_id] = given
        return answer

    def _anchored(self, params: dict[str, Any], part: str) -> dict[str, Any]:
        schedule = inner(params, part, "schedule")
        if schedule.get("kind") != "every":
            return params
        anchored = {"anchorMs": self._anchor(self._clock.now()), **schedule}
        return {**params, part: {**params[part], "schedule": anchored}}


@right
class IntervalsBeginSoon(Anchored):
    """An interval without an anchor has its first slot a second later; there are no cron expressions."""

    lacks = ("schedule.cron", "schedule.stagger")

    def _anchor(self, now: int) -> int:
        return now + 1000


@right
class CoarseClock(Anchored):
    """Looks at its clock each second: what is due in between is run and told as of a whole one."""

    step = 1000

    def __init__(self) -> None:
        super().__init__()
        self._base = replace(self._base, lateness_ms=self.step)

    def initialize(self, params: dict[str, Any]) -> dict[str, Any]:
        return {**super().initialize(params), "resolutionMs": self.step, "latenessMs": 0}

    def _anchor(self, now: int) -> int:
        return self._floor(now)

    def _floor(self, instant: Any) -> Any:
        return instant if instant is None else instant - instant % self.step

    def alter(self, engine: Engine) -> None:
        wrap(engine.store, "due", lambda found, now: found(self._floor(now)))

        def next_due(found: Callable[[], int | None]) -> int | None:
            due = found()
            return None if due is None else self._floor(due + self.step - 1)

        wrap(engine.store, "next_due", next_due)

    def run_list(self, params: dict[str, Any]) -> dict[str, Any]:
        told = ("startedAtMs", "endedAtMs")
        runs = super().run_list(params)["runs"]
        return {"runs": [{**run, **{name: self._floor(run[name]) for name in told}} for run in runs]}


class SweepsDaily(Declaring):
    """Sweeps once a day, and applies limits at no other time.

    Not in the table: within the lives of the core no sweep need have come, so they show nothing of CS-MNT-006.
    """

    sweep_ms = DAY - 10 * MINUTE
    hello: ClassVar[dict[str, Any]] = {"sweepIntervalMs": DAY}

    def alter(self, engine: Engine) -> None:
        wrap(engine.desk, "_make_room", lambda made, now: None)


_FLOATING = {
    "sessionKey": "report",
    "keyCase": "preserve",
    "currentFallback": "reject",
    "catchUp": "all",
    "missedOneShot": "grace",
    "manualOneShot": "consume",
    "pastOneShot": "run",
    "intervalAnchor": "end",
    "overlap": "queue",
    "dst": "ocps",
}


@right
class FloatsAndQueues(Altered, does=_FLOATING):
    """Counts an interval from the end of a run, and lets a slot wait that falls due during one."""


@right
class MakesUpForFive(Altered, does={"catchUp": "all"}):
    """Of many missed slots the latest five are run."""

    def alter(self, engine: Engine) -> None:
        def late(made_up: Callable[..., None], *args: Any) -> None:
            with mock.patch.object(scheduler, "CATCH_UP_LIMIT", 5):
                made_up(*args)

        wrap(engine.scheduler, "_late", late)


class OneAfterTheOther(Declaring):
    """One run at a time, of an hour at most; a job that runs takes no edit.

    Not in the table: it delays what it should not delay (CS-SCH-012), and breaks nothing that is required.
    """

    lacks = ("run.concurrency", "run.timeout")

    def __init__(self) -> None:
        super().__init__()
        self._base = replace(self._base, max_concurrent_runs=1)

    def job_update(self, params: dict[str, Any]) -> dict[str, Any]:
        if any(run.job_id == params.get("id") for run in self._engine.store.running()):
            return {"rejected": {"field": "id", "reason": "is a job that runs"}}
        return super().job_update(params)


@right
class BeginsWithTheNextSettling(Altered):
    """A human turn begins when time is looked at again, and a start by hand does not tell its run."""

    def __init__(self) -> None:
        super().__init__()
        self._later: list[dict[str, Any]] = []

    async def session_send(self, params: dict[str, Any]) -> dict[str, Any]:
        settings = self._engine.settings
        agent = word(params.get("agent", settings.default_agent), "agent", settings.agents)
        wish = parse_wish(params.get("session"))
        session_key(wish, agent=agent, agents=settings.agents, policies=settings.policies)
        text(params.get("text"), "text")
        self._later.append(params)
        return {}

    async def clock_advance(self, params: dict[str, Any]) -> dict[str, Any]:
        later, self._later = self._later, []
        for said in later:
            await super().session_send(said)
        return await super().clock_advance(params)

    async def job_trigger(self, params: dict[str, Any]) -> dict[str, Any]:
        answer = await super().job_trigger(params)
        return {name: told for name, told in answer.items() if name != "runId"}


@right
class MainSessionOnly(Declaring):
    """Its jobs are system events in the main session."""

    lacks = (
        *("session.isolated", "session.named", "session.current", "session.key", "session.mode"),
        *("receipts", "retention"),
    )
    hello: ClassVar[dict[str, Any]] = {"profiles": ["sessions"]}

    def job_add(self, params: dict[str, Any]) -> dict[str, Any]:
        return self._only_main(params, "job") or super().job_add(params)

    def job_update(self, params: dict[str, Any]) -> dict[str, Any]:
        return self._only_main(params, "patch") or super().job_update(params)

    @staticmethod
    def _only_main(params: dict[str, Any], part: str) -> dict[str, Any] | None:
        target = inner(params, part, "session").get("target", "main")
        return (
            None if target == "main" else {"rejected": {"field": "session.target", "reason": "is not main"}}
        )
