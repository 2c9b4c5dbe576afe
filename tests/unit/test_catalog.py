"""The catalogue: loading, contradictions, selection."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any

import pytest

from pytest_cronsession import catalog, schemas
from pytest_cronsession.contract import CAPABILITIES, POLICIES, PROFILES, Hello


def row(identity: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": identity,
        "area": "resolver",
        "profile": "sessions",
        "level": "MUST",
        "tier": "core",
        "since": 1,
        "capabilities": [],
        "policy": None,
        "text": "It MUST hold.",
        "sources": [],
        "conditional": False,
    } | changes


def parsed(*rows: dict[str, Any]) -> catalog.Catalog:
    return catalog.parse(
        {
            "revision": 1,
            "capabilities": {"trigger": "t", "crash": "c"},
            "policies": {"keyCase": {"question": "?", "answers": {"fold": "f"}, "default": "fold"}},
            "profiles": {n: {"text": n, "capabilities": ["trigger"]} for n in ("sessions", "scheduler")},
            "requirements": list(rows),
        }
    )


def hello(*capabilities: str, profiles: tuple[str, ...] = ("sessions",)) -> Hello:
    return Hello("lab", "1", 1, frozenset(capabilities), profiles, {})


def test_the_published_catalogue_loads_and_fits_its_schema() -> None:
    path = catalog.specs_dir() / "requirements.json"
    loaded = catalog.load()
    assert loaded.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert schemas.problem("requirements.schema.json", json.loads(path.read_bytes())) is None


def test_the_published_catalogue_speaks_of_the_contracts_words() -> None:
    loaded = catalog.load()
    assert loaded.capabilities == CAPABILITIES
    assert set(loaded.profiles) == set(PROFILES)
    assert {n: p["default"] for n, p in loaded.policies.items()} == {
        n: p.default for n, p in POLICIES.items()
    }
    assert {n: list(p["answers"]) for n, p in loaded.policies.items()} == {
        n: list(p.answers) for n, p in POLICIES.items()
    }


def test_each_published_profile_can_be_judged_in_the_core_tier() -> None:
    core = catalog.select(catalog.load(), tier="core")
    assert {r.profile for r in core.values() if r.level == "MUST"} == set(PROFILES)


def test_it_loads_from_a_given_path(tmp_path: Any) -> None:
    path = tmp_path / "requirements.json"
    path.write_text(
        json.dumps({"revision": 7, "capabilities": {}, "policies": {}, "profiles": {}, "requirements": []})
    )
    assert catalog.load(path).revision == 7


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"profile": "nothing"}, "unknown profile 'nothing'"),
        ({"level": "WILL"}, "unknown level 'WILL'"),
        ({"tier": "huge"}, "unknown tier 'huge'"),
        ({"capabilities": ["fly"]}, "unknown capability 'fly'"),
        ({"policy": "taste"}, "unknown policy 'taste'"),
    ],
)
def test_a_contradiction_names_the_requirement(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(catalog.CatalogError, match=f"^CS-RES-001: {told}$"):
        parsed(row("CS-RES-001", **changes))


def test_an_id_occurs_once() -> None:
    with pytest.raises(catalog.CatalogError, match="CS-RES-001: occurs twice"):
        parsed(row("CS-RES-001"), row("CS-RES-001"))


def test_a_tier_contains_the_ones_before_it() -> None:
    loaded = parsed(*(row(f"CS-RES-00{n}", tier=t) for n, t in enumerate(catalog.TIERS)))
    assert [len(catalog.select(loaded, tier=t)) for t in catalog.TIERS] == [1, 2, 3]


def test_selection_by_profile_and_capabilities() -> None:
    loaded = parsed(
        row("CS-RES-001"), row("CS-RES-002", capabilities=["crash"]), row("CS-SCH-001", profile="scheduler")
    )
    assert list(catalog.select(loaded, profiles=["scheduler"])) == ["CS-SCH-001"]
    assert list(catalog.select(loaded, capabilities=["trigger"])) == ["CS-RES-001", "CS-SCH-001"]
    assert list(catalog.select(loaded, capabilities=["crash"])) == ["CS-RES-001", "CS-RES-002", "CS-SCH-001"]
    assert list(catalog.select(loaded)) == ["CS-RES-001", "CS-RES-002", "CS-SCH-001"]


def test_without_a_tier_all_are_selected() -> None:
    loaded = parsed(*(row(f"CS-RES-00{n}", tier=t) for n, t in enumerate(catalog.TIERS)))
    assert list(catalog.select(loaded)) == list(loaded.requirements)


def test_a_row_that_says_no_more_is_of_the_first_revision_and_always_in_force() -> None:
    plain = catalog.Requirement("CS-RES-001", "resolver", "sessions", "MUST", "core", "It MUST hold.")
    assert (plain.since, plain.conditional, plain.untestable) == (1, False, "")
    assert parsed(row("CS-RES-001"))["CS-RES-001"] == plain


def test_a_catalogue_cannot_be_changed_and_is_no_wall_of_text() -> None:
    loaded = parsed(row("CS-RES-001"))
    for thing, member in (
        (loaded, "revision"),
        (loaded["CS-RES-001"], "id"),
        (loaded.profiles["sessions"], "name"),
    ):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(thing, member, "another")
    assert "CS-RES-001" not in repr(loaded)


def test_what_does_not_apply_has_a_reason() -> None:
    loaded = parsed(row("CS-RES-001", capabilities=["trigger", "crash"]))
    requirement = loaded["CS-RES-001"]
    assert catalog.inapplicable(requirement, hello("trigger", "crash")) is None
    assert catalog.inapplicable(requirement, hello("trigger")) == "the gateway does not declare crash"
    other = hello("trigger", "crash", profiles=("scheduler",))
    assert catalog.inapplicable(requirement, other) == "the gateway does not declare the profile sessions"


def test_ids_are_found_in_an_expression() -> None:
    expression = "(cs-res-001 or CS-SCH-014) and not test_x and CS-RES-001"
    assert catalog.named_ids(expression) == ["CS-RES-001", "CS-SCH-014"]
    assert catalog.named_ids("CS-RES or reaper") == []


def test_near_ids_are_offered() -> None:
    loaded = parsed(row("CS-RES-001"), row("CS-SCH-001", profile="scheduler"))
    assert loaded.nearest("cs-res-011")[0] == "CS-RES-001"
    assert loaded.nearest("ZZ") == []


def test_no_more_than_three_are_offered() -> None:
    loaded = parsed(*(row(f"CS-RES-00{n}") for n in range(5)))
    assert len(loaded.nearest("CS-RES-009")) == 3


def test_only_what_resembles_it_is_offered() -> None:
    loaded = parsed(row("CS-RES-001"), row("CS-MNT-114", profile="scheduler"))
    assert loaded.nearest("CS-RES-01") == ["CS-RES-001"]
