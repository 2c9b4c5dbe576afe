"""Installing one OpenClaw version with npm, once, into the cache.

npm works in a folder beside the final one, which is renamed only when it is complete: what lies at the
final place is always whole, whoever was interrupted.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout

from ...outcomes import TargetUsageError
from .node import EXTRA, Node
from .package import package_problem
from .process import ProcessGroup
from .provision import Provision, provision_for

TICK_S = 5.0
LIMIT_S = 1200.0
FLAGS = (
    "--omit=optional",
    "--no-audit",
    "--no-fund",
    "--ignore-scripts",
    "--no-progress",
    "--fetch-retries=2",
    "--fetch-retry-mintimeout=1000",
    "--fetch-retry-maxtimeout=5000",
    "--fetch-timeout=60000",
)
_VERSION = re.compile(r"\d+\.\d+\.\d+(?:[-+.][0-9A-Za-z.+-]+)?")
_ADDRESS = re.compile(
    r"\b(?:https?|git\+\w+)://\S+"
    r"|(?<=ENOTFOUND )\S+|(?<=EAI_AGAIN )\S+|(?<=ECONNREFUSED )\S+|(?<=ECONNRESET )\S+|(?<=ETIMEDOUT )\S+"
    r"|(?<=address: )\S+"
)
_NOISE = re.compile(r"^npm (?:error|warn)\s+(?:at |$|A complete log|Unknown \w+ config)")
_UNREACHABLE = re.compile(
    r"\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ERR_SOCKET_TIMEOUT|"
    r"UNABLE_TO_GET_ISSUER_CERT_LOCALLY|SELF_SIGNED_CERT_IN_CHAIN|E50[0234])\b|"
    r"network request to|network timeout|socket hang up"
)
_UNKNOWN = re.compile(r"\b(ETARGET|E404|notarget)\b", re.IGNORECASE)


class RegistryUnreachable(TargetUsageError):
    """npm could not reach its registry: the version may well exist."""


def install(version: str, cache: Path, node: Node, say: Callable[[str], None]) -> Path:
    """The package folder of that version below ``cache``, installed if it is not there yet.

    Raises :class:`TargetUsageError` with the end of npm's output, and what to do.
    """
    if not _VERSION.fullmatch(version):
        raise TargetUsageError(
            f"target openclaw@{version}: write an exact version, such as openclaw@2026.9.6"
        )
    home = cache / "openclaw"
    final = home / version
    root = final / "node_modules" / "openclaw"
    needed = provision_for(version)
    if _complete(final, needed):
        return root
    try:
        home.mkdir(parents=True, exist_ok=True)
        with _locked(home / f"{version}.lock", version, say):
            if not _complete(final, needed):
                _install(version, home, final, node, say)
    except OSError as error:
        raise TargetUsageError(
            f"target openclaw@{version}: cannot install below {home}: {error}; "
            "name a writable folder with --cronsession-cache"
        ) from error
    return root


def _complete(final: Path, needed: Provision) -> bool:
    return package_problem(final / "node_modules" / "openclaw") is None and needed.problem(final) is None


def _locked(path: Path, version: str, say: Callable[[str], None]) -> FileLock:
    """The lock of one version; held, it keeps other processes from installing the same."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
        lock.release()
    except Timeout:
        say(f"openclaw {version}: another process is installing it; waiting")
    return lock


def _install(version: str, home: Path, final: Path, node: Node, say: Callable[[str], None]) -> None:
    if not node.npm:
        raise TargetUsageError(f"target openclaw@{version}: there is no npm beside {node.binary}: {EXTRA}")
    started = time.monotonic()
    usual = provision_for(version).usual
    say(f"openclaw {version}: installing from npm into {final} (usually {usual})")
    for stale in home.glob(f"{version}.part-*"):
        # Of a process that was killed: whoever installs this version holds its lock.
        shutil.rmtree(stale, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{version}.part-", dir=home))
    try:
        _npm(version, folder, node, say, started)
        root = folder / "node_modules" / "openclaw"
        problem = package_problem(root)
        if problem is None and json.loads((root / "package.json").read_text("utf-8"))["version"] != version:
            problem = "npm installed another version"
        if problem:
            raise TargetUsageError(f"target openclaw@{version}: npm ended well, but {problem}; try again")
        # Only an incomplete folder can be in the way here: a complete one was found under the lock.
        shutil.rmtree(final, ignore_errors=True)
        folder.rename(final)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    say(f"openclaw {version}: installed in {time.monotonic() - started:.0f} s")


def _npm(version: str, folder: Path, node: Node, say: Callable[[str], None], started: float) -> None:
    """Run npm in ``folder``, saying every few seconds that it is still at it."""
    manifest = provision_for(version).manifest(version)
    (folder / "package.json").write_text(json.dumps(manifest, indent=2) + "\n", "utf-8")
    log = folder / "npm.log"
    command = [*node.npm, "install", *FLAGS, f"openclaw@{version}"]
    try:
        process = ProcessGroup(command, os.environ, folder, log)
    except OSError as error:
        raise TargetUsageError(f"target openclaw@{version}: npm cannot be run: {error}: {EXTRA}") from error
    try:
        while (code := process.wait(TICK_S)) is None:
            elapsed = time.monotonic() - started
            if elapsed > LIMIT_S:
                raise TargetUsageError(
                    f"target openclaw@{version}: npm did not end within {LIMIT_S:g} s\n{_tail(log)}"
                )
            say(f"openclaw {version}: still installing, {elapsed:.0f} s")
    finally:
        process.kill()
    if code != 0:
        raise failure(version, code, _tail(log))


def failure(version: str, code: int, output: str) -> TargetUsageError:
    """What a failed npm means for the user, from the end of its output."""
    said = f"target openclaw@{version}: npm install ended with code {code}"
    if _UNREACHABLE.search(output):
        return RegistryUnreachable(
            f"{said}: its registry could not be reached; check the network and npm's configuration, "
            f"or name an installed package with openclaw:FOLDER\n{output}"
        )
    if _UNKNOWN.search(output):
        return TargetUsageError(f"{said}: there is no such version; tested is openclaw@2026.9.6\n{output}")
    return TargetUsageError(f"{said}; try again, or name an installed package with openclaw:FOLDER\n{output}")


def _tail(log: Path, lines: int = 15) -> str:
    said = log.read_text("utf-8", errors="replace").splitlines()
    return scrub("\n".join([line for line in said if not _NOISE.match(line)][-lines:]))


def scrub(text: str) -> str:
    """``text`` without addresses: a private registry's may hold a secret."""
    return _ADDRESS.sub("<address>", text)
