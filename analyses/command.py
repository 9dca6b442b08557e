"""Running an analysis by its name, with the inputs that it takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import xarray as xr

import eiplatform
from eiplatform.analyses import (
    ANALYSES,
    balance,
    balance_across_depth,
    balance_emergence,
    comparison,
    distributions,
    ei_versus_bn,
    gain_modulation,
    learning,
    lesions,
    reference_check,
    regime_scorecard,
    systems,
    timescales,
    traces,
)
from eiplatform.analyses.parts.sides import open_references
from eiplatform.errors import ConfigError, choose
from eiplatform.store.reader import read_manifest, recordings_below
from eiplatform.store.references import is_reference

__all__ = ["run_by_name"]


@dataclass(frozen=True)
class _Request:
    """What was asked for, once it is known to fit the analysis."""

    inputs: list[Path]
    nulls: list[Path]
    partial: bool
    bootstrap: dict[str, Any]
    statistics: dict[str, Any]
    more: dict[str, Any]

    def open(self, path: Path) -> xr.DataTree:
        """Open one recording."""
        return eiplatform.open(path, partial=self.partial)

    def below(self, paths: Sequence[Path]) -> list[xr.DataTree]:
        """Open the recordings in some directories."""
        return [self.open(recording) for path in paths for recording in recordings_below(path)]

    def apart(self) -> tuple[list[Path], list[Path]]:
        """Return the inputs that are no summaries of circuits, and those that are."""
        references = [path for path in self.inputs if is_reference(path)]
        return [path for path in self.inputs if path not in references], references


@dataclass(frozen=True)
class _Analysis:
    """How an analysis is run, and which options it takes beside its inputs."""

    run: Callable[[_Request], xr.Dataset]
    takes: frozenset[str] = field(default_factory=frozenset)
    one_input: bool = False


def _balance(request: _Request) -> xr.Dataset:
    tree, nulls = request.open(request.inputs[0]), request.below(request.nulls)
    return balance.run(tree, nulls, **request.bootstrap, **request.statistics, **request.more)


def _across_depth(request: _Request) -> xr.Dataset:
    recordings, nulls = request.below(request.inputs), request.below(request.nulls)
    return balance_across_depth.run(recordings, nulls, **request.bootstrap, **request.statistics)


def _emergence(request: _Request) -> xr.Dataset:
    series, references = request.apart()
    return balance_emergence.run(series, references, **request.statistics)


def _comparison(request: _Request) -> xr.Dataset:
    if len(request.inputs) < 2:
        raise ConfigError("the analysis 'comparison' takes a network and at least one reference")
    own, references = request.below(request.inputs[:1]), open_references(request.inputs[1:], partial=request.partial)
    return comparison.run(own, references, **request.bootstrap, **request.statistics)


def _ei_versus_bn(request: _Request) -> xr.Dataset:
    recordings, references = request.apart()
    return ei_versus_bn.run(request.below(recordings), request.below(request.nulls), references, **request.statistics)


def _lesions(request: _Request) -> xr.Dataset:
    found = [recording for path in request.inputs for recording in recordings_below(path)]
    if request.partial:  # one that was killed before its first shard is missing like one that was not begun
        found = [recording for recording in found if read_manifest(recording)["shards"]]
    trees = [request.open(recording) for recording in found]
    return lesions.run(trees, partial=request.partial, **request.bootstrap)


def _regime(request: _Request) -> xr.Dataset:
    protocols = [path for path in request.inputs if path.suffix == ".nc" and path.is_file()]
    if len(protocols) > 1:
        raise ConfigError("one perturbation at a time", where=", ".join(map(str, protocols)))
    places = open_references([path for path in request.inputs if path not in protocols], partial=request.partial)
    return regime_scorecard.run(places, perturbation=protocols[0] if protocols else None, **request.bootstrap)


def _systems(request: _Request) -> xr.Dataset:
    recordings, references = request.apart()
    return systems.run(request.below(recordings), references or None, **request.bootstrap, **request.statistics)


_SURROGATES = frozenset({"surrogates", "method", "scheduler"})
_COMMON = frozenset({"nulls", "partial", "statistics"})
_PARTIAL = frozenset({"partial"})

_RUN: dict[str, _Analysis] = {
    "balance": _Analysis(_balance, _COMMON | _SURROGATES, one_input=True),
    "balance_across_depth": _Analysis(_across_depth, _COMMON),
    "balance_emergence": _Analysis(_emergence, frozenset({"statistics"})),
    "comparison": _Analysis(_comparison, frozenset({"partial", "statistics"})),
    "distributions": _Analysis(lambda request: distributions.run(request.below(request.inputs)), _PARTIAL),
    "ei_versus_bn": _Analysis(_ei_versus_bn, _COMMON),
    "gain_modulation": _Analysis(
        lambda request: gain_modulation.run(request.below(request.inputs), **request.bootstrap), _PARTIAL
    ),
    "learning": _Analysis(lambda request: learning.run(request.inputs[0]), one_input=True),
    "lesions": _Analysis(_lesions, _PARTIAL),
    "reference_check": _Analysis(lambda request: reference_check.run(request.below(request.inputs)), _PARTIAL),
    "regime_scorecard": _Analysis(_regime, _PARTIAL),
    "systems": _Analysis(_systems, frozenset({"partial", "statistics"})),
    "timescales": _Analysis(
        lambda request: timescales.run(request.below(request.inputs), **request.bootstrap), _PARTIAL
    ),
    "traces": _Analysis(lambda request: traces.run(request.below(request.inputs)), _PARTIAL),
}

_NAMED = {"nulls": "--null", "method": "--interval"}
"""What an option is called on the command line where that is another word."""


def run_by_name(
    name: str,
    inputs: Sequence[Path],
    nulls: Sequence[Path] = (),
    *,
    partial: bool = False,
    n_bootstrap: int = 1000,
    seed: int = 0,
    statistics: Sequence[str] | None = None,
    **more: Any,
) -> xr.Dataset:
    """Run the analysis `name`.

    Parameters
    ----------
    name : str
        A key of :data:`analyses.ANALYSES`.
    inputs : sequence of Path
        Recordings or directories of recordings; for ``learning`` one training directory; for
        ``comparison`` and ``regime_scorecard`` also names of shipped summaries, for the latter a
        ``protocol.nc`` of perturb-I too; for ``balance_emergence`` recordings made while training.
        ``ei_versus_bn``, ``balance_emergence`` and ``systems`` take summaries of circuits (data/reference/*.nc).
    nulls : sequence of Path
        For ``balance``, ``balance_across_depth`` and ``ei_versus_bn``: null recordings, or
        directories of them.
    partial : bool
        Take what is complete of interrupted or damaged recordings; the result says so.
    n_bootstrap, seed : int
        Of the bootstrap.
    statistics : sequence of str, optional
        Keys; the default is all.
    **more
        For ``balance``: ``surrogates``, ``method``, ``scheduler``; None is as if it were not
        given.

    Raises
    ------
    UnknownNameError
        If there is no such analysis.
    ConfigError
        If the inputs do not fit it, or it does not take an option.
    """
    analysis = _RUN[choose(name, ANALYSES, "analysis")]
    asked = {option: value for option, value in more.items() if value is not None}
    given = {*asked, *(["nulls"] if nulls else []), *(["partial"] if partial else [])}
    given |= {"statistics"} if statistics else set()
    if refused := sorted(given - analysis.takes):
        option = _NAMED.get(refused[0], f"--{refused[0]}")
        fitting = [other for other, known in _RUN.items() if refused[0] in known.takes]
        raise ConfigError(f"the analysis '{name}' takes no {option}", valid=f"{option} goes with {', '.join(fitting)}")
    if analysis.one_input and len(inputs) != 1:
        raise ConfigError(f"the analysis '{name}' takes one input, {len(inputs)} were given")
    bootstrap: dict[str, Any] = {"n_bootstrap": n_bootstrap, "seed": seed}
    chosen: dict[str, Any] = {"statistics": statistics} if statistics else {}
    return analysis.run(_Request(list(inputs), list(nulls), partial, bootstrap, chosen, asked))
