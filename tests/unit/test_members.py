"""Every member of a job and of a configuration has a test of its effect, by each write that can set it.

The members are read from the schemas, so that a new one without a test is found out here.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ..mutants.judging import tests as suite_tests

SCHEMAS = Path(__file__).parents[2] / "specs" / "schemas"


def _one_at_a_time(member: str) -> tuple[str, str]:
    """The tests that change one member, on add and on edit."""
    effects = "test_job_effects.py::test_an_{}_member_has_its_effect[{}]"
    return effects.format("added", member), effects.format("edited", member)


JOB = {
    "name": (
        "test_job_list.py::test_the_list_shows_what_was_accepted",
        "test_job_edits.py::test_an_edit_during_a_run_stays[name]",
    ),
    "agent": _one_at_a_time("agent"),
    "enabled": _one_at_a_time("enabled"),
    "schedule.kind": (
        "test_scheduler_slots.py::test_a_one_shot_runs_once",
        "test_scheduler_edits.py::test_an_edited_schedule_replaces_the_old_one",
    ),
    "schedule.atMs": (
        "test_scheduler_slots.py::test_a_one_shot_runs_once",
        "test_job_edits.py::test_an_edit_during_a_run_stays[one-shot]",
    ),
    "schedule.everyMs": (
        "test_scheduler_slots.py::test_interval_runs_once_per_period",
        "test_scheduler_edits.py::test_an_edited_schedule_replaces_the_old_one",
    ),
    "schedule.anchorMs": _one_at_a_time("anchorMs"),
    "schedule.expr": (
        "test_scheduler_slots.py::test_cron_slots_match_the_oracle",
        "test_scheduler_edits.py::test_an_edited_schedule_replaces_the_old_one",
    ),
    "schedule.tz": _one_at_a_time("tz"),
    "schedule.staggerMs": _one_at_a_time("staggerMs"),
    "session.target": (
        "test_session_targets.py::test_current_is_the_session_of_the_request",
        "test_session_targets.py::test_an_edited_target_takes_effect",
    ),
    "session.name": (
        "test_session_targets.py::test_a_name_is_one_session_for_all_jobs",
        "test_session_targets.py::test_an_edited_target_takes_effect",
    ),
    "session.key": (
        "test_session_keys.py::test_accepted_key_is_honoured_or_reported",
        "test_session_keys.py::test_key_set_by_an_edit_is_honoured_or_reported",
    ),
    "session.mode": ("test_resolver_ways.py::test_a_mode_is_honoured_or_reported",) * 2,
    "payload.kind": ("test_job_effects.py::test_a_payload_that_does_not_fit_its_target",) * 2,
    "payload.text": _one_at_a_time("text"),
    "timeoutMs": _one_at_a_time("timeoutMs"),
    "deleteAfterRun": _one_at_a_time("deleteAfterRun"),
    "retry.maxRetries": _one_at_a_time("retry"),
    "retry.backoffMs": _one_at_a_time("retry"),
    "maxFailures": _one_at_a_time("maxFailures"),
    "catchUp.policy": _one_at_a_time("catchUp"),
    "catchUp.maxLatenessMs": _one_at_a_time("maxLatenessMs"),
}
"""Per member the test of its effect on add, and the one on edit."""

CONFIG = {
    "agents": ("test_session_targets.py::test_one_name_under_two_agents",),
    "sessionRetentionMs": (
        "test_reaper.py::test_receipts_of_a_live_job_go",
        "test_receipts.py::test_the_present_retention_holds_for_old_receipts",
    ),
    "maintenance.mode": ("test_maintenance.py::test_warn_removes_nothing",),
    "maintenance.pruneAfterMs": ("test_maintenance.py::test_idle_rows_go_by_age",),
    "maintenance.maxEntries": ("test_maintenance.py::test_the_cap_keeps_the_most_recent_rows",),
    "maintenance.maxDiskBytes": ("test_limits.py::test_bytes_come_down_to_their_limit",),
    "maintenance.highWaterBytes": ("test_limits.py::test_bytes_come_down_to_the_high_water",),
    "maxConcurrentRuns": ("test_run_limits.py::test_no_more_runs_than_there_may_be",),
    "runHistory.maxRuns": ("test_run_limits.py::test_the_latest_runs_are_listed_and_no_more",),
    "runHistory.maxAgeMs": ("test_run_limits.py::test_runs_are_listed_for_their_time",),
    "archiveMs": (
        "test_receipts.py::test_a_transcript_is_put_aside_for_its_time",
        "test_receipts.py::test_what_was_put_aside_goes_in_its_time",
    ),
}


def _members(schema: Mapping[str, Any], defs: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """The members below, a dot before each level; objects stand for what is in them."""
    branches = [_meant(branch, defs) for branch in (schema, *_meant(schema, defs).get("oneOf", []))]
    inner = [(name, part) for branch in branches for name, part in branch.get("properties", {}).items()]
    if not inner:
        yield path
    for name, part in inner:
        yield from _members(part, defs, f"{path}.{name}" if path else name)


def _meant(schema: Mapping[str, Any], defs: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = defs.get(schema.get("$ref", "").removeprefix("#/$defs/"), schema)
    return found


def _read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((SCHEMAS / name).read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("shape", ["spec", "patch"])
def test_each_member_of_a_job_has_a_test(shape: str) -> None:
    defs = _read("job.schema.json")["$defs"]
    assert set(_members(defs[shape], defs)) == set(JOB)


def test_each_member_of_a_configuration_has_a_test() -> None:
    assert set(_members(_read("config.schema.json"), {})) == set(CONFIG)


@pytest.mark.parametrize(
    "node", sorted({node for nodes in (*JOB.values(), *CONFIG.values()) for node in nodes})
)
def test_a_named_test_is_there(node: str) -> None:
    name, _, case = node.partition("[")
    assert f"cronsession/{name}" in suite_tests()
    if case:
        file, _, function = name.partition("::")
        module = importlib.import_module(f"pytest_cronsession.suite.{file.removesuffix('.py')}")
        marks = [m for m in getattr(module, function).pytestmark if m.name == "parametrize"]
        assert any(case.removesuffix("]") in mark.args[1] for mark in marks), node
