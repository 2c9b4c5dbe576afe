"""The state machine over everything: schedules, outcomes, sessions and retention, and starts, crashes and jumps besides.

Each law has the requirement that says it alone; what no test of one requirement shows is what one thing does to another.
"""

from __future__ import annotations

from typing import Any

from ..contract import Job
from ..driver import Driver, at
from ..oracle import DAY, MINUTE
from ..trace import instant
from .clockwork import tell_apart
from .gears import GRID, Due, Gear, quiet_minute
from .laws import Laws
from .leftovers import CRASHED, LAWS, Leftovers
from .listing import INTERRUPTED
from .lives import happens, live
from .lodgers import DURABLE

CAUGHT_UP, NOT_OWED, JUMPED, UNTOUCHED = "CS-STO-007", "CS-STO-011", "CS-SCH-016", "CS-SCH-031"
OVERLAPPED, AS_ACCEPTED, GONE, COMPLETE = "CS-JOB-009", "CS-JOB-011", "CS-JOB-014", "CS-JOB-018"
NEXT, RESTS = "CS-SCH-004", "CS-SCH-007"
EVERYTHING = (
    *(*LAWS, CRASHED, INTERRUPTED, DURABLE, CAUGHT_UP, NOT_OWED, JUMPED, UNTOUCHED),
    *(OVERLAPPED, AS_ACCEPTED, GONE, COMPLETE, NEXT, RESTS),
)
SIZES = {"full": (12, 35), "thorough": (18, 45)}
# Late runs may be spread over so many minutes after a start.
_CALM = 5
# With catchUp all a gateway may have a bound of its own, of so many or more.
_AT_LEAST = 5


