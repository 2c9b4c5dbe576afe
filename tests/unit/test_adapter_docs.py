"""The adapter printed in the docs is conformant for what it declares."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "adapters" / "python.md"


def test_the_printed_adapter_is_conformant(pytester: pytest.Pytester) -> None:
    code = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)[0]
    pytester.makepyfile(mini_gateway=code)
    result = pytester.runpytest_subprocess("--cronsession-target=python:mini_gateway:MiniGateway", "-q")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["mini 1.0, python*", "conformant", "*sessions *conformant*"])
