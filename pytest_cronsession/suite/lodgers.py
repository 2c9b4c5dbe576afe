"""The part of a machine that says in which session each job runs, and looks at what its runs see there."""

from __future__ import annotations

from collections import Counter
from typing import Any

from ..checkers import fresh_context, shared_context
from ..driver import wish
from ..model import Turn, tag_text
from .ends import Ends
from .gears import Due, Gear
from .kit import accounted_for
from .lives import happens
from .places import Place, Said, place_of, wishes

IN_PLACE, STABLE, DURABLE = "CS-RES-034", "CS-SES-008", "CS-STO-034"


class Lodgers(Ends):
    """A life in which jobs have wishes of every kind, move about, and people speak between their runs.

    While one of the jobs of a session has a long run, nothing else is to happen there: what overlaps there is not asked.
    """

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.said = Said()
        self.heard: dict[str, int] = {}
        self.rows: dict[Place, set[tuple[str, str]]] = {}
        self.agents = ("main", "work") if self.parent.has("agents") else ("main",)
        # What a limit of the store took is no fault.
        self.lasting = True
        self.crashed_after = 0
        # After a start or a jump runs of one session may come at one instant.
        self.crowded = False

    def _taken(self) -> set[Place]:
        return self.book.taken(self.d.now)

    def _wish(self, *, moved: bool = False) -> dict[str, Any]:
        """A wish for a session where nothing is under way."""
        fit = [w for w in wishes(self.d) if not (moved and "mode" in w)]
        free = [w for w in fit if not {place_of(a, w, None) for a in self.agents} & self._taken()]
        # A key's session is not known before the job is.
        free = [w for w in free if "key" not in w or not any(p[0] == "key" for p in self._taken())]
        return self.choose([w for w in free if w["target"] == "isolated"] * 2 + free, "wish")

    def _members(self) -> dict[str, Any]:
        agent = self.choose(self.agents, "agent")
        whose = {"agent": agent} if len(self.agents) > 1 else {}
        return {**super()._members(), **self._wish(), **whose}

    def _added(self, gear: Gear, members: dict[str, Any]) -> None:
        super()._added(gear, members)
        gear.agent = members.get("agent", "main")
        gear.wish = {name: members[name] for name in ("target", "name", "key", "mode") if name in members}
        reported = gear.handle.write.reports("session.key", "session.mode")
        gear.place = place_of(gear.agent, gear.wish, gear.handle, reported=reported)

    def _has_room(self, gear: Gear) -> bool:
        others = [g.place for g in self.book.gears if g is not gear]
        return super()._has_room(gear) and (gear.place is None or gear.place not in others)

    def _may_take_long(self, gear: Gear) -> bool:
        return super()._may_take_long(gear) and self._has_room(gear)

    # --- what happens ----------------------------------------------------------------------------------

    @happens(lambda self: self.book.idle() and self.parent.has("job.update"))
    def move(self) -> None:
        gear = self._one(idle=True)
        if gear is None:
            return
        given = self._wish(moved=True)
        kind = "systemEvent" if given["target"] == "main" else "agentTurn"
        text = {"kind": kind, "text": tag_text("Reply OK only.", gear.handle.tag)}
        write = self._patched(gear, session=wish(**given), payload=text)
        if write.rejected is None:
            reported = accounted_for(write, "session.key")
            gear.wish, gear.place = given, place_of(gear.agent, given, gear.handle, reported=reported)

    @happens(lambda self: self.parent.has("session.send"))
    def person_speaks(self) -> None:
        agent = self.choose(self.agents, "agent")
        lasting = [w for w in wishes(self.d) if w["target"] in ("named", "main")]
        free = [w for w in lasting if place_of(agent, w, None) not in self._taken()]
        if free:
            given = self.choose(free, "where")
            turn = self.d.say(wish(**given), agent=agent if len(self.agents) > 1 else None)
            place = place_of(agent, given, None)
            self._hear(turn, place, self.said.here(place))
            self.said.add(place, turn)
            self._pass(self.d.now)

    # --- what must hold ----------------------------------------------------------------------------------

    def _passed(self, plan: list[tuple[Gear, list[Due]]], began: int) -> None:
        super()._passed(plan, began)
        new: list[tuple[Turn, Gear]] = []
        for gear, _ in plan:
            turns = self.d.turns(gear.handle)
            new += [(turn, gear) for turn in turns[self.heard.get(gear.handle.tag, 0) :]]
            self.heard[gear.handle.tag] = len(turns)
        meetings = Counter((gear.place, due.at) for gear, dues in plan for due in dues if gear.place)
        crowds = {place for (place, _), n in meetings.items() if n > 1 or self.crowded}
        before = {place: list(self.said.here(place)) for place in crowds}
        for turn, gear in sorted(new, key=lambda found: found[0].seq):
            here = self.said.here(gear.place)
            self._hear(turn, gear.place, before.get(gear.place, here) if gear.place else here)
            self.said.add(gear.place, turn)
        self._look_at_rows()

    def _hear(self, turn: Turn, place: Place | None, before: list[Turn]) -> None:
        if not self.lasting:
            return
        self.laws.judge(self.d, fresh_context([turn], self.said.elsewhere(place)), IN_PLACE)
        for earlier in before:
            survived = earlier.seq <= self.crashed_after
            law = DURABLE if survived and place and place[0] == "named" else IN_PLACE
            self.laws.judge(self.d, shared_context([earlier, turn]), law)

    def _look_at_rows(self) -> None:
        for gear, run, _ in self.news:
            if (
                self.lasting
                and gear.place
                and gear.place[0] == "named"
                and run.session_key
                and run.session_id
            ):
                rows = self.rows.setdefault(gear.place, set())
                rows.add((run.session_key, run.session_id))
                told = f"the session {gear.place} had the keys and ids {sorted(rows)}"
                self.laws.expect(self.d, len(rows) == 1, told, STABLE)
