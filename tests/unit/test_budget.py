"""What a limited budget leaves out, and that it says so."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import strategies as st

from pytest_cronsession import catalog
from pytest_cronsession.budget import NONE, USUAL_S, Budget
from pytest_cronsession.collection import PACKAGED, Selection
from pytest_cronsession.contract import Hello
from pytest_cronsession.driver import Driver
from pytest_cronsession.options import Options
from pytest_cronsession.outcomes import ConformanceFailure
from pytest_cronsession.spreading import HeaviestFirst, world_of
from pytest_cronsession.state import State
from pytest_cronsession.suite.kit import EXAMPLES, examples
from pytest_cronsession.worlds import World

from .tiny_gateway import target


@pytest.fixture
def world() -> Iterator[World]:
    made = World(target())
    yield made
    made.close()


def test_without_a_limit_nothing_is_left_out() -> None:
    assert not NONE.limited
    assert NONE.few("CS-SCH-001", 12, 1) == 12
    assert not NONE.spent(0.0)


def test_a_limited_budget_notes_what_it_leaves_out() -> None:
    noted: list[tuple[str, int, int]] = []
    budget = Budget(400.0, lambda *what: noted.append(what))
    assert budget.few("CS-SCH-001", 12, 3) == 3
    assert budget.few("CS-SCH-002", 2, 3) == 2
    assert noted == [("CS-SCH-001", 3, 12)]


def test_a_property_has_a_fortieth_of_the_whole() -> None:
    budget = Budget(400.0)
    now = time.monotonic()
    assert budget.spent(now - 11)
    assert not budget.spent(now - 1)


def test_examples_end_when_the_share_is_spent_but_not_before_the_first(world: World) -> None:
    noted: list[tuple[str, int, int]] = []
    driver = Driver(world, requirement="CS-SCH-001", budget=Budget(1e-9, lambda *what: noted.append(what)))
    looked: list[int] = []
    examples(driver, lambda n: looked.append(n), n=st.integers())
    assert len(looked) == 1
    assert noted == [("CS-SCH-001", 1, EXAMPLES["core"])]


def test_a_failing_example_fails_whatever_the_budget(world: World) -> None:
    driver = Driver(world, budget=Budget(1e-9))

    def check(n: int) -> None:
        driver.expect(False, f"not {n}")

    with pytest.raises(ConformanceFailure):
        examples(driver, check, n=st.integers())


@pytest.mark.parametrize("share", [400.0, 1e-9])
def test_examples_that_draw_as_they_go_may_end_in_the_middle(world: World, share: float) -> None:
    driver = Driver(world, budget=Budget(share))

    def check(data: st.DataObject) -> None:
        driver.expect(data.draw(st.booleans()) or share < 1, "a failure before the second draw")
        data.draw(st.booleans())

    if share < 1:
        examples(driver, check, data=st.data())
    else:
        with pytest.raises(ConformanceFailure):
            examples(driver, check, data=st.data())


def test_a_job_without_a_target_has_the_cheapest_session(world: World) -> None:
    fresh, cheap = Driver(world), Driver(world, budget=Budget(400.0))
    fresh.add()
    cheap.add()
    assert '"target": "isolated"' in fresh.trace.script()
    assert '"target": "named"' in cheap.trace.script()


# --- which worker gets what -----------------------------------------------------------------------------------


def test_tests_of_one_world_stay_together() -> None:
    def world(test: str) -> str | None:
        return world_of(f"cronsession/{test}", PACKAGED)

    same = (
        "test_reaper.py::test_receipts_of_a_live_job_go",
        "test_reaper.py::test_receipts_go_without_traffic",
    )
    assert world(same[0]) == world(same[1])
    assert world(same[0]) != world("test_reaper.py::test_retention_null_keeps_receipts")
    assert world("test_runs.py::test_a_cancelled_run_is_not_ok[x]") == world(
        "test_runs.py::test_a_cancelled_run_is_not_ok"
    )


def test_what_crashes_a_gateway_goes_to_the_worker_that_has_it() -> None:
    """A costly world is kept over a crash, and another worker would have to boot one."""
    last = "cronsession/test_reaper.py::test_receipts_from_before_a_restart_go"
    assert world_of(last, PACKAGED) == world_of(
        "cronsession/test_reaper.py::test_receipts_of_a_live_job_go", PACKAGED
    )


def test_anybody_elses_test_is_on_its_own() -> None:
    assert world_of("tests/test_mine.py::test_it", PACKAGED) is None


# --- who has one ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("capabilities", "costly", "expected"),
    [(("clock.advance",), False, None), (("clock.advance",), True, USUAL_S), ((), False, USUAL_S)],
    ids=["virtual", "real-gateway", "real-time"],
)
def test_what_costs_real_time_has_a_budget(
    capabilities: tuple[str, ...], costly: bool, expected: float | None
) -> None:
    hello = Hello("x", "1", 1, frozenset(capabilities), (), {})
    aim = replace(target(), costly=costly)
    state = State(Options("x"), catalog.load(), None, PACKAGED, Selection(), aim, hello)
    assert state.budget_s == expected
    assert replace(state, options=Options("x", budget_s=60.0)).budget_s == 60.0


def test_what_takes_long_is_begun_first() -> None:
    """A whole life takes longer than some short tests, and as the last one it would keep one worker waiting."""
    queue = HeaviestFirst()
    for file, tests in (("session_keys", 12), ("life", 2), ("store", 9), ("runs", 1)):
        queue[f"cronsession/test_{file}.py "] = {f"test_{n}": False for n in range(tests)}
    order = [queue.popitem(last=False)[0] for _ in range(4)]
    assert [scope.split("test_")[1] for scope in order] == [
        "store.py ",
        "life.py ",
        "session_keys.py ",
        "runs.py ",
    ]
    assert not queue


def test_worlds_of_their_own_come_before_the_one_for_all_others() -> None:
    queue = HeaviestFirst()
    for scope, tests in (("test_store.py ", 9), ("test_maintenance.py ('maxEntries', 3)", 1)):
        queue[f"cronsession/{scope}"] = {f"test_{n}": False for n in range(tests)}
    assert queue.popitem(last=False)[0] == "cronsession/test_maintenance.py ('maxEntries', 3)"
