"""The store: jobs, runs, session rows and leases, behind one protocol."""

from .base import Archived, Notice, Run, SessionRow, Store, Totals
from .memory import MemoryStore
from .sqlite import SqliteStore

__all__ = ["Archived", "MemoryStore", "Notice", "Run", "SessionRow", "SqliteStore", "Store", "Totals"]
