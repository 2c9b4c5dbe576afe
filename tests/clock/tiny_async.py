"""An ordinary asyncio gateway: an hourly and a 15-minute job, and a port that tells what ran."""

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta

fires: list[tuple[str, float, float]] = []


async def job(name: str, minutes: int) -> None:
    period = timedelta(minutes=minutes)
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    while True:
        now = datetime.now(UTC)
        slot = begin + ((now - begin) // period + 1) * period
        await asyncio.sleep((slot - now).total_seconds())
        fires.append((name, slot.timestamp(), time.time()))


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.readline():
        writer.write(json.dumps(fires).encode() + b"\n")
        await writer.drain()
    writer.close()


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=2**24)
    jobs = [asyncio.create_task(job("hour", 60)), asyncio.create_task(job("quarter", 15))]
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.gather(*jobs)


if __name__ == "__main__":
    asyncio.run(main())
