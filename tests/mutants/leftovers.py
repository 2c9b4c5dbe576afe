"""Gateways that leave receipts behind in some case, or take with them what should stay (area reaper)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from cronsession_reference.engine import Engine
from cronsession_reference.jobs import At, Job
from cronsession_reference.keys import job_key
from cronsession_reference.resolver import NAMED
from cronsession_reference.sessions import Turn
from cronsession_reference.settings import HOUR, Limits
from cronsession_reference.store import Run, SessionRow

from .altered import Altered, Rows, is_receipt, replan, wrap, wrong
from .reaping import Sparing, reap


@wrong("bugs:R2", "REA-010")
class SpellingMakesAReceipt(Altered):
    """What looks like the key of a receipt is one."""

    def alter(self, engine: Engine) -> None:
        def chosen(row: SessionRow, now: int, kept: int) -> bool:
            like = re.search(r"\brun\b|receipt", row.key) is not None
            free = engine.store.lease_owner(row.key) is None
            return like and row.kind == NAMED and free and now - row.updated_ms > kept

        reap(engine, chosen)


@wrong("bugs:R6", "REA-011")
class AgentsWithoutJobsAreForgotten(Sparing):
    """The reaper goes through the agents that have jobs, and the default one."""

    def spares(self, engine: Engine, row: SessionRow, now: int) -> bool:
        busy = {job.agent for job in engine.store.jobs()} | {engine.settings.default_agent}
        return row.agent not in busy


@wrong("bugs:R2", "REA-012")
class OnlyIsolatedJobsAreReaped(Sparing):
    """What a job left is a receipt if the job is isolated now."""

    def spares(self, engine: Engine, row: SessionRow, now: int) -> bool:
        job = engine.store.job(row.job_id or "")
        return job is not None and job.session.target != "isolated"


@wrong("bugs:R10", "REA-013")
class OneShotsKeepTheirReceipt(Sparing):
    """A one-shot that is done is looked at no more."""

    def spares(self, engine: Engine, row: SessionRow, now: int) -> bool:
        job = engine.store.job(row.job_id or "")
        return job is not None and isinstance(job.schedule, At)


@wrong("openclaw#15368", "REA-014")
class TheRowOfTheJobStays(Altered):
    """Each isolated job has one more row, which is nobody's when the job is gone."""

    def alter(self, engine: Engine) -> None:
        def finish(inner: Callable[..., None], turn: Turn, run: Run, job: Job, status: str) -> None:
            row = turn.row
            inner(turn, run, job, status)
            if row is not None and is_receipt(row):
                own = job_key(job.agent, job.id)
                engine.store.put_session(
                    replace(row, key=own, kind=NAMED, bytes=0, updated_ms=engine.clock.now())
                )

        wrap(engine.runner, "_finish", finish)


@wrong("openclaw#43193", "REA-015")
class InterruptedReceiptsStay(Sparing):
    """The row of a run that a crash interrupted counts as in use for ever."""

    def alter(self, engine: Engine) -> None:
        self.stuck: set[str | None] = set()

        def put(inner: Callable[[Run], None], run: Run) -> None:
            inner(run)
            if run.status == "interrupted":
                self.stuck.add(run.session_key)

        wrap(engine.store, "put_run", put)
        super().alter(engine)

    def spares(self, engine: Engine, row: SessionRow, now: int) -> bool:
        return row.key in self.stuck


@wrong("openclaw#136339", "REA-016")
class BusyReceiptEndsTheSweep(Altered):
    """The sweep gives up at a receipt that is in use."""

    def alter(self, engine: Engine) -> None:
        def choose(inner: Callable[[int], Rows], now: int) -> Rows:
            kept = engine.reaper.retention_ms or 0
            busy = [row for row in engine.store.sessions() if engine.store.lease_owner(row.key) is not None]
            if any(is_receipt(row) and now - row.updated_ms > kept for row in busy):
                return iter(())
            return inner(now)

        replan(engine, choose)


@wrong("bugs:R7", "REA-017")
class RetentionIsWrittenIntoTheRow(Sparing):
    """A receipt goes by what was configured when it was made."""

    unlimited: ClassVar[set[str]] = set()

    def alter(self, engine: Engine) -> None:
        def finish(inner: Callable[..., None], turn: Turn, *rest: Any) -> None:
            if turn.row is not None and engine.reaper.retention_ms is None:
                self.unlimited.add(turn.row.key)
            inner(turn, *rest)

        wrap(engine.runner, "_finish", finish)
        super().alter(engine)

    def spares(self, engine: Engine, row: SessionRow, now: int) -> bool:
        return row.key in self.unlimited


