"""The session stores of both kinds, read and seeded: rows as they are, and aged rows in a stopped store."""

from __future__ import annotations

import json
import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pytest_cronsession.outcomes import TargetError, UnsupportedOperation
from pytest_cronsession.schemas import message_problem
from pytest_cronsession.targets.openclaw import (
    json_seeding,
    json_store,
    mapping,
    seeding,
    sqlite_seeding,
    store,
)
from pytest_cronsession.targets.openclaw.gateway import OpenClawGateway
from pytest_cronsession.targets.openclaw.package import Package
from pytest_cronsession.targets.openclaw.seeding import SeedRow, new_rows
from pytest_cronsession.targets.openclaw.store import StoreUnreadable

RECEIPT = "agent:ops:cron:j1:run:s2"

# --- JSON ---------------------------------------------------------------------------------------------------


def write_json(state: Path, agent: str, entries: Any) -> Path:
    path = state / "agents" / agent / "sessions" / "sessions.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(entries if isinstance(entries, str) else json.dumps(entries))
    return path


def test_rows_of_all_agents_with_receipts(tmp_path: Path) -> None:
    write_json(tmp_path, "main", {"agent:main:abc": {"sessionId": "s1", "updatedAt": 10, "label": "x"}})
    write_json(
        tmp_path,
        "ops",
        {
            "agent:ops:cron:j1": {"sessionId": "s2", "updatedAt": 20},
            RECEIPT: {"sessionId": "s2", "updatedAt": 20},
        },
    )
    rows = json_store.session_rows(tmp_path)
    assert rows == [
        {"key": "agent:main:abc", "id": "s1", "agent": "main", "updatedAtMs": 10},
        {"key": "agent:ops:cron:j1", "id": "s2", "agent": "ops", "updatedAtMs": 20, "jobId": "j1"},
        {"key": RECEIPT, "id": "s2", "agent": "ops", "updatedAtMs": 20, "jobId": "j1"},
    ]
    assert [r["agent"] for r in json_store.session_rows(tmp_path, since_ms=20)] == ["ops", "ops"]
    assert message_problem("session/list", "result", {"sessions": rows}) is None


def test_an_entry_without_id_or_age_is_a_row(tmp_path: Path) -> None:
    write_json(tmp_path, "main", {"agent:main:abc": {}, "agent:main:no": None})
    assert json_store.session_rows(tmp_path) == [
        {"key": "agent:main:abc", "id": "", "agent": "main", "updatedAtMs": 0}
    ]


def test_an_agent_without_a_store_has_no_rows(tmp_path: Path) -> None:
    assert json_store.session_rows(tmp_path) == []
    (tmp_path / "agents" / "main" / "sessions").mkdir(parents=True)
    assert json_store.session_rows(tmp_path) == []


@pytest.mark.parametrize("text", ["{", "[]", ""])
def test_a_store_that_stays_broken_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(json_store, "_PATIENCE_S", 0.0)
    path = write_json(tmp_path, "main", text)
    with pytest.raises(StoreUnreadable, match=str(path)):
        json_store.session_rows(tmp_path)


def test_a_store_that_is_away_while_it_is_locked_is_waited_for(tmp_path: Path) -> None:
    path = write_json(tmp_path, "main", {"agent:main:abc": {"sessionId": "s1", "updatedAt": 10}})
    away, lock = path.with_name("sessions.json.bak.1"), path.with_name("sessions.json.lock")
    lock.touch()
    path.rename(away)
    back = threading.Timer(0.05, lambda: away.rename(path))
    back.start()
    try:
        assert [r["id"] for r in json_store.session_rows(tmp_path)] == ["s1"]
    finally:
        back.join()


def test_a_store_that_is_replaced_all_the_time_is_never_read_in_part(tmp_path: Path) -> None:
    path = write_json(tmp_path, "main", {})
    versions = [
        {f"agent:main:k{n}": {"sessionId": "s", "updatedAt": 1} for n in range(size)} for size in (0, 500)
    ]
    stop = threading.Event()

    def replace() -> None:
        while not stop.is_set():
            for version in versions:
                part = path.with_suffix(".tmp")
                part.write_text(json.dumps(version))
                part.replace(path)

    writer = threading.Thread(target=replace)
    writer.start()
    try:
        assert {len(json_store.session_rows(tmp_path)) for _ in range(200)} <= {0, 500}
    finally:
        stop.set()
        writer.join()


