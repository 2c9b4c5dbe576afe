"""Gateways that keep a promise about runs and slots until a repetition, a queue, an age or a one-shot is at its edge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cronsession_reference.engine import Engine
from cronsession_reference.jobs import At, Cron, Every, Job
from cronsession_reference.outcomes import failed
from cronsession_reference.recovery import Retry
from cronsession_reference.removal import drop_retries
from cronsession_reference.store import Run

from .altered import Altered, wrap, wrong
from .coincidences import Edited
from .limits import Rewritten
from .told import Counting

MINUTE = 60_000


@wrong("bugs:E7", "RUN-010")
class MaxRetriesZeroIsNone(Altered):
    """A maxRetries of 0 is taken for none, which is the gateway's own number."""

    def alter(self, engine: Engine) -> None:
        def again(inner: Callable[..., bool], job: Job, run: Run, now: int) -> bool:
            none = job.retry is not None and job.retry.limit == 0
            return inner(replace(job, retry=Retry()) if none else job, run, now)

        wrap(engine.scheduler.outcomes, "_again", again)


@wrong("openclaw:LIF-16", "RUN-011")
class RefusedRepetitionIsRepeated(Altered):
    """Whether a slot is tried again is decided by how its first run failed."""

    def alter(self, engine: Engine) -> None:
        def again(inner: Callable[..., bool], job: Job, run: Run, now: int) -> bool:
            return inner(job, replace(run, cause="overloaded") if run.attempt else run, now)

        wrap(engine.scheduler.outcomes, "_again", again)


@wrong("bugs:S12", "SCH-030")
class ManualRunsAreRepeated(Altered):
    """A manual run that failed for a passing reason is made again like one of a slot."""

    def alter(self, engine: Engine) -> None:
        def used_up(inner: Callable[..., None], job: Job, run: Run, now: int) -> None:
            if not engine.scheduler.outcomes._again(job, run, now):
                inner(job, run, now)

        wrap(engine.scheduler.outcomes, "used_up", used_up)


@wrong("bugs:S12", "RUN-010")
class ManualRunDropsTheRepetition(Altered):
    """A manual run stands for the repetition that waits."""

    def alter(self, engine: Engine) -> None:
        def used_up(inner: Callable[..., None], job: Job, run: Run, now: int) -> None:
            drop_retries(engine.store, job.id)
            inner(job, run, now)

        wrap(engine.scheduler.outcomes, "used_up", used_up)


class _FreeOfRoom(Altered):
    trigger = ""

    def alter(self, engine: Engine) -> None:
        startable = engine.store.startable
        admission = engine.scheduler.admission

        def admit(inner: Callable[..., Any], now: int) -> Any:
            room = admission.room
            free = [r for r in startable(now, 100) if r.trigger == self.trigger]
            if free and room() <= 0:
                wrap(admission, "room", lambda inner: len(free))
                engine.store.startable = lambda now, limit: free
                try:
                    return inner(now)
                finally:
                    admission.room = room
                    engine.store.startable = startable
            return inner(now)

        wrap(admission, "admit", admit)


@wrong("openclaw#103323", "RUN-008")
class RepetitionsNeedNoRoom(_FreeOfRoom):
    """A repetition begins when its wait has passed, whatever is under way."""

    trigger = "retry"


@wrong("openclaw#103323", "RUN-008")
class LateRunsNeedNoRoom(_FreeOfRoom):
    """What is made up for begins at once, whatever is under way."""

    trigger = "catchup"


@wrong("bugs:E4", "RUN-008")
class RoomIsOfAnAgent(Altered):
    """Each agent has room for maxConcurrentRuns."""

    def alter(self, engine: Engine) -> None:
        scheduler = engine.scheduler

        def claim(inner: Callable[..., Any], job: Job, *rest: Any) -> Any:
            running = engine.store.running
            engine.store.running = lambda: [
                r for r in running() if (j := engine.store.job(r.job_id)) is None or j.agent == job.agent
            ]
            try:
                return inner(job, *rest)
            finally:
                engine.store.running = running

        wrap(scheduler, "_claim", claim)


@wrong("bugs:E4", "RUN-009")
class ManualRunsGoFirst(Altered):
    """Of the runs that wait for room those that a person asked for start first."""

    def alter(self, engine: Engine) -> None:
        startable = engine.store.startable

        def first(now: int, limit: int) -> list[Run]:
            found = sorted(startable(now, 1000), key=lambda run: run.trigger != "manual")
            return found[:limit]

        engine.store.startable = first


