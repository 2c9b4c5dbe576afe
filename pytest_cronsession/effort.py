"""How hard a property is looked at: the tier of the run, and the seed that its examples are drawn with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Effort:
    """``tier`` is that of the run. With ``seed`` 0 each property draws the same examples in every run."""

    tier: str = "core"
    seed: int = 0

    def seeded(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function under test (or a factory of state machines) that Hypothesis runs with this seed."""
        if not self.seed:
            return function
        import hypothesis

        return hypothesis.seed(self.seed)(function)


USUAL = Effort()
