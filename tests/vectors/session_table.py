"""The truth table of session wishes: every cell, and what is right there, by the rules of resolver.md.

Written without a look at any resolver, so that a resolver can be held against it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple

NAMES = ("none", "given")
KEYS = ("none", "same", "other")
MODES = ("none", "fresh", "shared")
SESSION_KEY = ("honour", "reject", "report")
FALLBACK = ("isolated", "reject")
OPERATIONS = ("job/add", "job/update")


class Cell(NamedTuple):
    """One wish under one configuration. ``fallback`` is None where nobody asks for it."""

    operation: str
    target: str
    calling: bool
    name: str
    key: str
    mode: str
    session_key: str
    fallback: str | None = None


class Answer(NamedTuple):
    """What is right: ``session`` if accepted, else the ``faults``, of which a refusal names one."""

    session: str | None
    unused: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()
    also: tuple[tuple[str, tuple[str, ...]], ...] = ()


def cells() -> Iterator[Cell]:
    """Every cell once. A key can be that of the target's session only where the target has one."""
    for operation, name, key, mode, policy in product(OPERATIONS, NAMES, KEYS, MODES, SESSION_KEY):
        rest = (name, key, mode, policy)
        if key != "same":
            yield Cell(operation, "isolated", False, *rest)
        if not (name == "none" and key == "same"):
            yield Cell(operation, "named", False, *rest)
        yield Cell(operation, "main", False, *rest)
        if operation == "job/add":
            yield Cell(operation, "current", True, *rest)
        if key != "same":
            yield from (Cell(operation, "current", False, *rest, fallback) for fallback in FALLBACK)


def answer(cell: Cell) -> Answer:
    """The right answer to a cell."""
    if cell.target == "named":
        return _named(cell)
    if cell.target == "isolated":
        return _isolated(cell)
    if cell.target == "current" and not cell.calling:
        return _nobody_calls(cell)
    return _one_session(cell)


def _refused(*faults: str, by: tuple[str, ...] = (), also: tuple[Any, ...] = ()) -> Answer:
    return Answer(None, faults=tuple(f"session.{fault}" for fault in faults), requirements=by, also=also)


def _isolated(cell: Cell) -> Answer:
    of_key = "CS-RES-001" if cell.operation == "job/add" else "CS-RES-002"
    if cell.key == "none":
        if cell.name == "given":
            return _refused("name")
        if cell.mode == "shared":
            return Answer("job", requirements=("CS-RES-020",))
        return Answer(
            "fresh", requirements=("CS-SES-001", *(("CS-RES-020",) if cell.mode == "fresh" else ()))
        )
    if cell.name == "given":
        return _refused("name", "key", *(["mode"] if cell.mode == "fresh" else []))
    if cell.session_key == "reject":
        return _refused("key", *(["mode"] if cell.mode == "fresh" else []), by=(of_key, "CS-RES-019"))
    if cell.mode == "fresh":
        reported = ("fresh", ("session.key",))
        honoured = ("key", ("session.mode",))
        return _refused("key", "mode", by=(of_key, "CS-RES-021"), also=(reported, honoured))
    if cell.session_key == "honour":
        return Answer("key", requirements=(of_key, "CS-RES-019"))
    if cell.mode == "shared":
        return Answer("job", unused=("session.key",), requirements=(of_key,))
    return Answer("fresh", unused=("session.key",), requirements=(of_key, "CS-RES-019"))


def _named(cell: Cell) -> Answer:
    fresh = ["mode"] if cell.mode == "fresh" else []
    if cell.name == "none":
        return _refused("name", *fresh, by=("CS-RES-011",))
    if cell.key == "other":
        loser_key = ("name", ("session.key",))
        loser_name = ("key", ("session.name", "session.target"))
        by = () if fresh else ("CS-RES-004",)
        return _refused("key", *fresh, by=by, also=() if fresh else (loser_key, loser_name))
    if fresh:
        also = (("name", ("session.mode",)), ("fresh", ("session.target",)))
        return _refused("mode", by=("CS-RES-021",), also=also)
    return Answer("name", requirements=("CS-RES-006",))


def _one_session(cell: Cell) -> Answer:
    """Target main, and target current where somebody calls: there is one session that it can be."""
    session, by = ("main", "CS-SES-007") if cell.target == "main" else ("calling", "CS-RES-016")
    faults = ["name"] if cell.name == "given" else []
    faults += ["key"] if cell.key == "other" else []
    faults += ["mode"] if cell.mode == "fresh" else []
    if not faults:
        return Answer(session, requirements=(by,))
    if cell.target == "main" and faults == ["key"]:
        also = (("main", ("session.key",)), ("key", ("session.target",)))
        return _refused("key", by=("CS-RES-005",), also=also)
    if cell.target == "main" and faults == ["mode"]:
        also = (("main", ("session.mode",)), ("fresh", ("session.target",)))
        return _refused("mode", by=("CS-RES-021",), also=also)
    return _refused(*faults)


def _nobody_calls(cell: Cell) -> Answer:
    plain = cell.name == cell.key == cell.mode == "none"
    by = ("CS-RES-017",) if plain else ()
    if cell.fallback == "reject":
        return _refused("target", *(["name"] if cell.name == "given" else []), by=by)
    found = _isolated(cell._replace(target="isolated"))
    return found._replace(requirements=by, also=())


def _expectation(found: Answer) -> dict[str, Any]:
    if found.session is None:
        return {"answer": "rejected", "names": list(found.faults)}
    unused = {"unused": list(found.unused)} if found.unused else {}
    return {"answer": "accepted", "session": found.session, **unused}


def _row(cell: Cell) -> dict[str, Any]:
    found = answer(cell)
    policy = {"sessionKey": cell.session_key}
    if cell.fallback is not None:
        policy["currentFallback"] = cell.fallback
    row: dict[str, Any] = {
        "operation": cell.operation,
        "target": cell.target,
        "calling": cell.calling,
        "name": cell.name,
        "key": cell.key,
        "mode": cell.mode,
        "policy": policy,
        "expect": _expectation(found),
    }
    if found.also:
        row["also"] = [{"answer": "accepted", "session": s, "unused": list(u)} for s, u in found.also]
    if found.requirements:
        row["requirements"] = list(found.requirements)
    return row


def rows() -> list[dict[str, Any]]:
    order = {"isolated": 0, "named": 1, "main": 2, "current": 3}
    return [_row(cell) for cell in sorted(cells(), key=lambda c: (order[c.target], not c.calling))]
