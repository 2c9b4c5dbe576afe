"""The state machine of a scheduler: jobs added, edited, disabled, started by hand and removed, near changes of the clock.

A model says what each job should have run by any instant: its slots by the oracle, its manual starts, and what the
slots that fell due during a long run became. Writes, slots and ends of long runs keep to different seconds of the
minute, so that no answer to what comes first is assumed.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize

from ..contract import Write
from ..driver import Driver, cron
from ..model import Answer, hold
from ..oracle import DAY, MINUTE
from ..outcomes import TargetError
from ..trace import instant
from .gears import END, EXPRESSIONS, GRID, LOOK, PERIODS, RARE, ROOM, SEASONS, Book, Due, Gear, quiet_minute
from .kit import begin
from .laws import Laws
from .life import unlimited
from .lives import Story, happens, live

PUNCTUAL = "CS-SCH-030"
SIZES = {"full": (30, 30), "thorough": (45, 40)}


class Clockwork(Story):
    """One gateway from its first start to its end; ``ended`` gets the error of one that could not go on.

    Machines that look at more than slots stand on this one: they say more about each job (:meth:`_members`,
    :meth:`_added`), and look at what time brought (:meth:`_passed`).
    """

    AT_FIRST = 0  # so many jobs are there when the life begins
    SPANS: tuple[int, ...] = (3, 25, 70, 9 * 60, 24 * 60, 30 * 60)  # minutes
    d: Driver | Any = None

    def __init__(self, driver: Driver, laws: Laws, ended: list[TargetError]) -> None:
        super().__init__(varied=driver.budget.limited)
        if ended:
            raise ended[0]
        self.ended, self.parent, self.laws = ended, driver, laws
        self.book = Book(driver.hello)
        # Else a long run may hold up the slots of other jobs.
        self.roomy = driver.has("run.concurrency")
        self.zones: tuple[str, ...] = ()

    @initialize(data=st.data())
    def begin_life(self, data: st.DataObject) -> None:
        self._data = data
        began, self.zones = self.choose(SEASONS, "season")
        config = {**self._config(), **({"maxConcurrentRuns": 16} if self.roomy else {})}
        start_ms = int(datetime.fromisoformat(began).timestamp() * 1000)
        try:
            self.d = self.parent.spawn(config, start_ms=start_ms)
        except TargetError as error:
            self.ended.append(error)
            raise
        for _ in range(self.AT_FIRST):
            self._add(True)

    def teardown(self) -> None:
        if self.d is None:
            return
        if self.d.trouble is not None:
            self.ended.append(self.d.trouble)
        self.d.world.close()

    # --- what a machine adds -----------------------------------------------------------------------------

    def _config(self) -> dict[str, Any]:
        """How the gateway is configured in this life."""
        return unlimited(self.parent)

    def _members(self) -> dict[str, Any]:
        """What a job is added with beside its schedule, as the driver takes it."""
        return {}

    def _added(self, gear: Gear, members: dict[str, Any]) -> None:
        """A job was accepted."""

    def _may_take_long(self, gear: Gear) -> bool:
        """Whether nothing is in the way of a long run of the job."""
        return gear.limit is None

    def _law(self, gear: Gear) -> str:
        """Whose question it is how often the job runs now."""
        return PUNCTUAL

    def _passed(self, plan: list[tuple[Gear, list[Due]]], began: int) -> None:
        """Time went on from ``began`` to now; ``plan`` is what was to run meanwhile."""

    # --- what happens ----------------------------------------------------------------------------------

    def _schedule(self) -> dict[str, Any]:
        grid = self.parent.has("schedule.every") and self.parent.hello.policy("intervalAnchor") == "grid"
        if not grid or (self.parent.has("schedule.cron") and self.choose((False, True), "cron")):
            expr = self.choose(RARE if self.parent.budget.limited else EXPRESSIONS, "expr")
            return cron(expr, self.choose(self.zones, "tz"))
        # Where a run takes seconds, a day of one every few minutes takes longer than anybody waits for an answer.
        period = self.choose(PERIODS[-2:] if self.parent.budget.limited else PERIODS, "minutes") * MINUTE
        ago = self.choose((-30, 0, 11, 1000), "anchor, minutes ago")
        anchor = self.d.now // MINUTE * MINUTE + GRID - ago * MINUTE
        return {"kind": "every", "everyMs": period, "anchorMs": anchor}

    def _first_schedule(self) -> dict[str, Any]:
        """The schedule that a job is added with."""
        return self._schedule()

    def _some(self, fit: list[Gear]) -> Gear | None:
        return self.choose(fit, "job") if fit else None

    def _one(self, *, idle: bool = False) -> Gear | None:
        """A job to do something with. During a long run where slots wait for its end, all is left as it is."""
        fit = self.book.idle() if idle or not self.book.skips else self.book.gears
        return self._some([g for g in fit if not g.once])

    @happens(lambda self: len(self.book.gears) < 5, enabled=(True, True, True, False))
    def add_job(self, enabled: bool) -> None:
        self._add(enabled)

    def _add(self, enabled: bool) -> None:
        schedule, members = self._first_schedule(), self._members()
        enabled = enabled or schedule["kind"] == "at" or not self.d.has("job.disable")
        given = {**members, **({} if enabled else {"enabled": False})}
        # A key or a mode may be refused; nothing else of these may.
        write, job = self.d.try_add(schedule, **given) if self._optional(members) else (None, None)
        if write is None:
            job = self.d.add(schedule, **given)
        if job is not None:
            gear = Gear(job, schedule, enabled, self.d.now)
            self._added(gear, members)
            self.book.gears.append(gear)

    @staticmethod
    def _optional(members: dict[str, Any]) -> bool:
        return "key" in members or "mode" in members

    @happens(lambda self: self.book.gears and self.parent.has("job.update"), enable=(False, True))
    def edit_schedule(self, enable: bool) -> None:
        if (gear := self._one()) is None:
            return
        schedule = self._schedule()
        enable = enable and not gear.enabled and gear.busy_until is None
        if self._edit(gear, schedule=schedule, **({"enabled": True} if enable else {})):
            gear.schedule, gear.enabled, gear.since = schedule, gear.enabled or enable, self.d.now

    @happens(
        lambda self: self.book.gears and self.parent.has("job.update"),
        schedule=(False, True),
        title=("first name", "second name"),
    )
    def edit_nothing(self, schedule: bool, title: str) -> None:
        if (gear := self._one()) is None:
            return
        if schedule:
            self._edit(gear, schedule=gear.schedule)
        elif self._edit(gear, name=title):
            gear.title = title

    @happens(
        lambda self: any(g.enabled for g in self.book.gears) and self.parent.has("job.update", "job.disable")
    )
    def disable(self) -> None:
        if (gear := self._one()) is not None and gear.enabled and self._edit(gear, enabled=False):
            gear.enabled = False

    @happens(
        lambda self: (
            any(not g.enabled for g in self.book.idle()) and self.parent.has("job.update", "job.disable")
        )
    )
    def enable(self) -> None:
        gear = self.choose([g for g in self.book.idle() if not g.enabled], "job")
        self._edit(gear, enabled=True)
        gear.enabled, gear.since = True, self.d.now

    @happens(
        lambda self: (
            any(g.enabled and not g.once for g in self.book.idle())
            and self.parent.has("job.update", "job.disable")
        ),
        edited=(False, True),
    )
    def rest_for_a_while(self, edited: bool) -> None:
        able = [g for g in self.book.idle() if g.enabled and not g.once]
        gear = self.choose(able, "job")
        self._edit(gear, enabled=False)
        gear.enabled = False
        if edited:
            schedule = self._schedule()
            if schedule["kind"] != "at":
                gear.schedule = schedule
                self._edit(gear, schedule=schedule)
        self.time_passes()
        self._edit(gear, enabled=True)
        gear.enabled, gear.since = True, self.d.now

    @happens(lambda self: self.book.gears and self.parent.has("job.remove"))
    def remove(self) -> None:
        gear = self._one()
        if gear is not None and (self.d.remove(gear.handle) or gear.busy_until is None):
            self._dropped(gear)

    def _dropped(self, gear: Gear) -> None:
        self.book.gears.remove(gear)
        self.book.gone.append(gear)

    @happens(lambda self: self.book.gears and self.parent.has("trigger"))
    def start_by_hand(self) -> None:
        if (gear := self._one(idle=True)) is not None:
            self.d.run_now(gear.handle)
            gear.ran += 1
            self._pass(self.d.now)

    @happens(lambda self: self.book.gears, minutes=(3, 25, 50), by_hand=(False, True))
    def run_for_long(self, minutes: int, by_hand: bool) -> None:
        gear = self._some([g for g in self.book.idle() if self._may_take_long(g)])
        if gear is not None:
            by_hand = by_hand and self.d.has("trigger") and not gear.once
            self._hold(gear, by_hand, lambda at: (at // MINUTE + minutes) * MINUTE + END)

    def _hold(self, gear: Gear, by_hand: bool, end_of: Callable[[int], int]) -> bool:
        """Let the next run of the job take until an instant; False if it cannot be told from other runs."""
        for start in [self.d.now] if by_hand else self.book.slots(gear, self.d.now, self.d.now + DAY)[:1]:
            end = end_of(start)
            if not self.roomy and any(
                self.book.slots(g, self.d.now, end) for g in self.book.gears if g is not gear
            ):
                return False
            self.d.answers(gear.handle, self._until(gear, end))
            if by_hand:
                begin(self.d, gear.handle)
                gear.ran += 1
            else:
                self._pass(start // MINUTE * MINUTE + LOOK)
            gear.busy_until = end
            self._pass(self.d.now if self.roomy else quiet_minute(end, 1))
            return True
        return False

    def _until(self, gear: Gear, end: int) -> Answer:
        return hold(end)

    @happens(often=2)
    def time_passes(self) -> None:
        self._wait(self.choose(self.SPANS, "minutes"))

    @happens(lambda self: self.book.gears)
    def somebody_reads(self) -> None:
        self.d.jobs()
        self.d.sessions()

    def _wait(self, minutes: int) -> None:
        self._pass(quiet_minute(self.d.now, minutes))

    def _edit(self, gear: Gear, **patch: Any) -> bool:
        """Whether the edit was accepted: one that comes during a run may be refused."""
        if gear.busy_until is None:
            self.d.edit(gear.handle, **patch)
            return True
        return self._patched(gear, **patch).rejected is None

    def _patched(self, gear: Gear, **patch: Any) -> Write:
        """An edit that may be refused."""
        return self.d.update(gear.handle, **patch)

    # --- what must hold ----------------------------------------------------------------------------------

    def _pass(self, until: int) -> None:
        """Let time pass, and look at all jobs around some of the slots on the way."""
        began, book = self.d.now, self.book
        plan = [(gear, self._due(gear, until)) for gear in book.gears] + [
            (gear, []) for gear in book.gone[-3:]
        ]
        moments = sorted({due.at for _, dues in plan for due in dues})
        most = self.d.few(10, 2)
        chosen = moments[:: -(-len(moments) // most)] if moments else []
        stops = {t for at in chosen for t in (at - book.grain, at + book.late)}
        for stop in sorted({t for t in stops if began < t < until} | {until}):
            self.d.advance_to(stop)
            for gear, dues in plan:
                self._look(gear, dues, began)
        self._looked(plan, began)

    def _due(self, gear: Gear, until: int) -> list[Due]:
        """What the job has to run between now and ``until``."""
        return self.book.due(gear, self.d.now, until)

    def _looked(self, plan: list[tuple[Gear, list[Due]]], began: int) -> None:
        """Take down what came, and what of it was more than had to be."""
        for gear, dues in plan:
            got = len(self.d.turns(gear.handle))
            gear.extra = max(0, min(gear.extra, gear.extra - (got - gear.ran - len(dues))))
            gear.ran = got
        self.d.list_from(self.d.now - MINUTE)
        self._passed(plan, began)

    def _look(self, gear: Gear, dues: list[Due], began: int) -> None:
        now, got = self.d.now, len(self.d.turns(gear.handle)) - gear.ran
        least, most = self.book.counts(gear, dues, now)
        near = [instant(due.at, gear.schedule.get("tz")) for due in dues if due.at < now + self.book.grain][
            -3:
        ]
        told = f"{gear.told()}{', removed' if gear in self.book.gone else ''}"
        self.laws.expect(
            self.d,
            least <= got <= most,
            f"{got} runs from {instant(began)} to {instant(now)} of {told}, "
            f"expected {least if least == most else f'{least} to {most}'}; the last are due at {near}",
            self._law(gear),
        )


def tell_apart(driver: Driver) -> None:
    """Without this much of a clock, and sessions of their jobs' own, a machine with a schedule has nothing to say."""
    driver.require_a_session()
    if max(1, driver.hello.resolution_ms) + driver.hello.lateness_ms > ROOM:
        driver.not_observed("on so coarse a clock slots and writes within a minute cannot be told apart")


def explore_clockwork(driver: Driver) -> None:
    """Live through many days of a scheduler; raises the first failure, with the steps that led to it."""
    tell_apart(driver)
    laws = Laws(driver, [PUNCTUAL])
    # Days of many jobs are a long time to live again and again: shrinking would take minutes.
    laws.explore(lambda: live(driver, lambda ended: Clockwork(driver, laws, ended), SIZES, 1, shrink=False))
