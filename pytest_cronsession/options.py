"""The options, checked once: from pytest's namespace to a frozen :class:`Options`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from .budget import USUAL_S

TIERS = ("core", "full", "thorough")
# What ``--cronsession-target`` without a value stores; no target can be spelled like it.
BARE = ""


@dataclass(frozen=True)
class Options:
    """What the user asked for. Paths are absolute."""

    target: str
    tier: str = "core"
    report: Path | None = None
    baseline: Path | None = None
    cache: Path | None = None
    budget_s: float | None = None
    seed: int = 0


def declare(parser: pytest.Parser) -> None:
    """Add the options; none of them is an ini key, or every run in a repository would be a suite run."""
    group = parser.getgroup("cronsession", "conformance of agent gateways")
    group.addoption(
        "--cronsession-target",
        nargs="?",
        const=BARE,
        default=None,
        metavar="KIND[@VERSION][:VALUE]",
        help="Run the conformance suite against this gateway. Without a value: list the kinds of targets.",
    )
    group.addoption(
        "--cronsession-tier",
        choices=TIERS,
        default=None,
        help="How much to run: core (default), full, or thorough.",
    )
    group.addoption(
        "--cronsession-report",
        default=None,
        metavar="FILE",
        help="Write the JSON report to FILE. Makes the run formal: anything not run fails it.",
    )
    group.addoption(
        "--cronsession-baseline",
        default=None,
        metavar="FILE",
        help="JSON file of known failures, which do not fail the run while they last.",
    )
    group.addoption(
        "--cronsession-budget",
        default=None,
        metavar="SECONDS",
        help="About how long a real gateway may take: lowers the numbers of examples, never below one "
        f"(default: {USUAL_S:g} where runs cost real time, no limit elsewhere).",
    )
    group.addoption(
        "--cronsession-seed",
        default=None,
        metavar="N",
        help="Draw other examples: a whole number from 1 on (default: 0, the same examples in every run).",
    )
    group.addoption(
        "--cronsession-cache",
        default=None,
        metavar="DIR",
        help="Where gateways that have to be installed are kept (default: the user's cache folder).",
    )


def read(config: pytest.Config) -> Options | None:
    """The checked options, None without a target; raises :class:`pytest.UsageError`."""
    given = config.option
    if given.cronsession_target is None:
        _refuse_orphans(given)
        return None
    here = config.invocation_params.dir
    return Options(
        target=given.cronsession_target,
        tier=given.cronsession_tier or TIERS[0],
        report=_report_path(here, given.cronsession_report),
        baseline=_file(here, given.cronsession_baseline),
        cache=None if given.cronsession_cache is None else here / given.cronsession_cache,
        budget_s=_seconds(given.cronsession_budget),
        seed=_seed(given.cronsession_seed),
    )


def _refuse_orphans(given: object) -> None:
    for name in ("tier", "report", "baseline", "cache", "budget", "seed"):
        if getattr(given, f"cronsession_{name}") is not None:
            raise pytest.UsageError(
                f"--cronsession-{name} has no effect without a target: "
                "add --cronsession-target=KIND (alone, it lists the kinds)"
            )


def _report_path(here: Path, text: str | None) -> Path | None:
    if text is None:
        return None
    path = here / text
    if path.is_dir():
        raise pytest.UsageError(f"--cronsession-report={text}: is a folder; name a file in it")
    if not path.parent.is_dir():
        raise pytest.UsageError(
            f"--cronsession-report={text}: the folder {path.parent} does not exist; create it first"
        )
    if not os.access(path.parent, os.W_OK):
        # Not at the end of a long run.
        raise pytest.UsageError(f"--cronsession-report={text}: cannot write to the folder {path.parent}")
    return path


def _file(here: Path, text: str | None) -> Path | None:
    if text is None:
        return None
    path = here / text
    if not path.is_file():
        raise pytest.UsageError(f"--cronsession-baseline={text}: no such file: {path}")
    return path


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise pytest.UsageError(f"--cronsession-budget={text}: write seconds, a number above 0, such as 480")
    return seconds


def _seed(text: str | None) -> int:
    if text is None:
        return 0
    if not (text.isascii() and text.isdigit()):
        raise pytest.UsageError(f"--cronsession-seed={text}: write a whole number from 0 on, such as 7")
    return int(text)


def default_cache() -> Path:
    """The user's cache folder for this plugin."""
    from platformdirs import user_cache_path

    return user_cache_path("pytest-cronsession")
