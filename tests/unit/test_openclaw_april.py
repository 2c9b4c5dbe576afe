"""The OpenClaw target with a stand-in for 2026.4.5: signed connections, and its own way to each operation."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from pytest_cronsession.contract import Hello
from pytest_cronsession.outcomes import TargetError, TargetUsageError, UnsupportedOperation
from pytest_cronsession.schemas import message_problem
from pytest_cronsession.targets.openclaw import config, instance, package, rpc
from pytest_cronsession.targets.openclaw.device import Device, signed_text
from pytest_cronsession.targets.openclaw.gateway import OpenClawGateway
from pytest_cronsession.targets.openclaw.node import Node
from pytest_cronsession.targets.openclaw.package import Package, find_package
from pytest_cronsession.targets.openclaw.versions import dialect_for

from .test_openclaw_target import JOB, make_package, mode, use

HERE = Path(__file__).parent


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    monkeypatch.setattr(config, "_SHARED_TMP", tmp_path)
    root = make_package(tmp_path / "package", "2026.4.5")
    shutil.copy(HERE / "fake_april.py", root / "openclaw.mjs")
    shutil.copy(HERE / "fake_openclaw.py", root)
    return Package(root, "2026.4.5", Path(sys.executable))


# --- which version speaks what ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "protocol"),
    [("2026.4.5", 3), ("2026.3.28", 3), ("2026.9.6", 4), ("2027.1.1-beta.1", 4), ("nightly", 4)],
)
def test_dialect_of_a_version(version: str, protocol: int) -> None:
    assert dialect_for(version).protocol == protocol


def test_hello_names_what_this_version_has(fake: Package) -> None:
    said = OpenClawGateway(package=fake).initialize({"protocol": 1, "specRevision": 1})
    assert message_problem("initialize", "result", said) is None
    capabilities = Hello.parse(said).capabilities
    assert {"receipts", "store.seed"} <= capabilities
    assert not {"run.cancel", "job.revision"} & capabilities
    assert len(said["capabilities"]) == len(capabilities)


# --- the signed device --------------------------------------------------------------------------------------


def test_what_is_signed() -> None:
    connect = {
        "client": {"id": "gateway-client", "mode": "backend", "platform": " Python ", "deviceFamily": "Box"},
        "role": "operator",
        "auth": {"token": "secret"},
    }
    text = signed_text("abc", connect, ["a", "b"], 17, "n1")
    assert text == "v3|abc|gateway-client|backend|operator|a,b|17|secret|n1|python|box"


def test_two_devices_are_not_the_same() -> None:
    assert Device.new().id != Device.new().id


def test_a_connection_without_a_device_has_no_rights(
    fake: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instance.Device, "new", lambda: None)
    with pytest.raises(TargetError, match=r"gateway/start: .*missing scope: operator\.read"):
        use(fake, tmp_path / "s")


def test_a_gateway_without_a_challenge_is_named(fake: Package, tmp_path: Path) -> None:
    mode(fake, "mute")
    with pytest.raises(TargetError, match="its challenge cannot be signed: it lacks nonce and ts"):
        use(fake, tmp_path / "s")


def test_the_library_that_signs_is_asked_for_before_anything_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda n: None if n == "cryptography" else find(n))
    monkeypatch.setattr(package, "find_node", lambda: Node(Path(sys.executable), ()))
    with pytest.raises(TargetUsageError, match=r"library cryptography: pip install '.*\[openclaw\]'"):
        find_package("2026.4.5", None, tmp_path, lambda line: None)
    root = make_package(tmp_path / "here", "2026.4.5")
    with pytest.raises(TargetUsageError, match="library cryptography"):
        find_package(None, str(root), tmp_path, lambda line: None)
    newer = make_package(tmp_path / "newer", "2026.9.6")
    assert find_package(None, str(newer), tmp_path, lambda line: None).version == "2026.9.6"


# --- operations ---------------------------------------------------------------------------------------------


def test_operations(fake: Package, tmp_path: Path) -> None:
    added, changed, unknown, removed, again, listed = use(
        fake,
        tmp_path / "s",
        ("job_add", {"job": JOB}),
        ("job_update", {"id": "job1", "patch": {"session": {"target": "named", "name": "x"}}}),
        ("job_update", {"id": "none", "patch": {"name": "y"}}),
        ("job_remove", {"id": "job1"}),
        ("job_remove", {"id": "job1"}),
        ("job_list", {}),
    )
    assert added["job"]["id"] == "job1"
    assert changed["job"]["session"] == {"target": "named", "name": "x"}
    assert unknown == {
        "rejected": {"field": "id", "reason": "Error: unknown cron job id: none"},
    }
    assert (removed, again) == ({"removed": True}, {"removed": False})
    assert listed == {"jobs": []}


def test_a_time_out_cannot_be_taken_back(fake: Package, tmp_path: Path) -> None:
    changes = [("job_update", {"id": "job1", "patch": {"timeoutMs": limit}}) for limit in (2000, None)]
    with pytest.raises(UnsupportedOperation, match="OpenClaw has no word for timeoutMs: null"):
        use(fake, tmp_path / "s", ("job_add", {"job": JOB}), *changes)


def test_a_job_for_the_calling_session_is_not_announced(fake: Package, tmp_path: Path) -> None:
    job = {**JOB, "session": {"target": "current"}}
    context = {"session": {"target": "named", "name": "talk"}}
    _, stored = use(
        fake, tmp_path / "s", ("job_add", {"job": job, "context": context}), ("_jobs", "job/list")
    )
    assert (stored[0]["sessionKey"], stored[0]["delivery"]) == ("agent:main:talk", {"mode": "none"})


def test_runs_come_from_the_marks_on_the_jobs_and_the_history(fake: Package, tmp_path: Path) -> None:
    _, started, unknown, listed = use(
        fake,
        tmp_path / "s",
        ("job_add", {"job": JOB}),
        ("job_trigger", {"id": "job1", "mode": "force"}),
        ("job_trigger", {"id": "none", "mode": "force"}),
        ("run_list", {}),
    )
    assert started == {"started": True, "runId": None, "reason": None}
    assert unknown == {"started": False, "runId": None, "reason": "Error: unknown cron job id: none"}
    assert message_problem("run/list", "result", listed) is None
    assert {(r["id"], r["status"]) for r in listed["runs"]} == {("job1:1000", "ok"), ("job1:2000", "running")}


def test_a_run_cannot_be_cancelled(fake: Package, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedOperation, match="cannot cancel a run"):
        use(fake, tmp_path / "s", ("run_cancel", {"id": "job1:2000"}))


@pytest.mark.parametrize(("word", "reply"), [("good", "to agent:main:ABC"), ("failing", None)])
def test_a_human_turn_is_read_back(fake: Package, tmp_path: Path, word: str, reply: str | None) -> None:
    mode(fake, word)
    wish = {"session": {"target": "named", "name": "ABC"}, "text": "hi"}
    (sent,) = use(fake, tmp_path / "s", ("session_send", wish))
    failure = sent.pop("failure", None)
    assert sent == {"sessionKey": "agent:main:abc", "sessionId": "s1", "reply": reply}
    assert (failure is None) == (reply is not None)


def test_a_version_that_lacks_a_request_is_refused_at_the_start(fake: Package, tmp_path: Path) -> None:
    mode(fake, "other")
    with pytest.raises(
        TargetError, match=r"does not know chat\.history; tested are 2026\.4\.5 and 2026\.9\.6"
    ):
        use(fake, tmp_path / "s")


# --- config -------------------------------------------------------------------------------------------------


def written(tmp_path: Path, **wanted: Any) -> dict[str, Any]:
    params = {
        "stateDir": str(tmp_path),
        "modelUrl": "http://127.0.0.1:1/v1",
        "token": "secret",
        "hostZone": "UTC",
        "config": wanted,
    }
    launch = config.prepare(Package(Path("/package"), "2026.4.5", Path("/node")), params, 4711)
    assert launch.env["OPENCLAW_LOG_LEVEL"] == "warn"
    loaded: dict[str, Any] = json.loads((launch.state / "openclaw.json").read_text())
    return loaded


def test_config_has_no_word_that_this_version_does_not_know(tmp_path: Path) -> None:
    made = written(tmp_path)
    assert set(made) == {
        *("gateway", "agents", "models", "cron", "logging", "discovery", "update", "session", "plugins")
    }
    assert set(made["models"]) == {"mode", "providers"}
    assert set(made["models"]["providers"]["suite"]) == {"baseUrl", "apiKey", "api", "models"}
    assert made["plugins"] == {"entries": {"acpx": {"enabled": False}}}


def test_a_heartbeat_by_itself_has_nothing_to_do_and_events_have_one(tmp_path: Path) -> None:
    assert written(tmp_path)["agents"]["defaults"]["heartbeat"] == {"every": "576h"}
    lines = (tmp_path / "workspace" / "HEARTBEAT.md").read_text().splitlines()
    assert all(line.startswith("#") for line in lines)


def test_sessions_keep_their_id_beside_any_maintenance(tmp_path: Path) -> None:
    made = written(tmp_path, maintenance={"mode": "enforce", "maxEntries": 4})
    assert made["session"]["maintenance"] == {"mode": "enforce", "maxEntries": 4}
    assert made["session"]["reset"]["mode"] == "idle"
    assert written(tmp_path)["session"]["reset"]["idleMinutes"] > 366 * 24 * 60


def test_the_protocol_is_part_of_the_login() -> None:
    assert "secret" not in repr(rpc.Login(3, "secret", None))
