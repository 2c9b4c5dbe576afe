"""A configuration that is wrong stops the start, and says by name what is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from ..driver import Driver
from ..requirement import requirement

_MISPLACED: dict[str, dict[str, Any]] = {
    "tools": {"tools": {"sessions": {"maintenance": {"mode": "enforce", "maxEntries": 400}}}},
    "session": {"session": {"maintenance": {"mode": "enforce", "maxEntries": 400}}},
    "maxEntries": {"maxEntries": 400},
    "sessionRetention": {"sessionRetention": "24h"},
}


@requirement("CS-JOB-027")
@pytest.mark.cronsession_last
@pytest.mark.parametrize("name", list(_MISPLACED))
def test_a_misplaced_member_of_the_configuration(cronsession_driver: Driver, name: str) -> None:
    d = cronsession_driver
    _check_config(d, {**d.world.config, **_MISPLACED[name]}, name)


_SETTINGS: tuple[tuple[str, str, tuple[Any, ...]], ...] = (
    ("agents", "agents", ("main", [], [5], ["main", "main"], {"main": {}})),
    ("retention", "sessionRetentionMs", (-1, 1.5, "24h", True)),
    ("maintenance", "maintenance", ("enforce", [], True)),
    ("maintenance", "maintenance.mode", ("purge", 5, None)),
    ("maintenance", "maintenance.pruneAfterMs", (-1, "14d", 1.5)),
    ("maintenance", "maintenance.maxEntries", (-5, "400", 1.5)),
    ("maintenance.bytes", "maintenance.maxDiskBytes", (-1, "500mb")),
    ("run.concurrency", "maxConcurrentRuns", (-1, "3", 1.5)),
    ("run.history", "runHistory.maxRuns", (-1, "5")),
    ("archives", "archiveMs", (-1, "7d")),
)


@requirement("CS-JOB-028")
@pytest.mark.cronsession_last
@pytest.mark.parametrize("path", [path for _, path, _ in _SETTINGS])
def test_a_wrong_value_in_the_configuration(cronsession_driver: Driver, path: str) -> None:
    d = cronsession_driver
    capability, values = next((c, v) for c, p, v in _SETTINGS if p == path)
    d.require(capability)
    for value in values[: d.few(len(values), 1)]:
        head, _, tail = path.partition(".")
        block = {"mode": "enforce"} if head == "maintenance" else {}
        _check_config(d, {**d.world.config, head: {**block, tail: value} if tail else value}, tail or head)


def _check_config(d: Driver, config: dict[str, Any], name: str) -> None:
    job = d.add()
    d.stop()
    attempt = d.try_start(config)
    refusal = attempt.refusal
    d.expect(refusal is not None, f"the gateway started with the configuration {config}")
    d.expect(
        name in str(refusal),
        f"the configuration {config} was refused, and not by the name of {name}: {refusal}",
    )
    d.start()
    if d.has("restart"):
        d.stored(job)
    else:
        d.add()
