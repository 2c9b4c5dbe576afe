"""Durations, sizes, and the configuration file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cronsession_reference.config import parse_config, read_file, write_file
from cronsession_reference.errors import Refused
from cronsession_reference.settings import Limits, Settings
from cronsession_reference.units import parse_duration, parse_size, show_duration, show_size


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("24h", 86_400_000),
        ("14d", 14 * 86_400_000),
        ("1h30m", 5_400_000),
        ("1d 2h 3m 4s 5ms", 93_784_005),
        ("1.5h", 5_400_000),
        (" 20M ", 1_200_000),
        ("0s", 0),
        ("500ms", 500),
    ],
)
def test_durations(text: str, milliseconds: int) -> None:
    assert parse_duration(text) == milliseconds


@pytest.mark.parametrize(
    "text", ["", " ", "24", "h", "1h30", "-1h", "1w", "1h,30m", "1hh", "1 day", "h1", "1e3s"]
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="24h"):
        parse_duration(text)


@settings(deadline=None, derandomize=True, database=None, max_examples=200)
@given(milliseconds=st.integers(0, 10**13))
def test_a_duration_that_is_shown_can_be_read(milliseconds: int) -> None:
    assert parse_duration(show_duration(milliseconds)) == milliseconds


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("500mb", 500 * 1024**2),
        ("500MB", 500 * 1024**2),
        ("500 MiB", 500 * 1024**2),
        ("1.5k", 1536),
        ("2g", 2 * 1024**3),
        ("10b", 10),
        ("1000", 1000),
        (1000, 1000),
    ],
)
def test_sizes(text: str | int, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "mb", "-1", "1tb", "1 k b", "1,000", True])
def test_what_is_no_size(text: Any) -> None:
    with pytest.raises(ValueError, match="500mb"):
        parse_size(text)


def test_sizes_for_people() -> None:
    assert [show_size(size) for size in (0, 1023, 1024, 1536 * 1024, 3 * 1024**4)] == [
        "0 B",
        "1023 B",
        "1.0 KB",
        "1.5 MB",
        "3072.0 GB",
    ]


def test_an_empty_file_means_the_defaults() -> None:
    config = parse_config({}, Settings())
    assert config.settings == Settings()
    assert not config.has_maintenance


def test_everything_can_be_set() -> None:
    block = {"mode": "warn", "pruneAfter": "14d", "maxEntries": 400, "maxDiskBytes": "500mb"}
    data = {
        "agents": ["main", "a"],
        "cron": {"sessionRetention": "36h", "sweepInterval": "5m", "runHistory": 10},
        "session": {"maintenance": block},
        "model": {"url": "http://x/v1", "name": "m"},
        "policies": {"keyCase": "preserve"},
    }
    config = parse_config(data, Settings())
    assert config.settings.agents == ("main", "a")
    assert config.settings.retention_ms == 36 * 3_600_000
    assert config.settings.sweep_interval_ms == 300_000
    assert config.settings.run_history == 10
    assert config.settings.limits == Limits("warn", 14 * 86_400_000, 400, 500 * 1024**2)
    assert config.settings.policies.key_case == "preserve"
    assert (config.model_url, config.model_name, config.has_maintenance) == ("http://x/v1", "m", True)


def test_retention_can_be_turned_off() -> None:
    assert parse_config({"cron": {"sessionRetention": False}}, Settings()).settings.retention_ms is None


@pytest.mark.parametrize(
    ("data", "field", "says"),
    [
        ({"tools": {"sessions": {"maintenance": {}}}}, "tools.sessions", 'move the block to "session"'),
        ({"colour": "red"}, "colour", "accepted here: agents"),
        ({"cron": {"retention": "1h"}}, "cron.retention", "sessionRetention"),
        ({"cron": []}, "cron", "an object"),
        ({"cron": {"sessionRetention": "soon"}}, "cron.sessionRetention", "'soon'"),
        ({"cron": {"sessionRetention": "0h"}}, "cron.sessionRetention", "more than zero"),
        ({"cron": {"sessionRetention": 24}}, "cron.sessionRetention", "or false"),
        ({"cron": {"sessionRetention": True}}, "cron.sessionRetention", "or false"),
        ({"cron": {"runHistory": 0}}, "cron.runHistory", "at least 1"),
        ({"session": {"maintenance": {"mode": "force"}}}, "session.maintenance.mode", "warn, enforce"),
        ({"session": {"maintenance": {"maxEntries": "9"}}}, "session.maintenance.maxEntries", "integer"),
        ({"session": {"maintenance": {"maxDiskBytes": "big"}}}, "session.maintenance.maxDiskBytes", "500mb"),
        ({"session": {"maintenance": {"pruneAfter": 5}}}, "session.maintenance.pruneAfter", "24h"),
        ({"session": {"maintenance": {"prune": 5}}}, "session.maintenance.prune", "pruneAfter"),
        ({"session": {"maintenance": []}}, "session.maintenance", "an object"),
        ({"agents": []}, "agents", "different names"),
        ({"agents": ["a", "A"]}, "agents", "different names"),
        ({"policies": {"dst": "x" * 500}}, "policies", "vixie"),
        ({"model": {"url": " "}}, "model.url", "blank"),
    ],
)
def test_refusals_name_the_member_and_what_is_accepted(data: Any, field: str, says: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_config(data, Settings())
    assert refused.value.field == field
    assert says in refused.value.reason


def test_a_long_value_is_shortened() -> None:
    with pytest.raises(Refused) as refused:
        parse_config({"cron": {"sessionRetention": "x" * 10_000}}, Settings())
    assert len(str(refused.value)) < 250


@pytest.mark.parametrize("content", ["{", "[]", "7", '"x"', "\xff"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(Refused, match=r"config\.json"):
        read_file(path)


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "config.json"
    assert read_file(path) == {}
    write_file(path, {"a": "ß"})
    assert read_file(path) == {"a": "ß"}
    with pytest.raises(TypeError):
        write_file(path, {"a": object()})
    assert json.loads(path.read_text(encoding="utf-8")) == {"a": "ß"}
    assert [entry.name for entry in path.parent.iterdir()] == ["config.json"]
