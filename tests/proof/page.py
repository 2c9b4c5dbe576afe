"""The page docs/proof.md, made from what was recorded. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Wrong:
    """A wrong gateway: what it does, where that was seen, which requirements fail on it.

    ``measured``: it was put before the whole suite at tier full; else it may fail more than is known.
    """

    name: str
    about: str
    source: str
    breaks: frozenset[str]
    measured: bool = False


@dataclass(frozen=True)
class Right:
    """A right gateway: how it differs; by way of running it, its verdict."""

    name: str
    about: str


@dataclass(frozen=True)
class Records:
    """All that the page tells. ``alarms``: what each matrix of runs found, see :mod:`.alarms`."""

    requirements: Sequence[str]
    musts: frozenset[str]
    untestable: Mapping[str, str]
    mutants: Sequence[Wrong]
    node_mutants: Sequence[Wrong]
    variants: Sequence[Right]
    node_variants: Sequence[Right]
    hostile: Sequence[Right]
    mutation: Mapping[str, Mapping[str, Any]]
    reasons: Mapping[str, str]
    alarms: Mapping[str, Mapping[str, Any]]


def render(records: Records) -> str:
    """The whole page."""
    return "\n".join(
        [
            *_head(records),
            *_wrong(records),
            *_killers(records),
            *_right(records),
            *_hostile(records),
            *_mutation(records),
            "",
        ]
    )


def _head(records: Records) -> Iterator[str]:
    wrong = [*records.mutants, *records.node_mutants]
    bugs = {w.source for w in wrong if "#" in w.source}
    yield "# Proof"
    yield ""
    yield "A suite that judges others has to be judged itself. Everything here is measured; this page is rendered from the records by"
    yield "`python -m tests.proof`, and a test fails when it is out of date."
    yield ""
    yield f"- **{len(wrong)} wrong gateways**, {len(records.node_mutants)} of them on a gateway in another language, named after"
    yield f"  {len(bugs)} real bugs and pull requests; every one is found out. {_measured(wrong)}"
    yield f"- **{len(records.variants) + len(records.node_variants)} right gateways** that differ, {len(records.node_variants)} of them on the other gateway: none is found fault with."
    yield f"- **{len(records.hostile)} targets that break the protocol**: each ends in a clear error in time, with nothing left behind."
    for name, entry in records.mutation.items():
        equal = sum(survivor in records.reasons for survivor in entry["survivors"])
        share = entry["killed"] / (entry["tried"] - equal)
        yield f"- **{entry['killed']} of {entry['tried']} random mutations** of {_CAMPAIGNS[name]} are noticed. {equal} of the others"
        yield f"  change nothing that anybody is promised, each for a reason that stands below: of the rest {share:.1%} are noticed."
    yield ""


def _measured(wrong: Sequence[Wrong]) -> str:
    whole = sum(w.measured for w in wrong)
    if whole == len(wrong):
        return "All of them were put before the whole suite at tier `full`."
    return f"{whole} of them were put before the whole suite at tier `full`, the others before the tests that are about their defect."


_CAMPAIGNS = {
    "reference": "the reference's scheduler, resolver, reaper, cron and maintenance code",
    "judges": "the code that judges",
}


def _wrong(records: Records) -> Iterator[str]:
    yield "## Wrong gateways"
    yield ""
    yield "`tests/mutants/` changes the reference from outside, one small defect each; `tests/node/mutant.mjs` does the same to a"
    yield "gateway that shares nothing with it. *At least* stands where the whole suite has not been run at tier `full` yet"
    yield "(`python -m tests.mutants.matrix --record`): such a gateway may fail requirements that are not named here."
    for title, rows in (("On the reference", records.mutants), ("On the Node gateway", records.node_mutants)):
        yield ""
        yield f"### {title}"
        yield ""
        yield "| mutant | what it does | seen in | fails |"
        yield "|---|---|---|---|"
        for row in rows:
            yield f"| {row.name} | {_cell(row.about)} | {row.source} | {_fails(row)} |"
    yield ""


def _killers(records: Records) -> Iterator[str]:
    kills = Counter(i for w in (*records.mutants, *records.node_mutants) for i in w.breaks)
    testable = [i for i in records.requirements if i not in records.untestable]
    yield "## Requirements"
    yield ""
    yield f"{len(testable)} requirements have a test, {len(records.musts)} of them a MUST. How many of the wrong gateways are known to fail each:"
    yield ""
    by_area: dict[str, list[str]] = {}
    for identity in testable:
        by_area.setdefault(identity[:6], []).append(f"{identity[7:]}: {kills[identity]}")
    yield "| area | requirement: mutants |"
    yield "|---|---|"
    for area, cells in by_area.items():
        yield f"| {area} | {' · '.join(cells)} |"
    if records.untestable:
        yield ""
        yield "Without a test, because no test from outside can tell:"
        yield ""
        for identity, why in records.untestable.items():
            yield f"- {identity}: {why}"
    yield ""


def _right(records: Records) -> Iterator[str]:
    yield "## Right gateways that differ"
    yield ""
    yield "| variant | how it differs |"
    yield "|---|---|"
    for row in (*records.variants, *records.node_variants):
        yield f"| {row.name} | {_cell(row.about)} |"
    yield ""
    for entry in records.alarms.values():
        yield f"- {entry['about']}, seeds 1 to {entry['seeds']}: {_runs(entry)}, {_found(entry['found'])}."
    if records.alarms:
        yield ""
        yield "Measured by `python -m tests.proof.alarms`."
        yield ""


def _runs(entry: Mapping[str, Any]) -> str:
    made, planned = entry["runs"], entry["of"]
    return f"{made} runs" if made == planned else f"{made} of {planned} runs so far"


def _found(found: Sequence[str]) -> str:
    return "no false alarm" if not found else f"false alarms: {', '.join(found)}"


def _hostile(records: Records) -> Iterator[str]:
    yield "## Targets that break the protocol"
    yield ""
    yield ", ".join(f"{row.name}" for row in records.hostile) + "."
    yield "In `tests/hostile/`; each is run through the plugin, and has to end in an `error` that names the operation, inside its"
    yield "time-out, without a process or a folder left."
    yield ""


def _mutation(records: Records) -> Iterator[str]:
    yield "## Random mutations"
    yield ""
    yield "Operators of [Cosmic Ray](https://cosmic-ray.readthedocs.io); a seeded sample, each put before the tests that are to notice:"
    yield "`python -m tests.mutation reference --record` and `python -m tests.mutation judges --record`."
    for name, entry in records.mutation.items():
        yield ""
        yield f"### {name}"
        yield ""
        yield f"Seed {entry['seed']}, {entry['tried']} tried, {entry['killed']} noticed."
        if entry["survivors"]:
            yield ""
            yield "| survives | why |"
            yield "|---|---|"
            for survivor in sorted(set(entry["survivors"])):
                yield f"| `{_code(survivor)}` | {_cell(records.reasons.get(survivor, 'not looked at'))} |"


def _fails(row: Wrong) -> str:
    return _ids(row.breaks) if row.measured else f"*at least* {_ids(row.breaks)}"


def _ids(ids: frozenset[str]) -> str:
    return ", ".join(sorted(i.removeprefix("CS-") for i in ids))


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _code(text: str) -> str:
    return _cell(text).replace("`", "'")
