"""Two gateways on one state folder: each slot runs once, and what either was told holds."""

from __future__ import annotations

import pytest

from ..driver import Driver, cron, every, wish
from ..model import hold, tag_text
from ..oracle import MINUTE
from ..requirement import requirement
from .kit import end_held, long_timeout, next_run

pytestmark = pytest.mark.cronsession_last


@requirement("CS-STO-032")
@pytest.mark.parametrize("alias", [False, True], ids=["path", "link"])
def test_two_instances_run_a_slot_once(cronsession_driver: Driver, alias: bool) -> None:
    d = cronsession_driver
    jobs = [d.add(cron("*/10 * * * *")), d.add(cron("*/5 * * * *"))]
    d.join(alias=alias)
    slot = next_run(d, jobs[1])
    # From slot to slot: one clock must not be beyond a slot that the other has still to come to.
    for n in range(6):
        d.advance_to(slot + 5 * n * MINUTE + d.hello.late_by_ms)
    d.advance(minutes=1)
    counts = [len(d.turns(job)) for job in jobs]
    d.part()
    d.expect(
        counts == [3, 6], f"jobs with 3 and 6 slots ran {counts[0]} and {counts[1]} times in two instances"
    )


@requirement("CS-SCH-011")
@pytest.mark.cronsession_tier("full")
def test_a_job_never_overlaps_itself_in_two_instances(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("instances", "schedule.cron")
    job = d.add(cron("*/10 * * * *"), **long_timeout(d))
    d.answers(job, hold(), hold())
    d.join()
    slot = next_run(d, job)
    for n in range(3):
        d.advance_to(slot + 10 * n * MINUTE + d.hello.late_by_ms)
    d.advance(minutes=1)
    count = len(d.turns(job))
    end_held(d, job)
    d.part()
    d.expect(
        count == 1,
        f"two slots fell due during a run, and in two instances the job had {count} runs at a time",
    )


@requirement("CS-STO-033")
def test_two_instances_lose_no_write(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    old = d.add(every(minutes=50))
    d.join()
    first = d.add(every(minutes=50))
    tag = d.model.new_tag()
    job = {
        "name": f"job {tag}",
        "schedule": every(minutes=50),
        "session": wish("named", name=d.fresh_name("second")),
        "payload": {"kind": "agentTurn", "text": tag_text("Reply OK only.", tag)},
    }
    added = d.ask_second("job/add", {"job": job})
    if "job" not in added:
        d.fail(f"the second instance refused a job it should take: {added}")
    second = added["job"]["id"]
    d.add(every(minutes=50))
    d.ask_second("job/update", {"id": old.id, "patch": {"name": "renamed by the second"}})
    d.edit(first, name="renamed by the first")
    d.advance(minutes=2)
    names = {j.id: j.raw.get("name") for j in d.jobs()}
    seen = {j["id"]: j.get("name") for j in d.ask_second("job/list")["jobs"]}
    d.part()
    d.restart()
    after = {j.id: j.raw.get("name") for j in d.jobs()}
    for place, found in (("first", names), ("second", seen), ("next", after)):
        d.expect(
            len(found) == 4 and {old.id, first.id, second} <= found.keys(),
            f"four jobs were added, the {place} instance lists {found}",
        )
        # What is listed of a job beside its id is the gateway's business.
        told = (found[old.id] or "renamed by the second", found[first.id] or "renamed by the first")
        d.expect(
            told == ("renamed by the second", "renamed by the first"),
            f"both instances edited a job, and the {place} instance lists {found}",
        )
