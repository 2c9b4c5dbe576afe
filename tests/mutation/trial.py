"""One mutation on trial: a forked process takes the mutated module in and runs the tests that are to notice.

Forking a process that has imported everything else makes a trial start at once; so this is for POSIX.
"""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.machinery
import importlib.util
import io
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType

from .sites import Mutation, mutated, source_of

KILLED, SURVIVED, LATE = "killed", "survived", "timed out"


@dataclass(frozen=True)
class Verdict:
    """``outcome`` is one of the three words; one that timed out counts as killed."""

    mutation: Mutation
    outcome: str
    seconds: float

    @property
    def killed(self) -> bool:
        return self.outcome != SURVIVED


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Loads one module from another source."""

    def __init__(self, module: str, source: str, path: str) -> None:
        self.module, self.source, self.path = module, source, path

    def find_spec(
        self, name: str, path: object, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != self.module:
            return None
        return importlib.util.spec_from_file_location(name, self.path, loader=self)

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self.source, self.path, "exec"), module.__dict__)


def try_mutation(
    mutation: Mutation, packages: Sequence[str], run: Callable[[], int], limit_s: float
) -> Verdict:
    """Fork, take the mutation in, ``run`` the tests (its exit code is 0 if they noticed nothing)."""
    source = mutated(source_of(mutation.module).read_text("utf-8"), mutation.operator, mutation.occurrence)
    assert source is not None, f"{mutation} is out of date"
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        os.setsid()
        os._exit(_child(mutation.module, source, packages, run))
    outcome = _wait(child, began + limit_s)
    return Verdict(mutation, outcome, time.monotonic() - began)


def _child(module: str, source: str, packages: Sequence[str], run: Callable[[], int]) -> int:
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    for name in [n for n in sys.modules if n.split(".")[0] in packages]:
        del sys.modules[name]
    sys.meta_path.insert(0, Finder(module, source, str(source_of(module))))
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            return run()
        except BaseException:
            return 1  # it cannot even be imported


def _wait(child: int, limit: float) -> str:
    while time.monotonic() < limit:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return SURVIVED if os.waitstatus_to_exitcode(status) == 0 else KILLED
        time.sleep(0.05)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return LATE
