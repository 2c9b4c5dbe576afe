"""The OpenClaw target with a stand-in for the gateway: operations, process, and what is left of it."""

from __future__ import annotations

import asyncio
import json
import os
import select
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pytest_cronsession.contract import Hello
from pytest_cronsession.model import InProcessModel, Script
from pytest_cronsession.outcomes import TargetError, UnsupportedOperation
from pytest_cronsession.schemas import message_problem
from pytest_cronsession.targets.openclaw import config, instance, process
from pytest_cronsession.targets.openclaw.gateway import OpenClawGateway
from pytest_cronsession.targets.openclaw.package import Package

FAKE = Path(__file__).with_name("fake_openclaw.py")
YEARLY = {"kind": "cron", "expr": "0 0 1 1 *", "tz": "UTC"}
JOB = {
    "name": "report",
    "schedule": YEARLY,
    "session": {"target": "isolated"},
    "payload": {"kind": "agentTurn", "text": "hello"},
}


def start_params(state: Path, **wanted: Any) -> dict[str, Any]:
    return {
        "nowMs": 5_000,
        "stateDir": str(state),
        "modelUrl": "http://127.0.0.1:1/v1",
        "token": "secret",
        "hostZone": "America/Denver",
        "config": wanted,
        "model": InProcessModel(Script()),
    }


# --- the process --------------------------------------------------------------------------------------------
def write_store(state: Path, agent: str, rows: list[tuple[str, str, int, int]]) -> None:
    path = state / "agents" / agent / "agent" / "openclaw-agent.sqlite"
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as db:
        db.execute(
            "create table session_nodes (session_key, current_session_id, updated_at, entry_valid, archived_at)"
        )
        db.executemany(
            "insert into session_nodes (session_key, current_session_id, updated_at, entry_valid) values (?, ?, ?, ?)",
            rows,
        )
        db.commit()


def make_package(root: Path, version: str = "2026.9.6", name: str = "openclaw") -> Path:
    root.mkdir(parents=True)
    (root / "package.json").write_text(json.dumps({"name": name, "version": version}))
    (root / "openclaw.mjs").write_text("")
    return root


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    monkeypatch.setattr(config, "_SHARED_TMP", tmp_path)
    root = make_package(tmp_path / "package")
    shutil.copy(FAKE, root / "openclaw.mjs")
    return Package(root, "2026.9.6", Path(sys.executable))


@pytest.fixture
def alive(fake: Package) -> Iterator[Callable[[], bool]]:
    """Says whether the fake gateway or its child is still there, once the end had time to arrive."""
    fifo = fake.root / "alive"
    os.mkfifo(fifo)
    end = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)

    def anyone() -> bool:
        ready, _, _ = select.select([end], [], [], 10)
        return not (ready and os.read(end, 1) == b"")

    yield anyone
    os.close(end)


def use(pack: Package, state: Path, *calls: tuple[str, Any], end: str = "gateway_stop") -> list[Any]:
    """Start the gateway, call its methods in turn, end it; returns the answers."""

    async def play() -> list[Any]:
        gateway = OpenClawGateway(package=pack)
        try:
            await gateway.gateway_start(start_params(state))
            answers = []
            for name, params in calls:
                answer = getattr(gateway, name)(params)
                answers.append(await answer if asyncio.iscoroutine(answer) else answer)
            return answers
        finally:
            await getattr(gateway, end)({})

    return asyncio.run(play())


def mode(pack: Package, word: str) -> None:
    (pack.root / "mode").write_text(word)


def test_hello(fake: Package) -> None:
    said = OpenClawGateway(package=fake).initialize({"protocol": 1, "specRevision": 1})
    assert message_problem("initialize", "result", said) is None
    hello = Hello.parse(said)
    assert not hello.realtime
    assert "receipts" not in hello.capabilities
    assert "sessionKey" not in hello.policies


@pytest.mark.parametrize(
    ("word", "reply", "failure"), [("", True, None), ("busy", True, None), ("broken", False, "no model")]
)
def test_a_human_turn(fake: Package, tmp_path: Path, word: str, reply: bool, failure: str | None) -> None:
    mode(fake, word)
    wish = {"session": {"target": "named", "name": "abc"}, "text": "hi"}
    (sent,) = use(fake, tmp_path / "s", ("session_send", wish))
    assert (sent["reply"] is not None) == reply
    assert sent.get("failure") == failure


