"""Gateways that store, change, list or remove jobs wrongly (area jobs)."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest import mock

from cronsession_reference import jobdesk
from cronsession_reference.engine import Engine
from cronsession_reference.jobs import Every, Job
from cronsession_reference.sessions import Turn
from cronsession_reference.slots import next_slot
from cronsession_reference.store import Run

from .altered import Altered, wrap, wrong


class Deaf(Altered):
    """Takes members of a job and does nothing with them."""

    on: tuple[str, ...] = ("add", "edit")
    members: tuple[str, ...] = ()

    def job_add(self, params: dict[str, Any]) -> dict[str, Any]:
        return super().job_add(self._heard(params, "job") if "add" in self.on else params)

    def job_update(self, params: dict[str, Any]) -> dict[str, Any]:
        heard = self._heard(params, "patch") if "edit" in self.on else params
        if heard.get("patch") == {} and params["patch"]:
            job = self._engine.store.job(params["id"])
            return {"job": self._engine.jobs.describe(job)} if job else super().job_update(params)
        return super().job_update(heard)

    def _heard(self, params: dict[str, Any], part: str) -> dict[str, Any]:
        given = params.get(part)
        return {**params, part: self.heard(given)} if isinstance(given, dict) else params

    def heard(self, given: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in given.items() if name not in self.members}


@wrong("openclaw#18040", "JOB-001")
class TimeoutIsIgnoredOnAdd(Deaf):
    """The time-out of an added job is the gateway's."""

    on, members = ("add",), ("timeoutMs",)


@wrong("openclaw#18040", "JOB-002")
class TimeoutIsIgnoredOnEdit(Deaf):
    """A time-out set by an edit is taken and forgotten."""

    on, members = ("edit",), ("timeoutMs",)


@wrong("bugs:K1", "JOB-001", "JOB-002")
class DeleteAfterRunIsIgnored(Deaf):
    """A one-shot stays, whatever was asked for."""

    members = ("deleteAfterRun",)


@wrong("zeroclaw#7250", "JOB-001", "JOB-002")
class CatchUpOfAJobIsIgnored(Deaf):
    """What a job says about its missed slots is taken, and the gateway's own policy followed."""

    members = ("catchUp",)


@wrong("openclaw#51594", "JOB-001", "JOB-002")
class StaggerIsIgnored(Deaf):
    """All jobs of one expression start at once."""

    def heard(self, given: dict[str, Any]) -> dict[str, Any]:
        schedule = given.get("schedule")
        if not isinstance(schedule, dict):
            return given
        return {**given, "schedule": {k: v for k, v in schedule.items() if k != "staggerMs"}}


@wrong("bugs:K1", "JOB-002")
class TextIsKeptOnEdit(Deaf):
    """A new text is taken, and the old one told to the model."""

    on, members = ("edit",), ("payload",)


@wrong("bugs:K3", "JOB-002")
class AgentIsKeptOnEdit(Deaf):
    """A job stays with its first agent."""

    on, members = ("edit",), ("agent",)


class Patching(Altered):
    """Reads patches in another way."""

    def job_update(self, params: dict[str, Any]) -> dict[str, Any]:
        patch, old = params.get("patch"), self._engine.store.job(str(params.get("id")))
        if not isinstance(patch, dict) or old is None:
            return super().job_update(params)
        return super().job_update({**params, "patch": self.patch(patch, old)})

    def patch(self, patch: dict[str, Any], old: Job) -> dict[str, Any]:
        return patch


@wrong("bugs:D5", "JOB-003")
class EditClearsTheRest(Patching):
    """What an edit leaves out is cleared."""

    def patch(self, patch: dict[str, Any], old: Job) -> dict[str, Any]:
        return {"timeoutMs": None, "retry": None, **patch}


@wrong("bugs:D5", "JOB-004")
class NullIsPassedOver(Patching):
    """Null is taken for a member that was left out."""

    def patch(self, patch: dict[str, Any], old: Job) -> dict[str, Any]:
        named = ("timeoutMs", "retry", "maxFailures", "catchUp")
        return {m: v for m, v in patch.items() if v is not None or m not in named} or {"name": old.name}


@wrong("openclaw:RES-27", "JOB-005")
class WishesAreMerged(Patching):
    """Of the old wish stays what the new one leaves out."""

    def patch(self, patch: dict[str, Any], old: Job) -> dict[str, Any]:
        new = patch.get("session")
        if not isinstance(new, dict) or new.get("target") != old.session.target:
            return patch
        kept = {m: v for m, v in (("key", old.session.key), ("mode", old.session.mode)) if v is not None}
        return {**patch, "session": {**kept, **new}}


