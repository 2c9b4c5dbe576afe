"""The command for people, as a child process: the report's own steps, the doctor, refusals."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from cronsession_reference.cli import main
from cronsession_reference.store import Notice, SqliteStore

REFERENCE = Path(__file__).parents[2] / "reference"
BLOCK = {"mode": "enforce", "pruneAfter": "14d", "maxEntries": 400, "maxDiskBytes": "500mb"}
JOB = ("--every", "15m", "--message", "hi")


class Command:
    """``cronsession-gateway`` on a state folder of its own; in this process, or as a child."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.config = folder / "config.json"
        self.capsys = capsys
        self.child = False
        paths = {"PYTHONPATH": str(REFERENCE), "PYTHONDONTWRITEBYTECODE": "1"}
        self.environment = {**os.environ, **paths, "CRONSESSION_STATE_DIR": str(folder), "TZ": "UTC"}

    def run(self, *arguments: str) -> tuple[int, str, str]:
        if not self.child:
            code = main(arguments)
            return (code, *self.capsys.readouterr())
        program = [sys.executable, "-m", "cronsession_reference.cli", *arguments]
        done = subprocess.run(
            program, env=self.environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout, done.stderr

    def __call__(self, *arguments: str) -> str:
        code, out, errors = self.run(*arguments)
        assert (code, errors) == (0, ""), (code, out, errors)
        return out

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "--json"))

    def refused(self, *arguments: str, code: int = 2) -> str:
        """What the one line on standard error says."""
        found, out, errors = self.run(*arguments)
        assert (found, out) == (code, "")
        assert errors.startswith("error: ")
        assert errors.count("\n") == 1
        return errors


@pytest.fixture
def command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Command]:
    made = Command(tmp_path / "state", capsys)
    monkeypatch.setenv("CRONSESSION_STATE_DIR", str(made.folder))
    monkeypatch.setenv("TZ", "UTC")
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield made
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def model() -> Iterator[tuple[str, list[Any]]]:
    requests: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: Any) -> None: ...

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            requests.append(body["messages"])
            reply = {"role": "assistant", "content": f"OK {len(requests)}"}
            content = json.dumps({"choices": [{"message": reply}]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", requests
        server.shutdown()
        thread.join()


def test_the_report_step_by_step(command: Command, model: tuple[str, list[Any]]) -> None:
    url, requests = model
    command.child = True
    command.environment["CRONSESSION_MODEL_TOKEN"] = "t"
    schedule = ("--cron", "0 0 1 1 *", "--tz", "America/Denver")
    key = "agent:main:my-shared-key"
    job = json.loads(
        command(
            *("cron", "add", "--agent", "main", "--name", "session-key test", *schedule),
            *("--session-key", key, "--message", "Reply OK only.", "--no-deliver", "--json"),
        )
    )
    assert job["session"]["key"] == key
    assert job["resolved"]["sessionKey"] == key
    for number in (1, 2):
        final = ("--expect-final", "--timeout", "60000", "--json")
        answer = json.loads(command("--model-url", url, "cron", "run", job["id"], *final))
        assert (answer["ok"], answer["reply"]) == (True, f"OK {number}")
        assert answer["run"]["sessionKey"] == key
    rows = command.json("sessions")["sessions"]
    assert [row["key"] for row in rows] == [key]
    assert requests[1] == [
        {"role": "user", "content": "Reply OK only."},
        {"role": "assistant", "content": "OK 1"},
        {"role": "user", "content": "Reply OK only."},
    ]
    edited = command.json("cron", "edit", job["id"], "--session-key", "other")
    assert edited["resolved"]["sessionKey"] == "agent:main:other"
    assert edited["nextRunAtMs"] == job["nextRunAtMs"]


def test_bad_input_to_a_child_is_one_line(command: Command) -> None:
    command.child = True
    command.refused("cron", "add", "--at", "someday", "--message", "x")


def test_a_target_and_a_key_that_differ_are_refused(command: Command) -> None:
    said = command.refused("cron", "add", "--session", "session:a", "--session-key", "agent:main:b", *JOB)
    assert "session.key" in said
    assert "--session isolated with --session-key agent:main:b" in said
    assert command.json("cron", "list") == {"jobs": []}
    job = command.json("cron", "add", "--session", "session:a", *JOB)
    assert "session.key" in command.refused("cron", "edit", job["id"], "--session-key", "b")
    assert command.json("cron", "list")["jobs"] == [job]


def test_an_unused_key_is_reported(command: Command) -> None:
    command.folder.mkdir()
    command.config.write_text(json.dumps({"policies": {"sessionKey": "report"}}))
    job = command.json("cron", "add", "--session", "isolated", "--session-key", "k", *JOB)
    assert [entry["field"] for entry in job["unused"]] == ["session.key"]
    assert "unused" in command("cron", "edit", job["id"], "--name", "n")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((*JOB,), {"target": "isolated"}),
        (("--session", "main", "--every", "15m", "--system-event", "x"), {"target": "main"}),
        (("--every", "15m", "--system-event", "x"), {"target": "main"}),
        (("--session", "current", *JOB), {"target": "isolated"}),
        (("--session", "session:a/b: ß", *JOB), {"target": "named", "name": "a/b: ß"}),
        (
            ("--session", "isolated", "--session-mode", "shared", *JOB),
            {"target": "isolated", "mode": "shared"},
        ),
    ],
)
def test_every_kind_of_session_can_be_asked_for(
    command: Command, arguments: tuple[str, ...], expected: dict[str, str]
) -> None:
    assert command.json("cron", "add", *arguments)["session"] == expected


