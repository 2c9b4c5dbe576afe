"""Living many lives of one gateway: a state machine of Hypothesis, with what the tier and the budget allow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from ..driver import Driver
from ..outcomes import ConformanceFailure, TargetError

# A shrunk life is worth its time: it is what somebody has to read.
PHASES: tuple[Phase, ...] = (Phase.generate, Phase.shrink)

Method = TypeVar("Method", bound=Callable[..., None])
Option = TypeVar("Option")


class Event(NamedTuple):
    """Something that may happen in a life, as likely as ``often`` others; each of ``given`` is one of its options."""

    method: str
    when: Callable[[Any], object]
    often: int
    given: Mapping[str, Sequence[Any]]


def happens(
    when: Callable[[Any], object] = lambda life: True, *, often: int = 1, **given: Sequence[Any]
) -> Callable[[Method], Method]:
    """A method of a :class:`Story` that may be its next event where ``when`` holds."""

    def mark(method: Method) -> Method:
        method.__dict__["event"] = Event(method.__name__, when, often, given)
        return method

    return mark


class Story(RuleBasedStateMachine):
    """A machine with one rule, which draws among all that may happen.

    Of many rules Hypothesis leaves a random half out of each example, which is made for machines whose steps are
    alike. A life in which nobody adds a job, or nothing ever runs, says nothing. And where there is time for one life
    only (``varied``), Hypothesis' simplest example, which is all first options, is made to be one of each.
    """

    def __init__(self, *, varied: bool = False) -> None:
        super().__init__()
        self._varied, self._chosen = varied, Counter[str]()

    @rule(data=st.data())
    def next_event(self, data: st.DataObject) -> None:
        self._data = data
        events = [event for event in _events(type(self)) if event.when(self)]
        event = self.choose([e for e in events for _ in range(e.often)], "event")
        getattr(self, event.method)(**{name: self.choose(few, name) for name, few in event.given.items()})

    def choose(self, options: Sequence[Option], label: str) -> Option:
        """One of them, the first one in the simplest life."""
        turn = self._chosen[label] % len(options) if self._varied else 0
        self._chosen[label] += 1
        chosen: Option = self._data.draw(st.sampled_from([*options[turn:], *options[:turn]]), label=label)
        return chosen


def _events(story: type[Story]) -> list[Event]:
    """In the order in which they are written."""
    methods = {name: method for base in reversed(story.__mro__) for name, method in vars(base).items()}
    found = (getattr(method, "__dict__", {}).get("event") for method in methods.values())
    return [event for event in found if event]


def live(
    driver: Driver,
    machine: Callable[[list[TargetError]], RuleBasedStateMachine],
    sizes: Mapping[str, tuple[int, int]],
    least: int,
    *,
    shrink: bool = True,
) -> None:
    """Live as many lives of so many steps as ``sizes`` has for the tier, ``least`` on a gateway that costs real time.

    ``machine`` is given a list for the error of a gateway that could not go on: of such a target there are no more
    lives. Raises the failure, where ``shrink`` the shrunk one, with the steps that led to it.
    """
    count, steps = sizes[driver.effort.tier]
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
