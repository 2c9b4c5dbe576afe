"""Everything that comes from outside, wrong in type, range, unit, encoding, size or meaning.

It is refused by naming the field, the value (shortened) and what is accepted, and nothing that is stored changes.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cronsession_reference.checks import shorten
from cronsession_reference.config import parse_config, read_file
from cronsession_reference.errors import Refused
from cronsession_reference.settings import Settings
from cronsession_reference.start import with_config

T0 = 1_772_323_200_000
HOUR = 3_600_000
BIG = "x" * 10_000_000
TRAVERSAL = "../../../etc/passwd"
NAN, INFINITY, HUGE = float("nan"), float("inf"), 10**5000

SPEC: dict[str, Any] = {
    "name": "n",
    "agent": "main",
    "enabled": True,
    "schedule": {"kind": "cron", "expr": "0 7 * * *", "tz": "Europe/Berlin", "staggerMs": 1000},
    "session": {"target": "isolated", "mode": "shared", "key": "k"},
    "payload": {"kind": "agentTurn", "text": "x"},
    "timeoutMs": 1000,
    "deleteAfterRun": False,
    "retry": {"maxRetries": 2, "backoffMs": [1000, 2000]},
    "maxFailures": 3,
    "catchUp": {"policy": "once", "maxLatenessMs": 1000},
}
CONFIG: dict[str, Any] = {
    "agents": ["main", "work"],
    "sessionRetentionMs": 1000,
    "maintenance": {
        "mode": "enforce",
        "pruneAfterMs": 1000,
        "maxEntries": 5,
        "maxDiskBytes": 5000,
        "highWaterBytes": 4000,
    },
    "maxConcurrentRuns": 3,
    "runHistory": {"maxRuns": 5, "maxAgeMs": 1000},
    "archiveMs": 1000,
}
FILE: dict[str, Any] = {
    "agents": ["main", "work"],
    "cron": {
        "sessionRetention": "24h",
        "sweepInterval": "1m",
        "runHistory": 5,
        "runHistoryAge": "30d",
        "maxConcurrentRuns": 3,
        "maxFailures": 5,
        "maxLateness": "1h",
        "catchUpSpread": "2m",
        "timeout": "1h",
        "retry": {"max": 2, "backoff": ["30s", "1m"]},
    },
    "session": {
        "archive": "7d",
        "maintenance": {
            "mode": "warn",
            "pruneAfter": "14d",
            "maxEntries": 5,
            "maxDiskBytes": "5mb",
            "highWaterBytes": "4mb",
        },
    },
    "model": {"url": "http://127.0.0.1:1/v1", "name": "m"},
    "policies": {"catchUp": "all"},
}


def paths(value: Any, where: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The place of every member and element, at any depth."""
    items: Any = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for name, inner in items:
        yield (*where, name)
        yield from paths(inner, (*where, name))


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    changed = copy.deepcopy(value)
    inner = changed
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = new
    return changed


def dotted(path: tuple[Any, ...]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)[1:]


def check_refusal(field: str, reason: str, path: tuple[Any, ...]) -> None:
    """It names the place, or one that belongs together with it, and is short whatever was sent."""
    head = str(path[0])
    assert field.removeprefix("config.").partition(".")[0].partition("[")[0] in (head, "tools"), (field, path)
    assert reason
    assert len(field) < 200
    assert len(reason) < 700
    (field + reason).encode()


@pytest.fixture
def stored(world: Any) -> Callable[[], Any]:
    """Everything that is stored, as text that can be compared."""
    return lambda: json.dumps([world.call(op) for op in ("job/list", "run/list", "session/list")])


def refusal(world: Any, spec: Any) -> tuple[str, str]:
    answer = world.call("job/add", job=spec)
    assert "rejected" in answer, answer
    return answer["rejected"]["field"], answer["rejected"]["reason"]


