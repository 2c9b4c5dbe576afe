"""Gateways that are right and different: ``pytest --cronsession-target=python:tests.variants.gateways:OpaqueKeys``."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar
from uuid import NAMESPACE_OID, uuid5

from cronsession_reference import Gateway
from cronsession_reference.engine import Engine
from cronsession_reference.errors import ModelError
from cronsession_reference.jobs import At, Cron, Job
from cronsession_reference.keys import job_key
from cronsession_reference.maintenance import Plan, remove_rows
from cronsession_reference.removal import drop_retries, remove_job
from cronsession_reference.resolver import PER_JOB, RECEIPT
from cronsession_reference.sessions import Turn
from cronsession_reference.store import Run

from ..mutants.altered import Altered, is_receipt, with_wish, wrap
from . import rarer
from .table import MINUTE, VARIANTS, Declaring, inner, right

__all__ = ["VARIANTS", "rarer", "unasked"]

_SECOND_ANSWERS = {
    "keyCase": "preserve",
    "sessionKey": "reject",
    "currentFallback": "reject",
    "catchUp": "skip",
    "missedOneShot": "skip",
    "manualOneShot": "consume",
    "slotAtCreation": "included",
    "pastOneShot": "run",
    "intervalAnchor": "start",
    "overlap": "queue",
    "dst": "ocps",
    "defaultZone": "utc",
}
_THIRD_ANSWERS = {
    "sessionKey": "report",
    "catchUp": "all",
    "pastOneShot": "missed",
    "intervalAnchor": "end",
    "dst": "shift",
}


@right
class SecondAnswers(Altered, does=_SECOND_ANSWERS):
    """Answers every policy in another way than the default; the instant of an edit may be a slot as well."""

    def alter(self, engine: Engine) -> None:
        wrap(engine.jobs, "_begins_at_once", lambda inner, job, old: isinstance(job.schedule, Cron))


@right
class ThirdAnswers(Altered, does=_THIRD_ANSWERS):
    """And in yet another way; a key is reported by way of the member it is part of."""

    def _written(self, written: Any) -> dict[str, Any]:
        answer = super()._written(written)
        unused = [{**u, "field": u["field"].partition(".")[0]} for u in answer.pop("unused", [])]
        return {**answer, "unused": unused} if unused else answer


@right
class LateWithinAGrace(Altered, does={"catchUp": "grace", "missedOneShot": "grace"}):
    """What is no more than ten minutes late runs late, and nothing else."""


@right
class OpaqueKeys(Altered, does={"dst": "both"}):
    """Keys are shown as hashes, and known again when they come back."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[str, str] = {}

    def _shown(self, key: str) -> str:
        found = hashlib.sha256(key.encode()).hexdigest()[:20]
        self._known[found] = key
        return found

    def _rows(self, rows: list[dict[str, Any]], member: str) -> list[dict[str, Any]]:
        return [{**row, member: row[member] and self._shown(row[member])} for row in rows]

    def session_list(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"sessions": self._rows(super().session_list(params)["sessions"], "key")}

    def run_list(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"runs": self._rows(super().run_list(params)["runs"], "sessionKey")}

    def store_maintain(self, params: dict[str, Any]) -> dict[str, Any]:
        answer = super().store_maintain(params)
        return {**answer, "removed": [self._shown(key) for key in answer["removed"]]}

    def store_seed(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"sessions": self._rows(super().store_seed(params)["sessions"], "key")}

    def store_sweep(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"removed": [self._shown(key) for key in super().store_sweep(params)["removed"]]}

    def alter(self, engine: Engine) -> None:
        def describe(inner: Callable[[Job], dict[str, Any]], job: Job) -> dict[str, Any]:
            data = inner(job)
            key = data["resolved"].get("sessionKey")
            return (
                data
                if key is None
                else {**data, "resolved": {"sessionKey": self._shown(key), "fresh": False}}
            )

        wrap(engine.jobs, "describe", describe)

    def job_add(self, params: dict[str, Any]) -> dict[str, Any]:
        return super().job_add(with_wish(params, self._spelled_out))

    def job_update(self, params: dict[str, Any]) -> dict[str, Any]:
        return super().job_update(with_wish(params, self._spelled_out))

    def _spelled_out(self, wish: dict[str, Any]) -> dict[str, Any]:
        key = wish.get("key")
        return {**wish, "key": self._known.get(key, key)} if isinstance(key, str) else wish


