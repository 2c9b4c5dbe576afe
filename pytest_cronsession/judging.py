"""Hooks for the process that judges: ask the target, gather results, give the verdict, write, sum up."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from . import __version__, collection, keeping, results
from . import state as states
from .collection import case_of, is_suite_item
from .outcomes import Result
from .report import json_report, summary
from .report.json_report import ReportError, Subject
from .report.scrub import machine_places
from .running import Runner
from .state import State
from .verdict import LEFT_OUT, Judgement, exit_code, judge


class Judge:
    """One per run, in the process the user started."""

    def __init__(self, config: pytest.Config, state: State, runner: Runner) -> None:
        self.config, self.state, self.runner = config, state, runner
        self.judgement: Judgement | None = None
        self.trouble = ""
        self._cases: dict[str, list[Result]] = {}
        self._virtual_ms: dict[str, int] = {}
        self._fewer: dict[str, tuple[int, int]] = {}
        self._problems: list[str] = []
        self._listed = 0
        self._started = datetime.now(UTC)
        self._clock = time.perf_counter()

    @property
    def selection(self) -> bool:
        """Whether part of the suite was left out on purpose."""
        return self.state.selection.partial or self.runner.deselected > 0

    # --- before ----------------------------------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        # Before xdist starts its workers: a target that cannot be used ends the run here.
        option = self.config.option
        if not (option.collectonly or option.showfixtures or option.show_fixtures_per_test):
            self.state.hello = states.ask(self.state, self._say)
            keeping.clear(self.config, self.state.options)

    def _say(self, text: str) -> None:
        terminal: Any = self.config.pluginmanager.get_plugin("terminalreporter")
        if terminal is not None:
            terminal.write_line(f"cronsession: {text}")

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        if self.state.hello is not None:
            node.workerinput["cronsession_hello"] = states.to_wire(self.state.hello)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> Any:
        # Only where nobody has asked for another way, and where it saves booting real gateways.
        if not self.state.target.costly or config.getoption("dist") != "load":
            return None
        from .spreading import ByWorld

        return ByWorld(config, log, self.state.suite)

    def pytest_report_header(self) -> str:
        if self.state.hello is None:
            return f"cronsession: target {self.state.options.target}, tier {self.state.options.tier}"
        return f"cronsession: {self._title()}"

    def _title(self) -> str:
        assert self.state.hello is not None
        return summary.title(self.state.hello, self.state.target.transport, self.state.options.tier)

    # --- during ----------------------------------------------------------------------------------------

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._listed = sum(map(is_suite_item, session.items))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed and self._of_suite(report.nodeid):
            self._problems.append(f"{report.nodeid} could not be collected")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        found = results.received(report.user_properties)
        if found:
            self._cases[report.nodeid] = found
            self._virtual_ms[report.nodeid] = results.virtual_ms(report.user_properties)
            for identity, noted in results.examples_left_out(report.user_properties).items():
                self._fewer[identity] = min(noted, self._fewer.get(identity, noted))
        elif report.failed and self._of_suite(report.nodeid):
            # xdist reports for a worker that died, and knows nothing of requirements.
            self._cases.setdefault(report.nodeid, [])
            self._problems.append(
                f"{report.nodeid}: {str(report.longrepr).strip() or 'the test process died'}"
            )

    def _of_suite(self, node_id: str) -> bool:
        return any(node_id.split("::")[0] == self.state.suite.node_id(f) for f in self.state.suite.files())

    # --- after -----------------------------------------------------------------------------------------

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        listed = self._listed if self.config.option.collectonly else len(self._cases)
        if self.state.hello is not None and (self._cases or self._problems):
            found = [result for case in self._cases.values() for result in case]
            found += self._left_out(session)
            self.judgement = judge(
                self.state.catalog,
                self.state.hello,
                self.state.options.tier,
                found,
                self.state.baseline,
                self._problems,
            )
        formal = self.state.options.report is not None
        status = exit_code(
            self.judgement,
            tests=int(session.exitstatus),
            suite_items=listed,
            selection=self.selection,
            formal=formal,
        )
        if self.judgement is not None and formal:
            status = max(status, self._write(self.judgement))
        session.exitstatus = status

    def _left_out(self, session: pytest.Session) -> Iterator[Result]:
        """A result for each test of the suite that this run did not come to, or left out on purpose.

        Of an informal selection nobody wants a verdict; only a known failure must not look as if it had gone.
        """
        state = self.state
        every = state.options.report is not None or not self.selection
        if not every and state.baseline is None:
            return
        try:
            planned = collection.plan(session, state.suite, state.catalog, state.options.tier)
        except Exception:
            return  # this was reported when it was collected
        for node_id in planned.keys() - self._cases.keys():
            for identity in planned[node_id]:
                if every or identity in state.known:
                    yield Result(identity, case_of(node_id), "not-run", message=LEFT_OUT)

    def _write(self, judgement: Judgement) -> int:
        """Write the report; the exit code that this alone calls for."""
        state = self.state
        assert state.options.report is not None
        assert state.hello is not None
        places = machine_places(state.options.cache)
        subject = Subject(
            target=state.options.target,
            transport=state.target.transport,
            tier=state.options.tier,
            seed=state.options.seed,
            suite_version=__version__,
            reproduce=self._reproduce(),
            environment=self._environment(),
        )
        document = json_report.build(subject, state.catalog, state.hello, judgement, state.baseline, places)
        try:
            json_report.write(document, state.options.report)
        except ReportError as error:
            self.trouble = str(error)
            return 1
        return 0

    def _reproduce(self) -> str:
        option, words = self.config.option, list(self.state.selection.names)
        words += ["-k", option.keyword] if option.keyword else []
        words += ["-m", option.markexpr] if option.markexpr else []
        return self.state.command(*words, baseline=True)

    def _budget(self) -> dict[str, Any] | None:
        """What the run was allowed to cost, and which examples were left out for it."""
        if self.state.budget_s is None:
            return None
        fewer = {i: {"looked": done, "of": of} for i, (done, of) in sorted(self._fewer.items())}
        return {"seconds": self.state.budget_s, "fewerExamples": fewer}

    def _environment(self) -> dict[str, Any]:
        budget = self._budget()
        return {
            "python": platform.python_version(),
            "pytest": pytest.__version__,
            "platform": f"{platform.system()} {platform.machine()}",
            "started": self._started.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "seconds": round(time.perf_counter() - self._clock, 3),
            "virtualSeconds": sum(self._virtual_ms.values()) / 1000,
        } | ({} if budget is None else {"budget": budget})

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, exitstatus: int) -> None:
        broken = (pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.INTERNAL_ERROR)
        if self.config.option.collectonly or exitstatus in broken:
            return
        terminalreporter.write_sep("=", "cronsession")
        for line in self._lines():
            terminalreporter.write_line(line.text, **line.markup)
        if self.trouble:
            terminalreporter.write_line(f"no report was written: {self.trouble}", red=True)
        elif self.judgement is not None and self.state.options.report is not None:
            terminalreporter.write_line(f"\nreport: {self.state.options.report}")

    def _lines(self) -> Iterable[summary.Line]:
        if self.judgement is None:
            return [
                summary.Line(
                    "no test of the suite ran, so there is nothing to say about the target", "yellow"
                )
            ]
        return summary.lines(
            self._title(),
            self.state.catalog,
            self.judgement,
            lambda requirement: self.state.command("-k", requirement),
            selection=self.selection and self.state.options.report is None,
            budget=self._budget(),
            width=self.config.get_terminal_writer().fullwidth,
        )
