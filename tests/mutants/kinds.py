"""Gateways whose reaper forgets receipts of some kind, or takes lasting sessions of some form (area reaper)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from cronsession_reference.engine import Engine
from cronsession_reference.resolver import NAMED, PER_JOB
from cronsession_reference.settings import DAY
from cronsession_reference.store import SessionRow

from .altered import Altered, is_receipt, wrap, wrong
from .bounds import _remove as remove
from .reaping import Sparing, reap


def _free(engine: Engine, row: SessionRow) -> bool:
    return engine.store.lease_owner(row.key) is None


class OfTrigger(Sparing):
    """Spares the receipts of runs with a certain trigger."""

    trigger = ""

    def spares(self, engine: Engine, row: SessionRow, now: int) -> bool:
        return any(r.session_key == row.key and r.trigger == self.trigger for r in engine.store.runs())


@wrong("bugs:R10", "REA-005")
class RepetitionsKeepTheirReceipt(OfTrigger):
    """The receipts of repetitions are nobody's."""

    trigger = "retry"


@wrong("bugs:R10", "REA-001")
class LateRunsKeepTheirReceipt(OfTrigger):
    """The receipts of late runs are nobody's."""

    trigger = "catchup"


@wrong("bugs:R11", "REA-007")
class SharedModeIsReaped(Altered):
    """The session of mode shared is a receipt to the reaper, because the target of its job is isolated."""

    def alter(self, engine: Engine) -> None:
        reap(
            engine,
            lambda row, now, kept: row.kind == PER_JOB and _free(engine, row) and now - row.updated_ms > kept,
        )


@wrong("bugs:R11", "REA-007")
class SessionsOfPeopleAreReaped(Altered):
    """A session that no job has used is nobody's, and goes after retention."""

    def alter(self, engine: Engine) -> None:
        def chosen(row: SessionRow, now: int, kept: int) -> bool:
            return row.kind == NAMED and _free(engine, row) and now - row.updated_ms > kept

        reap(engine, chosen, lambda jobs: not jobs)


@wrong("openclaw#46369", "REA-007")
class SessionsWithoutJobsAreReaped(Altered):
    """A session whose jobs are gone is an orphan to the reaper."""

    def alter(self, engine: Engine) -> None:
        def chosen(row: SessionRow, now: int, kept: int) -> bool:
            return row.kind == NAMED and _free(engine, row) and now - row.updated_ms > kept

        reap(engine, chosen, lambda jobs: bool(jobs) and not any(engine.store.job(job_id) for job_id in jobs))


@wrong("openclaw#120213", "REA-008")
class NullMeansAWeek(Altered):
    """Retention null is taken for an absent one: a week."""

    def alter(self, engine: Engine) -> None:
        if engine.reaper.retention_ms is None:
            engine.reaper.retention_ms = 7 * DAY


@wrong("bugs:R7", "REA-002")
class RemovalTakesTheReceipts(Altered):
    """The receipts of a removed job go with it."""

    def job_remove(self, params: dict[str, Any]) -> dict[str, Any]:
        answer, engine = super().job_remove(params), self._engine
        gone = [r for r in engine.store.sessions() if is_receipt(r) and r.job_id == params["id"]]
        remove(engine, [row for row in gone if _free(engine, row)])
        return answer


@wrong("bugs:R7", "REA-017")
class NullIsNoOtherRetention(Altered):
    """A start without a retention goes on with the one before."""

    latest: ClassVar[dict[Path, int]] = {}

    def alter(self, engine: Engine) -> None:
        kept, folder = engine.reaper.retention_ms, engine.transcripts.folder
        if kept is not None:
            self.latest[folder] = kept
        else:
            engine.reaper.retention_ms = self.latest.get(folder)


@wrong("bugs:R11", "REA-021")
class StrayTranscriptsAreSwept(Altered):
    """A sweep removes transcripts that belong to no session, wherever they lie below the state folder."""

    def alter(self, engine: Engine) -> None:
        def sweep(inner: Callable[[int], list[str]], now: int) -> list[str]:
            known = {f"{row.id}.jsonl" for row in engine.store.sessions()}
            for path in engine.transcripts.folder.parent.rglob("*.jsonl"):
                if path.name not in known:
                    path.unlink()
            return inner(now)

        wrap(engine.reaper, "sweep", sweep)
