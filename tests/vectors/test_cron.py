"""Slots: the vectors, worked out again by brute force and by the reference's cron evaluator."""

from __future__ import annotations

import importlib.resources
import re
import zoneinfo
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cronsession_reference.cron import DST_POLICIES, CronError, parse
from cronsession_reference.errors import Refused
from cronsession_reference.jobs import Cron
from cronsession_reference.slots import check
from pytest_cronsession.contract import POLICIES
from pytest_cronsession.oracle import DAY, cron_slots, transitions
from pytest_cronsession.trace import instant

from . import cron_rows
from .changes import ZONES as CHANGING
from .files import cases, load, ms, rows

ZONES = {*CHANGING, "UTC", "Asia/Kathmandu"}
SLOTS = {"cron-next": ("after", "next"), "cron-previous": ("before", "previous")}
NOW = ms("2026-01-01T00:00:00Z")


def answers(row: dict[str, Any], word: str) -> dict[str, int | None]:
    """Policy answer -> instant or None."""
    by_dst = row.get(f"{word}ByDst") or dict.fromkeys(DST_POLICIES, row.get(word))
    return {dst: None if text is None else ms(text) for dst, text in by_dst.items()}


# --- slots ----------------------------------------------------------------------------------------


def by_brute_force(row: dict[str, Any], side: str, word: str) -> None:
    """Between the instant asked from and the answer lies nothing, and the answer is a slot."""
    asked = ms(row[side])
    for dst, slot in answers(row, word).items():
        end = slot if slot is not None else cron_rows.LAST_MS if word == "next" else cron_rows.FIRST_MS
        # Where no policy is named and no change of the clock is near, looking once answers for all.
        low, high = sorted((asked, end))
        if f"{word}ByDst" not in row and dst != "vixie" and not transitions(row["tz"], low - DAY, high + DAY):
            continue
        window = (asked, end) if word == "next" else (end - 1, asked - 1)
        found = cron_slots(row["expr"], row["tz"], *window, dst)
        assert found == ([] if slot is None else [slot]), dst


@pytest.mark.parametrize("row", cases("cron-next"))
def test_the_next_slot_by_brute_force(row: dict[str, Any]) -> None:
    by_brute_force(row, "after", "next")


@pytest.mark.parametrize("row", cases("cron-previous"))
def test_the_previous_slot_by_brute_force(row: dict[str, Any]) -> None:
    by_brute_force(row, "before", "previous")


@pytest.mark.parametrize("row", cases("cron-next"))
def test_the_next_slot_by_the_reference(row: dict[str, Any]) -> None:
    for dst, slot in answers(row, "next").items():
        assert instant(parse(row["expr"], row["tz"], dst).next(ms(row["after"]))) == instant(slot), dst


@pytest.mark.parametrize("row", cases("cron-previous"))
def test_the_previous_slot_by_the_reference(row: dict[str, Any]) -> None:
    for dst, slot in answers(row, "previous").items():
        assert instant(parse(row["expr"], row["tz"], dst).previous(ms(row["before"]))) == instant(slot), dst


@pytest.mark.parametrize("name", SLOTS)
def test_answers_are_told_apart_only_where_they_differ(name: str) -> None:
    _, word = SLOTS[name]
    apart = [row[f"{word}ByDst"] for row in rows(name) if f"{word}ByDst" in row]
    assert all(set(found) == set(POLICIES["dst"].answers) for found in apart)
    assert all(len(set(found.values())) > 1 for found in apart)
    columns = list(zip(*(found.values() for found in apart), strict=True))
    assert len(set(columns)) == len(columns), "two policies that no row tells apart"


def test_the_slots_cover_what_they_promise() -> None:
    assert len(rows("cron-next")) >= 250
    assert len(rows("cron-next")) + len(rows("cron-previous")) >= 300
    for name, (side, word) in SLOTS.items():
        assert {row["tz"] for row in rows(name)} >= ZONES
        assert {row["ocps"] for row in rows(name)} == {"1.0", "1.1", "1.2", "1.3", "1.4"}
        assert any(answers(row, word)["vixie"] is None for row in rows(name))
        for tz in CHANGING:
            for moment in transitions(tz, NOW, NOW + 365 * DAY):
                near = [row for row in rows(name) if row["tz"] == tz and abs(ms(row[side]) - moment) <= DAY]
                assert any(f"{word}ByDst" in row for row in near), (name, tz, instant(moment))
    needed = {need for row in rows("cron-next") for need in row.get("needs", [])}
    assert needed == set(cron_rows.INCREMENT)


@pytest.mark.parametrize("name", [*SLOTS, "cron-accept"])
def test_a_row_says_who_can_read_it(name: str) -> None:
    for row in rows(name):
        needs = row.get("needs", [])
        assert row["ocps"] == max((cron_rows.INCREMENT[need] for need in needs), default="1.0"), row
        beyond = len(row["expr"].split()) != 5 or re.search(r"[#+?@]|\dW|LW|\bL\b|[0-9A-Z]L\b", row["expr"])
        assert bool(needs) == bool(beyond), row


# --- the time zone database -----------------------------------------------------------------------


