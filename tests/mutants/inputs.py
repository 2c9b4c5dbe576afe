"""Gateways that make something of requests they should refuse, or cut what they were given (area jobs)."""

from __future__ import annotations

import unicodedata
from typing import Any

from cronsession_reference.errors import Refused

from .altered import Altered, wrong
from .desk import Deaf


class Guessing(Deaf):
    """Turns texts into numbers, and numbers into what they might mean."""

    def heard(self, given: dict[str, Any]) -> dict[str, Any]:
        return {name: self._guess(value) for name, value in given.items()}

    def _guess(self, value: Any) -> Any:
        if isinstance(value, dict):
            return self.heard(value)
        if isinstance(value, str) and value.isdigit():
            return int(value)
        return int(value) if isinstance(value, float) and value == value else value


@wrong("bugs:S17", "JOB-020", "JOB-029")
class AddGuesses(Guessing):
    """A number may come as text, or with a fraction, when a job is added."""

    on = ("add",)


@wrong("bugs:S17", "JOB-021", "JOB-030")
class EditGuesses(Guessing):
    """A number may come as text, or with a fraction, when a job is edited."""

    on = ("edit",)


@wrong("openclaw:VAL-16", "JOB-029", "JOB-030")
class NegativeIsNone(Deaf):
    """A time-out of zero or less is no time-out."""

    def heard(self, given: dict[str, Any]) -> dict[str, Any]:
        limit = given.get("timeoutMs")
        none = isinstance(limit, int) and not isinstance(limit, bool) and limit <= 0
        return {k: v for k, v in given.items() if k != "timeoutMs" or not none}


@wrong("openclaw:VAL-15", "JOB-022")
class OddRequestsAreGuessed(Altered):
    """A mode that is not known is force, and an instant that is none is the beginning."""

    async def job_trigger(self, params: dict[str, Any]) -> dict[str, Any]:
        return await super().job_trigger(
            {**params, "mode": "due" if params.get("mode") == "due" else "force"}
        )

    def session_list(self, params: dict[str, Any]) -> dict[str, Any]:
        since = params.get("sinceMs")
        return super().session_list({"sinceMs": since} if isinstance(since, int) and since >= 0 else {})


_KNOWN = {
    "": {"name", "agent", "enabled", "schedule", "session", "payload", "timeoutMs", "deleteAfterRun", "retry"}
    | {"maxFailures", "catchUp"},
    "schedule": {"kind", "atMs", "everyMs", "anchorMs", "expr", "tz", "staggerMs"},
    "session": {"target", "name", "key", "mode"},
    "payload": {"kind", "text"},
}


@wrong("openclaw:VAL-08", "JOB-023")
class UnknownMembersArePassedOver(Deaf):
    """What is not known is not looked at."""

    def heard(self, given: dict[str, Any]) -> dict[str, Any]:
        known = {name: value for name, value in given.items() if name in _KNOWN[""]}
        for part in ("schedule", "session", "payload"):
            if isinstance(known.get(part), dict):
                known[part] = {k: v for k, v in known[part].items() if k in _KNOWN[part]}
        return known


class Rewording(Deaf):
    """Changes the texts of payloads."""

    def heard(self, given: dict[str, Any]) -> dict[str, Any]:
        payload = given.get("payload")
        if not isinstance(payload, dict) or not isinstance(payload.get("text"), str):
            return given
        return {**given, "payload": {**payload, "text": self.text(payload["text"])}}

    def text(self, text: str) -> str:
        return text


@wrong("bugs:K1", "JOB-024")
class TextsAreOneLine(Rewording):
    """White space in a text is a blank."""

    def text(self, text: str) -> str:
        return " ".join(text.split())


@wrong("bugs:K4", "JOB-024")
class TextsAreNormalised(Rewording):
    """A text is spelled in composed letters."""

    def text(self, text: str) -> str:
        return unicodedata.normalize("NFC", text)


@wrong("bugs:S16", "JOB-025")
class LongNamesAndTextsAreCut(Deaf):
    """What is too long is cut to what fits."""

    def heard(self, given: dict[str, Any]) -> dict[str, Any]:
        cut = dict(given)
        if isinstance(given.get("name"), str):
            cut["name"] = given["name"][:500]
        payload = given.get("payload")
        if isinstance(payload, dict) and isinstance(payload.get("text"), str):
            cut["payload"] = {**payload, "text": payload["text"][:1_000_000]}
        return cut


@wrong("openclaw#11486", "JOB-026")
class LongTimeoutsWrap(Deaf):
    """A time-out is kept in 31 bits."""

    def heard(self, given: dict[str, Any]) -> dict[str, Any]:
        limit = given.get("timeoutMs")
        wraps = isinstance(limit, int) and limit >= 2**31
        return {**given, "timeoutMs": limit % 2**31 or 1} if wraps else given


@wrong("openclaw#71414", "JOB-026")
class LongIntervalsWrap(Deaf):
    """An interval is kept in 31 bits."""

    def heard(self, given: dict[str, Any]) -> dict[str, Any]:
        schedule = given.get("schedule")
        length = schedule.get("everyMs") if isinstance(schedule, dict) else None
        if not isinstance(length, int) or length < 2**31:
            return given
        return {**given, "schedule": {**schedule, "everyMs": max(60_000, length % 2**31)}}  # type: ignore[dict-item]


class Starting(Altered):
    """Makes something of a configuration that is wrong."""

    async def gateway_start(self, params: dict[str, Any]) -> dict[str, Any]:
        try:
            return await super().gateway_start(params)
        except Refused as refused:
            return await self.again(params, refused)

    async def again(self, params: dict[str, Any], refused: Refused) -> dict[str, Any]:
        raise NotImplementedError


_SETTINGS = ("agents", "sessionRetentionMs", "maintenance", "maxConcurrentRuns", "runHistory", "archiveMs")


@wrong("openclaw#63442", "JOB-027")
class MisplacedSettingsArePassedOver(Starting):
    """A block in a wrong place is not read, and nobody is told."""

    async def again(self, params: dict[str, Any], refused: Refused) -> dict[str, Any]:
        config = {name: value for name, value in params["config"].items() if name in _SETTINGS}
        if config == params["config"]:
            raise refused
        return await super().gateway_start({**params, "config": config})


@wrong("openclaw#104514", "JOB-028")
class WrongSettingsHaveADefault(Starting):
    """A setting that cannot be read is as if it were not there."""

    async def again(self, params: dict[str, Any], refused: Refused) -> dict[str, Any]:
        member = refused.field.removeprefix("config.").partition(".")[0].partition("[")[0]
        if member not in _SETTINGS or member not in params["config"]:
            raise refused
        config = {name: value for name, value in params["config"].items() if name != member}
        return await super().gateway_start({**params, "config": config})


@wrong("openclaw:VAL-17", "JOB-027", "JOB-028")
class RefusedStartsNameNothing(Starting):
    """A configuration that is wrong is refused, and the operator may guess why."""

    async def again(self, params: dict[str, Any], refused: Refused) -> dict[str, Any]:
        raise ValueError("the configuration is invalid")
