"""What a vendor writes to have tiny_scheduler judged: the contract on one side, LoopHost on the other."""

import os
from typing import Any

from tiny_scheduler import Scheduler, settled

from pytest_cronsession.clock.loop_host import LoopHost


class Gateway:
    host: LoopHost | None = None
    scheduler: Scheduler | None = None

    def initialize(self, params: dict[str, Any]) -> dict[str, Any]:
        capabilities = (
            "clock.advance clock.jump schedule.at schedule.every session.isolated job.remove trigger"
        )
        return {
            "protocol": 1,
            "specRevision": 1,
            "name": "tiny",
            "version": "1",
            "capabilities": capabilities.split(),
            "profiles": ["scheduler"],
            "policies": {},
        }

    async def gateway_start(self, params: dict[str, Any]) -> None:
        model = params["model"]
        self.host = LoopHost(
            params["nowMs"],
            wall=os.environ.get("TINY_WALL", "time-machine"),
            settled=settled(lambda: self.scheduler, lambda: model.held),
        )
        self.scheduler = await self.host.call(Scheduler, params["modelUrl"])

    async def gateway_stop(self, params: dict[str, Any]) -> None:
        if self.host is not None and self.scheduler is not None:
            await self.host.run(self.scheduler.stop())
            self.host.close()
            self.scheduler = None

    async def job_add(self, params: dict[str, Any]) -> dict[str, Any]:
        assert self.host is not None
        assert self.scheduler is not None
        job = params["job"]
        if job["schedule"].get("atMs", self.host.now_ms + 1) <= self.host.now_ms:
            return {"rejected": {"field": "schedule.atMs", "reason": "lies in the past"}}
        return {"job": self.shown(await self.host.call(self.scheduler.add, job))}

    async def job_remove(self, params: dict[str, Any]) -> dict[str, Any]:
        assert self.host is not None
        assert self.scheduler is not None
        return {"removed": await self.host.call(self.scheduler.remove, params["id"])}

    async def job_list(self, params: dict[str, Any]) -> dict[str, Any]:
        assert self.host is not None
        return {"jobs": await self.host.call(self.all_shown)}

    async def job_trigger(self, params: dict[str, Any]) -> dict[str, Any]:
        assert self.host is not None
        assert self.scheduler is not None
        started = await self.host.call(self.scheduler.start, self.scheduler.jobs[params["id"]])
        return {"started": started, **({} if started else {"reason": "already running"})}

    def session_list(self, params: dict[str, Any]) -> dict[str, Any]:
        assert self.scheduler is not None
        return {"sessions": [{"key": key, "id": key} for key in self.scheduler.sessions]}

    async def clock_advance(self, params: dict[str, Any]) -> dict[str, Any]:
        assert self.host is not None
        return {"nowMs": await self.host.advance(params["toMs"])}

    async def clock_jump(self, params: dict[str, Any]) -> dict[str, Any]:
        assert self.host is not None
        return {"nowMs": await self.host.jump(params["toMs"])}

    def all_shown(self) -> list[dict[str, Any]]:
        assert self.scheduler is not None
        return [self.shown(job) for job in self.scheduler.jobs.values()]

    def shown(self, job: dict[str, Any]) -> dict[str, Any]:
        assert self.scheduler is not None
        known = {key: value for key, value in job.items() if key not in ("anchor", "done")}
        return {**known, "nextRunAtMs": self.scheduler.next_run(job)}