class Whole(Leftovers):
    """A life in which everything happens."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        # Of the jobs that missed slots: what they may run late; and whose question that is.
        self.owed: dict[int, list[Due]] = {}
        self.asked: dict[int, str] = {}
        self.calm = 0
        self.crashes = 0
        self.over_and_done: set[str] = set()

    def _first_schedule(self) -> dict[str, Any]:
        if self.d.has("schedule.at") and self.choose((False, False, False, True), "once"):
            minutes = self.choose((4, 30, 100), "minutes ahead")
            return at((self.d.now // MINUTE + minutes) * MINUTE + GRID)
        return super()._first_schedule()

    def _law(self, gear: Gear) -> str:
        return self.asked.get(id(gear)) or super()._law(gear)

    def _due(self, gear: Gear, until: int) -> list[Due]:
        dues = super()._due(gear, until)
        if id(gear) not in self.owed:
            return dues
        gear.waited = True
        # While late runs are spread, what falls due may be taken for one of them.
        soon = [Due(self.calm, False, since=due.at) if due.at <= self.calm else due for due in dues]
        return [*self.owed[id(gear)], *soon]

    # --- what happens ----------------------------------------------------------------------------------

    @happens(lambda self: self.parent.has("restart") or self.parent.has("crash"))
    def start_anew(self) -> None:
        self._end(crash=self._how())
        if self.d.world.running:
            self.d.restart()
        else:
            self.d.come_back()
        self._began()
        self._pass(self.d.now)

    @happens(
        lambda self: (
            len(self.book.idle()) == len(self.book.gears)
            and (self.parent.has("restart") or self.parent.has("crash"))
        ),
        minutes=(3, 70),
    )
    def be_down(self, minutes: int) -> None:
        until = quiet_minute(self.d.now, minutes)
        crash = self._how()
        self._miss(until, self._late_runs, CAUGHT_UP, NOT_OWED)
        self._end(crash=crash)
        delta = {"milliseconds": until - self.d.now}
        if crash:
            self.d.come_back(delta)
        else:
            self.d.stop()
            self.d.start(delta)
        self._began()
        self._recover()

    @happens(
        lambda self: len(self.book.idle()) == len(self.book.gears) and self.parent.has("clock.jump"),
        minutes=(3, 70),
    )
    def jump(self, minutes: int) -> None:
        until = quiet_minute(self.d.now, minutes)
        self._miss(until, lambda gear, missed: [Due(until, False)] * len(missed), JUMPED, UNTOUCHED)
        began = self.d.now
        self.d.jump(milliseconds=until - began)
        self.started = self.d.now
        self._recover()

    @happens(
        lambda self: self.parent.has("job.update", "trigger"),
        title=("third name", "fourth name"),
        rests=(False, True),
    )
    def do_several_things(self, title: str, rests: bool) -> None:
        one, other = self._one(idle=True), self._one(idle=True)
        if one is None or other is None or one is other or {one.place, other.place} & self._taken():
            return
        patches: list[dict[str, Any]] = [{"name": title}]
        patches += [{"enabled": not rests}] if self.d.has("job.disable") else []
        self._touched(one)
        answers = self.d.together(
            *(("job/update", {"id": one.handle.id, "patch": patch}) for patch in patches),
            ("job/trigger", {"id": other.handle.id, "mode": "force"}),
        )
        if "rejected" not in answers[0]:
            one.title = title
        if len(patches) == 2 and "rejected" not in answers[1]:
            one.since = self.d.now if rests or not one.enabled else one.since
            one.enabled = not rests
        other.ran += bool(answers[-1]["started"])
        self._pass(self.d.now)
        job = self.d.job(one.handle)
        told = None if job is None else (job.raw.get("name", one.title), job.enabled)
        right = (one.title, one.enabled)
        self.laws.expect(
            self.d, told == right, f"edits overlapped: {told} is listed, accepted was {right}", OVERLAPPED
        )

    @happens()
    def somebody_reads(self) -> None:
        jobs = {job.id: job for job in self.d.jobs()}
        for gear in self.book.idle():
            if gear.handle.id in jobs and not gear.once and not gear.extra:
                self._look_at_next(gear, jobs[gear.handle.id])

    def _prepare(self) -> None:
        if self.d.has("restart") and self.choose((False, True), "start anew first"):
            self.start_anew()

    # --- how lives are interrupted ---------------------------------------------------------------------------

    def _how(self) -> bool:
        """Whether by a crash."""
        ways = [way for way in (False, True) if self.d.has("crash" if way else "restart")]
        return self.choose(ways, "crash")

    def _end(self, *, crash: bool) -> None:
        """What is under way is interrupted, and may be run again."""
        for gear in [g for g in self.book.gears if g.busy_until is not None]:
            gear.extra += 1 + gear.waiting
            gear.busy_until, gear.waiting, gear.hung = None, 0, False
        for one in self.open.values():
            one.how = "interrupted" if one.how != "removed" else one.how
        if crash:
            self.crashes += 1
            self.crashed_after = len(self.d.model.turns())
            self._touched()
            self.d.go_down()

    def _began(self) -> None:
        self.started = self.d.now
        for left in self.left.values():
            left.restarted = True

    def _late_runs(self, gear: Gear, missed: list[int]) -> list[Due]:
        policy = self.d.hello.policy("missedOneShot" if gear.once else "catchUp")
        if policy == "skip":
            return []
        count = len(missed) if policy == "all" else 1
        # A late one-shot has some hours, which are not waited for, and how long a grace is, nobody knows.
        must = not gear.once and policy != "grace"
        return [Due(missed[-1], must and n < _AT_LEAST) for n in range(count)]

    def _miss(self, until: int, late: Any, owed: str, untouched: str) -> None:
        """Take down what falls into the time until then, before it is over."""
        self.calm = until + (_CALM - 1) * MINUTE
        for gear in self.book.gears:
            missed = self.book.slots(gear, self.d.now, until)
            self.asked[id(gear)] = owed if missed else untouched
            if missed:
                self.owed[id(gear)] = [Due(self.calm, due.must, since=until) for due in late(gear, missed)]

    def _recover(self) -> None:
        """Let what is late run, and look at that."""
        self.crowded = True
        self._pass(quiet_minute(self.d.now, _CALM))
        self.owed, self.asked, self.crowded = {}, {}, False

    # --- what must hold ----------------------------------------------------------------------------------

    def _passed(self, plan: list[tuple[Gear, list[Due]]], began: int) -> None:
        super()._passed(plan, began)
        for gear in [g for g in self.book.idle() if g.once and g.schedule["atMs"] <= self.d.now]:
            gear.extra += id(gear) in self.owed
            self.book.gears.remove(gear)
            self.book.gone.append(gear)
            self.over_and_done.add(gear.handle.id)
        self._look_at_list()

    def _look_at_list(self) -> None:
        jobs = self.d.jobs()
        listed = {job.id: job for job in jobs}
        self.laws.expect(self.d, len(listed) == len(jobs), "a job is listed twice", COMPLETE)
        law = DURABLE if self.crashes else COMPLETE
        lost = [g.told() for g in self.book.gears if g.handle.id not in listed and not g.once]
        self.laws.expect(self.d, not lost, f"jobs that nobody removed are not listed: {lost}", law)
        removed = {g.handle.id for g in self.book.gone} - self.over_and_done
        back = sorted(removed & listed.keys())
        self.laws.expect(self.d, not back, f"jobs that were removed are listed: {back}", GONE)
        law = DURABLE if self.crashes else AS_ACCEPTED
        for gear in self.book.gears:
            job = listed.get(gear.handle.id)
            if job is not None and not gear.once:
                told = (job.raw.get("name", gear.title) if gear.title else None, job.enabled)
                right = (gear.title, gear.enabled)
                self.laws.expect(self.d, told == right, f"a job is {right}, it is listed as {told}", law)

    def _look_at_next(self, gear: Gear, job: Job) -> None:
        told = job.next_run_ms
        if not gear.enabled:
            self.laws.expect(self.d, told is None, f"a disabled job is to run at {instant(told)}", RESTS)
            return
        coming = self.book.slots(gear, self.d.now, self.d.now + DAY)[:1]
        right = told is not None and (
            abs(told - coming[0]) < self.book.grain if coming else told > self.d.now + DAY
        )
        shown = f"{gear.told()} is to run at {instant(told)}, its next slot is {instant(coming[0] if coming else None)}"
        self.laws.expect(self.d, right, shown, NEXT)


def explore_everything(driver: Driver) -> None:
    """Live whole lives; raises what was found, with the steps that led to it."""
    tell_apart(driver)
    laws = Laws(driver, EVERYTHING)
    laws.explore(
        lambda: live(driver, lambda ended: Whole(driver, laws, ended), SIZES, 1, shrink=False, short=12)
    )
