"""Failures: which are tried again and when, which count, when a job is switched off, and who is told."""

from __future__ import annotations

from typing import Any

import pytest

from cronsession_reference.errors import ModelError
from cronsession_reference.recovery import CAUSES, TRANSIENT, Retry
from cronsession_reference.store import Notice

T0 = 1_772_323_200_000
SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000


def at(instant: int) -> dict[str, Any]:
    return {"kind": "at", "atMs": instant}


def every(milliseconds: int) -> dict[str, Any]:
    return {"kind": "every", "everyMs": milliseconds}


def tries(world: Any, job: Any) -> list[tuple[str, str, int]]:
    """Status, trigger and start, in seconds after T0, of each run of a job."""
    return [(r["status"], r["trigger"], (r["startedAtMs"] - T0) // SECOND) for r in world.runs(job)]


@pytest.mark.parametrize(
    ("status", "code", "cause"),
    [
        (429, None, "rate-limit"),
        (429, "insufficient_quota", "quota"),
        (503, None, "overloaded"),
        (500, None, "server"),
        (400, None, "refused"),
        (401, None, "refused"),
        (404, None, "refused"),
        (None, None, "refused"),
    ],
)
def test_a_failure_is_classed_by_what_the_origin_says(
    status: int | None, code: str | None, cause: str
) -> None:
    """The words of the message, in which 503 or "overloaded" may stand for anything, decide nothing."""
    assert ModelError("503 overloaded, timed out", status, code=code).cause == cause


def test_every_transient_cause_is_a_cause() -> None:
    assert set(TRANSIENT) < set(CAUSES)


def test_waits_grow_and_the_last_one_repeats() -> None:
    retry = Retry(4, (10, 20))
    assert [retry.wait_ms(attempt) for attempt in range(1, 6)] == [10, 20, 20, 20, None]


def test_a_passing_failure_is_tried_again_after_each_wait(world: Any) -> None:
    job = world.add(at(T0 + HOUR), text="x", retry={"maxRetries": 3, "backoffMs": [10_000, 60_000]})
    world.model.errors["x"] = [503, 429]
    world.advance(T0 + HOUR + 5 * SECOND)
    waiting = world.job(job)
    assert (waiting["enabled"], waiting["nextRunAtMs"]) == (True, T0 + HOUR + 10 * SECOND)
    world.advance(T0 + DAY)
    assert tries(world, job) == [
        ("error", "schedule", 3600),
        ("error", "retry", 3610),
        ("ok", "retry", 3670),
    ]
    assert {run["slotMs"] for run in world.runs(job)} == {T0 + HOUR}
    assert [run.get("cause") for run in world.runs(job)] == ["overloaded", "rate-limit", None]
    done = world.job(job)
    assert (done["enabled"], done["nextRunAtMs"]) == (False, None)


def test_attempts_are_bounded_and_the_end_is_told(world: Any) -> None:
    job = world.add(at(T0 + HOUR), text="x", retry={"maxRetries": 2, "backoffMs": [1000]})
    world.model.errors["x"] = [503] * 9
    world.advance(T0 + DAY)
    assert world.statuses(job) == ["error"] * 3
    (notice,) = world.call("notice/list")["notices"]
    assert (notice["kind"], notice["jobId"]) == ("oneShotFailed", job["id"])


@pytest.mark.parametrize("status", [400, 401, 404])
def test_a_lasting_failure_is_final(world: Any, status: int) -> None:
    job = world.add(at(T0 + HOUR), text="x", retry={"maxRetries": 3})
    world.model.errors["x"] = [status]
    world.advance(T0 + DAY)
    assert world.statuses(job) == ["error"]


def test_a_time_out_is_not_tried_again(world: Any) -> None:
    job = world.add(at(T0 + HOUR), text="x", retry={"maxRetries": 3}, timeoutMs=MINUTE)
    world.hold("x")
    world.advance(T0 + DAY)
    assert [(run["status"], run["cause"]) for run in world.runs(job)] == [("timeout", "timeout")]


def test_no_try_comes_at_or_after_the_next_slot(world: Any) -> None:
    job = world.add(every(MINUTE), text="x", retry={"maxRetries": 5, "backoffMs": [40_000]})
    world.model.errors["x"] = [503, 503]
    world.advance(T0 + 2 * MINUTE)
    assert tries(world, job) == [("error", "schedule", 60), ("error", "retry", 100), ("ok", "schedule", 120)]


def test_a_new_try_begins_only_when_the_last_one_has_stopped(world: Any) -> None:
    """A run cancelled by hand is over, and is not tried again by anybody."""
    job = world.add(at(T0 + HOUR), text="x", retry={"maxRetries": 3, "backoffMs": [1000]})
    world.hold("x")
    world.advance(T0 + HOUR)
    world.call("run/cancel", id=world.runs(job)[0]["id"])
    world.advance(T0 + DAY)
    assert world.statuses(job) == ["cancelled"]
    assert world.model.most == 1


def test_what_waits_to_be_tried_again_survives_a_crash(make_world: Any) -> None:
    world = make_world().start()
    job = world.add(at(T0 + HOUR), text="x", retry={"maxRetries": 1, "backoffMs": [MINUTE]})
    world.model.errors["x"] = [503]
    world.advance(T0 + HOUR)
    world.crash()
    world.start(now=T0 + 2 * HOUR)
    world.advance(T0 + 3 * HOUR)
    assert world.statuses(job) == ["error", "ok"]


def test_what_waits_ends_with_the_next_slot_also_in_a_downtime(make_world: Any) -> None:
    world = make_world().start()
    job = world.add(every(HOUR), text="x", retry={"maxRetries": 1, "backoffMs": [20 * MINUTE]})
    world.model.errors["x"] = [503]
    world.advance(T0 + HOUR + 5 * MINUTE)
    world.crash()
    world.start(now=T0 + 2 * HOUR + 5 * MINUTE)
    world.advance(T0 + 2 * HOUR + 10 * MINUTE)
    assert [run["trigger"] for run in world.runs(job)] == ["schedule", "catchup"]


@pytest.mark.parametrize("change", ["disable", "reschedule", "remove"])
def test_an_edit_takes_back_what_waits(world: Any, change: str) -> None:
    job = world.add(at(T0 + HOUR), text="x", retry={"maxRetries": 1, "backoffMs": [MINUTE]})
    world.model.errors["x"] = [503]
    world.advance(T0 + HOUR)
    if change == "disable":
        assert world.update(job, enabled=False)["job"]["nextRunAtMs"] is None
    elif change == "reschedule":
        assert world.update(job, schedule=at(T0 + 2 * HOUR))["job"]["nextRunAtMs"] == T0 + 2 * HOUR
    else:
        world.call("job/remove", id=job["id"])
    world.advance(T0 + HOUR + 30 * MINUTE)
    assert world.statuses(job) == ["error"]


def test_a_manual_run_is_not_tried_again_and_counts_nothing(world: Any) -> None:
    job = world.add(every(HOUR), text="x", retry={"maxRetries": 3, "backoffMs": [1000]}, maxFailures=1)
    world.model.errors["x"] = [503, 400]
    for _ in range(2):
        world.trigger(job)
        world.advance(world.call("clock/advance", toMs=T0 + MINUTE)["nowMs"])
    assert world.statuses(job) == ["error", "error"]
    assert "failures" not in world.job(job)
    assert world.job(job)["enabled"] is True


def test_without_a_word_a_job_follows_the_settings(world: Any) -> None:
    job = world.add(at(T0 + HOUR), text="x")
    world.model.errors["x"] = [503] * 9
    world.advance(T0 + DAY)
    assert [start - 3600 for _, _, start in tries(world, job)] == [0, 30, 90, 390]


def test_failures_in_a_row_switch_a_job_off(world: Any) -> None:
    job = world.add(every(HOUR), text="x", maxFailures=3)
    world.model.errors["x"] = [400, 400]
    world.advance(T0 + 3 * HOUR)
    assert "failures" not in world.job(job), "an answer sets the count to zero"
    world.model.fail.add("x")
    world.advance(T0 + 5 * HOUR)
    assert (world.job(job)["failures"], world.job(job)["enabled"]) == (2, True)
    world.advance(T0 + DAY)
    off = world.job(job)
    assert (off["enabled"], off["nextRunAtMs"], off["disabledBy"]) == (False, None, "failures")
    assert "3 runs in a row failed" in off["disabledReason"]
    assert "no such model" in off["disabledReason"]
    assert world.statuses(job) == ["error", "error", "ok", "error", "error", "error"]
    (notice,) = world.call("notice/list")["notices"]
    assert notice["kind"] == "autoDisabled"
    assert notice["atMs"] == T0 + 6 * HOUR
    assert world.call("notice/list", sinceMs=T0 + 7 * HOUR)["notices"] == []


def test_enabling_starts_with_a_clean_record(world: Any) -> None:
    job = world.add(every(HOUR), text="x", maxFailures=2)
    world.model.errors["x"] = [400, 400, 400]
    world.advance(T0 + 4 * HOUR)
    assert world.job(job)["disabledBy"] == "failures"
    on = world.update(job, enabled=True)["job"]
    assert on["enabled"] is True
    assert not {"disabledBy", "disabledReason", "failures"} & set(on)
    world.advance(T0 + 6 * HOUR)
    assert world.statuses(job) == ["error", "error", "error", "ok"]


def test_who_disabled_a_job_can_be_told(world: Any) -> None:
    job = world.add(every(HOUR), text="x", maxFailures=1)
    other = world.add(every(HOUR), enabled=False)
    assert other["disabledBy"] == "operator"
    world.model.fail.add("x")
    world.advance(T0 + HOUR)
    assert world.job(job)["disabledBy"] == "failures"
    taken_over = world.update(job, enabled=False)["job"]
    assert taken_over["disabledBy"] == "operator"
    assert "disabledReason" not in taken_over


def test_what_passes_by_itself_switches_nothing_off(world: Any) -> None:
    job = world.add(every(HOUR), text="x", maxFailures=1, retry={"maxRetries": 0})
    world.model.errors["x"] = [503, 500, 429]
    world.advance(T0 + 4 * HOUR)
    assert world.statuses(job) == ["error", "error", "error", "ok"]
    assert world.call("notice/list") == {"notices": []}


def test_an_edit_based_on_the_job_before_it_was_switched_off_is_refused(world: Any) -> None:
    job = world.add(every(HOUR), text="x", maxFailures=1)
    world.model.fail.add("x")
    world.advance(T0 + HOUR)
    answer = world.call("job/update", id=job["id"], patch={"name": "n"}, expectedRevision=job["revision"])
    assert answer["rejected"]["field"] == "expectedRevision"


def test_notices_are_bounded(world: Any) -> None:
    store = world.gateway._engine.store
    for number in range(30):
        store.add_notice(Notice(T0, "k", str(number)), 10)
    assert [notice["text"] for notice in world.call("notice/list")["notices"]] == [
        str(n) for n in range(20, 30)
    ]


def test_a_run_counts_its_time_out_from_its_start_and_stops_the_work(world: Any) -> None:
    job = world.add(every(HOUR), text="x", timeoutMs=MINUTE)
    world.hold("x")
    world.advance(T0 + HOUR + MINUTE)
    assert world.model.held == 0
    assert world.runs(job)[0]["endedAtMs"] == T0 + HOUR + MINUTE
