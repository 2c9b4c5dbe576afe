"""What several suite files need: examples on a shared world, stepping through slots, finding receipts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Flaky

from ..contract import Job, Run, Session, Write
from ..driver import Driver, Handle, cron, every
from ..model import ERROR, HANG, Turn, content_text
from ..outcomes import ConformanceFailure
from ..trace import instant

# How many examples a property looks at.
EXAMPLES = {"core": 12, "full": 40, "thorough": 60}


def examples(driver: Driver, check: Callable[..., None], *, scale: float = 1.0, **strategies: Any) -> None:
    """Run ``check`` on generated arguments; raise the shortest failure.

    Where the budget is limited, no further example is begun when the property has had its share.

    The world is shared and its clock only moves forward, so a failing example cannot be run again as it
    was: nothing is shrunk, and the generator is asked for small examples first.
    """
    failures: list[ConformanceFailure] = []
    count = max(1, round(EXAMPLES[driver.effort.tier] * scale))
    began, looked, passed_over = time.monotonic(), 0, False

    @settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        print_blob=False,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @driver.effort.seeded
    @given(**strategies)
    def run(**arguments: Any) -> None:
        nonlocal looked, passed_over
        if len(failures) >= 3 or (looked and driver.budget.spent(began)):
            passed_over = True
            return
        looked += 1
        try:
            check(**arguments)
        except ConformanceFailure as failure:
            failures.append(failure)

    try:
        run()
    except Flaky:
        # What was passed over drew nothing, and what failed drew less: Hypothesis takes offence at both.
        if not (failures or passed_over):
            raise
    if failures:
        raise min(failures, key=lambda failure: len(failure.message))
    if looked < count:
        driver.budget.note(driver.requirement, looked, count)


@contextmanager
def for_one_example(driver: Driver) -> Iterator[Driver]:
    """The driver, or one of another world where a job cannot be made to rest.

    Else the jobs of all examples before would run on through the weeks of this one.
    """
    if driver.has("job.remove") or driver.has("job.update", "job.disable"):
        yield driver
        return
    own = driver.spawn(start_ms=driver.now)
    try:
        yield own
    finally:
        own.world.close()


def accounted_for(write: Write, *fields: str) -> bool:
    """Whether a write was refused, or says that one of the members has no effect."""
    return write.rejected is not None or write.reports(*fields)


def step_through(
    driver: Driver, job: Handle, slots: Sequence[int], until_ms: int, *, zone: str | None = None
) -> None:
    """Walk to ``until_ms``: just before each slot nothing new ran, at the slot exactly one run started.

    What ran is read from the model's requests; ``latenessMs`` and ``resolutionMs`` are granted.
    """
    late, grain = driver.hello.late_by_ms, max(1, driver.hello.resolution_ms)
    if any(later - slot < late + grain for slot, later in pairwise(slots)):
        driver.pass_over("on so coarse or late a clock the slots cannot be told apart")
    seen = len(driver.turns(job))
    for slot in slots:
        if slot - grain > driver.now:
            driver.advance_to(slot - grain)
            _count(driver, job, seen, f"before the slot {instant(slot, zone)}", zone)
        driver.advance_to(max(driver.now, slot + late))
        seen += 1
        _count(driver, job, seen, f"at the slot {instant(slot, zone)}", zone)
    if until_ms > driver.now:
        driver.advance_to(until_ms)
        _count(driver, job, seen, f"after the last slot before {instant(until_ms, zone)}", zone)


def _count(driver: Driver, job: Handle, expected: int, where: str, zone: str | None) -> None:
    got = len(driver.turns(job))
    if got != expected:
        word = "missing" if got < expected else "extra"
        driver.fail(
            f"{abs(got - expected)} {word} run(s) {where}: expected {expected} in all, the model saw {got}"
        )
    driver.witness()


def hourly(driver: Driver, kind: str) -> Handle:
    """A job that runs once an hour, of kind ``every`` or ``cron``."""
    driver.require(f"schedule.{kind}")
    return driver.add(every(minutes=60) if kind == "every" else cron("0 * * * *"))


def said_to(turn: Turn) -> list[str]:
    """What the model was told as a user in one request, message by message."""
    return [content_text(m.get("content")) for m in turn.messages if m.get("role") == "user"]


def next_run(driver: Driver, job: Handle) -> int:
    """When a job that is enabled is to run next, in ms."""
    return driver.told(driver.stored(job).next_run_ms, "when a job that is enabled runs next")


def to_the_next_run(driver: Driver, job: Handle) -> int:
    """Go to the next run of a job that is enabled; its instant."""
    slot = next_run(driver, job)
    driver.advance_to(slot + driver.hello.late_by_ms)
    return slot


def long_timeout(driver: Driver) -> dict[str, Any]:
    """A time-out beyond any run of the suite, where the gateway lets a job have one."""
    return {"timeoutMs": 24 * 3_600_000} if driver.has("run.timeout") else {}


def may_end(driver: Driver) -> None:
    """Pass over a run of more than an hour that has ended: where a job can have no time-out, the gateway has its own."""
    if not driver.has("run.timeout"):
        driver.pass_over("the gateway lets no run take so long, and a job has no say in that")


def sweep_ms(driver: Driver) -> int:
    """One sweep interval, with what the gateway's clock is granted."""
    return driver.hello.sweep_interval_ms + driver.hello.lateness_ms + driver.hello.resolution_ms


