"""Mutate the reference (or the judging code) and see who notices: ``python -m tests.mutation [reference|judges]``.

``--sample N`` (300) of all mutations are tried, chosen by ``--seed N`` (1), ``--jobs N`` (1) at a time; ``--record``
writes what came out. Needs ``pip install -e '.[dev,mutation]'``. Some seconds for each mutation that is noticed, half a
minute for one that is not.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial

import pytest

from ..scratch import place
from . import records
from .campaigns import CAMPAIGNS, HERE, Campaign
from .sites import Mutation, sample
from .trial import Trial, Verdict


def main() -> int:
    """The exit code: 1 if fewer were noticed than the campaign asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("campaign", choices=CAMPAIGNS, nargs="?", default="reference")
    parser.add_argument("--sample", type=int, default=300, metavar="N")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    parser.add_argument("--jobs", type=int, default=1, metavar="N")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--again", action="store_true", help="only survivors that nobody has explained")
    given = parser.parse_args()
    campaign = CAMPAIGNS[given.campaign]
    chosen = sample(campaign.modules, given.sample, given.seed)
    before = records.load()[campaign.name]["survivors"] if given.again else []
    explained = records.reasons()
    trials, equal = chosen, list[Mutation]()
    if given.again:
        equal = [mutation for mutation in chosen if mutation.name in before and mutation.name in explained]
        trials = [mutation for mutation in chosen if mutation.name in before and mutation not in equal]
    survived = [v.mutation for v in _tried(campaign, trials, given.jobs) if not v.killed] + equal
    score = records.score(len(chosen), survived)
    print(f"\n{len(chosen) - len(survived)} of {len(chosen)} noticed; {score:.1%} of those that could be")
    if given.record:
        records.store(campaign.name, given.seed, len(chosen), survived)
    return int(score < campaign.least)


def _tried(campaign: Campaign, chosen: Sequence[Mutation], jobs: int) -> list[Verdict]:
    """Up to ``jobs`` trials at a time; every verdict is told when it comes."""
    _prepare()
    waiting, going, found = list(reversed(chosen)), [], []
    try:
        while waiting or going:
            while waiting and len(going) < jobs:
                mutation = waiting.pop()
                run = partial(campaign.run, mutation.module)
                going.append(Trial(mutation, campaign.packages, run, campaign.limit_s))
            time.sleep(0.05)
            for trial in list(going):
                verdict = trial.verdict()
                if verdict is not None:
                    going.remove(trial)
                    found.append(verdict)
                    print(_told(verdict, len(found), len(chosen)), flush=True)
    finally:
        for trial in going:
            trial.end()
    return found


def _told(verdict: Verdict, number: int, of: int) -> str:
    mutation, mark = verdict.mutation, "  " if verdict.killed else "! "
    place = f"{mutation.module}:{mutation.line} {mutation.before} -> {mutation.after}"
    return f"{mark}{number}/{of} {verdict.outcome} ({verdict.seconds:.1f} s) {place}"


def _prepare() -> None:
    """Import once what every trial needs."""
    import hypothesis  # noqa: F401
    import jsonschema  # noqa: F401

    import cronsession_reference  # noqa: F401

    tempfile.tempdir = place()
    pytest.main([*HERE, "--collect-only", "--cronsession-target=reference", "-k", "none"])


if __name__ == "__main__":
    sys.exit(main())
