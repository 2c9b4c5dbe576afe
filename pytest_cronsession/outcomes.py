"""How one look at a requirement can end, as exceptions and as a value.

The suite raises these; the plugin turns them into results. Nothing here knows pytest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .recording import Recording


class ConformanceFailure(AssertionError):
    """The gateway broke a requirement.

    ``message`` is what a reader sees: the sentence is added by the plugin, so it says only
    what was expected, what was observed and when. ``evidence`` makes the recording of what led there, ``trace`` is the
    file that it was written to.
    """

    def __init__(
        self, requirement: str, message: str, evidence: Callable[[], Recording] | None = None
    ) -> None:
        super().__init__(f"{requirement}: {message}")
        self.requirement = requirement
        self.message = message
        self.evidence = evidence
        self.trace = ""


class NotApplicable(Exception):
    """The gateway does not declare a capability that the requirement needs."""


class NotObserved(Exception):
    """The condition of a conditional requirement never occurred: no verdict is possible."""


class TargetError(Exception):
    """The target could not be driven: it died, hung, or broke the protocol.

    ``operation`` is the contract operation under way, ``log`` the tail of the target's own output.
    """

    def __init__(self, operation: str, message: str, *, log: str = "") -> None:
        text = f"{operation}: {message}"
        if log.strip():
            text += "\n--- from the target ---\n" + log.strip()
        super().__init__(text)
        self.operation = operation
        self.message = message
        self.log = log


class TargetTimeout(TargetError):
    """The target did not answer within the operation's time-out."""


class RefusedRequest(TargetError):
    """The target refused the request as one that breaks the contract (JSON-RPC -32602)."""


class UnsupportedOperation(TargetError):
    """The target answered that it does not know the operation (JSON-RPC -32601)."""


class TargetUsageError(Exception):
    """The target cannot be used as it was named: wrong kind, factory, command, package.

    The message says what was tried and what to write instead.
    """


@dataclass(frozen=True)
class Result:
    """What one test case found out about one requirement. Plain values only: it crosses processes."""

    requirement: str
    case: str
    outcome: str  # pass | fail | not-applicable | not-run | error
    witnesses: int = 0
    message: str = ""
    trace: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(data: dict[str, Any]) -> Result:
        return Result(**data)


OUTCOMES = ("pass", "fail", "not-applicable", "not-run", "error")
