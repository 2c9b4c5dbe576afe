"""How a real OpenClaw's time is moved: where it stops, when it strides, and when it is settled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from pytest_cronsession.outcomes import TargetError
from pytest_cronsession.targets.openclaw import timeline
from pytest_cronsession.targets.openclaw.timeline import Timeline, is_running, overdue, stops

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
Json = dict[str, Any]


def job(name: str = "a", next_ms: int | None = None, *, since: int | None = None, **more: Any) -> Json:
    """A job as ``cron.list`` shows it; ``since``: a run of it is under way from then on."""
    state = {"nextRunAtMs": next_ms, "runningAtMs": since}
    return {"id": name, "enabled": True, "state": {k: v for k, v in state.items() if v is not None}, **more}


@dataclass
class Clock:
    """Goes where it is told, and remembers how."""

    now_ms: int = 0
    moves: list[tuple[str, int]] = field(default_factory=list)
    trouble: str = ""

    def advance(self, to_ms: int) -> None:
        if self.trouble:
            raise TargetError("clock/advance", self.trouble)
        if to_ms != self.now_ms:
            self.moves.append(("advance", to_ms))
        self.now_ms = to_ms

    def jump(self, to_ms: int) -> None:
        self.moves.append(("jump", to_ms))
        self.now_ms = to_ms


@dataclass
class Process:
    """Uses ``busy`` processor seconds between two looks."""

    busy: float = 0.0
    used: float = 0.0

    def cpu_s(self) -> float:
        self.used += self.busy
        return self.used

    def tail(self) -> str:
        return "its last words"


@dataclass
class Model:
    open: int = 0
    held: int = 0


class Setup:
    """A timeline whose parts are in a test's hands. ``jobs`` is asked with the clock's instant."""

    def __init__(self, jobs: Callable[[int], list[Json]]) -> None:
        self.clock, self.process, self.model = Clock(), Process(), Model()

        async def listed(operation: str) -> list[Json]:
            return jobs(self.clock.now_ms)

        parts: Any = (self.clock, self.process, self.model, listed)
        self.time = Timeline(*parts)

    def advance(self, to_ms: int) -> list[tuple[str, int]]:
        asyncio.run(self.time.advance(to_ms))
        assert self.clock.now_ms == to_ms
        return self.clock.moves


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has not changed between two looks is still."""
    monkeypatch.setattr(timeline, "STILL_S", 0.0)
    monkeypatch.setattr(timeline, "POLL_S", 0.0)


def test_an_idle_stretch_is_crossed_in_one_stride_and_its_end_is_not() -> None:
    moves = Setup(lambda now: []).advance(9 * HOUR)
    assert moves == [("jump", 9 * HOUR - 2000), ("advance", 9 * HOUR)]


def test_a_short_way_is_no_stride() -> None:
    assert Setup(lambda now: []).advance(1_500) == [("advance", 1_500)]
    assert Setup(lambda now: []).advance(10 * MINUTE) == [
        ("jump", 10 * MINUTE - 2000),
        ("advance", 10 * MINUTE),
    ]


def test_every_slot_on_the_way_is_a_stop() -> None:
    def jobs(now: int) -> list[Json]:
        return [job(next_ms=(now // (10 * MINUTE) + 1) * 10 * MINUTE)]

    moves = Setup(jobs).advance(25 * MINUTE)
    assert [to for how, to in moves if how == "advance"] == [10 * MINUTE, 20 * MINUTE, 25 * MINUTE]
    assert all(to % (10 * MINUTE) or how == "advance" for how, to in moves)


def test_a_held_turn_lets_time_stride_to_the_time_out() -> None:
    setup = Setup(lambda now: [job(since=0, payload={"timeoutSeconds": 90})] if now < 90_000 else [])
    setup.model.open = setup.model.held = 1
    assert ("advance", 90_000) in setup.advance(5 * MINUTE)


@pytest.mark.usefixtures("impatient")
def test_what_waits_for_time_gets_every_timer() -> None:
    setup = Setup(lambda now: [job(since=0)] if now < 2 * MINUTE else [])
    moves = setup.advance(4 * MINUTE)
    assert moves[:2] == [("advance", MINUTE), ("advance", 2 * MINUTE)]
    assert moves[2][0] == "jump"


def test_a_job_that_is_late_is_not_strided_over() -> None:
    setup = Setup(lambda now: [job(next_ms=5)] if now < 2 * MINUTE else [])
    setup.clock.now_ms = 10
    assert setup.advance(10 * MINUTE)[0] == ("advance", MINUTE + 10)


@pytest.mark.usefixtures("impatient")
def test_a_run_that_works_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter(range(1000))
    setup = Setup(lambda now: [job(since=0)] if next(looks) < 40 else [])
    setup.process.busy = 1.0
    asyncio.run(setup.time.settle("clock/advance"))
    assert next(looks) == 41


@pytest.mark.usefixtures("impatient")
def test_a_run_that_never_ends_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline, "MOVE_S", 0.05)
    setup = Setup(lambda now: [job("stuck", since=0)])
    setup.process.busy = 1.0
    with pytest.raises(TargetError, match="clock/advance: runs of stuck went on"):
        asyncio.run(setup.time.settle("clock/advance"))


def test_a_turn_that_is_open_and_not_held_is_waited_for() -> None:
    setup = Setup(lambda now: [])
    setup.model.open = 1

    async def both() -> None:
        waiting = asyncio.create_task(setup.time.settle("clock/advance"))
        await asyncio.sleep(0)
        assert not waiting.done()
        setup.model.open = 0
        await waiting

    asyncio.run(both())


def test_a_jump_is_one_move() -> None:
    setup = Setup(lambda now: [job(next_ms=DAY)])
    asyncio.run(setup.time.jump(2 * DAY))
    assert setup.clock.moves == [("jump", 2 * DAY)]


def test_trouble_is_told_with_the_gateways_words() -> None:
    setup = Setup(lambda now: [])
    setup.clock.trouble = "never became quiet"
    with pytest.raises(TargetError, match="clock/advance: never became quiet") as caught:
        setup.advance(MINUTE)
    assert caught.value.log == "its last words"


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (job(next_ms=7), [7]),
        (job(next_ms=3), []),
        ({**job(next_ms=7), "enabled": False}, []),
        (job(since=1), [1 + HOUR]),
        (job(since=1, payload={"timeoutSeconds": 0.5}), [501]),
        (job(next_ms=7, since=1, payload={"timeoutSeconds": 60}), [7, 60_001]),
    ],
)
def test_stops(found: Json, expected: list[int]) -> None:
    assert stops([found], 5) == expected


def test_late_is_what_should_have_started() -> None:
    assert overdue([job(next_ms=5)], 5)
    assert not overdue([job(next_ms=6)], 5)
    assert not overdue([job(next_ms=5, since=1)], 5)
    assert not overdue([{**job(next_ms=5), "enabled": False}], 5)
    assert not overdue([job()], 5)
    assert is_running(job(since=0))