def rows_of(driver: Driver, job: Handle) -> list[Session]:
    """The listed rows of a job's runs: those whose key its runs report, or that name the job."""
    keys = {r.session_key for r in driver.runs(job)} if driver.has("run.list") else set()
    return [s for s in driver.sessions() if s.key in keys or (s.job_id == job.id and not keys)]


def row_ids(driver: Driver, job: Handle) -> list[tuple[str, str]]:
    """The keys and session ids of the listed rows of a job's runs."""
    return [(s.key, s.id) for s in rows_of(driver, job)]


def receipts(driver: Driver, job: Handle) -> set[str]:
    """The keys of a job's receipts. A gateway that declares receipts has some, or nothing can be judged."""
    found = {s.key for s in rows_of(driver, job)}
    if not found and driver.has("receipts"):
        driver.not_observed("no receipt of an isolated run was listed")
    return found


def listed(driver: Driver, keys: set[str]) -> set[str]:
    """Which of these rows session/list still shows."""
    return keys & {s.key for s in driver.sessions()}


def all_rows(driver: Driver) -> set[str]:
    """The keys of every listed row."""
    return {s.key for s in driver.sessions()}


def rows_of_others(driver: Driver) -> set[str]:
    """The keys of the rows that are no business of the jobs to come: also one that an agent has from its first run on."""
    if driver.has("session.isolated", "trigger"):
        first = driver.add(target="isolated")
        driver.evidence(first)
        driver.retire(first.id)
    return all_rows(driver)


def is_at(driver: Driver, told: int | None, instant_ms: int) -> bool:
    """Whether an instant is told as it is, as exactly as the gateway's clock goes."""
    return told is not None and abs(told - instant_ms) < max(1, driver.hello.resolution_ms)


MEMBERS = (
    *("name", "agent", "enabled", "schedule", "session", "payload", "timeoutMs", "deleteAfterRun"),
    *("retry", "maxFailures", "catchUp", "nextRunAtMs"),
)


def shown(job: Job, *without: str) -> dict[str, Any]:
    """What is listed of a job in the contract's words, the gateway's own members left out."""
    return {m: job.raw[m] for m in MEMBERS if m in job.raw and m not in without}


def all_shown(driver: Driver) -> dict[str, dict[str, Any]]:
    """What is listed of all jobs, with their revisions."""
    return {j.id: {**shown(j), "revision": j.raw.get("revision")} for j in driver.jobs()}


def begin(driver: Driver, job: Handle) -> None:
    """Start a job by hand whose turn the model holds, and let it get there."""
    trigger = driver.trigger(job)
    if not trigger.started:
        driver.fail(f"a forced run was not started: {trigger.reason}")
    if driver.hello.realtime:
        driver.model.wait_for(lambda: driver.model.held_turns() > 0, timeout=60)
    else:
        driver.advance()


def under_way(driver: Driver, job: Handle) -> Run:
    """The run of a job that the model keeps waiting, as it is listed."""
    running = next((r for r in driver.runs(job) if not r.finished), None)
    return driver.told(running, "the run that waits for the model")


def end_held(driver: Driver, *jobs: Handle) -> None:
    """Let the held turns of these jobs be answered, and what waited for them."""
    for job in jobs:
        driver.model.release(job.tag)
    driver.settle(lambda: driver.model.open_turns() == 0)


def ends_badly(
    driver: Driver, job: Handle, how: str, start: Callable[[Driver, Handle], object] = begin
) -> None:
    """A run of the job, by hand unless ``start`` says else, that has no answer: a word of :data:`ENDINGS`."""
    if how == "error":
        driver.answers(job, ERROR)
        driver.run_now(job)
        return
    driver.answers(job, HANG)
    start(driver, job)
    if how == "timeout":
        driver.advance(minutes=2)
    elif how == "cancel":
        driver.cancel(under_way(driver, job).id)
        driver.advance()
    else:
        driver.restart()
        # Where an interrupted run is made again, that comes first.
        driver.advance(minutes=3)
    driver.expect(
        not driver.model.open_turns(), f"a run that ended ({how}) keeps its request to the model open"
    )


ENDINGS = {
    "error": (),
    "timeout": ("run.timeout", "clock.advance"),
    "cancel": ("run.cancel", "run.list", "clock.advance"),
    "stop": ("restart", "clock.advance"),
}
"""How a run can end badly, and what a gateway has to declare for it."""


def brief(driver: Driver) -> dict[str, Any]:
    """A time-out of one minute, where a job can have one."""
    return {"timeoutMs": 60_000} if driver.has("run.timeout") else {}
