"""The mutants by name: ``pytest --cronsession-target=python:tests.mutants.gateways:KeyIgnoredOnAdd``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import (
    afterwards,
    bounds,
    caps,
    changes,
    clockwork,
    coincidences,
    combined,
    comeback,
    contexts,
    corners,
    desk,
    dialect,
    doubling,
    durability,
    edges_reaper,
    edges_resolver,
    edges_runs,
    edges_sessions,
    edges_slots,
    edges_store,
    edges_told,
    edits,
    forgetting,
    forms,
    inputs,
    keys,
    kinds,
    last_jobs,
    last_sessions,
    last_slots,
    lasting,
    leftovers,
    limits,
    liveness,
    oddities,
    people,
    reaping,
    resolving,
    runs,
    seeding,
    slips,
    slots,
    targets,
    told,
    ways,
)
from .altered import MUTANTS, Mutant

__all__ = [
    "MUTANTS",
    "Mutant",
    "afterwards",
    "bounds",
    "caps",
    "changes",
    "clockwork",
    "coincidences",
    "combined",
    "comeback",
    "contexts",
    "corners",
    "desk",
    "dialect",
    "doubling",
    "durability",
    "edges_reaper",
    "edges_resolver",
    "edges_runs",
    "edges_sessions",
    "edges_slots",
    "edges_store",
    "edges_told",
    "edits",
    "forgetting",
    "forms",
    "inputs",
    "keys",
    "kinds",
    "last_jobs",
    "last_sessions",
    "last_slots",
    "lasting",
    "leftovers",
    "limits",
    "liveness",
    "oddities",
    "people",
    "reaping",
    "resolving",
    "runs",
    "seeding",
    "slips",
    "slots",
    "targets",
    "told",
    "ways",
]


def __getattr__(name: str) -> Callable[[], Any]:
    if name not in MUTANTS:
        raise AttributeError(name)
    return MUTANTS[name].factory


def __dir__() -> list[str]:
    return [*__all__, *MUTANTS]
