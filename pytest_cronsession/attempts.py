"""Requests that are wrong on purpose: whether a gateway refuses them, and goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .lifetime import Lifetime
from .outcomes import RefusedRequest, TargetError
from .schemas import shorten


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
        return self._tried(operation, params, params)

    def try_start(self, config: Mapping[str, Any]) -> Attempt:
        """``gateway/start`` of the stopped gateway with a configuration that is wrong."""
        params = {**self.world.start_params(), "config": dict(config)}
        found = self._tried("gateway/start", params, {"config": config})
        self.world.running = found.answer is not None
        return found

    def _tried(self, operation: str, params: dict[str, Any], shown: Mapping[str, Any]) -> Attempt:
        answer: Mapping[str, Any] | None = None
        refusal: str | None = None
        try:
            answer = self.world.attempt(operation, params)
        except RefusedRequest as error:
            refusal = error.message
        except TargetError as error:
            self.trace.call(self.now, f"wrong: {operation}", _short(shown), {"error": error.message})
            self.fail(
                f"a request that breaks the contract was not refused, it broke the gateway: {error.message}"
            )
        if answer is not None and "rejected" in answer:
            refusal = f"{answer['rejected']['field']}: {answer['rejected']['reason']}"
        self.trace.call(self.now, f"wrong: {operation}", _short(shown), answer or {"refused": refusal})
        return Attempt(None if refusal is not None else answer, refusal)


def _short(params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters for the steps of a failure: what is wrong on purpose may be ten million characters long."""
    texts = {name: repr(value) for name, value in params.items()}
    return {name: params[name] if len(text) <= 400 else shorten(text[:2000]) for name, text in texts.items()}
