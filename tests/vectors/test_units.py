"""Durations and byte sizes: the vectors, read by the reference."""

from __future__ import annotations

from typing import Any

import pytest

from cronsession_reference.config import parse_config
from cronsession_reference.errors import Refused
from cronsession_reference.settings import Settings
from cronsession_reference.units import parse_duration, parse_size, show_duration

from .files import cases, rows


@pytest.mark.parametrize("row", cases("durations"))
def test_durations(row: dict[str, Any]) -> None:
    if "mistake" in row:
        with pytest.raises(ValueError, match="not a duration; accepted: "):
            parse_duration(row["text"])
    else:
        assert parse_duration(row["text"]) == row["ms"]


@pytest.mark.parametrize("row", cases("byte-sizes"))
def test_byte_sizes(row: dict[str, Any]) -> None:
    if "mistake" in row:
        with pytest.raises(ValueError, match="not a size; accepted: "):
            parse_size(row["text"])
    else:
        assert parse_size(row["text"]) == row["bytes"]


@pytest.mark.parametrize("row", cases("durations"))
def test_a_setting_takes_a_duration_or_is_refused_by_name(row: dict[str, Any]) -> None:
    data = {"cron": {"sessionRetention": row["text"]}}
    if row.get("ms"):
        assert parse_config(data, Settings()).settings.retention_ms == row["ms"]
    else:
        with pytest.raises(Refused, match=r"cron\.sessionRetention"):
            parse_config(data, Settings())


@pytest.mark.parametrize("row", cases("byte-sizes"))
def test_a_setting_takes_a_size_or_is_refused_by_name(row: dict[str, Any]) -> None:
    data = {"session": {"maintenance": {"mode": "enforce", "maxDiskBytes": row["text"]}}}
    if row.get("bytes"):
        assert parse_config(data, Settings()).settings.limits.max_disk_bytes == row["bytes"]
    else:
        with pytest.raises(Refused, match=r"session\.maintenance\.maxDiskBytes"):
            parse_config(data, Settings())


@pytest.mark.parametrize(
    "row", [row for row in rows("durations") if "ms" in row], ids=lambda row: row["text"]
)
def test_what_is_shown_is_read_back(row: dict[str, Any]) -> None:
    assert parse_duration(show_duration(row["ms"])) == row["ms"]


@pytest.mark.parametrize("name", ["durations", "byte-sizes"])
def test_every_kind_of_mistake_is_there(name: str) -> None:
    mistakes = {row["mistake"] for row in rows(name) if "mistake" in row}
    assert mistakes >= {
        *("overflow", "negative", "sign", "unknown-unit", "no-number", "bad-number", "garbage", "not-ascii")
    }
    assert ("no-unit" in mistakes) == (name == "durations")
    assert sum("mistake" not in row for row in rows(name)) >= 30
