"""``sessions`` and ``sessions cleanup``."""

from __future__ import annotations

import argparse
from collections.abc import Awaitable, Callable

from .engine import Engine
from .output import show_instant, show_json, show_table
from .shapes import row_dict
from .units import show_size

Offline = Callable[
    [Callable[[argparse.Namespace, Engine], Awaitable[int]]], Callable[[argparse.Namespace], int]
]


def add_commands(parser: argparse.ArgumentParser, offline: Offline) -> None:
    """Add ``--json`` and ``cleanup`` to the parser of ``sessions``."""
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=offline(_list))
    commands = parser.add_subparsers(metavar="COMMAND")
    cleanup = commands.add_parser("cleanup", help="apply retention and maintenance now")
    cleanup.add_argument("--dry-run", action="store_true", help="only say what would go")
    cleanup.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON document"
    )
    cleanup.set_defaults(run=offline(_cleanup))


async def _list(args: argparse.Namespace, engine: Engine) -> int:
    rows = sorted(engine.store.sessions(), key=lambda row: -row.updated_ms)
    if args.json:
        show_json({"count": len(rows), "sessions": [row_dict(row) for row in rows]})
        return 0
    cells = [(row.key, row.kind, show_instant(row.updated_ms), show_size(row.bytes), row.id) for row in rows]
    show_table(("KEY", "KIND", "UPDATED", "SIZE", "ID"), cells, "no sessions")
    return 0


async def _cleanup(args: argparse.Namespace, engine: Engine) -> int:
    now = engine.clock.now()
    before = engine.store.totals().rows
    if args.dry_run:
        expired = {row.key for row in engine.reaper.plan(now)}
        reaped, maintained = sorted(expired), engine.maintenance.preview(now, gone=expired)
    else:
        reaped = engine.reaper.sweep(now)
        maintained = engine.maintenance.enforce(now)
    after = before - len(reaped) - len(maintained)
    if args.json:
        data = {
            "dryRun": args.dry_run,
            "mode": engine.maintenance.limits.mode,
            "before": before,
            "after": after,
        }
        show_json({**data, "reaped": reaped, "maintained": maintained})
        return 0
    verb = "would remove" if args.dry_run else "removed"
    print(
        f"{verb} {len(reaped)} expired receipts and {len(maintained)} rows over the limits; {after} rows left"
    )
    for key in (*reaped, *maintained):
        print(f"  {key}")
    return 0
