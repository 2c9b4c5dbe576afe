"""Every column of every table, and every member of a stored job, wrong in type, range, encoding or size.

The columns come from the database and the members from a stored job, so one that is added cannot be forgotten. What
is held in memory only has no rows that someone else could write.
"""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import jsonschema
import pytest

from cronsession_reference.jobs import job_from_dict
from cronsession_reference.store.rows import body_of
from cronsession_reference.store.schema import STEPS, statements

from .test_bad_input import INFINITY, NAN, TRAVERSAL, paths, put
from .test_gateway import registry, root_id

T0 = 1_772_323_200_000
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
BIG = "x" * 500_000
NOT_UTF8 = object()
"""Bytes that are no text, where a text is stored."""

INTEGER = ("text", "", BIG, b"bytes", -1, 1.5, 2**62, -(2**63), 9.9e18, TRAVERSAL)
TEXT = ("", " ", BIG, b"\xff", NOT_UTF8, TRAVERSAL, "\0", "two\nlines", 5)
APART = {"meta", "totals", "sqlite_sequence"}
"""Tables that hold one value each, which the start checks."""


def _columns() -> list[tuple[str, str, str]]:
    """Table, column and type of all that is stored, but for the number that SQLite gives a row."""
    db = sqlite3.connect(":memory:")
    for step in STEPS:
        for statement in statements(step):
            db.execute(statement)
    tables = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")} - APART
    found = [
        (table, row[1], row[2])
        for table in sorted(tables)
        for row in db.execute(f"PRAGMA table_info({table})")
    ]
    db.close()
    return [entry for entry in found if entry[1] != "seq"]


COLUMNS = _columns()
ROW_OF_THE_BAD_JOB = {
    "jobs": "SELECT rowid FROM jobs WHERE id = ?",
    "runs": "SELECT min(rowid) FROM runs WHERE job_id = ?",
    "sessions": "SELECT rowid FROM sessions WHERE key LIKE '%:bad' AND ? != ''",
}
"""Elsewhere any row will do."""


@pytest.fixture
def full_world(make_world: Any) -> Any:
    """A gateway that has a row in each table: a job that was disabled by its failures, an archive, a run under way."""
    world = make_world().start(
        sessionRetentionMs=HOUR,
        archiveMs=30 * DAY,
        maintenance={"mode": "enforce", "maxEntries": 50, "pruneAfterMs": 20 * DAY},
    )
    world.model.fail.add("fails")
    world.add({"kind": "every", "everyMs": HOUR}, text="fails", maxFailures=1)
    world.bad = world.add(
        {"kind": "every", "everyMs": HOUR}, text="bad", session={"target": "named", "name": "bad"}
    )
    world.good = world.add(
        {"kind": "every", "everyMs": 30 * MINUTE}, text="good", session={"target": "named", "name": "good"}
    )
    world.fresh = world.add({"kind": "every", "everyMs": 30 * MINUTE}, text="fresh")
    world.advance(T0 + 3 * HOUR)
    world.hold("held")
    world.held = world.add({"kind": "every", "everyMs": 300 * DAY}, text="held")
    world.trigger(world.held)
    world.advance(T0 + 3 * HOUR)
    return world


def goes_on(world: Any, until: int, expected: int) -> None:
    """The others run, are reaped and are listed."""
    world.advance(until)
    assert [world.model.texts().count(text) for text in ("good", "fresh")] == [expected, expected]
    assert len([row for row in world.sessions().values() if row["kind"] == "receipt"]) <= 6
    for operation in ("job/list", "run/list", "session/list", "notice/list"):
        reference = {"$ref": f"{root_id()}#/$defs/{operation.replace('/', '~1')}:result"}
        jsonschema.Draft202012Validator(reference, registry=registry()).validate(world.call(operation))
    world.call("store/maintain", dryRun=True)


