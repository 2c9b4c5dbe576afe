"""What the README says first works for somebody who has nothing but this package's own dependencies."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_first_command_needs_no_plugin_of_the_developers() -> None:
    # In a clone, pytest reads this repository's own configuration, which names options of other plugins.
    bare = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""}
    words = "-m pytest -p pytest_cronsession.plugin -p no:cacheprovider --cronsession-target=reference"
    done = subprocess.run(
        [sys.executable, *words.split(), "-k", "CS-RES-006"],
        cwd=ROOT,
        env=bare,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in done.stdout
