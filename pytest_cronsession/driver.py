"""What a test holds: a gateway as a plain object, with a clock, a model script and a record of the steps.

Everything is synchronous; instants are epoch milliseconds, durations are keyword arguments. A job is
followed by its tag (see :mod:`.model`), so what it did is read from the model's requests, not asked.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from .attempts import Attempt, Attempts
from .budget import NONE, Budget
from .contract import Job, Run, Session, Trigger, Write
from .effort import USUAL, Effort
from .model import Answer, Turn, tag_text
from .recording import Recording, seen_turns
from .wishes import at, cron, every, quiet, wish
from .worlds import START_MS, World

__all__ = ["Attempt", "Done", "Driver", "Handle", "at", "cron", "every", "wish"]


_SHARED_MS = 10 * 24 * 3_600_000  # for how long tests share the session of jobs that do not care


@dataclass(frozen=True)
class Handle:
    """A job this test added: its id, and the tag its messages carry."""

    id: str
    tag: str
    write: Write


@dataclass(frozen=True)
class Done:
    """A run started by hand, after it ended. ``turn`` is the evidence, ``run`` the gateway's claim."""

    turn: Turn | None
    run: Run | None
    trigger: Trigger


class Driver(Attempts):
    """One test's view of a world. Jobs it added are removed when it is done with a shared world."""

    def __init__(
        self,
        world: World,
        *,
        requirement: str = "CS-000-000",
        on_witness: Callable[[str, int], None] | None = None,
        on_result: Callable[[str, str, str], None] | None = None,
        known: Collection[str] = frozenset(),
        budget: Budget = NONE,
        effort: Effort = USUAL,
    ) -> None:
        super().__init__(world, requirement, on_witness or (lambda requirement, n: None))
        world.script.on_change = self._scripted
        self._begun = world.now
        self.budget, self.effort = budget, effort
        self.hear_results(on_result, known)
        self._config = world.config
        # Runs are listed from shortly before this test on: a shared world has many, a coarse clock rounds down.
        self._since = max(0, world.now - 60_000)
        self._earlier = len(world.script.turns())  # of other tests, perhaps at this very instant
        self._mine: dict[str, bool] = {}  # the jobs this test added; True if they run by themselves
        self._lasting = False  # whether a job of this test has the session that tests share

    def few(self, full: int, least: int) -> int:
        """How many examples to look at: ``full``, or ``least`` on a gateway that costs real time."""
        return self.budget.few(self.requirement, full, least)

    def fresh_name(self, stem: str) -> str:
        """A session name that no other test of this world uses."""
        return f"{stem}-{self.model.new_tag()}"

    def evidence_of(self, requirement: str, message: str) -> Callable[[], Recording]:
        steps, turns = tuple(self.trace.steps), tuple(self.model.turns()[self._earlier :])
        return lambda: Recording(
            requirement=requirement,
            message=message,
            config=self._config,
            host_zone=self.world.host_zone,
            start_ms=self._begun,
            steps=steps,
            turns=seen_turns(turns, since_ms=self._begun),
        )

    def _scripted(self, do: str, params: dict[str, Any]) -> None:
        self.trace.note(self.now, "", do, **params)

    # --- jobs ----------------------------------------------------------------------------------------

    def try_add(
        self,
        schedule: Mapping[str, Any] | None = None,
        *,
        target: str | None = None,
        name: str | None = None,
        key: str | None = None,
        mode: str | None = None,
        text: str = "Reply OK only.",
        payload: str | None = None,
        agent: str | None = None,
        caller: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> tuple[Write, Handle | None]:
        """Add a job, which the gateway may refuse. ``caller`` is the session the request is made from.

        Without a schedule the job does not come due by itself. Without a target its runs have fresh sessions, where
        the gateway can do that; on one that costs real time a lasting one, which costs least: the first job of a
        test in a session that all tests of the world share, any other one in a session of its own.
        """
        tag = self.model.new_tag()
        if target is None:
            self.require_a_session()
            lasting = self.has("session.named") and self.budget.limited
            target = "isolated" if self.has("session.isolated") and not lasting else "named"
            name = None if target == "isolated" else self._lasting_name()
        kind = payload or ("systemEvent" if target == "main" else "agentTurn")
        job = {
            "name": f"job {tag}",
            "schedule": dict(schedule or quiet(self.hello.capabilities, self.now)),
            "session": wish(target, name=name, key=key, mode=mode),
            "payload": {"kind": kind, "text": tag_text(text, tag)},
            **({"agent": agent} if agent else {}),
            **fields,
        }
        params = {"job": job, **({} if caller is None else {"context": {"session": dict(caller)}})}
        write = Write.parse(self._call("job/add", params))
        if write.job is None:
            return write, None
        self._mine[write.job.id] = schedule is not None
        return write, Handle(write.job.id, tag, write)

    def _lasting_name(self) -> str:
        """A session for a job that does not care. Not one from long ago: what is idle for weeks may be pruned."""
        self._lasting, taken = True, self._lasting
        return self.fresh_name("any") if taken else f"any-{self.now // _SHARED_MS}"

    def add(self, schedule: Mapping[str, Any] | None = None, **options: Any) -> Handle:
        """Add a job that a gateway with the declared capabilities has to accept."""
        write, handle = self.try_add(schedule, **options)
        if handle is None:
            assert write.rejected is not None
            self.fail(
                f"the gateway refused a job it should take: {write.rejected.field}: {write.rejected.reason}"
            )
        assert handle is not None
        return handle

    def update(self, job: Handle, **patch: Any) -> Write:
        """Edit a job; the gateway may refuse."""
        return Write.parse(self._call("job/update", {"id": job.id, "patch": patch}))

    def update_at(self, job: Handle, revision: str | int, **patch: Any) -> Write:
        """An edit on the condition that the job is at ``revision``; the gateway may refuse."""
        params = {"id": job.id, "patch": patch, "expectedRevision": revision}
        return Write.parse(self._call("job/update", params))

    def edit(self, job: Handle, **patch: Any) -> Write:
        """An edit that has to be accepted."""
        write = self.update(job, **patch)
        if write.rejected is not None:
            self.fail(f"the gateway refused an edit: {write.rejected.field}: {write.rejected.reason}")
        return write

    def remove(self, job: Handle) -> bool:
        removed = bool(self._call("job/remove", {"id": job.id})["removed"])
        self._mine.pop(job.id, None)
        return removed

    def jobs(self) -> list[Job]:
        return [Job.parse(j) for j in self._call("job/list")["jobs"]]

    def job(self, job: Handle) -> Job | None:
        return next((j for j in self.jobs() if j.id == job.id), None)

    def stored(self, job: Handle) -> Job:
        """The listed job; fails when it is gone."""
        found = self.job(job)
        if found is None:
            self.fail("an accepted job is missing in job/list")
        assert found is not None
        return found

    # --- runs ----------------------------------------------------------------------------------------

    def trigger(self, job: Handle, mode: str = "force") -> Trigger:
        """Start a job by hand, without waiting."""
        return Trigger.parse(self._call("job/trigger", {"id": job.id, "mode": mode}))

    def run_now(self, job: Handle) -> Done:
        """Start a job by hand and wait until the run has ended."""
        before = {r.id for r in self.runs(job)} if self.has("run.list") else set()
        turns = len(self.turns(job))
        trigger = self.trigger(job)
        if not trigger.started:
            self.fail(f"a forced run was not started: {trigger.reason}")
        self.settle(lambda: self._ended(job, trigger, before, turns))
        if self.hello.realtime:
            # An event for the main session may be taken up a moment after its run is reported.
            self.model.wait_for(lambda: len(self.turns(job)) > turns, timeout=15)
        new = self.turns(job)[turns:]
        return Done(new[-1] if new else None, self._claimed(job, trigger, before), trigger)

    def evidence(self, job: Handle) -> Turn:
        """Run a job by hand and return its turn; fails when nothing reached the model."""
        turn = self.run_now(job).turn
        if turn is None:
            self.fail("a run was started and no request with the job's text reached the model")
        assert turn is not None
        return turn

    def _ended(self, job: Handle, trigger: Trigger, before: set[str], turns: int) -> bool:
        if self.has("run.list"):
            claimed = self._claimed(job, trigger, before)
            return claimed is not None and claimed.finished
        return len(self.turns(job)) > turns and self.model.open_turns() == 0

    def _claimed(self, job: Handle, trigger: Trigger, before: set[str]) -> Run | None:
        """The listed run of a manual start: the one with its id, or the newest that was not there before."""
        if not self.has("run.list"):
            return None
        new = [r for r in self.runs(job) if r.id not in before]
        chosen = [r for r in new if r.id == trigger.run_id] or new
        return chosen[-1] if chosen else None

    def turns(self, job: Handle) -> list[Turn]:
        """The model turns made for this job's text, oldest first."""
        return self.model.turns(job.tag)

    def runs(self, job: Handle | None = None, *, since_ms: int | None = None) -> list[Run]:
        """The runs since ``since_ms``, or since this test began, that the gateway lists, oldest first."""
        since = self._since if since_ms is None else since_ms
        runs = [Run.parse(r) for r in self._call("run/list", {"sinceMs": since})["runs"]]
        mine = [r for r in runs if job is None or r.job_id == job.id]
        return sorted(mine, key=lambda r: r.started_ms or r.slot_ms or 0)

    def list_from(self, since_ms: int) -> None:
        """From now on :meth:`runs` lists those since then: what came before has been looked at."""
        self._since = max(self._since, since_ms)

    def cancel(self, run_id: str) -> bool:
        """Stop a run; whether the gateway did."""
        return bool(self._call("run/cancel", {"id": run_id})["cancelled"])

    def notices(self) -> list[dict[str, Any]]:
        """What people were told since this test began."""
        return list(self._call("notice/list", {"sinceMs": self._since})["notices"])

    def answers(self, job: Handle, *answers: Answer, always: Answer | None = None) -> None:
        """Script how the model answers the job's next turns, in order."""
        self.model.plan(job.tag, *answers, always=always)

    def together(self, *calls: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
        """Send several requests before any is answered, in this order; the answers, in the same order.

        How far the gateway lets them overlap is its own business. Jobs added so are the caller's to remove.
        """
        with self._needed():
            answers = self.world.together(calls)
        self.trace.together(self.now, calls, answers)
        return answers

    # --- sessions and store ----------------------------------------------------------------------------

    def sessions(self) -> list[Session]:
        return [Session.parse(s) for s in self._call("session/list")["sessions"]]

    def row(self, key: str | None) -> Session | None:
        return next((s for s in self.sessions() if s.key == key), None)

    def say(
        self,
        session: Mapping[str, Any],
        text: str = "Hello.",
        agent: str | None = None,
        answer: Answer | None = None,
    ) -> Turn:
        """A human turn, answered with ``answer``; returns the turn that reached the model."""
        tag = self.model.new_tag()
        if answer is not None:
            self.answers(Handle("", tag, Write(None, None)), answer)
        params = {
            "session": dict(session),
            "text": tag_text(text, tag),
            **({"agent": agent} if agent else {}),
        }
        self._call("session/send", params)
        self.settle(lambda: bool(self.model.turns(tag)) and self.model.open_turns() == 0)
        return self._arrived(tag)

    def _arrived(self, tag: str) -> Turn:
        turns = self.model.turns(tag)
        if not turns:
            self.fail("a human turn was sent and nothing reached the model")
        return turns[-1]

    def speak(self, session: Mapping[str, Any], answer: Answer, text: str = "Hello.") -> Turn:
        """A human turn that is held or fails, and whose answer nobody waits for; the turn as the model has it."""
        tag = self.model.new_tag()
        self.model.plan(tag, answer)
        params = {"session": dict(session), "text": tag_text(text, tag)}
        told = f"session/send ({answer.kind})"
        self.trace.note(self.now, told, "send", operation="session/send", params=params)
        self.world.send("session/send", params)
        self.model.wait_for(lambda: bool(self.model.turns(tag)), timeout=2)
        if not self.model.turns(tag) and not self.hello.realtime:
            self.advance()  # it may begin with the next settling
        self.model.wait_for(lambda: bool(self.model.turns(tag)), timeout=30)
        return self._arrived(tag)

    def maintain(self, *, dry_run: bool) -> dict[str, Any]:
        return self._call("store/maintain", {"dryRun": dry_run})

    def sweep(self) -> list[str]:
        """Ask for a sweep; the keys that it removed. Only for tests about that."""
        return list(self._call("store/sweep")["removed"])

    def spawn(self, config: Mapping[str, Any] | None = None, *, start_ms: int = START_MS) -> Driver:
        """A driver of a new world of the same target, and the same config or another; its user closes ``world``."""
        given = self.world.config if config is None else config
        world = World(self.world.target, given, host_zone=self.world.host_zone, start_ms=start_ms, prefix="x")
        return Driver(
            world,
            requirement=self.requirement,
            on_witness=self._on_witness,
            budget=self.budget,
            effort=self.effort,
        )

    def retire(self, job_id: str) -> bool:
        """Keep a job from running again: remove it, or disable it. False if the gateway can do neither."""
        if self.has("job.remove"):
            self.world.call("job/remove", {"id": job_id})
        elif self.has("job.update", "job.disable"):
            self.world.call("job/update", {"id": job_id, "patch": {"enabled": False}})
        else:
            return False
        return True

    def clean(self) -> bool:
        """Retire the jobs of this test. False if one stays that will run again: then the world is not shared."""
        quiet = [self.retire(job_id) or not recurring for job_id, recurring in self._mine.items()]
        self._mine.clear()
        return all(quiet)
