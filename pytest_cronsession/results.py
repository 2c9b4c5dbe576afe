"""From one test case to results per requirement, and from the process that ran it to the one that judges.

A test says what it found by passing or raising (:mod:`~pytest_cronsession.outcomes`); one that looks at
several requirements may :func:`record` a result for each, and count with :func:`witness` how often a
condition occurred. Results travel in the item's user properties, so they cross processes and reach JUnit files too.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import pytest

from .outcomes import ConformanceFailure, NotApplicable, NotObserved, Result, TargetError
from .verdict import NEVER_OBSERVED

ENDED_EARLY = "its test ended early"
SUITE_FAILED = "the suite itself failed"
# Worst first: what several looks at one requirement come to.
SEVERITY = ("error", "fail", "not-run", "pass", "not-applicable")

RESULTS = pytest.StashKey[dict[str, Result]]()
WITNESSES = pytest.StashKey[dict[str, int]]()
LEFT_OUT = pytest.StashKey[dict[str, tuple[int, int]]]()
VIRTUAL_MS = pytest.StashKey[int]()

REQUIREMENT_PROPERTY = "cronsession_requirement"
RESULT_PROPERTY = "cronsession_result"
VIRTUAL_PROPERTY = "cronsession_virtual_ms"
LEFT_OUT_PROPERTY = "cronsession_left_out"


def record(item: pytest.Item, result: Result) -> None:
    """Note what a running test found out about one of its requirements; the worst of several counts."""
    recorded = item.stash.setdefault(RESULTS, {})
    recorded[result.requirement] = worst(recorded.get(result.requirement), result)


def witness(item: pytest.Item, requirement: str, n: int = 1) -> None:
    """Count that the condition of ``requirement`` occurred ``n`` times."""
    counts = item.stash.setdefault(WITNESSES, {})
    counts[requirement] = counts.get(requirement, 0) + n


def left_out(item: pytest.Item, requirement: str, done: int, of: int) -> None:
    """Note that only ``done`` examples out of ``of`` were looked at; the lowest of several counts."""
    noted = item.stash.setdefault(LEFT_OUT, {})
    noted[requirement] = min(noted.get(requirement, (done, of)), (done, of))


def elapsed(item: pytest.Item, virtual_ms: int) -> None:
    """Add to the virtual time that the test let pass, in milliseconds."""
    item.stash[VIRTUAL_MS] = item.stash.get(VIRTUAL_MS, 0) + virtual_ms


def worst(one: Result | None, other: Result) -> Result:
    """The more severe of two results for one requirement; their witnesses add up."""
    if one is None:
        return other
    chosen = min(one, other, key=lambda r: SEVERITY.index(r.outcome))
    return replace(chosen, witnesses=one.witnesses + other.witnesses)


def derive(
    body: BaseException | None,
    ids: Sequence[str],
    case: str,
    *,
    after: BaseException | None = None,
    recorded: Mapping[str, Result] | None = None,
    witnesses: Mapping[str, int] | None = None,
    conditional: Collection[str] = (),
) -> list[Result]:
    """What a case says about each of its requirements, from how it ended and what it recorded.

    ``body`` was raised by setup or test, ``after`` by teardown. A requirement that nobody spoke of passed
    if the body came to its end.
    """
    counts = witnesses or {}
    found = {r.requirement: replace(r, case=case) for r in (recorded or {}).values()}
    open_ids = [i for i in ids if i not in found]
    for exception in (body, after):
        for result in _raised(exception, ids, open_ids, case):
            found[result.requirement] = worst(found.get(result.requirement), result)
    rest = Result("", case, "pass") if body is None else Result("", case, "not-run", message=ENDED_EARLY)
    for identity in ids:
        found.setdefault(identity, replace(rest, requirement=identity))
    counted = [replace(r, witnesses=max(r.witnesses, counts.get(r.requirement, 0))) for r in found.values()]
    return [_observed(r) if r.requirement in conditional else r for r in counted]


def _observed(result: Result) -> Result:
    if result.outcome == "pass" and result.witnesses == 0:
        return replace(result, outcome="not-run", message=NEVER_OBSERVED)
    return result


def _raised(
    exception: BaseException | None, ids: Sequence[str], open_ids: Sequence[str], case: str
) -> Iterator[Result]:
    if exception is None:
        return
    for leaf in leaves(exception):
        match leaf:
            case ConformanceFailure():
                yield Result(leaf.requirement, case, "fail", message=leaf.message, trace=leaf.trace)
            case NotApplicable():
                yield from (Result(i, case, "not-applicable", message=str(leaf)) for i in open_ids)
            case NotObserved():
                yield from (Result(i, case, "not-run", message=_never(leaf)) for i in open_ids)
            case pytest.skip.Exception():
                yield from (Result(i, case, "not-run", message=f"skipped: {leaf.msg}") for i in open_ids)
            case TargetError():
                # Nobody may take the place of the error: if all ids are settled, the first one bears it.
                yield from (Result(i, case, "error", message=str(leaf)) for i in open_ids or ids[:1])
            case _:
                message = f"{SUITE_FAILED}: {_tail(leaf)}"
                yield from (Result(i, case, "error", message=message) for i in open_ids or ids[:1])


def _never(leaf: NotObserved) -> str:
    return f"{NEVER_OBSERVED}: {leaf}" if str(leaf) else NEVER_OBSERVED


def _tail(leaf: BaseException, frames: int = 4) -> str:
    """The error and the last frames that led to it, innermost last."""
    head = "".join(traceback.format_exception_only(leaf)).strip()
    stack = traceback.extract_tb(leaf.__traceback__)[-frames:]
    return "\n".join([head, *(f"  {f.filename}:{f.lineno} in {f.name}" for f in stack)])


def leaves(exception: BaseException) -> list[BaseException]:
    """The exceptions in a group, however nested; a plain exception is its own leaf."""
    if isinstance(exception, BaseExceptionGroup):
        return [leaf for inner in exception.exceptions for leaf in leaves(inner)]
    return [exception]


def is_ours(exception: BaseException) -> bool:
    """Whether the exception is a verdict about the target, so that a Python traceback would only distract."""
    ours = (ConformanceFailure, TargetError, NotApplicable, NotObserved)
    return all(isinstance(leaf, ours) for leaf in leaves(exception))


def publish(item: pytest.Item, results: Iterable[Result]) -> None:
    """Put results into the item's user properties, in place of those of an earlier phase."""
    kept = [(k, v) for k, v in item.user_properties if not k.startswith("cronsession_")]
    ours: list[tuple[str, object]] = []
    for result in results:
        ours.append((REQUIREMENT_PROPERTY, result.requirement))
        ours.append((RESULT_PROPERTY, json.dumps(result.to_json(), sort_keys=True)))
    if VIRTUAL_MS in item.stash:
        ours.append((VIRTUAL_PROPERTY, item.stash[VIRTUAL_MS]))
    if LEFT_OUT in item.stash:
        ours.append((LEFT_OUT_PROPERTY, json.dumps(item.stash[LEFT_OUT], sort_keys=True)))
    item.user_properties[:] = [*kept, *ours]


def received(user_properties: Iterable[tuple[str, object]]) -> list[Result]:
    """The results in a report's user properties."""
    return [Result.from_json(json.loads(str(v))) for k, v in user_properties if k == RESULT_PROPERTY]


def examples_left_out(user_properties: Iterable[tuple[str, object]]) -> dict[str, tuple[int, int]]:
    """The requirements of which fewer examples were looked at: how many, and how many there are."""
    noted = [json.loads(str(v)) for k, v in user_properties if k == LEFT_OUT_PROPERTY]
    return {requirement: (done, of) for found in noted for requirement, (done, of) in found.items()}


def virtual_ms(user_properties: Iterable[tuple[str, object]]) -> int:
    """The virtual milliseconds in a report's user properties."""
    return sum(int(str(v)) for k, v in user_properties if k == VIRTUAL_PROPERTY)
