"""The state machine of outcomes: runs that are answered, fail, hang, are held, time out, are cancelled, disable their job.

It stands on the one of schedules: while runs end in every way, each slot has its run, and each run is listed once, as
what became of it.
"""

from __future__ import annotations

from typing import Any

from ..driver import Driver
from ..model import ERROR, HANG, OK, TRANSIENT, Answer
from ..oracle import DAY
from .clockwork import PUNCTUAL, tell_apart
from .gears import Due, Gear, quiet_minute
from .laws import Laws
from .listing import CANCELLED, LISTED, SLOT, TIMED_OUT, TOLD, Listing
from .lives import happens, live

BUSY, REPEATED, DISABLED, NOT_DUE = "CS-RUN-003", "CS-RUN-010", "CS-RUN-013", "CS-RUN-019"
OUTCOMES = (PUNCTUAL, LISTED, TIMED_OUT, BUSY, CANCELLED, TOLD, SLOT, REPEATED, DISABLED, NOT_DUE)
SIZES = {"full": (8, 30), "thorough": (12, 40)}
# Ends of time-outs keep to seconds of their own.
LIMIT = 125_000
PATIENCE = 3
# What a gateway may make of a failure where no job can say how often.
_REPEATS = 10


class Ends(Listing):
    """A life in which runs end in every way that the gateway knows."""

    AT_FIRST = 3
    SPANS = (3, 25, 70, 130, 260)

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.failing: Gear | None = None
        self.failures = 0
        self.troubled: Gear | None = None
        # Else a gateway may repeat what failed as it likes.
        self.strict = self.parent.has("job.retry")

    def _members(self) -> dict[str, Any]:
        more: dict[str, Any] = {"retry": {"maxRetries": 0}} if self.strict else {}
        kinds = [
            "plain",
            *(["patient"] if self.strict else []),
            *(["brief"] if self.d.has("run.timeout") else []),
        ]
        kinds += ["impatient"] if self.strict and self.d.has("job.autoDisable") else []
        kind = self.choose(kinds, "kind")
        if kind == "brief":
            more["timeoutMs"] = LIMIT
        elif kind == "patient":
            more["retry"] = {"maxRetries": 1, "backoffMs": [LIMIT]}
        elif kind == "impatient":
            more["maxFailures"] = PATIENCE
        return {**super()._members(), **more}

    def _added(self, gear: Gear, members: dict[str, Any]) -> None:
        super()._added(gear, members)
        gear.limit, gear.patience = members.get("timeoutMs"), members.get("maxFailures")
        gear.repeats = members.get("retry", {}).get("maxRetries") == 1

    def _may_take_long(self, gear: Gear) -> bool:
        return super()._may_take_long(gear) and gear.patience is None

    def _until(self, gear: Gear, end: int) -> Answer:
        return HANG if gear.hung else super()._until(gear, end)

    def _law(self, gear: Gear) -> str:
        return REPEATED if gear is self.troubled else super()._law(gear)

    def _due(self, gear: Gear, until: int) -> list[Due]:
        dues = super()._due(gear, until)
        if gear is self.troubled:
            # Within the run the request may be sent again, and be answered: then there is no other run.
            at = dues[0].at
            return [dues[0], Due(at + LIMIT + 2 * self.book.late, True, since=at)]
        return dues[:PATIENCE] if gear is self.failing else dues

    # --- what happens ----------------------------------------------------------------------------------

    @happens(lambda self: self.book.idle(), by_hand=(False, True))
    def fail_next(self, by_hand: bool) -> None:
        gear = self._some([g for g in self.book.idle() if not g.once and g.patience is None])
        if gear is None:
            return
        self.d.answers(gear.handle, ERROR)
        gear.extra += 0 if self.strict else _REPEATS
        if by_hand and self.d.has("trigger"):
            self.d.run_now(gear.handle)
            gear.ran += 1
            self._pass(self.d.now)

    @happens(lambda self: any(g.repeats and g.enabled for g in self.book.idle()))
    def pass_through_trouble(self) -> None:
        gear = self._some([g for g in self.book.idle() if g.repeats and g.enabled and not g.once])
        if gear is None:
            return
        for slot in self.book.slots(gear, self.d.now, self.d.now + 3 * DAY)[:1]:
            self.troubled = gear
            self.d.answers(gear.handle, TRANSIENT)
            self._pass(quiet_minute(slot + LIMIT, 1))
            self.troubled = None

    @happens(lambda self: any(g.patience and g.enabled for g in self.book.idle()), times=(1, 2, 3, 4))
    def fail_in_a_row(self, times: int) -> None:
        gear = self._some([g for g in self.book.idle() if g.patience and g.enabled and not g.once])
        coming = self.book.slots(gear, self.d.now, self.d.now + 3 * DAY)[: times + 1] if gear else []
        if gear is None or len(coming) <= times:
            return
        self.failing, self.failures = gear, times
        self.d.answers(gear.handle, *([ERROR] * times), always=OK)
        self._pass(quiet_minute(coming[times - 1], 1))
        job = self.d.job(gear.handle)
        told = job and (job.enabled, None if job.enabled else job.raw.get("disabledBy"))
        right = (True, None) if gear.enabled else (False, "failures")
        self.laws.expect(
            self.d, told == right, f"{times} slots in a row failed of {PATIENCE}, listed is {told}", DISABLED
        )
        if gear.enabled:
            # The next run is answered, so whatever comes next begins to count anew.
            self.failures = 0
            self._pass(quiet_minute(coming[times], 1))
        self.d.answers(gear.handle)
        self.failing = None

    @happens(lambda self: any(g.limit for g in self.book.idle()), by_hand=(False, True))
    def hang(self, by_hand: bool) -> None:
        gear = self._some([g for g in self.book.idle() if g.limit and not g.once and self._has_room(g)])
        if gear is not None:
            gear.hung = True
            began = self._hold(gear, by_hand and self.d.has("trigger"), lambda at: at + LIMIT)
            gear.hung = began and gear.busy_until is not None

    @happens(
        lambda self: self.roomy and self.book.idle() and self.parent.has("job.update"), by_hand=(False, True)
    )
    def meddle_with_a_run(self, by_hand: bool) -> None:
        self._meddle(by_hand, cancelled=False)

    @happens(
        lambda self: (
            self.roomy and self.book.idle() and self.parent.has("job.update", "run.cancel", "run.list")
        ),
        by_hand=(False, True),
    )
    def meddle_with_a_cancelled_run(self, by_hand: bool) -> None:
        self._meddle(by_hand, cancelled=True)

    def _meddle(self, by_hand: bool, *, cancelled: bool) -> None:
        fit = [g for g in self.book.idle() if not g.once and g.patience is None and self._has_room(g)]
        gear = self._some(fit)
        if gear is None:
            return
        self._prepare()
        gear.hung = gear.limit is not None
        by_hand = by_hand and self.d.has("trigger")
        if not self._hold(gear, by_hand, lambda at: at + (gear.limit or 3 * LIMIT)):
            gear.hung = False
            return
        title = self.choose(("during one run", "during another"), "name")
        if self._edit(gear, name=title):
            gear.title = title
        if cancelled:
            self._cancel(gear)
        elif gear.busy_until is not None:
            self._pass(quiet_minute(gear.busy_until, 1))
        # Long enough for what it left behind to go.
        self._wait(self.choose((3, 130), "minutes"))
        self.somebody_reads()

    def _prepare(self) -> None:
        """What may come before a run with which somebody meddles."""

    def _has_room(self, gear: Gear) -> bool:
        """Whether no other run is to be in its session meanwhile."""
        return True

    @happens(
        lambda self: self.parent.has("run.cancel", "run.list") and any(g.busy_until for g in self.book.gears)
    )
    def cancel(self) -> None:
        self._cancel(self.choose([g for g in self.book.gears if g.busy_until], "job"))

    def _cancel(self, gear: Gear) -> None:
        run_id = next((i for i, one in self.open.items() if one.gear is gear), None)
        if run_id is None:
            return
        self.d.cancel(run_id)
        self.open[run_id].how = "cancel"
        gear.busy_until, gear.hung = self.d.now, False
        self._pass(self.d.now)
        self.laws.expect(
            self.d,
            not self._last_waits(gear),
            "a run was cancelled, and its request to the model is open",
            CANCELLED,
        )

    def _last_waits(self, gear: Gear) -> bool:
        """Whether its last request is open. A gateway that does not start what is due has made none."""
        return any(self._waits(turn) for turn in self.d.turns(gear.handle)[-1:])

    @happens(lambda self: any(g.busy_until for g in self.book.gears) and self.parent.has("trigger"))
    def start_again(self) -> None:
        gear = self.choose([g for g in self.book.gears if g.busy_until], "job")
        answer = self.d.trigger(gear.handle)
        self.laws.expect(self.d, not answer.started, "a job was started by hand during its run", BUSY)
        self._pass(self.d.now)

    @happens(lambda self: self.book.idle() and self.parent.has("trigger.due"))
    def start_what_is_due(self) -> None:
        if (gear := self._one(idle=True)) is not None and not gear.extra:
            answer = self.d.trigger(gear.handle, mode="due")
            self.laws.expect(self.d, not answer.started, "a job was started as due, and no slot is", NOT_DUE)
            self._pass(self.d.now)

    # --- what must hold ----------------------------------------------------------------------------------

    def _looked(self, plan: list[tuple[Gear, list[Due]]], began: int) -> None:
        if self.failing is not None and self.failures >= PATIENCE:
            self.failing.enabled = False
        super()._looked(plan, began)

    def _passed(self, plan: list[tuple[Gear, list[Due]]], began: int) -> None:
        self.timed_out = set()
        for gear, _ in plan:
            if gear.hung and gear.waited and gear.busy_until is None:
                gear.hung = False
                self.timed_out.add(gear.handle.id)
                for one in self.open.values():
                    one.how = "timeout" if one.gear is gear else one.how
                open_ = self._last_waits(gear)
                self.laws.expect(
                    self.d, not open_, "a time-out has passed, and the request is open", TIMED_OUT
                )
        super()._passed(plan, began)


def explore_ends(driver: Driver) -> None:
    """Live through many outcomes; raises what was found, with the steps that led to it."""
    tell_apart(driver)
    laws = Laws(driver, OUTCOMES)
    laws.explore(lambda: live(driver, lambda ended: Ends(driver, laws, ended), SIZES, 1, shrink=False))
