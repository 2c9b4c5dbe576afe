"""The command ``cronsession``: what is worth having without a run of pytest."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from . import __version__
from .options import default_cache
from .outcomes import TargetError, TargetUsageError
from .recording import RecordingError, parse
from .replay import Replay, explain
from .targets import Target, parse_target, resolve_target

SAME, DIFFERENT, FAILED, USAGE = 0, 1, 3, 4


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 as recorded, 1 not as recorded, 3 the gateway failed, 4 wrong usage."""
    given = _parser().parse_args(arguments)
    try:
        return _replay(given)
    except (RecordingError, TargetUsageError) as error:
        print(f"cronsession: {error}", file=sys.stderr)
        return USAGE
    except OSError as error:
        print(f"cronsession: {error.filename or given.trace}: {error.strerror or error}", file=sys.stderr)
        return USAGE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cronsession", description="Conformance of agent gateways: what needs no run of pytest."
    )
    parser.add_argument("--version", action="version", version=f"pytest-cronsession {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    replay = commands.add_parser(
        "replay",
        help="go through the steps of a failure again",
        description="Go through the steps that led to a failure again, on the same gateway or another one, and "
        "say where it went another way. Exit code: 0 as recorded, 1 not as recorded, 3 the gateway failed, "
        "4 wrong usage.",
    )
    replay.add_argument("trace", type=Path, metavar="TRACE", help="the file that the failure names")
    replay.add_argument(
        "--target",
        metavar="KIND[@VERSION][:VALUE]",
        help="another gateway than the recorded one, spelled as for --cronsession-target",
    )
    replay.add_argument(
        "--cache", type=Path, metavar="DIR", help="where gateways that have to be installed are kept"
    )
    return parser


def _replay(given: argparse.Namespace) -> int:
    recording = parse(given.trace.read_bytes(), given.trace.name)
    text = given.target or recording.target
    # A factory lies in the folder where pytest would be called, as there.
    sys.path.insert(0, str(Path.cwd()))
    target = _target(text, given.cache)
    for line in explain(recording):
        print(line)
    try:
        replay = Replay(recording, target)
        for line in replay.lines():
            print(line, flush=True)
    except TargetError as error:
        print(f"cronsession: the gateway failed: {error}", file=sys.stderr)
        return FAILED
    if replay.differences:
        print(f"\nnot as recorded: {replay.differences} step(s) or request(s) went another way")
        return DIFFERENT
    print("\nas recorded")
    return SAME


def _target(text: str, cache: Path | None) -> Target:
    target = resolve_target(parse_target(text), cache=cache or default_cache())
    target.prepare(lambda said: print(f"cronsession: {said}", file=sys.stderr))
    return target


if __name__ == "__main__":
    sys.exit(main())
