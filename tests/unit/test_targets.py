"""From what a user wrote to a target; whatever is wrong with it is said in one message that helps."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pytest_cronsession import targets
from pytest_cronsession.channel import PythonChannel
from pytest_cronsession.outcomes import TargetError, TargetUsageError
from pytest_cronsession.stdio import StdioChannel
from pytest_cronsession.targets import KINDS, Target, TargetSpec, list_kinds, parse_target, resolve_target


@dataclass(frozen=True)
class FakeEntry:
    """An entry point of an installed package."""

    name: str
    value: str
    loaded: Any

    def load(self) -> Any:
        if isinstance(self.loaded, BaseException):
            raise self.loaded
        return self.loaded


Register = Callable[..., None]


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Register:
    """Pretend that an installed package registers a kind."""

    def registered(name: str, loaded: Any, value: str = "house.adapter:make") -> None:
        def entry_points(*, group: str) -> list[FakeEntry]:
            return [FakeEntry(name, value, loaded)] if group == "cronsession.targets" else []

        monkeypatch.setattr(targets, "entry_points", entry_points)

    return registered


@pytest.fixture
def adapters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with vendors' modules, which is the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "good_adapter.py").write_text(
        "class Gateway:\n    def initialize(self, params):\n        return {}\n\nfactories = type('F', (), {'one': Gateway})\n"
        "number = 7\n"
    )
    (tmp_path / "broken_adapter.py").write_text("import no_such_module_anywhere\n")
    (tmp_path / "wrong_adapter.py").write_text("def make(:\n")
    (tmp_path / "exiting_adapter.py").write_text("raise SystemExit(3)\n")
    yield tmp_path
    for module in tmp_path.glob("*.py"):
        sys.modules.pop(module.stem, None)


OPENCLAW = next(kind for kind in KINDS if kind.startswith("openclaw"))


def problem(text: str, cache: Path | None = None) -> str:
    """What is said about a target that cannot be used."""
    with pytest.raises(TargetUsageError) as caught:
        resolve_target(parse_target(text), cache=cache or Path("unused"))
    return str(caught.value)


def resolved(text: str) -> Target:
    return resolve_target(parse_target(text), cache=Path("unused"))


# --- parsing ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind", "version", "value"),
    [
        ("reference", "reference", None, None),
        ("python:a.b:c", "python", None, "a.b:c"),
        ("stdio:node gw.js --port=1:2 user@host", "stdio", None, "node gw.js --port=1:2 user@host"),
        ("openclaw", "openclaw", None, None),
        ("openclaw@2026.9.6", "openclaw", "2026.9.6", None),
        ("openclaw:/opt/openclaw@beta", "openclaw", None, "/opt/openclaw@beta"),
        ("openclaw@2026.9.6:/opt/openclaw", "openclaw", "2026.9.6", "/opt/openclaw"),
    ],
)
def test_targets_that_can_be_read(text: str, kind: str, version: str | None, value: str | None) -> None:
    assert parse_target(text) == TargetSpec(text, kind, version, value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("python", "target 'python': write it as python:pkg.mod:factory"),
        ("stdio", "target 'stdio': write it as stdio:COMMAND"),
        ("python:", "target 'python:': nothing after ':'; write it as python:pkg.mod:factory"),
        ("stdio: ", "target 'stdio: ': nothing after ':'; write it as stdio:COMMAND"),
        ("openclaw@", f"target 'openclaw@': nothing after '@'; write it as {OPENCLAW}"),
        ("openclaw@:/opt", f"target 'openclaw@:/opt': nothing after '@'; write it as {OPENCLAW}"),
        ("openclaw:", f"target 'openclaw:': nothing after ':'; write it as {OPENCLAW}"),
        ("python@3:a:b", "target 'python@3:a:b': kind 'python' has no version"),
        ("stdio@1:node", "target 'stdio@1:node': kind 'stdio' has no version"),
        ("reference@1", "target 'reference@1': kind 'reference' has no version"),
        ("reference:x", "target 'reference:x': kind 'reference' takes no value"),
    ],
)
def test_parts_that_are_missing_or_too_many(text: str, message: str) -> None:
    assert problem(text) == message


@pytest.mark.parametrize(
    ("text", "first_line"),
    [
        ("refrence", "unknown target kind 'refrence' in 'refrence'; did you mean 'reference'?"),
        ("opnclaw@2026.9.6", "unknown target kind 'opnclaw' in 'opnclaw@2026.9.6'; did you mean 'openclaw'?"),
        ("Python:a:b", "unknown target kind 'Python' in 'Python:a:b'; did you mean 'python'?"),
        (
            "my.gateway:make",
            "unknown target kind 'my.gateway' in 'my.gateway:make'; for a Python factory write python:my.gateway:make",
        ),
        (
            "my.gateway",
            "unknown target kind 'my.gateway' in 'my.gateway'; for a Python factory write python:my.gateway:FACTORY",
        ),
        ("REFERENCE", "unknown target kind 'REFERENCE' in 'REFERENCE'; did you mean 'reference'?"),
        (
            "../tests",
            "unknown target kind '../tests' in '../tests'; a path is no target: write --cronsession-target=KIND ../tests",
        ),
        ("xyzzy", "unknown target kind 'xyzzy' in 'xyzzy'"),
        ("", "unknown target kind '' in ''"),
    ],
)
def test_unknown_kinds_get_the_nearest_and_the_list(text: str, first_line: str) -> None:
    lines = problem(text).splitlines()
    assert lines[:2] == [first_line, "kinds:"]
    assert [line.split()[0] for line in lines[2:]] == list(KINDS)


# --- python -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["python:good_adapter:Gateway", "python:good_adapter:factories.one"])
def test_a_factory_in_the_current_folder(adapters: Path, text: str) -> None:
    target = resolved(text)
    assert (target.transport, target.spec_text, target.label) == ("python", text, text)
    assert dict(target.timeouts) == {}
    target.prepare(lambda line: None)
    first, second = target.open(), target.open()
    try:
        assert isinstance(first, PythonChannel)
        assert first is not second
    finally:
        first.close()
        second.close()


@pytest.mark.parametrize("value", ["good_adapter", "good_adapter:", ":Gateway"])
def test_half_a_factory(adapters: Path, value: str) -> None:
    assert problem(f"python:{value}") == (
        f"target 'python:{value}': write the factory as python:package.module:factory"
    )


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("no_adapter", "ModuleNotFoundError: No module named 'no_adapter'"),
        ("good_adapter.sub", "ModuleNotFoundError: No module named 'good_adapter.sub'"),
        ("broken_adapter", "ModuleNotFoundError: No module named 'no_such_module_anywhere'"),
        ("wrong_adapter", "SyntaxError: invalid syntax"),
        ("exiting_adapter", "SystemExit: 3"),
        (".relative", "TypeError: "),
    ],
)
def test_a_module_that_cannot_be_imported(adapters: Path, module: str, said: str) -> None:
    text = f"python:{module}:make"
    message = problem(text)
    assert message.startswith(f"target {text!r}: importing {module!r} failed: {said}")
    assert message.endswith(f"run pytest where {module!r} can be imported, or set PYTHONPATH")


def test_a_module_without_the_factory(adapters: Path) -> None:
    text = "python:good_adapter:Gatewey"
    assert problem(text) == f"target {text!r}: 'good_adapter' has no 'Gatewey'; it has Gateway"
    text = "python:good_adapter:factories.two"
    assert problem(text) == f"target {text!r}: 'good_adapter' has no 'factories.two'"


def test_something_that_is_no_factory(adapters: Path) -> None:
    text = "python:good_adapter:number"
    assert problem(text) == (
        f"target {text!r}: 'number' is a int, not a factory (a callable without arguments)"
    )


def test_the_reference_is_a_gateway_in_this_process() -> None:
    target = resolved("reference")
    assert (target.transport, target.label) == ("python", "reference")


# --- stdio --------------------------------------------------------------------------------------------------


def test_a_command_is_started_as_it_was_written(tmp_path: Path) -> None:
    program = tmp_path / "my gateway.py"
    program.write_text(
        "import json, sys\n"
        "request = json.loads(sys.stdin.readline())\n"
        "print(json.dumps({'jsonrpc': '2.0', 'id': request['id'], 'result': {'arguments': sys.argv[1:]}}))\n"
    )
    target = resolved(f"stdio:{sys.executable} '{program}' --name \"two words\" ''")
    assert target.transport == "stdio"
    channel = target.open()
    try:
        assert isinstance(channel, StdioChannel)
        answer = channel.submit("gateway/stop", {}).result(timeout=30)
    finally:
        channel.close()
    assert answer == {"arguments": ["--name", "two words", ""]}


@pytest.mark.parametrize("command", ["no-such-program-anywhere --x", "/no/such/program", "''"])
def test_a_command_that_does_not_exist(command: str) -> None:
    name = command.split()[0].strip("'")
    assert problem(f"stdio:{command}") == (
        f"target {f'stdio:{command}'!r}: command not found: {name!r}; give a path, or put it on PATH"
    )


def test_a_file_that_cannot_be_executed(adapters: Path) -> None:
    text = "stdio:./good_adapter.py"
    assert problem(text) == (
        f"target {text!r}: './good_adapter.py' is not executable; "
        "name its interpreter first, or make it executable"
    )


def test_a_command_that_cannot_be_read() -> None:
    assert problem("stdio:node 'gw.js") == (
        'target "stdio:node \'gw.js": the command cannot be read: No closing quotation'
    )


# --- registered kinds -----------------------------------------------------------------------------------------


class House:
    """A gateway of an installed package."""

    def __init__(
        self, version: str | None = None, value: str | None = None, cache: Path | None = None
    ) -> None:
        self.given = (version, value, cache)


def given(target: Target) -> Any:
    channel = target.open()
    try:
        return channel._gateway.given
    finally:
        channel.close()


def test_a_registered_kind_gets_what_it_asks_for(register: Register, tmp_path: Path) -> None:
    register("house", House)
    target = resolve_target(parse_target("house@7:/opt/house"), cache=tmp_path)
    assert target.transport == "python"
    assert given(target) == ("7", "/opt/house", tmp_path)
    assert given(resolve_target(parse_target("house"), cache=tmp_path)) == (None, None, tmp_path)


def test_a_registered_kind_need_not_ask_for_anything(register: Register) -> None:
    register("house", lambda: House())
    assert given(resolved("house")) == (None, None, None)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("house@7", "no version"),
        ("house:x", "no value"),
        ("house@7:x", "no version and no value"),
    ],
)
def test_a_registered_kind_that_takes_no_such_part(register: Register, text: str, what: str) -> None:
    register("house", lambda: House())
    assert problem(text) == f"target {text!r}: 'house' takes {what}"


@pytest.mark.parametrize(
    ("error", "said"), [(ImportError("no house"), "ImportError: no house"), (SystemExit(2), "SystemExit: 2")]
)
def test_a_registered_kind_that_cannot_be_loaded(register: Register, error: BaseException, said: str) -> None:
    register("house", error)
    assert problem("house") == f"target 'house': loading 'house.adapter:make' failed: {said}"


def test_a_registered_kind_that_is_no_factory(register: Register) -> None:
    register("house", 7)
    assert problem("house") == (
        "target 'house': 'house.adapter:make' is a int, not a factory (a callable that makes a gateway)"
    )


def test_a_registered_factory_that_raises_does_so_when_it_is_opened(register: Register) -> None:
    def make() -> Any:
        raise RuntimeError("no room")

    register("house", make)
    target = resolved("house")
    with pytest.raises(TargetError, match="factory: house raised RuntimeError: no room"):
        target.open()


def test_registered_kinds_are_listed_and_suggested(register: Register) -> None:
    register("house", House)
    assert "house" in list_kinds()
    assert "registered by house.adapter:make" in list_kinds()
    assert problem("hause").startswith("unknown target kind 'hause' in 'hause'; did you mean 'house'?")


def test_every_kind_is_listed_with_its_help() -> None:
    lines = list_kinds().splitlines()
    assert len({line.index(help) for line, help in zip(lines, KINDS.values(), strict=True)}) == 1
