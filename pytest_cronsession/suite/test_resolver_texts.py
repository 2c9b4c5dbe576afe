"""Names and keys as people write them: opaque, whole, and never a way to a file."""

from __future__ import annotations

import tempfile
from itertools import count
from pathlib import Path

import pytest

from ..checkers import fresh_context
from ..driver import Driver, Handle
from ..model import Turn
from ..oracle import MINUTE
from ..requirement import requirement
from ..strategies import session_names
from .kit import examples, receipts, sweep_ms


def _keyed(d: Driver, key: str) -> Handle | None:
    """A job with this key; None if that is rejected or reported."""
    write, job = d.try_add(target="isolated", key=key)
    return None if job is None or write.reports("session.key") else job


@requirement("CS-RES-028")
def test_any_key_is_opaque(cronsession_driver: Driver) -> None:
    d = cronsession_driver
    number = count(1)
    seen: list[Turn] = []

    def check(key: str) -> None:
        unique = f"{key}~{next(number)}{d.fresh_name('')}"
        job = _keyed(d, unique)
        if job is None:
            return
        first = d.evidence(job)
        d.judge(fresh_context([first], seen))
        other = _keyed(d, unique)
        d.expect(other is not None, f"the key {unique!r} is taken from one job and not from the next")
        assert other is not None
        second = d.evidence(other)
        d.expect(second.saw_turn(first), f"two jobs with the key {unique!r} do not share a session")
        seen.extend([first, second])

    examples(d, check, key=session_names(), scale=0.6)
    d.witness()


# Each pair is one slug, or one file name, to a gateway that replaces what it does not like.
_TWINS = {
    "slash": ("team/alpha", "team-alpha"),
    "colon": ("a:b", "a.b"),
    "space": ("ops room", "ops_room"),
    "accent": ("caf\u00e9", "cafe"),
    "dots": ("../up", "up"),
    "percent": ("a%2fb", "a/b"),
    "plus": ("a+b", "a b"),
}


@requirement("CS-RES-028")
@pytest.mark.parametrize("pair", list(_TWINS))
def test_keys_that_look_alike(cronsession_driver: Driver, pair: str) -> None:
    d = cronsession_driver
    tail = d.fresh_name("")
    turns: list[Turn] = []
    for key in (text + tail for text in _TWINS[pair]):
        job = _keyed(d, key)
        if job is not None:
            turn = d.evidence(job)
            d.judge(fresh_context([turn], turns))
            turns.append(turn)
    d.witness()


@requirement("CS-RES-029")
@pytest.mark.parametrize("length", [60, 250, 1_000, 5_000, 100_000])
@pytest.mark.parametrize("form", ["named", "key"])
def test_long_texts_are_not_cut(cronsession_driver: Driver, form: str, length: int) -> None:
    d = cronsession_driver
    if form == "key":
        d.require("session.key", "session.isolated")
    stem = d.fresh_name("long").ljust(length, "x")
    turns: list[Turn] = []
    for end in ("left", "right"):
        if form == "key":
            job = _keyed(d, stem + end)
        else:
            _, job = d.try_add(target="named", name=stem + end)
        if job is not None:
            turn = d.evidence(job)
            d.judge(fresh_context([turn], turns))
            turns.append(turn)
    d.witness()


def _ways_out(tag: str) -> list[str]:
    up = [f"{'../' * depth}{tag}" for depth in range(1, 7)]
    root = tempfile.gettempdir()
    return [
        *up,
        f"{root}/{tag}",
        f"a/../../../{tag}",
        f"..\\..\\{tag}",
        f"%2e%2e%2f{tag}",
        f"{tag}\n",
        f"{tag}\0.x",
        f"\x1b[31m{tag}",
    ]


@requirement("CS-RES-030")
@pytest.mark.parametrize("form", ["named", "key"])
def test_no_text_leads_out_of_the_state_folder(cronsession_driver: Driver, form: str) -> None:
    d = cronsession_driver
    if form == "key":
        d.require("session.key", "session.isolated")
    # What an earlier gateway left there must not be held against this one.
    tag = d.fresh_name(f"way-out-{d.world.state_dir.name[-8:]}")
    for text in _ways_out(tag):
        target, name, key = ("isolated", None, text) if form == "key" else ("named", text, None)
        attempt = d.attempt("job/add", {"job": _job(target, name, key)})
        if attempt.answer is not None:
            job_id = attempt.answer["job"]["id"]
            d.trigger(Handle(job_id, tag, d.add().write))
            d.settle(lambda: d.model.open_turns() == 0)
            d.retire(job_id)
    places = {*d.world.state_dir.parents, Path(tempfile.gettempdir()), Path.cwd()}
    escaped = [found for place in places for found in place.glob(f"*{tag}*")]
    for found in escaped:
        if found.is_file():
            found.unlink()
    d.expect(not escaped, f"files of a session lie outside the state folder: {[str(f) for f in escaped]}")


def _job(target: str, name: str | None, key: str | None) -> dict[str, object]:
    given = {"name": name, "key": key}
    return {
        "name": "odd texts",
        "schedule": {"kind": "cron", "expr": "0 0 1 1 *", "tz": "UTC"},
        "session": {"target": target, **{k: v for k, v in given.items() if v is not None}},
        "payload": {"kind": "agentTurn", "text": "Reply OK only."},
    }


HOUR = 60 * MINUTE


@requirement("CS-RES-031")
@pytest.mark.cronsession_config(sessionRetentionMs=HOUR)
@pytest.mark.parametrize("form", ["named", "key"])
def test_a_lasting_session_is_not_taken_for_a_receipt(cronsession_driver: Driver, form: str) -> None:
    d = cronsession_driver
    if form == "key":
        d.require("session.key", "session.isolated")
    tail = d.fresh_name("")
    texts = [
        f"cron:nightly{tail}",
        f"cron:j{tail}:run:1",
        f"x{tail}:run:y",
        f"run/{tail}",
        f"receipt/{tail}",
        f"isolated{tail}",
    ]
    if d.has("session.isolated"):
        lone = d.add(target="isolated")
        d.evidence(lone)
        # As the gateway spells its own, and another one.
        texts += [f"{key[:-4]}mine" for key in sorted(receipts(d, lone))]
    lasting: list[tuple[str, Handle, Turn]] = []
    for text in texts:
        job = _keyed(d, text) if form == "key" else d.try_add(target="named", name=text)[1]
        if job is not None:
            lasting.append((text, job, d.evidence(job)))
    d.advance_to(d.now + HOUR + 2 * sweep_ms(d))
    for text, job, first in lasting:
        d.expect(
            d.evidence(job).saw_turn(first),
            f"the session of the {form} {text!r} was kept by its job and lost its turns after sessionRetentionMs",
        )
    d.witness()
