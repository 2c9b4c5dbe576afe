"""The errors that cross module borders."""

from __future__ import annotations


class Refused(ValueError):
    """A write that is not accepted: ``field`` is the member at fault, ``reason`` says what to do instead."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class StoreError(RuntimeError):
    """The store cannot be read or written. It is never replaced by an empty one."""


class StoreClosed(StoreError):
    """The store was closed under a task that still wanted to write."""


class ModelError(RuntimeError):
    """The model did not answer a turn; ``status`` is its HTTP status where it had one."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status
