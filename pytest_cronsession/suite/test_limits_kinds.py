"""Each limit holds for rows of every kind and agent, to the millisecond, and from each start on as it is then."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest

from ..driver import Driver, wish
from ..model import Answer
from ..oracle import MINUTE
from ..requirement import requirement
from .chats import chat, chat_keys
from .kit import all_rows, listed, receipts, sweep_ms

HOUR = 60 * MINUTE
MIB = 1024 * 1024
GRANTED = 5 * MIB
pytestmark = pytest.mark.cronsession_tier("full")
LOOSE = {"mode": "enforce", "pruneAfterMs": 1000 * HOUR, "maxEntries": 1000}


def _check_all_there(d: Driver, keys: Collection[str], why: str) -> None:
    lost = set(keys) - listed(d, set(keys))
    d.expect(not lost, f"{why}, and these rows went: {sorted(lost)}")


@requirement("CS-MNT-001")
@pytest.mark.cronsession_config(
    maintenance={"mode": "warn", "pruneAfterMs": 999 * HOUR, "maxEntries": 999, "maxDiskBytes": 4 * MIB}
)
def test_warn_removes_nothing_for_bytes(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("maintenance.bytes")
    keys = chat_keys(d, 8, reply="x" * MIB)
    d.advance_to(d.now + 2 * sweep_ms(d))
    _check_all_there(d, keys, "mode is warn, the store is over maxDiskBytes")


@requirement("CS-MNT-001")
@pytest.mark.cronsession_last
@pytest.mark.cronsession_config(maintenance={"mode": "warn", "pruneAfterMs": HOUR, "maxEntries": 3})
def test_a_start_in_mode_warn_removes_nothing(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("restart")
    keys = chat_keys(d, 6)
    d.advance(hours=2)
    d.restart()
    d.advance_to(d.now + sweep_ms(d))
    _check_all_there(d, keys, "mode is warn, and the gateway was started again")


@requirement("CS-MNT-002")
@pytest.mark.cronsession_config(
    sessionRetentionMs=None, maintenance={"mode": "enforce", "pruneAfterMs": 2 * HOUR, "maxEntries": 999}
)
def test_receipts_go_by_age_where_there_is_no_retention(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("session.isolated", "retention", "trigger", "receipts")
    job = d.add(target="isolated")
    d.evidence(job)
    keys = receipts(d, job)
    d.advance_to(d.now + 2 * HOUR + sweep_ms(d))
    left = listed(d, keys)
    d.expect(not left, f"receipts are idle for longer than pruneAfterMs and listed: {sorted(left)}")


@requirement("CS-MNT-002")
@pytest.mark.cronsession_config(maintenance={"mode": "enforce", "pruneAfterMs": 2 * HOUR, "maxEntries": 998})
def test_exactly_as_old_as_the_limit_stays(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("store.maintain")
    row = chat(d, d.fresh_name("boundary"))
    # A clock that is coarse or late may have written down an earlier instant.
    coarse = (d.hello.resolution_ms if d.hello.resolution_ms > 1 else 0) + d.hello.lateness_ms
    d.advance_to(d.now + 2 * HOUR - coarse)
    d.maintain(dry_run=False)
    _check_all_there(d, {row.key}, "a row is as old as pruneAfterMs and not older")


@requirement("CS-MNT-005")
@pytest.mark.cronsession_config(
    maintenance={"mode": "enforce", "pruneAfterMs": 997 * HOUR, "maxEntries": 997, "maxDiskBytes": 6 * MIB}
)
def test_a_dry_run_names_what_the_bytes_remove(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("maintenance.bytes")
    for _ in range(10):
        chat(d, d.fresh_name("chat"), reply="x" * MIB)
        d.advance(seconds=1)
    before = all_rows(d)
    planned, done = d.maintain(dry_run=True), d.maintain(dry_run=False)
    d.expect(
        set(planned["removed"]) == set(done["removed"]) == before - all_rows(d),
        f"the store is over maxDiskBytes: the dry run named {planned['removed']}, enforcing {done['removed']}",
    )


_CHANGES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "age": ({**LOOSE, "pruneAfterMs": 2 * HOUR}, LOOSE),
    "entries": ({**LOOSE, "maxEntries": 2}, LOOSE),
    "mode": ({**LOOSE, "pruneAfterMs": 2 * HOUR}, {**LOOSE, "mode": "warn", "pruneAfterMs": 2 * HOUR}),
}


@requirement("CS-MNT-011")
@pytest.mark.cronsession_last
@pytest.mark.cronsession_config(maintenance=LOOSE)
@pytest.mark.parametrize("change", list(_CHANGES))
def test_looser_limits_hold_from_a_start_on(cronsession_driver: Driver, change: str) -> None:
    d = cronsession_driver
    before, after = _CHANGES[change]
    d.restart({"maintenance": before})
    if change == "entries":
        d.restart({"maintenance": after})
        keys = chat_keys(d, 5)
    else:
        keys = chat_keys(d, 5)
        d.restart({"maintenance": after})
    d.advance(hours=3)
    _check_all_there(d, keys, f"the limits are {after} since a start, before they were {before}")


@requirement("CS-MNT-011")
@pytest.mark.cronsession_last
@pytest.mark.cronsession_config(maintenance={**LOOSE, "mode": "warn"})
def test_mode_enforce_holds_from_a_start_on(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    keys = chat_keys(d, 3)
    d.advance(hours=3)
    d.restart({"maintenance": {**LOOSE, "pruneAfterMs": 2 * HOUR}})
    d.advance_to(d.now + sweep_ms(d))
    left = listed(d, set(keys))
    d.expect(not left, f"mode is enforce since a start, and rows that are too old are listed: {sorted(left)}")


@requirement("CS-MNT-014")
@pytest.mark.cronsession_config(maintenance={"mode": "enforce", "pruneAfterMs": 1000 * HOUR, "maxEntries": 5})
@pytest.mark.parametrize("kind", ["agents", "receipts"])
def test_rows_of_every_kind_are_counted(cronsession_driver: Driver, kind: str) -> None:
    d = cronsession_driver
    if kind == "agents":
        d.require("agents")
        chat(d, d.fresh_name("chat"), "work")
    else:
        d.require("receipts", "session.isolated", "trigger")
        d.evidence(d.add(target="isolated"))
    chat_keys(d, 2)
    before = all_rows(d)
    answer = d.maintain(dry_run=True)
    d.expect(answer["before"] == len(before), f"{len(before)} rows are listed, before is {answer['before']}")


@requirement("CS-MNT-018")
@pytest.mark.cronsession_config(sessionRetentionMs=None, maintenance={**LOOSE, "maxDiskBytes": 8 * MIB})
def test_receipts_count_as_bytes(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("maintenance.bytes", "session.isolated", "retention", "trigger")
    job = d.add(target="isolated")
    d.answers(job, always=Answer("ok", "x" * MIB))
    for _ in range(16):
        d.evidence(job)
        d.advance(minutes=1)
    d.advance_to(d.now + sweep_ms(d))
    size = d.disk().bytes
    d.expect(
        size <= 8 * MIB + GRANTED, f"maxDiskBytes is 8 MiB, and receipts make it {size} bytes on the disk"
    )


@requirement("CS-MNT-019")
@pytest.mark.cronsession_config(
    maintenance={"mode": "enforce", "pruneAfterMs": 996 * HOUR, "maxEntries": 996, "maxDiskBytes": 8 * MIB}
)
def test_bytes_spare_what_was_used_again(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("maintenance.bytes")
    name = d.fresh_name("first")
    first = chat(d, name, reply="x" * MIB).key
    oldest = chat_keys(d, 3, reply="x" * MIB)
    d.say(wish("named", name=name))
    keys = [*oldest, first, *chat_keys(d, 6, reply="x" * MIB)]
    d.advance_to(d.now + sweep_ms(d))
    left = [key in listed(d, set(keys)) for key in keys]
    d.expect(
        left == sorted(left),
        f"not the longest idle went for maxDiskBytes; by their last turn, oldest first, listed: {left}",
    )
