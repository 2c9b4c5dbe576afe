"""Which queued runs begin: in the order in which they fell due, and never more at a time than there may be.

The queue is in the store and belongs to no process, so that whoever has room takes the next run, and what a
crash left waiting is not lost. A run whose job is busy holds up no other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from .jobs import At, Job
from .settings import Settings
from .store import Run, Store

Started = list[tuple[Run, Job]]

SPREAD_STEP_MS = 5_000
"""The most time between two late runs."""


class Admission:
    """The queue of one gateway. Call it inside a transaction; ``is_open`` buries what a crash left running."""

    def __init__(self, store: Store, settings: Settings, owner: str, is_open: Callable[[Run], bool]) -> None:
        self._store = store
        self._settings = settings
        self._owner = owner
        self._is_open = is_open

    def room(self) -> int:
        """How many more runs may be under way, those of other processes counted."""
        running = self._store.running()
        if len(running) >= self._settings.max_concurrent_runs:
            running = [run for run in running if self._is_open(run)]
        return self._settings.max_concurrent_runs - len(running)

    def admit(self, now_ms: int) -> Started:
        """Claim the runs that begin now. Their payloads start once that is written down."""
        started: Started = []
        room = self.room()
        for run in self._store.startable(now_ms, room) if room > 0 else []:
            job = self._store.job(run.job_id)
            if job is None:
                reason = "the stored job cannot be read"
                self._store.put_run(
                    replace(run, status="error", ended_ms=now_ms, error=reason, cause="gateway")
                )
                continue
            run = replace(run, status="running", started_ms=now_ms, owner=self._owner)
            self._store.put_run(run)
            if run.attempt and isinstance(job.schedule, At):
                self._store.put_job(replace(job, enabled=False))
            started.append((run, job))
        return started

    def spread(self, late: Sequence[Run], now_ms: int) -> None:
        """Give late runs their time: the oldest slot now, the others one by one, all within the spread."""
        step = min(SPREAD_STEP_MS, self._settings.catch_up_spread_ms // max(1, len(late) - 1))
        for place, run in enumerate(sorted(late, key=lambda run: run.slot_ms or 0)):
            waiting = self._store.run(run.id)
            # Another process may have taken it since it was added, and must not lose it again.
            if waiting is not None and waiting.status == "queued":
                self._store.put_run(replace(waiting, due_ms=now_ms + place * step))
