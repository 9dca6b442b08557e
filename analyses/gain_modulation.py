"""What does the gain vary with: neurons, inputs, time, or the activity of the population?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import xarray as xr

from eiplatform.analyses.parts.analysis import Analysis, Result
from eiplatform.analyses.parts.cautioned import cautioned, cautions_of
from eiplatform.analyses.parts.findings import clear_of_zero, flags, layers, span, strongest
from eiplatform.analyses.parts.inputs import Recordings, excitatory, label_of, opened
from eiplatform.analyses.parts.tables import Table, number_text, texts, value_text
from eiplatform.errors import StatisticError
from eiplatform.statistics import STATISTICS, summarise
from eiplatform.statistics.kernels.intervals import interval_of, resample_counts
from eiplatform.statistics.kernels.moments import FloatArray
from eiplatform.statistics.population import Population

__all__ = ["PARTS", "normalisation", "GainModulation", "variance_shares"]

LEVEL = 0.95
PARTS = ("neurons", "samples", "time", "rest")
"""Main effects of the logarithm of the gain, and what none of them explains."""
_WORDS = ("between neurons", "between inputs", "over time", "explained by none of these alone")
POINTS = 10
"""Groups of samples, by activity, in the curve of gain against activity."""


class GainModulation(Analysis):
    """The variance of the gain, and how the gain follows the activity of the population."""

    question = "What does the gain vary with: neurons, inputs, time, or the activity of the population?"
    place = 70

    def run(self, recordings: Recordings, *, n_bootstrap: int = 1000, seed: int = 0) -> Result:
        """Split the variance of the gain, and follow it over the activity of the population.

        Parameters
        ----------
        recordings : sequence of str, Path or DataTree
            With populations that have ``gain``; with ``current_exc`` also for the normalisation.
        n_bootstrap, seed : int

        Returns
        -------
        xarray.Dataset, dims (layer, ...)
            ``share`` with interval (layer, part): of the variance of ln(gain); ``normalisation``
            with interval (layer): how far the gain falls when the population's mean excitation
            rises, 0 not at all, 1 in proportion; ``half`` (layer): the excitation at which the gain
            is half of its limit, in the current's unit; ``r_squared``; ``activity`` and ``gain``
            (layer, point): the curve; ``fi_drive`` and ``fi_rate`` (layer, point): excitation and spikes per neuron and
            interval, tenths of all pairs of neuron and sample by their excitation; ``value``, ``low``, ``high``
            (layer, statistic) of every public
            statistic that needs the gain, and ``caution``, what limits its meaning; ``note`` (layer).

        Raises
        ------
        StatisticError
            If no population has a gain, or a gain is not positive.
        """
        trees = opened(recordings)
        rows: list[dict[str, Any]] = []
        keys = [key for key, entry in STATISTICS.items() if "gain" in entry.needs]
        without = []
        for tree in trees:
            for name, data in excitatory(tree).items():
                if "gain" not in data:
                    without.append(f"{label_of(tree)}: {name}")
                    continue
                rows.append(_layer(f"{label_of(tree)}: {name}", name, data, keys, n_bootstrap, seed))
        if not rows:
            raise StatisticError(
                "no population has a gain",
                where=", ".join(without) or None,
                remedy="record 'gain' of a network with one",
            )
        names = [name for name in rows[0] if name not in ("layer", "shares", "table")]
        result = xr.Dataset(
            {
                name: ("layer" if np.ndim(rows[0][name]) == 0 else ("layer", "point"), [row[name] for row in rows])
                for name in names
            },
            coords={"layer": [row["layer"] for row in rows], "part": list(PARTS), "statistic": keys},
        )
        for k, name in enumerate(("share", "share_low", "share_high")):
            result[name] = (("layer", "part"), np.array([row["shares"][k] for row in rows]))
        for name in ("value", "low", "high", "caution"):
            result[name] = (("layer", "statistic"), np.array([row["table"][name].values for row in rows]))
        result["label"] = ("statistic", [STATISTICS[key].label for key in keys])
        return self.result(
            result.set_coords("label"),
            trees,
            level=LEVEL,
            n_bootstrap=n_bootstrap,
            seed=seed,
            without_gain=without,
        )

    def tables(self, result: xr.Dataset) -> Iterable[Table]:
        """Give the shares of the gain's variance and its normalisation, layer by layer."""
        rows = []
        for layer in texts(result["layer"]):
            one = result.sel(layer=layer)
            shares = [value_text(one.sel(part=part), "share") for part in texts(result["part"])]
            normalisation = str(one["note"].item()) or value_text(one, "normalisation")
            rows.append(
                (layer, *shares, normalisation, number_text(float(one["half"])), number_text(float(one["r_squared"])))
            )
        columns = ("layer", *texts(result["part"]), "normalisation index", "half at", "R squared")
        note = (
            "Shares of the variance of ln(gain), main effects and the rest; index: d ln(1/gain) / d ln(mean excitation "
            "of the population) over samples, 0 not at all, 1 in proportion; half at: excitation that halves the gain "
            "(none where the fit has no limit)."
        )
        said = cautions_of(result, texts(result["statistic"]), "layer")
        yield Table("What the gain varies with", columns, tuple(rows), note + cautioned(said)[1])

    def findings(self, result: xr.Dataset) -> Iterable[str]:
        """Say what the gain varies with most, whether it falls with activity, and what limits that."""
        names = result["layer"].values.astype(str)
        shares = result["share"].sel(part=list(PARTS)).transpose("layer", "part").values
        known = np.isfinite(shares).all(axis=1)
        first = np.where(known, shares.max(axis=1), np.nan)
        parts = []
        for index, words in enumerate(_WORDS):
            if chosen := strongest(first, known & (shares.argmax(axis=1) == index), 1):
                held = span(100 * first[chosen])
                parts.append((float(first[chosen].max()), f"{words} in {layers(names[chosen])} ({held} %)"))
        if parts:
            listed = "; ".join(text for _, text in sorted(parts, reverse=True))
            yield f"The largest part of the variance of the gain's logarithm is {listed}."
        yield from _with_activity(names, result)
        missing: dict[str, list[str]] = {}
        for name, note in zip(names, texts(result["note"]), strict=True):
            if note:
                missing.setdefault(note, []).append(name)
        yield from (f"In {layers(without)}: {note}." for note, without in missing.items())
        if no_gain := np.atleast_1d(result.attrs.get("without_gain", [])).astype(str).tolist():
            yield f"No gain was recorded in {layers(no_gain)}."
        yield from flags("In these layers", result, texts(result["statistic"]), "layer", what="statistics of the gain")


