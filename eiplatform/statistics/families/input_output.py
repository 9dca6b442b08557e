"""Input-output curves of neurons, and what inhibition does to them: division or subtraction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import numpy as np
import xarray as xr

from eiplatform.errors import StatisticError, TooShortError
from eiplatform.statistics import kernels
from eiplatform.statistics.declare import Table
from eiplatform.statistics.intervals import mean_with_interval
from eiplatform.statistics.kernels.crossed import NeuronValues
from eiplatform.statistics.kernels.moments import FloatArray
from eiplatform.statistics.population import Population
from eiplatform.statistics.registry import register

MIN_POINTS = 10
"""Fewest samples (or conditions) of an input-output curve."""
_Drive = Annotated[Literal["current_exc", "current_net", "drive"], "input of the curve"]
_Fit = tuple[FloatArray, FloatArray, FloatArray, FloatArray]


def _rates(population: Population) -> FloatArray:
    """Rate of each recorded neuron in each sample, shape (sample, neuron): spikes per step, or Hz."""
    if "spikes" in population.data and population.units == "step":
        return population.time_mean("spikes")
    hertz = 1000.0 if population.units == "ms" else 1.0
    return np.asarray(population.counts[:, population.recorded] / population.duration * hertz)


def _curve(populations: list[Population], drive: str, phrase: str) -> tuple[FloatArray, FloatArray]:
    """Input and rate of every neuron, a row per sample, of one recording or of several conditions together."""
    first = populations[0]
    for population in populations:
        if population.units != first.units or not np.array_equal(population.neuron, first.neuron):
            raise StatisticError("the conditions are not of the same recorded neurons in the same unit of time")
    x = np.concatenate([population.time_mean(drive) for population in populations])
    if len(x) < MIN_POINTS:
        raise TooShortError(
            f"{phrase}: {len(x)} samples are too few for a curve",
            valid=f"at least {MIN_POINTS} samples or conditions",
        )
    return x, np.concatenate([_rates(population) for population in populations])


def _split(
    off: tuple[FloatArray, FloatArray], on: tuple[FloatArray, FloatArray], floor: float, together: bool
) -> dict[str, NeuronValues]:
    """Gain ratio and threshold shift from one curve to another, as functions of the weights of the rows.

    `together`: the rows of both are the same samples, and each draw resamples them alike; else they are drawn apart.
    """
    curves = [kernels.RectifiedFit(*part, floor=floor) for part in (off, on)]
    n_off, n_on, n_neurons = len(off[0]), len(on[0]), off[0].shape[1]
    held: dict[bytes, list[_Fit]] = {}

    def fits(weights: FloatArray) -> list[_Fit]:
        halves = [(row, row) if together else (row[:n_off], row[n_off:]) for row in weights]
        return [(*curves[0].fit(first), *curves[1].fit(second)) for first, second in halves]

    def once(weights: FloatArray) -> list[_Fit]:
        key = weights.tobytes()  # both measures are asked for the same draws
        if key not in held:
            held[key] = fits(weights)
        return held[key]

    def measure(pick: Callable[..., FloatArray]) -> Callable[[FloatArray], FloatArray]:
        return lambda weights: np.stack([pick(*found) for found in once(weights)])

    rows = n_off if together else n_off + n_on
    return {
        "gain_ratio": NeuronValues(measure(lambda g0, t0, g1, t1: g1 / g0), rows, n_neurons, True),
        "threshold_shift": NeuronValues(measure(lambda g0, t0, g1, t1: t1 - t0), rows, n_neurons),
    }


@register
class InhibitionSplit(Table):
    """Split what inhibition does to each neuron's input-output curve into division and subtraction.

    `off` is one population with less, `on` the same neurons with more inhibition (a lesion and the intact network; a
    control and a perturbed circuit); each may be a list of its recordings at several drives.
    rate = G [drive - theta]+ is fitted to both; inhibition that divides lowers G, inhibition that
    subtracts raises theta.  The regression of on on off responses is given for comparison with the
    literature only: it reads a pure subtraction as division, because a threshold cuts off low responses.

    Parameters
    ----------
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

    References
    ----------
    Wilson, Runyan, Wang & Sur 2012, Nature 488:343; Atallah, Bruns, Carandini & Scanziani 2012, Neuron 73:159.

    Examples
    --------
    >>> from eiplatform.statistics import example_population
    >>> off = example_population()
    >>> on = off.assign(spikes=off["spikes"] & (off["time"] % 2 == 0))  # every second spike is lost
    >>> round(float(off.ei.inhibition_split(on, n_bootstrap=10)["mean_gain_ratio"]), 3)
    0.509
    """

    name, question, topic = "inhibition_split", "does inhibition divide or subtract?", "gain"
    inputs, several, phrase = ("off", "on"), True, "the split of inhibition"

    drive: _Drive = "current_exc"
    floor: float = 0.15
    n_bootstrap: int = 200
    seed: int = 0
    level: float = 0.95

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.drive, "spikes")

    def compute(self, off: list[Population], on: list[Population]) -> xr.Dataset:
        if not 0 <= self.floor < 1:
            raise StatisticError(
                f"the floor is {self.floor}", valid="a fraction of the largest rate, from 0 to below 1"
            )
        first, second = off[0], on[0]
        if first.units != second.units or not np.array_equal(first.neuron, second.neuron):
            raise StatisticError(
                "the two recordings are not of the same recorded neurons in the same unit of time",
                remedy="take the neurons that both have, e.g. on.sel(neuron=off['neuron'])",
            )
        pair_off, pair_on = (_curve(side, self.drive, self.phrase) for side in (off, on))
        same = np.array_equal(first.data["sample"].values, second.data["sample"].values)
        together = len(off) == len(on) == 1 and same
        options: dict[str, Any] = {"n_bootstrap": self.n_bootstrap, "seed": self.seed, "level": self.level}
        found: dict[str, Any] = {}
        for word, curve in (("off", pair_off), ("on", pair_on)):
            gain, threshold = kernels.RectifiedFit(*curve, floor=self.floor).fit(np.ones(len(curve[0])))
            found |= {f"gain_{word}": ("neuron", gain), f"threshold_{word}": ("neuron", threshold)}
        notes = []
        for name, kernel in _split(pair_off, pair_on, self.floor, together).items():
            numbers, note = mean_with_interval(f"mean_{name}", kernel, **options)
            found |= {name: ("neuron", kernel.per_neuron()), **numbers}
            notes += [note] if note else []
        if together:
            slope, offset = kernels.regress(np.ones((1, len(pair_off[1]))), pair_off[1], pair_on[1])
            found |= {"response_slope": ("neuron", slope[0]), "response_offset": ("neuron", offset[0])}
        used = int(np.isfinite(found["gain_ratio"][1]).sum())
        return xr.Dataset(
            found,
            coords={"neuron": first.neuron},
            attrs={
                "long_name": "division and subtraction by inhibition",
                "drive": self.drive,
                "floor": self.floor,
                "n": used,
                "n_excluded": first.neuron.size - used,
                "exclusion": "fewer than five samples on the line, constant input, or no rise, in one of the two",
                "note": "; ".join(notes),
                "response": "slope and offset of on on off responses: not a measure of division",
                "level": self.level,
            },
        )


@register
class NakaRushton(Table):
    """Fit rate = R x^n / (x^n + c^n) to each neuron's input-output curve.

    Several recordings of one population, at several drives, may be given as a list.

    Parameters
    ----------
    drive : {"current_exc", "current_net", "drive"}
        The neuron's input x, averaged over each sample; not negative.
    baseline : bool
        Fit a baseline too.

    Returns
    -------
    xarray.Dataset, dims (neuron)
        ``maximum`` (R), ``half`` (c, in the unit of the drive), ``exponent`` (n), ``baseline``, ``r2``; NaN where the
        data do not determine them.

    References
    ----------
    Naka & Rushton 1966, J Physiol 185:536.

    Examples
    --------
    >>> from eiplatform.statistics import example_population
    >>> sorted(example_population().ei.naka_rushton())
    ['baseline', 'exponent', 'half', 'maximum', 'r2']
    """

    name, question, topic = "naka_rushton", "which saturating curve does a neuron follow?", "gain"
    several, phrase = True, "the Naka-Rushton fit"

    drive: _Drive = "current_exc"
    baseline: bool = False

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.drive, "spikes")

    def compute(self, populations: list[Population]) -> xr.Dataset:
        x, rate = _curve(populations, self.drive, self.phrase)
        first = populations[0]
        if (x < 0).any():
            raise StatisticError(
                f"'{self.drive}' is negative in {int((x < 0).sum())} of {x.size} means",
                valid="a drive that is not negative",
            )
        fit = kernels.fit_naka_rushton(x, rate, baseline=self.baseline)
        used = int(np.isfinite(fit.half).sum())
        spikes = "spikes/step" if first.units == "step" else "Hz"
        units = {"maximum": spikes, "half": first.data[self.drive].attrs.get("units", "1"), "exponent": "1"}
        units |= {"baseline": spikes, "r2": "1"}
        return xr.Dataset(
            {name: ("neuron", getattr(fit, name), {"units": unit}) for name, unit in units.items()},
            coords={"neuron": first.neuron},
            attrs={
                "long_name": "Naka-Rushton fit of rate on drive",
                "drive": self.drive,
                "over": "sample",
                "n": used,
                "n_excluded": fit.half.size - used,
                "exclusion": "drive or rate constant, no rise, exponent outside 0.1 to 10, "
                "half-saturation outside data",
            },
        )
