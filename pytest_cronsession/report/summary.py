"""The summary at the end of a run in the terminal: lines with a colour, made from values. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..catalog import Catalog
from ..contract import Hello
from ..verdict import NEVER_OBSERVED, NO_TEST, OUTCOMES, Judgement, Row, brief, summary_of

WIDTH = 100
_SEEN_LINES = 3
_COLOURS = {
    "conformant": "green",
    "conformant-with-known-failures": "yellow",
    "incomplete": "yellow",
    "nonconformant": "red",
    "error": "red",
}
_HEADINGS = {"known-fail": "known", "not-applicable": "n/a", "not-run": "not run"}


@dataclass(frozen=True)
class Line:
    """A line and how to print it: a colour name of pytest's terminal writer, or nothing."""

    text: str
    colour: str = ""
    bold: bool = False

    @property
    def markup(self) -> dict[str, bool]:
        return ({self.colour: True} if self.colour else {}) | ({"bold": True} if self.bold else {})


def title(hello: Hello, transport: str, tier: str) -> str:
    """The target in one line: ``reference 0.1.0, python, virtual time, tier core``."""
    clock = "real time" if hello.realtime else "virtual time"
    return f"{hello.name} {hello.version}, {transport}, {clock}, tier {tier}"


def lines(
    header: str,
    catalog: Catalog,
    judgement: Judgement,
    rerun: Callable[[str], str],
    *,
    selection: bool = False,
    budget: Mapping[str, Any] | None = None,
    width: int = WIDTH,
) -> Iterator[Line]:
    """The whole summary, at most ``width`` columns wide. ``rerun`` gives the command for a requirement.

    ``budget`` is the report's.

    Of a ``selection`` there is no verdict.
    """
    width = min(WIDTH, width)
    yield Line(header)
    if selection:
        looked = [row for row in judgement.rows if row.cases]
        yield Line(
            f"a selection: {len(looked)} of {len(judgement.rows)} requirements looked at, so no verdict"
        )
    else:
        yield from _verdict(judgement)
    if budget is not None and budget["fewerExamples"]:
        fewer = [f"{i} ({n['looked']} of {n['of']})" for i, n in budget["fewerExamples"].items()]
        text = f"budget {budget['seconds']:g} s, so fewer examples of {', '.join(fewer)}"
        yield from (Line(part) for part in textwrap.wrap(text, width, subsequent_indent="  "))
    yield Line("")
    shown = [r for r in judgement.rows if not (selection and _left_out(r))]
    yield from _table(catalog, shown)
    for problem in judgement.problems:
        yield Line("")
        yield Line(f"error: {problem}", "red")
    for alike in _by_cause(judgement.of("error")):
        yield Line("")
        yield from _error_block(alike, catalog, rerun, width)
    for outcome, colour in (("fail", "red"), ("warn", "yellow"), ("fixed", "red")):
        for row in judgement.of(outcome):
            yield Line("")
            yield from _block(row, catalog, colour, rerun, width)
    yield from _short(shown, catalog, width)


def _left_out(row: Row) -> bool:
    return row.outcome == "not-run" and not row.reason.startswith(NEVER_OBSERVED)


def _verdict(judgement: Judgement) -> Iterator[Line]:
    yield Line(judgement.verdict, _COLOURS[judgement.verdict], bold=True)
    width = max((len(p.name) for p in judgement.profiles), default=0)
    for profile in judgement.profiles:
        reason = f" ({profile.reason})" if profile.reason else ""
        yield Line(f"  {profile.name:<{width}}  {profile.verdict}{reason}", _COLOURS[profile.verdict])
    if not judgement.profiles and judgement.reason:
        yield Line(f"  {judgement.reason}")


