"""Durations and sizes as people write them: ``24h``, ``1h30m``, ``500mb``."""

from __future__ import annotations

import re

_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(k|m|g)?(?:i?b)?")
_BYTES = {None: 1, "k": 1024, "m": 1024**2, "g": 1024**3}

DURATION = "a number and a unit of ms, s, m, h, d, such as 24h or 1h30m"
SIZE = "a number of bytes, or one with a unit of kb, mb, gb (1 kb is 1024 bytes), such as 500mb"


LARGEST = 2**53
"""Of milliseconds and of bytes; up to here a number with a fraction is exact."""


def parse_duration(text: str) -> int:
    """Milliseconds. Parts add up: ``1h30m``. Raises :class:`ValueError` saying what is accepted."""
    total, position, rest = 0.0, 0, text.strip().lower()
    while position < len(rest) and (part := _PART.match(rest, position)):
        total += float(part[1]) * _MS[part[2]]
        position = part.end()
        while position < len(rest) and rest[position] == " ":
            position += 1
    if not rest or position < len(rest):
        raise ValueError(f"not a duration; accepted: {DURATION}")
    return _bounded(total, DURATION)


def _bounded(number: float, accepted: str) -> int:
    if number > LARGEST:
        raise ValueError(f"too large; accepted: {accepted}")
    return round(number)


def parse_size(text: str | int) -> int:
    """Bytes. Raises :class:`ValueError` saying what is accepted."""
    found = _SIZE.fullmatch(str(text).strip().lower())
    if isinstance(text, bool) or found is None:
        raise ValueError(f"not a size; accepted: {SIZE}")
    return _bounded(float(found[1]) * _BYTES[found[2]], SIZE)


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
