"""From ``KIND[@VERSION][:VALUE]`` to something that can be opened.

Kinds: ``reference``, ``python:pkg.mod:factory``, ``stdio:COMMAND``, ``openclaw[@VERSION][:/path]``, and the
names that installed packages register in the entry-point group ``cronsession.targets``.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from ..outcomes import TargetUsageError

GROUP = "cronsession.targets"
KINDS: Mapping[str, str] = {
    "reference": "the reference implementation, in process",
    "python:pkg.mod:factory": "a gateway object in this process; the factory takes no arguments",
    "stdio:COMMAND": "a program that speaks JSON-RPC 2.0 on its standard streams (specs/protocol.md)",
    "openclaw[@VERSION][:/path/to/package]": "a real OpenClaw: on PATH, installed by version, or a folder",
}


@dataclass(frozen=True)
class TargetSpec:
    """A parsed target. ``openclaw@2026.9.6`` has kind ``openclaw`` and version ``2026.9.6``."""

    text: str
    kind: str
    version: str | None = None
    value: str | None = None


def parse_target(text: str) -> TargetSpec:
    """Parse; raise :class:`TargetUsageError` for an unknown kind or a part that is missing."""
    head, colon, value = text.partition(":")
    kind, at, version = head.partition("@")
    if (at and not version) or (colon and not value.strip()):
        gap = f"nothing after {'@' if at and not version else ':'!r}"
        raise TargetUsageError(f"target {text!r}: {gap}; write it as {_spelling(kind)}")
    spec = TargetSpec(text, kind, version or None, value or None)
    if kind in ("python", "stdio") and not value:
        raise TargetUsageError(f"target {text!r}: write it as {_spelling(kind)}")
    if kind in ("python", "stdio", "reference") and version:
        raise TargetUsageError(f"target {text!r}: kind {kind!r} has no version")
    if kind == "reference" and value:
        raise TargetUsageError(f"target {text!r}: kind 'reference' takes no value")
    if kind not in ("reference", "python", "stdio", "openclaw", *_registered()):
        raise TargetUsageError(_unknown_kind(text, kind))
    return spec


def _spelling(kind: str) -> str:
    """How a target of this kind is written; for a kind that is not ours, in general."""
    return next((k for k in KINDS if kind and k.startswith(kind)), "KIND[@VERSION][:VALUE]")


def _registered() -> dict[str, Any]:
    return {e.name: e for e in entry_points(group=GROUP)}


def list_kinds() -> str:
    """The kinds, one a line, for the user."""
    rows = dict(KINDS) | {name: f"registered by {e.value}" for name, e in _registered().items()}
    width = max(map(len, rows))
    return "\n".join(f"  {kind:<{width}}  {text}" for kind, text in rows.items())


def _unknown_kind(text: str, kind: str) -> str:
    names = ["reference", "python", "stdio", "openclaw", *_registered()]
    near = difflib.get_close_matches(kind.lower(), names, n=1)
    hint = ""
    if os.sep in kind:
        # "--cronsession-target tests" reads its value from the next word.
        hint = f"; a path is no target: write --cronsession-target=KIND {text}"
    elif "." in kind:
        hint = f"; for a Python factory write python:{text}" + ("" if ":" in text else ":FACTORY")
    elif near:
        hint = f"; did you mean {near[0]!r}?"
    elif text and Path(text).exists():
        hint = f"; a path is no target: write --cronsession-target=KIND {text}"
    return f"unknown target kind {kind!r} in {text!r}{hint}\nkinds:\n{list_kinds()}"


@dataclass(frozen=True)
class Target:
    """A target that is ready to be opened, many times and from several processes.

    ``costly``: a run takes seconds and a boot tens of them, so worlds are kept and examples are few.
    """

    spec: TargetSpec
    transport: str
    opener: Callable[[], Any] = field(repr=False)
    prepare: Callable[[Callable[[str], None]], None] = field(default=lambda say: None, repr=False)
    timeouts: Mapping[str, float] = field(default_factory=dict)
    costly: bool = False

    @property
    def spec_text(self) -> str:
        return self.spec.text

    @property
    def label(self) -> str:
        return self.spec.text

    def open(self) -> Any:
        """A new :class:`~pytest_cronsession.channel.Channel` to a new instance."""
        return self.opener()


def resolve_target(spec: TargetSpec, *, cache: Path) -> Target:
    """Find what the target names; raise :class:`TargetUsageError` saying what to write instead."""
    if spec.kind == "reference":
        return _in_process(spec, _import_factory("cronsession_reference:Gateway", spec.text))
    if spec.kind == "python":
        return _in_process(spec, _import_factory(spec.value or "", spec.text))
    if spec.kind == "stdio":
        return _command(spec)
    if spec.kind == "openclaw":
        return _openclaw(spec, cache)
    return _entry_point(spec, cache)


def _in_process(spec: TargetSpec, factory: Callable[[], Any], transport: str = "python") -> Target:
    def opener() -> Any:
        from ..channel import PythonChannel

        return PythonChannel(factory, spec.text)

    return Target(spec, transport, opener)


def _import_factory(path: str, text: str) -> Callable[[], Any]:
    module_name, colon, attribute = path.partition(":")
    if not colon or not module_name or not attribute:
        raise TargetUsageError(f"target {text!r}: write the factory as python:package.module:factory")
    # pytest leaves the current folder out of sys.path; a vendor's adapter usually lies there.
    here = os.getcwd()
    if here not in sys.path:
        sys.path.append(here)
    try:
        found: Any = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        raise TargetUsageError(
            f"target {text!r}: importing {module_name!r} failed: {type(error).__name__}: {error}"
            f"\nrun pytest where {module_name!r} can be imported, or set PYTHONPATH"
        ) from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            near = difflib.get_close_matches(part, dir(found), n=3)
            names = f"; it has {', '.join(near)}" if near else ""
            raise TargetUsageError(f"target {text!r}: {module_name!r} has no {attribute!r}{names}")
        found = getattr(found, part)
    if not callable(found):
        raise TargetUsageError(
            f"target {text!r}: {attribute!r} is a {type(found).__name__}, not a factory (a callable without arguments)"
        )
    factory: Callable[[], Any] = found
    return factory


def _command(spec: TargetSpec) -> Target:
    try:
        command = shlex.split(spec.value or "")
    except ValueError as error:
        raise TargetUsageError(f"target {spec.text!r}: the command cannot be read: {error}") from error
    program = shutil.which(command[0]) if command else None
    if program is None:
        name = command[0] if command else ""
        if name and Path(name).is_file():
            raise TargetUsageError(
                f"target {spec.text!r}: {name!r} is not executable; "
                "name its interpreter first, or make it executable"
            )
        raise TargetUsageError(
            f"target {spec.text!r}: command not found: {name!r}; give a path, or put it on PATH"
        )

    def opener() -> Any:
        from ..stdio import StdioChannel

        return StdioChannel([program, *command[1:]])

    return Target(spec, "stdio", opener)


def _openclaw(spec: TargetSpec, cache: Path) -> Target:
    """The package is looked for in ``prepare``, where progress can be shown."""
    found: dict[str, Any] = {}

    def prepare(say: Callable[[str], None]) -> None:
        from .openclaw.package import find_package

        found["package"] = find_package(spec.version, spec.value, cache, say)

    def opener() -> Any:
        from ..channel import PythonChannel
        from .openclaw.gateway import OpenClawGateway

        if not found:
            prepare(lambda line: None)
        return PythonChannel(lambda: OpenClawGateway(package=found["package"]), spec.text)

    slow = {"gateway/start": 180.0, "job/add": 120.0, "session/send": 120.0, "gateway/stop": 60.0}
    slow |= {"clock/advance": 400.0, "clock/jump": 200.0}
    return Target(spec, "adapter", opener, prepare, slow, costly=True)


def _entry_point(spec: TargetSpec, cache: Path) -> Target:
    """A registered factory gets what it asks for by name: ``version``, ``value``, ``cache``."""
    entry = _registered()[spec.kind]
    try:
        factory = entry.load()
    except (Exception, SystemExit) as error:
        raise TargetUsageError(
            f"target {spec.text!r}: loading {entry.value!r} failed: {type(error).__name__}: {error}"
        ) from error
    if not callable(factory):
        kind = type(factory).__name__
        raise TargetUsageError(
            f"target {spec.text!r}: {entry.value!r} is a {kind}, not a factory (a callable that makes a gateway)"
        )
    offered = {"version": spec.version, "value": spec.value, "cache": cache}
    asked = inspect.signature(factory).parameters
    unused = [k for k in ("version", "value") if offered[k] is not None and k not in asked]
    if unused:
        raise TargetUsageError(f"target {spec.text!r}: {spec.kind!r} takes no {' and no '.join(unused)}")
    chosen = {k: v for k, v in offered.items() if k in asked}
    return _in_process(spec, lambda: factory(**chosen))
