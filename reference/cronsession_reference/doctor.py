"""``doctor``: is this gateway set up so that it can be left alone?"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .config import MAINTENANCE, parse_config, read_file, write_file
from .jobs import FAILURES
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
            broken, rows, jobs = store.broken_jobs(), store.broken_rows(), store.jobs()
        finally:
            store.close()
        found += [Finding(f"job {job_id}", "cannot be read and never runs", "remove it") for job_id in broken]
        found += [Finding(row, "cannot be read and is left alone", "restore or delete it") for row in rows]
        off = [job for job in jobs if job.disabled_by == FAILURES]
        found += [
            Finding(
                f"job {job.id}", f"is disabled: {job.disabled_reason}", "mend it, then cron edit --enabled"
            )
            for job in off
        ]
    return found


def open_to_others(state_dir: Path) -> list[Path]:
    """Files and folders of the gateway that other users of the machine may read or write."""
    if os.name == "nt":
        return []
    own = [state_dir, *(path for path in sorted(state_dir.rglob("*")) if not path.is_symlink())]
    return [path for path in own if path.exists() and path.stat().st_mode & 0o077]


def _exposed(paths: list[Path]) -> list[Finding]:
    if not paths:
        return []
    problem = (
        f"and {len(paths) - 1} more can be read by other users" if paths[1:] else "can be read by other users"
    )
    return [Finding(str(paths[0]), problem, "run doctor --fix to make them private")]


def fix(config_file: Path, data: Mapping[str, Any]) -> dict[str, Any]:
    """Write the maintenance block, if there is none, and keep everything else. Answers the new object."""
    session = {**data.get("session", {})}
    if session.get("maintenance") is None:
        session["maintenance"] = dict(MAINTENANCE)
        data = {**data, "session": session}
        write_file(config_file, data)
    return dict(data)


def run(state_dir: Path, *, repair: bool) -> tuple[list[Finding], list[str]]:
    """Examine, and with ``repair`` mend; answer what is left, and what was mended."""
    config_file = state_dir / "config.json"
    data = read_file(config_file)
    parse_config(data, Settings())  # what is refused is not written to
    fixed: list[str] = []
    if repair:
        mended = fix(config_file, data)
        fixed += ["session.maintenance"] if mended != data else []
        data = mended
        for path in open_to_others(state_dir):
            path.chmod(0o700 if path.is_dir() else 0o600)
            fixed.append(str(path))
    found = examine(data, state_dir / "gateway.db")
    return found + _exposed(open_to_others(state_dir)), fixed
