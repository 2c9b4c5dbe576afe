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
    """The model did not answer a turn.

    ``status`` is its HTTP status and ``code`` the code of its answer, where it had one; ``cause`` is the class
    of the failure, a key of :data:`recovery.CAUSES`.
    """

    def __init__(
        self, message: str, status: int | None = None, *, code: str | None = None, cause: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.cause = cause or _cause(status, code)


_BY_STATUS = {429: "rate-limit", 503: "overloaded", 529: "overloaded"}
_BY_STATUS |= dict.fromkeys((500, 502, 504), "server") | {408: "network"}
_USED_UP = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active")


def _cause(status: int | None, code: str | None) -> str:
    if code in _USED_UP:
        return "quota"
    return _BY_STATUS.get(status or 0, "refused")
