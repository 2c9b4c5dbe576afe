"""Found through PYTHONPATH at the start of a Python process: puts its time under the suite's control.

See docs/clocks/python.md. A ``sitecustomize`` of the environment runs as well, afterwards.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import os
import sys
import types


def _boot(folder: str) -> None:
    """Load the clock as a package of its own: this environment need not have pytest-cronsession.

    If that fails the process ends. Python itself would print a line and go on, on real time.
    """
    package = types.ModuleType("_cronsession_clock")
    package.__path__ = [os.path.dirname(folder)]
    sys.modules[package.__name__] = package
    try:
        importlib.import_module("_cronsession_clock.child_control").boot()
    except BaseException as error:
        version = ".".join(map(str, sys.version_info[:3]))
        os.write(2, f"cronsession: the clock does not work in Python {version}: {error!r}\n".encode())
        os._exit(1)


def _chain(folder: str) -> None:
    others = [path for path in sys.path if os.path.realpath(path or ".") != folder]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", others)
    if spec is not None and spec.loader is not None:
        module = sys.modules["sitecustomize"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)


_here = os.path.dirname(os.path.realpath(__file__))
sys.path[:] = [_path for _path in sys.path if os.path.realpath(_path or ".") != _here]
if os.environ.get("CRONSESSION_PYTHON_CLOCK_SOCKET"):
    _boot(_here)
_chain(_here)
