"""Which OpenClaw package a target names: on PATH, a folder, or a version to install."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ...outcomes import TargetUsageError
from .device import need_cryptography
from .node import EXTRA, Node, find_node
from .versions import dialect_for

TESTED_VERSIONS = ("2026.4.5", "2026.9.6")
ENTRY = "openclaw.mjs"


@dataclass(frozen=True)
class Package:
    """An installed OpenClaw: its npm package folder, its version, and the Node binary to run it with.

    ``compiled`` is where Node keeps what it compiled for the next boot; without one each gateway keeps
    its own, below its state folder, for nothing.
    """

    root: Path
    version: str
    node: Path
    compiled: Path | None = None


def find_package(version: str | None, value: str | None, cache: Path, say: Callable[[str], None]) -> Package:
    """Find or install the package that ``openclaw[@VERSION][:FOLDER]`` names.

    ``say`` gets a line now and then while something is installed below ``cache``. Raises
    :class:`TargetUsageError`, and :class:`.install.RegistryUnreachable` where only the network is at fault.
    """
    if version is not None and value is not None:
        raise TargetUsageError(
            "openclaw takes a version or a folder, not both: openclaw@VERSION or openclaw:FOLDER"
        )
    _need_websockets()
    node = find_node()
    if version is not None:
        from .install import install

        _need_signing(version)
        package = read_package(install(version, cache, node, say), node)
    else:
        package = read_package(_folder(value) if value is not None else _on_path(), node)
        _need_signing(package.version)
    return replace(package, compiled=cache / "openclaw" / "compiled")


def read_package(root: Path, node: Node) -> Package:
    """The package in ``root``; :class:`TargetUsageError` if that folder holds no OpenClaw."""
    problem = package_problem(root)
    if problem:
        raise TargetUsageError(f"{root} is no OpenClaw package: {problem}")
    version = str(json.loads((root / "package.json").read_text("utf-8"))["version"])
    return Package(root.resolve(), version, node.binary)


def package_problem(root: Path) -> str | None:
    """Why ``root`` is not a complete OpenClaw package, or None if it is one."""
    try:
        manifest = json.loads((root / "package.json").read_text("utf-8"))
    except OSError as error:
        return f"package.json cannot be read ({error.strerror or error})"
    except ValueError as error:
        return f"package.json is not JSON ({error})"
    if not isinstance(manifest, dict) or manifest.get("name") != "openclaw":
        name = manifest.get("name") if isinstance(manifest, dict) else manifest
        return f"its package.json names {name!r}, not 'openclaw'"
    if not isinstance(manifest.get("version"), str):
        return "its package.json has no version"
    return None if (root / ENTRY).is_file() else f"{ENTRY} is missing (not installed completely?)"


def _folder(value: str) -> Path:
    folder = Path(value).expanduser()
    inner = folder / "node_modules" / "openclaw"
    if not folder.is_dir():
        raise TargetUsageError(
            f"target openclaw:{value}: there is no such folder; give the npm package folder of OpenClaw, "
            "or the folder whose node_modules holds it"
        )
    return inner if inner.is_dir() else folder


def _on_path() -> Path:
    command = shutil.which("openclaw")
    if command is None:
        raise TargetUsageError(
            "target openclaw: there is no command openclaw on PATH; name a folder with openclaw:FOLDER, "
            f"or have a version installed with openclaw@{TESTED_VERSIONS[-1]}"
        )
    # npm puts a link on PATH that points into the package.
    real = Path(command).resolve()
    for folder in real.parents:
        if package_problem(folder) is None:
            return folder
    raise TargetUsageError(
        f"target openclaw: {command} (really {real}) does not lie in an npm package of OpenClaw; "
        "name the package folder with openclaw:FOLDER"
    )


def _need_signing(version: str) -> None:
    if dialect_for(version).signed:
        need_cryptography()


def _need_websockets() -> None:
    if importlib.util.find_spec("websockets") is None:
        raise TargetUsageError(f"the target openclaw needs the library websockets: {EXTRA}")
