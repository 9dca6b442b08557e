"""Running an analysis by its name, with the inputs that it takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import xarray as xr

import eiplatform
from analyses import ANALYSES, balance, comparison, distributions, learning, lesions, reference_check, traces
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
    **balancing: Any,
) -> xr.Dataset:
    """Run the analysis `name`.

    Parameters
    ----------
    name : str
        A key of :data:`analyses.ANALYSES`.
    inputs : sequence of Path
        Recordings or directories of recordings; for ``learning`` one training directory.
    nulls : sequence of Path
        For ``balance``: null recordings, or directories of them.
    partial : bool
        Take what is complete of interrupted or damaged recordings; the result says so.
    n_bootstrap, seed : int
        Of the bootstrap.
    **balancing
        For ``balance``: ``surrogates``, ``method``, ``scheduler``; None is as if it were not
        given.

    Raises
    ------
    UnknownNameError
        If there is no such analysis.
    ConfigError
        If the inputs do not fit it.
    """
    choose(name, ANALYSES, "analysis")
    if nulls and name != "balance":
        raise ConfigError(f"the analysis '{name}' takes no null", valid="--null goes with balance")
    asked = {option: value for option, value in balancing.items() if value is not None}
    if asked and name != "balance":
        raise ConfigError(f"the analysis '{name}' takes no --{min(asked)}", valid=f"--{min(asked)} goes with balance")
    if partial and name == "learning":
        raise ConfigError("the analysis 'learning' reads no recording", remedy="leave out --partial")
    if name in ("learning", "balance") and len(inputs) != 1:
        raise ConfigError(f"the analysis '{name}' takes one input, {len(inputs)} were given")
    if name == "learning":
        return learning.run(inputs[0])
    found = [recording for path in inputs for recording in recordings_below(path)]
    if name == "balance":
        null_trees = [eiplatform.open(each, partial=partial) for null in nulls for each in recordings_below(null)]
        tree = eiplatform.open(inputs[0], partial=partial)
        return balance.run(tree, null_trees, n_bootstrap=n_bootstrap, seed=seed, **asked)
    recordings = [eiplatform.open(recording, partial=partial) for recording in found]
    if name == "comparison":
        if len(recordings) < 2:
            raise ConfigError("the analysis 'comparison' takes a network and at least one circuit")
        return comparison.run(recordings[0], recordings[1:], n_bootstrap=n_bootstrap, seed=seed)
    if name == "lesions":
        return lesions.run(recordings, n_bootstrap=n_bootstrap, seed=seed)
    if name == "distributions":
        return distributions.run(recordings)
    return reference_check.run(recordings) if name == "reference_check" else traces.run(recordings)
