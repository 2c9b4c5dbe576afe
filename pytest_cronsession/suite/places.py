"""Which session a wish means, by the contract alone, and what was said there: the bookkeeping of a resolver."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..driver import Driver, Handle
from ..model import Turn

NAMES, KEYS = ("attic", "cellar", "kitchen"), ("house-key", "spare-key")

Place = tuple[str, ...]


@dataclass
class Said:
    """What was said in each place, oldest first, and by fresh runs."""

    places: dict[Place, list[Turn]] = field(default_factory=dict)
    alone: list[Turn] = field(default_factory=list)

    def elsewhere(self, place: Place | None) -> list[Turn]:
        """The latest turns of all other sessions."""
        turns = [t for other, said in self.places.items() if other != place for t in said[-15:]]
        return turns + self.alone[-15:]

    def here(self, place: Place | None) -> list[Turn]:
        """The latest turns of this session."""
        return [] if place is None else self.places.get(place, [])[-25:]

    def add(self, place: Place | None, turn: Turn) -> None:
        """Take down a turn."""
        (self.alone if place is None else self.places.setdefault(place, [])).append(turn)


def place_of(
    agent: str, given: dict[str, Any], job: Handle | None, *, reported: bool = False
) -> Place | None:
    """Where a wish leads; None is a fresh session for each run. ``reported``: key or mode was reported as unused."""
    if given["target"] == "main":
        return ("main", agent)
    if given["target"] == "named":
        return ("named", agent, given["name"])
    if reported or job is None:
        return None
    if "key" in given:
        return ("key", agent, given["key"])
    return ("job", job.id) if "mode" in given else None


def wishes(d: Driver) -> list[dict[str, Any]]:
    """Wishes of every form that the gateway takes."""
    found: list[dict[str, Any]] = []
    if d.has("session.named"):
        found += [{"target": "named", "name": name} for name in NAMES]
    if d.has("session.main"):
        found.append({"target": "main"})
    if d.has("session.isolated"):
        found.append({"target": "isolated"})
        found += [{"target": "isolated", "key": key} for key in KEYS if d.has("session.key")]
        found += [{"target": "isolated", "mode": "shared"}] if d.has("session.mode") else []
    return found