@wrong("bugs:E4", "RUN-009")
class ManualRunsGoLast(Altered):
    """Of the runs that wait for room those that a person asked for start last."""

    def alter(self, engine: Engine) -> None:
        startable = engine.store.startable

        def first(now: int, limit: int) -> list[Run]:
            found = sorted(startable(now, 1000), key=lambda run: run.trigger == "manual")
            return found[:limit]

        engine.store.startable = first


@wrong("bugs:R12", "RUN-022")
class HistoryAgesFromTheEnd(Altered):
    """maxAgeMs is counted from the end of a run."""

    def alter(self, engine: Engine) -> None:
        def expire(inner: Callable[[int], None], before: int) -> None:
            store = engine.store
            for run in store.runs():
                if run.ended_ms is not None and run.ended_ms < before:
                    store.delete_run(run.id)

        wrap(engine.store, "expire_runs", expire)


@wrong("bugs:R12", "RUN-016")
class RunUnderWayCounts(Altered):
    """A run that is under way is one of the maxRuns that are listed."""

    def run_list(self, params: dict[str, Any]) -> dict[str, Any]:
        engine = self._engine
        most = engine.settings.run_history
        runs = super().run_list(params)["runs"]
        all_runs = super().run_list({})["runs"]
        latest: set[str] = set()
        for job in {r["jobId"] for r in all_runs}:
            latest |= {r["id"] for r in [r for r in all_runs if r["jobId"] == job][-most:]}
        return {"runs": [r for r in runs if r["id"] in latest]}


@wrong("bugs:R12", "RUN-001")
class RunUnderWayIsForgotten(Altered):
    """A run is not listed once it is older than maxAgeMs, though it is under way."""

    def run_list(self, params: dict[str, Any]) -> dict[str, Any]:
        kept, now = self._engine.settings.run_history_age_ms, self._clock.now()
        runs = super().run_list(params)["runs"]
        return {
            "runs": [
                r for r in runs if kept is None or r["startedAtMs"] is None or r["startedAtMs"] > now - kept
            ]
        }


@wrong("openclaw#95651", "RUN-001")
class RunsAreListedForADay(Altered):
    """Without a configured history runs are listed for a day."""

    def run_list(self, params: dict[str, Any]) -> dict[str, Any]:
        since, now = params.get("sinceMs") or 0, self._clock.now()
        return super().run_list({**params, "sinceMs": max(since, now - 86_400_000)})


@wrong("openclaw#95651", "RUN-001")
class FiftyRunsAreListed(Altered):
    """The latest fifty runs of all jobs are listed."""

    def run_list(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"runs": super().run_list(params)["runs"][-50:]}


@wrong("bugs:E6", "RUN-001")
class CancelRewritesTheEnd(Altered):
    """A run that has ended is cancelled all the same."""

    def run_cancel(self, params: dict[str, Any]) -> dict[str, Any]:
        answer = super().run_cancel(params)
        run = self._engine.store.run(params["id"])
        if run is not None and run.ended_ms is not None and not answer["cancelled"]:
            self._engine.store.put_run(replace(run, status="cancelled"))
            return {"cancelled": True}
        return answer


@wrong("bugs:E3", "RUN-005")
class CancelStopsEveryRun(Altered):
    """A cancel stops whatever is under way."""

    def run_cancel(self, params: dict[str, Any]) -> dict[str, Any]:
        answer = super().run_cancel(params)
        if answer["cancelled"]:
            for run_id in self._engine.runner.live():
                self._engine.runner.cancel(run_id)
        return answer


@wrong("openclaw:LIF-02", "SCH-007")
class DisabledOneShotComes(Altered):
    """The timer of a one-shot asks nobody whether it is enabled."""

    def alter(self, engine: Engine) -> None:
        def put(inner: Callable[[Job], None], job: Job) -> None:
            inner(job)
            if isinstance(job.schedule, At) and not job.enabled and job.schedule.at_ms > engine.clock.now():
                engine.clock.call_at(job.schedule.at_ms, lambda: fire(job), rank=1)

        def fire(job: Job) -> None:
            stored, ran = engine.store.job(job.id), any(run.job_id == job.id for run in engine.store.runs())
            if stored is not None and not stored.enabled and stored.schedule == job.schedule and not ran:
                engine.scheduler.trigger(job.id, due=False)

        wrap(engine.store, "put_job", put)


