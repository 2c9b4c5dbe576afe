"""The deployment of openclaw#63442 on a real gateway: ``python -m tests.real.deployment TARGET [DAYS] [AGENTS]``.

Two heartbeat jobs for each agent, ``15,45 7-20 * * 1-5`` and ``0,30 8-18 * * 1-5``, isolated, with a session key, the
configuration as it comes. Prints a Markdown table as it goes: rows, receipts and files below the state folder every
three hours of virtual time. A run costs a real gateway some seconds, and a working day has fifty for each agent.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime

from pytest_cronsession.driver import Driver, Handle, cron
from pytest_cronsession.options import default_cache
from pytest_cronsession.targets import parse_target, resolve_target
from pytest_cronsession.worlds import World

SCHEDULES = ("15,45 7-20 * * 1-5", "0,30 8-18 * * 1-5")
# A Monday, before the first slot of the day.
START_MS = int(datetime(2026, 3, 2, 6, 0, 7, tzinfo=UTC).timestamp() * 1000)
HOUR_MS, HOURS = 3_600_000, 3


def jobs(driver: Driver, agents: tuple[str, ...]) -> list[Handle]:
    """The reported jobs, each with a key that both jobs of an agent share."""
    return [
        driver.add(cron(expr), target="isolated", key=f"agent:{agent}:desk", agent=agent)
        for agent in agents
        for expr in SCHEDULES
    ]


def look(driver: Driver, added: list[Handle], began: float) -> str:
    """A row of the table, as the gateway stands."""
    rows = driver.sessions()
    # A receipt is a row that one run alone was in.
    keys = [run.session_key for run in driver.runs() if run.job_id in {job.id for job in added}]
    receipts = [row for row in rows if keys.count(row.key) == 1]
    disk, done = driver.disk(), sum(len(driver.turns(job)) for job in added)
    at = datetime.fromtimestamp(driver.now / 1000, UTC).strftime("%a %d %b %H:%M")
    cells = (
        at,
        done,
        len(rows),
        len(receipts),
        disk.files,
        f"{disk.bytes / 1e6:.1f}",
        f"{time.monotonic() - began:.0f}",
    )
    return f"| {' | '.join(map(str, cells))} |"


def main(arguments: list[str]) -> int:
    """Replay and print; the exit code."""
    if not arguments:
        print(__doc__)
        return 4
    days = int(arguments[1]) if len(arguments) > 1 else 1
    count = int(arguments[2]) if len(arguments) > 2 else 3
    agents = ("main", "work", "home")[:count]
    target = resolve_target(parse_target(arguments[0]), cache=default_cache())
    target.prepare(lambda line: print(line, file=sys.stderr))
    world = World(target, {"agents": list(agents)}, start_ms=START_MS)
    try:
        driver, began = Driver(world), time.monotonic()
        added = jobs(driver, agents)
        print("| UTC | runs | rows | receipts | files | MB | real s |\n|---|---|---|---|---|---|---|")
        print(look(driver, added, began), flush=True)
        for step in range(1, days * 24 // HOURS + 1):
            driver.advance_to(START_MS + step * HOURS * HOUR_MS)
            print(look(driver, added, began), flush=True)
    finally:
        world.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