def test_flags_reach_the_job_and_edits_keep_the_rest(command: Command) -> None:
    job = command.json(
        *("cron", "add", "--name", "n", "--at", "2099-01-01T08:00:00", "--tz", "Europe/Berlin"),
        *("--message", "m", "--timeout-seconds", "2.5", "--delete-after-run", "--disabled"),
    )
    assert job["schedule"] == {"kind": "at", "atMs": 4_070_934_000_000}
    assert (job["timeoutMs"], job["deleteAfterRun"], job["enabled"]) == (2500, True, False)
    assert job["nextRunAtMs"] is None
    edited = command.json(
        "cron", "edit", job["id"][:8], "--enabled", "--no-timeout", "--expect-revision", "1"
    )
    assert edited == {
        **{name: value for name, value in job.items() if name not in ("timeoutMs", "disabledBy")},
        "enabled": True,
        "revision": 2,
        "nextRunAtMs": 4_070_934_000_000,
    }
    assert "revision 2" in command.refused("cron", "edit", job["id"], "--name", "x", "--expect-revision", "1")


def test_runs_are_recorded_and_jobs_removed(command: Command) -> None:
    job = command.json("cron", "add", *JOB)
    assert command("cron", "run", job["id"]).startswith("run ")
    code, out, _ = command.run("cron", "run", job["id"], "--due", "--json")
    assert (code, json.loads(out)["reason"]) == (1, "no slot of the job is due")
    (run,) = command.json("cron", "runs", job["id"])["runs"]
    assert (run["status"], run["trigger"]) == ("ok", "manual")
    assert command.json("cron", "rm", job["id"]) == {"id": job["id"], "removed": True}
    assert "there is no job" in command.refused("cron", "rm", job["id"])
    assert len(command.json("cron", "runs", job["id"])["runs"]) == 1


def test_tables_are_for_people(command: Command) -> None:
    assert command("cron", "list") == "no jobs\n"
    job = command.json("cron", "add", "--name", "report", *JOB)
    command("cron", "run", job["id"])
    listed = command("cron", "list").splitlines()
    assert listed[0].split() == ["ID", "NAME", "AGENT", "SCHEDULE", "SESSION", "NEXT", "RUN"]
    assert listed[1].startswith(f"{job['id'][:8]}  report  main   every 15m")
    assert "receipt" in command("sessions")
    assert "ok" in command("cron", "runs")


