"""Where recordings of failures are kept: beside the report, or else in pytest's cache folder."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from . import __version__, recording
from .options import Options
from .outcomes import ConformanceFailure
from .report.scrub import machine_places, scrub_text

CACHE_FOLDER = "cronsession-traces"


def folder(config: pytest.Config, options: Options) -> Path | None:
    """``REPORT.traces`` beside the report; without a report and without pytest's cache there is none."""
    if options.report is not None:
        return options.report.with_suffix(".traces")
    cache = getattr(config, "cache", None)
    return None if cache is None else Path(cache.mkdir(CACHE_FOLDER))


def clear(config: pytest.Config, options: Options) -> None:
    """Remove what an earlier run left, so that whatever is there is of this one."""
    place = folder(config, options)
    if place is not None:
        for file in place.glob("CS-*.json"):
            file.unlink(missing_ok=True)


def keep(failure: ConformanceFailure, config: pytest.Config, options: Options, case: str) -> Path | None:
    """Write the recording of a failure; None where there is nothing to record or no place for it."""
    place = folder(config, options)
    if failure.evidence is None or place is None:
        return None
    found = failure.evidence()
    told = replace(
        found,
        target=options.target,
        case=case,
        suite=f"pytest-cronsession {__version__}",
        message=scrub_text(found.message, machine_places(options.cache)),
    )
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", case.partition("::")[2]).strip("-")
    file = place / f"{found.requirement}.{name}.json"
    try:
        place.mkdir(exist_ok=True)
        file.write_text(recording.to_text(told), encoding="utf-8")
    except OSError:
        return None  # a full disk must not turn a verdict into an error
    return file


def shown(file: Path, options: Options) -> str:
    """How the report names the file: relative to itself, so that both can be moved together."""
    base = options.report.parent if options.report is not None else Path.cwd()
    return file.relative_to(base).as_posix() if file.is_relative_to(base) else str(file)
