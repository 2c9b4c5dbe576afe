"""Values from outside: each is taken as it is or refused, naming the field, the value and what is accepted."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping
from typing import Any

from .errors import Refused

MAX_INSTANT = 8_640_000_000_000_000
MAX_NAME = 512
MAX_KEY = 2048
MAX_TEXT = 1024 * 1024
"""The most characters of a name, of a session key as it is given, and of a text for the model."""


def shorten(value: object, limit: int = 60) -> str:
    """A value as an error message shows it; never long, whatever the value is."""
    if isinstance(value, (str, bytes)):
        value = value[: limit + 1]
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits, or nested too deep
        text = f"<{type(value).__name__}>"
    return text if len(text) <= limit else text[: limit - 3] + "..."


def brief(text: str, limit: int = 60) -> str:
    """A text as it can be typed again, or its beginning if it is long."""
    return text if len(text) <= limit else text[: limit - 3] + "..."


def members(
    data: object, where: str, required: Collection[str], optional: Collection[str]
) -> Mapping[str, Any]:
    """Check that ``data`` is an object with these members; raise :class:`Refused` naming the odd one."""
    if not isinstance(data, Mapping):
        raise Refused(where or "job", f"must be an object, not {shorten(data)}")
    prefix = f"{where}." if where else ""
    for name in data:
        if name not in required and name not in optional:
            known = ", ".join([*required, *optional])
            word = name if isinstance(name, str) and name.isidentifier() and len(name) < 60 else shorten(name)
            raise Refused(f"{prefix}{word}", f"is not a member that exists here; accepted: {known}")
    for name in required:
        if name not in data:
            raise Refused(f"{prefix}{name}", "is missing")
    return data


def integer(value: object, field: str, low: int, high: int = MAX_INSTANT, unit: str = "milliseconds") -> int:
    """An integer in ``unit``; no boolean, no float, no text."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise Refused(field, f"must be an integer from {low} to {high} ({unit}), not {shorten(value)}")
    return value


def text(value: object, field: str, *, longest: int = MAX_TEXT) -> str:
    """A text that is not blank, and that can be stored."""
    if not isinstance(value, str) or not value.strip():
        raise Refused(field, f"must be a text that is not blank, not {shorten(value)}")
    if len(value) > longest:
        raise Refused(
            field, f"has {len(value)} characters ({shorten(value)}); at most {longest} are accepted"
        )
    if any(0xD800 <= ord(letter) <= 0xDFFF for letter in value):
        raise Refused(field, f"contains half of a surrogate pair ({shorten(value)}); send whole characters")
    return value


def name(value: object, field: str) -> str:
    """A text of one line, for people."""
    found = text(value, field, longest=MAX_NAME)
    if any(unicodedata.category(letter) == "Cc" for letter in found):
        raise Refused(field, f"contains a control character ({shorten(found)}); use printable text")
    return found


def identifier(value: object, field: str) -> str:
    """What someone else chose to call a thing by: any short text."""
    if not isinstance(value, str) or not 0 < len(value) <= MAX_NAME:
        raise Refused(field, f"must be a text of 1 to {MAX_NAME} characters, not {shorten(value)}")
    return text(value, field)


def agent_id(value: object, field: str) -> str:
    """The name of an agent. It becomes a part of session keys, so it has no colons or slashes."""
    found = name(value, field)
    if len(found) > 64 or not found[0].isalnum() or not all(c.isalnum() or c in "._-" for c in found):
        reason = "is no name for an agent; accepted: up to 64 letters, digits and . _ -, beginning with one"
        raise Refused(field, f"{shorten(found)} {reason} of the first two")
    return found


def flag(value: object, field: str) -> bool:
    if not isinstance(value, bool):
        raise Refused(field, f"must be true or false, not {shorten(value)}")
    return value


def word(value: object, field: str, known: Collection[str]) -> str:
    """One of the words that are known here."""
    if not isinstance(value, str) or value not in known:
        raise Refused(field, f"cannot be {shorten(value)}; accepted: {', '.join(known)}")
    return value
