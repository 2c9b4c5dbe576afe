"""Text without what differs from machine to machine and run to run: paths, ports, addresses, random ids."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", re.IGNORECASE)
_NOISE = (
    # What is left of an id where a text was cut.
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f-]{0,27}(?= \.\.\.)", re.IGNORECASE), "<id>"),
    (re.compile(r"\b0x[0-9a-f]{6,}\b", re.IGNORECASE), "0x..."),
    (re.compile(r"\b(127\.0\.0\.1|localhost):\d+\b"), r"\1:PORT"),
)


def machine_places(cache: Path | None = None) -> dict[str, str]:
    """The folders of this machine that may show up in messages, and what to write instead."""
    # Of two names for one folder the later one is used.
    places = {
        str(Path.home()): "~",
        tempfile.gettempdir(): "<tmp>",
        sys.base_prefix: "<python>",
        sys.prefix: "<python>",
        str(Path(__file__).parent.parent): "<pytest_cronsession>",
        os.getcwd(): ".",
    }
    if cache is not None:
        places[str(cache)] = "<cache>"
    return places | {os.path.realpath(path): name for path, name in places.items()}


def scrub(value: Any, places: Mapping[str, str]) -> Any:
    """A JSON value with every text in it cleaned; keys stay."""
    if isinstance(value, str):
        return scrub_text(value, places)
    if isinstance(value, Mapping):
        return {key: scrub(inner, places) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [scrub(inner, places) for inner in value]
    return value


def scrub_text(text: str, places: Mapping[str, str]) -> str:
    """One text cleaned. Random ids are numbered in the order they appear, so that equal ones stay equal."""
    # The innermost folder first: the working folder may lie in a temporary one.
    for path in sorted(places, key=len, reverse=True):
        if len(Path(path).parts) < 2:
            continue  # a home of "/" would eat every path
        # Names below a temporary folder are random themselves.
        tail = r"(?:/[^\s\"':,;()\[\]]*)?" if places[path] == "<tmp>" else ""
        text = re.sub(rf"(?<![\w./-]){re.escape(path)}(?![\w.-]){tail}", places[path], text)
    for pattern, word in _NOISE:
        text = pattern.sub(word, text)
    seen: dict[str, str] = {}
    return _UUID.sub(lambda match: seen.setdefault(match[0].lower(), f"<id-{len(seen) + 1}>"), text)