BAD_JOBS: list[tuple[str, Any, str]] = [
    # type
    *(
        (path, value, "")
        for path in ("name", "agent", "schedule.expr", "payload.text")
        for value in (5, True, [], {}, NAN)
    ),
    *(
        (path, value, "")
        for path in ("schedule", "session", "payload", "retry", "catchUp")
        for value in (5, "x", [], True)
    ),
    *(
        (path, value, "true or false")
        for path in ("enabled", "deleteAfterRun")
        for value in (1, 0, "true", [])
    ),
    # range, unit, overflow
    *(
        (path, value, "integer")
        for path in (
            "timeoutMs",
            "maxFailures",
            "retry.maxRetries",
            "catchUp.maxLatenessMs",
            "schedule.staggerMs",
        )
        for value in (-1, 1.5, NAN, INFINITY, -INFINITY, 2**63, 10**30, HUGE, "5", True, "1h")
    ),
    *(("retry.backoffMs", value, "list") for value in ([], 5, "5", {}, [1] * 11)),
    *(("retry.backoffMs", [1, value], "integer") for value in (0, -1, 1.5, NAN, 10**12, "1m", None)),
    # unknown words
    ("session.target", "elsewhere", "isolated, named, main, current"),
    ("session.mode", "odd", "fresh, shared"),
    ("payload.kind", "odd", "agentTurn, systemEvent"),
    ("catchUp.policy", "often", "skip, once, all"),
    ("schedule.kind", "sometimes", "at, every, cron"),
    ("agent", "nobody", "known: main"),
    ("schedule.tz", "Mars/Olympus", "IANA"),
    ("schedule.tz", TRAVERSAL, "IANA"),
    ("schedule.expr", "61 * * * *", "0-59"),
    ("schedule.expr", "0 0 30 2 *", "never run"),
    # encoding, size, control characters, ways out of the folder
    ("name", "two\nlines", "control character"),
    ("name", "\x1b[31mred", "control character"),
    ("name", "\0", "control character"),
    ("name", "half \ud800", "surrogate"),
    ("payload.text", "half \udfff", "surrogate"),
    ("session.key", "a\0b", "control character"),
    ("session.key", "\ud800", "surrogate"),
    ("session.key", "agent:other:k", "other"),
    *(
        (path, BIG, "")
        for path in ("name", "agent", "schedule.expr", "schedule.tz", "session.key", "payload.text")
    ),
    *(
        (path, BIG, "accepted")
        for path in ("session.target", "session.mode", "payload.kind", "schedule.kind")
    ),
    ("agent", TRAVERSAL, "known: main"),
    ("unknown", 5, "accepted"),
    ("schedule.unknown", 5, "accepted"),
    ("session.unknown", 5, "accepted"),
    ("payload.unknown", 5, "accepted"),
    ("retry.unknown", 5, "accepted"),
    (BIG, 5, "accepted"),
]


@pytest.mark.parametrize(
    ("path", "value", "says"), BAD_JOBS, ids=[f"{n}-{p:.30}" for n, (p, _, _) in enumerate(BAD_JOBS)]
)
def test_a_bad_member_is_refused_by_name_on_add_and_on_edit(
    world: Any, stored: Callable[[], Any], path: str, value: Any, says: str
) -> None:
    job = world.call("job/add", job=SPEC)["job"]
    before = stored()
    steps = tuple(path.split("."))
    bad = put(SPEC, steps, value)
    field, reason = refusal(world, bad)
    assert field.startswith(steps[0][:20].strip("x")) or BIG.startswith(steps[0]), field
    assert says in reason
    check_refusal(field if len(path) < 100 else "name", reason, steps if len(path) < 100 else ("name",))
    answer = world.call("job/update", id=job["id"], patch={steps[0]: bad[steps[0]]})
    assert answer["rejected"]["field"] == field
    assert len(answer["rejected"]["reason"]) < 700
    assert stored() == before


