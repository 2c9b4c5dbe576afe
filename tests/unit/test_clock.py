"""The virtual clock, and the wall clocks that follow it."""

from __future__ import annotations

import builtins
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_cronsession.clock import BACKENDS, VirtualClock, epoch_ms
from pytest_cronsession.clock.wall import start_backend

START = 1_772_438_400_000
START_TEXT = "2026-03-02T08:00:00Z"
quiet = settings(deadline=None, derandomize=True, database=None, max_examples=60)


class Mover:
    """Notes where it was told to go, and where the clock stood then."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.moves: list[tuple[str, int, int]] = []

    def advance(self, to_ms: int) -> None:
        self.moves.append(("advance", self.clock.now_ms, to_ms))

    def jump(self, to_ms: int) -> None:
        self.moves.append(("jump", self.clock.now_ms, to_ms))


# --- instants -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "moment",
    [
        START,
        START_TEXT,
        "2026-03-02T09:00:00+01:00",
        "2026-03-02 03:00:00-05:00",
        datetime(2026, 3, 2, 8, tzinfo=UTC),
        datetime(2026, 3, 2, 13, 45, tzinfo=timezone(timedelta(hours=5, minutes=45))),
    ],
)
def test_one_instant_in_many_spellings(moment: Any) -> None:
    assert epoch_ms(moment) == START
    assert VirtualClock(moment).now_ms == START


@pytest.mark.parametrize("moment", ["2026-03-02T08:00:00", "2026-03-02", datetime(2026, 3, 2, 8)])
def test_an_instant_without_an_offset_is_refused(moment: Any) -> None:
    with pytest.raises(ValueError, match="has no offset; write 2026-03-02T08:00:00Z"):
        epoch_ms(moment)
    with pytest.raises(ValueError, match="has no offset"):
        VirtualClock(START).advance_to(moment)


def test_a_text_that_is_no_instant_is_refused() -> None:
    with pytest.raises(ValueError, match="tomorrow"):
        epoch_ms("tomorrow")


@quiet
@given(st.integers(0, 4_102_444_800_000))
def test_milliseconds_survive_a_datetime(ms: int) -> None:
    clock = VirtualClock(ms)
    assert epoch_ms(clock.now) == ms
    assert epoch_ms(clock.now.isoformat()) == ms


# --- moving -------------------------------------------------------------------------------------------------


def test_the_default_start() -> None:
    assert VirtualClock().now_ms == START
    assert VirtualClock().now == datetime(2026, 3, 2, 8, tzinfo=UTC)
    assert repr(VirtualClock()) == "VirtualClock(2026-03-02T08:00:00.000+00:00)"


def test_advancing() -> None:
    clock = VirtualClock()
    clock.advance(hours=1, minutes=30)
    assert clock.now_ms == START + 5_400_000
    clock.advance(milliseconds=1)
    clock.advance_to("2026-03-03T00:00:00Z")
    assert clock.now == datetime(2026, 3, 3, tzinfo=UTC)
    clock.advance()
    assert clock.now == datetime(2026, 3, 3, tzinfo=UTC)


def test_jumping() -> None:
    clock = VirtualClock()
    clock.jump(days=2)
    assert clock.now_ms == START + 2 * 86_400_000
    clock.jump_to(START + 3 * 86_400_000)
    assert clock.now_ms == START + 3 * 86_400_000


@pytest.mark.parametrize(
    "back",
    [
        lambda clock: clock.advance(minutes=-1),
        lambda clock: clock.advance_to(START - 1),
        lambda clock: clock.advance_to("2026-03-02T07:59:59Z"),
        lambda clock: clock.jump(seconds=-1),
        lambda clock: clock.jump_to(0),
    ],
)
def test_there_is_no_way_back(back: Callable[[VirtualClock], None]) -> None:
    clock = VirtualClock()
    mover = Mover(clock)
    clock.attach(mover)
    with pytest.raises(ValueError, match=r"the clock is at 2026-03-02T08:00:00\+00:00 and cannot go back"):
        back(clock)
    assert clock.now_ms == START
    assert mover.moves == []


def test_movers_fire_before_the_clock_has_arrived() -> None:
    clock = VirtualClock()
    mover = Mover(clock)
    clock.attach(mover)
    clock.advance(minutes=1)
    clock.jump(minutes=1)
    assert mover.moves == [("advance", START, START + 60_000), ("jump", START + 60_000, START + 120_000)]
    clock.detach(mover)
    clock.advance(minutes=1)
    assert len(mover.moves) == 2
    assert clock.now_ms == START + 180_000


def test_a_mover_that_fails_leaves_the_clock_where_it_is() -> None:
    class Failing(Mover):
        def advance(self, to_ms: int) -> None:
            raise RuntimeError("gateway gone")

    clock = VirtualClock()
    clock.attach(Failing(clock))
    with pytest.raises(RuntimeError, match="gateway gone"):
        clock.advance(hours=1)
    assert clock.now_ms == START


def test_listeners_hear_every_move_and_no_standstill() -> None:
    clock = VirtualClock()
    heard: list[int] = []
    clock.listen(heard.append)
    clock.advance(minutes=1)
    clock.advance()
    clock.jump(minutes=1)
    clock.set(START + 125_000)
    assert heard == [START, START + 60_000, START + 120_000, START + 125_000]


# --- wall clocks ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BACKENDS)
def test_the_wall_clock_follows(name: str) -> None:
    before = time.time()
    clock = VirtualClock()
    wall = start_backend(name, clock.now_ms)
    try:
        clock.listen(wall.move_to)
        assert time.time() == START / 1000
        assert datetime.now(UTC).isoformat() == "2026-03-02T08:00:00+00:00"
        clock.advance(hours=1, milliseconds=250)
        assert time.time() == pytest.approx(START / 1000 + 3600.25, abs=1e-6)
        clock.jump(days=400)
        assert datetime.now(UTC).isoformat() == "2027-04-06T09:00:00.250000+00:00"
        assert clock.now == datetime.now(UTC)
        # It stands still between moves.
        assert time.time() == time.time()
    finally:
        wall.stop()
    after = time.time()
    assert before <= after < before + 600
    assert clock.now_ms == START + 400 * 86_400_000 + 3_600_250


@pytest.mark.parametrize("name", BACKENDS)
def test_back_ends_can_follow_one_another(name: str) -> None:
    for start in (START, START + 1000):
        wall = start_backend(name, start)
        try:
            assert time.time() == start / 1000
        finally:
            wall.stop()


def test_an_unknown_back_end() -> None:
    with pytest.raises(
        ValueError, match=r"^clock back end 'faketime': choose one of freezegun, time-machine, or none$"
    ):
        start_backend("faketime", START)


@pytest.mark.parametrize("name", BACKENDS)
def test_a_back_end_that_is_not_installed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, real = name.replace("-", "_"), builtins.__import__

    def missing(wanted: str, *args: Any, **kwargs: Any) -> Any:
        if wanted == module:
            raise ImportError(f"No module named {wanted!r}")
        return real(wanted, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ValueError, match=f"^clock back end '{name}' is not installed: pip install {name}$"):
        start_backend(name, START)
