"""The command ``cronsession-gateway``: the reference gateway for people."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn
from zoneinfo import ZoneInfo

from . import cli_cron, cli_sessions, doctor
from .clock import SystemClock
from .config import Config, parse_config, read_file
from .engine import Engine
from .errors import Refused, StoreError
from .gateway import VERSION, Gateway
from .model import EchoModel, HttpModel, Model
from .output import show_json
from .serve import serve_stdio, stop_at_sigterm
from .settings import REAL_TIME_LATENESS_MS, Settings

FAILURE, BAD_INPUT, INTERRUPTED = 1, 2, 130

Command = Callable[[argparse.Namespace, Engine], Awaitable[int]]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Refused("command line", f"{message}; see {self.prog} --help")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; answer the exit code: 0, 1 for a failure, 2 for bad input."""
    try:
        args = _parser().parse_args(argv)
        return int(args.run(args))
    except Refused as err:
        print(f"error: {err}", file=sys.stderr)
        return BAD_INPUT
    except (StoreError, OSError) as err:
        print(f"error: {err}", file=sys.stderr)
        return FAILURE
    except KeyboardInterrupt:
        return INTERRUPTED


def default_state_dir() -> Path:
    """``$CRONSESSION_STATE_DIR``, or where the platform keeps the state of programs."""
    if chosen := os.environ.get("CRONSESSION_STATE_DIR"):
        return Path(chosen)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "cronsession"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "cronsession"
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "cronsession"


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="cronsession-gateway", description="A gateway with jobs on a schedule.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {VERSION}")
    parser.add_argument("--state-dir", type=Path, help="where all state is kept ($CRONSESSION_STATE_DIR)")
    parser.add_argument("--model-url", help="an OpenAI-compatible server, ending in /v1 (default: an echo)")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    cli_cron.add_commands(commands.add_parser("cron", help="jobs and their runs"), _offline)
    cli_sessions.add_commands(commands.add_parser("sessions", help="the session store"), _offline)
    checkup = commands.add_parser("doctor", help="look for problems of the set-up")
    checkup.add_argument("--fix", action="store_true", help="write the missing maintenance block")
    checkup.add_argument("--json", action="store_true", help="print one JSON document")
    checkup.set_defaults(run=_doctor)
    serve = commands.add_parser("serve", help="run the scheduler in the foreground")
    serve.add_argument("--stdio", action="store_true", help="speak the contract on standard input and output")
    serve.add_argument("--policy", action="append", default=[], metavar="NAME=ANSWER", help="answer a policy")
    serve.set_defaults(run=_serve)
    return parser


def _state_dir(args: argparse.Namespace) -> Path:
    return (args.state_dir or default_state_dir()).absolute()


def _config(args: argparse.Namespace) -> Config:
    base = Settings(lateness_ms=REAL_TIME_LATENESS_MS, host_zone=host_zone())
    config = parse_config(read_file(_state_dir(args) / "config.json"), base)
    return replace(config, model_url=args.model_url) if args.model_url else config


def host_zone() -> str:
    """The IANA name of this machine's zone; UTC if it cannot be told."""
    link = os.path.realpath("/etc/localtime").partition("zoneinfo/")[2]
    for name in (os.environ.get("TZ", "").lstrip(":"), link):
        with contextlib.suppress(KeyError, ValueError, OSError):
            return ZoneInfo(name).key
    return "UTC"


def _engine(args: argparse.Namespace) -> Engine:
    config = _config(args)
    model: Model = EchoModel()
    if config.model_url:
        token = os.environ.get("CRONSESSION_MODEL_TOKEN", "")
        model = HttpModel(config.model_url, token, config.model_name)
    return Engine(_state_dir(args), SystemClock(), config.settings, model)


def _offline(command: Command) -> Callable[[argparse.Namespace], int]:
    """A command that works on the state folder itself, beside a running gateway or without one."""

    async def go(args: argparse.Namespace) -> int:
        engine = _engine(args)
        try:
            engine.start(scheduling=False)
            return await command(args, engine)
        finally:
            await engine.stop()

    return lambda args: asyncio.run(go(args))


def _doctor(args: argparse.Namespace) -> int:
    left, fixed = doctor.run(_state_dir(args), repair=args.fix)
    if args.json:
        findings = [{"field": f.field, "problem": f.problem, "fix": f.fix} for f in left]
        show_json({"ok": not left, "findings": findings, "fixed": fixed})
    else:
        for name in fixed:
            print("wrote session.maintenance" if name == "session.maintenance" else f"made private: {name}")
        for finding in left:
            print(f"{finding.field}: {finding.problem}; {finding.fix}")
        if not left:
            print("no problems found")
    return FAILURE if left else 0


def _serve(args: argparse.Namespace) -> int:
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    answers = dict(_answer(text) for text in args.policy)
    if args.stdio:
        logging.getLogger().setLevel(logging.WARNING)
        try:
            gateway = Gateway(policies=answers)
        except ValueError as err:
            raise Refused("--policy", str(err)) from None
        serve_stdio(gateway)
        return 0
    if answers:
        raise Refused("--policy", 'belongs to --stdio; a daemon reads "policies" in config.json')
    asyncio.run(_daemon(args))
    return 0


def _answer(text: str) -> tuple[str, str]:
    name, found, answer = text.partition("=")
    if not found:
        raise Refused("--policy", f"cannot be {text!r}; accepted: NAME=ANSWER")
    return name, answer


async def _daemon(args: argparse.Namespace) -> None:
    stopped = asyncio.Event()
    stop_at_sigterm(lambda _: stopped.set())
    engine = _engine(args)
    try:
        engine.start()
        engine.run_in_real_time()
        print(f"serving {_state_dir(args)}; Ctrl-C stops", file=sys.stderr, flush=True)
        await stopped.wait()
    finally:
        await engine.stop()


if __name__ == "__main__":
    sys.exit(main())
