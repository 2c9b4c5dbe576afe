"""Questions about slots -> rows of the vector files. All answers are the oracle's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pytest_cronsession.contract import POLICIES
from pytest_cronsession.dialect import read
from pytest_cronsession.oracle import DAY, cron_slots, transitions

from .changes import Question, next_questions, previous_questions

HERE = Path(__file__).parent
DST = tuple(POLICIES["dst"].answers)
FIRST_MS = -2 * DAY  # slots lie in the local years 1970 to 2199
LAST_MS = 7_258_118_400_000 + 2 * DAY
INCREMENT = {
    "nickname": "1.1",
    "second": "1.2",
    "year": "1.2",
    "last-day": "1.3",
    "nearest-weekday": "1.3",
    "nth-weekday": "1.3",
    "last-weekday": "1.3",
    "and": "1.4",
    "question-mark": "1.4",
}
"""What an expression may need beyond OCPS 1.0, and the increment that brings it."""


def needs(expr: str) -> list[str]:
    """What reading ``expr`` needs beyond OCPS 1.0."""
    fields = expr.split()
    if expr.strip().startswith("@"):
        return ["nickname"]
    day, weekday = read(expr).day.split(","), read(expr).weekday.removeprefix("+").split(",")
    found = {
        "second": len(fields) > 5,
        "year": len(fields) > 6,
        "last-day": any(part in ("L", "LW") for part in day),
        "nearest-weekday": any(part.endswith("W") for part in day),
        "nth-weekday": any(part[-1].isdigit() and "#" in part for part in weekday),
        "last-weekday": any(part.upper().endswith("L") for part in weekday),
        "and": read(expr).weekday.startswith("+"),
        "question-mark": "?" in (*day, *weekday),
    }
    return [name for name, needed in found.items() if needed]


def dialect(expr: str) -> dict[str, Any]:
    """The members of a row that say who can read ``expr``."""
    needed = needs(expr)
    level = max((INCREMENT[name] for name in needed), default="1.0")
    return {"ocps": level, **({"needs": needed} if needed else {})}


def asked(name: str) -> Iterator[Question]:
    """The questions of a text file: one line may ask from several instants."""
    for line in (HERE / f"{name}.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            expr, tz, instants, *note = line.split(" | ")
            for instant in instants.split("; "):
                yield Question(expr, tz, datetime.fromisoformat(instant), *note)


def spell(ms: int) -> str:
    text = datetime.fromtimestamp(ms / 1000, UTC).isoformat(
        timespec="seconds" if ms % 1000 == 0 else "milliseconds"
    )
    return text.replace("+00:00", "Z")


def _ms(asked: datetime) -> int:
    return round(asked.timestamp() * 1000)


def first_after(expr: str, tz: str, after: int, dst: str) -> int | None:
    """The first slot after an instant, looked for in ever longer stretches of time."""
    start, width = after, DAY // 24
    while start < LAST_MS:
        if found := cron_slots(expr, tz, start, min(start + width, LAST_MS), dst):
            return found[0]
        start, width = start + width, width * 2
    return None


def last_before(expr: str, tz: str, before: int, dst: str) -> int | None:
    """The last slot before an instant, looked for in ever longer stretches of time."""
    end, width = before - 1, DAY // 24
    while end > FIRST_MS:
        if found := cron_slots(expr, tz, max(end - width, FIRST_MS), end, dst):
            return found[-1]
        end, width = end - width, width * 2
    return None


def _row(question: Question, asked: str, wanted: str) -> dict[str, Any]:
    expr, tz, at = question.expr, question.tz, _ms(question.asked)
    search = first_after if wanted == "next" else last_before
    first = search(expr, tz, at, DST[0])
    # A slot that no change of the clock is near to is the same under every answer.
    low, high = sorted((at, at if first is None else first))
    near = first is not None and transitions(tz, low - DAY, high + DAY)
    found = {dst: search(expr, tz, at, dst) if near else first for dst in DST}
    spelled = {dst: None if slot is None else spell(slot) for dst, slot in found.items()}
    row: dict[str, Any] = {"expr": expr, "tz": tz, asked: spell(at)}
    if len(set(found.values())) == 1:
        row[wanted] = spelled[DST[0]]
    else:
        row[f"{wanted}ByDst"] = spelled
    return row | dialect(expr) | ({"note": question.note} if question.note else {})


def _rows(questions: Iterable[Question], asked: str, wanted: str) -> list[dict[str, Any]]:
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    for question in questions:
        row = _row(question, asked, wanted)
        rows.setdefault((row["expr"], row["tz"], row[asked]), row)
    return list(rows.values())


def next_rows() -> list[dict[str, Any]]:
    return _rows([*asked("cron-next"), *next_questions()], "after", "next")


def previous_rows() -> list[dict[str, Any]]:
    return _rows([*asked("cron-previous"), *previous_questions()], "before", "previous")
