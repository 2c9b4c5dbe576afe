"""Transcripts: one JSON-lines file for each session id, only ever appended to."""

from __future__ import annotations

import json
import os
import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .errors import StoreError

Message = dict[str, str]
_ID = re.compile(r"[0-9a-f-]{8,64}\Z")
_REMEMBERED = 64


class Transcripts:
    """The folder of transcripts. A line is ``{"role", "content", "atMs"}``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # What was read of a file, and how far. Only the rest of it is read the next time.
        self._read: OrderedDict[str, tuple[int, list[Message]]] = OrderedDict()

    def path(self, session_id: str) -> Path:
        """The file of a session id; a stored id that could lead elsewhere is refused."""
        if not _ID.match(session_id):
            raise StoreError(f"not a session id: {session_id!r:.80}")
        return self.folder / f"{session_id}.jsonl"

    def messages(self, session_id: str) -> list[Message]:
        """All messages of a session, as a new list of shared dicts."""
        path = self.path(session_id)
        offset, known = self._read.pop(session_id, (0, []))
        try:
            size = path.stat().st_size
        except FileNotFoundError:
            return []
        if size < offset:
            offset, known = 0, []
        if size > offset:
            with path.open("rb") as file:
                file.seek(offset)
                *lines, _cut_short = file.read().split(b"\n")
            # What follows the last line break was cut short by a crash, or is being written just now.
            for line in lines:
                offset += len(line) + 1
                known += _parse(line)
        self._read[session_id] = (offset, known)
        while len(self._read) > _REMEMBERED:
            self._read.popitem(last=False)
        return list(known)

    def append(self, session_id: str, messages: Sequence[Mapping[str, Any]]) -> int:
        """Add lines; answer the size of the file in bytes."""
        text = "".join(json.dumps(message, ensure_ascii=False) + "\n" for message in messages)
        data = text.encode("utf-8", "surrogatepass")
        descriptor = os.open(self.path(session_id), os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            if size:
                os.lseek(descriptor, -1, os.SEEK_END)
                if os.read(descriptor, 1) != b"\n":
                    data = b"\n" + data
            written = 0
            while written < len(data):
                written += os.write(descriptor, data[written:])
        finally:
            os.close(descriptor)
        return size + len(data)

    def remove(self, session_id: str) -> None:
        """Remove the file, if there is one."""
        self._read.pop(session_id, None)
        self.path(session_id).unlink(missing_ok=True)


def _parse(line: bytes) -> list[Message]:
    try:
        data = json.loads(line)
        return [{"role": str(data["role"]), "content": str(data["content"])}]
    except (ValueError, KeyError, TypeError):
        return []
