"""The gateway as the contract sees it: sessions and context, endings, human turns, shapes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import referencing

from cronsession_reference import Gateway
from cronsession_reference.errors import Refused, StoreError
from pytest_cronsession.contract import CAPABILITIES, POLICIES, Hello

T0 = 1_772_323_200_000
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
SCHEMAS = Path(__file__).parents[2] / "specs" / "schemas"


def every(milliseconds: int) -> dict[str, Any]:
    return {"kind": "every", "everyMs": milliseconds}


def sees(world: Any, later: int, earlier: int) -> bool:
    """Whether the request ``later`` contains the reply to ``earlier`` (counted from 1)."""
    messages = world.model.requests[later - 1]
    return {"role": "assistant", "content": f"reply {earlier}"} in messages


def test_fresh_runs_see_nothing_of_each_other(world: Any) -> None:
    job = world.add(every(HOUR), text="hello")
    assert job["resolved"]["fresh"] is True
    world.advance(T0 + 3 * HOUR)
    assert world.model.requests == [[{"role": "user", "content": "hello"}]] * 3
    assert len({run["sessionId"] for run in world.runs()}) == 3
    expected = {f"agent:main:cron:{job['id']}:run:{run['sessionId']}" for run in world.runs()}
    assert set(world.sessions()) == expected
    assert {row["jobId"] for row in world.sessions().values()} == {job["id"]}


@pytest.mark.parametrize(
    ("session", "key"),
    [
        ({"target": "named", "name": "Daily"}, "agent:a:daily"),
        ({"target": "isolated", "key": "agent:a:daily"}, "agent:a:daily"),
        ({"target": "isolated", "key": "daily"}, "agent:a:daily"),
        ({"target": "main"}, "agent:a:main"),
        ({"target": "isolated", "mode": "shared"}, None),
    ],
)
def test_shared_sessions_keep_their_context(world: Any, session: dict[str, str], key: str | None) -> None:
    job = world.add(every(HOUR), text="again", session=session, agent="a")
    key = key or f"agent:a:cron:{job['id']}"
    assert job["session"] == session, "what was asked for is what is stored"
    assert job["resolved"]["sessionKey"] == key
    world.advance(T0 + HOUR)
    world.trigger(job)
    world.advance(T0 + 2 * HOUR)
    assert [run["sessionKey"] for run in world.runs()] == [key] * 3
    assert set(world.sessions()) == {key}
    assert world.model.requests[2] == [
        {"role": "user", "content": "again"},
        {"role": "assistant", "content": "reply 1"},
        {"role": "user", "content": "again"},
        {"role": "assistant", "content": "reply 2"},
        {"role": "user", "content": "again"},
    ]
    assert len(world.transcripts()) == 1


def test_jobs_and_humans_meet_in_one_session(world: Any) -> None:
    named = {"target": "named", "name": "team"}
    world.add({"kind": "at", "atMs": T0 + HOUR}, session=named)
    world.add({"kind": "at", "atMs": T0 + 2 * HOUR}, session={"target": "isolated", "key": "TEAM "})
    world.add({"kind": "at", "atMs": T0 + 2 * HOUR}, session=named, agent="b")
    answer = world.call("session/send", session=named, text="good morning")
    assert answer["reply"] == "reply 1"
    assert answer["sessionKey"] == "agent:main:team"
    world.advance(T0 + 3 * HOUR)
    assert sees(world, 2, 1)
    assert sees(world, 3, 2)
    assert not sees(world, 4, 1), "another agent's session of the same name is another session"
    assert world.sessions()["agent:main:team"]["id"] == answer["sessionId"]


def test_two_jobs_on_one_session_never_interleave(world: Any) -> None:
    named = {"target": "named", "name": "team"}
    first = world.add({"kind": "at", "atMs": T0 + MINUTE}, text="first", session=named)
    second = world.add({"kind": "at", "atMs": T0 + MINUTE}, text="second", session=named, timeoutMs=MINUTE)
    third = world.add({"kind": "at", "atMs": T0 + MINUTE}, text="third", session=named)
    world.hold("first")
    world.advance(T0 + 30 * MINUTE)
    assert world.model.texts() == ["first"]
    assert world.statuses() == ["running"] * 3
    assert world.call("run/cancel", id=world.runs(third)[0]["id"])["cancelled"]
    world.release("first")
    world.advance(T0 + 31 * MINUTE)
    assert world.statuses(first) == world.statuses(second) == ["ok"]
    assert world.statuses(third) == ["cancelled"]
    assert world.model.texts() == ["first", "second"]
    assert sees(world, 2, 1)
    # Waiting for the session did not count as time of the run.
    assert world.runs(second)[0]["startedAtMs"] == T0 + 30 * MINUTE


def test_a_failed_turn_loses_nothing(world: Any) -> None:
    named = {"target": "named", "name": "team"}
    job = world.add(every(10 * MINUTE), text="work", session=named, timeoutMs=MINUTE)
    world.advance(T0 + 10 * MINUTE)
    world.model.fail.add("work")
    world.advance(T0 + 20 * MINUTE)
    world.model.fail.clear()
    world.hold("work")
    world.advance(T0 + 32 * MINUTE)
    world.model.hold.clear()
    world.advance(T0 + 40 * MINUTE)
    assert world.statuses(job) == ["ok", "error", "timeout", "ok"]
    assert "no such model" in world.runs(job)[1]["error"]
    assert world.runs(job)[2]["endedAtMs"] - world.runs(job)[2]["startedAtMs"] == MINUTE
    assert sees(world, 4, 1)
    assert len({run["sessionId"] for run in world.runs(job)}) == 1


def test_the_default_timeout_is_an_hour(world: Any) -> None:
    job = world.add({"kind": "at", "atMs": T0 + MINUTE}, text="long")
    world.hold("long")
    world.advance(T0 + MINUTE + HOUR - 1)
    assert world.statuses(job) == ["running"]
    world.advance(T0 + MINUTE + HOUR)
    assert world.statuses(job) == ["timeout"]
    assert world.model.held == 0, "the work was stopped"


def test_a_run_whose_time_out_is_its_period_leaves_no_gap(world: Any) -> None:
    job = world.add(every(MINUTE), text="long", timeoutMs=MINUTE)
    world.hold("long")
    world.advance(T0 + 3 * MINUTE)
    assert world.statuses(job) == ["timeout", "timeout", "running"]


def test_cancelling_frees_the_job(world: Any) -> None:
    job = world.add(every(MINUTE), text="long")
    world.hold("long")
    world.advance(T0 + MINUTE)
    run_id = world.runs(job)[0]["id"]
    assert world.call("run/cancel", id=run_id) == {"cancelled": True}
    world.model.hold.clear()
    world.advance(T0 + 2 * MINUTE)
    assert world.statuses(job) == ["cancelled", "ok"]
    assert world.call("run/cancel", id=run_id) == {"cancelled": False}
    assert world.call("run/cancel", id="nope") == {"cancelled": False}


def test_current_is_bound_when_the_job_is_written(world: Any) -> None:
    context = {"session": {"target": "named", "name": "chat"}}
    job = world.add(every(HOUR), session={"target": "current"}, context=context)
    assert job["resolved"]["sessionKey"] == "agent:main:chat"
    same = world.update(job, session={"target": "current"})["job"]
    assert same["resolved"] == job["resolved"]
    world.advance(T0 + HOUR)
    assert set(world.sessions()) == {"agent:main:chat"}
    alone = world.add(session={"target": "current"})
    assert alone["session"] == {"target": "isolated"}


def test_an_edit_of_the_session_counts_from_the_next_run(world: Any) -> None:
    job = world.add(every(HOUR))
    world.advance(T0 + HOUR)
    edited = world.update(job, session={"target": "isolated", "key": "k"})["job"]
    assert edited["session"]["key"] == "k"
    world.advance(T0 + 2 * HOUR)
    world.update(job, session={"target": "isolated"})
    world.advance(T0 + 3 * HOUR)
    keys = [run["sessionKey"] for run in world.runs(job)]
    assert keys[1] == "agent:main:k"
    assert all(f"cron:{job['id']}:run:" in keys[number] for number in (0, 2))


REFUSED = [
    ({"session": {"target": "named", "name": "a", "key": "b"}}, "session.key"),
    ({"session": {"target": "nowhere"}}, "session.target"),
    ({"session": {"target": "named", "name": " "}}, "session.name"),
    ({"session": {"target": "isolated", "mode": "odd"}}, "session.mode"),
    ({"session": {"target": "isolated", "colour": "red"}}, "session.colour"),
    ({"agent": "nobody"}, "agent"),
    ({"name": " "}, "name"),
    ({"payload": {"kind": "systemEvent", "text": "x"}}, "payload.kind"),
    ({"session": {"target": "main"}, "payload": {"kind": "agentTurn", "text": "x"}}, "payload.kind"),
    ({"payload": {"kind": "agentTurn", "text": "\ud800"}}, "payload.text"),
    ({"timeoutMs": 0}, "timeoutMs"),
    ({"timeoutMs": True}, "timeoutMs"),
    ({"enabled": 1}, "enabled"),
    ({"retries": 3}, "retries"),
]


@pytest.mark.parametrize(("members", "field"), REFUSED)
def test_a_refused_write_changes_nothing(world: Any, members: dict[str, Any], field: str) -> None:
    job = world.add(every(HOUR))
    plain = {"name": "n", "schedule": every(HOUR), "session": {"target": "isolated"}}
    spec = {**plain, "payload": {"kind": "agentTurn", "text": "x"}, **members}
    rejected = world.call("job/add", job=spec)["rejected"]
    assert rejected["field"] == field
    assert rejected["reason"]
    assert world.update(job, **members)["rejected"]["field"] == field
    assert world.call("job/list")["jobs"] == [job]


def test_the_payload_is_checked_when_only_one_side_is_edited(world: Any) -> None:
    job = world.add()
    assert world.update(job, session={"target": "main"})["rejected"]["field"] == "payload.kind"
    both = {"session": {"target": "main"}, "payload": {"kind": "systemEvent", "text": "x"}}
    assert "job" in world.update(job, **both)


def test_what_has_no_effect_is_reported(make_world: Any) -> None:
    world = make_world(policies={"sessionKey": "report"}).start()
    answer = world.try_add(every(HOUR), session={"target": "isolated", "key": "k"}, deleteAfterRun=True)
    assert [entry["field"] for entry in answer["unused"]] == ["session.key", "deleteAfterRun"]
    edited = world.update(answer["job"], session={"target": "isolated", "key": "other"})
    assert edited["unused"][0]["field"] == "session.key"
    world.advance(T0 + HOUR)
    assert ":run:" in world.runs()[0]["sessionKey"]
    assert "unused" not in world.try_add(every(HOUR))


@pytest.mark.parametrize(
    "text", ["  spaced\r\nlines\t", '"quotes" \\ {braces}', "😀 \u2028 ﬀ e\u0301", "x" * 100_000]
)
def test_a_text_reaches_the_model_unchanged_and_comes_back(world: Any, text: str) -> None:
    world.add(every(HOUR), text=text, session={"target": "named", "name": "n"})
    world.advance(T0 + 2 * HOUR)
    assert [message["content"] for message in world.model.requests[1]][::2] == [text, text]


def test_an_answer_without_text_is_an_error(world: Any) -> None:
    async def silent(request: dict[str, Any]) -> dict[str, Any]:
        return {"choices": [{"message": {"role": "assistant", "content": None}}]}

    world.call("gateway/stop")
    world.model = silent
    world.start()
    world.add({"kind": "at", "atMs": T0})
    world.advance(T0)
    assert world.statuses() == ["error"]


def test_a_model_that_gives_up_is_an_error(world: Any) -> None:
    async def cancelled(request: dict[str, Any]) -> dict[str, Any]:
        raise asyncio.CancelledError

    world.call("gateway/stop")
    world.model = cancelled
    world.start()
    world.add({"kind": "at", "atMs": T0})
    world.advance(T0)
    assert world.statuses() == ["error"]


def test_a_message_that_is_held_is_answered_without_a_reply(world: Any) -> None:
    named = {"target": "named", "name": "chat"}
    world.hold("wait")
    answer = world.call("session/send", session=named, text="wait")
    assert (answer["reply"], answer["sessionKey"]) == (None, "agent:main:chat")
    queued = world.call("session/send", session=named, text="next")
    assert queued["reply"] is None
    world.release("wait")
    world.advance(T0)
    assert world.model.texts() == ["wait", "next"]
    assert sees(world, 2, 1)


def test_a_message_that_fails_says_so(world: Any) -> None:
    world.model.fail.add("x")
    answer = world.call("session/send", session={"target": "main"}, text="x")
    assert answer["reply"] is None
    assert "no such model" in answer["error"]
    with pytest.raises(Refused, match="agent"):
        world.call("session/send", session={"target": "main"}, agent="nobody", text="x")


def test_everything_survives_a_crash(make_world: Any) -> None:
    world = make_world().start()
    named = {"target": "named", "name": "n"}
    jobs = [
        world.add({"kind": "cron", "expr": "0 7 * * *", "tz": "Europe/Berlin", "staggerMs": 1000}),
        world.add(every(HOUR), session=named, timeoutMs=5000),
        world.add({"kind": "at", "atMs": T0 + DAY}, deleteAfterRun=True, enabled=False),
    ]
    removed = world.add()
    world.call("job/remove", id=removed["id"])
    world.advance(T0 + HOUR)
    listed, runs, sessions = world.call("job/list"), world.call("run/list"), world.call("session/list")
    assert [job["id"] for job in listed["jobs"]] == [job["id"] for job in jobs]
    world.crash()
    world.start(now=T0 + HOUR)
    assert world.call("job/list") == listed
    assert world.call("run/list") == runs
    assert world.call("session/list") == sessions
    world.advance(T0 + 2 * HOUR)
    assert sees(world, 2, 1)


def test_an_abandoned_gateway_writes_nothing_more(make_world: Any) -> None:
    world = make_world().start()
    world.add(every(HOUR), text="long")
    world.hold("long")
    world.advance(T0 + HOUR)
    abandoned = world.gateway
    world.crash()
    assert world.model.held == 0
    world.release("long")
    with pytest.raises(ValueError, match="not started"):
        abandoned.job_list({})
    world.start(now=T0 + HOUR)
    assert world.statuses() == ["interrupted"]


def test_a_damaged_store_is_not_replaced(make_world: Any) -> None:
    world = make_world()
    world.folder.mkdir()
    (world.folder / "gateway.db").write_bytes(b"precious" * 1000)
    with pytest.raises(StoreError, match=r"gateway\.db"):
        world.start()
    assert (world.folder / "gateway.db").read_bytes() == b"precious" * 1000


def test_lists_can_begin_at_an_instant(world: Any) -> None:
    world.add(every(HOUR))
    world.advance(T0 + 3 * HOUR)
    assert [run["slotMs"] for run in world.call("run/list", sinceMs=T0 + 2 * HOUR)["runs"]] == [
        T0 + 2 * HOUR,
        T0 + 3 * HOUR,
    ]
    assert len(world.call("session/list", sinceMs=T0 + 3 * HOUR)["sessions"]) == 1


def test_seeded_rows_are_there_with_their_transcripts(make_world: Any) -> None:
    world = make_world()
    rows = [
        {"receipt": True, "agent": "a", "jobId": "j", "updatedAtMs": T0 - HOUR},
        {"receipt": False, "session": {"target": "named", "name": "Old"}, "updatedAtMs": T0 - DAY},
        {"receipt": False, "updatedAtMs": T0 - DAY},
    ]
    seeded = world.call("store/seed", stateDir=str(world.folder), rows=rows)["sessions"]
    world.start()
    assert list(world.sessions().values()) == seeded
    assert seeded[0]["jobId"] == "j"
    assert seeded[1]["key"] == "agent:main:old"
    assert world.transcripts() == {row["id"] for row in seeded}
    with pytest.raises(ValueError, match="stopped"):
        world.call("store/seed", stateDir=str(world.folder), rows=[])


def test_the_memory_store_does_the_same_and_declares_less(make_world: Any) -> None:
    world = make_world(store="memory").start()
    hello = Hello.parse(world.call("initialize", protocol=1, specRevision=1))
    assert set(CAPABILITIES) - hello.capabilities == {"restart", "crash", "instances", "store.seed"}
    world.add(every(HOUR), session={"target": "named", "name": "n"})
    world.add(every(HOUR))
    world.advance(T0 + 2 * DAY)
    assert len(world.sessions()) == 1 + 25
    assert len(world.transcripts()) == 1 + 25
    world.call("gateway/stop")
    assert world.transcripts() == set()


def test_what_is_declared() -> None:
    hello = Hello.parse(Gateway().initialize({"protocol": 1, "specRevision": 1}))
    assert hello.capabilities == set(CAPABILITIES)
    assert hello.profiles == ("scheduler", "sessions", "retention", "durability")
    expected = {name: policy.default for name, policy in POLICIES.items()} | {"sessionKey": "honour"}
    assert hello.policies == expected
    for name, policy in POLICIES.items():
        for answer in policy.answers:
            assert Gateway(policies={name: answer}).initialize({})["policies"][name] == answer
    for wrong in ({"nope": "x"}, {"dst": "nope"}):
        with pytest.raises(ValueError, match="nope"):
            Gateway(policies=wrong)


def test_operations_before_the_start_say_so(make_world: Any) -> None:
    world = make_world()
    for operation in ("job/list", "gateway/stop", "gateway/abandon", "store/sweep"):
        with pytest.raises(ValueError, match="not started"):
            world.call(operation)
    world.start()
    with pytest.raises(ValueError, match="started already"):
        world.start()
    with pytest.raises(ValueError, match="before the present"):
        world.call("clock/advance", toMs=T0 - 1)


def registry() -> referencing.Registry:
    resources = []
    for path in SCHEMAS.glob("*.schema.json"):
        schema = json.loads(path.read_text())
        resource = referencing.Resource.from_contents(schema)
        resources += [(path.name, resource), (schema["$id"], resource)]
    return referencing.Registry().with_resources(resources)


def root_id() -> str:
    return str(json.loads((SCHEMAS / "protocol.schema.json").read_text())["$id"])


def test_every_answer_has_the_published_shape(make_world: Any) -> None:
    known = registry()
    root = root_id()
    world = make_world(policies={"sessionKey": "report"})
    seen: set[str] = set()

    def checked(operation: str, **params: Any) -> Any:
        answer = world.call(operation, **params)
        seen.add(operation)
        for part, value in (("params", params), ("result", answer)):
            value = {name: member for name, member in value.items() if name != "model"}
            pointer = operation.replace("/", "~1")
            reference = {"$ref": f"{root}#/$defs/{pointer}:{part}"}
            jsonschema.Draft202012Validator(reference, registry=known).validate(value)
        return answer

    folder = str(world.folder)
    checked("initialize", protocol=1, specRevision=1, suite="x")
    checked("store/seed", stateDir=folder, rows=[{"receipt": True, "updatedAtMs": T0}])
    start: Mapping[str, Any] = {
        "nowMs": T0,
        "stateDir": folder,
        "modelUrl": "",
        "token": "",
        "hostZone": "UTC",
    }
    checked("gateway/start", **start, config={"agents": ["main"]}, model=world.model)
    spec = {
        "name": "n",
        "session": {"target": "isolated", "key": "k"},
        "payload": {"kind": "agentTurn", "text": "x"},
    }
    jobs = [
        checked("job/add", job={**spec, "schedule": schedule})["job"]
        for schedule in (
            every(HOUR),
            {"kind": "cron", "expr": "0 7 * * *"},
            {"kind": "at", "atMs": T0 + MINUTE},
        )
    ]
    checked("job/add", job={**spec, "schedule": every(HOUR), "agent": "nobody"})
    checked("job/update", id=jobs[0]["id"], patch={"timeoutMs": None}, expectedRevision=1)
    checked("job/update", id="nope", patch={"name": "x"})
    world.model.fail.add("x")
    checked("clock/advance", toMs=T0 + HOUR)
    checked("job/trigger", id=jobs[0]["id"], mode="force")
    checked("job/trigger", id="nope", mode="due")
    checked("clock/jump", toMs=T0 + DAY)
    checked("session/send", session={"target": "main"}, text="hello")
    runs = checked("run/list", sinceMs=T0)["runs"]
    assert {"error", "missed"} <= {run["status"] for run in runs}
    checked("run/cancel", id=runs[0]["id"])
    assert checked("session/list")["sessions"]
    checked("store/maintain", dryRun=True)
    checked("store/sweep")
    checked("notice/list", sinceMs=T0)
    assert len(checked("job/list")["jobs"]) == 3
    checked("job/remove", id=jobs[0]["id"])
    checked("gateway/stop")
    assert len(seen) == 18


def test_a_gateway_in_real_time_has_no_clock_to_set(make_world: Any) -> None:
    world = make_world(clock="system").start()
    hello = Hello.parse(world.call("initialize", protocol=1, specRevision=1))
    assert hello.realtime
    assert set(CAPABILITIES) - hello.capabilities == {"clock.advance", "clock.jump"}
    answer = world.call("session/send", session={"target": "main"}, text="hello")
    assert answer["reply"] == "reply 1"
    job = world.add({"kind": "every", "everyMs": 1000})
    assert job["nextRunAtMs"] == job["createdAtMs"] + 1000
    with pytest.raises(ValueError, match="real time"):
        world.call("clock/advance", toMs=T0)
