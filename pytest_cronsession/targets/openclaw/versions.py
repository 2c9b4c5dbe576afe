"""Which version of OpenClaw speaks which dialect."""

from __future__ import annotations

from .april import APRIL
from .dialect import Dialect
from .node import parse_version
from .september import SEPTEMBER

# From this version on, newest first; what is older than all of them speaks the last. Tested are 2026.9.6 and
# 2026.4.5: for a version in between, the gateway says at the start which requests it does not know.
DIALECTS: tuple[tuple[tuple[int, ...], Dialect], ...] = (
    ((2026, 5, 0), SEPTEMBER),
    ((0, 0, 0), APRIL),
)


def dialect_for(version: str) -> Dialect:
    """The dialect of that version; the newest one's for a version that is no three numbers."""
    number = parse_version(version)
    if number is None:
        return DIALECTS[0][1]
    return next(dialect for since, dialect in DIALECTS if number >= since)
