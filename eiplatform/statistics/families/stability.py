"""Stability: what a small perturbation does, from two recordings of the same samples and neurons."""

from __future__ import annotations

import numpy as np
import xarray as xr

from eiplatform.errors import StatisticError
from eiplatform.statistics import kernels
from eiplatform.statistics.declare import SPIKES, Table
from eiplatform.statistics.families.spikes import Rate
from eiplatform.statistics.kernels.bootstrap import hierarchical_bootstrap
from eiplatform.statistics.kernels.crossed import NeuronValues
from eiplatform.statistics.kernels.moments import FloatArray
from eiplatform.statistics.population import Population
from eiplatform.statistics.registry import register
from eiplatform.statistics.registry import statistic as statistic_of


def _require_paired(first: Population, second: Population) -> None:
    """Raise StatisticError unless two recordings are of the same samples and neurons of one population."""
    for axis in ("sample", "neuron"):
        both = [
            part.data[axis].to_numpy() if axis in part.data.coords else np.arange(part.data.sizes[axis])
            for part in (first, second)
        ]
        if not np.array_equal(both[0], both[1]):
            raise StatisticError(
                f"the two recordings differ in their {axis}s",
                remedy="record both conditions with the same samples (seeds) and neurons",
            )
    for attr in ("role", "n_neurons", "dt_units"):
        if first.data.attrs[attr] != second.data.attrs[attr]:
            raise StatisticError(
                f"the two recordings differ in '{attr}': {first.data.attrs[attr]} and {second.data.attrs[attr]}"
            )


def _note(n_samples: int) -> str:
    return "one sample: the interval covers neurons only" if n_samples == 1 else ""


@register
class PerturbationResponse(Table):
    """Change of a statistic of one population from a control to a perturbed recording.

    Both must hold the same samples (seeds): the differences are within a sample, and each draw of the bootstrap
    resamples both alike.  They are one population, e.g. ``E``, of two conditions of
    ``eiplatform simulate --protocol perturb-I``.

    Parameters
    ----------
    statistic : str
        Key of :data:`eiplatform.statistics.STATISTICS`; of a ratio (``ei_ratio``) the natural logarithm.
    n_bootstrap, seed, level
        Of the interval.

    Returns
    -------
    xarray.Dataset
        ``control``, ``perturbed``, ``response`` (neuron); means over neurons ``mean_control``, ``mean_perturbed`` and
        ``mean_response`` with ``mean_response_low`` and ``mean_response_high``.

    Raises
    ------
    UnknownNameError
        For an unknown statistic.
    StatisticError
        If the recordings are not of the same samples and neurons, or the statistic cannot be computed.

    References
    ----------
    Sanzeni et al. 2020, eLife 9:e54875.

    Examples
    --------
    >>> from eiplatform.statistics import example_population
    >>> control = example_population()
    >>> perturbed = control.assign(current_exc=2 * control["current_exc"])
    >>> response = control.ei.perturbation_response(perturbed, statistic="ei_ratio", n_bootstrap=20)
    >>> round(float(response["mean_response"]), 3)  # ln 2
    0.693
    """

    name, topic = "perturbation_response", "perturbation"
    question = "what does a small change of the input do?"
    inputs = ("control", "perturbed")

    statistic: str = "rate"
    n_bootstrap: int = 1000
    seed: int = 0
    level: float = 0.95

    def compute(self, control: Population, perturbed: Population) -> xr.Dataset:
        _require_paired(control, perturbed)
        chosen = statistic_of(self.statistic)
        before, after = chosen.estimate(control), chosen.estimate(perturbed)
        scale = np.log if before.kernel.geometric else np.asarray
        rows = scale(before.kernel.per_neuron()), scale(after.kernel.per_neuron())

        def values(weights: FloatArray) -> FloatArray:
            difference: FloatArray = scale(after.kernel.values(weights)) - scale(before.kernel.values(weights))
            return difference

        def influence(weights: FloatArray, _: FloatArray) -> FloatArray:
            later, earlier = (part.kernel.moved(weights, part.kernel.values(weights)) for part in (after, before))
            difference: FloatArray = scale(later) - scale(earlier)
            return difference

        whole = None if before.kernel.influence is None else influence
        sizes = control.n_samples, before.kernel.n_neurons
        kernel = NeuronValues(values, *sizes, influence=whole, moments=before.kernel.moments)
        found = hierarchical_bootstrap([kernel], n_bootstrap=self.n_bootstrap, seed=self.seed, level=self.level)
        both = np.isfinite(rows[0]) & np.isfinite(rows[1])
        means = [float(row[both].mean()) if both.any() else np.nan for row in rows]
        return xr.Dataset(
            {
                "control": ("neuron", rows[0]),
                "perturbed": ("neuron", rows[1]),
                "response": ("neuron", rows[1] - rows[0]),
                "mean_control": means[0],
                "mean_perturbed": means[1],
                "mean_response": found.estimate,
                "mean_response_low": found.low,
                "mean_response_high": found.high,
            },
            coords={"neuron": before.neuron},
            attrs={
                "long_name": f"response of {'ln ' if before.kernel.geometric else ''}{chosen.label}",
                "units": before.units,
                "statistic": self.statistic,
                "n": int(both.sum()),
                "n_excluded": int((~both).sum()),
                "exclusion": before.rule,
                "n_samples": control.n_samples,
                "note": _note(control.n_samples),
                "level": self.level,
            },
        )


