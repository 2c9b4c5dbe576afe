"""Gateways that answer wrongly at random: whatever they say, the suite must not fall over it.

``python:tests.hostile.chaos:seedN`` is one of them, for any N. Which answers are wrong, and how often, follows from N
and from what was asked before, so that a run can be repeated.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Any

from cronsession_reference import Gateway

Answer = dict[str, Any]
ROWS = {"job_list": "jobs", "run_list": "runs", "session_list": "sessions", "notice_list": "notices"}
REFUSAL = {"rejected": {"field": "job", "reason": "not now"}}
OFTEN = (0.02, 0.2, 1.0)
HOW = ("empty", "gaps", "old", "double", "blank", "asleep", "deaf", "refusing", "forgetting", "silent")
"""Lists are empty, have gaps, are those of before, say things twice, or lack what is optional; time passes and nothing
runs; what is started by hand is not; writes are refused, or lost; turns never reach the model."""
_OPTIONAL = ("endedAtMs", "sessionKey", "sessionId", "scheduledAtMs", "updatedAtMs", "revision")


class Chaos(Gateway):
    """A gateway that is wrong in two ways, each as often as the other."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._luck = random.Random(seed)
        self.how, self._often = self._luck.sample(HOW, 2), self._luck.choice(OFTEN)
        self._before: dict[str, Answer] = {}

    def _is(self, how: str) -> bool:
        return how in self.how and self._luck.random() < self._often

    def _coin(self) -> bool:
        return self._luck.random() < 0.5

    def _listed(self, name: str, params: Answer) -> Answer:
        answer: Answer = getattr(super(), name)(params)
        member, before = ROWS[name], self._before.get(name, {})
        self._before[name] = answer
        if self._is("empty"):
            return {member: []}
        if self._is("gaps"):
            return {member: [row for row in answer[member] if self._coin()]}
        if self._is("double"):
            return {member: [row for row in answer[member] for _ in range(1 + self._coin())]}
        if self._is("blank"):
            return {member: [self._blank(row) for row in answer[member]]}
        return before if before and self._is("old") else answer

    def _blank(self, row: Answer) -> Answer:
        return {name: value for name, value in row.items() if name not in _OPTIONAL or self._coin()}

    def job_list(self, params: Answer) -> Answer:
        return self._listed("job_list", params)

    def run_list(self, params: Answer) -> Answer:
        return self._listed("run_list", params)

    def session_list(self, params: Answer) -> Answer:
        return self._listed("session_list", params)

    def notice_list(self, params: Answer) -> Answer:
        return self._listed("notice_list", params)

    async def clock_advance(self, params: Answer) -> Answer:
        if self._is("asleep"):
            self._clock.set(max(params["toMs"], self._clock.now()))
            return {"nowMs": self._clock.now()}
        return await super().clock_advance(params)

    async def job_trigger(self, params: Answer) -> Answer:
        if self._is("deaf"):
            return {"started": False, "reason": "not now"}
        return await super().job_trigger(params)

    async def session_send(self, params: Answer) -> Answer:
        if self._is("silent"):
            return {"sessionKey": "silence", "reply": None, "error": "not now"}
        return await super().session_send(params)

    def job_add(self, params: Answer) -> Answer:
        if self._is("refusing"):
            return REFUSAL
        answer = super().job_add(params)
        if "job" in answer and self._is("forgetting"):
            super().job_remove({"id": answer["job"]["id"]})
        return answer

    def job_update(self, params: Answer) -> Answer:
        if self._is("refusing"):
            return REFUSAL
        if self._is("forgetting"):
            jobs = [job for job in super().job_list({})["jobs"] if job["id"] == params.get("id")]
            return {"job": jobs[0]} if jobs else REFUSAL
        return super().job_update(params)


def __getattr__(name: str) -> Callable[[], Chaos]:
    if not name.startswith("seed") or not name[4:].isdecimal():
        raise AttributeError(name)
    return partial(Chaos, int(name[4:]))
