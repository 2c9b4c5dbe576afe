"""The bookkeeping of the machines with a schedule: which session has a run under way."""

from __future__ import annotations

from pytest_cronsession.contract import Hello
from pytest_cronsession.driver import Handle, Write
from pytest_cronsession.suite.gears import Book, Gear
from pytest_cronsession.suite.places import Place

HELLO = {"protocol": 1, "name": "g", "version": "1", "specRevision": 1, "capabilities": [], "profiles": []}
ROOM: Place = ("named", "main", "kitchen")


def _book(*, removed: bool) -> Book:
    book = Book(Hello.parse({**HELLO, "policies": {}, "latenessMs": 400}))
    gear = Gear(Handle("j", "t", Write(None, None)), {"kind": "every"}, True, 0, busy_until=1000, place=ROOM)
    (book.gone if removed else book.gears).append(gear)
    return book


def test_a_session_with_a_run_under_way_is_taken() -> None:
    assert _book(removed=False).taken(500) == {ROOM}


def test_the_run_of_a_removed_job_may_go_on_in_its_session() -> None:
    """Whether it does is open: a run that comes meanwhile may have to wait, so nothing is to come."""
    assert _book(removed=True).taken(1400) == {ROOM}
    assert _book(removed=True).taken(1401) == set()