def test_operations(fake: Package, tmp_path: Path) -> None:
    write_store(tmp_path / "s" / "state", "main", [("agent:main:abc", "s1", 10, 1)])
    added, listed, changed, stale, refused, agent, gone, removed, again, jobs = use(
        fake,
        tmp_path / "s",
        ("job_add", {"job": JOB}),
        ("job_list", {}),
        ("job_update", {"id": "job1", "patch": {"session": {"target": "named", "name": "x"}}}),
        ("job_update", {"id": "job1", "patch": {"name": "y"}, "expectedRevision": "stale"}),
        ("job_add", {"job": {**JOB, "session": {"target": "named"}}}),
        ("job_add", {"job": {**JOB, "agent": "nobody"}}),
        ("job_update", {"id": "none", "patch": {"name": "y"}}),
        ("job_remove", {"id": "job1"}),
        ("job_remove", {"id": "job1"}),
        ("job_list", {}),
    )
    assert added["job"]["id"] == "job1"
    assert [j["id"] for j in listed["jobs"]] == ["job1"]
    assert changed["job"]["session"] == {"target": "named", "name": "x"}
    assert stale["rejected"]["field"] == "expectedRevision"
    assert refused["rejected"]["field"] == "session.name"
    assert agent["rejected"]["field"] == "agent"
    assert gone["rejected"]["field"] == "id"
    assert (removed, again) == ({"removed": True}, {"removed": False})
    assert jobs == {"jobs": []}


def test_runs_and_sessions(fake: Package, tmp_path: Path) -> None:
    write_store(tmp_path / "s" / "state", "main", [("agent:main:abc", "s1", 10, 1)])
    _, started, due, unknown, listed, since, cancelled, other, rows, sent = use(
        fake,
        tmp_path / "s",
        ("job_add", {"job": JOB}),
        ("job_trigger", {"id": "job1", "mode": "force"}),
        ("job_trigger", {"id": "job1", "mode": "due"}),
        ("job_trigger", {"id": "none", "mode": "force"}),
        ("run_list", {}),
        ("run_list", {"sinceMs": 1500}),
        ("run_cancel", {"id": "manual:job1:1990:2"}),
        ("run_cancel", {"id": "none"}),
        ("session_list", {}),
        ("session_send", {"session": {"target": "named", "name": "ABC"}, "text": "hi"}),
    )
    assert started == {"started": True, "runId": "manual:job1:1000:1", "reason": None}
    assert due == {"started": False, "runId": None, "reason": "not-due"}
    assert unknown["started"] is False
    assert {(r["id"], r["status"]) for r in listed["runs"]} == {
        ("manual:job1:1000:1", "ok"),
        ("manual:job1:1990:2", "running"),
    }
    assert [r["id"] for r in since["runs"]] == ["manual:job1:1990:2"]
    assert (cancelled, other) == ({"cancelled": True}, {"cancelled": False})
    assert [r["key"] for r in rows["sessions"]] == ["agent:main:abc"]
    assert sent == {"sessionKey": "agent:main:abc", "sessionId": "s1", "reply": "chat agent:main:ABC"}


def test_more_writes_than_one_connection_may(fake: Package, tmp_path: Path) -> None:
    answers = use(fake, tmp_path / "s", *[("job_add", {"job": JOB})] * 5)
    assert [a["job"]["id"] for a in answers] == [f"job{n}" for n in range(1, 6)]


def test_words_that_openclaw_does_not_have(fake: Package, tmp_path: Path) -> None:
    mode_wish = {**JOB, "session": {"target": "isolated", "mode": "shared"}}
    with pytest.raises(UnsupportedOperation, match=r"no word for session\.mode"):
        use(fake, tmp_path / "s", ("job_add", {"job": mode_wish}))
    with pytest.raises(UnsupportedOperation, match="no human turns in the session of target isolated"):
        use(fake, tmp_path / "t", ("session_send", {"session": {"target": "isolated"}, "text": "hi"}))


@pytest.mark.parametrize("end", ["gateway_stop", "gateway_abandon"])
def test_jobs_survive_and_nobody_is_left(
    fake: Package, tmp_path: Path, alive: Callable[[], bool], end: str
) -> None:
    use(fake, tmp_path / "s", ("job_add", {"job": JOB}), end=end)
    assert not alive()
    (listed,) = use(fake, tmp_path / "s", ("job_list", {}))
    assert [j["id"] for j in listed["jobs"]] == ["job1"]
    assert not alive()


