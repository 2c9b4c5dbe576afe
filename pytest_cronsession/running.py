"""Hooks for each process that runs suite tests: collect them, and turn how they end into results."""

from __future__ import annotations

import textwrap
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from . import collection, keeping, results
from .catalog import inapplicable
from .collection import SuiteModule, case_of, is_suite_item, requirement_ids
from .outcomes import ConformanceFailure, NotApplicable, Result
from .state import State
from .verdict import display
from .vocabulary import configured
from .worlds import missing_capabilities

_RAISED = pytest.StashKey[dict[str, BaseException]]()
_SHOWN = pytest.StashKey[str]()
Status = tuple[str, str, str | tuple[str, dict[str, bool]]]
# Category, letter and word for each way a case is shown; the rest is as pytest has it.
_STATUS: dict[str, Status] = {
    "error": ("error", "E", "ERROR"),
    "fail": ("failed", "F", "FAILED"),
    "warn": ("warned", "w", ("WARN", {"yellow": True})),
    "known-fail": ("xfailed", "x", ("KNOWN", {"yellow": True})),
    "not-run": ("skipped", "s", ("NOT RUN", {"yellow": True})),
    "not-applicable": ("skipped", "s", ("N/A", {"yellow": True})),
}
_DESELECTED = "cronsession_deselected"


