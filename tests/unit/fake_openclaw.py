"""A stand-in for openclaw.mjs: the part of OpenClaw's protocol the target uses, and ways to misbehave.

Started as ``python openclaw.mjs gateway --port N --bind loopback``. The file ``mode`` beside it holds one
word; jobs are kept in the state folder; the FIFO ``alive`` beside it is held open for writing by this
process and by a child of it, so that its end of file means that both are gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import http
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from websockets.asyncio.server import ServerConnection, serve

HERE = Path(__file__).parent
MODE = (HERE / "mode").read_text() if (HERE / "mode").exists() else "good"
STORE = Path(os.environ["OPENCLAW_STATE_DIR"]) / "jobs.json"
ADDS_PER_CONNECTION = 2


class Refused(Exception):
    def __init__(self, code: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.error = {"code": code, "message": message, **more}


class Fake:
    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Any]] = json.loads(STORE.read_text()) if STORE.exists() else {}
        self.entries: list[dict[str, Any]] = []
        self.waited = 0
        self.listed = 0

    def answer(self, method: str, params: dict[str, Any], adds: list[int]) -> dict[str, Any]:
        handler = getattr(self, method.replace(".", "_"))
        if method == "cron.add":
            adds.append(1)
            if len(adds) > ADDS_PER_CONNECTION:
                raise Refused("UNAVAILABLE", "rate limit exceeded", retryable=True, retryAfterMs=60_000)
        return handler(params)

    def challenge(self) -> dict[str, Any]:
        """What a connection is told first."""
        return {}

    def connect(self, params: dict[str, Any]) -> dict[str, Any]:
        if params["auth"]["token"] != os.environ["OPENCLAW_GATEWAY_TOKEN"]:
            raise Refused("INVALID_REQUEST", "unauthorized: token mismatch")
        return {"type": "hello-ok"}

    def cron_status(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"enabled": True}

    def cron_add(self, params: dict[str, Any]) -> dict[str, Any]:
        if params["sessionTarget"] == "session:":
            raise Refused("INVALID_REQUEST", "invalid cron sessionTarget session id")
        if params.get("agentId") == "nobody":
            raise Refused("UNAVAILABLE", "Error: cron job agent is unavailable: nobody")
        if params["name"] == "die":
            print("about to die", flush=True)
            os._exit(3)
        number = len(self.jobs) + 1
        job = {"enabled": True, **params, "id": f"job{number}", "state": {"nextRunAtMs": 5000}}
        return self._save(job)

    def _save(self, job: dict[str, Any]) -> dict[str, Any]:
        self.jobs[job["id"]] = {**job, "configRevision": f"r{len(self.jobs)}"}
        STORE.write_text(json.dumps(self.jobs))
        return self.jobs[job["id"]]

    def cron_get(self, params: dict[str, Any]) -> dict[str, Any]:
        if params["id"] not in self.jobs:
            raise Refused("INVALID_REQUEST", "Automation not found", details={"code": "CRON_JOB_NOT_FOUND"})
        return self.jobs[params["id"]]

    def cron_update(self, params: dict[str, Any]) -> dict[str, Any]:
        if params.get("expectedConfigRevision") == "stale":
            raise Refused("INVALID_REQUEST", "changed", details={"code": "CRON_JOB_CHANGED"})
        return self._save({**self.cron_get(params), **params["patch"]})

    def cron_remove(self, params: dict[str, Any]) -> dict[str, Any]:
        self.cron_get(params)
        del self.jobs[params["id"]]
        return {"removed": True}

    def cron_list(self, params: dict[str, Any]) -> dict[str, Any]:
        system = {"id": "own", "enabled": True, "declarationKey": "heartbeat:main"}
        if params["offset"] == 0 and MODE == "repair":
            self.listed += 1
            for job in self.jobs.values():
                # The scheduler repairs what a crash left, a while after requests are let in.
                job["state"] = {"runningAtMs": 1000} if self.listed < 3 else {}
        every = [*self.jobs.values(), system]
        page = every[params["offset"] : params["offset"] + 1]  # one a page: paging is always at work
        return {"jobs": page, "hasMore": params["offset"] + 1 < len(every)}

    def cron_run(self, params: dict[str, Any]) -> dict[str, Any]:
        self.cron_get(params)
        if params["mode"] == "due":
            return {"ok": True, "ran": False, "reason": "not-due"}
        run = f"manual:{params['id']}:1000:1"
        self.entries.append(
            {"jobId": params["id"], "status": "ok", "runId": run, "runAtMs": 1000, "durationMs": 7}
        )
        return {"ok": True, "enqueued": True, "runId": run}

    def cron_runs(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"entries": self.entries[params["offset"] :], "hasMore": False}

    def tasks_list(self, params: dict[str, Any]) -> dict[str, Any]:
        if "cursor" not in params:
            return {"tasks": [], "nextCursor": "more"}
        return {"tasks": [_task(job) for job in self.jobs]}

    def tasks_cancel(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"found": True, "cancelled": params["taskId"] == "task-job1"}

    def chat_send(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"runId": f"chat {params['sessionKey']}"}

    def agent_wait(self, params: dict[str, Any]) -> dict[str, Any]:
        self.waited += 1
        if self.waited == 1:
            return {"status": "timeout"}
        if MODE in ("busy", "broken") and (MODE == "broken" or self.waited == 2):
            owner = "StateDatabaseCoordinatorContentionError: another OpenClaw process owns state-lifecycle"
            return {"status": "error", "error": owner if MODE == "busy" else "no model"}
        return {
            "status": "ok",
            "terminalReceipt": {"sessionId": "s1"},
            "terminalReply": {"text": params["runId"]},
        }


def _task(job: str) -> dict[str, Any]:
    return {
        "runtime": "cron",
        "status": "running",
        "taskId": f"task-{job}",
        "sourceId": job,
        "startedAt": 2000,
        "childSessionKey": f"agent:main:cron:{job}:run:x",
        "runId": f"cron:{job}:2000:uuid:manual:{job}:1990:2",
    }


async def main(port: int, fake: Fake) -> None:
    seen = [0]

    async def talk(ws: ServerConnection) -> None:
        seen[0] += 1
        if MODE == "starting" and seen[0] < 3:
            await ws.close(1013, "gateway starting")
            return
        first = {"type": "event", "event": "connect.challenge", "payload": fake.challenge()}
        await ws.send(json.dumps(first))
        adds: list[int] = []
        async for message in ws:
            request = json.loads(message)
            answer: dict[str, Any] = {"type": "res", "id": request["id"]}
            try:
                answer |= {"ok": True, "payload": fake.answer(request["method"], request["params"], adds)}
            except Refused as refused:
                answer |= {"ok": False, "error": refused.error}
            await ws.send(json.dumps(answer))

    def health(ws: ServerConnection, request: Any) -> Any:
        return ws.respond(http.HTTPStatus.OK, "live\n") if request.path == "/healthz" else None

    async with serve(talk, "127.0.0.1", port, process_request=health):
        await asyncio.Event().wait()


def run(fake: Fake) -> None:
    """Be the gateway until told to end."""
    print(f"fake OpenClaw in mode {MODE}", flush=True)
    fifo = os.open(HERE / "alive", os.O_WRONLY) if (HERE / "alive").exists() else None
    if fifo is not None:
        endless = "import time; time.sleep(600)"
        subprocess.Popen([sys.executable, "-c", endless], pass_fds=[fifo], start_new_session=False)
    if MODE == "refuse":
        print("\x1b[31mConfig invalid: no such key\x1b[39m", flush=True)
        sys.exit(78)
    if MODE == "port" and not (HERE / "tried").exists():
        (HERE / "tried").touch()
        print("Error: listen EADDRINUSE: address already in use", flush=True)
        sys.exit(1)
    signal.signal(signal.SIGTERM, signal.SIG_IGN if MODE == "stubborn" else lambda *_: sys.exit(0))
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(int(sys.argv[sys.argv.index("--port") + 1]), fake))


if __name__ == "__main__":
    run(Fake())