@right
class ReceiptsGoAtOnce(Declaring):
    """A fresh session is gone when its run has ended; what was said there is put aside from then on."""

    lacks = ("receipts",)

    def alter(self, engine: Engine) -> None:
        def finish(inner: Callable[..., None], turn: Turn, run: Run, job: Job, status: str) -> None:
            row = turn.row
            inner(turn, run, job, status)
            now = engine.store.session(row.key) if row is not None and is_receipt(row) else None
            if now is not None:
                remove_rows(engine.store, engine.archive, [now], engine.clock.now())

        wrap(engine.runner, "_finish", finish)


@right
class SchedulerOnly(Declaring):
    """Runs jobs on time, and has no more to offer."""

    only = ("clock.advance", "schedule.at", "schedule.every", "schedule.cron", "session.isolated")
    hello: ClassVar[dict[str, Any]] = {"profiles": ["scheduler"]}


@right
class SessionsOnly(Declaring):
    """Keeps sessions by name and key, and starts jobs by hand."""

    only = ("clock.advance", "schedule.cron", "session.named", "session.isolated", "session.key", "trigger")
    hello: ClassVar[dict[str, Any]] = {"profiles": ["sessions"]}


@right
class RunsAreLate(Declaring):
    """Starts everything 400 ms after its slot, as declared."""

    late_ms = 400
    hello: ClassVar[dict[str, Any]] = {"latenessMs": late_ms}

    def __init__(self) -> None:
        super().__init__()
        self._base = replace(self._base, lateness_ms=self.late_ms)

    def alter(self, engine: Engine) -> None:
        wrap(engine.store, "due", lambda inner, now: inner(now - self.late_ms))

        def next_due(inner: Callable[[], int | None]) -> int | None:
            due = inner()
            return None if due is None else due + self.late_ms

        wrap(engine.store, "next_due", next_due)


@right
class SweepsAreRare(Declaring):
    """Sweeps every ten minutes, applies limits at no other time, and does not tell how old a row is."""

    sweep_ms = 590_000
    hello: ClassVar[dict[str, Any]] = {"sweepIntervalMs": 600_000}

    def alter(self, engine: Engine) -> None:
        wrap(engine.desk, "_make_room", lambda inner, now: None)

    def session_list(self, params: dict[str, Any]) -> dict[str, Any]:
        rows = super().session_list(params)["sessions"]
        return {"sessions": [{k: v for k, v in row.items() if k != "updatedAtMs"} for row in rows]}


@right
class RunsAreNotListed(Declaring):
    """Has no run/list, and so nothing to cancel."""

    lacks = ("run.list", "run.slot", "run.cancel")

    def run_list(self, params: dict[str, Any]) -> dict[str, Any]:
        raise NotImplementedError


@right
class JobsStay(Declaring):
    """Jobs can be disabled, and not removed."""

    lacks = ("job.remove",)

    def job_remove(self, params: dict[str, Any]) -> dict[str, Any]:
        raise NotImplementedError


@right
class NothingIsIsolated(Declaring):
    """Knows lasting sessions only."""

    lacks = ("session.isolated", "session.current", "session.key", "session.mode", "receipts", "retention")

    def job_add(self, params: dict[str, Any]) -> dict[str, Any]:
        if inner(params, "job", "session").get("target") in ("isolated", "current"):
            return {"rejected": {"field": "session.target", "reason": "is not known here"}}
        return super().job_add(params)


@right
def InMemory() -> Gateway:
    """Forgets everything when it stops, and says so."""
    return Gateway(store="memory")


