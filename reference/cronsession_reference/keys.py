"""Session keys: ``agent:<agent>:<name>``.

A name is opaque: slashes, colons, dots and any script are fine, because nothing is ever derived from
its text. Which file belongs to a session, and what kind of session it is, are columns of its row.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from .checks import shorten

MAX_NAME = 512
PREFIX = "agent:"


def normalise(name: str, *, case: str = "fold") -> str:
    """One spelling for one name: NFC, no outer white space, lower case if ``case`` is ``fold``.

    Idempotent. Raises :class:`ValueError`, saying why, for a name that cannot be one.
    """
    text = _spelling(name, case)
    if not text:
        raise ValueError("is blank; give the session a name")
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in text):
        raise ValueError(f"contains a control character ({shorten(text)}); use printable text")
    if len(text) > MAX_NAME:
        raise ValueError(f"has {len(text)} characters ({shorten(text)}); at most {MAX_NAME} are accepted")
    return text


def _spelling(text: str, case: str) -> str:
    text = unicodedata.normalize("NFC", text).strip()
    if case == "fold":
        # Letter by letter: str.lower() spells a sigma by its neighbours, and casefold() merges
        # names that differ in more than case, such as "strasse" and its spelling with a sharp s.
        text = unicodedata.normalize("NFC", "".join(letter.lower() for letter in text))
    return text


def scoped(text: str, *, agent: str, agents: Sequence[str], case: str = "fold") -> str:
    """The session key that ``text``, a plain word or an already scoped key, means for ``agent``.

    Idempotent. Raises :class:`ValueError` for a key of another agent and for what :func:`normalise`
    refuses.
    """
    name = _spelling(text, case)
    own = f"{PREFIX}{agent}:"
    if _starts(name, own):
        return own + normalise(name[len(own) :], case=case)
    other = _other_agent(name, agents)
    if other is not None:
        raise ValueError(
            f"{shorten(name)} belongs to agent {other!r}, and the job to agent {agent!r}; "
            f"give the job to agent {other!r}, or use a key that starts with {own!r}"
        )
    return own + normalise(name, case=case)


def _starts(name: str, prefix: str) -> bool:
    return name[: len(prefix)].lower() == prefix.lower()


def _other_agent(name: str, agents: Sequence[str]) -> str | None:
    for agent in agents:
        if _starts(name, f"{PREFIX}{agent}:"):
            return agent
    head, _, rest = name[len(PREFIX) :].partition(":")
    return head if _starts(name, PREFIX) and head and rest else None


def main_key(agent: str) -> str:
    """The agent's main session."""
    return f"{PREFIX}{agent}:main"


def job_key(agent: str, job_id: str) -> str:
    """The one session of a job that is isolated and shares its own context."""
    return f"{PREFIX}{agent}:cron:{job_id}"


def receipt_key(agent: str, job_id: str, session_id: str) -> str:
    """The session of one run of an isolated job."""
    return f"{PREFIX}{agent}:cron:{job_id}:run:{session_id}"
