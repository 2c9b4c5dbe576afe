"""The resolver's truth table, its refusals, and the laws of session keys."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cronsession_reference import keys
from cronsession_reference.errors import Refused
from cronsession_reference.jobs import Every, Job, Payload, Wish
from cronsession_reference.resolver import bind, resolve, session_key
from cronsession_reference.settings import Policies

AGENTS = ("main", "other")
LAWS = settings(deadline=None, derandomize=True, database=None, max_examples=300)
ID = "0b0f"


def job(target: str, agent: str = "main", **wish: Any) -> Job:
    session = Wish(target, **wish)
    return Job(ID, "n", agent, True, Every(1, 0), session, Payload("agentTurn", "x"))


def resolved(target: str, agent: str = "main", *, policies: Policies | None = None, **wish: Any) -> Any:
    return resolve(job(target, agent, **wish), agents=AGENTS, policies=policies or Policies())


TABLE = [
    # target, wish, session key, fresh, kind
    ("isolated", {}, None, True, "receipt"),
    ("isolated", {"mode": "fresh"}, None, True, "receipt"),
    ("isolated", {"mode": "shared"}, f"agent:main:cron:{ID}", False, "job"),
    ("isolated", {"key": "k"}, "agent:main:k", False, "named"),
    ("isolated", {"key": "k", "mode": "shared"}, "agent:main:k", False, "named"),
    ("isolated", {"key": "agent:main:k"}, "agent:main:k", False, "named"),
    ("isolated", {"key": "main"}, "agent:main:main", False, "main"),
    ("named", {"name": "n"}, "agent:main:n", False, "named"),
    ("named", {"name": " N "}, "agent:main:n", False, "named"),
    ("named", {"name": "n", "key": "n"}, "agent:main:n", False, "named"),
    ("named", {"name": "n", "key": "agent:main:N"}, "agent:main:n", False, "named"),
    ("named", {"name": "n", "mode": "shared"}, "agent:main:n", False, "named"),
    ("named", {"name": "main"}, "agent:main:main", False, "main"),
    ("main", {}, "agent:main:main", False, "main"),
    ("main", {"key": "main"}, "agent:main:main", False, "main"),
    ("main", {"key": "agent:main:main", "mode": "shared"}, "agent:main:main", False, "main"),
    ("current", {"key": "agent:main:k"}, "agent:main:k", False, "named"),
    ("current", {"key": "agent:main:main"}, "agent:main:main", False, "main"),
]


@pytest.mark.parametrize(("target", "wish", "key", "fresh", "kind"), TABLE)
def test_truth_table(target: str, wish: dict[str, str], key: str | None, fresh: bool, kind: str) -> None:
    found = resolved(target, **wish)
    assert (found.key, found.fresh, found.kind, found.unused) == (key, fresh, kind, ())
    assert found.reason


@pytest.mark.parametrize(("target", "wish", "key", "fresh", "kind"), TABLE)
def test_every_agent_has_its_own_sessions(
    target: str, wish: dict[str, str], key: str | None, fresh: bool, kind: str
) -> None:
    wish = {part: value.replace("agent:main:", "agent:other:") for part, value in wish.items()}
    expected = key and key.replace("agent:main:", "agent:other:")
    assert resolved(target, "other", **wish).key == expected


REFUSALS = [
    ("isolated", {"key": "k", "mode": "fresh"}, "session.mode", "leave out the key"),
    ("isolated", {"name": "n"}, "session.name", "target named"),
    ("isolated", {"key": "agent:other:k"}, "session.key", "'other'"),
    ("isolated", {"key": "agent:nobody:k"}, "session.key", "'nobody'"),
    ("isolated", {"key": " "}, "session.key", "blank"),
    ("named", {}, "session.name", "missing"),
    ("named", {"name": "a", "key": "b"}, "session.key", "--session isolated with --session-key b"),
    ("named", {"name": "a", "mode": "fresh"}, "session.mode", "target isolated"),
    ("named", {"name": "a\x00b"}, "session.name", "control"),
    ("named", {"name": "x" * 513}, "session.name", "512"),
    ("main", {"key": "k"}, "session.key", "leave out the key"),
    ("main", {"mode": "fresh"}, "session.mode", "target isolated"),
    ("main", {"name": "n"}, "session.name", "target named"),
    ("current", {"key": "k", "mode": "fresh"}, "session.mode", "target isolated"),
    ("current", {}, "session.target", "not bound"),
]


@pytest.mark.parametrize(("target", "wish", "field", "says"), REFUSALS)
def test_refusals_name_the_member_and_the_way_out(
    target: str, wish: dict[str, str], field: str, says: str
) -> None:
    with pytest.raises(Refused) as refused:
        resolved(target, **wish)
    assert refused.value.field == field
    assert says in refused.value.reason


def test_policy_reject_refuses_a_key_of_an_isolated_job() -> None:
    with pytest.raises(Refused) as refused:
        resolved("isolated", key="k", policies=Policies(session_key="reject"))
    assert refused.value.field == "session.key"


@pytest.mark.parametrize(("mode", "key"), [(None, None), ("shared", f"agent:main:cron:{ID}")])
def test_policy_report_says_that_the_key_is_unused(mode: str | None, key: str | None) -> None:
    found = resolved("isolated", key="k", mode=mode, policies=Policies(session_key="report"))
    assert found.key == key
    assert [field for field, _ in found.unused] == ["session.key"]


@pytest.mark.parametrize(
    ("context", "key"),
    [
        (Wish("named", name="n"), "agent:main:n"),
        (Wish("main"), "agent:main:main"),
        (Wish("isolated", key="k"), "agent:main:k"),
        (Wish("current", key="agent:main:k"), "agent:main:k"),
    ],
)
def test_current_is_bound_to_the_calling_session(context: Wish, key: str) -> None:
    bound = bind(Wish("current"), context, agent="main", agents=AGENTS, policies=Policies())
    assert bound == Wish("current", key=key)
    assert resolved("current", key=bound.key).key == key


def test_current_without_a_calling_session_follows_the_policy() -> None:
    def bound(answer: str) -> Wish:
        policies = Policies(current_fallback=answer)
        return bind(Wish("current", key="k"), None, agent="main", agents=AGENTS, policies=policies)

    assert bound("isolated") == Wish("isolated", key="k")
    with pytest.raises(Refused, match="no calling session"):
        bound("reject")


def test_current_refuses_another_key_and_a_context_that_does_not_last() -> None:
    def bound(wish: Wish, context: Wish) -> Wish:
        return bind(wish, context, agent="main", agents=AGENTS, policies=Policies())

    with pytest.raises(Refused, match=r"session\.key"):
        bound(Wish("current", key="k"), Wish("main"))
    with pytest.raises(Refused, match=r"context\.session"):
        bound(Wish("current"), Wish("isolated"))
    assert bound(Wish("current", key="main"), Wish("main")).key == "agent:main:main"


@pytest.mark.parametrize("wish", [Wish("isolated"), Wish("current"), Wish("isolated", key="k", mode="fresh")])
def test_a_human_needs_a_lasting_session(wish: Wish) -> None:
    with pytest.raises(Refused, match="lasting"):
        session_key(wish, agent="main", agents=AGENTS, policies=Policies())


def scoped(text: str, case: str = "fold") -> str:
    return keys.scoped(text, agent="main", agents=AGENTS, case=case)


def name_of(text: str, case: str) -> str:
    """What makes two names one, said in another way than the code does."""
    letters = unicodedata.normalize("NFC", text).strip()
    lowered = [letter.lower() for letter in letters] if case == "fold" else list(letters)
    return unicodedata.normalize("NFD", "".join(lowered))


NAMES = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=40).filter(
    lambda name: name.strip() and not name.strip().lower().startswith("agent:")
)
CASES = st.sampled_from(["fold", "preserve"])


@LAWS
@given(name=NAMES, case=CASES)
@example(name="İ", case="fold")
@example(name="ΑΣ", case="fold")
@example(name="J̌", case="fold")
@example(name="cron:x:run:y", case="fold")
@example(name="../../etc/passwd", case="preserve")
def test_normalising_is_idempotent_and_names_come_back(name: str, case: str) -> None:
    once = keys.normalise(name, case=case)
    assert keys.normalise(once, case=case) == once
    key = scoped(name, case)
    assert key == f"agent:main:{once}"
    assert scoped(key, case) == key


@LAWS
@given(one=NAMES, other=NAMES, case=CASES)
@example(one="straße", other="strasse", case="fold")
@example(one="a:b", other="a/b", case="fold")
@example(one="A", other="a", case="preserve")
@example(one="A", other="a", case="fold")
@example(one="\u00e9", other="e\u0301", case="preserve")
def test_two_names_share_a_key_only_if_they_are_one_name(one: str, other: str, case: str) -> None:
    assert (scoped(one, case) == scoped(other, case)) == (name_of(one, case) == name_of(other, case))


def test_every_character_folds_to_a_fixed_point() -> None:
    for point in range(0x30000):  # beyond it there are neither cases nor compositions
        letter = chr(point)
        if unicodedata.category(letter) not in ("Cc", "Cs") and letter.strip():
            once = keys.normalise(letter)
            assert keys.normalise(once) == once, hex(point)


def test_letter_case_is_a_policy() -> None:
    assert scoped("Daily Report") == scoped(" daily REPORT ")
    assert scoped("Daily", "preserve") != scoped("daily", "preserve")


def test_the_longest_name_is_accepted_in_both_spellings() -> None:
    key = scoped("x" * 512)
    assert scoped(key) == key


def test_an_agent_in_capitals_keeps_its_name() -> None:
    key = keys.scoped("agent:sales:Q1", agent="Sales", agents=("Sales",))
    assert key == "agent:Sales:q1"
    assert keys.scoped(key, agent="Sales", agents=("Sales",)) == key
