"""Sessions: the truth table and the pairs of wishes, held against the reference's resolver and its job desk."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

import pytest

from cronsession_reference.clock import TimerHeap
from cronsession_reference.errors import Refused
from cronsession_reference.jobdesk import JobDesk
from cronsession_reference.jobs import Every, Job, Payload, Wish, parse_wish
from cronsession_reference.resolver import PER_JOB, Resolution, bind, resolve
from cronsession_reference.settings import Policies, Settings
from cronsession_reference.store import MemoryStore
from pytest_cronsession.contract import POLICIES

from .files import CATALOGUE, cases, rows

REQUIREMENTS = {row["id"]: row for row in CATALOGUE["requirements"]}
AGENTS = ("main", "work")
NAME, CALLING, OTHER = "standup", "chat", "retro"


# --- the truth table ------------------------------------------------------------------------------


class StoppedClock(TimerHeap):
    def now(self) -> int:
        return 1_772_323_200_000

    async def pause(self) -> None:
        raise AssertionError("a write waits for nobody")


def wish(row: Mapping[str, Any]) -> dict[str, str]:
    """The row's words made concrete."""
    same = {"named": NAME, "main": "main", "current": CALLING}
    found = {"target": row["target"]}
    if row["name"] == "given":
        found["name"] = NAME
    if row["key"] != "none":
        found["key"] = OTHER if row["key"] == "other" else same[row["target"]]
    if row["mode"] != "none":
        found["mode"] = row["mode"]
    return found


def spec(session: dict[str, str]) -> dict[str, Any]:
    kind = "systemEvent" if session["target"] == "main" else "agentTurn"
    return {"session": session, "payload": {"kind": kind, "text": "Reply OK only."}}


def written(row: Mapping[str, Any]) -> tuple[Resolution, list[str]]:
    """What the reference makes of the row's write. Raises :class:`Refused`."""
    desk = JobDesk(MemoryStore(), StoppedClock(), Settings(policies=Policies.of(row["policy"])))
    new = {"name": "a job", "schedule": {"kind": "every", "everyMs": 60_000}}
    if row["operation"] == "job/add":
        calling = {"target": "named", "name": CALLING} if row["calling"] else None
        answer = desk.add(new | spec(wish(row)), calling)
    else:
        old = desk.add(new | spec({"target": "isolated"})).job
        answer = desk.update(old.id, spec(wish(row)))
    return desk.resolve(answer.job), [field for field, _ in answer.unused]


def session_of(found: Resolution) -> str:
    """The word of the table for where the runs go."""
    if found.fresh:
        return "fresh"
    if found.kind == PER_JOB:
        return "job"
    words = {"main": "main", OTHER: "key", NAME: "name", CALLING: "calling"}
    return {f"agent:main:{text}": word for text, word in words.items()}[str(found.key)]


@pytest.mark.parametrize("row", cases("session-keys"))
def test_the_reference_answers_as_the_truth_table_says(row: dict[str, Any]) -> None:
    expect = row["expect"]
    if expect["answer"] == "rejected":
        with pytest.raises(Refused) as refused:
            written(row)
        assert refused.value.field in expect["names"]
    else:
        found, unused = written(row)
        assert (session_of(found), unused) == (expect["session"], expect.get("unused", []))


def test_the_truth_table_is_complete() -> None:
    """Each combination once; a key can be that of the target's session only where the target has one."""
    expected = set()
    axes = (
        ("none", "given"),
        ("none", "same", "other"),
        ("none", "fresh", "shared"),
        ("job/add", "job/update"),
    )
    answers = POLICIES["sessionKey"].answers
    for target, calling in (
        ("isolated", False),
        ("named", False),
        ("main", False),
        ("current", True),
        ("current", False),
    ):
        for (name, key, mode, operation), answer in product(product(*axes), answers):
            nothing = target == "isolated" or (target == "named" and name == "none")
            nothing |= target == "current" and not calling
            # An edit is made from nowhere.
            if (key == "same" and nothing) or (calling and operation == "job/update"):
                continue
            falls = POLICIES["currentFallback"].answers if target == "current" and not calling else (None,)
            expected |= {
                (operation, target, calling, name, key, mode, answer, fallback) for fallback in falls
            }
    cells = [
        (
            *(row["operation"], row["target"], row["calling"], row["name"], row["key"], row["mode"]),
            *(row["policy"]["sessionKey"], row["policy"].get("currentFallback")),
        )
        for row in rows("session-keys")
    ]
    assert len(cells) == len(set(cells))
    assert set(cells) == expected


def test_the_truth_table_names_requirements_of_the_resolver() -> None:
    named = {i for row in rows("session-keys") for i in row.get("requirements", [])}
    assert named <= set(REQUIREMENTS)
    assert {"CS-RES-001", "CS-RES-002", "CS-RES-004", "CS-RES-005", "CS-RES-011", "CS-RES-019"} <= named


def test_a_key_that_is_accepted_on_an_isolated_job_is_never_ignored() -> None:
    """The law behind the table: honoured, rejected, or reported."""
    for row in rows("session-keys"):
        for answer in (row["expect"], *row.get("also", [])):
            if row["key"] == "other" and answer["answer"] == "accepted":
                assert answer["session"] == "key" or "session.key" in answer["unused"], row


# --- pairs of wishes ------------------------------------------------------------------------------


def _resolved(side: Mapping[str, Any], policies: Policies, job_id: str) -> Resolution | None:
    """What the reference makes of one side of a row; None if it refuses the write."""
    agent = side.get("agent", "main")
    context = parse_wish(side["context"]) if "context" in side else None
    try:
        found: Wish = bind(
            parse_wish(side["session"]), context, agent=agent, agents=AGENTS, policies=policies
        )
        kind = "systemEvent" if found.target == "main" else "agentTurn"
        job = Job(job_id, "a job", agent, True, Every(60_000, 0), found, Payload(kind, "Reply OK only."))
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


@pytest.mark.parametrize("row", cases("session-pairs"))
def test_the_reference_resolves_pairs_as_they_say(row: dict[str, Any]) -> None:
    observed = _observed(row, Policies.of(row.get("policy", {})))
    assert any(_fits(alternative, observed) for alternative in row["expect"]), observed


@pytest.mark.parametrize("row", cases("session-pairs"))
def test_a_pair_can_be_wrong(row: dict[str, Any]) -> None:
    """Some answer breaks every row: none allows everything."""
    possible: list[dict[str, Any]] = [{"write": "rejected"}] + [
        {"write": "accepted", "session": session, "unused": []} for session in ("same", "different")
    ]
    assert not all(any(_fits(a, outcome) for a in row["expect"]) for outcome in possible)


def test_every_answer_to_a_resolver_policy_has_a_pair() -> None:
    given = {pair for row in rows("session-pairs") for pair in row.get("policy", {}).items()}
    asked = {r["policy"] for r in REQUIREMENTS.values() if r["area"] == "resolver" and r["policy"]}
    assert given == {(name, answer) for name in asked for answer in POLICIES[name].answers}


def test_the_pairs_name_requirements() -> None:
    assert {row["requirement"] for row in rows("session-pairs")} <= set(REQUIREMENTS)
