"""The signed device identity that OpenClaw's older protocol asks of every connection.

Without one, a connection that holds the shared token is let in and then loses its scopes. The key is made
for one instance and forgotten with it: on loopback, a backend client with the token needs no pairing.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...outcomes import TargetUsageError
from .node import EXTRA

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def need_cryptography() -> None:
    """Raise :class:`TargetUsageError` if the library that signs is missing."""
    if importlib.util.find_spec("cryptography") is None:
        raise TargetUsageError(
            f"this version of OpenClaw wants signed connections, which needs the library cryptography: {EXTRA}"
        )


class Device:
    """An ed25519 key, and what it signs."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self._public = key.public_key().public_bytes_raw()

    @classmethod
    def new(cls) -> Device:
        """A device that nobody has seen before."""
        need_cryptography()
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return cls(Ed25519PrivateKey.generate())

    @property
    def id(self) -> str:
        return hashlib.sha256(self._public).hexdigest()

    def block(self, connect: Mapping[str, Any], challenge: Mapping[str, Any]) -> dict[str, Any]:
        """The member ``device`` of ``connect``. ``challenge`` is what the gateway sent first: nonce and clock.

        It is signed at the gateway's own time, which need not be ours; two minutes off are refused.
        """
        signed_at, nonce = int(challenge["ts"]), str(challenge["nonce"])
        text = signed_text(self.id, connect, connect["scopes"], signed_at, nonce)
        return {
            "id": self.id,
            "publicKey": _base64url(self._public),
            "signature": _base64url(self._key.sign(text.encode())),
            "signedAt": signed_at,
            "nonce": nonce,
        }


def signed_text(
    device_id: str, connect: Mapping[str, Any], scopes: Sequence[str], signed_at: int, nonce: str
) -> str:
    """What is signed, version 3 of it: every word of the connection that the gateway acts on."""
    client = connect["client"]
    words = (
        *("v3", device_id, client["id"], client["mode"], connect["role"], ",".join(scopes)),
        *(str(signed_at), connect["auth"]["token"], nonce),
        *(client.get(name, "").strip().lower() for name in ("platform", "deviceFamily")),
    )
    return "|".join(words)


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
