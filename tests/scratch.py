"""Where runs of the suite that prove something put their folders: in memory, where there is room for them.

Thousands of gateways are started on folders of their own, and on a disk most of their time is making files.
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")
ENOUGH = 1 << 30


def place() -> str:
    """A folder for temporary files."""
    if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= ENOUGH:
        return str(MEMORY)
    return tempfile.gettempdir()


def environment() -> dict[str, str]:
    """This process's environment for a child that puts its folders there, and keeps its bytecode."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "TMPDIR": place(), "PYTHONPYCACHEPREFIX": _bytecode()}


@functools.cache
def _bytecode() -> str:
    """A folder for compiled modules, until this process ends.

    A gateway on stdio is started some 800 times in a run, and half of a start would be compiling the same modules again.
    """
    folder = tempfile.mkdtemp(prefix="bytecode-", dir=place())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