def installed_tzdata() -> str:
    """The release that zones are read from: the system's, if it has one, else the package's."""
    for folder in map(Path, zoneinfo.TZPATH):
        for name, pattern in (("tzdata.zi", r"# version (\w+)"), ("+VERSION", r"(\w+)")):
            if (folder / name).is_file():
                found = re.match(pattern, (folder / name).read_text(encoding="utf-8"))
                assert found, folder / name
                return found[1]
        if (folder / "Europe" / "Berlin").is_file():
            pytest.skip(f"the zones in {folder} do not say which release they are")
    return packaged_tzdata()


def packaged_tzdata() -> str:
    import tzdata

    return str(tzdata.IANA_VERSION)


@pytest.mark.parametrize("name", SLOTS)
def test_the_release_of_the_time_zones_is_stated_and_not_newer_than_ours(name: str) -> None:
    # Ours may be newer: the tests above then show that it gives the same answers.
    assert load(name)["tzdata"] <= installed_tzdata()
    assert load(name)["tzdata"] <= packaged_tzdata()


@pytest.mark.parametrize("name", SLOTS)
def test_the_packaged_time_zones_give_the_same_wall_times(name: str) -> None:
    side, word = SLOTS[name]
    for row in rows(name):
        source = importlib.resources.files("tzdata").joinpath("zoneinfo", *row["tz"].split("/"))
        with source.open("rb") as file:
            packaged = zoneinfo.ZoneInfo.from_file(file)
        for moment in {ms(row[side]), *answers(row, word).values()} - {None}:
            for near in (moment - 1000, moment):
                at = datetime.fromtimestamp(near / 1000, UTC)
                here, there = at.astimezone(zoneinfo.ZoneInfo(row["tz"])), at.astimezone(packaged)
                assert here.replace(tzinfo=None) == there.replace(tzinfo=None), row


# --- what is refused, what is accepted ------------------------------------------------------------

READABLE = ("never", "past")


@pytest.mark.parametrize("row", cases("cron-reject"))
def test_a_write_is_refused(row: dict[str, Any]) -> None:
    field = "schedule.tz" if row["field"] == "tz" else "schedule.expr"
    with pytest.raises(Refused) as refused:
        check(Cron(row["expr"], row.get("tz", "UTC")), NOW, job_id="j", dst="vixie")
    assert refused.value.field == field


@pytest.mark.parametrize("row", [row for row in rows("cron-reject") if row["mistake"] not in READABLE])
def test_what_cannot_be_read_is_refused_with_field_and_token(row: dict[str, Any]) -> None:
    with pytest.raises(CronError) as caught:
        parse(row["expr"], row.get("tz", "UTC"))
    assert (caught.value.field, caught.value.token) == (row["field"], row["token"])


@pytest.mark.parametrize("row", [row for row in rows("cron-reject") if row["mistake"] in READABLE])
def test_what_never_comes_can_be_read(row: dict[str, Any]) -> None:
    schedule = parse(row["expr"])
    assert (row["field"], row["token"]) == ("expression", row["expr"])
    assert schedule.next(NOW) is None
    assert (schedule.previous(NOW) is None) == (row["mistake"] == "never")
    assert cron_rows.first_after(row["expr"], "UTC", NOW, "vixie") is None


def test_every_kind_of_mistake_is_there() -> None:
    found = rows("cron-reject")
    assert len(found) >= 60
    assert {row["mistake"] for row in found} == {
        *("out-of-range", "unknown-name", "not-a-number", "backwards-range", "bad-range", "bad-step"),
        *("empty-value", "field-count", "misplaced", "unknown-nickname", "not-ascii", "white-space"),
        *("unknown-zone", "never", "past"),
    }
    fields = {"second", "minute", "hour", "day-of-month", "month", "day-of-week", "year", "expression", "tz"}
    assert {row["field"] for row in found} == fields
    for field in ("minute", "hour", "day-of-month", "month", "day-of-week"):
        assert sum(row["field"] == field for row in found) >= 4, field


@pytest.mark.parametrize("row", cases("cron-accept"))
def test_what_is_accepted_means_what_it_says(row: dict[str, Any]) -> None:
    tz = row.get("tz", "UTC")
    schedule = parse(row["expr"], tz)
    other, other_tz = row.get("same", row["expr"]), row.get("sameTz", tz)
    start = ms("2027-11-15T08:07:30Z")
    now: int | None = start
    for _ in range(20):
        found = schedule.next(now)
        assert found == parse(other, other_tz).next(now)
        assert found is not None
        now = found
    # By brute force, over a year that has a leap day.
    for expr, zone in ((row["expr"], tz), (other, other_tz)):
        first = cron_rows.first_after(expr, zone, start, "vixie")
        assert first == schedule.next(start)
        assert cron_slots(expr, zone, start, start + 2 * DAY) == cron_slots(
            other, other_tz, start, start + 2 * DAY
        )


def test_what_is_accepted_covers_what_it_promises() -> None:
    found = rows("cron-accept")
    assert len(found) >= 40
    assert {need for row in found for need in row.get("needs", [])} == set(cron_rows.INCREMENT)
    assert all(row["expr"] != row.get("same") for row in found if row["expr"] != "0 0 * * *")