@wrong("bugs:D7", "JOB-014")
class RemovedOneShotComes(Altered):
    """The timer of a one-shot has all that it needs, and outlasts the job."""

    def job_remove(self, params: dict[str, Any]) -> dict[str, Any]:
        engine = self._engine
        job = engine.store.job(params["id"]) if isinstance(params.get("id"), str) else None
        answer = super().job_remove(params)
        if job is not None and isinstance(job.schedule, At) and job.next_run_ms is not None:
            run = Run(f"ghost-{job.id}", job.id, "schedule", "running", started_ms=job.next_run_ms)
            engine.clock.call_at(job.next_run_ms, lambda: engine.runner.start(run, job), rank=1)
        return answer


def _anchored_anew(engine: Engine, job: Job) -> Job:
    if not isinstance(job.schedule, Every) or job.next_run_ms is None:
        return job
    now = engine.clock.now()
    return replace(
        job, schedule=replace(job.schedule, anchor_ms=now), next_run_ms=now + job.schedule.every_ms
    )


@wrong("openclaw#14658", "SCH-009")
class ANewTextAnchorsAnew(Edited):
    """An interval is counted anew from an edit of what its runs do."""

    def edited(self, engine: Engine, old: Job, job: Job) -> Job:
        did = (old.payload, old.session, old.agent, old.timeout_ms, old.retry)
        does = (job.payload, job.session, job.agent, job.timeout_ms, job.retry)
        return job if did == does else _anchored_anew(engine, job)


@wrong("openclaw#14658", "SCH-009")
class EnablingTwiceAnchorsAnew(Altered):
    """An interval that is enabled is counted anew when an edit says that it is to be enabled."""

    def job_update(self, params: dict[str, Any]) -> dict[str, Any]:
        engine, patch = self._engine, params.get("patch")
        old = engine.store.job(params["id"]) if isinstance(params.get("id"), str) else None
        answer = super().job_update(params)
        twice = isinstance(patch, dict) and patch.get("enabled") is True and old is not None and old.enabled
        job = engine.store.job(old.id) if old is not None else None
        if "job" in answer and twice and job is not None and "schedule" not in patch:
            engine.store.put_job(_anchored_anew(engine, job))
        return answer


@wrong("bugs:S10", "SCH-009")
class ANewNameDisarmsAOneShot(Edited):
    """A one-shot is armed when it is stored, and an edit of what it is called or does disarms it."""

    def edited(self, engine: Engine, old: Job, job: Job) -> Job:
        armed = isinstance(job.schedule, At) and job.schedule == old.schedule and job.enabled == old.enabled
        return replace(job, next_run_ms=None) if armed else job


@wrong("bugs:S11", "SCH-008")
class OneShotsStayOneShots(Altered):
    """A one-shot that an edit makes an interval is over after its first run."""

    def alter(self, engine: Engine) -> None:
        shots: set[str] = set()

        def put(inner: Callable[[Job], None], job: Job) -> None:
            if isinstance(job.schedule, At):
                shots.add(job.id)
            before = engine.store.job(job.id)
            ran = (
                before is not None
                and before.schedule == job.schedule
                and before.next_run_ms != job.next_run_ms
            )
            if job.id in shots and not isinstance(job.schedule, At) and ran and job.enabled:
                job = replace(job, enabled=False, next_run_ms=None)
            inner(job)

        wrap(engine.store, "put_job", put)


@wrong("bugs:S11", "SCH-008")
class DoneOneShotsStayDone(Edited):
    """A one-shot that is done is done, whatever instant and state an edit gives it."""

    def edited(self, engine: Engine, old: Job, job: Job) -> Job:
        done = isinstance(old.schedule, At) and old.schedule.at_ms <= engine.clock.now()
        return replace(job, next_run_ms=None) if done else job


@wrong("openclaw:LIF-10", "SCH-020")
class RepetitionsRemoveNothing(Altered):
    """A one-shot that is to be removed after its run stays where a repetition was answered."""

    def alter(self, engine: Engine) -> None:
        def settle(inner: Callable[..., None], job: Job, run: Run, now: int) -> None:
            inner(replace(job, delete_after_run=False) if run.attempt else job, run, now)

        wrap(engine.scheduler.outcomes, "settle", settle)


@wrong("bugs:E7", "RUN-013")
class RepetitionsAreNoFailures(Counting):
    """How a repetition ended is not counted."""

    def counted(self, job: Job, run: Run, counted: Job) -> Job:
        return job if run.attempt and run.status != "ok" else counted


@wrong("bugs:E7", "RUN-014")
class AnsweredRepetitionsLeaveTheCount(Counting):
    """A slot that was answered when it was tried again leaves the count of failures."""

    def counted(self, job: Job, run: Run, counted: Job) -> Job:
        return job if run.attempt and run.status == "ok" else counted