def test_cleanup_says_what_it_does(command: Command) -> None:
    command.folder.mkdir()
    command.config.write_text(json.dumps({"session": {"maintenance": {"mode": "enforce", "maxEntries": 9}}}))
    job = command.json("cron", "add", *JOB)
    for _ in range(3):
        command("cron", "run", job["id"])
    command.config.write_text(json.dumps({"session": {"maintenance": {"mode": "enforce", "maxEntries": 1}}}))
    said = command.json("sessions", "cleanup", "--dry-run")
    assert (said["before"], said["after"], len(said["maintained"])) == (3, 1, 2)
    assert command.json("sessions")["count"] == 3
    done = command.json("sessions", "cleanup")
    assert done == {**said, "dryRun": False}
    assert command.json("sessions")["count"] == 1
    assert len(list((command.folder / "sessions").iterdir())) == 1


def test_the_doctor_finds_and_mends_a_missing_block(command: Command) -> None:
    command.folder.mkdir()
    before = {"agents": ["main", "b"], "session": {}, "cron": {"sessionRetention": "12h"}}
    command.config.write_text(json.dumps(before))
    code, out, _ = command.run("doctor")
    assert code == 1
    assert "session.maintenance" in out
    assert json.loads(command.config.read_text()) == before
    command("doctor", "--fix")
    assert json.loads(command.config.read_text()) == {**before, "session": {"maintenance": BLOCK}}
    written = command.config.stat().st_mtime_ns
    assert command.json("doctor", "--fix") == {"ok": True, "findings": [], "fixed": []}
    assert command.config.stat().st_mtime_ns == written
    assert command("doctor") == "no problems found\n"


def test_the_doctor_works_without_a_file(command: Command) -> None:
    code, out, _ = command.run("doctor", "--json")
    assert (code, json.loads(out)["ok"]) == (1, False)
    command("doctor", "--fix")
    assert json.loads(command.config.read_text()) == {"session": {"maintenance": BLOCK}}


