"""The part of a machine that compares the list of runs with what reached the model: each run once, as what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..contract import Run
from ..model import HANG, TRANSIENT, Turn
from ..trace import instant
from .clockwork import Clockwork
from .gears import Due, Gear

LISTED, TIMED_OUT, CANCELLED = "CS-RUN-001", "CS-RUN-002", "CS-RUN-005"
TOLD, SLOT, INTERRUPTED = "CS-RUN-006", "CS-RUN-007", "CS-STO-006"
# Of so many runs of a job all are listed, whatever else a gateway forgets.
_ALL_LISTED = 90


@dataclass
class Open:
    """A run that was listed as under way, and what is to end it: ``timeout``, ``cancel``, ``interrupted`` or its answer."""

    gear: Gear
    turn: Turn
    began: int
    key: str | None
    how: str = "answer"


class Listing(Clockwork):
    """A life in which runs are followed from their start to their end. ``news`` began in the last stretch of time, ``over``
    ended in it."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.open: dict[str, Open] = {}
        self.over: list[Open] = []
        self.timed_out: set[str] = set()
        self.paired: dict[str, int] = {}
        self.known_runs: set[str] = set()
        self.news: list[tuple[Gear, Run, Turn]] = []

    def _passed(self, plan: list[tuple[Gear, list[Due]]], began: int) -> None:
        super()._passed(plan, began)
        if self.d.has("run.list"):
            self._look_at_runs(plan, began)

    def _dropped(self, gear: Gear) -> None:
        super()._dropped(gear)
        for one in self.open.values():
            one.how = "removed" if one.gear is gear else one.how

    @staticmethod
    def _waits(turn: Turn) -> bool:
        return turn.state == "held" and turn.alive()

    def _look_at_runs(self, plan: list[tuple[Gear, list[Due]]], began: int) -> None:
        slack = self.book.grain + self.book.late
        since = min([began, *(one.began for one in self.open.values())]) - slack
        listed = self.d.runs(since_ms=max(0, since))
        ids = [run.id for run in listed]
        self.laws.expect(self.d, len(set(ids)) == len(ids), "a run is listed twice", LISTED)
        self._look_at_open({run.id: run for run in listed})
        self.news = []
        for gear, dues in plan:
            turns = self.d.turns(gear.handle)
            new = turns[self.paired.get(gear.handle.tag, 0) :]
            self.paired[gear.handle.tag] = len(turns)
            runs = [r for r in listed if r.job_id == gear.handle.id and r.started_ms is not None]
            runs = [r for r in runs if r.id not in self.known_runs]
            self.known_runs.update(r.id for r in runs)
            sent_again = any(turn.answer is TRANSIENT for turn in new)
            if (
                len(new) <= _ALL_LISTED
                and not sent_again
                and self.laws.expect(
                    self.d,
                    len(runs) == len(new),
                    f"{gear.told()} ran {len(new)} times, listed are {len(runs)} runs",
                    LISTED,
                )
            ):
                self._pair(gear, dues, list(zip(runs, new, strict=True)), began)
        self.known_runs.update(ids)

    def _pair(self, gear: Gear, dues: list[Due], pairs: list[tuple[Run, Turn]], began: int) -> None:
        slots = {due.at for due in dues}
        for run, turn in pairs:
            self.news.append((gear, run, turn))
            if not run.finished or self._waits(turn):
                self.open[run.id] = Open(gear, turn, began, run.session_key)
            timed_out = gear.handle.id in self.timed_out and turn.answer is HANG
            self._look_at_run(run, turn, "timeout" if timed_out else "answer")
            if self.d.has("run.slot") and run.trigger == "schedule" and not gear.extra:
                at = run.slot_ms
                self.laws.expect(
                    self.d,
                    gear.waited or any(self._is_slot(at, slot) for slot in slots),
                    f"a run of {gear.told()} is told as of the slot {instant(at)}, which it has not",
                    SLOT,
                )
                self.laws.expect(
                    self.d,
                    at is None or gear.waited or self._about(run.started_ms, at),
                    f"a run of the slot {instant(at)} is told to have started at {instant(run.started_ms)}",
                    TOLD,
                )

    def _is_slot(self, told: int | None, slot: int) -> bool:
        return told is not None and abs(told - slot) < self.book.grain

    def _about(self, told: int | None, true: int) -> bool:
        return told is not None and true - self.book.grain <= told <= true + self.book.late + self.book.grain

    def _look_at_open(self, listed: dict[str, Run]) -> None:
        self.over = []
        for run_id, one in list(self.open.items()):
            run = listed.get(run_id)
            if one.how == "interrupted" or not self._waits(one.turn):
                self.over.append(self.open.pop(run_id))
                # Of a run whose job was removed, or that a crash interrupted, nothing need be listed.
                if one.how != "removed" and (run is not None or one.how != "interrupted"):
                    self._look_at_run(run, one.turn, one.how)

    def _look_at_run(self, run: Run | None, turn: Turn, how: str) -> None:
        status = "nowhere" if run is None else run.status
        right = {
            "answer": {"answered": ["ok"], "failed": ["error"], "held": ["running"]}.get(turn.state),
            "timeout": ["timeout", "error"],
        }.get(how)
        fits = status not in ("ok", "running", "nowhere") if right is None else status in right
        law = {"timeout": TIMED_OUT, "cancel": CANCELLED, "interrupted": INTERRUPTED}.get(how, LISTED)
        self.laws.expect(
            self.d,
            fits,
            f"a run whose turn was {turn.state} (what ended it: {how}) is listed as {status}",
            law,
        )