class Runner:
    """One per process. ``deselected`` counts suite tests that an option left out."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.deselected = 0

    # --- collection ------------------------------------------------------------------------------------

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        # Where a vendor's argument contains the package, its files must not be collected a second time.
        return True if collection_path == self.state.suite.directory else None

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, session: pytest.Session, items: list[pytest.Item]) -> None:
        state = self.state
        mine = collection.collect(session, state.suite, state.catalog, state.options.tier, state.selection)
        unmatched = state.selection.unmatched(item.nodeid for item in mine)
        if unmatched and not hasattr(session.config, "workerinput"):
            raise pytest.UsageError(*(f"not found: {name}" for name in unmatched))
        items.extend(mine)

    @pytest.hookimpl(tryfirst=True)
    def pytest_make_collect_report(self, collector: pytest.Collector) -> pytest.CollectReport | None:
        # --lf skips files by their path, and a suite file has a node id that is none: keep it out of that.
        if not isinstance(collector, SuiteModule):
            return None
        try:
            found: list[pytest.Item | pytest.Collector] = list(collector.collect())
        except Exception:
            return None  # pytest collects again and reports what is wrong
        return pytest.CollectReport(collector.nodeid, "passed", None, found)

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        self.deselected += sum(map(is_suite_item, items))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            output[_DESELECTED] = self.deselected

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: object) -> None:
        output = getattr(node, "workeroutput", None) or {}
        self.deselected = max(self.deselected, output.get(_DESELECTED, 0))

    # --- running ---------------------------------------------------------------------------------------

    def _barred(self, item: pytest.Item) -> dict[str, str]:
        """The item's requirements that do not apply to this gateway, with the reason."""
        if self.state.hello is None:
            return {}
        reasons = {i: inapplicable(self.state.catalog[i], self.state.hello) for i in requirement_ids(item)}
        return {i: reason for i, reason in reasons.items() if reason is not None}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        if is_suite_item(item):
            barred = self._barred(item)
            if len(barred) == len(requirement_ids(item)):
                raise NotApplicable(next(iter(barred.values())))
            asked = item.get_closest_marker("cronsession_config")
            if asked is not None and self.state.hello is not None:
                # What the gateway need not take it may refuse, and then there is no world to look at.
                missing_capabilities(self.state.hello, configured(asked.kwargs))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if is_suite_item(item):
            self._judge(item, call, report)
        return report

    def _judge(self, item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
        raised = item.stash.setdefault(_RAISED, {})
        if call.excinfo is not None:
            raised[call.when] = call.excinfo.value
            self._keep_traces(item, call.excinfo.value)
        elif call.when == "setup":
            return
        found = self._results(item, raised)
        results.publish(item, found)
        self.state.failed.update(r.requirement for r in found if r.outcome == "fail")
        report.user_properties = list(item.user_properties)
        shown = display(found, self.state.catalog, self.state.known)
        if call.excinfo is not None or shown != item.stash.get(_SHOWN, "pass"):
            ours = all(results.is_ours(e) for e in raised.values())
            self._dress(report, shown, found, plain=ours)
        item.stash[_SHOWN] = shown

    def _keep_traces(self, item: pytest.Item, exception: BaseException) -> None:
        for leaf in results.leaves(exception):
            if isinstance(leaf, ConformanceFailure):
                file = keeping.keep(leaf, item.config, self.state.options, case_of(item.nodeid))
                if file is not None:
                    leaf.trace = keeping.shown(file, self.state.options)

    def _results(self, item: pytest.Item, raised: dict[str, BaseException]) -> list[Result]:
        catalog, ids, case = self.state.catalog, requirement_ids(item), case_of(item.nodeid)
        found = results.derive(
            raised.get("setup") or raised.get("call"),
            ids,
            case,
            after=raised.get("teardown"),
            recorded=item.stash.get(results.RESULTS, {}),
            witnesses=item.stash.get(results.WITNESSES, {}),
            conditional=[i for i in ids if catalog[i].conditional],
        )
        barred = self._barred(item)
        return [self._settled(result, barred, ids) for result in found]

    def _settled(self, result: Result, barred: dict[str, str], ids: list[str]) -> Result:
        if result.requirement not in self.state.catalog:
            message = f"{results.SUITE_FAILED}: it spoke of an unknown requirement {result.requirement}"
            return replace(result, requirement=ids[0], outcome="error", message=message)
        if result.requirement in barred and result.outcome != "error":
            return replace(result, outcome="not-applicable", message=barred[result.requirement])
        return result

    # --- display ---------------------------------------------------------------------------------------

    def _dress(self, report: pytest.TestReport, shown: str, found: list[Result], *, plain: bool) -> None:
        """Make the report look like the verdict; a ``plain`` one has no Python traceback."""
        report.cronsession = shown  # type: ignore[attr-defined]
        if shown in ("error", "fail"):
            report.outcome = "failed"
            if plain:
                report.longrepr = self._explain(found, ("error", "fail"))
            else:
                report.sections.append(
                    ("cronsession", f"{results.SUITE_FAILED}: this says nothing about the target")
                )
        elif shown == "known-fail":
            report.outcome = "skipped"
            report.wasxfail = self._known_reasons(found)
            report.longrepr = self._explain(found, ("fail",))
        elif shown != "pass":
            outcome = "fail" if shown == "warn" else shown
            text = "; ".join(dict.fromkeys(_line(r) for r in found if r.outcome == outcome))
            report.outcome = "skipped"
            report.longrepr = (report.nodeid.split("::")[0], report.location[1] or 0, f"Skipped: {text}")

    def _known_reasons(self, found: list[Result]) -> str:
        entries = [self.state.known.entries.get(r.requirement) for r in found if r.outcome == "fail"]
        return "; ".join(f"{e.id}: {e.reason}" for e in entries if e is not None)

    def _explain(self, found: list[Result], outcomes: tuple[str, ...]) -> str:
        """Requirement, level, sentence, what was seen, how to run it again; one paragraph each."""
        blocks = []
        for result in found:
            if result.outcome in outcomes:
                requirement = self.state.catalog[result.requirement]
                sentence = textwrap.fill(f"{requirement.id} {requirement.level}: {requirement.text}", 100)
                again = self.state.command("-k", requirement.id)
                steps = f"\nreplay:    cronsession replay {result.trace}" if result.trace else ""
                blocks.append(
                    f"{sentence}\n\n{textwrap.indent(result.message, '  ')}\n\nrun again: {again}{steps}"
                )
        return "\n\n".join(blocks)

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport | pytest.CollectReport) -> Status | None:
        return _STATUS.get(getattr(report, "cronsession", ""))


def _line(result: Result) -> str:
    return f"{result.requirement}: {' '.join(result.message.split()) or result.outcome}"