@right
class Talkative(Altered):
    """Adds instructions, sends content in parts, keeps a row for the job, and has few words for outcomes."""

    def alter(self, engine: Engine) -> None:
        def complete(inner: Callable[..., Any], messages: list[dict[str, Any]]) -> Any:
            parts = [{**m, "content": [{"type": "text", "text": m["content"]}]} for m in messages]
            return inner([{"role": "system", "content": "You are run by a timer."}, *parts])

        def finish(inner: Callable[..., None], turn: Turn, run: Run, job: Job, status: str) -> None:
            row = turn.row
            inner(turn, run, job, "error" if status == "timeout" else status)
            if row is not None and is_receipt(row):
                now = engine.clock.now()
                base = replace(row, key=job_key(job.agent, job.id), kind=RECEIPT, updated_ms=now)
                engine.store.put_session(base)

        wrap(engine.runner.model, "complete", complete)
        wrap(engine.runner, "_finish", finish)

    def run_list(self, params: dict[str, Any]) -> dict[str, Any]:
        runs = super().run_list(params)["runs"]
        return {"runs": [{**r, "status": "error"} if r["status"] == "cancelled" else r for r in runs]}


@right
class JobsHaveARow(Altered):
    """Keeps one more row for an isolated job as long as there is the job; then it is a receipt."""

    def alter(self, engine: Engine) -> None:
        def finish(inner: Callable[..., None], turn: Turn, run: Run, job: Job, status: str) -> None:
            row = turn.row
            inner(turn, run, job, status)
            if row is not None and is_receipt(row):
                kind = RECEIPT if engine.store.job(job.id) is None else PER_JOB
                # With an id of its own: two rows on one transcript would keep it when one of them goes.
                base = replace(
                    row, key=job_key(job.agent, job.id), id=str(uuid5(NAMESPACE_OID, job.id)), kind=kind
                )
                engine.store.put_session(replace(base, updated_ms=engine.clock.now()))

        wrap(engine.runner, "_finish", finish)


@right
class OneRowForEachJob(Declaring):
    """Shows one row for an isolated job, with the id of its latest run."""

    lacks = ("receipts", "store.maintain", "store.sweep")

    def session_list(self, params: dict[str, Any]) -> dict[str, Any]:
        rows = sorted(super().session_list(params)["sessions"], key=lambda row: row["updatedAtMs"])
        return {
            "sessions": list(
                {_of_job(row["key"]): {**row, "key": _of_job(row["key"])} for row in rows}.values()
            )
        }

    def run_list(self, params: dict[str, Any]) -> dict[str, Any]:
        runs = super().run_list(params)["runs"]
        return {
            "runs": [{**run, "sessionKey": run["sessionKey"] and _of_job(run["sessionKey"])} for run in runs]
        }


def _of_job(key: str) -> str:
    return key.partition(":run:")[0] if ":cron:" in key else key


@right
class ThinList(Altered):
    """Lists of a job what the contract wants to be listed, and no more."""

    def job_list(self, params: dict[str, Any]) -> dict[str, Any]:
        shown = ("id", "enabled", "nextRunAtMs", "revision", "disabledBy", "disabledReason", "resolved")
        listed = super().job_list(params)["jobs"]
        return {"jobs": [{name: job[name] for name in shown if name in job} for job in listed]}


@right
class SendsAgain(Altered):
    """A request that the model could not take is sent once more, at once and within the run."""

    def alter(self, engine: Engine) -> None:
        async def complete(inner: Callable[..., Any], messages: Any) -> Any:
            try:
                return await inner(messages)
            except ModelError as failure:
                if failure.status is None or failure.status < 500:
                    raise
                return await inner(messages)

        wrap(engine.runner.model, "complete", complete)


