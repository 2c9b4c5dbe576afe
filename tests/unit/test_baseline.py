"""The baseline file: what is read, and what is refused with which words."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any

import pytest

from pytest_cronsession import schemas
from pytest_cronsession.baseline import BaselineError, Entry, parse

KNOWN = ["CS-RES-001", "CS-RES-002"]
GOOD = {"id": "CS-RES-001", "reason": "issue 12"}


def read(document: Any) -> Any:
    return parse(document if isinstance(document, bytes) else json.dumps(document).encode(), "b.json", KNOWN)


def test_entries_are_keyed_by_requirement() -> None:
    second = {"id": "CS-RES-002", "reason": "r", "issue": "https://example.org/1"}
    document = {"schema": 1, "target": "lab 1.2", "entries": [GOOD, second]}
    found = read(document)
    assert list(found.entries.values()) == [
        Entry("CS-RES-001", "issue 12"),
        Entry("CS-RES-002", "r", "https://example.org/1"),
    ]
    assert found.target == "lab 1.2"
    assert found.sha256 == hashlib.sha256(json.dumps(document).encode()).hexdigest()
    assert "CS-RES-001" in found
    assert "CS-RES-003" not in found
    assert schemas.problem("baseline.schema.json", document) is None


def test_an_empty_baseline_is_fine() -> None:
    assert read({"schema": 1, "entries": []}).entries == {}


@pytest.mark.parametrize(
    ("document", "told"),
    [
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        ([], "no list 'entries'"),
        ({"schema": 1}, "no list 'entries'"),
        ({"schema": 1, "entries": {}}, "no list 'entries'"),
        ({"entries": []}, "schema is None; this version reads 1"),
        ({"schema": 2, "entries": []}, "schema is 2; this version reads 1"),
        ({"schema": True, "entries": []}, "schema is True"),
        ({"schema": 1, "entries": [], "version": 1}, "unknown member 'version'; remove it"),
        ({"schema": 1, "entries": [], "target": 3}, "'target' is a note"),
        ({"schema": 1, "entries": ["CS-RES-001"]}, "entry 1: has to be an object"),
        ({"schema": 1, "entries": [{"reason": "x"}]}, "entry 1: 'id' is missing"),
        ({"schema": 1, "entries": [{"id": 1, "reason": "x"}]}, "entry 1: 'id' has to be text"),
        ({"schema": 1, "entries": [{"id": "CS-RES-001"}]}, r"entry 1 \(CS-RES-001\): 'reason' is missing"),
        ({"schema": 1, "entries": [GOOD | {"reason": " "}]}, "'reason' is missing; say why"),
        ({"schema": 1, "entries": [GOOD | {"reason": 3}]}, "'reason' has to be text, not 3"),
        ({"schema": 1, "entries": [GOOD | {"issue": 3}]}, "'issue' has to be text"),
        ({"schema": 1, "entries": [GOOD | {"note": "x"}]}, "unknown member 'note'"),
        (
            {"schema": 1, "entries": [GOOD | {"id": "CS-RES-003"}]},
            "no such requirement; did you mean CS-RES-00",
        ),
        ({"schema": 1, "entries": [GOOD | {"id": "x"}]}, "no such requirement; remove the entry"),
        ({"schema": 1, "entries": [GOOD, GOOD]}, "entry 2: CS-RES-001 is listed twice; keep one"),
    ],
)
def test_what_is_wrong_is_told_with_file_entry_and_fix(document: Any, told: str) -> None:
    with pytest.raises(BaselineError, match=f"^baseline b.json.*{told}"):
        read(document)


def test_three_near_ids_are_offered() -> None:
    document = {"schema": 1, "entries": [GOOD | {"id": "cs-res-009"}]}
    with pytest.raises(BaselineError) as raised:
        parse(json.dumps(document).encode(), "b.json", [f"CS-RES-00{n}" for n in range(1, 6)])
    offered = str(raised.value).partition("did you mean ")[2].removesuffix("?").split(" or ")
    assert len(set(offered)) == 3


def test_of_several_unknown_members_the_first_is_named() -> None:
    with pytest.raises(BaselineError, match=r"unknown member 'a'.*allowed: entries, schema, target"):
        read({"schema": 1, "entries": [], "c": 1, "a": 1, "b": 1})


def test_a_baseline_cannot_be_changed() -> None:
    found = read({"schema": 1, "entries": [GOOD]})
    for thing, member in ((found, "target"), (found.entries["CS-RES-001"], "reason")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(thing, member, "another")


@pytest.mark.parametrize(
    "document",
    [
        {"schema": 1},
        {"schema": 2, "entries": []},
        {"schema": 1, "entries": [{"id": "CS-RES-001"}]},
        {"schema": 1, "entries": [GOOD | {"reason": " "}]},
        {"schema": 1, "entries": [GOOD | {"note": "x"}]},
    ],
)
def test_the_schema_refuses_the_same(document: Any) -> None:
    assert schemas.problem("baseline.schema.json", document) is not None