@register
class ParadoxicalIndex(Table):
    """Paradoxical-response index of the population whose drive was changed.

    PI = -sign(change) (r_on - r_off) / (r_on + r_off) of the population's mean rates: positive if the rate moves
    against its drive, as that of inhibitory neurons does in an inhibition-stabilised network.  Both recordings are of
    the *perturbed* population (``I`` for ``perturb-I``), with the same samples and neurons.

    Parameters
    ----------
    change : float
        By how much its drive was changed, with its sign (the level of the protocol's condition).
    n_bootstrap, seed, level
        Of the intervals.

    Returns
    -------
    xarray.Dataset
        ``index`` and ``slope`` (change of the rate per unit of drive), each with ``_low`` and ``_high``;
        ``rate_control``, ``rate_perturbed``; ``response``: "paradoxical", "ordinary" or, if the interval of the index
        holds 0 or there is none, "undecided".

    References
    ----------
    Tsodyks, Skaggs, Sejnowski & McNaughton 1997, J Neurosci 17:4382.

    Examples
    --------
    >>> from eiplatform.statistics import example_population
    >>> control = example_population()
    >>> perturbed = control.assign(spikes=control["spikes"] & (control["time"] % 2 == 0))
    >>> control.ei.paradoxical_index(perturbed, change=1.0, n_bootstrap=50)["response"].item()
    'paradoxical'
    """

    name, topic = "paradoxical_index", "perturbation"
    question = "do inhibitory neurons move against their drive?"
    inputs, needs = ("control", "perturbed"), SPIKES

    change: float
    n_bootstrap: int = 1000
    seed: int = 0
    level: float = 0.95

    def compute(self, control: Population, perturbed: Population) -> xr.Dataset:
        if not np.isfinite(self.change) or self.change == 0:
            raise StatisticError(
                f"the change of the drive is {self.change}", valid="a number that is not 0, with its sign"
            )
        _require_paired(control, perturbed)
        before, after = (Rate().estimate(population) for population in (control, perturbed))
        sign = np.sign(self.change)

        def index(weights: FloatArray) -> FloatArray:
            off, on = before.kernel.values(weights), after.kernel.values(weights)
            r_off, r_on = off.mean(axis=1), on.mean(axis=1)
            total = r_on + r_off
            total = np.where(total > 0, total, np.nan)
            slopes = 2 * sign * r_on / total**2, -2 * sign * r_off / total**2
            return kernels.mean_influence((off, on), -sign * (r_on - r_off) / total, slopes)

        def slope(weights: FloatArray) -> FloatArray:
            difference: FloatArray = (after.kernel.values(weights) - before.kernel.values(weights)) / self.change
            return difference

        rates = [float(part.kernel.per_neuron().mean()) for part in (before, after)]
        if sum(rates) == 0:
            raise StatisticError("nothing fires in either recording", where=control.name or None)
        found: dict[str, float | str] = {"rate_control": rates[0], "rate_perturbed": rates[1]}
        ends = {}
        for name, values in (("index", index), ("slope", slope)):
            kernel = NeuronValues(values, control.n_samples, before.kernel.n_neurons)
            interval = hierarchical_bootstrap([kernel], n_bootstrap=self.n_bootstrap, seed=self.seed, level=self.level)
            found |= {name: interval.estimate, f"{name}_low": interval.low, f"{name}_high": interval.high}
            ends[name] = interval.low, interval.high
        low, high = ends["index"]
        found["response"] = "paradoxical" if low > 0 else "ordinary" if high < 0 else "undecided"
        return xr.Dataset(
            found,
            attrs={
                "long_name": "paradoxical-response index",
                "units": "1",
                "units_rate": before.units,
                "change": float(self.change),
                "n_samples": control.n_samples,
                "n": before.kernel.n_neurons,
                "note": _note(control.n_samples),
                "level": self.level,
            },
        )
