"""Stores of earlier versions, damaged and foreign files: nothing is lost, nothing is replaced."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cronsession_reference.errors import StoreError
from cronsession_reference.store import SqliteStore
from cronsession_reference.store.schema import STEPS, VERSION, statements

T0 = 1_772_323_200_000
HOUR = 3_600_000

JOB_BODY = (
    '{"id": "%s", "name": "n", "agent": "main", "enabled": true, "schedule": {"kind": "every", "everyMs": 500, '
    '"anchorMs": 0}, "session": {"target": "named", "name": "a/b"}, "payload": {"kind": "agentTurn", "text": "x"}, '
    '"nextRunAtMs": null, "revision": 3, "createdAtMs": 5, "timeoutMs": 7}'
)


def version_one(path: Path) -> None:
    """A store as the first version wrote it, with rows of every kind."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA synchronous = OFF")
    db.execute("BEGIN")
    for statement in statements(STEPS[0]):
        db.execute(statement)
    db.execute("INSERT INTO meta VALUES ('schema', '1'), ('swept', '77')")
    for number in range(40):
        db.execute(
            "INSERT INTO jobs (id, body, next_run) VALUES (?, ?, ?)",
            (f"j{number}", JOB_BODY % f"j{number}", T0),
        )
        row = (
            f"r{number}",
            f"j{number}",
            "schedule",
            "ok",
            T0,
            T0,
            T0 + 1,
            "k",
            "0000-1111",
            None,
            None,
            1,
            None,
        )
        db.execute(f"INSERT INTO runs VALUES (NULL{', ?' * 13})", row)
    queued = ("q", "j1", "schedule", "queued", T0 + 9, None, None, None, None, None, None, 2, None)
    db.execute(f"INSERT INTO runs VALUES (NULL{', ?' * 13})", queued)
    db.execute(
        "INSERT INTO sessions VALUES (NULL, 'agent:main:a/b', '0000-1111', 'main', 'j1', 'named', 1, 2, 30)"
    )
    db.execute("COMMIT")
    db.close()


def content(path: Path) -> dict[str, list[Any]]:
    db = sqlite3.connect(path)
    try:
        return {
            table: db.execute(f"SELECT * FROM {table}").fetchall()
            for table in ("jobs", "runs", "sessions", "leases")
        }
    finally:
        db.close()


def test_an_upgrade_keeps_every_row_and_field(tmp_path: Path) -> None:
    path = tmp_path / "db"
    version_one(path)
    before = content(path)
    store = SqliteStore(path)
    assert store.meta("schema") == str(VERSION)
    assert store.meta("swept") == "77"
    assert len(store.jobs()) == 40
    assert store.broken_jobs() == []
    assert (store.totals().rows, store.totals().bytes) == (1, 30)
    assert [run.id for run in store.startable(T0 + 9, 5)] == ["q"]
    assert [run.attempt for run in store.runs()] == [0] * 40
    store.close()
    after = content(path)
    assert after["jobs"] == before["jobs"]
    assert after["sessions"] == before["sessions"]
    assert [row[:14] for row in after["runs"]] == before["runs"]


def test_an_upgrade_done_twice_is_done_once(tmp_path: Path) -> None:
    path = tmp_path / "db"
    version_one(path)
    first, second = SqliteStore(path), SqliteStore(path)
    once = content(path)
    first.close()
    second.close()
    SqliteStore(path).close()
    assert content(path) == once


def test_an_upgraded_store_has_the_shape_of_a_new_one(tmp_path: Path) -> None:
    version_one(tmp_path / "old")
    shapes = []
    for name in ("old", "new"):
        store = SqliteStore(tmp_path / name)
        shapes.append(
            store._sql("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name").fetchall()
        )
        store.close()
    assert shapes[0] == shapes[1]


def test_an_upgrade_that_fails_leaves_the_store_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "db"
    version_one(path)
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE notices (mine TEXT)")
    db.close()
    before = content(path)
    with pytest.raises(StoreError, match="notices"):
        SqliteStore(path)
    assert content(path) == before
    db = sqlite3.connect(path)
    assert db.execute("SELECT value FROM meta WHERE name = 'schema'").fetchall() == [("1",)]
    db.close()


def test_a_gateway_goes_on_with_an_upgraded_store(make_world: Any) -> None:
    world = make_world()
    world.folder.mkdir()
    version_one(world.folder / "gateway.db")
    world.start(now=T0 + HOUR)
    world.advance(T0 + HOUR)
    listed = world.call("job/list")["jobs"]
    assert len(listed) == 40
    assert {job["timeoutMs"] for job in listed} == {7}


@pytest.mark.parametrize(
    ("version", "says"),
    [
        ("99", "newer program"),
        (str(VERSION + 1), "newer program"),
        ("0", "knows 1 to"),
        ("two", "knows 1 to"),
        (None, "missing"),
    ],
)
def test_a_version_that_is_not_known_is_refused_by_name(
    tmp_path: Path, version: str | None, says: str
) -> None:
    path = tmp_path / "db"
    SqliteStore(path).close()
    db = sqlite3.connect(path)
    db.execute(
        "UPDATE meta SET value = ? WHERE name = 'schema'" if version else "DELETE FROM meta",
        [version] if version else [],
    )
    db.commit()
    db.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match=says) as caught:
        SqliteStore(path)
    assert version is None or version in str(caught.value)
    assert path.read_bytes() == before


