"""Several requirements about the same event, such as a crash: what is prepared before it, and what is looked at after."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from ..driver import Driver
from ..outcomes import ConformanceFailure, NotObserved

Part = Callable[[Driver], Iterator[None]]
"""Prepares, yields where the event happens, and goes on with what must hold after it."""


def across(driver: Driver, event: Callable[[], object], parts: Mapping[str, Part]) -> None:
    """Look at each requirement; ``parts`` are in the order in which they are prepared and looked at.

    Each has an event of its own, right after what it prepared, unless the gateway costs real time: to come back may take
    ten seconds there, and one event serves all. Those that do not apply to the gateway are left out.
    """
    asked = {law: part for law, part in parts.items() if driver.applies(law)}
    alone = [{law: part} for law, part in asked.items()]
    raised: list[ConformanceFailure] = []
    for together in [asked] if driver.budget.limited else alone:
        raised += _through(driver, event, together)
    if len(raised) == 1:
        raise raised[0]
    if raised:
        raise ExceptionGroup(f"{len(raised)} requirements are broken", raised)


def _through(
    driver: Driver, event: Callable[[], object], parts: Mapping[str, Part]
) -> list[ConformanceFailure]:
    going = {law: part(driver) for law, part in parts.items()}
    raised = []
    for half in (None, event):
        if half is not None and going:
            half()
        for law in list(going):
            try:
                driver.requirement = law
                if next(going[law], StopIteration) is StopIteration:
                    del going[law]
                    driver.record(law, "pass")
            except ConformanceFailure as failure:
                del going[law]
                raised.append(failure)
            except NotObserved as unseen:
                del going[law]
                driver.record(law, "not-run", str(unseen))
    assert not going, f"{', '.join(going)}: more than one event"
    return raised
