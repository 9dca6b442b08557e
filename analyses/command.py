"""Running an analysis by its name, with the inputs that it takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import xarray as xr

import eiplatform
from analyses import (
    ANALYSES,
    balance,
    balance_emergence,
    comparison,
    distributions,
    ei_versus_bn,
    learning,
    lesions,
    reference_check,
    traces,
)
from eiplatform.errors import ConfigError, choose
from eiplatform.store.reader import recordings_below
from eiplatform.store.references import is_reference

__all__ = ["run_by_name"]


def run_by_name(
    name: str,
    inputs: Sequence[Path],
    nulls: Sequence[Path] = (),
    *,
    partial: bool = False,
    n_bootstrap: int = 1000,
    seed: int = 0,
    statistics: Sequence[str] | None = None,
) -> xr.Dataset:
    """Run the analysis `name`.

    Parameters
    ----------
    name : str
        A key of :data:`analyses.ANALYSES`.
    inputs : sequence of Path
        Recordings or directories of recordings; for ``learning`` one training directory; for
        ``balance_emergence`` recordings made while training.  ``ei_versus_bn`` and ``balance_emergence``
        take summaries of circuits (data/reference/*.nc) among them.
    nulls : sequence of Path
        For ``balance`` and ``ei_versus_bn``: recordings of untrained networks.
    partial : bool
        Take what is complete of interrupted or damaged recordings; the result says so.
    n_bootstrap, seed : int
        Of the bootstrap.
    statistics : sequence of str, optional
        Keys; for ``balance``, ``ei_versus_bn`` and ``balance_emergence``, of which the default is all.

    Raises
    ------
    UnknownNameError
        If there is no such analysis.
    ConfigError
        If the inputs do not fit it.
    """
    choose(name, ANALYSES, "analysis")
    if nulls and name not in ("balance", "ei_versus_bn"):
        raise ConfigError(f"the analysis '{name}' takes no null", valid="--null goes with balance and ei_versus_bn")
    if statistics and name not in ("balance", "ei_versus_bn", "balance_emergence"):
        raise ConfigError(f"the analysis '{name}' has its own statistics", remedy="leave out --statistics")
    if partial and name == "learning":
        raise ConfigError("the analysis 'learning' reads no recording", remedy="leave out --partial")
    if name in ("learning", "balance") and len(inputs) != 1:
        raise ConfigError(f"the analysis '{name}' takes one input, {len(inputs)} were given")
    if name == "learning":
        return learning.run(inputs[0])
    references = (
        [path for path in inputs if is_reference(path)] if name in ("ei_versus_bn", "balance_emergence") else []
    )
    inputs = [path for path in inputs if path not in references]
    if name == "balance_emergence":
        return balance_emergence.run(inputs, references, statistics=statistics)
    found = [recording for path in inputs for recording in recordings_below(path)]
    if name == "balance":
        null_trees = [eiplatform.open(null, partial=partial) for null in nulls]
        tree = eiplatform.open(inputs[0], partial=partial)
        return balance.run(tree, null_trees, statistics=statistics, n_bootstrap=n_bootstrap, seed=seed)
    recordings = [eiplatform.open(recording, partial=partial) for recording in found]
    if name == "ei_versus_bn":
        below = [recording for path in nulls for recording in recordings_below(path)]
        null_trees = [eiplatform.open(null, partial=partial) for null in below]
        return ei_versus_bn.run(recordings, null_trees, references, statistics=statistics)
    if name == "comparison":
        if len(recordings) < 2:
            raise ConfigError("the analysis 'comparison' takes a network and at least one circuit")
        return comparison.run(recordings[0], recordings[1:], n_bootstrap=n_bootstrap, seed=seed)
    if name == "lesions":
        return lesions.run(recordings, n_bootstrap=n_bootstrap, seed=seed)
    if name == "distributions":
        return distributions.run(recordings)
    return reference_check.run(recordings) if name == "reference_check" else traces.run(recordings)
