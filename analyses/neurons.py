"""How do the single neurons of every layer differ in excitation, inhibition and firing?"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import numpy as np
import xarray as xr

from eiplatform.analyses.parts.analysis import Analysis, Result
from eiplatform.analyses.parts.cortex_values import hz_per_spike
from eiplatform.analyses.parts.inputs import Recordings, active, excitatory, label_of, nothing_fires, opened
from eiplatform.analyses.parts.tables import Table, interval_text, number_text, texts
from eiplatform.errors import NotApplicableError, TooShortError
from eiplatform.statistics import STATISTICS, per_neuron
from eiplatform.statistics.cautions import cautions
from eiplatform.statistics.kernels.intervals import resample_counts
from eiplatform.statistics.kernels.moments import FloatArray
from eiplatform.statistics.population import Population
from eiplatform.store.measured import measured

__all__ = ["Neurons", "relation"]

LEVEL = 0.95
MEASURED = ("rate", "cv_isi", "fano_factor", "ei_ratio")
MIN_SAMPLES = 10
"""Fewest samples that are resampled; with fewer, neurons are."""
SHUFFLES = 200
CORTEX = "mouse-v1-neuropixels"
"""Measured cortex whose rates are drawn with those of the recordings."""
MEMBRANE_MS = 20.0
"""Membrane constant of the neuron that a network's neuron stands for, which gives its step a length."""
ALWAYS_ON = 0.99
"""Share of the possible spikes from which a neuron counts as always on."""


class Neurons(Analysis):
    """Values of every neuron: currents, rate, irregularity; and how excitation follows inhibition over neurons."""

    question = "How do the single neurons of every layer differ in excitation, inhibition and firing?"
    place = 55

    def run(self, recordings: Recordings, *, most: int = 400, n_bootstrap: int = 1000, seed: int = 0) -> Result:
        """Measure every neuron, and the relation of excitation to inhibition over neurons.

        Parameters
        ----------
        recordings : sequence of str, Path or DataTree
            Networks, circuits or own recordings.
        most : int
            Values kept of a population: of more neurons (or pairs of neuron and sample) evenly spaced ones, by their
            number.
        n_bootstrap, seed : int
            Of the bootstrap over samples (over neurons where there are fewer than 10 samples).

        Returns
        -------
        xarray.Dataset, dims (row, neuron) or (row, pair)
            One row per recording and population.  ``exc``, ``inh`` (row, pair): mean currents of pairs of neuron and
            sample; the statistics of :data:`MEASURED` (row, neuron), NaN where a neuron has none; ``slope``,
            ``correlation``, ``shuffled_low``, ``shuffled_high``, ``over`` (row) of :func:`relation`; ``n_neurons``,
            ``n_silent`` (no spike at all) and ``n_always`` (firing in nearly every step); ``caution``; ``hz``: what
            turns its rate into Hz, for steps by the stated assumption that a membrane of :data:`MEMBRANE_MS` forgets as
            the network's does.  ``cortex_median``, ``cortex_low``, ``cortex_high`` (cortex): quantiles of measured
            rates of E neurons in Hz (5 and 95 %).

        Raises
        ------
        StatisticError
            If nothing fires.
        """
        trees = opened(recordings)
        rows = [
            _row(tree, name, data, most, n_bootstrap, seed)
            for tree in trees
            for name, data in (active(tree) or excitatory(tree)).items()
        ]
        if not rows:
            raise nothing_fires(trees, "neurons")
        dims = {"exc": "pair", "inh": "pair"} | dict.fromkeys(MEASURED, "neuron")
        held: dict[str, Any] = {
            name: (("row", dim), _padded([row[name] for row in rows])) for name, dim in dims.items()
        }
        held |= {name: ("row", [row[name] for row in rows]) for name in rows[0] if name not in dims}
        cortex = measured(CORTEX)
        entries = cortex.chosen("spontaneous", "rate", "E")
        held["cortex_median"] = ("cortex", [one.median for one in entries])
        held["cortex_low"], held["cortex_high"] = (("cortex", [one.band[end] for one in entries]) for end in (0, 1))
        data = xr.Dataset(held, {"cortex": [f"{cortex.title}: {one.layer} E (n = {one.n})" for one in entries]})
        data.attrs["cortex_source"] = cortex.source
        return self.result(data, trees, level=LEVEL, n_bootstrap=n_bootstrap, seed=seed, most=most)

    def tables(self, result: xr.Dataset) -> Iterable[Table]:
        """Give slope, correlation and the neurons that are silent or always on."""
        rows = []
        for index in range(result.sizes["row"]):
            one = result.isel(row=index)
            ends = [float(one[name]) for name in ("correlation", "correlation_low", "correlation_high")]
            shuffled = f"{number_text(float(one['shuffled_low']))} to {number_text(float(one['shuffled_high']))}"
            counts = (str(int(one[name])) for name in ("n_neurons", "n_silent", "n_always"))
            name = f"{one['recording'].item()}: {one['population'].item()}"
            rows.append((name, number_text(float(one["slope"])), interval_text(*ends), shuffled, *counts))
        columns = ("population", "slope of E on I", "correlation", "shuffled", "neurons", "silent", "always on")
        note = (
            "Of mean currents, over pairs of neuron and sample; interval: "
            f"{100 * LEVEL:.0f} % bootstrap over samples (neurons where there are few samples); shuffled: 95 % of the "
            "correlations when samples (or neurons) exchange their inhibition. Silent: no spike at all; always "
            f"on: a spike in at least {100 * ALWAYS_ON:.0f} % of the steps."
        )
        said = [text for text in dict.fromkeys(texts(result["caution"])) if text]
        yield Table("Neurons", columns, tuple(rows), " ".join([note, *said]))

    def findings(self, result: xr.Dataset) -> Iterable[str]:
        """Say how many neurons are silent or always on."""
        for index in range(result.sizes["row"]):
            one = result.isel(row=index)
            n, silent, always = (int(one[name]) for name in ("n_neurons", "n_silent", "n_always"))
            if silent + always >= 0.1 * n:
                name = f"{one['recording'].item()}: {one['population'].item()}"
                yield f"{name}: {silent} of {n} recorded neurons never fire, {always} fire at nearly every step."


