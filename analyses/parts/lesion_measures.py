"""What is measured of the cells of a lesion study: intervals over networks and images, calibration, later steps."""

from __future__ import annotations

import numpy as np
import xarray as xr

from eiplatform.statistics.kernels.calibration import BINS, calibration
from eiplatform.statistics.kernels.intervals import combine_seeds, interval_of

__all__ = ["add_after", "add_calibration", "add_mean", "over_networks_and_images"]

_DRAWS = 1000


def over_networks_and_images(values: np.ndarray, seed: int, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Return the bootstrap interval of means over networks and images, which all networks share.

    Parameters
    ----------
    values : array, shape (network, cell, sample)
    seed : int
    level : float
        Nominal coverage.

    Returns
    -------
    low, high : array, shape (cell,)
    """
    n_net, n_cells, n = values.shape
    random = np.random.default_rng(seed)
    weights = random.multinomial(n, np.full(n, 1 / n), size=_DRAWS) / n
    means = np.einsum("ncs,ds->ncd", values, weights, optimize=True)
    ends = np.empty((2, n_cells))
    for cell in range(n_cells):
        own = values[:, cell].mean(1)
        draws, parts = combine_seeds(means[:, cell], seed, estimates=own, n_samples=n)
        seeds = n_net if n_net > 1 else None
        ends[:, cell] = interval_of(draws, float(own.mean()), level, parts=parts, n_seeds=seeds)
    return ends[0], ends[1]


def add_mean(data: xr.Dataset, name: str, values: np.ndarray, seed: int) -> None:
    """Add the mean (cell,) of values (network, cell, sample), and its interval as ``_low`` and ``_high``."""
    low, high = over_networks_and_images(values, seed)
    for end, found in (("", values.mean((0, 2))), ("_low", low), ("_high", high)):
        data[f"{name}{end}"] = ("cell", found)


def add_calibration(data: xr.Dataset, correct: np.ndarray, seed: int) -> None:
    """Add the calibration error (network, cell), its bins (cell, bin), and confidence minus accuracy."""
    sure = data["confidence"].transpose("network", "cell", "sample").values.astype(float)
    n_net, n_cells, _ = correct.shape
    errors = [
        [calibration(sure[net, cell], correct[net, cell]).error for cell in range(n_cells)] for net in range(n_net)
    ]
    data["calibration_error"] = (("network", "cell"), np.array(errors))
    pooled = [calibration(sure[:, cell], correct[:, cell]) for cell in range(n_cells)]
    for name in ("answers", "confidence", "accuracy"):
        data[f"calibration_{name}"] = (("cell", "bin"), np.array([getattr(one, name) for one in pooled]))
    data.coords["bin"] = (np.arange(BINS) + 0.5) / BINS
    add_mean(data, "overconfidence", sure - correct, seed)
    add_mean(data, "loss_mean", data["loss"].transpose("network", "cell", "sample").values.astype(float), seed)


def add_after(data: xr.Dataset, intact: np.ndarray, seed: int) -> None:
    """Add what comes after lesions that end: accuracy of the later steps, and rates over the intact ones there.

    Parameters
    ----------
    data : xarray.Dataset
        With ``correct_from`` (accuracy of the steps from each on), ``rate_step`` and the coordinate ``last``.
    intact : array of int, shape (cell,)
        The intact network under the same images.
    seed : int
        Of the bootstrap.
    """
    later = data["correct_from"].transpose("network", "cell", "sample", "step").values.astype(float)
    rates = data["rate_step"].mean("network").transpose("cell", "layer_read", "step").values
    n_cells, n_steps = later.shape[1], later.shape[3]
    last = np.nan_to_num(data["last"].values.astype(float), nan=n_steps).astype(int)
    ends = np.flatnonzero(last < n_steps)
    change, ratio = np.full(later.shape[:3], np.nan), np.full((n_cells, rates.shape[1]), np.nan)
    for cell in ends:
        change[:, cell] = later[:, cell, :, last[cell]] - later[:, intact[cell], :, last[cell]]
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio[cell] = rates[cell, :, last[cell] :].mean(1) / rates[intact[cell], :, last[cell] :].mean(1)
    add_mean(data, "after_change", change, seed)
    data["after_rate"] = (("cell", "layer_read"), ratio)
