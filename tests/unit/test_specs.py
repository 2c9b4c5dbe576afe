"""The specification agrees with itself: chapters, catalogue, contract, schemas and the suite's marks."""

from __future__ import annotations

import importlib
import inspect
import json
import re
import sys
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pytest_cronsession import schemas
from pytest_cronsession.catalog import LEVELS
from pytest_cronsession.contract import CAPABILITIES, OPERATIONS, POLICIES, PROFILES, SPEC_REVISION

SPECS = Path(__file__).parents[2] / "specs"
SUITE = Path(__file__).parents[2] / "pytest_cronsession" / "suite"
CHAPTERS = {
    "jobs.md": ("jobs",),
    "scheduler.md": ("scheduler", "runs"),
    "resolver.md": ("resolver", "sessions"),
    "reaper.md": ("reaper", "maintenance"),
    "store.md": ("store",),
}
PREFIXES = {
    "resolver": "RES",
    "sessions": "SES",
    "jobs": "JOB",
    "scheduler": "SCH",
    "runs": "RUN",
    "reaper": "REA",
    "maintenance": "MNT",
    "store": "STO",
}
TAGGED = re.compile(r"^- \*\*\[(CS-[^\]]*)\]\*\* (.*(?:\n  \S.*)*)", re.MULTILINE)
LEVEL_WORDS = re.compile(r"\b(?:MUST|SHOULD|MAY|SHALL|REQUIRED|RECOMMENDED|OPTIONAL)\b")

DOCUMENT: dict[str, Any] = json.loads((SPECS / "requirements.json").read_text(encoding="utf-8"))
ROWS: dict[str, dict[str, Any]] = {row["id"]: row for row in DOCUMENT["requirements"]}
SCHEMA_FILES = sorted((SPECS / "schemas").glob("*.json"))
DOCUMENT_FILES = sorted(file for file in SPECS.rglob("*.json") if file.parent.name != "schemas")
VECTOR_FILES = sorted((SPECS / "vectors").glob("*.json"))


@cache
def chapter(name: str) -> str:
    return (SPECS / name).read_text(encoding="utf-8")


def tagged(name: str) -> list[tuple[str, str]]:
    """The tagged sentences of a chapter: id and text, white space made plain."""
    return [(found, " ".join(text.split())) for found, text in TAGGED.findall(chapter(name))]


@cache
def suite_tests() -> dict[str, tuple[tuple[str, ...], Callable[..., None]]]:
    """The suite's test functions by name, each with the requirements it is marked with."""
    found: dict[str, tuple[tuple[str, ...], Callable[..., None]]] = {}
    for file in sorted(SUITE.glob("test_*.py")):
        module = importlib.import_module(f"pytest_cronsession.suite.{file.stem}")
        for name, function in vars(module).items():
            if name.startswith("test_") and inspect.isfunction(function):
                found[f"{file.stem}.{name}"] = (_marks(module, function), function)
    return found


def _marks(module: ModuleType, function: Callable[..., None]) -> tuple[str, ...]:
    of_module = getattr(module, "pytestmark", [])
    marks = [
        *(of_module if isinstance(of_module, list) else [of_module]),
        *getattr(function, "pytestmark", []),
    ]
    return tuple(i for mark in marks if mark.name == "cronsession_requirement" for i in mark.args)


# --- chapters and catalogue -----------------------------------------------------------------------


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_holds_the_sentences_of_its_areas(name: str) -> None:
    expected = {i: " ".join(row["text"].split()) for i, row in ROWS.items() if row["area"] in CHAPTERS[name]}
    found = tagged(name)
    assert dict(found) == expected
    assert [i for i, n in Counter(i for i, _ in found).items() if n > 1] == []


def test_every_requirement_is_in_exactly_one_chapter() -> None:
    counted = Counter(i for file in SPECS.glob("*.md") for i, _ in tagged(file.name))
    assert counted == Counter(list(ROWS))


@pytest.mark.parametrize("name", sorted(file.name for file in SPECS.glob("*.md")))
def test_only_tagged_sentences_are_normative(name: str) -> None:
    rest = re.sub(r"`[^`]*`", "", TAGGED.sub("", chapter(name)))
    assert LEVEL_WORDS.findall(rest) == []
    assert "**[CS-" not in rest, "a tag that is not a list item of its own"


@pytest.mark.parametrize("name", sorted(file.name for file in SPECS.glob("*.md")))
def test_ids_and_links_in_the_prose_lead_somewhere(name: str) -> None:
    assert set(re.findall(r"\bCS-[A-Z]+-\d+\b", chapter(name))) <= set(ROWS)
    for link in re.findall(r"\]\(([^)#]+)\)", chapter(name)):
        assert (SPECS / link).exists(), link
    for file in re.findall(r"`((?:vectors|schemas)/[\w.-]+\.json)", chapter(name)):
        assert (SPECS / file).exists(), file


