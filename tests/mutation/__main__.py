"""Mutate the reference (or the judging code) and see who notices: ``python -m tests.mutation [reference|judges]``.

``--sample N`` (300) of all mutations are tried, chosen by ``--seed N`` (1), ``--jobs N`` (1) at a time; ``--record``
writes what came out. Needs ``pip install -e '.[dev,mutation]'``. Some seconds for each mutation that is noticed, half a
minute for one that is not.
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import pytest

from . import records
from .campaigns import CAMPAIGNS, Campaign
from .sites import Mutation, sample
from .trial import Verdict, try_mutation


def main() -> int:
    """The exit code: 1 if fewer were noticed than the campaign asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("campaign", choices=CAMPAIGNS, nargs="?", default="reference")
    parser.add_argument("--sample", type=int, default=300, metavar="N")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    parser.add_argument("--jobs", type=int, default=1, metavar="N")
    parser.add_argument("--record", action="store_true")
    given = parser.parse_args()
    campaign = CAMPAIGNS[given.campaign]
    chosen = sample(campaign.modules, given.sample, given.seed)
    found = _tried(campaign, chosen, given.jobs)
    killed = sum(verdict.killed for verdict in found)
    print(f"\n{killed} of {len(found)} noticed: {killed / len(found):.1%}")
    if given.record:
        records.store(campaign.name, given.seed, found)
    return int(killed < campaign.least * len(found))


def _tried(campaign: Campaign, chosen: list[Mutation], jobs: int) -> list[Verdict]:
    found = []
    # Each process forks for every trial, and so has to have imported everything before.
    with ProcessPoolExecutor(jobs, mp_context=get_context("fork"), initializer=_prepare) as pool:
        for number, verdict in enumerate(pool.map(partial(_trial, campaign.name), chosen), 1):
            found.append(verdict)
            mutation = verdict.mutation
            mark = "  " if verdict.killed else "! "
            print(
                f"{mark}{number}/{len(chosen)} {verdict.outcome} ({verdict.seconds:.1f} s) "
                f"{mutation.module}:{mutation.line} {mutation.before} -> {mutation.after}",
                flush=True,
            )
    return found


def _prepare() -> None:
    """Import once what every trial needs."""
    import hypothesis  # noqa: F401
    import jsonschema  # noqa: F401

    import cronsession_reference  # noqa: F401

    pytest.main(
        ["-q", "--collect-only", "-p", "no:cacheprovider", "--cronsession-target=reference", "-k", "none"]
    )


def _trial(name: str, mutation: Mutation) -> Verdict:
    campaign = CAMPAIGNS[name]
    run = partial(campaign.run, mutation.module)
    return try_mutation(mutation, campaign.packages, run, campaign.limit_s)


if __name__ == "__main__":
    sys.exit(main())
