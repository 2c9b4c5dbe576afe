"""The decorator that ties a suite test to the requirements it judges."""

from __future__ import annotations

import pytest


def requirement(*ids: str) -> pytest.MarkDecorator:
    """Mark a test as the judge of ``ids``; the first is the one that plain expectations speak for."""
    return pytest.mark.cronsession_requirement(*ids)
