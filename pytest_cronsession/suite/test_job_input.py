"""Writes and requests that are wrong in type, range, unit, size or meaning."""

from __future__ import annotations

from typing import Any

import pytest

from ..driver import Driver, at, every
from ..oracle import DAY, MINUTE
from ..requirement import requirement
from .kit import all_shown
from .wrong import applies, goes_on, put, spec_for

HOUR = 60 * MINUTE
_NO_NUMBERS: tuple[Any, ...] = ("5", "NaN", "1h", 1.5, True, [], {}, None)
_NO_TEXTS: tuple[Any, ...] = (5, True, [], {}, None)
_NO_OBJECTS: tuple[Any, ...] = (5, "x", [], True, None)

# Each value breaks the schema of its member. Of a schedule the other members are given as they should be.
_WRONG: dict[str, tuple[Any, ...]] = {
    "schedule": (
        *_NO_OBJECTS,
        {},
        {"kind": "sometimes"},
        {"kind": "cron"},
        {"kind": "every"},
        {"kind": "at"},
    ),
    "schedule.kind": (*_NO_TEXTS, "", "hourly", "EVERY"),
    "schedule.everyMs": (*_NO_NUMBERS, 0, -1, -60_000),
    "schedule.anchorMs": (*_NO_NUMBERS, -1, 8_640_000_000_000_001, 10**25),
    "schedule.atMs": (*_NO_NUMBERS, -1, 8_640_000_000_000_001, 10**25, "2026-03-03T10:00:00Z"),
    "schedule.expr": (5, True, [], ["0", "9"], {}, None),
    "schedule.tz": (5, True, [], {}, None),
    "schedule.staggerMs": (*_NO_NUMBERS, -1),
    "session": _NO_OBJECTS,
    "session.target": _NO_TEXTS,
    "session.name": (5, True, [], {}, None),
    "payload": _NO_OBJECTS,
    "payload.kind": (*_NO_TEXTS, "", "shellCommand"),
    "payload.text": (*_NO_TEXTS, ""),
    "name": (*_NO_TEXTS, ""),
    "enabled": (0, 1, "true", "", [], None),
    "timeoutMs": ("5", "NaN", "1h", 1.5, True, [], {}, 0, -1),
    "deleteAfterRun": (0, 1, "yes", []),
    "agent": (5, True, [], {}, ""),
    "retry": (5, "x", [], True, {}, {"maxRetries": -1}, {"maxRetries": 11}, {"maxRetries": "2"}),
    "retry.backoffMs": (5, [], [0], [-1], ["1m"], [1.5], [86_400_001], [1] * 11),
    "maxFailures": (0, -1, 1.5, "3", True, 1_000_001),
    "catchUp": (
        5,
        "once",
        [],
        {},
        {"policy": "often"},
        {"policy": 1},
        {"policy": "once", "maxLatenessMs": 0},
    ),
}
_SCHEDULE = [path for path in _WRONG if path.partition(".")[0] == "schedule"]
_ELSEWHERE = [path for path in _WRONG if path not in _SCHEDULE]


@requirement("CS-JOB-020")
@pytest.mark.parametrize("path", _SCHEDULE)
def test_an_add_with_a_wrong_schedule_is_refused(cronsession_driver: Driver, path: str) -> None:
    _check_add(cronsession_driver, path)


@requirement("CS-JOB-029")
@pytest.mark.parametrize("path", _ELSEWHERE)
def test_an_add_with_a_wrong_member_is_refused(cronsession_driver: Driver, path: str) -> None:
    _check_add(cronsession_driver, path)


def _check_add(d: Driver, path: str) -> None:
    applies(d, path)
    good = d.add()
    before, spec = all_shown(d), spec_for(d, path)
    # What null means on an add is nowhere said, save for members that a job cannot do without.
    values = [v for v in _WRONG[path] if v is not None or path.partition(".")[0] in spec]
    for value in values:
        attempt = d.attempt("job/add", {"job": put(spec, path, value)})
        d.expect(attempt.refusal is not None, f"a job with {path} {value!r} was accepted")
        d.expect(
            all_shown(d) == before, f"a job with {path} {value!r} was refused and changed the list of jobs"
        )
    goes_on(d, good)


@requirement("CS-JOB-029")
@pytest.mark.parametrize(
    "member", ["name", "schedule", "session", "payload", "session.target", "payload.text"]
)
def test_an_add_without_a_needed_member_is_refused(cronsession_driver: Driver, member: str) -> None:
    d = cronsession_driver
    before, spec = all_shown(d), spec_for(d, member)
    head, _, tail = member.partition(".")
    (spec[head] if tail else spec).pop(tail or head)
    d.expect(d.attempt("job/add", {"job": spec}).refusal is not None, f"a job without {member} was accepted")
    wrong: tuple[dict[str, Any], ...] = ({}, {"job": None}, {"job": []}, {"job": "x"})
    for params in wrong:
        d.expect(d.attempt("job/add", params).refusal is not None, f"job/add was accepted with {params}")
    d.expect(all_shown(d) == before, "a refused job is listed")


