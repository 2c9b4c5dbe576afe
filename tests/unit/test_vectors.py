"""The vectors, recomputed: by brute force, by the reference's cron evaluator, and by its resolver."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from cronsession_reference.cron import DST_POLICIES, CronError, parse
from cronsession_reference.errors import Refused
from cronsession_reference.jobs import Every, Job, Payload, Wish, parse_wish
from cronsession_reference.resolver import Resolution, bind, resolve
from cronsession_reference.settings import Policies
from pytest_cronsession.contract import POLICIES
from pytest_cronsession.oracle import DAY, cron_slots, transitions
from pytest_cronsession.trace import instant

VECTORS = Path(__file__).parents[2] / "specs" / "vectors"
CATALOGUE = json.loads((VECTORS.parent / "requirements.json").read_text(encoding="utf-8"))
ROWS = {row["id"]: row for row in CATALOGUE["requirements"]}
AGENTS = ("main", "work")
ZONES = (
    "UTC",
    "America/Denver",
    "Europe/Berlin",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "America/Santiago",
)


@cache
def load(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))
    return document


def cases(name: str) -> list[Any]:
    return [pytest.param(row, id=str(number)) for number, row in enumerate(load(name)["rows"], 1)]


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


# --- what the files cover -------------------------------------------------------------------------


def test_each_file_is_of_the_kind_it_is_named_after() -> None:
    assert {file.stem: load(file.stem)["kind"] for file in VECTORS.glob("*.json")} == {
        name: name for name in ("cron-next", "cron-reject", "session-keys")
    }
    assert all(load(file.stem)["revision"] <= CATALOGUE["revision"] for file in VECTORS.glob("*.json"))


def test_the_files_illustrate_requirements() -> None:
    named = {i for name in ("cron-next", "cron-reject") for i in load(name)["requirements"]}
    named |= {row["requirement"] for row in load("session-keys")["rows"]}
    assert named <= set(ROWS)


def test_the_cron_rows_cover_zones_and_policies() -> None:
    rows = load("cron-next")["rows"]
    assert {row["tz"] for row in rows if "dst" not in row} == set(ZONES)
    assert {row["dst"] for row in rows if "dst" in row} == set(POLICIES["dst"].answers)


def test_the_dst_rows_tell_the_answers_apart() -> None:
    rows = [row for row in load("cron-next")["rows"] if "dst" in row]
    nexts: dict[str, list[str]] = {answer: [] for answer in POLICIES["dst"].answers}
    for row in rows:
        nexts[row["dst"]].append(row["next"])
    assert len({tuple(found) for found in nexts.values()}) == len(nexts)


# --- cron -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", cases("cron-next"))
def test_the_next_slot_by_brute_force(row: dict[str, Any]) -> None:
    after, expected = ms(row["after"]), ms(row["next"])
    # Where no policy is named and no change of the clock is near, looking once answers for all of them.
    plain = "dst" not in row and not transitions(row["tz"], after - DAY, expected)
    answers = [row["dst"]] if "dst" in row else ["vixie"] if plain else list(POLICIES["dst"].answers)
    for answer in answers:
        assert cron_slots(row["expr"], row["tz"], after, expected, answer) == [expected], answer


@pytest.mark.parametrize("row", cases("cron-next"))
def test_the_next_slot_by_the_reference(row: dict[str, Any]) -> None:
    for answer in [row["dst"]] if "dst" in row else DST_POLICIES:
        found = parse(row["expr"], row["tz"], answer).next(ms(row["after"]))
        assert instant(found) == instant(ms(row["next"])), answer


@pytest.mark.parametrize("row", cases("cron-reject"))
def test_the_reference_refuses_what_cannot_be_read(row: dict[str, Any]) -> None:
    with pytest.raises(CronError) as caught:
        parse(row["expr"], row.get("tz", "UTC"))
    assert (caught.value.field, caught.value.token) == (row["field"], row["token"])


# --- sessions -------------------------------------------------------------------------------------


def _resolved(side: Mapping[str, Any], policies: Policies, job_id: str) -> Resolution | None:
    """What the reference makes of one side of a row; None if it refuses the write."""
    agent = side.get("agent", "main")
    context = parse_wish(side["context"]) if "context" in side else None
    try:
        wish: Wish = bind(parse_wish(side["session"]), context, agent=agent, agents=AGENTS, policies=policies)
        kind = "systemEvent" if wish.target == "main" else "agentTurn"
        job = Job(job_id, "a job", agent, True, Every(60_000, 0), wish, Payload(kind, "Reply OK only."))
        return resolve(job, agents=AGENTS, policies=policies)
    except Refused:
        return None


def _observed(row: Mapping[str, Any], policies: Policies) -> dict[str, Any]:
    """The row's outcome, in the words of its alternatives."""
    first = _resolved(row["first"], policies, "one") if "first" in row else None
    second = first if "sameJob" in row["second"] else _resolved(row["second"], policies, "two")
    if second is None:
        return {"write": "rejected"}
    assert first is not None, "the first wish was refused"
    same = first.key == second.key and not (first.fresh or second.fresh)
    unused = [field for field, _ in second.unused]
    return {"write": "accepted", "session": "same" if same else "different", "unused": unused}


def _fits(alternative: Mapping[str, Any], observed: Mapping[str, Any]) -> bool:
    if alternative["write"] != observed["write"] or alternative.get("session") != observed.get("session"):
        return False
    return "unused" not in alternative or bool(set(alternative["unused"]) & set(observed["unused"]))


@pytest.mark.parametrize("row", cases("session-keys"))
def test_the_reference_resolves_as_the_truth_table_says(row: dict[str, Any]) -> None:
    observed = _observed(row, Policies.of(row.get("policy", {})))
    assert any(_fits(alternative, observed) for alternative in row["expect"]), observed


@pytest.mark.parametrize("row", cases("session-keys"))
def test_a_row_can_be_wrong(row: dict[str, Any]) -> None:
    """Some answer breaks every row: none allows everything."""
    possible: list[dict[str, Any]] = [{"write": "rejected"}] + [
        {"write": "accepted", "session": session, "unused": []} for session in ("same", "different")
    ]
    assert not all(any(_fits(a, outcome) for a in row["expect"]) for outcome in possible)


def test_every_answer_to_a_resolver_policy_has_a_row() -> None:
    rows = load("session-keys")["rows"]
    given = {pair for row in rows for pair in row.get("policy", {}).items()}
    asked = {row["policy"] for row in ROWS.values() if row["area"] == "resolver" and row["policy"]}
    assert given == {(name, answer) for name in asked for answer in POLICIES[name].answers}
