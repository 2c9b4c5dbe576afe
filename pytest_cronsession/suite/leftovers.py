"""The state machine of retention: what runs of every kind leave behind goes in time, whatever became of their jobs.

It stands on the one of outcomes. Lives have retention alone, or the limits of maintenance as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..checkers import bound_findings
from ..contract import Session, Write
from ..driver import Driver
from ..model import Turn
from ..oracle import MINUTE
from ..trace import instant
from .clockwork import tell_apart
from .ends import OUTCOMES
from .gears import Due, Gear
from .kit import sweep_ms
from .laws import Laws
from .lives import live
from .lodgers import IN_PLACE, STABLE, Lodgers
from .places import Place

EARLY, IN_USE, LASTING, BOUNDED = "CS-REA-002", "CS-REA-006", "CS-REA-007", "CS-MNT-006"
STEADY, REMOVED, RESTING, BADLY = "CS-REA-001", "CS-REA-003", "CS-REA-004", "CS-REA-005"
OF_AGENT, MOVED, DONE, CRASHED = "CS-REA-011", "CS-REA-012", "CS-REA-013", "CS-REA-015"
RESTARTED, KEPT_BUSY = "CS-STO-009", "CS-MNT-004"
RETENTION = (
    *(EARLY, IN_USE, LASTING, BOUNDED, STEADY, REMOVED, RESTING, BADLY),
    *(OF_AGENT, MOVED, DONE, RESTARTED, KEPT_BUSY),
)
LAWS = (*OUTCOMES, IN_PLACE, STABLE, *RETENTION)
SIZES = {"full": (8, 30), "thorough": (12, 40)}
KEPT_MS = 100 * MINUTE
LIMITS = {"pruneAfterMs": 300 * MINUTE, "maxEntries": 6}


@dataclass
class Leftover:
    """The receipt of a run: between which instants it was active for the last time, and how its run ended.

    ``listed``: it is one that there has to be, or has been seen.
    """

    gear: Gear
    ended: str
    earliest: int
    latest: int
    restarted: bool = False
    listed: bool = False


def over_since(ended: str, asked_ms: int, looked_ms: int) -> int:
    """The earliest instant at which a run can have ended that was open at the last look.

    What was under way at a stop of the gateway was over before it came back, and only then is there a look again.
    """
    return asked_ms if ended in ("interrupted", "removed") else looked_ms


class Leftovers(Lodgers):
    """A life in which the store is looked at whenever time has passed."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.left: dict[str, Leftover] = {}
        # Sweeps begin anew with a start, and the first comes an interval later.
        self.started = 0
        self.active: dict[Place, int] = {}
        self.lasting_keys: dict[Place, str] = {}
        self.seen: set[str] = set()  # the open runs whose rows were listed

    def _config(self) -> dict[str, Any]:
        config = super()._config()
        if self.parent.has("retention"):
            config["sessionRetentionMs"] = KEPT_MS
        if self.parent.has("maintenance") and self.choose((False, False, True), "limits"):
            self.lasting = False
            config["maintenance"] = {"mode": "enforce", **LIMITS}
        return config

    # --- what may count as activity -------------------------------------------------------------------------

    def _edit(self, gear: Gear, **patch: Any) -> bool:
        self._touched(gear)
        return super()._edit(gear, **patch)

    def _patched(self, gear: Gear, **patch: Any) -> Write:
        self._touched(gear)
        return super()._patched(gear, **patch)

    def _dropped(self, gear: Gear) -> None:
        super()._dropped(gear)
        self._touched(gear)

    def _touched(self, gear: Gear | None = None) -> None:
        for left in self.left.values():
            if gear is None or left.gear is gear:
                left.latest = self.d.now

    def _hear(self, turn: Turn, place: Place | None, before: list[Turn]) -> None:
        super()._hear(turn, place, before)
        if place is not None:
            self.active[place] = self.d.now

    # --- what must hold ----------------------------------------------------------------------------------

    def _passed(self, plan: list[tuple[Gear, list[Due]]], began: int) -> None:
        super()._passed(plan, began)
        now, rows = self.d.now, self.d.sessions()
        keys = {row.key for row in rows}
        for gear, run, turn in self.news:
            if gear.place is not None:
                if turn.state == "answered":
                    self._lasts(gear.place, run.session_key)
            elif run.session_key is not None and not self._waits(turn):
                self.left[run.session_key] = Leftover(gear, turn.state, began, now)
        for one in self.over:
            if one.gear.place is not None:
                self.active[one.gear.place] = now
                if one.turn.state == "answered":
                    self._lasts(one.gear.place, one.key)
            elif one.key is not None:
                ended = one.turn.state if one.how == "answer" else one.how
                since = over_since(ended, one.turn.at_ms, began)
                self.left[one.key] = Leftover(one.gear, ended, since, now)
        if self.parent.has("retention"):
            self._look_at_receipts(keys)
        if self.lasting:
            for place, key in self.lasting_keys.items():
                self.laws.expect(self.d, key in keys, f"the row of the session {place} went", LASTING)
        elif now - max(began, self.started) > sweep_ms(self.d):
            self._look_at_bounds(rows)
        self.seen = {run_id for run_id, one in self.open.items() if one.key in keys}

    def _lasts(self, place: Place, key: str | None) -> None:
        # The session of mode shared may go with its job.
        if key is not None and place[0] != "job":
            self.lasting_keys[place] = key

    def _look_at_receipts(self, keys: set[str]) -> None:
        now, slack = self.d.now, self.book.late + self.book.grain
        for key, left in list(self.left.items()):
            if now > max(left.latest + KEPT_MS, self.started) + sweep_ms(self.d):
                del self.left[key]
                law = self._owner(left)
                if law is not None:
                    told = f"the receipt of a run of {left.gear.told()} that ended ({left.ended}) by "
                    told += f"{instant(left.latest)} is listed at {instant(now)}"
                    self.laws.expect(self.d, key not in keys, told, law)
            elif self.lasting and self.d.has("receipts") and now < left.earliest + KEPT_MS - slack:
                told = f"a receipt of {instant(left.earliest)} or later is gone at {instant(now)}"
                # A run without an answer need not leave one.
                left.listed = left.listed or key in keys or left.ended == "answered"
                if not (left.listed and self.laws.expect(self.d, key in keys, told, EARLY)):
                    del self.left[key]
        for run_id, one in self.open.items():
            # A gateway may write down a new session when its first turn has ended.
            if run_id in self.seen and self._waits(one.turn):
                law = IN_USE if self.lasting or one.gear.place is None else KEPT_BUSY
                self.laws.expect(self.d, one.key in keys, "the row of a run that is under way went", law)

    def _owner(self, left: Leftover) -> str | None:
        """Whose question it is that this receipt goes; of an interrupted run, only when its job is gone."""
        gear = left.gear
        removed = gear in self.book.gone
        if left.ended == "interrupted":
            return CRASHED if removed else None
        if removed:
            return DONE if gear.once else REMOVED
        if not self.d.has("receipts"):
            return None  # its only row may be that of the job, which may stay as long as the job does
        if left.restarted:
            return RESTARTED
        if left.ended != "answered":
            return BADLY
        if gear.place is not None:
            return MOVED
        if gear.agent != "main":
            return OF_AGENT
        return STEADY if gear.enabled else RESTING

    def _look_at_bounds(self, rows: list[Session]) -> None:
        now, swept = self.d.now, self.d.now - sweep_ms(self.d)
        busy = {one.key for one in self.open.values() if one.key is not None}
        idle = {
            self.lasting_keys[place]: since
            for place, since in self.active.items()
            # A main session may always be spared.
            if place in self.lasting_keys and place[0] != "main" and place not in self._taken()
        }
        # A gateway may keep a store for each agent.
        limits = {**LIMITS, "maxEntries": LIMITS["maxEntries"] * len(self.agents)}
        found = bound_findings(rows, limits, now_ms=now, swept_ms=swept, idle_since=idle, in_use=busy)
        self.laws.judge(self.d, found, BOUNDED)


def explore_leftovers(driver: Driver) -> None:
    """Live through much that leaves something behind; raises what was found, with the steps that led to it."""
    tell_apart(driver)
    laws = Laws(driver, LAWS)
    laws.explore(lambda: live(driver, lambda ended: Leftovers(driver, laws, ended), SIZES, 1, shrink=False))
