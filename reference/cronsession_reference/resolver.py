"""Which session a run uses: one pure function, the same for every way a run can start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from . import keys
from .checks import brief, shorten
from .errors import Refused
from .jobs import Job, Wish
from .settings import Policies

MAIN, NAMED, PER_JOB, RECEIPT = "main", "named", "job", "receipt"
"""The kinds of session rows. Only receipts are reaped."""


@dataclass(frozen=True)
class Resolution:
    """Where a run goes. ``key`` is None where each run makes its own; ``unused`` lists (field, reason)."""

    key: str | None
    fresh: bool
    kind: str
    reason: str
    unused: tuple[tuple[str, str], ...] = ()


def resolve(job: Job, *, agents: Sequence[str], policies: Policies) -> Resolution:
    """Decide the session of a job's runs, or raise :class:`Refused` naming the member at fault.

    ``A`` is the job's agent, ``J`` its id, ``S`` a new session id, ``K`` the key given, scoped to ``A``
    (``word`` means ``agent:A:word``). The key ``agent:A:main``, also spelled ``main``, is the main session.

    ========  ========  ======  ======================================  =====
    target    key       mode    session                                 fresh
    ========  ========  ======  ======================================  =====
    isolated  none      none    ``agent:A:cron:J:run:S``                yes
    isolated  none      fresh   ``agent:A:cron:J:run:S``                yes
    isolated  none      shared  ``agent:A:cron:J``                      no
    isolated  K         none    ``K`` if sessionKey is ``honour``       no
    isolated  K         shared  ``K`` if sessionKey is ``honour``       no
    isolated  K         fresh   refused
    isolated  K         any     refused if sessionKey is ``reject``
    isolated  K         any     as without key, key unused (``report``)
    named N   none, =N  no      ``agent:A:N``                           no
    named N   other     any     refused
    named N   any       fresh   refused
    main      none, =   no      ``agent:A:main``                        no
    main      other     any     refused
    main      any       fresh   refused
    current   bound K   no      ``K``, bound when the job was written   no
    current   any       fresh   refused
    ========  ========  ======  ======================================  =====
    """
    wish = job.session
    if wish.target != "named" and wish.name is not None:
        raise Refused("session.name", f"belongs to target named, not to target {wish.target}; leave it out")
    scope = _Scope(job.agent, agents, policies.key_case)
    if wish.target == "isolated":
        return _isolated(job, scope, policies)
    if wish.mode == "fresh":
        reason = f"target {wish.target} keeps its context; for a fresh session each run use target isolated"
        raise Refused("session.mode", reason)
    if wish.target == "named":
        return _named(wish, scope)
    if wish.target == "main":
        return _main(wish, scope)
    if wish.key is None:
        raise Refused("session.target", "target current is not bound to a session")
    return scope.shared(scope.key(wish.key, "session.key"), "bound to the session the job was made from")


@dataclass(frozen=True)
class _Scope:
    agent: str
    agents: Sequence[str]
    case: str

    def key(self, text: str, field: str) -> str:
        try:
            return keys.scoped(text, agent=self.agent, agents=self.agents, case=self.case)
        except ValueError as err:
            raise Refused(field, str(err)) from None

    def shared(self, key: str, reason: str) -> Resolution:
        kind = MAIN if key == keys.main_key(self.agent) else NAMED
        return Resolution(key, False, kind, reason)


def _isolated(job: Job, scope: _Scope, policies: Policies) -> Resolution:
    wish = job.session
    if wish.key is None:
        return _without_key(job)
    key = scope.key(wish.key, "session.key")
    if policies.session_key == "reject":
        raise Refused(
            "session.key",
            f"is not used by target isolated; use target named (--session session:{brief(wish.key)})",
        )
    if wish.mode == "fresh":
        raise Refused(
            "session.mode",
            f"a fresh session each run cannot also be the session {shorten(key)}; "
            "leave out the key, or use mode shared",
        )
    if policies.session_key == "report":
        reason = f"target isolated does not use a session key; use target named (--session session:{brief(wish.key)})"
        return replace(_without_key(job), unused=(("session.key", reason),))
    return scope.shared(key, "the session key of the job")


def _without_key(job: Job) -> Resolution:
    if job.session.mode == "shared":
        key = keys.job_key(job.agent, job.id)
        return Resolution(key, False, PER_JOB, "one session for all runs of the job")
    return Resolution(None, True, RECEIPT, "a fresh session for each run")


def _named(wish: Wish, scope: _Scope) -> Resolution:
    if wish.name is None:
        raise Refused("session.name", "is missing; target named needs the name of a session")
    key = scope.key(wish.name, "session.name")
    if wish.key is not None and (other := scope.key(wish.key, "session.key")) != key:
        raise Refused(
            "session.key",
            f"target named uses the session {shorten(key)}, the key says {shorten(other)}; use --session isolated with "
            f"--session-key {brief(wish.key)}, or --session session:{brief(wish.key)} alone",
        )
    return scope.shared(key, "the named session")


def _main(wish: Wish, scope: _Scope) -> Resolution:
    key = keys.main_key(scope.agent)
    if wish.key is not None and (other := scope.key(wish.key, "session.key")) != key:
        raise Refused(
            "session.key",
            f"target main uses the session {shorten(key)}, the key says {shorten(other)}; use --session isolated with "
            f"--session-key {brief(wish.key)}, or leave out the key",
        )
    return scope.shared(key, "the main session of the agent")


def bind(wish: Wish, context: Wish | None, *, agent: str, agents: Sequence[str], policies: Policies) -> Wish:
    """Replace the moment's meaning of target ``current`` by a lasting one.

    ``context`` is the session the request is made from. The bound wish carries that session's key. Without
    context it is isolated, or refused, by policy currentFallback. Other targets are answered as they are.
    """
    if wish.target != "current":
        return wish
    if context is None:
        if policies.current_fallback == "reject":
            raise Refused("session.target", "there is no calling session; use target named, main or isolated")
        return replace(wish, target="isolated")
    scope = _Scope(agent, agents, policies.key_case)
    try:
        bound = session_key(context, agent=agent, agents=agents, policies=policies)
    except Refused as err:
        raise Refused("context.session", f"is not a session one can be bound to: {err.reason}") from None
    if wish.key is not None and (other := scope.key(wish.key, "session.key")) != bound:
        raise Refused(
            "session.key",
            f"target current uses the calling session {shorten(bound)}, the key says {shorten(other)}; use --session "
            f"isolated with --session-key {brief(wish.key)}, or leave out the key",
        )
    return replace(wish, key=bound)


def session_key(wish: Wish, *, agent: str, agents: Sequence[str], policies: Policies) -> str:
    """The key of a lasting session; raise :class:`Refused` for a wish that means a fresh one."""
    scope = _Scope(agent, agents, policies.key_case)
    if wish.target == "isolated" and wish.key is not None and wish.mode != "fresh":
        return scope.key(wish.key, "session.key")
    if wish.target == "named":
        key = _named(wish, scope).key
    elif wish.target == "main":
        key = _main(wish, scope).key
    elif wish.target == "current" and wish.key is not None:
        key = scope.key(wish.key, "session.key")
    else:
        key = None
    if key is None:
        raise Refused(
            "session.target", f"target {wish.target} does not name a lasting session; use named or main"
        )
    return key
