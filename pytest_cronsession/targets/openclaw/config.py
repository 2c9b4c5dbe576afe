"""What a gateway instance is started with: folders, config file, environment, command line.

Everything lies below the state folder, so that the driver can count it and remove it:
``state`` (OpenClaw's own), ``home``, ``workspace``, ``tmp``, ``log``.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .package import ENTRY, Package
from .versions import dialect_for

MODEL = "cronsession"
REQUEST_S = 2_000_000  # OpenClaw's timers end at 2,147,000
CONFIG = "openclaw.json"
# OpenClaw keeps lock files and an empty folder here, whatever TMPDIR says.
_SHARED_TMP = Path("/tmp")


@dataclass(frozen=True)
class Launch:
    """A prepared instance. ``agents`` are its agent ids, the default one first."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    root: Path
    port: int
    token: str
    agents: tuple[str, ...]

    @property
    def workspace(self) -> Path:
        return self.root / "workspace"

    @property
    def console_log(self) -> Path:
        """What the process prints."""
        return self.root / "log" / "console.log"

    @property
    def state(self) -> Path:
        """OpenClaw's own state folder."""
        return state_folder(self.root)


def state_folder(root: Path) -> Path:
    """OpenClaw's own state folder below the ``stateDir`` of the contract."""
    return root.absolute() / "state"


def default_agent(state: Path) -> str:
    """The default agent of the config that the gateway of this state folder had last.

    Raises :class:`OSError` if it was never started there.
    """
    agents = json.loads((state / CONFIG).read_text("utf-8"))["agents"]["list"]
    found: str = agents[0]["id"]
    return found


def prepare(package: Package, params: Mapping[str, Any], port: int) -> Launch:
    """Make the folders and write the config for ``gateway/start`` with these ``params``.

    Raises :class:`OSError` if the state folder cannot be written.
    """
    root = Path(params["stateDir"]).absolute()
    dialect = dialect_for(package.version)
    for name in ("state", "home", "workspace", "tmp", "log"):
        (root / name).mkdir(parents=True, exist_ok=True, mode=0o700)
    agents = tuple(params["config"].get("agents") or ("main",))
    launch = Launch(
        argv=(
            str(package.node),
            str(package.root / ENTRY),
            *("gateway", "--port", str(port), "--bind", "loopback"),
        ),
        env={**environment(package, root, port, params), **dialect.env},
        root=root,
        port=port,
        token=params["token"],
        agents=agents,
    )
    config = openclaw_config(params, root, port, agents)
    dialect.adjust_config(config)
    for name, text in dialect.files.items():
        (launch.workspace / name).write_text(text, "utf-8")
    (launch.state / CONFIG).write_text(json.dumps(config, indent=2) + "\n", "utf-8")
    return launch


def environment(package: Package, root: Path, port: int, params: Mapping[str, Any]) -> dict[str, str]:
    """Nothing of the user's own environment: no keys, no proxies, no settings of another OpenClaw."""
    on = (
        "OPENCLAW_SKIP_CHANNELS",
        "OPENCLAW_SKIP_PROVIDERS",
        "OPENCLAW_SKIP_CANVAS_HOST",
        "OPENCLAW_SKIP_BROWSER_CONTROL_SERVER",
        "OPENCLAW_SKIP_GMAIL_WATCHER",
        "OPENCLAW_SKIP_STARTUP_MODEL_PREWARM",
        "OPENCLAW_DISABLE_BONJOUR",
        "OPENCLAW_NO_RESPAWN",
        "OPENCLAW_NO_AUTO_UPDATE",
        "OPENCLAW_OFFLINE",
    )
    compiled = {} if package.compiled is None else {"NODE_COMPILE_CACHE": str(package.compiled)}
    return {
        **compiled,
        "PATH": os.pathsep.join([str(package.node.parent), os.environ.get("PATH", os.defpath)]),
        "LANG": "C.UTF-8",
        "TZ": params["hostZone"],
        "HOME": str(root / "home"),
        "TMPDIR": str(root / "tmp"),
        "OPENCLAW_HOME": str(root / "home"),
        "OPENCLAW_STATE_DIR": str(root / "state"),
        "OPENCLAW_CONFIG_PATH": str(root / "state" / CONFIG),
        "OPENCLAW_GATEWAY_TOKEN": params["token"],
        "OPENCLAW_GATEWAY_PORT": str(port),
        **dict.fromkeys(on, "1"),
    }


