"""Living many lives of one gateway: a state machine of Hypothesis, with what the tier and the budget allow."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from ..driver import Driver
from ..outcomes import ConformanceFailure, TargetError

# A shrunk life is worth its time: it is what somebody has to read.
PHASES: tuple[Phase, ...] = (Phase.generate, Phase.shrink)


def live(
    driver: Driver,
    machine: Callable[[list[TargetError]], RuleBasedStateMachine],
    sizes: Mapping[str, tuple[int, int]],
    least: int,
    *,
    shrink: bool = True,
    short: int | None = None,
) -> None:
    """Live as many lives of so many steps as ``sizes`` has for the tier, ``least`` on a gateway that costs real time.

    ``machine`` is given a list for the error of a gateway that could not go on: of such a target there are no more
    lives. Raises the failure, where ``shrink`` the shrunk one, with the steps that led to it. ``short``: so many steps
    are enough on such a gateway.
    """
    count, steps = sizes[driver.effort.tier]
    steps = short if short is not None and driver.budget.limited else steps
    # Each life has a gateway of its own, which boots and restarts.
    count, phases = driver.few(count, least), PHASES if shrink and not driver.budget.limited else PHASES[:1]
    ended: list[TargetError] = []
    try:
        run_state_machine_as_test(
            driver.effort.seeded(lambda: machine(ended)),  # type: ignore[arg-type]  # any factory will do
            settings=settings(
                max_examples=count,
                stateful_step_count=steps,
                deadline=None,
                derandomize=True,
                database=None,
                print_blob=False,
                report_multiple_bugs=False,
                phases=phases,
                suppress_health_check=list(HealthCheck),
            ),
        )
    except ConformanceFailure as failure:
        failure.__notes__ = []  # the steps in the message say it in the gateway's own terms
        raise
    except Exception:
        if ended:
            raise ended[0] from None  # and not that Hypothesis could not repeat it
        raise
