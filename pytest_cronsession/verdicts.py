"""The judging half of a driver: what a test needs to be applicable, what it counts, and how it fails."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import TypeVar

from . import catalog
from .contract import Hello
from .outcomes import ConformanceFailure, NotApplicable, NotObserved
from .recording import Recording
from .trace import Trace
from .worlds import missing_capabilities

Told = TypeVar("Told")


class Verdicts:
    """Speaks for one requirement unless told another. ``failed`` says whether any failed."""

    def __init__(self, hello: Hello, requirement: str, on_witness: Callable[[str, int], None]) -> None:
        self._declared = hello
        self.requirement = requirement
        self.trace = Trace()
        self.failed = False
        self._on_witness = on_witness
        self.hear_results(None, ())

    def hear_results(self, on_result: Callable[[str, str, str], None] | None, known: Collection[str]) -> None:
        """Who is told of :meth:`record`; ``known`` failed before in this run, or are known to fail."""
        self._on_result, self.known = on_result, known

    def record(self, requirement: str, outcome: str, message: str = "") -> None:
        """What a test of several requirements found out about one: ``pass``, ``fail`` or ``not-applicable``."""
        if self._on_result is not None:
            self._on_result(requirement, outcome, message)

    def has(self, *capabilities: str) -> bool:
        """Whether the gateway declares all of these."""
        return self._declared.capabilities.issuperset(capabilities)

    def applies(self, requirement: str) -> bool:
        """Whether the gateway declares what this requirement needs, for tests of several."""
        return catalog.inapplicable(catalog.load()[requirement], self._declared) is None

    def require(self, *capabilities: str) -> None:
        """This case needs more capabilities than its requirement: not applicable without them."""
        missing_capabilities(self._declared, frozenset(capabilities))

    def require_policy(self, name: str, *answers: str) -> None:
        """This case is about certain answers to a policy only."""
        given = self._declared.policy(name)
        if given not in answers:
            raise NotApplicable(f"the gateway's policy {name} is {given}")

    @staticmethod
    def pass_over(reason: str) -> None:
        """This case has nothing to look at on this gateway, others of its requirement have: not applicable."""
        raise NotApplicable(reason)

    def witness(self, n: int = 1, requirement: str | None = None) -> None:
        """Count an occurrence of the condition that a requirement speaks about."""
        self._on_witness(requirement or self.requirement, n)

    def expect(self, holds: bool, message: str, requirement: str | None = None) -> None:
        """The gateway must satisfy this; otherwise the requirement fails with ``message``."""
        if not holds:
            self.fail(message, requirement)
        self.witness(requirement=requirement)

    def fail(self, message: str, requirement: str | None = None) -> None:
        """Fail a requirement; the message gets the steps that led here."""
        self.failed = True
        broken = requirement or self.requirement
        raise ConformanceFailure(
            broken, f"{message}\n{self.trace.script()}", self.evidence_of(broken, message)
        )

    def told(self, value: Told | None, what: str) -> Told:
        """What the gateway has to tell; fails where it does not."""
        if value is None:
            self.fail(f"the gateway does not tell {what}")
        assert value is not None
        return value

    def evidence_of(self, requirement: str, message: str) -> Callable[[], Recording] | None:
        """What it takes to go through a failure again, put together when somebody wants it."""
        return None

    def judge(self, findings: Iterable[str], requirement: str | None = None) -> None:
        """What a checker says: no finding is a witness, any is a failure."""
        found = list(findings)
        self.expect(not found, "; ".join(found[:5]), requirement)

    @staticmethod
    def not_observed(reason: str) -> None:
        """The condition could not be brought about."""
        raise NotObserved(reason)

    def require_a_session(self) -> None:
        """Not applicable where jobs can have neither a fresh session nor one of their own."""
        if not (self.has("session.isolated") or self.has("session.named")):
            self.pass_over("jobs of the gateway have neither isolated nor named sessions")
