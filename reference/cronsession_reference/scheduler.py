"""The scheduler: every slot gets one outcome, written down before anything else happens.

A claim is one transaction: the run's row with its unique (job, slot), and the job's next run. Only then
does the payload start. Whoever comes second, another process included, finds the slot taken.
"""

from __future__ import annotations

import logging
import uuid
from dataclasses import replace

from .admission import Admission, Started
from .clock import Clock
from .instances import Instance
from .jobs import At, Every, Job
from .lateness import CATCH_UP_LIMIT, catch_up_of, floating, missed_slots
from .outcomes import Outcomes
from .removal import drop_retries, retire_session
from .runner import Runner
from .settings import Settings
from .slots import next_slot
from .store import Notice, Run, Store

log = logging.getLogger(__name__)


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
        self._late_runs: list[Run] = []
        self.outcomes = Outcomes(store, settings)
        self.admission = Admission(store, settings, instance.id, lambda run: self._is_open(run))
        self.closing = False
        runner.finished = self._finished

    def fire_due(self) -> None:
        """Give an outcome to every slot due at or before now, and start what waits for its time."""
        self._late_runs = []
        for job_id in self._store.due(self._clock.now()):
            started: Started = []
            try:
                with self._store.transaction():
                    started = self._fire(job_id)
            except Exception as err:
                log.exception("job %s cannot be scheduled and is passed over", job_id)
                self._pass_over(job_id, err)
            self._start(started)
        if self._late_runs:
            with self._store.transaction():
                self.admission.spread(self._late_runs, self._clock.now())
        self.admit()

    def admit(self) -> None:
        """Start queued runs whose time has come, as far as there is room."""
        now = self._clock.now()
        if self.closing or not self._store.startable(now, 1):
            return
        with self._store.transaction():
            started = self._admit(now)
        self._start(started)

    def _admit(self, now: int) -> Started:
        started = [] if self.closing else self.admission.admit(now)
        self._claimed.update(run.id for run, _ in started)
        return started

    def _start(self, started: Started) -> None:
        for run, job in started:
            self._runner.start(run, job)
            self._claimed.discard(run.id)

    def _pass_over(self, job_id: str, err: Exception) -> None:
        """A job whose slots cannot be told any more must not stop the others, nor be silent about it."""
        text = f"cannot be scheduled and will not run: {type(err).__name__}: {err}"
        with self._store.transaction():
            self._store.silence(job_id)
            self.outcomes.notify(Notice(self._clock.now(), "unschedulable", text[:500], job_id))

    def _fire(self, job_id: str) -> Started:
        now, job = self._clock.now(), self._store.job(job_id)
        if job is None:
            log.error("stored job %s cannot be read; it will not run", job_id)
            self._store.silence(job_id)
            return []
        slot = job.next_run_ms
        if slot is None or slot > now:
            return []
        drop_retries(self._store, job_id)  # the slot that is due now is the next try
        if now - slot > self._settings.lateness_ms:
            self._late(job, slot, now)
            return []
        run = self._claim(job, slot, "schedule", now)
        self._advance(job, slot, now, running=run is not None)
        return [(run, job)] if run is not None and run.status == "running" else []

    def _late(self, job: Job, slot: int, now: int) -> None:
        missed = missed_slots(job, slot, now, self._settings)
        catch_up = catch_up_of(job, self._settings)
        to_run = catch_up.choose(missed[-CATCH_UP_LIMIT:], now)
        log.info(
            "job %s: %d slots were missed since %d; by catch-up policy %s %d run late",
            *(job.id, len(missed), missed[0] if missed else slot, catch_up.policy, len(to_run)),
        )
        for instant in missed[: len(missed) - len(to_run)]:
            self._add(job, "catchup", "missed", instant)
        waits = self._settings.policies.overlap == "queue" or not self.busy(job.id)
        for instant in to_run:
            run = self._add(job, "catchup", "queued" if waits else "skipped", instant)
            if run is not None and waits:
                self._late_runs.append(run)
        self._advance(job, now - 1, now, running=bool(to_run) and waits)

    def _claim(self, job: Job, slot: int | None, trigger: str, now: int) -> Run | None:
        """Take a slot, or make a manual run; answer it, running or queued, or None if there is none."""
        if self.busy(job.id):
            if self._settings.policies.overlap == "queue":
                return self._add(job, trigger, "queued", slot)
            self._add(job, trigger, "skipped", slot)
            return None
        if self.admission.room() <= 0:
            return self._add(job, trigger, "queued", slot)
        run = self._add(job, trigger, "running", slot, started_ms=now)
        if run is not None:
            self._claimed.add(run.id)
        return run

    def _add(
        self, job: Job, trigger: str, status: str, slot: int | None, started_ms: int | None = None
    ) -> Run | None:
        owner = self._instance.id if status == "running" else None
        due = None if status != "queued" else self._clock.now() if slot is None else slot
        run = Run(
            str(uuid.uuid4()), job.id, trigger, status, slot, started_ms=started_ms, owner=owner, due_ms=due
        )
        added = self._store.add_run(run)
        if added is not None:
            self._trim(job.id, added.number)
        return added

    def _trim(self, job_id: str, number: int) -> None:
        """Of the runs of a job up to this number the latest stay; what has no outcome is not counted."""
        upto = number - self._settings.run_history
        for run in sorted(self._store.open_runs(job_id), key=lambda run: -run.number):
            upto -= upto < run.number <= number
        self._store.trim_runs(job_id, upto)

    def _advance(self, job: Job, after: int, now: int, *, running: bool) -> None:
        """Move the job on. A one-shot is done at its claim: nothing can make it run a second time."""
        upcoming: int | None
        if isinstance(job.schedule, Every) and floating(job, self._settings):
            waits_for_end = running and self._settings.policies.interval_anchor == "end"
            upcoming = None if waits_for_end else now + job.schedule.every_ms
            self._store.put_job(replace(job, next_run_ms=upcoming))
            return
        upcoming = None
        if not isinstance(job.schedule, At):
            upcoming = next_slot(job.schedule, after, job_id=job.id, dst=self._settings.policies.dst)
        self._store.put_job(replace(job, next_run_ms=upcoming, enabled=upcoming is not None))

    def busy(self, job_id: str) -> bool:
        """Whether a run of the job is under way, or waits to be. A repetition that waits is in nobody's way.

        What a crash left open is given its outcome here.
        """
        now = self._clock.now()
        return any(
            self._is_open(run)
            for run in self._store.open_runs(job_id)
            if run.status == "running" or (run.trigger != "retry" and (run.due_ms or 0) <= now)
        )

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

        A forced run leaves the job as it is. With ``due`` it takes the slot that is due. Where the most runs
        there may be are under way, it waits for its turn.
        """
        now = self._clock.now()
        with self._store.transaction():
            job = self._store.job(job_id)
            if job is None:
                return None, f"there is no job {job_id!r:.80}"
            if due and not job.enabled:
                return None, "the job is disabled"
            slot = job.next_run_ms if due else None
            if due and (slot is None or slot > now):
                return None, "no slot of the job is due"
            if self.busy(job_id):
                return None, "the job is running already"
            if self.closing and self.admission.room() <= 0:
                return None, f"{self._settings.max_concurrent_runs} runs are under way, the most there may be"
            run = self._claim(job, slot, "manual", now)
            if slot is not None:
                self._advance(job, now, now, running=run is not None)
        if run is None:
            return None, "the slot has had its run"
        if run.status == "running":
            self._start([(run, job)])
        return run, ""

    def _finished(self, run: Run, job: Job) -> Started:
        """Called with the outcome of a run, in its transaction. Answers the queued runs that come next."""
        now = self._clock.now()
        self._trim(run.job_id, run.number)
        stored = self._store.job(run.job_id)
        if stored is None:
            retire_session(self._store, run.job_id, self._settings.agents)
        elif stored.schedule == job.schedule:
            outcome = self.outcomes.used_up if run.slot_ms is None else self.outcomes.settle
            outcome(stored, run, now)
        return self._admit(now)

    def recover(self, *, resume: bool = True) -> None:
        """Give what a crash left behind its outcome, and go on with what was queued."""
        now = self._clock.now()
        with self._store.transaction():
            self.bury()
            # Before they begin: a slot that was missed ends the repetitions of the one before.
            for job_id in self._store.due(now) if resume else []:
                drop_retries(self._store, job_id)
            for job in self._store.jobs() if resume else []:
                self._resume(job, now)
            if resume and (self._store.latest_start() or 0) > now:
                self.rewind()
        self.admit()

    def bury(self) -> None:
        """Release what a gateway that died had in use, also while this one runs."""
        for key, owner in self._store.leases():
            if not self._instance.alive(owner):
                self._store.release(key, owner)
        for run in self._store.running():
            if not self._is_open(run) and (job := self._store.job(run.job_id)) is not None:
                self._resume(job, self._clock.now())

    def _resume(self, job: Job, now: int) -> None:
        """A recurring job that is enabled has a next run, unless it waits for the end of one."""
        if not job.enabled or job.next_run_ms is not None or isinstance(job.schedule, At):
            return
        if self._store.open_runs(job.id):
            return
        if isinstance(job.schedule, Every) and floating(job, self._settings):
            self._store.put_job(replace(job, next_run_ms=now + job.schedule.every_ms))
        elif (upcoming := self._next(job, now)) is not None:
            self._store.put_job(replace(job, next_run_ms=upcoming))

    def _next(self, job: Job, after: int) -> int | None:
        """The next slot; None also where it cannot be told, so that one job cannot keep a gateway from starting."""
        try:
            return next_slot(job.schedule, after, job_id=job.id, dst=self._settings.policies.dst)
        except Exception:
            log.exception("the next slot of job %s cannot be told", job.id)
            return None

    def rewind(self) -> None:
        """The clock went back: recurring jobs go on from the present, past the slots that had their run."""
        now = self._clock.now()
        with self._store.transaction():
            for job in self._store.jobs():
                if job.next_run_ms is None or isinstance(job.schedule, At) or floating(job, self._settings):
                    continue
                upcoming = self._next(job, now)
                if upcoming is not None and upcoming < job.next_run_ms:
                    self._store.put_job(replace(job, next_run_ms=upcoming))
