"""Numbers of lesion studies that figures draw: Shapley values of players, network by network."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from eiplatform.statistics.kernels.games import shapley_values

__all__ = ["shapley_of"]


def shapley_of(result: xr.Dataset) -> pd.DataFrame:
    """Return the Shapley value of every player, with Student's interval over networks; empty where all never lesioned.

    Parameters
    ----------
    result : xarray.Dataset
        Of the analysis ``lesion_study``, with ``coalition`` and ``players``.

    Returns
    -------
    DataFrame
        ``player``, ``value``, ``low``, ``high``, and the value in each network.
    """
    players = str(result["players"].values[0]).split(" | ")
    correct = result["correct"].transpose("network", "cell", "sample").values.astype(float)
    values = {}
    for index, name in enumerate(result["coalition"].values):
        members = () if name == "none" else tuple(int(player) for player in str(name).split())
        values[members] = correct[:, index].mean(axis=1)
    if tuple(range(len(players))) not in values:
        return pd.DataFrame(columns=["player", "value", "low", "high"])
    found = shapley_values(values, len(players))[0]
    n = found.shape[1]
    mean = found.mean(axis=1)
    half = stats.t.ppf(0.975, n - 1) * found.std(axis=1, ddof=1) / np.sqrt(n) if n > 1 else np.full(len(mean), np.nan)
    frame = pd.DataFrame({"player": players, "value": mean, "low": mean - half, "high": mean + half})
    return frame.assign(**{f"network {k + 1}": found[:, k] for k in range(n)})
