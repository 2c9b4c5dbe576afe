"""The page of the contract: its table of capabilities, and its example of an exchange."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from pytest_cronsession import schemas
from pytest_cronsession.contract import CAPABILITIES, OPERATIONS
from pytest_cronsession.vocabulary import CONFIG, configured

PAGE = (Path(__file__).parents[2] / "specs" / "protocol.md").read_text(encoding="utf-8")
EVERYWHERE = {"initialize", "gateway/start", "gateway/stop", "job/add", "job/list", "session/list"}
OF_EVERY_JOB = {"name", "schedule", "schedule.kind", "session", "payload", "payload.kind", "payload.text"}


def _concerned() -> dict[str, tuple[list[str], list[str]]]:
    """The table of the contract: for each capability its operations and its members."""
    section = PAGE.split("## Capabilities")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `([\w.]+)` \|([^|]*)\|([^|]*)\|$", section, re.M)
    return {name: (re.findall(r"`(.+?)`", ops), re.findall(r"`(.+?)`", of)) for name, ops, of in rows}


def _members(schema: dict[str, Any], name: str = "") -> set[str]:
    """The members that a schema knows, and those of the objects in it, as paths."""
    if "$ref" in schema:
        return _members(schemas.load("job")["$defs"][schema["$ref"].rpartition("/")[2]], name)
    found = {name} - {""}
    for kind in schema.get("oneOf", [schema]):
        for member, inner in kind.get("properties", {}).items():
            found |= _members(inner, f"{name}.{member}" if name else member)
    return found


def test_each_capability_is_listed_with_its_operations() -> None:
    assert list(_concerned()) == list(CAPABILITIES)
    used = {operation for operations, _ in _concerned().values() for operation in operations}
    assert used | EVERYWHERE == set(OPERATIONS)


def test_each_capability_is_listed_with_its_members() -> None:
    job, config = schemas.load("job")["$defs"], schemas.load("config")
    asked = _members(job["spec"]) | {f"config.{member}" for member in _members(config)}
    told = _members(job["stored"]) - {"id", "nextRunAtMs", "failures"}
    listed = {member for _, members in _concerned().values() for member in members}
    assert listed <= asked | told
    covered = {m for m in asked | told if any(m == known or m.startswith(f"{known}.") for known in listed)}
    assert asked | told == covered | OF_EVERY_JOB


def test_each_member_of_a_configuration_has_its_capability() -> None:
    told = {
        m: name for name, (_, members) in _concerned().items() for m in members if m.startswith("config.")
    }
    assert told == {f"config.{member}": capability for member, capability in CONFIG.items()}


def test_what_a_configuration_needs() -> None:
    assert configured({}) == frozenset()
    assert configured({"sessionRetentionMs": None}) == {"retention"}
    limits = {"mode": "warn", "maxEntries": 3, "maxDiskBytes": 9}
    assert configured({"maintenance": limits}) == {"maintenance", "maintenance.bytes"}


def _problems(kind: str, message: dict[str, Any], method: str) -> list[str | None]:
    envelope, side = ("request", "params") if kind == ">" else ("response", "result")
    return [
        schemas.problem(f"protocol.schema.json#/$defs/envelope:{envelope}", message),
        schemas.message_problem(method, side, message[side]),
    ]


def test_the_example_of_an_exchange_obeys_the_schemas() -> None:
    example = PAGE.split("```text\n")[1].split("```")[0]
    split = [line.partition(" ") for line in example.splitlines()]
    lines = [(kind, json.loads(text)) for kind, _, text in split]
    methods: dict[int, str] = {}
    for kind, message in lines:
        if kind in "<>":
            method = methods.pop(message["id"]) if kind == "<" else message["method"]
            assert _problems(kind, message, method) == [None, None], message
            methods |= {message["id"]: method} if kind == ">" else {}
    assert not methods, "a request without an answer"
    assert "".join(kind[0] for kind, _ in lines) == "><><><>P2<>P2<><><><"


def test_in_the_example_the_second_run_sees_the_first() -> None:
    asked = [json.loads(text) for text in re.findall(r"^POST (.*)$", PAGE, re.M)]
    answered = [json.loads(text) for text in re.findall(r"^200 (.*)$", PAGE, re.M)]
    first, second = (message["messages"] for message in asked)
    assert second == [*first, answered[0]["choices"][0]["message"], second[-1]]
