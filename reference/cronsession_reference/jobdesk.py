"""Writes to jobs: checked as a whole, then stored; a refused one changes nothing."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from . import checks, jobs, slots
from .clock import Clock
from .errors import Refused
from .jobs import At, Cron, Every, Job, Schedule, Wish
from .removal import drop_waiting, remove_job
from .resolver import Resolution, bind, resolve
from .settings import Settings
from .store import Run, Store
from .units import show_duration

_REQUIRED = ("name", "schedule", "session", "payload")
_OPTIONAL = ("agent", "enabled", "deleteAfterRun", *jobs.OPTIONAL)


@dataclass(frozen=True)
class Written:
    """An accepted write: the stored job and the (field, reason) of what will have no effect."""

    job: Job
    unused: tuple[tuple[str, str], ...]


class JobDesk:
    """Adds, changes and removes jobs. All refusals are :class:`Refused`."""

    def __init__(self, store: Store, clock: Clock, settings: Settings) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings

    def resolve(self, job: Job) -> Resolution:
        return resolve(job, agents=self._settings.agents, policies=self._settings.policies)

    def add(self, data: object, context: object = None) -> Written:
        """Store a job of the shape ``spec``. ``context`` is the session wish of the calling session."""
        now = self._clock.now()
        spec = checks.members(data, "", _REQUIRED, _OPTIONAL)
        caller = None if context is None else jobs.parse_wish(context, "context.session")
        agent = self._agent(spec.get("agent"))
        enabled = _flag(spec, "enabled", True)
        job = Job(
            id=str(uuid.uuid4()),
            name=checks.name(spec["name"], "name"),
            agent=agent,
            enabled=enabled,
            schedule=self._schedule(spec["schedule"], None, now),
            session=self._bind(jobs.parse_wish(spec["session"]), caller, agent),
            payload=jobs.parse_payload(spec["payload"]),
            delete_after_run=_flag(spec, "deleteAfterRun", False),
            created_ms=now,
            disabled_by=None if enabled else jobs.OPERATOR,
            **_optional(spec),
        )
        return self._store_written(job, None, now)

    def update(self, job_id: str, patch: object, expected: object = None) -> Written:
        """Change a job: an omitted member keeps its value, None clears it, ``session`` goes as a whole."""
        now = self._clock.now()
        with self._store.transaction():
            old = self._store.job(job_id)
            if old is None:
                raise Refused("id", f"there is no job {checks.shorten(job_id)}")
            if expected is not None and str(expected)[:40] != str(old.revision):
                reason = f"the job is at revision {old.revision}, not {checks.shorten(expected)}"
                raise Refused("expectedRevision", reason)
            changes = checks.members(patch, "", (), _REQUIRED + _OPTIONAL)
            if not changes:
                raise Refused("patch", "changes nothing; name at least one member")
            new = replace(self._patched(old, changes, now), revision=old.revision + 1)
            return self._store_written(new, old, now)

    def _patched(self, old: Job, changes: Mapping[str, Any], now: int) -> Job:
        for name in _REQUIRED:
            if name in changes and changes[name] is None:
                raise Refused(name, "cannot be cleared: a job needs one")
        values: dict[str, Any] = _optional(changes)
        if "name" in changes:
            values["name"] = checks.name(changes["name"], "name")
        if "agent" in changes:
            values["agent"] = self._agent(changes["agent"])
        if "enabled" in changes:
            values |= _switched(_flag(changes, "enabled", True))
        if "schedule" in changes:
            values["schedule"] = self._schedule(changes["schedule"], old.schedule, now)
        if "payload" in changes:
            values["payload"] = jobs.parse_payload(changes["payload"])
        if "deleteAfterRun" in changes:
            values["delete_after_run"] = _flag(changes, "deleteAfterRun", False)
        if "session" in changes:
            wish = jobs.parse_wish(changes["session"])
            if wish.target == old.session.target == "current" and wish.key in (None, old.session.key):
                values["session"] = replace(wish, key=old.session.key)
            else:
                values["session"] = self._bind(wish, None, values.get("agent", old.agent))
        return replace(old, **values)

    def _store_written(self, job: Job, old: Job | None, now: int) -> Written:
        jobs.check_payload(job)
        unused = self.resolve(job).unused
        if job.delete_after_run and not isinstance(job.schedule, At):
            unused += (("deleteAfterRun", "only a one-shot job (schedule kind at) is deleted after its run"),)
        job, missed = self._with_next_run(job, old, now)
        with self._store.transaction():
            self._store.put_job(job)
            if missed is not None:
                self._store.add_run(Run(str(uuid.uuid4()), job.id, "schedule", "missed", missed))
            switched = old is not None and (old.enabled, old.disabled_by) != (job.enabled, job.disabled_by)
            if switched and not job.enabled:
                drop_waiting(self._store, job.id, "the job was disabled")
            if old is not None and old.schedule != job.schedule:
                drop_waiting(self._store, job.id, "the schedule was changed")
        return Written(job, unused)

    def _with_next_run(self, job: Job, old: Job | None, now: int) -> tuple[Job, int | None]:
        """The job with its next run, and the slot that is missed already, if any."""
        dst = self._settings.policies.dst
        changed = old is None or job.schedule != old.schedule
        starts = job.enabled and (old is None or not old.enabled)
        if changed:
            slots.check(job.schedule, now, job_id=job.id, dst=dst)
        if not changed and not starts:
            return (job if job.enabled else replace(job, next_run_ms=None)), None
        if isinstance(job.schedule, At) and job.schedule.at_ms < now:
            return self._past(job, now)
        if not job.enabled:
            return replace(job, next_run_ms=None), None
        if isinstance(job.schedule, At):
            return replace(job, next_run_ms=job.schedule.at_ms), None
        after = now - 1 if self._begins_at_once(job, old) else now
        upcoming = slots.next_slot(job.schedule, after, job_id=job.id, dst=dst)
        return replace(job, next_run_ms=upcoming, enabled=upcoming is not None), None

    def _begins_at_once(self, job: Job, old: Job | None) -> bool:
        """Whether the instant of the write may be a slot itself."""
        included = self._settings.policies.slot_at_creation == "included"
        return included and old is None and isinstance(job.schedule, Cron)

    def _past(self, job: Job, now: int) -> tuple[Job, int | None]:
        policy = self._settings.policies.past_one_shot
        assert isinstance(job.schedule, At)
        if policy == "reject":
            late = show_duration(now - job.schedule.at_ms)
            reason = f"{job.schedule.at_ms} is {late} in the past; accepted: an instant to come"
            raise Refused("schedule.atMs", reason)
        if policy == "missed":
            return replace(job, enabled=False, next_run_ms=None), job.schedule.at_ms
        return replace(job, next_run_ms=now if job.enabled else None), None

    def _agent(self, agent: object) -> str:
        if agent is None:
            return self._settings.default_agent
        if not isinstance(agent, str) or agent not in self._settings.agents:
            known = ", ".join(self._settings.agents)
            raise Refused("agent", f"there is no agent {checks.shorten(agent)}; known: {known}")
        return agent

    def _bind(self, wish: Wish, context: Wish | None, agent: str) -> Wish:
        return bind(
            wish, context, agent=agent, agents=self._settings.agents, policies=self._settings.policies
        )

    def _schedule(self, data: object, old: Schedule | None, now: int) -> Schedule:
        found = jobs.parse_schedule(data, now_ms=now, zone=self._settings.default_zone)
        same = isinstance(old, Every) and isinstance(found, Every) and old.every_ms == found.every_ms
        if same and old is not None and isinstance(data, Mapping) and "anchorMs" not in data:
            return old  # the same interval again is no change of phase
        return found

    def remove(self, job_id: str) -> bool:
        """Delete a job; False if there is none. A run under way ends, and does not bring it back."""
        with self._store.transaction():
            return remove_job(self._store, job_id, self._clock.now(), self._settings.agents)

    def _next_run(self, job: Job) -> int | None:
        """The next slot, or what waits for its time: a repetition or a late run."""
        now = self._clock.now()
        waiting = [run.due_ms for run in self._store.open_runs(job.id) if run.status == "queued"]
        instants = [job.next_run_ms, *(due for due in waiting if due is not None and due > now)]
        return min((instant for instant in instants if instant is not None), default=None)

    def describe(self, job: Job) -> dict[str, Any]:
        """The job in the contract's shape, with the session its next run would use."""
        data = {**jobs.job_dict(job), "nextRunAtMs": self._next_run(job)}
        try:
            found = self.resolve(job)
        except Refused as err:
            # Possible if the agents or the policies were changed since the job was written.
            return {**data, "problem": str(err)}
        resolved: dict[str, Any] = {"fresh": found.fresh, "reason": found.reason}
        if found.key is not None:
            resolved["sessionKey"] = found.key
        return {**data, "resolved": resolved}


_ATTRIBUTES = {"timeoutMs": "timeout_ms", "maxFailures": "max_failures", "catchUp": "catch_up"}


def _optional(data: Mapping[str, Any]) -> dict[str, Any]:
    """The optional members that ``data`` has, as attributes of a job; null clears."""
    given = [name for name in jobs.OPTIONAL if name in data]
    return {_ATTRIBUTES.get(name, name): jobs.parse_optional(name, data[name]) for name in given}


def _flag(data: Mapping[str, Any], name: str, default: bool) -> bool:
    value = data.get(name)
    return default if value is None else checks.flag(value, name)


def _switched(enabled: bool) -> dict[str, Any]:
    """What switching a job on or off says; switched on, it starts with a clean record."""
    if not enabled:
        return {"enabled": False, "disabled_by": jobs.OPERATOR, "disabled_reason": None}
    return {"enabled": True, "disabled_by": None, "disabled_reason": None, "failures": 0}
