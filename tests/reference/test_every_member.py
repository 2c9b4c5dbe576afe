"""Every member of the published schemas of job and configuration, wrong in every way that its type allows.

The members come from the schemas, so one that is added cannot be forgotten. A refusal names the field, shows the
value (shortened) and says what is accepted, and nothing that is stored changes.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cronsession_reference.checks import shorten
from cronsession_reference.errors import Refused

from .test_bad_input import BIG, CONFIG, HUGE, INFINITY, NAN, SPEC, T0, TRAVERSAL, put

SCHEMAS = Path(__file__).parents[2] / "specs" / "schemas"
HOUR = 3_600_000
Path_ = tuple[str | int, ...]


@dataclass(frozen=True)
class Member:
    """A place in a document: what its schema says, and whether it can be left out."""

    path: Path_
    schema: Mapping[str, Any]
    required: bool

    @property
    def name(self) -> str:
        return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.path)[1:]


def members(file: str, pointer: str = "") -> dict[str, Member]:
    """Every member at any depth of a schema, by its name; of a list the first element stands for all."""
    document = json.loads((SCHEMAS / file).read_text(encoding="utf-8"))
    found: dict[str, Member] = {}
    start = document
    for part in filter(None, pointer.split("/")):
        start = start[part]
    for member in _inside(document, start, ()):
        found.setdefault(member.name, member)
    return found


def _inside(document: Any, schema: Any, path: Path_) -> Iterator[Member]:
    for alternative in schema.get("oneOf", [schema]):
        shape = _resolved(document, alternative)
        for name, given in shape.get("properties", {}).items():
            inner = _resolved(document, given)
            yield Member((*path, name), inner, name in shape.get("required", ()))
            yield from _inside(document, inner, (*path, name))
        if "items" in shape:
            inner = _resolved(document, shape["items"])
            yield Member((*path, 0), inner, required=False)
            yield from _inside(document, inner, (*path, 0))


def _resolved(document: Any, schema: Any) -> Any:
    while "$ref" in schema:
        target: Any = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        schema = target
    return schema


def kind_of(member: Member) -> str:
    shape = member.schema
    if "const" in shape or "enum" in shape or member.name in WORDS:
        return "word"
    if "properties" in shape or "oneOf" in shape:
        return "object"
    named = shape["type"] if isinstance(shape["type"], list) else [shape["type"]]
    return next(name for name in named if name != "null")


WORDS = ("session.target", "session.mode")
"""Texts of which the schema says only in words which there are."""
BY_KIND: dict[str, tuple[Any, ...]] = {
    "integer": (-1, 1.5, NAN, INFINITY, -INFINITY, 2**63, 10**30, HUGE, "5", "1h", "", True, [], {}, BIG),
    "string": (5, 0, True, NAN, HUGE, [], {}, ["x"], "", "   ", "half \ud800", BIG),
    "word": ("odd", "", "ALL", " once", 5, True, NAN, [], {}, TRAVERSAL, "\0", "\ud800", BIG),
    "boolean": (0, 1, -1, 1.0, NAN, "true", "", [], {}, BIG),
    "object": (5, "x", "", True, NAN, HUGE, [], [{}], BIG),
    "array": (5, "x", "", True, NAN, HUGE, {}, {"0": 1}, [], BIG),
}
MEANING: dict[str, tuple[Any, ...]] = {
    "name": ("two\nlines", "\x1b[31mred", "\0", "\x7f"),
    "agent": ("nobody", TRAVERSAL, "main:x", "main/..", "two words", "\0", "a" * 65),
    "schedule.atMs": (T0 // 1000, T0 * 1000, T0 - 1),
    "schedule.everyMs": (0, 1, 60, 10**15),
    "schedule.anchorMs": (T0 * 1000,),
    "schedule.expr": (
        "* * * *",
        "61 * * * *",
        "0 0 30 2 *",
        "@reboot",
        TRAVERSAL,
        "0 0 * *\0 *",
        "0 \u0665 * * *",
    ),
    "schedule.tz": ("Mars/Olympus", TRAVERSAL, "America", "/etc/localtime", "UTC\0", "+02:00"),
    "session.key": ("a\0b", "agent:nobody:k", "\x1b[0m", "k" * 600),
    "session.name": ("a\0b", "\x1b[0m", "n" * 600),
    "retry.maxRetries": (11,),
    "retry.backoffMs": ([1] * 11,),
    "retry.backoffMs[0]": (0, 86_400_001),
    "maxFailures": (0, 1_000_001),
    "timeoutMs": (0,),
    "catchUp.maxLatenessMs": (0,),
    "agents": (["main", "main"], ["main", "MAIN"]),
    "agents[0]": ("a:b", TRAVERSAL, "a/b", "two words", "\0", "a" * 65),
    "maintenance.highWaterBytes": (0, 5001),
    **dict.fromkeys(("sessionRetentionMs", "archiveMs", "maxConcurrentRuns", "runHistory.maxRuns"), (0,)),
    **dict.fromkeys(("runHistory.maxAgeMs", "maintenance.pruneAfterMs", "maintenance.maxEntries"), (0,)),
    "maintenance.maxDiskBytes": (0,),
}
"""What has the right type and is wrong all the same: range, unit, encoding, and what it would mean."""


def wrong(member: Member) -> list[Any]:
    """The wrong values of a member; null only where it cannot be left out."""
    return [*BY_KIND[kind_of(member)], *MEANING.get(member.name, ()), *([None] if member.required else [])]


def must_say(reason: str, value: Any) -> str | None:
    """What is missing in a reason, if anything."""
    if value is None and "cleared" in reason:
        return None
    shown = shorten(value)
    # Of an expression the part at fault is shown. Elsewhere a text may be shown without quotation marks, or cut somewhere else.
    part = re.match(r"[a-z-]+ '([^']+)': ", reason)
    if part and isinstance(value, str) and part[1] in (value, *shorten(value)[1:-1].split()):
        shown = part[1]
    if shown not in reason and shown[:24].strip("'\".") not in reason:
        return f"does not show {shown}"
    accepted = ("accepted", "must be ", "use ", "known: ", "send ", "cannot be cleared", "at most")
    if not any(word in reason for word in accepted):
        return "does not say what is accepted"
    return None if len(reason) < 700 else "is long"


# Jobs ----------------------------------------------------------------------------------------------

JOB = members("job.schema.json", "$defs/spec")
OTHERS: dict[str, Any] = {
    "schedule.atMs": {"schedule": {"kind": "at", "atMs": T0 + HOUR}},
    "schedule.everyMs": {"schedule": {"kind": "every", "everyMs": HOUR}},
    "schedule.anchorMs": {"schedule": {"kind": "every", "everyMs": HOUR, "anchorMs": T0}},
    "session.name": {"session": {"target": "named", "name": "n"}},
}
"""Members that a job of another kind has."""


def spec_with(member: Member) -> dict[str, Any]:
    return {**SPEC, **OTHERS.get(member.name, {})}


@pytest.fixture(params=["sqlite", "memory"])
def a_world(request: pytest.FixtureRequest, make_world: Callable[..., Any]) -> Any:
    """A started gateway with a job that has run, on each kind of store."""
    world = make_world(store=request.param).start()
    world.add({"kind": "every", "everyMs": HOUR})
    world.advance(T0 + 1)
    return world


def everything(world: Any) -> str:
    return json.dumps([world.call(op) for op in ("job/list", "run/list", "session/list", "notice/list")])


def complaint(rejected: Mapping[str, str], member: Member, value: Any) -> str | None:
    """What is missing in a refusal, if anything."""
    field, name = rejected["field"], member.name
    # A member inside of a wrong object is named as well, and so is the list that an element is in.
    if not (field == name or field.startswith((f"{name}.", f"{name}[")) or name.startswith(f"{field}[")):
        return f"names {field}"
    if isinstance(value, (dict, list)) and value and field.startswith(name) and field != name:
        return None
    if rejected["reason"] == "is missing" and field != name and value == {}:
        return None
    return must_say(rejected["reason"], value)


@pytest.mark.parametrize("name", JOB)
def test_a_wrong_member_of_a_job_is_refused(a_world: Any, name: str) -> None:
    member = JOB[name]
    good = spec_with(member)
    job = a_world.call("job/add", job=good)["job"]
    before, faults = everything(a_world), []
    for value in wrong(member):
        bad, label = put(good, member.path, value), shorten(value)
        patch = {member.path[0]: bad[str(member.path[0])]}
        answers = {
            "add": a_world.call("job/add", job=bad),
            "edit": a_world.call("job/update", id=job["id"], patch=patch),
        }
        for way, answer in answers.items():
            if "rejected" not in answer:
                faults.append(f"{way} accepted {label}")
            elif said := complaint(answer["rejected"], member, value):
                faults.append(f"{way} of {label} {said}: {answer['rejected']}")
        if everything(a_world) != before:
            faults.append(f"{label} changed what is stored")
            break
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("target", ["named", "main", "current"])
def test_long_texts_that_do_not_agree_are_refused_in_short(world: Any, target: str) -> None:
    given = {"name": "n" * 500} if target == "named" else {}
    caller = {"session": {"target": "named", "name": "c" * 500}} if target == "current" else None
    wish = {"target": target, "key": "k" * 500, **given}
    kind = "systemEvent" if target == "main" else "agentTurn"
    spec = {**SPEC, "session": wish, "payload": {"kind": kind, "text": "x"}}
    rejected = world.call("job/add", job=spec, **({"context": caller} if caller else {}))["rejected"]
    assert rejected["field"] == "session.key"
    assert "kkkk" in rejected["reason"]
    assert len(rejected["reason"]) < 500


@pytest.mark.parametrize("name", [name for name, member in JOB.items() if kind_of(member) == "object"] + [""])
def test_a_member_that_does_not_exist_is_refused(a_world: Any, name: str) -> None:
    path = JOB[name].path if name else ()
    for odd in ("unknown", "timeOutMs", "__proto__", "", "\ud800", BIG):
        answer = a_world.call("job/add", job=put(SPEC, (*path, odd), 5))
        assert answer["rejected"]["field"].startswith(name)
        assert shorten(odd)[1:20].strip("'.") in answer["rejected"]["field"]
        assert "accepted: " in answer["rejected"]["reason"]
        assert len(answer["rejected"]["field"]) < 200


def test_the_samples_have_every_member_of_a_job() -> None:
    shown = {**SPEC}
    found = set()
    for sample in (shown, *({**SPEC, **other} for other in OTHERS.values())):
        found |= {name for name, member in JOB.items() if _reaches(sample, member.path)}
    assert found == set(JOB)
    patch = members("job.schema.json", "$defs/patch")
    assert {name.partition(".")[0] for name in patch} == {name.partition(".")[0] for name in JOB}
    assert set(MEANING) <= set(JOB) | set(CONFIG_MEMBERS)


def _reaches(sample: Any, path: Path_) -> bool:
    for step in path:
        if not isinstance(sample, dict | list) or (isinstance(sample, dict) and step not in sample):
            return False
        sample = sample[step]  # type: ignore[index]
    return True


# The configuration ---------------------------------------------------------------------------------

CONFIG_MEMBERS = members("config.schema.json")


def on_disk(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


@pytest.mark.parametrize("name", CONFIG_MEMBERS)
def test_a_wrong_member_of_a_configuration_stops_the_start(make_world: Callable[..., Any], name: str) -> None:
    member, world = CONFIG_MEMBERS[name], make_world().start()
    world.add({"kind": "every", "everyMs": HOUR})
    world.call("gateway/stop")
    before, faults = on_disk(world.folder), []
    fixed = {"modelUrl": "", "token": "", "model": world.model, "hostZone": "UTC", "nowMs": T0}
    for value in wrong(member):
        label = shorten(value)
        config = put(CONFIG, member.path, value)
        try:
            world.call("gateway/start", stateDir=str(world.folder), config=config, **fixed)
        except Refused as refused:
            rejected = {"field": refused.field.removeprefix("config."), "reason": refused.reason}
            if said := complaint(rejected, member, value):
                faults.append(f"{label} {said}: {rejected}")
        else:
            faults.append(f"accepted {label}")
            world.call("gateway/stop")
    assert not faults, "\n".join(faults)
    assert on_disk(world.folder) == before
    assert len(world.start().call("job/list")["jobs"]) == 1, "it goes on as if nothing had come"


def test_the_sample_has_every_member_of_a_configuration() -> None:
    assert {name for name, member in CONFIG_MEMBERS.items() if _reaches(CONFIG, member.path)} == set(
        CONFIG_MEMBERS
    )


@pytest.mark.parametrize("where", ["session", "tools", "cron", "maintenence", "retention", "gateway"])
def test_a_block_in_the_wrong_place_is_named(make_world: Callable[..., Any], where: str) -> None:
    world = make_world()
    fixed = {"modelUrl": "", "token": "", "model": world.model, "hostZone": "UTC", "nowMs": T0}
    config = {where: {"maintenance": {"mode": "enforce"}}}
    with pytest.raises(Refused) as caught:
        world.call("gateway/start", stateDir=str(world.folder), config=config, **fixed)
    assert caught.value.field == f"config.{where}"
    assert "maintenance" in caught.value.reason
    assert not world.folder.exists()
