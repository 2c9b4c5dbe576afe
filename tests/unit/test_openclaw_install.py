"""Which OpenClaw a target names, which Node runs it, and how it is installed."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from pytest_cronsession.outcomes import TargetUsageError
from pytest_cronsession.targets.openclaw import install, node, package, provision
from pytest_cronsession.targets.openclaw.install import RegistryUnreachable
from pytest_cronsession.targets.openclaw.node import Node
from pytest_cronsession.targets.openclaw.package import Package, find_package


def silent(line: str) -> None:
    """Say nothing."""


# --- finding the package ------------------------------------------------------------------------------------

NODE = Node(Path(sys.executable), ())


def make_package(root: Path, version: str = "2026.9.6", name: str = "openclaw") -> Path:
    root.mkdir(parents=True)
    (root / "package.json").write_text(json.dumps({"name": name, "version": version}))
    (root / "openclaw.mjs").write_text("")
    return root


@pytest.fixture
def found_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package, "find_node", lambda: NODE)


@pytest.mark.usefixtures("found_node")
class TestFindPackage:
    @pytest.mark.parametrize("below", ["", "node_modules/openclaw"])
    def test_folder(self, tmp_path: Path, below: str) -> None:
        root = make_package(tmp_path / "here" / below)
        found = find_package(None, str(tmp_path / "here"), tmp_path, silent)
        assert found == Package(
            root, "2026.9.6", Path(sys.executable), compiled=tmp_path / "openclaw" / "compiled"
        )

    def test_command_on_path(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        root = make_package(tmp_path / "lib" / "node_modules" / "openclaw", "2026.4.5")
        (root / "openclaw.mjs").chmod(0o755)
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "openclaw").symlink_to(root / "openclaw.mjs")
        monkeypatch.setenv("PATH", str(tmp_path / "bin"))
        assert find_package(None, None, tmp_path, silent).version == "2026.4.5"

    def test_no_command_on_path(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(TargetUsageError, match=r"no command openclaw on PATH.*openclaw@2026\.9\.6"):
            find_package(None, None, tmp_path, silent)

    def test_command_outside_a_package(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "openclaw").write_text("")
        (tmp_path / "openclaw").chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(TargetUsageError, match="does not lie in an npm package"):
            find_package(None, None, tmp_path, silent)

    def test_missing_folder(self, tmp_path: Path) -> None:
        with pytest.raises(TargetUsageError, match="there is no such folder"):
            find_package(None, str(tmp_path / "none"), tmp_path, silent)

    @pytest.mark.parametrize(
        ("manifest", "message"),
        [
            (None, r"package\.json cannot be read"),
            ("{", r"package\.json is not JSON"),
            ('{"name": "other"}', "names 'other'"),
            ("[]", "not 'openclaw'"),
            ('{"name": "openclaw"}', "has no version"),
            ('{"name": "openclaw", "version": "1.0.0"}', r"openclaw\.mjs is missing"),
        ],
    )
    def test_folder_without_package(self, tmp_path: Path, manifest: str | None, message: str) -> None:
        if manifest is not None:
            (tmp_path / "package.json").write_text(manifest)
        with pytest.raises(TargetUsageError, match=message):
            find_package(None, str(tmp_path), tmp_path, silent)

    def test_version_and_folder(self, tmp_path: Path) -> None:
        with pytest.raises(TargetUsageError, match="not both"):
            find_package("2026.9.6", str(tmp_path), tmp_path, silent)


@pytest.mark.parametrize(
    ("text", "version"),
    [("v24.19.0\n", (24, 19, 0)), ("24.16.1", (24, 16, 1)), ("nonsense", None), ("", None)],
)
def test_version_parsing(text: str, version: tuple[int, ...] | None) -> None:
    assert node.parse_version(text) == version


def scripted_node(folder: Path, version: str) -> Path:
    binary = folder / "node"
    binary.write_text(f"#!/bin/sh\necho {version}\n")
    binary.chmod(0o755)
    return binary


def test_node_on_path_is_used_when_new_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    binary = scripted_node(tmp_path, "v24.16.0")
    assert node.find_node() == Node(binary, ())


def test_an_old_node_is_refused_with_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    scripted_node(tmp_path, "v24.15.9")
    with pytest.raises(
        TargetUsageError, match=r"24\.16 or newer \(.* is 24\.15\.9\): pip install '.*\[openclaw\]'"
    ):
        node.find_node()


def test_no_node_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TargetUsageError, match="there is no node on PATH"):
        node.find_node()


# --- installing ---------------------------------------------------------------------------------------------

NPM = """
import json, os, pathlib, sys
mode, version = os.environ["FAKE_NPM"], sys.argv[-1].removeprefix("openclaw@")
here = pathlib.Path.cwd()
(here / "ran").touch()
if mode == "slow":
    while not pathlib.Path(os.environ["FAKE_GO"]).exists():
        pass
