"""One run of the plugin against a hostile target: ``python -m tests.hostile.judge SECONDS OPERATION [ARGUMENT...]``.

The operation that the target is hostile about gets that time-out, all others have their own.
"""

from __future__ import annotations

import sys

import pytest


class Impatient:
    """Gives one operation another time-out, in this process."""

    def __init__(self, operation: str, seconds: float) -> None:
        self.changed = {operation: seconds}

    def pytest_configure(self) -> None:
        # Not before: pytest wants to import its plugins itself.
        from pytest_cronsession import channel

        channel.TIMEOUTS = {**channel.TIMEOUTS, **self.changed}


def main(seconds: str, operation: str, *arguments: str) -> int:
    quiet = ("-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--override-ini=addopts=")
    return int(pytest.main([*quiet, *arguments], [Impatient(operation, float(seconds))]))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
