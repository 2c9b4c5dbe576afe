"""The state machine of a resolver: jobs with every kind of wish, moved about between sessions while they run.

A model says which room each job's runs are in: what was asked for, in the contract's words. Each turn is then
compared with all that was said: it sees the answered turns of its room, and of no other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..checkers import fresh_context, shared_context
from ..driver import Driver, Handle, cron, wish
from ..model import ERROR, Turn, tag_text
from ..outcomes import TargetError
from .kit import accounted_for
from .life import unlimited
from .lives import Story, happens, live
from .places import Place, Said, place_of, wishes

LAW = "CS-RES-034"
SIZES = {"core": (6, 20), "full": (20, 35), "thorough": (30, 45)}


@dataclass
class Resident:
    """A job, the room of its runs (None: each is fresh), and how many of its turns were looked at."""

    handle: Handle
    agent: str
    wish: dict[str, Any]
    room: Place | None
    looked: int = 0


class House(Story):
    """One gateway from its first start to its end; ``ended`` gets the error of one that could not go on."""

    def __init__(self, driver: Driver, ended: list[TargetError]) -> None:
        super().__init__(varied=driver.budget.limited)
        if ended:
            raise ended[0]
        self.ended = ended
        try:
            self.d = driver.spawn(unlimited(driver))
        except TargetError as error:
            ended.append(error)
            raise
        self.jobs: list[Resident] = []
        self.said = Said()
        self.added = self.restarts = 0
        self.agents = ("main", "work") if self.d.has("agents") else ("main",)
        self.wishes = list(wishes(self.d))

    def teardown(self) -> None:
        if self.d.trouble is not None:
            self.ended.append(self.d.trouble)
        self.d.world.close()

    # --- what happens ----------------------------------------------------------------------------------

    @happens(lambda self: len(self.jobs) < 7)
    def add_job(self) -> None:
        given = self.choose(self.wishes, "wish")
        agent = self.choose(self.agents, "agent")
        # A minute of its own in each hour, so that no two runs begin at one instant.
        self.added += 1
        schedule = cron(f"{self.added * 7 % 60} * * * *") if self.d.has("schedule.cron") else None
        members: dict[str, Any] = {**given, **({"agent": agent} if len(self.agents) > 1 else {})}
        write, handle = self.d.try_add(schedule, **members)
        if handle is not None:
            room = place_of(agent, given, handle, reported=write.reports("session.key", "session.mode"))
            self.jobs.append(Resident(handle, agent, given, room))

    @happens(lambda self: self.jobs and self.d.has("job.update"))
    def move_job(self) -> None:
        job = self.choose(self.jobs, "job")
        given = self.choose([w for w in self.wishes if "mode" not in w], "wish")
        kind = "systemEvent" if given["target"] == "main" else "agentTurn"
        text = {"kind": kind, "text": tag_text("Reply OK only.", job.handle.tag)}
        write = self.d.update(job.handle, session=wish(**given), payload=text)
        if write.rejected is None:
            reported = accounted_for(write, "session.key")
            job.wish, job.room = given, place_of(job.agent, given, job.handle, reported=reported)

    @happens(lambda self: self.jobs and self.d.has("job.update"))
    def rename_job(self) -> None:
        job = self.choose(self.jobs, "job")
        self.d.edit(job.handle, name=self.choose(("clock", "bell"), "name"))

    @happens(lambda self: self.jobs and self.d.has("job.remove"))
    def remove_job(self) -> None:
        job = self.choose(self.jobs, "job")
        self.jobs.remove(job)
        self.d.remove(job.handle)

    @happens(lambda self: self.jobs, often=3, fails=(False, False, True))
    def run_job(self, fails: bool) -> None:
        job = self.choose(self.jobs, "job")
        if fails:
            self.d.answers(job.handle, ERROR)
        self.d.evidence(job.handle)
        self._look()

    @happens(lambda self: self.d.has("session.send"))
    def person_speaks(self) -> None:
        lasting = [w for w in self.wishes if w["target"] in ("named", "main")]
        given = self.choose(lasting, "where")
        agent = self.choose(self.agents, "agent")
        turn = self.d.say(wish(**given), agent=agent if len(self.agents) > 1 else None)
        self._judge(turn, place_of(agent, given, None))

    @happens(lambda self: self.d.has("schedule.cron"), minutes=(5, 30, 90))
    def time_passes(self, minutes: int) -> None:
        self.d.advance(minutes=minutes)
        self._look()

    @happens(lambda self: self.d.has("restart") and self.restarts < 2)
    def restart(self) -> None:
        self.restarts += 1
        self.d.restart()

    # --- what must hold ----------------------------------------------------------------------------------

    def _look(self) -> None:
        """Judge the turns since the last look, in the order in which they began."""
        new = []
        for job in self.jobs:
            turns = self.d.turns(job.handle)
            new += [(t.seq, t, job.room) for t in turns[job.looked :]]
            job.looked = len(turns)
        for _, turn, room in sorted(new, key=lambda found: found[0]):
            self._judge(turn, room)

    def _judge(self, turn: Turn, room: Place | None) -> None:
        self.d.judge(fresh_context([turn], self.said.elsewhere(room)), LAW)
        self.said.add(room, turn)
        turns = self.said.here(room)
        if len(turns) > 1:
            self.d.judge(shared_context(turns), LAW)


def explore_house(driver: Driver) -> None:
    """Live in many houses; raises the shrunk failure, with the steps that led to it."""
    live(driver, lambda ended: House(driver, ended), SIZES, 1)
