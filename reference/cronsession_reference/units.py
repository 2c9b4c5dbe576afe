"""Durations and sizes as people write them: ``24h``, ``1h30m``, ``500mb``."""

from __future__ import annotations

import re

from .settings import MAX_INSTANT

MAX_SIZE = 2**53 - 1
"""Whole numbers up to here are exact in JSON and in floating point."""

# Digits, letters and spaces of ASCII only: others look like them, and mean nothing here.
_NUMBER = "([0-9]+(?:[.][0-9]+)?) *"
_PART = re.compile(_NUMBER + "(ms|s|m|h|d) *")
_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_SIZE = re.compile(_NUMBER + "(?:(k|m|g)i?)?b?")
_BYTES = {None: 1, "k": 1024, "m": 1024**2, "g": 1024**3}

DURATION = "a number and a unit of ms, s, m, h, d, such as 24h or 1h30m"
SIZE = "a number of bytes, or one with a unit of kb, mb, gb (1 kb is 1024 bytes), such as 500mb"


def parse_duration(text: str) -> int:
    """Milliseconds, to the nearest. Parts add up: ``1h30m``. Raises :class:`ValueError` saying what is accepted."""
    total, position, rest = 0.0, 0, _plain(text)
    while part := _PART.match(rest, position):
        total += float(part[1]) * _MS[part[2]]
        position = part.end()
    if not rest or position < len(rest):
        raise ValueError(f"not a duration; accepted: {DURATION}")
    if total > MAX_INSTANT:
        raise ValueError(f"not a duration; accepted: {DURATION}, at most {MAX_INSTANT} ms")
    return round(total)


def parse_size(text: str | int) -> int:
    """Bytes, to the nearest. Raises :class:`ValueError` saying what is accepted."""
    found = _SIZE.fullmatch(_plain(str(text)))
    if isinstance(text, bool) or found is None:
        raise ValueError(f"not a size; accepted: {SIZE}")
    size = float(found[1]) * _BYTES[found[2]]
    if size > MAX_SIZE:
        raise ValueError(f"not a size; accepted: {SIZE}, at most {MAX_SIZE} bytes")
    return round(size)


def _plain(text: str) -> str:
    return text.strip(" \t").lower() if text.isascii() else ""


def show_duration(milliseconds: int) -> str:
    """The shortest exact spelling, such as ``1d12h``; ``0s`` for nothing."""
    parts, rest = [], milliseconds
    for unit in ("d", "h", "m", "s", "ms"):
        count, rest = divmod(rest, _MS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def show_size(size: int) -> str:
    """About the size, for people: ``512 B``, ``1.5 KB``."""
    if size < 1024:
        return f"{size} B"
    value = float(size)
    for unit in ("KB", "MB", "GB"):
        value /= 1024
        if value < 1024 or unit == "GB":
            break
    return f"{value:.1f} {unit}"