@pytest.mark.parametrize(
    ("table", "column", "kind"), COLUMNS, ids=[f"{table}.{column}" for table, column, _ in COLUMNS]
)
def test_a_wrong_column_hurts_only_its_row(full_world: Any, table: str, column: str, kind: str) -> None:
    world, sql = full_world, full_world.gateway._engine.store._sql
    key = "key" if table == "leases" else "rowid"
    if table in ROW_OF_THE_BAD_JOB:
        (place,) = sql(ROW_OF_THE_BAD_JOB[table], world.bad["id"]).fetchone()
    else:
        (place,) = sql(f"SELECT min({key}) FROM {table}").fetchone()
    (right,) = sql(f"SELECT {column} FROM {table} WHERE {key} = ?", place).fetchone()
    now, count = T0 + 3 * HOUR, 6
    for value in INTEGER if kind == "INTEGER" else TEXT:
        _spoil(sql, table, column, value, key, place)
        now, count = now + HOUR, count + 2
        goes_on(world, now, count)
        if (table, column) == ("leases", "key"):
            sql("UPDATE leases SET key = ?", place)
        else:
            sql(f"UPDATE OR REPLACE {table} SET {column} = ? WHERE {key} = ?", right, place)
    _spoil(sql, table, column, b"\xff", key, place)
    world.crash()
    world.start(now=now)
    goes_on(world, now + HOUR, count + 2)


def _spoil(sql: Any, table: str, column: str, value: Any, key: str, place: Any) -> None:
    given = "CAST(x'ff' AS TEXT)" if value is NOT_UTF8 else "?"
    values = () if value is NOT_UTF8 else (value,)
    sql(f"UPDATE OR IGNORE {table} SET {column} = {given} WHERE {key} = ?", *values, place)


# The body of a job ---------------------------------------------------------------------------------

SPEC: dict[str, Any] = {
    "name": "n",
    "schedule": {"kind": "cron", "expr": "0 * * * *", "tz": "Europe/Berlin", "staggerMs": 1000},
    "session": {"target": "isolated", "mode": "shared", "key": "k"},
    "payload": {"kind": "agentTurn", "text": "bad"},
    "timeoutMs": 1000,
    "retry": {"maxRetries": 2, "backoffMs": [1000, 2000]},
    "maxFailures": 3,
    "catchUp": {"policy": "once", "maxLatenessMs": 1000},
}
WRONG = (
    5,
    -1,
    1.5,
    NAN,
    INFINITY,
    10**400,
    True,
    None,
    "",
    "odd",
    "\ud800",
    BIG[:100_000],
    TRAVERSAL,
    [],
    {},
    [{}],
)


BODY = {
    **SPEC,
    "id": "i",
    "agent": "main",
    "enabled": True,
    "nextRunAtMs": None,
    "revision": 1,
    "createdAtMs": T0,
    "deleteAfterRun": True,
    "failures": 1,
    "disabledBy": "operator",
    "disabledReason": "x",
}


@pytest.mark.parametrize("path", list(paths(BODY)), ids=lambda path: ".".join(map(str, path)))
def test_a_wrong_member_of_a_stored_job_hurts_only_that_job(full_world: Any, path: tuple[Any, ...]) -> None:
    world, store = full_world, full_world.gateway._engine.store
    bad = world.call("job/add", job=SPEC)["job"]["id"]
    body, now, count = {**BODY, "id": bad}, T0 + 3 * HOUR, 6
    for value in WRONG:
        spoiled = json.dumps(put(body, path, value))
        store._sql("UPDATE jobs SET body = ?, next_run = ? WHERE id = ?", spoiled, now + MINUTE, bad)
        now, count = now + HOUR // 2, count + 1
        goes_on(world, now, count)
        if bad in store.broken_jobs():
            (kept,) = store._sql("SELECT body FROM jobs WHERE id = ?", bad).fetchone()
            assert kept == spoiled, "what cannot be read is not thrown away"
    assert world.call("job/remove", id=bad) == {"removed": True}


def test_the_sample_has_every_member_of_a_stored_job() -> None:
    job = job_from_dict({**BODY, "enabled": False})
    assert set(paths(json.loads(body_of(job)))) == set(paths(BODY))
