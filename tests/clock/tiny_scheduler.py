"""A stock asyncio scheduler, asyncio.sleep and datetime.now, with its model behind HTTP."""

import asyncio
import itertools
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit


def now_ms() -> int:
    return round(datetime.now(UTC).timestamp() * 1000)


class Scheduler:
    def __init__(self, model_url: str) -> None:
        self.model = urlsplit(model_url)
        self.jobs: dict[str, dict[str, Any]] = {}
        self.watchers: dict[str, asyncio.Task[None]] = {}
        self.runs: dict[str, asyncio.Task[None]] = {}
        self.sessions: list[str] = []
        self.numbers = itertools.count(1)

    def add(self, spec: dict[str, Any]) -> dict[str, Any]:
        job = {**spec, "id": f"job-{next(self.numbers)}", "enabled": True, "anchor": now_ms(), "done": False}
        self.jobs[job["id"]] = job
        self.watchers[job["id"]] = asyncio.create_task(self.watch(job))
        return job

    def remove(self, identity: str) -> bool:
        watcher = self.watchers.pop(identity, None)
        if watcher is not None:
            watcher.cancel()
        return self.jobs.pop(identity, None) is not None

    def next_run(self, job: dict[str, Any]) -> int | None:
        schedule = job["schedule"]
        if schedule["kind"] == "at":
            return None if job["done"] else int(schedule["atMs"])
        anchor, period = schedule.get("anchorMs", job["anchor"]), schedule["everyMs"]
        return int(anchor + ((now_ms() - anchor) // period + 1) * period)

    async def watch(self, job: dict[str, Any]) -> None:
        while (due := self.next_run(job)) is not None:
            while (left := due - now_ms()) > 0:
                await asyncio.sleep(left / 1000)
            job["done"] = job["schedule"]["kind"] == "at"
            self.start(job)

    def start(self, job: dict[str, Any]) -> bool:
        identity = job["id"]
        if identity in self.runs:
            return False
        self.runs[identity] = asyncio.create_task(self.run(job["payload"]["text"]))
        self.runs[identity].add_done_callback(lambda _: self.runs.pop(identity))
        return True

    async def run(self, text: str) -> None:
        self.sessions.append(f"run-{next(self.numbers)}")
        reader, writer = await asyncio.open_connection(self.model.hostname, self.model.port)
        try:
            body = json.dumps(
                {"model": "cronsession", "messages": [{"role": "user", "content": text}]}
            ).encode()
            head = f"POST {self.model.path}/chat/completions HTTP/1.1\r\nHost: model\r\nConnection: close\r\n"
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            await asyncio.wait_for(reader.read(), 6 * 3600)
        finally:
            writer.close()
            await writer.wait_closed()

    async def stop(self) -> None:
        tasks = [*self.watchers.values(), *self.runs.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def settled(scheduler: Callable[[], Scheduler | None], held: Callable[[], int]) -> Callable[[], bool]:
    """Every run but those whose turn the script holds has ended."""

    def ask() -> bool:
        found = scheduler()
        return found is None or len(found.runs) <= held()

    return ask
