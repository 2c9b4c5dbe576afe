"""Is what happened right? Pure functions from expectation and observation to findings (texts).

An empty list is the only pass. Instants are epoch milliseconds.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from .contract import Run, Session
from .trace import instant

if TYPE_CHECKING:
    from .model import Turn


def slot_findings(
    expected: Sequence[int], fired: Sequence[int], *, lateness_ms: int = 0, zone: str | None = None
) -> list[str]:
    """Compare slots with the instants of the runs: missed, duplicate, early, late, phantom.

    Each fire belongs to the earliest slot that may still run then and has not; it is late beyond ``lateness_ms``.
    """
    findings = []
    left = Counter(expected)
    for moment in sorted(fired):
        due = sorted(s for s in expected if s <= moment <= s + lateness_ms)
        if not due:
            before = [s for s in expected if s < moment]
            word = "late or phantom" if before else "early or phantom"
            findings.append(f"{word} run at {instant(moment, zone)}")
        elif waiting := [s for s in due if left[s] > 0]:
            left[min(waiting)] -= 1
        else:
            findings.append(f"duplicate run of slot {instant(due[-1], zone)} at {instant(moment, zone)}")
    findings += [f"missed slot {instant(s, zone)}" for s, n in sorted(left.items()) if n > 0]
    return findings


def shared_context(turns: Sequence[Turn]) -> list[str]:
    """Turns of one shared session, one after the other, oldest first: each sees every answered one before it."""
    findings = []
    for i, later in enumerate(turns):
        for earlier in turns[:i]:
            if earlier.state == "answered" and not later.saw_turn(earlier):
                findings.append(
                    f"request {later.seq} does not contain the reply {earlier.nonce} to request {earlier.seq}"
                )
    return findings


def fresh_context(turns: Iterable[Turn], others: Iterable[Turn]) -> list[str]:
    """Turns of fresh sessions: none sees a reply to any other turn."""
    before = list(others)
    return [
        f"the request of a fresh run ({later.seq}) contains the reply {earlier.nonce} to request {earlier.seq}"
        for later in turns
        for earlier in before
        if earlier is not later and later.saw_turn(earlier)
    ]


def overlap_findings(runs: Sequence[Run]) -> list[str]:
    """No two runs of one job at the same time (touching ends are fine)."""
    findings = []
    timed = [(r.started_ms, r.id, r.ended_ms) for r in runs if r.started_ms is not None]
    # Of two that began at one instant the shorter was the first, as far as a clock of milliseconds can tell.
    timed.sort(key=lambda run: (run[0], math.inf if run[2] is None else run[2]))
    for (_, first, ended), (began, second, _) in pairwise(timed):
        if ended is None or ended > began:
            findings.append(f"run {second} started at {instant(began)} while {first} was under way")
    return findings


def cap_findings(
    before: Sequence[Session], after: Sequence[Session], limit: int, in_use: Iterable[str] = ()
) -> list[str]:
    """At most ``limit`` rows remain beside those in use, and they are the most recently active ones.

    ``before`` carries the activity as the driver knows it (``updated_ms``), ``after`` what is listed.
    """
    busy = set(in_use)
    kept = {s.key for s in after}
    findings = []
    over = len([s for s in after if s.key not in busy]) - limit
    if over > 0:
        findings.append(f"{len(after)} rows, {over} more than maxEntries {limit} allows")
    known = [(s.updated_ms, s.key) for s in before if s.key not in busy and s.updated_ms is not None]
    newest_lost = max(((ms, key) for ms, key in known if key not in kept), default=None)
    oldest_kept = min(((ms, key) for ms, key in known if key in kept), default=None)
    if newest_lost and oldest_kept and newest_lost[0] > oldest_kept[0]:
        (lost_ms, lost), (kept_ms, stayed) = newest_lost, oldest_kept
        findings.append(
            f"row {lost} (active {instant(lost_ms)}) went, {stayed} (active {instant(kept_ms)}) stayed"
        )
    return findings


def bound_findings(
    rows: Sequence[Session],
    limits: Mapping[str, int],
    *,
    now_ms: int,
    swept_ms: int,
    idle_since: Mapping[str, int],
    in_use: Iterable[str] = (),
) -> list[str]:
    """At most ``maxEntries`` rows that are not in use, none of them idle for longer than ``pruneAfterMs``.

    Between two sweeps the store may stand above its limits: rows active after ``swept_ms`` do not count, and neither do
    those of unknown age. ``idle_since`` has the last activity of keys as the driver knows it.
    """
    busy = set(in_use)
    free = [s for s in rows if s.key not in busy]
    settled = [s for s in free if s.updated_ms is not None and s.updated_ms <= swept_ms]
    findings = []
    if len(settled) > limits["maxEntries"]:
        findings.append(
            f"{len(settled)} rows have stood for more than a sweep interval, maxEntries is {limits['maxEntries']}"
        )
    longest = limits["pruneAfterMs"] + now_ms - swept_ms
    for key in sorted(idle_since.keys() & {s.key for s in free}):
        if now_ms - idle_since[key] > longest:
            findings.append(
                f"the row {key}, idle since {instant(idle_since[key])}, is listed at {instant(now_ms)}"
            )
    return findings
