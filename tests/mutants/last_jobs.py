"""Gateways whose defect shows in what waits, in the counts of failures, or at the end of rarer runs (jobs and runs)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

from cronsession_reference import slots
from cronsession_reference.admission import Started
from cronsession_reference.engine import Engine
from cronsession_reference.jobdesk import Written
from cronsession_reference.jobs import Job
from cronsession_reference.store import Notice, Run

from .altered import Altered, wrap, wrong


@wrong("bugs:D7", "JOB-014")
class RemovedJobsKeepTheirPlace(Altered):
    """A run that waits for room when its job is removed begins when there is room."""

    def alter(self, engine: Engine) -> None:
        waiting: list[tuple[Run, Job]] = []

        def remove(inner: Callable[[str], bool], job_id: str) -> bool:
            job, runs = engine.store.job(job_id), engine.store.open_runs(job_id)
            waiting.extend((run, job) for run in runs if job is not None and run.status == "queued")
            return inner(job_id)

        def admit(inner: Callable[[int], Started], now: int) -> Started:
            started = inner(now)
            while waiting and engine.scheduler.admission.room() > 0:
                run, job = waiting.pop(0)
                run = replace(run, status="running", started_ms=now, owner=engine.instance.id)
                if not run.attempt and (added := engine.store.add_run(run)) is not None:
                    started.append((added, job))
            return started

        wrap(engine.jobs, "remove", remove)
        wrap(engine.scheduler.admission, "admit", admit)


class _Starts(Altered):
    """Begins runs of a job as if it had other members."""

    def started(self, job: Job) -> Job:
        raise NotImplementedError

    def alter(self, engine: Engine) -> None:
        def start(inner: Callable[[Run, Job], Any], run: Run, job: Job) -> Any:
            return inner(run, self.started(job))

        wrap(engine.runner, "start", start)


@wrong("bugs:E3", "RUN-002")
class SixHoursAreTheLongest(_Starts):
    """A time-out of more than six hours is one of six hours."""

    def started(self, job: Job) -> Job:
        return replace(job, timeout_ms=min(job.timeout_ms or 0, 6 * 3_600_000) or None)


@wrong("bugs:K1", "JOB-024")
class TextsAreTrimmed(_Starts):
    """White space around a text is left out."""

    def started(self, job: Job) -> Job:
        return replace(job, payload=replace(job.payload, text=job.payload.text.strip()))


@wrong("bugs:K1", "JOB-024")
class SlashesAreCommands(_Starts):
    """A slash at the beginning of a text is a command to the gateway, and left out."""

    def started(self, job: Job) -> Job:
        return replace(job, payload=replace(job.payload, text=job.payload.text.removeprefix("/")))


@wrong("bugs:E7", "RUN-010")
class FourRepetitionsAreEnough(Altered):
    """A slot is made again four times at most, whatever the job says."""

    def alter(self, engine: Engine) -> None:
        def again(inner: Callable[..., bool], job: Job, run: Run, now: int) -> bool:
            return run.attempt < 4 and inner(job, run, now)

        wrap(engine.scheduler.outcomes, "_again", again)


# --- counts of failures -----------------------------------------------------------------------------------


class _Edits(Altered):
    """Does more than an edit says."""

    def also(self, job: Job, patch: dict[str, Any], now: int) -> Job:
        raise NotImplementedError

    def alter(self, engine: Engine) -> None:
        def update(inner: Callable[..., Written], job_id: str, patch: dict[str, Any], *rest: Any) -> Written:
            written = inner(job_id, patch, *rest)
            job = self.also(written.job, patch, engine.clock.now())
            engine.store.put_job(job)
            return replace(written, job=job)

        wrap(engine.jobs, "update", update)


@wrong("bugs:E7", "RUN-013")
class EditsEndTheRow(_Edits):
    """Any edit sets the count of failures to zero."""

    def also(self, job: Job, patch: dict[str, Any], now: int) -> Job:
        return replace(job, failures=0)


@wrong("bugs:E7", "JOB-003")
class EditsEnableWhatFailed(_Edits):
    """Any edit of a job that its failures disabled enables it."""

    def also(self, job: Job, patch: dict[str, Any], now: int) -> Job:
        if job.disabled_by != "failures" or "enabled" in patch:
            return job
        upcoming = slots.next_slot(job.schedule, now, job_id=job.id)
        return replace(job, enabled=True, disabled_by=None, failures=0, next_run_ms=upcoming)


class _Counts(Altered):
    """Leaves some runs out of the count of failures."""

    def counts(self, job: Job, run: Run) -> bool:
        raise NotImplementedError

    def alter(self, engine: Engine) -> None:
        def counted(inner: Callable[[Job, Run], Job], job: Job, run: Run) -> Job:
            return inner(job, run) if self.counts(job, run) else job

        wrap(engine.scheduler.outcomes, "_counted", counted)


@wrong("bugs:E7", "RUN-013")
class LateFailuresAreNone(_Counts):
    """A late run that failed does not count as a failure."""

    def counts(self, job: Job, run: Run) -> bool:
        return run.trigger != "catchup" or run.status == "ok"


@wrong("bugs:E7", "RUN-014")
class LateAnswersLeaveTheCount(_Counts):
    """A late run that was answered leaves the count of failures."""

    def counts(self, job: Job, run: Run) -> bool:
        return run.trigger != "catchup" or run.status != "ok"


@wrong("bugs:E7", "RUN-013")
class EventsDoNotFail(_Counts):
    """Runs of target main do not count as failures."""

    def counts(self, job: Job, run: Run) -> bool:
        return job.session.target != "main" or run.status == "ok"


@wrong("bugs:E7", "RUN-013")
class FailuresAreForgottenInADay(Altered):
    """A failure that is older than a day does not count any more."""

    def alter(self, engine: Engine) -> None:
        latest: dict[str, int] = {}

        def counted(inner: Callable[[Job, Run], Job], job: Job, run: Run) -> Job:
            began = run.started_ms or 0
            stale = began - latest.get(job.id, began) > 86_400_000
            latest[job.id] = began
            return inner(replace(job, failures=0) if stale else job, run)

        wrap(engine.scheduler.outcomes, "_counted", counted)


class _Tells(Altered):
    """Keeps some notices to itself."""

    def tells(self, notice: Notice, job: Job) -> bool:
        raise NotImplementedError

    def alter(self, engine: Engine) -> None:
        def notify(inner: Callable[[Notice], None], notice: Notice) -> None:
            job = engine.store.job(notice.job_id or "")
            if job is None or self.tells(notice, job):
                inner(notice)

        wrap(engine.scheduler.outcomes, "notify", notify)


@wrong("bugs:E7", "RUN-015")
class TimeOutsAreNotTold(_Tells):
    """Nobody is told of a job that time-outs disabled."""

    def tells(self, notice: Notice, job: Job) -> bool:
        return "timed out" not in notice.text


@wrong("bugs:E7", "RUN-015")
class JobsOfTheFirstAgentAreTold(_Tells):
    """People are told of the jobs of the default agent."""

    def tells(self, notice: Notice, job: Job) -> bool:
        return job.agent == "main"


# --- the ends of rarer runs -------------------------------------------------------------------------------


class _EndsWriteBack(Altered):
    """The end of some runs writes members of the job as they were at the start of the run, or the whole job."""

    members: ClassVar[tuple[str, ...]] = ("name", "payload", "session", "agent", "timeout_ms", "retry")
    triggers: ClassVar[tuple[str, ...]] = ("schedule", "manual", "retry", "catchup")
    removed: ClassVar[bool] = False

    def alter(self, engine: Engine) -> None:
        inner = engine.runner.finished

        def finished(run: Run, job: Job) -> Started:
            successors, stored = inner(run, job), engine.store.job(run.job_id)
            if run.trigger in self.triggers:
                if stored is not None and stored.revision != job.revision and not self.removed:
                    engine.store.put_job(
                        replace(stored, **{name: getattr(job, name) for name in self.members})
                    )
                if stored is None and self.removed:
                    engine.store.put_job(job)
            return successors

        engine.runner.finished = finished


@wrong("bugs:S11", "JOB-016")
class ManualEndsUndoEdits(_EndsWriteBack):
    """The end of a manual run writes the job that it read at its start."""

    triggers = ("manual",)


@wrong("bugs:S11", "JOB-016")
class RarerEndsUndoEdits(_EndsWriteBack):
    """The end of a repetition or of a late run writes the job that it read at its start."""

    triggers = ("retry", "catchup")


@wrong("bugs:S11", "JOB-016")
class EndsUndoEditsOfTheText(_EndsWriteBack):
    """The end of a run writes what its job tells the model as it was at the start."""

    members = ("payload",)


@wrong("bugs:D7", "JOB-015")
class RarerEndsBringJobsBack(_EndsWriteBack):
    """A job that was removed during a repetition or a late run comes back."""

    triggers, removed = ("retry", "catchup"), True
