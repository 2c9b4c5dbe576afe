"""The report document, its cleaning, and the summary's lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_cronsession import schemas
from pytest_cronsession.baseline import Baseline, Entry
from pytest_cronsession.catalog import Catalog, Profile, Requirement
from pytest_cronsession.contract import Hello
from pytest_cronsession.outcomes import Result
from pytest_cronsession.report import json_report, summary
from pytest_cronsession.report.json_report import ReportError, Subject
from pytest_cronsession.report.scrub import machine_places, scrub, scrub_text
from pytest_cronsession.verdict import judge

A, B = "CS-RES-001", "CS-RES-002"
HELLO = Hello(
    "lab", "1.2.3", 1, frozenset({"trigger"}), ("sessions",), {"keyCase": "preserve"}, lateness_ms=5
)
CATALOG = Catalog(
    revision=3,
    sha256="a" * 64,
    capabilities={"trigger": "t", "crash": "c"},
    policies={"keyCase": {"default": "fold"}, "dst": {"default": "vixie"}},
    profiles={"sessions": Profile("sessions", "s")},
    requirements={i: Requirement(i, "resolver", "sessions", "MUST", "core", "It MUST hold.") for i in (B, A)},
)
SUBJECT = Subject("python:x:y", "python", "core", "0.1.0", "pytest --cronsession-target=python:x:y")
KNOWN = Baseline({A: Entry(A, "issue 12", "https://example.org/12")}, "b" * 64)
PLACES = {"/home/ann": "~", "/home/ann/lab": ".", "/tmp": "<tmp>", "/home/ann/venv": "<python>"}


def document(*results: Result, baseline: Baseline | None = None) -> dict[str, Any]:
    judgement = judge(CATALOG, HELLO, "core", results, baseline)
    return json_report.build(SUBJECT, CATALOG, HELLO, judgement, baseline, PLACES)


def test_the_document_fits_its_schema_whatever_happened() -> None:
    for outcome in ("pass", "fail", "error", "not-run", "not-applicable"):
        made = document(Result(A, "c", outcome, message="m"), baseline=KNOWN)
        assert schemas.problem("report.schema.json", made) is None, outcome


def test_rows_are_in_the_order_of_their_ids() -> None:
    assert [row["id"] for row in document()["requirements"]] == [A, B]


def test_a_row_tells_what_there_is_to_tell() -> None:
    rows = document(Result(A, "c", "fail", 2, "saw /home/ann/lab/x", "step 1"), Result(B, "c", "pass", 1))
    assert rows["requirements"] == [
        {
            "id": A,
            "level": "MUST",
            "outcome": "fail",
            "cases": 1,
            "witnesses": 2,
            "message": "c: saw ./x",
            "trace": "step 1",
        },
        {"id": B, "level": "MUST", "outcome": "pass", "cases": 1, "witnesses": 1},
    ]


def test_declarations_are_told_with_their_defaults() -> None:
    made = document()
    assert made["capabilities"] == {"declared": ["trigger"], "undeclared": ["crash"]}
    assert made["policies"] == {
        "keyCase": {"answer": "preserve", "declared": True},
        "dst": {"answer": "vixie", "declared": False},
    }
    assert made["target"]["clock"] == "real"
    assert made["target"]["latenessMs"] == 5
    assert made["spec"] == {"revision": 3, "sha256": "a" * 64}


def test_the_baseline_is_told_with_what_became_of_it() -> None:
    made = document(Result(A, "c", "fail", message="m"), baseline=KNOWN)
    entry = {"id": A, "reason": "issue 12", "issue": "https://example.org/12", "outcome": "known-fail"}
    assert made["baseline"] == {"sha256": "b" * 64, "entries": [entry]}


def test_a_written_report_reads_back(tmp_path: Path) -> None:
    made = document(Result(A, "c", "pass"), Result(B, "c", "pass"))
    path = tmp_path / "r.json"
    json_report.write(made, path)
    assert json.loads(path.read_text(encoding="utf-8")) == made
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_document_that_breaks_the_schema_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="does not fit its own schema: verdict"):
        json_report.write(document() | {"verdict": "fine"}, tmp_path / "r.json")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_went_away_is_told(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match=r"cannot write .*No such file or directory"):
        json_report.write(document(), tmp_path / "gone" / "r.json")


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("/home/ann/lab/x.py:3", "./x.py:3"),
        ("in '/home/ann/lab'", "in '.'"),
        ("/home/ann/other", "~/other"),
        ("/home/anna/other", "/home/anna/other"),
        ("/srv/home/ann/x", "/srv/home/ann/x"),
        ("/home/ann/venv/lib/site-packages/x.py", "<python>/lib/site-packages/x.py"),
        ("open('/tmp/tmpab12/jobs.json') failed", "open('<tmp>') failed"),
        ("/tmp/a/b, /tmp/c", "<tmp>, <tmp>"),
        ("<object at 0x7f00aa11bb22>", "<object at 0x...>"),
        ("http://127.0.0.1:40123/v1", "http://127.0.0.1:PORT/v1"),
        ("run 0d7c1c33-8b5e-4a ... more", "run <id> ... more"),
        ("at 2026-03-08T09:30:00Z (10:15)", "at 2026-03-08T09:30:00Z (10:15)"),
    ],
)
def test_texts_lose_what_belongs_to_one_machine(text: str, clean: str) -> None:
    assert scrub_text(text, PLACES) == clean


def test_random_ids_are_numbered_and_equal_ones_stay_equal() -> None:
    one, two = "0d7c1c33-8b5e-4a44-9a39-0a55b6f1f0aa", "ffffffff-8b5e-4a44-9a39-0a55b6f1f0aa"
    assert scrub_text(f"{one} {two} {one.upper()}", {}) == "<id-1> <id-2> <id-1>"


def test_a_home_of_root_eats_no_path() -> None:
    assert scrub_text("/usr/lib/x", {"/": "~"}) == "/usr/lib/x"


def test_values_are_cleaned_at_any_depth() -> None:
    assert scrub({"a": ["/tmp/x", {"b": "/tmp/y"}], "n": 3}, PLACES) == {
        "a": ["<tmp>", {"b": "<tmp>"}],
        "n": 3,
    }


def test_this_machines_places_are_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    monkeypatch.chdir(tmp_path)
    places = machine_places(Path("/var/cache/ann"))
    assert (places["/home/ann"], places[str(tmp_path)], places["/var/cache/ann"]) == ("~", ".", "<cache>")


def test_what_was_seen_is_told_up_to_the_steps() -> None:
    assert summary.seen("c: saw two\nsteps:\n  a") == ["  seen: c: saw two"]
    assert summary.seen("a\nb\nc\nd") == ["  seen: a", "        b", "        c", "        ..."]
    assert summary.seen("") == ["  seen: nothing was said"]


def test_the_table_counts_by_area_and_leaves_out_empty_columns() -> None:
    judgement = judge(CATALOG, HELLO, "core", [Result(A, "c", "pass"), Result(B, "c", "fail", message="m")])
    told = [line.text for line in summary.lines("lab", CATALOG, judgement, lambda i: f"run {i}")]
    assert told[told.index("area      pass  fail") + 1] == "resolver     1     1"
