"""A failure leaves a recording, and ``cronsession replay`` goes through it again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_cronsession.cli import main
from pytest_cronsession.recording import RecordingError, parse, to_text

BROKEN = "python:pytest_cronsession.examples.broken:gateway"
QUIET = ("-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:randomly")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recording of a failure of the packaged broken gateway."""
    folder = tmp_path_factory.mktemp("run")
    report = folder / "report.json"
    arguments = [f"--cronsession-target={BROKEN}", "-k", "CS-RES-001 or CS-STO-009"]
    assert pytest.main([*QUIET, *arguments, f"--cronsession-report={report}"]) == pytest.ExitCode.TESTS_FAILED
    rows = {row["id"]: row for row in json.loads(report.read_text(encoding="utf-8"))["requirements"]}
    assert rows["CS-RES-001"]["trace"].startswith("report.traces/CS-RES-001.")
    assert (folder / rows["CS-STO-009"]["trace"]).is_file()
    found: Path = folder / rows["CS-RES-001"]["trace"]
    return found


def test_the_same_gateway_does_the_same_again(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(recorded)]) == 0
    told = capsys.readouterr().out
    assert told.startswith("CS-RES-001  test_session_keys.py::")
    assert "job/trigger" in told
    assert told.endswith("\nas recorded\n")


def test_a_restart_is_gone_through_again(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (other,) = recorded.parent.glob("CS-STO-009.*")
    assert main(["replay", str(other)]) == 0
    assert "start" in capsys.readouterr().out


def test_a_better_gateway_differs_where_it_is_better(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", str(recorded), "--target=reference"]) == 1
    told = capsys.readouterr().out
    assert "answered, saw the replies to 1\n      recorded: " in told
    assert "not as recorded: " in told


def test_a_recording_is_read_as_it_was_written(recorded: Path) -> None:
    found = parse(recorded.read_bytes(), recorded.name)
    assert parse(to_text(found).encode(), "again") == found


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("steps", "trace t.json: not JSON"),
        ('{"schema": 9}', "trace t.json: schema is 9; this version reads 1"),
        ('{"schema": 1}', "trace t.json: (top level): "),
        ("[]", "trace t.json: "),
    ],
)
def test_a_damaged_recording_is_refused(text: str, told: str) -> None:
    with pytest.raises(RecordingError) as refused:
        parse(text.encode(), "t.json")
    assert told in str(refused.value)


def test_a_file_or_target_that_is_not_there_is_named(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", "nowhere.json"]) == 4
    assert "nowhere.json: No such file" in capsys.readouterr().err
    assert main(["replay", str(recorded), "--target=python:no.such:thing"]) == 4
    assert "no.such" in capsys.readouterr().err


def test_what_was_wrong_on_purpose_is_sent_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "report.json"
    arguments = [
        "--cronsession-target=python:tests.mutants.gateways:AddGuesses",
        *("--cronsession-tier=full", "-k", "CS-JOB-020", f"--cronsession-report={report}"),
    ]
    assert pytest.main([*QUIET, *arguments]) == pytest.ExitCode.TESTS_FAILED
    (row,) = (
        r for r in json.loads(report.read_text(encoding="utf-8"))["requirements"] if r["id"] == "CS-JOB-020"
    )
    found = tmp_path / row["trace"]
    assert main(["replay", str(found)]) == 0
    assert "wrong on purpose: job/add" in capsys.readouterr().out
    assert main(["replay", str(found), "--target=reference"]) == 1
    assert "not as recorded: 1 step(s)" in capsys.readouterr().out
