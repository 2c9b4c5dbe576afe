"""The table of gateways that are right and different, and what several of them need."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from ..mutants.altered import Altered

MINUTE = 60_000
VARIANTS: dict[str, Callable[[], Any]] = {}


def right(factory: Any) -> Any:
    """Enter a factory into the table of variants."""
    VARIANTS[factory.__name__] = factory
    return factory


def inner(params: Any, *path: str) -> dict[str, Any]:
    """An object inside of parameters; an empty one where something else stands there, for the reference to refuse."""
    for name in path:
        params = params.get(name) if isinstance(params, dict) else None
    return params if isinstance(params, dict) else {}


class Declaring(Altered):
    """Declares less than the reference, or other numbers."""

    lacks: ClassVar[tuple[str, ...]] = ()
    only: ClassVar[tuple[str, ...]] = ()
    hello: ClassVar[dict[str, Any]] = {}

    def initialize(self, params: dict[str, Any]) -> dict[str, Any]:
        found = super().initialize(params)
        kept = [c for c in found["capabilities"] if c not in self.lacks and (not self.only or c in self.only)]
        return {**found, "capabilities": kept, **self.hello}
