"""The store: jobs, runs, session rows and leases, behind one protocol."""

from .base import Run, SessionRow, Store, Totals
from .memory import MemoryStore
from .sqlite import SqliteStore

__all__ = ["MemoryStore", "Run", "SessionRow", "SqliteStore", "Store", "Totals"]
