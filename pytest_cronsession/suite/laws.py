"""What the lives of a gateway say about several requirements: each law has an owner, and the first breach is raised.

A breach of a law that has failed before in this run, or is known to fail, is recorded, and the exploration goes on:
what is broken already must not hide what else is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from ..driver import Driver
from ..outcomes import ConformanceFailure

# So many laws of one machine are broken in lives of their own; what is beyond that waits for a better gateway.
MOST = 4
_UNSEEN = "the lives that this run looked at came to nothing that it speaks of"


class Laws:
    """The requirements that a machine watches, over all lives of one test."""

    def __init__(self, driver: Driver, ids: Iterable[str]) -> None:
        self._driver, self._ids = driver, tuple(ids)
        self._broken: dict[str, str] = {}
        self._kept = Counter[str]()

    def judge(self, d: Driver, findings: Iterable[str], law: str) -> bool:
        """Whether the law was kept in the life of ``d``; raises what breaks it for the first time."""
        assert law in self._ids, law
        found = list(findings)
        if not found:
            self._kept[law] += 1
            d.witness(requirement=law)
            return True
        if law not in self._broken and law not in self._driver.known:
            d.judge(found, law)
        self._broken.setdefault(law, "; ".join(found[:5]))
        return False

    def expect(self, d: Driver, holds: bool, message: str, law: str) -> bool:
        """The same about one thing that has to hold."""
        return self.judge(d, [] if holds else [message], law)

    def explore(self, live: Callable[[], None]) -> None:
        """Live, again without what was found, and record what came out about each law; raises what was found."""
        raised: list[ConformanceFailure] = []
        while len(raised) < MOST:
            try:
                live()
                break
            except ConformanceFailure as failure:
                raised.append(failure)
                self._broken[failure.requirement] = failure.message
        mine = {failure.requirement for failure in raised}
        for law in self._ids:
            if law in self._broken:
                if law not in mine:
                    self._driver.record(law, "fail", self._broken[law])
            else:
                kept = self._kept[law]
                self._driver.record(law, "pass" if kept else "not-applicable", "" if kept else _UNSEEN)
        if len(raised) == 1:
            raise raised[0]
        if raised:
            raise ExceptionGroup(f"{len(raised)} laws are broken", raised)
