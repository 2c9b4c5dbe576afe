"""Gateways that do not notice another instance on their state folder (capability instances)."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from cronsession_reference.engine import Engine

from .altered import Altered, wrap, wrong


class Apart(Altered):
    """An instance that comes second works on a copy, if it does not see that it is second."""

    running: ClassVar[set[str]] = set()

    def is_second(self, folder: str) -> bool:
        return folder in self.running

    async def gateway_start(self, params: dict[str, Any]) -> dict[str, Any]:
        self.folder = params["stateDir"]
        if self.is_second(self.folder):
            copy = Path(self.folder).resolve() / "copy"
            shutil.copytree(self.folder, copy, ignore=shutil.ignore_patterns("copy"))
            params, self.folder = {**params, "stateDir": str(copy)}, str(copy)
        self.running.add(self.folder)
        return await super().gateway_start(params)

    async def gateway_stop(self, params: dict[str, Any]) -> dict[str, Any]:
        self.running.discard(self.folder)
        return await super().gateway_stop(params)

    async def gateway_abandon(self, params: dict[str, Any]) -> dict[str, Any]:
        self.running.discard(self.folder)
        return await super().gateway_abandon(params)


@wrong("hermes-agent#102944", "STO-032", "STO-033")
class EachInstanceIsAlone(Apart):
    """Two instances share nothing after their start."""


@wrong("openclaw#115979", "STO-032")
class ALinkIsAnotherStore(Apart):
    """A store is known by the path it is reached by."""

    def is_second(self, folder: str) -> bool:
        return Path(folder).is_symlink()


@wrong("nanobot#1371", "STO-033")
class TheLastWriterWins(Altered):
    """Each write stores all jobs as this instance knows them."""

    def alter(self, engine: Engine) -> None:
        self.known = {job.id for job in engine.store.jobs()}

    def job_add(self, params: dict[str, Any]) -> dict[str, Any]:
        answer = super().job_add(params)
        if "job" in answer:
            self.known.add(answer["job"]["id"])
        store = self._engine.store
        for job in store.jobs():
            if job.id not in self.known:
                store.delete_job(job.id)
        return answer


@wrong("bugs:E5", "SCH-011")
class TheOthersRunsAreOver(Altered):
    """A run that another instance has under way is taken for lost when the next slot falls due."""

    def alter(self, engine: Engine) -> None:
        def alive(inner: Callable[[str | None], bool], owner: str | None) -> bool:
            return owner == engine.instance.id and inner(owner)

        wrap(engine.instance, "alive", alive)
