"""What a run against a target needs to know, put together once per process from options and arguments."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from . import baseline as baselines
from . import catalog as catalogs
from . import collection
from .baseline import Baseline, BaselineError
from .budget import USUAL_S
from .catalog import Catalog, in_tier
from .collection import Selection, Suite
from .contract import Hello
from .options import BARE, Options, default_cache
from .outcomes import TargetError, TargetUsageError
from .targets import Target, list_kinds, parse_target, resolve_target


@dataclass
class State:
    """The run's facts. ``hello`` is None until the target has been asked; ``failed`` are the requirements that did."""

    options: Options
    catalog: Catalog
    baseline: Baseline | None
    suite: Suite
    selection: Selection
    target: Target
    hello: Hello | None = None
    failed: set[str] = field(default_factory=set)

    @property
    def budget_s(self) -> float | None:
        """What the run may cost in seconds; None where the gateway costs next to nothing."""
        return self.options.budget_s or (USUAL_S if self.costly else None)

    @property
    def costly(self) -> bool:
        """Whether runs cost real time: a real gateway's do, and those of any gateway whose time cannot be driven."""
        return self.target.costly or (self.hello is not None and self.hello.realtime)

    @property
    def known(self) -> Baseline:
        """The known failures; none without a baseline."""
        return self.baseline or Baseline()

    def command(self, *more: str, baseline: bool = False) -> str:
        """The command that repeats this run, or, with ``more`` arguments, a part of it."""
        words = ["pytest", f"--cronsession-target={self.options.target}"]
        if self.options.tier != catalogs.TIERS[0]:
            words.append(f"--cronsession-tier={self.options.tier}")
        if self.options.seed:
            words.append(f"--cronsession-seed={self.options.seed}")
        if baseline and self.options.baseline is not None:
            words.append(f"--cronsession-baseline={self.options.baseline.name}")
        return shlex.join([*words, *more])


STATE = pytest.StashKey[State]()


def of(config: pytest.Config) -> State | None:
    """The state of a run with a target, or None."""
    return config.stash.get(STATE, None)


def resolve(config: pytest.Config, options: Options) -> State:
    """Check everything that can be checked before the first test; raise :class:`pytest.UsageError`.

    Takes the suite's arguments out of ``config.args``.
    """
    if options.target == BARE:
        raise pytest.UsageError(
            f"--cronsession-target needs a value: --cronsession-target=reference\nkinds:\n{list_kinds()}"
        )
    catalog, suite = catalogs.load(), collection.PACKAGED
    _check_expression(config.option.keyword, catalog, options.tier)
    baseline = _baseline(options, catalog)
    selection = _take_arguments(config, suite)
    state = State(options, catalog, baseline, suite, selection, _target(options))
    config.stash[STATE] = state
    return state


def _target(options: Options) -> Target:
    try:
        return resolve_target(parse_target(options.target), cache=options.cache or default_cache())
    except TargetUsageError as error:
        raise pytest.UsageError(str(error)) from None


def _baseline(options: Options, catalog: Catalog) -> Baseline | None:
    path = options.baseline
    if path is None:
        return None
    try:
        return baselines.parse(path.read_bytes(), path.name, list(catalog.requirements))
    except OSError as error:
        raise pytest.UsageError(f"baseline {path}: cannot be read: {error.strerror}") from None
    except BaselineError as error:
        raise pytest.UsageError(str(error)) from None


def _check_expression(expression: str, catalog: Catalog, tier: str) -> None:
    """A mistyped requirement would select nothing and look like a run."""
    for identity in catalogs.named_ids(expression):
        if identity not in catalog:
            if catalog.begins(identity):
                continue
            near = catalog.nearest(identity)
            hint = f"; did you mean {', '.join(near)}?" if near else ""
            raise pytest.UsageError(f"-k {expression}: there is no requirement {identity}{hint}")
        needed = catalog[identity].tier
        if not in_tier(catalog[identity], tier):
            raise pytest.UsageError(
                f"-k {expression}: {identity} is not in tier {tier}; add --cronsession-tier={needed}"
            )


def _take_arguments(config: pytest.Config, suite: Suite) -> Selection:
    explicit = config.args_source == pytest.Config.ArgsSource.ARGS
    if not explicit:
        # Nothing was named, so only the suite runs, whatever testpaths says.
        config.args = []
        config.args_source = pytest.Config.ArgsSource.ARGS
        return Selection()
    config.args, selection = collection.split_arguments(config.args, config.invocation_params.dir, suite)
    return selection


def ask(state: State, say: Any) -> Hello:
    """Prepare the target (which may install it) and shake hands; raise :class:`pytest.UsageError`."""
    from .worlds import probe

    try:
        state.target.prepare(say)
        return probe(state.target)
    except (TargetUsageError, TargetError) as error:
        raise pytest.UsageError(str(error)) from None
    except OSError as error:
        raise pytest.UsageError(f"target {state.options.target!r} could not be started: {error}") from None


def to_wire(hello: Hello) -> dict[str, Any]:
    """A declaration as the contract spells it, to hand it to another process."""
    return {
        "name": hello.name,
        "version": hello.version,
        "url": hello.url,
        "specRevision": hello.spec_revision,
        "capabilities": sorted(hello.capabilities),
        "profiles": list(hello.profiles),
        "policies": dict(hello.policies),
        "resolutionMs": hello.resolution_ms,
        "latenessMs": hello.lateness_ms,
        "sweepIntervalMs": hello.sweep_interval_ms,
    }


def from_wire(data: Mapping[str, Any]) -> Hello:
    """The inverse of :func:`to_wire`."""
    return Hello.parse(data)