# --- what is to be seeded -----------------------------------------------------------------------------------


def test_rows_to_be() -> None:
    ids = iter(["s1", "s2", "j2", "s3", "abcdefgh-9", "s5"])
    rows = new_rows(
        [
            {"receipt": True, "jobId": "j1", "updatedAtMs": 1},
            {"receipt": True, "agent": "ops", "updatedAtMs": 2},
            {"receipt": False, "session": {"target": "named", "name": " Abc "}, "updatedAtMs": 3},
            {"receipt": False, "updatedAtMs": 4},
            {"receipt": False, "session": {"target": "main"}, "updatedAtMs": 5},
        ],
        "main",
        lambda: next(ids),
    )
    assert rows == [
        SeedRow("agent:main:cron:j1:run:s1", "main", "s1", 1),
        SeedRow("agent:ops:cron:j2:run:s2", "ops", "s2", 2),
        SeedRow("agent:main:abc", "main", "s3", 3),
        SeedRow("agent:main:seeded-abcdefgh", "main", "abcdefgh-9", 4),
        SeedRow("agent:main:main", "main", "s5", 5),
    ]


def test_a_wish_without_a_session_is_not_seeded() -> None:
    with pytest.raises(mapping.Inexpressible):
        new_rows([{"receipt": False, "session": {"target": "isolated"}, "updatedAtMs": 1}], "main")


ROWS = [SeedRow(RECEIPT, "ops", "s2", 1_700_000_000_000), SeedRow("agent:main:abc", "main", "s9", 5)]


# --- seeding JSON -------------------------------------------------------------------------------------------


def test_json_rows_are_added_or_aged_with_a_transcript(tmp_path: Path) -> None:
    known = {"sessionId": "s1", "updatedAt": 99, "label": "x"}
    path = write_json(tmp_path, "main", {"agent:main:abc": known, "agent:main:other": {"sessionId": "s0"}})
    json_seeding.seed_rows(tmp_path, ROWS)
    assert json.loads(path.read_text()) == {
        "agent:main:abc": {**known, "updatedAt": 5},
        "agent:main:other": {"sessionId": "s0"},
    }
    assert [(r["key"], r["id"], r["updatedAtMs"]) for r in json_store.session_rows(tmp_path)] == [
        ("agent:main:abc", "s1", 5),
        ("agent:main:other", "s0", 0),
        (RECEIPT, "s2", 1_700_000_000_000),
    ]
    folder = tmp_path / "agents" / "ops" / "sessions"
    assert sorted(p.name for p in folder.iterdir()) == ["s2.jsonl", "sessions.json"]
    assert {stat.S_IMODE(p.stat().st_mode) for p in folder.iterdir()} == {0o600}
    lines = [json.loads(line) for line in (folder / "s2.jsonl").read_text().splitlines()]
    assert [line["type"] for line in lines] == ["session", "message", "message"]
    assert lines[0]["id"] == "s2"
    assert lines[0]["timestamp"] == "2023-11-14T22:13:20.000Z"
    assert lines[2]["parentId"] == lines[1]["id"]
    assert lines[2]["message"]["content"] == [{"type": "text", "text": seeding.TEXT}]


# --- seeding SQLite -----------------------------------------------------------------------------------------

# The columns that are written, with the triggers that mark a new or changed node as not yet checked.
SCHEMA = """
create table session_nodes (session_key text not null primary key, current_session_id text not null,
  entry_json text not null, entry_valid integer not null default 0, updated_at integer not null,
  created_at integer, last_interaction_at integer, last_activity_at integer, archived_at integer) strict;
create table session_windows (session_id text not null primary key, session_key text not null
  references session_nodes (session_key), reason text, created_at integer not null,
  updated_at integer not null) strict;
create trigger added after insert on session_nodes
begin update session_nodes set entry_valid = 0 where session_key = new.session_key; end;
create trigger changed after update of entry_json on session_nodes
begin update session_nodes set entry_valid = 0 where session_key = new.session_key; end;
create trigger moved after update of current_session_id, updated_at on session_nodes
begin update session_nodes set entry_valid = 0 where session_key = new.session_key; end;
insert into session_nodes values ('agent:main:abc', 's1',
  '{"sessionId": "s1", "updatedAt": 99, "label": "x"}', 1, 99, 90, 99, 99, null);
insert into session_windows values ('s1', 'agent:main:abc', null, 90, 99);
"""