root = here / "node_modules" / "openclaw"
root.mkdir(parents=True)
shown = "0.0.1" if mode == "wrong" else version
(root / "package.json").write_text(json.dumps({"name": "openclaw", "version": shown}))
if mode == "fail":
    print("npm error code " + os.environ["FAKE_CODE"])
    print("npm error request to https://user:pw@registry.example/openclaw failed")
    sys.exit(1)
if mode != "half":
    (root / "openclaw.mjs").write_text("")
"""


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    script = tmp_path / "npm.py"
    script.write_text(NPM)
    monkeypatch.setenv("FAKE_NPM", "good")
    return Node(Path(sys.executable), (sys.executable, str(script)))


def left(cache: Path) -> list[str]:
    return sorted(p.name for p in (cache / "openclaw").iterdir() if p.suffix != ".lock")


def test_install_once(tmp_path: Path, npm: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    root = install.install("2026.9.6", tmp_path / "c", npm, said.append)
    assert root == tmp_path / "c" / "openclaw" / "2026.9.6" / "node_modules" / "openclaw"
    assert package.read_package(root, npm).version == "2026.9.6"
    assert "installing from npm" in said[0]
    assert "installed in" in said[-1]
    assert left(tmp_path / "c") == ["2026.9.6"]
    monkeypatch.setenv("FAKE_NPM", "fail")  # would fail if npm ran again
    assert install.install("2026.9.6", tmp_path / "c", npm, said.append) == root


@pytest.mark.parametrize(
    ("mode", "message"),
    [("half", r"openclaw\.mjs is missing"), ("wrong", "another version"), ("fail", "code 1")],
)
def test_nothing_incomplete_is_left(
    tmp_path: Path, npm: Node, monkeypatch: pytest.MonkeyPatch, mode: str, message: str
) -> None:
    monkeypatch.setenv("FAKE_NPM", mode)
    monkeypatch.setenv("FAKE_CODE", "EWHATEVER")
    with pytest.raises(TargetUsageError, match=message):
        install.install("2026.9.6", tmp_path / "c", npm, silent)
    assert left(tmp_path / "c") == []


def test_an_incomplete_folder_is_replaced(tmp_path: Path, npm: Node) -> None:
    stale = tmp_path / "c" / "openclaw" / "2026.9.6" / "node_modules" / "openclaw"
    stale.mkdir(parents=True)
    (stale / "rubbish").touch()
    root = install.install("2026.9.6", tmp_path / "c", npm, silent)
    assert not (root / "rubbish").exists()
    assert package.package_problem(root) is None


def test_what_a_killed_process_left_is_swept(
    tmp_path: Path, npm: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had no time to do so itself, and the folder may hold hundreds of megabytes."""
    home = tmp_path / "c" / "openclaw"
    (home / "2026.9.6.part-abc" / "node_modules").mkdir(parents=True)
    (home / "2026.4.5.part-abc").mkdir()  # somebody may be installing that just now
    monkeypatch.setenv("FAKE_NPM", "fail")
    monkeypatch.setenv("FAKE_CODE", "ENOTFOUND")
    with pytest.raises(RegistryUnreachable):
        install.install("2026.9.6", tmp_path / "c", npm, silent)
    assert left(tmp_path / "c") == ["2026.4.5.part-abc"]


def test_npm_ends_with_the_process_that_asked_for_it(tmp_path: Path) -> None:
    """Also when that is killed: npm would go on for a minute, in a folder that nobody sweeps any more."""
    script = tmp_path / "hanging.py"
    script.write_text("import time\ntime.sleep(600)")
    asked = subprocess.Popen(
        [sys.executable, "-c", ASKS, str(tmp_path / "c"), sys.executable, str(script)],
        stdout=subprocess.PIPE,
    )
    assert asked.stdout is not None
    pid = int(asked.stdout.readline())
    asked.kill()
    asked.wait()
    asked.stdout.close()
    limit = time.monotonic() + 20
    while _lives(pid):
        assert time.monotonic() < limit, "npm goes on"


def _lives(pid: int) -> bool:
    """Whether there is such a process, and it is more than the entry of one that ended."""
    said = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout
    return bool(said.strip()) and not said.startswith("Z")


