"""An ordinary scheduler on threads: time.sleep, Event.wait and Timer, and a port that tells what ran."""

import json
import socket
import threading
import time

fires: list[tuple[str, float, float]] = []
stop = threading.Event()


def rest(period: int) -> tuple[float, float]:
    now = time.time()
    slot = (now // period + 1) * period
    return slot, slot - now


def by_sleep() -> None:
    while True:
        slot, seconds = rest(3600)
        time.sleep(seconds)
        fires.append(("hour", slot, time.time()))


def by_event() -> None:
    while True:
        slot, seconds = rest(900)
        if stop.wait(seconds):
            return
        fires.append(("quarter", slot, time.time()))


def by_timer() -> None:
    slot, seconds = rest(86_400)

    def fire() -> None:
        fires.append(("day", slot, time.time()))
        by_timer()

    timer = threading.Timer(seconds, fire)
    timer.daemon = True
    timer.start()


def main() -> None:
    for job in (by_sleep, by_event):
        threading.Thread(target=job, daemon=True).start()
    by_timer()
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        while True:
            client, _ = server.accept()
            with client, client.makefile("rw") as stream:
                for _ in stream:
                    stream.write(json.dumps(fires) + "\n")
                    stream.flush()


if __name__ == "__main__":
    main()
