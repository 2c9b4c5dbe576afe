"""Right gateways under all conditions: ``python -m tests.proof.alarms [reference | variants] [--seeds N] [--jobs N] [--record]``.

The reference is looked at with N seeds at tier thorough (50), each variant with two at tier full; transport, xdist, the
host's zone and the locale change from run to run, so that each two of them meet. Whatever is not conformant is a false
alarm. More than an hour with all seeds; each run is told as it ends, and with --record a second call goes on where the
first one was broken off.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..node import gateways as node
from ..scratch import environment
from ..variants.gateways import VARIANTS
from .gather import ALARMS

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Conditions:
    """What must not matter. ``workers`` 0 is without xdist."""

    stdio: bool
    workers: int
    zone: str
    locale: str


# Each two answers of any two members occur together.
ARRAY = (
    Conditions(False, 0, "UTC", "C.UTF-8"),
    Conditions(True, 2, "UTC", "tr_TR.UTF-8"),
    Conditions(False, 2, "America/New_York", "tr_TR.UTF-8"),
    Conditions(True, 0, "America/New_York", "C.UTF-8"),
    Conditions(True, 0, "Asia/Kolkata", "tr_TR.UTF-8"),
    Conditions(False, 2, "Asia/Kolkata", "C.UTF-8"),
)


@dataclass(frozen=True)
class Trial:
    """One run of the suite against a right gateway."""

    name: str
    target: str
    tier: str
    seed: int
    conditions: Conditions

    def told(self) -> str:
        """In a few words."""
        c = self.conditions
        way = "stdio" if c.stdio or self.target.startswith("stdio:") else "in process"
        return f"{self.name}, {self.tier}, seed {self.seed}, {way}, -n {c.workers}, {c.zone}, {c.locale}"


def reference_trials(seeds: int) -> Iterator[Trial]:
    """The reference at tier thorough."""
    for seed in range(1, seeds + 1):
        yield _python("reference", "cronsession_reference:Gateway", "thorough", seed, seed)


def variant_trials(seeds: int) -> Iterator[Trial]:
    """Each variant at tier full."""
    number = 0
    for name in VARIANTS:
        for seed in range(1, seeds + 1):
            number += 1
            yield _python(name, f"tests.variants.gateways:{name}", "full", seed, number)
    # Counted apart: a gateway more above leaves these as they are on record.
    number = 0
    commands = {name: node.command("variant.mjs", [name]) for name in node.VARIANTS}
    for name, command in {"gateway": node.command("gateway.mjs"), **commands}.items():
        for seed in range(1, seeds + 1):
            number += 1
            yield Trial(f"node:{name}", f"stdio:{command}", "full", seed, ARRAY[number % len(ARRAY)])


def _python(name: str, factory: str, tier: str, seed: int, number: int) -> Trial:
    conditions = ARRAY[number % len(ARRAY)]
    serve = shlex.join([sys.executable, "-m", "tests.proof.serve", factory])
    return Trial(name, f"stdio:{serve}" if conditions.stdio else f"python:{factory}", tier, seed, conditions)


def alarm(trial: Trial) -> str:
    """What was wrong with the gateway in the suite's eyes; empty if nothing was."""
    c = trial.conditions
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        command = [
            *(
                sys.executable,
                "-m",
                "pytest",
                "-q",
                "-p",
                "no:cacheprovider",
                f"--cronsession-report={report}",
            ),
            *(f"--cronsession-target={trial.target}", f"--cronsession-tier={trial.tier}"),
            *(f"--cronsession-seed={trial.seed}", *(["-n", str(c.workers)] if c.workers else [])),
        ]
        env = {**environment(), "TZ": c.zone, "LC_ALL": c.locale, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
        if not report.exists():
            return f"no report: {done.stdout[-300:]}"
        found: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    wrong = [
        f"{r['id']} {r['outcome']}"
        for r in found["requirements"]
        if r["outcome"] in ("fail", "warn", "error")
    ]
    return ", ".join(wrong) or ("" if found["verdict"] == "conformant" else found["verdict"])


def main() -> int:
    """The exit code: 1 if there was a false alarm."""
    parser = argparse.ArgumentParser(prog="python -m tests.proof.alarms", description=__doc__)
    parser.add_argument("which", choices=TRIALS)
    parser.add_argument("--seeds", type=int, metavar="N")
    parser.add_argument("--jobs", type=int, default=1, metavar="N")
    parser.add_argument(
        "--record", action="store_true", help="keep what came out, and leave out what is on record as right"
    )
    parser.add_argument("--again", action="store_true", help="begin the record anew")
    given = parser.parse_args()
    made, default, about = TRIALS[given.which]
    seeds = given.seeds or default
    every = list(made(seeds))
    before = set() if given.again or not given.record else set(_load().get(given.which, {}).get("right", ()))
    right = [trial.told() for trial in every if trial.told() in before]
    trials = [trial for trial in every if trial.told() not in before]
    found: list[str] = []
    with ThreadPoolExecutor(given.jobs) as pool:
        running = {pool.submit(alarm, trial): trial for trial in trials}
        for number, done in enumerate(as_completed(running), 1):
            told, wrong = running[done].told(), done.result()
            print(f"{'! ' if wrong else '  '}{number}/{len(trials)} {told} {wrong}", flush=True)
            if wrong:
                found.append(f"{told}: {wrong}")
            else:
                right.append(told)
            if given.record:
                # After each: hours of runs are worth keeping when the last of them are not to be.
                entry = {"about": about, "seeds": seeds, "of": len(every), "runs": len(right) + len(found)}
                entry |= {"found": found, "right": sorted(right)}
                _store(given.which, entry)
    return int(bool(found))


TRIALS: Mapping[str, tuple[Callable[[int], Iterator[Trial]], int, str]] = {
    "reference": (reference_trials, 50, "The reference at tier thorough"),
    "variants": (variant_trials, 2, "Each variant at tier full"),
}
"""What is run, with how many seeds, and what the page says of it."""


def _load() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(ALARMS.read_text(encoding="utf-8")) if ALARMS.exists() else {}
    return document


def _store(which: str, entry: Mapping[str, Any]) -> None:
    ALARMS.write_text(json.dumps({**_load(), which: entry}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
