"""Answers of the contract as values."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_cronsession import schemas
from pytest_cronsession.catalog import specs_dir
from pytest_cronsession.contract import (
    CAPABILITIES,
    OPERATIONS,
    POLICIES,
    PROFILES,
    Hello,
    Job,
    Rejected,
    Run,
    Session,
    Trigger,
    Unused,
    Write,
    method_name,
)

HELLO: dict[str, Any] = {
    "protocol": 1,
    "name": "tiny",
    "version": "0.1",
    "specRevision": 1,
    "capabilities": ["clock.advance", "session.key"],
    "profiles": ["sessions", "scheduler"],
    "policies": {"sessionKey": "reject"},
}
STORED = {"id": "j1", "enabled": True, "nextRunAtMs": None}


def test_a_short_hello_gets_the_published_defaults() -> None:
    hello = Hello.parse(HELLO)
    assert (hello.name, hello.version, hello.url, hello.spec_revision) == ("tiny", "0.1", "", 1)
    assert (hello.resolution_ms, hello.lateness_ms, hello.sweep_interval_ms) == (1, 0, 300_000)
    assert hello.profiles == ("sessions", "scheduler")
    assert hello.capabilities == {"clock.advance", "session.key"}


def test_a_long_hello_is_taken_as_it_is() -> None:
    more = {"url": "https://example.org", "resolutionMs": 1000, "latenessMs": 5, "sweepIntervalMs": 60}
    hello = Hello.parse(HELLO | more)
    assert (hello.url, hello.resolution_ms, hello.lateness_ms, hello.sweep_interval_ms) == (
        "https://example.org",
        1000,
        5,
        60,
    )


@pytest.mark.parametrize(
    ("more", "late_by_ms"),
    [
        ({}, 0),
        ({"latenessMs": 400}, 400),
        ({"resolutionMs": 1000}, 999),
        ({"resolutionMs": 10, "latenessMs": 5}, 14),
    ],
)
def test_a_start_may_be_late_and_come_with_the_next_step_of_the_clock(
    more: dict[str, int], late_by_ms: int
) -> None:
    assert Hello.parse(HELLO | more).late_by_ms == late_by_ms


def test_a_policy_is_the_declared_one_or_the_default() -> None:
    hello = Hello.parse(HELLO)
    assert hello.policy("sessionKey") == "reject"
    assert hello.policy("dst") == "vixie"
    with pytest.raises(KeyError):
        hello.policy("no-such-policy")


@pytest.mark.parametrize(
    ("change", "realtime"),
    [
        ({}, False),
        ({"latenessMs": 1000}, False),
        ({"latenessMs": 1001}, True),
        ({"capabilities": ["trigger"]}, True),
    ],
)
def test_what_counts_as_realtime(change: dict[str, Any], realtime: bool) -> None:
    assert Hello.parse(HELLO | change).realtime is realtime


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"capabilities": ["clock.advanse"]}, "unknown capability 'clock.advanse'; known: agents, "),
        ({"policies": {"dts": "vixie"}}, "unknown policy 'dts'; known: catchUp, "),
        (
            {"policies": {"dst": "posix"}},
            "unknown answer to policy 'dst' 'posix'; known: both, ocps, shift, vixie",
        ),
    ],
)
def test_unknown_words_are_named_with_the_known_ones(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match="unknown") as caught:
        Hello.parse(HELLO | change)
    assert str(caught.value).startswith(message)


def test_a_stored_job() -> None:
    job = Job.parse(STORED | {"nextRunAtMs": 5, "resolved": {"sessionKey": "agent:main:x"}, "more": 1})
    assert (job.id, job.enabled, job.next_run_ms, job.resolved_key) == ("j1", True, 5, "agent:main:x")
    assert job.raw["more"] == 1


@pytest.mark.parametrize("more", [{}, {"resolved": {}}, {"resolved": {"fresh": True}}])
def test_a_job_that_does_not_say_its_session(more: dict[str, Any]) -> None:
    assert Job.parse(STORED | more).resolved_key is None


def test_an_accepted_write() -> None:
    write = Write.parse({"job": STORED})
    assert write.job == Job.parse(STORED)
    assert write.rejected is None
    assert write.unused == ()


def test_a_refused_write() -> None:
    write = Write.parse({"rejected": {"field": "session.key", "reason": "too long"}})
    assert write.job is None
    assert write.rejected == Rejected("session.key", "too long")
    assert not write.reports("session.key")


def test_an_accepted_write_with_members_of_no_effect() -> None:
    write = Write.parse({"job": STORED, "unused": [{"field": "session.key", "reason": "isolated"}]})
    assert write.unused == (Unused("session.key", "isolated"),)


@pytest.mark.parametrize(
    ("unused", "asked", "reported"),
    [
        ("session.key", ("session.key",), True),
        ("session", ("session.key",), True),
        ("session.key", ("session.mode", "session.key"), True),
        ("session.key", ("session",), False),
        ("session.keys", ("session.key",), False),
        ("sess", ("session.key",), False),
        ("session.key", (), False),
    ],
)
def test_a_member_is_reported_by_its_name_or_a_parents(
    unused: str, asked: tuple[str, ...], reported: bool
) -> None:
    write = Write.parse({"job": STORED, "unused": [{"field": unused, "reason": "r"}]})
    assert write.reports(*asked) is reported


def test_a_run() -> None:
    short = Run.parse({"id": "r", "jobId": "j", "status": "running", "startedAtMs": 1})
    assert short == Run("r", "j", "running", 1)
    assert not short.finished
    full = Run.parse(
        {
            "id": "r",
            "jobId": "j",
            "status": "error",
            "startedAtMs": 1,
            "endedAtMs": 2,
            "slotMs": 3,
            "trigger": "manual",
            "sessionKey": "k",
            "sessionId": "s",
            "error": "e",
        }
    )
    assert full == Run("r", "j", "error", 1, 2, 3, "manual", "k", "s", "e")
    assert full.finished


def test_a_slot_that_never_started_is_finished() -> None:
    assert Run.parse({"id": "r", "jobId": "j", "status": "skipped", "startedAtMs": None}).finished


def test_sessions_and_triggers() -> None:
    assert Session.parse({"key": "k", "id": "i"}) == Session("k", "i")
    row = {"key": "k", "id": "i", "agent": "main", "jobId": "j", "updatedAtMs": 9}
    assert Session.parse(row) == Session("k", "i", "main", "j", 9)
    assert Trigger.parse({"started": True, "runId": "r"}) == Trigger(True, "r", None)
    assert Trigger.parse({"started": False, "reason": "not due"}) == Trigger(False, None, "not due")


# --- the same words everywhere ----------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["params", "result"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_has_both_schemas(operation: str, side: str) -> None:
    assert schemas.message_problem(operation, side, 1) is not None


def test_the_catalogue_publishes_the_same_words() -> None:
    catalogue = json.loads((specs_dir() / "requirements.json").read_text(encoding="utf-8"))
    assert catalogue["capabilities"] == dict(CAPABILITIES)
    assert {name: p["text"] for name, p in catalogue["profiles"].items()} == dict(PROFILES)
    published = {
        name: (p["question"], p["answers"], p["default"]) for name, p in catalogue["policies"].items()
    }
    assert published == {name: (p.question, dict(p.answers), p.default) for name, p in POLICIES.items()}


def test_every_default_is_a_published_answer() -> None:
    assert [name for name, p in POLICIES.items() if p.default not in p.answers] == []


def test_method_names() -> None:
    assert method_name("job/add") == "job_add"
    assert method_name("initialize") == "initialize"
    assert len({method_name(operation) for operation in OPERATIONS}) == len(OPERATIONS)


@pytest.mark.parametrize(("late", "fit"), [(0, True), (1000, True), (1001, False)])
def test_a_clock_that_is_later_than_a_second_is_none(late: int, fit: bool) -> None:
    clock = ["clock.advance", "clock.jump"]
    hello = Hello.parse(HELLO | {"capabilities": [*clock, "trigger"], "latenessMs": late})
    assert hello.capabilities == ({*clock, "trigger"} if fit else {"trigger"})
