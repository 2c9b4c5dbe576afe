"""Jobs with a wish of each form that lasts, beside the named one."""

from __future__ import annotations

from typing import Any

from ..driver import Driver, Handle, wish

NEEDS: dict[str, tuple[str, ...]] = {
    "key": ("session.isolated", "session.key"),
    "shared": ("session.isolated", "session.mode"),
    "main": ("session.main",),
    "current": ("session.current", "session.named", "session.send"),
}


def formed(d: Driver, form: str, schedule: dict[str, Any] | None = None, **more: Any) -> Handle:
    """A job with a wish of this form; where the gateway says that it has no effect there is nothing to look at."""
    d.require(*NEEDS[form])
    given: dict[str, Any] = {"target": form}
    if form == "key":
        given = {"target": "isolated", "key": d.fresh_name("form")}
    elif form == "shared":
        given = {"target": "isolated", "mode": "shared"}
    elif form == "current":
        given["caller"] = wish("named", name=d.fresh_name("form"))
        d.say(given["caller"])
    write, job = d.try_add(schedule, **given, **more)
    if job is None or write.reports("session.key", "session.mode"):
        d.pass_over(f"a wish of the form {form} is not followed, and the write says so")
    assert job is not None
    return job


def lasting(d: Driver, form: str, schedule: dict[str, Any] | None = None, **more: Any) -> Handle:
    """A job in a lasting session of this form, or a named one."""
    if form == "named":
        return d.add(schedule, target="named", name=d.fresh_name("form"), **more)
    return formed(d, form, schedule, **more)