def make_database(state: Path, agent: str) -> Path:
    path = store.database_of(state, agent)
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as db:
        db.execute("pragma journal_mode = wal")
        db.executescript(SCHEMA)
    return path


def read(path: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return list(db.execute(query))


def test_sqlite_rows_are_added_or_aged_with_a_window(tmp_path: Path) -> None:
    main, ops = make_database(tmp_path, "main"), make_database(tmp_path, "ops")
    sqlite_seeding.seed_rows(tmp_path, ROWS)
    (aged,) = read(main, "select entry_json, updated_at, last_activity_at, entry_valid from session_nodes")
    assert json.loads(aged[0]) == {"sessionId": "s1", "updatedAt": 5, "lastInteractionAt": 5, "label": "x"}
    assert aged[1:] == (5, None, 1)
    assert read(main, "select session_id, updated_at from session_windows") == [("s1", 5)]
    query = f"select entry_json, updated_at, entry_valid from session_nodes where session_key = '{RECEIPT}'"
    (added,) = read(ops, query)
    entry = json.loads(added[0])
    assert (entry["sessionId"], entry["updatedAt"]) == ("s2", 1_700_000_000_000)
    assert added[1:] == (1_700_000_000_000, 1)
    windows = read(ops, f"select session_id, updated_at from session_windows where session_key = '{RECEIPT}'")
    assert windows == [("s2", 1_700_000_000_000)]
    log = ops.with_name(ops.name + "-wal")
    assert not log.exists() or log.stat().st_size == 0


def test_a_database_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreUnreadable, match="start the gateway once and use the agent 'ops'"):
        sqlite_seeding.seed_rows(tmp_path, ROWS)
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_is_none_is_named(tmp_path: Path) -> None:
    path = store.database_of(tmp_path, "ops")
    path.parent.mkdir(parents=True)
    path.write_text("no database, and longer than a header of a database would be" * 3)
    with pytest.raises(StoreUnreadable, match="not a database"):
        sqlite_seeding.seed_rows(tmp_path, ROWS[:1])
    with pytest.raises(StoreUnreadable, match="not a database"):
        store.session_rows(tmp_path)


# --- the operation ------------------------------------------------------------------------------------------


def seed(root: Path, version: str, *rows: dict[str, Any]) -> dict[str, Any]:
    gateway = OpenClawGateway(package=Package(Path("/package"), version, Path("/node")))
    return gateway.store_seed({"stateDir": str(root), "rows": list(rows)})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A state folder that a gateway with the default agent ``ops`` has run on."""
    (tmp_path / "state").mkdir()
    agents = {"agents": {"list": [{"id": "ops", "default": True}, {"id": "main"}]}}
    (tmp_path / "state" / "openclaw.json").write_text(json.dumps(agents))
    return tmp_path


@pytest.mark.parametrize("version", ["2026.4.5", "2026.9.6"])
def test_seeded_rows_are_answered_as_they_are_listed(root: Path, version: str) -> None:
    make_database(root / "state", "ops")
    answer = seed(
        root,
        version,
        {"receipt": True, "jobId": "j1", "updatedAtMs": 7},
        {"receipt": False, "session": {"target": "named", "name": "Talk"}, "updatedAtMs": 8},
    )
    assert message_problem("store/seed", "result", answer) is None
    receipt, named = answer["sessions"]
    assert receipt["key"] == f"agent:ops:cron:j1:run:{receipt['id']}"
    assert (receipt["agent"], receipt["jobId"], receipt["updatedAtMs"]) == ("ops", "j1", 7)
    assert (named["key"], named["updatedAtMs"]) == ("agent:ops:talk", 8)


def test_a_folder_without_a_gateway_is_not_seeded(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"store/seed: .*openclaw\.json"):
        seed(tmp_path, "2026.4.5", {"receipt": True, "updatedAtMs": 7})


def test_a_wish_that_has_no_key_is_refused(root: Path) -> None:
    with pytest.raises(UnsupportedOperation, match="no key for the session of target isolated"):
        seed(root, "2026.4.5", {"receipt": False, "session": {"target": "isolated"}, "updatedAtMs": 7})
