"""Slots, claims, overlap, catch-up, manual runs, edits: through the gateway, on its own clock."""

from __future__ import annotations

from typing import Any

import pytest

T0 = 1_772_323_200_000
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


def every(milliseconds: int, anchor: int | None = None) -> dict[str, Any]:
    return {"kind": "every", "everyMs": milliseconds, **({} if anchor is None else {"anchorMs": anchor})}


def at(instant: int) -> dict[str, Any]:
    return {"kind": "at", "atMs": instant}


def cron(expr: str, **more: Any) -> dict[str, Any]:
    return {"kind": "cron", "expr": expr, **more}


def slots(world: Any, job: Any) -> list[int]:
    return [run["slotMs"] for run in world.runs(job)]


def test_an_interval_runs_on_its_grid_strictly_after_now(world: Any) -> None:
    job = world.add(every(HOUR))
    assert job["schedule"]["anchorMs"] == T0
    assert job["nextRunAtMs"] == T0 + HOUR
    world.advance(T0 + 3 * HOUR)
    assert slots(world, job) == [T0 + HOUR, T0 + 2 * HOUR, T0 + 3 * HOUR]
    assert {run["startedAtMs"] - run["slotMs"] for run in world.runs(job)} == {0}
    assert world.statuses(job) == ["ok"] * 3
    assert world.next(job) == T0 + 4 * HOUR


def test_an_anchor_to_come_is_the_first_slot(world: Any) -> None:
    assert world.add(every(HOUR, T0 + 90 * MINUTE))["nextRunAtMs"] == T0 + 90 * MINUTE
    assert world.add(every(HOUR, T0 - 90 * MINUTE))["nextRunAtMs"] == T0 + 30 * MINUTE


def test_cron_uses_the_zone_of_the_job_and_else_the_hosts(make_world: Any) -> None:
    world = make_world().start(zone="America/Denver")
    berlin = world.add(cron("0 7 * * *", tz="Europe/Berlin"))
    host = world.add(cron("0 7 * * *"))
    assert berlin["nextRunAtMs"] == T0 + 6 * HOUR
    assert host["nextRunAtMs"] == T0 + 14 * HOUR
    assert host["schedule"]["tz"] == "America/Denver"
    utc = make_world("utc", policies={"defaultZone": "utc"}).start(zone="America/Denver")
    assert utc.add(cron("0 7 * * *"))["nextRunAtMs"] == T0 + 7 * HOUR


def test_the_dst_policy_reaches_the_schedule(make_world: Any) -> None:
    before_gap = 1_772_952_000_000  # 2026-03-08T06:40Z; the gap in New York begins at 07:00Z
    expected = {"vixie": before_gap + 20 * MINUTE, "shift": before_gap + 50 * MINUTE}
    for dst, instant in expected.items():
        world = make_world(dst, policies={"dst": dst}).start(now=before_gap)
        assert world.add(cron("30 2 * * *", tz="America/New_York"))["nextRunAtMs"] == instant


def test_stagger_is_fixed_and_bounded(world: Any) -> None:
    jobs = [world.add(cron("0 * * * *", tz="UTC", staggerMs=10 * MINUTE)) for _ in range(8)]
    offsets = {job["nextRunAtMs"] - T0 for job in jobs}
    assert len(offsets) > 1
    assert all(HOUR <= offset < HOUR + 10 * MINUTE or 0 < offset < 10 * MINUTE for offset in offsets)
    first = jobs[0]["nextRunAtMs"]
    world.advance(first)
    assert world.next(jobs[0]) == first + HOUR


def test_a_one_shot_runs_once_and_is_kept_disabled(world: Any) -> None:
    job = world.add(at(T0 + MINUTE))
    world.advance(T0 + DAY)
    assert world.statuses(job) == ["ok"]
    kept = world.job(job)
    assert (kept["enabled"], kept["nextRunAtMs"]) == (False, None)


