"""One contract for all stores, and what only the durable one promises."""

from __future__ import annotations

import contextlib
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cronsession_reference.errors import StoreClosed, StoreError
from cronsession_reference.instances import Instance
from cronsession_reference.jobs import At, Cron, Every, Job, Payload, Wish
from cronsession_reference.store import MemoryStore, Notice, Run, SessionRow, SqliteStore, Store, Totals
from cronsession_reference.transcripts import Transcripts

JOB = Job("j1", "name", "main", True, Every(60_000, 7), Wish("isolated"), Payload("agentTurn", "hi\u2028ß"))


def row(
    key: str, updated: int = 0, kind: str = "receipt", size: int = 10, session_id: str = ""
) -> SessionRow:
    return SessionRow(
        key, session_id or str(uuid.uuid5(uuid.NAMESPACE_URL, key)), "main", None, kind, 0, updated, size
    )


def run(run_id: str, job_id: str = "j1", slot: int | None = None, status: str = "running") -> Run:
    return Run(run_id, job_id, "schedule", status, slot, started_ms=slot)


@pytest.fixture(params=["sqlite", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made: Store = SqliteStore(tmp_path / "db") if request.param == "sqlite" else MemoryStore()
    yield made
    made.close()


@pytest.mark.parametrize(
    "job",
    [
        JOB,
        replace(JOB, schedule=At(5), next_run_ms=5, delete_after_run=True, timeout_ms=9, revision=3),
        replace(JOB, schedule=Cron("*/5 * * * *", "Europe/Berlin", 1000), enabled=False, created_ms=4),
        replace(JOB, session=Wish("named", name="a/b:c", key="a/b:c", mode="shared")),
    ],
)
def test_a_job_comes_back_as_it_was(store: Store, job: Job) -> None:
    store.put_job(job)
    assert store.job("j1") == job
    assert store.jobs() == [job]
    store.put_job(replace(job, name="new"))
    assert [found.name for found in store.jobs()] == ["new"]
    assert store.delete_job("j1")
    assert not store.delete_job("j1")
    assert store.job("j1") is None


def test_due_jobs_come_earliest_first(store: Store) -> None:
    for name, due in (("a", 30), ("b", 10), ("c", None), ("d", 0), ("e", 99)):
        store.put_job(replace(JOB, id=name, next_run_ms=due))
    assert store.next_due() == 0
    assert store.due(30) == ["d", "b", "a"]
    store.silence("d")
    assert store.next_due() == 10
    assert store.broken_jobs() == []


def test_a_slot_is_taken_once(store: Store) -> None:
    first = store.add_run(run("r1", slot=10))
    assert first is not None
    assert store.add_run(run("r2", slot=10)) is None
    assert store.run("r2") is None
    assert store.add_run(run("r3", job_id="j2", slot=10)) is not None
    assert store.add_run(run("r4")) is not None
    assert store.add_run(run("r5")) is not None, "manual runs have no slot"


def test_runs_are_numbered_updated_and_listed(store: Store) -> None:
    added = store.add_run(run("r1", slot=10))
    queued = store.add_run(run("r2", slot=20, status="queued"))
    assert added is not None
    assert queued is not None
    assert (added.number, queued.number) == (1, 2)
    assert [found.id for found in store.open_runs("j1")] == ["r1", "r2"]
    store.put_run(replace(added, status="ok", ended_ms=15, session_key="k", session_id="i", error=None))
    assert [found.id for found in store.open_runs()] == ["r2"]
    assert store.runs() == [replace(added, status="ok", ended_ms=15, session_key="k", session_id="i")]
    assert store.runs(10) == store.runs()
    assert store.runs(11) == []
    assert store.latest_start() == 20
    store.delete_run("r2")
    assert store.open_runs() == []
    assert store.add_run(run("r3", slot=20)) is not None, "a deleted run gives its slot back"


def test_old_runs_are_forgotten_open_ones_never(store: Store) -> None:
    for number in range(1, 7):
        store.add_run(run(f"r{number}", slot=number, status="running" if number == 2 else "ok"))
    store.trim_runs("j1", 4)
    assert [found.id for found in store.runs()] == ["r2", "r5", "r6"]
    store.trim_runs("j2", 100)
    store.orphan_runs("j1", 50)
    store.forget_orphans(50)
    assert len(store.runs()) == 3
    store.forget_orphans(51)
    assert [found.id for found in store.runs()] == ["r2"]


def test_totals_follow_every_change(store: Store) -> None:
    assert store.totals() == Totals(0, 0)
    store.put_session(row("a", updated=5))
    store.put_session(row("b", updated=3, kind="named", size=1))
    store.put_session(row("m", updated=1, kind="main", size=100))
    assert store.totals() == Totals(3, 111, 3, 5)
    store.put_session(row("a", updated=9, size=20))
    assert store.totals() == Totals(3, 121, 3, 9)
    assert store.delete_session("a")
    assert not store.delete_session("a")
    assert store.totals() == Totals(2, 101, 3, None)


def test_sessions_come_back(store: Store) -> None:
    rows = [row("agent:main:cron:x:run:y/../z", 5), row("ß\u2028 😀", 7, kind="named")]
    for entry in rows:
        store.put_session(entry)
    assert store.sessions() == rows
    assert store.sessions(6) == rows[1:]
    assert store.session("ß\u2028 😀") == rows[1]
    assert store.session("nope") is None
    store.put_session(row("other", session_id=rows[0].id))
    assert store.references(rows[0].id) == 2


def test_candidates_come_oldest_first_without_what_is_in_use(store: Store) -> None:
    for number in range(300):
        store.put_session(row(f"r{number}", updated=1000 - number))
    store.put_session(row("named", updated=0, kind="named"))
    store.put_session(row("main", updated=0, kind="main"))
    assert store.lease("r299", "me")
    assert [entry.key for entry in store.receipts(704)] == ["r298", "r297"]
    oldest = [entry.key for entry in store.evictable()]
    assert oldest == ["named"] + [f"r{number}" for number in range(298, -1, -1)]


def test_candidates_may_be_deleted_while_they_are_read(store: Store) -> None:
    for number in range(300):
        store.put_session(row(f"r{number:03}", updated=number // 7))
    seen = []
    for entry in store.evictable():
        seen.append(entry.key)
        store.delete_session(entry.key)
    assert seen == [f"r{number:03}" for number in range(300)]


def test_a_lease_has_one_owner(store: Store) -> None:
    assert store.lease("k", "me")
    assert not store.lease("k", "you")
    store.release("k", "you")
    assert store.lease_owner("k") == "me"
    assert store.leases() == [("k", "me")]
    store.release("k", "me")
    assert store.lease_owner("k") is None
    assert store.lease("k", "you")


def test_a_transaction_that_fails_changes_nothing(store: Store) -> None:
    store.put_job(JOB)
    store.put_session(row("a"))

    def failing() -> None:
        with store.transaction():
            store.put_job(replace(JOB, name="changed"))
            store.put_job(replace(JOB, id="j2"))
            with store.transaction():
                store.add_run(run("r1", slot=1))
                store.delete_session("a")
                store.lease("a", "me")
            store.put_meta("m", "1")
            raise KeyError("no")

    with pytest.raises(KeyError):
        failing()
    assert store.jobs() == [JOB]
    assert store.runs() == []
    assert store.leases() == []
    assert store.meta("m") is None
    assert store.totals() == Totals(1, 10, 0, 0)
    assert store.add_run(run("r2", slot=1)) is not None


def test_a_closed_store_says_so(store: Store) -> None:
    store.close()
    for use in (lambda: store.put_job(JOB), store.jobs, store.sessions, lambda: store.lease("k", "o")):
        with pytest.raises(StoreClosed):
            use()


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[[], SqliteStore]]:
    made: list[SqliteStore] = []

    def make() -> SqliteStore:
        made.append(SqliteStore(tmp_path / "db"))
        return made[-1]

    yield make
    for store in made:
        store.close()


def test_what_was_committed_is_there_for_a_second_connection(opened: Callable[[], SqliteStore]) -> None:
    one, two = opened(), opened()
    one.put_job(JOB)
    one.add_run(run("r1", slot=1))
    assert two.jobs() == [JOB]
    assert two.add_run(run("r2", slot=1)) is None
    # Never closed: as after a crash, the first connection just is not there any more.
    assert opened().run("r1") is not None


def looks(store: Store) -> tuple[object, ...]:
    """What the gateway looks at, again and again."""
    of_time = (store.startable(100, 9), store.next_waiting(0))
    return (store.next_due(), store.totals(), store.running(), store.leases(), store.oldest_run(), *of_time)


def writes(store: Store) -> Iterator[Callable[[], object]]:
    """Writes that each change what is looked at."""
    yield lambda: store.put_job(replace(JOB, next_run_ms=5))
    yield lambda: store.put_session(row("k", 3))
    yield lambda: store.lease("k", "me")
    yield lambda: store.add_run(run("r1", slot=7))
    yield lambda: store.add_run(replace(run("r2", "j2", slot=9, status="queued"), due_ms=50))
    yield lambda: store.silence("j1")
    yield lambda: store.delete_run("r1")


def test_in_a_steady_moment_what_is_written_is_seen(store: Store) -> None:
    for write in writes(store):
        with store.steady():
            before = looks(store)
            write()
            seen = looks(store)
            assert seen != before
        assert looks(store) == seen


def test_in_a_steady_moment_what_is_taken_back_is_not_seen(store: Store) -> None:
    for write in writes(store):
        with store.steady():
            before = looks(store)
            with contextlib.suppress(KeyError), store.transaction():
                write()
                assert looks(store) != before
                raise KeyError
            assert looks(store) == before
        write()


def test_a_transaction_in_a_steady_moment_sees_what_others_wrote(opened: Callable[[], SqliteStore]) -> None:
    one, two = opened(), opened()
    for write in writes(two):
        with one.steady():
            before = looks(one)
            write()
            with one.transaction():
                assert looks(one) == looks(two) != before
        with one.steady():
            assert looks(one) == looks(two)
        assert looks(one) == looks(two)


def test_a_steady_moment_may_lie_in_another(opened: Callable[[], SqliteStore]) -> None:
    one, two = opened(), opened()
    with one.steady(), one.steady():
        one.put_job(replace(JOB, next_run_ms=5))
        assert one.next_due() == 5
    two.put_job(replace(JOB, next_run_ms=6))
    assert one.next_due() == 6


def test_in_a_steady_moment_a_look_costs_nothing(opened: Callable[[], SqliteStore]) -> None:
    store, asked = opened(), list[str]()
    store.put_job(replace(JOB, next_run_ms=5))
    assert store._db is not None
    with store.steady():
        looks(store)
        store._db.set_trace_callback(asked.append)
        looks(store)
    assert asked == []
    with store.steady():
        looks(store)
    assert asked == ["PRAGMA data_version"]


def test_a_transaction_cut_short_is_not_there(opened: Callable[[], SqliteStore]) -> None:
    one = opened()
    one._sql("BEGIN IMMEDIATE")
    one.put_job(JOB)
    one.close()
    assert opened().jobs() == []


@pytest.mark.parametrize("content", [b"not a database, but long enough to be taken for one" * 40, b"{}"])
def test_a_file_that_is_no_store_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "db"
    path.write_bytes(content)
    with pytest.raises(StoreError, match="Nothing was changed"):
        SqliteStore(path)
    assert path.read_bytes() == content


def test_a_store_of_a_later_version_is_left_alone(tmp_path: Path, opened: Callable[[], SqliteStore]) -> None:
    store = opened()
    store.put_meta("schema", "99")
    store.close()
    with pytest.raises(StoreError, match="99"):
        SqliteStore(tmp_path / "db")


def test_files_are_private(tmp_path: Path, opened: Callable[[], SqliteStore]) -> None:
    store = opened()
    store.put_job(JOB)
    transcripts = Transcripts(tmp_path / "sessions")
    transcripts.append("0000-1111", [{"role": "user", "content": "x"}])
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    assert modes.pop("sessions") == 0o700
    assert set(modes.values()) == {0o600}


def test_looking_for_what_is_due_reads_no_table(opened: Callable[[], SqliteStore]) -> None:
    """The cost of a look or a sweep is that of what it finds: every search is along an index."""
    store = opened()
    statements: list[str] = []
    assert store._db is not None
    store._db.set_trace_callback(statements.append)
    looks: tuple[Callable[[], object], ...] = (
        store.next_due,
        lambda: store.due(5),
        store.totals,
        lambda: list(store.receipts(5)),
        lambda: list(store.evictable()),
        lambda: list(store.archives(5)),
        lambda: store.archived("i"),
        lambda: store.forget_archived("i"),
        lambda: store.forget_orphans(5),
        lambda: store.trim_runs("j", 5),
        lambda: store.expire_runs(5),
        lambda: store.open_runs("j"),
        store.open_runs,
        store.running,
        lambda: store.startable(5, 2),
        lambda: store.next_waiting(5),
        store.oldest_run,
        store.latest_start,
        lambda: store.references("i"),
        lambda: store.add_run(run("r", slot=1)),
        lambda: store.put_run(run("r", slot=1)),
        lambda: store.add_notice(Notice(5, "k", "t"), 3),
        lambda: store.lease_owner("k"),
    )
    for look in looks:
        look()
    store._db.set_trace_callback(None)
    searched = [text for text in statements if not text.startswith(("--", "BEGIN", "COMMIT"))]
    assert len(searched) >= len(looks)
    small = ("SCAN totals", "SCAN CONSTANT ROW")
    for text in searched:
        plan = [step[3] for step in store._sql("EXPLAIN QUERY PLAN " + text).fetchall()]
        scans = [step for step in plan if step.startswith("SCAN") and step not in small]
        # Walking along a partial index reads only what is in it; every other walk reads a whole table.
        walks = [step for step in scans if not any(name in step for name in PARTIAL)]
        assert walks == [], (text, plan)


PARTIAL = ("runs_open", "runs_running", "runs_waiting", "sqlite_autoindex_leases")


def test_transcripts_are_read_once_and_survive_a_line_cut_short(tmp_path: Path) -> None:
    transcripts, other = Transcripts(tmp_path), Transcripts(tmp_path)
    size = transcripts.append("0000-1111", [{"role": "user", "content": "a\u2028ß", "atMs": 1}])
    assert size == transcripts.path("0000-1111").stat().st_size
    assert transcripts.messages("0000-1111") == [{"role": "user", "content": "a\u2028ß"}]
    with transcripts.path("0000-1111").open("ab") as file:
        file.write(b'{"role": "assistant", "con')
    assert len(transcripts.messages("0000-1111")) == 1
    other.append("0000-1111", [{"role": "assistant", "content": "b"}])
    expected = [{"role": "user", "content": "a\u2028ß"}, {"role": "assistant", "content": "b"}]
    assert transcripts.messages("0000-1111") == expected
    assert other.messages("0000-1111") == expected
    transcripts.remove("0000-1111")
    assert transcripts.messages("0000-1111") == []
    assert other.messages("0000-1111") == []


def test_a_transcript_never_leads_out_of_its_folder(tmp_path: Path) -> None:
    transcripts = Transcripts(tmp_path)
    for session_id in ("../secret", "/etc/passwd", "", "a" * 100, "0000-1111/.."):
        with pytest.raises(StoreError):
            transcripts.path(session_id)


def test_an_instance_is_alive_until_it_dies(tmp_path: Path) -> None:
    one, two = Instance(tmp_path), Instance(tmp_path)
    assert one.alive(two.id)
    assert one.alive(one.id)
    assert not one.alive(None)
    assert not one.alive("nobody")
    two.close()
    assert not one.alive(two.id)
    third = Instance(tmp_path)
    third.close()
    one.bury()
    assert [path.stem for path in tmp_path.iterdir()] == [one.id]
    one.leave()
    assert list(tmp_path.iterdir()) == []


def test_a_database_locked_by_another_program_is_waited_for(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "db")
    reader = sqlite3.connect(tmp_path / "db")
    try:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM jobs").fetchall()
        store.put_job(JOB)  # readers do not block writers
        assert store.jobs() == [JOB]
    finally:
        reader.close()
        store.close()