def relation(exc: FloatArray, inh: FloatArray, *, n_bootstrap: int, seed: int) -> dict[str, Any]:
    """Return how excitation goes with inhibition over pairs of sample and neuron.

    Parameters
    ----------
    exc, inh : array, shape (sample, neuron)
        Averages over time.
    n_bootstrap, seed : int

    Returns
    -------
    dict
        ``slope`` (reduced major axis), ``correlation`` with ``_low``, ``_high``, ``shuffled_low``, ``shuffled_high``,
        and ``over``: what is resampled, and exchanges its inhibition in the shuffled control.

    Examples
    --------
    >>> import numpy as np
    >>> inh = np.random.default_rng(0).random((20, 3))
    >>> found = relation(2 * inh, inh, n_bootstrap=20, seed=0)
    >>> found["over"], round(found["slope"], 6), round(found["correlation"], 6), found["shuffled_high"] < 0.5
    ('samples', 2.0, 1.0, True)
    """
    over = "samples" if len(exc) >= MIN_SAMPLES else "neurons"
    units = (exc, inh) if over == "samples" else (exc.T, inh.T)
    scale = [np.abs(part).mean() or 1.0 for part in units]
    e, i = (part / size - 1.0 for part, size in zip(units, scale, strict=True))
    moments = np.stack([(e).mean(1), i.mean(1), (e * e).mean(1), (i * i).mean(1), (e * i).mean(1)])
    mean = moments.mean(axis=1)
    r = float(_correlation(mean[:, None])[0])
    slope = (
        float(np.sign(r) * np.sqrt((mean[2] - mean[0] ** 2) / (mean[3] - mean[1] ** 2)) * scale[0] / scale[1])
        if np.isfinite(r)
        else np.nan
    )
    ends = np.full(4, np.nan)
    if np.isfinite(r):
        rng = np.random.default_rng(np.random.SeedSequence([seed, 21]))
        tail = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
        weights = resample_counts(rng, n_bootstrap, len(e)) / len(e)
        ends[:2] = np.nanquantile(_correlation((weights @ moments.T).T), tail)
        products = np.array([(e * i[rng.permutation(len(i))]).mean() for _ in range(SHUFFLES)])
        mixed = np.repeat(mean[:, None], SHUFFLES, axis=1)
        mixed[4] = products
        ends[2:] = np.nanquantile(_correlation(mixed), tail)
    names = ("correlation_low", "correlation_high", "shuffled_low", "shuffled_high")
    return {"slope": slope, "correlation": r, "over": over, **dict(zip(names, ends.tolist(), strict=True))}