@wrong("bugs:R7", "REA-017")
class RetentionOnlyShrinks(Altered):
    """A retention that was once configured holds until a shorter one comes."""

    shortest: ClassVar[dict[Path, int]] = {}

    def alter(self, engine: Engine) -> None:
        kept, folder = engine.reaper.retention_ms, engine.transcripts.folder
        if kept is not None:
            engine.reaper.retention_ms = self.shortest[folder] = min(kept, self.shortest.get(folder, kept))


@wrong("openclaw#63442", "REA-018")
class NothingIsBoundedByDefault(Altered):
    """Retention and maintenance are off until somebody configures them."""

    async def gateway_start(self, params: dict[str, Any]) -> dict[str, Any]:
        self.given = params["config"]
        return await super().gateway_start(params)

    def alter(self, engine: Engine) -> None:
        if "sessionRetentionMs" not in self.given:
            engine.reaper.retention_ms = None
        if "maintenance" not in self.given:
            engine.maintenance.limits = Limits(mode="warn")


@wrong("openclaw#15225", "REA-019")
class RepliesAreLogged(Altered):
    """Each reply is written into one more file, which only grows."""

    def alter(self, engine: Engine) -> None:
        async def complete(inner: Callable[..., Any], messages: list[dict[str, Any]]) -> Any:
            reply = await inner(messages)
            with (engine.transcripts.folder.parent / "replies.log").open("a", encoding="utf-8") as file:
                file.write(f"{reply}\n")
            return reply

        wrap(engine.runner.model, "complete", complete)


@wrong("bugs:R12", "REA-020")
class RunsGoWithTheirReceipts(Altered):
    """The history of a run is part of its receipt."""

    def alter(self, engine: Engine) -> None:
        def sweep(inner: Callable[[int], list[str]], now: int) -> list[str]:
            removed = inner(now)
            for run in engine.store.runs():
                if run.session_key in removed:
                    engine.store.delete_run(run.id)
            return removed

        wrap(engine.reaper, "sweep", sweep)


@wrong("bugs:R11", "REA-021")
class SweepsTidyUp(Altered):
    """A sweep removes what it does not know from the state folder."""

    def alter(self, engine: Engine) -> None:
        def sweep(inner: Callable[[int], list[str]], now: int) -> list[str]:
            for path in engine.transcripts.folder.parent.rglob("*.txt"):
                path.unlink()
            return inner(now)

        wrap(engine.reaper, "sweep", sweep)


@wrong("openclaw:REA-20", "REA-022")
class SweepTakesEverything(Altered):
    """A sweep on request takes all receipts that are not in use."""

    def alter(self, engine: Engine) -> None:
        def sweep(inner: Callable[[], list[str]]) -> list[str]:
            removed = inner()
            for row in engine.store.sessions():
                if is_receipt(row) and engine.store.lease_owner(row.key) is None:
                    engine.store.delete_session(row.key)
                    removed.append(row.key)
            return removed

        self.on_request = lambda: sweep(engine.sweep)

    def store_sweep(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"removed": self.on_request()}


@wrong("openclaw:REA-20", "REA-022")
class SweepIsSilent(Altered):
    """A sweep on request does not say what it removed."""

    def store_sweep(self, params: dict[str, Any]) -> dict[str, Any]:
        super().store_sweep(params)
        return {"removed": []}


@wrong("openclaw:REA-03", "REA-023")
class AsOldAsRetentionGoes(Altered):
    """A receipt goes when it is as old as retention."""

    def alter(self, engine: Engine) -> None:
        if engine.reaper.retention_ms is not None:
            engine.reaper.retention_ms -= 1


@wrong("openclaw#15225", "REA-024")
class SweepsAreTooSmall(Altered):
    """The reaper takes ten rows an hour at most, however many come."""

    def alter(self, engine: Engine) -> None:
        taken: list[int] = []

        def choose(inner: Callable[[int], Rows], now: int) -> Rows:
            for row in inner(now):
                taken[:] = [when for when in taken if now - when < HOUR]
                if len(taken) >= 10:
                    return
                taken.append(now)
                yield row

        wrap(engine.reaper, "plan", choose)


@wrong("bugs:R4", "REA-025")
class NothingIsPutAside(Altered):
    """archiveMs is accepted, and transcripts go with their rows."""

    def alter(self, engine: Engine) -> None:
        engine.archive.keep_ms = None


@wrong("bugs:R4", "REA-026")
class WhatIsPutAsideStays(Altered):
    """What archiveMs put aside is looked for no more."""

    def alter(self, engine: Engine) -> None:
        wrap(engine.archive, "expire", lambda inner, now: None)
