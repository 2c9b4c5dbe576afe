"""Gateways where an edit or a removal does not outlast what comes then, and texts are improved (area jobs)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

from cronsession_reference.engine import Engine
from cronsession_reference.jobs import Every, Job
from cronsession_reference.removal import drop_retries
from cronsession_reference.store import Run

from .altered import Altered, wrap, wrong
from .coincidences import Edited


@wrong("bugs:D5", "JOB-003")
class AgentEditsDropTheName(Edited):
    """An edit of the agent makes a job anew, and its name is lost."""

    def edited(self, engine: Engine, old: Job, job: Job) -> Job:
        return job if job.agent == old.agent else replace(job, name="job")


@wrong("bugs:D5", "JOB-003")
class NewNamesKeepOneShots(Edited):
    """An edit of the name clears deleteAfterRun."""

    def edited(self, engine: Engine, old: Job, job: Job) -> Job:
        return job if job.name == old.name else replace(job, delete_after_run=False)


class _Refusing(Altered):
    """Does something to a job whose edit is rejected."""

    def refused(self, job: Job) -> None:
        raise NotImplementedError

    def job_update(self, params: dict[str, Any]) -> dict[str, Any]:
        answer, job_id = super().job_update(params), params.get("id")
        job = self._engine.store.job(job_id) if isinstance(job_id, str) else None
        if "rejected" in answer and job is not None:
            self.refused(job)
        return answer


@wrong("bugs:S16", "JOB-006")
class RefusedEditsDropRepetitions(_Refusing):
    """A rejected edit drops the repetition that waits."""

    def refused(self, job: Job) -> None:
        drop_retries(self._engine.store, job.id)


@wrong("bugs:S16", "JOB-006")
class RefusedEditsMoveIntervals(_Refusing):
    """A rejected edit begins an interval anew."""

    def refused(self, job: Job) -> None:
        if job.enabled and isinstance(job.schedule, Every):
            moved = self._engine.clock.now() + job.schedule.every_ms
            self._engine.store.put_job(replace(job, next_run_ms=moved))


@wrong("bugs:D2", "JOB-007")
class NewerRevisionsAreTaken(Altered):
    """An edit that expects a revision to come is accepted."""

    def job_update(self, params: dict[str, Any]) -> dict[str, Any]:
        expected, job_id = params.get("expectedRevision"), params.get("id")
        job = self._engine.store.job(job_id) if isinstance(job_id, str) else None
        if job is not None and str(expected).isdigit() and int(str(expected)) > job.revision:
            params = {name: value for name, value in params.items() if name != "expectedRevision"}
        return super().job_update(params)


@wrong("bugs:D2", "JOB-008")
class RevisionsBeginAnew(Altered):
    """Revisions are counted from each start."""

    def alter(self, engine: Engine) -> None:
        for job in engine.store.jobs():
            engine.store.put_job(replace(job, revision=1))


class _AtTheEnd(Altered):
    """Writes a job as it was at the start of its run when that ends one way."""

    status: ClassVar[str]

    def ended(self, engine: Engine, before: Job, job: Job | None) -> Job | None:
        raise NotImplementedError

    def alter(self, engine: Engine) -> None:
        began: dict[str, Job] = {}

        def start(inner: Callable[[Run, Job], Any], run: Run, job: Job) -> Any:
            began[run.id] = job
            return inner(run, job)

        def finished(inner: Callable[[Run, Job], Any], run: Run, job: Job) -> Any:
            more = inner(run, job)
            if run.status == self.status and run.id in began:
                stored = self.ended(engine, began[run.id], engine.store.job(job.id))
                if stored is not None:
                    engine.store.put_job(stored)
            return more

        wrap(engine.runner, "start", start)
        wrap(engine.runner, "finished", finished)


class _LosesEdits(_AtTheEnd):
    def ended(self, engine: Engine, before: Job, job: Job | None) -> Job | None:
        return None if job is None else replace(job, name=before.name, payload=before.payload)


@wrong("bugs:S11", "JOB-016")
class TimeOutsUndoEdits(_LosesEdits):
    """The end of a run by time-out writes the job that it read at its start."""

    status = "timeout"


@wrong("bugs:S11", "JOB-016")
class CancelsUndoEdits(_LosesEdits):
    """The end of a run by cancel writes the job that it read at its start."""

    status = "cancelled"


class _BringsBack(_AtTheEnd):
    def ended(self, engine: Engine, before: Job, job: Job | None) -> Job | None:
        return before if job is None else None


@wrong("bugs:D7", "JOB-015")
class TimeOutsBringJobsBack(_BringsBack):
    """A job that was removed during a run that times out comes back."""

    status = "timeout"


@wrong("bugs:D7", "JOB-015")
class CancelsBringJobsBack(_BringsBack):
    """A job that was removed during a run that is cancelled comes back."""

    status = "cancelled"


@wrong("bugs:D7", "JOB-015")
class StopsBringJobsBack(_BringsBack):
    """A job that was removed during a run that a stop interrupts comes back."""

    status = "interrupted"


class _Remembering(Altered):
    """Knows the jobs that were removed since the start."""

    def alter(self, engine: Engine) -> None:
        self.gone: dict[str, Job] = {}

        def remove(inner: Callable[[str], bool], job_id: str) -> bool:
            job = engine.store.job(job_id)
            removed = inner(job_id)
            if removed and job is not None:
                self.gone[job_id] = job
            return removed

        wrap(engine.jobs, "remove", remove)


@wrong("bugs:D7", "JOB-013")
class EditsBringRemovedJobsBack(_Remembering):
    """An edit of a removed job makes it anew."""

    def job_update(self, params: dict[str, Any]) -> dict[str, Any]:
        job = self.gone.pop(str(params.get("id")), None)
        if job is not None:
            self._engine.store.put_job(job)
        return super().job_update(params)


@wrong("bugs:D7", "JOB-013")
class RemovedJobsAreSaidToStart(_Remembering):
    """A start of a removed job is answered with started."""

    async def job_trigger(self, params: dict[str, Any]) -> dict[str, Any]:
        if params.get("id") in self.gone:
            return {"started": True, "runId": "none"}
        return await super().job_trigger(params)


@wrong("bugs:D7", "JOB-014")
class RestingJobsComeBack(_Remembering):
    """A disabled job that was removed is there again after a restart."""

    def alter(self, engine: Engine) -> None:
        for job in getattr(self, "gone", {}).values():
            if not job.enabled:
                engine.store.put_job(job)
        super().alter(engine)


@wrong("bugs:D7", "JOB-014")
class RemovedJobsAreRepeated(Altered):
    """The repetition of a removed job is made."""

    def __init__(self) -> None:
        super().__init__()
        self._hidden: set[str] = set()

    def job_remove(self, params: dict[str, Any]) -> dict[str, Any]:
        store, job_id = self._engine.store, str(params.get("id"))
        job = store.job(job_id)
        if job is None or not any(run.status == "queued" for run in store.open_runs(job_id)):
            return super().job_remove(params)
        store.put_job(replace(job, enabled=False, next_run_ms=None))
        self._hidden.add(job_id)
        return {"removed": True}

    def job_list(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"jobs": [job for job in super().job_list(params)["jobs"] if job["id"] not in self._hidden]}


class _Improving(Altered):
    """Improves texts on their way to the model."""

    def improved(self, text: str) -> str:
        raise NotImplementedError

    def alter(self, engine: Engine) -> None:
        def converse(inner: Callable[..., Any], turn: Any, place: Any, text: str, *rest: Any) -> Any:
            return inner(turn, place, self.improved(text), *rest)

        wrap(engine.runner, "_converse", converse)


@wrong("bugs:K1", "JOB-024")
class LinesEndInOneWay(_Improving):
    """CR LF becomes LF."""

    def improved(self, text: str) -> str:
        return text.replace("\r\n", "\n")


@wrong("bugs:K1", "JOB-024")
class TemplatesAreFilled(_Improving):
    """A text is a template."""

    def improved(self, text: str) -> str:
        return re.sub(r"\{\{\s*(\w+)\s*\}\}", r"<\1>", text)


@wrong("bugs:K1", "JOB-024")
class LettersAreComposed(_Improving):
    """A text is put into Unicode's normal form C."""

    def improved(self, text: str) -> str:
        return unicodedata.normalize("NFC", text)


@wrong("bugs:K1", "JOB-024")
class BackslashesAreEscapes(_Improving):
    r"""The two characters \n become a line end."""

    def improved(self, text: str) -> str:
        return text.replace("\\n", "\n")


@wrong("bugs:K1", "JOB-024")
class InvisibleLettersGo(_Improving):
    """What has no width is left out."""

    def improved(self, text: str) -> str:
        return "".join(c for c in text if unicodedata.category(c) != "Cf")


@wrong("bugs:K1", "JOB-024")
class MentionsAreDefused(_Improving):
    """@everyone is written so that nobody is called."""

    def improved(self, text: str) -> str:
        return text.replace("@everyone", "everyone")
