"""Checks messages against ``specs/schemas``: every request and every answer, in both directions."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from .catalog import specs_dir

BASE = "https://pytest-cronsession.dev/schemas/1/"


def load(name: str) -> dict[str, Any]:
    """The schema file ``specs/schemas/NAME.schema.json``."""
    text = (Path(specs_dir()) / "schemas" / f"{name}.schema.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


@cache
def _documents() -> list[dict[str, Any]]:
    folder = Path(specs_dir()) / "schemas"
    return [json.loads(p.read_text(encoding="utf-8")) for p in sorted(folder.glob("*.schema.json"))]


@cache
def _registry() -> Any:
    from referencing import Registry, Resource

    return Registry().with_resources((d["$id"], Resource.from_contents(d)) for d in _documents())


@cache
def validator(reference: str) -> Any:
    """A compiled validator for ``FILE.schema.json`` or ``FILE.schema.json#/pointer``."""
    from jsonschema import Draft202012Validator

    return Draft202012Validator({"$ref": BASE + reference}, registry=_registry())


@cache
def _quick_registry() -> Any:
    from jsonschema_rs import Registry

    return Registry([(d["$id"], d) for d in _documents()])


@cache
def _quick(reference: str) -> Callable[[Any], bool]:
    """Whether a document is right: faster than ``validator``, which can say what is wrong."""
    from jsonschema_rs import Draft202012Validator

    return Draft202012Validator({"$ref": BASE + reference}, registry=_quick_registry()).is_valid


def _right(reference: str, document: Any) -> bool:
    """Whether a document is certainly right; the slower ``validator`` decides about all others."""
    try:
        return _quick(reference)(document) and _plain(document)
    except ValueError:  # nothing that JSON has a word for, or half of a surrogate pair
        return False


def _plain(value: Any) -> bool:
    """Whether it is made of what JSON is read to: to the quick validator tuples and enumerations are right too."""
    if isinstance(value, dict):
        return all(_plain(member) for member in value.values())
    if isinstance(value, list):
        return all(_plain(member) for member in value)
    return value is None or type(value) in (str, int, float, bool)


def message_problem(operation: str, side: str, message: Any) -> str | None:
    """What is wrong with a message, in one line, or None. ``side`` is ``params`` or ``result``."""
    pointer = f"{operation}:{side}".replace("~", "~0").replace("/", "~1")
    return problem(f"protocol.schema.json#/$defs/{pointer}", message)


def problem(reference: str, document: Any) -> str | None:
    """The most telling violation of a schema, as ``where: what``, or None."""
    from jsonschema.exceptions import best_match

    if _right(reference, document):
        return None
    error = best_match(validator(reference).iter_errors(document))
    if error is None:
        return None
    where = "/".join(str(p) for p in error.absolute_path) or "(top level)"
    return f"{where}: {shorten(error.message)}"


def shorten(text: str, limit: int = 300) -> str:
    """``text`` on one line, with its middle left out where it is long."""
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 60]} ... {line[-50:]}"
