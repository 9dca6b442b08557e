"""How balanced is every layer, and is it more than initialisation gives?

High E-I correlation is built into the initialisation of E-I networks, and inputs that share their
brightness raise it further (methods: E-I Init gives 1/sqrt(2 (1 + 1/n_I)), about 0.7, on independent
inputs).  Every value of the trained network therefore stands beside the null: the same network
untrained, several seeds, on the same samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from analyses.inputs import Recording, describe_inputs, excitatory, label_of, open_kind, samples_of
from eiplatform.errors import StatisticError
from eiplatform.statistics import against_null, summarise, summarise_seeds

__all__ = ["run"]


def run(
    recording: Recording,
    nulls: Sequence[Recording] = (),
    *,
    statistics: Sequence[str] | None = None,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> xr.Dataset:
    """Compute all balance statistics of every layer, beside their null.

    Parameters
    ----------
    recording : str, Path or DataTree
        Of a trained network.
    nulls : sequence of str, Path or DataTree
        Recordings of untrained networks (one per seed) of the same layers and samples.
    statistics : sequence of str, optional
        Keys of :data:`eiplatform.statistics.STATISTICS`; default: all that were recorded.
    n_bootstrap, seed : int
        Of the bootstrap over samples and neurons.

    Returns
    -------
    xarray.Dataset, dims (population, statistic)
        ``value`` with ``low`` and ``high``, counts and exclusions as in
        :func:`eiplatform.statistics.summarise`; with nulls also ``null`` (their mean),
        ``null_minimum``, ``null_maximum``, ``z``, ``p``, ``n_seeds`` and ``null_note``.

    Raises
    ------
    StatisticError
        If a null saw other samples, is given twice, or is the recording itself.
    """
    (tree,) = open_kind([recording], "network", purpose="the recording")
    null_trees = open_kind(nulls, "network", purpose="a null")
    ids = [found.attrs["id"] for found in (tree, *null_trees)]
    if len(set(ids)) < len(ids):
        raise StatisticError(
            "a recording stands for itself as a null, or a null is given twice",
            where="nulls",
            remedy="give recordings of differently seeded, untrained networks",
        )
    names = list(excitatory(tree))
    for null in null_trees:
        if not np.array_equal(samples_of(null), samples_of(tree)):
            raise StatisticError(
                "the null saw other samples", where=null.attrs["path"], remedy="record it with the same spec"
            )
    options: dict[str, Any] = {"n_bootstrap": n_bootstrap, "seed": seed, "populations": names}
    result = summarise(tree, statistics, **options)
    if null_trees:
        keys = result["statistic"].values.tolist()
        null_summary = summarise_seeds(null_trees, keys, **options)
        beside = against_null(result, null_summary)
        for name in ("null", "null_minimum", "null_maximum", "z", "p", "n_seeds"):
            result[name] = beside[name]
        result["null_note"] = beside["note"]
    return result.assign_attrs(
        analysis="balance", label=label_of(tree), n_nulls=len(null_trees), **describe_inputs([tree, *null_trees])
    )
