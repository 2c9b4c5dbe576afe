"""A stand-in for openclaw.mjs of 2026.4.5: what differs from the newer one in ``fake_openclaw``.

Started with that file beside it. It checks the device's signature itself, against its own spelling of what
has to be signed, and takes the rights of a connection without one.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from fake_openclaw import MODE, Fake, Refused, run

SESSIONS = Path(os.environ["OPENCLAW_STATE_DIR"]) / "agents" / "main" / "sessions" / "sessions.json"
NOW = 1_700_000_000_000  # its clock, which is not ours
UNKNOWN = ("cron.get", "tasks.list", "tasks.cancel")
METHODS = ["cron.list", "cron.runs", *(["chat.history"] if MODE != "other" else [])]


def decoded(text: str) -> bytes:
    assert "=" not in text
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class April(Fake):
    nonces = 0
    allowed = False

    def challenge(self) -> dict[str, Any]:
        self.nonces += 1
        self.allowed = False
        return {} if MODE == "mute" else {"nonce": f"nonce-{self.nonces}", "ts": NOW}

    def answer(self, method: str, params: dict[str, Any], adds: list[int]) -> dict[str, Any]:
        if method in UNKNOWN:
            raise Refused("INVALID_REQUEST", f"unknown method: {method}")
        if method != "connect" and not self.allowed:
            raise Refused("INVALID_REQUEST", "missing scope: operator.read")
        return super().answer(method, params, adds)

    def connect(self, params: dict[str, Any]) -> dict[str, Any]:
        super().connect(params)
        if (params["minProtocol"], params["maxProtocol"]) != (3, 3):
            raise Refused("INVALID_REQUEST", "protocol mismatch")
        if "device" in params:
            self.check(params, params["device"])
            self.allowed = True
        return {"type": "hello-ok", "features": {"methods": METHODS}}

    def check(self, params: dict[str, Any], device: dict[str, Any]) -> None:
        key = decoded(device["publicKey"])
        if device["id"] != hashlib.sha256(key).hexdigest():
            raise Refused("INVALID_REQUEST", "device identity mismatch")
        if abs(device["signedAt"] - NOW) > 120_000:
            raise Refused("INVALID_REQUEST", "device signature expired")
        if device["nonce"] != f"nonce-{self.nonces}":
            raise Refused("INVALID_REQUEST", "device nonce mismatch")
        signed = (
            f"v3|{device['id']}|gateway-client|backend|operator|operator.read,operator.write,operator.admin|"
            f"{device['signedAt']}|{params['auth']['token']}|{device['nonce']}|python|"
        )
        try:
            Ed25519PublicKey.from_public_bytes(key).verify(decoded(device["signature"]), signed.encode())
        except InvalidSignature:
            raise Refused("INVALID_REQUEST", "device signature invalid") from None

    def cron_list(self, params: dict[str, Any]) -> dict[str, Any]:
        if set(params) - {"includeDisabled", "limit", "offset"}:
            raise Refused("INVALID_REQUEST", "invalid cron.list params: unexpected property")
        return super().cron_list(params)

    def cron_get(self, params: dict[str, Any]) -> dict[str, Any]:
        if params["id"] not in self.jobs:
            raise Refused("UNAVAILABLE", f"Error: unknown cron job id: {params['id']}")
        return self.jobs[params["id"]]

    def cron_remove(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"ok": True, "removed": self.jobs.pop(params["id"], None) is not None}

    def cron_run(self, params: dict[str, Any]) -> dict[str, Any]:
        answer = super().cron_run(params)
        if answer.get("enqueued"):
            for entry in self.entries:
                entry.pop("runId", None)  # its history does not know that id
            self.jobs[params["id"]]["state"]["runningAtMs"] = 2000
        return answer

    def agent_wait(self, params: dict[str, Any]) -> dict[str, Any]:
        SESSIONS.parent.mkdir(parents=True)
        SESSIONS.write_text(json.dumps({"agent:main:abc": {"sessionId": "s1", "updatedAt": 10}}))
        return {"runId": params["runId"], "status": "error" if MODE == "failing" else "ok"}

    def chat_history(self, params: dict[str, Any]) -> dict[str, Any]:
        said = [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]
        said.append(
            {"role": "assistant", "content": [{"type": "text", "text": f"to {params['sessionKey']}"}]}
        )
        return {"sessionId": "s1", "messages": said}


if __name__ == "__main__":
    assert abs(time.time() * 1000 - NOW) > 120_000
    run(April())
