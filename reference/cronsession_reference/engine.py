"""The gateway's parts, put together on one state folder, and the passing of time over them."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable
from pathlib import Path

from .archive import Archive
from .clock import Clock, ManualClock, Timer
from .errors import StoreError
from .instances import Instance
from .jobdesk import JobDesk
from .maintenance import Maintenance
from .model import Model
from .reaper import Reaper
from .runner import RANK_TIMEOUT, Runner
from .scheduler import Scheduler
from .sessions import SessionDesk
from .settings import DAY, HOUR, Settings
from .store import MemoryStore, SqliteStore, Store
from .transcripts import Transcripts

log = logging.getLogger(__name__)

RANK_SWEEP = 2
ORPHANS_KEPT_MS = 7 * DAY
"""How long the run history of a removed job can still be read."""
FORGET_EVERY_MS = HOUR
"""How often that is looked at, and everything else even if it does not seem to be due."""
POLL_MS, SPIN_MS, BACKWARDS_MS = 1000, 5, 1000
"""In real time: the longest and the shortest wait, and how far back the clock goes unnoticed."""


class Engine:
    """One gateway on one state folder. Nothing happens before :meth:`start`.

    ``store_kind`` is ``sqlite`` or ``memory``. Raises :class:`StoreError` if the store cannot be used.
    """

    def __init__(
        self,
        state_dir: Path,
        clock: Clock,
        settings: Settings,
        model: Model,
        *,
        store_kind: str = "sqlite",
    ) -> None:
        self.clock = clock
        self.settings = settings
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.store: Store = MemoryStore() if store_kind == "memory" else _sqlite(state_dir, clock)
        self.instance = Instance(state_dir / "instances")
        self.transcripts = Transcripts(state_dir / "sessions")
        self.archive = Archive(self.store, self.transcripts, state_dir / "archive", settings.archive_ms)
        self.maintenance = Maintenance(self.store, self.archive, settings.limits)
        self.reaper = Reaper(self.store, self.archive, settings.retention_ms)
        make_room = self.maintenance.make_room
        self.desk = SessionDesk(self.store, self.transcripts, clock, self.instance, make_room)
        self.runner = Runner(self.store, clock, settings, self.desk, model, self.instance.id)
        self.scheduler = Scheduler(self.store, clock, settings, self.runner, self.instance)
        self.jobs = JobDesk(self.store, clock, settings)
        self._moving = asyncio.Lock()
        self._pump: asyncio.Task[None] | None = None
        self._swept = self._forget_at = clock.now()
        self._next_sweep: Timer | None = None

    def start(self, *, scheduling: bool = True) -> None:
        """Clear up after a crash; with ``scheduling`` also go on with what is queued, and sweep by time."""
        self.instance.bury()
        self.archive.adopt_orphans(self.clock.now())
        self.scheduler.recover(resume=scheduling)
        if not scheduling:
            self.scheduler.closing = True
            return
        # Counted from the last sweep of whoever ran here before: frequent restarts put off nothing.
        now, before = self.clock.now(), self.store.meta("swept")
        self._swept = now if before is None else min(now, int(before))
        self._sweep_at(max(now, self._swept + self.settings.sweep_interval_ms))

    def _sweep_at(self, when_ms: int) -> None:
        self._next_sweep = self.clock.call_at(when_ms, self._timed_sweep, rank=RANK_SWEEP)

    def _timed_sweep(self) -> None:
        now = self._swept = self.clock.now()
        self._sweep_at(now + self.settings.sweep_interval_ms)
        try:
            if self._is_in_use():
                with self.store.transaction():
                    self.scheduler.bury()
                self.scheduler.admit()
            due = self._sweep_is_due(now)
        except Exception:
            log.exception("the store cannot be looked at")
            return
        if due:
            self.sweep()

    def _is_in_use(self) -> bool:
        return bool(self.store.leases() or self.store.running())

    def _sweep_is_due(self, now: int) -> bool:
        """Whether a sweep would have something to do. What is due stays due."""
        totals = self.store.totals()
        return (
            now >= self._forget_at
            or self.reaper.is_due(totals, now)
            or self.maintenance.is_due(totals, now)
            or self.archive.is_due(totals.oldest_archived_ms, now)
            or self._history_is_due(now)
        )

    def _history_is_due(self, now: int) -> bool:
        kept, oldest = self.settings.run_history_age_ms, self.store.oldest_run()
        return kept is not None and oldest is not None and now - oldest > kept

    def sweep(self) -> list[str]:
        """Reap, maintain and forget now; answer the keys reaped. A failure is logged, the rest goes on."""
        now = self.clock.now()
        self._forget_at = now + FORGET_EVERY_MS
        reaped: list[str] = []
        steps: tuple[Callable[[], object], ...] = (
            lambda: reaped.extend(self.reaper.sweep(now)),
            lambda: self.maintenance.enforce(now),
            lambda: self.archive.expire(now),
            lambda: self.store.forget_orphans(now - ORPHANS_KEPT_MS),
            lambda: self._expire_runs(now),
        )
        for step in steps:
            try:
                step()
            except Exception:
                log.exception("a part of the sweep failed")
        return reaped

    def _expire_runs(self, now: int) -> None:
        if self.settings.run_history_age_ms is not None:
            self.store.expire_runs(now - self.settings.run_history_age_ms)

    def next_instant(self) -> int | None:
        """When something is due next."""
        waiting = self.store.next_waiting(self.clock.now())
        return _earlier(_earlier(self.clock.next_timer(), self.store.next_due()), waiting)

    async def advance(self, clock: ManualClock, to_ms: int) -> None:
        """Fire everything due up to ``to_ms``, instant by instant, settled. Raises :class:`ValueError`."""
        async with self._moving:
            if to_ms < clock.now():
                raise ValueError(f"toMs {to_ms} is before the present instant {clock.now()}; use clock/jump")
            await self._settle_until(clock, to_ms)
            clock.set(to_ms)

    async def jump(self, clock: ManualClock, to_ms: int) -> None:
        """Be at ``to_ms`` at once, then settle: overdue slots are missed ones."""
        async with self._moving:
            back = to_ms < clock.now()
            clock.set(to_ms)
            if back:
                self.scheduler.rewind()
            await self._settle_until(clock, to_ms)

    async def _settle_until(self, clock: ManualClock, to_ms: int) -> None:
        """Fire what is due up to ``to_ms``. At one instant time-outs come first, then slots, then sweeps.

        So a run that times out then is over before the next one begins.
        """
        await self.runner.settle()
        for steps in itertools.count(1):
            with self.store.steady():
                instant = self.next_instant()
                if instant is None or instant > to_ms:
                    return
                if instant > clock.now():
                    clock.set(instant)
                quiet = not clock.fire_due(rank=RANK_TIMEOUT) and not self._has_due()
                if quiet:
                    clock.fire_due(rank=RANK_SWEEP)
                    self._pass_idle_sweeps(to_ms)
            if not quiet:
                await self._begin_and_sweep(clock)
            if steps % 256 == 0:
                await asyncio.sleep(0)  # other requests want to be answered too

    def _pass_idle_sweeps(self, to_ms: int) -> None:
        """Leave out sweeps that nothing comes before and that would find nothing to do: months have many minutes."""
        sweep, interval = self._next_sweep, self.settings.sweep_interval_ms
        if sweep is None or self._is_in_use():
            return
        sweep.cancel()
        other = self.next_instant()
        last = min(to_ms, self._forget_at - 1, to_ms if other is None else other - 1)
        idle = max(0, (last - sweep.when_ms) // interval + 1)
        while idle and self._sweep_is_due(sweep.when_ms + (idle - 1) * interval):
            idle //= 2
        if idle:
            self._swept = sweep.when_ms + (idle - 1) * interval
        self._sweep_at(sweep.when_ms + idle * interval)

    async def _begin_and_sweep(self, clock: ManualClock) -> None:
        await self.runner.settle()
        if self._has_due():
            self.scheduler.fire_due()
            await self.runner.settle()
        clock.fire_due(rank=RANK_SWEEP)

    def _has_due(self) -> bool:
        now, slot = self.clock.now(), self.store.next_due()
        return (slot is not None and slot <= now) or bool(self.store.startable(now, 1))

    async def stop(self) -> None:
        """Stop in good order: what runs is interrupted and says so."""
        self.scheduler.closing = True
        await self._stop_pump()
        await self.runner.stop("interrupted")
        self.store.put_meta("swept", str(self._swept))
        if isinstance(self.store, MemoryStore):
            for row in self.store.sessions():
                self.transcripts.remove(row.id)
        self.store.close()
        self.instance.leave()

    async def abandon(self) -> None:
        """Drop everything, as a crash would: nothing more is written."""
        self.store.close()
        self.instance.close()
        await self._stop_pump()
        await self.runner.stop("interrupted")

    def run_in_real_time(self) -> None:
        """Keep going by the wall clock, until :meth:`stop`."""
        self._pump = asyncio.get_running_loop().create_task(self._keep_going())

    async def _keep_going(self) -> None:
        last = self.clock.now()
        while True:
            now = self.clock.now()
            try:
                if now < last - BACKWARDS_MS:
                    self.scheduler.rewind()
                self.clock.fire_due(rank=RANK_TIMEOUT)
                self.scheduler.fire_due()
                self.clock.fire_due(rank=RANK_SWEEP)
                instant = self.next_instant()
            except Exception:
                log.exception("a step of the scheduler failed; the next one comes")
                instant = None
            last = now
            # Never long: other processes add jobs, and the wall clock may be set, or have been asleep.
            wait = POLL_MS if instant is None else min(POLL_MS, max(SPIN_MS, instant - self.clock.now()))
            await asyncio.sleep(wait / 1000)

    async def _stop_pump(self) -> None:
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.gather(self._pump, return_exceptions=True)
            self._pump = None


def _earlier(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else min(one, other)


def _sqlite(state_dir: Path, clock: Clock) -> Store:
    database, sessions = state_dir / "gateway.db", state_dir / "sessions"
    if not database.exists() and next(sessions.glob("*.jsonl"), None) is not None:
        raise StoreError(
            f"{database} is missing, and {sessions} holds the transcripts of its sessions. Nothing was changed; "
            "restore the file, or move the folder away to begin anew"
        )
    # Who sets the clock by hand is testing, and may be killed, but does not pull the plug.
    return SqliteStore(database, sync="OFF" if isinstance(clock, ManualClock) else "FULL")