def openclaw_config(
    params: Mapping[str, Any], root: Path, port: int, agents: tuple[str, ...]
) -> dict[str, Any]:
    """The config file: one loopback model, no channels, nothing that leaves the machine."""
    model = {
        "id": MODEL,
        "name": MODEL,
        "reasoning": False,
        "input": ["text"],
        "cost": {"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0},
        "contextWindow": 64_000,
        "maxTokens": 4096,
    }
    provider = {
        "baseUrl": params["modelUrl"],
        "apiKey": params["token"],
        "api": "openai-completions",
        # A turn that a test holds for hours is no hanging connection.
        "timeoutSeconds": REQUEST_S,
        "models": [model],
    }
    config: dict[str, Any] = {
        "gateway": {
            "mode": "local",
            "port": port,
            "bind": "loopback",
            "auth": {"mode": "token", "token": params["token"]},
            "controlUi": {"enabled": False},
        },
        "agents": {
            "defaults": {
                "model": {"primary": f"suite/{MODEL}"},
                "workspace": str(root / "workspace"),
                "skipBootstrap": True,
                # No cadence of its own; a system event still wakes the heartbeat at once.
                "heartbeat": {"every": "0m"},
            },
            "list": [{"id": agent, "default": i == 0} for i, agent in enumerate(agents)],
        },
        "models": {
            "mode": "merge",
            "providers": {"suite": provider},
            "catalogRefresh": {"enabled": False},
        },
        "cron": {"enabled": True},
        "logging": {"file": str(root / "log" / "gateway.log"), "level": "warn"},
        "discovery": {"mdns": {"mode": "off"}},
        "update": {"checkOnStart": False},
        "telemetry": {"enabled": False},
    }
    _retention(config, params["config"])
    return config


def _retention(config: dict[str, Any], wanted: Mapping[str, Any]) -> None:
    """An absent member stays absent: OpenClaw's own default holds."""
    if "sessionRetentionMs" in wanted:
        age = wanted["sessionRetentionMs"]
        config["cron"]["sessionRetention"] = False if age is None else f"{age}ms"
    block = wanted.get("maintenance")
    if block is not None:
        maintenance: dict[str, Any] = {"mode": block["mode"]}
        if "pruneAfterMs" in block:
            maintenance["pruneAfter"] = f"{block['pruneAfterMs']}ms"
        if "maxEntries" in block:
            maintenance["maxEntries"] = block["maxEntries"]
        if "maxDiskBytes" in block:
            maintenance["maxDiskBytes"] = f"{block['maxDiskBytes']}b"
        config["session"] = {"maintenance": maintenance}


def free_port() -> int:
    """A port of the loopback interface that nobody uses now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
    return port


def remove_shared_leftovers(launch: Launch) -> None:
    """Remove what OpenClaw left in /tmp for this state folder: locks named after its databases."""
    folder = _SHARED_TMP / f"openclaw-state-locks-{os.getuid()}"
    databases = [launch.state / "state" / "openclaw.sqlite"]
    agents = (launch.state / "agents").glob("*")
    databases += [agent / "agent" / "openclaw-agent.sqlite" for agent in agents]
    for database in databases:
        for lock in lock_files(database, folder):
            lock.unlink(missing_ok=True)
    for empty in (folder, _SHARED_TMP / "openclaw"):
        with suppress(OSError):
            empty.rmdir()


def lock_files(database: Path, folder: Path) -> list[Path]:
    """The files in ``folder`` that OpenClaw locks for a database, named by a hash of its real path."""
    digest = hashlib.sha256(os.path.realpath(database).encode()).hexdigest()[:8]
    families = ("gateway-lifecycle", "state-lifecycle", "state-handles")
    return [folder / f"{family}.{digest}.lock.sqlite" for family in families]
