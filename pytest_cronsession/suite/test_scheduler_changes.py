"""Jobs that run several times a day, while the clock of their zone changes."""

from __future__ import annotations

import pytest

from ..driver import Driver, cron
from ..oracle import DAY, MINUTE, cron_slots, transitions
from ..requirement import requirement
from ..trace import instant

HOUR = 60 * MINUTE
# Every hour or more often, some hours, every other hour, and twice a day; some of them name the hours of a change.
EXPRESSIONS = (
    *("10 * * * *", "50 1,2,14 * * *", "*/20 * * * *"),
    *("35 0-4 * * *", "15,45 */2 * * *", "5 0,23 * * *"),
)
# In the order of their instants: a clock goes forward only, and the next one may go on in this world.
_CHANGES = [
    pytest.param(tz, id=f"{tz.rpartition('/')[2]}-{kind}", marks=pytest.mark.cronsession_start(start))
    for tz, kind, start in (
        ("America/Denver", "gap", "2026-03-08T01:02:07Z"),
        ("Europe/Berlin", "gap", "2026-03-28T17:02:07Z"),
        ("Australia/Lord_Howe", "overlap", "2026-04-04T05:02:07Z"),
        ("America/Santiago", "overlap", "2026-04-04T19:02:07Z"),
        ("America/Santiago", "gap", "2026-09-05T19:02:07Z"),
        ("Australia/Lord_Howe", "gap", "2026-10-03T05:02:07Z"),
        ("Europe/Berlin", "overlap", "2026-10-24T17:02:07Z"),
        ("America/Denver", "overlap", "2026-10-31T23:02:07Z"),
    )
]


@requirement("CS-SCH-032")
@pytest.mark.parametrize("tz", _CHANGES)
def test_frequent_slots_around_a_change_follow_the_policy(cronsession_driver: Driver, tz: str) -> None:
    d = cronsession_driver
    change = transitions(tz, d.now, d.now + DAY)[0]
    until, dst = change + 20 * HOUR, d.hello.policy("dst")
    exprs = EXPRESSIONS[: d.few(len(EXPRESSIONS), 3)]
    plan = {expr: cron_slots(expr, tz, d.now, until, dst) for expr in exprs}
    jobs = {expr: d.add(cron(expr, tz)) for expr in exprs}
    late, grain = d.hello.late_by_ms, max(1, d.hello.resolution_ms)
    near = {slot for slots in plan.values() for slot in slots if abs(slot - change) <= 3 * HOUR}
    stops = {moment for slot in near for moment in (slot - grain, slot + late)} | {until}
    for stop in sorted(moment for moment in stops if moment > d.now):
        d.advance_to(stop)
        for expr, slots in plan.items():
            least, most = sum(s + late <= stop for s in slots), sum(s < stop + grain for s in slots)
            got = len(d.turns(jobs[expr]))
            d.expect(
                least <= got <= most,
                f"{got} runs of {expr!r} until {instant(stop, tz)}, expected {least}; the clock changed at "
                f"{instant(change, tz)}, policy dst is {dst!r}",
            )
