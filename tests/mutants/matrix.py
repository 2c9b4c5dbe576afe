"""Every mutant against the whole suite: ``python -m tests.mutants.matrix [--quick | --slow] [--record] [NAME...]``.

Prints what each breaks and where that is not what its entry says, then how many mutants break each requirement.
Those that stand on the Node gateway are called ``node:NAME``.
A minute for each mutant, ``--jobs N`` (1) at a time; less with ``--quick``, which leaves out the slow tests, or with
``--slow``. With ``--record`` what was found becomes what is expected.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from queue import Queue
from typing import Any

from pytest_cronsession import catalog

from ..node import gateways as node
from . import recorded
from .gateways import MUTANTS
from .judging import TIER, Court, broken, errors, failing_tests, judged_by, part, tests

Report = dict[str, Any]
CASES = {
    **{name: ("python", f"tests.mutants.gateways:{name}", wrong.expected) for name, wrong in MUTANTS.items()},
    **{
        f"node:{name}": ("stdio", node.command("mutant.mjs", [name]), wrong.expected)
        for name, wrong in node.MUTANTS.items()
    },
}
"""Per mutant: the kind and the value of its target, and what it is expected to break."""


@dataclass
class Matrix:
    """What is judged, by which tests, and what came out so far."""

    nodes: Sequence[str]
    record: bool
    kills: Counter[str] = field(default_factory=Counter)
    wrong: int = 0
    on_record: dict[str, frozenset[str]] = field(default_factory=recorded.load)
    found_by: dict[str, frozenset[str]] = field(default_factory=lambda: recorded.load(recorded.FOUND_BY))

    def judge(self, court: Court, name: str) -> tuple[str, Report, float]:
        """The report about one mutant, and the seconds that it took."""
        began = time.perf_counter()
        kind, target, _ = CASES[name]
        return name, court.judge(target, TIER, *self.nodes, kind=kind), time.perf_counter() - began

    def tell(self, name: str, report: Report, seconds: float) -> None:
        """Print what it breaks, and record it."""
        named = CASES[name][2]
        expected = self.on_record.get(name, named)
        found, failed = broken(report), errors(report)
        # What the tests that were left out have a say in may be found, and need not.
        expected &= found | judged_by(self.nodes)
        self.kills.update(found)
        agrees = found == expected and not failed
        if self.record and found >= named and not failed:
            self.on_record[name], agrees = frozenset(found), True
            self.found_by[name] = frozenset(failing_tests(report))
            recorded.store(self.on_record)
            recorded.store(self.found_by, recorded.FOUND_BY)
        self.wrong += not agrees
        print(f"{'  ' if agrees else '! '}{name} {' '.join(sorted(found))} ({seconds:.1f} s)")
        for word, ids in (("unexpected", found - expected), ("missing", expected - found)):
            if ids:
                print(f"    {word}: {' '.join(sorted(ids))}")
        for identity, message in failed.items():
            print(f"    error: {identity}: {message.splitlines()[0]}")
        sys.stdout.flush()


def main() -> int:
    """The exit code: 1 if an entry is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants.matrix", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--jobs", type=int, default=1, metavar="N")
    parser.add_argument("--record", action="store_true")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--quick", action="store_true")
    which.add_argument("--slow", action="store_true")
    given = parser.parse_args()
    if unknown := set(given.names) - set(CASES):
        parser.error(f"no such mutant: {', '.join(sorted(unknown))}")
    nodes = part(slow=given.slow) if given.quick or given.slow else list(tests())
    matrix = Matrix(nodes, given.record)
    courts: Queue[Court] = Queue()
    for _ in range(given.jobs):
        courts.put(Court())

    def judged(name: str) -> tuple[str, Report, float]:
        court = courts.get()
        try:
            return matrix.judge(court, name)
        finally:
            courts.put(court)

    with ThreadPoolExecutor(given.jobs) as pool:
        # Told as they end: one that takes long keeps none of the others from being recorded.
        for done in as_completed([pool.submit(judged, name) for name in given.names or CASES]):
            matrix.tell(*done.result())
    while not courts.empty():
        courts.get().close()
    print("\nkillers of each requirement")
    for identity in catalog.load().requirements:
        print(f"  {identity} {matrix.kills[identity]}")
    return min(1, matrix.wrong)


if __name__ == "__main__":
    sys.exit(main())
