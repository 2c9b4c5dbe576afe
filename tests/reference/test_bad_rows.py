"""Rows that someone else wrote, or that were damaged: each hurts only itself, and none is lost."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cronsession_reference.errors import StoreError
from cronsession_reference.store import SqliteStore

from .test_gateway import registry, root_id

T0 = 1_772_323_200_000
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
NAMED = {"target": "named", "name": "good"}

BAD_INSTANTS = ["text", -1, 1.5, 2**62, b"bytes"]
BAD: dict[str, dict[str, list[Any]]] = {
    "jobs": {
        "body": ["", "{", "[]", "null", "{}", '{"id": 5}', "[" * 5000, b"\xff\xfe", 5],
        "next_run": BAD_INSTANTS,
        "id": ["../../etc/passwd"],
    },
    "sessions": {
        "id": ["../../etc/passwd", "", "a" * 5000, "x y", b"\xff"],
        "agent": ["", b"\xff"],
        "kind": ["", "odd", "RECEIPT"],
        "created": BAD_INSTANTS,
        "updated": BAD_INSTANTS,
        "bytes": ["text", -1, 1.5, 2**62, 9.9e18],
    },
    "runs": {
        "status": ["", "odd"],
        "trigger": ["", "odd"],
        "slot": BAD_INSTANTS,
        "started": BAD_INSTANTS,
        "ended": BAD_INSTANTS,
        "due": BAD_INSTANTS,
        "cause": ["odd", b"\xff"],
        "number": ["text", -1],
        "attempt": ["text", -1],
        "job_id": ["", b"\xff"],
        "error": [b"\xff"],
    },
}
CASES = [
    (table, column, value)
    for table, columns in BAD.items()
    for column, values in columns.items()
    for value in values
]


def spoil(world: Any, table: str, column: str, value: Any, rowid: int) -> None:
    world.gateway._engine.store._sql(f"UPDATE {table} SET {column} = ? WHERE seq = ?", value, rowid)


@pytest.mark.parametrize(("table", "column", "value"), CASES)
def test_one_bad_row_hurts_only_itself(make_world: Any, table: str, column: str, value: Any) -> None:
    """Jobs go on, receipts go, limits hold, and every list still has its published shape."""
    world = make_world().start(sessionRetentionMs=HOUR, maintenance={"mode": "enforce", "maxEntries": 6})
    world.add({"kind": "every", "everyMs": HOUR}, text="bad")
    good = world.add({"kind": "every", "everyMs": 30 * MINUTE}, text="good", session=NAMED)
    world.add({"kind": "every", "everyMs": 20 * MINUTE}, text="fresh")
    world.advance(T0 + HOUR)
    (rowid,) = world.gateway._engine.store._sql(f"SELECT min(seq) FROM {table}").fetchone()
    before = dump(world, table, rowid)
    spoil(world, table, column, value, rowid)
    spoiled = dump(world, table, rowid)
    if spoiled == before:
        pytest.skip("the column's affinity turned it into what it was")
    for restarted in range(2):
        start = T0 + (1 + 4 * restarted) * HOUR
        world.advance(start + 4 * HOUR)
        assert len(world.statuses(good)) == 2 + 8 * (restarted + 1)
        assert set(world.statuses(good)) == {"ok"}
        assert len([row for row in world.sessions().values() if row["kind"] == "receipt"]) <= 7
        for operation in ("job/list", "run/list", "session/list", "notice/list"):
            reference = {"$ref": f"{root_id()}#/$defs/{operation.replace('/', '~1')}:result"}
            jsonschema.Draft202012Validator(reference, registry=registry()).validate(world.call(operation))
        world.call("store/maintain", dryRun=True)
        world.crash()
        world.start(now=start + 4 * HOUR)
    if table != "runs":
        assert dump(world, table, rowid) is not None, "what cannot be read is not thrown away"


def dump(world: Any, table: str, rowid: int) -> Any:
    return world.gateway._engine.store._sql(f"SELECT * FROM {table} WHERE seq = ?", rowid).fetchone()


def test_a_bad_row_is_named_by_the_store(make_world: Any) -> None:
    world = make_world().start()
    job = world.add({"kind": "every", "everyMs": HOUR})
    world.advance(T0 + HOUR)
    (key,) = world.sessions()
    store = world.gateway._engine.store
    assert store.broken_rows() == []
    store._sql("UPDATE sessions SET kind = 'odd'")
    store._sql("UPDATE runs SET started = 'long ago'")
    store._sql("UPDATE jobs SET body = 'gone'")
    named = store.broken_rows()
    assert key in named[0]
    assert len(named) == 2
    assert store.broken_jobs() == [job["id"]]


def test_a_run_in_a_session_that_cannot_be_read_fails_and_replaces_nothing(make_world: Any) -> None:
    world = make_world().start()
    job = world.add({"kind": "every", "everyMs": HOUR}, session=NAMED)
    world.advance(T0 + HOUR)
    store = world.gateway._engine.store
    store._sql("UPDATE sessions SET id = '../secret'")
    world.advance(T0 + 2 * HOUR)
    assert world.statuses(job) == ["ok", "error"]
    assert "cannot be read" in world.runs(job)[1]["error"]
    assert store._sql("SELECT id FROM sessions").fetchall() == [("../secret",)]
    assert world.call("job/remove", id=job["id"]) == {"removed": True}


def test_a_job_that_cannot_be_read_can_be_removed(make_world: Any) -> None:
    world = make_world().start()
    job = world.add({"kind": "every", "everyMs": HOUR})
    world.gateway._engine.store._sql("UPDATE jobs SET body = '{'")
    assert world.trigger(job)["started"] is False
    assert world.update(job, name="n")["rejected"]["field"] == "id"
    assert world.call("job/remove", id=job["id"]) == {"removed": True}
    assert world.call("job/list") == {"jobs": []}


def test_a_row_that_cannot_be_removed_stops_no_other(make_world: Any) -> None:
    """Also where it is the store itself that refuses."""
    world = make_world().start(sessionRetentionMs=HOUR)
    world.add({"kind": "every", "everyMs": 10 * MINUTE})
    world.advance(T0 + 30 * MINUTE)
    stubborn = next(iter(world.sessions()))
    store = world.gateway._engine.store
    store._sql(
        f"CREATE TRIGGER stubborn BEFORE DELETE ON sessions WHEN OLD.key = '{stubborn}' "
        "BEGIN SELECT RAISE(ABORT, 'no'); END"
    )
    world.advance(T0 + 3 * HOUR)
    old = [key for key, row in world.sessions().items() if row["updatedAtMs"] < T0 + 100 * MINUTE]
    assert old == [stubborn]


VALUES = st.one_of(
    st.none(), st.integers(-(2**63), 2**63 - 1), st.floats(), st.text(max_size=20), st.binary(max_size=20)
)


@given(st.sampled_from(("jobs", "runs", "sessions")), st.data())
@settings(max_examples=150, deadline=None, derandomize=True, database=None)
def test_whatever_is_in_a_row_every_look_at_the_store_works(
    tmp_path_factory: pytest.TempPathFactory, table: str, data: st.DataObject
) -> None:
    store = SqliteStore(_template(tmp_path_factory), sync="OFF")
    try:
        columns = [row[1] for row in store._sql(f"PRAGMA table_info({table})").fetchall() if row[1] != "seq"]
        changes: Mapping[str, Any] = data.draw(
            st.dictionaries(st.sampled_from(columns), VALUES, min_size=1, max_size=3)
        )
        store._sql("SAVEPOINT before")
        for column, value in changes.items():
            with suppress(sqlite3.IntegrityError):  # the database itself refuses some
                store._sql(f"UPDATE {table} SET {column} = ? WHERE seq = 1", value)
        _look(store)
        store._sql("ROLLBACK TO before")
        assert len(store.jobs()) == len(store.sessions()) == len(store.runs()) == 2
    finally:
        store.close()


def _look(store: SqliteStore) -> None:
    assert len(store.jobs()) + len(store.broken_jobs()) == 2
    store.broken_rows()
    for job_id in store.due(T0 + DAY):
        store.job(job_id)
    for row in (*store.sessions(), *store.receipts(T0 + DAY), *store.evictable()):
        assert 0 <= row.updated_ms <= 8_640_000_000_000_000
    for run in (*store.runs(), *store.open_runs(), *store.running(), *store.startable(T0 + DAY, 9)):
        assert run.instant_ms >= 0
    assert isinstance(store.next_due(), (int, type(None)))
    assert isinstance(store.oldest_run(), (int, type(None)))
    assert isinstance(store.latest_start(), (int, type(None)))
    assert isinstance(store.next_waiting(0), (int, type(None)))
    totals = store.totals()
    assert isinstance(totals.oldest_ms, (int, type(None)))
    assert isinstance(totals.bytes, int)
    assert 0 <= totals.bytes <= 2**41
    with suppress(StoreError):  # what a run in this very session gets
        store.session("agent:main:s1")
    assert store.session("agent:main:s2") is not None


_MADE: list[Path] = []


def _template(factory: pytest.TempPathFactory) -> Path:
    """A store with two rows of each kind, made once."""
    if not _MADE:
        path = factory.mktemp("rows") / "gateway.db"
        store = SqliteStore(path, sync="OFF")
        body = (
            '{"id": "j%d", "name": "n", "agent": "main", "enabled": true, "schedule": {"kind": "at", "atMs": 5}, '
            '"session": {"target": "isolated"}, "payload": {"kind": "agentTurn", "text": "x"}, '
            '"nextRunAtMs": null, "revision": 1, "createdAtMs": 5}'
        )
        for n in (1, 2):
            store._sql("INSERT INTO jobs (id, body, next_run) VALUES (?, ?, ?)", f"j{n}", body % n, T0)
            run = (f"r{n}", f"j{n}", "schedule", "ok", T0, T0, n)
            store._sql(
                "INSERT INTO runs (id, job_id, trigger, status, slot, started, number) VALUES (?,?,?,?,?,?,?)",
                *run,
            )
            row = (f"agent:main:s{n}", f"0000-000{n}", "main", "receipt", T0, T0, 10)
            store._sql(
                "INSERT INTO sessions (key, id, agent, kind, created, updated, bytes) VALUES (?,?,?,?,?,?,?)",
                *row,
            )
        store.close()
        _MADE.append(path)
    return _MADE[0]
