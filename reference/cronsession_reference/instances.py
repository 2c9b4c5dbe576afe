"""Which gateway processes are alive: each holds a lock on a file of its own.

The operating system drops the lock when the process dies, however it dies. So a run, or a session in
use, whose owner's lock is free was left behind by a crash.
"""

from __future__ import annotations

import os
import sys
import uuid
from pathlib import Path

if sys.platform == "win32":  # pragma: no cover
    import msvcrt

    def _acquire(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _acquire(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _lock(descriptor: int) -> bool:
    try:
        _acquire(descriptor)
    except OSError:
        return False
    return True


class Instance:
    """One running gateway. ``id`` is the owner written beside what it works on."""

    def __init__(self, folder: Path) -> None:
        self.id = uuid.uuid4().hex
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = folder / f"{self.id}.lock"
        self._descriptor: int | None = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        if not _lock(self._descriptor):
            raise OSError(f"cannot lock {self._path}; is the state folder on a file system with locks?")

    def alive(self, owner: str | None) -> bool:
        """Whether the gateway ``owner`` still runs. The file of a dead one is removed."""
        if owner is None or owner == self.id:
            return owner == self.id
        path = self._folder / f"{owner}.lock"
        try:
            descriptor = os.open(path, os.O_RDWR)
        except OSError:
            return False
        try:
            if not _lock(descriptor):
                return True
        finally:
            os.close(descriptor)
        path.unlink(missing_ok=True)
        return False

    def bury(self) -> None:
        """Remove the files of all the dead."""
        for path in self._folder.glob("*.lock"):
            self.alive(path.stem)

    def close(self) -> None:
        """Stop being alive, as at a crash; the file is left to the next instance."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def leave(self) -> None:
        """Stop in good order."""
        self._path.unlink(missing_ok=True)
        self.close()