@right
class OneShotsAreRetried(Altered):
    """A failed one-shot is run twice more, and a one-shot that is done is gone."""

    def alter(self, engine: Engine) -> None:
        tries: dict[str, int] = {}

        def finished(inner: Callable[[Run, Job], Any], run: Run, job: Job) -> Any:
            more = inner(run, job)
            stored = engine.store.job(job.id)
            if stored is None or not isinstance(stored.schedule, At) or run.slot_ms is None:
                return more
            if stored.schedule != job.schedule:
                return more  # it was moved on meanwhile, and is not done
            tries[job.id] = tries.get(job.id, 0) + 1
            if run.status == "error" and tries[job.id] < 3:
                again = engine.clock.now() + 30 * MINUTE
                engine.store.put_job(replace(stored, enabled=True, next_run_ms=again))
            else:
                remove_job(engine.store, job.id, engine.clock.now(), engine.settings.agents)
            return more

        wrap(engine.runner, "finished", finished)


@right
class StartsAreSpread(Altered):
    """After a start what is overdue waits two minutes, and an interrupted run is run again."""

    calm_ms = 2 * MINUTE

    def alter(self, engine: Engine) -> None:
        start, store = engine.clock.now(), engine.store
        calm, missed = start + self.calm_ms, store.due(start)

        def due(inner: Callable[[int], list[str]], now: int) -> list[str]:
            if now >= calm:
                return inner(now)
            overdue = set(inner(start - 1))
            return [job_id for job_id in inner(now) if job_id not in overdue]

        def next_due(inner: Callable[[], int | None]) -> int | None:
            if engine.clock.now() >= calm:
                return inner()
            nexts = [job.next_run_ms for job in store.jobs() if job.next_run_ms is not None]
            return min((calm if when < start else when for when in nexts), default=None)

        def recover(inner: Callable[..., None], *, resume: bool = True) -> None:
            broken = [run.job_id for run in store.running()]
            for job_id in missed:
                drop_retries(store, job_id)
            inner(resume=resume)
            for job_id in broken:
                engine.clock.call_at(calm, partial(engine.scheduler.trigger, job_id, due=False))

        wrap(store, "due", due)
        wrap(store, "next_due", next_due)
        wrap(engine.scheduler, "recover", recover)


class StartsAreSlow(StartsAreSpread):
    """After a start what is overdue waits almost as long as it may; not in the table, which has the one above."""

    calm_ms = 230_000


@right
class IntervalsFollowTheClock(Altered):
    """An interval without an anchor is counted from the epoch, so its first slot comes early."""

    def job_add(self, params: dict[str, Any]) -> dict[str, Any]:
        return super().job_add(self._anchored(params, "job"))

    def job_update(self, params: dict[str, Any]) -> dict[str, Any]:
        return super().job_update(self._anchored(params, "patch"))

    def _anchored(self, params: dict[str, Any], part: str) -> dict[str, Any]:
        schedule = inner(params, part, "schedule")
        if schedule.get("kind") != "every":
            return params
        return {**params, part: {**params[part], "schedule": {"anchorMs": 0, **schedule}}}


@right
class NamesAreStrict(Altered):
    """Names are plain lower-case words; of two members that differ the key is reported as unused."""

    PLAIN = re.compile(r"[a-z0-9-]+")

    def job_add(self, params: dict[str, Any]) -> dict[str, Any]:
        return self._checked(super().job_add, params, "job")

    def job_update(self, params: dict[str, Any]) -> dict[str, Any]:
        return self._checked(super().job_update, params, "patch")

    async def session_send(self, params: dict[str, Any]) -> dict[str, Any]:
        name = inner(params, "session").get("name")
        if isinstance(name, str) and not self.PLAIN.fullmatch(name):
            raise ValueError(f"there is no session {name!r}")
        return await super().session_send(params)

    def _checked(
        self, write: Callable[..., dict[str, Any]], params: dict[str, Any], part: str
    ) -> dict[str, Any]:
        name, loses = inner(params, part, "session").get("name"), False
        if isinstance(name, str) and not self.PLAIN.fullmatch(name):
            return {"rejected": {"field": "session.name", "reason": "is a to z, 0 to 9 and dashes"}}

        def change(wish: dict[str, Any]) -> dict[str, Any]:
            nonlocal loses
            loses = wish.get("target") in ("named", "main") and wish.get("key") not in (
                None,
                wish.get("name"),
            )
            return {k: v for k, v in wish.items() if k != "key"} if loses else wish

        answer = write(with_wish(params, change))
        if loses and "job" in answer:
            answer["unused"] = [{"field": "session.key", "reason": "the target decides"}]
        return answer