@pytest.mark.parametrize("fails", [False, True])
def test_a_one_shot_is_deleted_after_its_run_if_it_was_ok(world: Any, fails: bool) -> None:
    job = world.add(at(T0 + MINUTE), text="bye", deleteAfterRun=True)
    if fails:
        world.model.fail.add("bye")
    world.advance(T0 + HOUR)
    assert (world.job(job) is None) is not fails
    assert len(world.model.requests) == 1


@pytest.mark.parametrize(
    ("policy", "deletes", "fails", "statuses"),
    [
        ("keep", False, False, ["ok", "ok"]),
        ("keep", True, False, ["ok", "ok"]),
        ("consume", False, False, ["ok"]),
        ("consume", True, False, ["ok"]),
        ("consume", False, True, ["error", "error"]),
    ],
)
def test_a_forced_run_of_a_one_shot_follows_the_policy(
    make_world: Any, policy: str, deletes: bool, fails: bool, statuses: list[str]
) -> None:
    world = make_world(policies={"manualOneShot": policy}).start()
    job = world.add(at(T0 + HOUR), text="now", deleteAfterRun=deletes)
    if fails:
        world.model.fail.add("now")
    world.trigger(job)
    world.advance(T0 + MINUTE)
    used_up = policy == "consume" and not fails
    left = world.job(job)
    assert (left is None) is (used_up and deletes)
    if left is not None:
        assert (left["enabled"], left["nextRunAtMs"]) == (not used_up, None if used_up else T0 + HOUR)
    world.advance(T0 + DAY)
    assert world.statuses(job) == statuses


@pytest.mark.parametrize(("policy", "ran"), [("excluded", [T0 + HOUR]), ("included", [T0, T0 + HOUR])])
def test_a_slot_at_the_creation_follows_the_policy(make_world: Any, policy: str, ran: list[int]) -> None:
    world = make_world(policies={"slotAtCreation": policy}).start()
    job = world.add(cron("0 * * * *"))
    assert job["nextRunAtMs"] == ran[0]
    world.advance(T0 + HOUR)
    assert slots(world, job) == ran
    world.update(job, name="another", schedule=cron("0 */1 * * *"))
    assert world.next(job) == T0 + 2 * HOUR, "an edit is no creation"


def test_an_edit_during_the_run_keeps_the_one_shot(world: Any) -> None:
    job = world.add(at(T0 + MINUTE), text="later", deleteAfterRun=True)
    world.hold("later")
    world.advance(T0 + MINUTE)
    assert "job" in world.update(job, schedule=at(T0 + HOUR), enabled=True)
    world.release("later")
    world.advance(T0 + 2 * MINUTE)
    assert world.next(job) == T0 + HOUR
    world.advance(T0 + 2 * HOUR)
    assert world.job(job) is None
    assert world.statuses(job) == ["ok", "ok"]


@pytest.mark.parametrize(("policy", "outcome"), [("reject", None), ("run", "ok"), ("missed", "missed")])
def test_a_one_shot_in_the_past_follows_the_policy(make_world: Any, policy: str, outcome: str | None) -> None:
    world = make_world(policies={"pastOneShot": policy}).start()
    answer = world.try_add(at(T0 - MINUTE))
    if outcome is None:
        assert answer["rejected"]["field"] == "schedule.atMs"
        assert world.call("job/list")["jobs"] == []
        return
    world.advance(T0 + HOUR)
    assert world.statuses(answer["job"]) == [outcome]
    assert world.next(answer["job"]) is None


def test_a_one_shot_at_this_very_instant_runs(world: Any) -> None:
    job = world.add(at(T0))
    world.advance(T0)
    assert world.statuses(job) == ["ok"]