def _with_activity(names: np.ndarray, result: xr.Dataset) -> Iterable[str]:
    """Say in which layers the gain changes with the excitation of the population, the steepest first."""
    index = result["normalisation"].values
    if not np.isfinite(index).any():
        return
    clear, how = clear_of_zero(index, result["normalisation_low"].values, result["normalisation_high"].values)
    ways = [(word, strongest(index, clear, sign)) for word, sign in (("falls", 1), ("rises", -1))]
    ways = sorted((way for way in ways if way[1]), key=lambda way: -abs(index[way[1][0]]))
    if not ways:
        yield f"No layer's gain was found to change with its population's excitation (index {span(index)}; {how})."
        return
    parts = [f"{word} in {layers(names[way])} (index {span(index[way])})" for word, way in ways]
    n = int(np.isfinite(index).sum())
    yield (
        f"When the population's excitation rises, the gain {' and '.join(parts)}; 1 is a fall in proportion; clear in "
        f"{int(clear.sum())} of {n} layers ({how}, over samples)."
    )
    fit = result["r_squared"].values
    if (weak := clear & (fit < 0.5)).any():
        yield (
            f"Divisive normalisation fits the gain poorly in {layers(names[weak])} (R squared {span(fit[weak])}): read "
            "the index there as a trend."
        )


