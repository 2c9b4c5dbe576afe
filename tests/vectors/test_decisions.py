"""Retention and maintenance: the decision tables, held against the reference's pure functions and its stores."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cronsession_reference import keys
from cronsession_reference.archive import Archive
from cronsession_reference.jobs import Every, Job, Payload, Wish
from cronsession_reference.maintenance import Maintenance, may_go, plan
from cronsession_reference.reaper import Reaper, expired
from cronsession_reference.removal import remove_job
from cronsession_reference.resolver import MAIN, NAMED, PER_JOB, RECEIPT
from cronsession_reference.settings import Limits
from cronsession_reference.store import MemoryStore, SessionRow, SqliteStore, Store, Totals
from cronsession_reference.transcripts import Transcripts

from .files import CATALOGUE, cases, rows
from .retention_table import AGES, KINDS

NOW = 1_772_323_200_000
KIND = {"receipt": RECEIPT, "job": PER_JOB, "shared": NAMED, "main": MAIN}
UNLIMITED = {"pruneAfterMs": 10**15, "maxEntries": 10**9, "maxDiskBytes": 10**15}
JOB = Job(
    "j", "a job", "main", True, Every(60_000, 0), Wish("isolated"), Payload("agentTurn", "Reply OK only.")
)

Opened = Callable[[Path], Store]
STORES = [
    pytest.param(lambda folder: MemoryStore(), id="memory"),
    pytest.param(lambda folder: SqliteStore(folder / "store.db", sync="OFF"), id="sqlite"),
]


def archive(store: Store, folder: Path) -> Archive:
    """Removes transcripts at once."""
    return Archive(store, Transcripts(folder), folder / "archive", None)


def session(data: dict[str, Any], name: str) -> SessionRow:
    key = {"main": keys.main_key("main"), "job": keys.job_key("main", "j")}.get(
        data["kind"], f"agent:main:{name}"
    )
    updated = NOW - data["idleMs"]
    return SessionRow(key, name * 8, "main", "j", KIND[data["kind"]], updated, updated, data.get("bytes", 0))


# --- retention ------------------------------------------------------------------------------------


def swept(store: Store, row: dict[str, Any], folder: Path) -> list[SessionRow]:
    """What the reaper would remove from a store that holds the row's session."""
    data = row["session"]
    store.put_job(JOB)
    found = session(data, "a")
    store.put_session(found)
    if data["job"] == "removed":
        remove_job(store, "j", NOW, ["main"])
    if data["inUse"]:
        store.lease(found.key, "somebody")
    return list(Reaper(store, archive(store, folder), row["sessionRetentionMs"]).plan(NOW))


@pytest.mark.parametrize("opened", STORES)
@pytest.mark.parametrize("row", cases("retention"))
def test_the_reaper_takes_what_the_table_says(row: dict[str, Any], opened: Opened, tmp_path: Path) -> None:
    store = opened(tmp_path)
    going = swept(store, row, tmp_path)
    assert bool(going) == row["goes"]
    (stored,) = store.sessions()
    decided = expired(stored, retention_ms=row["sessionRetentionMs"], now_ms=NOW)
    assert (decided and may_go(stored, in_use=row["session"]["inUse"])) == row["goes"]
    store.close()


def test_the_retention_table_has_every_cell_once() -> None:
    seen = [
        (row["sessionRetentionMs"], *row["session"].values())
        for row in rows("retention")
        if row["session"]["run"] in ("ok", "running")
    ]
    assert len(seen) == len(set(seen)) == len(KINDS) * 2 * 2 * sum(map(len, AGES.values()))


# --- maintenance ----------------------------------------------------------------------------------


def limits(config: dict[str, Any]) -> Limits:
    return Limits.of(UNLIMITED | config)


def expected(row: dict[str, Any]) -> list[tuple[str, str]]:
    return [(gone["id"], gone["why"]) for gone in row["gone"]]


@pytest.mark.parametrize("row", cases("maintenance"))
def test_the_plan_takes_what_the_table_says(row: dict[str, Any]) -> None:
    stored = [(session(data, data["id"]), data.get("inUse", False)) for data in row["sessions"]]
    free = sorted((s for s, in_use in stored if may_go(s, in_use=in_use)), key=lambda s: s.updated_ms)
    totals = Totals(len(stored), sum(s.bytes for s, _ in stored))
    bounds = limits(row["config"])
    found = plan(free if bounds.mode == "enforce" else [], totals, bounds, NOW)
    assert [(s.id[0], why) for s, why in zip(found.rows, found.why, strict=True)] == expected(row)
    if bounds.mode == "enforce":
        unmet = {"maxEntries": found.over_entries, "maxDiskBytes": found.over_bytes}
        assert {name: over for name, over in unmet.items() if over} == row.get("unmet", {})


@pytest.mark.parametrize("opened", STORES)
@pytest.mark.parametrize("row", cases("maintenance"))
def test_a_store_keeps_what_the_table_says(row: dict[str, Any], opened: Opened, tmp_path: Path) -> None:
    store = opened(tmp_path)
    names = {}
    for number, data in enumerate(row["sessions"]):
        found = session(data, data["id"])
        key = f"agent:agent{number}:main" if found.kind == MAIN else found.key
        names[key] = data["id"]
        store.put_session(SessionRow(key, *list(vars(found).values())[1:]))
        if data.get("inUse"):
            store.lease(key, "somebody")
    maintenance = Maintenance(store, archive(store, tmp_path), limits(row["config"]))
    said = maintenance.report(NOW, dry_run=True)
    assert [(names[key], said["why"][key]) for key in said["removed"]] == expected(row)
    done = maintenance.report(NOW, dry_run=False)
    assert done == said
    gone = {name for name, _ in expected(row)}
    assert {names[s.key] for s in store.sessions()} == set(names.values()) - gone
    store.close()


def test_the_maintenance_table_shows_every_limit_alone_and_together() -> None:
    found = rows("maintenance")
    assert {why for row in found for _, why in expected(row)} == {"age", "entries", "bytes"}
    shown = {frozenset(row["config"]) - {"mode"} for row in found if row["config"]["mode"] == "enforce"}
    assert shown >= {frozenset({name}) for name in UNLIMITED} | {frozenset(UNLIMITED)}
    assert not any(row["gone"] for row in found if row["config"]["mode"] == "warn")
    assert sum(row["config"]["mode"] == "warn" for row in found) >= 4
    assert any(row.get("unmet") for row in found)


@pytest.mark.parametrize("name", ["retention", "maintenance"])
def test_the_tables_name_requirements_of_their_area(name: str) -> None:
    area = {"retention": "reaper", "maintenance": "maintenance"}[name]
    known = {r["id"] for r in CATALOGUE["requirements"] if r["area"] == area}
    named = {i for row in rows(name) for i in row.get("requirements", [])}
    assert named
    assert named <= known