@pytest.mark.parametrize(
    ("schedule", "field"),
    [
        (cron("0 0 30 2 *", tz="UTC"), "schedule.expr"),
        (cron("61 * * * *", tz="UTC"), "schedule.expr"),
        (cron("0 0 * * *", tz="Mars/Base"), "schedule.tz"),
        (every(0), "schedule.everyMs"),
        ({"kind": "every", "everyMs": 1.5}, "schedule.everyMs"),
        ({"kind": "every", "everyMs": 9 * 10**15}, "schedule.everyMs"),
        ({"kind": "at", "atMs": -1}, "schedule.atMs"),
        ({"kind": "at", "atMs": T0, "tz": "UTC"}, "schedule.tz"),
        ({"kind": "daily"}, "schedule.kind"),
        ({}, "schedule.kind"),
    ],
)
def test_a_schedule_that_cannot_work_is_refused_also_on_a_disabled_job(
    world: Any, schedule: Any, field: str
) -> None:
    for enabled in (True, False):
        answer = world.call(
            "job/add",
            job={
                "name": "x",
                "enabled": enabled,
                "schedule": schedule,
                "session": {"target": "isolated"},
                "payload": {"kind": "agentTurn", "text": "x"},
            },
        )
        assert answer["rejected"]["field"] == field
    job = world.add()
    assert world.update(job, schedule=schedule)["rejected"]["field"] == field
    assert world.job(job) == job


def test_a_slot_during_a_run_is_skipped_and_listed(world: Any) -> None:
    job = world.add(every(10 * MINUTE), text="long")
    world.hold("long")
    world.advance(T0 + 30 * MINUTE)
    assert world.statuses(job) == ["running", "skipped", "skipped"]
    world.release("long")
    world.advance(T0 + 40 * MINUTE)
    assert world.statuses(job) == ["ok", "skipped", "skipped", "ok"]
    assert slots(world, job) == [T0 + k * 10 * MINUTE for k in (1, 2, 3, 4)]
    assert len(world.model.requests) == 2


def test_with_policy_queue_slots_run_as_soon_as_the_last_run_ends(make_world: Any) -> None:
    world = make_world(policies={"overlap": "queue"}).start()
    job = world.add(every(10 * MINUTE), text="long")
    world.hold("long")
    world.advance(T0 + 30 * MINUTE)
    assert world.statuses(job) == ["running"]
    world.release("long")
    world.advance(T0 + 30 * MINUTE + 1)
    assert world.statuses(job) == ["ok"] * 3
    assert slots(world, job) == [T0 + k * 10 * MINUTE for k in (1, 2, 3)]


def test_what_is_queued_goes_with_its_job(make_world: Any) -> None:
    world = make_world(policies={"overlap": "queue"}).start()
    removed, disabled = world.add(every(10 * MINUTE), text="long"), world.add(every(10 * MINUTE), text="long")
    world.hold("long")
    world.advance(T0 + 20 * MINUTE)
    world.call("job/remove", id=removed["id"])
    world.update(disabled, enabled=False)
    world.release("long")
    world.advance(T0 + HOUR)
    assert world.statuses(removed) == ["ok"]
    assert world.statuses(disabled) == ["ok", "skipped"]