@wrong("bugs:D5", "JOB-006")
class RejectedEditRenames(Altered):
    """The name is stored before the rest is looked at."""

    def job_update(self, params: dict[str, Any]) -> dict[str, Any]:
        answer = super().job_update(params)
        patch = params.get("patch")
        if (
            "rejected" in answer
            and isinstance(patch, dict)
            and "name" in patch
            and "expectedRevision" not in params
        ):
            super().job_update({**params, "patch": {"name": patch["name"]}})
        return answer


@wrong("openclaw:CON-07", "JOB-007", "JOB-010")
class RevisionIsNotCompared(Altered):
    """An expected revision is taken and not looked at."""

    def job_update(self, params: dict[str, Any]) -> dict[str, Any]:
        return super().job_update({k: v for k, v in params.items() if k != "expectedRevision"})


@wrong("bugs:S11", "JOB-008")
class RevisionIsACheckSum(Altered):
    """A job that is changed back has its old revision again."""

    def alter(self, engine: Engine) -> None:
        def describe(inner: Callable[[Job], dict[str, Any]], job: Job) -> dict[str, Any]:
            return {**inner(job), "revision": self._sum(job)}

        wrap(engine.jobs, "describe", describe)

    def _sum(self, job: Job) -> str:
        told = json.dumps(
            [job.name, str(job.schedule), str(job.session), str(job.payload), str(job.timeout_ms)]
        )
        return hashlib.sha256(told.encode()).hexdigest()[:12]

    def job_update(self, params: dict[str, Any]) -> dict[str, Any]:
        job = self._engine.store.job(str(params.get("id")))
        if job is not None and params.get("expectedRevision") == self._sum(job):
            params = {**params, "expectedRevision": job.revision}
        return super().job_update(params)


@wrong("hermes-agent#23723", "JOB-009")
class JobsAreWrittenBackWhole(Altered):
    """An edit reads the job, waits a little, and writes it back with its change."""

    async def job_update(self, params: dict[str, Any]) -> dict[str, Any]:  # type: ignore[override]
        store = self._engine.store
        old = store.job(str(params.get("id")))
        await asyncio.sleep(0.002)
        now = store.job(str(params.get("id")))
        if old is not None and now is not None and "expectedRevision" not in params:
            store.put_job(replace(old, revision=now.revision))
        return super().job_update(params)


@wrong("openclaw:CON-07", "JOB-010")
class RevisionIsComparedTooEarly(Altered):
    """The revision is compared, then something else is waited for, then the edit is stored."""

    async def job_update(self, params: dict[str, Any]) -> dict[str, Any]:  # type: ignore[override]
        expected, job = params.get("expectedRevision"), self._engine.store.job(str(params.get("id")))
        if expected is None or job is None or expected != job.revision:
            return super().job_update(params)
        await asyncio.sleep(0.002)
        return super().job_update({k: v for k, v in params.items() if k != "expectedRevision"})


@wrong("openclaw:OBS-01", "JOB-011")
class ListShowsTheFirstName(Altered):
    """The list shows each job with the name it was added with."""

    def __init__(self) -> None:
        super().__init__()
        self._first: dict[str, str] = {}

    def job_list(self, params: dict[str, Any]) -> dict[str, Any]:
        jobs = super().job_list(params)["jobs"]
        return {"jobs": [{**j, "name": self._first.setdefault(j["id"], j.get("name", ""))} for j in jobs]}


