"""The state machine of a scheduler: jobs added, edited, disabled, started by hand and removed, near changes of the clock.

A model says what each job should have run by any instant: its slots by the oracle, its manual starts, and what the
slots that fell due during a long run became. Writes, slots and ends of long runs keep to different seconds of the
minute, so that no answer to what comes first is assumed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from ..driver import Driver, Handle, cron
from ..model import hold
from ..oracle import DAY, MINUTE, slots
from ..outcomes import TargetError
from ..trace import instant
from .kit import begin
from .life import unlimited
from .lives import live

PUNCTUAL = "CS-SCH-030"
SIZES = {"full": (30, 30), "thorough": (100, 50)}
# Seconds of the minute: of intervals' slots, of writes, of the ends of long runs, and of a look at their beginnings.
_GRID, _WRITE, _END, _LOOK = 40_137, 7_000, 20_000, 50_000
_ROOM = 6_000
# Each begins a day or two before the clocks of its zones change.
SEASONS = (
    ("2026-03-07T05:00:07Z", ("America/Denver", "UTC")),
    ("2026-03-27T21:00:07Z", ("Europe/Berlin", "UTC")),
    ("2026-04-04T01:00:07Z", ("Australia/Lord_Howe", "America/Santiago")),
    ("2026-09-05T00:00:07Z", ("America/Santiago", "Asia/Kathmandu")),
    ("2026-10-02T22:00:07Z", ("Australia/Lord_Howe", "UTC")),
    ("2026-10-24T05:00:07Z", ("Europe/Berlin", "Asia/Kathmandu")),
    ("2026-10-30T22:00:07Z", ("America/Denver", "UTC")),
)
EXPRESSIONS = (
    *("30 2 * * *", "30 1 * * *", "15 0 * * *", "45 1 * * *", "0 9 * * MON-FRI"),
    *("10 * * * *", "*/20 * * * *", "0,30 1-3 * * *", "5 */2 * * *", "40 23,0,1 * * *"),
)
PERIODS = (7, 20, 45, 90, 300)


@dataclass
class Gear:
    """A job. Its slots count after ``since`` while it is enabled; ``ran`` is how many turns it had at the last look.

    During a long run, until ``busy_until``, ``waiting`` slots fell due.
    """

    handle: Handle
    schedule: dict[str, Any]
    enabled: bool
    since: int
    ran: int = 0
    busy_until: int | None = None
    waiting: int = 0


class Due(NamedTuple):
    """A run that may begin at an instant, and if ``must`` has to."""

    at: int
    must: bool


class Clockwork(RuleBasedStateMachine):
    """One gateway from its first start to its end; ``ended`` gets the error of one that could not go on."""

    d: Driver | Any = None

    def __init__(self, driver: Driver, ended: list[TargetError]) -> None:
        super().__init__()
        if ended:
            raise ended[0]
        self.ended, self.parent = ended, driver
        self.gears: list[Gear] = []
        self.gone: list[Gear] = []
        hello = driver.hello
        self.late, self.grain = hello.lateness_ms, max(1, hello.resolution_ms)
        self.skips = hello.policy("overlap") == "skip"
        # Else a long run may hold up the slots of other jobs.
        self.roomy = driver.has("run.concurrency")
        self.zones: tuple[str, ...] = ()

    @initialize(season=st.sampled_from(SEASONS))
    def begin_life(self, season: tuple[str, tuple[str, ...]]) -> None:
        began, self.zones = season
        config = {**unlimited(self.parent), **({"maxConcurrentRuns": 16} if self.roomy else {})}
        start_ms = int(datetime.fromisoformat(began).timestamp() * 1000)
        try:
            self.d = self.parent.spawn(config, start_ms=start_ms)
        except TargetError as error:
            self.ended.append(error)
            raise

    def teardown(self) -> None:
        if self.d is None:
            return
        if self.d.trouble is not None:
            self.ended.append(self.d.trouble)
        self.d.world.close()

    # --- what happens ----------------------------------------------------------------------------------

    def _schedule(self, data: st.DataObject) -> dict[str, Any]:
        grid = self.parent.hello.policy("intervalAnchor") == "grid"
        if not grid or data.draw(st.booleans(), label="cron"):
            expr = data.draw(st.sampled_from(EXPRESSIONS), label="expr")
            return cron(expr, data.draw(st.sampled_from(self.zones), label="tz"))
        period = data.draw(st.sampled_from(PERIODS), label="minutes") * MINUTE
        ago = data.draw(st.sampled_from((-30, 0, 11, 1000)), label="anchor, minutes ago")
        anchor = self.d.now // MINUTE * MINUTE + _GRID - ago * MINUTE
        return {"kind": "every", "everyMs": period, "anchorMs": anchor}

    def _one(self, data: st.DataObject, *, idle: bool = False) -> Gear | None:
        """A job to do something with. During a long run where slots wait for its end, all is left as it is."""
        fit = [g for g in self.gears if g.busy_until is None or (self.skips and not idle)]
        return data.draw(st.sampled_from(fit), label="job") if fit else None

    @precondition(lambda self: len(self.gears) < 5)
    @rule(data=st.data(), enabled=st.sampled_from((True, True, True, False)))
    def add_job(self, data: st.DataObject, enabled: bool) -> None:
        schedule = self._schedule(data)
        job = self.d.add(schedule, **({} if enabled else {"enabled": False}))
        self.gears.append(Gear(job, schedule, enabled, self.d.now))

    @precondition(lambda self: self.gears)
    @rule(data=st.data(), enable=st.booleans())
    def edit_schedule(self, data: st.DataObject, enable: bool) -> None:
        if (gear := self._one(data)) is None:
            return
        schedule = self._schedule(data)
        enable = enable and not gear.enabled and gear.busy_until is None
        if self._edit(gear, schedule=schedule, **({"enabled": True} if enable else {})):
            gear.schedule, gear.enabled, gear.since = schedule, gear.enabled or enable, self.d.now

    @precondition(lambda self: self.gears)
    @rule(data=st.data(), schedule=st.booleans())
    def edit_nothing(self, data: st.DataObject, schedule: bool) -> None:
        if (gear := self._one(data)) is not None:
            self._edit(gear, **({"schedule": gear.schedule} if schedule else {"name": "another name"}))

    @precondition(lambda self: any(g.enabled for g in self.gears))
    @rule(data=st.data())
    def disable(self, data: st.DataObject) -> None:
        if (gear := self._one(data)) is not None and gear.enabled and self._edit(gear, enabled=False):
            gear.enabled = False

    @precondition(lambda self: any(not g.enabled for g in self.gears))
    @rule(data=st.data())
    def enable(self, data: st.DataObject) -> None:
        resting = [g for g in self.gears if not g.enabled and g.busy_until is None]
        if resting:
            gear = data.draw(st.sampled_from(resting), label="job")
            self._edit(gear, enabled=True)
            gear.enabled, gear.since = True, self.d.now

    @precondition(lambda self: any(g.enabled and g.busy_until is None for g in self.gears))
    @rule(data=st.data(), minutes=st.sampled_from((3, 70, 24 * 60)), edited=st.booleans())
    def rest_for_a_while(self, data: st.DataObject, minutes: int, edited: bool) -> None:
        able = [g for g in self.gears if g.enabled and g.busy_until is None]
        gear = data.draw(st.sampled_from(able), label="job")
        self._edit(gear, enabled=False)
        gear.enabled = False
        if edited:
            gear.schedule = self._schedule(data)
            self._edit(gear, schedule=gear.schedule)
        self._wait(minutes)
        self._edit(gear, enabled=True)
        gear.enabled, gear.since = True, self.d.now

    @precondition(lambda self: self.gears)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        gear = self._one(data)
        if gear is not None and (self.d.remove(gear.handle) or gear.busy_until is None):
            self.gears.remove(gear)
            self.gone.append(gear)

    @precondition(lambda self: self.gears)
    @rule(data=st.data())
    def start_by_hand(self, data: st.DataObject) -> None:
        if (gear := self._one(data, idle=True)) is not None:
            self.d.run_now(gear.handle)
            gear.ran += 1
            self._pass(self.d.now)

    @precondition(lambda self: self.gears)
    @rule(data=st.data(), minutes=st.sampled_from((3, 25, 50)), by_hand=st.booleans())
    def run_for_long(self, data: st.DataObject, minutes: int, by_hand: bool) -> None:
        if (gear := self._one(data, idle=True)) is None:
            return
        coming = [self.d.now] if by_hand else self._slots(gear, self.d.now + DAY)[:1]
        for start in coming:
            end = (start // MINUTE + minutes) * MINUTE + _END
            if not self.roomy and any(self._slots(g, end) for g in self.gears if g is not gear):
                return
            self.d.answers(gear.handle, hold(end))
            if by_hand:
                begin(self.d, gear.handle)
                gear.ran += 1
            else:
                self._pass(start // MINUTE * MINUTE + _LOOK)
            gear.busy_until = end
            self._pass(self.d.now if self.roomy else end + MINUTE)

    @rule(minutes=st.sampled_from((3, 25, 70, 9 * 60, 24 * 60, 30 * 60)))
    def time_passes(self, minutes: int) -> None:
        self._wait(minutes)

    @precondition(lambda self: self.gears)
    @rule()
    def somebody_reads(self) -> None:
        self.d.jobs()
        self.d.sessions()

    def _wait(self, minutes: int) -> None:
        self._pass((self.d.now // MINUTE + minutes) * MINUTE + _WRITE)

    def _edit(self, gear: Gear, **patch: Any) -> bool:
        """Whether the edit was accepted: one that comes during a run may be refused."""
        if gear.busy_until is None:
            self.d.edit(gear.handle, **patch)
            return True
        return self.d.update(gear.handle, **patch).rejected is None

    # --- what must hold ----------------------------------------------------------------------------------

    def _slots(self, gear: Gear, until: int) -> list[int]:
        if not gear.enabled:
            return []
        after = max(self.d.now, gear.since)
        return slots(gear.schedule, after, until, dst=self.d.hello.policy("dst"), zone="UTC")

    def _due(self, gear: Gear, until: int) -> list[Due]:
        """What the job has to run between now and ``until``."""
        found, end = self._slots(gear, until), gear.busy_until
        if end is None:
            return [Due(slot, True) for slot in found]
        gear.waiting += 0 if self.skips else sum(slot < end for slot in found)
        if end > until:
            return []
        # Several slots that waited may become one run.
        late = [Due(end, n == 0) for n in range(gear.waiting)]
        gear.busy_until, gear.waiting = None, 0
        return late + [Due(slot, True) for slot in found if slot > end]

    def _pass(self, until: int) -> None:
        """Let time pass, and look at all jobs around some of the slots on the way."""
        began, gears = self.d.now, [*self.gears, *self.gone[-3:]]
        plan = [(gear, [] if gear in self.gone else self._due(gear, until)) for gear in gears]
        moments = sorted({due.at for _, dues in plan for due in dues})
        most = self.d.few(10, 2)
        chosen = moments[:: -(-len(moments) // most)] if moments else []
        stops = {t for at in chosen for t in (at - self.grain, at + self.late)}
        for stop in sorted({t for t in stops if began < t < until} | {until}):
            self.d.advance_to(stop)
            for gear, dues in plan:
                self._look(gear, dues, began)
        for gear, _ in plan:
            gear.ran = len(self.d.turns(gear.handle))

    def _look(self, gear: Gear, dues: list[Due], began: int) -> None:
        now, got = self.d.now, len(self.d.turns(gear.handle)) - gear.ran
        least = sum(due.must and due.at + self.late <= now for due in dues)
        most = sum(due.at < now + self.grain for due in dues)
        near = [instant(due.at, gear.schedule.get("tz")) for due in dues if due.at < now + self.grain][-3:]
        told = (
            f"{gear.schedule}{'' if gear.enabled else ', disabled'}{', removed' if gear in self.gone else ''}"
        )
        self.d.expect(
            least <= got <= most,
            f"{got} runs from {instant(began)} to {instant(now)} of {told}, "
            f"expected {least if least == most else f'{least} to {most}'}; the last are due at {near}",
            PUNCTUAL,
        )


def explore_clockwork(driver: Driver) -> None:
    """Live through many days of a scheduler; raises the first failure, with the steps that led to it."""
    if max(1, driver.hello.resolution_ms) + driver.hello.lateness_ms > _ROOM:
        driver.not_observed("on so coarse a clock slots and writes within a minute cannot be told apart")
    # Days of many jobs are a long time to live again and again: shrinking would take minutes.
    live(driver, lambda ended: Clockwork(driver, ended), SIZES, 1, shrink=False)
