"""One mutation on trial: a forked process takes the mutated module in and runs the tests that are to notice.

Forking a process that has imported everything else makes a trial start at once; so this is for POSIX.
"""

from __future__ import annotations

import contextlib
import importlib
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


class Trial:
    """A forked process that takes the mutation in and runs the tests; ``run`` gives 0 if they notice nothing."""

    def __init__(
        self, mutation: Mutation, packages: Sequence[str], run: Callable[[], int], limit_s: float
    ) -> None:
        text = source_of(mutation.module).read_text("utf-8")
        source = mutated(text, mutation.operator, mutation.occurrence)
        assert source is not None, f"{mutation} is out of date"
        self.mutation = mutation
        self._began = time.monotonic()
        self._limit = self._began + limit_s
        self._pid = os.fork()
        if self._pid == 0:
            os.setsid()
            os._exit(_child(mutation.module, source, packages, run))

    def verdict(self) -> Verdict | None:
        """None while it goes on."""
        done, status = os.waitpid(self._pid, os.WNOHANG)
        if done:
            outcome = SURVIVED if os.waitstatus_to_exitcode(status) == 0 else KILLED
        elif time.monotonic() > self._limit:
            outcome = LATE
        else:
            return None
        self.end()
        return Verdict(self.mutation, outcome, time.monotonic() - self._began)

    def end(self) -> None:
        """Kill what is left of it."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._pid, 0)


def _child(module: str, source: str, packages: Sequence[str], run: Callable[[], int]) -> int:
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    # Looking for the file imports the package, and so has to come first.
    finder = Finder(module, source, str(source_of(module)))
    for name in [n for n in sys.modules if n.split(".")[0] in packages]:
        del sys.modules[name]
    sys.meta_path.insert(0, finder)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            # Now, and not when it is asked for: pytest's own importer reads what lies on the disk.
            importlib.import_module(module)
            return run()
        except BaseException:
            return 1  # it cannot even be imported