ASKS = """
import sys
from pathlib import Path
from pytest_cronsession.targets.openclaw import install, process
from pytest_cronsession.targets.openclaw.node import Node

class Told(process.ProcessGroup):
    def __init__(self, *given):
        super().__init__(*given)
        print(self.pid, flush=True)

install.ProcessGroup = Told
cache, python, script = sys.argv[1:]
install.install("2026.9.6", Path(cache), Node(Path(python), (python, script)), lambda line: None)
"""


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        ("ENOTFOUND", RegistryUnreachable, "could not be reached"),
        ("ECONNREFUSED", RegistryUnreachable, "could not be reached"),
        ("ETARGET", TargetUsageError, "no such version"),
        ("E403", TargetUsageError, "try again"),
    ],
)
def test_what_npm_said(
    tmp_path: Path,
    npm: Node,
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    kind: type[TargetUsageError],
    message: str,
) -> None:
    monkeypatch.setenv("FAKE_NPM", "fail")
    monkeypatch.setenv("FAKE_CODE", code)
    with pytest.raises(TargetUsageError, match=message) as caught:
        install.install("2026.9.6", tmp_path / "c", npm, silent)
    assert type(caught.value) is kind
    assert f"npm error code {code}" in str(caught.value)
    assert "registry.example" not in str(caught.value)


def test_progress_while_npm_works(tmp_path: Path, npm: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    go = tmp_path / "go"
    monkeypatch.setenv("FAKE_NPM", "slow")
    monkeypatch.setenv("FAKE_GO", str(go))
    monkeypatch.setattr(install, "TICK_S", 0.01)

    def say(line: str) -> None:
        if "still installing" in line:
            go.touch()

    install.install("2026.9.6", tmp_path / "c", npm, say)
    assert go.exists()


def test_two_processes_install_once(tmp_path: Path, npm: Node) -> None:
    home = tmp_path / "c" / "openclaw"
    home.mkdir(parents=True)
    waiting = threading.Event()
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        waiting.set()

    with FileLock(home / "2026.9.6.lock"):
        thread = threading.Thread(target=install.install, args=("2026.9.6", tmp_path / "c", npm, say))
        thread.start()
        assert waiting.wait(10)
        make_package(home / "2026.9.6" / "node_modules" / "openclaw")
    thread.join(10)
    assert not thread.is_alive()
    assert said == ["openclaw 2026.9.6: another process is installing it; waiting"]
    assert not (home / "2026.9.6" / "ran").exists()


@pytest.mark.parametrize("version", ["latest", "2026", "2026.9.6 --evil", "../x"])
def test_only_exact_versions(tmp_path: Path, npm: Node, version: str) -> None:
    with pytest.raises(TargetUsageError, match="exact version"):
        install.install(version, tmp_path, npm, silent)


def test_no_npm(tmp_path: Path) -> None:
    with pytest.raises(TargetUsageError, match="there is no npm beside"):
        install.install("2026.9.6", tmp_path, NODE, silent)


def test_unwritable_cache(tmp_path: Path, npm: Node) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TargetUsageError, match=r"cannot install below .*--cronsession-cache"):
        install.install("2026.9.6", tmp_path / "file", npm, silent)


# --- what is installed beside a version ---------------------------------------------------------------------


def manifest(folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((folder / "package.json").read_text())
    return loaded


def test_a_version_gets_what_its_plugins_need(tmp_path: Path, npm: Node) -> None:
    said: list[str] = []
    root = install.install("2026.4.5", tmp_path / "c", npm, said.append)
    asked = manifest(root.parents[1])
    assert asked["overrides"] == {"linkedom": "0.18.12"}
    assert asked["dependencies"]["openclaw"] == "2026.4.5"
    assert asked["dependencies"]["zca-js"] == "2.1.2"
    assert "820 MB" in said[0]


def test_a_version_without_an_entry_gets_nothing_beside_it(tmp_path: Path, npm: Node) -> None:
    root = install.install("2026.9.6", tmp_path / "c", npm, silent)
    assert manifest(root.parents[1]) == {"private": True, "dependencies": {"openclaw": "2026.9.6"}}


@pytest.mark.parametrize(
    "found",
    [None, "{", "[]", '{"dependencies": {"openclaw": "2026.4.5"}}', '{"overrides": {"linkedom": "0.18.12"}}'],
)
def test_a_folder_that_lacks_what_is_needed_is_replaced(tmp_path: Path, npm: Node, found: str | None) -> None:
    final = tmp_path / "c" / "openclaw" / "2026.4.5"
    make_package(final / "node_modules" / "openclaw", "2026.4.5")
    if found is not None:
        (final / "package.json").write_text(found)
    install.install("2026.4.5", tmp_path / "c", npm, silent)
    assert (final / "ran").exists()
    (final / "ran").unlink()
    install.install("2026.4.5", tmp_path / "c", npm, silent)
    assert not (final / "ran").exists()


@pytest.mark.parametrize(
    ("version", "needed"), [("2026.4.0", True), ("2026.4.29", True), ("2026.5.0", False), ("2026.3.9", False)]
)
def test_the_range_of_an_entry(version: str, needed: bool) -> None:
    assert bool(provision.provision_for(version).dependencies) is needed