@wrong("bugs:E7", "RUN-013")
class CancelledRunsAreFailures(Counting):
    """A run that somebody cancelled counts as a failure of its job."""

    def counted(self, job: Job, run: Run, counted: Job) -> Job:
        return replace(job, failures=job.failures + 1) if run.status == "cancelled" else counted

    def alter(self, engine: Engine) -> None:
        super().alter(engine)

        def judged(inner: Callable[..., Job], job: Job, run: Run, now: int) -> Job:
            return inner(job, replace(run, status="timeout") if run.status == "cancelled" else run, now)

        wrap(engine.scheduler.outcomes, "_judged", judged)


@wrong("bugs:E7", "RUN-014")
class CancelledRunsEndTheRow(Counting):
    """A run that somebody cancelled sets the count of failures to zero."""

    def counted(self, job: Job, run: Run, counted: Job) -> Job:
        return replace(job, failures=0) if run.status == "cancelled" else counted


@wrong("openclaw:LIF-04", "RUN-004")
class WhatWasPassedOverIsDue(Altered):
    """A slot that was passed over during a run is due until the next one."""

    def alter(self, engine: Engine) -> None:
        passed: set[str] = set()

        def claim(inner: Callable[..., Any], job: Job, slot: int | None, trigger: str, now: int) -> Any:
            run = inner(job, slot, trigger, now)
            (passed.add if run is None else passed.discard)(job.id)
            return run

        wrap(engine.scheduler, "_claim", claim)

        def trigger(inner: Callable[..., Any], job_id: str, *, due: bool) -> Any:
            return inner(job_id, due=due and job_id not in passed)

        wrap(engine.scheduler, "trigger", trigger)


@wrong("bugs:S5", "SCH-025")
class PassingTroubleSpins(Altered):
    """Where a job says nothing about it, what failed for a passing reason is made again until it is answered."""

    def alter(self, engine: Engine) -> None:
        engine.scheduler.outcomes._settings = replace(engine.settings, retry=Retry(100_000, (30_000,)))


class _MainOnly(Altered):
    @staticmethod
    def main(job: Job | None) -> bool:
        return job is not None and job.session.target == "main"


@wrong("openclaw#26343", "RUN-001")
class EventsAreOkAtOnce(_MainOnly):
    """A run of target main is ok as soon as its event was put into the session."""

    def run_list(self, params: dict[str, Any]) -> dict[str, Any]:
        def told(run: dict[str, Any]) -> dict[str, Any]:
            main = self.main(self._engine.store.job(run["jobId"])) and run["startedAtMs"] is not None
            return {**run, "status": "ok", "endedAtMs": run["startedAtMs"]} if main else run

        return {"runs": [told(run) for run in super().run_list(params)["runs"]]}


@wrong("bugs:E3", "RUN-002")
class EventsHaveNoTimeout(_MainOnly):
    """The timeoutMs of a job with target main is accepted and has no effect."""

    def alter(self, engine: Engine) -> None:
        def converse(
            inner: Callable[..., Any], turn: Any, place: Any, text: str, timeout: Any, run: Any = None
        ) -> Any:
            main = run is not None and self.main(engine.store.job(run.job_id))
            return inner(turn, place, text, None if main else timeout, run)

        wrap(engine.runner, "_converse", converse)


@wrong("bugs:E5", "RUN-003")
class EventsAreNeverBusy(_MainOnly):
    """A job with target main is free as soon as its event was put into the session."""

    def alter(self, engine: Engine) -> None:
        wrap(
            engine.scheduler,
            "busy",
            lambda inner, job_id: not self.main(engine.store.job(job_id)) and inner(job_id),
        )


@wrong("bugs:E6", "RUN-006")
class EndIsToldDuringTheRun(Rewritten):
    """A run that is under way has an end already: its start."""

    def run(self, run: dict[str, Any]) -> dict[str, Any]:
        return {**run, "endedAtMs": run["startedAtMs"]} if run["status"] == "running" else run


@wrong("bugs:E6", "RUN-007")
class RepetitionsTellTheirOwnInstant(Rewritten):
    """The slot of a repetition is told as the instant at which it began."""

    def run(self, run: dict[str, Any]) -> dict[str, Any]:
        return {**run, "slotMs": run["startedAtMs"]} if run["trigger"] == "retry" else run


@wrong("bugs:E6", "RUN-007")
class LateRunsTellTheirOwnInstant(Rewritten):
    """The slot of a late run is told as the instant at which it began."""

    def run(self, run: dict[str, Any]) -> dict[str, Any]:
        return (
            {**run, "slotMs": run["startedAtMs"]}
            if run["trigger"] == "catchup" and run["startedAtMs"]
            else run
        )


