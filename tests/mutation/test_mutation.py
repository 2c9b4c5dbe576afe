"""The tool that mutates: what it puts in the place of a module, and which mutations it makes."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from . import sites, trial


def test_one_module_is_loaded_from_another_source(tmp_path: Path) -> None:
    finder = trial.Finder("cronsession_reference.units", "ANSWER = 42\n", str(tmp_path / "units.py"))
    assert finder.find_spec("cronsession_reference.cron", None, None) is None
    spec = finder.find_spec("cronsession_reference.units", None, None)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    finder.exec_module(module)
    assert module.ANSWER == 42


def test_mutations_change_one_line_and_compile() -> None:
    pytest.importorskip("cosmic_ray", reason="the extra mutation is not installed")
    found = list(sites.mutations("cronsession_reference.keys"))
    assert found
    assert all(m.before != m.after and m.line > 0 for m in found)
    chosen = sites.sample(["cronsession_reference.keys"], 3, seed=1)
    assert chosen == sites.sample(["cronsession_reference.keys"], 3, seed=1)


def test_what_only_words_an_error_is_not_mutated() -> None:
    source = """\
@dataclass(frozen=True)
class Row:
    age: int = 3

    def check(self, size: int) -> None:
        if size > self.age:
            raise ValueError(
                f"{size + 1} is too much"
            )
        log.info("%d", size + 2)
        self.refuse("a" if size else "b")
        return size + 1


class RowError(ValueError):
    limit = 60
"""
    assert sites.wordings(source) == {1, *range(7, 12), 15, 16}


@pytest.mark.parametrize(
    ("outcome", "killed"), [(trial.KILLED, True), (trial.LATE, True), (trial.SURVIVED, False)]
)
def test_what_does_not_end_is_noticed(outcome: str, killed: bool) -> None:
    mutation = sites.Mutation("m", "AddNot", 0, 1, "if a:", "if not a:")
    assert trial.Verdict(mutation, outcome, 1.0).killed is killed


@pytest.mark.parametrize(("code", "outcome"), [(0, trial.SURVIVED), (1, trial.KILLED)])
def test_a_trial_runs_the_tests_with_the_mutation_in_place(code: int, outcome: str) -> None:
    pytest.importorskip("cosmic_ray", reason="the extra mutation is not installed")
    (mutation, *_) = sites.mutations("cronsession_reference.keys")
    tried = trial.Trial(mutation, ("cronsession_reference",), lambda: code, limit_s=60)
    while (verdict := tried.verdict()) is None:
        pass
    assert verdict.outcome == outcome
