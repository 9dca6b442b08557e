"""Labelled statistics of gain and input-output curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from eiplatform.errors import StatisticError
from eiplatform.statistics import estimates, kernels
from eiplatform.statistics.kernels.bootstrap import Unit, hierarchical_bootstrap
from eiplatform.statistics.labelled.common import measured
from eiplatform.statistics.population import Population

__all__ = ["gain_normalisation", "gain_slope", "inhibition_split", "naka_rushton"]


def _with_interval(name: str, unit: Unit, options: dict[str, Any], notes: list[str]) -> dict[str, float]:
    """Return the mean over neurons and its interval by name, and note why there is none.

    A geometric mean has its interval in logarithms, so that it stays positive.
    """
    inside = Unit(lambda w: np.log(unit.values(w)), unit.n_samples, unit.n_neurons) if unit.geometric else unit
    found = hierarchical_bootstrap([inside], **options)
    if np.isfinite(found.estimate) and found.failed:
        notes.append(f"{name}: no interval, undefined in {found.failed} of {len(found.draws)} draws")
    numbers = {name: found.estimate, f"{name}_low": found.low, f"{name}_high": found.high}
    return {key: float(np.exp(value)) for key, value in numbers.items()} if unit.geometric else numbers


def gain_slope(population: xr.Dataset, *, activity: str = "excitation") -> xr.DataArray:
    """Slope of ln gain on ln population activity over samples, of each neuron: -1 full normalisation, 0 none.

    Parameters
    ----------
    population : xarray.Dataset
        With ``gain`` and the signal of the activity.
    activity : {"excitation", "spikes"}
        Mean excitatory current, or mean rate, of the recorded neurons in a sample.

    Returns
    -------
    xarray.DataArray, dims (neuron)

    Raises
    ------
    StatisticError
        If a signal is missing or not finite, or no sample is active.
    TooShortError
        With fewer than 30 samples.

    References
    ----------
    Carandini & Heeger 2012, Nat Rev Neurosci 13:51.
    """
    return measured(population, "gain_slope", estimates.gain_slope, activity)


def gain_normalisation(
    population: xr.Dataset,
    *,
    activity: str = "excitation",
    n_bootstrap: int = 200,
    seed: int = 0,
    level: float = 0.95,
) -> xr.Dataset:
    """Fit divisive normalisation, gain = G / (1 + P/sigma), P the population's activity in a sample.

    Parameters
    ----------
    population : xarray.Dataset
        With ``gain`` and the signal of the activity.
    activity : {"excitation", "spikes"}
        Mean excitatory current, or mean rate, of the recorded neurons in a sample.
    n_bootstrap, seed, level
        Of the intervals over samples and neurons.

    Returns
    -------
    xarray.Dataset
        ``maximum`` (G), ``sigma`` and ``r2`` (neuron), NaN where the data do not tell sigma; ``saturation``, the
        geometric mean over neurons of mean P / sigma (large: the gain falls as 1/P; small: it hardly falls), with
        ``saturation_low`` and ``saturation_high``; ``activity`` (sample).

    Raises
    ------
    StatisticError
        If a signal is missing or not finite, or no sample is active.
    TooShortError
        With fewer than 30 samples.

    References
    ----------
    Carandini & Heeger 2012, Nat Rev Neurosci 13:51.
    """
    checked = Population(population)
    checked.require(("gain",), "the fit of divisive normalisation")
    checked.require_samples("the fit of divisive normalisation")
    active, gain = estimates.population_activity(checked, activity), checked.time_mean("gain")
    mean = float(active.mean())
    if not mean > 0:
        raise StatisticError("the population is not active in any sample", where=checked.name or None)

    def saturation(weights: np.ndarray) -> np.ndarray:
        return mean / kernels.fit_normalisation(weights, active, gain)[1]

    maximum, sigma, r2 = (part[0] for part in kernels.fit_normalisation(np.ones((1, len(active))), active, gain))
    unit = Unit(saturation, len(active), gain.shape[1], geometric=True)
    notes: list[str] = []
    options: dict[str, Any] = {"n_bootstrap": n_bootstrap, "seed": seed, "level": level}
    numbers = _with_interval("saturation", unit, options, notes)
    used = int(np.isfinite(sigma).sum())
    return xr.Dataset(
        {
            "maximum": ("neuron", maximum),
            "sigma": ("neuron", sigma),
            "r2": ("neuron", r2),
            **numbers,
            "activity": ("sample", active),
        },
        coords={"neuron": checked.neuron, "sample": checked.data["sample"].values},
        attrs={
            "long_name": "divisive normalisation gain = G/(1 + P/sigma)",
            "activity": activity,
            "over": "sample",
            "n": used,
            "n_excluded": sigma.size - used,
            "exclusion": "gain constant, or best sigma more than a thousandfold from the mean activity",
            "note": "; ".join(notes),
            "level": level,
        },
    )


def inhibition_split(
    off: xr.Dataset | Sequence[xr.Dataset],
    on: xr.Dataset | Sequence[xr.Dataset],
    *,
    drive: str = "current_exc",
    floor: float = 0.15,
    n_bootstrap: int = 200,
    seed: int = 0,
    level: float = 0.95,
) -> xr.Dataset:
    """Split what inhibition does to each neuron's input-output curve into division and subtraction.

    rate = G [drive - theta]+ is fitted to both recordings; inhibition that divides lowers G, inhibition that
    subtracts raises theta.  The regression of on on off responses stands beside it for comparison with the
    literature only: it reads a pure subtraction as division, because a threshold cuts off low responses.

    Parameters
    ----------
    off, on : xarray.Dataset or sequence of them
        One population with less and with more inhibition (a lesion and the intact network; a control and a perturbed
        circuit), or its recordings at several drives.  The same neurons in both.
    drive : {"current_exc", "current_net", "drive"}
        The neuron's input, averaged over each sample.
    floor : float
        Fitted rates below this fraction of the largest do not count for the line.
    n_bootstrap, seed, level
        Of the intervals over samples and neurons.

    Returns
    -------
    xarray.Dataset
        ``gain_off``, ``gain_on``, ``threshold_off``, ``threshold_on``, ``gain_ratio``, ``threshold_shift`` (neuron);
        over neurons ``mean_gain_ratio`` (geometric) and ``mean_threshold_shift`` with ``_low`` and ``_high``;
        with the same samples in both also ``response_slope`` and ``response_offset`` (neuron).

    Raises
    ------
    StatisticError
        If a signal is missing or not finite, or the neurons differ.
    TooShortError
        With fewer than 10 samples.

    References
    ----------
    Wilson, Runyan, Wang & Sur 2012, Nature 488:343; Atallah, Bruns, Carandini & Scanziani 2012, Neuron 73:159.
    """
    if not 0 <= floor < 1:
        raise StatisticError(f"the floor is {floor}", valid="a fraction of the largest rate, from 0 to below 1")
    *curve_off, first = estimates.input_output(off, drive)
    *curve_on, second = estimates.input_output(on, drive)
    if first.units != second.units or not np.array_equal(first.neuron, second.neuron):
        raise StatisticError(
            "the two recordings are not of the same recorded neurons in the same unit of time",
            remedy="take the neurons that both have, e.g. on.sel(neuron=off['neuron'])",
        )
    for rows in (len(curve_off[0]), len(curve_on[0])):
        estimates.require_points("the split of inhibition", rows)
    single = isinstance(off, xr.Dataset) and isinstance(on, xr.Dataset)
    together = single and np.array_equal(first.data["sample"].values, second.data["sample"].values)
    pair_off, pair_on = (curve_off[0], curve_off[1]), (curve_on[0], curve_on[1])
    units = estimates.split_units(pair_off, pair_on, floor, together)
    options: dict[str, Any] = {"n_bootstrap": n_bootstrap, "seed": seed, "level": level}
    found: dict[str, Any] = {}
    notes: list[str] = []
    for word, curve in (("off", pair_off), ("on", pair_on)):
        gain, threshold = kernels.RectifiedFit(*curve, floor=floor).fit(np.ones(len(curve[0])))
        found |= {f"gain_{word}": ("neuron", gain), f"threshold_{word}": ("neuron", threshold)}
    for name, unit in units.items():
        found |= {name: ("neuron", unit.per_neuron()), **_with_interval(f"mean_{name}", unit, options, notes)}
    if together:
        slope, offset = kernels.regress(np.ones((1, len(pair_off[1]))), pair_off[1], pair_on[1])
        found |= {"response_slope": ("neuron", slope[0]), "response_offset": ("neuron", offset[0])}
    used = int(np.isfinite(found["gain_ratio"][1]).sum())
    return xr.Dataset(
        found,
        coords={"neuron": first.neuron},
        attrs={
            "long_name": "division and subtraction by inhibition",
            "drive": drive,
            "floor": floor,
            "n": used,
            "n_excluded": first.neuron.size - used,
            "exclusion": "fewer than five samples on the line, constant input, or no rise, in one of the two",
            "note": "; ".join(notes),
            "response": "slope and offset of on on off responses: not a measure of division",
            "level": level,
        },
    )


def naka_rushton(
    population: xr.Dataset | Sequence[xr.Dataset], *, drive: str = "current_exc", baseline: bool = False
) -> xr.Dataset:
    """Fit rate = R x^n / (x^n + c^n) to each neuron's input-output curve.

    Parameters
    ----------
    population : xarray.Dataset or sequence of them
        One population, or its recordings at several drives.
    drive : {"current_exc", "current_net", "drive"}
        The neuron's input x, averaged over each sample; not negative.
    baseline : bool
        Fit a baseline too.

    Returns
    -------
    xarray.Dataset, dims (neuron)
        ``maximum`` (R), ``half`` (c, in the unit of the drive), ``exponent`` (n), ``baseline``, ``r2``; NaN where the
        data do not tell them.

    Raises
    ------
    StatisticError
        If a signal is missing or not finite, or the drive is negative somewhere.
    TooShortError
        With fewer than 10 samples.

    References
    ----------
    Naka & Rushton 1966, J Physiol 185:536.
    """
    x, rate, first = estimates.input_output(population, drive)
    estimates.require_points("the Naka-Rushton fit", len(x))
    if (x < 0).any():
        raise StatisticError(
            f"'{drive}' is negative in {int((x < 0).sum())} of {x.size} means", valid="a drive that is not negative"
        )
    fit = kernels.fit_naka_rushton(x, rate, baseline=baseline)
    used = int(np.isfinite(fit.half).sum())
    units = first.data[drive].attrs.get("units", "1")
    names = {"maximum": "spikes/step" if first.units == "step" else "Hz", "half": units, "exponent": "1"}
    names |= {"baseline": names["maximum"], "r2": "1"}
    return xr.Dataset(
        {name: ("neuron", getattr(fit, name), {"units": unit}) for name, unit in names.items()},
        coords={"neuron": first.neuron},
        attrs={
            "long_name": "Naka-Rushton fit of rate on drive",
            "drive": drive,
            "over": "sample",
            "n": used,
            "n_excluded": fit.half.size - used,
            "exclusion": "drive or rate constant, no rise, exponent outside 0.1 to 10, half-saturation outside data",
        },
    )
