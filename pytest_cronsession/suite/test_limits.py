"""Each limit of maintenance on its own, what is in use, and what removal leaves behind."""

from __future__ import annotations

from typing import Any

import pytest

from ..driver import Driver, wish
from ..model import hold
from ..oracle import MINUTE
from ..requirement import requirement
from .chats import chat, chat_keys
from .kit import all_rows, listed, long_timeout, sweep_ms

HOUR = 60 * MINUTE
MIB = 1024 * 1024
GRANTED = 5 * MIB
"""What a gateway may need beside its sessions: jobs, runs, an index, a journal."""
by_age = pytest.mark.cronsession_config(
    maintenance={"mode": "enforce", "pruneAfterMs": 2 * HOUR, "maxEntries": 1000}
)


@requirement("CS-MNT-007")
@pytest.mark.cronsession_config(
    maintenance={"mode": "enforce", "pruneAfterMs": 10 * MINUTE, "maxEntries": 1000}
)
def test_a_turn_that_waits_keeps_its_session(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    name = d.fresh_name("waiting")
    first = d.say(wish("named", name=name))
    until = d.now + 15 * MINUTE + sweep_ms(d)
    waiting = d.speak(wish("named", name=name), hold(until))
    d.advance_to(until - 2 * MINUTE)
    if waiting.state != "held":
        d.not_observed("the gateway lets no human turn wait for so long")
    d.advance_to(until)
    d.expect(waiting.state == "answered", "the human turn was not answered")
    later = d.say(wish("named", name=name))
    d.expect(
        later.saw_turn(first) and later.saw_turn(waiting),
        "maintenance removed the session of a human turn that waited: the next turn does not see it",
    )


@requirement("CS-MNT-008")
@by_age
def test_rows_in_use_do_not_keep_the_others(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(target="named", name=d.fresh_name("busy"), **long_timeout(d))
    d.answers(job, hold(d.now + 5 * HOUR))
    d.trigger(job)
    d.advance()
    d.expect(bool(d.turns(job)) and d.turns(job)[-1].state == "held", "the run did not reach the model")
    d.advance(minutes=1)
    idle = set(chat_keys(d, 3))
    d.advance_to(d.now + 2 * HOUR + sweep_ms(d))
    left = listed(d, idle)
    d.advance(hours=4)
    d.expect(
        not left, f"beside a row in use, rows idle for longer than pruneAfterMs are listed: {sorted(left)}"
    )


@requirement("CS-MNT-009")
@by_age
def test_a_row_that_was_in_use_goes_later(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    name = d.fresh_name("was-busy")
    key = chat(d, name).key
    job = d.add(target="named", name=name, **long_timeout(d))
    d.answers(job, hold(d.now + 4 * HOUR))
    d.trigger(job)
    d.advance()
    d.expect(bool(d.turns(job)) and d.turns(job)[-1].state == "held", "the run did not reach the model")
    d.advance(hours=4)
    d.advance_to(d.now + 2 * HOUR + sweep_ms(d))
    d.expect(not listed(d, {key}), "a row that was in use when it was old is listed, and has been idle since")


@requirement("CS-MNT-010")
@by_age
def test_rows_of_every_agent_go_by_age(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    keys = {chat(d, d.fresh_name("chat"), agent=agent).key for agent in ("main", "work")}
    d.advance_to(d.now + 2 * HOUR + sweep_ms(d))
    left = listed(d, keys)
    d.expect(not left, f"rows of one of two agents are idle for too long and listed: {sorted(left)}")


@requirement("CS-MNT-011")
@pytest.mark.cronsession_last
@pytest.mark.cronsession_config(
    maintenance={"mode": "enforce", "pruneAfterMs": 1000 * HOUR, "maxEntries": 1000}
)
@pytest.mark.parametrize("limit", ["pruneAfterMs", "maxEntries"])
def test_the_present_limits_hold_for_old_rows(cronsession_driver: Driver, limit: str) -> None:
    d = cronsession_driver
    keys = chat_keys(d, 6)
    d.advance(hours=3)
    block = {"mode": "enforce", "pruneAfterMs": 1000 * HOUR, "maxEntries": 1000}
    d.restart({"maintenance": {**block, limit: 2 * HOUR if limit == "pruneAfterMs" else 2}})
    d.advance_to(d.now + sweep_ms(d))
    left = listed(d, set(keys))
    allowed: set[str] = set() if limit == "pruneAfterMs" else set(keys[-2:])
    d.expect(
        left <= allowed,
        f"since the restart {limit} is stricter, and these are listed: {sorted(left - allowed)}",
    )


@requirement("CS-MNT-012")
@pytest.mark.cronsession_config(maintenance={"mode": "warn", "pruneAfterMs": HOUR, "maxEntries": 2})
def test_warn_removes_nothing_on_request(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    keys = set(chat_keys(d, 5))
    d.advance(hours=2)
    before = all_rows(d)
    answer = d.maintain(dry_run=False)
    d.expect(all_rows(d) >= keys, "maintenance on request removed rows in mode warn")
    d.expect(
        not answer["removed"] and answer["after"] == len(before),
        f"in mode warn nothing was removed, and the answer says {answer}",
    )


@requirement("CS-MNT-013")
@pytest.mark.cronsession_config(maintenance={"mode": "enforce", "pruneAfterMs": 1000 * HOUR, "maxEntries": 4})
def test_maintenance_twice_is_maintenance_once(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    chat_keys(d, 7)
    d.maintain(dry_run=False)
    left = all_rows(d)
    again = d.maintain(dry_run=False)
    d.expect(
        all_rows(d) == left and not again["removed"],
        f"the store was within its limits, and maintenance removed {sorted(left - all_rows(d))} ({again})",
    )


@requirement("CS-MNT-014")
@pytest.mark.cronsession_config(maintenance={"mode": "enforce", "pruneAfterMs": 1000 * HOUR, "maxEntries": 3})
@pytest.mark.parametrize("dry_run", [True, False])
def test_the_counts_add_up(cronsession_driver: Driver, dry_run: bool) -> None:
    d = cronsession_driver
    chat_keys(d, 5)
    before = all_rows(d)
    answer = d.maintain(dry_run=dry_run)
    d.expect(answer["before"] == len(before), f"{len(before)} rows are listed, before is {answer['before']}")
    d.expect(
        answer["before"] - len(set(answer["removed"])) == answer["after"],
        f"before less removed is not after: {answer}",
    )


@requirement("CS-MNT-015")
@by_age
def test_a_removed_session_begins_anew(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    name = d.fresh_name("returning")
    row = chat(d, name)
    job = d.add(target="named", name=name)
    first = d.evidence(job)
    d.advance_to(d.now + 2 * HOUR + sweep_ms(d))
    if listed(d, {row.key}):
        d.not_observed("the session was not removed")
    second = d.evidence(job)
    d.expect(not second.saw_turn(first), "a session was removed, and its context is back")
    said = d.say(wish("named", name=name))
    d.expect(said.saw_turn(second), "after its session was removed, a name has no lasting session any more")


@requirement("CS-MNT-016")
@by_age
def test_maintenance_leaves_jobs_and_runs_alone(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(target="named", name=d.fresh_name("used"))
    d.evidence(job)
    runs = {(r.id, r.status) for r in d.runs(job)}
    before = _facts(d.stored(job).raw)
    d.advance_to(d.now + 2 * HOUR + sweep_ms(d))
    after = {(r.id, r.status) for r in d.runs(job)}
    d.expect(runs <= after, f"with the session its runs went from run/list: {sorted(runs - after)}")
    now = _facts(d.stored(job).raw)
    d.expect(now == before, f"with its session the job changed: it was {before} and is {now}")


def _facts(raw: Any) -> dict[str, Any]:
    return {
        name: raw.get(name) for name in ("name", "enabled", "schedule", "session", "payload", "nextRunAtMs")
    }


@requirement("CS-MNT-017")
@pytest.mark.cronsession_config(maintenance={"mode": "enforce", "pruneAfterMs": 2 * HOUR, "maxEntries": 900})
def test_a_turn_beside_maintenance_is_not_lost(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    name = d.fresh_name("contended")
    chat(d, name)
    d.advance_to(d.now + 2 * HOUR + 1000)  # due, and a sweep has hardly come between
    tag = d.model.new_tag()
    params = {"session": wish("named", name=name), "text": f"Hello. [[msg:{tag}]]"}
    d.together(
        ("store/maintain", {"dryRun": False}), ("session/send", params), ("store/maintain", {"dryRun": False})
    )
    d.advance()
    turns = d.model.turns(tag)
    d.expect(
        bool(turns) and turns[-1].state == "answered", "a human turn beside maintenance was not answered"
    )
    later = d.say(wish("named", name=name))
    d.expect(later.saw_turn(turns[-1]), "maintenance removed a session while a turn began there")


@requirement("CS-MNT-018")
@pytest.mark.cronsession_config(
    maintenance={"mode": "enforce", "pruneAfterMs": 1000 * HOUR, "maxEntries": 1000, "maxDiskBytes": 8 * MIB}
)
def test_bytes_come_down_to_their_limit(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    chat_keys(d, 20, reply="x" * MIB)
    d.advance_to(d.now + sweep_ms(d))
    size = d.disk().bytes
    d.expect(size <= 8 * MIB + GRANTED, f"maxDiskBytes is 8 MiB, and {size} bytes lie below the state folder")


@requirement("CS-MNT-019")
@pytest.mark.cronsession_config(
    maintenance={"mode": "enforce", "pruneAfterMs": 1000 * HOUR, "maxEntries": 999, "maxDiskBytes": 8 * MIB}
)
def test_bytes_take_the_longest_idle(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    few = chat_keys(d, 4, reply="x" * MIB)
    d.advance_to(d.now + sweep_ms(d))
    lost = set(few) - listed(d, set(few))
    d.expect(not lost, f"the store is below maxDiskBytes, and these went: {sorted(lost)}")
    keys = few + chat_keys(d, 8, reply="x" * MIB)
    d.advance_to(d.now + sweep_ms(d))
    left = [key in listed(d, set(keys)) for key in keys]
    d.expect(left[-1], "the most recently active session was removed for maxDiskBytes")
    d.expect(
        left == sorted(left), f"not the longest idle went for maxDiskBytes; oldest first, listed: {left}"
    )


@requirement("CS-MNT-020")
@pytest.mark.cronsession_last
@pytest.mark.cronsession_config(
    maintenance={
        "mode": "enforce",
        "pruneAfterMs": 1000 * HOUR,
        "maxEntries": 1000,
        "maxDiskBytes": 64 * MIB,
        "highWaterBytes": 4 * MIB,
    }
)
def test_bytes_come_down_to_the_high_water(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    keys = set(chat_keys(d, 20, reply="x" * MIB))
    d.advance_to(d.now + sweep_ms(d))
    d.expect(
        listed(d, keys) == keys,
        "the store is below maxDiskBytes, and was brought down to highWaterBytes all the same",
    )
    d.restart({"maintenance": {**d.world.config["maintenance"], "maxDiskBytes": 16 * MIB}})
    d.advance_to(d.now + sweep_ms(d))
    size = d.disk().bytes
    d.expect(
        size <= 4 * MIB + GRANTED,
        f"maxDiskBytes was exceeded, highWaterBytes is 4 MiB, and {size} bytes lie below the state folder",
    )