def test_ids_are_well_formed_unique_and_in_order() -> None:
    ids = [row["id"] for row in DOCUMENT["requirements"]]
    assert len(set(ids)) == len(ids)
    assert set(ids).isdisjoint(DOCUMENT["retired"])
    for area, prefix in PREFIXES.items():
        mine = [row["id"] for row in DOCUMENT["requirements"] if row["area"] == area]
        assert mine == sorted(mine), area
        assert all(re.fullmatch(rf"CS-{prefix}-\d{{3}}", i) for i in mine), area


def test_an_area_is_listed_in_one_piece_and_has_one_profile() -> None:
    areas = [row["area"] for row in DOCUMENT["requirements"]]
    pieces = [area for area, before in zip(areas, ["", *areas], strict=False) if area != before]
    assert sorted(pieces) == sorted(PREFIXES)
    for area in PREFIXES:
        assert len({row["profile"] for row in ROWS.values() if row["area"] == area}) == 1, area


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_a_row_says_what_its_sentence_says(row: dict[str, Any]) -> None:
    text = row["text"]
    assert set(LEVEL_WORDS.findall(text)) == {row["level"]}
    assert text.endswith(".")
    assert set(re.findall(r"\bpolicy (\w+)", text)) == ({row["policy"]} if row["policy"] else set())
    assert row["since"] <= DOCUMENT["revision"]
    assert row["sources"], "comes from nowhere"
    assert not row["conditional"] or "untestable" not in row
    assert set(row["capabilities"]) <= set(CAPABILITIES)
    assert row["policy"] is None or row["policy"] in POLICIES
    assert row["profile"] in PROFILES


# --- catalogue and contract -----------------------------------------------------------------------


def test_the_tables_are_those_of_the_contract() -> None:
    assert DOCUMENT["capabilities"] == dict(CAPABILITIES)
    assert DOCUMENT["policies"] == {
        name: {"question": p.question, "answers": dict(p.answers), "default": p.default}
        for name, p in POLICIES.items()
    }
    assert {name: profile["text"] for name, profile in DOCUMENT["profiles"].items()} == dict(PROFILES)
    assert DOCUMENT["revision"] == SPEC_REVISION


def test_profiles_need_known_capabilities_and_have_requirements() -> None:
    for name, profile in DOCUMENT["profiles"].items():
        assert set(profile["capabilities"]) <= set(CAPABILITIES), name
        musts = [r for r in ROWS.values() if r["profile"] == name and r["level"] == "MUST"]
        assert musts, f"{name} can never be judged"


def test_policies_have_a_default_and_decide_something() -> None:
    for name, policy in POLICIES.items():
        assert policy.default in policy.answers, name
    assert {row["policy"] for row in ROWS.values()} - {None} == set(POLICIES)


def test_each_policy_has_its_table_in_one_chapter() -> None:
    sections = [
        (name, section)
        for file in CHAPTERS
        for name, section in re.findall(r"^### Policy `(\w+)`\n(.*?)(?=^#|\Z)", chapter(file), re.M | re.S)
    ]
    assert sorted(name for name, _ in sections) == sorted(POLICIES)
    for name, section in sections:
        answers = re.findall(r"^\| `(\w+)`( \(default\))? \|", section, re.M)
        assert [answer for answer, _ in answers] == list(POLICIES[name].answers), name
        assert [answer for answer, default in answers if default] == [POLICIES[name].default], name


def test_the_read_me_lists_the_profiles() -> None:
    table = re.findall(r"^\| `(\w+)` \| ([a-z, ]+) \| (.+) \|$", chapter("README.md"), re.M)
    listed = {
        name: (areas.split(", "), re.findall(r"`([^`]+)`", needs))
        for name, areas, needs in table
        if name in PROFILES
    }
    assert listed == {
        name: (
            list(dict.fromkeys(r["area"] for r in DOCUMENT["requirements"] if r["profile"] == name)),
            profile["capabilities"],
        )
        for name, profile in DOCUMENT["profiles"].items()
    }


def test_every_capability_is_judged() -> None:
    needed = {c for row in ROWS.values() for c in row["capabilities"]}
    sources = "".join(file.read_text(encoding="utf-8") for file in SUITE.glob("*.py"))
    assert {c for c in CAPABILITIES if c not in needed and f'"{c}"' not in sources} == set()


# --- the suite ------------------------------------------------------------------------------------


