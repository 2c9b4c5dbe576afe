"""From results to a verdict: per requirement, per profile, overall, and the exit code. Pure.

Per requirement the worst case counts. A profile is judged by its requirements, a run by the profiles that the
gateway declares. Words are those of ``specs/schemas/report.schema.json``.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from .baseline import Baseline
from .catalog import Catalog, Requirement, inapplicable, select
from .contract import Hello
from .outcomes import Result

OUTCOMES = ("pass", "fail", "warn", "known-fail", "fixed", "not-applicable", "not-run", "error")
# Best first.
VERDICTS = ("conformant", "conformant-with-known-failures", "incomplete", "nonconformant", "error")
NEVER_OBSERVED = "never observed"
NO_TEST = "no test of this run looked at it"
# The message of a case that was not selected, or that a run which ended early never came to.
LEFT_OUT = "it did not run"
NO_REASON = "no reason was given"

EXIT_OK, EXIT_FAILED, EXIT_NOTHING = 0, 1, 5


@dataclass(frozen=True)
class Row:
    """The outcome of one requirement. ``cases`` counts those that came to a verdict.

    ``message`` says which cases it was that failed, ``cause`` only what the first of them said.
    """

    id: str
    level: str
    outcome: str
    cases: int = 0
    witnesses: int = 0
    message: str = ""
    reason: str = ""
    trace: str = ""
    cause: str = ""


@dataclass(frozen=True)
class ProfileVerdict:
    """The verdict for one declared profile; ``reason`` says what keeps it from being conformant."""

    name: str
    verdict: str
    reason: str = ""


@dataclass(frozen=True)
class Judgement:
    """All there is to say about a run. ``problems`` are errors that belong to no requirement."""

    verdict: str
    reason: str
    profiles: tuple[ProfileVerdict, ...]
    rows: tuple[Row, ...]
    problems: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """How many requirements had each outcome, zeros included."""
        counted = Counter(row.outcome for row in self.rows)
        return {outcome: counted[outcome] for outcome in OUTCOMES}

    def of(self, *outcomes: str) -> list[Row]:
        """The rows with one of these outcomes."""
        return [row for row in self.rows if row.outcome in outcomes]

    @property
    def acceptable(self) -> bool:
        """Whether a run may exit 0: conformant, known failures aside, and no baseline entry is stale."""
        return self.verdict in VERDICTS[:2] and not self.of("fixed")


def judge(
    catalog: Catalog,
    hello: Hello,
    tier: str,
    results: Iterable[Result],
    baseline: Baseline | None = None,
    problems: Sequence[str] = (),
) -> Judgement:
    """Judge the results of one run against the requirements of a tier."""
    known = baseline or Baseline()
    grouped: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        grouped[result.requirement].append(result)
    chosen = select(catalog, tier=tier)
    rows = {
        r.id: _row(r, grouped[r.id], hello, known)
        for r in catalog.requirements.values()
        if r.id in chosen or grouped[r.id]
    }
    # A test may look at a requirement beyond the tier; only what it found counts, not what it left out.
    kept = [row for i, row in rows.items() if i in chosen or row.outcome not in ("not-run", "not-applicable")]
    profiles = tuple(_profile(name, catalog, hello, kept) for name in hello.profiles)
    verdict, reason = _overall(profiles, problems)
    return Judgement(verdict, reason, profiles, tuple(kept), tuple(problems))


def _row(requirement: Requirement, results: Sequence[Result], hello: Hello, baseline: Baseline) -> Row:
    def row(outcome: str, shown: Sequence[Result] = (), reason: str = "") -> Row:
        return Row(
            requirement.id,
            requirement.level,
            outcome,
            cases=sum(r.outcome in ("pass", "fail") for r in results),
            witnesses=sum(r.witnesses for r in results),
            message=_message(shown),
            reason=reason,
            trace=next((r.trace for r in shown if r.trace), ""),
            cause=shown[0].message if shown else "",
        )

    why = inapplicable(requirement, hello)
    ordered = sorted(results, key=lambda r: r.case)
    of = {
        o: [r for r in ordered if r.outcome == o]
        for o in ("error", "fail", "not-run", "pass", "not-applicable")
    }
    if of["error"]:
        return row("error", of["error"])
    if why is not None:
        return row("not-applicable", reason=why)
    if of["fail"]:
        if requirement.id in baseline:
            return row("known-fail", of["fail"], baseline.entries[requirement.id].reason)
        return row("fail" if requirement.level == "MUST" else "warn", of["fail"])
    # Several cases may try to bring a condition about; one that succeeds is enough.
    unrun = [r for r in of["not-run"] if not (of["pass"] and r.message.startswith(NEVER_OBSERVED))]
    if unrun:
        return row("not-run", reason=_why_not_run(unrun, ordered))
    if of["pass"]:
        return row("fixed" if requirement.id in baseline else "pass")
    if of["not-applicable"]:
        return row("not-applicable", reason=of["not-applicable"][0].message or NO_REASON)
    return row(
        "not-run", reason=f"untestable: {requirement.untestable}" if requirement.untestable else NO_TEST
    )


def _why_not_run(unrun: Sequence[Result], results: Sequence[Result]) -> str:
    missed = [r.case for r in unrun if r.message == LEFT_OUT]
    if len(missed) < len(unrun):
        return next(r.message for r in unrun if r.message != LEFT_OUT) or NO_TEST
    if len(missed) == len(results):
        return NO_TEST
    return f"{len(missed)} of its {len(results)} cases did not run: {brief(missed)}"


def _message(results: Sequence[Result]) -> str:
    if not results:
        return ""
    first, others = results[0], [r.case for r in results[1:]]
    text = f"{first.case}: {first.message}" if first.case else first.message
    return text + (f"\nalso in: {', '.join(others)}" if others else "")


def _profile(name: str, catalog: Catalog, hello: Hello, rows: Iterable[Row]) -> ProfileVerdict:
    mine = [row for row in rows if catalog[row.id].profile == name]
    musts = [row for row in mine if row.level == "MUST"]
    if errors := [r.id for r in mine if r.outcome == "error"]:
        return ProfileVerdict(name, "error", f"could not be judged: {brief(errors)}")
    if failed := [r.id for r in musts if r.outcome == "fail"]:
        return ProfileVerdict(name, "nonconformant", f"fails {brief(failed)}")
    if gap := _gap(name, catalog, hello, mine):
        return ProfileVerdict(name, "incomplete", gap)
    if known := [r.id for r in mine if r.outcome == "known-fail"]:
        return ProfileVerdict(name, "conformant-with-known-failures", f"known to fail {brief(known)}")
    return ProfileVerdict(name, "conformant")


def _gap(name: str, catalog: Catalog, hello: Hello, rows: Sequence[Row]) -> str:
    """What is missing for a verdict on a profile, or nothing."""
    if name not in catalog.profiles:
        return "this specification has no such profile"
    missing = [c for c in catalog.profiles[name].capabilities if c not in hello.capabilities]
    if missing:
        return f"the profile needs {', '.join(missing)}, which the gateway does not declare"
    testable = [r for r in rows if not catalog[r.id].untestable]
    if not any(r.level == "MUST" and r.outcome != "not-applicable" for r in testable):
        return "no MUST of this profile applies"
    # Each requirement has to be looked at, and each MUST has to get an answer.
    unrun = [r.id for r in testable if r.outcome == "not-run" and (r.level == "MUST" or r.reason == NO_TEST)]
    return f"not run: {brief(unrun)}" if unrun else ""


def _overall(profiles: Sequence[ProfileVerdict], problems: Sequence[str]) -> tuple[str, str]:
    if problems:
        return "error", problems[0]
    if not profiles:
        return "incomplete", "the gateway declares no profile"
    worst = max(profiles, key=lambda p: VERDICTS.index(p.verdict))
    return worst.verdict, f"{worst.name}: {worst.reason}" if worst.reason else ""


def brief(ids: Sequence[str], shown: int = 3) -> str:
    """The first few ids, and how many more there are."""
    more = f" and {len(ids) - shown} more" if len(ids) > shown else ""
    return ", ".join(ids[:shown]) + more


def display(results: Sequence[Result], catalog: Catalog, baseline: Baseline) -> str:
    """How a test case is shown: the worst of what it says about its requirements.

    One of ``error``, ``fail``, ``known-fail``, ``warn``, ``not-run``, ``not-applicable``, ``pass``.
    """
    shown = {_shown(result, catalog, baseline) for result in results}
    if shown & {"error", "fail"}:
        return "error" if "error" in shown else "fail"
    order = ("known-fail", "warn", "pass", "not-run", "not-applicable")
    return next((word for word in order if word in shown), "pass")


def _shown(result: Result, catalog: Catalog, baseline: Baseline) -> str:
    if result.outcome != "fail":
        return result.outcome
    if result.requirement in baseline:
        return "known-fail"
    return "fail" if catalog[result.requirement].level == "MUST" else "warn"


def exit_code(
    judgement: Judgement | None, *, tests: int, suite_items: int, selection: bool, formal: bool
) -> int:
    """The exit code of a run whose tests alone would give ``tests``.

    ``selection``: part of the suite was left out on purpose. ``formal``: a report was asked for.
    """
    if tests not in (EXIT_OK, EXIT_FAILED, EXIT_NOTHING):
        return tests
    if suite_items == 0:
        return EXIT_FAILED if tests == EXIT_FAILED else EXIT_NOTHING
    if judgement is None or (selection and not formal):
        return tests
    return EXIT_OK if tests == EXIT_OK and judgement.acceptable else EXIT_FAILED


def summary_of(
    areas: Sequence[str], catalog: Catalog, rows: Iterable[Row]
) -> Mapping[str, Mapping[str, int]]:
    """Outcomes counted by area, in the order given, areas without a row left out."""
    table = {area: Counter[str]() for area in areas}
    for row in rows:
        table[catalog[row.id].area][row.outcome] += 1
    return {area: counts for area, counts in table.items() if counts}
