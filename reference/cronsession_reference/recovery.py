"""What a job says about failures and about missed slots; where it says nothing, the settings decide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .checks import integer, members, shorten, word
from .errors import Refused

CAUSES = {
    "rate-limit": "the model wants fewer requests (429)",
    "overloaded": "the model is overloaded (503, 529)",
    "server": "the model's server failed (500, 502, 504)",
    "network": "the model could not be reached, or broke off",
    "refused": "the model will not answer this request (other statuses)",
    "quota": "the account is used up, which waiting does not change",
    "answer": "the model's answer has no text",
    "timeout": "the run took longer than it may",
    "gateway": "the gateway itself failed",
}
"""Why a run failed: a class that its origin knows, never a word found in a message."""
TRANSIENT = ("rate-limit", "overloaded", "server", "network")
"""The causes that pass by themselves."""
MAX_RETRIES, MAX_FAILURES, MAX_BACKOFF_MS = 10, 1_000_000, 86_400_000
CATCH_UPS = ("skip", "once", "all")


@dataclass(frozen=True)
class Retry:
    """Run a slot again after a passing trouble: at most ``limit`` times, each after its wait; the last repeats."""

    limit: int = 3
    backoff_ms: tuple[int, ...] = (30_000, 60_000, 300_000)

    def wait_ms(self, attempt: int) -> int | None:
        """How long to wait before try ``attempt`` (1 is the first repetition), or None: no more."""
        if attempt > self.limit:
            return None
        return self.backoff_ms[min(attempt, len(self.backoff_ms)) - 1]


@dataclass(frozen=True)
class CatchUp:
    """What becomes of missed slots. One that is later than ``max_lateness_ms`` is never run."""

    policy: str
    max_lateness_ms: int | None = None

    def choose(self, missed: Sequence[int], now_ms: int) -> list[int]:
        """The slots of ``missed``, in order, that are still to be run."""
        oldest = 0 if self.max_lateness_ms is None else now_ms - self.max_lateness_ms
        young = [slot for slot in missed if slot >= oldest]
        return {"skip": [], "once": young[-1:], "all": young}[self.policy]


def parse_retry(data: object, field: str = "retry") -> Retry:
    """Read ``{"maxRetries", "backoffMs"?}``. Raises :class:`Refused`."""
    data = members(data, field, ("maxRetries",), ("backoffMs",))
    limit = integer(data["maxRetries"], f"{field}.maxRetries", 0, MAX_RETRIES, "a number")
    if "backoffMs" not in data:
        return Retry(limit)
    waits = data["backoffMs"]
    if not isinstance(waits, (list, tuple)) or not 0 < len(waits) <= MAX_RETRIES:
        reason = f"must be a list of 1 to {MAX_RETRIES} durations in milliseconds, not {shorten(waits)}"
        raise Refused(f"{field}.backoffMs", reason)
    found = [
        integer(wait, f"{field}.backoffMs[{place}]", 1, MAX_BACKOFF_MS) for place, wait in enumerate(waits)
    ]
    return Retry(limit, tuple(found))


def parse_catch_up(data: object, field: str = "catchUp") -> CatchUp:
    """Read ``{"policy", "maxLatenessMs"?}``. Raises :class:`Refused`."""
    data = members(data, field, ("policy",), ("maxLatenessMs",))
    policy = word(data["policy"], f"{field}.policy", CATCH_UPS)
    lateness = data.get("maxLatenessMs")
    if lateness is not None:
        lateness = integer(lateness, f"{field}.maxLatenessMs", 1)
    return CatchUp(policy, lateness)


def parse_max_failures(value: object, field: str = "maxFailures") -> int:
    """Read how many failures in a row disable a job. Raises :class:`Refused`."""
    return integer(value, field, 1, MAX_FAILURES, "a number")


def retry_dict(retry: Retry) -> dict[str, Any]:
    return {"maxRetries": retry.limit, "backoffMs": list(retry.backoff_ms)}


def catch_up_dict(catch_up: CatchUp) -> dict[str, Any]:
    lateness = catch_up.max_lateness_ms
    return {"policy": catch_up.policy, **({} if lateness is None else {"maxLatenessMs": lateness})}