@requirement("CS-JOB-020")
def test_two_schedules_at_once_are_refused(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    d.require("schedule.every", "schedule.at")
    before, spec = all_shown(d), spec_for(d, "name")
    both = (
        {**every(hours=5), "atMs": d.now + DAY},
        {**at(d.now + DAY), "everyMs": HOUR},
        [every(hours=5), at(d.now + DAY)],
    )
    for schedule in both:
        attempt = d.attempt("job/add", {"job": {**spec, "schedule": schedule}})
        answer = attempt.answer or {}
        told = any(u["field"].startswith("schedule") for u in answer.get("unused", ()))
        d.expect(attempt.refusal is not None or told, f"two schedules were accepted as one: {schedule}")
        if attempt.refusal is not None:
            d.expect(all_shown(d) == before, "a refused job is listed")


@requirement("CS-JOB-021")
@pytest.mark.parametrize("path", _SCHEDULE)
def test_an_edit_with_a_wrong_schedule_is_refused(cronsession_driver: Driver, path: str) -> None:
    _check_edit(cronsession_driver, path)


@requirement("CS-JOB-030")
@pytest.mark.parametrize("path", _ELSEWHERE)
def test_an_edit_with_a_wrong_member_is_refused(cronsession_driver: Driver, path: str) -> None:
    _check_edit(cronsession_driver, path)


def _check_edit(d: Driver, path: str) -> None:
    applies(d, path)
    spec = spec_for(d, path)
    head = path.partition(".")[0]
    job = d.add(spec["schedule"])
    before = all_shown(d)
    # Null clears what a job can do without; of the others, what it would mean is said for these alone.
    cannot = ("name", "schedule", "session", "payload")
    values = [v for v in _WRONG[path] if v is not None or (head in cannot)]
    for value in values:
        patch = {head: put(spec, path, value)[head]}
        if "." not in path:
            patch["name"] = patch.get("name", "half an edit")
        attempt = d.attempt("job/update", {"id": job.id, "patch": patch})
        d.expect(attempt.refusal is not None, f"an edit of {path} to {value!r} was accepted")
        d.expect(
            all_shown(d) == before, f"an edit of {path} to {value!r} was refused and changed what is listed"
        )
    goes_on(d, job)


_OTHERS: dict[str, tuple[str, tuple[dict[str, Any], ...]]] = {
    "job/update": (
        "job.update",
        ({}, {"id": 5, "patch": {"name": "x"}}, {"id": "ID"}, {"id": "ID", "patch": 5}),
    ),
    "job/remove": ("job.remove", ({}, {"id": 5}, {"id": None}, {"id": ["ID"]})),
    "job/trigger": (
        "trigger",
        ({}, {"id": "ID", "mode": "maybe"}, {"id": "ID", "mode": 5}, {"id": {"x": 1}, "mode": "force"}),
    ),
    "run/list": ("run.list", ({"sinceMs": "yesterday"}, {"sinceMs": [1]})),
    "session/list": ("session.named", ({"sinceMs": "yesterday"}, {"sinceMs": [1]})),
    "session/send": (
        "session.send",
        (
            {},
            {"session": "main", "text": "x"},
            {"session": {"target": "main"}},
            {"session": {"target": "main"}, "text": 5},
        ),
    ),
}


@requirement("CS-JOB-022")
@pytest.mark.parametrize("operation", list(_OTHERS))
def test_a_request_that_breaks_the_schema_is_refused(cronsession_driver: Driver, operation: str) -> None:
    d = cronsession_driver
    needed, wrong = _OTHERS[operation]
    d.require(needed)
    job = d.add()
    before, turns = all_shown(d), len(d.model.turns())
    for params in wrong:
        named = {k: job.id if v == "ID" else v for k, v in params.items()}
        attempt = d.attempt(operation, named)
        d.expect(attempt.refusal is not None, f"{operation} was accepted with {named}")
        d.expect(all_shown(d) == before, f"{operation} with {named} was refused and changed the jobs")
    d.settle(lambda: True)
    d.expect(len(d.model.turns()) == turns, f"a refused {operation} reached the model")
    goes_on(d, job)


@requirement("CS-JOB-023")
@pytest.mark.parametrize("where", ["", "schedule", "session", "payload"])
@pytest.mark.parametrize("way", ["add", "edit"])
def test_an_unknown_member_is_not_passed_over(cronsession_driver: Driver, way: str, where: str) -> None:
    d = cronsession_driver
    spec = spec_for(d, "name")
    member = f"{where}.colour" if where else "colour"
    if way == "add":
        attempt = d.attempt("job/add", {"job": put(spec, member, "red")})
    else:
        d.require("job.update")
        job = d.add()
        patch = {where: put(spec, member, "red")[where]} if where else {"name": "x", "colour": "red"}
        attempt = d.attempt("job/update", {"id": job.id, "patch": patch})
    told = [str(u["field"]) for u in (attempt.answer or {}).get("unused", ())]
    d.expect(
        attempt.refusal is not None or member in told or where in told,
        f"the member {member}, which does not exist, was accepted and passed over",
    )
    if attempt.answer is not None and way == "add":
        d.retire(attempt.answer["job"]["id"])
