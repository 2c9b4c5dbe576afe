"""Every mutant against the whole suite: ``python -m tests.mutants.matrix [--quick | --slow | --record] [NAME...]``.

Prints what each breaks and where that is not what its entry says, then how many mutants break each requirement.
Those that stand on the Node gateway are called ``node:NAME``.
Half a minute for each mutant; less with ``--quick``, which leaves out the slow tests, or with ``--slow``. With
``--record`` what was found becomes what is expected.
"""

from __future__ import annotations

import sys
import time
from collections import Counter

from pytest_cronsession import catalog

from ..node import gateways as node
from . import recorded
from .gateways import MUTANTS
from .judging import TIER, Court, broken, errors, failing_tests, judged_by, part, tests

CASES = {
    **{name: ("python", f"tests.mutants.gateways:{name}", wrong.expected) for name, wrong in MUTANTS.items()},
    **{
        f"node:{name}": ("stdio", node.command("mutant.mjs", [name]), wrong.expected)
        for name, wrong in node.MUTANTS.items()
    },
}
"""Per mutant: the kind and the value of its target, and what it is expected to break."""


def main(arguments: list[str]) -> int:
    """The exit code: 1 if an entry is wrong."""
    names = [name for name in arguments if not name.startswith("-")]
    parts = [part(slow=argument == "--slow") for argument in arguments if argument in ("--quick", "--slow")]
    nodes = parts[0] if parts else list(tests())
    court, kills, wrong = Court(), Counter[str](), 0
    on_record, found_by = recorded.load(), recorded.load(recorded.FOUND_BY)
    for name in names or CASES:
        began = time.perf_counter()
        kind, target, named = CASES[name]
        expected = on_record.get(name, named)
        report = court.judge(target, TIER, *nodes, kind=kind)
        found, failed = broken(report), errors(report)
        # What the tests that were left out have a say in may be found, and need not.
        expected &= found | judged_by(nodes)
        kills.update(found)
        agrees = found == expected and not failed
        if "--record" in arguments and found >= named and not failed:
            on_record[name], agrees = frozenset(found), True
            found_by[name] = frozenset(failing_tests(report))
            recorded.store(on_record)
            recorded.store(found_by, recorded.FOUND_BY)
        wrong += not agrees
        print(
            f"{'  ' if agrees else '! '}{name} {' '.join(sorted(found))} ({time.perf_counter() - began:.1f} s)"
        )
        for word, ids in (("unexpected", found - expected), ("missing", expected - found)):
            if ids:
                print(f"    {word}: {' '.join(sorted(ids))}")
        for identity, message in failed.items():
            print(f"    error: {identity}: {message.splitlines()[0]}")
        sys.stdout.flush()
    court.close()
    print("\nkillers of each requirement")
    for identity in catalog.load().requirements:
        print(f"  {identity} {kills[identity]}")
    return min(1, wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
