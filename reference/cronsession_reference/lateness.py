"""Slots that were missed: which they are, and what their job or the settings say about them. Pure."""

from __future__ import annotations

from .jobs import At, Every, Job
from .recovery import CatchUp
from .settings import MINUTE, Settings
from .slots import slots_before

CATCH_UP_LIMIT = 100
"""How many missed slots of one gap are listed, or with catchUp ``all`` run late; the latest count."""
GRACE_MS = 10 * MINUTE
"""By the answer ``grace``: how late a missed slot is still run, where no greatest lateness is set."""


def floating(job: Job, settings: Settings) -> bool:
    """Whether the slots are counted from the runs, not from a grid."""
    return isinstance(job.schedule, Every) and settings.policies.interval_anchor != "grid"


def missed_slots(job: Job, slot_ms: int, now_ms: int, settings: Settings) -> list[int]:
    """The slots from ``slot_ms`` on and before now, in order; of very many the latest, one more than count."""
    if isinstance(job.schedule, At) or floating(job, settings):
        return [slot_ms]
    limit, dst = CATCH_UP_LIMIT + 1, settings.policies.dst
    return slots_before(job.schedule, slot_ms, now_ms, limit, job_id=job.id, dst=dst)


def catch_up_of(job: Job, settings: Settings) -> CatchUp:
    """What the job says about missed slots, or else the settings."""
    if job.catch_up is not None:
        return job.catch_up
    policy = settings.policies.catch_up
    if isinstance(job.schedule, At):
        answer = settings.policies.missed_one_shot
        policy = "once" if answer == "run" else answer
    most = settings.max_lateness_ms
    return CatchUp("once", most or GRACE_MS) if policy == "grace" else CatchUp(policy, most)