@wrong("bugs:S17", "JOB-011")
class ListShowsSeconds(Altered):
    """Time-outs are listed in seconds."""

    def job_list(self, params: dict[str, Any]) -> dict[str, Any]:
        jobs = super().job_list(params)["jobs"]
        return {"jobs": [{**j, "timeoutMs": j["timeoutMs"] // 1000} if "timeoutMs" in j else j for j in jobs]}


@wrong("bugs:D7", "JOB-012")
class IdsAreCounted(Altered):
    """The id of a job is one more than the highest that is stored."""

    def job_add(self, params: dict[str, Any]) -> dict[str, Any]:
        numbers = [int(job.id) for job in self._engine.store.jobs() if job.id.isdigit()]
        with mock.patch.object(jobdesk.uuid, "uuid4", return_value=str(max(numbers, default=0) + 1)):
            return super().job_add(params)


@wrong("openclaw:VAL-20", "JOB-013")
class RemovalAlwaysSucceeds(Altered):
    """Removed is removed, whether it was there or not."""

    def job_remove(self, params: dict[str, Any]) -> dict[str, Any]:
        super().job_remove(params)
        return {"removed": True}


@wrong("openclaw:OBS-11", "JOB-013")
class AnyIdIsStarted(Altered):
    """A start is acknowledged before the job is looked up."""

    async def job_trigger(self, params: dict[str, Any]) -> dict[str, Any]:
        answer = await super().job_trigger(params)
        gone = self._engine.store.job(params["id"]) is None
        return {"started": True, "runId": "none"} if gone else answer


@wrong("hermes-agent#71959", "JOB-014")
class RemovedJobsAreHidden(Altered):
    """A removed job is taken off the list, and keeps its timer."""

    def __init__(self) -> None:
        super().__init__()
        self._hidden: set[str] = set()

    def job_remove(self, params: dict[str, Any]) -> dict[str, Any]:
        job_id = params.get("id")
        if not isinstance(job_id, str) or not job_id:
            return super().job_remove(params)
        if job_id in self._hidden or self._engine.store.job(job_id) is None:
            return {"removed": False}
        self._hidden.add(job_id)
        return {"removed": True}

    def job_list(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"jobs": [j for j in super().job_list(params)["jobs"] if j["id"] not in self._hidden]}


class EndWrites(Altered):
    """The end of a run writes a job that it read at its start."""

    def alter(self, engine: Engine) -> None:
        def finish(inner: Callable[..., None], turn: Turn, run: Run, job: Job, status: str) -> None:
            inner(turn, run, job, status)
            now = engine.store.job(job.id)
            self.write(engine, job, now)

        wrap(engine.runner, "_finish", finish)

    def write(self, engine: Engine, job: Job, now: Job | None) -> None:
        raise NotImplementedError


@wrong("bugs:D7", "JOB-015")
class EndBringsTheJobBack(EndWrites):
    """A job that was removed meanwhile is stored again when its run ends."""

    def write(self, engine: Engine, job: Job, now: Job | None) -> None:
        if now is None:
            upcoming = next_slot(job.schedule, engine.clock.now(), job_id=job.id)
            engine.store.put_job(replace(job, next_run_ms=upcoming))


@wrong("openclaw#145722", "JOB-016")
class EndUndoesTheEdit(EndWrites):
    """What was edited meanwhile is as before when the run ends."""

    def write(self, engine: Engine, job: Job, now: Job | None) -> None:
        if now is not None and now.revision != job.revision:
            upcoming = next_slot(job.schedule, engine.clock.now(), job_id=job.id) if job.enabled else None
            engine.store.put_job(replace(job, next_run_ms=upcoming, revision=now.revision))


@wrong("openclaw:VAL-01", "JOB-017")
class UnfitPayloadsAreIsolated(Altered):
    """A payload that does not fit its target is run in a fresh session, and nobody is told."""

    def job_add(self, params: dict[str, Any]) -> dict[str, Any]:
        return self._fitted(super().job_add, params, "job")

    def job_update(self, params: dict[str, Any]) -> dict[str, Any]:
        return self._fitted(super().job_update, params, "patch")

    def _fitted(
        self, write: Callable[[dict[str, Any]], dict[str, Any]], params: dict[str, Any], part: str
    ) -> dict[str, Any]:
        answer = write(params)
        if answer.get("rejected", {}).get("field") != "payload.kind":
            return answer
        job = self._engine.store.job(str(params.get("id")))
        payload = params[part].get("payload") or {"text": job.payload.text if job else ""}
        if payload.get("kind", "agentTurn") not in ("agentTurn", "systemEvent"):
            return answer
        fits = {"session": {"target": "isolated"}, "payload": {**payload, "kind": "agentTurn"}}
        return write({**params, part: {**params[part], **fits}})


@wrong("openclaw:OBS-03", "JOB-018")
class ListIsAPage(Altered):
    """The list ends after fifty jobs."""

    def job_list(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"jobs": super().job_list(params)["jobs"][-50:]}


@wrong("openclaw:OBS-02", "JOB-018")
class DisabledJobsAreNotListed(Altered):
    """The list shows jobs that will run."""

    def job_list(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"jobs": [j for j in super().job_list(params)["jobs"] if j["enabled"]]}


@wrong("nanobot#3037", "JOB-019")
class ListingTurnsBack(Altered):
    """Each list that is asked for during a run of an interval job takes its schedule back by one period."""

    def job_list(self, params: dict[str, Any]) -> dict[str, Any]:
        store = self._engine.store
        for run in store.running():
            job = store.job(run.job_id)
            if job is not None and job.next_run_ms is not None and isinstance(job.schedule, Every):
                store.put_job(replace(job, next_run_ms=job.next_run_ms - job.schedule.every_ms))
        return super().job_list(params)