@pytest.mark.parametrize(("policy", "second"), [("start", 80), ("end", 95)])
def test_intervals_can_be_counted_from_the_run_before(make_world: Any, policy: str, second: int) -> None:
    world = make_world(policies={"intervalAnchor": policy}).start()
    job = world.add(every(40 * MINUTE), text="long")
    world.hold("long")
    world.advance(T0 + 55 * MINUTE)
    world.release("long")
    world.advance(T0 + 100 * MINUTE)
    started = [(run["startedAtMs"] - T0) // MINUTE for run in world.runs(job)]
    assert started == [40, second]


def test_a_manual_run_moves_nothing(world: Any) -> None:
    recurring, pending = world.add(every(HOUR)), world.add(at(T0 + HOUR), deleteAfterRun=True)
    disabled = world.add(every(HOUR), enabled=False)
    world.advance(T0 + 10 * MINUTE)
    for job in (recurring, pending, disabled):
        assert world.trigger(job)["started"]
    world.advance(T0 + 11 * MINUTE)
    for job in (recurring, pending, disabled):
        assert [(run["status"], run["trigger"], run["slotMs"]) for run in world.runs(job)] == [
            ("ok", "manual", None)
        ]
        assert world.job(job) == job
    world.advance(T0 + HOUR)
    assert world.statuses(pending) == ["ok", "ok"]


def test_a_manual_run_says_why_it_does_not_start(world: Any) -> None:
    job = world.add(every(HOUR), text="long")
    assert world.trigger(job, "due") == {"started": False, "reason": "no slot of the job is due"}
    world.hold("long")
    assert world.trigger(job)["started"]
    assert world.trigger(job) == {"started": False, "reason": "the job is running already"}
    assert "no job" in world.call("job/trigger", id="nope", mode="force")["reason"]


def test_a_due_trigger_takes_the_slot(world: Any) -> None:
    job = world.add(at(T0))
    assert world.trigger(job, "due")["started"]
    world.advance(T0 + HOUR)
    assert [(run["slotMs"], run["trigger"]) for run in world.runs(job)] == [(T0, "manual")]


def test_only_an_edit_of_the_schedule_moves_the_next_run(world: Any) -> None:
    job = world.add(every(HOUR))
    world.advance(T0 + 20 * MINUTE)
    for patch in ({"name": "n"}, {"timeoutMs": 5}, {"schedule": every(HOUR)}, {"enabled": True}):
        assert world.update(job, **patch)["job"]["nextRunAtMs"] == T0 + HOUR
    edited = world.update(job, schedule=every(2 * HOUR))["job"]
    assert edited["nextRunAtMs"] == T0 + 20 * MINUTE + 2 * HOUR
    assert edited["revision"] == 6


def test_disabling_clears_and_enabling_looks_forward(world: Any) -> None:
    job = world.add(every(HOUR))
    assert world.update(job, enabled=False)["job"]["nextRunAtMs"] is None
    world.advance(T0 + 5 * HOUR)
    assert world.runs(job) == []
    assert world.update(job, enabled=True)["job"]["nextRunAtMs"] == T0 + 6 * HOUR


def test_a_conditional_edit_is_refused_when_stale(world: Any) -> None:
    job = world.add()
    fresh = world.call("job/update", id=job["id"], patch={"name": "b"}, expectedRevision=job["revision"])
    stale = world.call("job/update", id=job["id"], patch={"name": "c"}, expectedRevision=job["revision"])
    assert fresh["job"]["name"] == "b"
    assert stale["rejected"]["field"] == "expectedRevision"
    assert world.job(job)["name"] == "b"


def test_null_clears_and_the_rest_stays(world: Any) -> None:
    job = world.add(timeoutMs=5000)
    assert world.job(job)["timeoutMs"] == 5000
    cleared = world.update(job, timeoutMs=None)["job"]
    assert "timeoutMs" not in cleared
    assert {**cleared, "revision": 1, "timeoutMs": 5000} == job


def test_the_end_of_a_run_does_not_bring_a_removed_job_back(world: Any) -> None:
    job = world.add(every(HOUR), text="long")
    world.hold("long")
    world.advance(T0 + HOUR)
    assert world.call("job/remove", id=job["id"]) == {"removed": True}
    assert world.call("job/remove", id=job["id"]) == {"removed": False}
    world.release("long")
    world.advance(T0 + DAY)
    assert world.call("job/list")["jobs"] == []
    assert world.statuses(job) == ["ok"]
    world.advance(T0 + 9 * DAY)
    assert world.runs(job) == [], "the history of a removed job is forgotten in the end"


@pytest.mark.parametrize(
    ("policy", "late", "missed"),
    [("once", [5], [1, 2, 3, 4]), ("skip", [], [1, 2, 3, 4, 5]), ("all", [1, 2, 3, 4, 5], [])],
)
@pytest.mark.parametrize("how", ["restart", "crash", "jump"])
def test_missed_slots_follow_the_policy(
    make_world: Any, policy: str, late: list[int], missed: list[int], how: str
) -> None:
    world = make_world(policies={"catchUp": policy}).start()
    job = world.add(every(HOUR))
    back = T0 + 5 * HOUR + MINUTE
    if how == "jump":
        world.call("clock/jump", toMs=back)
    else:
        world.call("gateway/stop") if how == "restart" else world.crash()
        world.start(now=back)
    world.advance(T0 + 6 * HOUR)
    outcomes = {(run["slotMs"] - T0) // HOUR: (run["status"], run["trigger"]) for run in world.runs(job)}
    assert len(outcomes) == len(world.runs(job)), "one outcome for each slot"
    assert [slot for slot, outcome in outcomes.items() if outcome == ("ok", "catchup")] == late
    assert [slot for slot, outcome in outcomes.items() if outcome[0] == "missed"] == missed
    assert outcomes[6] == ("ok", "schedule")
    assert len(world.model.requests) == len(late) + 1


def test_a_slot_due_at_the_instant_of_the_restart_is_not_late(make_world: Any) -> None:
    world = make_world().start()
    job = world.add(every(HOUR))
    world.call("gateway/stop")
    world.start(now=T0 + 2 * HOUR)
    world.advance(T0 + 2 * HOUR)
    assert [(run["slotMs"], run["trigger"]) for run in world.runs(job)] == [
        (T0 + HOUR, "catchup"),
        (T0 + 2 * HOUR, "schedule"),
    ]


@pytest.mark.parametrize(("policy", "status"), [("run", "ok"), ("skip", "missed")])
def test_a_missed_one_shot_follows_the_policy(make_world: Any, policy: str, status: str) -> None:
    world = make_world(policies={"missedOneShot": policy}).start()
    job = world.add(at(T0 + HOUR))
    world.call("gateway/stop")
    for day in (1, 2):
        world.start(now=T0 + day * DAY)
        world.advance(T0 + day * DAY + HOUR)
        world.call("gateway/stop")
    world.start(now=T0 + 3 * DAY)
    assert [(run["status"], run["slotMs"]) for run in world.runs(job)] == [(status, T0 + HOUR)]


def test_missed_slots_of_a_long_time_are_bounded(make_world: Any) -> None:
    world = make_world(policies={"catchUp": "all"}).start()
    job = world.add(every(MINUTE))
    world.call("clock/jump", toMs=T0 + 365 * DAY + 1)
    world.advance(T0 + 365 * DAY + 4 * MINUTE)
    late = [run for run in world.runs(job) if run["trigger"] == "catchup"]
    assert [run["status"] for run in late] == ["missed"] + ["ok"] * 100


def test_a_run_cut_short_by_a_crash_is_interrupted_and_blocks_nothing(make_world: Any) -> None:
    world = make_world().start()
    job, once = world.add(every(HOUR), text="long"), world.add(at(T0 + HOUR), text="long")
    world.hold("long")
    world.advance(T0 + HOUR)
    world.crash()
    world.model.hold.clear()
    world.start(now=T0 + HOUR + 1)
    world.advance(T0 + 2 * HOUR)
    assert world.statuses(job) == ["interrupted", "ok"]
    assert world.statuses(once) == ["interrupted"]


def test_stopping_in_good_order_interrupts_and_says_so(make_world: Any) -> None:
    world = make_world().start()
    job = world.add(every(HOUR), text="long")
    world.hold("long")
    world.advance(T0 + HOUR)
    world.call("gateway/stop")
    world.model.hold.clear()
    world.start(now=T0 + HOUR + 1)
    assert [(run["status"], run["endedAtMs"]) for run in world.runs(job)] == [("interrupted", T0 + HOUR)]


def test_queued_runs_survive_a_crash(make_world: Any) -> None:
    world = make_world(policies={"overlap": "queue"}).start()
    job = world.add(every(40 * MINUTE), text="long")
    world.hold("long")
    world.advance(T0 + 80 * MINUTE)
    world.crash()
    world.model.hold.clear()
    world.start(now=T0 + 80 * MINUTE + 1)
    world.advance(T0 + 80 * MINUTE + 2)
    assert world.statuses(job) == ["interrupted", "ok"]


def test_two_gateways_on_one_folder_run_each_slot_once(make_world: Any) -> None:
    one, two = make_world().start(), make_world().start()
    job = one.add(every(HOUR), text="long")
    one.hold("long")
    one.advance(T0 + HOUR)
    two.advance(T0 + 2 * HOUR)
    assert two.statuses(job) == ["running", "skipped"], "the other gateway's run is alive"
    assert two.call("job/list") == one.call("job/list")
    one.release("long")
    one.advance(T0 + 3 * HOUR)
    two.advance(T0 + 4 * HOUR)
    one.advance(T0 + 4 * HOUR)
    assert one.statuses(job) == ["ok", "skipped", "ok", "ok"]
    assert len(one.model.requests) + len(two.model.requests) == 3


def test_a_jump_back_repeats_no_slot_and_starves_no_job(world: Any) -> None:
    job = world.add(every(HOUR))
    world.advance(T0 + 5 * HOUR)
    world.call("clock/jump", toMs=T0 + 2 * HOUR + 1)
    world.advance(T0 + 7 * HOUR)
    assert slots(world, job) == [T0 + k * HOUR for k in range(1, 8)]
    world.call("clock/jump", toMs=T0 + 365 * DAY)
    world.call("clock/jump", toMs=T0 + 7 * HOUR + 1)
    assert world.next(job) == T0 + 8 * HOUR


def test_history_is_bounded_for_each_job(make_world: Any) -> None:
    world = make_world(run_history=10).start()
    jobs = [world.add(every(MINUTE)), world.add(every(HOUR))]
    world.advance(T0 + 3 * HOUR)
    assert slots(world, jobs[0]) == [T0 + 3 * HOUR - k * MINUTE for k in range(9, -1, -1)]
    assert len(world.runs(jobs[1])) == 3


def test_jobs_due_at_one_instant_all_run(world: Any) -> None:
    jobs = [world.add(at(T0 + HOUR), text=f"job {number}") for number in range(50)]
    world.advance(T0 + HOUR)
    assert world.model.texts() == [f"job {number}" for number in range(50)]
    assert {status for job in jobs for status in world.statuses(job)} == {"ok"}


def test_a_job_that_cannot_be_read_hurts_only_itself(make_world: Any) -> None:
    world = make_world().start()
    bad, good = world.add(every(HOUR)), world.add(every(HOUR))
    world.gateway._engine.store._sql("UPDATE jobs SET body = '{' WHERE id = ?", bad["id"])
    world.advance(T0 + 2 * HOUR)
    assert world.statuses(good) == ["ok", "ok"]
    shown = world.job(bad)
    assert shown["enabled"] is False
    assert "cannot be read" in shown["problem"]


def test_a_job_whose_zone_is_gone_stops_no_other_and_no_start(make_world: Any) -> None:
    """As after an update of the time zone database, or in a store from another machine."""
    world = make_world().start()
    lost, good = world.add(cron("0 * * * *", tz="Europe/Berlin")), world.add(every(HOUR))
    store = world.gateway._engine.store
    store._sql(
        "UPDATE jobs SET body = replace(body, 'Europe/Berlin', 'Mars/Olympus') WHERE id = ?", lost["id"]
    )
    world.advance(T0 + 2 * HOUR)
    assert world.statuses(good) == ["ok", "ok"]
    assert world.next(lost) is None
    (notice,) = world.call("notice/list")["notices"]
    assert (notice["kind"], notice["jobId"]) == ("unschedulable", lost["id"])
    assert "Mars/Olympus" in notice["text"]
    world.crash()
    world.start(now=T0 + 2 * HOUR)
    world.call("clock/jump", toMs=T0 + HOUR)
    world.advance(T0 + 3 * HOUR)
    assert world.statuses(good) == ["ok"] * 3
    store = world.gateway._engine.store
    store._sql("UPDATE jobs SET body = replace(body, 'Mars/Olympus', 'Europe/Berlin')")
    world.crash()
    world.start(now=T0 + 3 * HOUR)
    assert world.next(lost) == T0 + 4 * HOUR, "it goes on when its zone is back"
