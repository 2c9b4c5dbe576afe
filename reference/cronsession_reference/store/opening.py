"""Opening the file of a store: made whole or not at all, looked at before it is written to, brought up to date.

What cannot be read is never replaced by an empty store, and its bytes stay as they are.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import uuid
from pathlib import Path

from ..errors import StoreError
from .schema import APPLICATION_ID, STEPS, VERSION, statements

_MAGIC = b"SQLite format 3\0"
TIMEOUT_S = 30.0
"""How long another process may keep the store to itself."""


def open_store(path: Path, *, sync: str) -> sqlite3.Connection:
    """A connection to the store at ``path``, which is created if there is none.

    Raises :class:`StoreError` for a file that is damaged, foreign or newer than this program.
    """
    db: sqlite3.Connection | None = None
    try:
        if not path.exists():
            _create(path, sync)
        _examine(path)
        db = sqlite3.connect(path, isolation_level=None, timeout=TIMEOUT_S)
        _set_up(db, sync)
        _bring_up_to_date(db)
    except (sqlite3.Error, OSError, ValueError) as err:
        if db is not None:
            db.close()
        raise StoreError(
            f"{path} cannot be used as a store: {err}. Nothing was changed; restore it or move it away"
        ) from None
    return db


def _create(path: Path, sync: str) -> None:
    """Make the file under another name, so that under its own it is always whole."""
    if left := [name for name in ("-wal", "-journal") if path.with_name(path.name + name).exists()]:
        raise ValueError(f"it is missing, and {path.name}{left[0]} is still there")
    temporary = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
    os.close(os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        db = sqlite3.connect(temporary, isolation_level=None)
        try:
            db.execute(f"PRAGMA synchronous = {sync}")
            db.execute("PRAGMA auto_vacuum = FULL")
            db.execute("BEGIN")
            _apply(db, 0)
            db.execute("COMMIT")
        finally:
            db.close()
        with contextlib.suppress(FileExistsError):  # another process was faster
            os.link(temporary, path)
    finally:
        temporary.unlink()


def _examine(path: Path) -> None:
    """Refuse what is not a sound store, through a connection that cannot write. Raises :class:`ValueError`."""
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise ValueError("it is not a database, or its beginning is damaged")
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=TIMEOUT_S)
    try:
        problems = [row[0] for row in db.execute("PRAGMA quick_check(1)")]
        if problems != ["ok"]:
            raise ValueError(f"it is damaged ({problems[0]:.200})")
        if db.execute("PRAGMA application_id").fetchone()[0] not in (0, APPLICATION_ID):
            raise ValueError("it belongs to another program")
        version_of(db)
    finally:
        db.close()


def version_of(db: sqlite3.Connection) -> int:
    """The store's version. Raises :class:`ValueError` for one that this program does not know."""
    row = db.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone()
    text = "missing" if row is None else str(row[0])
    if not text.isdecimal() or not 1 <= int(text[:9]) <= VERSION:
        newer = text.isdecimal() and int(text[:9]) > VERSION
        hint = "; it was written by a newer program, use that one" if newer else ""
        raise ValueError(f"its schema version is {text[:40]}, and this program knows 1 to {VERSION}{hint}")
    return int(text)


def _readable(stored: bytes) -> str | bytes:
    """A text column; bytes that are no text stay bytes, so that they spoil their row and not the whole query."""
    try:
        return stored.decode()
    except UnicodeDecodeError:
        return stored


def _set_up(db: sqlite3.Connection, sync: str) -> None:
    db.text_factory = _readable
    for pragma in (
        f"synchronous = {sync}",
        "journal_mode = WAL",
        "wal_autocheckpoint = 256",
        "journal_size_limit = 1048576",
        "temp_store = MEMORY",
    ):
        db.execute(f"PRAGMA {pragma}").fetchall()


def _bring_up_to_date(db: sqlite3.Connection) -> None:
    """Take the steps that the store has not had, all of them or none."""
    if version_of(db) == VERSION:
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        _apply(db, version_of(db))  # asked again: another process may have been faster
        db.execute("COMMIT")
    except BaseException:
        db.rollback()
        raise


def _apply(db: sqlite3.Connection, version: int) -> None:
    for script in STEPS[version:]:
        for statement in statements(script):
            db.execute(statement)
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute("INSERT OR REPLACE INTO meta VALUES ('schema', ?)", (str(VERSION),))
