"""A connection to a SQLite file: statements, transactions, and the few words of its table ``meta``."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import StoreClosed
from .opening import open_store


class Connection:
    """The file ``path``, opened as :func:`open_store` says. After ``close`` it raises :class:`StoreClosed`."""

    def __init__(self, path: Path, *, sync: str = "FULL") -> None:
        self._depth = 0
        self._steady: int | None = None
        self._looked: tuple[tuple[int, int], dict[str, list[tuple[Any, ...]]]] = ((-1, -1), {})
        self._db: sqlite3.Connection | None = open_store(path, sync=sync)

    def _sql(self, statement: str, *values: Any) -> sqlite3.Cursor:
        if self._db is None:
            raise StoreClosed("the store is closed")
        return self._db.execute(statement, values)

    @contextmanager
    def steady(self) -> Iterator[None]:
        before = self._steady
        if before is None:
            # Grows with each commit of another connection; our own are in ``total_changes``.
            self._steady = self._sql("PRAGMA data_version").fetchone()[0]
        try:
            yield
        finally:
            self._steady = before

    def _look(self, statement: str) -> list[tuple[Any, ...]]:
        """All rows of a query without parameters; see ``steady``."""
        if self._steady is None or self._depth or self._db is None:
            return self._sql(statement).fetchall()
        version = (self._steady, self._db.total_changes)
        if self._looked[0] != version:
            self._looked = (version, {})
        looked = self._looked[1]
        if statement not in looked:
            looked[statement] = self._sql(statement).fetchall()
        return looked[statement]

    @contextmanager
    def transaction(self) -> Iterator[None]:
        name = f"level{self._depth}"
        self._sql(f"SAVEPOINT {name}" if self._depth else "BEGIN IMMEDIATE")
        self._depth += 1
        try:
            yield
        except BaseException:
            self._depth -= 1
            if self._db is not None and self._db.in_transaction:
                if self._depth:
                    self._sql(f"ROLLBACK TO {name}")
                    self._sql(f"RELEASE {name}")
                else:
                    self._db.rollback()
            raise
        self._depth -= 1
        self._sql(f"RELEASE {name}" if self._depth else "COMMIT")

    def close(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            db.close()

    def meta(self, name: str) -> str | None:
        row = self._sql("SELECT value FROM meta WHERE name = ?", name).fetchone()
        return None if row is None else str(row[0])

    def put_meta(self, name: str, value: str) -> None:
        self._sql("INSERT OR REPLACE INTO meta VALUES (?, ?)", name, value)
