"""Gateways that treat rows which were put into their store otherwise than their own (areas reaper, maintenance)."""

from __future__ import annotations

from typing import Any

from cronsession_reference.engine import Engine
from cronsession_reference.settings import DAY

from .altered import Altered, replan, wrap, wrong


class Seeding(Altered):
    """Seeds other rows than it was asked for."""

    def row(self, wanted: dict[str, Any]) -> dict[str, Any]:
        return wanted

    def store_seed(self, params: dict[str, Any]) -> dict[str, Any]:
        return super().store_seed({**params, "rows": [self.row(row) for row in params["rows"]]})


@wrong("bugs:R1", "MNT-021", "MNT-022", "REA-027")
class SeedsAreNew(Seeding):
    """A row that is put into the store is a day younger than it was said to be."""

    def row(self, wanted: dict[str, Any]) -> dict[str, Any]:
        return {**wanted, "updatedAtMs": wanted["updatedAtMs"] + DAY}


class Knowing(Altered):
    """Knows which rows were put into its store."""

    seeded: tuple[str, ...] = ()

    def store_seed(self, params: dict[str, Any]) -> dict[str, Any]:
        answer = super().store_seed(params)
        self.seeded = tuple(row["id"] for row in answer["sessions"])
        return answer


@wrong("bugs:R1", "MNT-021")
class SeedsAreLost(Knowing):
    """Of several rows that are put into the store at once, the first is lost when the store is opened."""

    def alter(self, engine: Engine) -> None:
        seeded = [row for row in engine.store.sessions() if row.id in self.seeded]
        if len(seeded) > 1:
            engine.store.delete_session(seeded[0].key)


@wrong("bugs:R10", "REA-027")
class SeededReceiptsAreNone(Knowing):
    """What was put into the store is no receipt: no job of this gateway has left it."""

    def alter(self, engine: Engine) -> None:
        replan(engine, lambda inner, now: (r for r in inner(now) if r.id not in self.seeded))


@wrong("bugs:R8", "MNT-022")
class OldSeedsStay(Knowing):
    """Maintenance looks at the rows that this gateway has made."""

    def alter(self, engine: Engine) -> None:
        wrap(engine.store, "evictable", lambda inner: (r for r in inner() if r.id not in self.seeded))


@wrong("bugs:K8", "MNT-023")
class SeededNamesAreOthers(Seeding):
    """A session that is put into the store has a name of its own."""

    def row(self, wanted: dict[str, Any]) -> dict[str, Any]:
        session = wanted.get("session")
        if not session or "name" not in session:
            return wanted
        return {**wanted, "session": {**session, "name": f"seeded-{session['name']}"}}
