"""The vector files as files: each of its kind, none out of date, and the requirements that they show."""

from __future__ import annotations

import json

import pytest

from .files import CATALOGUE, VECTORS, load
from .write import HEADS, render, text

NAMES = {
    *("cron-next", "cron-previous", "cron-reject", "cron-accept", "session-keys", "session-pairs"),
    *("durations", "byte-sizes", "retention", "maintenance"),
}


def test_each_file_is_of_the_kind_it_is_named_after() -> None:
    assert {file.stem: load(file.stem)["kind"] for file in VECTORS.glob("*.json")} == {n: n for n in NAMES}
    assert all(load(name)["revision"] <= CATALOGUE["revision"] for name in NAMES)


@pytest.mark.parametrize("name", sorted(HEADS))
def test_what_is_worked_out_is_worked_out_again(name: str) -> None:
    found = (VECTORS / f"{name}.json").read_text(encoding="utf-8")
    assert found == text(name), "out of date: python -m tests.vectors.write"


@pytest.mark.parametrize("name", sorted(NAMES - set(HEADS)))
def test_what_is_written_by_hand_has_a_row_a_line(name: str) -> None:
    found = (VECTORS / f"{name}.json").read_text(encoding="utf-8")
    head = {member: value for member, value in load(name).items() if member != "rows"}
    assert json.loads(render(head, load(name)["rows"])) == load(name)
    assert len(found.splitlines()) == len(head) + 3 + len(load(name)["rows"]) + 1


@pytest.mark.parametrize("name", sorted(NAMES))
def test_the_requirements_that_a_file_shows_exist(name: str) -> None:
    known = {row["id"] for row in CATALOGUE["requirements"]}
    assert set(load(name).get("requirements", [])) <= known


@pytest.mark.parametrize("name", sorted(NAMES))
def test_no_row_is_there_twice(name: str) -> None:
    spelled = [json.dumps({**row, "note": ""}, sort_keys=True) for row in load(name)["rows"]]
    assert [row for row in set(spelled) if spelled.count(row) > 1] == []