class _ReadsLess(Declaring):
    """Refuses what it does not declare of the extensions of a cron expression."""

    reads: ClassVar[tuple[str, ...]] = ()

    def initialize(self, params: dict[str, Any]) -> dict[str, Any]:
        found = super().initialize(params)
        kept = [c for c in found["capabilities"] if not c.startswith("cron.") or c in self.reads]
        return {**found, "capabilities": kept}

    def job_add(self, params: dict[str, Any]) -> dict[str, Any]:
        return self._checked(super().job_add, params, "job")

    def job_update(self, params: dict[str, Any]) -> dict[str, Any]:
        return self._checked(super().job_update, params, "patch")

    def _checked(
        self, write: Callable[..., dict[str, Any]], params: dict[str, Any], part: str
    ) -> dict[str, Any]:
        expr = inner(params, part, "schedule").get("expr")
        if isinstance(expr, str) and not _needed(expr) <= set(self.reads):
            return {"rejected": {"field": "schedule.expr", "reason": "is more than this gateway can read"}}
        return write(params)


def _needed(expr: str) -> set[str]:
    """The capabilities that an expression takes to read; a word that nobody declares for the rest."""
    fields = expr.split()
    if expr.strip().startswith("@"):
        return {"cron.nickname"}
    day, weekday = (fields[len(fields) > 5 :] + [""] * 5)[2:5:2]
    return {
        name
        for name, found in {
            "cron.second": len(fields) > 5,
            "cron.year": len(fields) > 6,
            "cron.lastDay": "L" in day,
            "cron.nearestWeekday": "W" in day,
            "cron.nthWeekday": re.search(r"#\d", weekday) is not None,
            "cron.lastWeekday": re.search(r"L(,|$)", weekday.upper()) is not None,
            "more": "?" in expr or "+" in expr,
        }.items()
        if found
    }


@right
class FiveFieldsOnly(_ReadsLess):
    """Reads the portable core of cron, and refuses what goes beyond it."""


@right
class SomeOfTheDialect(_ReadsLess):
    """Reads seconds, nicknames and last days, and refuses the rest."""

    reads = ("cron.second", "cron.nickname", "cron.lastDay")


@right
class EachAgentHasItsCap(Altered):
    """Keeps a store for each agent, with maxEntries rows each."""

    def alter(self, engine: Engine) -> None:
        def choose(inner: Callable[[int], Any], now: int) -> Any:
            limits, rows = engine.maintenance.limits, engine.store.sessions()
            if limits.mode != "enforce" or engine.store.totals().bytes > limits.max_disk_bytes:
                return inner(now)
            left = Counter(row.agent for row in rows)
            doomed = []
            for row in engine.store.evictable():
                if left[row.agent] > limits.max_entries or now - row.updated_ms > limits.prune_after_ms:
                    left[row.agent] -= 1
                    doomed.append(row)
            return Plan(tuple(doomed), ("entries",) * len(doomed))

        wrap(engine.maintenance, "plan", choose)


# The newest come last in the table, so that what is on record of the others stays (tests/proof/alarms.py).
from . import unasked  # noqa: E402


def __getattr__(name: str) -> Callable[[], Any]:
    """One of the rarer ones; or one policy, one other answer: ``python:tests.variants.gateways:dst_shift``."""
    for others in (rarer, unasked):
        if name in vars(others):
            return getattr(others, name)  # type: ignore[no-any-return]
    policy, _, answer = name.partition("_")
    if not policy or not answer:
        raise AttributeError(name)
    return lambda: Gateway(policies={policy: answer})
