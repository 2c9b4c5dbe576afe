"""Expressions beyond the portable core: refused, or read as they have to be."""

from __future__ import annotations

import pytest

from ..contract import Write
from ..driver import Driver, Handle, cron
from ..oracle import DAY, MINUTE, cron_slots
from ..requirement import requirement
from ..trace import instant
from .extensions import EXTENSIONS


def _written(d: Driver, way: str, expr: str) -> tuple[Write, Handle | None]:
    """The answer to a write of this expression, and the job that has it if it was accepted."""
    if way == "add":
        return d.try_add(cron(expr, "UTC"))
    d.require("job.update")
    job = d.add(cron("0 9 * * *", "UTC"))
    write = d.update(job, schedule=cron(expr, "UTC"))
    return write, None if write.rejected is not None else job


@requirement("CS-SCH-028")
@pytest.mark.parametrize("way", ["add", "edit"])
@pytest.mark.parametrize("expr", ["0 0 30 2 *", "0 0 31 4,6,9,11 *"], ids=["february", "short-months"])
def test_an_expression_without_a_date_is_rejected(cronsession_driver: Driver, expr: str, way: str) -> None:
    d = cronsession_driver
    write, _ = _written(d, way, expr)
    d.expect(write.rejected is not None, f"no date matches {expr!r}, and the write was accepted")


@requirement("CS-SCH-029")
@pytest.mark.parametrize("way", ["add", "edit"])
def test_a_sixth_field_is_no_guess(cronsession_driver: Driver, way: str) -> None:
    d = cronsession_driver
    # Read with the second last it would be minute 30 of every fifth hour, on the first days of a month.
    expr = "30 */5 * * * *"
    write, job = _written(d, way, expr)
    if job is None:
        d.expect(write.rejected is not None, "a write was neither accepted nor rejected")
        return
    expected = (d.now - 30_000) // (5 * MINUTE) * (5 * MINUTE) + 5 * MINUTE + 30_000
    upcoming = d.stored(job).next_run_ms
    d.expect(
        upcoming is not None and abs(upcoming - expected) <= d.hello.resolution_ms,
        f"{expr!r} was accepted; with the second first its next slot is {instant(expected)}, listed is "
        f"{instant(upcoming)}",
    )


@requirement("CS-SCH-033")
@pytest.mark.parametrize("way", ["add", "edit"])
@pytest.mark.parametrize("extension", list(EXTENSIONS))
def test_an_extension_is_refused_or_read_as_it_is(
    cronsession_driver: Driver, extension: str, way: str
) -> None:
    d = cronsession_driver
    grain = d.hello.resolution_ms + d.hello.lateness_ms
    for expr in EXTENSIONS[extension](d.now):
        write, job = _written(d, way, expr)
        if job is None:
            d.expect(write.rejected is not None, "a write was neither accepted nor rejected")
            continue
        expected, upcoming = _first_slot(expr, d.now), d.stored(job).next_run_ms
        d.expect(
            upcoming is not None and abs(upcoming - expected) <= grain,
            f"{expr!r} was accepted; its next slot is {instant(expected)}, listed is {instant(upcoming)}",
        )


def _first_slot(expr: str, after_ms: int) -> int:
    """The next slot in UTC, looked for in ever longer stretches of time."""
    width = 40 * DAY
    while not (found := cron_slots(expr, "UTC", after_ms, after_ms + width)):
        width *= 4
    return found[0]
