"""The driver: what a test of the suite says, and what it gets from gateways that answer, refuse and lie."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pytest_cronsession.driver import Driver, at, cron, every, wish
from pytest_cronsession.model import ERROR, HANG, hold
from pytest_cronsession.outcomes import ConformanceFailure, NotApplicable, NotObserved, TargetError
from pytest_cronsession.trace import instant
from pytest_cronsession.worlds import START_MS, World

from .tiny_gateway import CAPABILITIES, Tiny, target

MINUTE = 60_000
Opener = Callable[..., Driver]


@pytest.fixture
def opened() -> Iterator[Opener]:
    """``opened(GatewayClass)``: a driver of a new world."""
    worlds: list[World] = []

    def start(factory: type[Tiny] = Tiny, **options: Any) -> Driver:
        worlds.append(World(target(factory)))
        return Driver(worlds[-1], requirement="CS-X-001", **options)

    yield start
    for world in worlds:
        world.close()


@pytest.fixture
def driver(opened: Opener) -> Driver:
    return opened()


def without(*capabilities: str, **methods: Any) -> type[Tiny]:
    """A gateway that neither declares these capabilities nor has these methods."""
    kept = tuple(c for c in CAPABILITIES if c not in capabilities)
    return type("Less", (Tiny,), {"capabilities": kept, **methods})


def failure(action: Callable[[], object]) -> ConformanceFailure:
    with pytest.raises(ConformanceFailure) as caught:
        action()
    return caught.value


# --- jobs that do not care -----------------------------------------------------------------------------------


def test_a_removed_job_leaves_its_session_to_itself(opened: Opener) -> None:
    # A run of it may be under way there, and hold up the next job's.
    driver = opened(without("session.isolated"))
    first = driver.add()
    driver.remove(first)
    driver.add()
    added = [step.params["job"] for step in driver.trace.steps if step.operation == "job/add"]
    assert len({job["session"]["name"] for job in added}) == len(added) == 2


# --- words ------------------------------------------------------------------------------------------------


def test_schedules_and_wishes() -> None:
    assert every(minutes=15) == {"kind": "every", "everyMs": 900_000}
    assert every(hours=1, seconds=0.5) == {"kind": "every", "everyMs": 3_600_500}
    assert cron("0 9 * * *") == {"kind": "cron", "expr": "0 9 * * *", "tz": "UTC"}
    assert cron("0 9 * * *", "Europe/Berlin")["tz"] == "Europe/Berlin"
    assert at(5) == {"kind": "at", "atMs": 5}
    assert wish("named", name="n", mode="shared") == {"target": "named", "name": "n", "mode": "shared"}
    assert wish("isolated") == {"target": "isolated"}


def test_names_and_tags_are_new_each_time(driver: Driver) -> None:
    names = {driver.fresh_name("room") for _ in range(5)}
    assert len(names) == 5
    assert all(n.startswith("room-") for n in names)
    assert driver.add(every(minutes=1)).tag != driver.add(every(minutes=1)).tag


# --- jobs ---------------------------------------------------------------------------------------------------


def test_adding_listing_removing(driver: Driver) -> None:
    one, two = driver.add(every(minutes=10)), driver.add(at(START_MS + 5))
    assert [j.id for j in driver.jobs()] == [one.id, two.id]
    assert driver.stored(one).next_run_ms == START_MS + 10 * MINUTE
    assert driver.remove(one) is True
    assert driver.job(one) is None
    assert driver.remove(one) is False
    gone = failure(lambda: driver.stored(one))
    assert gone.message.startswith("an accepted job is missing in job/list")


def test_a_refused_job(driver: Driver) -> None:
    write, handle = driver.try_add(target="current", caller={"target": "named", "name": "x"})
    assert handle is None
    assert write.rejected is not None
    assert write.rejected.field == "session.target"
    refused = failure(lambda: driver.add(target="current"))
    assert refused.requirement == "CS-X-001"
    assert refused.message.startswith(
        "the gateway refused a job it should take: session.target: isolated or named\nsteps:\n"
    )
    assert 'job/add {"job": {"name": ' in refused.message


def test_what_is_sent_with_a_job(opened: Opener) -> None:
    class Listening(Tiny):
        def job_add(self, params: dict[str, Any]) -> dict[str, Any]:
            self.seen = params
            return super().job_add(params)

    driver = opened(Listening)
    job = driver.add(
        at(START_MS + 5),
        target="named",
        name="n",
        key="k",
        mode="shared",
        text="Hi.",
        agent="work",
        timeoutMs=5,
    )
    sent = driver.trace.steps[-1].params["job"]
    assert sent["session"] == {"target": "named", "name": "n", "key": "k", "mode": "shared"}
    assert sent["payload"] == {"kind": "agentTurn", "text": f"Hi. [[msg:{job.tag}]]"}
    assert (sent["agent"], sent["timeoutMs"]) == ("work", 5)
    write, _ = driver.try_add(target="main", caller=wish("named", name="n"))
    params = driver.trace.steps[-1].params
    assert write.rejected is not None
    assert params["job"]["payload"]["kind"] == "systemEvent"
    assert params["context"] == {"session": {"target": "named", "name": "n"}}


# --- runs ---------------------------------------------------------------------------------------------------


def test_a_run_by_hand_is_evidence(driver: Driver) -> None:
    job = driver.add(every(minutes=10))
    done = driver.run_now(job)
    assert done.turn is not None
    assert done.run is not None
    assert (done.turn.tag, done.turn.state) == (job.tag, "answered")
    assert (done.run.id, done.run.status, done.run.job_id) == (done.trigger.run_id, "ok", job.id)
    assert driver.now == START_MS
    again = driver.run_now(job)
    assert again.turn is not done.turn
    assert driver.turns(job) == [done.turn, again.turn]
    assert [r.id for r in driver.runs(job)] == ["r1", "r2"]


def test_a_run_by_hand_without_a_run_list(opened: Opener) -> None:
    driver = opened(without("run.list", run_list=None))
    done = driver.run_now(driver.add(every(minutes=10)))
    assert done.run is None
    assert done.turn is not None


def test_sessions_are_told_apart_by_what_the_model_saw(driver: Driver) -> None:
    named, alone = driver.add(target="named", name="n"), driver.add(target="isolated")
    first, second = driver.evidence(named), driver.evidence(named)
    assert second.saw_turn(first)
    said = driver.say(wish("named", name="n"))
    assert said.saw == {first.nonce, second.nonce}
    assert not driver.evidence(alone).saw
    row = driver.row("n")
    assert row is not None
    assert row.id == "id of n"
    assert driver.row("nobody") is None
    assert len(driver.sessions()) == 2


def test_scripted_answers(driver: Driver) -> None:
    job = driver.add(every(minutes=10))
    driver.answers(job, ERROR)
    failed, fine = driver.run_now(job), driver.run_now(job)
    assert [d.run.status for d in (failed, fine) if d.run] == ["error", "ok"]
    assert [t.state for t in driver.turns(job)] == ["failed", "answered"]


def test_a_held_run_stays_under_way(driver: Driver) -> None:
    job = driver.add(every(minutes=10))
    driver.answers(job, hold(START_MS + 5 * MINUTE))
    done = driver.run_now(job)
    assert done.run is not None
    assert not done.run.finished
    driver.advance(minutes=5)
    assert [(r.status, r.ended_ms) for r in driver.runs(job)] == [("ok", START_MS + 5 * MINUTE)]


def test_only_runs_since_the_test_began_are_listed(opened: Opener) -> None:
    earlier = opened()
    earlier.run_now(earlier.add(every(minutes=500)))
    earlier.advance(minutes=30)
    later = Driver(earlier.world)
    later.run_now(later.add(every(minutes=500)))
    assert len(earlier.runs()) == 2
    assert len(later.runs()) == 1


class Lying(Tiny):
    """Says that a run was fine, and never asked the model."""

    async def _run(self, run: dict[str, Any], text: str) -> None:
        run |= {"status": "ok", "endedAtMs": self.now}


def test_a_claim_is_no_evidence(opened: Opener) -> None:
    driver = opened(Lying)
    job = driver.add(every(minutes=10))
    done = driver.run_now(job)
    assert done.turn is None
    assert done.run is not None
    assert done.run.status == "ok"
    caught = failure(lambda: driver.evidence(job))
    assert caught.message.startswith("a run was started and no request with the job's text reached the model")
    caught = failure(
        lambda: opened(type("Deaf", (Tiny,), {"session_send": lambda self, p: {}})).say(wish("named"))
    )
    assert caught.message.startswith("a human turn was sent and nothing reached the model")


def test_a_forced_run_that_is_not_started(opened: Opener) -> None:
    class Unwilling(Tiny):
        def job_trigger(self, params: dict[str, Any]) -> dict[str, Any]:
            return {"started": False, "reason": f"not {params['mode']}"}

    driver = opened(Unwilling)
    job = driver.add(every(minutes=10))
    assert driver.trigger(job, "due").reason == "not due"
    assert failure(lambda: driver.run_now(job)).message.startswith("a forced run was not started: not force")


# --- time and faults ----------------------------------------------------------------------------------------


def test_time_passes(driver: Driver) -> None:
    job = driver.add(every(minutes=10))
    driver.advance(hours=1, seconds=1)
    assert len(driver.turns(job)) == 6
    assert driver.now == START_MS + 3_601_000
    driver.advance_to(START_MS + 70 * MINUTE)
    assert len(driver.turns(job)) == 7
    assert f"advance to {instant(START_MS + 70 * MINUTE)}" in driver.trace.script()


def test_crash_and_coming_back(driver: Driver) -> None:
    job = driver.add(every(minutes=10))
    assert not driver.worn
    driver.crash()
    assert driver.worn
    assert driver.job(job) is not None
    driver.go_down()
    driver.come_back({"minutes": 7})
    assert driver.now == START_MS + 7 * MINUTE
    driver.advance(minutes=3)
    assert len(driver.turns(job)) == 1
    assert [s.text for s in driver.trace.steps if not s.operation][:3] == ["crash", "start again", "crash"]


def test_restart(driver: Driver) -> None:
    job = driver.add(every(minutes=10))
    driver.restart()
    assert driver.worn
    assert driver.job(job) is not None


def test_a_spawned_world_is_another_one(driver: Driver) -> None:
    other = driver.spawn()
    try:
        assert other.requirement == "CS-X-001"
        assert other.world.state_dir != driver.world.state_dir
        other.add(every(minutes=10))
        assert driver.jobs() == []
    finally:
        other.world.close()


# --- verdicts -----------------------------------------------------------------------------------------------


def test_witnesses_are_counted(opened: Opener) -> None:
    counted: list[tuple[str, int]] = []
    driver = opened(on_witness=lambda requirement, n: counted.append((requirement, n)))
    driver.witness()
    driver.witness(3, "CS-X-002")
    driver.expect(True, "unused")
    driver.judge([])
    driver.judge(iter(()), "CS-X-002")
    assert counted == [("CS-X-001", 1), ("CS-X-002", 3), ("CS-X-001", 1), ("CS-X-001", 1), ("CS-X-002", 1)]
    assert not driver.failed
    with pytest.raises(ConformanceFailure):
        driver.expect(False, "broken")
    assert len(counted) == 5
    assert driver.failed


def test_failures_name_requirement_and_steps(driver: Driver) -> None:
    driver.advance(minutes=1)
    caught = failure(lambda: driver.fail("it broke", "CS-X-002"))
    assert caught.requirement == "CS-X-002"
    step = f"{instant(START_MS)}  advance to {instant(START_MS + MINUTE)}"
    assert caught.message == f"it broke\nsteps:\n  {step}"
    assert str(caught).startswith("CS-X-002: it broke")
    caught = failure(lambda: driver.judge(f"finding {n}" for n in range(9)))
    assert caught.message.splitlines()[0] == "finding 0; finding 1; finding 2; finding 3; finding 4"


def test_what_a_gateway_lacks_is_not_applicable(driver: Driver) -> None:
    driver.require("trigger", "crash")
    assert driver.has("trigger")
    assert not driver.has("trigger", "session.key")
    assert driver.applies("CS-SES-001")
    assert not driver.applies("CS-RES-001"), "it needs session.key"
    assert not driver.applies("CS-SCH-001"), "the profile is not declared"
    with pytest.raises(NotApplicable, match=r"^the gateway does not declare session\.key$"):
        driver.require("trigger", "session.key")
    driver.require_policy("dst", "ocps", "vixie")
    with pytest.raises(NotApplicable, match="policy dst is vixie"):
        driver.require_policy("dst", "ocps")
    with pytest.raises(NotObserved, match="no luck"):
        driver.not_observed("no luck")


REFUSED = {
    "job/remove": lambda d: d.remove(d.add(every(minutes=1))),
    "job/trigger": lambda d: d.run_now(d.add(every(minutes=1))),
    "run/list": lambda d: d.runs(),
    "session/send": lambda d: d.say(wish("named", name="n")),
    "session/list": lambda d: d.sessions(),
    "clock/advance": lambda d: d.advance(minutes=1),
    "gateway/stop": lambda d: d.restart(),
}


@pytest.mark.parametrize("operation", REFUSED)
def test_what_is_declared_and_then_refused_is_a_failure(opened: Opener, operation: str) -> None:
    driver = opened(type("Less", (Tiny,), {operation.replace("/", "_"): None}))
    caught = failure(lambda: REFUSED[operation](driver))
    assert caught.requirement == "CS-X-001"
    assert caught.message.startswith(f"{operation} is needed by a declared capability and was refused: ")
    assert driver.failed


def test_a_gateway_that_breaks_is_an_error_and_no_failure(opened: Opener) -> None:
    class Broken(Tiny):
        def job_list(self, params: dict[str, Any]) -> dict[str, Any]:
            raise KeyError("jobs")

    driver = opened(Broken)
    with pytest.raises(TargetError, match="job/list: the gateway raised KeyError"):
        driver.jobs()
    assert not driver.failed
    assert not driver.world.healthy


def test_time_does_not_go_back_for_a_gateway_that_says_nonsense(driver: Driver) -> None:
    driver.advance(minutes=5)
    before = driver.now
    driver.advance_to(before - MINUTE)
    assert driver.now == before
    assert driver.world.healthy


def test_what_is_not_told_is_a_failure(driver: Driver) -> None:
    assert driver.told(0, "a number") == 0
    with pytest.raises(ConformanceFailure, match="does not tell when it runs"):
        driver.told(None, "when it runs")


# --- leaving a shared world -----------------------------------------------------------------------------------


def test_cleaning_removes_this_tests_jobs_only(driver: Driver) -> None:
    other = Driver(driver.world)
    theirs = other.add(every(minutes=10))
    mine = [driver.add(every(minutes=10)), driver.add(at(START_MS + MINUTE)), driver.add(every(minutes=20))]
    driver.remove(mine[0])
    assert driver.clean() is True
    assert [j.id for j in driver.jobs()] == [theirs.id]
    assert driver.clean() is True


def test_a_job_that_cannot_be_removed_is_disabled(opened: Opener) -> None:
    class Disabling(Tiny):
        capabilities = (*(c for c in CAPABILITIES if c != "job.remove"), "job.update", "job.disable")

        def job_update(self, params: dict[str, Any]) -> dict[str, Any]:
            self.log.append(("update", params))
            self.jobs[params["id"]]["due"] = None
            return {"job": self._stored(params["id"])}

    driver = opened(Disabling)
    job = driver.add(every(minutes=10))
    assert driver.clean() is True
    driver.advance(hours=1)
    assert driver.turns(job) == []


def test_a_job_that_goes_on_makes_a_world_unfit(opened: Opener) -> None:
    driver = opened(without("job.remove", job_remove=None))
    driver.run_now(driver.add())  # of itself it never runs
    assert driver.clean() is True
    driver.add(every(minutes=10))
    assert driver.clean() is False


def test_messages_of_a_test_before_are_noticed(opened: Opener) -> None:
    class Undead(Tiny):
        def job_remove(self, params: dict[str, Any]) -> dict[str, Any]:
            return {"removed": True}

    driver = opened(Undead)
    driver.add(every(minutes=10))
    assert driver.clean() is True  # nobody can know yet
    later, mark = Driver(driver.world), driver.model.mark()
    later.run_now(later.add())
    assert not driver.model.haunted(mark)
    later.advance(minutes=11)
    assert driver.model.haunted(mark)


def test_a_hanging_run_goes_with_the_world(opened: Opener) -> None:
    driver = opened()
    job = driver.add(every(minutes=10))
    driver.answers(job, HANG)
    driver.advance(minutes=35)
    driver.world.close()
    assert driver.model.open_turns() == 0


def test_requests_sent_together_are_answered_in_the_order_they_were_sent(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    job = d.add(target="isolated")
    d.answers(job, hold())
    first, second, listed = d.together(
        ("job/trigger", {"id": job.id, "mode": "force"}),
        ("job/trigger", {"id": job.id, "mode": "force"}),
        ("job/list", {}),
    )
    assert [first["started"], second["started"]] == [True, False]
    assert [j["id"] for j in listed["jobs"]] == [job.id]
    assert "together: job/trigger" in d.trace.script()
