"""What has to be installed beside an OpenClaw version before it boots.

Data: a version's bundled plugins may load each other's runtime dependencies without declaring them, and an
exact version may depend on a package that has since changed under it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .node import parse_version


@dataclass(frozen=True)
class Provision:
    """``overrides`` and ``dependencies`` as in a package.json; ``usual``: what it costs, for the user."""

    usual: str = "about a minute, 600 MB"
    overrides: Mapping[str, str] = field(default_factory=dict)
    dependencies: Mapping[str, str] = field(default_factory=dict)

    def manifest(self, version: str) -> dict[str, Any]:
        """The package.json that npm is to install."""
        made: dict[str, Any] = {
            "private": True,
            "dependencies": {"openclaw": version, **self.dependencies},
        }
        if self.overrides:
            made["overrides"] = dict(self.overrides)
        return made

    def problem(self, folder: Path) -> str | None:
        """What ``folder`` was installed without, or None if nothing is missing."""
        if self == NOTHING:
            return None
        try:
            manifest = json.loads((folder / "package.json").read_text("utf-8"))
            overrides, dependencies = manifest.get("overrides", {}), manifest.get("dependencies", {})
        except (OSError, ValueError, AttributeError) as error:
            return f"its package.json cannot be read ({error})"
        if overrides != dict(self.overrides):
            return "it was installed with other overrides"
        # Values are not compared: npm may write a range in its own way.
        missing = sorted(name for name in self.dependencies if name not in dependencies)
        return f"it was installed without {', '.join(missing)}" if missing else None


_APRIL = Provision(
    usual="about two minutes, 820 MB",
    # Later ones move to css-select 7, which this version was not made with.
    overrides={"linkedom": "0.18.12"},
    dependencies={
        "@aws/bedrock-token-generator": "^1.1.0",
        "@buape/carbon": "0.14.0",
        "@clawdbot/lobster": "2026.1.24",
        "@discordjs/voice": "^0.19.2",
        "@grammyjs/runner": "^2.0.3",
        "@grammyjs/transformer-throttler": "^1.2.1",
        "@larksuiteoapi/node-sdk": "^1.60.0",
        "@pierre/diffs": "1.1.10",
        "@pierre/theme": "0.0.29",
        "@slack/bolt": "^4.6.0",
        "@slack/web-api": "^7.15.0",
        "@twurple/api": "^8.1.3",
        "@twurple/auth": "^8.1.3",
        "@twurple/chat": "^8.1.3",
        "@urbit/aura": "^3.0.0",
        "discord-api-types": "^0.38.44",
        "fake-indexeddb": "^6.2.5",
        "grammy": "^1.41.1",
        "jimp": "^1.6.0",
        "mpg123-decoder": "^1.0.3",
        "music-metadata": "^11.12.3",
        "nostr-tools": "^2.23.3",
        "opusscript": "^0.1.1",
        "silk-wasm": "^3.7.1",
        "zca-js": "2.1.2",
    },
)
# From (inclusive), to (exclusive), what is needed.
PROVISIONS: tuple[tuple[tuple[int, ...], tuple[int, ...], Provision], ...] = (
    ((2026, 4, 0), (2026, 5, 0), _APRIL),
)
NOTHING = Provision()


def provision_for(version: str) -> Provision:
    """What that version needs; nothing, for a version outside the table."""
    number = parse_version(version) or ()
    return next((needed for low, high, needed in PROVISIONS if low <= number < high), NOTHING)
