"""The reference gateway: jobs on a schedule, sessions with context, a store that stays bounded.

``Gateway`` speaks the contract of ``specs/protocol.md`` in process; the command ``cronsession-gateway``
is the same gateway for people.
"""

from __future__ import annotations

from .gateway import VERSION as __version__
from .gateway import Gateway

__all__ = ["Gateway", "__version__"]
