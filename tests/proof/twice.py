"""Two runs of one target give the same report: ``python -m tests.proof.twice TARGET [TIER]``."""

from __future__ import annotations

import difflib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def report(target: str, tier: str, folder: Path, *more: str) -> list[str]:
    """The report's lines but for ``environment``, which holds what may differ: times, versions, the machine."""

    file = folder / "report.json"
    quiet = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    told = (f"--cronsession-target={target}", f"--cronsession-tier={tier}", f"--cronsession-report={file}")
    done = subprocess.run([*quiet, *told, *more], cwd=ROOT, capture_output=True, text=True, check=False)
    assert file.exists(), done.stdout + done.stderr
    found = json.loads(file.read_text(encoding="utf-8"))
    del found["environment"]
    return json.dumps(found, indent=1).splitlines()


def difference(target: str, tier: str, *more: str) -> str:
    """What two runs say differently; empty if they say the same."""
    reports = []
    for _ in range(2):
        with tempfile.TemporaryDirectory() as folder:
            reports.append(report(target, tier, Path(folder), *more))
    return "\n".join(difflib.unified_diff(*reports, "first", "second", lineterm="", n=1))


def main(target: str, tier: str = "full") -> int:
    """The exit code: 1 if they differ."""
    found = difference(target, tier)
    print(found or f"{target}, tier {tier}: two runs, one report")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
