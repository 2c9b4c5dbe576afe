"""What follows from how a run ended: another try, a job that is switched off, people who are told."""

from __future__ import annotations

import logging
import uuid
from dataclasses import replace

from .jobs import FAILURES, OPERATOR, At, Every, Job
from .recovery import TRANSIENT
from .removal import drop_retries, drop_waiting, remove_job
from .settings import Settings
from .store import Notice, Run, Store

log = logging.getLogger(__name__)

NOTICES_KEPT = 1000


def failed(run: Run) -> bool:
    """Whether the run counts against its job: what passes by itself, or was stopped by someone, does not."""
    return run.status == "timeout" or (run.status == "error" and run.cause not in TRANSIENT)


class Outcomes:
    """Applies the outcome of a run of a slot to its job. Call it inside the transaction that writes it."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings

    def notify(self, notice: Notice) -> None:
        """Tell people: in the log, and in ``notice/list`` for who was not looking."""
        log.warning("job %s: %s", notice.job_id, notice.text)
        self._store.add_notice(notice, NOTICES_KEPT)

    def settle(self, job: Job, run: Run, now_ms: int) -> None:
        """``job`` is as it is stored now; its schedule is the one that the run belongs to."""
        if self._again(job, run, now_ms):
            return
        one_shot_done = isinstance(job.schedule, At) and not job.enabled
        if one_shot_done and job.delete_after_run and run.status == "ok":
            remove_job(self._store, job.id, now_ms, self._settings.agents)
            return
        changed = self._counted(job, run)
        if isinstance(changed.schedule, Every) and changed.enabled and changed.next_run_ms is None:
            changed = replace(changed, next_run_ms=now_ms + changed.schedule.every_ms)
        changed = self._judged(changed, run, now_ms)
        if changed != job:
            self._store.put_job(changed)

    def used_up(self, job: Job, run: Run, now_ms: int) -> None:
        """A forced run was answered: by policy it stands for the slot of a one-shot that is to come."""
        if self._settings.policies.manual_one_shot == "keep" or run.status != "ok":
            return
        if not isinstance(job.schedule, At) or not job.enabled:
            return
        drop_retries(self._store, job.id)
        if job.delete_after_run:
            remove_job(self._store, job.id, now_ms, self._settings.agents)
        else:
            self._store.put_job(replace(job, enabled=False, next_run_ms=None))

    def _again(self, job: Job, run: Run, now_ms: int) -> bool:
        """Queue the slot's next try, if there is one before its job's next slot."""
        wait = (job.retry or self._settings.retry).wait_ms(run.attempt + 1)
        one_shot = isinstance(job.schedule, At)
        if run.status != "error" or run.cause not in TRANSIENT or wait is None:
            return False
        if job.disabled_by == OPERATOR or not (one_shot or job.enabled):
            return False
        upcoming = job.next_run_ms
        if upcoming is None and isinstance(job.schedule, Every):
            upcoming = now_ms + job.schedule.every_ms
        due = now_ms + wait
        if upcoming is not None and due >= upcoming:
            return False
        again = Run(str(uuid.uuid4()), job.id, "retry", "queued", run.slot_ms)
        self._store.add_run(replace(again, attempt=run.attempt + 1, due_ms=due))
        if one_shot:
            self._store.put_job(replace(job, enabled=True))
        return True

    def _counted(self, job: Job, run: Run) -> Job:
        if run.status == "ok":
            return replace(job, failures=0)
        return replace(job, failures=job.failures + 1) if failed(run) else job

    def _judged(self, job: Job, run: Run, now_ms: int) -> Job:
        """Switch off a job that fails again and again; tell of a one-shot that came to nothing."""
        if isinstance(job.schedule, At):
            if not job.enabled and run.status in ("error", "timeout"):
                text = f"the one-shot came to nothing: {run.error}"
                self.notify(Notice(now_ms, "oneShotFailed", text[:500], job.id))
            return job
        limit = job.max_failures or self._settings.max_failures
        if not job.enabled or limit is None or job.failures < limit or not failed(run):
            return job
        reason = f"{job.failures} runs in a row failed, the last one because: {run.error}"[:500]
        drop_waiting(self._store, job.id, "the job was disabled")
        self.notify(Notice(now_ms, "autoDisabled", f"disabled: {reason}", job.id))
        return replace(
            job,
            enabled=False,
            next_run_ms=None,
            disabled_by=FAILURES,
            disabled_reason=reason,
            revision=job.revision + 1,
        )
