"""A gateway that is wrong on purpose, the way openclaw#63442 was.

A job's session key is accepted, echoed on add, edit and list, and then ignored; and receipts are never reaped.
Everything else is the reference. Try ``pytest --cronsession-target=python:pytest_cronsession.examples.broken:gateway``.
"""

from __future__ import annotations

import copy
from typing import Any


class BrokenGateway:
    """Stands between the suite and a reference gateway, and keeps the session key to itself."""

    def __init__(self) -> None:
        from cronsession_reference import Gateway

        self._inner = Gateway()
        self._keys: dict[str, str] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def initialize(self, params: dict[str, Any]) -> dict[str, Any]:
        return {**self._inner.initialize(params), "name": "broken on purpose"}

    async def gateway_start(self, params: dict[str, Any]) -> dict[str, Any]:
        config = {**params["config"], "sessionRetentionMs": None}
        return await self._inner.gateway_start({**params, "config": config})

    def job_add(self, params: dict[str, Any]) -> dict[str, Any]:
        key, params = _without_key(params, "job")
        return self._echo(self._inner.job_add(params), key)

    def job_update(self, params: dict[str, Any]) -> dict[str, Any]:
        key, params = _without_key(params, "patch")
        return self._echo(self._inner.job_update(params), key)

    def job_list(self, params: dict[str, Any]) -> dict[str, Any]:
        answer = self._inner.job_list(params)
        return {"jobs": [self._echo({"job": job}, None)["job"] for job in answer["jobs"]]}

    def _echo(self, answer: dict[str, Any], key: str | None) -> dict[str, Any]:
        """Show the key as if it were stored."""
        job = answer.get("job")
        if job is None:
            return answer
        if key is not None:
            self._keys[job["id"]] = key
        if job["id"] in self._keys:
            job = {**job, "session": {**job["session"], "key": self._keys[job["id"]]}}
        return {**answer, "job": job}


def _without_key(params: dict[str, Any], part: str) -> tuple[str | None, dict[str, Any]]:
    params = copy.deepcopy(params)
    session = params[part].get("session") or {}
    return session.pop("key", None), params


def gateway() -> BrokenGateway:
    """The factory for ``--cronsession-target``."""
    return BrokenGateway()
