"""Checks messages against ``specs/schemas``: every request and every answer, in both directions."""

from __future__ import annotations

import json
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
def _registry() -> Any:
    from referencing import Registry, Resource

    folder = Path(specs_dir()) / "schemas"
    documents = [json.loads(p.read_text(encoding="utf-8")) for p in sorted(folder.glob("*.schema.json"))]
    return Registry().with_resources((d["$id"], Resource.from_contents(d)) for d in documents)


@cache
def validator(reference: str) -> Any:
    """A compiled validator for ``FILE.schema.json`` or ``FILE.schema.json#/pointer``."""
    from jsonschema import Draft202012Validator

    return Draft202012Validator({"$ref": BASE + reference}, registry=_registry())


def message_problem(operation: str, side: str, message: Any) -> str | None:
    """What is wrong with a message, in one line, or None. ``side`` is ``params`` or ``result``."""
    pointer = f"{operation}:{side}".replace("~", "~0").replace("/", "~1")
    return problem(f"protocol.schema.json#/$defs/{pointer}", message)


def problem(reference: str, document: Any) -> str | None:
    """The most telling violation of a schema, as ``where: what``, or None."""
    from jsonschema.exceptions import best_match

    error = best_match(validator(reference).iter_errors(document))
    if error is None:
        return None
    where = "/".join(str(p) for p in error.absolute_path) or "(top level)"
    return f"{where}: {shorten(error.message)}"


def shorten(text: str, limit: int = 300) -> str:
    """``text`` on one line, with its middle left out where it is long."""
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 60]} ... {line[-50:]}"
