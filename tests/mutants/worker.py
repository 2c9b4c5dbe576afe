"""A process that judges gateways, one after another: ``python -m tests.mutants.worker``.

It reads requests from standard input, a JSON list of pytest's arguments a line, and answers each with the
report, a JSON object a line. One process for all saves a second of imports for each.
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

QUIET = (
    *("-q", "--tb=short", "--capture=no", "-p", "no:cacheprovider", "-p", "no:xdist"),
    *("-p", "no:hypothesispytest", "-p", "no:unraisableexception", "--override-ini=addopts="),
)


PLANS: dict[str, dict[str, list[str]]] = {}
"""Per tier the suite's tests, which are the same in each run: to collect them takes longer than most mutants."""


class Brief:
    """Whether a law is broken is asked here, and not which failing life is the shortest: that takes minutes."""

    def pytest_configure(self) -> None:
        # Not before: pytest wants to import its plugins itself.
        from hypothesis import Phase

        from pytest_cronsession import collection
        from pytest_cronsession.suite import house, kit, life, lives

        collection.plan = _planned(collection.plan)
        lives.PHASES = (Phase.generate,)
        kit.EXAMPLES = dict.fromkeys(kit.EXAMPLES, kit.EXAMPLES["core"])
        life.SIZES = dict.fromkeys(life.SIZES, life.SIZES["core"])
        house.SIZES = dict.fromkeys(house.SIZES, house.SIZES["core"])


def _planned(plan: Callable[..., dict[str, list[str]]]) -> Callable[..., dict[str, list[str]]]:
    def once(session: pytest.Session, suite: Any, catalog: Any, tier: str) -> dict[str, list[str]]:
        if tier not in PLANS:
            PLANS[tier] = plan(session, suite, catalog, tier)
        return PLANS[tier]

    return once


def judged(arguments: list[str]) -> dict[str, Any]:
    """Run the suite in this process; answer its report, or ``{"trouble": what pytest said}``."""
    said = io.StringIO()
    gc.set_threshold(50_000, 20, 100)  # A tenth of the time; what a run leaves goes at its end.
    with tempfile.TemporaryDirectory(prefix="cronsession-mutants-") as folder:
        report = Path(folder, "report.json")
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            pytest.main([*QUIET, f"--cronsession-report={report}", *arguments], [Brief()])
        gc.collect()
        if not report.exists():
            return {"trouble": said.getvalue()}
        found: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    return found


def main() -> None:
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    for line in sys.stdin:
        answers.write(json.dumps(judged(json.loads(line))) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