@pytest.mark.parametrize(
    ("schedule", "says"),
    [
        ({"kind": "at", "atMs": (T0 + HOUR) // 1000}, "in the past"),
        ({"kind": "at", "atMs": (T0 + HOUR) * 1000}, "milliseconds since 1970"),
        ({"kind": "every", "everyMs": 60}, "from 1000 to"),
        ({"kind": "every", "everyMs": 10**15}, "from 1000 to"),
        ({"kind": "every", "everyMs": HOUR, "anchorMs": (T0 + HOUR) * 1000}, "milliseconds since 1970"),
        ({"kind": "every", "everyMs": HOUR, "anchorMs": -1}, "integer from 0"),
        ({"kind": "at", "atMs": "2026-03-01"}, "integer from 0"),
        ({"kind": "at"}, "missing"),
        ({"kind": "cron", "expr": "0 7 * * *", "everyMs": 5}, "not a member"),
        ({}, "missing"),
    ],
)
def test_an_instant_in_another_unit_is_noticed(world: Any, schedule: Any, says: str) -> None:
    field, reason = refusal(world, {**SPEC, "schedule": schedule})
    assert field.startswith("schedule")
    assert says in reason


@pytest.mark.parametrize("member", ["name", "schedule", "session", "payload"])
def test_what_a_job_needs_cannot_be_left_out_or_cleared(world: Any, member: str) -> None:
    job = world.call("job/add", job=SPEC)["job"]
    assert refusal(world, {name: value for name, value in SPEC.items() if name != member}) == (
        member,
        "is missing",
    )
    rejected = world.call("job/update", id=job["id"], patch={member: None})["rejected"]
    assert rejected["field"] == member
    assert "cleared" in rejected["reason"]


@pytest.mark.parametrize(
    ("member", "cleared"),
    [
        ("timeoutMs", None),
        ("deleteAfterRun", None),
        ("retry", None),
        ("maxFailures", None),
        ("catchUp", None),
        ("agent", "main"),
        ("enabled", True),
    ],
)
def test_null_clears_what_is_optional_and_an_empty_patch_is_refused(
    world: Any, member: str, cleared: Any
) -> None:
    spec = {**SPEC, "agent": "a", "enabled": False, "session": {"target": "isolated"}}
    job = world.call("job/add", job=spec)["job"]
    edited = world.call("job/update", id=job["id"], patch={member: None})["job"]
    assert edited.get(member) == cleared
    kept = {"name", "schedule", "session", "payload", "timeoutMs", "retry", "maxFailures", "catchUp"} - {
        member
    }
    assert {name: edited[name] for name in kept} == {name: job[name] for name in kept}
    assert world.call("job/update", id=job["id"], patch={})["rejected"]["field"] == "patch"


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from(
        [0, -1, 2**31, 2**53, 2**63, 10**30, HUGE, TRAVERSAL, "", " ", "\0", "\ud800", BIG[:3_000_000]]
    ),
    st.floats(),
    st.text(max_size=12),
    st.lists(st.integers() | st.text(max_size=3), max_size=3),
    st.dictionaries(st.text(max_size=6), st.integers() | st.none(), max_size=2),
)
CALM = settings(
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)


@settings(CALM, max_examples=250)
@given(st.sampled_from(list(paths(SPEC))), JUNK)
def test_any_member_may_be_anything_and_is_stored_or_refused(
    world: Any, path: tuple[Any, ...], junk: Any
) -> None:
    """Refused means that nothing changed; accepted means that it comes back as it was sent, and can be read."""
    before = len(world.call("job/list")["jobs"])
    answer = world.call("job/add", job=put(SPEC, path, junk))
    if "rejected" in answer:
        check_refusal(answer["rejected"]["field"], answer["rejected"]["reason"], path)
        assert len(world.call("job/list")["jobs"]) == before
        return
    assert world.gateway._engine.store.broken_jobs() == []
    assert world.job(answer["job"]) == {key: value for key, value in answer["job"].items() if key != "unused"}
    world.call("job/remove", id=answer["job"]["id"])


@settings(CALM, max_examples=250)
@given(st.sampled_from(list(paths(CONFIG))), JUNK)
def test_a_configuration_is_accepted_as_a_whole_or_refused_by_name(path: tuple[Any, ...], junk: Any) -> None:
    base = Settings()
    try:
        found = with_config(base, put(CONFIG, path, junk), "UTC")
    except Refused as err:
        check_refusal(err.field, err.reason, path)
    else:
        assert isinstance(found, Settings)
    assert base == Settings()


@settings(CALM, max_examples=250)
@given(st.sampled_from(list(paths(FILE))), JUNK)
def test_a_file_is_accepted_as_a_whole_or_refused_by_name(path: tuple[Any, ...], junk: Any) -> None:
    try:
        parse_config(put(FILE, path, junk), Settings())
    except Refused as err:
        check_refusal(err.field, err.reason, path)


def test_the_samples_are_good() -> None:
    assert with_config(Settings(), CONFIG, "Asia/Kathmandu").max_concurrent_runs == 3
    assert parse_config(FILE, Settings()).settings.max_lateness_ms == HOUR


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"tools": {"sessions": {"maintenance": {"mode": "enforce"}}}}, "config.tools"),
        ({"session": {"maintenance": {"mode": "enforce"}}}, "config.session"),
        ({"cron": {"maintenance": {"mode": "enforce"}}}, "config.cron"),
        ({"maintenance": {"pruneAfterMs": 5}}, "config.maintenance.mode"),
        ({"maintenance": {"mode": "enforce", "pruneAfter": "14d"}}, "config.maintenance.pruneAfter"),
        (
            {"maintenance": {"mode": "enforce", "maxDiskBytes": 5, "highWaterBytes": 6}},
            "config.maintenance.highWaterBytes",
        ),
        ({"agents": ["main", "Main"]}, "config.agents"),
        ({"agents": ["main", "../x"]}, "config.agents[1]"),
        ({"agents": ["a:b"]}, "config.agents[0]"),
        ({"agents": []}, "config.agents"),
        ({"sessionRetentionMs": 0}, "config.sessionRetentionMs"),
        ([], "config"),
    ],
)
def test_a_block_in_the_wrong_place_stops_the_start(make_world: Any, config: Any, field: str) -> None:
    world = make_world()
    fixed = {"modelUrl": "", "token": "", "model": world.model, "hostZone": "UTC", "nowMs": T0}
    with pytest.raises(Refused) as caught:
        world.call("gateway/start", stateDir=str(world.folder), config=config, **fixed)
    assert caught.value.field == field
    assert not world.folder.exists(), "nothing was opened"