@wrong("bugs:S18", "SCH-016")
class ASlotJumpedOntoRunsTwice(Altered):
    """A jump onto a slot runs it as one that was missed, and as one that is due."""

    async def clock_jump(self, params: dict[str, Any]) -> dict[str, Any]:
        engine = self._engine
        onto = [j.id for j in engine.store.jobs() if j.next_run_ms == params["toMs"]]
        answer = await super().clock_jump(params)
        for job_id in onto:
            engine.scheduler.trigger(job_id, due=False)
        return answer


@wrong("bugs:S3", "SCH-001")
class EachJobIsBroughtUpToDate(Altered):
    """An advance takes each job through all of its slots before the next one."""

    async def clock_advance(self, params: dict[str, Any]) -> dict[str, Any]:
        engine, clock, to_ms = self._engine, self._clock, params["toMs"]
        if not isinstance(to_ms, int):
            return await super().clock_advance(params)
        store, began = engine.store, clock.now()
        later: list[Job] = []
        due = [job for job in store.jobs() if job.next_run_ms is not None and job.next_run_ms <= to_ms]
        if len(due) < 2 or not all(isinstance(job.schedule, Cron) for job in due):
            return await super().clock_advance(params)
        for job in due:
            store.put_job(replace(job, next_run_ms=None))
        for job in due:
            clock.set(began)
            store.put_job(job)
            await engine.advance(clock, to_ms - 1)
            now = store.job(job.id)
            if now is not None:
                later.append(now)
                store.put_job(replace(now, next_run_ms=None))
        for job in later:
            store.put_job(job)
        return await super().clock_advance(params)


@wrong("nanobot#1371", "JOB-009")
class AdvancesWriteJobsBack(Altered):
    """The end of an advance writes all jobs as they were at its beginning, but for their next runs."""

    async def clock_advance(self, params: dict[str, Any]) -> dict[str, Any]:
        store = self._engine.store
        before = {job.id: job for job in store.jobs()}
        answer = await super().clock_advance(params)
        for job in store.jobs():
            old = before.get(job.id)
            if old is not None and old.name != job.name:
                store.put_job(replace(job, name=old.name))
        return answer


@wrong("openclaw#18892", "SCH-001")
class PeopleHoldUpSlots(Altered):
    """While a person waits for an answer nothing starts by schedule."""

    def alter(self, engine: Engine) -> None:
        def fire(inner: Callable[[], None]) -> None:
            now = engine.clock.now()
            if any(turn.run_id is None for turn in engine.runner.turns):
                for job in engine.store.jobs():
                    if job.next_run_ms is not None and job.next_run_ms <= now:
                        engine.store.put_job(replace(job, next_run_ms=engine.scheduler._next(job, now)))
                return
            inner()

        wrap(engine.scheduler, "fire_due", fire)


@wrong("bugs:E7", "RUN-013")
class FailuresAreOfAllJobs(Altered):
    """The failures in a row are counted over all jobs."""

    def alter(self, engine: Engine) -> None:
        self._count = 0

        def counted(inner: Callable[[Job, Run], Job], job: Job, run: Run) -> Job:
            self._count = 0 if run.status == "ok" else self._count + failed(run)
            return replace(inner(job, run), failures=self._count)

        wrap(engine.scheduler.outcomes, "_counted", counted)


@wrong("bugs:E3", "RUN-005")
class WaitingRunsCannotBeCancelled(Altered):
    """A run that waits for its session is not stopped by a cancel."""

    def run_cancel(self, params: dict[str, Any]) -> dict[str, Any]:
        run_id = params["id"]
        waits = [t for t in self._engine.runner.turns if t.run_id == run_id and t.where == "queued"]
        return {"cancelled": False} if waits else super().run_cancel(params)


@wrong("bugs:E3", "RUN-021")
class TimeoutOfManualRunsCountsFromTheAsking(Altered):
    """The time-out of a run by hand counts from when somebody asked for it, also while it waits for room."""

    def alter(self, engine: Engine) -> None:
        def converse(
            inner: Callable[..., Any], turn: Any, place: Any, text: str, timeout: Any, run: Any = None
        ) -> Any:
            if run is not None and run.trigger == "manual" and timeout:
                waited = engine.clock.now() - (run.due_ms or engine.clock.now())
                timeout = max(1, timeout - waited)
            return inner(turn, place, text, timeout, run)

        wrap(engine.runner, "_converse", converse)
