"""Sessions that people begin: rows of a store that no job makes."""

from __future__ import annotations

from dataclasses import replace

from ..contract import Session
from ..driver import Driver, wish
from ..model import Answer
from .kit import all_rows


def chat(d: Driver, name: str, agent: str | None = None, reply: str = "OK") -> Session:
    """A human turn in a new named session; the row it left, with the activity as we know it."""
    before = all_rows(d)
    d.say(wish("named", name=name), agent=agent, answer=Answer("ok", reply))
    new = [s for s in d.sessions() if s.key not in before]
    if len(new) == 2 and d.has("run.list", "trigger"):
        # The other one may be that of the agent's main session, made with the agent's first turn.
        key = _key_of(d, name, agent)
        new = [s for s in new if s.key == key]
    if len(new) != 1:
        d.not_observed(f"a human turn in a new session left {len(new)} new rows")
    return replace(new[0], updated_ms=d.now)


def _key_of(d: Driver, name: str, agent: str | None) -> str | None:
    """The key that a run in the session of this name tells."""
    job = d.add(target="named", name=name, agent=agent)
    run = d.run_now(job).run
    d.retire(job.id)
    return None if run is None else run.session_key


def chat_keys(d: Driver, n: int, reply: str = "OK", *, seconds: int = 60) -> list[str]:
    """The keys of so many new sessions, so many seconds apart, oldest first."""
    keys = []
    for _ in range(n):
        keys.append(chat(d, d.fresh_name("chat"), reply=reply).key)
        d.advance(seconds=seconds)
    return keys