def test_the_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    for name, statement in (("a", "CREATE TABLE mail (text)"), ("b", "PRAGMA application_id = 5")):
        path = tmp_path / name
        db = sqlite3.connect(path)
        db.execute("CREATE TABLE x (y)")
        db.execute(statement)
        db.commit()
        db.close()
        before = path.read_bytes()
        with pytest.raises(StoreError, match="Nothing was changed"):
            SqliteStore(path)
        assert path.read_bytes() == before


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a store with rows in it."""
    path = tmp_path_factory.mktemp("whole") / "gateway.db"
    version_one(path)
    SqliteStore(path, sync="OFF").close()
    return path.read_bytes()


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:50],
        lambda data: data[: len(data) // 2],
        lambda data: data[: len(data) - 4096],
        lambda data: b"\0" * len(data),
        lambda data: data[:4096] + b"\xff" * 4096 + data[8192:],
        lambda data: b"precious" * 1000,
    ],
    ids=["empty", "header", "half", "a page less", "zeros", "a bad page", "text"],
)
def test_a_damaged_store_is_refused_with_its_bytes_kept(
    tmp_path: Path, whole: bytes, damage: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "gateway.db"
    before = damage(whole)
    path.write_bytes(before)
    for _ in range(2):
        with pytest.raises(StoreError, match=r"gateway\.db"):
            SqliteStore(path)
        assert path.read_bytes() == before


@given(st.integers(0, 2**20), st.integers(1, 2000), st.binary(min_size=1, max_size=64))
@settings(max_examples=60, deadline=None, derandomize=True, database=None)
def test_no_damage_turns_a_store_into_an_empty_one(
    tmp_path_factory: pytest.TempPathFactory, whole: bytes, start: int, length: int, noise: bytes
) -> None:
    """Either it is refused and keeps its bytes, or what is not lost in the damage is still there."""
    path = tmp_path_factory.mktemp("damaged") / "gateway.db"
    start %= len(whole)
    before = whole[:start] + noise + whole[start + length :]
    path.write_bytes(before)
    try:
        store = SqliteStore(path, sync="OFF")
    except StoreError:
        assert path.read_bytes() == before
        return
    try:
        assert store.jobs() or store.broken_jobs()
    finally:
        store.close()


def test_a_store_that_crashed_opens_and_one_damaged_since_does_not(tmp_path: Path) -> None:
    """What is still in the write-ahead log is read too, and stays in it if the store is refused."""
    live, copy = tmp_path / "live", tmp_path / "copy"
    live.mkdir()
    store = SqliteStore(live / "gateway.db")
    store.put_meta("word", "kept")
    shutil.copytree(live, copy)
    store.close()
    assert (copy / "gateway.db-wal").stat().st_size > 0
    again = copy / "again"
    again.mkdir()
    for path in copy.glob("gateway.db*"):
        shutil.copy(path, again)
    opened = SqliteStore(again / "gateway.db")
    assert opened.meta("word") == "kept"
    opened.close()
    database = copy / "gateway.db"
    data = database.read_bytes()
    database.write_bytes(b"precious" + data[8:])
    before = {path.name: path.read_bytes() for path in copy.glob("*.db*") if not path.name.endswith("-shm")}
    with pytest.raises(StoreError):
        SqliteStore(database)
    after = {path.name: path.read_bytes() for path in copy.glob("*.db*") if not path.name.endswith("-shm")}
    assert after == before


def test_a_missing_store_is_not_replaced_where_its_sessions_are(make_world: Any) -> None:
    world = make_world().start()
    world.add({"kind": "at", "atMs": T0 + HOUR})
    world.advance(T0 + HOUR)
    world.call("gateway/stop")
    kept = world.folder / "elsewhere"
    os.rename(world.folder / "gateway.db", kept)
    with pytest.raises(StoreError, match=r"is missing, and .*sessions"):
        world.start(now=T0 + HOUR)
    assert not (world.folder / "gateway.db").exists()
    os.rename(kept, world.folder / "gateway.db")
    world.start(now=T0 + HOUR)
    assert len(world.runs()) == 1


def test_a_log_without_its_store_is_not_taken_for_a_new_one(tmp_path: Path) -> None:
    (tmp_path / "gateway.db-wal").write_bytes(b"what was written last")
    with pytest.raises(StoreError, match="is missing"):
        SqliteStore(tmp_path / "gateway.db")
    assert [path.name for path in tmp_path.iterdir()] == ["gateway.db-wal"]


def test_nothing_is_left_of_a_store_that_could_not_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "link", full)
    with pytest.raises(StoreError, match="No space left"):
        SqliteStore(tmp_path / "gateway.db")
    assert list(tmp_path.iterdir()) == []
