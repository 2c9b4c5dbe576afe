"""The catalogue of requirements: loaded from ``specs/requirements.json``, selected, looked up. Pure."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .contract import Hello

LEVELS = ("MUST", "SHOULD", "MAY")
TIERS = ("core", "full", "thorough")
_LIKE_AN_ID = re.compile(r"\bCS-[A-Za-z]{2,5}-\w+", re.IGNORECASE)


class CatalogError(ValueError):
    """The catalogue contradicts itself; the message names the requirement."""


@dataclass(frozen=True)
class Requirement:
    """A row of the catalogue. ``text`` is the normative sentence."""

    id: str
    area: str
    profile: str
    level: str
    tier: str
    text: str
    since: int = 1
    capabilities: tuple[str, ...] = ()
    policy: str | None = None
    sources: tuple[str, ...] = ()
    conditional: bool = False
    untestable: str = ""


@dataclass(frozen=True)
class Profile:
    """A named set of requirements, and what a gateway must declare to be judged for it."""

    name: str
    text: str
    capabilities: tuple[str, ...] = ()


@dataclass(frozen=True)
class Catalog:
    """All requirements in the order of the file; ``sha256`` is that of its bytes."""

    revision: int
    sha256: str
    capabilities: Mapping[str, str]
    policies: Mapping[str, Mapping[str, Any]]
    profiles: Mapping[str, Profile]
    requirements: Mapping[str, Requirement] = field(repr=False)

    def __getitem__(self, requirement: str) -> Requirement:
        return self.requirements[requirement]

    def __contains__(self, requirement: object) -> bool:
        return requirement in self.requirements

    @property
    def areas(self) -> tuple[str, ...]:
        """The areas in the order of the file."""
        return tuple(dict.fromkeys(r.area for r in self.requirements.values()))

    def begins(self, text: str) -> bool:
        """Whether some id begins with this."""
        return any(identity.startswith(text) for identity in self.requirements)

    def nearest(self, requirement: str) -> list[str]:
        """Up to three known ids that resemble an unknown one."""
        return difflib.get_close_matches(requirement.upper(), self.requirements, n=3, cutoff=0.6)


def specs_dir() -> Path:
    """The folder ``specs``: inside the package when installed, beside it in a checkout."""
    packaged = Path(__file__).parent / "specs"
    return packaged if packaged.is_dir() else Path(__file__).parent.parent / "specs"


def load(path: Path | None = None) -> Catalog:
    """Read ``requirements.json``; raise :class:`CatalogError` on a contradiction in it."""
    data = (path or specs_dir() / "requirements.json").read_bytes()
    return parse(json.loads(data), sha256=hashlib.sha256(data).hexdigest())


def parse(document: Mapping[str, Any], *, sha256: str = "") -> Catalog:
    """A schema-valid document as a :class:`Catalog`."""
    profiles = {
        name: Profile(name, p["text"], tuple(p["capabilities"])) for name, p in document["profiles"].items()
    }
    requirements: dict[str, Requirement] = {}
    for row in document["requirements"]:
        if row["id"] in requirements:
            raise CatalogError(f"{row['id']}: occurs twice")
        requirements[row["id"]] = _requirement(row)
    catalog = Catalog(
        revision=document["revision"],
        sha256=sha256,
        capabilities=dict(document["capabilities"]),
        policies=dict(document["policies"]),
        profiles=profiles,
        requirements=requirements,
    )
    for requirement in requirements.values():
        _check(requirement, catalog)
    return catalog


def _requirement(row: Mapping[str, Any]) -> Requirement:
    return Requirement(
        id=row["id"],
        area=row["area"],
        profile=row["profile"],
        level=row["level"],
        tier=row["tier"],
        text=row["text"],
        since=row["since"],
        capabilities=tuple(row["capabilities"]),
        policy=row["policy"],
        sources=tuple(row["sources"]),
        conditional=row["conditional"],
        untestable=row.get("untestable", ""),
    )


def _check(requirement: Requirement, catalog: Catalog) -> None:
    for what, word, known in (
        ("profile", requirement.profile, catalog.profiles),
        ("level", requirement.level, LEVELS),
        ("tier", requirement.tier, TIERS),
        *(("capability", c, catalog.capabilities) for c in requirement.capabilities),
        *(("policy", p, catalog.policies) for p in [requirement.policy] if p is not None),
    ):
        if word not in known:
            raise CatalogError(f"{requirement.id}: unknown {what} {word!r}")


def in_tier(requirement: Requirement, tier: str) -> bool:
    """Each tier contains the ones before it."""
    return TIERS.index(requirement.tier) <= TIERS.index(tier)


def select(
    catalog: Catalog,
    *,
    tier: str = TIERS[-1],
    profiles: Collection[str] | None = None,
    capabilities: Collection[str] | None = None,
) -> dict[str, Requirement]:
    """The requirements of a tier, of some profiles, that need no more than some capabilities."""
    return {
        r.id: r
        for r in catalog.requirements.values()
        if in_tier(r, tier)
        and (profiles is None or r.profile in profiles)
        and (capabilities is None or set(r.capabilities) <= set(capabilities))
    }


def inapplicable(requirement: Requirement, hello: Hello) -> str | None:
    """Why the requirement does not apply to a gateway that declares this, or None if it does."""
    if requirement.profile not in hello.profiles:
        return f"the gateway does not declare the profile {requirement.profile}"
    missing = [c for c in requirement.capabilities if c not in hello.capabilities]
    if missing:
        return f"the gateway does not declare {', '.join(missing)}"
    return None


def named_ids(expression: str) -> list[str]:
    """What looks like a requirement id in a ``-k`` expression, in upper case, each once."""
    return list(dict.fromkeys(match.upper() for match in _LIKE_AN_ID.findall(expression)))