def _correlation(moments: FloatArray) -> FloatArray:
    """Return the correlation from the means of e, i, e e, i i and e i, shape (5, ...); NaN where one does not vary."""
    e, i, ee, ii, ei = moments
    with np.errstate(invalid="ignore", divide="ignore"):
        varies = (ee - e**2 > 1e-10) & (ii - i**2 > 1e-10)
        found: FloatArray = np.where(varies, (ei - e * i) / np.sqrt((ee - e**2) * (ii - i**2)), np.nan)
    return found


def _row(tree: xr.DataTree, name: str, data: xr.Dataset, most: int, n_bootstrap: int, seed: int) -> dict[str, Any]:
    population = Population(data, name)
    n = int(data.sizes["neuron"])
    values: dict[str, FloatArray] = {}
    for key in MEASURED:
        values[key] = np.full(n, np.nan)
        if not population.missing(STATISTICS[key].needs):
            with suppress(TooShortError, NotApplicableError):
                found = per_neuron(data, key)
                values[key] = found.values[_recorded(found, data)]
    has = not population.missing(("current_exc", "current_inh"))
    shape = (population.n_samples, n)
    exc, inh = (population.time_mean(f"current_{part}") if has else np.full(shape, np.nan) for part in ("exc", "inh"))
    rate = values["rate"]
    chosen = np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(int))
    pairs = np.unique(np.linspace(0, exc.size - 1, min(exc.size, most)).round().astype(int))
    return {
        "recording": label_of(tree),
        "kind": str(tree.attrs["source"]["kind"]),
        "null": str(tree.attrs["source"].get("null", {}).get("kind", "")),
        "population": name,
        "units": str(data["current_exc"].attrs.get("units", "1")) if has else "1",
        "time_units": population.units,
        **relation(exc, inh, n_bootstrap=n_bootstrap, seed=seed),
        "hz": hz_per_spike(data, MEMBRANE_MS),
        "n_samples": population.n_samples,
        "n_neurons": n,
        "n_silent": int((rate == 0).sum()),
        "n_always": int((rate >= ALWAYS_ON).sum()) if population.units == "step" else 0,
        "caution": cautions(population, STATISTICS["ei_ratio"]) if has else "",
        "exc": exc.ravel()[pairs],
        "inh": inh.ravel()[pairs],
        **{key: found[chosen] for key, found in values.items()},
    }


def _padded(rows: list[FloatArray]) -> FloatArray:
    longest = max(map(len, rows))
    return np.stack([np.pad(row, (0, longest - len(row)), constant_values=np.nan) for row in rows])


def _recorded(found: xr.DataArray, data: xr.Dataset) -> np.ndarray:
    """Return the places of the recorded neurons among those of a statistic (spikes are of all neurons)."""
    return np.searchsorted(found["neuron"].values, data["neuron"].values)
