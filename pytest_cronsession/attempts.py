"""Requests that are wrong on purpose: whether a gateway refuses them, and goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .lifetime import Lifetime
from .outcomes import RefusedRequest, TargetError


@dataclass(frozen=True)
class Attempt:
    """What became of a wrong request: ``refusal`` says why it was refused, or ``answer`` is what it got."""

    answer: Mapping[str, Any] | None
    refusal: str | None


class Attempts(Lifetime):
    """The part of a driver that breaks the contract."""

    def attempt(self, operation: str, params: dict[str, Any]) -> Attempt:
        """Send a request that breaks the schema.

        Refused is a result with ``rejected``, JSON-RPC error -32602, or in process ``ValueError``, ``TypeError`` or
        ``LookupError``. Whatever else goes wrong fails the requirement: the gateway has to go on.
        """
        answer: Mapping[str, Any] | None = None
        refusal: str | None = None
        try:
            answer = self.world.attempt(operation, params)
        except RefusedRequest as error:
            refusal = error.message
        except TargetError as error:
            self.trace.attempt(self.now, operation, params, {"error": error.message})
            self.fail(
                f"a request that breaks the contract was not refused, it broke the gateway: {error.message}"
            )
        self.trace.attempt(self.now, operation, params, {"refused": refusal} if answer is None else answer)
        if answer is not None and "rejected" in answer:
            refusal = f"{answer['rejected']['field']}: {answer['rejected']['reason']}"
        return Attempt(None if refusal is not None else answer, refusal)

    def try_start(self, config: Mapping[str, Any]) -> Attempt:
        """``gateway/start`` of the stopped gateway with a configuration that is wrong."""
        return self.attempt("gateway/start", {"config": dict(config)})