@pytest.mark.parametrize("words", [("doctor",), ("doctor", "--fix"), ("sessions",), ("cron", "list")])
def test_a_misplaced_block_is_refused_by_name(command: Command, words: tuple[str, ...]) -> None:
    command.folder.mkdir()
    content = json.dumps({"tools": {"sessions": {"maintenance": BLOCK}}})
    command.config.write_text(content)
    assert 'tools.sessions: is not read; move the block to "session"' in command.refused(*words)
    assert command.config.read_text() == content


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("cron", "add"), "schedule"),
        (("cron", "add", "--every", "15m"), "payload"),
        (("cron", "add", "--every", "15", "--message", "x"), "--every"),
        (("cron", "add", "--every", "15m", "--tz", "UTC", "--message", "x"), "--tz"),
        (("cron", "add", "--cron", "61 * * * *", "--message", "x"), "schedule.expr"),
        (("cron", "add", "--cron", "0 0 30 2 *", "--message", "x"), "schedule.expr"),
        (("cron", "add", "--cron", "* * * * *", "--tz", "Mars/Base", "--message", "x"), "schedule.tz"),
        (("cron", "add", "--at", "2020-01-01T00:00:00Z", "--message", "x"), "in the past"),
        (("cron", "add", "--at", "someday", "--message", "x"), "--at"),
        (("cron", "add", "--at", "2099-01-01T00:00:00Z", "--tz", "UTC", "--message", "x"), "--tz"),
        (("cron", "add", "--session", "elsewhere", *JOB), "session:NAME"),
        (("cron", "add", "--session", "main", *JOB), "payload.kind"),
        (("cron", "add", "--agent", "nobody", *JOB), "known: main"),
        (("cron", "add", "--session-key", "agent:other:k", *JOB), "'other'"),
        (("cron", "add", "--timeout-seconds", "-1", *JOB), "--timeout-seconds"),
        (("cron", "add", "--cron", "* * * * *", *JOB), "not allowed with"),
        (("cron", "edit", "nope", "--name", "x"), "nope"),
        (("cron", "run", "nope"), "nope"),
        (("cron", "dance"), "dance"),
        (("cron",), "COMMAND"),
        ((), "COMMAND"),
        (("serve", "--policy", "keyCase=fold"), "--stdio"),
        (("serve", "--stdio", "--policy", "keyCase=odd"), "fold, preserve"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_two(
    command: Command, arguments: tuple[str, ...], says: str
) -> None:
    assert says in command.refused(*arguments)


def test_a_broken_store_is_a_failure_and_is_left_alone(command: Command) -> None:
    command.child = True
    command.folder.mkdir()
    database = command.folder / "gateway.db"
    database.write_bytes(b"precious" * 1000)
    assert "gateway.db" in command.refused("cron", "list", code=1)
    assert "gateway.db" in command.refused("doctor", code=1)
    assert database.read_bytes() == b"precious" * 1000


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Look again and again; each look takes its time, for it starts a program."""
    for _ in range(60):
        if condition():
            return
        assert process.poll() is None, process.communicate()
    raise AssertionError("it did not happen")


def test_a_daemon_runs_what_another_process_adds(command: Command) -> None:
    command.child = True
    program = [sys.executable, "-m", "cronsession_reference.cli", "serve"]
    daemon = subprocess.Popen(program, env=command.environment, stderr=subprocess.PIPE, text=True)
    try:
        assert daemon.stderr is not None
        assert "serving" in daemon.stderr.readline()
        once = command.json("cron", "add", "--at", "300ms", "--message", "hi")
        often = command.json("cron", "add", "--every", "1s", "--message", "hi", "--session", "session:s")
        wait_until(lambda: len(command.json("cron", "runs", often["id"])["runs"]) >= 2, daemon)
        (run,) = command.json("cron", "runs", once["id"])["runs"]
        assert (run["status"], run["trigger"]) == ("ok", "schedule")
        assert command.json("cron", "rm", often["id"])["removed"]
    finally:
        daemon.terminate()
        _, errors = daemon.communicate(timeout=20)
    assert daemon.returncode == 0
    assert "Traceback" not in errors
    assert list((command.folder / "instances").iterdir()) == []


def test_what_a_job_does_about_failures_and_missed_slots_has_flags(command: Command) -> None:
    job = command.json(
        *("cron", "add", *JOB, "--retries", "2", "--retry-wait", "10s", "--retry-wait", "1m"),
        *("--max-failures", "4", "--catch-up", "all", "--max-lateness", "6h"),
    )
    assert job["retry"] == {"maxRetries": 2, "backoffMs": [10_000, 60_000]}
    assert job["maxFailures"] == 4
    assert job["catchUp"] == {"policy": "all", "maxLatenessMs": 6 * 3_600_000}
    for wrong, field in (("--retry-wait", "1s"), ("--max-lateness", "1h")):
        code, _, errors = command.run("cron", "edit", job["id"], wrong, field)
        assert code == 2
        assert wrong in errors


def test_people_are_told_what_needs_them(command: Command) -> None:
    job = command.json("cron", "add", *JOB)
    store = SqliteStore(command.folder / "gateway.db")
    reason = "4 runs in a row failed, the last one because: no such model"
    stored = store.job(job["id"])
    assert stored is not None
    off = replace(stored, enabled=False, next_run_ms=None, disabled_by="failures", disabled_reason=reason)
    store.put_job(off)
    store.add_notice(Notice(5, "autoDisabled", reason, job["id"]), 10)
    store._sql("INSERT INTO jobs (id, body) VALUES ('broken', '{')")
    store.close()
    assert command.json("cron", "notices")["notices"][0]["text"] == reason
    assert reason in command("cron", "notices")
    assert f"disabled: {reason}" in command("cron", "list")
    code, out, _ = command.run("doctor")
    assert code == 1
    assert reason in out
    assert "job broken: cannot be read" in out
    assert command.json("cron", "rm", "broken") == {"id": "broken", "removed": True}


def test_the_doctor_makes_the_state_private(command: Command) -> None:
    command("doctor", "--fix")
    command.json("cron", "add", *JOB)
    database = command.folder / "gateway.db"
    database.chmod(0o644)
    command.folder.chmod(0o755)
    code, out, _ = command.run("doctor")
    assert code == 1
    assert f"{command.folder}: and 1 more can be read by other users" in out
    assert f"made private: {database}" in command("doctor", "--fix")
    assert (database.stat().st_mode & 0o777, command.folder.stat().st_mode & 0o777) == (0o600, 0o700)
    assert command("doctor") == "no problems found\n"
