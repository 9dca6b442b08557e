"""How balanced is every layer, and is it more than initialisation gives?

High E-I correlation is built into the initialisation of E-I networks, and inputs that share their
brightness raise it further (methods: E-I Init gives 1/sqrt(2 (1 + 1/n_I)), about 0.7, on independent
inputs).  Every value of the trained network therefore stands beside a null: the same network
untrained (or with shuffled weights, or shown shuffled images), several seeds, on the same samples; or
surrogates of the recording itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from eiplatform.analyses.inputs import Recording, describe_inputs, excitatory, label_of, open_kind, samples_of
from eiplatform.errors import StatisticError
from eiplatform.statistics import against_null, null_from, summarise, summarise_seeds
from eiplatform.statistics.nulls import parse_surrogate
from eiplatform.statistics.spread import WORKERS

__all__ = ["run"]


def run(
    recording: Recording,
    nulls: Sequence[Recording] = (),
    *,
    surrogates: str | None = None,
    statistics: Sequence[str] | None = None,
    n_bootstrap: int = 1000,
    seed: int = 0,
    method: str = "percentile",
    workers: int = WORKERS,
    scheduler: str | None = None,
) -> xr.Dataset:
    """Compute all balance statistics of every layer, beside their null.

    Parameters
    ----------
    recording : str, Path or DataTree
        Of a trained network.
    nulls : sequence of str, Path or DataTree
        Null recordings of one kind (``eiplatform record --null``; untrained networks, one per
        seed) of the same layers and samples.
    surrogates : str, optional
        Surrogates of the recording as the null, e.g. ``"shift-time:20"``; see
        :func:`eiplatform.statistics.surrogate`.
    statistics : sequence of str, optional
        Keys of :data:`eiplatform.statistics.STATISTICS`; default: all that were recorded.
    n_bootstrap, seed : int
        Of the bootstrap over samples and neurons (and of the surrogates).
    method, workers, scheduler
        As for :func:`eiplatform.statistics.summarise`.

    Returns
    -------
    xarray.Dataset, dims (population, statistic)
        ``value`` with ``low`` and ``high``, counts and exclusions as in
        :func:`eiplatform.statistics.summarise`; with nulls also ``null`` (their mean),
        ``null_minimum``, ``null_maximum``, ``z``, ``p``, ``q``, ``p_rank``, ``n_below``, ``n_seeds`` and
        ``null_note``.

    Raises
    ------
    StatisticError
        If a null saw other samples, is given twice, or is the recording itself, nulls are of
        several kinds, or there are nulls and surrogates.
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
    kinds = {str(null.attrs["source"].get("null", {}).get("kind", "recordings")) for null in null_trees}
    if surrogates is not None:
        kinds.add(surrogates.partition(":")[0])
    if len(kinds) > 1:
        raise StatisticError(
            f"nulls of several kinds: {', '.join(sorted(kinds))}", remedy="compare with one kind at a time"
        )
    surrogate = None if surrogates is None else parse_surrogate(surrogates)
    options: dict[str, Any] = {"seed": seed, "populations": names, "workers": workers, "scheduler": scheduler}
    result = summarise(tree, statistics, n_bootstrap=n_bootstrap, method=method, **options)
    keys = result["statistic"].values.tolist()
    null_summary = None
    if surrogate is not None:
        null_summary = null_from(tree, *surrogate, keys, **options)
    elif null_trees:
        null_summary = summarise_seeds(null_trees, keys, n_bootstrap=1, **options)  # only their values count
    if null_summary is not None:
        beside = against_null(result, null_summary)
        for name in ("null", "null_minimum", "null_maximum", "z", "p", "q", "p_rank", "n_below", "n_seeds"):
            result[name] = beside[name]
            if name in beside.attrs:
                result[name].attrs["long_name"] = beside.attrs[name]
        result["null_note"] = beside["note"]
        result.attrs["null"] = kinds.pop()
    return result.assign_attrs(
        analysis="balance",
        label=label_of(tree),
        n_nulls=len(null_trees) if surrogate is None else surrogate[1],
        **describe_inputs([tree, *null_trees]),
    )