@pytest.mark.parametrize(
    ("data", "field", "says"),
    [
        ({"maintenance": {"mode": "enforce"}}, "maintenance", "session.maintenance"),
        ({"cron": {"maintenance": {}}}, "cron.maintenance", "session.maintenance"),
        ({"tools": {"sessions": {"maintenance": {}}}}, "tools.sessions", "session.maintenance"),
        ({"tools": {"profile": "x"}}, "tools", "not a setting"),
        ({"cron": {"timeout": "9" * 400 + "d"}}, "cron.timeout", "accepted"),
        (
            {"session": {"maintenance": {"maxDiskBytes": "9" * 400 + "gb"}}},
            "session.maintenance.maxDiskBytes",
            "accepted",
        ),
    ],
)
def test_a_file_with_a_block_in_the_wrong_place_says_where_it_belongs(
    data: Any, field: str, says: str
) -> None:
    with pytest.raises(Refused) as caught:
        parse_config(data, Settings())
    assert caught.value.field == field
    assert says in caught.value.reason


@pytest.mark.parametrize(
    "content", [b"\xff\xfe", b"[" * 100_000, b"{", b"5", b'{"cron": {"runHistory": NaN}}', b'{"cron": 1e999}']
)
def test_a_file_that_is_no_configuration_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(Refused):
        parse_config(read_file(path), Settings())
    assert path.read_bytes() == content


OPERATIONS: dict[str, dict[str, Any]] = {
    "clock/advance": {"toMs": T0},
    "clock/jump": {"toMs": T0},
    "job/update": {"id": "i", "patch": {"name": "n"}, "expectedRevision": 1},
    "job/remove": {"id": "i"},
    "job/trigger": {"id": "i", "mode": "force"},
    "run/list": {"sinceMs": T0},
    "run/cancel": {"id": "i"},
    "session/list": {"sinceMs": T0},
    "session/send": {"session": {"target": "named", "name": "n"}, "agent": "main", "text": "x"},
    "notice/list": {"sinceMs": T0},
    "store/maintain": {"dryRun": True},
}


@settings(CALM, max_examples=250)
@given(st.data())
def test_a_bad_parameter_is_an_error_that_says_so(world: Any, data: st.DataObject) -> None:
    """Never a failure of the store, of Python, or of the gateway itself."""
    operation = data.draw(st.sampled_from(list(OPERATIONS)))
    path = data.draw(st.sampled_from(list(paths(OPERATIONS[operation]))))
    junk = data.draw(JUNK)
    if (
        operation.startswith("clock/")
        and isinstance(junk, int)
        and not isinstance(junk, bool)
        and 0 <= junk < 2**62
    ):
        return  # that is another time, and time is not what this is about
    try:
        world.call(operation, **put(OPERATIONS[operation], path, junk))
    except Refused as err:
        check_refusal(err.field, err.reason, path)
    assert world.call("job/list") == {"jobs": []}


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_a_parameter_that_is_missing_is_named(world: Any, operation: str) -> None:
    optional = ("sinceMs", "expectedRevision", "agent")
    for name in [name for name in OPERATIONS[operation] if name not in optional]:
        params = {other: value for other, value in OPERATIONS[operation].items() if other != name}
        assert refused_field(world, operation, params) in (name, "id")


def refused_field(world: Any, operation: str, params: dict[str, Any]) -> str:
    """The member that is named, in an error or in an answer."""
    try:
        return str(world.call(operation, **params)["rejected"]["field"])
    except Refused as err:
        return err.field.partition(".")[0]


@pytest.mark.parametrize(
    "rows",
    [
        5,
        [5],
        [{}],
        [{"receipt": 1, "updatedAtMs": 5}],
        [{"receipt": True, "updatedAtMs": NAN}],
        [{"receipt": True, "updatedAtMs": 5, "agent": "../x"}],
    ],
)
def test_bad_rows_are_not_seeded(make_world: Any, rows: Any) -> None:
    world = make_world()
    with pytest.raises(Refused, match="rows"):
        world.call("store/seed", stateDir=str(world.folder), rows=rows)
    assert not world.folder.exists()


@pytest.mark.parametrize(
    "value",
    [HUGE, BIG, b"x" * 10**7, [[[]]] * 10**5, {"a": BIG}, object(), "\ud800" * 100],
    ids=["number", "text", "bytes", "list", "object", "foreign", "surrogates"],
)
def test_a_value_in_a_message_is_short(value: Any) -> None:
    assert len(shorten(value)) <= 60


def test_a_value_nested_too_deep_to_show_is_still_refused(world: Any) -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    assert refusal(world, {**SPEC, "name": deep})[0] == "name"
    while deep:  # taken apart by hand: Python's own way of doing it is recursive
        deep = deep[0]
