"""Neutral jobs, runs and session rows, and OpenClaw's."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_cronsession.schemas import message_problem
from pytest_cronsession.targets.openclaw import mapping, runs, store
from pytest_cronsession.targets.openclaw.store import session_rows

YEARLY = {"kind": "cron", "expr": "0 0 1 1 *", "tz": "UTC"}
JOB = {
    "name": "report",
    "schedule": YEARLY,
    "session": {"target": "isolated"},
    "payload": {"kind": "agentTurn", "text": "hello"},
}


# --- to OpenClaw --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wish", "target", "key", "delivery"),
    [
        ({"target": "isolated"}, "isolated", None, "none"),
        ({"target": "isolated", "key": "agent:main:k"}, "isolated", "agent:main:k", "none"),
        ({"target": "isolated", "key": "  Plain "}, "isolated", "  Plain ", "none"),
        ({"target": "named", "name": "abc"}, "session:abc", None, "none"),
        ({"target": "named", "name": " A/b "}, "session: A/b ", None, "none"),
        ({"target": "named"}, "session:", None, "none"),
        ({"target": "named", "name": "one", "key": "two"}, "session:one", "two", "none"),
        ({"target": "main", "key": "other"}, "main", "other", "none"),
        ({"target": "current"}, "current", "agent:main:calling", "announce"),
        ({"target": "bogus"}, "bogus", None, "none"),
    ],
)
def test_wish_goes_to_openclaw_as_it_is(
    wish: dict[str, str], target: str, key: str | None, delivery: str
) -> None:
    mapped = mapping.to_session(wish, "agent:main:calling")
    assert mapped["sessionTarget"] == target
    assert mapped.get("sessionKey") == key
    assert mapped["delivery"] == {"mode": delivery}


def test_session_mode_is_not_guessed() -> None:
    with pytest.raises(mapping.Inexpressible, match=r"session\.mode"):
        mapping.to_session({"target": "isolated", "mode": "shared"}, None)


@pytest.mark.parametrize(
    ("wish", "key"),
    [
        ({"target": "named", "name": " abc "}, "agent:ops:abc"),
        ({"target": "named", "name": "agent:work:abc"}, "agent:work:abc"),
        ({"target": "main"}, "agent:ops:main"),
        ({"target": "isolated", "key": "k"}, "agent:ops:k"),
    ],
)
def test_key_of_a_wish(wish: dict[str, str], key: str) -> None:
    assert mapping.session_key(wish, "ops") == key


@pytest.mark.parametrize("target", ["isolated", "current"])
def test_a_wish_without_a_session_has_no_key(target: str) -> None:
    with pytest.raises(mapping.Inexpressible):
        mapping.session_key({"target": target}, "ops")


def test_add_maps_every_member() -> None:
    job = {**JOB, "agent": "ops", "enabled": False, "timeoutMs": 1500, "deleteAfterRun": False}
    assert mapping.to_add(job, None, "main") == {
        "name": "report",
        "agentId": "ops",
        "enabled": False,
        "deleteAfterRun": False,
        "wakeMode": "now",
        "schedule": {**YEARLY, "staggerMs": 0},
        "payload": {"kind": "agentTurn", "message": "hello", "timeoutSeconds": 1.5},
        "sessionTarget": "isolated",
        "delivery": {"mode": "none"},
    }


def test_add_leaves_out_what_was_not_asked_for() -> None:
    added = mapping.to_add(JOB, None, "main")
    assert added["agentId"] == "main", "among several agents 2026.9.6 has no default one"
    assert not added.keys() & {"enabled", "deleteAfterRun", "sessionKey"}
    assert "timeoutSeconds" not in added["payload"]


def test_the_calling_session_is_the_key_of_target_current_only() -> None:
    calling = {"session": {"target": "named", "name": "talk"}}
    current = mapping.to_add({**JOB, "session": {"target": "current"}, "agent": "ops"}, calling, "main")
    assert current["sessionKey"] == "agent:ops:talk"
    assert "sessionKey" not in mapping.to_add(JOB, calling, "main")


def test_a_stagger_is_passed_on() -> None:
    assert mapping.to_schedule({**YEARLY, "staggerMs": 7})["staggerMs"] == 7


@pytest.mark.parametrize(
    ("instant", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_795_344_283_519, "2026-11-22T10:44:43.519Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        (253_402_300_800_000, "+010000-01-01T00:00:00.000Z"),
        (8_640_000_000_000_000, "+275760-09-13T00:00:00.000Z"),
    ],
)
def test_instants_as_javascript_writes_them(instant: int, text: str) -> None:
    assert mapping.to_schedule({"kind": "at", "atMs": instant}) == {"kind": "at", "at": text}


@given(st.integers(0, 253_402_300_799_999))
def test_one_shot_comes_back(instant: int) -> None:
    schedule = {"kind": "at", "atMs": instant}
    assert mapping.from_schedule(mapping.to_schedule(schedule)) == schedule


@pytest.mark.parametrize(
    ("patch", "changed"),
    [
        ({"name": "n"}, {"name": "n"}),
        ({"agent": "ops"}, {"agentId": "ops"}),
        ({"enabled": False}, {"enabled": False}),
        ({"timeoutMs": None}, {"payload": {"kind": "agentTurn", "timeoutSeconds": None}}),
        ({"timeoutMs": 2000}, {"payload": {"kind": "agentTurn", "timeoutSeconds": 2}}),
        ({"deleteAfterRun": None}, {"deleteAfterRun": False}),
        ({"deleteAfterRun": True}, {"deleteAfterRun": True}),
        (
            {"deleteAfterRun": None, "schedule": {"kind": "at", "atMs": 0}},
            {"deleteAfterRun": True, "schedule": {"kind": "at", "at": "1970-01-01T00:00:00.000Z"}},
        ),
        (
            {"payload": {"kind": "systemEvent", "text": "x"}, "timeoutMs": 3000},
            {"payload": {"kind": "systemEvent", "text": "x", "timeoutSeconds": 3}},
        ),
        (
            {"session": {"target": "named", "name": "b"}},
            {"sessionTarget": "session:b", "sessionKey": None, "delivery": {"mode": "none"}},
        ),
    ],
)
def test_patch(patch: dict[str, Any], changed: dict[str, Any]) -> None:
    stored = {"payload": {"kind": "agentTurn"}, "schedule": {"kind": "cron"}}
    assert mapping.to_patch(patch, stored) == changed


# --- from OpenClaw ------------------------------------------------------------------------------------------

STORED = {
    "id": "j1",
    "name": "report",
    "agentId": "ops",
    "enabled": True,
    "deleteAfterRun": True,
    "schedule": {"kind": "at", "at": "2026-11-22T10:44:43.519Z"},
    "sessionTarget": "isolated",
    "sessionKey": "agent:ops:k",
    "payload": {"kind": "agentTurn", "message": "hello", "timeoutSeconds": 1.5, "toolsAllow": ["*"]},
    "configRevision": "sha256:x",
    "state": {"nextRunAtMs": 1_795_344_283_519},
}


def test_stored_job_comes_back_in_neutral_words() -> None:
    job = mapping.from_job(STORED)
    assert job == {
        "id": "j1",
        "name": "report",
        "agent": "ops",
        "enabled": True,
        "deleteAfterRun": True,
        "timeoutMs": 1500,
        "schedule": {"kind": "at", "atMs": 1_795_344_283_519},
        "session": {"target": "isolated", "key": "agent:ops:k"},
        "payload": {"kind": "agentTurn", "text": "hello"},
        "nextRunAtMs": 1_795_344_283_519,
        "revision": "sha256:x",
    }
    assert message_problem("job/add", "result", {"job": job}) is None


def test_a_disabled_job_has_no_next_run() -> None:
    assert mapping.from_job({**STORED, "enabled": False})["nextRunAtMs"] is None


@pytest.mark.parametrize(
    ("target", "wish"),
    [
        ("session:a/b", {"target": "named", "name": "a/b"}),
        ("main", {"target": "main"}),
        ("current", {"target": "current"}),
    ],
)
def test_target_comes_back(target: str, wish: dict[str, str]) -> None:
    assert mapping.from_session({"sessionTarget": target}) == wish


@pytest.mark.parametrize(
    ("job", "system"),
    [
        ({"declarationKey": "heartbeat:main"}, True),
        ({"payload": {"kind": "heartbeat"}}, True),
        ({"payload": {"kind": "agentTurn"}}, False),
    ],
)
def test_system_jobs(job: dict[str, Any], system: bool) -> None:
    assert mapping.is_system(job) is system


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ("invalid cron.add params: invalid cron sessionTarget session id", "session.name"),
        ('main cron jobs require payload.kind="systemEvent" or "script"', "session.target"),
        ("Error: cron job agent is unavailable: nope", "agent"),
        ("invalid cron.add params: CronPattern: Invalid value for minute: 61", "schedule"),
        ("schedule.at is in the past", "schedule"),
        ("invalid cron.update params: automation name is required", "name"),
        ("Automation not found: x", "id"),
        ("something else", "job"),
    ],
)
def test_field_at_fault_is_guessed(message: str, field: str) -> None:
    assert mapping.refusal(message) == {"rejected": {"field": field, "reason": message}}


# --- runs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        ("ok", None, "ok"),
        ("skipped", "model not reachable", "skipped"),
        ("error", "LLM request failed", "error"),
        ("error", "cron: job execution timed out (last phase: x)", "timeout"),
        ("error", "Cancelled by operator.", "cancelled"),
        ("error", "cron: job interrupted by gateway restart", "interrupted"),
        ("something new", None, "error"),
    ],
)
def test_status(status: str, error: str | None, expected: str) -> None:
    assert runs.status_of({"status": status, "error": error}) == expected


def ledger(status: str, started: int = 1000, run: str = "cron:j:1000:u:manual:j:990:1") -> dict[str, Any]:
    return {
        "runtime": "cron",
        "status": status,
        "sourceId": "j",
        "startedAt": started,
        "runId": run,
        "childSessionKey": "k",
    }


def ended(**more: Any) -> dict[str, Any]:
    return {"jobId": "j", "status": "ok", "runAtMs": 1000, "durationMs": 50, **more}


def test_a_running_run_keeps_its_id_when_it_ends() -> None:
    (running,) = runs.merge([], [ledger("running")], [])
    (done,) = runs.merge([ended(runId="manual:j:990:1")], [ledger("completed")], [])
    assert running["id"] == done["id"] == "manual:j:990:1"
    assert (running["status"], done["status"]) == ("running", "ok")
    assert running["trigger"] == "manual"
    assert done["endedAtMs"] == 1050
    assert message_problem("run/list", "result", {"runs": [running, done]}) is None


def test_a_scheduled_run_is_named_by_job_and_start() -> None:
    (running,) = runs.merge([], [ledger("running", run="cron:j:1000:u")], [])
    (done,) = runs.merge([ended()], [], [])
    assert running["id"] == done["id"] == "j:1000"
    assert "trigger" not in done


def test_an_interrupted_run_gets_its_id_back_from_the_ledger() -> None:
    entry = ended(status="error", error="cron: job interrupted by gateway restart")
    (run,) = runs.merge([entry], [ledger("lost")], [])
    assert (run["id"], run["status"], run["sessionKey"]) == ("manual:j:990:1", "interrupted", "k")


def test_a_run_ends_when_its_job_is_free() -> None:
    busy = {"id": "j", "state": {"runningAtMs": 1000}}
    free = {"id": "j", "state": {}}
    late = ended(status="error", error="cron: job execution timed out")
    assert [r["status"] for r in runs.merge([late], [], [busy])] == ["running"]
    assert [r["status"] for r in runs.merge([late], [], [free])] == ["timeout"]
    assert [r["status"] for r in runs.merge([ended()], [], [busy])] == ["ok"], "another one is under way"


def test_a_skipped_run_never_started() -> None:
    (run,) = runs.merge([ended(status="skipped")], [], [])
    assert run["startedAtMs"] is None


def test_a_skipped_run_of_a_free_job_has_ended() -> None:
    free = {"id": "j", "state": {"nextRunAtMs": 5}}
    (run,) = runs.merge([ended(status="skipped")], [], [free])
    assert (run["status"], run["endedAtMs"]) == ("skipped", 1050)


def test_runs_of_system_jobs_are_left_out() -> None:
    system = {"id": "j", "declarationKey": "heartbeat:main"}
    assert runs.merge([ended()], [ledger("running", started=5)], [system]) == []


def entry(status: str = "ok", started: int = 100, **more: Any) -> dict[str, Any]:
    return {"jobId": "j", "action": "finished", "status": status, "runAtMs": started, "durationMs": 0, **more}


def marked(started: int = 100) -> dict[str, Any]:
    return {"runtime": "cron", "status": "running", "sourceId": "j", "startedAt": started}


def test_runs_of_one_instant_are_numbered() -> None:
    history = [entry("ok"), entry("error")]
    first, second, third = runs.merge(history, [marked()], [{"id": "j", "state": {"runningAtMs": 100}}])
    assert [(r["id"], r["status"]) for r in (first, second, third)] == [
        ("j:100", "ok"),
        ("j:100#2", "error"),
        ("j:100#3", "running"),
    ]


def test_a_run_that_has_timed_out_and_still_occupies_its_job_is_one_running_run() -> None:
    late = entry("error", error="cron: job execution timed out")
    (found,) = runs.merge([late], [marked()], [{"id": "j", "state": {"runningAtMs": 100}}])
    assert (found["id"], found["status"]) == ("j:100", "running")


# --- session store ------------------------------------------------------------------------------------------


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


def test_rows_of_all_agents_with_receipts_and_without_tombstones_and_archives(tmp_path: Path) -> None:
    receipt = "agent:ops:cron:j1:run:s2"
    write_store(tmp_path, "main", [("agent:main:abc", "s1", 10, 1), ("agent:main:gone", "s9", 11, -1)])
    write_store(tmp_path, "ops", [("agent:ops:cron:j1", "s2", 20, 1), (receipt, "s2", 20, 0)])
    write_store(tmp_path, "old", [("agent:old:chat", "s3", 20, 1)])
    with closing(sqlite3.connect(store.database_of(tmp_path, "old"))) as db:
        db.execute("update session_nodes set archived_at = 21")
        db.commit()
    rows = session_rows(tmp_path)
    assert rows == [
        {"key": "agent:main:abc", "id": "s1", "agent": "main", "updatedAtMs": 10},
        {"key": "agent:ops:cron:j1", "id": "s2", "agent": "ops", "updatedAtMs": 20, "jobId": "j1"},
        {"key": receipt, "id": "s2", "agent": "ops", "updatedAtMs": 20, "jobId": "j1"},
    ]
    assert [r["agent"] for r in session_rows(tmp_path, since_ms=20)] == ["ops", "ops"]
    assert message_problem("session/list", "result", {"sessions": rows}) is None


def test_no_store_yet_means_no_rows(tmp_path: Path) -> None:
    assert session_rows(tmp_path) == []
