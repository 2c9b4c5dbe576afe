"""pytest-cronsession: conformance of agent gateways whose cron jobs run in sessions kept in a store."""

from __future__ import annotations

__version__ = "0.1.0"