def test_a_gateway_that_does_not_stop_is_killed(
    fake: Package, tmp_path: Path, alive: Callable[[], bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instance, "STOP_S", 0.2)
    mode(fake, "stubborn")
    use(fake, tmp_path / "s")
    assert not alive()


def test_a_gateway_that_still_starts_is_waited_for(fake: Package, tmp_path: Path) -> None:
    mode(fake, "starting")
    assert use(fake, tmp_path / "s", ("job_list", {})) == [{"jobs": []}]


def test_a_job_that_a_crash_interrupted_is_waited_for(fake: Package, tmp_path: Path) -> None:
    use(fake, tmp_path / "s", ("job_add", {"job": JOB}))
    mode(fake, "repair")
    (found,) = use(fake, tmp_path / "s", ("_jobs", "job/list"))
    assert [job["state"] for job in found if job["id"] == "job1"] == [{}]


def test_a_job_that_stays_running_is_left_to_the_suite(
    fake: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instance, "REPAIR_S", 0.1)
    use(fake, tmp_path / "s", ("job_add", {"job": JOB}))
    mode(fake, "repair")
    (found,) = use(fake, tmp_path / "s", ("_jobs", "job/list"))
    assert [job["state"] for job in found if job["id"] == "job1"] == [{"runningAtMs": 1000}]


def test_a_taken_port_is_left_for_another(fake: Package, tmp_path: Path) -> None:
    mode(fake, "port")
    assert use(fake, tmp_path / "s", ("job_list", {})) == [{"jobs": []}]
    assert (fake.root / "tried").exists()


def test_boot_failure_says_how_it_ended_and_what_it_printed(fake: Package, tmp_path: Path) -> None:
    mode(fake, "refuse")
    with pytest.raises(TargetError) as caught:
        use(fake, tmp_path / "s")
    assert caught.value.operation == "gateway/start"
    assert "OpenClaw 2026.9.6 is not there; the process ended with code 78" in str(caught.value)
    assert caught.value.log.endswith("Config invalid: no such key")


def test_a_node_that_cannot_run(tmp_path: Path, fake: Package) -> None:
    broken = Package(fake.root, "2026.9.6", tmp_path / "no-node")
    with pytest.raises(TargetError, match=r"gateway/start: OpenClaw cannot be started: .*no-node"):
        use(broken, tmp_path / "s")


def test_a_gateway_that_dies_is_named_with_its_last_words(fake: Package, tmp_path: Path) -> None:
    with pytest.raises(TargetError) as caught:
        use(fake, tmp_path / "s", ("job_add", {"job": {**JOB, "name": "die"}}))
    assert caught.value.operation == "job/add"
    assert "ended with code 3" in str(caught.value)
    assert "about to die" in caught.value.log


def test_nothing_is_asked_of_a_gateway_that_is_not_there(fake: Package) -> None:
    gateway = OpenClawGateway(package=fake)
    with pytest.raises(TargetError, match="job/list: the gateway is not running"):
        asyncio.run(gateway.job_list({}))
    assert asyncio.run(gateway.gateway_stop({})) == {}
    assert asyncio.run(gateway.gateway_abandon({})) == {}


@pytest.mark.parametrize("end", ["sys.exit(0)", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_the_group_ends_with_the_python_that_started_it(
    fake: Package, alive: Callable[[], bool], end: str
) -> None:
    os.mkfifo(fake.root / "up")
    held = f"f = open({str(fake.root / 'alive')!r}, 'w'); open({str(fake.root / 'up')!r}, 'w').write('x'); "
    program = "\n".join(
        [
            "import os, signal, sys",
            "from pathlib import Path",
            "from pytest_cronsession.targets.openclaw.process import ProcessGroup",
            f"root = Path({str(fake.root)!r})",
            f"child = {held + 'import time; time.sleep(600)'!r}",
            "process = ProcessGroup([sys.executable, '-c', child], dict(os.environ), root, root / 'log')",
            "os.read(os.open(root / 'up', os.O_RDONLY), 1)",
            end,
        ]
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[2])
    assert done.returncode in (0, -signal.SIGKILL)
    assert not alive()


def test_the_log_tail_is_this_process_own(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("an earlier life\n")

    async def once() -> str:
        child = process.ProcessGroup(
            [sys.executable, "-c", "print('\\x1b[31mred\\x1b[0m')"], dict(os.environ), tmp_path, log
        )
        while child.exit_code is None:
            await asyncio.sleep(0)
        child.kill()
        return child.tail()

    assert asyncio.run(once()) == "red"
