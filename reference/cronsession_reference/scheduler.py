"""The scheduler: every slot gets one outcome, written down before anything else happens.

A claim is one transaction: the run's row with its unique (job, slot), and the job's next run. Only then
does the payload start. Whoever comes second, another process included, finds the slot taken.
"""

from __future__ import annotations

import logging
import uuid
from dataclasses import replace

from .clock import Clock
from .instances import Instance
from .jobs import At, Every, Job
from .removal import remove_job, retire_session
from .runner import Runner
from .settings import Settings
from .slots import next_slot, slots_before
from .store import Run, Store

log = logging.getLogger(__name__)

CATCH_UP_LIMIT = 100
"""How many missed slots of one gap are listed, or with catchUp ``all`` run late; the latest count."""

Started = list[tuple[Run, Job]]


class Scheduler:
    """Decides what runs, from the store and the present instant."""

    def __init__(
        self, store: Store, clock: Clock, settings: Settings, runner: Runner, instance: Instance
    ) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings
        self._runner = runner
        self._instance = instance
        self._claimed: set[str] = set()
        self.closing = False
        runner.finished = self._finished

    def fire_due(self) -> None:
        """Give an outcome to every slot due at or before now."""
        for job_id in self._store.due(self._clock.now()):
            started: Started = []
            try:
                with self._store.transaction():
                    started = self._fire(job_id)
            except Exception:
                log.exception("job %s cannot be scheduled and is passed over", job_id)
                self._store.silence(job_id)
            self._start(started)

    def _start(self, started: Started) -> None:
        for run, job in started:
            self._runner.start(run, job)
            self._claimed.discard(run.id)

    def _fire(self, job_id: str) -> Started:
        now, job = self._clock.now(), self._store.job(job_id)
        if job is None:
            log.error("stored job %s cannot be read; it will not run", job_id)
            self._store.silence(job_id)
            return []
        slot = job.next_run_ms
        if slot is None or slot > now:
            return []
        if now - slot > self._settings.lateness_ms:
            return self._late(job, slot, now)
        run = self._claim(job, slot, "schedule", now)
        self._advance(job, slot, now, running=run is not None)
        return [(run, job)] if run else []

    def _late(self, job: Job, slot: int, now: int) -> Started:
        policies = self._settings.policies
        if isinstance(job.schedule, At):
            missed, policy = [slot], "once" if policies.missed_one_shot == "run" else "skip"
        elif self._floating(job):
            missed, policy = [slot], policies.catch_up
        else:
            missed, policy = self._missed(job, slot, now), policies.catch_up
        to_run = {"skip": [], "once": missed[-1:], "all": missed[-CATCH_UP_LIMIT:]}[policy]
        started: Started = []
        for instant in missed[: len(missed) - len(to_run)]:
            self._add(job, "catchup", "missed", instant)
        for instant in to_run:
            run = self._claim(job, instant, "catchup", now, queue=bool(started))
            started += [(run, job)] if run else []
        self._advance(job, now - 1, now, running=bool(started))
        return started

    def _missed(self, job: Job, slot: int, now: int) -> list[int]:
        limit = CATCH_UP_LIMIT + 1
        return slots_before(job.schedule, slot, now, limit, job_id=job.id, dst=self._settings.policies.dst)

    def _claim(
        self, job: Job, slot: int | None, trigger: str, now: int, *, queue: bool = False
    ) -> Run | None:
        """Take a slot, or make a manual run; answer it if it starts now."""
        if self.busy(job.id):
            queue = queue or self._settings.policies.overlap == "queue"
            self._add(job, trigger, "queued" if queue else "skipped", slot)
            return None
        run = self._add(job, trigger, "running", slot, started_ms=now)
        if run is not None:
            self._claimed.add(run.id)
        return run

    def _add(
        self, job: Job, trigger: str, status: str, slot: int | None, started_ms: int | None = None
    ) -> Run | None:
        owner = self._instance.id if status == "running" else None
        run_id = str(uuid.uuid4())
        run = Run(run_id, job.id, trigger, status, slot, started_ms=started_ms, owner=owner)
        return self._store.add_run(run)

    def _floating(self, job: Job) -> bool:
        """Whether the slots are counted from the runs, not from a grid."""
        return isinstance(job.schedule, Every) and self._settings.policies.interval_anchor != "grid"

    def _advance(self, job: Job, after: int, now: int, *, running: bool) -> None:
        """Move the job on. A one-shot is done at its claim: nothing can make it run a second time."""
        upcoming: int | None
        if isinstance(job.schedule, Every) and self._floating(job):
            waits_for_end = running and self._settings.policies.interval_anchor == "end"
            upcoming = None if waits_for_end else now + job.schedule.every_ms
            self._store.put_job(replace(job, next_run_ms=upcoming))
            return
        upcoming = None
        if not isinstance(job.schedule, At):
            upcoming = next_slot(job.schedule, after, job_id=job.id, dst=self._settings.policies.dst)
        self._store.put_job(replace(job, next_run_ms=upcoming, enabled=upcoming is not None))

    def busy(self, job_id: str) -> bool:
        """Whether a run of the job is under way. What a crash left open is given its outcome here."""
        return any(self._is_open(run) for run in self._store.open_runs(job_id))

    def _is_open(self, run: Run) -> bool:
        if run.status == "queued" or run.id in self._claimed or run.id in self._runner.live():
            return True
        if run.owner != self._instance.id and self._instance.alive(run.owner):
            return True
        reason = "was interrupted: the gateway stopped while it ran"
        self._store.put_run(replace(run, status="interrupted", ended_ms=self._clock.now(), error=reason))
        return False

    def trigger(self, job_id: str, *, due: bool) -> tuple[Run | None, str]:
        """Start a job by hand; answer the run, or None and the reason.

        A forced run leaves the job as it is. With ``due`` it takes the slot that is due.
        """
        now = self._clock.now()
        with self._store.transaction():
            job = self._store.job(job_id)
            if job is None:
                return None, f"there is no job {job_id!r}"
            if due and not job.enabled:
                return None, "the job is disabled"
            slot = job.next_run_ms if due else None
            if due and (slot is None or slot > now):
                return None, "no slot of the job is due"
            if self.busy(job_id):
                return None, "the job is running already"
            run = self._claim(job, slot, "manual", now)
            if slot is not None:
                self._advance(job, now, now, running=run is not None)
        if run is None:
            return None, "the slot has had its run"
        self._start([(run, job)])
        return run, ""

    def _finished(self, run: Run, job: Job) -> Started:
        """Called with the outcome of a run, in its transaction. Answers the queued run that comes next."""
        now = self._clock.now()
        self._store.trim_runs(run.job_id, run.number - self._settings.run_history)
        stored = self._store.job(run.job_id)
        if stored is None:
            retire_session(self._store, run.job_id, self._settings.agents)
            return []
        if run.slot_ms is not None and stored.schedule == job.schedule:
            self._after_slot(stored, run, now)
        return self._next_queued(stored, now)

    def _after_slot(self, job: Job, run: Run, now: int) -> None:
        done = isinstance(job.schedule, At) and not job.enabled
        if done and job.delete_after_run and run.status == "ok":
            remove_job(self._store, job.id, now, self._settings.agents)
        elif isinstance(job.schedule, Every) and job.enabled and job.next_run_ms is None:
            self._store.put_job(replace(job, next_run_ms=now + job.schedule.every_ms))

    def _next_queued(self, job: Job, now: int) -> Started:
        if self.closing:
            return []
        for run in self._store.open_runs(job.id):
            if run.status == "queued":
                run = replace(run, status="running", started_ms=now, owner=self._instance.id)
                self._store.put_run(run)
                return [(run, job)]
        return []

    def recover(self, *, resume: bool = True) -> None:
        """Give what a crash left behind its outcome, and go on with what was queued."""
        now = self._clock.now()
        started: Started = []
        with self._store.transaction():
            for key, owner in self._store.leases():
                if not self._instance.alive(owner):
                    self._store.release(key, owner)
            for run in self._store.open_runs():
                self._is_open(run)
            for job in self._store.jobs() if resume else []:
                started += self._resume(job, now)
            if resume and (self._store.latest_start() or 0) > now:
                self.rewind()
        self._start(started)

    def _resume(self, job: Job, now: int) -> Started:
        if any(run.status == "running" for run in self._store.open_runs(job.id)):
            return []
        if isinstance(job.schedule, Every) and job.enabled and job.next_run_ms is None:
            self._store.put_job(replace(job, next_run_ms=now + job.schedule.every_ms))
        return self._next_queued(job, now)

    def rewind(self) -> None:
        """The clock went back: recurring jobs go on from the present, past the slots that had their run."""
        now, dst = self._clock.now(), self._settings.policies.dst
        with self._store.transaction():
            for job in self._store.jobs():
                if job.next_run_ms is None or isinstance(job.schedule, At) or self._floating(job):
                    continue
                upcoming = next_slot(job.schedule, now, job_id=job.id, dst=dst)
                if upcoming is not None and upcoming < job.next_run_ms:
                    self._store.put_job(replace(job, next_run_ms=upcoming))
