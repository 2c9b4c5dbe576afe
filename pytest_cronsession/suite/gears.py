"""What a gateway was told about a job, and which runs that comes to: the bookkeeping of the machines with a schedule.

Writes, slots and ends of long runs keep to different seconds of the minute, so that no answer to what comes first is
assumed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..contract import Hello
from ..driver import Handle
from ..oracle import MINUTE, slots
from .places import Place

# Seconds of the minute: of intervals' slots, of writes, of the ends of long runs, and of a look at their beginnings.
GRID, WRITE, END, LOOK = 40_137, 7_000, 20_000, 50_000
# So coarse and late a clock can still tell them apart.
ROOM = 6_000
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
RARE = ("30 2 * * *", "30 1 * * *", "15 0 * * *", "45 1 * * *", "0 9 * * MON-FRI")
EXPRESSIONS = (
    *RARE,
    *("10 * * * *", "*/20 * * * *", "0,30 1-3 * * *", "5 */2 * * *", "40 23,0,1 * * *"),
)
PERIODS = (7, 20, 45, 90, 300)


class Due(NamedTuple):
    """A run that begins at ``at``, or from ``since`` on if that is told, and if ``must`` has to."""

    at: int
    must: bool
    since: int | None = None


@dataclass
class Gear:
    """A job. Its slots count after ``since`` while it is enabled; ``ran`` is how many turns it had at the last look.

    During a long run, until ``busy_until``, ``waiting`` slots fell due; ``hung``: its time-out is to end it; ``waited``:
    the last stretch of time began in one. ``extra``
    runs more may come at any time, such as one in place of another that was interrupted. ``place`` is the session of its
    runs (None: each is fresh), ``limit`` its time-out in ms, ``patience`` how many failures in a row disable it.
    """

    handle: Handle
    schedule: dict[str, Any]
    enabled: bool
    since: int
    ran: int = 0
    busy_until: int | None = None
    waiting: int = 0
    waited: bool = False
    hung: bool = False
    extra: int = 0
    title: str | None = None
    agent: str = "main"
    wish: dict[str, Any] = field(default_factory=dict)
    place: Place | None = None
    limit: int | None = None
    patience: int | None = None
    repeats: bool = False

    @property
    def once(self) -> bool:
        """Whether it is a one-shot."""
        return bool(self.schedule["kind"] == "at")

    def told(self) -> str:
        """In a few words."""
        return f"{self.schedule}{'' if self.enabled else ', disabled'}"


class Book:
    """The jobs that a gateway was told of, those it was told to remove, and what is open between the two."""

    def __init__(self, hello: Hello) -> None:
        self.gears: list[Gear] = []
        self.gone: list[Gear] = []
        self.late, self.grain = hello.late_by_ms, max(1, hello.resolution_ms)
        self.skips = hello.policy("overlap") == "skip"
        self._dst = hello.policy("dst")

    def idle(self) -> list[Gear]:
        """The jobs without a long run."""
        return [g for g in self.gears if g.busy_until is None]

    def taken(self, now: int) -> set[Place]:
        """The sessions in which a run is under way; that of a removed job may go on to its end."""
        left = [g for g in self.gone if g.busy_until is not None and g.busy_until + self.late >= now]
        busy = [g for g in self.gears if g.busy_until is not None] + left
        return {g.place for g in busy if g.place is not None}

    def slots(self, gear: Gear, now: int, until: int) -> list[int]:
        """The slots in ``(now, until]`` that are to have an outcome."""
        if not gear.enabled:
            return []
        return slots(gear.schedule, max(now, gear.since), until, dst=self._dst, zone="UTC")

    def due(self, gear: Gear, now: int, until: int) -> list[Due]:
        """What the job has to run between ``now`` and ``until``; the end of a long run is taken in."""
        found, end = self.slots(gear, now, until), gear.busy_until
        gear.waited = end is not None
        if end is None:
            return [Due(slot, True) for slot in found]
        gear.waiting += 0 if self.skips else sum(slot < end for slot in found)
        if end > until:
            return []
        # Several slots that waited may become one run.
        late = [Due(end, n == 0) for n in range(gear.waiting)]
        gear.busy_until, gear.waiting = None, 0
        return late + [Due(slot, True) for slot in found if slot > end]

    def counts(self, gear: Gear, dues: list[Due], now: int) -> tuple[int, int]:
        """How many of these runs have to be there now, and how many may be."""
        least = sum(due.must and due.at + self.late <= now for due in dues)
        most = sum((due.at if due.since is None else due.since) < now + self.grain for due in dues)
        return least, most + gear.extra


def quiet_minute(now: int, minutes: int) -> int:
    """The instant for a write, so many minutes from now."""
    return (now // MINUTE + minutes) * MINUTE + WRITE
