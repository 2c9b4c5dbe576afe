"""The state machine of a gateway that is killed again and again: what it acknowledged is there every time."""

from __future__ import annotations

from typing import Any

from ..checkers import shared_context
from ..driver import Handle
from ..model import Turn
from .life import Life
from .lives import happens

DURABLE = "CS-STO-034"


class Durable(Life):
    """A life with crashes and edits; the jobs and the sessions are compared with what was answered."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.titles: dict[str, str] = {}
        self.crashes = 0

    def _mine(self) -> list[Handle]:
        return [*(job for _, job in self.named), *self.loners]

    @happens(
        lambda self: self.named or self.loners,
        title=("first", "second", "third"),
    )
    def rename_job(self, title: str) -> None:
        job = self.choose(self._mine(), "job")
        self.d.edit(job, name=title)
        self.titles[job.id] = title

    @happens(lambda self: self.crashes < 4 and (self.named or self.loners))
    def crash(self) -> None:
        self.crashes += 1
        self.d.crash()
        self._look_at_jobs()

    def _took_turn(self, name: str, turn: Turn) -> None:
        super()._took_turn(name, turn)
        if len(self.shared[name]) > 1:
            self.d.judge(shared_context(self.shared[name]), DURABLE)

    def _look_at_jobs(self) -> None:
        listed = {job.id: job.raw.get("name") for job in self.d.jobs()}
        mine = {job.id for job in self._mine()}
        self.d.expect(
            set(listed) == mine,
            f"{len(mine)} jobs were acknowledged and not removed, {len(listed)} are listed after a crash",
            DURABLE,
        )
        for job_id, title in self.titles.items():
            if job_id in mine and listed[job_id] is not None:
                self.d.expect(
                    listed[job_id] == title,
                    f"a job was renamed {title!r} and is called {listed[job_id]!r} after a crash",
                    DURABLE,
                )
