"""Which slots a downtime holds: looking back has its own months, seconds and changes of the clock."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from ..driver import Driver, cron
from ..oracle import DAY, MINUTE, cron_slots
from ..requirement import requirement
from ..trace import instant
from .kit import next_run

HOUR = 60 * MINUTE
# What is made up for comes within four minutes of the start; no slot of the job itself may come between.
AFTER = 4 * MINUTE
pytestmark = pytest.mark.cronsession_last


class _Downtime(NamedTuple):
    """Of one job, from the start of the world on; five slots at most, since a gateway may make up for no more."""

    expr: str
    tz: str
    length_ms: int
    needs: tuple[str, ...] = ()


def _case(name: str, start: str, expr: str, tz: str, length_ms: int, *needs: str) -> Any:
    return pytest.param(
        _Downtime(expr, tz, length_ms, needs), id=name, marks=pytest.mark.cronsession_start(start)
    )


_CASES = [
    _case("none", "2026-03-03T10:00:07Z", "0 9 * * *", "Europe/Berlin", 12 * HOUR),
    _case("seconds", "2026-03-03T09:16:31Z", "*/20 17 * * * *", "UTC", 3 * MINUTE, "cron.second"),
    _case(
        "odd-seconds", "2026-03-03T09:59:50Z", "7,52 0 10 * * *", "Asia/Kathmandu", 5 * HOUR, "cron.second"
    ),
    _case("weekdays", "2026-03-05T12:00:07Z", "30 6 * * MON-FRI", "Asia/Kolkata", 5 * DAY),
    _case("gap-fixed", "2026-03-06T12:00:07Z", "30 2 * * *", "America/New_York", 4 * DAY),
    _case("gap-often", "2026-03-08T05:45:07Z", "*/30 1-4 * * *", "America/New_York", 105 * MINUTE),
    _case("gap-alone", "2026-03-28T12:00:07Z", "30 2 29 3 *", "Europe/Berlin", 2 * DAY),
    _case("months-end", "2026-04-01T12:00:07Z", "0 9 31 * *", "UTC", 160 * DAY),
    _case("half-overlap", "2026-04-04T13:50:07Z", "*/15 1 * * *", "Australia/Lord_Howe", 65 * MINUTE),
    _case("midnight-gap", "2026-09-05T12:00:07Z", "0 0 * * *", "America/Santiago", 3 * DAY),
    _case("overlap-often", "2026-10-24T23:50:07Z", "*/30 2 * * *", "Europe/Berlin", 3 * HOUR),
    _case("overlap-fixed", "2026-10-31T02:00:07Z", "30 1 * * *", "America/New_York", 3 * DAY),
    _case("last-days", "2026-11-10T12:00:07Z", "0 6 L * *", "UTC", 130 * DAY, "cron.lastDay"),
    _case("years-end", "2026-12-30T12:00:07Z", "0 0 * * *", "Pacific/Auckland", 4 * DAY),
    _case(
        "years", "2026-12-20T12:00:07Z", "0 0 0 1 */3 * 2027", "UTC", 400 * DAY, "cron.year", "cron.second"
    ),
    _case("leap-day", "2027-12-01T12:00:07Z", "0 12 29 2 *", "UTC", 400 * DAY),
]


@requirement("CS-STO-013")
@pytest.mark.parametrize("case", _CASES)
def test_a_downtime_holds_the_slots_of_the_schedule(cronsession_driver: Driver, case: _Downtime) -> None:
    d = cronsession_driver
    d.require(*case.needs)
    dst, answer = d.hello.policy("dst"), d.hello.policy("catchUp")
    # The most telling answer, where a job may have one of its own.
    own = {"catchUp": {"policy": "all"}} if d.has("job.catchUp") else {}
    answer = "all" if own else answer
    began, until = d.now, d.now + case.length_ms
    while cron_slots(case.expr, case.tz, until - MINUTE, until + AFTER + d.hello.lateness_ms + MINUTE, dst):
        until += 2 * MINUTE
    missed = cron_slots(case.expr, case.tz, began, until, dst)
    assert len(missed) <= 5, "a gateway may make up for no more"
    job = d.add(cron(case.expr, case.tz), **own)
    d.go_down()
    d.come_back({"milliseconds": until - began})
    d.advance(milliseconds=AFTER)
    late, when = len(d.turns(job)), ", ".join(instant(slot, case.tz) for slot in missed) or "none"
    least, most = {"all": (len(missed),) * 2, "skip": (0, 0)}.get(answer, (min(1, len(missed)),) * 2)
    least = 0 if answer == "grace" else least
    d.expect(
        least <= late <= most,
        f"catch-up is {answer!r}; missed of {case.expr!r} was {when} (policy dst {dst!r}), and {late} run(s) came",
    )
    told = [run.slot_ms for run in d.runs(job) if run.slot_ms is not None] if d.has("run.list") else []
    d.expect(
        set(told) <= set(missed),
        f"a run is listed for {instant(next(iter(set(told) - set(missed)), None), case.tz)}; missed was {when}",
    )


@requirement("CS-STO-013")
def test_a_staggered_job_misses_instants_of_its_own(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("schedule.stagger", "run.list")
    own = {"catchUp": {"policy": "all"}} if d.has("job.catchUp") else {}
    job = d.add({**cron("0 * * * *"), "staggerMs": 30 * MINUTE}, **own)
    upcoming = next_run(d, job)
    d.go_down()
    # The slots begin with the hour and are over half an hour later.
    d.come_back({"milliseconds": upcoming // HOUR * HOUR + 3 * HOUR - 10 * MINUTE - d.now})
    d.advance(milliseconds=AFTER)
    told = sorted({run.slot_ms for run in d.runs(job) if run.slot_ms is not None})
    missed = [upcoming, upcoming + HOUR, upcoming + 2 * HOUR]
    d.expect(
        set(told) <= set(missed),
        f"missed was {', '.join(map(instant, missed))}; listed are runs for {', '.join(map(instant, told))}",
    )
    d.expect(bool(told) or d.hello.policy("catchUp") != "all", "no slot that was missed is listed")
