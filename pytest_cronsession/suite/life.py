"""The state machine of a gateway's life: jobs, runs, failures, human turns, time, restarts.

Each example has a world of its own, so that a failure shrinks and repeats. Two laws are watched: sessions
sharing a key stay stable across runs, and the store stays within its configured bounds.
"""

from __future__ import annotations

from typing import Any

from ..checkers import bound_findings, fresh_context, shared_context
from ..driver import Driver, Handle, every, wish
from ..model import ERROR, Turn
from ..outcomes import TargetError
from .kit import sweep_ms
from .lives import Story, happens, live

STABLE, BOUNDED = "CS-SES-008", "CS-MNT-006"
# Plain words: a gateway may refuse others.
NAMES = ("alpha", "beta", "gamma")
SIZES = {"core": (10, 18), "full": (16, 30), "thorough": (24, 40)}


def unlimited(driver: Driver) -> dict[str, Any]:
    """A configuration by which nothing takes a lasting session: what a gateway does by default may."""
    block = {"maintenance": {"mode": "warn"}} if driver.has("maintenance") else {}
    return {**driver.world.config, **block}


class Life(Story):
    """One gateway from its first start to its end; ``law`` is the requirement that is watched.

    ``ended`` gets the error of a gateway that could not go on: of such a target there are no more lives.
    """

    def __init__(self, driver: Driver, law: str, ended: list[TargetError]) -> None:
        super().__init__(varied=driver.budget.limited)
        if ended:
            # Hypothesis would run it again and again to shrink what led there, and each time is a new start.
            raise ended[0]
        self.ended = ended
        # A boot may take ten seconds, and where there is one life only it may be lived where the test is.
        self.guest = driver.budget.limited and law in (STABLE, BOUNDED)
        try:
            self.d = driver if self.guest else driver.spawn(unlimited(driver) if law == STABLE else None)
        except TargetError as error:
            ended.append(error)
            raise
        self.law = law
        self.named: list[tuple[str, Handle]] = []
        self.loners: list[Handle] = []
        self.shared: dict[str, list[Turn]] = {name: [] for name in NAMES}
        self.rows: dict[str, set[tuple[str, str]]] = {name: set() for name in NAMES}
        self.active: dict[str, int] = {}
        self.seen_alone = 0
        self.restarts = 0

    def teardown(self) -> None:
        if self.d.trouble is not None:
            self.ended.append(self.d.trouble)
        if not self.guest:
            self.d.world.close()

    # --- what happens ----------------------------------------------------------------------------------

    @happens(lambda self: len(self.named) < 5, name=NAMES)
    def add_named_job(self, name: str) -> None:
        self.named.append((name, self.d.add(target="named", name=name)))

    @happens(lambda self: len(self.loners) < 2, minutes=(5, 15, 40))
    def add_isolated_job(self, minutes: int) -> None:
        # Where a run takes seconds, hours of one every few minutes take longer than anybody waits for an answer.
        pace = 24 if self.d.budget.limited else 1
        self.loners.append(self.d.add(every(minutes=minutes * pace), target="isolated"))

    @happens(lambda self: self.named, often=3, fails=(False, True))
    def run_named_job(self, fails: bool) -> None:
        name, job = self.choose(self.named, "job")
        if fails:
            self.d.answers(job, ERROR)
        done = self.d.run_now(job)
        if done.turn is None:
            if self.law == BOUNDED:
                return  # in a session that had to go; whether it may begin anew is asked elsewhere
            self.d.fail("a run was started and nothing reached the model", self.law)
            return
        if done.run is not None and done.run.session_key and done.run.session_id:
            self.rows[name].add((done.run.session_key, done.run.session_id))
        self._took_turn(name, done.turn)

    @happens(lambda self: self.loners)
    def run_isolated_job(self) -> None:
        self.d.run_now(self.choose(self.loners, "job"))
        self._look_at_loners()

    @happens(lambda self: self.d.has("session.send"), name=NAMES)
    def person_speaks(self, name: str) -> None:
        self._took_turn(name, self.d.say(wish("named", name=name)))

    @happens(often=2, minutes=(1, 20, 100, 400))
    def time_passes(self, minutes: int) -> None:
        self.d.advance(minutes=minutes)
        self._look_at_loners()
        if self.law == BOUNDED and minutes * 60_000 > sweep_ms(self.d):
            self._look_at_bounds()

    @happens(lambda self: self.restarts < self.d.few(2, 1))
    def restart(self) -> None:
        self.restarts += 1
        before = self._known_rows()
        self.d.restart()
        after = self._known_rows()
        if self.law == STABLE and before:
            self.d.expect(after == before, f"a restart made of the rows {before} the rows {after}", STABLE)

    def _known_rows(self) -> dict[str, str]:
        """The keys and ids of the named sessions, as they are listed."""
        keys = {key for rows in self.rows.values() for key, _ in rows}
        return {s.key: s.id for s in self.d.sessions() if s.key in keys}

    @happens(lambda self: self.d.has("job.remove") and self.loners)
    def remove_isolated_job(self) -> None:
        self.d.remove(self.loners.pop())

    # --- what must hold ----------------------------------------------------------------------------------

    def _took_turn(self, name: str, turn: Turn) -> None:
        self.active[name] = self.d.now
        turns = self.shared[name]
        turns.append(turn)
        if self.law != STABLE:
            return
        if len(turns) > 1:
            self.d.judge(shared_context(turns), STABLE)
        others = [t for other in NAMES if other != name for t in self.shared[other]]
        self.d.judge(fresh_context([turn], others), STABLE)
        rows = self.rows[name]
        self.d.expect(
            len(rows) < 2, f"the session named {name!r} had the keys and ids {sorted(rows)}", STABLE
        )

    def _look_at_loners(self) -> None:
        turns = [t for job in self.loners for t in self.d.turns(job)]
        new = [t for t in turns if t.seq > self.seen_alone]
        self.seen_alone = max((t.seq for t in turns), default=self.seen_alone)
        if self.law == STABLE and new:
            shared = [t for turns in self.shared.values() for t in turns]
            self.d.judge(fresh_context(new[-20:], shared[-60:]), STABLE)

    def _look_at_bounds(self) -> None:
        active = {key: self.active[name] for name in self.active for key, _ in self.rows[name]}
        found = bound_findings(
            self.d.sessions(),
            self.d.world.config["maintenance"],
            now_ms=self.d.now,
            swept_ms=self.d.now - sweep_ms(self.d),
            idle_since=active,
        )
        self.d.judge(found, BOUNDED)


def explore(driver: Driver, law: str, life: type[Life] = Life) -> None:
    """Live through many lives of one kind; raises the shrunk failure, with the steps that broke the law."""
    live(driver, lambda ended: life(driver, law, ended), SIZES, 1, short=12)