def _layer(label: str, name: str, data: xr.Dataset, keys: list[str], n_bootstrap: int, seed: int) -> dict[str, Any]:
    population = Population(data, name)
    gain = population.array("gain").astype(np.float64)
    if not (gain > 0).all():
        raise StatisticError(f"{int((gain <= 0).sum())} gains are not positive", where=label)
    rng = np.random.default_rng(np.random.SeedSequence([seed, 8]))
    weights = np.concatenate([np.ones((1, len(gain))), resample_counts(rng, n_bootstrap, len(gain))])
    shares = variance_shares(np.log(gain), weights)
    several = len(gain) > 1
    low, high = (
        np.quantile(shares[1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0) if several else np.full((2, 4), np.nan)
    )
    table = summarise(data, keys, n_bootstrap=n_bootstrap, seed=seed).isel(population=0, drop=True)
    row: dict[str, Any] = {
        "layer": label,
        "population": name,
        "n_samples": len(gain),
        "n_neurons": gain.shape[2],
        "shares": np.stack([shares[0], low, high]),
        "table": table,
        **dict.fromkeys(("normalisation", "normalisation_low", "normalisation_high", "half", "r_squared"), np.nan),
        "activity": np.full(POINTS, np.nan),
        "gain": np.full(POINTS, np.nan),
        "fi_drive": np.full(POINTS, np.nan),
        "fi_rate": np.full(POINTS, np.nan),
        "note": "",
    }
    if not population.missing(("current_exc", "spikes")) and "spikes" in data:
        drive = population.time_mean("current_exc").ravel()
        rates = data["spikes"].mean("time").values.ravel()
        tenths = np.array_split(np.argsort(drive, kind="stable"), POINTS)
        for name, values in (("fi_drive", drive), ("fi_rate", rates)):
            row[name] = np.array([values[tenth].mean() for tenth in tenths])
    if "current_exc" not in data:
        return row | {"note": "no normalisation: current_exc was not recorded"}
    if len(gain) < 3 * POINTS:
        return row | {"note": f"no normalisation: {len(gain)} samples are too few, {3 * POINTS} are enough"}
    activity = population.time_mean("current_exc").mean(axis=1)
    per_sample = np.exp(np.log(gain).mean(axis=(1, 2)))
    index, half, r_squared = (part for part in normalisation(activity, per_sample, weights))
    low, high = interval_of(index[1:], 0.0, LEVEL)
    groups = np.array_split(np.argsort(activity, kind="stable"), POINTS)
    return row | {
        "normalisation": index[0],
        "normalisation_low": low,
        "normalisation_high": high,
        "half": half[0],
        "r_squared": r_squared[0],
        "activity": np.array([activity[group].mean() for group in groups]),
        "gain": np.array([per_sample[group].mean() for group in groups]),
        "note": "" if np.isfinite(index[0]) else "no normalisation: excitation or gain is the same for all samples",
    }


def variance_shares(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Split the variance into main effects of neurons, samples and time, and the rest.

    Parameters
    ----------
    values : array, shape (sample, time, neuron)
    weights : array, shape (draw, sample)
        Of the samples.

    Returns
    -------
    array, shape (draw, 4)
        Shares in the order of :data:`PARTS`, which sum to 1; NaN where nothing varies.

    Examples
    --------
    >>> import numpy as np
    >>> values = np.zeros((2, 3, 4)) + np.arange(4.0)  # only neurons differ
    >>> variance_shares(values, np.ones((1, 2))).round(6)
    array([[1., 0., 0., 0.]])
    """
    w = weights / weights.sum(axis=1, keepdims=True)
    values = values - values.mean()
    sample = values.mean(axis=(1, 2))
    mean = w @ sample
    total = w @ (values**2).mean(axis=(1, 2)) - mean**2
    parts = np.stack(
        [
            ((w @ values.mean(axis=1)) ** 2).mean(axis=1) - mean**2,
            w @ sample**2 - mean**2,
            ((w @ values.mean(axis=2)) ** 2).mean(axis=1) - mean**2,
        ],
        axis=1,
    )
    floor = 1e-12 * np.abs(values).max() ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = np.where(total[:, None] > floor, np.maximum(parts, 0.0) / total[:, None], np.nan)
    return np.concatenate([shares, 1.0 - shares.sum(axis=1, keepdims=True)], axis=1)


def normalisation(
    activity: FloatArray, gain: FloatArray, weights: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Fit the gain of every sample by divisive normalisation, g = g0 / (1 + A / half).

    Linear in 1/g = (1 + A / half) / g0, hence least squares over the samples.

    Parameters
    ----------
    activity, gain : array, shape (sample,)
        Mean excitation of the population, and its geometric mean gain.
    weights : array, shape (draw, sample)

    Returns
    -------
    index : array, shape (draw,)
        d ln(1/g) / d ln A at the mean activity: 0 without normalisation, 1 where the gain falls
        in proportion; negative where it rises.
    half : array, shape (draw,)
        Activity at which the gain is half of its limit; NaN unless the gain falls.
    r_squared : array, shape (draw,)

    References
    ----------
    Carandini & Heeger 2012, Nat Rev Neurosci 13:51.

    Examples
    --------
    >>> import numpy as np
    >>> activity = np.linspace(1.0, 3.0, 50)
    >>> index, half, fit = normalisation(activity, 5.0 / (1 + activity / 2.0), np.ones((1, 50)))
    >>> float(index[0].round(6)), float(half[0].round(6)), float(fit[0].round(6))
    (0.5, 2.0, 1.0)
    """
    w = weights / weights.sum(axis=1, keepdims=True)
    inverse = 1.0 / gain
    mean_a, mean_i = w @ activity, w @ inverse
    cov = w @ (activity * inverse) - mean_a * mean_i
    var_a, var_i = w @ activity**2 - mean_a**2, w @ inverse**2 - mean_i**2
    varies = (var_a > 1e-12 * mean_a**2) & (var_i > 1e-12 * mean_i**2)
    with np.errstate(invalid="ignore", divide="ignore"):
        slope = np.where(varies, cov / var_a, np.nan)
        index = slope * mean_a / mean_i
        half = np.where((slope > 0) & (mean_i > slope * mean_a), (mean_i - slope * mean_a) / slope, np.nan)
        return index, half, np.where(varies, cov**2 / (var_a * var_i), np.nan)