def test_every_testable_requirement_has_a_test() -> None:
    judged = {i for ids, _ in suite_tests().values() for i in ids}
    assert {i for i, row in ROWS.items() if "untestable" not in row} - judged == set()


def test_every_mark_is_a_requirement() -> None:
    assert all(ids for ids, _ in suite_tests().values()), "a test without a requirement"
    assert {i for ids, _ in suite_tests().values() for i in ids} - set(ROWS) == set()


@pytest.mark.parametrize("requirement", [i for i, row in ROWS.items() if row["conditional"]])
def test_a_conditional_requirement_can_be_witnessed(requirement: str) -> None:
    sources = [inspect.getsource(f) for ids, f in suite_tests().values() if requirement in ids]
    assert any(re.search(r"\b(?:d\.(?:expect|judge|witness)|explore\w*)\(", source) for source in sources)


@pytest.mark.parametrize("requirement", [i for i, row in ROWS.items() if row["policy"]])
def test_a_policy_is_asked_for_where_it_decides(requirement: str) -> None:
    policy = ROWS[requirement]["policy"]
    functions = [f for ids, f in suite_tests().values() if requirement in ids]
    # Those that share an event have a part for each requirement.
    tables = [v for f in functions for v in vars(sys.modules[f.__module__]).values() if isinstance(v, dict)]
    functions += [table[requirement] for table in tables if requirement in table]
    sources = [inspect.getsource(f) for f in functions]
    assert any(re.search(rf'policy\("{policy}"', source) for source in sources)


# --- schemas --------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", SCHEMA_FILES, ids=lambda f: f.name)
def test_a_schema_is_valid_and_named_after_its_file(file: Path) -> None:
    schema = json.loads(file.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == schemas.BASE + file.name
    # The major number is that of the protocol, which the $id carries; members that are added raise the minor one.
    assert re.fullmatch(r"[0-9]+\.[0-9]+", schema["version"])
    assert f"/schemas/{schema['version'].partition('.')[0]}/" in schema["$id"]


@pytest.mark.parametrize("file", SCHEMA_FILES, ids=lambda f: f.name)
def test_the_references_of_a_schema_resolve(file: Path) -> None:
    for reference in re.findall(r'"\$ref": "([^"]+)"', file.read_text(encoding="utf-8")):
        target, _, pointer = reference.partition("#")
        found = json.loads((file.parent / (target or file.name)).read_text(encoding="utf-8"))
        for part in filter(None, pointer.split("/")):
            found = found[part.replace("~1", "/").replace("~0", "~")]
        assert isinstance(found, dict), reference


def test_every_operation_has_its_shapes() -> None:
    shapes = {name for name in schemas.load("protocol")["$defs"] if not name.startswith("envelope:")}
    assert shapes == {f"{operation}:{side}" for operation in OPERATIONS for side in ("params", "result")}
    assert all(f"`{operation}" in chapter("protocol.md") for operation in OPERATIONS)


def test_answers_may_have_members_of_their_own() -> None:
    shapes = schemas.load("protocol")["$defs"]
    answers = [shape for name, shape in shapes.items() if name.endswith((":result", ":response"))]
    stored = [schemas.load("job")["$defs"][name] for name in ("stored", "resolved")]
    rows = [schemas.load("run"), schemas.load("session")]
    assert not [
        shape for shape in [*answers, *stored, *rows] if '"additionalProperties": false' in json.dumps(shape)
    ]


def test_the_forks_are_settled_by_every_policy() -> None:
    section = chapter("README.md").split("### Forks")[1].split("\n## ")[0]
    assert set(re.findall(r"policy `(\w+)`", section)) == set(POLICIES)


def test_levels_are_those_of_the_schema() -> None:
    assert schemas.load("requirements")["$defs"]["level"]["enum"] == list(LEVELS)


@pytest.mark.parametrize("file", VECTOR_FILES, ids=lambda f: f.name)
def test_a_schema_refuses_what_is_no_row(file: Path) -> None:
    document = json.loads(file.read_text(encoding="utf-8"))
    row = document["rows"][0]
    wrong = [{**row, "colour": "red"}, *({**row, name: ["no such"]} for name in row), {}]
    for broken in wrong:
        assert schemas.problem("vectors.schema.json", {**document, "rows": [broken]}), broken


@pytest.mark.parametrize("file", DOCUMENT_FILES, ids=lambda f: f.name)
def test_a_document_obeys_the_schema_it_names(file: Path) -> None:
    document = json.loads(file.read_text(encoding="utf-8"))
    named = (file.parent / document["$schema"]).resolve()
    assert named.parent == SPECS / "schemas"
    assert schemas.problem(named.name, document) is None
