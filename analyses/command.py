"""Running an analysis by its name, with the inputs that it takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import xarray as xr

import eiplatform
from analyses import (
    ANALYSES,
    balance,
    balance_across_depth,
    comparison,
    distributions,
    gain_modulation,
    learning,
    lesions,
    reference_check,
    regime_scorecard,
    timescales,
    traces,
)
from analyses.parts.sides import open_references
from eiplatform.errors import ConfigError, choose
from eiplatform.store.reader import recordings_below

__all__ = ["run_by_name"]


def run_by_name(
    name: str,
    inputs: Sequence[Path],
    nulls: Sequence[Path] = (),
    *,
    partial: bool = False,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> xr.Dataset:
    """Run the analysis `name`.

    Parameters
    ----------
    name : str
        A key of :data:`analyses.ANALYSES`.
    inputs : sequence of Path
        Recordings or directories of recordings; for ``learning`` one training directory; for
        ``regime_scorecard`` also names of shipped summaries and a ``protocol.nc`` of perturb-I.
    nulls : sequence of Path
        For ``balance`` and ``balance_across_depth``: recordings of untrained networks.
    partial : bool
        Take what is complete of interrupted or damaged recordings; the result says so.
    n_bootstrap, seed : int
        Of the bootstrap.

    Raises
    ------
    UnknownNameError
        If there is no such analysis.
    ConfigError
        If the inputs do not fit it.
    """
    choose(name, ANALYSES, "analysis")
    if nulls and name not in ("balance", "balance_across_depth"):
        raise ConfigError(
            f"the analysis '{name}' takes no null", valid="--null goes with balance and balance_across_depth"
        )
    if partial and name == "learning":
        raise ConfigError("the analysis 'learning' reads no recording", remedy="leave out --partial")
    if name in ("learning", "balance") and len(inputs) != 1:
        raise ConfigError(f"the analysis '{name}' takes one input, {len(inputs)} were given")
    if name == "learning":
        return learning.run(inputs[0])
    options: dict[str, Any] = {"n_bootstrap": n_bootstrap, "seed": seed}
    if name == "regime_scorecard":
        protocols = [path for path in inputs if path.suffix == ".nc" and path.is_file()]
        if len(protocols) > 1:
            raise ConfigError("one perturbation at a time", where=", ".join(map(str, protocols)))
        places = open_references([path for path in inputs if path not in protocols], partial=partial)
        return regime_scorecard.run(places, perturbation=protocols[0] if protocols else None, **options)
    if name == "comparison" and len(inputs) > 1:
        own = [eiplatform.open(recording, partial=partial) for recording in recordings_below(inputs[0])]
        return comparison.run(own, open_references(inputs[1:], partial=partial), **options)
    found = [recording for path in inputs for recording in recordings_below(path)]
    if name == "balance":
        null_trees = [eiplatform.open(null, partial=partial) for null in nulls]
        return balance.run(eiplatform.open(inputs[0], partial=partial), null_trees, **options)
    recordings = [eiplatform.open(recording, partial=partial) for recording in found]
    if name == "balance_across_depth":
        null_trees = [eiplatform.open(null, partial=partial) for null in nulls]
        return balance_across_depth.run(recordings, null_trees, **options)
    if name == "gain_modulation":
        return gain_modulation.run(recordings, **options)
    if name == "timescales":
        return timescales.run(recordings, **options)
    if name == "comparison":
        if len(recordings) < 2:
            raise ConfigError("the analysis 'comparison' takes a network and at least one circuit")
        return comparison.run(recordings[0], recordings[1:], **options)
    if name == "lesions":
        return lesions.run(recordings, **options)
    if name == "distributions":
        return distributions.run(recordings)
    return reference_check.run(recordings) if name == "reference_check" else traces.run(recordings)
