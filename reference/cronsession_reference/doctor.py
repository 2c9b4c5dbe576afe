"""``doctor``: is this gateway set up so that it can be left alone?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .config import MAINTENANCE, parse_config, read_file, write_file
from .settings import Settings
from .store import SqliteStore


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be; ``fix`` is what can be done."""

    field: str
    problem: str
    fix: str


def examine(data: Mapping[str, Any], database: Path) -> list[Finding]:
    """Look at the configuration and at the store, if there is one. Raises what reading them raises."""
    found: list[Finding] = []
    if not parse_config(data, Settings()).has_maintenance:
        problem = "there is no maintenance block; the store is bounded by built-in limits that may change"
        found.append(Finding("session.maintenance", problem, "run doctor --fix to write one"))
    if database.exists():
        store = SqliteStore(database)
        try:
            broken = store.broken_jobs()
        finally:
            store.close()
        found += [Finding(f"job {job_id}", "cannot be read and never runs", "remove it") for job_id in broken]
    return found


def fix(config_file: Path, data: Mapping[str, Any]) -> dict[str, Any]:
    """Write the maintenance block, if there is none, and keep everything else. Answers the new object."""
    session = {**data.get("session", {})}
    if session.get("maintenance") is None:
        session["maintenance"] = dict(MAINTENANCE)
        data = {**data, "session": session}
        write_file(config_file, data)
    return dict(data)


def run(state_dir: Path, *, repair: bool) -> tuple[list[Finding], bool]:
    """Examine, and with ``repair`` mend; answer what is left, and whether the file was written."""
    config_file = state_dir / "config.json"
    data = read_file(config_file)
    found = examine(data, state_dir / "gateway.db")
    if not repair:
        return found, False
    mended = fix(config_file, data)
    return examine(mended, state_dir / "gateway.db"), mended != data
