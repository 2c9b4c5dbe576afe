"""Where a module can be mutated: one small change each, by the operators of Cosmic Ray."""

from __future__ import annotations

import ast
import difflib
import importlib.util
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

# Those that a slip of a hand makes. What replaces ``|`` would mutate annotations, which do nothing.
OPERATORS = (
    *(f"ReplaceComparisonOperator_{pair}" for pair in ("Eq_NotEq", "NotEq_Eq", "Is_IsNot", "IsNot_Is")),
    *(f"ReplaceComparisonOperator_{pair}" for pair in ("Lt_LtE", "LtE_Lt", "Gt_GtE", "GtE_Gt")),
    *(f"ReplaceComparisonOperator_{pair}" for pair in ("Lt_GtE", "GtE_Lt", "Gt_LtE", "LtE_Gt")),
    *(f"ReplaceBinaryOperator_{pair}" for pair in ("Add_Sub", "Sub_Add", "Mul_FloorDiv", "FloorDiv_Mul")),
    *("ReplaceAndWithOr", "ReplaceOrWithAnd", "AddNot", "ReplaceUnaryOperator_Delete_Not"),
    *("ReplaceTrueWithFalse", "ReplaceFalseWithTrue", "NumberReplacer"),
    *("ReplaceBreakWithContinue", "ReplaceContinueWithBreak", "ZeroIterationForLoop"),
)


_WORDED = ("refuse", "field")


@dataclass(frozen=True, order=True)
class Mutation:
    """The ``occurrence``-th place of ``operator`` in ``module``. ``line`` and the texts are for readers."""

    module: str
    operator: str
    occurrence: int
    line: int
    before: str
    after: str

    @property
    def name(self) -> str:
        """What it is called where somebody says why it survives: without numbers, which move."""
        return f"{self.module}: {self.before} -> {self.after}"


def source_of(module: str) -> Path:
    """The file of a module."""
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin)


@cache
def _operator(name: str) -> Any:
    from cosmic_ray import plugins

    return plugins.get_operator(f"core/{name}")()


def mutated(source: str, operator: str, occurrence: int) -> str | None:
    """The source with that one change; None if there is no such place."""
    from cosmic_ray.mutating import mutate_code

    found: str | None = mutate_code(source, _operator(operator), occurrence)
    return found


def wordings(source: str) -> frozenset[int]:
    """The lines that only word an error or a log, or tell Python how to make a class: nothing is judged by them."""
    found: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        worded = (
            isinstance(node, ast.Raise)
            or (isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in _WORDED)
            or (isinstance(node, ast.Call) and ast.unparse(node.func).startswith("log."))
            or (isinstance(node, ast.FunctionDef) and node.name == "refuse")
            or (isinstance(node, ast.ClassDef) and node.name.endswith("Error"))
        )
        parts = [node] if worded else getattr(node, "decorator_list", [])
        found.update(line for part in parts for line in range(part.lineno, part.end_lineno + 1))
    return frozenset(found)


def mutations(module: str) -> Iterator[Mutation]:
    """Every mutation of a module that changes what it does."""
    source = source_of(module).read_text(encoding="utf-8")
    worded = wordings(source)
    for operator in OPERATORS:
        occurrence = 0
        while (changed := mutated(source, operator, occurrence)) is not None:
            difference = _difference(source, changed)
            if difference and difference[0] not in worded:
                yield Mutation(module, operator, occurrence, *difference)
            occurrence += 1


def _difference(source: str, changed: str) -> tuple[int, str, str] | None:
    """Line number, old and new line; None where the change does not even compile, or is none."""
    try:
        compile(changed, "mutated", "exec")
    except SyntaxError:
        return None
    line, before, after = 0, [], []
    matcher = difflib.SequenceMatcher(None, source.splitlines(), changed.splitlines(), autojunk=False)
    for tag, a, b, c, d in matcher.get_opcodes():
        if tag != "equal":
            line = line or a + 1
            before += [text.strip() for text in source.splitlines()[a:b]]
            after += [text.strip() for text in changed.splitlines()[c:d]]
    return (line, " ".join(before), " ".join(after)) if line else None


def sample(modules: Sequence[str], size: int, seed: int) -> list[Mutation]:
    """So many mutations of the modules, chosen by the seed, in the order of the files."""
    every = [mutation for module in modules for mutation in mutations(module)]
    chosen = random.Random(seed).sample(every, min(size, len(every)))
    return sorted(chosen)
