"""Targets that break the protocol on purpose: a clear error inside the time-out, and nothing left behind."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from . import gateways, program

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 1.0
# For targets that do something, however wrong: it may take a second to see that a process has ended.
BUSY_S = 10.0
# Far more than a run takes, and far less than what a hostile target would keep us.
PATIENCE_S = 100

# A requirement whose test comes to the operation. What the suite calls while it cleans up is told by none.
REACHED_BY = {
    "gateway/start": "CS-RES-006",
    "gateway/stop": "CS-STO-003",
    "clock/advance": "CS-RES-006",
    "clock/jump": "CS-SCH-016",
    "job/add": "CS-RES-006",
    "job/update": "CS-RES-018",
    "job/list": "CS-SCH-004",
    "job/trigger": "CS-RES-006",
    "run/list": "CS-RES-006",
    "session/list": "CS-SES-006",
    "session/send": "CS-SES-004",
    "store/maintain": "CS-MNT-005",
}


@dataclass(frozen=True)
class Run:
    """How a run of the plugin ended. ``row`` is the report's, of the requirement that was judged."""

    code: int
    said: str
    row: dict[str, Any]
    left: list[str]


def judge(target: str, operation: str, folder: Path, seconds: float = BUSY_S) -> Run:
    requirement, mark = REACHED_BY.get(operation, "CS-RES-006"), uuid.uuid4().hex
    scratch, report = folder / "scratch", folder / "report.json"
    scratch.mkdir()
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tests.hostile.judge", str(seconds), operation),
            *(f"--cronsession-target={target}", f"--cronsession-report={report}", "-k", requirement),
        ],
        cwd=ROOT,
        env={
            **os.environ,
            "TMPDIR": str(scratch),
            "CRONSESSION_HOSTILE": mark,
            "CRONSESSION_HOSTILE_LATE_S": str(2 * TIMEOUT_S),
        },
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    rows = json.loads(report.read_text(encoding="utf-8"))["requirements"] if report.exists() else []
    row = next((r for r in rows if r["id"] == requirement), {})
    left = [f"folder {found.name}" for found in scratch.iterdir()] + _processes(mark)
    return Run(done.returncode, done.stdout + done.stderr, row, left)


def _processes(mark: str) -> list[str]:
    """The processes that were started in the run and are still there, where /proc tells."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (entry / "environ").read_bytes():
                found.append(f"process {entry.name} {(entry / 'cmdline').read_bytes()!r}")
        except OSError:
            continue
    return found


def check(run: Run, operation: str, *told: str) -> None:
    assert run.left == []
    assert "INTERNALERROR" not in run.said
    if operation == "initialize":
        assert run.code == pytest.ExitCode.USAGE_ERROR, run.said
        message = run.said
        assert f"does not speak the contract: {operation}: " in message
    else:
        assert run.code == pytest.ExitCode.TESTS_FAILED, run.said
        assert run.row["outcome"] == "error", run.said
        message = run.row["message"]
        assert f": {operation}: " in message
        assert "the suite itself failed" not in message
    for words in told:
        assert words in message


def on_stdio(mode: str, operation: str) -> str:
    words = [sys.executable, "-m", "tests.hostile.program", mode, operation]
    return f"stdio:{shlex.join(words)}"


LATE = f"no answer within {TIMEOUT_S:g} s"
STREAMS = {
    "twice": "which no open request has",
    "wrong_id": "which no open request has",
    "text_id": "not a JSON-RPC 2.0 answer",
    "late": LATE,
    "half": LATE,
    "half_and_gone": "not JSON",
    "endless": "",
    "not_utf8": "not UTF-8",
    "garbage": "not JSON: Listening on port 8080",
    "both": "not a JSON-RPC 2.0 answer",
    "batch": "not a JSON-RPC 2.0 answer",
    "null": "not a JSON-RPC 2.0 answer",
    "other_shape": "the answer breaks the schema",
    "not_a_number": "",
    "nested": "",
    "failure": "error -32603: on fire",
    "asks_back": "a request ('roots/list')",
    "ends": "fatal: out of luck",
    "killed": "signal 9",
    "closes_output": "closed its standard output",
    "floods": LATE,
    "ignores_sigterm": LATE,
    "forks": LATE,
}


def test_every_mode_is_tried() -> None:
    assert set(STREAMS) | {"hang", "other_time"} == set(program.ANSWERS) | set(program.REQUESTS)
    assert {mode for mode, _ in IN_PROCESS} == set(gateways.MODES)


@pytest.mark.parametrize("operation", ["initialize", *REACHED_BY])
def test_a_target_that_hangs(operation: str, tmp_path: Path) -> None:
    check(judge(on_stdio("hang", operation), operation, tmp_path, TIMEOUT_S), operation, LATE)


@pytest.mark.parametrize("mode", STREAMS)
def test_a_target_that_breaks_the_protocol(mode: str, tmp_path: Path) -> None:
    # The next answer after a doubled one is what cannot be told from it.
    operation = "job/trigger" if mode == "twice" else "clock/advance"
    seconds = TIMEOUT_S if STREAMS[mode] == LATE else BUSY_S
    run = judge(on_stdio(mode, operation), operation, tmp_path, seconds)
    if mode == "twice":
        assert run.left == []
        assert run.row["outcome"] == "error", run.said
        assert STREAMS[mode] in run.row["message"]
    else:
        check(run, operation, STREAMS[mode])


@pytest.mark.parametrize("mode", ["garbage", "ends", "half_and_gone", "not_utf8", "null"])
def test_a_target_that_breaks_the_protocol_from_the_start(mode: str, tmp_path: Path) -> None:
    check(judge(on_stdio(mode, "initialize"), "initialize", tmp_path), "initialize", STREAMS[mode])


def test_a_target_that_lies_about_its_clock(tmp_path: Path) -> None:
    run = judge(on_stdio("other_time", "clock/advance"), "clock/advance", tmp_path)
    check(run, "clock/advance", "asked for ", "the clock says ")


IN_PROCESS = [
    ("blocks", LATE),
    ("never", LATE),
    ("will_not_go", LATE),
    ("leaves", "SystemExit: 3"),
    ("interrupts", "KeyboardInterrupt"),
    ("unspeakable", "Unspeakable"),
    ("unheard", "Unheard"),
    ("bottomless", "RecursionError"),
    ("cancels_itself", ""),
    ("text", "the answer breaks the schema"),
    ("no_json", "the answer breaks the schema"),
    ("circle", "the answer breaks the schema"),
    ("stops_the_loop", "Unheard"),
    ("other_time", "the clock says"),
    ("starts_threads", "twenty threads and no answer"),
]


@pytest.mark.parametrize(("mode", "told"), IN_PROCESS)
def test_a_gateway_in_this_process_that_misbehaves(mode: str, told: str, tmp_path: Path) -> None:
    operation = "clock/advance" if mode == "other_time" else "job/add"
    method = operation.replace("/", "_")
    began = time.monotonic()
    seconds = TIMEOUT_S if told == LATE else BUSY_S
    run = judge(f"python:tests.hostile.gateways:{mode}__{method}", operation, tmp_path, seconds)
    check(run, operation, told)
    assert time.monotonic() - began < PATIENCE_S