def _table(catalog: Catalog, rows: Sequence[Row]) -> Iterator[Line]:
    table = summary_of(catalog.areas, catalog, rows)
    if not table:
        return
    columns = [o for o in OUTCOMES if any(counts[o] for counts in table.values())]
    heads = [_HEADINGS.get(column, column) for column in columns]
    width = max(len(area) for area in (*table, "area"))
    yield Line("  ".join(["area".ljust(width), *heads]))
    for area, counts in table.items():
        cells = [str(counts[c] or ".").rjust(len(h)) for c, h in zip(columns, heads, strict=True)]
        yield Line("  ".join([area.ljust(width), *cells]))


def _by_cause(rows: Sequence[Row]) -> Iterable[list[Row]]:
    """A target that is down is down for every test, and that is said once."""
    alike: dict[str, list[Row]] = {}
    for row in rows:
        alike.setdefault(row.cause.partition("\n")[0], []).append(row)
    return alike.values()


def _error_block(
    rows: Sequence[Row], catalog: Catalog, rerun: Callable[[str], str], width: int
) -> Iterator[Line]:
    if len(rows) == 1:
        yield from _block(rows[0], catalog, "red", rerun, width)
        return
    yield Line(f"{brief([r.id for r in rows])} ({_WORDS['error']})", "red", bold=True)
    yield from (Line(text) for text in seen(rows[0].cause, width))
    yield Line(f"  run:  {rerun(rows[0].id)}")


def _block(
    row: Row, catalog: Catalog, colour: str, rerun: Callable[[str], str], width: int
) -> Iterator[Line]:
    word = "" if row.outcome in ("fail", "warn") else f" ({_WORDS[row.outcome]})"
    yield Line(f"{row.id} {row.level}{word}", colour, bold=True)
    yield from (Line(text) for text in _wrap(catalog[row.id].text, "  ", width))
    if row.outcome == "fixed":
        yield Line("  seen: it passes now; remove its entry from the baseline")
    else:
        yield from (Line(text) for text in seen(row.message, width))
    yield Line(f"  run:  {rerun(row.id)}")
    if row.trace:
        yield Line(f"  replay: cronsession replay {row.trace}")


_WORDS = {"error": "could not be judged", "fixed": "stale baseline entry"}


def seen(message: str, width: int = WIDTH) -> list[str]:
    """The gist of a message: its first lines, up to the steps that led there."""
    told = []
    for line in message.splitlines():
        if line.startswith("steps:"):
            break
        told.append(line)
    cut = told[:_SEEN_LINES] + (["..."] if len(told) > _SEEN_LINES else [])
    wrapped = [
        text
        for number, line in enumerate(cut)
        for text in _wrap(line, "        " if number else "  seen: ", width)
    ]
    return wrapped or ["  seen: nothing was said"]


def _wrap(text: str, indent: str, width: int) -> list[str]:
    return textwrap.wrap(
        text,
        width,
        initial_indent=indent,
        subsequent_indent=" " * len(indent),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _short(rows: Sequence[Row], catalog: Catalog, width: int) -> Iterator[Line]:
    """What takes one line each: failures that were known, and conditions that never occurred."""
    known = [r for r in rows if r.outcome == "known-fail"]
    unlooked = [r for r in rows if r.outcome == "not-run" and r.reason == NO_TEST]
    beyond = [r.id for r in rows if catalog[r.id].untestable]
    unseen = [r for r in rows if r.outcome == "not-run" and r.reason != NO_TEST and r.id not in beyond]
    if known or unseen or unlooked or beyond:
        yield Line("")
    texts = [f"{r.id} {r.level} known failure: {r.reason}" for r in known]
    texts += [f"{r.id} {r.level} not run: {r.reason}" for r in unseen]
    if unlooked:
        texts.append(f"not run: {brief([r.id for r in unlooked])} ({NO_TEST})")
    if beyond:
        texts.append(f"not testable from outside: {', '.join(beyond)}")
    for text in texts:
        wrapped = textwrap.wrap(text, width, break_on_hyphens=False, subsequent_indent="  ")
        yield from (Line(part, "yellow") for part in wrapped)
